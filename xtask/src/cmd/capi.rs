//! `cargo xtask capi PREFIX`: the C interface, installed: header, both libraries, and the file by which pkg-config finds
//! them.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::header;
use crate::workspace::{Workspace, run};

/// Where to.
#[derive(clap::Args)]
pub struct Args {
    /// The folder that gets `include`, `lib` and `lib/pkgconfig`.
    prefix: PathBuf,
}

/// Builds and copies.
///
/// # Errors
/// When it does not compile, the header is not up to date, or the folder cannot be written to.
pub fn run_verb(workspace: &Workspace, args: &Args) -> Result<()> {
    header::check(workspace)?;
    run(&mut workspace.cargo(["build", "--package", "ravelin-ffi", "--release", "--locked"]))?;
    fs::create_dir_all(&args.prefix)?;
    let prefix = fs::canonicalize(&args.prefix)?;
    let (source, built) = (workspace.root().join("app/ffi"), workspace.target().join("release"));
    let template = fs::read_to_string(source.join("ravelin.pc.in"))?;
    let found_by =
        template.replace("@PREFIX@", &prefix.display().to_string()).replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    for (folder, name, bytes) in [
        ("include", "ravelin.h", fs::read(source.join("include/ravelin.h"))?),
        ("lib", "libravelin_ffi.a", fs::read(built.join("libravelin_ffi.a"))?),
        ("lib", "libravelin_ffi.so", fs::read(built.join("libravelin_ffi.so"))?),
        ("lib/pkgconfig", "ravelin.pc", found_by.into_bytes()),
    ] {
        let folder = prefix.join(folder);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}
