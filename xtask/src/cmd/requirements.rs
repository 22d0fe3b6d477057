//! Whether what `docs/REQUIREMENTS.md` and `docs/HISTORY.md` say can be believed: every test that they name exists, and the sums
//! of the first are right.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::Workspace;

/// Where tests are.
const FOLDERS: &[&str] = &["proto", "backend", "app", "tests", "xtask"];

/// What was asked for, and what others were vulnerable to.
const PAGES: [&str; 2] = ["docs/REQUIREMENTS.md", "docs/HISTORY.md"];

/// Fails when a named test is nowhere, or a sum is wrong.
///
/// # Errors
/// Which.
pub fn check(workspace: &Workspace) -> Result<()> {
    let mut known = BTreeSet::new();
    for folder in FOLDERS {
        collect(&workspace.root().join(folder), &mut known)?;
    }
    let manifest = fs::read_to_string(workspace.root().join("Cargo.toml"))?;
    let package = |name: &str| [format!("/{name}\""), format!("/crypto-{name}\"")].iter().any(|m| manifest.contains(m));
    for page in PAGES {
        let text = fs::read_to_string(workspace.root().join(page)).with_context(|| page.to_owned())?;
        let unknown: Vec<String> = rows(&text)
            .flat_map(|row| proofs(row, &package))
            .filter(|(_, test)| !known.contains(test))
            .map(named)
            .collect();
        if !unknown.is_empty() {
            bail!("{page} names tests that are nowhere: {}", unknown.join(", "));
        }
    }
    let requirements = fs::read_to_string(workspace.root().join(PAGES[0]))?;
    let sums = sums(&requirements);
    ensure!(requirements.contains(&sums), "docs/REQUIREMENTS.md has other sums than its rows: expected `{sums}`");
    Ok(())
}

fn named((id, test): (&str, String)) -> String {
    format!("{test} ({id})")
}

/// The cells of each row that has an id or a number: that, the requirement, the state, the proof.
fn rows(text: &str) -> impl Iterator<Item = [&str; 4]> {
    let has_id = |line: &&str| {
        line.strip_prefix("| ")
            .is_some_and(|cell| cell.starts_with("S-") || cell.starts_with(|c: char| c.is_ascii_digit()))
    };
    text.lines().filter(has_id).filter_map(|line| {
        // The last two bars but one enclose the proof; a requirement may have bars of its own.
        let mut from_behind = line.strip_suffix(" |")?.rsplitn(3, " | ");
        let (proof, state, rest) = (from_behind.next()?, from_behind.next()?, from_behind.next()?);
        let (id, requirement) = rest.trim_start_matches("| ").split_once(" | ")?;
        Some([id, requirement, state, proof])
    })
}

/// The tests that a row names, in backquotes behind the name of a package.
fn proofs<'a>([id, _, _, proof]: [&'a str; 4], is_package: &impl Fn(&str) -> bool) -> Vec<(&'a str, String)> {
    let quoted = proof.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_once(' '));
    let tests = quoted.filter(|(package, _)| is_package(package)).filter_map(|(_, test)| test.rsplit("::").next());
    // `matrix` stands for all of its combinations.
    tests.filter(|test| *test != "matrix").map(|test| (id, test.to_owned())).collect()
}

fn sums(text: &str) -> String {
    let count = |state: &str| rows(text).filter(|row| row[2] == state).count();
    format!("{} done, {} in part, {} not yet.", count("done"), count("part"), count("not yet"))
}

/// The names of functions, of the cases of tests with a harness of their own, and of the lab's folders.
fn collect(folder: &Path, known: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if folder.ends_with("interop/cases") {
                known.insert(name);
            } else {
                collect(&path, known)?;
            }
        } else if name.ends_with(".rs") {
            let source = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            for line in source.lines().map(str::trim_start) {
                let function = line.strip_prefix("pub ").unwrap_or(line).strip_prefix("fn ");
                let word = function.and_then(|rest| rest.split('(').next());
                let cases = line.split("(\"").skip(1).filter_map(|rest| rest.split('"').next());
                known.extend(word.into_iter().chain(cases).map(str::to_owned));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "1 done, 1 in part, 0 not yet.\n\
        | S-001 | a | b | done | `engine it_works`, `interop native-x`: well |\n\
        | S-002 | c | part | `ike v2::that_too`; no `-z 1` and no `Verdict` |\n";

    #[test]
    fn the_page_is_true() {
        check(&Workspace::find(true).unwrap()).unwrap();
    }

    #[test]
    fn rows_have_four_cells_and_proofs_are_names() {
        let package = |name: &str| ["engine", "interop", "ike"].contains(&name);
        let proofs: Vec<_> = rows(PAGE).flat_map(|row| proofs(row, &package)).map(named).collect();
        assert_eq!(proofs, ["it_works (S-001)", "native-x (S-001)", "that_too (S-002)"]);
        assert_eq!(rows(PAGE).next().map(|row| (row[0], row[2])), Some(("S-001", "done")));
        assert!(PAGE.contains(&sums(PAGE)));
    }
}
