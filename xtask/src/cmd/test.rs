//! `cargo xtask test`: every test that needs no other implementation.

use anyhow::Result;

use crate::counts::Counts;
use crate::packages;
use crate::python;
use crate::report::Report;
use crate::workspace::{Workspace, run, run_counting, succeeds};

/// A daemon that has no IKE in it, keyed by hand and by a program.
const WITHOUT_IKE: [&str; 13] = [
    "test",
    "--package",
    "ravelin",
    "--no-default-features",
    "--features",
    "tun",
    "--locked",
    "--test",
    "daemon",
    "--",
    "keyed_by_hand",
    "a_program_",
    "keying_socket",
];

/// Negotiations of a program that has IKEv1 alone.
const IKEV1_ALONE: [&str; 8] =
    ["test", "--package", "ravelin-ike", "--no-default-features", "--features", "ikev1", "--locked", "--tests"];

/// Which tests.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Only tests whose name contains this.
    filter: Option<String>,
}

/// Tests of the whole workspace (the simulation's seeds and the replay of the fuzz corpora are tests there), then the
/// examples in the documentation.
pub fn steps(workspace: &Workspace, report: &mut Report, args: &Args) {
    report.step("packages", || packages::install(workspace, &[packages::RUN, packages::TEST].concat()));
    report.step("python", || python::install(workspace));
    report.step("build", || build(workspace));
    report.tests("test", || tests(workspace, args.filter.as_deref()));
    if args.filter.is_none() {
        report.tests("IKEv1 alone", || run_counting(&mut workspace.cargo(IKEV1_ALONE)));
        report.tests("without IKE", || run_counting(&mut workspace.cargo(WITHOUT_IKE)));
        // It has left a program without IKE where the demo and the lab look for theirs.
        report.step("build again", || build(workspace));
        report.tests("doctest", || run_counting(&mut workspace.cargo(["test", "--workspace", "--doc", "--locked"])));
    }
}

/// One build with one set of features for everything that runs later: the tests, the demo and the interop lab.
///
/// # Errors
/// When it does not compile.
pub fn build(workspace: &Workspace) -> Result<()> {
    run(&mut workspace.cargo(["build", "--workspace", "--lib", "--bins", "--tests", "--examples", "--locked"]))
}

fn tests(workspace: &Workspace, filter: Option<&str>) -> (Counts, Result<()>) {
    let mut command = if succeeds(&mut workspace.cargo(["nextest", "--version"])) {
        workspace.cargo(["nextest", "run", "--workspace", "--locked", "--no-fail-fast"])
    } else {
        workspace.cargo(["test", "--workspace", "--lib", "--bins", "--tests", "--locked", "--no-fail-fast"])
    };
    run_counting(command.args(filter).env("RAVELIN_PYTHON", python::path(workspace)))
}
