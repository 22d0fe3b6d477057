//! The keys of SAs as files, in the form of Wireshark's tables: only where the operator asked for them.
//!
//! The directory can be named to Wireshark as its own (`WIRESHARK_CONFIG_DIR`) and to `ravelin decode --keys`.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ravelin_decode::keys::TABLES;
use ravelin_decode::keys::written::TableLine;

/// The most that one file takes: what `ravelin decode` reads of one.
const MAX_FILE: u64 = 64 << 20;

/// The directory.
#[derive(Debug)]
pub struct KeyLog {
    directory: PathBuf,
    files: BTreeMap<&'static str, File>,
}

impl KeyLog {
    /// Makes the directory and its files where they are missing, for nobody else to read. Lines are added to what is there.
    ///
    /// # Errors
    /// When it cannot be made, or a file is a link or cannot be written.
    pub fn open(directory: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let mut files = BTreeMap::new();
        for table in TABLES {
            let mut options = OpenOptions::new();
            options.append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
            let file = options.open(directory.join(table))?;
            // It may have been there, readable by others.
            file.set_permissions(Permissions::from_mode(0o600))?;
            files.insert(table, file);
        }
        Ok(KeyLog { directory: directory.to_owned(), files })
    }

    /// Adds a line. A file that cannot be written is left alone from then on, which is said once: IKE goes on.
    pub fn add(&mut self, line: &TableLine) {
        let Some(file) = self.files.get_mut(line.table) else { return };
        let written = file.metadata().and_then(|metadata| match metadata.len() < MAX_FILE {
            // One write: whoever reads meanwhile sees whole lines.
            true => file.write_all(&[line.text.expose(), b"\n"].concat()),
            false => Err(io::Error::other(format!("it has {MAX_FILE} bytes already"))),
        });
        if let Err(error) = written {
            let path = self.directory.join(line.table);
            tracing::warn!("no more keys are written to {}: {error}", path.display());
            self.files.remove(line.table);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ravelin_decode::keys::{ESP_TABLE, IKEV1_TABLE, written};
    use ravelin_types::{IkeSpi, Secret};

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("ravelin-keylog-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        directory
    }

    #[test]
    fn keys_are_written_for_nobody_else_to_read() {
        let directory = scratch("mode");
        fs::create_dir_all(&directory).unwrap();
        // What was there stays, and is closed to others.
        fs::write(directory.join(IKEV1_TABLE), "0102030405060708,aa\n").unwrap();
        fs::set_permissions(directory.join(IKEV1_TABLE), Permissions::from_mode(0o644)).unwrap();
        let mut log = KeyLog::open(&directory).unwrap();
        log.add(&written::ikev1(IkeSpi(0x11), &Secret::new(vec![0xbb])));
        let text = fs::read_to_string(directory.join(IKEV1_TABLE)).unwrap();
        assert_eq!(text, "0102030405060708,aa\n0000000000000011,bb\n");
        for table in TABLES {
            assert_eq!(fs::metadata(directory.join(table)).unwrap().permissions().mode() & 0o777, 0o600, "{table}");
        }
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_link_in_the_place_of_a_file_is_not_followed() {
        let directory = scratch("link");
        fs::create_dir_all(&directory).unwrap();
        std::os::unix::fs::symlink(directory.join("elsewhere"), directory.join(ESP_TABLE)).unwrap();
        assert!(KeyLog::open(&directory).is_err());
        assert!(!directory.join("elsewhere").exists());
        fs::remove_dir_all(&directory).unwrap();
    }
}
