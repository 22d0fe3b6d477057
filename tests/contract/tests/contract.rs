//! The suite on every data plane that this machine has. Works for ordinary users where user namespaces are allowed; what
//! cannot run is counted as skipped, with the reason.

// The whole program is a test, which the lint cannot see without the standard harness.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use ravelin_contract::Pair;
use ravelin_contract::cases::{CASES, Case};
use ravelin_contract::hosts;
use ravelin_contract::memory::Memory;
use ravelin_testkit::namespace::again_inside;

/// Set in the program's second life, inside its namespaces.
const INSIDE: &str = "RAVELIN_CONTRACT_INSIDE";

/// A data plane: its name, why it cannot run here, and two hosts with it.
type Plane = (&'static str, fn() -> Option<String>, fn() -> Box<dyn Pair>);

const PLANES: [Plane; 5] = [
    ("memory", || None, || Box::new(Memory::default())),
    ("tun", no_tun, || Box::new(hosts::tun::<1>())),
    ("tun-of-two", no_tun, || Box::new(hosts::tun::<2>())),
    ("tun-of-four", no_tun, || Box::new(hosts::tun::<4>())),
    ("kernel", no_kernel, || Box::new(hosts::kernel())),
];

fn no_tun() -> Option<String> {
    (!std::path::Path::new("/dev/net/tun").exists()).then(|| "no /dev/net/tun".to_owned())
}

fn no_kernel() -> Option<String> {
    match ravelin_xfrm::probe() {
        Ok(found) if found.is_usable() => None,
        Ok(_) => Some("this kernel has no ESP; `cargo xtask interop contract` runs it in a guest".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| arguments.iter().any(|argument| argument == name);
    if flag("--list") {
        if !flag("--ignored") {
            PLANES.iter().for_each(|(plane, ..)| CASES.iter().for_each(|(name, _)| println!("{plane}::{name}: test")));
        }
        return ExitCode::SUCCESS;
    }
    if std::env::var_os(INSIDE).is_none() {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        return ExitCode::from(u8::from(!again_inside(INSIDE, &arguments)));
    }
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (plane, missing, pair) in PLANES {
        let name = |(name, _): &Case| format!("{plane}::{name}");
        let hit = |name: &str, word: &str| if flag("--exact") { name == word } else { name.contains(word) };
        let selected = |case: &&Case| wanted.is_empty() || wanted.iter().any(|word| hit(&name(case), word));
        let cases: Vec<&Case> = CASES.iter().filter(selected).collect();
        if cases.is_empty() {
            continue;
        }
        if let Some(reason) = missing() {
            cases.iter().for_each(|case| println!("test {} ... SKIPPED: {reason}", name(case)));
            skipped += cases.len();
            continue;
        }
        for case in cases {
            print!("test {} ... ", name(case));
            let _ = std::io::stdout().flush();
            let ok = catch_unwind(AssertUnwindSafe(|| case.1(&mut *pair()))).is_ok();
            println!("{}", if ok { "ok" } else { "FAILED" });
            *if ok { &mut passed } else { &mut failed } += 1;
        }
    }
    println!("test result: {passed} passed, {failed} failed, {skipped} skipped");
    ExitCode::from(u8::from(failed > 0))
}
