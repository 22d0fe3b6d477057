//! From the device to the sockets.
//!
//! 1. A [`Worker`](crate::worker::Worker) waits for packets on the device, for requests, or for the next deadline.
//! 2. Read super-packets, cut them into a batch of packets in the slots, and let the engine decide about all of them.
//! 3. Send what is sealed, by socket; keep what waits for an SA. While a socket has no room, nothing more is read: the
//!    packets wait in the device, whose queue is bounded, and requests are served all the same.
//! 4. Report the engine's events.

use std::collections::VecDeque;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use ravelin_engine::{DropReason, Mark, Outbound, Outer, PacketBuf, Verdict};
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::policy::{Domain, Mode, PolicyId};
use ravelin_types::sa::{Direction, SaId};
use ravelin_types::{Carrier, Instant};
use ravelin_wire::ip::fragment::Fragments;

use crate::deal::Deal;
use crate::departure::Departure;
use crate::device::Device;
use crate::devices::Devices;
use crate::hold::{Held, HoldQueue};
use crate::keepalive::Keepalives;
use crate::mail::Mail;
use crate::offload::{Splitter, VnetHeader};
use crate::path::TooBig;
use crate::shared::{Clock, HalfCounters, Report, Reporter, Request, tell};
use crate::slots::{BATCH, FRONT, Slots};
use crate::sockets::Sockets;
use crate::streams::Streams;
use crate::wait::{Watch, earliest};

/// Batches taken from the device before requests are looked at again.
const ROUNDS: usize = 8;
/// How soon a report that found no room is offered again.
const REPORT_RETRY: Duration = Duration::from_millis(50);

/// How the engine makes a packet by itself.
type Make = fn(&mut Outbound, &mut PacketBuf<'_>, Instant) -> Option<Verdict>;

pub(crate) struct OutboundHalf {
    engine: Outbound,
    devices: Devices,
    deal: Deal,
    /// Packets that the filter took for another worker's.
    strays: Mail<Released>,
    sockets: Arc<Sockets>,
    departure: Departure,
    clock: Clock,
    requests: Receiver<Request>,
    reporter: Reporter,
    /// What was read last, and from the device of which domain.
    splitter: Splitter,
    splitting: Domain,
    slots: Slots,
    /// The domain of the batch: it comes from one device.
    domain: Domain,
    /// Where the packets of the batch stand in their slots.
    ranges: Vec<Range<usize>>,
    /// Since when the first packets of the batch have waited for an SA.
    since: Vec<Instant>,
    /// Which of them another worker read.
    strayed: Vec<bool>,
    hold: HoldQueue,
    /// Packets that waited for an SA that has come.
    released: VecDeque<Released>,
    keepalives: Keepalives,
    /// The device that was read last had nothing more.
    drained: bool,
    too_big: TooBig,
    counted: Counted,
}

/// A packet that goes before those on the device: its SA has come, it was cut out of another, or another worker read it.
pub(crate) struct Released {
    packet: Box<[u8]>,
    domain: Domain,
    /// Since when it waits.
    since: Instant,
    /// Another worker found that it is of a policy of ours. It is not sent back.
    stray: bool,
}

/// What is counted around the engine.
#[derive(Default)]
struct Counted {
    bad_offload: u64,
    hold_full: u64,
    unanswered: u64,
    hold_expired: u64,
    astray: u64,
}

/// The parts the half is made of.
pub(crate) struct Parts {
    pub engine: Outbound,
    pub devices: Devices,
    pub deal: Deal,
    pub strays: Mail<Released>,
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
        let Parts {
            engine,
            devices,
            deal,
            strays,
            sockets,
            streams,
            clock,
            requests,
            reporter,
            hold,
            keepalive,
            longest,
        } = parts;
        OutboundHalf {
            engine,
            devices,
            deal,
            strays,
            departure: Departure::new(sockets.clone(), streams, longest),
            sockets,
            clock,
            requests,
            reporter,
            splitter: Splitter::new(),
            splitting: Domain::default(),
            slots: Slots::new(),
            domain: Domain::default(),
            ranges: Vec::with_capacity(BATCH),
            since: Vec::with_capacity(BATCH),
            strayed: Vec::with_capacity(BATCH),
            hold: HoldQueue::new(hold),
            released: VecDeque::new(),
            keepalives: Keepalives::new(keepalive),
            drained: false,
            too_big: TooBig::new(),
            counted: Counted::default(),
        }
    }

    /// Says what it waits for: room in the sockets while they are full, else packets on the device.
    pub(crate) fn watch<'a>(&'a self, sockets: &'a Sockets, watch: &mut Watch<'a>) {
        if self.departure.is_blocked() {
            self.departure.watch(sockets, watch);
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
        while let Some(stray) = self.strays.next() {
            self.released.push_back(stray);
        }
        self.on_time();
        if self.departure.is_blocked() && ready {
            self.send_all();
        }
        if ready || self.has_more() {
            for _ in 0..ROUNDS {
                // What waits for the link stays in the slots, and what comes after it in the device.
                if self.departure.is_blocked() || !self.read_batch() {
                    break;
                }
                moved += self.ranges.len();
                self.process();
                if self.drained && !self.has_more() {
                    break;
                }
            }
        }
        self.strays.wake();
        let Self { reporter, engine, strays, .. } = self;
        reporter.send(|| engine.poll_event().map(|event| Report::Event(event, strays.own())));
        moved
    }

    /// Whether there are packets besides those on the device.
    fn has_more(&self) -> bool {
        !self.released.is_empty() || self.splitter.has_more()
    }

    /// When there is something to do, whatever comes.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let rest = (self.has_more() && !self.departure.is_blocked()).then_some(Instant::ZERO);
        let retry = self.reporter.is_full().then(|| self.clock.now() + REPORT_RETRY);
        let made = earliest([self.engine.dummy_deadline(), self.engine.payload_deadline()]);
        let made = made.filter(|_| !self.departure.is_blocked());
        earliest([self.engine.deadline(), made, self.hold.deadline(), self.keepalives.deadline(), retry, rest])
    }

    /// Carries out the requests that wait. False: stop.
    pub(crate) fn serve(&mut self) -> bool {
        while let Ok(request) = self.requests.try_recv() {
            match request {
                Request::Apply(op, answer) => {
                    let now = self.clock.now();
                    let result = self.engine.apply(&op, now);
                    let done = result.is_ok();
                    tell(answer, result);
                    if done {
                        self.follow(&op, now);
                    }
                }
                Request::Device(domain, device) => self.devices.set(domain, device),
                Request::List(answer) => _ = answer.send(self.engine.list()),
                Request::Sa(id, answer) => _ = answer.send(self.engine.sa(id)),
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
                let release = |Held { packet, domain, since, .. }| Released { packet, domain, since, stray: false };
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
        self.send_made(now, Outbound::dummy_deadline, Outbound::poll_dummy);
        self.send_made(now, Outbound::payload_deadline, Outbound::poll_payload);
        self.counted.hold_expired += self.hold.expire(now);
        for (src, dst, port) in self.keepalives.due(now) {
            self.departure.keep_alive(src, dst, port);
        }
    }

    /// Sends what the engine makes by itself, while it is due and there is room; the slots are free then, as nothing waits for
    /// the link.
    fn send_made(&mut self, now: Instant, due: impl Fn(&Outbound) -> Option<Instant>, make: Make) {
        while !self.departure.is_blocked() && due(&self.engine).is_some_and(|at| at <= now) {
            self.ranges.clear();
            self.ranges.resize(BATCH, FRONT..FRONT);
            let mut verdicts = [None; BATCH];
            let mut packets = self.slots.packets(&self.ranges);
            for (packet, verdict) in packets.iter_mut().zip(&mut verdicts) {
                *verdict = make(&mut self.engine, packet, now);
                if verdict.is_none() {
                    break;
                }
            }
            for (range, packet) in self.ranges.iter_mut().zip(&packets) {
                *range = packet.range();
            }
            for (i, verdict) in verdicts.iter().enumerate() {
                if let Some(Verdict::Send(outer)) = verdict {
                    let at = Slots::base(i) + self.ranges[i].start..Slots::base(i) + self.ranges[i].end;
                    self.departure.sealed(&mut self.slots, at, outer);
                }
            }
            self.send_all();
        }
        self.ranges.clear();
    }

    /// Fills the slots with packets of one domain: those whose SA has come, else what is left of the last super-packet
    /// and what its device has, else the next device that has something. False when there was nothing.
    fn read_batch(&mut self) -> bool {
        self.ranges.clear();
        self.since.clear();
        self.strayed.clear();
        self.drained = false;
        if let Some(first) = self.released.front() {
            self.domain = first.domain;
        }
        while self.ranges.len() < BATCH
            && let Some(Released { packet, since, stray, .. }) =
                self.released.pop_front_if(|next| next.domain == self.domain)
        {
            self.slots.room(self.ranges.len())[..packet.len()].copy_from_slice(&packet);
            self.ranges.push(FRONT..FRONT + packet.len());
            self.since.push(since);
            self.strayed.push(stray);
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
            let at = Slots::base(i) + self.ranges[i].start..Slots::base(i) + self.ranges[i].end;
            match *verdict {
                // What nobody may cut leaves with the header that says so. In transport mode the flag is of a path of which
                // the sender knows only the part to the device, and the stack cuts what does not fit.
                // A stream has no packets that could be cut (RFC 9329 §6.8).
                Verdict::Send(outer)
                    if tunneled[i] && outer.dont_fragment && outer.dst.is_ipv4() && !is_stream(&outer) =>
                {
                    self.departure.whole(&self.slots, at);
                }
                Verdict::Send(outer) => self.departure.sealed(&mut self.slots, at, &outer),
                // The filter sent it to us, and yet a policy lets it pass: it leaves as it is, with our mark.
                Verdict::Bypass => self.departure.whole(&self.slots, at),
                Verdict::Hold(policy) => self.hold(policy, i, at, now),
                Verdict::Fragment(most) => self.cut(at, most.into(), now),
                Verdict::TooBig => {
                    let message = &self.slots.bytes()[at];
                    let write = |device: &Device| device.write(&VnetHeader::default(), message, std::iter::empty());
                    if self.devices.get(self.domain).is_none_or(|device| write(device).is_err()) {
                        self.counted.unanswered += 1;
                    }
                }
                // The engine has it, or counted it. `Deliver` is for the other direction.
                Verdict::Taken | Verdict::Drop(_) | Verdict::Deliver => {}
            }
        }
        self.send_all();
        self.send_made(now, Outbound::payload_deadline, Outbound::poll_payload);
    }

    /// Keeps a packet until there is an SA for it; one of a policy of another worker goes to him.
    fn hold(&mut self, policy: PolicyId, i: usize, at: Range<usize>, now: Instant) {
        let since = self.since.get(i).copied().unwrap_or(now);
        let packet = &self.slots.bytes()[at];
        let worker = self.deal.policy(policy, self.domain);
        if worker == self.strays.own() {
            self.counted.hold_full += u64::from(!self.hold.push(policy, self.domain, packet, since));
            return;
        }
        let released = Released { packet: packet.into(), domain: self.domain, since, stray: true };
        if self.strayed.get(i) == Some(&true) || self.strays.send(worker, released).is_err() {
            self.counted.astray += 1;
        }
        self.strays.tell(worker);
    }

    /// Sends what there is room for.
    fn send_all(&mut self) {
        let Self { departure, engine, too_big, clock, slots, .. } = self;
        departure.send_all(slots, |packet, mtu| {
            // Its sender is told of the next one.
            if let Some(message) = too_big.about(packet, mtu) {
                report_narrow(engine.learn_mtu(message, clock.now()));
            }
        });
    }

    /// Cuts the packet into pieces of at most `most` bytes, which the engine takes one by one.
    fn cut(&mut self, at: Range<usize>, most: usize, now: Instant) {
        // Only IPv4 is cut before it is protected, and that has an identification of its own.
        let Ok(mut fragments) = Fragments::new(&self.slots.bytes()[at], most, 0) else { return };
        let mut room = vec![0; most];
        while let Ok(Some(len)) = fragments.next(&mut room) {
            self.released.push_back(Released {
                packet: room[..len].into(),
                domain: self.domain,
                since: now,
                stray: false,
            });
        }
    }

    fn count(&self) -> HalfCounters {
        let Counted { bad_offload, hold_full, unanswered, hold_expired, astray } = self.counted;
        let mut around = vec![
            ("malformed super-packet from the stack".to_owned(), bad_offload),
            ("waited too long for an SA".to_owned(), hold_expired),
            ("too many packets wait for an SA".to_owned(), hold_full),
            ("the stack did not take the word that a packet is too big".to_owned(), unanswered),
            ("too many packets for another worker".to_owned(), astray),
        ];
        around.extend(self.departure.count());
        HalfCounters { engine: self.engine.counters(), early: 0, around }
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
