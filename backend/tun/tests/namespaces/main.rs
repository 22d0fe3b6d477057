//! The data plane between real hosts, each a network namespace, with SAs made by hand on both ends.
//!
//! Works for ordinary users where user namespaces are allowed: the program runs itself again inside one, so nothing
//! it does is seen outside. What cannot run is counted as skipped, with the reason.

// The whole program is a test, which the lint cannot see without the standard harness.
#![allow(clippy::unwrap_used)]

mod capture;
mod flows;
mod guard;
mod hostile;
mod interfaces;
mod lab;
mod late;
mod leave;
mod options;
mod paths;
mod traffic;
mod trains;
mod workers;

use std::process::{Command, ExitCode};
use std::sync::atomic::Ordering;

use ravelin_testkit::program::{self, Outcome, Program};

/// Set in the program's second life, inside its namespaces.
const INSIDE: &str = "RAVELIN_TUN_TEST_INSIDE";

/// A case: its name, and what it does.
type Case = (&'static str, fn());

/// With so many workers for each direction is every case run.
const WORKERS: [usize; 3] = [1, 2, 4];

const CASES: &[&[Case]] = &[
    traffic::CASES,
    options::CASES,
    paths::CASES,
    trains::CASES,
    workers::CASES,
    capture::CASES,
    flows::CASES,
    guard::CASES,
    hostile::CASES,
    interfaces::CASES,
    leave::CASES,
    late::CASES,
];

fn main() -> ExitCode {
    let program = Program::this();
    let arguments = program.arguments();
    if let [flag, journal, ..] = arguments.as_slice()
        && *flag == leave::DAEMON
    {
        leave::run_daemon(journal);
    }
    let missing = lab::missing();
    if !program.lists() && missing.is_none() && std::env::var_os(INSIDE).is_none() {
        return again_inside(&arguments);
    }
    let all = WORKERS.iter().flat_map(|workers| CASES.iter().copied().flatten().map(|case| (case, *workers)));
    program.run(all.map(|((name, case), workers)| {
        program::Case::new(title(name, workers), missing.clone(), move || {
            lab::WORKERS.store(workers, Ordering::Relaxed);
            Outcome::of(case)
        })
    }))
}

/// The name of a case with so many workers.
fn title(name: &str, workers: usize) -> String {
    if workers == 1 { name.to_owned() } else { format!("{name}_with_{workers}_workers") }
}

/// Runs this program in a user, mount and network namespace of its own.
fn again_inside(arguments: &[&str]) -> ExitCode {
    let program = std::env::current_exe().expect("the running program has a path");
    let status = lab::namespace_command()
        .args(["sh", "-c", "mount -t tmpfs none /run && exec \"$0\" \"$@\""])
        .arg(program)
        .args(arguments)
        .env(INSIDE, "1")
        .status()
        .expect("unshare ran a moment ago");
    ExitCode::from(u8::from(!status.success()))
}

/// A command that is expected to succeed; its output.
fn sh(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {error}", arguments.join(" "));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
