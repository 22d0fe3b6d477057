//! Keys given by hand: hexadecimal digits, or a file that holds them.

use std::path::{Path, PathBuf};

use ravelin_types::Secret;

use super::BadValue;
use crate::secret::{self, SecretError};

/// The longest key: more than any algorithm takes.
const MAX_LEN: usize = 128;

/// Where a key is.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// Here.
    Hex(Secret),
    /// In a file that only its owner can read, as hexadecimal digits.
    File(PathBuf),
}

/// `0123456789abcdef...`, with or without `0x` in front, or `file:PATH`.
///
/// # Errors
/// When it is neither.
pub fn key(text: &str) -> Result<KeySource, BadValue> {
    match text.strip_prefix("file:") {
        Some("") => Err(BadValue::at(5, "expected the path of a file")),
        Some(path) => Ok(KeySource::File(path.into())),
        None => hex(text).map(KeySource::Hex),
    }
}

impl KeySource {
    /// The key; its file is sought in `directory` unless its path is absolute.
    ///
    /// # Errors
    /// When the file cannot be had, or holds something else.
    pub fn read(&self, directory: &Path) -> Result<Secret, KeyError> {
        match self {
            KeySource::Hex(secret) => Ok(secret.clone()),
            KeySource::File(path) => {
                let path = directory.join(path);
                let content = secret::read(&path).map_err(KeyError::Secret)?;
                let text = std::str::from_utf8(content.expose()).unwrap_or_default();
                hex(text.trim()).map_err(|error| KeyError::NotHex(path, error.message))
            }
        }
    }
}

/// Why a key cannot be taken from its file.
#[derive(Debug)]
pub enum KeyError {
    /// The file cannot be had.
    Secret(SecretError),
    /// It holds something else.
    NotHex(PathBuf, String),
}

impl std::fmt::Display for KeyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            KeyError::Secret(error) => error.fmt(f),
            KeyError::NotHex(path, why) => write!(f, "the key in {} cannot be taken: {why}", path.display()),
        }
    }
}

/// The message never repeats the digits: they are a key.
fn hex(text: &str) -> Result<Secret, BadValue> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.is_empty() || !digits.len().is_multiple_of(2) || digits.len() > 2 * MAX_LEN {
        return Err(BadValue::new("expected an even number of hexadecimal digits, at most 256, or file:PATH"));
    }
    let mut key = Vec::with_capacity(digits.len() / 2);
    for pair in digits.as_bytes().chunks_exact(2) {
        let nibble = |digit: u8| char::from(digit).to_digit(16);
        match pair {
            [high, low] if let (Some(high), Some(low)) = (nibble(*high), nibble(*low)) => {
                key.push((high << 4 | low) as u8);
            }
            _ => return Err(BadValue::new("a key is made of hexadecimal digits; or write file:PATH")),
        }
    }
    Ok(Secret::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_digits_or_files() {
        for text in ["0x00ff10AB", "00ff10ab"] {
            let Ok(KeySource::Hex(secret)) = key(text) else { panic!("{text}") };
            assert_eq!(secret.expose(), [0, 0xff, 0x10, 0xab]);
        }
        assert!(matches!(key("file:key.hex"), Ok(KeySource::File(path)) if path == Path::new("key.hex")));
        for text in ["", "0x", "abc", "zz", "file:", &"00".repeat(129), "+1"] {
            assert!(key(text).is_err(), "{text}");
        }
    }
}
