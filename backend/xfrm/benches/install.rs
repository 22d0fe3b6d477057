//! How fast policies get into the kernel, and SAs where it has ESP: through our netlink batches, and through `ip -batch`, in
//! turns in one run, each in a network namespace of its own: into tables of a kernel that has just begun, and into tables
//! that had as much before. The kernel doubles a table by a worker that waits for RCU each time, so that who is faster
//! than that looks for each entry in longer lists. And a burst of acquires.

// A program of measurements, which the lint cannot see.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ravelin_types::dataplane::{DataPlane, DataPlaneEvent, DataPlaneOp};
use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Domain, Mode, Policy, PolicyId, Protection, Ways};
use ravelin_types::proposal::EspSuite;
use ravelin_types::sa::{Direction, SaKeys, SaLookup, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_types::{Secret, Spi};
use ravelin_xfrm::{Capabilities, XfrmConfig, XfrmDataPlane};
use rustix::thread::UnshareFlags;

/// Policies, and SAs where there are any.
const COUNT: u32 = 10_000;
/// Acquires in a burst.
const BURST: u32 = 100_000;
const TURNS: usize = 3;
/// From 8 lists of a table to as many as entries.
const DOUBLINGS: u32 = 14;
/// More than one takes.
const DOUBLING: Duration = Duration::from_millis(100);

fn main() {
    // The standard harness asks what benches there are.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return;
    }
    let esp = ravelin_xfrm::probe().is_ok_and(|found| found.is_usable());
    let what = if esp { "policies with an SA each" } else { "policies (this kernel has no ESP)" };
    let (mut ours, mut theirs) = ([Duration::MAX; 2], [Duration::MAX; 2]);
    for _ in 0..TURNS {
        keep_best(&mut ours, in_namespace(move || batches(esp)));
        keep_best(&mut theirs, in_namespace(move || ip_batch(esp)));
    }
    // A policy in transport mode is an entry out and one in.
    let entries = COUNT * if esp { 3 } else { 2 };
    let rate = |time: Duration| f64::from(entries) / time.as_secs_f64();
    println!("{COUNT} {what}, {entries} entries of the kernel:");
    for ((tables, ours), theirs) in ["new tables", "grown tables"].into_iter().zip(ours).zip(theirs) {
        println!("{tables}:");
        println!("  netlink batches {ours:>8.1?}, {:>9.0} entries a second", rate(ours));
        println!("  ip -batch       {theirs:>8.1?}, {:>9.0} entries a second", rate(theirs));
        println!("  ip -batch takes {:.1} times as long", theirs.as_secs_f64() / ours.as_secs_f64());
    }
    let (raised, taken) = in_namespace(burst);
    println!("{BURST} acquires: raised in {raised:.1?}, all told once {taken:.1?} after the first");
}

fn keep_best(best: &mut [Duration; 2], turn: [Duration; 2]) {
    best.iter_mut().zip(turn).for_each(|(best, turn)| *best = turn.min(*best));
}

fn in_namespace<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(move || {
        // SAFETY: with NEWNET alone nothing that other threads share is taken apart.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.expect("a network namespace: run as root");
        job()
    });
    thread.join().unwrap()
}

fn remote(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a40_0000 + number).into()
}

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn policy(number: u32, to: TrafficSelector, remote: IpAddr) -> Policy {
    let protection = Protection {
        mode: Mode::Transport,
        local: None,
        remote,
        pfp: Pfp::NONE,
        lifetime: Lifetime::default(),
        replay_window: 32,
        options: SaOptions::default(),
    };
    Policy {
        id: PolicyId(number + 1),
        name: String::new(),
        domain: Domain::default(),
        priority: 4000,
        local: vec![TrafficSelector::host(LOCAL)],
        remote: vec![to],
        action: Action::Protect(protection),
        ways: Ways::default(),
    }
}

fn sa(number: u32, policy: &Policy) -> SaParams {
    let suite =
        EspSuite { encr: EncrId::AES_GCM_16, encr_key_bits: 128, integ: IntegId::NONE, sn: SnId::SEQUENTIAL_32 };
    SaParams {
        direction: Direction::Outbound,
        spi: Spi(0x1_0000 + number),
        pair: Spi(0x2_0000 + number),
        lookup: SaLookup::Spi,
        src: LOCAL,
        dst: remote(number),
        mode: Mode::Transport,
        encap: None,
        original: None,
        suite: suite.into(),
        keys: SaKeys { encr: Secret::new(vec![7; 20]), ..SaKeys::default() },
        policy: policy.id,
        local_ts: policy.local.as_slice().into(),
        remote_ts: policy.remote.as_slice().into(),
        lifetime: Lifetime::default(),
        replay_window: 0,
        options: SaOptions::default(),
    }
}

fn plane() -> XfrmDataPlane {
    // A link leads to the addresses that are spoken to.
    ip(&["link", "add", "here", "type", "veth", "peer", "name", "there"]);
    ip(&["link", "set", "here", "up"]);
    ip(&["link", "set", "there", "up"]);
    ip(&["addr", "add", "192.0.2.1/24", "dev", "here"]);
    ip(&["route", "add", "10.64.0.0/10", "via", "192.0.2.2"]);
    XfrmDataPlane::start(XfrmConfig::default(), Capabilities::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().expect("ip is there").success());
}

/// In new tables and in grown ones.
fn batches(esp: bool) -> [Duration; 2] {
    let mut plane = plane();
    let (mut additions, mut removals) = (Vec::new(), Vec::new());
    for number in 0..COUNT {
        let policy = policy(number, TrafficSelector::host(remote(number)), remote(number));
        removals.push(DataPlaneOp::DeletePolicy(policy.id));
        if esp {
            let sa = sa(number, &policy);
            removals.push(DataPlaneOp::DeleteSa(sa.id()));
            additions.push(DataPlaneOp::AddSa(sa));
        }
        additions.push(DataPlaneOp::AddPolicy(policy));
    }
    let mut apply = |ops: &[DataPlaneOp]| {
        let start = Instant::now();
        plane.apply_all(ops).unwrap_or_else(|(index, error)| panic!("{index}: {error}"));
        start.elapsed()
    };
    let new = apply(&additions);
    grow(esp);
    apply(&removals);
    [new, apply(&additions)]
}

/// The same by `ip`.
fn ip_batch(esp: bool) -> [Duration; 2] {
    let lines = (0..COUNT).map(|number| lines(number, esp)).collect::<String>();
    let new = batch(&lines);
    grow(esp);
    ip(&["xfrm", "policy", "flush"]);
    ip(&["xfrm", "state", "flush"]);
    [new, batch(&lines)]
}

/// What `ip` takes for a policy, and for its SA.
fn lines(number: u32, esp: bool) -> String {
    let (to, reqid) = (remote(number), number + 1);
    let mut lines = String::new();
    if esp {
        lines.push_str(&format!(
            "xfrm state add src {LOCAL} dst {to} proto esp spi {:#x} reqid {reqid} mode transport \
             aead rfc4106(gcm(aes)) 0x{} 128 sel src {LOCAL}/32 dst {to}/32\n",
            0x1_0000 + number,
            "07".repeat(20)
        ));
    }
    for (dir, src, dst) in [("out", LOCAL, to), ("in", to, LOCAL)] {
        lines.push_str(&format!(
            "xfrm policy add src {src}/32 dst {dst}/32 dir {dir} priority 4000 tmpl proto esp reqid {reqid} mode transport\n"
        ));
    }
    lines
}

fn batch(lines: &str) -> Duration {
    let start = Instant::now();
    let mut batch = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().expect("ip is there");
    batch.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(batch.wait().unwrap().success());
    start.elapsed()
}

/// A table doubles when something is added to one that is too small, in its own time: one more comes and goes until all is done.
fn grow(esp: bool) {
    let one_more = lines(COUNT, esp);
    let one_less: String = one_more.lines().map(removal).collect();
    for _ in 0..DOUBLINGS {
        std::thread::sleep(DOUBLING);
        batch(&one_more);
        batch(&one_less);
    }
}

/// What removes what a line adds.
fn removal(line: &str) -> String {
    let end = [" reqid", " priority"].into_iter().filter_map(|what| line.find(what)).min().unwrap_or(line.len());
    line[..end].replace(" add ", " delete ") + "\n"
}

/// A trap for a network, and so many of its hosts are spoken to faster than anybody looks.
fn burst() -> (Duration, Duration) {
    let mut plane = plane();
    let network = TrafficSelector::prefix(remote(0), 10).unwrap();
    let trap = policy(0, network, Ipv4Addr::UNSPECIFIED.into());
    plane.apply(&DataPlaneOp::AddPolicy(trap)).unwrap();
    let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
    let start = Instant::now();
    for number in 0..BURST {
        let _ = socket.send_to(b"x", (remote(number), 9));
    }
    let raised = start.elapsed();
    let mut asked = std::collections::BTreeSet::new();
    while let Some(event) = plane.poll_event() {
        if let DataPlaneEvent::Acquire { flow, .. } = event {
            assert!(asked.insert(flow.dst), "told twice");
        }
    }
    let taken = start.elapsed();
    assert_eq!(asked.len(), BURST as usize);
    (raised, taken)
}
