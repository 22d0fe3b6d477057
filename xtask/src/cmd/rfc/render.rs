//! Makes pages of the cites.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::scan::Cites;

const NOTE: &str = "Made by `cargo xtask rfc` from the comments of the source; do not edit.\n";

/// File name → text: one page per RFC, and README.md that lists them.
pub fn pages(cites: &Cites) -> BTreeMap<String, String> {
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
    pages.insert("README.md".to_owned(), index);
    pages
}

fn files(files: &BTreeSet<String>) -> String {
    files.iter().map(|file| format!("[{file}](../../{file})")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::pages;
    use crate::cmd::rfc::scan::Cites;

    #[test]
    fn a_page_per_rfc_and_an_index() {
        let mut cites = Cites::default();
        cites.add_source("a/src/b.rs", "// RFC 7296 §2.8\n// RFC 4303\n");
        let pages = pages(&cites);
        assert_eq!(pages.keys().collect::<Vec<_>>(), ["README.md", "rfc4303.md", "rfc7296.md"]);
        assert!(pages["rfc7296.md"].contains("| §2.8 | [a/src/b.rs](../../a/src/b.rs) |  |\n"));
        assert!(pages["rfc4303.md"].contains("| as a whole | [a/src/b.rs]"));
        assert!(pages["README.md"].contains("| [4303](rfc4303.md) | 1 |\n"));
    }
}
