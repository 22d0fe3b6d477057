//! The thread from the device to the sockets.
//!
//! 1. Wait for packets on the device, for requests, or for the next deadline.
//! 2. Read super-packets, cut them into a batch of packets in the slots, and let the engine decide about all of them.
//! 3. Send what is sealed, by socket; keep what waits for an SA.
//! 4. Report the engine's events.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use ravelin_engine::{DropReason, Outbound, Outer, Verdict};
use ravelin_types::Instant;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::policy::PolicyId;
use ravelin_types::sa::Direction;
use ravelin_wire::udp_encap::KEEPALIVE;

use crate::device::Device;
use crate::hold::{Held, HoldQueue};
use crate::keepalive::Keepalives;
use crate::offload::Splitter;
use crate::shared::{Clock, HalfCounters, Report, Reporter, Request, Wake};
use crate::slots::{BATCH, FRONT, Slots};
use crate::sockets::{Sockets, Use};
use crate::sys::{Messages, Sending};
use crate::wait::{self, earliest};

/// Batches taken from the device before requests are looked at again.
const ROUNDS: usize = 8;
/// How soon a report that found no room is offered again.
const REPORT_RETRY: Duration = Duration::from_millis(50);

/// Packets of one batch by the socket that sends them.
const WAYS: [(Use, bool); 6] =
    [(Use::Esp, true), (Use::Esp, false), (Use::Nat, true), (Use::Nat, false), (Use::Clear, true), (Use::Clear, false)];

pub(crate) struct OutboundThread {
    engine: Outbound,
    device: Arc<Device>,
    sockets: Arc<Sockets>,
    clock: Clock,
    requests: Receiver<Request>,
    wake: Wake,
    reporter: Reporter,
    splitter: Splitter,
    slots: Slots,
    messages: Messages,
    /// Where the packets of the batch stand in their slots.
    ranges: Vec<Range<usize>>,
    /// Packets to send, by [`WAYS`].
    ways: [Vec<Sending>; WAYS.len()],
    hold: HoldQueue,
    keepalives: Keepalives,
    /// Somebody removed the device.
    device_lost: bool,
    counted: Counted,
}

/// What is counted around the engine.
#[derive(Default)]
struct Counted {
    bad_offload: u64,
    hold_full: u64,
    hold_expired: u64,
    no_family: u64,
    /// By the system's error number.
    send_failed: BTreeMap<i32, u64>,
}

/// The parts the thread is made of.
pub(crate) struct Parts {
    pub engine: Outbound,
    pub device: Arc<Device>,
    pub sockets: Arc<Sockets>,
    pub clock: Clock,
    pub requests: Receiver<Request>,
    pub wake: Wake,
    pub reporter: Reporter,
    pub hold: Duration,
    pub keepalive: Option<Duration>,
}

impl OutboundThread {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { engine, device, sockets, clock, requests, wake, reporter, hold, keepalive } = parts;
        OutboundThread {
            engine,
            device,
            sockets,
            clock,
            requests,
            wake,
            reporter,
            splitter: Splitter::new(),
            slots: Slots::new(),
            messages: Messages::new(),
            ranges: Vec::with_capacity(BATCH),
            ways: std::array::from_fn(|_| Vec::with_capacity(BATCH)),
            hold: HoldQueue::new(hold),
            keepalives: Keepalives::new(keepalive),
            device_lost: false,
            counted: Counted::default(),
        }
    }

    /// Runs until it is told to stop.
    pub(crate) fn run(mut self) {
        let device = self.device.clone();
        let wake = self.wake.clone();
        let mut fds = [wake.as_fd(), device.as_fd()].map(wait::on);
        loop {
            // A device that was taken away would be reported without end.
            let watched = if self.device_lost { 1 } else { fds.len() };
            wait::until(&mut fds[..watched], self.clock.now(), self.deadline());
            if wait::is_ready(&fds[0]) && !self.serve() {
                return;
            }
            self.on_time();
            if self.splitter.has_more() || !self.device_lost && wait::is_ready(&fds[1]) {
                for _ in 0..ROUNDS {
                    if !self.read_batch() {
                        break;
                    }
                    self.process(&[]);
                }
            }
            let Self { reporter, engine, .. } = &mut self;
            reporter.send(|| engine.poll_event().map(Report::Event));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        // The rest of a super-packet waits for nothing.
        let rest = self.splitter.has_more().then_some(Instant::ZERO);
        let retry = self.reporter.is_full().then(|| self.clock.now() + REPORT_RETRY);
        earliest([self.engine.deadline(), self.hold.deadline(), self.keepalives.deadline(), retry, rest])
    }

    /// Carries out the requests that wait. False: stop.
    fn serve(&mut self) -> bool {
        self.wake.clear();
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
            DataPlaneOp::AddSa(params) if params.direction == Direction::Outbound => self.release(params.policy),
            DataPlaneOp::DeletePolicy(id) => drop(self.hold.take(*id)),
            _ => {}
        }
    }

    /// Offers the packets that waited for an SA of this policy again. Those that must wait again, because the SA is not
    /// for their flow, have waited already.
    fn release(&mut self, policy: PolicyId) {
        let packets = self.hold.take(policy);
        for batch in packets.chunks(BATCH) {
            self.ranges.clear();
            for (i, Held { packet, .. }) in batch.iter().enumerate() {
                self.slots.room(i)[..packet.len()].copy_from_slice(packet);
                self.ranges.push(FRONT..FRONT + packet.len());
            }
            self.process(batch);
        }
    }

    fn on_time(&mut self) {
        let now = self.clock.now();
        if self.engine.deadline().is_some_and(|at| at <= now) {
            self.engine.tick(now);
        }
        self.counted.hold_expired += self.hold.expire(now);
        for (src, dst, port) in self.keepalives.due(now) {
            let sending =
                Sending { start: 0, end: KEEPALIVE.len(), remote: SocketAddr::new(dst, port), local: src, tos: 0 };
            if let Some(socket) = self.sockets.get(Use::Nat, dst) {
                self.messages.send(socket, &KEEPALIVE, &[sending], &mut |error| self.counted.refused(&error));
            }
        }
    }

    /// Fills the slots with what is left of the last super-packet and from the device. False when there was nothing.
    fn read_batch(&mut self) -> bool {
        self.ranges.clear();
        while self.ranges.len() < BATCH {
            if let Some(len) = self.splitter.next(self.slots.room(self.ranges.len())) {
                self.ranges.push(FRONT..FRONT + len);
                continue;
            }
            if self.device_lost {
                break;
            }
            match self.device.read(self.splitter.room()) {
                Ok(Some(len)) => {
                    if self.splitter.load(len).is_err() {
                        self.counted.bad_offload += 1;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::error!("the TUN device is gone ({error}): no traffic is protected; restart the daemon");
                    self.device_lost = true;
                    break;
                }
            }
        }
        !self.ranges.is_empty()
    }

    /// Lets the engine decide about the packets in the slots, of which these were held, and does what it says.
    fn process(&mut self, held: &[Held]) {
        let now = self.clock.now();
        let count = self.ranges.len();
        let mut verdicts = [Verdict::Drop(DropReason::NoPolicy); BATCH];
        let mut packets = self.slots.packets(&self.ranges);
        self.engine.process_batch(&mut packets[..count], now, &mut verdicts[..count]);
        for (range, packet) in self.ranges.iter_mut().zip(&packets) {
            *range = packet.range();
        }
        for (i, verdict) in verdicts[..count].iter().enumerate() {
            let start = Slots::base(i) + self.ranges[i].start;
            let end = Slots::base(i) + self.ranges[i].end;
            match *verdict {
                Verdict::Send(outer) => self.queue_sealed(start, end, &outer),
                Verdict::Bypass => self.queue_clear(start, end),
                Verdict::Hold(policy) => {
                    let since = held.get(i).map_or(now, |held| held.since);
                    if !self.hold.push(policy, &self.slots.bytes()[start..end], since) {
                        self.counted.hold_full += 1;
                    }
                }
                // The engine counted it. `Deliver` is for the other direction.
                Verdict::Drop(_) | Verdict::Deliver => {}
            }
        }
        self.send_all();
    }

    fn queue_sealed(&mut self, start: usize, end: usize, outer: &Outer) {
        let (what, port) = match outer.encap {
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
            },
        );
    }

    /// A packet that a policy lets pass, though the filter sent it to us: it leaves as it is, with our mark.
    fn queue_clear(&mut self, start: usize, end: usize) {
        let packet = &self.slots.bytes()[start..end];
        let Some((destination, any)) = destination(packet) else { return };
        self.queue(Use::Clear, Sending { start, end, remote: SocketAddr::new(destination, 0), local: any, tos: 0 });
    }

    fn queue(&mut self, what: Use, sending: Sending) {
        let v4 = sending.remote.is_ipv4();
        if let Some(way) = WAYS.iter().position(|way| *way == (what, v4)) {
            self.ways[way].push(sending);
        }
    }

    fn send_all(&mut self) {
        for ((what, v4), packets) in WAYS.iter().zip(&mut self.ways) {
            if packets.is_empty() {
                continue;
            }
            let any: IpAddr = if *v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            match self.sockets.get(*what, any) {
                Some(socket) => {
                    let counted = &mut self.counted;
                    self.messages.send(socket, self.slots.bytes(), packets, &mut |error| counted.refused(&error));
                }
                None => self.counted.no_family += packets.len() as u64,
            }
            packets.clear();
        }
    }

    fn count(&self) -> HalfCounters {
        let Counted { bad_offload, hold_full, hold_expired, no_family, send_failed } = &self.counted;
        let mut around = vec![
            ("malformed super-packet from the stack".to_owned(), *bad_offload),
            ("waited too long for an SA".to_owned(), *hold_expired),
            ("too many packets wait for an SA".to_owned(), *hold_full),
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
