//! A test program that runs itself again in a network namespace of its own, where it changes nothing of the host's.

use std::process::{Command, Stdio};

use crate::program::Outcome;

/// Runs this program again with these arguments, as root of a namespace of its own; by `mark` in its environment it knows that
/// it is inside. Skipped where there is no `unshare` to ask for one, which is said.
pub fn again_inside(mark: &str, arguments: &[&str]) -> Outcome {
    // As root a user namespace is not needed, and the limit of buffers can be passed only without.
    let root = rustix::process::geteuid().is_root();
    let unshare: &[&str] = if root { &["--net", "--"] } else { &["--user", "--map-root-user", "--net", "--"] };
    let program = std::env::current_exe().expect("the running program has a path");
    // An ordinary user's need not have where `ip` is.
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("unshare");
    command.args(unshare).arg(program).args(arguments);
    command.env(mark, "1").env("PATH", format!("{path}:/usr/sbin:/sbin")).stdin(Stdio::null());
    match command.status() {
        Ok(status) => Outcome::when(status.success()),
        Err(error) => {
            println!("SKIPPED: no namespaces: {error}");
            Outcome::Skipped
        }
    }
}
