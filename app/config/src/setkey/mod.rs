//! The language of setkey(8): a script of statements, each of one SA or one policy of one direction.
//!
//! ```text
//! add|get|delete [-46n] src dst esp|ah spi [-m mode] [-u id] [-r size] [-f pad] [-lh|-ls seconds] [-bh|-bs bytes]
//!     [-E cipher key] [-A algorithm key] ;
//! deleteall [-46n] src dst esp|ah ;        flush [esp|ah] ;        dump [esp|ah] ;
//! spdadd|spdupdate [-46n] src/bits[port] dst/bits[port] upper [type,code] -P out|in|fwd
//!     discard | none | ipsec esp|ah/transport|tunnel/src-dst/level ... ;
//! spddelete ... -P out|in|fwd ;            spdflush ;              spddump ;
//! ```
//! This module only reads; [`crate::model::setkey`] says what the statements come to. What a script can ask for and
//! Ravelin has not is refused by name, with its place. Keys are never repeated in a message.

mod names;
mod sa;
mod spd;
mod token;
pub mod written;

use std::path::{Path, PathBuf};

use ravelin_types::options::SaOptions;

pub use self::names::{encr_word, integ_word, upper_word};
use self::token::Words;
use crate::command::{ScriptSource, SetkeyJob};
use crate::remark::{FileError, Place, Remark};
use crate::secret;
use crate::spec::setkey::{Asked, Statement};
use crate::value::did_you_mean;

/// The longest script.
pub const MAX_LEN: usize = 256 * 1024;
/// Statements in a script.
const MAX_STATEMENTS: usize = 8192;
/// Errors beyond this many are not collected.
const MAX_ERRORS: usize = 20;
/// Of both, SAs and policies.
const NO_LABELS: &str = "-ctx is refused: labels of a security module are not supported";

/// What is wrong, and where.
type Fault = (Place, String);

/// A script that was read.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its name for messages.
    pub file: PathBuf,
    /// In their order.
    pub statements: Vec<Statement>,
}

const WORDS: [&str; 11] =
    ["add", "get", "delete", "deleteall", "flush", "dump", "spdadd", "spdupdate", "spddelete", "spdflush", "spddump"];

/// Reads the script of a command; `input` is what came with it.
///
/// # Errors
/// When it cannot be read, or a statement is wrong.
pub fn of(job: &SetkeyJob, input: Option<&str>) -> Result<Script, FileError> {
    let (input_name, own_name) = (Path::new("stdin"), Path::new("setkey"));
    match (&job.source, input) {
        (ScriptSource::File(path), _) => load(path, job.options),
        (ScriptSource::Input, Some(text)) => parse(text, input_name, job.options),
        (ScriptSource::Input, None) => Err(whole(input_name, "there is no standard input here; use -f FILE")),
        (ScriptSource::Text(text), _) => parse(text, own_name, job.options),
    }
}

/// A file as a whole is wrong.
fn whole(file: &Path, message: impl Into<String>) -> FileError {
    let place = Place { line: 0, column: 0 };
    FileError::Lines(vec![Remark { file: file.to_owned(), place, message: message.into() }])
}

/// Reads a file. One with keys in it must be readable by its owner alone.
fn load(path: &Path, options: SaOptions) -> Result<Script, FileError> {
    let bytes = secret::read_open(path, MAX_LEN).map_err(|error| whole(path, error.to_string()))?;
    let text = std::str::from_utf8(bytes.expose()).map_err(|_| whole(path, "not UTF-8 text"))?;
    let script = parse(text, path, options)?;
    if script.statements.iter().any(|statement| matches!(statement.what, Asked::Add(_))) {
        secret::check(path).map_err(|error| whole(path, error.to_string()))?;
    }
    Ok(script)
}

/// Reads a script; `file` is its name for messages, `options` says how packets of its SAs are carried.
///
/// # Errors
/// What is wrong with its statements, up to a bound.
pub fn parse(text: &str, file: &Path, options: SaOptions) -> Result<Script, FileError> {
    let remark = |(place, message)| Remark { file: file.to_owned(), place, message };
    if text.len() > MAX_LEN {
        let why = format!("longer than {MAX_LEN} bytes, which no script is");
        return Err(FileError::Lines(vec![remark((Place { line: 1, column: 1 }, why))]));
    }
    let mut script = Script { file: file.to_owned(), statements: Vec::new() };
    let mut errors = Vec::new();
    for words in token::statements(text) {
        let begin = words.as_ref().map_or_else(|(place, _)| *place, Words::begin);
        if script.statements.len() == MAX_STATEMENTS {
            errors.push(remark((begin, format!("more than {MAX_STATEMENTS} statements"))));
            break;
        }
        match words.and_then(|words| statement(words, options)) {
            Ok(Some(what)) => script.statements.push(Statement { place: begin, what }),
            Ok(None) => break,
            Err(fault) => errors.push(remark(fault)),
        }
        if errors.len() >= MAX_ERRORS {
            break;
        }
    }
    if errors.is_empty() { Ok(script) } else { Err(FileError::Lines(errors)) }
}

/// One statement; `None` ends the script.
fn statement(mut words: Words<'_>, options: SaOptions) -> Result<Option<Asked>, Fault> {
    let verb = words.next("a statement")?;
    let what = match verb.text {
        "add" => Asked::Add(Box::new(sa::add(&mut words, verb.place, options)?)),
        "get" => Asked::Get(sa::name(&mut words)?),
        "delete" => Asked::Delete(sa::name(&mut words)?),
        "deleteall" => {
            let (src, dst) = sa::ends(&mut words)?;
            Asked::DeleteAll(src, dst, sa::protocol(&mut words)?)
        }
        "flush" => Asked::Flush(sa::any_protocol(&mut words)?),
        "dump" => Asked::Dump(sa::any_protocol(&mut words)?),
        "spdadd" => Asked::AddEntry(Box::new(spd::entry(&mut words, verb.place)?)),
        "spdupdate" => Asked::UpdateEntry(Box::new(spd::entry(&mut words, verb.place)?)),
        "spddelete" => Asked::DeleteEntry(spd::about(&mut words)?),
        "spdflush" => Asked::FlushEntries,
        "spddump" => Asked::DumpEntries,
        "exit" | "quit" | "bye" => {
            words.finish()?;
            return Ok(None);
        }
        "update" => {
            return Err(verb.fault("update is refused: an SA has its keys from the start; delete it and add it"));
        }
        "getspi" => {
            return Err(verb.fault("getspi is refused: it is for a keying program, which has the keying socket here"));
        }
        other => {
            let near = did_you_mean(other, WORDS);
            return Err(verb.fault(format!("`{other}` is no statement; expected {}{near}", WORDS.join(", "))));
        }
    };
    words.finish()?;
    Ok(Some(what))
}

#[cfg(test)]
mod tests;
