//! What the kernel tells by itself, and what only a look at its SAs shows: acquires, expiries, moves; alive, idle, gone.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use ravelin_types::dataplane::DataPlaneEvent;
use ravelin_types::policy::{Action, PolicyId};
use ravelin_types::sa::{Direction, SaCounters, SaId, SaParams};
use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

use crate::msg::attribute::Attribute;
use crate::msg::parts::{Address, Selector};
use crate::msg::policy::Acquire;
use crate::msg::{Body, Message, kind};
use crate::netlink::Notice;
use crate::notes::{self, Note};
use crate::plane::XfrmDataPlane;
use crate::policies::COMP;
use crate::states::Name;
use crate::{own, selectors, states};

/// Flows whose acquire is under way that are told apart; more are handed on each time their packets ask.
const MAX_PENDING: usize = 1 << 17;
/// Flows of one policy that ask at a time for SAs of their own, as with our engine; the packets of others ask again.
const MAX_PENDING_PER_POLICY: usize = 256;
/// Looking through the SAs takes no more than one part in so many of the time.
const SURVEY_SHARE: u32 = 10;

/// What the last look at an SA showed.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    packets: u64,
    /// When it was installed.
    pub(crate) since: Instant,
    /// When packets were counted last.
    used: Instant,
    /// When it was reported as idle last.
    idle: Instant,
    /// When a keepalive was sent last.
    keepalive: Instant,
    /// Its next packet is to be told of.
    tell_use: bool,
    /// Its end was told.
    pub(crate) gone: bool,
}

impl Seen {
    /// That of an SA that was installed at this time.
    pub(crate) fn at(now: Instant) -> Self {
        Seen { packets: 0, since: now, used: now, idle: now, keepalive: now, tell_use: false, gone: false }
    }

    /// The next look that finds packets is to be told of.
    pub(crate) fn tell_use(&mut self) {
        self.tell_use = true;
    }
}

impl XfrmDataPlane {
    /// Takes back the kernel's note that an SA is on its way: the next packet that needs one asks again.
    pub(crate) fn fail_acquire(&mut self, policy: PolicyId) {
        // A processor asks again after a while, not with its next packet: that goes over the SA for all.
        let failed: Vec<Note> = self
            .pending
            .extract_if(.., |(id, _), note| *id == policy && note.processor.is_none())
            .map(|(_, note)| note)
            .collect();
        failed.iter().for_each(|note| notes::release(&mut self.netlink, note));
    }

    /// Has the processors ask for SAs of a policy, or not.
    fn set_asking(&mut self, policy: PolicyId, asking: bool) {
        let changed = self.book.set_asking(policy, asking).and_then(|steps| self.carry_out(steps, None));
        if let Err(error) = changed {
            tracing::error!("the processors' asking for SAs of policy {} cannot be changed: {error}", policy.0);
        }
    }

    /// Takes back notes that the kernel does not when their SA comes: those that have a mark, those about another end than this SA
    /// has, and where its states are none of those which the note is about: packets are compressed, or share payloads.
    pub(crate) fn release_served(&mut self, notes: &[Note], sa: &SaParams) {
        let unlike = sa.options.ipcomp.cpi().is_some() || sa.options.aggfrag.is_some();
        let elsewhere = |note: &Note| note.id.dst != Address::from(sa.dst);
        for note in notes.iter().filter(|note| unlike || note.mark.is_some() || elsewhere(note)) {
            notes::release(&mut self.netlink, note);
        }
    }

    /// Sets the timer: while there is something to look after, it ticks each second, or less often where looking takes
    /// long.
    pub(crate) fn arm(&mut self) {
        let idle = self.book.sa_count() == 0 && self.pending.is_empty();
        let seconds = if idle { 0 } else { 1 + (self.survey_took * SURVEY_SHARE).as_secs() as i64 };
        if seconds == self.armed {
            return;
        }
        let every = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let spec = Itimerspec { it_interval: every, it_value: every };
        match timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &spec) {
            Ok(_) => self.armed = seconds,
            Err(error) => tracing::error!("the timer of the data plane cannot be set: {error}"),
        }
    }

    /// Takes in what the kernel has told, one datagram of it.
    pub(crate) fn take_events(&mut self) -> bool {
        let Some(notices) = self.events.poll() else { return false };
        for notice in notices {
            match notice {
                Notice::Message(message) => self.event(&message),
                Notice::Lost => {
                    tracing::warn!("the kernel had more to tell than there was room for; looking through its SAs");
                    self.recover();
                }
            }
        }
        true
    }

    fn event(&mut self, message: &Message) {
        match &message.body {
            Body::Acquire(acquire) => {
                let templates = message.find(|a| if let Attribute::Templates(all) = a { Some(all) } else { None });
                let template = templates.and_then(|all| all.first());
                let (reqid, mode) = template.map_or((0, 0), |template| (template.reqid, template.mode));
                let Acquire { id, src, seq, selector, .. } = acquire.clone();
                let (mark, processor) = (states::mark_of(message), notes::processor(message));
                self.acquire(&selector, Note { id, src, seq, mode, reqid, mark, processor, since: Instant::now() });
            }
            Body::Expire(expire) => {
                if let Some(id) = states::name(&expire.state).and_then(|name| self.book.named(name)) {
                    self.expired(id, expire.hard != 0);
                }
            }
            Body::Mapping(mapping) => {
                let name = mapping.id.dst.ip(mapping.id.family).map(|dst| (dst, mapping.id.protocol, mapping.id.spi));
                let Some(id) = name.and_then(|name| self.book.named(name)) else { return };
                let Some(src) = mapping.new_src.ip(mapping.id.family) else { return };
                let event = DataPlaneEvent::PeerMoved { id, src, src_port: Some(mapping.new_port.0) };
                // The kernel says so with each packet.
                if !self.queue.contains(&event) {
                    self.queue.push_back(event);
                }
            }
            _ => {}
        }
    }

    fn acquire(&mut self, packet: &Selector, note: Note) {
        let Some(id) = own::policy(note.reqid) else { return };
        let Some(policy) = self.book.policy(id) else { return };
        let Action::Protect(protection) = &policy.action else { return };
        let Some(flow) = selectors::flow(packet) else { return };
        let per_flow = protection.pfp.any();
        let key = (id, if per_flow { protection.pfp.key(&flow) } else { flow });
        let now = note.since;
        if self.book.has_moved(id, note.src, note.id.dst) {
            // Raised while its SA moved: no SA will come between these ends and take the note away.
            return notes::release(&mut self.netlink, &note);
        }
        if let Some(number) = note.processor {
            // Nothing waits: packets go over the SA for all. With the next SA of the policy the entries follow it, and ask.
            self.set_asking(id, false);
            notes::release(&mut self.netlink, &note);
            self.pending.insert(key, note);
            self.queue.push_back(DataPlaneEvent::Acquire { policy: id, flow, processor: Some(number) });
            return self.arm();
        }
        let known = self.pending.get(&key);
        // Told twice: among the notes, and by the kernel itself.
        if known.is_some_and(|known| known.seq == note.seq) {
            return;
        }
        let under_way = known.is_some_and(|known| now - known.since < self.config.acquire);
        if per_flow {
            // While the kernel has its note, it asks for no other flow between the two ends.
            notes::release(&mut self.netlink, &note);
            let full = || self.pending.keys().filter(|(policy, _)| *policy == id).count() >= MAX_PENDING_PER_POLICY;
            if under_way || full() {
                return;
            }
        }
        if self.pending.len() < MAX_PENDING {
            self.pending.insert(key, note);
            self.arm();
        }
        if !self.is_replaced_soon(id, &flow) {
            self.queue.push_back(DataPlaneEvent::Acquire { policy: id, flow, processor: None });
        }
    }

    fn expired(&mut self, id: SaId, hard: bool) {
        let event = if hard { DataPlaneEvent::HardExpire(id) } else { DataPlaneEvent::SoftExpire(id) };
        if let Some(seen) = self.seen.get_mut(&id) {
            // A pair of states is one SA.
            if seen.gone {
                return;
            }
            seen.gone = hard;
        }
        if !self.queue.contains(&event) {
            self.queue.push_back(event);
        }
    }

    /// Events were lost: acquires are found among the kernel's notes, everything else by a look at the SAs.
    fn recover(&mut self) {
        let notes = notes::list(&mut self.netlink).unwrap_or_else(|refusal| {
            tracing::warn!("the kernel's SAs cannot be listed: {refusal}");
            Vec::new()
        });
        for (note, packet) in notes {
            self.acquire(&packet, note);
        }
        self.survey();
    }

    /// Looks through the SAs: which had packets, which have been idle, which are gone.
    pub(crate) fn survey(&mut self) {
        let now = Instant::now();
        let acquire = self.config.acquire;
        let late = |_: &_, note: &mut Note| now - note.since >= acquire;
        let late: Vec<(PolicyId, Note)> =
            self.pending.extract_if(.., late).map(|((policy, _), note)| (policy, note)).collect();
        for (policy, _) in late.iter().filter(|(_, note)| note.processor.is_some()) {
            self.set_asking(*policy, true);
        }
        if self.book.sa_count() == 0 {
            return self.arm();
        }
        let counted = self.count();
        self.survey_took = now.elapsed();
        // What could not be listed is not gone.
        let Some(counted) = counted else { return self.arm() };
        let (mut keepalives, mut missed) = (Vec::new(), Vec::new());
        for (id, params) in self.book.sas() {
            let Some(seen) = self.seen.get_mut(id) else { continue };
            let Some(counters) = counted.get(id) else {
                missed.push((*id, params.policy));
                continue;
            };
            if counters.packets != seen.packets {
                seen.packets = counters.packets;
                seen.used = now;
                seen.idle = now;
                if std::mem::take(&mut seen.tell_use) {
                    self.queue.push_back(DataPlaneEvent::Used(*id));
                }
                match id.direction {
                    Direction::Inbound => self.alive.push_back(id.spi),
                    Direction::Outbound => seen.keepalive = now,
                }
            } else if let Some(limit) = params.lifetime.idle
                && now - seen.idle >= limit
            {
                seen.idle = now;
                self.queue.push_back(DataPlaneEvent::Idle(*id));
            }
            if let (Direction::Outbound, Some(encap), Some(every)) = (id.direction, params.encap, self.config.keepalive)
                && now - seen.keepalive >= every
            {
                seen.keepalive = now;
                keepalives.push((params.src, SocketAddr::new(params.dst, encap.dst_port)));
            }
        }
        missed.into_iter().for_each(|(id, policy)| self.missed(id, policy, now));
        keepalives.sort();
        keepalives.dedup();
        for (local, remote) in keepalives {
            if let Err(error) = self.sockets.keep_alive(local, remote) {
                tracing::debug!("no NAT keepalive to {remote}: {error}");
            }
        }
        self.arm();
    }

    /// The counters of the SAs that are in the kernel; `None`: it does not tell.
    pub(crate) fn count(&mut self) -> Option<BTreeMap<SaId, SaCounters>> {
        let book = &self.book;
        let listed = self.netlink.dump(&Message::new(kind::GET_SA, Body::Empty), |message| {
            let Body::State(state) = &message.body else { return None };
            let id = states::name(state).filter(counts).and_then(|name| book.named(name))?;
            Some((id, states::counters(&message)))
        });
        let listed =
            listed.inspect_err(|refusal| tracing::warn!("the kernel's SAs cannot be listed: {refusal}")).ok()?;
        let mut counted: BTreeMap<SaId, SaCounters> = BTreeMap::new();
        for (id, counters) in listed {
            counted.entry(id).and_modify(|one| *one = sum(*one, counters)).or_insert(counters);
        }
        Some(counted)
    }
}

/// Whether a state counts what its SA does. That of a compression sees some of the packets, and stays when the others have passed their
/// limits.
pub(crate) fn counts(name: &Name) -> bool {
    name.1 != COMP
}

/// What an SA counts whose two states, of AH around ESP, see the same packets.
pub(crate) fn sum(one: SaCounters, other: SaCounters) -> SaCounters {
    SaCounters {
        replayed: one.replayed + other.replayed,
        too_old: one.too_old + other.too_old,
        forged: one.forged + other.forged,
        ..one
    }
}
