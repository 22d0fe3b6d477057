//! Finds the cites in Rust source.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// RFC → section → files that cite it. A cite without a section stands under the empty section.
#[derive(Default)]
pub struct Cites(pub BTreeMap<u32, BTreeMap<Section, Places>>);

/// The files that cite one section, with `/` between folders.
#[derive(Default, Debug, PartialEq, Eq)]
pub struct Places {
    /// Files that cite it in product code.
    pub code: BTreeSet<String>,
    /// Files that cite it in tests.
    pub tests: BTreeSet<String>,
}

/// A section number such as `2.8.1` or `A.2`, in the order of a table of contents.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Section(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u32),
    Letter(String),
}

impl Section {
    /// The section that a text names.
    pub fn parse(text: &str) -> Self {
        let part = |part: &str| part.parse().map_or_else(|_| Part::Letter(part.to_owned()), Part::Number);
        Section(text.split('.').filter(|part| !part.is_empty()).map(part).collect())
    }
}

impl std::fmt::Display for Section {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            match part {
                Part::Number(number) => write!(f, "{dot}{number}")?,
                Part::Letter(letter) => write!(f, "{dot}{letter}")?,
            }
        }
        Ok(())
    }
}

impl Cites {
    /// Adds every Rust file and every case of the interop lab below `folder`, which is relative to `root`.
    ///
    /// # Errors
    /// When something cannot be read.
    pub fn add_folder(&mut self, root: &Path, folder: &Path) -> Result<()> {
        let mut open = vec![folder.to_owned()];
        while let Some(folder) = open.pop() {
            let absolute = root.join(&folder);
            for entry in fs::read_dir(&absolute).with_context(|| format!("cannot read {}", absolute.display()))? {
                let entry = entry?;
                let path: PathBuf = folder.join(entry.file_name());
                if entry.file_type()?.is_dir() {
                    // The examples in this folder's own tests are no cites.
                    if !path.ends_with("target") && !path.ends_with("xtask/src/cmd/rfc") {
                        open.push(path);
                    }
                } else if path.extension().is_some_and(|extension| extension == "rs") || path.ends_with("topology") {
                    let text = fs::read_to_string(root.join(&path))
                        .with_context(|| format!("cannot read {}", path.display()))?;
                    self.add_source(&path.to_string_lossy(), &text);
                }
            }
        }
        Ok(())
    }

    /// Adds the cites of one file.
    pub fn add_source(&mut self, path: &str, source: &str) {
        let is_test_file = path.starts_with("tests/") || path.ends_with("/tests.rs") || path.contains("/tests/");
        let (code, tests) = source.split_once("#[cfg(test)]\nmod tests {").unwrap_or((source, ""));
        self.add_text(path, code, is_test_file);
        self.add_text(path, tests, true);
    }

    fn add_text(&mut self, path: &str, source: &str, is_test: bool) {
        let text = unwrapped(source);
        for (start, _) in text.match_indices("RFC ") {
            let rest = &text[start + 4..];
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let Ok(rfc) = rest[..digits].parse::<u32>() else { continue };
            for section in sections(&rest[digits..]) {
                let places = self.0.entry(rfc).or_default().entry(section).or_default();
                let files = if is_test { &mut places.tests } else { &mut places.code };
                files.insert(path.to_owned());
            }
        }
    }
}

/// The source as one line: a cite may run over the end of a comment line.
fn unwrapped(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    for line in source.lines() {
        let line = line.trim();
        let line = ["//!", "///", "//", "# "].iter().find_map(|mark| line.strip_prefix(mark)).unwrap_or(line);
        text.push_str(line.trim());
        text.push(' ');
    }
    text
}

/// The sections that follow an RFC number: `§` and a number, then more of them after `,`, `and`, `or`, `to` or a dash.
fn sections(mut rest: &str) -> Vec<Section> {
    let mut sections = Vec::new();
    loop {
        let next = [", and ", ", ", " and ", " or ", " to ", "–", "-", " "]
            .iter()
            .filter_map(|between| rest.strip_prefix(between))
            .find_map(|after| after.strip_prefix('§'));
        let Some(after) = next else { break };
        let after = after.trim_start_matches('§');
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(after.len());
        let number = after[..end].trim_end_matches('.');
        if number.is_empty() {
            break;
        }
        sections.push(Section::parse(number));
        rest = &after[number.len()..];
    }
    if sections.is_empty() {
        sections.push(Section(Vec::new()));
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::Cites;

    fn cites(source: &str) -> Vec<String> {
        let mut cites = Cites::default();
        cites.add_source("proto/x/src/lib.rs", source);
        cites.0.iter().flat_map(|(rfc, sections)| sections.keys().map(move |s| format!("{rfc} {s}"))).collect()
    }

    #[test]
    fn one_section_and_many() {
        assert_eq!(cites("// RFC 7296 §2.8.1: the lowest nonce loses."), ["7296 2.8.1"]);
        assert_eq!(cites("//! Read RFC 7296 §1.3, §2.8 and §2.25 first."), ["7296 1.3", "7296 2.8", "7296 2.25"]);
        assert_eq!(
            cites("/// (RFC 4301 §4.4.1.1, RFC 7296 §2.9 and §3.13)"),
            ["4301 4.4.1.1", "7296 2.9", "7296 3.13"]
        );
        assert_eq!(cites("// RFC 7296 §1.2–§1.4"), ["7296 1.2", "7296 1.4"]);
    }

    #[test]
    fn a_cite_may_run_over_the_end_of_a_line() {
        assert_eq!(cites("    /// as RFC 7296 §2.23,\n    /// §2.23.1 say"), ["7296 2.23", "7296 2.23.1"]);
        assert_eq!(cites("//! see RFC\n//! 3948 §3.1.2."), ["3948 3.1.2"]);
    }

    #[test]
    fn an_rfc_without_a_section_counts_too() {
        assert_eq!(cites("/// ESP inside UDP (RFC 3948)"), ["3948 "]);
        assert_eq!(cites("/// RFC 822 name, RFC nnnn §1"), ["822 "]);
    }

    #[test]
    fn appendices_sort_after_numbers() {
        assert_eq!(cites("// RFC 4303 §A2.1, §3.4"), ["4303 3.4", "4303 A2.1"]);
    }

    #[test]
    fn tests_are_kept_apart() {
        let mut cites = Cites::default();
        cites.add_source("proto/x/src/lib.rs", "// RFC 1 §1\n#[cfg(test)]\nmod tests {\n// RFC 1 §1\n}\n");
        cites.add_source("tests/sim/src/lib.rs", "// RFC 1 §1\n");
        let places = cites.0[&1].values().next().unwrap();
        assert_eq!(places.code.iter().collect::<Vec<_>>(), ["proto/x/src/lib.rs"]);
        assert_eq!(places.tests.iter().collect::<Vec<_>>(), ["proto/x/src/lib.rs", "tests/sim/src/lib.rs"]);
    }
}
