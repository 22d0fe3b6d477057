//! `cargo xtask rfc`: which RFC section is dealt with where.
//!
//! Comments cite sections in one form, `RFC 7296 §2.8.1` (more sections may follow: `, §2.25 and §3.1`). `scan.rs`
//! collects the cites of all Rust source, `render.rs` makes one page per RFC of them. `--check` compares instead of writing.

mod render;
mod scan;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// Write or compare.
#[derive(clap::Args)]
pub struct Args {
    /// Write nothing; fail when docs/rfc/ is not what the source says.
    #[arg(long)]
    check: bool,
}

/// Brings docs/rfc/ up to date, or checks that it is.
///
/// # Errors
/// When files cannot be read or written, or the check finds a difference.
pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    if args.check {
        return check(workspace);
    }
    let folder = workspace.root().join("docs/rfc");
    let (pages, old) = (pages(workspace)?, existing(workspace)?);
    fs::create_dir_all(&folder)?;
    for name in old.keys().filter(|name| !pages.contains_key(*name)) {
        fs::remove_file(folder.join(name))?;
    }
    for (name, text) in &pages {
        fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    println!("{} pages in docs/rfc", pages.len());
    Ok(())
}

/// Fails when docs/rfc/ is not what the source says.
///
/// # Errors
/// Names the pages that differ.
pub fn check(workspace: &Workspace) -> Result<()> {
    let (pages, old) = (pages(workspace)?, existing(workspace)?);
    let stale: Vec<&str> = pages
        .iter()
        .filter(|(name, text)| old.get(*name) != Some(text))
        .map(|(name, _)| name.as_str())
        .chain(old.keys().filter(|name| !pages.contains_key(*name)).map(String::as_str))
        .collect();
    if !stale.is_empty() {
        bail!("docs/rfc is not up to date ({}): run `cargo xtask rfc` and commit the result", stale.join(", "));
    }
    Ok(())
}

fn pages(workspace: &Workspace) -> Result<BTreeMap<String, String>> {
    let mut cites = scan::Cites::default();
    for folder in ["proto", "backend", "app", "tests", "xtask"] {
        cites.add_folder(workspace.root(), &PathBuf::from(folder))?;
    }
    Ok(render::pages(&cites))
}

fn existing(workspace: &Workspace) -> Result<BTreeMap<String, String>> {
    let folder = workspace.root().join("docs/rfc");
    let mut pages = BTreeMap::new();
    if !folder.exists() {
        return Ok(pages);
    }
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        pages.insert(name, fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    Ok(pages)
}
