//! `cargo xtask header`: the C header of `app/ffi`, made from its source.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// Write or compare.
#[derive(clap::Args)]
pub struct Args {
    /// Write nothing; fail when the header is not what the source says.
    #[arg(long)]
    check: bool,
}

/// Brings the header up to date, or checks that it is.
///
/// # Errors
/// When the source cannot be read, the header cannot be written, or the check finds a difference.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    if args.check {
        return check(workspace);
    }
    let path = path(workspace);
    fs::write(&path, header(workspace)?).with_context(|| format!("cannot write {}", path.display()))
}

/// Fails when the header is not what the source says.
///
/// # Errors
/// Says how to mend it.
pub fn check(workspace: &Workspace) -> Result<()> {
    if fs::read(path(workspace)).ok().as_deref() != Some(&*header(workspace)?) {
        bail!("app/ffi/include/ravelin.h is not up to date: run `cargo xtask header` and commit the result");
    }
    Ok(())
}

fn path(workspace: &Workspace) -> PathBuf {
    workspace.root().join("app/ffi/include/ravelin.h")
}

fn header(workspace: &Workspace) -> Result<Vec<u8>> {
    let source = workspace.root().join("app/ffi");
    let config = cbindgen::Config::from_file(source.join("cbindgen.toml")).map_err(anyhow::Error::msg)?;
    let mut text = Vec::new();
    cbindgen::Builder::new().with_crate(source).with_config(config).generate()?.write(&mut text);
    Ok(text)
}
