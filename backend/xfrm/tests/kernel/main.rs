//! The data plane on the running kernel, in network namespaces: what any kernel with XFRM can show. What takes ESP there is in the
//! contract of data planes (`tests/contract`) and the cases of the interop lab, which has a virtual machine for it.
//!
//! Works for ordinary users where user namespaces are allowed. Words on the command line select cases by name; `--list`,
//! `--ignored` and `--exact` are for test runners that start each case by itself.

// The whole program is a test, which the lint cannot see without the standard harness.
#![allow(clippy::unwrap_used)]

mod lab;
mod native;

use std::io::Write;
use std::panic::catch_unwind;
use std::process::ExitCode;

use ravelin_testkit::namespace::again_inside;

/// Set in the program's second life, inside its namespaces.
const INSIDE: &str = "RAVELIN_XFRM_TEST_INSIDE";

/// A case: its name, and what it does.
type Case = (&'static str, fn());

const NATIVE: &[&[Case]] = &[native::CASES];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| arguments.iter().any(|argument| argument == name);
    if std::env::var_os(INSIDE).is_none() {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        return ExitCode::from(u8::from(!again_inside(INSIDE, &arguments)));
    }
    let cases: Vec<&Case> = NATIVE.iter().copied().flatten().collect();
    if flag("--list") {
        if !flag("--ignored") {
            cases.iter().for_each(|(name, _)| println!("{name}: test"));
        }
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let hit = |name: &str, word: &str| if flag("--exact") { name == word } else { name.contains(word) };
    let selected = |(name, _): &&&Case| wanted.is_empty() || wanted.iter().any(|word| hit(name, word));
    let (mut passed, mut failed) = (0, 0);
    for (name, case) in cases.iter().filter(selected) {
        print!("test {name} ... ");
        let _ = std::io::stdout().flush();
        let ok = catch_unwind(case).is_ok();
        println!("{}", if ok { "ok" } else { "FAILED" });
        *if ok { &mut passed } else { &mut failed } += 1;
    }
    println!("test result: {passed} passed, {failed} failed");
    ExitCode::from(u8::from(failed > 0))
}
