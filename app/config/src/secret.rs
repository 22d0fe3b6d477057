//! Keys in files that only their owner can read: pre-shared ones, and those of SAs that are keyed by hand.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ravelin_types::Secret;

/// The longest key that is read; IKE sets no bound, and nothing longer is of use.
const MAX_LEN: usize = 1024;

/// Why a key cannot be taken from its file.
#[derive(Debug)]
pub enum SecretError {
    /// The file cannot be read.
    Io(PathBuf, io::Error),
    /// Not a regular file.
    NotAFile(PathBuf),
    /// Others than the owner can read or change it.
    Exposed(PathBuf, u32),
    /// It belongs to another user, who can read it.
    Foreign(PathBuf, u32),
    /// Nothing is in it.
    Empty(PathBuf),
    /// Too much is in it.
    TooLong(PathBuf, usize),
}

/// Reads a key: the bytes of the file without one trailing line end. The checks are made on the file that was opened,
/// so it cannot be exchanged in between.
///
/// # Errors
/// When others than root and the user of this process can read it, or there is nothing in it.
pub fn read(path: &Path) -> Result<Secret, SecretError> {
    let mut bytes = open(path, Protection::Required)?.bytes(path, MAX_LEN + 2)?;
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    let secret = Secret::new(bytes);
    match secret.len() {
        0 => Err(SecretError::Empty(path.to_owned())),
        len if len > MAX_LEN => Err(SecretError::TooLong(path.to_owned(), MAX_LEN)),
        _ => Ok(secret),
    }
}

/// Reads a file with a secret in it as it is, up to `max` bytes.
///
/// # Errors
/// As [`read`].
pub fn read_protected(path: &Path, max: usize) -> Result<Secret, SecretError> {
    open(path, Protection::Required)?.whole(path, max)
}

/// Reads a file that others may read as well, up to `max` bytes.
///
/// # Errors
/// As [`read`], but for what others can do.
pub fn read_open(path: &Path, max: usize) -> Result<Secret, SecretError> {
    open(path, Protection::None)?.whole(path, max)
}

/// Whether only root and the user of this process can read the file.
///
/// # Errors
/// When others can.
pub fn check(path: &Path) -> Result<(), SecretError> {
    open(path, Protection::Required).map(drop)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protection {
    Required,
    None,
}

struct Opened(File);

impl Opened {
    /// At most one byte more than `max`, in one piece of memory: no part of a key is left behind in memory that was given
    /// back.
    fn bytes(self, path: &Path, max: usize) -> Result<Vec<u8>, SecretError> {
        let io_error = |error| SecretError::Io(path.to_owned(), error);
        let len = usize::try_from(self.0.metadata().map_err(io_error)?.len()).unwrap_or(usize::MAX);
        let mut bytes = Vec::with_capacity(len.min(max) + 2);
        self.0.take(max as u64 + 1).read_to_end(&mut bytes).map_err(io_error)?;
        Ok(bytes)
    }

    fn whole(self, path: &Path, max: usize) -> Result<Secret, SecretError> {
        let bytes = Secret::new(self.bytes(path, max)?);
        match bytes.len() {
            0 => Err(SecretError::Empty(path.to_owned())),
            len if len > max => Err(SecretError::TooLong(path.to_owned(), max)),
            _ => Ok(bytes),
        }
    }
}

fn open(path: &Path, protection: Protection) -> Result<Opened, SecretError> {
    let io_error = |error| SecretError::Io(path.to_owned(), error);
    // Without O_NONBLOCK, a FIFO in this place would hold up the daemon.
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC;
    let descriptor =
        rustix::fs::open(path, flags, rustix::fs::Mode::empty()).map_err(|errno| io_error(errno.into()))?;
    let file = File::from(descriptor);
    let metadata = file.metadata().map_err(io_error)?;
    if !metadata.is_file() {
        return Err(SecretError::NotAFile(path.to_owned()));
    }
    if protection == Protection::None {
        return Ok(Opened(file));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(SecretError::Exposed(path.to_owned(), metadata.mode() & 0o7777));
    }
    if metadata.uid() != 0 && metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(SecretError::Foreign(path.to_owned(), metadata.uid()));
    }
    Ok(Opened(file))
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretError::Io(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            SecretError::NotAFile(path) => {
                write!(f, "{} is not a file: expected one that holds the key", path.display())
            }
            SecretError::Exposed(path, mode) => write!(
                f,
                "others can read or change the key in {path} (mode {mode:04o}); mend it: chmod 600 {path}",
                path = path.display()
            ),
            SecretError::Foreign(path, uid) => {
                write!(f, "the key in {path} belongs to user {uid}; mend it: chown root {path}", path = path.display())
            }
            SecretError::Empty(path) => write!(f, "{} is empty: expected the key in it", path.display()),
            SecretError::TooLong(path, max) => {
                write!(f, "{} is longer than {max} bytes", path.display())
            }
        }
    }
}

impl std::error::Error for SecretError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn file(name: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = std::env::temp_dir().join(format!("ravelin-secret-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn read_once(name: &str, content: &[u8], mode: u32) -> Result<Vec<u8>, String> {
        let path = file(name, content, mode);
        let result = read(&path).map(|secret| secret.expose().to_vec()).map_err(|error| error.to_string());
        fs::remove_file(path).unwrap();
        result
    }

    #[test]
    fn one_line_end_is_stripped() {
        assert_eq!(read_once("lf", b"secret\n", 0o600), Ok(b"secret".to_vec()));
        assert_eq!(read_once("crlf", b"secret\r\n", 0o400), Ok(b"secret".to_vec()));
        assert_eq!(read_once("two", b"secret\n\n", 0o600), Ok(b"secret\n".to_vec()));
        assert_eq!(read_once("bytes", b"\x00\xff", 0o600), Ok(b"\x00\xff".to_vec()));
    }

    #[test]
    fn what_others_can_read_is_refused_with_the_command_that_mends_it() {
        for mode in [0o644, 0o640, 0o604, 0o620] {
            let error = read_once("open", b"secret", mode).unwrap_err();
            assert!(error.contains("mend it: chmod 600 /"), "{error}");
            assert!(!error.contains("secret\""), "{error}");
        }
    }

    #[test]
    fn empty_and_overlong_keys_are_refused() {
        assert!(read_once("empty", b"\n", 0o600).unwrap_err().contains("is empty"));
        assert!(read_once("long", &[b'x'; 1025], 0o600).unwrap_err().contains("longer"));
        assert!(read_once("limit", &[b'x'; 1024], 0o600).is_ok());
        assert!(read(Path::new("/nonexistent/psk")).unwrap_err().to_string().contains("/nonexistent/psk"));
        assert!(matches!(read(Path::new("/")), Err(SecretError::NotAFile(_))));
    }
}
