//! `cargo xtask nightly`: `ci`, and what takes longer.

use super::{bench, ci, fuzz, interop};
use crate::report::Report;
use crate::workspace::{Workspace, run_counting};

/// How long.
#[derive(clap::Args)]
pub struct Args {
    /// Seconds for each fuzz target.
    #[arg(long, default_value_t = 300)]
    fuzz_seconds: u64,
    /// Seeds for the simulation.
    #[arg(long, default_value_t = 20_000)]
    seeds: u64,
}

/// All steps in order.
pub fn steps(workspace: &Workspace, report: &mut Report, args: &Args) {
    ci::steps(workspace, report);
    report.tests("seeds", || {
        run_counting(
            workspace
                .cargo(["test", "--package", "ravelin-sim", "--release", "--locked", "--test", "seeds"])
                .env("SEEDS", args.seeds.to_string()),
        )
    });
    report.tests("policies", || {
        run_counting(
            workspace
                .cargo(["test", "--package", "ravelin-engine", "--release", "--locked", "--lib", "reference"])
                .env("SEEDS", args.seeds.to_string()),
        )
    });
    let full = interop::Args {
        full: true,
        require_peers: true,
        filter: ["matrix", "xfrm-flows", "xfrm-v1-flows"].map(str::to_owned).to_vec(),
        ..interop::Args::default()
    };
    interop::cases(workspace, report, &full);
    let newest = interop::Args {
        kernel: Some(ci::NEWEST_KERNEL.to_owned()),
        retry: true,
        filter: ["xfrm-per-cpu", "iptfs"].map(str::to_owned).to_vec(),
        ..interop::Args::default()
    };
    interop::cases(workspace, report, &newest);
    bench::steps(workspace, report, &bench::Args::default());
    match fuzz::targets(workspace) {
        Ok(targets) => {
            for target in targets {
                report.step(&format!("fuzz {target}"), || fuzz::fuzz(workspace, &target, args.fuzz_seconds));
            }
        }
        Err(error) => report.step("fuzz", || Err(error)),
    }
}
