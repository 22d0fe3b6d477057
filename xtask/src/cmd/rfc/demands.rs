//! What an RFC demands (its sentences with MUST, MUST NOT, SHALL or REQUIRED), section by section, and where this is met.
//!
//! `docs/rfc/demands/` has the sentences, taken once out of the texts of the RFCs (`cargo xtask rfc --texts FOLDER`), so that
//! nothing here needs those texts. A section is met when product code and a test cite it. `docs/rfc/reasons.tsv` says why one is
//! not: lines `RFC<TAB>section or *<TAB>reason`. A section with neither fails `cargo xtask rfc --check`, and so does a reason that
//! nothing needs any more.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::scan::{Cites, Section};

/// The RFCs whose every demand is accounted for: IKEv2 and its extensions.
const RFCS: &[u32] = &[
    4478, 4555, 4739, 4806, 5685, 5723, 5739, 5998, 6023, 6290, 6311, 7296, 7383, 7427, 7619, 8019, 8598, 8784, 8983,
    9242, 9329, 9347, 9611,
];

/// Words that make a sentence a demand.
const WORDS: [&str; 3] = ["MUST", "SHALL", "REQUIRED"];

/// Demands and reasons as they are in the tree.
#[derive(Default)]
pub struct Demands {
    /// RFC → section → sentences.
    pub sentences: BTreeMap<u32, BTreeMap<Section, Vec<String>>>,
    /// RFC → section, `None` for the whole of it → why it is not met.
    reasons: BTreeMap<u32, BTreeMap<Option<Section>, String>>,
}

/// How one section stands.
#[derive(Debug, PartialEq, Eq)]
pub enum State<'a> {
    /// Cited by code and by a test.
    Met,
    /// It is not, for this reason.
    Reason(&'a str),
    /// Nobody says why it is not.
    Open,
}

impl Demands {
    /// Reads what is below `docs/rfc`.
    ///
    /// # Errors
    /// When a file cannot be read or a line has not its form.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut demands = Self::default();
        for rfc in RFCS {
            for fields in lines(&folder.join(format!("demands/rfc{rfc}.tsv")))? {
                let [section, sentence] = &fields[..] else { bail!("rfc{rfc}.tsv: a line is `section<TAB>sentence`") };
                let sections = demands.sentences.entry(*rfc).or_default();
                sections.entry(Section::parse(section)).or_default().push(sentence.clone());
            }
        }
        for fields in lines(&folder.join("reasons.tsv"))? {
            let [rfc, section, reason] = &fields[..] else {
                bail!("reasons.tsv: a line is `RFC<TAB>section or *<TAB>reason`, not {fields:?}")
            };
            let rfc: u32 = rfc.parse().with_context(|| format!("reasons.tsv: `{rfc}` is no RFC"))?;
            let section = (section != "*").then(|| Section::parse(section));
            demands.reasons.entry(rfc).or_default().insert(section, reason.clone());
        }
        Ok(demands)
    }

    /// How a section with demands stands.
    pub fn state(&self, rfc: u32, section: &Section, cites: &Cites) -> State<'_> {
        if is_met(rfc, section, cites) {
            return State::Met;
        }
        let reasons = self.reasons.get(&rfc);
        let reason = reasons.and_then(|reasons| reasons.get(&Some(section.clone())).or_else(|| reasons.get(&None)));
        reason.map_or(State::Open, |reason| State::Reason(reason))
    }

    /// What is wrong: sections that are open, and reasons without use.
    pub fn mistakes(&self, cites: &Cites) -> Vec<String> {
        let mut mistakes = Vec::new();
        for (rfc, sections) in &self.sentences {
            for section in sections.keys().filter(|section| self.state(*rfc, section, cites) == State::Open) {
                mistakes.push(format!(
                    "RFC {rfc} §{section}: no code and test cite it, and docs/rfc/reasons.tsv does not say why"
                ));
            }
        }
        for (rfc, reasons) in &self.reasons {
            for section in reasons.keys() {
                let demanded = self.sentences.get(rfc);
                let needed = demanded.is_some_and(|sections| match section {
                    Some(section) => sections.contains_key(section) && !is_met(*rfc, section, cites),
                    None => sections.keys().any(|section| !is_met(*rfc, section, cites)),
                });
                if !needed {
                    let section = section.as_ref().map_or_else(|| "*".to_owned(), |section| format!("§{section}"));
                    mistakes.push(format!("RFC {rfc} {section}: a reason in docs/rfc/reasons.tsv that nothing needs"));
                }
            }
        }
        mistakes
    }

    /// A line for each RFC.
    pub fn summary(&self, cites: &Cites) -> String {
        let mut text = format!("{:>6} {:>8} {:>8} {:>8} {:>8}\n", "RFC", "demands", "sections", "met", "reason");
        for (rfc, sections) in &self.sentences {
            let demands: usize = sections.values().map(Vec::len).sum();
            let met = sections.keys().filter(|section| is_met(*rfc, section, cites)).count();
            let _ = writeln!(text, "{rfc:>6} {demands:>8} {:>8} {met:>8} {:>8}", sections.len(), sections.len() - met);
        }
        text
    }
}

fn is_met(rfc: u32, section: &Section, cites: &Cites) -> bool {
    let places = cites.0.get(&rfc).and_then(|sections| sections.get(section));
    places.is_some_and(|places| !places.code.is_empty() && !places.tests.is_empty())
}

fn lines(path: &Path) -> Result<Vec<Vec<String>>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

/// Takes the sentences out of the texts of the RFCs, `rfc7296.txt` and so on in `texts`, and writes them below `docs/rfc`.
///
/// # Errors
/// When a text cannot be read or a file not written.
pub fn extract(texts: &Path, folder: &Path) -> Result<()> {
    let folder = folder.join("demands");
    fs::create_dir_all(&folder)?;
    for rfc in RFCS {
        let path = texts.join(format!("rfc{rfc}.txt"));
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut file = format!("# The demands of RFC {rfc}, made by `cargo xtask rfc --texts`: section, sentence.\n");
        for (section, sentence) in sentences(&String::from_utf8_lossy(&text)) {
            let _ = writeln!(file, "{section}\t{sentence}");
        }
        fs::write(folder.join(format!("rfc{rfc}.tsv")), file)?;
    }
    Ok(())
}

/// The demands of a text, each with its section. Page headers and footers are passed over, and what stands before the first section.
fn sentences(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let (mut section, mut paragraph) = (String::new(), String::new());
    for line in text.lines().map(|line| line.trim_start_matches('\u{c}').trim_end()) {
        let furniture = line.ends_with(']') && line.contains("[Page ") || line.starts_with("RFC ");
        if furniture {
            continue;
        }
        let title = title(line);
        if title.is_some() || line.is_empty() {
            // A page may break a sentence, which goes on behind an empty line: what ends with no stop is not over.
            if title.is_some() || paragraph.ends_with(['.', ':', ';']) {
                demands(&section, &paragraph, &mut found);
                paragraph.clear();
            }
        } else {
            paragraph.push(' ');
            paragraph.push_str(line.trim_start());
        }
        if let Some(title) = title {
            section = title.to_owned();
        }
    }
    demands(&section, &paragraph, &mut found);
    found
}

/// The number of the section that a line begins, as `2.8.1` or `A.2`. Lines of a table of contents end with a page number.
fn title(line: &str) -> Option<&str> {
    let (number, rest) = line.strip_prefix("Appendix ").unwrap_or(line).split_once(". ")?;
    let parts = || number.split('.');
    let well_formed = parts().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
        || parts().enumerate().all(|(at, part)| {
            part.bytes().all(|byte| if at == 0 { byte.is_ascii_uppercase() } else { byte.is_ascii_digit() })
                && part.len() < 3
        });
    let contents = rest.contains("..") || rest.contains(". .") || rest.ends_with(|c: char| c.is_ascii_digit());
    (well_formed && !contents && !rest.trim().is_empty()).then_some(number)
}

fn demands(section: &str, paragraph: &str, found: &mut Vec<(String, String)>) {
    if section.is_empty() {
        return;
    }
    let text = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let end = sentence_end(rest);
        let sentence = rest[..end].trim();
        let demands = sentence.split(|c: char| !c.is_ascii_alphabetic()).any(|word| WORDS.contains(&word));
        if demands && !sentence.contains("key words") {
            found.push((section.to_owned(), sentence.to_owned()));
        }
        rest = rest[end..].trim_start();
    }
}

/// Where the first sentence ends: behind a stop that a space and a capital letter follow.
fn sentence_end(text: &str) -> usize {
    let stops = text.match_indices(". ").map(|(at, _)| at + 1);
    let next = |at: usize| text[at..].trim_start().starts_with(|c: char| c.is_ascii_uppercase() || c == '(');
    stops.into_iter().find(|at| next(*at)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Contents\n\n   1.  Introduction ....... 3\n\n1.  Introduction\n\n   The key words \"MUST\" are words.\n\n2.1.  \
                        Retransmission\n\n   It MUST\n\nX & Y      Standards Track      [Page 3]\n\nRFC 1 Title\n\n   wait.  It may \
                        go on.  It SHALL NOT\n   stop (e.g. now).\n\nAppendix A.  More\n\n   None is REQUIRED.\n";

    #[test]
    fn sentences_of_a_text() {
        let found = sentences(TEXT);
        let expected = [("2.1", "It MUST wait."), ("2.1", "It SHALL NOT stop (e.g. now)."), ("A", "None is REQUIRED.")];
        assert_eq!(found, expected.map(|(section, sentence)| (section.to_owned(), sentence.to_owned())));
    }

    #[test]
    fn a_section_is_met_or_has_a_reason_or_is_a_mistake() {
        let mut cites = Cites::default();
        cites.add_source("a/src/b.rs", "// RFC 7296 §2.1 and §2.2\n");
        cites.add_source("a/tests/b.rs", "// RFC 7296 §2.1\n");
        let mut demands = Demands::default();
        for section in ["2.1", "2.2"] {
            let sections = demands.sentences.entry(7296).or_default();
            sections.insert(Section::parse(section), vec!["It MUST.".to_owned()]);
        }
        assert_eq!(demands.state(7296, &Section::parse("2.1"), &cites), State::Met);
        assert!(demands.mistakes(&cites).concat().contains("§2.2: no code and test"));
        let reasons = demands.reasons.entry(7296).or_default();
        reasons.insert(Some(Section::parse("2.2")), "why".to_owned());
        assert_eq!(demands.state(7296, &Section::parse("2.2"), &cites), State::Reason("why"));
        assert!(demands.mistakes(&cites).is_empty());
        let reasons = demands.reasons.entry(7296).or_default();
        reasons.insert(Some(Section::parse("2.1")), "none".to_owned());
        assert!(demands.mistakes(&cites).concat().contains("§2.1: a reason"));
    }
}
