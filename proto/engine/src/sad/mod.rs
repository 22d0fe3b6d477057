//! The Security Association Database (RFC 4301 §4.4.2): the SAs of one direction, their use and their limits.
//!
//! An SA keeps its slot number for life, so the packet path goes by slot. [`outbound`] and [`inbound`] hold what each
//! direction needs ready for a packet; [`usage`] counts against the limits.

mod inbound;
mod outbound;
mod senders;
mod spares;
mod spi_table;
mod spis;
mod usage;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use hashbrown::HashMap;
use ravelin_crypto::CryptoProvider;
use ravelin_types::Instant;
use ravelin_types::dataplane::{DataPlaneError, DataPlaneEvent, Table};
use ravelin_types::policy::Domain;
use ravelin_types::sa::{Direction, SaCounters, SaId, SaParams};

use crate::aggfrag::{Receiver, Sender};
use crate::deadlines::Deadlines;
use crate::events::Events;
use crate::fetch::fetch;
use crate::hash::HashKey;
use crate::ipcomp::Patience;
use crate::limits::{Limits, MAX_REPLAY_WINDOW, MIN_MTU_V4, MIN_MTU_V6};
use crate::verdict::DropReason;

pub(crate) use inbound::InboundSa;
pub(crate) use outbound::OutboundSa;
pub(crate) use senders::{Senders, WHOLE};
pub(crate) use spares::{Parts, Spares};
pub(crate) use spis::Spis;
pub(crate) use usage::{Bounds, Usage};

/// The number of an SA's place.
pub(crate) type Slot = u32;

/// What both directions have and packets do not need.
pub(crate) struct Cold {
    pub params: SaParams,
    pub bounds: Bounds,
    /// The longest packet that the path takes, by the options or as was learned.
    pub mtu: Option<u16>,
    /// Dummy packets and what was dropped; `packets`, `bytes` and `sequence` are kept elsewhere.
    pub counters: SaCounters,
    /// Inbound: where the SA's policy stands, kept by the half.
    pub domain: Domain,
    /// Inbound: when a packet outside of the selectors was last reported, kept by the half.
    pub outside_told: Option<Instant>,
    /// Outbound: when packets are compressed.
    pub patience: Patience,
    /// Outbound, with AGGFRAG payloads: what waits for them.
    pub sender: Option<Box<Sender>>,
    /// Inbound, with AGGFRAG payloads: what came in them.
    pub receiver: Option<Box<Receiver>>,
    /// Outbound: the SA added before this one for the same part of the policy's traffic.
    pub older: Option<Slot>,
    /// `None` once it is past.
    soft_at: Option<Instant>,
    hard_at: Option<Instant>,
    idle: Option<Idle>,
}

/// When the SA is looked at for use the next time, and the packets it had carried the last.
#[derive(Clone, Copy)]
struct Idle {
    every: Duration,
    at: Instant,
    packets: u64,
}

impl Cold {
    pub fn new(params: SaParams, now: Instant) -> Self {
        Cold {
            bounds: Bounds::new(&params.lifetime),
            mtu: params.options.mtu,
            counters: SaCounters::default(),
            domain: Domain::default(),
            outside_told: None,
            patience: Patience::default(),
            sender: None,
            receiver: None,
            older: None,
            soft_at: params.lifetime.soft.time.map(|time| now + time),
            hard_at: params.lifetime.hard.time.map(|time| now + time),
            idle: params.lifetime.idle.map(|every| Idle { every, at: now + every, packets: 0 }),
            params,
        }
    }

    /// What is to be done next, and when.
    fn next_timer(&self) -> Option<(Instant, Limit)> {
        let idle = self.idle.map(|idle| idle.at);
        let all = [(self.soft_at, Limit::Soft), (self.hard_at, Limit::Hard), (idle, Limit::Idle)];
        all.into_iter().filter_map(|(at, limit)| Some((at?, limit))).min()
    }

    /// The path takes another length now, as was told; what the options say is the most.
    pub fn learn_mtu(&mut self, told: Option<u16>) {
        let told = told.map(|mtu| mtu.max(least_mtu(self.params.dst)));
        self.mtu = match (self.params.options.mtu, told) {
            (Some(option), Some(told)) => Some(option.min(told)),
            (option, told) => option.or(told),
        };
    }
}

/// No path of the family takes less.
fn least_mtu(dst: IpAddr) -> u16 {
    if dst.is_ipv4() { MIN_MTU_V4 } else { MIN_MTU_V6 }
}

/// An SA of either direction.
pub(crate) trait Sa {
    fn cold(&self) -> &Cold;
    fn usage(&self) -> &Usage;
    fn parts(&mut self) -> (&mut Usage, &mut Cold);
    /// The last sequence number sent, or the highest received.
    fn sequence(&self) -> u64;
    fn into_parts(self) -> Parts;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Limit {
    Soft,
    Hard,
    Idle,
}

/// The SAs of one direction.
pub(crate) struct Sad<T> {
    slots: Vec<Option<T>>,
    free: Vec<Slot>,
    names: HashMap<SaId, Slot, HashKey>,
    /// The next of each SA's.
    timers: Deadlines,
    spares: Spares,
    /// Some SA has an expiry to report that found no room in the queue.
    owes_events: bool,
    limits: Limits,
}

impl<T: Sa> Sad<T> {
    pub fn new(limits: Limits, direction: Direction, seed: u64, crypto: &CryptoProvider) -> Self {
        let room = limits.room(limits.sas);
        Sad {
            slots: Vec::with_capacity(room),
            free: Vec::with_capacity(room),
            names: HashMap::with_capacity_and_hasher(limits.hash_room(limits.sas), HashKey::new(seed)),
            timers: Deadlines::with_room(room),
            spares: Spares::new(&limits, direction, crypto),
            owes_events: false,
            limits,
        }
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether the SA could be added, as far as its parameters and the other SAs decide that.
    pub fn admits(&self, params: &SaParams) -> Result<(), DataPlaneError> {
        if self.names.contains_key(&params.id()) {
            return Err(DataPlaneError::Exists(params.id()));
        }
        let Limits { sas, selectors, replay_window, .. } = self.limits;
        if self.len() >= sas {
            return Err(DataPlaneError::Full(Table::Sas, sas));
        }
        if params.local_ts.len() > selectors || params.remote_ts.len() > selectors {
            return Err(DataPlaneError::invalid(format_args!("more than {selectors} selectors on one side of an SA")));
        }
        let most = replay_window.min(MAX_REPLAY_WINDOW);
        if params.replay_window > most {
            return Err(DataPlaneError::invalid(format_args!("an anti-replay window of more than {most} packets")));
        }
        let least = least_mtu(params.dst);
        if params.options.mtu.is_some_and(|mtu| mtu < least) {
            return Err(DataPlaneError::invalid(format_args!("an MTU below {least}")));
        }
        if params.src.is_ipv4() != params.dst.is_ipv4() {
            return Err(DataPlaneError::Invalid("the ends of an SA are of different address families".into()));
        }
        Ok(())
    }

    /// What SAs are made of.
    pub fn spares(&mut self) -> &mut Spares {
        &mut self.spares
    }

    /// Adds an SA that [`Sad::admits`].
    pub fn insert(&mut self, sa: T) -> Slot {
        let cold = sa.cold();
        let (timer, id) = (cold.next_timer(), cold.params.id());
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(sa);
                slot
            }
            None => {
                self.slots.push(Some(sa));
                self.slots.len() as Slot - 1
            }
        };
        self.names.insert(id, slot);
        self.timers.set(slot, timer.map(|timer| timer.0));
        slot
    }

    /// Takes out an SA, which is then to be given to [`Sad::retire`].
    pub fn remove(&mut self, id: SaId) -> Result<(Slot, T), DataPlaneError> {
        let slot = self.names.remove(&id).ok_or(DataPlaneError::NoSuchSa(id))?;
        let sa = self.slots[slot as usize].take().ok_or(DataPlaneError::NoSuchSa(id))?;
        self.free.push(slot);
        self.timers.set(slot, None);
        Ok((slot, sa))
    }

    /// Keeps for others what a removed SA was made of.
    pub fn retire(&mut self, sa: T) {
        self.spares.put(sa.into_parts());
    }

    pub fn find(&self, id: SaId) -> Option<Slot> {
        self.names.get(&id).copied()
    }

    /// The slot of an SA and its name when it has these addresses, if it can have them.
    pub fn may_move(&self, id: SaId, src: IpAddr, dst: IpAddr) -> Result<(Slot, SaId), DataPlaneError> {
        let slot = self.find(id).ok_or(DataPlaneError::NoSuchSa(id))?;
        let moved = SaId { dst, ..id };
        if moved != id && self.find(moved).is_some() {
            return Err(DataPlaneError::Exists(moved));
        }
        if src.is_ipv4() != dst.is_ipv4() {
            return Err(DataPlaneError::Invalid("the ends of an SA are of different address families".into()));
        }
        Ok((slot, moved))
    }

    /// Records that the SA in `slot` is now called `new`; its parameters say so already.
    pub fn rename(&mut self, old: SaId, new: SaId, slot: Slot) {
        self.names.remove(&old);
        self.names.insert(new, slot);
    }

    /// Has the processor fetch the start of the SA ahead of its use.
    #[inline]
    pub fn fetch(&self, slot: Slot) {
        if let Some(place) = self.slots.get(slot as usize) {
            fetch(place);
        }
    }

    #[inline]
    pub fn get(&self, slot: Slot) -> Option<&T> {
        self.slots.get(slot as usize)?.as_ref()
    }

    #[inline]
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// The SAs with their slots, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &T)> {
        (0..).zip(&self.slots).filter_map(|(slot, sa)| Some((slot, sa.as_ref()?)))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().flatten()
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.timers.first()
    }

    /// Applies the time limits passed by `now`. True when an SA went out of use.
    pub fn tick(&mut self, now: Instant, events: &mut Events) -> bool {
        let mut ended = false;
        while let Some(slot) = self.timers.take_due(now) {
            let Some(sa) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else { continue };
            let (usage, cold) = sa.parts();
            let Some((_, limit)) = cold.next_timer() else { continue };
            match limit {
                Limit::Soft => {
                    cold.soft_at = None;
                    cold.bounds.pass_soft(usage);
                }
                Limit::Hard => {
                    cold.hard_at = None;
                    cold.bounds.pass_hard(usage);
                    ended = true;
                }
                Limit::Idle => {
                    let Some(idle) = &mut cold.idle else { continue };
                    let unused = idle.packets == usage.packets;
                    // Looked at late, it is not looked at more often than it should.
                    let next = (idle.at + idle.every).max(now + idle.every / 2);
                    (idle.packets, idle.at) = (usage.packets, next);
                    // Without room for the event, the next time comes.
                    let _ = unused && events.push(DataPlaneEvent::Idle(cold.params.id()));
                }
            }
            self.timers.set(slot, cold.next_timer().map(|timer| timer.0));
            self.report(slot, events);
        }
        ended
    }

    /// The SA's use reached a limit: notes which, and queues the events. True when the SA is out of use now.
    #[cold]
    pub fn cross(&mut self, slot: Slot, events: &mut Events) -> bool {
        let Some(sa) = self.get_mut(slot) else { return false };
        let (usage, cold) = sa.parts();
        let dead = cold.bounds.cross(usage);
        self.report(slot, events);
        dead
    }

    /// The next packet of the SA is to be told of.
    pub fn tell_use(&mut self, id: SaId) -> Result<(), DataPlaneError> {
        let sa = self.find(id).and_then(|slot| self.get_mut(slot)).ok_or(DataPlaneError::NoSuchSa(id))?;
        let (usage, cold) = sa.parts();
        cold.bounds.tell_use(usage);
        Ok(())
    }

    /// The SA drops a packet.
    #[cold]
    pub fn count_drop(&mut self, slot: Slot, reason: DropReason) {
        let Some(sa) = self.get_mut(slot) else { return };
        if let Some(counter) = reason.of_sa(&mut sa.parts().1.counters) {
            *counter += 1;
        }
    }

    /// Puts the SA out of use and queues the event.
    #[cold]
    pub fn end(&mut self, slot: Slot, events: &mut Events) {
        let Some(sa) = self.get_mut(slot) else { return };
        let (usage, cold) = sa.parts();
        cold.bounds.pass_hard(usage);
        self.report(slot, events);
    }

    /// Queues what the SA has to report.
    fn report(&mut self, slot: Slot, events: &mut Events) {
        let Some(sa) = self.get_mut(slot) else { return };
        let (_, cold) = sa.parts();
        let id = cold.params.id();
        self.owes_events |= !cold.bounds.report(id, events);
    }

    /// The next event; expiries that found no room enter the queue once it is empty.
    pub fn poll_event(&mut self, events: &mut Events) -> Option<DataPlaneEvent> {
        let next = events.pop();
        if next.is_some() || !self.owes_events {
            return next;
        }
        self.owes_events = false;
        for slot in 0..self.slots.len() as Slot {
            self.report(slot, events);
        }
        events.pop()
    }

    /// Each SA as it was added, with its counters.
    pub fn statuses(&self) -> impl Iterator<Item = (&SaParams, SaCounters)> {
        self.slots.iter().flatten().map(status)
    }
}

/// An SA as it was added, with its counters.
pub(crate) fn status<T: Sa>(sa: &T) -> (&SaParams, SaCounters) {
    let (usage, cold) = (sa.usage(), sa.cold());
    let (packets, bytes, sequence) = (usage.packets, usage.bytes, sa.sequence());
    (&cold.params, SaCounters { packets, bytes, sequence, ..cold.counters })
}
