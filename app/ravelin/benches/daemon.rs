//! What an idle daemon takes of the machine, and how soon it is ready: `cargo bench -p ravelin --bench daemon`.
//!
//! Each daemon runs in a network namespace of its own, with the two command lines of the demonstration as its
//! `ike_rc`. `ready` is the time from before the process is made to its own word that it is ready: TUN device, routes,
//! packet filter and sockets are there. `resident` is `VmRSS` a second later.
#![allow(clippy::unwrap_used)] // a panic is how a benchmark fails

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const RUNS: usize = 21;

const IKE_RC: &str = "\
ipsec policy -n policy1 -g remoteINFO -t ESP -e AES128-GCM -m transport -p tcp -r 10.0.0.78 -s 10.0.0.77 -d 10.0.0.78
ike remote -n remoteINFO -z 2 -w -u -e AES128-GCM -p HMAC-SHA-2-256 -m PresharedKey -d CURVE25519 -r 10.0.0.78 \
-f ipv4:10.0.0.78 -g ipv4:10.0.0.77 -h psk
";

fn main() {
    let folder = std::env::temp_dir().join(format!("ravelin-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    write(&folder, "ike_rc", IKE_RC);
    write(&folder, "psk", "only for a benchmark\n");
    let mut runs: Vec<(Duration, u64)> = (0..RUNS).map(|run| measure(&folder, run)).collect();
    fs::remove_dir_all(&folder).unwrap();
    runs.sort();
    let ready = runs[RUNS / 2].0;
    runs.sort_by_key(|(_, resident)| *resident);
    let resident = runs[RUNS / 2].1 as f64 / 1024.0;
    println!("daemon/ready: {:.1} ms from its start, 100 is the bound", ready.as_secs_f64() * 1e3);
    println!("daemon/resident: {resident:.1} MiB when idle, 20 is the bound");
}

fn write(folder: &Path, name: &str, text: &str) {
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(folder.join(name)).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

/// One daemon from its start to its end: the time until it was ready, and its resident memory in KiB.
fn measure(folder: &Path, run: usize) -> (Duration, u64) {
    let mut command = Command::new("unshare");
    command.arg("--net");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    // Making the namespace is not the daemon's work: the shell in it says when it makes way for the daemon.
    command.args(["sh", "-c", "echo namespace >&2; exec \"$0\" daemon --rc ike_rc", env!("CARGO_BIN_EXE_ravelin")]);
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.env("RAVELIN_SOCKET", folder.join(format!("socket{run}")));
    command.env("RAVELIN_STATE_DIR", folder.join(format!("state{run}")));
    let mut daemon = Daemon(command.spawn().unwrap());
    let mut log = BufReader::new(daemon.0.stderr.take().unwrap());
    until(&mut log, "namespace");
    let start = Instant::now();
    until(&mut log, "ready");
    let ready = start.elapsed();
    std::thread::sleep(Duration::from_secs(1));
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.0.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    (ready, line.trim().trim_end_matches(" kB").parse().unwrap())
}

fn until(log: &mut impl BufRead, word: &str) {
    let mut all = String::new();
    while !all.lines().next_back().is_some_and(|line| line.contains(word)) {
        assert!(log.read_line(&mut all).unwrap() > 0, "the daemon ended:\n{all}");
    }
}

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}
