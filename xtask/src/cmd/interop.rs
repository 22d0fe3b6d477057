//! `cargo xtask interop`: Ravelin against strongSwan, see `tests/interop`.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::packages;
use crate::report::Report;
use crate::workspace::{Workspace, run_counting};

/// Which cases.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Only the cases that need no virtual machine.
    #[arg(long)]
    pub quick: bool,
    /// Every combination of the matrix of algorithms and modes, not a part of them.
    #[arg(long)]
    pub full: bool,
    /// Fail, not skip, when a peer implementation is not on the machine.
    #[arg(long)]
    pub require_peers: bool,
    /// Try a case that fails a second time, and say so.
    #[arg(long)]
    pub retry: bool,
    /// A guest with this kernel of Debian's backports, such as 6.12, not with that of this Debian.
    #[arg(long, value_name = "VERSION")]
    pub kernel: Option<String>,
    /// Write docs/INTEROP.md, which says what is tested against whom, and run none.
    #[arg(long)]
    pub page: bool,
    /// Only cases whose name contains one of these.
    pub filter: Vec<String>,
}

/// Installs the peers and runs the lab.
pub fn steps(workspace: &Workspace, report: &mut Report, args: &Args) {
    if args.page {
        return report.step("page", || page(workspace));
    }
    report.step("lab", || packages::install(workspace, &[packages::RUN, packages::LAB].concat()));
    report.step("build", || super::test::build(workspace));
    cases(workspace, report, args);
    if !args.quick && args.filter.is_empty() {
        programs(workspace, report);
    }
}

/// Runs in the guest the tests of other crates that take a kernel with ESP, and are skipped where it has none.
pub fn programs(workspace: &Workspace, report: &mut Report) {
    report.tests("tests in the guest", || {
        run_counting(&mut in_guest(
            workspace,
            ["test", "--package", "ravelin", "--test", "daemon", "--locked", "--", "over_the_kernels_ipsec"],
        ))
    });
}

/// A command of cargo whose programs run in the lab's guest.
pub fn in_guest<const N: usize>(workspace: &Workspace, words: [&str; N]) -> Command {
    let target = format!("CARGO_TARGET_{}_UNKNOWN_LINUX_GNU_RUNNER", std::env::consts::ARCH.to_uppercase());
    let lab = ["test", "--quiet", "--package", "ravelin-interop", "--test", "interop", "--locked", "--", "--in-guest"];
    // The lab itself is run by no runner.
    let cargo = ["env", "-u", &target, "cargo"];
    let runner = cargo.into_iter().chain(lab).collect::<Vec<_>>().join(" ");
    let mut command = workspace.cargo(words);
    command.env(&target, runner);
    command
}

/// Runs the lab on a machine and a build that are ready.
pub fn cases(workspace: &Workspace, report: &mut Report, args: &Args) {
    let name = args.kernel.as_ref().map_or_else(|| "interop".to_owned(), |kernel| format!("interop {kernel}"));
    report.tests(&name, || {
        let mut command =
            workspace.cargo(["test", "--package", "ravelin-interop", "--test", "interop", "--locked", "--"]);
        command
            .args(args.quick.then_some("--quick"))
            .args(args.full.then_some("--full"))
            .args(args.require_peers.then_some("--require-peers"));
        command.args(args.retry.then_some("--retry"));
        command.args(args.kernel.iter().flat_map(|kernel| ["--kernel", kernel]));
        run_counting(command.args(&args.filter).env("RAVELIN_BIN", workspace.ravelin()))
    });
}

/// The page is what the lab's own program prints.
fn page(workspace: &Workspace) -> Result<()> {
    let test = ["test", "--package", "ravelin-interop", "--test", "interop", "--locked", "--", "--page"];
    let printed = workspace.cargo(test).stderr(Stdio::inherit()).output().context("cannot run cargo")?;
    ensure!(printed.status.success(), "the lab's program: {}", printed.status);
    let path = workspace.root().join("docs/INTEROP.md");
    fs::write(&path, printed.stdout).with_context(|| format!("cannot write {}", path.display()))
}
