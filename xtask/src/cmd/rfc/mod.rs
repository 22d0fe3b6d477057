//! `cargo xtask rfc`: which RFC section is dealt with where.
//!
//! Comments cite sections in one form, `RFC 7296 §2.8.1` (more sections may follow: `, §2.25 and §3.1`). `scan.rs`
//! collects the cites of all Rust source, `demands.rs` has what the RFCs demand, `render.rs` makes one page per RFC of both.
//! `--check` compares instead of writing.

mod demands;
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
    /// Take the demands of the RFCs out of their texts in this folder, `rfc7296.txt` and so on.
    #[arg(long, value_name = "FOLDER")]
    texts: Option<PathBuf>,
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
    if let Some(texts) = &args.texts {
        demands::extract(texts, &folder)?;
    }
    let (cites, demands) = read(workspace)?;
    let (pages, old) = (render::pages(&cites, &demands), existing(workspace)?);
    fs::create_dir_all(&folder)?;
    for name in old.keys().filter(|name| !pages.contains_key(*name)) {
        fs::remove_file(folder.join(name))?;
    }
    for (name, text) in &pages {
        fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    print!("{}", demands.summary(&cites));
    println!("{} pages in docs/rfc", pages.len());
    Ok(())
}

/// Fails when docs/rfc/ is not what the source says, or a demand has neither code and test nor a reason.
///
/// # Errors
/// Names the pages that differ, and the sections.
pub fn check(workspace: &Workspace) -> Result<()> {
    let (cites, demands) = read(workspace)?;
    let (pages, old) = (render::pages(&cites, &demands), existing(workspace)?);
    let stale: Vec<&str> = pages
        .iter()
        .filter(|(name, text)| old.get(*name) != Some(text))
        .map(|(name, _)| name.as_str())
        .chain(old.keys().filter(|name| !pages.contains_key(*name)).map(String::as_str))
        .collect();
    if !stale.is_empty() {
        bail!("docs/rfc is not up to date ({}): run `cargo xtask rfc` and commit the result", stale.join(", "));
    }
    let mistakes = demands.mistakes(&cites);
    if !mistakes.is_empty() {
        bail!("demands of RFCs that nobody accounts for:\n  {}", mistakes.join("\n  "));
    }
    Ok(())
}

fn read(workspace: &Workspace) -> Result<(scan::Cites, demands::Demands)> {
    let mut cites = scan::Cites::default();
    for folder in ["proto", "backend", "app", "tests", "xtask"] {
        cites.add_folder(workspace.root(), &PathBuf::from(folder))?;
    }
    Ok((cites, demands::Demands::read(&workspace.root().join("docs/rfc"))?))
}

fn existing(workspace: &Workspace) -> Result<BTreeMap<String, String>> {
    let folder = workspace.root().join("docs/rfc");
    let mut pages = BTreeMap::new();
    if !folder.exists() {
        return Ok(pages);
    }
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        pages.insert(name, fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    Ok(pages)
}
