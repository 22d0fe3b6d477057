//! From the sockets to the device.
//!
//! 1. A [`Worker`](crate::worker::Worker) waits for packets on the sockets, for requests, or for the next deadline.
//! 2. Receive a batch from one socket. The kernel hands over datagrams that belong together as one; they are laid apart
//!    into the slots, where transport mode has room for the header it puts back. IKE goes up to the daemon, keepalives
//!    end here.
//! 3. Let the engine open the ESP packets of the batch, merge what it delivers into super-packets and write them to
//!    the device; packets of an SA that another worker has go to him (`parcel`).
//! 4. Report the engine's events, and which SAs brought authentic packets.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use ravelin_engine::{Inbound, OuterMeta};
use ravelin_inbox::IkeSender;
use ravelin_types::{Instant, Spi, Way};
use ravelin_wire::ip::{protocol, v6};
use ravelin_wire::udp_encap::{self, Payload};

use crate::deal::{Deal, SINGLE};
use crate::devices::Devices;
use crate::intake::{Intake, first_word};
use crate::opener::Opener;
use crate::parcel::{Parcel, Parcels};
use crate::shared::{Clock, HalfCounters, Report, Reporter, Request, tell};
use crate::slots::{BATCH, FRONT, Slots};
use crate::sockets::{Sockets, Use};
use crate::streams::Streams;
use crate::sys::{Messages, Received};
use crate::wait::{Ready, Watch, earliest};

/// Batches taken from one socket before the others are looked at.
const ROUNDS: usize = 4;
/// How soon a report that found no room is offered again.
const REPORT_RETRY: Duration = Duration::from_millis(50);
/// Time between two reports of an SA as alive.
const ALIVE_PERIOD: Duration = Duration::from_secs(1);
/// What a packet is delivered with when the kernel did not report the TTL.
const DEFAULT_TTL: u8 = 64;

pub(crate) struct InboundHalf {
    intake: Intake,
    sockets: Arc<Sockets>,
    /// Served by one of the workers.
    streams: Option<Arc<Streams>>,
    /// Connections that are gone, until the daemon hears of it.
    closed: Vec<Way>,
    ports: Ports,
    clock: Clock,
    requests: Receiver<Request>,
    reporter: Reporter,
    ike: IkeSender,
    /// No train is received until a parcel comes back.
    short: bool,
    /// Datagrams as they came.
    trains: Slots,
    messages: Messages,
    alive_due: Instant,
    counted: Counted,
}

/// The ports our UDP sockets are bound to.
#[derive(Clone, Copy)]
pub(crate) struct Ports {
    pub ike: u16,
    pub nat: u16,
}

#[derive(Default)]
struct Counted {
    keepalives: u64,
    malformed: u64,
    receive_failed: u64,
}

/// The parts the half is made of.
pub(crate) struct Parts {
    pub engine: Inbound,
    pub devices: Devices,
    pub deal: Deal,
    pub parcels: Parcels,
    pub sockets: Arc<Sockets>,
    pub streams: Arc<Streams>,
    pub ports: Ports,
    pub clock: Clock,
    pub requests: Receiver<Request>,
    pub reporter: Reporter,
    pub ike: IkeSender,
}

impl InboundHalf {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { engine, devices, deal, parcels, sockets, streams, ports, clock, requests, reporter, ike } = parts;
        InboundHalf {
            streams: (parcels.own() == SINGLE).then_some(streams),
            intake: Intake::new(Opener::new(engine, devices), deal, parcels),
            sockets,
            closed: Vec::new(),
            ports,
            clock,
            requests,
            reporter,
            ike,
            short: false,
            trains: Slots::new(),
            messages: Messages::new(),
            alive_due: Instant::ZERO,
            counted: Counted::default(),
        }
    }

    /// Says what it waits for.
    pub(crate) fn watch<'a>(&mut self, sockets: &'a Sockets, streams: &'a Streams, watch: &mut Watch<'a>) {
        self.short = self.intake.parcels.is_short();
        self.receiving(sockets).for_each(|(_, fd)| watch.readable(fd));
        if self.streams.is_some() {
            watch.readable(streams.fd());
        }
    }

    /// The sockets that are received from now.
    fn receiving<'a>(&self, sockets: &'a Sockets) -> impl Iterator<Item = (Use, BorrowedFd<'a>)> + use<'a> {
        let short = self.short;
        sockets.receiving().filter(move |(what, _)| !(short && *what == Use::Nat))
    }

    /// Does what there is to do; `ready` tells which of those that it watches have packets. The number of those that may have
    /// been of an SA.
    pub(crate) fn work(&mut self, ready: Ready) -> usize {
        self.on_time();
        self.intake.take_over(self.clock.now());
        let sockets = self.sockets.clone();
        for (_, (what, socket)) in self.receiving(&sockets).enumerate().filter(|(i, _)| ready.has(*i)) {
            for _ in 0..ROUNDS {
                let received = match what {
                    Use::Esp => self.receive_esp(socket),
                    Use::Ah => self.receive_ah(socket),
                    Use::Nat | Use::Ike | Use::Clear => self.receive_datagrams(what, socket),
                };
                match received {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(_) => {
                        self.counted.receive_failed += 1;
                        break;
                    }
                }
            }
        }
        if let Some(streams) = self.streams.clone() {
            let due = streams.deadline().is_some_and(|at| at <= self.clock.now());
            if due || ready.has(self.receiving(&sockets).count()) {
                self.receive_streams(&streams);
            }
        }
        self.report();
        std::mem::take(&mut self.intake.opener.moved)
    }

    /// When there is something to do, whatever comes.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let retry = self.reporter.is_full().then(|| self.clock.now() + REPORT_RETRY);
        let alive = (!self.intake.opener.alive.is_empty()).then_some(self.alive_due);
        let streams = self.streams.as_ref().and_then(|streams| streams.deadline());
        let engine = &self.intake.opener.engine;
        earliest([
            engine.deadline(),
            engine.packet_deadline(),
            self.intake.opener.early.deadline(),
            retry,
            alive,
            streams,
        ])
    }

    /// Carries out the requests that wait. False: stop.
    pub(crate) fn serve(&mut self) -> bool {
        while let Ok(request) = self.requests.try_recv() {
            // An answer nobody waits for any more is not missed.
            match request {
                Request::Apply(op, answer) => {
                    let now = self.clock.now();
                    let done = self.intake.opener.engine.apply(&op, now);
                    if done.is_ok() {
                        self.intake.follow(&op, now);
                    }
                    tell(answer, done);
                }
                Request::Device(domain, device) => self.intake.opener.devices.set(domain, device),
                Request::List(answer) => _ = answer.send(self.intake.opener.engine.list()),
                Request::Sa(id, answer) => _ = answer.send(self.intake.opener.engine.sa(id)),
                Request::Count(answer) => _ = answer.send(self.count()),
                Request::Stop => return false,
            }
        }
        true
    }

    fn on_time(&mut self) {
        let now = self.clock.now();
        self.intake.opener.early.expire(now);
        let engine = &mut self.intake.opener.engine;
        if engine.deadline().is_some_and(|at| at <= now) {
            engine.tick(now);
        }
        self.intake.on_time(now);
    }

    fn report(&mut self) {
        let now = self.clock.now();
        let Self { reporter, intake, alive_due, closed, .. } = self;
        let own = intake.parcels.own();
        let Opener { engine, alive, .. } = &mut intake.opener;
        reporter.send(|| {
            closed.pop().map(Report::Closed).or_else(|| engine.poll_event().map(|event| Report::Event(event, own)))
        });
        if !alive.is_empty() && *alive_due <= now && !reporter.is_full() {
            *alive_due = now + ALIVE_PERIOD;
            let mut spis = alive.drain();
            // What finds no room is reported when the next packet comes.
            reporter.send(|| spis.next().map(Report::Alive));
        }
    }

    /// Receives ESP packets into the slots and has them opened. False when there are no more for now.
    fn receive_esp(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        let Parcel { slots, batch, .. } = &mut self.intake.own;
        let count = self.messages.receive(socket, slots, BATCH)?;
        for i in 0..count {
            let found = self.messages.received(i).filter(|received| !received.truncated);
            match found.and_then(|received| bare_esp(&slots.room(i)[..received.len], &received)) {
                Some((range, meta)) => {
                    let spi = first_word(&slots.room(i)[range.start - FRONT..]);
                    batch.push(i, range, meta, spi);
                }
                None => self.counted.malformed += 1,
            }
        }
        self.intake.finish(self.clock.now());
        Ok(count == BATCH)
    }

    /// Receives AH packets into the slots, opens them and delivers what is authentic. AH covers the IP header, so the
    /// engine gets whole packets. False when there were none.
    fn receive_ah(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        let count = self.messages.receive(socket, &mut self.intake.own.slots, BATCH)?;
        for i in 0..count {
            let received = self.messages.received(i).filter(|received| !received.truncated);
            let slot = self.intake.own.slots.slot(i);
            match received.and_then(|received| whole_ah(slot, &received)) {
                Some((range, spi)) => self.intake.opener.open_whole(slot, range, spi, self.clock.now()),
                None => self.counted.malformed += 1,
            }
        }
        Ok(count > 0)
    }

    /// Receives datagrams, which may be trains of many, has the ESP packets among them opened and hands up what is IKE.
    /// False when there are no more for now.
    fn receive_datagrams(&mut self, what: Use, socket: BorrowedFd<'_>) -> io::Result<bool> {
        let most = self.intake.parcels.trains();
        if most == 0 {
            return Ok(false);
        }
        let count = self.messages.receive(socket, &mut self.trains, most)?;
        for i in 0..count {
            let Some(received) = self.messages.received(i).filter(|received| !received.truncated) else {
                self.counted.malformed += 1;
                continue;
            };
            let length = received.segment.unwrap_or(received.len).max(1);
            // An empty datagram is one too.
            for from in (0..received.len.max(1)).step_by(length) {
                self.take_in(what, i, from..received.len.min(from + length), &received);
            }
        }
        self.intake.finish(self.clock.now());
        Ok(count == most)
    }

    /// Takes what came by TCP.
    fn receive_streams(&mut self, streams: &Streams) {
        let arrived = streams.serve(self.clock.now());
        self.counted.keepalives += arrived.keepalives;
        self.closed.extend(arrived.closed);
        for (way, message) in arrived.ike {
            self.ike.hand_up(way, &message);
        }
        for (way, esp) in arrived.esp {
            // Without a port: it is by an IKE message that we follow a peer to another connection. RFC 9329 §9.5: and a stream
            // has no congestion mark for each packet.
            let (src, dst) = (way.remote.ip(), way.local.ip());
            let meta = OuterMeta { src, dst, src_port: None, tos: 0, ttl: DEFAULT_TTL };
            let put = self.intake.put(&esp, meta, self.clock.now());
            self.counted.malformed += u64::from(!put);
        }
        self.intake.finish(self.clock.now());
    }

    /// Takes one datagram of the `i`th train.
    fn take_in(&mut self, what: Use, i: usize, range: Range<usize>, received: &Received) {
        let datagram = &self.trains.room(i)[range];
        let payload = if what == Use::Nat { udp_encap::classify(datagram) } else { Payload::Ike(datagram) };
        let port = if what == Use::Nat { self.ports.nat } else { self.ports.ike };
        match (payload, received.local) {
            (Payload::Esp(esp), Some(dst)) => {
                let (src, src_port) = (received.remote.ip(), Some(received.remote.port()));
                let meta =
                    OuterMeta { src, dst, src_port, tos: received.tos, ttl: received.ttl.unwrap_or(DEFAULT_TTL) };
                let put = self.intake.put(esp, meta, self.clock.now());
                self.counted.malformed += u64::from(!put);
            }
            (Payload::Ike(data), Some(local)) => {
                self.ike.hand_up(Way::udp((local, port).into(), received.remote), data);
            }
            (Payload::Keepalive, _) => self.counted.keepalives += 1,
            (Payload::Malformed, _) | (_, None) => self.counted.malformed += 1,
        }
    }

    fn count(&self) -> HalfCounters {
        let Counted { keepalives, malformed, receive_failed } = self.counted;
        let mut around = vec![
            ("NAT keepalives received".to_owned(), keepalives),
            ("neither ESP nor AH nor IKE nor a keepalive".to_owned(), malformed),
            ("the device refused a packet".to_owned(), self.intake.opener.refused),
            ("too many packets for another worker".to_owned(), self.intake.crowded),
            ("a socket could not be read".to_owned(), receive_failed),
            ("came before an SA that did not come".to_owned(), self.intake.opener.early.lost),
        ];
        let streams = self.streams.iter().flat_map(|streams| streams.count());
        around.extend(streams.map(|(what, count)| (what.to_owned(), count)));
        HalfCounters { engine: self.intake.opener.engine.counters(), early: self.intake.opener.early.held, around }
    }
}

/// Where ESP stands in the slot of a packet of a raw socket, and what the outer header said.
fn bare_esp(bytes: &[u8], received: &Received) -> Option<(Range<usize>, OuterMeta)> {
    if received.remote.is_ipv4() {
        let header = ipv4_header(bytes)?;
        let (src, dst) = (header.src.into(), header.dst.into());
        let range = FRONT + header.len..FRONT + header.total_len;
        return Some((range, OuterMeta { src, dst, src_port: None, tos: header.tos, ttl: header.ttl }));
    }
    let ttl = received.ttl.unwrap_or(DEFAULT_TTL);
    let meta = OuterMeta { src: received.remote.ip(), dst: received.local?, src_port: None, tos: received.tos, ttl };
    Some((FRONT..FRONT + bytes.len(), meta))
}

/// What is needed of the header that a raw IPv4 socket gives with the packet. The kernel has checked it.
struct Ipv4 {
    len: usize,
    total_len: usize,
    tos: u8,
    ttl: u8,
    src: Ipv4Addr,
    dst: Ipv4Addr,
}

fn ipv4_header(packet: &[u8]) -> Option<Ipv4> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let len = usize::from(header[0] & 0x0f) * 4;
    let total_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let whole = header[0] >> 4 == 4 && len >= 20 && len <= total_len && total_len <= packet.len();
    let address = |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
    whole.then(|| Ipv4 { len, total_len, tos: header[1], ttl: header[8], src: address(12), dst: address(16) })
}

/// Where the whole packet of AH stands in its slot, and its SPI. A raw IPv6 socket keeps the IP header for itself: one
/// without extension headers is put in front again.
fn whole_ah(slot: &mut [u8], received: &Received) -> Option<(Range<usize>, Spi)> {
    let (mut start, end) = (FRONT, FRONT + received.len);
    let ah = match (received.remote.ip(), received.local) {
        (IpAddr::V4(_), _) => FRONT + ipv4_header(&slot[FRONT..end])?.len,
        (IpAddr::V6(src), Some(IpAddr::V6(dst))) => {
            start -= v6::HEADER_LEN;
            let fields = v6::Fields {
                tos: received.tos,
                payload_len: received.len.try_into().ok()?,
                next_header: protocol::AH,
                hop_limit: received.ttl.unwrap_or(DEFAULT_TTL),
                src,
                dst,
            };
            fields.emit(slot[start..].first_chunk_mut()?);
            FRONT
        }
        _ => return None,
    };
    let spi = slot.get(ah + 4..end)?.first_chunk()?;
    Some((start..end, Spi(u32::from_be_bytes(*spi))))
}
