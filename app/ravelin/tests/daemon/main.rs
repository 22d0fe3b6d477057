//! The daemon in a network namespace: control socket, listings, signals, and what is left behind.
//!
//! Works for ordinary users where user namespaces are allowed: the program runs itself again inside one, so nothing
//! it does is seen outside. What cannot run is counted as skipped, with the reason.

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

use std::panic::catch_unwind;
use std::process::ExitCode;

use ravelin_testkit::program::{self, Outcome, Program};

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
    let missing = lab::missing();
    // Each in a namespace of its own: what a killed daemon leaves on purpose must not meet the next case.
    let again = |name| match lab::again_inside(name) {
        Some(0) => Outcome::Passed,
        Some(CANNOT_RUN) => Outcome::Skipped,
        _ => Outcome::Failed,
    };
    let cases = cases::CASES.iter();
    Program::this().run(cases.map(|(name, _)| program::Case::new(*name, missing.clone(), move || again(name))))
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
