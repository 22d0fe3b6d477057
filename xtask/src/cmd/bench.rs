//! `cargo xtask bench`: the benchmarks, whose figures are kept in docs/BENCHMARKS.md.

use crate::report::Report;
use crate::workspace::{Workspace, run};

/// Which benchmarks.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Only this package.
    package: Option<String>,
}

/// One step: cargo runs the benchmarks of each package.
pub fn steps(workspace: &Workspace, report: &mut Report, args: &Args) {
    report.step("bench", || {
        let mut command = workspace.cargo(["bench", "--locked", "--bench", "*"]);
        match &args.package {
            Some(package) => command.args(["--package", package]),
            None => command.arg("--workspace"),
        };
        run(&mut command)
    });
}
