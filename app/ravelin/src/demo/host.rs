//! One of the two hosts: a namespace, a folder, a daemon in the namespace.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ravelin_control::{Client, Message};
use rustix::process::{Pid, Signal, kill_process};

use super::namespace::Namespace;
use super::{Limit, sys};

/// A host.
pub struct Host {
    /// `host1`, `host2`.
    pub name: &'static str,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its interface.
    pub link: &'static str,
    /// Where it lives.
    pub namespace: Namespace,
    folder: PathBuf,
    daemon: Option<Child>,
}

impl Host {
    /// A host without a daemon.
    pub fn new(name: &'static str, address: Ipv4Addr, link: &'static str, folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Host { name, address, link, namespace: Namespace::new()?, folder, daemon: None })
    }

    /// Runs a program of the system in the host's namespace.
    pub fn system(&self, program: &'static str, arguments: &str, limit: &Limit) -> Result<String> {
        let mut command = Command::new(program);
        command.args(arguments.split_whitespace());
        let (status, stdout, stderr) = self.finish(command, limit).with_context(|| {
            let package = if program == "ip" { "iproute2" } else { "nftables" };
            format!("cannot run `{program}` (it comes with the Debian package {package})")
        })?;
        ensure!(status.success(), "`{program} {arguments}` failed: {}", stderr.trim());
        Ok(stdout)
    }

    /// Writes the key and the `ike_rc`.
    pub fn configure(&self, lines: &str, secret: &str) -> Result<()> {
        fs::write(self.folder.join("ike_rc"), lines)?;
        let mut key = File::options().write(true).create_new(true).mode(0o600).open(self.folder.join("psk"))?;
        Ok(std::io::Write::write_all(&mut key, secret.as_bytes())?)
    }

    /// Starts the daemon and waits until it answers.
    pub fn start(&mut self, filter: &str, limit: &Limit) -> Result<()> {
        let log = File::create(self.folder.join("log"))?;
        let mut command = self.ravelin();
        command.arg("daemon").arg("--rc").arg(self.folder.join("ike_rc"));
        command.arg("--state-dir").arg(self.folder.join("state")).args(["--log", filter]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        sys::die_with_parent(&mut command);
        let daemon = self.namespace.run(move || command.spawn())?;
        self.daemon = Some(daemon.context("cannot start the daemon")?);
        let socket = self.socket();
        limit.until("the daemon to be ready", || {
            if let Some(status) = self.ended()? {
                bail!("the daemon ended at once: {status}");
            }
            let answer = Client::connect(&socket).and_then(|mut client| client.request("version", &Message::new()));
            Ok(answer.is_ok().then_some(()))
        })
    }

    /// Runs `ravelin` with these arguments against the host's daemon.
    pub fn control(&self, arguments: &str, limit: &Limit) -> Result<String> {
        let mut command = self.ravelin();
        command.args(arguments.split_whitespace());
        let (status, stdout, stderr) = self.finish(command, limit)?;
        ensure!(status.success(), "`ravelin {arguments}` on {}: {}", self.name, stderr.trim());
        Ok(stdout)
    }

    /// The value at a path (`/counters/packets-sealed`) of a listing in JSON.
    pub fn listing(&self, arguments: &str, path: &str, limit: &Limit) -> Result<serde_json::Value> {
        let text = self.control(&format!("{arguments} --json"), limit)?;
        let value: serde_json::Value = serde_json::from_str(&text)?;
        Ok(value.pointer(path).cloned().unwrap_or_default())
    }

    /// Ends the daemon and checks that it left nothing behind.
    pub fn stop(&mut self, limit: &Limit) -> Result<()> {
        let Some(pid) = self.daemon.as_ref().and_then(|daemon| Pid::from_raw(daemon.id().cast_signed())) else {
            return Ok(());
        };
        kill_process(pid, Signal::TERM)?;
        let status = limit.until("the daemon to end", || self.ended())?;
        self.daemon = None;
        ensure!(status.success(), "the daemon of {} ended with {status}", self.name);
        let tables = self.system("nft", "list tables", limit)?;
        ensure!(tables.trim().is_empty(), "the daemon left packet filter tables behind: {}", tables.trim());
        let rules = self.system("ip", "rule show", limit)?;
        ensure!(!rules.contains("fwmark"), "the daemon left routing rules behind:\n{rules}");
        let links = self.system("ip", "-brief link show", limit)?;
        ensure!(!links.contains("ravelin"), "the daemon left its device behind:\n{links}");
        Ok(())
    }

    /// The last lines of the daemon's log.
    pub fn log_tail(&self, lines: usize) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all.iter().skip(all.len().saturating_sub(lines)).map(|line| (*line).to_owned()).collect()
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// This program, with the host's control socket and nothing from the caller's environment.
    fn ravelin(&self) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command.env_remove("RAVELIN_LOG").env_remove("RAVELIN_SOCKET").env_remove("RAVELIN_STATE_DIR");
        command.env_remove("NOTIFY_SOCKET");
        command.arg("--socket").arg(self.socket());
        command
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        match &mut self.daemon {
            Some(daemon) => Ok(daemon.try_wait()?),
            None => Ok(None),
        }
    }

    /// Runs a program in the namespace to its end; one that does not end in time is killed.
    fn finish(&self, mut command: Command, limit: &Limit) -> Result<(ExitStatus, String, String)> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        sys::die_with_parent(&mut command);
        let mut child = self.namespace.run(move || command.spawn())??;
        // Answers are short enough for a pipe, but for a listing that is being read: read both while waiting.
        let reader = |source: Option<Box<dyn std::io::Read + Send>>| {
            std::thread::spawn(move || {
                let mut text = String::new();
                source.map(|mut source| source.read_to_string(&mut text));
                text
            })
        };
        let stdout = reader(child.stdout.take().map(|source| Box::new(source) as Box<_>));
        let stderr = reader(child.stderr.take().map(|source| Box::new(source) as Box<_>));
        let status = match limit.until("a program to end", || Ok(child.try_wait()?)) {
            Ok(status) => status,
            Err(error) => {
                child.kill()?;
                child.wait()?;
                return Err(error);
            }
        };
        Ok((status, stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default()))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            // After a failure: the namespace goes anyway, so nothing needs to be undone in it.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// How long to sleep between two looks at something that takes milliseconds.
pub const GLANCE: Duration = Duration::from_millis(5);
