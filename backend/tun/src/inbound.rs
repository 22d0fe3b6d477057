//! From the sockets to the device.
//!
//! 1. A [`Worker`](crate::worker::Worker) waits for packets on the sockets, for requests, or for the next deadline.
//! 2. Receive a batch from one socket. The kernel hands over datagrams that belong together as one; they are laid apart
//!    into the slots, where transport mode has room for the header it puts back. IKE goes up to the daemon, keepalives
//!    end here.
//! 3. Let the engine open the ESP packets of the batch, merge what it delivers into super-packets and write them to
//!    the device.
//! 4. Report the engine's events, and which SAs brought authentic packets.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use ravelin_engine::{DropReason, Inbound, OuterMeta, PacketBuf, Verdict};
use ravelin_types::{Instant, Spi, Way};
use ravelin_wire::ip::{protocol, v6};
use ravelin_wire::udp_encap::{self, Payload};

use crate::device::Device;
use crate::devices::Devices;
use crate::offload::{Merger, NONE, VnetHeader};
use crate::shared::{Clock, HalfCounters, IkeDatagram, Report, Reporter, Request, Wake};
use crate::slots::{BATCH, FRONT, Slots};
use crate::sockets::{Sockets, Use};
use crate::streams::Streams;
use crate::sys::{Messages, Received};
use crate::wait::{Ready, earliest};

/// Batches taken from one socket before the others are looked at.
const ROUNDS: usize = 4;
/// How soon a report that found no room is offered again.
const REPORT_RETRY: Duration = Duration::from_millis(50);
/// Time between two reports of an SA as alive.
const ALIVE_PERIOD: Duration = Duration::from_secs(1);
/// What a packet is delivered with when the kernel did not report the TTL.
const DEFAULT_TTL: u8 = 64;

pub(crate) struct InboundHalf {
    engine: Inbound,
    devices: Devices,
    sockets: Arc<Sockets>,
    streams: Arc<Streams>,
    /// Connections that are gone, until the daemon hears of it.
    closed: Vec<Way>,
    ports: Ports,
    clock: Clock,
    requests: Receiver<Request>,
    reporter: Reporter,
    ike: IkeQueue,
    slots: Slots,
    /// Datagrams as they came.
    trains: Slots,
    messages: Messages,
    batch: Batch,
    merger: Merger,
    /// SAs with authentic packets since `alive_reported`.
    alive: HashSet<Spi>,
    alive_due: Instant,
    /// Packets since the last count of them.
    moved: usize,
    counted: Counted,
}

/// The ports our UDP sockets are bound to.
#[derive(Clone, Copy)]
pub(crate) struct Ports {
    pub ike: u16,
    pub nat: u16,
}

/// The ESP packets of one batch, in the order of arrival.
#[derive(Default)]
struct Batch {
    /// The slot of each packet.
    slots: Vec<usize>,
    /// By slot: where ESP stands in it; empty for slots that hold something else.
    ranges: Vec<Range<usize>>,
    metas: Vec<OuterMeta>,
    spis: Vec<Spi>,
}

/// The way of IKE datagrams to the daemon.
struct IkeQueue {
    queue: SyncSender<IkeDatagram>,
    ready: Wake,
    dropped: u64,
}

#[derive(Default)]
struct Counted {
    keepalives: u64,
    malformed: u64,
    device_failed: u64,
    receive_failed: u64,
}

/// The parts the half is made of.
pub(crate) struct Parts {
    pub engine: Inbound,
    pub device: Arc<Device>,
    pub sockets: Arc<Sockets>,
    pub streams: Arc<Streams>,
    pub ports: Ports,
    pub clock: Clock,
    pub requests: Receiver<Request>,
    pub reporter: Reporter,
    pub ike: SyncSender<IkeDatagram>,
    pub ike_ready: Wake,
}

impl InboundHalf {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { engine, device, sockets, streams, ports, clock, requests, reporter, ike, ike_ready } = parts;
        InboundHalf {
            engine,
            devices: Devices::new(device),
            sockets,
            streams,
            closed: Vec::new(),
            ports,
            clock,
            requests,
            reporter,
            ike: IkeQueue { queue: ike, ready: ike_ready, dropped: 0 },
            slots: Slots::new(),
            trains: Slots::new(),
            messages: Messages::new(),
            batch: Batch::default(),
            merger: Merger::new(),
            alive: HashSet::new(),
            alive_due: Instant::ZERO,
            moved: 0,
            counted: Counted::default(),
        }
    }

    /// Does what there is to do; `ready` tells which of the receiving sockets have packets. The number of those that may have
    /// been of an SA.
    pub(crate) fn work(&mut self, ready: Ready) -> usize {
        self.on_time();
        let sockets = self.sockets.clone();
        for (_, (what, socket)) in sockets.receiving().enumerate().filter(|(i, _)| ready.has(*i)) {
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
        let due = self.streams.deadline().is_some_and(|at| at <= self.clock.now());
        if due || ready.has(sockets.receiving().count()) {
            self.receive_streams();
        }
        self.report();
        std::mem::take(&mut self.moved)
    }

    /// When there is something to do, whatever comes.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let retry = self.reporter.is_full().then(|| self.clock.now() + REPORT_RETRY);
        let alive = (!self.alive.is_empty()).then_some(self.alive_due);
        earliest([self.engine.deadline(), retry, alive, self.streams.deadline()])
    }

    /// Carries out the requests that wait. False: stop.
    pub(crate) fn serve(&mut self) -> bool {
        while let Ok(request) = self.requests.try_recv() {
            // An answer nobody waits for any more is not missed.
            match request {
                Request::Apply(op, answer) => _ = answer.send(self.engine.apply(&op, self.clock.now())),
                Request::Device(domain, device) => self.devices.set(domain, device),
                Request::List(answer) => _ = answer.send(self.engine.list()),
                Request::Count(answer) => _ = answer.send(self.count()),
                Request::Stop => return false,
            }
        }
        true
    }

    fn on_time(&mut self) {
        let now = self.clock.now();
        if self.engine.deadline().is_some_and(|at| at <= now) {
            self.engine.tick(now);
        }
    }

    fn report(&mut self) {
        let now = self.clock.now();
        let Self { reporter, engine, alive, alive_due, closed, .. } = self;
        reporter.send(|| closed.pop().map(Report::Closed).or_else(|| engine.poll_event().map(Report::Event)));
        if !alive.is_empty() && *alive_due <= now && !reporter.is_full() {
            *alive_due = now + ALIVE_PERIOD;
            let mut spis = alive.drain();
            // What finds no room is reported when the next packet comes.
            reporter.send(|| spis.next().map(Report::Alive));
        }
    }

    /// Receives ESP packets into the slots and has them opened. False when there are no more for now.
    fn receive_esp(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        let count = self.messages.receive(socket, &mut self.slots)?;
        for i in 0..count {
            let found = self.messages.received(i).filter(|received| !received.truncated);
            match found.and_then(|received| bare_esp(&self.slots.room(i)[..received.len], &received)) {
                Some((range, meta)) => {
                    let spi = first_word(&self.slots.room(i)[range.start - FRONT..]);
                    self.batch.push(i, range, meta, spi);
                }
                None => self.counted.malformed += 1,
            }
        }
        self.open();
        Ok(count == BATCH)
    }

    /// Receives AH packets into the slots, opens them and delivers what is authentic. AH covers the IP header, so the
    /// engine gets whole packets. False when there were none.
    fn receive_ah(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        let count = self.messages.receive(socket, &mut self.slots)?;
        self.moved += count;
        for i in 0..count {
            let received = self.messages.received(i).filter(|received| !received.truncated);
            let Some((range, spi)) = received.and_then(|received| whole_ah(self.slots.slot(i), &received)) else {
                self.counted.malformed += 1;
                continue;
            };
            let mut packet = PacketBuf::new(self.slots.slot(i), range).expect("the packet was found in the slot");
            if self.engine.process(&mut packet, self.clock.now()) == Verdict::Deliver {
                self.alive.insert(spi);
                let write = |device: &Device| device.write(&VnetHeader::default(), packet.packet(), std::iter::empty());
                let refused = self.devices.get(packet.domain()).is_none_or(|device| write(device).is_err());
                self.counted.device_failed += u64::from(refused);
            }
        }
        Ok(count > 0)
    }

    /// Receives datagrams, which may be trains of many, has the ESP packets among them opened and hands up what is IKE.
    /// False when there are no more for now.
    fn receive_datagrams(&mut self, what: Use, socket: BorrowedFd<'_>) -> io::Result<bool> {
        let count = self.messages.receive(socket, &mut self.trains)?;
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
        self.open();
        Ok(count == BATCH)
    }

    /// Takes what came by TCP.
    fn receive_streams(&mut self) {
        let arrived = self.streams.serve(self.clock.now());
        self.counted.keepalives += arrived.keepalives;
        self.closed.extend(arrived.closed);
        for (way, message) in arrived.ike {
            self.ike.hand_up(way, &message);
        }
        for (way, esp) in arrived.esp {
            let place = self.batch.slots.len();
            let room = &mut self.slots.room(place)[..];
            let Some(room) = room.get_mut(..esp.len()) else {
                self.counted.malformed += 1;
                continue;
            };
            room.copy_from_slice(&esp);
            // Without a port: it is by an IKE message that we follow a peer to another connection. RFC 9329 §9.5: and a stream
            // has no congestion mark for each packet.
            let (src, dst) = (way.remote.ip(), way.local.ip());
            let meta = OuterMeta { src, dst, src_port: None, tos: 0, ttl: DEFAULT_TTL };
            self.batch.push(place, FRONT..FRONT + esp.len(), meta, first_word(&esp));
            if place + 1 == BATCH {
                self.open();
            }
        }
        self.open();
    }

    /// Takes one datagram of the `i`th train.
    fn take_in(&mut self, what: Use, i: usize, range: Range<usize>, received: &Received) {
        let datagram = &self.trains.room(i)[range];
        let payload = if what == Use::Nat { udp_encap::classify(datagram) } else { Payload::Ike(datagram) };
        let port = if what == Use::Nat { self.ports.nat } else { self.ports.ike };
        match (payload, received.local) {
            (Payload::Esp(esp), Some(dst)) => {
                let place = self.batch.slots.len();
                self.slots.room(place)[..esp.len()].copy_from_slice(esp);
                let (src, src_port) = (received.remote.ip(), Some(received.remote.port()));
                let meta =
                    OuterMeta { src, dst, src_port, tos: received.tos, ttl: received.ttl.unwrap_or(DEFAULT_TTL) };
                let spi = first_word(esp);
                self.batch.push(place, FRONT..FRONT + esp.len(), meta, spi);
                if place + 1 == BATCH {
                    self.open();
                }
            }
            (Payload::Ike(data), Some(local)) => {
                self.ike.hand_up(Way::udp((local, port).into(), received.remote), data);
            }
            (Payload::Keepalive, _) => self.counted.keepalives += 1,
            (Payload::Malformed, _) | (_, None) => self.counted.malformed += 1,
        }
    }

    /// Opens the ESP packets of the batch and delivers what is authentic.
    fn open(&mut self) {
        let count = self.batch.slots.len();
        if count == 0 {
            return;
        }
        self.moved += count;
        let now = self.clock.now();
        let mut verdicts = [Verdict::Drop(DropReason::UnknownSpi); BATCH];
        let mut packets = self.slots.packets(&self.batch.ranges);
        for (place, &slot) in self.batch.slots.iter().enumerate() {
            packets.swap(place, slot);
        }
        self.engine.process_esp_batch(&mut packets[..count], &self.batch.metas, now, &mut verdicts[..count]);
        let packets = &mut packets[..count];
        let delivered = |i: &usize| verdicts[*i] == Verdict::Deliver;
        self.alive.extend((0..count).filter(delivered).map(|i| self.batch.spis[i]));
        // Packets of different domains have nothing to do with each other, even where they look alike.
        for (domain, device) in self.devices.iter() {
            self.merger.clear(device.takes_super_packets());
            for i in (0..count).filter(delivered) {
                if packets[i].domain() == domain {
                    self.merger.add(i, |i| packets[i].packet());
                }
            }
            self.counted.device_failed += write_groups(device, &self.merger, packets);
        }
        self.batch.clear();
    }

    fn count(&self) -> HalfCounters {
        let Counted { keepalives, malformed, device_failed, receive_failed } = self.counted;
        let mut around = vec![
            ("IKE messages while too many waited".to_owned(), self.ike.dropped),
            ("NAT keepalives received".to_owned(), keepalives),
            ("neither ESP nor AH nor IKE nor a keepalive".to_owned(), malformed),
            ("the device refused a packet".to_owned(), device_failed),
            ("a socket could not be read".to_owned(), receive_failed),
        ];
        around.extend(self.streams.count().map(|(what, count)| (what.to_owned(), count)));
        HalfCounters { engine: self.engine.counters(), around }
    }
}

/// Writes the groups of packets to the device. The number of packets that it refused.
fn write_groups(device: &Device, merger: &Merger, packets: &mut [PacketBuf<'_>]) -> u64 {
    let mut refused = 0;
    for group in merger.groups() {
        let header = if group.count > 1 {
            let last_flags = group.flags(packets[group.last].packet());
            group.finish(packets[group.first].packet_mut(), last_flags)
        } else {
            VnetHeader::default()
        };
        let mut at = group.first;
        let payloads = std::iter::from_fn(|| {
            at = merger.next(at);
            (at != NONE).then(|| &packets[at].packet()[group.header_len..])
        });
        if device.write(&header, packets[group.first].packet(), payloads).is_err() {
            refused += group.count as u64;
        }
    }
    refused
}

impl IkeQueue {
    /// Gives an IKE datagram to the daemon, unless too many wait already.
    fn hand_up(&mut self, way: Way, data: &[u8]) {
        let Way { local, remote, carrier } = way;
        match self.queue.try_send(IkeDatagram { local, remote, carrier, data: data.to_vec() }) {
            Ok(()) => self.ready.set(),
            Err(_) => self.dropped += 1,
        }
    }
}

impl Batch {
    fn clear(&mut self) {
        self.slots.clear();
        self.ranges.clear();
        self.metas.clear();
        self.spis.clear();
    }

    fn push(&mut self, slot: usize, range: Range<usize>, meta: OuterMeta, spi: Spi) {
        self.ranges.resize(slot, 0..0);
        self.ranges.push(range);
        self.slots.push(slot);
        self.metas.push(meta);
        self.spis.push(spi);
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

/// The SPI of an ESP packet; of one too short for it, which the engine will drop, whatever is there.
fn first_word(esp: &[u8]) -> Spi {
    Spi(esp.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes)))
}
