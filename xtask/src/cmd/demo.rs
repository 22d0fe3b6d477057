//! `cargo xtask demo`: the shortest way from a clone to a tunnel.

use anyhow::Result;

use crate::packages;
use crate::workspace::{self, Workspace};

/// Installs what the demo calls, builds the one binary and runs it.
///
/// # Errors
/// When a package is missing, the build fails or the demo does.
pub fn run(workspace: &Workspace) -> Result<()> {
    packages::install(workspace, packages::RUN)?;
    workspace::run(&mut workspace.cargo(["build", "--quiet", "--package", "ravelin"]))?;
    workspace::run(&mut workspace.command(workspace.ravelin(), ["demo"]))
}
