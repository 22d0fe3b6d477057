//! The outbound half: from a clear packet to ESP.
//!
//! ```text
//! parse ──► flow cache ──► SA ──► seal ──► Send
//!               │ miss
//!               └─► SPD ──► newest SA of the policy whose selectors hold ──► remember
//!                               └─ none: Acquire, Hold
//! ```

mod aggfrag;
mod ahead;
mod chain;
mod dummy;
mod offload;
mod path;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;

use ravelin_crypto::{CryptoProvider, SecureRandom};
use ravelin_types::Instant;
use ravelin_types::dataplane::{DataPlaneError, DataPlaneEvent, DataPlaneOp, Flow, SaStatus};
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, PolicyId};
use ravelin_types::sa::{Direction, Encap, SaCounters, SaId, SaParams};
use ravelin_wire::ip::{Header, transport};

use crate::acquires::{Acquires, Ask};
use crate::deadlines::Deadlines;
use crate::engine::{EngineConfig, NoMatch, copied};
use crate::esp::IvSource;
use crate::events::Events;
use crate::extras::{Extra, prepare};
use crate::fragments::Fragments;
use crate::ipcomp::Compressor;
use crate::limits::{CACHED_POLICIES, CACHED_SAS, Limits};
use crate::packet::{Mark, PacketBuf};
use crate::sad::{OutboundSa, Sad, Senders, Slot, status};
use crate::seal::{Leave, Sealed, seal};
use crate::spd::{ALL_TABLES, FlowCache, FlowKey, Place, Spd, Tables};
use crate::suite::NO_NAT;
use crate::template::Template;
use crate::together::{Aside, TOGETHER, Together};
use crate::verdict::{Counters, DropReason, Verdict};

use path::Paths;

/// Decides what happens to packets that leave, and protects them.
pub struct Outbound {
    config: EngineConfig,
    ivs: IvSource,
    spd: Spd,
    sad: Sad<OutboundSa>,
    senders: Senders,
    acquires: Acquires,
    paths: Paths,
    /// When the next dummy packet of each SA that sends some is due.
    dummies: Deadlines,
    /// The same of AGGFRAG payloads.
    payloads: Deadlines,
    cache: FlowCache,
    fragments: Fragments,
    events: Events,
    counters: Counters,
    together: Option<Box<Together>>,
    compressor: Option<Box<Compressor>>,
    /// Which packet of a batch is in work, when some may be set aside.
    in_work: Option<usize>,
}

/// What is done with the packets of a flow.
#[derive(Clone, Copy)]
enum Decision {
    Bypass,
    Drop(DropReason),
    Protect(Slot),
    Acquire(PolicyId),
}

/// A decision in the cache: what it is in the upper two bits, about which slot, reason or policy in the others.
impl Decision {
    const VALUE_BITS: u32 = 30;

    /// `None` for a policy whose number is too large: then it is looked up for each packet.
    fn pack(self) -> Option<u32> {
        let (kind, value) = match self {
            Decision::Protect(slot) => (0, slot),
            Decision::Bypass => (1, 0),
            Decision::Drop(reason) => (2, reason as u32),
            Decision::Acquire(PolicyId(id)) => (3, id),
        };
        (value < 1 << Self::VALUE_BITS).then_some(kind << Self::VALUE_BITS | value)
    }

    #[inline]
    fn unpack(packed: u32) -> Self {
        let value = packed & ((1 << Self::VALUE_BITS) - 1);
        match packed >> Self::VALUE_BITS {
            0 => Decision::Protect(value),
            1 => Decision::Bypass,
            2 => Decision::Drop(DropReason::ALL[value as usize]),
            _ => Decision::Acquire(PolicyId(value)),
        }
    }
}

impl Outbound {
    pub(crate) fn new(
        config: EngineConfig,
        crypto: CryptoProvider,
        seed: u64,
        spd: Spd,
        rng: Box<dyn SecureRandom>,
    ) -> Self {
        let limits = config.limits;
        Outbound {
            config,
            ivs: IvSource::new(rng),
            spd,
            sad: Sad::new(limits, Direction::Outbound, seed, &crypto),
            senders: Senders::new(seed, &limits),
            acquires: Acquires::new(seed, &limits),
            cache: FlowCache::new(seed, &limits),
            fragments: Fragments::new(seed),
            paths: Paths::new(limits.reserved(limits.sas)),
            dummies: Deadlines::with_room(limits.reserved(limits.sas)),
            payloads: Deadlines::with_room(0),
            events: Events::new(limits.events),
            counters: Counters::default(),
            together: Together::new(&crypto),
            compressor: limits.ipcomp.then(|| Box::new(Compressor::new())),
            in_work: None,
        }
    }

    /// Decides about the IP packet in `pkt`, and protects it where its policy says so. Give the packet
    /// [`HEADROOM`](crate::HEADROOM) and [`TAILROOM`](crate::TAILROOM).
    pub fn process(&mut self, pkt: &mut PacketBuf<'_>, now: Instant) -> Verdict {
        let mut verdict = Verdict::Drop(DropReason::BadIpHeader);
        self.process_into(pkt, now, &mut verdict);
        verdict
    }

    /// [`Outbound::process`] for many packets at once, which is faster with many SAs, and with ciphers that the provider
    /// runs side by side. Each verdict goes to the same place in `verdicts`; when that is shorter, the packets beyond its
    /// end are left alone.
    pub fn process_batch(&mut self, packets: &mut [PacketBuf<'_>], now: Instant, verdicts: &mut [Verdict]) {
        if self.together.is_none() {
            return self.process_each(packets, now, verdicts);
        }
        for (packets, verdicts) in packets.chunks_mut(TOGETHER).zip(verdicts.chunks_mut(TOGETHER)) {
            self.process_each(packets, now, verdicts);
            self.in_work = None;
            if let Some(together) = &mut self.together {
                together.seal(packets, |slot| {
                    let sa = self.sad.get(slot);
                    sa.and_then(|sa| sa.suite.esp()).expect("no SA goes while its packets wait")
                });
            }
        }
    }

    fn process_each(&mut self, packets: &mut [PacketBuf<'_>], now: Instant, verdicts: &mut [Verdict]) {
        if self.sad.len() > CACHED_SAS || self.spd.len() > CACHED_POLICIES {
            return self.process_ahead(packets, now, verdicts);
        }
        for (n, (pkt, verdict)) in packets.iter_mut().zip(verdicts).enumerate() {
            self.in_work = Some(n);
            self.process_into(pkt, now, verdict);
        }
    }

    /// Results are written where they stay: a copy of one just written makes the processor wait.
    #[inline]
    fn process_into(&mut self, pkt: &mut PacketBuf<'_>, now: Instant, verdict: &mut Verdict) {
        let parsed = Header::parse(pkt.packet());
        if let Ok(header) = &parsed {
            let key = self.key_of(header, pkt, now);
            if let Some(packed) = self.cache.recent(&key) {
                self.carry_out(Decision::unpack(packed), header, pkt, now, verdict);
                return self.counters.count(verdict);
            }
            let flow = (key, self.cache.place(&key));
            self.decide(header, &flow, pkt, now, verdict);
        } else {
            *verdict = Verdict::Drop(DropReason::BadIpHeader);
        }
        self.counters.count(verdict);
    }

    /// Inlined, so that its result is written where it stays.
    #[inline(always)]
    fn place_of(&mut self, header: &Header, pkt: &PacketBuf<'_>, now: Instant) -> (FlowKey, Place) {
        let key = self.key_of(header, pkt, now);
        (key, self.cache.place(&key))
    }

    #[inline(always)]
    fn key_of(&mut self, header: &Header, pkt: &PacketBuf<'_>, now: Instant) -> FlowKey {
        let ports = self.fragments.ports(header, pkt.packet(), pkt.domain(), None, now);
        FlowKey::of(pkt.packet(), header, ports, pkt.domain())
    }

    #[inline]
    fn decide(
        &mut self,
        header: &Header,
        flow: &(FlowKey, Place),
        pkt: &mut PacketBuf<'_>,
        now: Instant,
        verdict: &mut Verdict,
    ) {
        let decision = match self.cache.get_recent(flow.1, &flow.0) {
            Some(packed) => Decision::unpack(packed),
            None => self.classify(flow, ALL_TABLES),
        };
        self.carry_out(decision, header, pkt, now, verdict);
    }

    #[inline]
    fn carry_out(
        &mut self,
        decision: Decision,
        header: &Header,
        pkt: &mut PacketBuf<'_>,
        now: Instant,
        verdict: &mut Verdict,
    ) {
        if let Mark::Sealed(_) = pkt.mark() {
            *verdict = Verdict::Bypass;
            return;
        }
        match decision {
            Decision::Protect(slot) => self.protect(slot, header, pkt, now, verdict),
            Decision::Bypass => *verdict = Verdict::Bypass,
            Decision::Drop(reason) => *verdict = Verdict::Drop(reason),
            Decision::Acquire(policy) => *verdict = self.acquire(policy, header.flow(pkt.packet()), now),
        }
    }

    /// Asks SPD and SAD, and remembers the answer until one of them changes.
    #[cold]
    fn classify(&mut self, flow: &(FlowKey, Place), tables: Tables) -> Decision {
        let decision = match self.spd.lookup_in(&flow.0, tables).decide(self.config.no_match) {
            Ok(Some(policy)) => self.sender(policy, &flow.0.seen().flow, flow.0.is_later_fragment()),
            Ok(None) => Decision::Bypass,
            Err(reason) => Decision::Drop(reason),
        };
        if let Some(packed) = decision.pack() {
            self.cache.put(flow.1, &flow.0, packed);
        }
        decision
    }

    /// Which SA of the policy carries the flow.
    fn sender(&self, policy: PolicyId, flow: &Flow, later_fragment: bool) -> Decision {
        let find = |flow| self.senders.find(policy, flow, &self.sad);
        let slot = match later_fragment {
            false => find(flow),
            // RFC 4301 §7.3: an SA on certain ports does not carry what does not show them, whatever the first fragment
            // showed, unless both ends agreed to that; else the peer would drop it.
            true => match find(&Flow { src_port: None, dst_port: None, ..*flow }) {
                None if let Some(slot) = find(flow) => {
                    let agreed = self.sad.get(slot).is_some_and(|sa| sa.cold.params.options.later_fragments);
                    return if agreed { Decision::Protect(slot) } else { Decision::Drop(DropReason::HiddenPorts) };
                }
                // Nor is there an SA to be had for ports that are filled from the packet.
                None if self.senders.asks_for_ports(policy) && transport::has_ports(flow.protocol) => {
                    return Decision::Drop(DropReason::HiddenPorts);
                }
                slot => slot,
            },
        };
        slot.map_or(Decision::Acquire(policy), Decision::Protect)
    }

    #[inline]
    fn protect(&mut self, slot: Slot, header: &Header, pkt: &mut PacketBuf<'_>, now: Instant, verdict: &mut Verdict) {
        if self.seal_in(slot, header, pkt, None, verdict) == Err(DropReason::TooBig) {
            *verdict = self.too_long(slot, header, pkt, now);
        }
    }

    /// Protects the packet in the SA; one of the engine's own making is `announced` by that next header. An error is the reason
    /// that `verdict` drops it for.
    #[inline]
    fn seal_in(
        &mut self,
        slot: Slot,
        header: &Header,
        pkt: &mut PacketBuf<'_>,
        announced: Option<u8>,
        verdict: &mut Verdict,
    ) -> Result<(), DropReason> {
        let Some(sa) = self.sad.get_mut(slot) else {
            *verdict = Verdict::Drop(DropReason::Expired);
            return Err(DropReason::Expired);
        };
        let (extra, shorter) = match (announced, sa.template.has_extras()) {
            (None, false) => (Extra::NONE, None),
            (None, true) if sa.cold.sender.is_some() => return self.gather(slot, header, pkt, verdict),
            (None, true) => {
                let tools = (&mut self.ivs, &mut self.compressor);
                prepare(sa, tools, pkt, header, self.config.tfc_padding)
            }
            (Some(next_header), _) => (Extra::announced(next_header), None),
        };
        let header = shorter.as_ref().unwrap_or(header);
        let together = self.together.as_mut().zip(self.in_work);
        let aside = together.is_some() && sa.suite.is_batched();
        let leave = if aside { Leave::Cipher } else { Leave::Nothing };
        match seal(sa, &mut self.ivs, pkt, header, extra, leave) {
            Ok(sealed) => {
                if sealed.set_aside
                    && let Some((together, index)) = together
                {
                    let Sealed { esp_at, sequence, .. } = sealed;
                    together.push(Aside { index, slot, esp_at, sequence, forged: false });
                }
                sealed.write_verdict(sa, header, verdict);
                pkt.set_mark(Mark::Sealed(sa.template.mode()));
                if sa.usage.record(sealed.payload) && self.sad.cross(slot, &mut self.events) {
                    self.cache.forget();
                }
                Ok(())
            }
            Err(reason) => {
                self.sad.count_drop(slot, reason);
                if reason == DropReason::SequenceExhausted {
                    self.sad.end(slot, &mut self.events);
                    self.cache.forget();
                }
                *verdict = Verdict::Drop(reason);
                Err(reason)
            }
        }
    }

    fn acquire(&mut self, policy: PolicyId, flow: Flow, now: Instant) -> Verdict {
        let part = self.senders.part(policy, &flow);
        match self.acquires.ask(policy, part, now) {
            Ask::Yes if self.events.push(DataPlaneEvent::Acquire { policy, flow, processor: None }) => {
                self.acquires.raised(policy, part, now + self.config.acquire_timeout);
            }
            // Without room for the event the next packet asks again.
            Ask::Yes | Ask::Open => {}
            Ask::Full => return Verdict::Drop(DropReason::TooManyAcquires),
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
            DataPlaneOp::AddPolicy(policy) => {
                self.spd.add(policy)?;
                let pfp = match &policy.action {
                    Action::Protect(protection) => protection.pfp,
                    Action::Bypass | Action::Discard => Pfp::NONE,
                };
                self.senders.set_policy(policy.id, pfp, &mut self.sad);
            }
            DataPlaneOp::DeletePolicy(id) => {
                self.spd.delete(*id)?;
                self.senders.set_policy(*id, Pfp::NONE, &mut self.sad);
                self.acquires.close_all(*id);
            }
            DataPlaneOp::AddSa(params) if params.direction == Direction::Outbound => self.add_sa(params, now)?,
            DataPlaneOp::DeleteSa(id) if id.direction == Direction::Outbound => self.delete_sa(*id)?,
            DataPlaneOp::MoveSa { id, src, dst, encap } if id.direction == Direction::Outbound => {
                self.move_sa(*id, (*src, *dst), *encap)?;
            }
            DataPlaneOp::FailAcquire(id) => {
                self.acquires.close_all(*id);
                return Ok(());
            }
            DataPlaneOp::SetMtu { id, mtu } if id.direction == Direction::Outbound => {
                return self.set_mtu(*id, *mtu);
            }
            DataPlaneOp::TellUse(id) if id.direction == Direction::Outbound => return self.sad.tell_use(*id),
            DataPlaneOp::SkipNumbers { id, count } => return self.skip_numbers(*id, *count),
            DataPlaneOp::AddSa(_)
            | DataPlaneOp::DeleteSa(_)
            | DataPlaneOp::OfferSa(_)
            | DataPlaneOp::TellUse(_)
            | DataPlaneOp::MoveSa { .. }
            | DataPlaneOp::SetMtu { .. }
            | DataPlaneOp::AddInterface(_)
            | DataPlaneOp::DeleteInterface(_) => return Ok(()),
        }
        self.cache.forget();
        Ok(())
    }

    fn add_sa(&mut self, params: &SaParams, now: Instant) -> Result<(), DataPlaneError> {
        self.sad.admits(params)?;
        let sa = OutboundSa::new(params, self.sad.spares(), now)?;
        if params.options.ipcomp.cpi().is_some() && self.compressor.is_none() {
            self.compressor = Some(Box::new(Compressor::new()));
        }
        let slot = self.sad.insert(sa);
        self.senders.add(slot, &mut self.sad);
        match self.senders.answers(params) {
            Some(part) => self.acquires.close(params.policy, part),
            None => self.acquires.close_all(params.policy),
        }
        self.schedule_dummy(slot, now);
        self.schedule_payload(slot);
        for ipv4 in [true, false] {
            if params.remote_ts.iter().any(|selector| selector.is_ipv4() == ipv4) {
                self.cache.reserve(ipv4, self.sad.len());
            }
        }
        Ok(())
    }

    fn delete_sa(&mut self, id: SaId) -> Result<(), DataPlaneError> {
        let (slot, mut sa) = self.sad.remove(id)?;
        self.senders.remove(slot, &sa, &mut self.sad);
        self.payloads.set(slot, None);
        if let Some(left) = sa.cold.sender.take() {
            self.pass_on(sa.cold.params.policy, *left);
        }
        self.sad.retire(sa);
        self.paths.forget(slot);
        self.dummies.set(slot, None);
        Ok(())
    }

    fn move_sa(&mut self, id: SaId, (src, dst): (IpAddr, IpAddr), encap: Option<Encap>) -> Result<(), DataPlaneError> {
        let (slot, moved) = self.sad.may_move(id, src, dst)?;
        let sa = self.sad.get_mut(slot).ok_or(DataPlaneError::NoSuchSa(id))?;
        if encap.is_some() && sa.suite.ah().is_some() {
            return Err(DataPlaneError::Invalid(NO_NAT.into()));
        }
        (sa.cold.params.src, sa.cold.params.dst) = (src, dst);
        sa.cold.params.encap = encap;
        sa.template = Template::new(&sa.cold.params);
        // What was known of the old path says nothing of the new one.
        sa.cold.mtu = sa.cold.params.options.mtu;
        self.paths.forget(slot);
        self.sad.rename(id, moved, slot);
        Ok(())
    }

    fn skip_numbers(&mut self, id: SaId, count: u64) -> Result<(), DataPlaneError> {
        let slot = self.sad.find(id).ok_or(DataPlaneError::NoSuchSa(id))?;
        self.sad.get_mut(slot).ok_or(DataPlaneError::NoSuchSa(id))?.skip(count);
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
        self.tick_paths(now);
    }

    /// When [`Outbound::tick`] has something to do next.
    pub fn deadline(&self) -> Option<Instant> {
        [self.sad.deadline(), self.paths.deadline()].into_iter().flatten().min()
    }

    /// The outbound SAs, each with its counters, without a copy of them.
    pub fn sas(&self) -> impl Iterator<Item = (&SaParams, SaCounters)> {
        self.sad.statuses()
    }

    /// One of the outbound SAs.
    pub fn sa(&self, id: SaId) -> Option<SaStatus> {
        self.sad.find(id).and_then(|slot| self.sad.get(slot)).map(status).map(copied)
    }

    /// The outbound SAs.
    pub fn list(&self) -> Vec<SaStatus> {
        self.sas().map(copied).collect()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.config.limits
    }

    pub(crate) fn spd(&self) -> (&Spd, NoMatch) {
        (&self.spd, self.config.no_match)
    }

    /// What became of the packets so far.
    pub fn counters(&self) -> Counters {
        Counters { events_deferred: self.events.deferred, ..self.counters }
    }
}

#[cfg(test)]
mod tests;
