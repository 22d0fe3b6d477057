//! The daemon in a network namespace: control socket, listings, signals, and what is left behind.
//!
//! Works for ordinary users where user namespaces are allowed: the program runs itself again inside one, so nothing
//! it does is seen outside. What cannot run is counted as skipped, with the reason. Words on the command line select
//! cases by name; `--list`, `--ignored` and `--exact` are for test runners that start each case by itself.

mod cases;
mod lab;

use std::io::Write;
use std::panic::catch_unwind;
use std::process::ExitCode;

/// Set in the program's second life, inside its namespaces.
const INSIDE: &str = "RAVELIN_DAEMON_TEST_INSIDE";

/// A case: its name, and what it does; `Err` says why it cannot run here.
type Case = (&'static str, fn() -> Result<(), &'static str>);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| arguments.iter().any(|argument| argument == name);
    let missing = lab::missing();
    if flag("--list") {
        // Those that cannot run are the ignored ones.
        let listed = cases::CASES.iter().filter(|_| missing.is_some() || !flag("--ignored"));
        listed.for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let hit = |name: &str, word: &str| if flag("--exact") { name == word } else { name.contains(word) };
    let selected = |(name, _): &&Case| wanted.is_empty() || wanted.iter().any(|word| hit(name, word));
    let cases: Vec<&Case> = cases::CASES.iter().filter(selected).collect();
    if let Some(reason) = missing {
        for (name, _) in &cases {
            println!("test {name} ... SKIPPED: {reason}");
        }
        println!("0 passed, 0 failed, {} skipped", cases.len());
        return ExitCode::SUCCESS;
    }
    if std::env::var_os(INSIDE).is_none() {
        return lab::again_inside(&arguments);
    }
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (name, case) in cases {
        print!("test {name} ... ");
        let _ = std::io::stdout().flush();
        let (said, counter) = match catch_unwind(case) {
            Ok(Ok(())) => ("ok".to_owned(), &mut passed),
            Ok(Err(reason)) => (format!("SKIPPED: {reason}"), &mut skipped),
            Err(_) => ("FAILED".to_owned(), &mut failed),
        };
        println!("{said}");
        *counter += 1;
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    ExitCode::from(u8::from(failed > 0))
}
