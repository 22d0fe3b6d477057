//! Ravelin's daemon in its namespace, steered with its own command line.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use super::{Node, Sa, View, append, listing};
use crate::case::Configuration;
use crate::plan::{Direction, Plan, SECRET};
use crate::process::{Answer, Daemon, Namespace, run, wait_for};
use crate::token;
use crate::traffic;

/// Everything that the daemon may change in the system, as one text. What the kernel itself adds and ages is left out.
const SYSTEM: &str = "ip -o link | sed 's/^[0-9]*: //; s/@.*//; s/:.*//'; ip rule; ip -6 rule; nft list ruleset
ip route show table all | grep -v '^local\\|^broadcast'; ip -6 route show table all | grep -v '^local\\|^anycast\\|^multicast\\|^fe80' || true";

/// Its control socket.
pub const SOCKET: &str = "/run/ravelin.sock";

/// One Ravelin.
pub struct Ravelin {
    host: Namespace,
    program: PathBuf,
    folder: PathBuf,
    socket: PathBuf,
    /// What the daemon reads, and the option that names it.
    configuration: Option<(&'static str, PathBuf)>,
    daemon: Option<Daemon>,
    /// What the system looked like before the daemon started.
    untouched: String,
}

impl Ravelin {
    /// Where the secret file of a case is, which its `ike_rc` names.
    pub fn secret(folder: &Path) -> PathBuf {
        folder.join("secret")
    }

    /// Where the passwords of users are: that of carol is the secret.
    pub fn users(folder: &Path) -> PathBuf {
        folder.join("users")
    }

    /// Where the secret of the SIM is that the `ike_rc` of a case names.
    pub fn sim(folder: &Path, secret: &str) -> Result<PathBuf> {
        let file = folder.join("sim");
        fs::create_dir_all(folder)?;
        fs::write(&file, secret)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        Ok(file)
    }

    /// Where the script of setkey(8) is that the `ike_rc` of a case names; it is written, if there is one.
    pub fn setkey(folder: &Path, plan: &Plan, script: Option<&str>) -> Result<PathBuf> {
        let file = folder.join("setkey.conf");
        if let Some(script) = script {
            fs::create_dir_all(folder)?;
            fs::write(&file, plan.fill(script, &[])?)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
        }
        Ok(file)
    }

    /// Prepares the daemon `program` on `host`; logs and state go to `folder`.
    pub fn new(host: Namespace, program: &Path, folder: &Path, configuration: &Configuration) -> Result<Self> {
        let (name, option) = match configuration {
            Configuration::Rc(_) => ("ike_rc", Some("--rc")),
            Configuration::Swanctl(_) => ("ravelin.conf", Some("--swanctl")),
            Configuration::Ipsec(_) => ("ipsec.conf", Some("--swanctl")),
            Configuration::Loaded(_) => ("swanctl.conf", None),
            Configuration::Account(_) => bail!("an account goes with `host kernel`"),
        };
        prepare(folder, name, configuration.template())?;
        Ok(Self {
            host,
            program: program.to_owned(),
            folder: folder.to_owned(),
            // The longest path a socket may have is shorter than some folders of results.
            socket: PathBuf::from(SOCKET),
            configuration: option.map(|option| (option, folder.join(name))),
            daemon: None,
            untouched: String::new(),
        })
    }

    fn ravelin(&mut self, arguments: &[&str]) -> Result<Answer> {
        let mut command = self.host.command(&self.program);
        command.arg("--socket").arg(&self.socket).args(arguments);
        let answer = run(&mut command)?;
        if arguments.get(1) != Some(&"netstat") {
            append(&self.folder.join("log"), &format!("# ravelin {}\n{}", arguments.join(" "), answer.text))?;
        }
        Ok(answer)
    }

    fn order(&mut self, arguments: &[&str]) -> Result<String> {
        let answer = self.ravelin(arguments)?;
        ensure!(answer.ok, "ravelin {}: {}", arguments.join(" "), answer.text.trim());
        Ok(answer.out)
    }
}

/// Writes what a daemon reads.
pub(super) fn prepare(folder: &Path, name: &str, configuration: &str) -> Result<()> {
    fs::create_dir_all(folder)?;
    let file = folder.join(name);
    fs::write(&file, configuration)?;
    // An account has its password in it.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    for (file, content) in
        [(Ravelin::secret(folder), SECRET.to_owned()), (Ravelin::users(folder), format!("carol : EAP \"{SECRET}\"\n"))]
    {
        fs::write(&file, content)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

impl Node for Ravelin {
    fn start(&mut self) -> Result<()> {
        if self.untouched.is_empty() {
            self.untouched = self.host.sh(SYSTEM)?;
        }
        let mut command = self.host.command(&self.program);
        command.arg("daemon");
        if let Some((option, file)) = &self.configuration {
            command.arg(option).arg(file);
        }
        command.arg("--socket").arg(&self.socket).arg("--state-dir").arg(self.folder.join("state"));
        command.arg("--key-log").arg(self.folder.join("keys"));
        if let Some(conf) = self.folder.parent().map(token::configuration).filter(|conf| conf.exists()) {
            command.env(token::VARIABLE, conf);
        }
        let _ = fs::remove_file(&self.socket);
        let mut daemon = Daemon::start(&mut command, &self.folder.join("log"))?;
        wait_for(30, "the daemon to answer", || {
            daemon.check()?;
            self.order(&["ipsec", "netstat"])
        })
        .with_context(|| self.said())?;
        self.daemon = Some(daemon);
        Ok(())
    }

    fn initiate(&mut self) -> Result<()> {
        self.order(&["ike", "initiate", "net"]).map(drop)
    }

    fn rekey(&mut self, sa: Sa) -> Result<()> {
        match sa {
            Sa::Ike => self.order(&["ike", "rekey", "swan"]),
            Sa::Child => self.order(&["ike", "rekey", "--child", "net"]),
        }
        .map(drop)
    }

    fn delete(&mut self, sa: Sa) -> Result<()> {
        match sa {
            Sa::Ike => self.order(&["ike", "terminate", "swan"]),
            Sa::Child => self.order(&["ike", "terminate", "--child", "net"]),
        }
        .map(drop)
    }

    fn propose(&mut self, words: &str) -> Result<()> {
        let rc = fs::read_to_string(self.folder.join("ike_rc"))?;
        let line = rc.lines().find(|line| line.starts_with("ike remote ")).context("ike_rc has no remote")?;
        let mut kept = Vec::new();
        let mut parts = line.split_whitespace();
        while let Some(part) = parts.next() {
            match part {
                "-e" | "-a" | "-p" | "-d" => drop(parts.next()),
                part => kept.push(part),
            }
        }
        self.order(&["ike", "remote", "-x", "swan"])?;
        kept.extend(words.split_whitespace());
        self.order(&kept).map(drop)
    }

    fn command(&mut self, line: &str) -> Result<String> {
        self.order(&line.split_whitespace().collect::<Vec<_>>())
    }

    fn send(&mut self, helper: &Path, direction: Direction) -> Result<()> {
        self.host.sh(&traffic::send_line(helper, direction)).map(drop)
    }

    fn view(&mut self) -> Result<View> {
        let ike = self.order(&["ike", "netstat", "--json"])?;
        let ipsec = self.order(&["ipsec", "netstat", "--json"])?;
        listing::view(&ike, &ipsec).with_context(|| format!("ravelin lists {ike} and {ipsec}"))
    }

    fn kill(&mut self) -> Result<()> {
        self.daemon.take().context("the daemon is not running")?.kill()
    }

    fn stop(&mut self) -> Result<()> {
        let Some(daemon) = self.daemon.take() else { return Ok(()) };
        daemon.stop(Signal::TERM)?;
        let left = self.host.sh(SYSTEM)?;
        ensure!(
            left == self.untouched,
            "the daemon left the system changed; before:\n{}\nafter:\n{left}",
            self.untouched
        );
        Ok(())
    }

    fn said(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn keep_evidence(&mut self) {
        let mut evidence = String::new();
        for arguments in [&["ike", "netstat"][..], &["ipsec", "netstat", "--show-keys"]] {
            evidence.push_str(&self.order(arguments).unwrap_or_else(|error| format!("{error:#}\n")));
        }
        evidence.push_str(&self.host.sh(SYSTEM).unwrap_or_else(|error| format!("{error:#}")));
        let _ = fs::write(self.folder.join("evidence"), evidence);
    }
}
