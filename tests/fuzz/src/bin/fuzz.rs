//! Runs one target under libFuzzer: the one that `RAVELIN_FUZZ_TARGET` names.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ravelin_fuzz::{Target, targets};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("RAVELIN_FUZZ_TARGET").unwrap_or_default();
    targets().into_iter().find(|target| target.name() == name).unwrap_or_else(|| {
        let names: Vec<String> = targets().iter().map(Target::name).collect();
        panic!("set RAVELIN_FUZZ_TARGET to one of {}", names.join(", "))
    })
});

fuzz_target!(|input: &[u8]| TARGET.run(input));
