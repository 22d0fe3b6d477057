//! `ike_rc`: a file of command lines, read as one change.
//!
//! `#` begins a comment, quotes keep blanks together (`'...'` as it is, `"..."` with `\"` and `\\`), and a backslash at
//! the end of a line joins the next one. All lines that configure take effect or none; every error is reported with its
//! place. `call FILE` stands for the lines of another file. Other commands may stand between them: they are for a daemon to
//! carry out, in their order, when all of that is in force.

mod token;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use token::split;
use token::{Token, lines};

use crate::command::{self, BadLine, Command, SetkeyJob};
use crate::model::{Model, ModelError};
use crate::remark::{FileError, Place, Remark};
use crate::setkey;

/// The longest file that is read.
const MAX_LEN: u64 = 16 * 1024 * 1024;
/// Errors beyond this many are not collected.
const MAX_ERRORS: usize = 20;
/// Files that may call one another, one inside the other.
const MAX_CALLS: usize = 8;

/// A file that was taken whole.
#[derive(Debug)]
pub struct Loaded {
    /// The model with the file's changes.
    pub model: Model,
    /// What the file's author should know.
    pub notes: Vec<Remark>,
    /// Commands that do not configure, to be carried out in this order.
    pub commands: Vec<Later>,
}

/// A command that does not configure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Later {
    /// The file.
    pub file: PathBuf,
    /// Where in it.
    pub place: Place,
    /// The command line.
    pub arguments: Vec<String>,
}

impl Later {
    /// Where it stands, as in a message.
    pub fn at(&self) -> String {
        format!("{}:{}:{}", self.file.display(), self.place.line, self.place.column)
    }
}

/// Reads a file and applies it to a copy of `model`. Paths in it are sought beside it, and so are the files that it calls.
///
/// # Errors
/// When the file cannot be read, a line is wrong, or a policy in it names a remote that is not configured.
pub fn load(path: &Path, model: &Model) -> Result<Loaded, FileError> {
    let text = read(path)?;
    apply(&text, path, path.parent().unwrap_or(Path::new("")), model)
}

fn read(path: &Path) -> Result<String, FileError> {
    let io_error = |error| FileError::Io(path.to_owned(), error);
    if fs::metadata(path).map_err(io_error)?.len() > MAX_LEN {
        return Err(io_error(io::Error::other("longer than 16 MiB, which no list of commands is")));
    }
    let bytes = fs::read(path).map_err(io_error)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes().iter().take(valid).filter(|byte| **byte == b'\n').count();
        let place = Place { line, column: 1 };
        FileError::Lines(vec![Remark { file: path.to_owned(), place, message: "not UTF-8 text".to_owned() }])
    })
}

/// Applies the text of a file to a copy of `model`; `file` is its name for messages.
///
/// # Errors
/// As [`load`].
pub fn apply(text: &str, file: &Path, directory: &Path, model: &Model) -> Result<Loaded, FileError> {
    let loaded = Loaded { model: model.clone(), notes: Vec::new(), commands: Vec::new() };
    let mut reading = Reading { loaded, errors: Vec::new(), references: Vec::new(), depth: 0 };
    reading.text(text, file, directory);
    reading.finish()
}

/// What was read so far, of a file and of those that it calls.
struct Reading {
    loaded: Loaded,
    errors: Vec<Remark>,
    /// Where each policy names its remote.
    references: Vec<(String, PathBuf, Place)>,
    /// Files that call one another.
    depth: usize,
}

impl Reading {
    fn text(&mut self, text: &str, file: &Path, directory: &Path) {
        for line in lines(text) {
            let outcome = line.and_then(|tokens| self.line(&tokens, file, directory));
            if let Err((place, message)) = outcome {
                self.errors.push(Remark { file: file.to_owned(), place, message });
            }
            if self.errors.len() >= MAX_ERRORS {
                return;
            }
        }
    }

    fn line(&mut self, tokens: &[Token], file: &Path, directory: &Path) -> Result<(), LineError> {
        let arguments: Vec<String> = tokens.iter().map(Token::text).collect();
        let start = tokens.first().map_or(Place { line: 1, column: 1 }, |token| token.place(0));
        let parsed = command::parse(&arguments).map_err(|error| locate(tokens, &error))?;
        let refused = |error: ModelError| (start, error.to_string());
        let written_at = |is_it: &dyn Fn(&str) -> bool| {
            let at = tokens.iter().zip(&arguments).find(|(_, text)| is_it(text));
            at.map_or(start, |(token, _)| token.place(0))
        };
        let secret_at = match &parsed.command {
            Command::AddRemote(spec) => spec.secret_file.as_ref().map(|file| {
                let file = file.to_string_lossy();
                written_at(&|text| text.ends_with(&*file))
            }),
            _ => None,
        };
        let model = &mut self.loaded.model;
        match parsed.command.seen_from(directory) {
            Command::AddPolicy(spec) => {
                if let Some(esp) = &spec.esp {
                    let place = written_at(&|text| text == esp.remote);
                    self.references.push((spec.name.clone(), file.to_owned(), place));
                }
                model.add_policy(*spec).map_err(refused)?;
            }
            Command::AddRemote(spec) => {
                model.add_remote(*spec, directory).map_err(|error| match (&error, secret_at) {
                    (ModelError::Secret(_), Some(place)) => (place, error.to_string()),
                    _ => refused(error),
                })?
            }
            Command::AddInterface(interface) => model.add_interface(*interface).map_err(refused)?,
            Command::DeleteInterface(name) => model.delete_interface(&name).map_err(refused)?,
            Command::AddPool(spec) => model.add_pool(*spec).map_err(refused)?,
            Command::DeletePool(which) => model.delete_pools(&which).map_err(refused)?,
            Command::AddCertificate(spec) => model.add_certificate(&spec, directory).map_err(refused)?,
            Command::DeleteCertificate(file) => model.delete_certificate(&file).map_err(refused)?,
            Command::AddSa(spec) => drop(model.add_manual(*spec, directory).map_err(refused)?),
            Command::DeleteSa(which) => drop(model.delete_manual(&which).map_err(refused)?),
            Command::DeletePolicy(which) => drop(model.delete_policies(&which).map_err(refused)?),
            Command::DeleteRemote(which) => drop(model.delete_remotes(&which).map_err(refused)?),
            Command::Call(called) => self.call(&called, start)?,
            Command::Setkey(job) if self.setkey(&job, start)? => {}
            _ => self.loaded.commands.push(Later { file: file.to_owned(), place: start, arguments }),
        }
        let notes = parsed.notes.into_iter().map(|message| Remark { file: file.to_owned(), place: start, message });
        self.loaded.notes.extend(notes);
        Ok(())
    }

    /// The lines of another file in the place of this one.
    fn call(&mut self, file: &Path, place: Place) -> Result<(), LineError> {
        if self.depth == MAX_CALLS {
            return Err((place, format!("more than {MAX_CALLS} files call one another")));
        }
        match read(file) {
            Ok(text) => {
                self.depth += 1;
                self.text(&text, file, file.parent().unwrap_or(Path::new("")));
                self.depth -= 1;
                Ok(())
            }
            Err(FileError::Lines(remarks)) => {
                self.errors.extend(remarks);
                Ok(())
            }
            Err(error) => Err((place, error.to_string())),
        }
    }

    /// What a script configures; whether it does, or only lists. Beside what it configures, nobody would see a listing.
    fn setkey(&mut self, job: &SetkeyJob, place: Place) -> Result<bool, LineError> {
        match setkey::of(job, None).and_then(|script| self.loaded.model.setkey(&script)) {
            Ok(carried) => {
                self.loaded.notes.extend(carried.notes);
                Ok(carried.changed)
            }
            Err(FileError::Lines(remarks)) => {
                self.errors.extend(remarks);
                Ok(true)
            }
            Err(error) => Err((place, error.to_string())),
        }
    }

    fn finish(mut self) -> Result<Loaded, FileError> {
        // A remote whose line is wrong would be missing too: only files without other errors are judged.
        if self.errors.is_empty() {
            for unresolved in self.loaded.model.unresolved() {
                let named = self.references.iter().find(|(policy, ..)| *policy == unresolved.policy);
                self.errors.extend(named.map(|(_, file, place)| Remark {
                    file: file.clone(),
                    place: *place,
                    message: unresolved.to_string(),
                }));
            }
        }
        if self.errors.is_empty() { Ok(self.loaded) } else { Err(FileError::Lines(self.errors)) }
    }
}

type LineError = (Place, String);

fn locate(tokens: &[Token], error: &BadLine) -> LineError {
    let place = match error.at {
        Some(at) => tokens.get(at.argument).map(|token| token.place(at.offset)),
        // Something is missing: the end of the line is where it should be.
        None => tokens.last().map(Token::end),
    };
    (place.unwrap_or(Place { line: 1, column: 1 }), error.message.clone())
}

#[cfg(test)]
mod tests;
