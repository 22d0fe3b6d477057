//! `cargo xtask deny`: licences, sources and bans of the dependencies, by the rules of deny.toml.

use anyhow::Result;

use crate::report::Report;
use crate::workspace::{Workspace, run, succeeds};

/// The version that is built when none is there. A development build takes half a minute, an optimized one ten times
/// that, and the check itself under a second with either.
const VERSION: &str = "0.20.2";

/// How far to look.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Also check for security advisories: fetches the RustSec database, for which the network must be open.
    #[arg(long)]
    advisories: bool,
}

/// One step: installs cargo-deny when it is missing, then runs the checks.
pub fn steps(workspace: &Workspace, report: &mut Report, args: &Args) {
    report.step("deny", || {
        install(workspace)?;
        let checks: &[&str] = if args.advisories { &["advisories"] } else { &[] };
        run(workspace.cargo(["deny", "--locked", "check", "bans", "licenses", "sources"]).args(checks))
    });
}

fn install(workspace: &Workspace) -> Result<()> {
    if succeeds(&mut workspace.cargo(["deny", "--version"])) {
        return Ok(());
    }
    run(workspace
        .cargo(["install", "cargo-deny", "--version", VERSION, "--locked", "--debug"])
        .env("CARGO_PROFILE_DEV_DEBUG", "0"))
}
