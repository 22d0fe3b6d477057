//! Every committed input, and small changes of each, through its target.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ravelin_fuzz::{Target, corpus, targets};

/// How many changed copies of each input are run too.
const CHANGES: u64 = 64;

/// The inputs of a target by file name, in order.
fn inputs(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = corpus().join(target.name());
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut inputs: Vec<_> = entries
        .map(|entry| {
            let path = entry.expect("the folder is readable").path();
            let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path.display().to_string(), bytes)
        })
        .collect();
    inputs.sort();
    inputs
}

fn run(target: &Target, name: &str, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| target.run(input))).is_err() {
        panic!("target {} failed on {name}: {input:02x?}", target.name());
    }
}

#[test]
fn corpus_replays() {
    for target in targets() {
        let inputs = inputs(&target);
        assert!(!inputs.is_empty(), "target {} has no inputs", target.name());
        inputs.iter().for_each(|(name, input)| run(&target, name, input));
    }
}

#[test]
fn changed_inputs_replay() {
    for target in targets() {
        for (name, input) in inputs(&target).iter().filter(|(_, input)| !input.is_empty()) {
            for seed in 1..=CHANGES {
                run(&target, &format!("change {seed} of {name}"), &changed(input, seed));
            }
        }
    }
}

#[test]
fn every_folder_belongs_to_a_target() {
    let names: BTreeSet<String> = targets().iter().map(Target::name).collect();
    let folders: BTreeSet<String> = fs::read_dir(corpus())
        .expect("there is a corpus")
        .map(|entry| entry.expect("the folder is readable").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(folders, names);
}

/// Up to four bytes of `input` replaced, most often near the front where the lengths are; one in four is cut short.
fn changed(input: &[u8], seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = |below: usize| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut changed = input.to_vec();
    for _ in 0..=next(4) {
        let reach = 1 + next(input.len());
        let at = next(reach);
        changed[at] = match next(3) {
            0 => [0, 1, 4, 0x7f, 0x80, 0xff][next(6)],
            1 => changed[at].wrapping_add(1),
            _ => next(256) as u8,
        };
    }
    if next(4) == 0 {
        changed.truncate(next(input.len() + 1));
    }
    changed
}
