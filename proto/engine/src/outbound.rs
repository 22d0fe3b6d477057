//! The outbound half: from a clear packet to ESP.
//!
//! ```text
//! parse ──► flow cache ──► SA ──► seal ──► Send
//!               │ miss
//!               └─► SPD ──► newest SA of the policy whose selectors hold ──► remember
//!                               └─ none: Acquire, Hold
//! ```

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::hint::black_box;
use core::net::IpAddr;

use ravelin_crypto::{CryptoProvider, SecureRandom};
use ravelin_types::Instant;
use ravelin_types::dataplane::{DataPlaneError, DataPlaneEvent, DataPlaneOp, Flow, SaStatus};
use ravelin_types::policy::PolicyId;
use ravelin_types::sa::{Direction, SaId, SaParams, UdpEncap};
use ravelin_wire::ip::Header;

use crate::engine::{EngineConfig, NoMatch};
use crate::esp::IvSource;
use crate::events::Events;
use crate::limits::{BATCH, MAX_FLOW_CACHE, MIN_FLOW_CACHE};
use crate::packet::PacketBuf;
use crate::sad::{Crossed, OutboundSa, Sa, Sad, Slot};
use crate::seal::seal;
use crate::spd::{FlowCache, FlowKey, Match, Seen, Spd};
use crate::template::Template;
use crate::verdict::{Counters, DropReason, Verdict};

/// Decides what happens to packets that leave, and protects them.
pub struct Outbound {
    config: EngineConfig,
    crypto: CryptoProvider,
    ivs: IvSource,
    spd: Spd,
    sad: Sad<OutboundSa>,
    /// What the policies with SAs, or in want of one, have.
    policies: BTreeMap<PolicyId, PolicySas>,
    cache: FlowCache<Decision>,
    events: Events,
    counters: Counters,
}

#[derive(Default)]
struct PolicySas {
    /// The oldest first.
    slots: Vec<Slot>,
    /// An acquire is open until then.
    acquiring_until: Option<Instant>,
}

/// What is done with the packets of a flow.
#[derive(Clone, Copy)]
enum Decision {
    Bypass,
    Drop(DropReason),
    Protect(Slot),
    Acquire(PolicyId),
}

/// A packet on its way through a batch.
struct Pending {
    header: Header,
    seen: Seen,
    key: FlowKey,
    place: usize,
}

impl Outbound {
    pub(crate) fn new(config: EngineConfig, crypto: CryptoProvider, seed: u64, rng: Box<dyn SecureRandom>) -> Self {
        Outbound {
            config,
            crypto,
            ivs: IvSource::new(rng),
            spd: Spd::new(seed),
            sad: Sad::new(),
            policies: BTreeMap::new(),
            cache: FlowCache::new(MIN_FLOW_CACHE, seed, Decision::Bypass),
            events: Events::new(),
            counters: Counters::default(),
        }
    }

    /// Decides about the IP packet in `pkt`, and protects it where its policy says so. Give the packet
    /// [`HEADROOM`](crate::HEADROOM) and [`TAILROOM`](crate::TAILROOM).
    #[inline]
    pub fn process(&mut self, pkt: &mut PacketBuf<'_>, now: Instant) -> Verdict {
        let verdict = match self.parse(pkt) {
            Some(pending) => self.decide(&pending, pkt, now),
            None => Verdict::Drop(DropReason::BadIpHeader),
        };
        self.counters.count(verdict)
    }

    /// [`Outbound::process`] for many packets at once, which is faster with many SAs. Each verdict goes to the same
    /// place in `verdicts`; when that is shorter, the packets beyond its end are left alone.
    pub fn process_batch(&mut self, packets: &mut [PacketBuf<'_>], now: Instant, verdicts: &mut [Verdict]) {
        for (packets, verdicts) in packets.chunks_mut(BATCH).zip(verdicts.chunks_mut(BATCH)) {
            self.process_chunk(packets, now, verdicts);
        }
    }

    /// Each step is done for all packets before the next one, so that the memory they need is fetched at the same
    /// time instead of one packet after the other.
    fn process_chunk(&mut self, packets: &mut [PacketBuf<'_>], now: Instant, verdicts: &mut [Verdict]) {
        let mut pending: [Option<Pending>; BATCH] = [const { None }; BATCH];
        for (pending, pkt) in pending.iter_mut().zip(packets.iter()) {
            *pending = self.parse(pkt);
            if let Some(pending) = pending {
                self.cache.touch(pending.place);
            }
        }
        let mut slots = [None; BATCH];
        for (slot, pending) in slots.iter_mut().zip(pending.iter().flatten()) {
            if let Some(Decision::Protect(found)) = self.cache.get(pending.place, &pending.key) {
                *slot = Some(found);
                if let Some(sa) = self.sad.get(found) {
                    black_box((sa.sequence, sa.spi, sa.state.usage.packets));
                }
            }
        }
        for sa in slots.into_iter().flatten().filter_map(|slot| self.sad.get(slot)) {
            sa.transform.encr.prefetch();
        }
        for ((pending, pkt), verdict) in pending.iter().zip(packets).zip(verdicts) {
            let decided = match pending {
                Some(pending) => self.decide(pending, pkt, now),
                None => Verdict::Drop(DropReason::BadIpHeader),
            };
            *verdict = self.counters.count(decided);
        }
    }

    #[inline]
    fn parse(&self, pkt: &PacketBuf<'_>) -> Option<Pending> {
        let header = Header::parse(pkt.packet()).ok()?;
        let seen = Seen::new(&header, pkt.packet());
        let key = FlowKey::from(&seen);
        let place = self.cache.place(&key);
        Some(Pending { header, seen, key, place })
    }

    #[inline]
    fn decide(&mut self, pending: &Pending, pkt: &mut PacketBuf<'_>, now: Instant) -> Verdict {
        let decision = match self.cache.get(pending.place, &pending.key) {
            Some(decision) => decision,
            None => self.classify(pending),
        };
        match decision {
            Decision::Protect(slot) => self.protect(slot, pending, pkt),
            Decision::Bypass => Verdict::Bypass,
            Decision::Drop(reason) => Verdict::Drop(reason),
            Decision::Acquire(policy) => self.acquire(policy, pending.seen.flow, now),
        }
    }

    /// Asks SPD and SAD, and remembers the answer until one of them changes.
    #[cold]
    fn classify(&mut self, pending: &Pending) -> Decision {
        let decision = match (self.spd.lookup(&pending.seen), self.config.no_match) {
            (Match::Protect(policy), _) => match self.newest_sa(policy, &pending.seen.flow) {
                Some(slot) => Decision::Protect(slot),
                None => Decision::Acquire(policy),
            },
            (Match::Bypass, _) | (Match::None, NoMatch::Bypass) => Decision::Bypass,
            (Match::Discard, _) => Decision::Drop(DropReason::PolicyDiscard),
            (Match::Hidden, _) => Decision::Drop(DropReason::HiddenPorts),
            (Match::None, NoMatch::Discard) => Decision::Drop(DropReason::NoPolicy),
        };
        self.cache.put(pending.place, pending.key, decision);
        decision
    }

    /// The SA added last among those in use that carry the flow.
    fn newest_sa(&self, policy: PolicyId, flow: &Flow) -> Option<Slot> {
        let slots = self.policies.get(&policy)?.slots.iter().rev().copied();
        slots
            .into_iter()
            .find(|&slot| self.sad.get(slot).is_some_and(|sa| !sa.state.usage.is_dead() && sa.selects(flow)))
    }

    #[inline]
    fn protect(&mut self, slot: Slot, pending: &Pending, pkt: &mut PacketBuf<'_>) -> Verdict {
        let Some(sa) = self.sad.get_mut(slot) else { return Verdict::Drop(DropReason::Expired) };
        match seal(sa, &mut self.ivs, pkt, &pending.header) {
            Ok((outer, bytes)) => {
                let crossed = sa.state.usage.record(bytes);
                if crossed != Crossed::Nothing {
                    self.report(slot, crossed);
                }
                Verdict::Send(outer)
            }
            Err(reason) => {
                if reason == DropReason::SequenceExhausted {
                    sa.state.usage.pass_hard();
                    self.report(slot, Crossed::Hard);
                }
                Verdict::Drop(reason)
            }
        }
    }

    #[cold]
    fn report(&mut self, slot: Slot, crossed: Crossed) {
        self.sad.report(slot, &mut self.events);
        if crossed == Crossed::Hard {
            self.cache.forget();
        }
    }

    #[cold]
    fn acquire(&mut self, policy: PolicyId, flow: Flow, now: Instant) -> Verdict {
        let sas = self.policies.entry(policy).or_default();
        if sas.acquiring_until.is_none_or(|until| until <= now)
            && self.events.push(DataPlaneEvent::Acquire { policy, flow })
        {
            sas.acquiring_until = Some(now + self.config.acquire_timeout);
        }
        Verdict::Hold(policy)
    }

    /// Carries out an operation as far as it concerns this half; other operations are accepted and do nothing. `now`
    /// starts the lifetime of an SA.
    ///
    /// # Errors
    /// Every [`DataPlaneError`] says which precondition failed; nothing has changed then.
    pub fn apply(&mut self, op: &DataPlaneOp, now: Instant) -> Result<(), DataPlaneError> {
        match op {
            DataPlaneOp::AddPolicy(policy) => self.spd.add(policy)?,
            DataPlaneOp::DeletePolicy(id) => {
                self.spd.delete(*id)?;
                if self.policies.get(id).is_some_and(|sas| sas.slots.is_empty()) {
                    self.policies.remove(id);
                }
            }
            DataPlaneOp::AddSa(params) if params.direction == Direction::Outbound => self.add_sa(params, now)?,
            DataPlaneOp::DeleteSa(id) if id.direction == Direction::Outbound => self.delete_sa(*id)?,
            DataPlaneOp::MoveSa { id, dst, encap } if id.direction == Direction::Outbound => {
                self.move_sa(*id, *dst, *encap)?;
            }
            DataPlaneOp::AddSa(_) | DataPlaneOp::DeleteSa(_) | DataPlaneOp::MoveSa { .. } => return Ok(()),
        }
        self.cache.forget();
        Ok(())
    }

    fn add_sa(&mut self, params: &SaParams, now: Instant) -> Result<(), DataPlaneError> {
        self.sad.admits(params)?;
        let slot = self.sad.insert(OutboundSa::new(params, &self.crypto, now)?);
        let sas = self.policies.entry(params.policy).or_default();
        sas.slots.push(slot);
        sas.acquiring_until = None;
        // Four times as many places as SAs: with a flow on each, few sets of the cache get more than they hold.
        let wanted = (self.sad.len() * 4).next_power_of_two().min(MAX_FLOW_CACHE);
        if wanted > self.cache.len() {
            self.cache.resize(wanted);
        }
        Ok(())
    }

    fn delete_sa(&mut self, id: SaId) -> Result<(), DataPlaneError> {
        let (slot, sa) = self.sad.remove(id)?;
        let policy = sa.state().params.policy;
        if let Some(sas) = self.policies.get_mut(&policy) {
            sas.slots.retain(|&other| other != slot);
        }
        Ok(())
    }

    fn move_sa(&mut self, id: SaId, dst: IpAddr, encap: Option<UdpEncap>) -> Result<(), DataPlaneError> {
        let slot = self.sad.find(id).ok_or(DataPlaneError::NoSuchSa(id))?;
        let moved = SaId { dst, ..id };
        if moved != id && self.sad.find(moved).is_some() {
            return Err(DataPlaneError::Exists(moved));
        }
        if dst.is_ipv4() != id.dst.is_ipv4() {
            return Err(DataPlaneError::System("an SA cannot move to another address family".into()));
        }
        let sa = self.sad.get_mut(slot).ok_or(DataPlaneError::NoSuchSa(id))?;
        sa.state.params.dst = dst;
        sa.state.params.encap = encap;
        sa.template = Template::new(&sa.state.params);
        self.sad.rename(id, moved, slot);
        Ok(())
    }

    /// The next event, oldest first, or `None`.
    pub fn poll_event(&mut self) -> Option<DataPlaneEvent> {
        self.sad.poll_event(&mut self.events)
    }

    /// Ends what has outlived its time by `now`.
    pub fn tick(&mut self, now: Instant) {
        if self.sad.tick(now, &mut self.events) {
            self.cache.forget();
        }
    }

    /// When [`Outbound::tick`] has something to do next.
    pub fn deadline(&self) -> Option<Instant> {
        self.sad.deadline()
    }

    /// The outbound SAs.
    pub fn list(&self) -> Vec<SaStatus> {
        self.sad.list()
    }

    /// What became of the packets so far.
    pub fn counters(&self) -> Counters {
        Counters { events_deferred: self.events.deferred, ..self.counters }
    }
}
