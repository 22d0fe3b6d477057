//! The PSK manager of document 000 inside the daemon: accounts become policies and remotes, and a file says which process
//! holds them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ravelin_config::Model;
use ravelin_config::account::{self, Account, Common, Keys};

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
        if let Some(account) = accounts.iter().find(|account| account.keys == Keys::Static) {
            bail!(
                "{}: KEYS=static is not there yet; leave it out for keys that are fresh with every connection",
                account.name
            );
        }
        let server = server || common.server;
        Ok(Accounts { common, accounts, server })
    }

    /// Adds what they need to the model.
    ///
    /// # Errors
    /// When a name is taken.
    pub fn add_to(&self, model: &mut Model) -> Result<()> {
        let accounts: Vec<&Account> = self.accounts.iter().collect();
        model.add_accounts(&accounts, self.server)?;
        for account in accounts {
            let role = if self.server { "serves" } else { "reaches" };
            tracing::info!("the login {:#010x} of {} {role} {}", account.login.0, account.name, account.service());
        }
        Ok(())
    }
}

/// `MONITOR_PID`: holds the number of this process while it exists.
pub struct PidFile(PathBuf);

impl PidFile {
    /// Writes the file. It may stand in a folder where others write, so it is made anew and never followed elsewhere.
    ///
    /// # Errors
    /// When it cannot be made, or its process lives.
    pub fn write(path: &Path) -> Result<Self> {
        if let Some(pid) = running(path) {
            bail!("{} names process {pid}, which lives: end it with `ravelin psk stop`", path.display());
        }
        match fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot replace {}", path.display())),
        }
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o644).open(path);
        let written = file.and_then(|mut file| writeln!(file, "{}", std::process::id()));
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
