//! A Python of our own with the packages of others that tests are written against: those of the system, and from PyPI
//! `vici`, strongSwan's client.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::workspace::{Workspace, run, succeeds};

/// What is installed, each in the one version that tests know.
const PACKAGES: &[&str] = &["vici==6.0.3"];

/// The Python, if it was made.
pub fn path(workspace: &Workspace) -> PathBuf {
    workspace.target().join("python").join("bin").join("python3")
}

/// Makes it. Quick when it is there.
///
/// # Errors
/// When there is no Python, or the packages cannot be had.
pub fn install(workspace: &Workspace) -> Result<()> {
    let python = path(workspace);
    if workspace.no_setup || succeeds(Command::new(&python).args(["-c", "import vici"])) {
        return Ok(());
    }
    let folder = workspace.target().join("python");
    run(Command::new("python3").args(["-m", "venv", "--system-site-packages"]).arg(folder))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES))
}
