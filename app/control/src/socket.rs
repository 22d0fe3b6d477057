//! The listening socket: one daemon per path, a stale file of a killed one replaced.
//!
//! A lock file beside the socket, held for the life of the daemon, decides who may listen; the kernel lets go of it
//! when the daemon dies, however it dies.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// A listening socket and the lock that makes it ours; both files go when this is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    pub(crate) listener: UnixListener,
    path: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

/// Why the socket cannot be had.
#[derive(Debug)]
pub enum BindError {
    /// Another daemon has it; its process number when it told.
    InUse {
        /// The socket.
        path: PathBuf,
        /// Who has it.
        pid: Option<u32>,
    },
    /// Something that is not a socket is in the way.
    NotASocket(PathBuf),
    /// The system said no.
    Io(PathBuf, io::Error),
}

impl ControlSocket {
    /// Listens at `path`; its directory is made when it is missing.
    ///
    /// # Errors
    /// When another daemon listens there, something else is in the way, or the system refuses.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let io_error = |error| BindError::Io(path.to_owned(), error);
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            fs::create_dir_all(directory).map_err(|error| BindError::Io(directory.to_owned(), error))?;
        }
        let mut lock_name = path.as_os_str().to_owned();
        lock_name.push(".lock");
        let lock_path = PathBuf::from(lock_name);
        let mut lock = lock_file(&lock_path, path)?;
        lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(io_error)?;
        // With the lock ours, a socket that is still there belongs to a daemon that was killed.
        match fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => fs::remove_file(path).map_err(io_error)?,
            Ok(_) => return Err(BindError::NotASocket(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io_error(error)),
        }
        let listener = UnixListener::bind(path).map_err(io_error)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(io_error)?;
        listener.set_nonblocking(true).map_err(io_error)?;
        Ok(ControlSocket { listener, path: path.to_owned(), lock_path, _lock: lock })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Nothing more can be done about a file that cannot be removed; the next start replaces it.
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(&self.lock_path);
    }
}

/// Opens and locks the lock file. A daemon that ends removes it, so the file that was locked may be gone from its
/// path by then; only a lock on the file that is at the path counts.
fn lock_file(lock_path: &Path, socket: &Path) -> Result<File, BindError> {
    let io_error = |error| BindError::Io(lock_path.to_owned(), error);
    loop {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            // In a folder of others, the file of somebody else must not be written to by way of a link.
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
            .open(lock_path)
            .map_err(io_error)?;
        if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error == rustix::io::Errno::WOULDBLOCK {
                let mut text = String::new();
                let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(BindError::InUse { path: socket.to_owned(), pid });
            }
            return Err(io_error(error.into()));
        }
        let ours = file.metadata().map_err(io_error)?;
        match fs::metadata(lock_path) {
            Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => return Ok(file),
            _ => continue,
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BindError::InUse { path, pid } => {
                write!(f, "another daemon")?;
                if let Some(pid) = pid {
                    write!(f, " (process {pid})")?;
                }
                write!(f, " listens on {}; stop it, or choose another socket with --socket", path.display())
            }
            BindError::NotASocket(path) => {
                write!(f, "{} is in the way and is not a socket; remove it or choose another", path.display())
            }
            BindError::Io(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for BindError {}
