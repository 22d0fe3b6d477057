//! The file.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ravelin_types::record::{Record, Store, StoreError, SystemChange};
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::codec::{self, MAGIC, Next};

/// The longest log that is read; one that is longer was not written by us.
const MAX_FILE: u64 = 64 << 20;

/// An append-only log in one file, open for one process at a time.
///
/// A record is on the disk when `append` returns. A record that was being written when the machine stopped is left
/// out; damage anywhere else is an error that names the file and the offset. When every change in the log was
/// undone, opening the file empties it.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    file: File,
    /// Length up to the end of the last whole record.
    end: u64,
}

impl FileStore {
    /// Opens the log, or makes it with mode 0600. Its folder must exist.
    ///
    /// # Errors
    /// When another process has it open, when it cannot be read or written, when it is damaged before its end.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref().to_path_buf();
        let made = !path.exists();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
            .open(&path)
            .map_err(|error| failed("open", &path, error))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => {
                return Err(StoreError(format!(
                    "{} is in use by another ravelin daemon: end that one, or give each a --state-dir of its own",
                    path.display()
                )));
            }
            other => other.map_err(|error| failed("lock", &path, error))?,
        }
        file.set_permissions(Permissions::from_mode(0o600)).map_err(|error| failed("set the mode of", &path, error))?;
        if made && let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            // The name of a new file is durable only when its folder is.
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed("sync", folder, error))?;
        }
        let mut store = FileStore { path, file, end: 0 };
        store.recover()?;
        Ok(store)
    }

    /// Cuts off a torn end, and everything when nothing in the log is outstanding.
    fn recover(&mut self) -> Result<(), StoreError> {
        let bytes = self.read()?;
        if bytes.len() < MAGIC.len() && MAGIC.starts_with(&bytes) || bytes.iter().all(|&byte| byte == 0) {
            self.cut(0)?;
            return self.write(MAGIC);
        }
        let mut outstanding: BTreeSet<SystemChange> = BTreeSet::new();
        let end = self.walk(&bytes, &mut |record| match record {
            Record::Changing(change) => {
                outstanding.insert(change);
            }
            Record::Undone(change) => {
                outstanding.remove(&change);
            }
        })?;
        let keep = if outstanding.is_empty() { MAGIC.len() } else { end };
        if keep < bytes.len() {
            self.cut(keep as u64)?;
        }
        self.end = keep as u64;
        Ok(())
    }

    /// Hands each record of `bytes` to `each` and returns where the last whole one ends.
    fn walk(&self, bytes: &[u8], each: &mut dyn FnMut(Record)) -> Result<usize, StoreError> {
        let damaged = |at: usize, what: &str| {
            let path = self.path.display();
            StoreError(format!("{path} is damaged at offset {at}: {what}; move the file away to start without it"))
        };
        if !bytes.starts_with(MAGIC) {
            return Err(damaged(0, "this is not a log of this version of ravelin"));
        }
        let mut at = MAGIC.len();
        loop {
            match codec::decode(&bytes[at..]) {
                Next::Record(record, length) => {
                    each(record);
                    at += length;
                }
                Next::End | Next::Torn => return Ok(at),
                Next::Damaged(what) => return Err(damaged(at, what)),
            }
        }
    }

    fn read(&mut self) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        self.file
            .rewind()
            .and_then(|()| (&self.file).take(MAX_FILE + 1).read_to_end(&mut bytes))
            .map_err(|error| failed("read", &self.path, error))?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(StoreError(format!("{} is longer than any log of ravelin", self.path.display())));
        }
        Ok(bytes)
    }

    /// Writes at the end and waits until it is on the disk. On an error the file ends where it ended before.
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let written = self
            .file
            .seek(SeekFrom::Start(self.end))
            .and_then(|_| self.file.write_all(bytes))
            .and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.end += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                // Should this fail too, the half record is the torn end that the next start leaves out.
                let _ = self.file.set_len(self.end);
                Err(failed("write", &self.path, error))
            }
        }
    }

    fn cut(&mut self, length: u64) -> Result<(), StoreError> {
        self.file
            .set_len(length)
            .and_then(|()| self.file.sync_data())
            .map_err(|error| failed("shorten", &self.path, error))
    }
}

impl Store for FileStore {
    fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        let bytes = codec::encode(record)
            .ok_or_else(|| StoreError(format!("a name is longer than {} takes: {record:?}", self.path.display())))?;
        self.write(&bytes)
    }

    fn load(&mut self, each: &mut dyn FnMut(Record)) -> Result<(), StoreError> {
        let bytes = self.read()?;
        self.walk(&bytes, each).map(|_| ())
    }
}

fn failed(what: &str, path: &Path, error: impl Display) -> StoreError {
    StoreError(format!("cannot {what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
