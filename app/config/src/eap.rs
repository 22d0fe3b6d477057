//! Passwords of EAP, in files and among secrets.

use std::path::Path;

use ravelin_eap::{Account, Accounts};

use crate::remark::{FileError, Remark};
use crate::secret;
use crate::spec::{SecretKind, SharedSecret};
use crate::swanctl::ipsec_conf;
use crate::swanctl::reader::Problems;
use crate::swanctl::secrets;

/// Bytes of a file with passwords: some ten thousand users.
const MAX_FILE: usize = 1024 * 1024;

/// The passwords among secrets.
pub fn accounts<'a>(secrets: impl Iterator<Item = &'a SharedSecret>) -> Accounts {
    let passwords = secrets.filter(|secret| secret.kind == SecretKind::Password);
    let account =
        |secret: &SharedSecret| Account { owners: secret.names().cloned().collect(), password: secret.secret.clone() };
    Accounts(passwords.map(account).collect())
}

/// The passwords of a file in the form of `ipsec.secrets`: `carol : EAP "her password"`, one user a line.
///
/// # Errors
/// When it cannot be read, others can read it, or something in it is wrong.
pub fn read_accounts(path: &Path) -> Result<Accounts, FileError> {
    let other = |what: String| FileError::Io(path.to_owned(), std::io::Error::other(what));
    let bytes = secret::read_protected(path, MAX_FILE).map_err(FileError::Secret)?;
    let text = std::str::from_utf8(bytes.expose()).map_err(|_| other("expected UTF-8".to_owned()))?;
    let mut problems = Problems::default();
    let section = ipsec_conf::secrets(text, path, &mut problems);
    let secrets = secrets::read(&section, &mut problems);
    let accounts = accounts(secrets.iter());
    if problems.0.is_empty() && accounts.0.is_empty() {
        return Err(other("no user is in it; a line is: carol : EAP \"her password\"".to_owned()));
    }
    let problems: Vec<Remark> = problems.0;
    if problems.is_empty() { Ok(accounts) } else { Err(FileError::Lines(problems)) }
}
