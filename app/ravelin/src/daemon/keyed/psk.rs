//! The PSK manager of document 000 inside the daemon: accounts become policies and remotes, and a file says which process
//! holds them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ravelin_config::Model;
use ravelin_config::account::{self, Account, Common, Keys};
use ravelin_manage::Keying;
use ravelin_types::dataplane::Flow;

use super::statics::Statics;

/// Bytes of the journal; then it begins anew.
const JOURNAL_BYTES: u64 = 1 << 20;

/// What `ravelin psk start` was given.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// What all accounts share.
    pub common: Common,
    accounts: Vec<Account>,
    server: bool,
}

impl Accounts {
    /// Reads the files. `server`: the command line or the environment says so, too.
    ///
    /// # Errors
    /// File, line and what is wrong.
    pub fn read(common: &Path, accounts: &[PathBuf], server: bool) -> Result<Self> {
        let common = Common::read(common)?;
        let accounts = account::read_all(accounts)?;
        let server = server || common.server;
        Ok(Accounts { common, accounts, server })
    }

    /// Adds what they need to the model. Those whose keys are static are given back, by their policies.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn add_to(&self, model: &mut Model) -> Result<Statics> {
        let (statics, fresh): (Vec<&Account>, Vec<&Account>) =
            self.accounts.iter().partition(|account| account.keys == Keys::Static);
        model.add_accounts(&fresh, self.server)?;
        let places = account::places(&statics);
        let keying = Keying::Program { manual: true, ah: false, esp: true };
        let mut by_policy = BTreeMap::new();
        for account in statics {
            let shared = self.server && places.get(&(account.server, account.protocol, account.port)) > Some(&1);
            let id = model.add_keyed(account.static_policy(self.server, shared), keying, None)?;
            by_policy.insert(id, account.clone());
            let name = &account.name;
            tracing::warn!("{name}: KEYS=static has one key for ever, no check for replays, and no forward secrecy");
            if account.mac.is_none() {
                tracing::warn!("{name}: without AUTH_ALG anybody on the way can change what is sent (RFC 8221 §4)");
            }
            if shared {
                tracing::info!("{name}: answers find their login by the mark: net.ipv4.tcp_fwmark_accept must be 1");
            }
        }
        for account in &self.accounts {
            let role = if self.server { "serves" } else { "reaches" };
            tracing::info!("the login {:#010x} of {} {role} {}", account.login.0, account.name, account.service());
        }
        Ok(Statics::new(by_policy, self.server))
    }
}

/// `MONITOR_JOURNAL`: a line for each packet that asked for an SA, as document 000's monitor kept them for its managers. Here
/// it is for people alone: what it says has been acted on already.
pub struct Journal {
    path: PathBuf,
    file: fs::File,
    written: u64,
}

impl Journal {
    /// Opens the file, which begins anew: the one of the run before it is gone.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Journal { path: path.to_owned(), file: create(path, 0o600)?, written: 0 })
    }

    /// Adds a line. One that cannot be written is told of, and the connection goes on.
    pub fn acquired(&mut self, account: &str, flow: &Flow) {
        let line = format!("acquire {flow} for {account}\n");
        if self.written > JOURNAL_BYTES {
            // Whoever makes connections does not fill the disk.
            match create(&self.path, 0o600) {
                Ok(file) => (self.file, self.written) = (file, 0),
                Err(error) => return tracing::warn!("the journal stays as it is: {error:#}"),
            }
        }
        match self.file.write_all(line.as_bytes()) {
            Ok(()) => self.written += line.len() as u64,
            Err(error) => tracing::warn!("{} is not written: {error}", self.path.display()),
        }
    }
}

/// Makes a file anew. It may stand in a folder where others write, so it is never followed elsewhere.
fn create(path: &Path, mode: u32) -> Result<fs::File> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot replace {}", path.display())),
    }
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(path);
    file.with_context(|| format!("cannot make {}", path.display()))
}

/// `MONITOR_PID`: holds the number of this process while it exists.
pub struct PidFile(PathBuf);

impl PidFile {
    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be made, or its process lives.
    pub fn write(path: &Path) -> Result<Self> {
        if let Some(pid) = running(path) {
            bail!("{} names process {pid}, which lives: end it with `ravelin psk stop`", path.display());
        }
        let written = create(path, 0o644).and_then(|mut file| Ok(writeln!(file, "{}", std::process::id())?));
        written.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(PidFile(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!("{} stays: {error}", self.0.display());
        }
    }
}

/// The process that a file names, if it lives and is a manager.
pub fn running(path: &Path) -> Option<u32> {
    let pid: u32 = fs::read_to_string(path).ok()?.trim().parse().ok()?;
    // The number may be another program's by now.
    let program = |pid: &str| fs::read_link(format!("/proc/{pid}/exe")).ok()?.file_name().map(ToOwned::to_owned);
    (program(&pid.to_string())? == program("self")?).then_some(pid)
}
