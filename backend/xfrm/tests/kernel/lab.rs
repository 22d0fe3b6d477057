//! Hosts, links, policies and SAs.

use std::fs::File;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use ravelin_types::dataplane::{DataPlane, DataPlaneEvent};
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

/// How long anything may take that is expected to happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace and a thread in it.
pub struct Host {
    jobs: Sender<Job>,
    namespace: File,
}

impl Host {
    /// A host with a loopback device.
    pub fn new() -> Host {
        let (jobs, queue) = channel::<Job>();
        let (ready, made) = channel();
        std::thread::spawn(move || {
            // SAFETY: with NEWNET alone nothing that other threads share is taken apart.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.expect("a network namespace");
            ready.send(File::open("/proc/thread-self/ns/net").unwrap()).unwrap();
            queue.into_iter().for_each(|job| job());
        });
        let host = Host { jobs, namespace: made.recv().unwrap() };
        host.sh("ip link set lo up");
        host
    }

    /// Two hosts with a link between them: 192.0.2.1 and 2001:db8::1, 192.0.2.2 and 2001:db8::2.
    pub fn pair() -> (Host, Host) {
        let (a, b) = (Host::new(), Host::new());
        a.sh(&format!("ip link add eth0 type veth peer name eth0 netns {}", b.path()));
        for (host, number) in [(&a, 1), (&b, 2)] {
            host.sh(&format!(
                "ip link set eth0 up; ip addr add 192.0.2.{number}/24 dev eth0; \
                 ip -6 addr add 2001:db8::{number}/64 dev eth0 nodad; \
                 ip addr add 10.{number}.0.1/16 dev lo; ip route add default via 192.0.2.{}",
                3 - number
            ));
        }
        (a, b)
    }

    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.namespace.as_raw_fd())
    }

    /// Does something on the host.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, outcome) = channel();
        self.jobs.send(Box::new(move || drop(done.send(catch_unwind(AssertUnwindSafe(job)))))).unwrap();
        outcome.recv().unwrap().unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// A shell line that is expected to succeed; its output.
    pub fn sh(&self, line: &str) -> String {
        let line = line.to_owned();
        self.run(move || sh(&line))
    }
}

/// A shell line in the namespace of the calling thread.
pub fn sh(line: &str) -> String {
    let output = Command::new("sh").args(["-ec", line]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A data plane in the namespace of the calling thread.
pub fn plane() -> XfrmDataPlane {
    XfrmDataPlane::start(XfrmConfig::default(), Capabilities::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// The next event, which must come.
pub fn event(plane: &mut XfrmDataPlane) -> DataPlaneEvent {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(event) = plane.poll_event() {
            return event;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("no event came");
}

/// Sends one datagram; whether it goes anywhere is not asked.
pub fn send(from: &str, to: &str) {
    let _ = UdpSocket::bind(from).unwrap().send_to(b"payload", to);
}

pub fn net(text: &str, length: u8) -> TrafficSelector {
    TrafficSelector::prefix(text.parse().unwrap(), length).unwrap()
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A policy between 10.1.0.0/16 and 10.2.0.0/16 by a tunnel.
pub fn tunnel_policy(number: u32) -> Policy {
    let protection = Protection {
        mode: Mode::Tunnel,
        local: Some(ip("192.0.2.1")),
        remote: ip("192.0.2.2"),
        pfp: Pfp::NONE,
        lifetime: Lifetime::default(),
        replay_window: 64,
        options: SaOptions::default(),
    };
    Policy {
        id: PolicyId(number),
        name: format!("policy{number}"),
        domain: Domain::default(),
        priority: 4000,
        local: vec![net("10.1.0.0", 16)],
        remote: vec![net("10.2.0.0", 16)],
        action: Action::Protect(protection),
        ways: Ways::default(),
    }
}

/// The same policy with its protection changed.
pub fn with(mut policy: Policy, change: impl FnOnce(&mut Protection)) -> Policy {
    if let Action::Protect(protection) = &mut policy.action {
        change(protection);
    }
    policy
}

/// An SA of AES-GCM for a policy, from 192.0.2.1 to 192.0.2.2 or back.
pub fn sa(policy: &Policy, direction: Direction, spi: u32, pair: u32) -> SaParams {
    let Action::Protect(protection) = &policy.action else { panic!("no SA for such a policy") };
    let (mut src, mut dst) = (protection.local.unwrap(), protection.remote);
    if direction == Direction::Inbound {
        (src, dst) = (dst, src);
    }
    // Both ends have the same key for the same SPI.
    let key: Vec<u8> = (0..20).map(|i| (spi as u8).wrapping_add(i)).collect();
    SaParams {
        direction,
        spi: Spi(spi),
        pair: Spi(pair),
        lookup: SaLookup::Spi,
        src,
        dst,
        mode: protection.mode,
        encap: None,
        original: None,
        suite: EspSuite { encr: EncrId::AES_GCM_16, encr_key_bits: 128, integ: IntegId::NONE, sn: SnId::SEQUENTIAL_32 }
            .into(),
        keys: SaKeys { encr: Secret::new(key), ..SaKeys::default() },
        policy: policy.id,
        local_ts: policy.local.as_slice().into(),
        remote_ts: policy.remote.as_slice().into(),
        lifetime: protection.lifetime,
        replay_window: protection.replay_window,
        options: protection.options,
    }
}
