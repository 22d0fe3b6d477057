//! From the device to the sockets.
//!
//! 1. A [`Worker`](crate::worker::Worker) waits for packets on the device, for requests, or for the next deadline.
//! 2. Read super-packets, cut them into a batch of packets in the slots, and let the engine decide about all of them.
//! 3. Send what is sealed, by socket; keep what waits for an SA. While a socket has no room, nothing more is read: the
//!    packets wait in the device, whose queue is bounded, and requests are served all the same.
//! 4. Report the engine's events.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use ravelin_engine::{DropReason, Mark, Outbound, Outer, Verdict};
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::policy::{Domain, Mode};
use ravelin_types::sa::{Direction, Encap, SaId};
use ravelin_types::{Carrier, Instant, Way};
use ravelin_wire::ip::fragment::Fragments;
use ravelin_wire::ip::{protocol, v4};
use ravelin_wire::udp_encap::KEEPALIVE;

use crate::device::Device;
use crate::devices::Devices;
use crate::hold::{Held, HoldQueue};
use crate::keepalive::Keepalives;
use crate::offload::{Splitter, VnetHeader};
use crate::path::TooBig;
use crate::shared::{Clock, HalfCounters, Report, Reporter, Request};
use crate::slots::{BATCH, FRONT, Slots};
use crate::sockets::{Sockets, Use};
use crate::streams::Streams;
use crate::sys::{HOPS, Messages, Sending};
use crate::wait::{Watch, earliest};

/// Batches taken from the device before requests are looked at again.
const ROUNDS: usize = 8;
/// How soon a report that found no room is offered again.
const REPORT_RETRY: Duration = Duration::from_millis(50);

/// Packets of one batch by the socket that sends them.
const WAYS: [(Use, bool); 6] =
    [(Use::Esp, true), (Use::Esp, false), (Use::Nat, true), (Use::Nat, false), (Use::Clear, true), (Use::Clear, false)];

pub(crate) struct OutboundHalf {
    engine: Outbound,
    devices: Devices,
    sockets: Arc<Sockets>,
    streams: Arc<Streams>,
    clock: Clock,
    requests: Receiver<Request>,
    reporter: Reporter,
    /// What was read last, and from the device of which domain.
    splitter: Splitter,
    splitting: Domain,
    slots: Slots,
    messages: Messages,
    /// The domain of the batch: it comes from one device.
    domain: Domain,
    /// Where the packets of the batch stand in their slots.
    ranges: Vec<Range<usize>>,
    /// Since when the first packets of the batch have waited for an SA.
    since: Vec<Instant>,
    /// Packets to send, by [`WAYS`]; between batches, those for which there was no room.
    ways: [Vec<Sending>; WAYS.len()],
    hold: HoldQueue,
    /// Packets that waited for an SA that has come.
    released: VecDeque<Released>,
    keepalives: Keepalives,
    /// The device that was read last had nothing more.
    drained: bool,
    longest: usize,
    /// Of the last IPv6 packet that was cut.
    fragment_id: u32,
    too_big: TooBig,
    counted: Counted,
}

/// A packet that goes before those on the device: its SA has come, or it was cut out of another.
struct Released {
    packet: Box<[u8]>,
    domain: Domain,
    /// Since when it waits.
    since: Instant,
}

/// What is counted around the engine.
#[derive(Default)]
struct Counted {
    bad_offload: u64,
    hold_full: u64,
    unanswered: u64,
    hold_expired: u64,
    no_family: u64,
    /// By the system's error number.
    send_failed: BTreeMap<i32, u64>,
}

/// The parts the half is made of.
pub(crate) struct Parts {
    pub engine: Outbound,
    pub device: Arc<Device>,
    pub sockets: Arc<Sockets>,
    pub streams: Arc<Streams>,
    pub clock: Clock,
    pub requests: Receiver<Request>,
    pub reporter: Reporter,
    pub hold: Duration,
    pub keepalive: Option<Duration>,
    /// The longest packet that surely passes the path without being cut.
    pub longest: usize,
}

impl OutboundHalf {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { engine, device, sockets, streams, clock, requests, reporter, hold, keepalive, longest } = parts;
        OutboundHalf {
            engine,
            devices: Devices::new(device),
            sockets,
            streams,
            clock,
            requests,
            reporter,
            splitter: Splitter::new(),
            splitting: Domain::default(),
            slots: Slots::new(),
            messages: Messages::new(),
            domain: Domain::default(),
            ranges: Vec::with_capacity(BATCH),
            since: Vec::with_capacity(BATCH),
            ways: std::array::from_fn(|_| Vec::with_capacity(BATCH)),
            hold: HoldQueue::new(hold),
            released: VecDeque::new(),
            keepalives: Keepalives::new(keepalive),
            drained: false,
            longest,
            fragment_id: 0,
            too_big: TooBig::new(),
            counted: Counted::default(),
        }
    }

    /// Says what it waits for: room in the sockets while they are full, else packets on the device.
    pub(crate) fn watch<'a>(&'a self, sockets: &'a Sockets, watch: &mut Watch<'a>) {
        if self.is_blocked() {
            let full = WAYS.iter().zip(&self.ways).filter(|(_, packets)| !packets.is_empty());
            full.filter_map(|((what, v4), _)| sockets.get(*what, any(*v4))).for_each(|fd| watch.writable(fd));
        } else {
            self.devices.iter().for_each(|(_, device)| watch.readable(device.as_fd()));
        }
    }

    /// Takes in what routers say of the paths of our packets.
    pub(crate) fn learn(&mut self) {
        let (now, sockets) = (self.clock.now(), self.sockets.clone());
        for socket in sockets.icmp() {
            // Who sends many of them holds up nothing else.
            for _ in 0..BATCH {
                let Some(message) = self.too_big.receive(socket) else { break };
                report_narrow(self.engine.learn_mtu(message, now));
            }
        }
    }

    /// Does what there is to do; `ready` says that what it waits for has come. The number of packets that were read.
    pub(crate) fn work(&mut self, ready: bool) -> usize {
        let mut moved = 0;
        self.on_time();
        if self.is_blocked() && ready {
            self.send_all();
        }
        if ready || self.has_more() {
            for _ in 0..ROUNDS {
                // What waits for the link stays in the slots, and what comes after it in the device.
                if self.is_blocked() || !self.read_batch() {
                    break;
                }
                moved += self.ranges.len();
                self.process();
                if self.drained && !self.has_more() {
                    break;
                }
            }
        }
        let Self { reporter, engine, .. } = self;
        reporter.send(|| engine.poll_event().map(Report::Event));
        moved
    }

    /// Whether packets wait for room in a socket.
    fn is_blocked(&self) -> bool {
        self.ways.iter().any(|packets| !packets.is_empty())
    }

    /// Whether there are packets besides those on the device.
    fn has_more(&self) -> bool {
        !self.released.is_empty() || self.splitter.has_more()
    }

    /// When there is something to do, whatever comes.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let rest = (self.has_more() && !self.is_blocked()).then_some(Instant::ZERO);
        let retry = self.reporter.is_full().then(|| self.clock.now() + REPORT_RETRY);
        let dummy = self.engine.dummy_deadline().filter(|_| !self.is_blocked());
        earliest([self.engine.deadline(), dummy, self.hold.deadline(), self.keepalives.deadline(), retry, rest])
    }

    /// Carries out the requests that wait. False: stop.
    pub(crate) fn serve(&mut self) -> bool {
        while let Ok(request) = self.requests.try_recv() {
            match request {
                Request::Apply(op, answer) => {
                    let now = self.clock.now();
                    let result = self.engine.apply(&op, now);
                    let done = result.is_ok();
                    // An answer nobody waits for any more is not missed.
                    let _ = answer.send(result);
                    if done {
                        self.follow(&op, now);
                    }
                }
                Request::Device(domain, device) => self.devices.set(domain, device),
                Request::List(answer) => _ = answer.send(self.engine.list()),
                Request::Count(answer) => _ = answer.send(self.count()),
                Request::Stop => return false,
            }
        }
        true
    }

    /// What an operation means for the packets that wait and for keepalives.
    fn follow(&mut self, op: &DataPlaneOp, now: Instant) {
        self.keepalives.follow(op, now);
        match op {
            // Those that must wait again, because the SA is not for their flow, have waited already.
            DataPlaneOp::AddSa(params) if params.direction == Direction::Outbound => {
                let held = self.hold.take(params.policy).into_iter();
                let release = |Held { packet, domain, since, .. }| Released { packet, domain, since };
                self.released.extend(held.map(release));
            }
            DataPlaneOp::DeletePolicy(id) | DataPlaneOp::FailAcquire(id) => drop(self.hold.take(*id)),
            _ => {}
        }
    }

    fn on_time(&mut self) {
        let now = self.clock.now();
        if self.engine.deadline().is_some_and(|at| at <= now) {
            self.engine.tick(now);
        }
        if !self.is_blocked() && self.engine.dummy_deadline().is_some_and(|at| at <= now) {
            self.send_dummies(now);
        }
        self.counted.hold_expired += self.hold.expire(now);
        for (src, dst, port) in self.keepalives.due(now) {
            let sending = Sending {
                start: 0,
                end: KEEPALIVE.len(),
                remote: SocketAddr::new(dst, port),
                local: src,
                tos: 0,
                hops: HOPS,
            };
            if let Some(socket) = self.sockets.get(Use::Nat, dst) {
                // Where there is no room, other packets keep the mapping alive.
                self.messages.send(socket, &KEEPALIVE, &[sending], false, &mut |_, error| self.counted.refused(&error));
            }
        }
    }

    /// Sends the dummy packets that are due; the slots are free, as nothing waits for the link.
    fn send_dummies(&mut self, now: Instant) {
        for _ in 0..BATCH {
            let empty = FRONT..FRONT;
            let mut packets = self.slots.packets(std::slice::from_ref(&empty));
            let Some(verdict) = self.engine.poll_dummy(&mut packets[0], now) else { break };
            let range = packets[0].range();
            if let Verdict::Send(outer) = verdict {
                self.queue_sealed(range.start, range.end, &outer);
                self.send_all();
            }
            if self.is_blocked() {
                break;
            }
        }
    }

    /// Fills the slots with packets of one domain: those whose SA has come, else what is left of the last super-packet
    /// and what its device has, else the next device that has something. False when there was nothing.
    fn read_batch(&mut self) -> bool {
        self.ranges.clear();
        self.since.clear();
        self.drained = false;
        if let Some(first) = self.released.front() {
            self.domain = first.domain;
        }
        while self.ranges.len() < BATCH
            && let Some(Released { packet, since, .. }) = self.released.pop_front_if(|next| next.domain == self.domain)
        {
            self.slots.room(self.ranges.len())[..packet.len()].copy_from_slice(&packet);
            self.ranges.push(FRONT..FRONT + packet.len());
            self.since.push(since);
        }
        if self.ranges.is_empty() && self.splitter.has_more() {
            self.domain = self.splitting;
            self.cut_super_packet();
            if let Some(device) = self.devices.get(self.domain).cloned() {
                self.read(&device);
            }
        }
        for _ in 0..self.devices.len() {
            if !self.ranges.is_empty() {
                break;
            }
            let Some((domain, device)) = self.devices.next() else { break };
            self.domain = domain;
            self.read(&device);
        }
        !self.ranges.is_empty()
    }

    /// Fills the slots from the device of the batch's domain.
    fn read(&mut self, device: &Device) {
        while self.ranges.len() < BATCH {
            match device.read(self.splitter.room()) {
                Ok(Some(len)) => {
                    if self.splitter.load(len).is_err() {
                        self.counted.bad_offload += 1;
                    }
                    self.splitting = self.domain;
                    self.cut_super_packet();
                }
                Ok(None) => {
                    self.drained = true;
                    break;
                }
                Err(error) => {
                    tracing::error!("a TUN device is gone ({error}): its traffic is not protected; restart the daemon");
                    self.devices.set(self.domain, None);
                    break;
                }
            }
        }
    }

    /// Takes packets out of the super-packet that was read last, as long as there are slots.
    fn cut_super_packet(&mut self) {
        while self.ranges.len() < BATCH
            && let Some(len) = self.splitter.next(self.slots.room(self.ranges.len()))
        {
            self.ranges.push(FRONT..FRONT + len);
        }
    }

    /// Lets the engine decide about the packets in the slots and does what it says.
    fn process(&mut self) {
        let now = self.clock.now();
        let count = self.ranges.len();
        let mut verdicts = [Verdict::Drop(DropReason::NoPolicy); BATCH];
        let mut packets = self.slots.packets(&self.ranges).map(|packet| packet.in_domain(self.domain));
        self.engine.process_batch(&mut packets[..count], now, &mut verdicts[..count]);
        let mut tunneled = [false; BATCH];
        for ((range, packet), tunneled) in self.ranges.iter_mut().zip(&packets).zip(&mut tunneled) {
            *range = packet.range();
            *tunneled = packet.mark() == Mark::Sealed(Mode::Tunnel);
        }
        for (i, verdict) in verdicts[..count].iter().enumerate() {
            let start = Slots::base(i) + self.ranges[i].start;
            let end = Slots::base(i) + self.ranges[i].end;
            match *verdict {
                // What nobody may cut leaves with the header that says so. In transport mode the flag is of a path of which
                // the sender knows only the part to the device, and the stack cuts what does not fit.
                // A stream has no packets that could be cut (RFC 9329 §6.8).
                Verdict::Send(outer)
                    if tunneled[i] && outer.dont_fragment && outer.dst.is_ipv4() && !is_stream(&outer) =>
                {
                    self.queue_whole(start, end);
                }
                Verdict::Send(outer) => self.queue_sealed(start, end, &outer),
                Verdict::Bypass => self.queue_clear(start, end),
                Verdict::Hold(policy) => {
                    let since = self.since.get(i).copied().unwrap_or(now);
                    if !self.hold.push(policy, self.domain, &self.slots.bytes()[start..end], since) {
                        self.counted.hold_full += 1;
                    }
                }
                Verdict::Fragment(most) => self.cut(start..end, most.into(), now),
                Verdict::TooBig => {
                    let message = &self.slots.bytes()[start..end];
                    let write = |device: &Device| device.write(&VnetHeader::default(), message, std::iter::empty());
                    if self.devices.get(self.domain).is_none_or(|device| write(device).is_err()) {
                        self.counted.unanswered += 1;
                    }
                }
                // The engine counted it. `Deliver` is for the other direction.
                Verdict::Drop(_) | Verdict::Deliver => {}
            }
        }
        self.send_all();
    }

    /// Cuts the packet into pieces of at most `most` bytes, which the engine takes one by one.
    fn cut(&mut self, at: Range<usize>, most: usize, now: Instant) {
        // Only IPv4 is cut before it is protected, and that has an identification of its own.
        let Ok(mut fragments) = Fragments::new(&self.slots.bytes()[at], most, 0) else { return };
        let mut room = vec![0; most];
        while let Ok(Some(len)) = fragments.next(&mut room) {
            self.released.push_back(Released { packet: room[..len].into(), domain: self.domain, since: now });
        }
    }

    fn queue_sealed(&mut self, start: usize, end: usize, outer: &Outer) {
        // AH covers the IP header, so the packet travels with the one it has.
        if outer.protocol == protocol::AH {
            return self.queue_cut(start..end);
        }
        let (what, port) = match outer.encap {
            Some(Encap { carrier: Carrier::Tcp, src_port, dst_port }) => {
                let way = Way::tcp(SocketAddr::new(outer.src, src_port), SocketAddr::new(outer.dst, dst_port));
                return self.streams.send_esp(way, &self.slots.bytes()[start + outer.esp_at..end]);
            }
            Some(encap) => (Use::Nat, encap.dst_port),
            None => (Use::Esp, 0),
        };
        self.queue(
            what,
            Sending {
                start: start + outer.esp_at,
                end,
                remote: SocketAddr::new(outer.dst, port),
                local: outer.src,
                tos: outer.tos,
                hops: hops(&self.slots.bytes()[start..end]),
            },
        );
    }

    /// A packet that a policy lets pass, though the filter sent it to us: it leaves as it is, with our mark.
    fn queue_clear(&mut self, start: usize, end: usize) {
        self.queue_whole(start, end);
    }

    /// A packet that leaves with the IP header that stands before it.
    fn queue_whole(&mut self, start: usize, end: usize) {
        let packet = &self.slots.bytes()[start..end];
        let Some((destination, any)) = destination(packet) else { return };
        let remote = SocketAddr::new(destination, 0);
        self.queue(Use::Clear, Sending { start, end, remote, local: any, tos: 0, hops: HOPS });
    }

    /// As [`OutboundHalf::queue_whole`], but the kernel cuts no packet whose header is given: what is too long for the path
    /// is cut into fragments here, behind the packet in its slot. What leaves no room for them goes as it is, and is refused
    /// and counted.
    fn queue_cut(&mut self, at: Range<usize>) {
        let longest = self.longest;
        if at.len() <= longest {
            return self.queue_whole(at.start, at.end);
        }
        self.fragment_id = self.fragment_id.wrapping_add(1);
        let (packet, mut rest) = self.slots.packet_and_rest(at.clone());
        if packet[0] >> 4 == 4 {
            // As with ESP: the host's own datagrams have DF, and yet shall be cut; AH does not cover it (RFC 4302
            // §3.3.3.1.1). Forwarded ones met a route with the MTU.
            packet[v4::FLAGS_AT] &= !(v4::DONT_FRAGMENT >> 8) as u8;
        }
        let Ok(mut fragments) = Fragments::new(packet, longest, self.fragment_id) else {
            return self.queue_whole(at.start, at.end);
        };
        let (mut ends, mut end) = (Vec::new(), at.end);
        while let Ok(Some(len)) = fragments.next(rest) {
            rest = &mut std::mem::take(&mut rest)[len..];
            ends.push((end, end + len));
            end += len;
        }
        if !fragments.is_done() {
            return self.queue_whole(at.start, at.end);
        }
        ends.into_iter().for_each(|(start, end)| self.queue_whole(start, end));
    }

    fn queue(&mut self, what: Use, sending: Sending) {
        let v4 = sending.remote.is_ipv4();
        if let Some(way) = WAYS.iter().position(|way| *way == (what, v4)) {
            self.ways[way].push(sending);
        }
    }

    /// Sends what there is room for.
    fn send_all(&mut self) {
        for ((what, v4), packets) in WAYS.iter().zip(&mut self.ways) {
            if packets.is_empty() {
                continue;
            }
            let mut too_long = None;
            let done = match self.sockets.get(*what, any(*v4)) {
                Some(socket) => {
                    let counted = &mut self.counted;
                    let refused = &mut |place: usize, error: io::Error| {
                        if *what == Use::Clear && error.raw_os_error() == Some(libc::EMSGSIZE) {
                            too_long = Some(packets[place]);
                        }
                        counted.refused(&error);
                    };
                    self.messages.send(socket, self.slots.bytes(), packets, *what == Use::Nat, refused)
                }
                None => {
                    self.counted.no_family += packets.len() as u64;
                    packets.len()
                }
            };
            packets.drain(..done);
            // A packet that nobody may cut, and too long for the link at hand: its sender is told of the next one.
            if let Some(Sending { start, end, remote, .. }) = too_long
                && let Ok(mtu) = self.sockets.mtu_towards(remote.ip())
                && let Some(message) = self.too_big.about(&self.slots.bytes()[start..end], mtu)
            {
                report_narrow(self.engine.learn_mtu(message, self.clock.now()));
            }
        }
    }

    fn count(&self) -> HalfCounters {
        let Counted { bad_offload, hold_full, unanswered, hold_expired, no_family, send_failed } = &self.counted;
        let mut around = vec![
            ("malformed super-packet from the stack".to_owned(), *bad_offload),
            ("waited too long for an SA".to_owned(), *hold_expired),
            ("too many packets wait for an SA".to_owned(), *hold_full),
            ("the stack did not take the word that a packet is too big".to_owned(), *unanswered),
            ("the host has no IPv6".to_owned(), *no_family),
        ];
        around.extend(
            send_failed.iter().map(|(number, count)| {
                (format!("could not be sent: {}", io::Error::from_raw_os_error(*number)), *count)
            }),
        );
        HalfCounters { engine: self.engine.counters(), around }
    }
}

impl Counted {
    fn refused(&mut self, error: &io::Error) {
        *self.send_failed.entry(error.raw_os_error().unwrap_or_default()).or_default() += 1;
    }
}

fn is_stream(outer: &Outer) -> bool {
    outer.encap.is_some_and(|encap| encap.carrier == Carrier::Tcp)
}

/// Tells of an SA whose path has become narrower.
fn report_narrow(id: Option<SaId>) {
    if let Some(id) = id {
        tracing::info!("the path of the SA {:#010x} to {} takes less than was known", id.spi.0, id.dst);
    }
}

/// The unspecified address of IPv4, or of IPv6.
fn any(v4: bool) -> IpAddr {
    if v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

/// TTL or hop limit of a packet that the engine made.
fn hops(packet: &[u8]) -> u8 {
    let at = if packet[0] >> 4 == 4 { 8 } else { 7 };
    packet.get(at).copied().unwrap_or(HOPS)
}

/// The destination of an IP packet and the unspecified address of its family.
fn destination(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    match packet.first()? >> 4 {
        4 => {
            let bytes: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            Some((bytes.into(), Ipv4Addr::UNSPECIFIED.into()))
        }
        6 => {
            let bytes: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            Some((bytes.into(), Ipv6Addr::UNSPECIFIED.into()))
        }
        _ => None,
    }
}
