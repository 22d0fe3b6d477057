//! The secret of the tokens by which peers learn at once that this host lost its IKE SAs (RFC 6290 §5.1): a file beside the
//! journal, made by the first daemon that finds none and the same ever after.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use ravelin_crypto::SecureRandom;
use ravelin_types::Secret;
use rustix::fs::OFlags;

/// The file, and what it is called until it is whole.
const NAME: &str = "crash-secret";
const NEW: &str = "crash-secret.new";
/// Its octets (RFC 6290 §5.1).
const LEN: usize = 32;

/// The secret in the state directory.
///
/// # Errors
/// When it cannot be read or made, or is not the daemon's alone.
pub fn load(directory: &Path, random: &mut dyn SecureRandom) -> Result<Secret> {
    let path = directory.join(NAME);
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(&path);
    match file {
        Ok(file) => read(file).with_context(|| format!("{} is not used; delete it for a new one", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(directory, random).with_context(|| format!("cannot make {}", path.display()))
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn read(file: File) -> Result<Secret> {
    let about = file.metadata()?;
    ensure!(about.is_file(), "it is no file");
    ensure!(about.uid() == rustix::process::geteuid().as_raw(), "it is another user's");
    ensure!(about.mode() & 0o077 == 0, "others may read or write it, so they could end our peers' IKE SAs");
    // One more than there should be; what is read never moves.
    let mut octets = Vec::with_capacity(LEN + 1);
    file.take(LEN as u64 + 1).read_to_end(&mut octets)?;
    let secret = Secret::new(octets);
    match secret.len() {
        LEN => Ok(secret),
        len => bail!("it has {len} octets or more, not {LEN}"),
    }
}

/// A reader finds all of it or nothing, and so does the next start after a loss of power.
fn make(directory: &Path, random: &mut dyn SecureRandom) -> Result<Secret> {
    let mut octets = vec![0; LEN];
    random.fill(&mut octets);
    let secret = Secret::new(octets);
    let new = directory.join(NEW);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(secret.expose())?;
    file.sync_all()?;
    fs::rename(&new, directory.join(NAME))?;
    File::open(directory)?.sync_all()?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use ravelin_crypto_aws_lc::SystemRandom;

    use super::*;

    fn directory(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("ravelin-crash-secret-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir(&directory).unwrap();
        directory
    }

    fn why(directory: &Path) -> String {
        format!("{:#}", load(directory, &mut SystemRandom).unwrap_err())
    }

    #[test]
    fn it_is_made_once_and_nobody_elses() {
        let here = directory("once");
        // Somebody was interrupted.
        fs::write(here.join(NEW), b"half").unwrap();
        let first = load(&here, &mut SystemRandom).unwrap();
        assert_eq!((first.len(), fs::metadata(here.join(NAME)).unwrap().mode() & 0o777), (LEN, 0o600));
        assert_eq!(load(&here, &mut SystemRandom).unwrap().expose(), first.expose());
        assert!(!here.join(NEW).exists());
        fs::remove_file(here.join(NAME)).unwrap();
        assert_ne!(load(&here, &mut SystemRandom).unwrap().expose(), first.expose());
        fs::remove_dir_all(&here).unwrap();
    }

    #[test]
    fn what_others_may_read_or_is_no_secret_is_not_used() {
        let here = directory("bad");
        let path = here.join(NAME);
        assert!(why(&here.join("missing")).contains("cannot make"));
        for (octets, mode, words) in
            [(32, 0o640, "others may"), (31, 0o600, "31 octets"), (0, 0o600, "0 octets"), (4096, 0o600, "33 octets")]
        {
            fs::write(&path, vec![7; octets]).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let said = why(&here);
            assert!(said.contains(words) && said.contains("delete it"), "{said}");
        }
        fs::remove_file(&path).unwrap();
        fs::write(here.join("elsewhere"), [7; LEN]).unwrap();
        symlink("elsewhere", &path).unwrap();
        assert!(why(&here).contains("cannot read"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(why(&here).contains("no file"));
        fs::remove_dir_all(&here).unwrap();
    }
}
