//! `cargo xtask ci`: everything that must pass before a change lands, cheapest first. About an hour on two cores from
//! a fresh clone.

use super::{check, deny, header, interop, rfc, setup, test};
use crate::report::Report;
use crate::workspace::{Workspace, run};

/// That of Debian's backports.
const NEWER_KERNEL: &str = "6.12";

/// What runs over it: all that is about the kernel as data plane.
const NEWER: [&str; 2] = ["xfrm-", "contract"];

/// That of the next Debian's, for what the one before has not.
pub const NEWEST_KERNEL: &str = "7.3";

/// All steps in order.
pub fn steps(workspace: &Workspace, report: &mut Report) {
    setup::steps(workspace, report);
    check::steps(workspace, report);
    report.step("rfc", || rfc::check(workspace));
    report.step("header", || header::check(workspace));
    deny::steps(workspace, report, &deny::Args::default());
    test::steps(workspace, report, &test::Args::default());
    report.step("demo", || run(&mut workspace.command(workspace.ravelin(), ["demo"])));
    interop::cases(workspace, report, &interop::Args { require_peers: true, retry: true, ..interop::Args::default() });
    interop::programs(workspace, report);
    // The kernel's data plane on a newer kernel, too, where states are kept to one direction (6.10), and devices are offered whole
    // packets (6.2). Where the backports cannot be reached, it is skipped and says so.
    let newer = interop::Args {
        kernel: Some(NEWER_KERNEL.to_owned()),
        retry: true,
        filter: NEWER.map(str::to_owned).to_vec(),
        ..interop::Args::default()
    };
    interop::cases(workspace, report, &newer);
}
