//! Two network namespaces with a link between them, and a data plane in each. Everything vanishes with the value.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use ravelin_crypto_aws_lc::{SystemRandom, provider};
use ravelin_tun::{TunConfig, TunDataPlane};
use ravelin_types::dataplane::{DataPlane, DataPlaneError, DataPlaneEvent, DataPlaneOp, SaStatus};
use ravelin_types::record::{Record, Store, StoreError};
use ravelin_xfrm::{Capabilities, XfrmConfig, XfrmDataPlane, probe};

use crate::{End, Pair, sys};

/// How long anything may take that is expected to happen.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long to wait for what is not expected.
const QUIET: Duration = Duration::from_millis(250);

/// What is sent.
const PAYLOAD: &[u8] = b"payload of the contract";

type Job<P> = Box<dyn FnOnce(&mut P) + Send>;

/// A network namespace, and a thread in it that has a data plane.
struct Host<P> {
    jobs: Sender<Job<P>>,
    namespace: File,
}

/// Two hosts.
pub struct Hosts<P>([Host<P>; 2]);

/// The engine over TUN devices, with so many workers for each direction.
pub fn tun<const WORKERS: usize>() -> Hosts<TunDataPlane> {
    Hosts::new(|| {
        let config = TunConfig { keepalive: None, workers: WORKERS, ..TunConfig::default() };
        TunDataPlane::start(config, provider(), || Box::new(SystemRandom), &mut Forgetful)
            .unwrap_or_else(|e| panic!("{e}"))
    })
}

/// The kernel's IPsec.
pub fn kernel() -> Hosts<XfrmDataPlane> {
    Hosts::new(|| XfrmDataPlane::start(XfrmConfig::default(), capabilities()).unwrap_or_else(|e| panic!("{e}")))
}

/// What the running kernel can do, found out once.
fn capabilities() -> Capabilities {
    static FOUND: OnceLock<Capabilities> = OnceLock::new();
    FOUND.get_or_init(|| probe().unwrap_or_else(|error| panic!("{error}"))).clone()
}

/// What is in a namespace that vanishes needs no journal.
struct Forgetful;

impl Store for Forgetful {
    fn append(&mut self, _: &Record) -> Result<(), StoreError> {
        Ok(())
    }

    fn load(&mut self, _: &mut dyn FnMut(Record)) -> Result<(), StoreError> {
        Ok(())
    }
}

impl<P: DataPlane + 'static> Hosts<P> {
    fn new(start: fn() -> P) -> Self {
        let waiting = [(); 2].map(|()| {
            let (jobs, queue) = channel::<Job<P>>();
            let (begin, may_begin) = channel::<()>();
            let (ready, made) = channel();
            std::thread::spawn(move || {
                sys::private_namespace();
                ready.send(File::open("/proc/thread-self/ns/net").unwrap()).unwrap();
                // The links come first.
                if may_begin.recv().is_ok() {
                    let mut plane = start();
                    queue.into_iter().for_each(|job| job(&mut plane));
                }
            });
            (Host { jobs, namespace: made.recv().unwrap() }, begin)
        });
        let [(a, begin_a), (b, begin_b)] = waiting;
        let path = |host: &Host<P>| format!("/proc/{}/fd/{}", std::process::id(), host.namespace.as_raw_fd());
        let inside = |host: &Host<P>, line: String| {
            sh(&format!("nsenter --net={} sh -ec '{line}'", path(host)));
        };
        inside(&a, format!("ip link add eth0 type veth peer name eth0 netns {}", path(&b)));
        for (host, own, other) in [(&a, 1, 2), (&b, 2, 1)] {
            inside(
                host,
                format!(
                    "ip link set lo up; ip link set eth0 up; ip addr add 192.0.2.{own}/24 dev eth0; \
                     ip -6 addr add 2001:db8:f::{own}/64 dev eth0 nodad; ip addr add 10.{own}.0.1/32 dev lo; \
                     ip -6 addr add 2001:db8:{own}::1/128 dev lo; ip route add 10.{other}.0.0/16 via 192.0.2.{other}; \
                     ip -6 route add 2001:db8:{other}::/48 via 2001:db8:f::{other}"
                ),
            );
        }
        begin_a.send(()).unwrap();
        begin_b.send(()).unwrap();
        Hosts([a, b])
    }

    fn run<T: Send + 'static>(&self, end: End, job: impl FnOnce(&mut P) -> T + Send + 'static) -> T {
        let (done, outcome) = channel();
        let job = move |plane: &mut P| drop(done.send(catch_unwind(AssertUnwindSafe(|| job(plane)))));
        self.0[end as usize].jobs.send(Box::new(job)).unwrap();
        outcome.recv().expect("the data plane started").unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl<P: DataPlane + 'static> Pair for Hosts<P> {
    fn apply(&mut self, end: End, op: DataPlaneOp) -> Result<(), DataPlaneError> {
        self.run(end, move |plane| plane.apply(&op))
    }

    fn event(&mut self, end: End) -> Option<DataPlaneEvent> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(event) = self.run(end, DataPlane::poll_event) {
                return Some(event);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }

    fn events(&mut self, end: End) -> Vec<DataPlaneEvent> {
        std::thread::sleep(QUIET);
        self.run(end, |plane| std::iter::from_fn(|| plane.poll_event()).collect())
    }

    fn list(&mut self, end: End) -> Vec<SaStatus> {
        self.run(end, DataPlane::list)
    }

    fn send(&mut self, from: End, src: SocketAddr, dst: SocketAddr) -> bool {
        let receiver = self.run(from.other(), move |_| UdpSocket::bind(dst)).unwrap();
        receiver.set_read_timeout(Some(QUIET)).unwrap();
        // The stack may say that nothing can be sent: then nothing arrives.
        self.offer(from, src, dst);
        let mut buffer = [0; 64];
        let got = receiver.recv_from(&mut buffer);
        got.is_ok_and(|(length, remote)| &buffer[..length] == PAYLOAD && remote == src)
    }

    fn offer(&mut self, from: End, src: SocketAddr, dst: SocketAddr) {
        let _: io::Result<usize> = self.run(from, move |_| UdpSocket::bind(src)?.send_to(PAYLOAD, dst));
    }

    fn wait(&mut self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// A shell line that is expected to succeed.
fn sh(line: &str) {
    let output = Command::new("sh").args(["-ec", line]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}
