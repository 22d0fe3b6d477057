//! Makes pages of the cites.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::demands::{Demands, State};
use super::scan::Cites;

const NOTE: &str = "Made by `cargo xtask rfc` from the comments of the source; do not edit.\n";

/// File name → text: one page per RFC, and README.md that lists them.
pub fn pages(cites: &Cites, demands: &Demands) -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    let mut index = format!("# RFC sections in the source\n\n{NOTE}\n| RFC | sections cited |\n|---|---|\n");
    for (rfc, sections) in &cites.0 {
        let name = format!("rfc{rfc}.md");
        let mut page = format!("# RFC {rfc}\n\n{NOTE}\n| Section | Code | Tests |\n|---|---|---|\n");
        for (section, places) in sections {
            let section = section.to_string();
            let title = if section.is_empty() { "as a whole".to_owned() } else { format!("§{section}") };
            // Writing to a String cannot fail.
            let _ = writeln!(page, "| {title} | {} | {} |", files(&places.code), files(&places.tests));
        }
        let _ = writeln!(index, "| [{rfc}]({name}) | {} |", sections.len());
        pages.insert(name, page);
    }
    for rfc in demands.sentences.keys() {
        let page = pages.entry(format!("rfc{rfc}.md")).or_insert_with(|| format!("# RFC {rfc}\n\n{NOTE}"));
        page.push_str(&demanded(*rfc, cites, demands));
    }
    let _ = write!(index, "\n## What they demand\n\n```text\n{}```\n", demands.summary(cites));
    pages.insert("README.md".to_owned(), index);
    pages
}

/// The demands of an RFC by section, and how each section stands.
fn demanded(rfc: u32, cites: &Cites, demands: &Demands) -> String {
    let mut text = "\n## What it demands\n\nCode and tests of a section are in the table above.\n".to_owned();
    for (section, sentences) in demands.sentences.get(&rfc).into_iter().flatten() {
        let state = match demands.state(rfc, section, cites) {
            State::Met => "code and tests".to_owned(),
            State::Reason(reason) => reason.to_owned(),
            State::Open => "**open**".to_owned(),
        };
        let _ = writeln!(text, "\n**§{section}**: {state}\n");
        for sentence in sentences {
            let _ = writeln!(text, "- {sentence}");
        }
    }
    text
}

fn files(files: &BTreeSet<String>) -> String {
    files.iter().map(|file| format!("[{file}](../../{file})")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::pages;
    use crate::cmd::rfc::demands::Demands;
    use crate::cmd::rfc::scan::Cites;

    #[test]
    fn a_page_per_rfc_and_an_index() {
        let mut cites = Cites::default();
        cites.add_source("a/src/b.rs", "// RFC 7296 §2.8\n// RFC 4303\n");
        let pages = pages(&cites, &Demands::default());
        assert_eq!(pages.keys().collect::<Vec<_>>(), ["README.md", "rfc4303.md", "rfc7296.md"]);
        assert!(pages["rfc7296.md"].contains("| §2.8 | [a/src/b.rs](../../a/src/b.rs) |  |\n"));
        assert!(pages["rfc4303.md"].contains("| as a whole | [a/src/b.rs]"));
        assert!(pages["README.md"].contains("| [4303](rfc4303.md) | 1 |\n"));
    }
}
