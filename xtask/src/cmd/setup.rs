//! `cargo xtask setup`: the packages of every verb, so that all later ones find their machine ready.

use crate::packages;
use crate::report::Report;
use crate::workspace::Workspace;

/// One step per group of packages.
pub fn steps(workspace: &Workspace, report: &mut Report) {
    report.step("packages", || packages::install(workspace, &[packages::RUN, packages::TEST, packages::LAB].concat()));
}
