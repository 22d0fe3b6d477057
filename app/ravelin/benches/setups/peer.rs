//! The daemons, with the same swanctl.conf.

use std::fmt::{self, Display, Write};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::lab::{Host, RIGHT};

const CHARON: &str = "/usr/lib/ipsec/charon";

/// How long a daemon may take to start.
const PATIENCE: Duration = Duration::from_secs(15);

/// No log, no protection against floods, which this looks like, and what both do with a packet: ESP in user space.
const STRONGSWAN_CONF: &str = "charon {
  load = random nonce aes sha1 sha2 hmac kdf gcm curve25519 openssl kernel-libipsec kernel-netlink socket-default vici
  install_routes = no
  dos_protection = no
  filelog {
    stderr {
      default = 0
    }
  }
  plugins {
    vici {
      socket = unix:///run/vici
    }
  }
}
";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    StrongSwan,
    Ravelin,
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::StrongSwan => "strongSwan",
            Kind::Ravelin => "ravelin",
        })
    }
}

/// What is not installed.
pub fn missing() -> Option<&'static str> {
    [CHARON, "/usr/sbin/swanctl", "/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so"]
        .into_iter()
        .find(|path| !Path::new(path).exists())
}

/// Name of a connection, and of its Child SA.
pub fn connection(number: usize) -> String {
    format!("net{number}")
}

/// One daemon with all connections loaded; it ends with the value.
pub struct Daemon {
    process: Child,
    folder: PathBuf,
}

impl Daemon {
    /// Starts one; with `open`, the right one takes peers from any address, and both look whether the other lives.
    pub fn start(kind: Kind, host: Host, connections: usize, open: bool) -> Daemon {
        let folder = PathBuf::from(format!("/run/set-ups/{}", host.name));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("run")).unwrap();
        fs::write(folder.join("swanctl.conf"), swanctl_conf(host, connections, open)).unwrap();
        let command = match kind {
            Kind::StrongSwan => strongswan(host, &folder),
            Kind::Ravelin => ravelin(host, &folder),
        };
        let daemon = Daemon { process: { command }.spawn().unwrap(), folder };
        let begin = Instant::now();
        while !daemon.load() {
            assert!(begin.elapsed() < PATIENCE, "{kind} does not take its connections");
            std::thread::sleep(Duration::from_millis(50));
        }
        daemon
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("run/vici")
    }

    /// Seconds of a processor so far.
    pub fn processor_time(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        // The fields behind the name, which may hold blanks.
        let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        ticks as f64 / rustix::param::clock_ticks_per_second() as f64
    }

    fn load(&self) -> bool {
        let mut command = Command::new("swanctl");
        command.args(["--load-all", "--uri"]).arg(format!("unix://{}", self.socket().display()));
        command.env("SWANCTL_DIR", &self.folder).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().unwrap().success()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        let _ = self.process.wait();
    }
}

/// Its process ID has one place, so each gets a folder of its own there.
fn strongswan(host: Host, folder: &Path) -> Command {
    fs::write(folder.join("strongswan.conf"), STRONGSWAN_CONF).unwrap();
    let mut command = host.command("unshare -m sh -ec");
    command.arg(format!("mount --bind {} /run; exec {CHARON}", folder.join("run").display()));
    command.env("STRONGSWAN_CONF", folder.join("strongswan.conf")).stderr(Stdio::null());
    command
}

fn ravelin(host: Host, folder: &Path) -> Command {
    fs::write(folder.join("ike_rc"), "").unwrap();
    let mut command = host.command(env!("CARGO_BIN_EXE_ravelin"));
    command.args(["daemon", "--rc", "ike_rc", "--log", "error", "--data-plane", "tun", "--socket", "run/vici"]);
    command.args(["--state-dir", "state"]).current_dir(folder);
    command
}

fn swanctl_conf(host: Host, connections: usize, open: bool) -> String {
    let (own, other) = (host, host.peer());
    let remote = if open && host == RIGHT { "%any" } else { other.link };
    let dpd = if open { 1 } else { 0 };
    let mut conf = String::from("connections {\n");
    for number in 0..connections {
        let (name, subnet) = (connection(number), |inner: &str| inner.replace(".1.1", ".1.").replace(".2.1", ".2."));
        write!(
            conf,
            "  {name} {{
    version = 2
    local_addrs = {}
    remote_addrs = {remote}
    dpd_delay = {dpd}s
    proposals = aes128gcm16-prfsha256-x25519
    encap = yes
    unique = never
    local {{
      auth = psk
      id = {}{number}.bench
    }}
    remote {{
      auth = psk
      id = {}{number}.bench
    }}
    children {{
      {name} {{
        local_ts = {}{number}/32
        remote_ts = {}{number}/32
        esp_proposals = aes128gcm16
      }}
    }}
  }}
",
            own.link,
            own.name,
            other.name,
            subnet(own.inner),
            subnet(other.inner),
        )
        .unwrap();
    }
    conf.push_str("}\nsecrets {\n  ike-all {\n    secret = \"only for a benchmark\"\n  }\n}\n");
    conf
}
