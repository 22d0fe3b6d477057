//! What the library computes: against published vectors, and against the other providers on random packets.
//!
//! Where the library is missing or does not fit, every case is counted as skipped, with the reason. Words on the command
//! line select cases by name; `--list`, `--ignored` and `--exact` are for test runners that start each case by itself.
#![allow(clippy::unwrap_used)] // a panic is how a case fails

mod allocation;
mod batch;
mod lanes;
mod single;

use std::io::Write;
use std::panic::catch_unwind;
use std::process::ExitCode;

use ravelin_crypto_ipsec_mb::try_provider;

/// A case: its name, and what it does.
type Case = (&'static str, fn());

const CASES: &[&[Case]] = &[single::CASES, batch::CASES, lanes::CASES, allocation::CASES];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| arguments.iter().any(|argument| argument == name);
    let missing = try_provider().err();
    let all = CASES.iter().copied().flatten();
    if flag("--list") {
        // Those that cannot run are the ignored ones.
        all.filter(|_| missing.is_some() || !flag("--ignored")).for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let words: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let hit = |name: &str, word: &str| if flag("--exact") { name == word } else { name.contains(word) };
    let wanted = |(name, _): &&Case| words.is_empty() || words.iter().any(|word| hit(name, word));
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (name, case) in all.filter(wanted) {
        print!("test {name} ... ");
        let _ = std::io::stdout().flush();
        match &missing {
            Some(reason) => {
                println!("SKIPPED: {reason}");
                skipped += 1;
            }
            None if catch_unwind(case).is_ok() => {
                println!("ok");
                passed += 1;
            }
            None => {
                println!("FAILED");
                failed += 1;
            }
        }
    }
    println!("test result: {passed} passed, {failed} failed, {skipped} skipped");
    ExitCode::from(u8::from(failed > 0))
}
