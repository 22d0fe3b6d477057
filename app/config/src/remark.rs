//! What is wrong in a file, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::secret::SecretError;

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
pub enum FileError {
    /// It cannot be read.
    Io(PathBuf, io::Error),
    /// It holds secrets, and cannot be taken for that.
    Secret(SecretError),
    /// Lines in it are wrong.
    Lines(Vec<Remark>),
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.place.line {
            // Of a file without lines, or of a folder.
            0 => write!(f, "{file}: {}", self.message),
            line => write!(f, "{file}:{line}:{}: {}", self.place.column, self.message),
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileError::Io(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            FileError::Secret(error) => error.fmt(f),
            FileError::Lines(remarks) => {
                let lines: Vec<String> = remarks.iter().map(ToString::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}

impl std::error::Error for FileError {}
