//! The syntax of strongSwan's files (strongswan.conf(5)): sections, settings, comments, quotes, references, includes.
//!
//! ```text
//! text ──Scanner──► tokens ──Parser──► sections with references ──expand──► Section
//! ```
//! Everything is bounded: the size and number of files, the depth of includes and of sections, and what references may
//! multiply to.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::tree::{At, Section, Setting, Values};
use crate::remark::{FileError, Place, Remark};

/// The longest file.
const MAX_LEN: u64 = 16 * 1024 * 1024;
/// Files that include each other, one in the other.
const MAX_INCLUDES: usize = 10;
/// Files in all.
const MAX_FILES: usize = 1000;
/// Sections in each other.
const MAX_DEPTH: usize = 16;
/// Settings and sections in all, those that references bring included: of some twenty thousand connections.
const MAX_NODES: usize = 500_000;
/// Settings, and sections, side by side: each new name is compared with all.
const MAX_BESIDE: usize = 25_000;

/// Reads a file and those that it includes.
///
/// # Errors
/// When one cannot be read, or breaks the syntax or a bound.
pub fn load(path: &Path) -> Result<Section, FileError> {
    let mut parser = Parser::new(true);
    parser.file(path, &[], None)?;
    parser.finish()
}

/// Reads a text; `file` is its name for messages, and nothing can be included.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str, file: &Path) -> Result<Section, FileError> {
    let mut parser = Parser::new(false);
    parser.text(text, file, &[], 0)?;
    parser.finish()
}

/// Which sections a section refers to, by its path.
type References = BTreeMap<Vec<String>, Vec<(Vec<String>, At)>>;

struct Parser {
    root: Section,
    references: References,
    files: usize,
    nodes: usize,
    may_include: bool,
}

impl Parser {
    fn new(may_include: bool) -> Self {
        Parser { root: Section::default(), references: BTreeMap::new(), files: 0, nodes: 0, may_include }
    }

    fn file(&mut self, path: &Path, section: &[String], from: Option<(&At, usize)>) -> Result<(), FileError> {
        let depth = from.map_or(0, |(_, depth)| depth);
        let refuse = |why: &str| match from {
            Some((at, _)) => FileError::Lines(vec![at.remark(format!("{}: {why}", path.display()))]),
            None => FileError::Io(path.to_owned(), io::Error::other(why.to_owned())),
        };
        self.files += 1;
        if depth > MAX_INCLUDES || self.files > MAX_FILES {
            return Err(refuse("too many files include each other"));
        }
        let io_error = |error: io::Error| refuse(&error.to_string());
        let metadata = fs::metadata(path).map_err(io_error)?;
        if !metadata.is_file() || metadata.len() > MAX_LEN {
            return Err(refuse("not a file of up to 16 MiB"));
        }
        let bytes = fs::read(path).map_err(io_error)?;
        match String::from_utf8(bytes) {
            Ok(text) => self.text(&text, path, section, depth),
            Err(_) => Err(refuse("not UTF-8 text")),
        }
    }

    fn text(&mut self, text: &str, file: &Path, base: &[String], depth: usize) -> Result<(), FileError> {
        let mut scanner = Scanner::new(text, file);
        let outermost = base.len();
        let mut path = base.to_vec();
        let one = |remark: Remark| FileError::Lines(vec![remark]);
        while let Some((token, at)) = scanner.next().map_err(one)? {
            let name = match token {
                Token::End if path.len() > outermost => {
                    path.pop();
                    continue;
                }
                Token::End => return Err(one(at.remark("`}` without a section to end"))),
                Token::Name(name) => name,
                other => return Err(one(at.remark(format!("expected a name, found {}", other.words())))),
            };
            self.nodes += 1;
            if self.nodes > MAX_NODES {
                return Err(one(at.remark("too many settings")));
            }
            if name == "include" && !matches!(scanner.peek(), Some('=' | '{' | ':')) {
                let pattern = scanner.pattern();
                self.include(&pattern, file, &at, &path, depth)?;
                continue;
            }
            match scanner.next().map_err(one)? {
                Some((Token::Equals, _)) => {
                    let (value, value_at) = scanner.value().map_err(one)?;
                    let values = Values::One(value.into_bytes());
                    let section = self.section(&path, &at);
                    section.set(Setting { name, values, at: value_at });
                    if section.settings.len() > MAX_BESIDE {
                        return Err(one(at.remark("too many settings in one section")));
                    }
                }
                Some((Token::Begin, _)) => {
                    path.push(name);
                    self.begin(&path, &at).map_err(one)?;
                }
                Some((Token::Colon, _)) => {
                    path.push(name);
                    self.begin(&path, &at).map_err(one)?;
                    let references = scanner.references().map_err(one)?;
                    self.references.entry(path.clone()).or_default().extend(references);
                }
                Some((other, at)) => {
                    let found = other.words();
                    return Err(one(at.remark(format!("expected `=`, `{{` or `:` behind {name}, found {found}"))));
                }
                None => return Err(one(at.remark(format!("expected `=`, `{{` or `:` behind {name}")))),
            }
        }
        match path.len() > outermost {
            true => Err(one(scanner.at().remark(format!("the section {} is not ended with `}}`", path.join("."))))),
            false => Ok(()),
        }
    }

    fn begin(&mut self, path: &[String], at: &At) -> Result<(), Remark> {
        if path.len() > MAX_DEPTH {
            return Err(at.remark("sections are nested too deeply"));
        }
        self.section(path, at);
        let around = path.split_last().map(|(_, around)| self.section(around, at).sections.len());
        match around.is_some_and(|beside| beside > MAX_BESIDE) {
            true => Err(at.remark("too many sections in one section")),
            false => Ok(()),
        }
    }

    fn section(&mut self, path: &[String], at: &At) -> &mut Section {
        path.iter().fold(&mut self.root, |section, name| section.open(name, at))
    }

    fn include(
        &mut self,
        pattern: &str,
        from: &Path,
        at: &At,
        section: &[String],
        depth: usize,
    ) -> Result<(), FileError> {
        let one = |why: String| FileError::Lines(vec![at.remark(why)]);
        if !self.may_include {
            return Err(one("nothing can be included here".to_owned()));
        }
        if pattern.is_empty() {
            return Err(one("expected the name of a file behind include".to_owned()));
        }
        let full = from.parent().unwrap_or(Path::new("")).join(pattern);
        let found = glob(&full);
        let has_wildcard = pattern.contains(['*', '?', '[']);
        if found.is_empty() && !has_wildcard {
            return Err(one(format!("{}: there is no such file", full.display())));
        }
        found.iter().try_for_each(|path| self.file(path, section, Some((at, depth + 1))))
    }

    fn finish(self) -> Result<Section, FileError> {
        let mut expansion = Expansion { root: &self.root, references: &self.references, nodes: 0 };
        expansion.expand(&[], Some(&self.root), &mut Vec::new()).map_err(|remark| FileError::Lines(vec![remark]))
    }
}

/// Puts what sections refer to in place.
struct Expansion<'a> {
    root: &'a Section,
    references: &'a References,
    nodes: usize,
}

impl Expansion<'_> {
    /// The section at this path, which has its `own` contents, with everything it inherits. `via` are the references that led here.
    fn expand(
        &mut self,
        path: &[String],
        own: Option<&Section>,
        via: &mut Vec<Vec<String>>,
    ) -> Result<Section, Remark> {
        let mut whole = Section::default();
        if let Some(own) = own {
            whole.settings = own.settings.clone();
            self.nodes += own.settings.len();
            for named in &own.sections {
                let below = [path, std::slice::from_ref(&named.name)].concat();
                let section = self.expand(&below, Some(&named.section), via)?;
                self.nodes += 1;
                whole.sections.push(super::tree::Named { section, ..named.clone() });
            }
        }
        for (target, at) in self.references.get(path).into_iter().flatten() {
            let known = target.iter().try_fold(self.root, |section, name| section.section(name).map(|n| &n.section));
            if known.is_none() && !self.references.contains_key(target) {
                return Err(at.remark(format!("there is no section {}", target.join("."))));
            }
            if via.contains(target) || path.starts_with(target) {
                return Err(at.remark(format!("the section {} refers to itself", target.join("."))));
            }
            via.push(target.clone());
            let inherited = self.expand(target, known, via)?;
            via.pop();
            self.inherit(&mut whole, inherited);
            if self.nodes > MAX_NODES {
                return Err(at.remark("references multiply to too many settings"));
            }
        }
        Ok(whole)
    }

    /// What `section` does not have itself.
    fn inherit(&mut self, section: &mut Section, from: Section) {
        for setting in from.settings {
            if section.setting(&setting.name).is_none() {
                section.settings.push(setting);
            }
        }
        for named in from.sections {
            match section.sections.iter_mut().find(|known| known.name == named.name) {
                Some(known) => self.inherit(&mut known.section, named.section),
                None => section.sections.push(named),
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Name(String),
    Equals,
    Begin,
    End,
    Colon,
}

impl Token {
    fn words(&self) -> String {
        match self {
            Token::Name(name) => format!("`{name}`"),
            Token::Equals => "`=`".to_owned(),
            Token::Begin => "`{`".to_owned(),
            Token::End => "`}`".to_owned(),
            Token::Colon => "`:`".to_owned(),
        }
    }
}

struct Scanner<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    file: Arc<Path>,
    place: Place,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str, file: &Path) -> Self {
        Scanner { rest: text.chars().peekable(), file: Arc::from(file), place: Place { line: 1, column: 1 } }
    }

    fn at(&self) -> At {
        At { file: self.file.clone(), place: Some(self.place) }
    }

    fn step(&mut self) -> Option<char> {
        let next = self.rest.next()?;
        self.place = match next {
            '\n' => Place { line: self.place.line + 1, column: 1 },
            _ => Place { column: self.place.column + 1, ..self.place },
        };
        Some(next)
    }

    fn step_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(&next) = self.rest.peek()
            && wanted(next)
        {
            taken.push(next);
            self.step();
        }
        taken
    }

    /// Past blanks, line ends and comments.
    fn skip(&mut self) {
        loop {
            self.step_while(char::is_whitespace);
            if self.rest.peek() != Some(&'#') {
                return;
            }
            self.step_while(|c| c != '\n');
        }
    }

    /// Past blanks on this line: what comes then.
    fn peek(&mut self) -> Option<char> {
        self.step_while(|c| c == ' ' || c == '\t');
        self.rest.peek().copied()
    }

    fn next(&mut self) -> Result<Option<(Token, At)>, Remark> {
        self.skip();
        let at = self.at();
        let Some(&next) = self.rest.peek() else { return Ok(None) };
        let mark = match next {
            '=' => Some(Token::Equals),
            '{' => Some(Token::Begin),
            '}' => Some(Token::End),
            ':' => Some(Token::Colon),
            _ => None,
        };
        if let Some(mark) = mark {
            self.step();
            return Ok(Some((mark, at)));
        }
        let name = self.step_while(|c| !c.is_whitespace() && !"=:{}\"#,.".contains(c));
        if name.is_empty() {
            return Err(at.remark(format!("`{}` cannot be in the name of a section or key", next.escape_debug())));
        }
        Ok(Some((Token::Name(name), at)))
    }

    /// What stands behind `include` on its line.
    fn pattern(&mut self) -> String {
        self.peek();
        if self.rest.next_if_eq(&'"').is_some() {
            let quoted = self.step_while(|c| c != '"' && c != '\n');
            self.step();
            return quoted;
        }
        self.step_while(|c| c != '\n' && c != '#' && c != '}').trim_end().to_owned()
    }

    /// What stands behind `=`: to the end of the line, or in quotes over several.
    fn value(&mut self) -> Result<(String, At), Remark> {
        self.peek();
        let at = self.at();
        let mut value = String::new();
        // Blanks between two parts count, those at the end do not.
        let mut blanks = String::new();
        while let Some(&next) = self.rest.peek() {
            match next {
                '\n' | '#' | '}' => break,
                '"' => {
                    value.push_str(&std::mem::take(&mut blanks));
                    self.quoted(&mut value)?;
                }
                _ if next.is_whitespace() => {
                    blanks.push(next);
                    self.step();
                }
                _ => {
                    value.push_str(&std::mem::take(&mut blanks));
                    value.push(next);
                    self.step();
                }
            }
        }
        Ok((value, at))
    }

    fn quoted(&mut self, value: &mut String) -> Result<(), Remark> {
        let opened = self.at();
        self.step();
        while let Some(next) = self.step() {
            match next {
                '"' => return Ok(()),
                '\\' => match self.step() {
                    Some('n') => value.push('\n'),
                    Some('r') => value.push('\r'),
                    Some('t') => value.push('\t'),
                    // A line that goes on.
                    Some('\n') => {}
                    Some(other) => value.push(other),
                    None => break,
                },
                _ => value.push(next),
            }
        }
        Err(opened.remark("the quote is not closed"))
    }

    /// `a.b, c` and the brace behind.
    fn references(&mut self) -> Result<Vec<(Vec<String>, At)>, Remark> {
        let mut references = Vec::new();
        loop {
            self.skip();
            let at = self.at();
            let name = self.step_while(|c| !c.is_whitespace() && !"=:{}\"#,".contains(c));
            let path: Vec<String> = name.split('.').map(str::to_owned).collect();
            if path.iter().any(String::is_empty) {
                return Err(at.remark("expected the name of a section to refer to"));
            }
            references.push((path, at));
            self.skip();
            let at = self.at();
            match self.step() {
                Some(',') => {}
                Some('{') => return Ok(references),
                _ => return Err(at.remark("expected `,` or `{` behind the name of a section")),
            }
        }
    }
}

/// The files that a pattern with `*`, `?` and `[...]` names, in order.
pub(super) fn glob(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let text = part.as_os_str().to_string_lossy();
        if !text.contains(['*', '?', '[']) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let mut next = Vec::new();
        for folder in &found {
            let looked = if folder.as_os_str().is_empty() { Path::new(".") } else { folder.as_path() };
            let names = fs::read_dir(looked).into_iter().flatten().flatten();
            let names = names.filter_map(|entry| entry.file_name().into_string().ok());
            let fits = |name: &String| (text.starts_with('.') || !name.starts_with('.')) && matches(&text, name);
            next.extend(names.filter(fits).map(|name| folder.join(name)));
        }
        next.sort();
        next.truncate(MAX_FILES + 1);
        found = next;
    }
    found.retain(|path| path.exists());
    found
}

/// Whether a name fits a pattern of the shell. Linear in both but for one step back to the last `*`.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p + 1, n));
                p += 1;
                continue;
            }
            Some(_) if let Some(after) = one(&pattern, p, name[n]) => {
                p = after;
                n += 1;
                continue;
            }
            _ => {}
        }
        let Some((after, at)) = star else { return false };
        star = Some((after, at + 1));
        (p, n) = (after, at + 1);
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Where the pattern goes on when its element at `at` takes the character.
fn one(pattern: &[char], at: usize, character: char) -> Option<usize> {
    match pattern[at] {
        '?' => Some(at + 1),
        '[' => {
            let negated = matches!(pattern.get(at + 1), Some('!' | '^'));
            let start = at + 1 + usize::from(negated);
            let len = pattern.get(start + 1..)?.iter().position(|c| *c == ']')? + 1;
            let set = &pattern[start..start + len];
            let mut hit = false;
            let mut i = 0;
            while i < set.len() {
                if i + 2 < set.len() && set[i + 1] == '-' {
                    hit |= (set[i]..=set[i + 2]).contains(&character);
                    i += 3;
                } else {
                    hit |= set[i] == character;
                    i += 1;
                }
            }
            (hit != negated).then_some(start + len + 1)
        }
        other => (other == character).then_some(at + 1),
    }
}

#[cfg(test)]
mod tests;
