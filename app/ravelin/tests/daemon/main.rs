//! The daemon in a network namespace: control socket, listings, signals, and what is left behind.
//!
//! Works for ordinary users where user namespaces are allowed: the program runs itself again inside one, so nothing
//! it does is seen outside. What cannot run is counted as skipped, with the reason. Words on the command line select
//! cases by name; `--list`, `--ignored` and `--exact` are for test runners that start each case by itself.

mod cases;
#[cfg(feature = "ikev2")]
mod crash;
#[cfg(feature = "ikev2")]
mod debug;
#[cfg(feature = "ikev2")]
mod examples;
#[cfg(feature = "ikev2")]
mod files;
#[cfg(all(feature = "ikev2", feature = "tun"))]
mod flood;
#[cfg(feature = "tun")]
mod hangs;
#[cfg(all(feature = "ikev2", feature = "tun"))]
mod iptfs;
mod kerberos;
mod keying;
mod lab;
#[cfg(all(feature = "ikev2", feature = "tun"))]
mod moves;
#[cfg(feature = "ikev2")]
mod psk;
#[cfg(all(feature = "ikev2", feature = "tun"))]
mod tcp;
#[cfg(feature = "ikev2")]
mod updown;
#[cfg(feature = "ikev2")]
mod vici;

use std::io::Write;
use std::panic::catch_unwind;
use std::process::ExitCode;

/// Holds the name of the case in the program's second life, inside its namespaces.
const INSIDE: &str = "RAVELIN_DAEMON_TEST_INSIDE";
/// The exit status of a second life whose case cannot run here; the reason is printed.
const CANNOT_RUN: i32 = 77;

/// A case: its name, and what it does; `Err` says why it cannot run here.
type Case = (&'static str, fn() -> Result<(), &'static str>);

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(INSIDE) {
        return run(&name);
    }
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
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (name, _) in cases {
        print!("test {name} ... ");
        let _ = std::io::stdout().flush();
        // Each in a namespace of its own: what a killed daemon leaves on purpose must not meet the next case.
        let (said, counter) = match lab::again_inside(name) {
            Some(0) => ("ok", &mut passed),
            Some(CANNOT_RUN) => ("SKIPPED", &mut skipped),
            _ => ("FAILED", &mut failed),
        };
        println!("{said}");
        *counter += 1;
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    ExitCode::from(u8::from(failed > 0))
}

/// The second life: one case.
fn run(name: &str) -> ExitCode {
    let case = cases::CASES.iter().find(|(known, _)| *known == name).map(|(_, case)| case);
    match case.map(catch_unwind) {
        Some(Ok(Ok(()))) => ExitCode::SUCCESS,
        Some(Ok(Err(reason))) => {
            print!("({reason}) ");
            ExitCode::from(CANNOT_RUN as u8)
        }
        Some(Err(_)) | None => ExitCode::FAILURE,
    }
}
