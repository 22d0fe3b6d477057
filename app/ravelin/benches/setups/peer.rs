//! The daemons, with the same swanctl.conf.

use std::fmt::{self, Display, Write};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::lab::{Host, LEFT, RIGHT, sh};

const CHARON: &str = "/usr/lib/ipsec/charon";

/// How long a daemon may take to start.
const PATIENCE: Duration = Duration::from_secs(15);

/// No log, and what both do with a packet: ESP in user space.
const STRONGSWAN_CONF: &str = "charon {
  load = random nonce aes sha1 sha2 hmac kdf gcm curve25519 openssl kernel-libipsec kernel-netlink socket-default vici
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

/// A connection for anybody.
const STRANGERS: &str = "  strangers {
    version = 2
    remote_addrs = %any
    proposals = aes128gcm16-prfsha256-x25519
    local {
      auth = psk
    }
    remote {
      auth = psk
      id = *@example.org
    }
    children {
      strangers {
        local_ts = 10.77.9.0/24
        esp_proposals = aes128gcm16
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

/// An address of each host for each connection, which strongSwan wants to be there.
pub fn inner_addresses(connections: usize) {
    for host in [LEFT, RIGHT] {
        for number in 0..connections {
            host.sh(&format!("ip addr add {}/32 dev lo", inner_address(host, number)));
        }
    }
}

/// A host's address in a connection.
pub fn inner_address(host: Host, connection: usize) -> String {
    format!("{}{connection}", subnet(host))
}

/// The addresses of a host in the tunnels, without their last part.
fn subnet(host: Host) -> &'static str {
    host.inner.strip_suffix('1').expect("the first host of a network")
}

/// What a daemon is there for.
pub struct Load {
    /// Connections with the other host.
    pub connections: usize,
    /// It is a gateway for others too, whose addresses nobody knows before, and keeps off floods. Without, many set-ups at a
    /// time are no flood.
    pub strangers: bool,
}

/// One daemon with all connections loaded; it ends with the value.
pub struct Daemon {
    process: Child,
    folder: PathBuf,
}

impl Daemon {
    pub fn start(kind: Kind, host: Host, load: &Load) -> Daemon {
        // Not below /run, in whose place strongSwan gets a folder of its own.
        let folder = std::env::temp_dir().join(format!("ravelin-set-ups-{}-{}", std::process::id(), host.name));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("run")).unwrap();
        fs::write(folder.join("swanctl.conf"), swanctl_conf(kind, host, load)).unwrap();
        let command = match kind {
            Kind::StrongSwan => strongswan(host, &folder, load),
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

    /// Mebibytes of memory that it has.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
    }

    /// Leaves it the host's processor and no other.
    pub fn pin(&self, host: Host) {
        sh(&format!("taskset --all-tasks --cpu-list --pid {} {}", host.processor, self.process.id()));
    }

    /// Has `swanctl` load so many connections of other gateways, one by one as it does: how long that takes.
    pub fn load_many(&self, connections: usize) -> Duration {
        fs::write(self.folder.join("swanctl.conf"), gateways(connections)).unwrap();
        let begin = Instant::now();
        assert!(self.load(), "the connections are not taken");
        begin.elapsed()
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
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Its process ID has one place, so each gets a folder of its own there.
fn strongswan(host: Host, folder: &Path, load: &Load) -> Command {
    let protection = if load.strangers { "" } else { "charon {\n  dos_protection = no\n}\n" };
    fs::write(folder.join("strongswan.conf"), STRONGSWAN_CONF.to_owned() + protection).unwrap();
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

/// Connections with as many gateways, each with a key of its own.
fn gateways(connections: usize) -> String {
    let (mut conf, mut secrets) = (String::from("connections {\n"), String::from("secrets {\n"));
    for number in 0..connections {
        let (high, low) = (number >> 8, number & 0xff);
        write!(
            conf,
            "  gw{number} {{
    remote_addrs = 198.18.{high}.{low}
    proposals = aes128gcm16-prfsha256-x25519
    local {{
      auth = psk
    }}
    remote {{
      auth = psk
      id = gw{number}.bench
    }}
    children {{
      net {{
        local_ts = 10.77.0.0/16
        remote_ts = 10.{}.{low}.0/24
        esp_proposals = aes128gcm16
      }}
    }}
  }}
",
            high + 100,
        )
        .unwrap();
        write!(
            secrets,
            "  ike-gw{number} {{\n    id = gw{number}.bench\n    secret = \"key {number} for a benchmark\"\n  }}\n"
        )
        .unwrap();
    }
    conf + "}\n" + &secrets + "}\n"
}

fn swanctl_conf(kind: Kind, host: Host, load: &Load) -> String {
    let (own, other) = (host, host.peer());
    // With it our policies are in the packet filter before, as strongSwan's are nowhere with ESP in user space.
    let start = if kind == Kind::Ravelin { "trap" } else { "none" };
    let mut conf = String::from("connections {\n");
    for number in 0..load.connections {
        let name = connection(number);
        write!(
            conf,
            "  {name} {{
    version = 2
    local_addrs = {}
    remote_addrs = {}
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
        start_action = {start}
      }}
    }}
  }}
",
            own.link,
            other.link,
            own.name,
            other.name,
            subnet(own),
            subnet(other),
        )
        .unwrap();
    }
    if load.strangers {
        conf.push_str(STRANGERS);
    }
    conf.push_str("}\nsecrets {\n  ike-all {\n    secret = \"only for a benchmark\"\n  }\n}\n");
    conf
}
