//! What was changed is undone, at the end and after a crash.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use ravelin_crypto_aws_lc::{SystemRandom, provider};
use ravelin_store::FileStore;
use ravelin_tun::{TunConfig, TunDataPlane, undo_leftovers};
use ravelin_types::dataplane::{DataPlane, DataPlaneOp};
use ravelin_types::record::Store;

use crate::Case;
use crate::lab::{self, Host, Tunnel, is_lost, link, reaches};

pub const CASES: &[Case] = &[
    ("stopping_undoes_every_change", stopping),
    ("dropping_undoes_every_change", dropping),
    ("a_killed_daemon_leaves_guards_that_the_next_removes", killed),
    ("a_panic_leaves_the_guards_too", panicked),
    ("a_second_daemon_is_refused_and_disturbs_nothing", second),
];

/// First argument of this program as the daemon that is killed.
pub const DAEMON: &str = "--daemon";

/// Everything of a host's network that a data plane might change. The kernel adds link-local addresses by itself when
/// it has found them free, so those are left out.
fn network(host: &Host) -> String {
    let tables = host.nft("list tables");
    let rest = ["-4 rule", "-6 rule", "-4 route show table all", "-6 route show table all", "-br link"];
    let all = rest.iter().fold(tables, |all, command| all + &host.ip(command));
    all.lines().filter(|line| !line.contains("fe80:")).map(|line| format!("{line}\n")).collect()
}

fn stopping() {
    let host = Host::new("a");
    let before = network(&host);
    host.start();
    host.apply(DataPlaneOp::AddPolicy(Tunnel::transport(1, "192.0.2.1", "192.0.2.2").policy()));
    let during = network(&host);
    for trace in ["ravelin0", "table inet ravelin", "5210:", "5211:", "40000:", "192.0.2.2 dev ravelin0"] {
        assert!(during.contains(trace), "no {trace} in\n{during}");
    }
    host.stop();
    assert_eq!(network(&host), before);
    assert!(records(&host).is_empty(), "the journal is empty after opening it again");
}

fn dropping() {
    let host = Host::new("a");
    let before = network(&host);
    host.start();
    host.run_drop();
    assert_eq!(network(&host), before);
}

fn killed() {
    let (a, b) = (Host::new("a"), Host::new("b"));
    link(&a, &b, 1);
    let before = network(&a);
    let program = std::env::current_exe().unwrap();
    let journal = a.journal.clone();
    let mut daemon = a.run(move || {
        let mut command = Command::new(program);
        command.arg(DAEMON).arg(journal).stdout(Stdio::piped()).spawn().unwrap()
    });
    let mut line = String::new();
    BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    // SIGKILL.
    daemon.kill().unwrap();
    daemon.wait().unwrap();

    let left = network(&a);
    assert!(left.contains("table inet ravelin") && left.contains("5210:"), "{left}");
    assert!(is_lost(&a, &b, "10.0.1.2:5001", 100), "the guard holds while no daemon runs");
    assert_eq!(b.arrived("clear"), 0);

    let journal = a.journal.clone();
    let undone = a.run(move || undo_leftovers(&mut FileStore::open(journal).unwrap()).unwrap());
    assert_eq!(undone.len(), 4, "{undone:?}");
    assert_eq!(network(&a), before);
    assert!(records(&a).is_empty());
    assert!(reaches(&a, &b, "10.0.1.2:5001", 100));
}

fn panicked() {
    let (a, b) = (Host::new("a"), Host::new("b"));
    link(&a, &b, 1);
    a.start();
    a.apply(DataPlaneOp::AddPolicy(Tunnel::transport(1, "10.0.1.1", "10.0.1.2").policy()));
    a.run_panic();
    assert!(is_lost(&a, &b, "10.0.1.2:5001", 100));
    assert_eq!(b.arrived("clear"), 0);
    a.start_after_crash();
    assert!(reaches(&a, &b, "10.0.1.2:5001", 100), "the next start has no policy yet");
}

/// Life as the daemon that is killed.
pub fn run_daemon(journal: &str) -> ! {
    let mut store = FileStore::open(journal).unwrap();
    let mut plane = TunDataPlane::start(lab::config(), provider(), || Box::new(SystemRandom), &mut store).unwrap();
    plane.apply(&DataPlaneOp::AddPolicy(Tunnel::transport(1, "10.0.1.1", "10.0.1.2").policy())).unwrap();
    println!("ready");
    loop {
        std::thread::park();
    }
}

fn second() {
    let host = Host::new("a");
    host.start();
    let during = network(&host);
    let refusal = host.run(|| {
        let mut store = FileStore::open("/run/second-journal").unwrap();
        TunDataPlane::start(lab::config(), provider(), || Box::new(SystemRandom), &mut store).err().unwrap()
    });
    assert!(refusal.to_string().contains("ravelin0") && refusal.to_string().contains("another ravelin daemon"));
    let device = TunConfig { device: "ravelin1".into(), ..lab::config() };
    let refusal = host.run(|| {
        let mut store = FileStore::open("/run/second-journal").unwrap();
        TunDataPlane::start(device, provider(), || Box::new(SystemRandom), &mut store).err().unwrap()
    });
    assert!(refusal.to_string().contains("UDP port 500"), "{refusal}");
    let device = TunConfig { device: "ravelin1".into(), ike_port: 1500, nat_port: 14500, ..lab::config() };
    let refusal = host.run(|| {
        let mut store = FileStore::open("/run/second-journal").unwrap();
        TunDataPlane::start(device, provider(), || Box::new(SystemRandom), &mut store).err().unwrap()
    });
    assert!(refusal.to_string().contains("nft delete table inet ravelin"), "{refusal}");
    assert_eq!(network(&host), during);
}

fn records(host: &Host) -> Vec<ravelin_types::record::Record> {
    let mut all = Vec::new();
    FileStore::open(&host.journal).unwrap().load(&mut |record| all.push(record)).unwrap();
    all
}
