//! TCP over ESP without the system's IP stack: smoltcp as the stack, Ravelin's engine under it, keyed by Ravelin's IKEv2.
//!
//! ```text
//!   shell (standard input)     echo server, outgoing connections
//!        │                              │ TCP
//!   keys.rs  IKEv2 Endpoint ── UDP ── smoltcp Interface
//!        │ DataPlaneOp                  │ Ethernet frames, clear
//!        └────────────────────────► device.rs  Protected: Engine
//!                                       │ Ethernet frames, protected
//!                                    raw socket on the link
//! ```
//! Of the system it uses a clock, random bytes and one raw socket; the link needs no address. Read `device.rs` first: it
//! is the port. `docs/porting.md` was written from it.
#![forbid(unsafe_code)]

mod device;
mod keys;
mod shell;
mod traffic;

use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use ravelin_config::{Model, rc};
use ravelin_crypto_aws_lc::SystemRandom;
use ravelin_engine::{Engine, EngineConfig, NoMatch};
use ravelin_types::dataplane::DataPlaneOp;
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{self, Medium, RawSocket};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

use device::Protected;
use keys::Keys;
use shell::{Host, Shell};
use traffic::Traffic;

/// A host of its own on a link, whose traffic Ravelin protects.
#[derive(Parser)]
struct Arguments {
    /// The link. Nothing else should use it: give it no address.
    #[arg(long)]
    link: String,
    /// Ethernet address of this host.
    #[arg(long, value_parser = parse::<EthernetAddress>)]
    mac: EthernetAddress,
    /// An address of this host with the length of its prefix; the first of a family is the one that peers are reached from.
    #[arg(long, required = true, value_parser = parse::<IpCidr>)]
    address: Vec<IpCidr>,
    /// Where everything goes that is not on the link.
    #[arg(long, value_parser = parse::<IpAddress>)]
    gateway: Vec<IpAddress>,
    /// Policies and remotes, as for `ravelin daemon`.
    #[arg(long)]
    rc: PathBuf,
    /// TCP port that returns what it receives.
    #[arg(long, default_value_t = 7)]
    echo: u16,
}

/// smoltcp's parsers give no reason.
fn parse<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not of this form"))
}

/// How long a host that is told to stop waits for its peers to hear of it.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long a line of the shell may wait for the link.
const LOOK: Duration = Duration::from_millis(20);

fn main() -> Result<()> {
    run(&Arguments::parse())
}

fn run(arguments: &Arguments) -> Result<()> {
    let model = load(&arguments.rc)?;
    let crypto = ravelin_crypto_aws_lc::provider();
    // RFC 4301 §5: what no policy selects is dropped; the model begins with the policies that let IKE pass.
    let config = EngineConfig { no_match: NoMatch::Discard, ..EngineConfig::default() };
    let mut engine = Engine::new(config, crypto, Box::new(SystemRandom));
    let start = Instant::now();
    for policy in model.spd() {
        let name = policy.name.clone();
        let added = engine.apply(&DataPlaneOp::AddPolicy(policy), device::instant(start));
        added.with_context(|| format!("policy {name}"))?;
    }

    let link = RawSocket::new(&arguments.link, Medium::Ethernet);
    let link = link.with_context(|| format!("opening the link {}, which takes CAP_NET_RAW", arguments.link))?;
    let fd = link.as_raw_fd();
    let mut device = Protected::new(link, engine);
    let mut interface = Interface::new(Config::new(arguments.mac.into()), &mut device, start);
    configure(&mut interface, arguments)?;

    let mut sockets = SocketSet::new(Vec::new());
    let mut keys = Keys::new(&model, crypto, &interface, &mut sockets, start)?;
    let mut traffic = Traffic::new(arguments.echo, &mut sockets)?;
    let mut shell = Shell::new();
    let mut stop_at = None;
    shell.say("ready");
    loop {
        let now = Instant::now();
        interface.poll(now, &mut device, &mut sockets);
        keys.poll(&mut sockets, &mut device, now);
        traffic.poll(&mut sockets, &mut shell);
        let mut host = Host {
            interface: &mut interface,
            sockets: &mut sockets,
            keys: &mut keys,
            traffic: &mut traffic,
            device: &mut device,
            now,
        };
        if shell.poll(&mut host) && stop_at.is_none() {
            keys.terminate(&mut sockets, &mut device, now);
            stop_at = Some(now + FAREWELL);
        }
        if stop_at.is_some_and(|at| keys.is_idle() || at <= now) {
            // What says good-bye to the peers is still in the sockets.
            interface.poll(now, &mut device, &mut sockets);
            return Ok(());
        }
        // Whatever the polls above left to be sent makes the interface's deadline come at once.
        let next = [interface.poll_at(now, &sockets), keys.poll_at(), stop_at].into_iter().flatten().min();
        let pause = next.map_or(LOOK, |at| if at > now { at - now } else { Duration::ZERO });
        phy::wait(fd, Some(pause.min(LOOK))).context("waiting for the link")?;
    }
}

fn load(path: &Path) -> Result<Model> {
    match rc::load(path, &Model::new()) {
        Ok(loaded) => Ok(loaded.model),
        Err(error) => bail!("{error}"),
    }
}

fn configure(interface: &mut Interface, arguments: &Arguments) -> Result<()> {
    let mut full = false;
    interface.update_ip_addrs(|addresses| {
        full = arguments.address.iter().any(|address| addresses.push(*address).is_err());
    });
    ensure!(!full, "smoltcp was built for fewer addresses than the {} given", arguments.address.len());
    for gateway in &arguments.gateway {
        let refused = match gateway {
            IpAddress::Ipv4(gateway) => interface.routes_mut().add_default_ipv4_route(*gateway).is_err(),
            IpAddress::Ipv6(gateway) => interface.routes_mut().add_default_ipv6_route(*gateway).is_err(),
        };
        ensure!(!refused, "smoltcp was built for fewer routes");
    }
    Ok(())
}
