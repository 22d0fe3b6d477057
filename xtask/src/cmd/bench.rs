//! `cargo xtask bench`: the benchmarks, whose figures are kept in docs/BENCHMARKS.md.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::interop;
use crate::packages;
use crate::report::Report;
use crate::workspace::{Workspace, run};

/// Which benchmarks.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Only this package; `tunnel`: only the tunnels side by side; `set-ups`: only IKE beside strongSwan; `flood`: only who gets in
    /// beside many strangers; `kernel`: what the kernel's IPsec takes, in the lab's guest.
    package: Option<String>,
    /// Passed on to the benchmarks.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// The package with the rivals that are libraries, which are built only when they are asked for.
const RIVALS: &str = "ravelin-rivals";

/// The version of the one rival that Cargo builds.
const BORINGTUN: &str = "0.7.1";

/// Cargo runs the benchmarks of each package, after those that we are measured against are installed.
pub fn steps(workspace: &Workspace, report: &mut Report, args: &Args) {
    let package = args.package.as_deref();
    let tunnel = package == Some("tunnel");
    let floods = package == Some("flood");
    let set_ups = package == Some("set-ups");
    if package == Some("kernel") {
        report.step("lab", || packages::install(workspace, &[packages::RUN, packages::LAB].concat()));
        report.step("bench", || kernel(workspace));
        return;
    }
    if floods || set_ups || package.is_none() {
        report.step("strongSwan", || packages::install(workspace, &[packages::RUN, packages::LAB].concat()));
    }
    if tunnel || package.is_none() {
        report.step("peers", || {
            packages::install(workspace, &[packages::RUN, packages::TEST, packages::BENCH].concat())?;
            boringtun(workspace)
        });
    }
    report.step("bench", || {
        let mut command = workspace.cargo(["bench", "--locked"]);
        match package {
            _ if tunnel => command.args(["--package", "ravelin", "--bench", "tunnel"]),
            _ if floods => command.args(["--package", "ravelin", "--bench", "flood"]),
            _ if set_ups => command.args(["--package", "ravelin", "--bench", "set-ups"]),
            Some(package) => command.args(["--bench", "*", "--package", package]),
            None => command.args(["--bench", "*", "--workspace"]),
        };
        if package.is_none_or(|package| package == RIVALS) {
            command.args(["--features", &format!("{RIVALS}/rivals")]);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain([peers(workspace).join("bin")]);
        command.env("PATH", std::env::join_paths(folders).context("a folder's name does not fit into PATH")?);
        run(command.arg("--").args(&args.rest))
    });
}

/// Runs the benchmark of the kernel's data plane where the kernel has ESP.
fn kernel(workspace: &Workspace) -> Result<()> {
    run(&mut interop::in_guest(workspace, ["bench", "--locked", "--package", "ravelin-xfrm", "--bench", "install"]))
}

/// Where programs that are built from crates go.
fn peers(workspace: &Workspace) -> PathBuf {
    workspace.target().join("peers")
}

fn boringtun(workspace: &Workspace) -> Result<()> {
    if workspace.no_setup || peers(workspace).join("bin/boringtun-cli").exists() {
        return Ok(());
    }
    run(workspace
        .cargo(["install", "boringtun-cli", "--version", BORINGTUN, "--locked", "--root"])
        .arg(peers(workspace)))
}
