//! Key management: the IKEv2 endpoint, with two UDP sockets of smoltcp for its messages and the engine as data plane.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use ravelin_config::Model;
use ravelin_crypto::CryptoProvider;
use ravelin_crypto_aws_lc::SystemRandom;
use ravelin_ike::view::IkeSaView;
use ravelin_ike::{Answer, Command, Datagram, Endpoint, Input, Outcome, Output, Transmit};
use ravelin_types::Spi;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::policy::PolicyId;
use ravelin_types::sa::Direction;
use ravelin_wire::udp_encap::{NON_ESP_MARKER, PORT as NAT_PORT, Payload, classify};
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::phy::Device;
use smoltcp::socket::udp::{self, PacketBuffer, PacketMetadata, UdpMetadata};
use smoltcp::time::Instant;

use crate::device::{Protected, instant, timestamp};

/// The port of IKE (RFC 7296 §2).
const PORT: u16 = 500;
/// Messages that wait in a socket, and the room for their bytes.
const MESSAGES: usize = 16;
const ROOM: usize = 1 << 16;
/// How often the endpoint hears which SAs received something.
const ALIVE_EVERY: Duration = Duration::from_secs(1);

/// An endpoint and its sockets.
pub struct Keys {
    endpoint: Endpoint,
    policies: BTreeMap<String, PolicyId>,
    /// Port 500, and the one where ESP may be as well.
    sockets: [(u16, SocketHandle); 2],
    deadline: Option<ravelin_types::Instant>,
    alive_at: ravelin_types::Instant,
    seen: BTreeMap<Spi, u64>,
}

impl Keys {
    /// An endpoint for the remotes and policies of `model`.
    pub fn new(
        model: &Model,
        crypto: CryptoProvider,
        interface: &Interface,
        sockets: &mut SocketSet<'_>,
        now: Instant,
    ) -> Result<Self> {
        // Without its own address an initiator cannot tell that there is no NAT (RFC 7296 §2.23).
        let source = |remote: IpAddr| Some((remote, interface.get_source_address(&remote.into())?.into()));
        let sources = model.remotes().flat_map(|remote| remote.spec.addresses()).filter_map(source).collect();
        let config = model.ike_config(&sources);
        if let Some(mistake) = config.mistakes(&crypto).first() {
            bail!("{mistake}");
        }
        let mut bind = |port| -> Result<(u16, SocketHandle)> {
            let buffer = || PacketBuffer::new(vec![PacketMetadata::EMPTY; MESSAGES], vec![0; ROOM]);
            let mut socket = udp::Socket::new(buffer(), buffer());
            socket.bind(port).map_err(|error| anyhow!("UDP port {port}: {error}"))?;
            Ok((port, sockets.add(socket)))
        };
        Ok(Keys {
            sockets: [bind(PORT)?, bind(NAT_PORT)?],
            policies: model.policies().map(|entry| (entry.spec.name.clone(), entry.id)).collect(),
            endpoint: Endpoint::new(config, crypto, Box::new(SystemRandom), instant(now)),
            deadline: None,
            alive_at: instant(now),
            seen: BTreeMap::new(),
        })
    }

    /// Hands in what has come, and carries out what the endpoint decides.
    pub fn poll<D: Device>(&mut self, sockets: &mut SocketSet<'_>, device: &mut Protected<D>, now: Instant) {
        let at = instant(now);
        self.receive(sockets, at);
        let engine = device.engine();
        engine.tick(at);
        while let Some(event) = engine.poll_event() {
            self.endpoint.handle(Input::DataPlane(event), at);
        }
        if self.alive_at <= at {
            self.alive_at = at + ALIVE_EVERY;
            self.report_alive(device, at);
        }
        if self.deadline.is_some_and(|deadline| deadline <= at) {
            self.endpoint.handle(Input::Timer, at);
        }
        self.pump(sockets, device, now);
    }

    /// When [`Keys::poll`] has something to do next.
    pub fn poll_at(&self) -> Option<Instant> {
        self.deadline.map(timestamp)
    }

    /// Negotiates an SA for the policy of this name.
    pub fn initiate(&mut self, policy: &str, now: Instant) -> Result<()> {
        let id = self.policies.get(policy).ok_or_else(|| anyhow!("there is no policy {policy}"))?;
        self.endpoint.handle(Input::Command(Command::Initiate(*id)), instant(now));
        // The decisions are carried out by the next poll.
        self.deadline = Some(instant(now));
        Ok(())
    }

    /// Deletes every SA and tells the peers.
    pub fn terminate<D: Device>(&mut self, sockets: &mut SocketSet<'_>, device: &mut Protected<D>, now: Instant) {
        self.endpoint.handle(Input::Command(Command::TerminateIke(None)), instant(now));
        self.pump(sockets, device, now);
    }

    /// Whether no IKE SA is left.
    pub fn is_idle(&self) -> bool {
        self.endpoint.ike_sas().is_empty()
    }

    /// The IKE SAs.
    pub fn ike_sas(&self) -> Vec<IkeSaView> {
        self.endpoint.ike_sas()
    }

    fn receive(&mut self, sockets: &mut SocketSet<'_>, now: ravelin_types::Instant) {
        for (port, handle) in self.sockets {
            let socket = sockets.get_mut::<udp::Socket>(handle);
            while let Ok((payload, meta)) = socket.recv() {
                let data = match (port, classify(payload)) {
                    (PORT, _) => payload,
                    (_, Payload::Ike(message)) => message,
                    // The engine has taken the ESP of known SAs before it came here.
                    (_, Payload::Esp(_) | Payload::Keepalive | Payload::Malformed) => continue,
                };
                let remote = SocketAddr::from(meta.endpoint);
                let local = meta.local_address.map_or_else(|| unspecified(remote), IpAddr::from);
                let datagram = Datagram {
                    local: SocketAddr::new(local, port),
                    remote,
                    carrier: ravelin_types::Carrier::Udp,
                    data,
                };
                self.endpoint.handle(Input::Datagram(datagram), now);
            }
        }
    }

    fn report_alive<D: Device>(&mut self, device: &mut Protected<D>, now: ravelin_types::Instant) {
        let mut known = BTreeMap::new();
        for sa in device.engine().inbound.list() {
            let (spi, packets) = (sa.params.spi, sa.counters.packets);
            if packets > self.seen.get(&spi).copied().unwrap_or(0) {
                self.endpoint.handle(Input::Command(Command::Alive(spi)), now);
            }
            known.insert(spi, packets);
        }
        self.seen = known;
    }

    /// The order of the outputs has meaning: an SA is installed before the message goes out that makes the peer use it.
    fn pump<D: Device>(&mut self, sockets: &mut SocketSet<'_>, device: &mut Protected<D>, now: Instant) {
        loop {
            match self.endpoint.poll() {
                Output::Apply(id, op) => {
                    let outcome = device.engine().apply(&op, instant(now));
                    if outcome.is_ok() && matches!(&*op, DataPlaneOp::AddSa(sa) if sa.direction == Direction::Outbound)
                    {
                        device.release(now);
                    }
                    self.endpoint.handle(Input::Done(id, outcome.into()), instant(now));
                }
                Output::Transmit(transmit) => self.transmit(sockets, &transmit),
                Output::Stream(id, _) => {
                    let none = Outcome::Opened(Err("this host speaks IKE in UDP alone".into()));
                    self.endpoint.handle(Input::Done(id, none), instant(now));
                }
                // Only certificates ask, and this host has a pre-shared key.
                Output::Ask(id, _) => {
                    let answer = Answer::Refused("this host has no certificates".into());
                    self.endpoint.handle(Input::Done(id, answer.into()), instant(now));
                }
                Output::Event(event) => eprintln!("{event:?}"),
                Output::Wait(deadline) => {
                    self.deadline = deadline.map(|deadline| deadline.at);
                    return;
                }
            }
        }
    }

    fn transmit(&mut self, sockets: &mut SocketSet<'_>, transmit: &Transmit) {
        let Some((port, handle)) = self.sockets.into_iter().find(|(port, _)| *port == transmit.local.port()) else {
            return;
        };
        let marker: &[u8] = if port == NAT_PORT { &NON_ESP_MARKER } else { &[] };
        let local = transmit.local.ip();
        let mut meta = UdpMetadata::from(transmit.remote);
        meta.local_address = (!local.is_unspecified()).then(|| local.into());
        let socket = sockets.get_mut::<udp::Socket>(handle);
        // A full socket loses the message as a full link would; IKE repeats it.
        if let Ok(out) = socket.send(marker.len() + transmit.data.len(), meta) {
            let (front, rest) = out.split_at_mut(marker.len());
            front.copy_from_slice(marker);
            rest.copy_from_slice(&transmit.data);
        }
    }
}

fn unspecified(like: SocketAddr) -> IpAddr {
    if like.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}
