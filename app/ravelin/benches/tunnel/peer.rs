//! Those that are measured, and how their tunnels are set up.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::lab::{Host, LEFT, Lab, RIGHT, sh};

/// How long a tunnel may take to come up.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// No tunnel: what the machine can do.
    Link,
    /// ESP in UDP, as WireGuard is in UDP.
    RavelinUdp,
    /// ESP as IP protocol 50.
    Ravelin,
    WireguardGo,
    Boringtun,
}

impl Peer {
    pub const ALL: [Peer; 5] = [Peer::Link, Peer::RavelinUdp, Peer::WireguardGo, Peer::Ravelin, Peer::Boringtun];

    pub fn name(self) -> &'static str {
        match self {
            Peer::Link => "no tunnel",
            Peer::RavelinUdp => "ravelin, ESP in UDP",
            Peer::Ravelin => "ravelin, ESP",
            Peer::WireguardGo => "wireguard-go",
            Peer::Boringtun => "boringtun-cli",
        }
    }

    pub fn is_ours(self) -> bool {
        matches!(self, Peer::Ravelin | Peer::RavelinUdp)
    }

    pub fn is_rival(self) -> bool {
        matches!(self, Peer::WireguardGo | Peer::Boringtun)
    }

    /// Why it cannot be measured here.
    pub fn missing(self) -> Option<String> {
        let programs: &[&str] = match self {
            Peer::Link | Peer::Ravelin | Peer::RavelinUdp => &[],
            Peer::WireguardGo => &["wireguard-go", "wg"],
            Peer::Boringtun => &["boringtun-cli", "wg"],
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let there = |program: &&&str| std::env::split_paths(&path).any(|folder| folder.join(program).exists());
        programs.iter().find(|program| !there(program)).map(|program| format!("there is no {program}"))
    }

    fn start(self, host: Host, folder: &Path) -> Option<Child> {
        match self {
            Peer::Link => None,
            Peer::Ravelin => Some(ravelin(host, folder, "")),
            Peer::RavelinUdp => Some(ravelin(host, folder, "--encap")),
            Peer::WireguardGo => Some(wireguard(host, folder, "wireguard-go -f")),
            // It is given one processor, so one thread is what serves it best.
            Peer::Boringtun => Some(wireguard(host, folder, "boringtun-cli -f --disable-drop-privileges -t 1")),
        }
    }
}

/// Two daemons with a tunnel between them; they end with the value.
pub struct Tunnel {
    daemons: Vec<Child>,
    /// The address of the right host, as the left one reaches it.
    pub far: Ipv4Addr,
}

impl Tunnel {
    /// Starts the daemons and waits until a packet goes there and back.
    pub fn start(_lab: &Lab, peer: Peer) -> Tunnel {
        let folder = Path::new("/run/tunnel");
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).unwrap();
        if matches!(peer, Peer::WireguardGo | Peer::Boringtun) {
            for host in [LEFT, RIGHT] {
                write(&folder.join(format!("{}.key", host.name)), &sh("wg genkey"));
            }
        }
        let far = if peer == Peer::Link { RIGHT.link } else { RIGHT.inner };
        let daemons = [LEFT, RIGHT].into_iter().filter_map(|host| peer.start(host, folder)).collect();
        let tunnel = Tunnel { daemons, far: far.parse().unwrap() };
        let begin = Instant::now();
        while !LEFT.command(&format!("ping -c 1 -W 1 {far}")).output().unwrap().status.success() {
            assert!(begin.elapsed() < PATIENCE, "nothing crosses the tunnel of {}", peer.name());
            std::thread::sleep(Duration::from_millis(50));
        }
        tunnel
    }

    /// Seconds that both daemons have used so far.
    pub fn processor_time(&self) -> f64 {
        self.daemons.iter().map(|daemon| processor_time(daemon.id())).sum()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            let _ = kill_process(Pid::from_child(daemon), Signal::TERM);
            let _ = daemon.wait();
        }
        for host in [LEFT, RIGHT] {
            let _ = host.command(&format!("ip addr del {}/32 dev lo", host.inner)).stderr(Stdio::null()).status();
        }
    }
}

fn processor_time(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The fields behind the name, which may hold blanks.
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn ravelin(host: Host, folder: &Path, options: &str) -> Child {
    let folder = folder.join(host.name);
    fs::create_dir_all(&folder).unwrap();
    let (own, other) = (host, host.peer());
    host.sh(&format!("ip addr add {}/32 dev lo", own.inner));
    write(&folder.join("psk"), "only for a benchmark\n");
    let rc = format!(
        "ipsec policy -n net -g peer -t ESP -e AES128-GCM -m tunnel -p any -r {other} -s {inner} -d {far}\n\
         ike remote -n peer -z 2 -w -u -e AES128-GCM -p HMAC-SHA-2-256 -m PresharedKey -d CURVE25519 -r {other} \
         -f ipv4:{other} -g ipv4:{link} --local {link} -h psk {options}\n",
        other = other.link,
        inner = own.inner,
        far = other.inner,
        link = own.link,
    );
    write(&folder.join("ike_rc"), &rc);
    let mut command = host.command(&format!("taskset -c {} {}", host.processor, env!("CARGO_BIN_EXE_ravelin")));
    command.args(["daemon", "--rc", "ike_rc", "--log", "warn", "--socket"]).arg(folder.join("socket"));
    command.arg("--state-dir").arg(folder.join("state")).current_dir(&folder).spawn().unwrap()
}

/// A daemon that speaks WireGuard's configuration protocol, with a device of its own.
fn wireguard(host: Host, folder: &Path, daemon: &str) -> Child {
    let device = format!("wg-{}", host.name);
    let mut command = host.command(&format!("taskset -c {} {daemon} {device}", host.processor));
    // wireguard-go wants to be told that the kernel could not do this better.
    command
        .env("WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD", "1")
        .env("LOG_LEVEL", "error")
        .env("WG_LOG_LEVEL", "error");
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begin = Instant::now();
    while !Path::new(&format!("/var/run/wireguard/{device}.sock")).exists() {
        assert!(begin.elapsed() < PATIENCE, "{daemon} does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    let other = host.peer();
    let key = |name: &str| folder.join(format!("{name}.key")).display().to_string();
    let public = sh(&format!("sh {} {}", public_key_script(folder).display(), key(other.name)));
    host.sh(&format!(
        "wg set {device} listen-port 51820 private-key {} peer {} endpoint {}:51820 allowed-ips {}/32",
        key(host.name),
        public.trim(),
        other.link,
        other.inner
    ));
    host.sh(&format!("ip addr add {}/32 dev {device}", host.inner));
    host.sh(&format!("ip link set {device} mtu 1420 up"));
    host.sh(&format!("ip route add {}/32 dev {device}", other.inner));
    child
}

/// `wg pubkey` reads standard input.
fn public_key_script(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("pubkey");
    fs::write(&path, "wg pubkey < \"$1\"\n").unwrap();
    path
}

fn write(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}
