//! `ravelin demo`: the example of document 003 §5.1, with modern algorithms, on one machine.
//!
//! 1. two network namespaces, a link between them, an `ike_rc` and a daemon in each;
//! 2. a TCP connection, whose first packet starts the negotiation;
//! 3. what the wire carries meanwhile, and both `ipsec netstat` tables;
//! 4. a rekey of the Child SA and of the IKE SA under traffic: every packet sent is a packet received;
//! 5. everything taken down, and a look whether something is left.
//!
//! The namespaces belong to this process alone and end with it. As root it needs nothing else; another user becomes
//! root of a user namespace first.

mod capture;
mod host;
mod namespace;
mod sys;
mod traffic;

use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use ravelin_crypto::SecureRandom;
use ravelin_crypto_aws_lc::SystemRandom;

use crate::cli::DemoArgs;
use capture::Capture;
use host::Host;
use traffic::Traffic;

/// Prints a line. Whoever reads may have seen enough (`| head`): what was begun is ended all the same.
macro_rules! tell {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($words)*);
    }};
}

/// The demonstration ends within this time, whatever happens.
const TIME: Duration = Duration::from_secs(28);
/// How long a single answer of the network may take.
const PATIENCE: Duration = Duration::from_secs(8);
const HOST1: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 77);
const HOST2: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 78);
/// Blocks that cross before a look is taken.
const BLOCKS: u64 = 50;
/// Lines of each daemon's log that are shown after a failure.
const LOG_LINES: usize = 15;

/// Runs the demonstration.
///
/// # Errors
/// The step that failed and why, with the last lines of the daemons' logs.
pub fn run(args: &DemoArgs) -> Result<(), String> {
    let started = Instant::now();
    let limit = Limit::new(started + TIME).map_err(|error| format!("{error:#}"))?;
    tell!("Two hosts on this machine, {HOST1} and {HOST2}; their TCP traffic is protected as in document 003 §5.1.\n");
    namespace::prepare()
        .map_err(|error| format!("step 1 failed, make two network namespaces and a link: {error:#}"))?;
    let scratch = Scratch::new().map_err(|error| format!("{error:#}"))?;
    let mut show = Show { step: 0, title: "", hosts: Vec::new(), limit };
    match show.perform(&scratch.0, args) {
        Ok(()) => {
            tell!("\nDone in {:.1} s.", started.elapsed().as_secs_f32());
            Ok(())
        }
        Err(error) => Err(show.failure(&error)),
    }
}

struct Show {
    step: u32,
    title: &'static str,
    hosts: Vec<Host>,
    limit: Limit,
}

impl Show {
    fn begin(&mut self, title: &'static str) {
        self.step += 1;
        self.title = title;
        tell!("{}. {title}", self.step);
    }

    fn failure(&self, error: &anyhow::Error) -> String {
        let mut text = format!("step {} failed, {}: {error:#}", self.step, self.title);
        for host in &self.hosts {
            let _ = write!(text, "\nthe last lines of the daemon of {}:", host.name);
            for line in host.log_tail(LOG_LINES) {
                let _ = write!(text, "\n    {line}");
            }
        }
        text
    }

    fn perform(&mut self, folder: &Path, args: &DemoArgs) -> Result<()> {
        self.begin("make two network namespaces and a link");
        self.hosts.push(Host::new("host1", HOST1, "demo1", folder.join("host1"))?);
        self.hosts.push(Host::new("host2", HOST2, "demo2", folder.join("host2"))?);
        self.join()?;

        self.begin("start a daemon in each");
        let mut secret = [0; 16];
        SystemRandom.fill(&mut secret);
        let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        for (own, peer) in [(0, HOST2), (1, HOST1)] {
            let Some(host) = self.hosts.get_mut(own) else { continue };
            let lines = ike_rc(host.address, peer);
            if own == 0 {
                tell!("   ike_rc of host1 (that of host2 has the addresses exchanged):");
                lines.lines().for_each(|line| tell!("     {line}"));
            }
            host.configure(&lines, &secret)?;
            host.start(&args.log, &self.limit)?;
        }

        self.begin("open a TCP connection from host1 to host2");
        let [host1, host2] = self.hosts.as_slice() else { bail!("two hosts were made") };
        let capture = Capture::start(&host1.namespace, host1.link, traffic::TEXT)?;
        let address = SocketAddr::from((HOST2, 7));
        let traffic = Traffic::start(&host1.namespace, &host2.namespace, address, PATIENCE)?;
        self.blocks(&traffic, BLOCKS)?;
        tell!("   the first packet started the negotiation; {} blocks went there and back", traffic.blocks());

        self.begin("look at the wire");
        self.check_wire(&capture)?;

        self.begin("look at both ends with `ravelin ipsec netstat`");
        self.print_listings("ipsec netstat")?;

        self.begin("rekey the Child SA and the IKE SA while the connection is at work");
        self.rekey(&traffic)?;

        self.begin("count the packets");
        let blocks = traffic.finish()?;
        self.check_nothing_lost(blocks)?;
        self.check_wire(&capture)?;
        drop(capture);

        self.begin("stop both daemons");
        let limit = &self.limit;
        self.hosts.iter_mut().try_for_each(|host| host.stop(limit))?;
        tell!("   no device, routing rule or packet filter table is left");
        Ok(())
    }

    /// A link between the two namespaces, with an address at each end.
    fn join(&self) -> Result<()> {
        let [host1, host2] = self.hosts.as_slice() else { bail!("two hosts were made") };
        let link =
            format!("link add {} type veth peer name {} netns {}", host1.link, host2.link, host2.namespace.path());
        host1.system("ip", &link, &self.limit)?;
        for host in [host1, host2] {
            host.system("ip", "link set lo up", &self.limit)?;
            host.system("ip", &format!("address add {}/24 dev {}", host.address, host.link), &self.limit)?;
            host.system("ip", &format!("link set {} up", host.link), &self.limit)?;
        }
        Ok(())
    }

    /// Waits until this many more blocks went there and back.
    fn blocks(&self, traffic: &Traffic, more: u64) -> Result<()> {
        let wanted = traffic.blocks() + more;
        self.limit.until("the connection to make progress", || {
            ensure!(traffic.is_running(), "the connection broke");
            Ok((traffic.blocks() >= wanted).then_some(()))
        })
    }

    fn check_wire(&self, capture: &Capture) -> Result<()> {
        let counts = capture.counts();
        let [esp, ike, clear, readable] =
            [&counts.esp, &counts.ike, &counts.clear, &counts.readable].map(|counter| counter.load(Relaxed));
        tell!("   on the wire: {esp} ESP packets, {ike} of IKE, {clear} of TCP in the clear");
        ensure!(esp > 0, "no ESP packet was seen");
        ensure!(clear == 0 && readable == 0, "the connection can be read on the wire ({readable} packets)");
        Ok(())
    }

    fn print_listings(&self, listing: &str) -> Result<()> {
        for host in &self.hosts {
            tell!("   {} ({}):", host.name, host.address);
            for line in host.control(listing, &self.limit)?.lines() {
                tell!("     {line}");
            }
        }
        Ok(())
    }

    fn rekey(&self, traffic: &Traffic) -> Result<()> {
        let [host1, ..] = self.hosts.as_slice() else { bail!("two hosts were made") };
        let spi = |what: &str| -> Result<String> {
            let value = host1.listing("ike netstat", what, &self.limit)?;
            Ok(value.as_str().unwrap_or_default().to_owned())
        };
        let (child, ike) = ("/ike-sas/0/children/0/inbound", "/ike-sas/0/initiator-spi");
        let (old_child, old_ike) = (spi(child)?, spi(ike)?);
        host1.control("ike rekey --child policy1 --timeout 8", &self.limit)?;
        self.blocks(traffic, BLOCKS)?;
        host1.control("ike rekey remoteINFO --timeout 8", &self.limit)?;
        self.blocks(traffic, BLOCKS)?;
        let (new_child, new_ike) = self.limit.until("the old SAs to go", || {
            let found = (spi(child)?, spi(ike)?);
            Ok((found.0 != old_child && found.1 != old_ike).then_some(found))
        })?;
        tell!("   ESP SA {old_child} became {new_child}, IKE SA {old_ike} became {new_ike}");
        Ok(())
    }

    /// Every packet that one end sealed was opened by the other.
    fn check_nothing_lost(&self, blocks: u64) -> Result<()> {
        let [host1, host2] = self.hosts.as_slice() else { bail!("two hosts were made") };
        let count = |host: &Host, name: &str| -> Result<u64> {
            let value = host.listing("ipsec netstat -a", &format!("/counters/packets-{name}"), &self.limit)?;
            Ok(value.as_u64().unwrap_or_default())
        };
        let mut last = (0, 0, 0, 0);
        let outcome = self.limit.until("the last packets to arrive", || {
            last = (count(host1, "sealed")?, count(host2, "opened")?, count(host2, "sealed")?, count(host1, "opened")?);
            Ok((last.0 == last.1 && last.2 == last.3 && last.0 > 0).then_some(()))
        });
        let (there, arrived, back, returned) = last;
        tell!("   {blocks} blocks there and back, every byte right");
        tell!(
            "   host1 sent {there} ESP packets, host2 received {arrived}; host2 sent {back}, host1 received {returned}"
        );
        outcome
    }
}

/// The four lines of document 003 §5.1 with modern algorithms, two for each host.
fn ike_rc(own: Ipv4Addr, peer: Ipv4Addr) -> String {
    format!(
        "ipsec policy -n policy1 -g remoteINFO -t ESP -e AES128-GCM -m transport -p tcp -r {peer} -s {own} -d {peer}\n\
         ike remote -n remoteINFO -z 2 -w -u -e AES128-GCM -p HMAC-SHA-2-256 -m PresharedKey -d CURVE25519 \
         -r {peer} -f ipv4:{peer} -g ipv4:{own} -h psk\n"
    )
}

/// When everything must be over, and whether someone wants it over now.
pub struct Limit {
    end: Instant,
    interrupted: Arc<AtomicBool>,
}

impl Limit {
    fn new(end: Instant) -> Result<Self> {
        Ok(Limit { end, interrupted: crate::process::wanted_over()? })
    }

    /// Looks until there is something to see.
    ///
    /// # Errors
    /// When looking fails, time is up, or the operator has had enough.
    pub fn until<T>(&self, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        loop {
            if let Some(seen) = look()? {
                return Ok(seen);
            }
            ensure!(!self.interrupted.load(Relaxed), "interrupted while waiting for {what}");
            ensure!(Instant::now() < self.end, "time is up: waited for {what}");
            std::thread::sleep(host::GLANCE);
        }
    }
}

/// A folder of this run alone, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let path = std::env::temp_dir().join(format!("ravelin-demo-{}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // In the temporary folder; what cannot be removed does no harm there.
        let _ = fs::remove_dir_all(&self.0);
    }
}
