//! Hosts, links, policies and SAs.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ravelin_crypto_aws_lc::{SystemRandom, provider};
use ravelin_store::FileStore;
use ravelin_tun::{TunConfig, TunDataPlane};
use ravelin_types::dataplane::{DataPlane, DataPlaneOp, Flow};
use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Domain, Mode, Policy, PolicyId, Protection, Ways};
use ravelin_types::proposal::EspSuite;
use ravelin_types::sa::{Direction, Encap, SaKeys, SaLookup, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_types::{Secret, Spi};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::sh;

/// How long anything may take that is expected to happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Why the cases cannot run here.
pub fn missing() -> Option<String> {
    for (program, package) in [("nft", "nftables"), ("ip", "iproute2"), ("unshare", "util-linux")] {
        let found = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().any(|dir| Path::new(dir).join(program).exists());
        if !found {
            return Some(format!("no {program} (package {package})"));
        }
    }
    if !Path::new("/dev/net/tun").exists() {
        return Some("no /dev/net/tun (modprobe tun)".into());
    }
    let output = namespace_command().arg("true").output();
    match output {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("no namespaces: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(format!("no namespaces: {error}")),
    }
}

/// `unshare` into namespaces of our own.
pub fn namespace_command() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--net", "--"]);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).stdin(Stdio::null());
    command
}

type Job = Box<dyn FnOnce() + Send>;

/// A host: a network namespace, a thread in it, and perhaps a data plane.
pub struct Host {
    pub name: String,
    jobs: Sender<Job>,
    plane: Arc<Mutex<Option<TunDataPlane>>>,
    pub journal: PathBuf,
}

impl Host {
    /// A host without links.
    pub fn new(name: &str) -> Host {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{name}{number}");
        sh("ip", &["netns", "add", &name]);
        let (jobs, queue) = channel::<Job>();
        let path = format!("/run/netns/{name}");
        std::thread::spawn(move || {
            let file = std::fs::File::open(path).unwrap();
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(LinkNameSpaceType::Network)).unwrap();
            queue.into_iter().for_each(|job| job());
        });
        let journal = PathBuf::from(format!("/run/journal-{name}"));
        let host = Host { name, jobs, plane: Arc::default(), journal };
        host.ip("link set lo up");
        host.nft(
            "table inet watch {
               counter sealed { }
               counter encapsulated { }
               counter clear { }
               chain arrived {
                 type filter hook prerouting priority -400;
                 iifname != \"e1\" return
                 meta l4proto esp counter name sealed return
                 udp dport { 500, 4500 } counter name encapsulated return
                 icmpv6 type { 130-137, 143 } return
                 counter name clear
               }
             }",
        );
        host
    }

    /// Runs `job` in this host's network namespace.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = channel();
        let job = Box::new(move || _ = done.send(catch_unwind(AssertUnwindSafe(job))));
        self.jobs.send(job).unwrap();
        result.recv().unwrap().unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// `ip` on this host; the arguments by words.
    pub fn ip(&self, arguments: &str) -> String {
        let words: Vec<&str> = ["-n", &self.name].into_iter().chain(arguments.split_whitespace()).collect();
        sh("ip", &words)
    }

    /// An `nft` script on this host.
    pub fn nft(&self, script: &str) -> String {
        let script = script.to_owned();
        self.run(move || sh("nft", &[&script]))
    }

    /// Packets that came over link 1: `sealed`, `encapsulated` (IKE ports), or `clear`.
    pub fn arrived(&self, counter: &str) -> u64 {
        let text = self.nft(&format!("list counter inet watch {counter}"));
        let words: Vec<&str> = text.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "packets").unwrap();
        words[at + 1].parse().unwrap()
    }

    /// Forwards packets.
    pub fn forward(&self) {
        self.run(|| {
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
            std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap();
        });
    }

    /// Starts a data plane with the defaults.
    pub fn start(&self) {
        self.start_with(config());
    }

    /// Starts a data plane.
    pub fn start_with(&self, config: TunConfig) {
        let (plane, journal) = (self.plane.clone(), self.journal.clone());
        self.run(move || {
            let mut store = FileStore::open(&journal).unwrap();
            let started = TunDataPlane::start(config, provider(), || Box::new(SystemRandom), &mut store);
            *plane.lock().unwrap() = Some(started.unwrap());
        });
    }

    /// Stops the data plane.
    pub fn stop(&self) {
        let (plane, journal) = (self.plane.clone(), self.journal.clone());
        self.run(move || {
            let mut store = FileStore::open(&journal).unwrap();
            plane.lock().unwrap().take().unwrap().stop(&mut store).unwrap();
        });
    }

    /// Does something with the data plane.
    pub fn plane<T: Send + 'static>(&self, job: impl FnOnce(&mut TunDataPlane) -> T + Send + 'static) -> T {
        let plane = self.plane.clone();
        self.run(move || job(plane.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).as_mut().unwrap()))
    }

    /// Asks the data plane until it has an answer.
    pub fn run_until<T: Send + 'static>(
        &self,
        question: impl FnMut(&mut TunDataPlane) -> Option<T> + Send + Clone + 'static,
    ) -> T {
        wait_for(|| {
            let mut question = question.clone();
            self.plane(move |plane| question(plane))
        })
    }

    /// Drops the data plane.
    pub fn run_drop(&self) {
        let plane = self.plane.clone();
        self.run(move || drop(plane.lock().unwrap().take()));
    }

    /// Drops the data plane by a panic.
    pub fn run_panic(&self) {
        let plane = self.plane.clone();
        self.run(move || {
            let plane = plane.lock().unwrap().take();
            let daemon = move || {
                let _plane = plane;
                std::panic::resume_unwind(Box::new("part of the test"));
            };
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(daemon)).is_err());
        });
    }

    /// Undoes what is left of the data plane before, and starts another.
    pub fn start_after_crash(&self) {
        let journal = self.journal.clone();
        self.run(move || drop(ravelin_tun::undo_leftovers(&mut FileStore::open(journal).unwrap()).unwrap()));
        self.start();
    }

    /// Applies one operation.
    pub fn apply(&self, op: DataPlaneOp) {
        self.plane(move |plane| plane.apply(&op)).unwrap();
    }

    /// Packets that passed the SA with this SPI.
    pub fn packets(&self, spi: u32) -> u64 {
        let list = self.plane(DataPlane::list);
        list.iter().filter(|sa| sa.params.spi == Spi(spi)).map(|sa| sa.counters.packets).sum()
    }

    /// The number of packets the data plane dropped for a reason that contains `text`.
    pub fn dropped(&self, text: &'static str) -> u64 {
        let counters = self.plane(TunDataPlane::counters);
        counters.drops.iter().filter(|(reason, _)| reason.contains(text)).map(|(_, count)| count).sum()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let plane = self.plane.clone();
        let _ = self.jobs.send(Box::new(move || drop(plane.lock().map(|mut plane| plane.take()))));
        let (done, wait) = channel();
        let _ = self.jobs.send(Box::new(move || _ = done.send(())));
        let _ = wait.recv_timeout(PATIENCE);
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
        let _ = std::fs::remove_file(&self.journal);
    }
}

/// A link between two hosts: `e<net>` on both, 10.0.<net>.1/24 and fd00:<net>::1/64 on the first, .2 on the second.
pub fn link(a: &Host, b: &Host, net: u8) {
    let device = format!("e{net}");
    a.ip(&format!("link add {device} type veth peer name {device} netns {}", b.name));
    for (host, number) in [(a, 1), (b, 2)] {
        host.ip(&format!("addr add 10.0.{net}.{number}/24 dev {device}"));
        host.ip(&format!("addr add fd00:{net}::{number}/64 dev {device} nodad"));
        host.ip(&format!("link set {device} up"));
    }
    // The kernel announces the carrier a moment later, and IPv6 receives nothing before that.
    for host in [a, b] {
        wait_for(|| host.ip(&format!("link show {device}")).contains("state UP").then_some(()));
    }
}

/// Asks until there is an answer.
pub fn wait_for<T>(mut question: impl FnMut() -> Option<T>) -> T {
    for _ in 0..PATIENCE.as_millis() / 10 {
        if let Some(answer) = question() {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it did not come")
}

/// What [`workers`] says.
pub static WORKERS: AtomicUsize = AtomicUsize::new(1);

/// How many workers the data planes have.
pub fn workers() -> usize {
    WORKERS.load(Ordering::Relaxed)
}

/// What a data plane is started with.
pub fn config() -> TunConfig {
    TunConfig { workers: workers(), ..TunConfig::default() }
}

/// Two hosts with a data plane each on link 1.
pub fn pair() -> (Host, Host) {
    let (a, b) = (Host::new("a"), Host::new("b"));
    link(&a, &b, 1);
    a.start();
    b.start();
    (a, b)
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// `10.0.0.0/8`, `10.0.0.1-10.0.0.9` or one address.
pub fn selector(text: &str) -> TrafficSelector {
    if let Some((first, last)) = text.split_once('-') {
        return TrafficSelector::new(ip(first)..=ip(last), 0, 0..=u16::MAX).unwrap();
    }
    match text.split_once('/') {
        Some((address, length)) => TrafficSelector::prefix(ip(address), length.parse().unwrap()).unwrap(),
        None => TrafficSelector::host(ip(text)),
    }
}

/// What two hosts protect between them, as the first sees it.
#[derive(Clone)]
pub struct Tunnel {
    pub id: u32,
    pub mode: Mode,
    /// The ends of the SAs.
    pub ends: (IpAddr, IpAddr),
    /// The traffic.
    pub local: TrafficSelector,
    pub remote: TrafficSelector,
    pub encap: bool,
    /// Distinguishes SAs that replace each other.
    pub generation: u32,
    pub options: SaOptions,
}

impl Tunnel {
    /// All traffic between two addresses, in transport mode.
    pub fn transport(id: u32, a: &str, b: &str) -> Tunnel {
        let (local, remote) = (selector(a), selector(b));
        Tunnel {
            id,
            mode: Mode::Transport,
            ends: (ip(a), ip(b)),
            local,
            remote,
            encap: false,
            generation: 0,
            options: SaOptions::default(),
        }
    }

    /// The same as the other host sees it.
    pub fn swapped(&self) -> Tunnel {
        Tunnel { ends: (self.ends.1, self.ends.0), local: self.remote, remote: self.local, ..self.clone() }
    }

    /// The part of it that is one flow.
    pub fn of_flow(&self, flow: &Flow, generation: u32) -> Tunnel {
        let side = |address, port: Option<u16>| {
            let ports = port.map_or(0..=u16::MAX, |port| port..=port);
            TrafficSelector::host(address).with(flow.protocol, ports).unwrap()
        };
        let (local, remote) = (side(flow.src, flow.src_port), side(flow.dst, flow.dst_port));
        Tunnel { local, remote, generation, ..self.clone() }
    }

    pub fn policy(&self) -> Policy {
        let protection = Protection {
            mode: self.mode,
            local: Some(self.ends.0),
            remote: self.ends.1,
            pfp: Pfp::NONE,
            lifetime: Lifetime::default(),
            replay_window: 64,
            options: self.options,
        };
        policy(self.id, 100, self.local, self.remote, Action::Protect(protection))
    }

    /// One direction of an SA pair, as the sender or the receiver has it.
    pub fn sa(&self, direction: Direction, spi: u32) -> SaParams {
        let (src, dst) = match direction {
            Direction::Outbound => self.ends,
            Direction::Inbound => (self.ends.1, self.ends.0),
        };
        SaParams {
            direction,
            spi: Spi(spi),
            pair: Spi(spi ^ 1),
            lookup: SaLookup::Spi,
            src,
            dst,
            mode: self.mode,
            encap: self.encap.then_some(Encap::udp(4500, 4500)),
            original: None,
            suite: EspSuite {
                encr: EncrId::AES_GCM_16,
                encr_key_bits: 128,
                integ: IntegId::NONE,
                sn: SnId::SEQUENTIAL_32,
            }
            .into(),
            keys: SaKeys { encr: Secret::new(vec![spi as u8; 20]), ..SaKeys::default() },
            policy: PolicyId(self.id),
            local_ts: [self.local].into(),
            remote_ts: [self.remote].into(),
            lifetime: Lifetime::default(),
            replay_window: 64,
            options: self.options,
        }
    }

    /// Adds the policy on both hosts.
    pub fn add_policies(&self, a: &Host, b: &Host) {
        a.apply(DataPlaneOp::AddPolicy(self.policy()));
        b.apply(DataPlaneOp::AddPolicy(self.swapped().policy()));
    }

    /// Adds an SA pair on both hosts, the receiving side of each first.
    pub fn add_sas(&self, a: &Host, b: &Host) {
        let (forth, back) = self.spis();
        let other = self.swapped();
        b.apply(DataPlaneOp::AddSa(other.sa(Direction::Inbound, forth)));
        a.apply(DataPlaneOp::AddSa(self.sa(Direction::Inbound, back)));
        b.apply(DataPlaneOp::AddSa(other.sa(Direction::Outbound, back)));
        a.apply(DataPlaneOp::AddSa(self.sa(Direction::Outbound, forth)));
    }

    /// Deletes the SA pair, which sends no more, on both hosts when the last packet of each has arrived.
    pub fn delete_sas(&self, a: &Host, b: &Host) {
        let (forth, back) = self.spis();
        wait_for(|| {
            let all_arrived = |from: &Host, to: &Host, spi| from.packets(spi) == to.packets(spi);
            (all_arrived(a, b, forth) && all_arrived(b, a, back)).then_some(())
        });
        let other = self.swapped();
        a.apply(DataPlaneOp::DeleteSa(self.sa(Direction::Outbound, forth).id()));
        b.apply(DataPlaneOp::DeleteSa(other.sa(Direction::Outbound, back).id()));
        a.apply(DataPlaneOp::DeleteSa(self.sa(Direction::Inbound, back).id()));
        b.apply(DataPlaneOp::DeleteSa(other.sa(Direction::Inbound, forth).id()));
    }

    pub fn spis(&self) -> (u32, u32) {
        let forth = 0x1000 + self.id * 0x100 + self.generation * 2;
        (forth, forth + 1)
    }

    pub fn add(&self, a: &Host, b: &Host) {
        self.add_policies(a, b);
        self.add_sas(a, b);
    }
}

pub fn policy(id: u32, priority: u32, local: TrafficSelector, remote: TrafficSelector, action: Action) -> Policy {
    let name = format!("policy {id}");
    Policy {
        id: PolicyId(id),
        name,
        domain: Domain::default(),
        priority,
        local: vec![local],
        remote: vec![remote],
        action,
        ways: Ways::default(),
    }
}

/// Sends `len` bytes over TCP from `a` to a server on `b` at `address`, which sends all of them back.
pub fn tcp(a: &Host, b: &Host, address: &str, len: usize) {
    let address = socket(address);
    let listener = b.run(move || TcpListener::bind(address).unwrap());
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        patient(&stream);
        std::io::copy(&mut &stream, &mut &stream).unwrap();
    });
    let stream = a.run(move || TcpStream::connect_timeout(&address, PATIENCE)).unwrap();
    exchange(stream, len);
    server.join().unwrap();
}

/// Sends `len` bytes and expects them back.
pub fn exchange(stream: TcpStream, len: usize) {
    patient(&stream);
    let sent: Vec<u8> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
    let writer = std::thread::spawn({
        let (mut stream, sent) = (stream.try_clone().unwrap(), sent.clone());
        move || {
            stream.write_all(&sent).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
    });
    let mut received = Vec::new();
    (&stream).read_to_end(&mut received).unwrap();
    writer.join().unwrap();
    assert!(received == sent, "the bytes that came back differ ({} of {})", received.len(), sent.len());
}

fn patient(stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
}

/// Whether a datagram from an unbound socket of `a` reaches `b` at `address`.
pub fn reaches(a: &Host, b: &Host, address: &str, len: usize) -> bool {
    datagram(a, b, address, len, PATIENCE)
}

/// Whether such a datagram does not come within a time in which others do.
pub fn is_lost(a: &Host, b: &Host, address: &str, len: usize) -> bool {
    !datagram(a, b, address, len, Duration::from_millis(500))
}

fn datagram(a: &Host, b: &Host, address: &str, len: usize, patience: Duration) -> bool {
    let address = socket(address);
    let server = b.run(move || std::net::UdpSocket::bind(address).unwrap());
    a.run(move || {
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        // A refusal by a guard is as good as silence.
        let _ = std::net::UdpSocket::bind(any).unwrap().send_to(&vec![0x5a; len], address);
    });
    server.set_read_timeout(Some(patience)).unwrap();
    let mut buffer = vec![0; 65_536];
    server.recv(&mut buffer).is_ok_and(|received| buffer[..received] == vec![0x5a; len])
}
