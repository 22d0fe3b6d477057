//! Runs the lab in private PID, mount and network namespaces of its own.
//!
//! 1. The outer process (the one with the terminal) starts itself again below `unshare` and waits.
//! 2. When it ends for whatever reason, Ctrl-C and SIGKILL included, the kernel kills `unshare` and with it the PID
//!    namespace's first process, so every daemon, capture and guest of the run dies, and with the last of them the
//!    network namespaces, links and mounts.
//!
//! So a run leaves nothing behind that a later run would have to find and remove.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

const INSIDE: &str = "RAVELIN_INTEROP_INSIDE";

/// Whether this process is the first one of the sandbox.
pub fn inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Starts this program again, with the same arguments and one more variable, inside a new sandbox, and returns its exit
/// status.
pub fn enter(name: &str, value: &str) -> Result<ExitCode> {
    let myself = std::env::current_exe().context("finding this program")?;
    let status = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--net", "--mount", "--mount-proc"])
        .arg(myself)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .env(name, value)
        .status()
        .context("starting the sandbox with setpriv and unshare (package util-linux)")?;
    match status.code() {
        Some(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(1))),
        None => bail!("the sandbox was killed: {status}"),
    }
}

/// Gives the sandbox an own `/run`: fixed pid files and the names of network namespaces stay private.
pub fn prepare() -> Result<()> {
    use crate::process::sh;
    sh("mount -t tmpfs run /run && mkdir -p /run/netns /run/lock && ip link set lo up")?;
    Ok(())
}

/// What keeps this process from making a sandbox, if anything does.
pub fn obstacle() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    for program in ["setpriv", "unshare"] {
        if !crate::peers::present(program) {
            return Some(format!("missing: {program}"));
        }
    }
    let probe = Command::new("unshare").args(["--pid", "--fork", "--net", "--mount", "--mount-proc", "true"]).output();
    match probe {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("no namespaces: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(format!("no namespaces: {error}")),
    }
}
