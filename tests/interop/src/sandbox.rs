//! Runs the lab in private PID, mount and network namespaces of its own; an ordinary user's also in a private user
//! namespace, where the machine allows that.
//!
//! 1. The outer process (the one with the terminal) starts itself again below `unshare` and waits.
//! 2. When it ends for whatever reason, Ctrl-C and SIGKILL included, the kernel kills `unshare` and with it the PID
//!    namespace's first process, so every daemon, capture and guest of the run dies, and with the last of them the
//!    network namespaces, links and mounts.
//!
//! So a run leaves nothing behind that a later run would have to find and remove.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::peers::present;
use crate::process::sh;

const INSIDE: &str = "RAVELIN_INTEROP_INSIDE";

/// Whether this process is the first one of the sandbox.
pub fn inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// What keeps this process from making a sandbox, if anything does.
pub fn obstacle() -> Option<String> {
    if let Some(missing) = ["setpriv", "unshare"].into_iter().find(|program| !present(program)) {
        return Some(format!("missing: {missing}"));
    }
    match unshare().arg("true").output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("no namespaces: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(format!("no namespaces: {error}")),
    }
}

/// Starts this program again, with the same arguments and more variables, inside a new sandbox, and returns its exit
/// status.
pub fn enter(variables: &[(&str, String)]) -> Result<ExitCode> {
    let myself = std::env::current_exe().context("finding this program")?;
    let path = std::env::var("PATH").unwrap_or_default();
    let status = unshare()
        .arg(myself)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .envs(variables.iter().map(|(name, value)| (name, value)))
        // An ordinary user's path may lack the folders of system programs.
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .status()
        .context("starting the sandbox with setpriv and unshare (package util-linux)")?;
    match status.code() {
        Some(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(1))),
        None => bail!("the sandbox was killed: {status}"),
    }
}

/// Gives the sandbox an own `/run`: fixed pid files and the names of network namespaces stay private. And an own `/etc/hosts`, into
/// which cases write names.
pub fn prepare() -> Result<()> {
    sh("mount -t tmpfs run /run && mkdir -p /run/netns /run/lock && ip link set lo up
        cp /etc/hosts /run/hosts && mount --bind /run/hosts /etc/hosts")?;
    Ok(())
}

fn unshare() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare"]);
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--pid", "--fork", "--kill-child", "--net", "--mount", "--mount-proc"]);
    command
}
