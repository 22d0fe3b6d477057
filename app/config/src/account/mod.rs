//! The files of document 000's PSK manager: `common.conf`, and an `account.conf` for each login. The SPI is the login, the
//! key the password, for one address, protocol and port.
//!
//! ```text
//!   shell::assignments ─► Common, Account ─► model::accounts (IKE with the login as identity: the default)
//!                                        └─► statics     (the SAs that the original made: KEYS=static)
//! ```
//! The files are read as they are: assignments of a shell without its expansions. What the original lacks has names of its
//! own: `KEYS`, `AUTH_ALG`, `AUTH_PASSWORD`, `MODE`, `IDLE`, `LIFE`.

mod algorithm;
mod shell;
mod statics;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ravelin_types::policy::Mode;
use ravelin_types::transform::IntegId;
use ravelin_types::{Secret, Spi};

use crate::value::{did_you_mean, quantity};
use shell::Assignment;

pub use algorithm::{Cipher, Mac};
pub use statics::places;

/// The largest file that is read.
const MAX_FILE: u64 = 64 << 10;
/// Accounts of one manager.
pub const MAX_ACCOUNTS: usize = 10_000;

/// What is common to all accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Common {
    /// `MONITOR_PID`: where the running manager leaves the number of its process.
    pub pid: Option<PathBuf>,
    /// `MONITOR_JOURNAL`: where it writes down which packets asked for SAs.
    pub journal: Option<PathBuf>,
    /// `CLEAR_ONLY`: undo what an earlier manager left, and end.
    pub clear_only: bool,
    /// `SERVER`: the accounts' address is ours.
    pub server: bool,
}

/// Where the keys of an account's SAs come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// IKEv2, in which login and password prove both ends: fresh for every connection.
    Fresh,
    /// The password itself, as document 000 has it.
    Static,
}

/// A login at one address, protocol and port.
#[derive(Clone, Debug)]
pub struct Account {
    /// The name of its file, without the ending.
    pub name: String,
    /// `SRV_ADDR`
    pub server: IpAddr,
    /// `SRV_PROTO`, an IP protocol with ports.
    pub protocol: u8,
    /// `SRV_PORT`
    pub port: u16,
    /// `USER`: the login.
    pub login: Spi,
    /// `PASSWORD`
    pub password: Secret,
    /// `ENC_ALG`; `None`: what is best.
    pub cipher: Option<Cipher>,
    /// `AUTH_ALG`
    pub mac: Option<Mac>,
    /// `AUTH_PASSWORD`, of static keys.
    pub mac_key: Secret,
    /// `MODE`
    pub mode: Mode,
    /// `KEYS`
    pub keys: Keys,
    /// `IDLE`: SAs that carried nothing for so long are deleted: their connection or host may be gone without a word.
    pub idle: Duration,
    /// `LIFE`: the age at which fresh keys are replaced; `None`: as with every policy.
    pub life: Option<Duration>,
}

/// Why a file cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadAccount {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1; 0: the file as a whole.
    pub line: usize,
    /// What is wrong, and what to do.
    pub why: String,
}

impl fmt::Display for BadAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path.display(), self.why),
            line => write!(f, "{}:{line}: {}", self.path.display(), self.why),
        }
    }
}

impl std::error::Error for BadAccount {}

impl Common {
    /// Reads `common.conf`.
    ///
    /// # Errors
    /// File, line and what is wrong.
    pub fn read(path: &Path) -> Result<Self, BadAccount> {
        let mut common = Common::default();
        let text = read(path, false)?;
        each(path, text.expose(), |name, value| match name {
            "MONITOR_PID" => set(&mut common.pid, value.into()),
            "MONITOR_JOURNAL" => set(&mut common.journal, value.into()),
            "CLEAR_ONLY" => flag(value).map(|on| common.clear_only = on),
            "SERVER" => flag(value).map(|on| common.server = on),
            other => Err(unknown(other, &["MONITOR_PID", "MONITOR_JOURNAL", "CLEAR_ONLY", "SERVER"])),
        })?;
        Ok(common)
    }
}

/// What is known in an `account.conf`.
const NAMES: [&str; 12] = [
    "SRV_ADDR",
    "SRV_PROTO",
    "SRV_PORT",
    "USER",
    "PASSWORD",
    "ENC_ALG",
    "AUTH_ALG",
    "AUTH_PASSWORD",
    "MODE",
    "KEYS",
    "IDLE",
    "LIFE",
];

/// `IDLE` of an account that does not say.
const IDLE: Duration = Duration::from_secs(300);
/// The shortest `IDLE` and `LIFE`.
const SHORTEST: Duration = Duration::from_secs(5);
/// The longest.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl Account {
    /// Reads an `account.conf`, which only its owner may be able to read.
    ///
    /// # Errors
    /// File, line and what is wrong. The message never repeats a password.
    pub fn read(path: &Path) -> Result<Self, BadAccount> {
        let text = read(path, true)?;
        let (mut server, mut protocol, mut port, mut login) = (None, None, None, None);
        let (mut password, mut cipher, mut mac, mut mac_key) = (None, None, None, None);
        let (mut mode, mut keys, mut idle, mut life) = (None, None, None, None);
        each(path, text.expose(), |name, value| match name {
            "SRV_ADDR" => set(&mut server, address(value)?),
            "SRV_PROTO" => set(&mut protocol, self::protocol(value)?),
            "SRV_PORT" => set(&mut port, self::port(value)?),
            "USER" => set(&mut login, self::login(value)?),
            "PASSWORD" => set(&mut password, Secret::from(value.as_bytes())),
            "ENC_ALG" => set(&mut cipher, Cipher::named(value)?),
            "AUTH_ALG" => set(&mut mac, Mac::named(value)?),
            "AUTH_PASSWORD" => set(&mut mac_key, Secret::from(value.as_bytes())),
            "MODE" => set(&mut mode, self::mode(value)?),
            "KEYS" => set(&mut keys, self::keys(value)?),
            "IDLE" => set(&mut idle, time(value)?),
            "LIFE" => set(&mut life, time(value)?),
            other => Err(unknown(other, &NAMES)),
        })?;
        let bad = |why: String| BadAccount { path: path.to_owned(), line: 0, why };
        let missing = |name: &str| bad(format!("{name} is missing"));
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let account = Account {
            name,
            server: server.ok_or_else(|| missing("SRV_ADDR"))?,
            protocol: protocol.ok_or_else(|| missing("SRV_PROTO"))?,
            port: port.ok_or_else(|| missing("SRV_PORT"))?,
            login: login.ok_or_else(|| missing("USER"))?,
            password: password.ok_or_else(|| missing("PASSWORD"))?,
            cipher,
            mac,
            mac_key: mac_key.unwrap_or_default(),
            mode: mode.unwrap_or(Mode::Transport),
            keys: keys.unwrap_or(Keys::Fresh),
            idle: idle.unwrap_or(IDLE),
            life,
        };
        account.check().map_err(bad)?;
        Ok(account)
    }

    fn check(&self) -> Result<(), String> {
        if self.password.is_empty() {
            return Err("PASSWORD is empty".into());
        }
        if let Some(cipher) = &self.cipher {
            cipher.check(&self.password)?;
            if cipher.is_aead() && self.mac.is_some() {
                return Err(format!("ENC_ALG {} authenticates by itself: leave AUTH_ALG out", cipher.name));
            }
        }
        match self.keys {
            Keys::Fresh if !self.mac_key.is_empty() => {
                Err("AUTH_PASSWORD is for KEYS=static: fresh keys come from PASSWORD alone".into())
            }
            Keys::Fresh => Ok(()),
            Keys::Static => self.check_static(),
        }
    }

    /// What RFC 8221 and the ciphers themselves ask of keys that never change.
    fn check_static(&self) -> Result<(), String> {
        let cipher = self.cipher.as_ref().ok_or("ENC_ALG is missing: KEYS=static has no default")?;
        if cipher.counts {
            return Err(format!(
                "ENC_ALG {} must not have a key that stays: after a restart the same numbers would come again under it, \
                 which gives the traffic away. Use cbc(aes), or KEYS=fresh",
                cipher.name
            ));
        }
        if self.life.is_some() {
            return Err("LIFE takes KEYS=fresh: static keys are never replaced".into());
        }
        if self.mode == Mode::Tunnel {
            return Err("MODE=tunnel takes KEYS=fresh: with static keys the ends of the tunnel are not known".into());
        }
        match &self.mac {
            Some(mac) => mac.check(&self.mac_key),
            None if !self.mac_key.is_empty() => Err("AUTH_PASSWORD is given, and AUTH_ALG is missing".into()),
            None => Ok(()),
        }
    }

    /// The identifier of its integrity algorithm with static keys.
    pub fn integ(&self) -> IntegId {
        self.mac.as_ref().map_or(IntegId::NONE, |mac| mac.id)
    }

    /// What it is for, in the words of the logs: `tcp 10.0.0.1 port 10000`.
    pub fn service(&self) -> String {
        format!("{} {} port {}", protocol_name(self.protocol), self.server, self.port)
    }
}

/// Reads every account, in order.
///
/// # Errors
/// The first that cannot be taken; two accounts of one login at one place.
pub fn read_all(paths: &[PathBuf]) -> Result<Vec<Account>, BadAccount> {
    let mut accounts: Vec<Account> = Vec::new();
    for path in paths {
        let account = Account::read(path)?;
        let bad = |why| Err(BadAccount { path: path.clone(), line: 0, why });
        if accounts.len() == MAX_ACCOUNTS {
            return bad(format!("more than {MAX_ACCOUNTS} accounts"));
        }
        let place = |account: &Account| (account.login, account.server, account.protocol, account.port);
        if let Some(other) = accounts.iter().find(|other| place(other) == place(&account)) {
            return bad(format!(
                "the login {:#010x} is that of {} already, at the same place",
                account.login.0, other.name
            ));
        }
        if accounts.iter().any(|other| other.name == account.name) {
            return bad(format!("there are two accounts with the name {}: rename one file", account.name));
        }
        accounts.push(account);
    }
    Ok(accounts)
}

/// The name of a protocol with ports, as `SRV_PROTO` has it.
pub fn protocol_name(number: u8) -> String {
    match number {
        6 => "tcp".into(),
        17 => "udp".into(),
        132 => "sctp".into(),
        33 => "dccp".into(),
        other => other.to_string(),
    }
}

/// A file's text. A file of secrets must be its owner's alone.
fn read(path: &Path, secret: bool) -> Result<Secret, BadAccount> {
    use std::os::unix::fs::MetadataExt;
    let bad = |why: String| BadAccount { path: path.to_owned(), line: 0, why };
    let metadata = path.metadata().map_err(|error| bad(format!("cannot be read: {error}")))?;
    if !metadata.is_file() {
        return Err(bad("is not a file".into()));
    }
    if metadata.len() > MAX_FILE {
        return Err(bad(format!("has {} bytes; a configuration has at most {MAX_FILE}", metadata.len())));
    }
    if secret && metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o7777;
        let path = path.display();
        return Err(bad(format!(
            "others can read or change the password in it (mode {mode:04o}); mend it: chmod 600 {path}"
        )));
    }
    std::fs::read(path).map(Secret::new).map_err(|error| bad(format!("cannot be read: {error}")))
}

fn each(path: &Path, text: &[u8], mut take: impl FnMut(&str, &str) -> Result<(), String>) -> Result<(), BadAccount> {
    let bad = |line, why| BadAccount { path: path.to_owned(), line, why };
    let text = std::str::from_utf8(text).map_err(|_| bad(0, "is not text in UTF-8".into()))?;
    for (line, content) in (1..).zip(text.lines()) {
        if let Some(Assignment { name, value }) = shell::assignment(content).map_err(|why| bad(line, why))? {
            take(name, &value).map_err(|why| bad(line, why))?;
        }
    }
    Ok(())
}

/// A name that is given twice is a mistake: the shell would take the last one without a word.
fn set<T>(place: &mut Option<T>, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err("is given twice".into()),
    }
}

fn unknown(name: &str, known: &[&str]) -> String {
    format!("{name} is not known{}", did_you_mean(name, known.iter().copied()))
}

fn flag(value: &str) -> Result<bool, String> {
    match value {
        "1" => Ok(true),
        "" | "0" => Ok(false),
        _ => Err("expected 1 or 0".into()),
    }
}

fn address(value: &str) -> Result<IpAddr, String> {
    let address: IpAddr = value.parse().map_err(|_| format!("`{value}` is no IPv4 or IPv6 address"))?;
    if address.is_unspecified() || address.is_multicast() {
        return Err(format!("{address} is not the address of one host"));
    }
    Ok(address)
}

fn protocol(value: &str) -> Result<u8, String> {
    let known = [6, 17, 33, 132];
    known
        .into_iter()
        .find(|number| protocol_name(*number) == value || number.to_string() == value)
        .ok_or_else(|| format!("`{value}` is no protocol with ports: expected tcp, udp, sctp or dccp"))
}

fn port(value: &str) -> Result<u16, String> {
    value.parse().ok().filter(|port| *port != 0).ok_or_else(|| format!("`{value}` is no port: expected 1 to 65535"))
}

/// The original takes any SPI. RFC 4303 §2.1 reserves 1 to 255, and its own sample uses 1, so those are taken too.
fn login(value: &str) -> Result<Spi, String> {
    let number = match value.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => value.parse().ok(),
    };
    number
        .filter(|number| *number != 0)
        .map(Spi)
        .ok_or_else(|| format!("`{value}` is no SPI: expected 0x00000001 to 0xffffffff"))
}

fn mode(value: &str) -> Result<Mode, String> {
    match value {
        "transport" => Ok(Mode::Transport),
        "tunnel" => Ok(Mode::Tunnel),
        _ => Err(format!("`{value}` is no mode: expected transport or tunnel")),
    }
}

fn time(value: &str) -> Result<Duration, String> {
    let time = quantity::duration(value).map_err(|error| error.message)?;
    match (SHORTEST..=LONGEST).contains(&time) {
        true => Ok(time),
        false => Err("expected a time from 5 seconds to a day, as 90, 5m or 1h".into()),
    }
}

fn keys(value: &str) -> Result<Keys, String> {
    match value {
        "fresh" => Ok(Keys::Fresh),
        "static" => Ok(Keys::Static),
        _ => Err(format!("`{value}`: expected fresh or static")),
    }
}
