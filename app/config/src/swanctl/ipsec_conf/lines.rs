//! The lines of `ipsec.conf`: sections, the parameters below them, and other files in the place where they are included.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{MAX_INCLUDES, Parameters, read};
use crate::remark::Place;
use crate::swanctl::parse::glob;
use crate::swanctl::reader::Problems;
use crate::swanctl::tree::At;
use crate::value::did_you_mean;

/// In front of the name of a section `ca`, where no name can begin so.
pub(super) const AUTHORITY: &str = "ca ";
/// The name under which `config setup` stands among the connections, none of which has a blank in its name.
pub(super) const SETUP: &str = "config setup";

/// Every `conn` and `ca`, with the parameters below it; a name that comes twice is one section, where it came first.
#[derive(Default)]
pub(super) struct Sections {
    named: BTreeMap<String, (At, Parameters)>,
    /// Their names as they are written: the first connection that fits decides.
    order: Vec<String>,
}

impl Sections {
    pub(super) fn get(&self, name: &str) -> Option<&(At, Parameters)> {
        self.named.get(name)
    }

    /// In the order of the file.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &At, &Parameters)> {
        let section = |name: &'_ String| self.named.get_key_value(name).map(|(name, (at, all))| (&**name, at, all));
        self.order.iter().filter_map(section)
    }

    fn begin(&mut self, name: &str, at: At) {
        if !self.named.contains_key(name) {
            self.named.insert(name.to_owned(), (at, Parameters::new()));
            self.order.push(name.to_owned());
        }
    }
}

/// Reads the sections of a text.
pub(super) fn sections(text: &str, file: &Path, problems: &mut Problems) -> Sections {
    let mut lines = Lines { sections: Sections::default(), current: None, problems };
    lines.read(text, file, 0);
    lines.sections
}

struct Lines<'a> {
    sections: Sections,
    /// `None`: a section that is not about a connection.
    current: Option<String>,
    problems: &'a mut Problems,
}

impl Lines<'_> {
    fn read(&mut self, text: &str, file: &Path, depth: usize) {
        let file: Arc<Path> = Arc::from(file);
        for (number, line) in text.lines().enumerate() {
            let at =
                |column: usize| At { file: file.clone(), place: Some(Place { line: number + 1, column: column + 1 }) };
            let bare = without_comment(line);
            let trimmed = bare.trim();
            if trimmed.is_empty() {
                continue;
            }
            let indent = bare.len() - bare.trim_start().len();
            if indent == 0 {
                self.head(trimmed, at(0), depth);
                continue;
            }
            let Some((key, value)) = trimmed.split_once('=') else {
                self.problems.add(at(indent).remark("expected PARAMETER=VALUE"));
                continue;
            };
            let Some(name) = &self.current else { continue };
            let value = value.trim().trim_matches('"').to_owned();
            let column = indent + trimmed.find('=').unwrap_or(0) + 1;
            if let Some((_, parameters)) = self.sections.named.get_mut(name) {
                parameters.insert(key.trim().to_ascii_lowercase(), (value, at(column)));
            }
        }
    }

    /// A line at the margin: a section begins, or another file is read.
    fn head(&mut self, line: &str, at: At, depth: usize) {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let name = rest.split_whitespace().next();
        let section = match (word, name) {
            ("conn", Some(name)) => name.to_owned(),
            ("config", Some("setup")) => SETUP.to_owned(),
            ("ca", Some(name)) => format!("{AUTHORITY}{name}"),
            ("version", _) => return self.current = None,
            ("include", Some(_)) => {
                self.current = None;
                for (text, path) in included(rest, &at, depth, self.problems) {
                    self.read(&text, &path, depth + 1);
                    self.current = None;
                }
                return;
            }
            (word, _) => {
                let hint = did_you_mean(word, ["config", "conn", "ca", "include"]);
                return self
                    .problems
                    .add(at.remark(format!("expected conn NAME or config setup, found `{word}`{hint}")));
            }
        };
        self.sections.begin(&section, at);
        self.current = Some(section);
    }
}

/// What the files hold that an `include` names, relative to the one in which it stands. As with strongSwan there may be none.
pub(super) fn included(patterns: &str, at: &At, depth: usize, problems: &mut Problems) -> Vec<(String, PathBuf)> {
    if depth >= MAX_INCLUDES {
        problems.add(at.remark("files include each other too deeply"));
        return Vec::new();
    }
    let folder = at.file.parent().unwrap_or(Path::new(""));
    let patterns = patterns.split_whitespace().map(|pattern| folder.join(pattern.trim_matches('"')));
    let files = patterns.flat_map(|pattern| glob(&pattern)).filter(|path| path.is_file());
    let texts = files.map(|path| read(&path).map(|text| (text, path)).map_err(|error| at.remark(error.to_string())));
    texts.filter_map(|text| problems.take(text)).collect()
}

/// `#` begins a comment at the start of a line or behind a blank, outside of quotes.
pub(super) fn without_comment(line: &str) -> &str {
    let (mut quoted, mut blank) = (false, true);
    for (at, character) in line.char_indices() {
        match character {
            '"' => quoted = !quoted,
            '#' if blank && !quoted => return &line[..at],
            _ => {}
        }
        blank = character.is_whitespace();
    }
    line
}
