//! `ike_rc`: a file of command lines, read as one change.
//!
//! `#` begins a comment, quotes keep blanks together (`'...'` as it is, `"..."` with `\"` and `\\`), and a backslash at
//! the end of a line joins the next one. All lines take effect or none; every error is reported with its place.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::command::{self, BadLine, Command};
use crate::model::Model;

/// The longest file that is read.
const MAX_LEN: u64 = 16 * 1024 * 1024;
/// Errors beyond this many are not collected.
const MAX_ERRORS: usize = 20;

/// A place in a file, both counted from 1; the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// What is wrong at a place, or worth knowing about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The file.
    pub file: PathBuf,
    /// Where in it.
    pub place: Place,
    /// What.
    pub message: String,
}

/// Why a file cannot be loaded.
#[derive(Debug)]
pub enum RcError {
    /// It cannot be read.
    Io(PathBuf, io::Error),
    /// Lines in it are wrong.
    Lines(Vec<Remark>),
}

/// A file that was taken whole.
#[derive(Debug)]
pub struct Loaded {
    /// The model with the file's changes.
    pub model: Model,
    /// What the file's author should know.
    pub notes: Vec<Remark>,
}

/// Reads a file and applies it to a copy of `model`. Paths of keys in it are sought beside it.
///
/// # Errors
/// When the file cannot be read, a line is wrong, or a policy in it names a remote that is not configured.
pub fn load(path: &Path, model: &Model) -> Result<Loaded, RcError> {
    let io_error = |error| RcError::Io(path.to_owned(), error);
    if fs::metadata(path).map_err(io_error)?.len() > MAX_LEN {
        return Err(io_error(io::Error::other("longer than 16 MiB, which no list of commands is")));
    }
    let bytes = fs::read(path).map_err(io_error)?;
    let directory = path.parent().unwrap_or(Path::new(""));
    match String::from_utf8(bytes) {
        Ok(text) => apply(&text, path, directory, model),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes().iter().take(valid).filter(|byte| **byte == b'\n').count();
            let place = Place { line, column: 1 };
            Err(RcError::Lines(vec![Remark { file: path.to_owned(), place, message: "not UTF-8 text".to_owned() }]))
        }
    }
}

/// Applies the text of a file to a copy of `model`; `file` is its name for messages.
///
/// # Errors
/// As [`load`].
pub fn apply(text: &str, file: &Path, directory: &Path, model: &Model) -> Result<Loaded, RcError> {
    let mut loaded = Loaded { model: model.clone(), notes: Vec::new() };
    let mut errors = Vec::new();
    // Where each policy of this file names its remote.
    let mut references: Vec<(String, Place)> = Vec::new();
    let remark = |place, message| Remark { file: file.to_owned(), place, message };
    for line in lines(text) {
        let outcome = line.and_then(|tokens| {
            let (notes, reference) = apply_line(&tokens, directory, &mut loaded.model)?;
            references.extend(reference);
            let start = tokens.first().map_or(Place { line: 1, column: 1 }, |token| token.place(0));
            Ok(notes.into_iter().map(|note| remark(start, note)).collect::<Vec<_>>())
        });
        match outcome {
            Ok(notes) => loaded.notes.extend(notes),
            Err((place, message)) => errors.push(remark(place, message)),
        }
        if errors.len() == MAX_ERRORS {
            break;
        }
    }
    // A remote whose line is wrong would be missing too: only a file without other errors is judged.
    if errors.is_empty() {
        for unresolved in loaded.model.unresolved() {
            if let Some((_, place)) = references.iter().find(|(policy, _)| *policy == unresolved.policy) {
                errors.push(remark(*place, unresolved.to_string()));
            }
        }
    }
    if errors.is_empty() { Ok(loaded) } else { Err(RcError::Lines(errors)) }
}

type LineError = (Place, String);

/// The notes of the line, and for a policy its name and the place where it names its remote.
type Applied = (Vec<String>, Option<(String, Place)>);

fn apply_line(tokens: &[Token], directory: &Path, model: &mut Model) -> Result<Applied, LineError> {
    let arguments: Vec<String> = tokens.iter().map(Token::text).collect();
    let start = tokens.first().map_or(Place { line: 1, column: 1 }, |token| token.place(0));
    let parsed = command::parse(&arguments).map_err(|error| locate(tokens, &error))?;
    let mut reference = None;
    let refused = |error: crate::model::ModelError| (start, error.to_string());
    match parsed.command {
        Command::AddPolicy(spec) => {
            if let Some(esp) = &spec.esp {
                let at = tokens.iter().zip(arguments.iter()).find(|(_, text)| **text == esp.remote);
                reference = Some((spec.name.clone(), at.map_or(start, |(token, _)| token.place(0))));
            }
            model.add_policy(*spec).map_err(refused)?;
        }
        Command::AddRemote(spec) => {
            let file = spec.secret_file.as_ref().map(|file| file.to_string_lossy().into_owned());
            let names_it = |text: &str| file.as_ref().is_some_and(|file| text.ends_with(file));
            let at = tokens.iter().zip(arguments.iter()).find(|(_, text)| names_it(text));
            let place = at.map_or(start, |(token, _)| token.place(0));
            model.add_remote(*spec, directory).map_err(|error| match error {
                crate::model::ModelError::Secret(_) => (place, error.to_string()),
                _ => refused(error),
            })?;
        }
        Command::AddInterface(interface) => model.add_interface(*interface).map_err(refused)?,
        Command::DeleteInterface(name) => model.delete_interface(&name).map_err(refused)?,
        Command::AddCertificate(spec) => model.add_certificate(&spec, directory).map_err(refused)?,
        Command::DeleteCertificate(file) => model.delete_certificate(&file).map_err(refused)?,
        Command::AddSa(spec) => drop(model.add_manual(*spec, directory).map_err(refused)?),
        Command::DeleteSa(which) => drop(model.delete_manual(&which).map_err(refused)?),
        Command::DeletePolicy(which) => drop(model.delete_policies(&which).map_err(refused)?),
        Command::DeleteRemote(which) => drop(model.delete_remotes(&which).map_err(refused)?),
        _ => {
            let message = "only lines that configure belong into a file: ipsec policy, addsa and delsa, ike remote, ce x509, and vti add and del";
            return Err((start, message.to_owned()));
        }
    }
    Ok((parsed.notes, reference))
}

fn locate(tokens: &[Token], error: &BadLine) -> LineError {
    let place = match error.at {
        Some(at) => tokens.get(at.argument).map(|token| token.place(at.offset)),
        // Something is missing: the end of the line is where it should be.
        None => tokens.last().map(Token::end),
    };
    (place.unwrap_or(Place { line: 1, column: 1 }), error.message.clone())
}

/// One argument: its characters, each with its place in the file.
#[derive(Debug, Default)]
struct Token {
    characters: Vec<(char, Place)>,
    /// Where it begins, quotes included; its end, one past the last character.
    span: Option<(Place, Place)>,
}

impl Token {
    fn text(&self) -> String {
        self.characters.iter().map(|(character, _)| character).collect()
    }

    /// The place of the character at this byte of the text.
    fn place(&self, offset: usize) -> Place {
        let mut bytes = 0;
        for (character, place) in &self.characters {
            if bytes >= offset {
                return *place;
            }
            bytes += character.len_utf8();
        }
        if offset == 0 { self.begin() } else { self.end() }
    }

    fn begin(&self) -> Place {
        self.span.map_or(Place { line: 1, column: 1 }, |(begin, _)| begin)
    }

    fn end(&self) -> Place {
        self.span.map_or(Place { line: 1, column: 1 }, |(_, end)| end)
    }
}

/// Splits a text into its logical lines, comments and blank lines left out. A line that cannot be split is an error
/// of its own; the next one begins after its line end.
fn lines(text: &str) -> impl Iterator<Item = Result<Vec<Token>, LineError>> {
    let mut scanner = Scanner { rest: text.chars().peekable(), place: Place { line: 1, column: 1 } };
    std::iter::from_fn(move || {
        while scanner.rest.peek().is_some() {
            match scanner.line() {
                Ok(tokens) if tokens.is_empty() => {}
                Ok(tokens) => return Some(Ok(tokens)),
                Err(error) => {
                    while scanner.next().is_some_and(|(character, _)| character != '\n') {}
                    return Some(Err(error));
                }
            }
        }
        None
    })
}

struct Scanner<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    place: Place,
}

impl Scanner<'_> {
    fn next(&mut self) -> Option<(char, Place)> {
        let character = self.rest.next()?;
        let place = self.place;
        self.place = match character {
            '\n' => Place { line: place.line + 1, column: 1 },
            _ => Place { line: place.line, column: place.column + 1 },
        };
        Some((character, place))
    }

    /// Up to and with the line end.
    fn line(&mut self) -> Result<Vec<Token>, LineError> {
        let mut tokens = Vec::new();
        let mut token = Token::default();
        while let Some((character, place)) = self.next() {
            match character {
                '\n' => break,
                '#' if token.span.is_none() => while self.rest.next_if(|next| *next != '\n').is_some() {},
                _ if character.is_whitespace() => {
                    if token.span.is_some() {
                        tokens.push(std::mem::take(&mut token));
                    }
                    continue;
                }
                '\'' | '"' => self.quoted(character, place, &mut token)?,
                '\\' => match self.escaped() {
                    // A joined line does not end an argument, but the blanks around it do.
                    None => continue,
                    Some(kept) => token.characters.push((kept, place)),
                },
                _ => token.characters.push((character, place)),
            }
            if character != '#' || token.span.is_some() || !token.characters.is_empty() {
                let begin = token.span.map_or(place, |(begin, _)| begin);
                token.span = Some((begin, self.place));
            }
        }
        if token.span.is_some() {
            tokens.push(token);
        }
        Ok(tokens)
    }

    /// What a backslash keeps; `None` when it joins two lines.
    fn escaped(&mut self) -> Option<char> {
        self.rest.next_if_eq(&'\r').inspect(|_| self.place.column += 1);
        match self.next() {
            Some(('\n', _)) | None => None,
            Some((character, _)) => Some(character),
        }
    }

    fn quoted(&mut self, quote: char, opened: Place, token: &mut Token) -> Result<(), LineError> {
        while let Some((character, place)) = self.rest.peek().copied().map(|character| (character, self.place)) {
            match character {
                '\n' => break,
                _ if character == quote => {
                    self.next();
                    return Ok(());
                }
                '\\' if quote == '"' => {
                    self.next();
                    match self.rest.next_if(|next| *next == '"' || *next == '\\') {
                        Some(kept) => {
                            self.place.column += 1;
                            token.characters.push((kept, place));
                        }
                        None => token.characters.push(('\\', place)),
                    }
                }
                _ => {
                    self.next();
                    token.characters.push((character, place));
                }
            }
        }
        Err((opened, format!("the quote {quote} is not closed on its line")))
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file.display(), self.place.line, self.place.column, self.message)
    }
}

impl fmt::Display for RcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RcError::Io(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            RcError::Lines(remarks) => {
                let lines: Vec<String> = remarks.iter().map(ToString::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}

impl std::error::Error for RcError {}

#[cfg(test)]
mod tests;
