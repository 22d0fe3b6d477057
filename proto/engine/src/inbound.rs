//! The inbound half: from ESP to a clear packet, and the check of packets that come in the clear.
//!
//! ```text
//! ESP ──► SPI ──► SA ──► open ──► Deliver                      clear ──► flow cache ──► Bypass or Drop
//!                         └─ PeerMoved, SoftExpire, HardExpire,              └─ miss: SPD, ends swapped
//!                            OutsideSelectors
//! ```

mod aggfrag;
mod batch;
mod chain;
mod offload;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;

use ravelin_crypto::CryptoProvider;
use ravelin_types::Instant;
use ravelin_types::dataplane::{DataPlaneError, DataPlaneEvent, DataPlaneOp, PacketStart, SaStatus};
use ravelin_types::policy::{Domain, PolicyId};
use ravelin_types::sa::{Direction, Encap, SaCounters, SaId, SaLookup, SaParams};
use ravelin_wire::ah::AhHeader;
use ravelin_wire::esp::EspHeader;
use ravelin_wire::ip::transport::{Ports, ports};
use ravelin_wire::ip::{Fragment, Header, protocol};
use ravelin_wire::udp_encap::{self, Payload, UDP_HEADER_LEN, classify};

use crate::deadlines::Deadlines;
use crate::engine::{EngineConfig, NoMatch, copied};
use crate::events::Events;
use crate::fragments::{Fragments, overwrites_header};
use crate::ipcomp::Expander;
use crate::limits::OUTSIDE_SELECTORS_PERIOD;
use crate::open::{AhPacket, Arrived, Opened, open, open_ah};
use crate::packet::{Mark, PacketBuf};
use crate::sad::{InboundSa, Sad, Slot, Spis, status};
use crate::spd::{FlowCache, FlowKey, Seen, Spd};
use crate::together::Together;
use crate::verdict::{Counters, DropReason, Verdict};

/// What the outer IP (and UDP) header said, for ESP that arrives without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OuterMeta {
    /// Source address.
    pub src: IpAddr,
    /// Destination address; of the same family.
    pub dst: IpAddr,
    /// Source port, when the packet came in UDP.
    pub src_port: Option<u16>,
    /// DSCP and ECN. Pass 0 when unknown: a congestion mark set on the way is lost then.
    pub tos: u8,
    /// TTL or hop limit, which a transport-mode packet is delivered with. Pass 64 when unknown.
    pub ttl: u8,
}

impl OuterMeta {
    fn of(header: &Header, src_port: Option<u16>) -> Self {
        OuterMeta { src: header.src, dst: header.dst, src_port, tos: header.tos, ttl: header.ttl }
    }
}

/// Opens and checks packets that arrive.
pub struct Inbound {
    config: EngineConfig,
    spd: Spd,
    sad: Sad<InboundSa>,
    spis: Spis,
    cache: FlowCache,
    fragments: Fragments,
    events: Events,
    counters: Counters,
    together: Option<Box<Together>>,
    expander: Option<Box<Expander>>,
    /// When there is something to do for SAs with AGGFRAG payloads.
    payloads: Deadlines,
    /// SAs whose packets may be set aside.
    batched_sas: usize,
    /// Some policy stood in another domain than the default one.
    domains: bool,
}

/// What a whole IP packet turns out to carry.
enum Content {
    Esp { esp_at: usize, src_port: Option<u16> },
    Ah,
    Clear,
    Refused(DropReason),
}

impl Inbound {
    pub(crate) fn new(config: EngineConfig, crypto: CryptoProvider, seed: u64, spd: Spd) -> Self {
        let limits = config.limits;
        Inbound {
            config,
            spd,
            sad: Sad::new(limits, Direction::Inbound, seed, &crypto),
            spis: Spis::new(seed, &limits),
            cache: FlowCache::new(seed, &limits),
            fragments: Fragments::new(seed),
            events: Events::new(limits.events),
            counters: Counters::default(),
            together: Together::new(&crypto),
            expander: limits.ipcomp.then(|| Box::new(Expander::new())),
            payloads: Deadlines::with_room(0),
            batched_sas: 0,
            domains: false,
        }
    }

    /// Decides about the IP packet in `pkt`. ESP (protocol 50, or in UDP to port 4500) and AH are opened and delivered;
    /// anything else, IKE too, is clear and checked against the SPD.
    pub fn process(&mut self, pkt: &mut PacketBuf<'_>, now: Instant) -> Verdict {
        let verdict = match Header::parse(pkt.packet()) {
            Ok(header) => self.decide(pkt, &header, now),
            Err(_) => Verdict::Drop(DropReason::BadIpHeader),
        };
        self.counters.count(&verdict);
        verdict
    }

    /// Opens an ESP packet that comes without its outer headers, as raw IPv6 and UDP sockets give it. For transport
    /// mode an IP header without options is built from `meta`; with 40 bytes of headroom it always fits.
    #[inline]
    pub fn process_esp(&mut self, pkt: &mut PacketBuf<'_>, meta: &OuterMeta, now: Instant) -> Verdict {
        let verdict = self.open(pkt, Arrived { at: 0, meta, header: None }, now);
        self.counters.count(&verdict);
        verdict
    }

    fn decide(&mut self, pkt: &mut PacketBuf<'_>, header: &Header, now: Instant) -> Verdict {
        match content(header, pkt.packet()) {
            Content::Esp { esp_at, src_port } if !self.may_lack_checksum(pkt.packet(), header, esp_at, src_port) => {
                Verdict::Drop(DropReason::BadEncapsulation)
            }
            Content::Esp { esp_at, src_port } => {
                let meta = OuterMeta::of(header, src_port);
                pkt.truncate(header.total_len);
                self.open(pkt, Arrived { at: esp_at, meta: &meta, header: Some(header) }, now)
            }
            Content::Ah => {
                let meta = OuterMeta::of(header, None);
                pkt.truncate(header.total_len);
                self.open_ah(pkt, Arrived { at: header.payload_at, meta: &meta, header: Some(header) }, now)
            }
            // RFC 4301 §5.2: it was checked when it was opened.
            Content::Clear if matches!(pkt.mark(), Mark::Opened(_)) => Verdict::Bypass,
            Content::Clear => self.check_clear(pkt, header, now),
            Content::Refused(reason) => Verdict::Drop(reason),
        }
    }

    /// Whether the packet has a UDP checksum where it must, as far as that can be seen from here. Where it may go
    /// without, the addresses are those of the SA (RFC 6936 §5).
    #[inline]
    fn may_lack_checksum(&self, packet: &[u8], header: &Header, esp_at: usize, src_port: Option<u16>) -> bool {
        let Some(src_port) = src_port.filter(|_| header.src.is_ipv6() && packet[esp_at - 2..esp_at] == [0; 2]) else {
            return true;
        };
        let spi = EspHeader::parse(&packet[esp_at..]).map(|esp| esp.spi.0);
        let sa = spi.and_then(|spi| self.spis.likely(spi)).and_then(|slot| self.sad.get(slot));
        sa.is_some_and(|sa| {
            let params = &sa.cold.params;
            params.options.zero_checksum && params.dst == header.dst && sa.peer == Some((header.src, src_port))
        })
    }

    #[inline]
    fn open(&mut self, pkt: &mut PacketBuf<'_>, arrived: Arrived<'_>, now: Instant) -> Verdict {
        let Some(header) = EspHeader::parse(&pkt.packet()[arrived.at..]) else {
            return Verdict::Drop(DropReason::BadEspLength);
        };
        let Some(slot) = self.spis.find(header.spi, arrived.meta) else { return Verdict::Drop(DropReason::UnknownSpi) };
        let Some(sa) = self.sad.get_mut(slot) else { return Verdict::Drop(DropReason::UnknownSpi) };
        if sa.usage.is_dead() {
            return self.sa_drops(slot, DropReason::Expired);
        }
        match open(sa, &mut self.expander, pkt, header, arrived) {
            Ok(opened) => self.admit(slot, pkt, arrived.meta, opened, now),
            Err(reason) => self.sa_drops(slot, reason),
        }
    }

    #[cold]
    fn open_ah<'a>(&mut self, packet: &mut impl AhPacket<'a>, arrived: Arrived<'_>, now: Instant) -> Verdict {
        let Some(header) = AhHeader::parse(&packet.buf().packet()[arrived.at..]) else {
            return Verdict::Drop(DropReason::BadAhLength);
        };
        let Some(slot) = self.spis.find(header.spi, arrived.meta) else {
            return Verdict::Drop(DropReason::UnknownAhSpi);
        };
        let Some(sa) = self.sad.get_mut(slot) else { return Verdict::Drop(DropReason::UnknownAhSpi) };
        if sa.usage.is_dead() {
            return self.sa_drops(slot, DropReason::Expired);
        }
        match open_ah(sa, &mut self.expander, packet, header, arrived) {
            Ok(opened) => self.admit(slot, packet.buf(), arrived.meta, opened, now),
            Err(reason) => self.sa_drops(slot, reason),
        }
    }

    /// An authentic packet of the SA in `slot`: where it came from, what it holds, and what the policies say to that.
    #[inline]
    fn admit(
        &mut self,
        slot: Slot,
        pkt: &mut PacketBuf<'_>,
        meta: &OuterMeta,
        opened: Opened,
        now: Instant,
    ) -> Verdict {
        let Some(sa) = self.sad.get_mut(slot) else { return Verdict::Drop(DropReason::UnknownSpi) };
        if let (true, Some(peer), Some(src_port)) = (opened.newest, sa.peer, meta.src_port)
            && peer != (meta.src, src_port)
        {
            note_move(sa, &mut self.events, (meta.src, src_port));
        }
        if sa.aggfrag {
            return self.admit_payload(slot, opened, now);
        }
        let mode = sa.mode;
        match opened.refused {
            None => {
                if let Err(reason) = allow((&self.spd, self.domains), &mut self.fragments, sa, pkt, now) {
                    return self.refuse_opened(slot, pkt, reason, now);
                }
                if sa.usage.record(opened.payload) {
                    self.sad.cross(slot, &mut self.events);
                }
                pkt.set_mark(Mark::Opened(mode));
                Verdict::Deliver
            }
            Some(reason) => self.refuse_opened(slot, pkt, reason, now),
        }
    }

    /// The SA in `slot` drops a packet that is authentic: of one that is not within its selectors the peer can be told.
    #[cold]
    fn refuse_opened(&mut self, slot: Slot, pkt: &PacketBuf<'_>, reason: DropReason, now: Instant) -> Verdict {
        if reason == DropReason::BadSelector
            && let Some(sa) = self.sad.get_mut(slot)
        {
            note_outside(sa, &mut self.events, pkt.packet(), now);
        }
        self.sa_drops(slot, reason)
    }

    /// The SA in `slot` drops a packet.
    #[cold]
    fn sa_drops(&mut self, slot: Slot, reason: DropReason) -> Verdict {
        self.sad.count_drop(slot, reason);
        Verdict::Drop(reason)
    }

    /// RFC 4301 §5.2: a packet in the clear passes only where the SPD has nothing against it.
    fn check_clear(&mut self, pkt: &PacketBuf<'_>, header: &Header, now: Instant) -> Verdict {
        if overwrites_header(header, pkt.packet()) {
            return Verdict::Drop(DropReason::OverlappingFragment);
        }
        let ports = self.fragments.ports(header, pkt.packet(), pkt.domain(), None, now);
        let key = FlowKey::new(header, ports, pkt.domain()).swapped();
        let place = self.cache.place(&key);
        // In the cache, 0 is a bypass, and n + 1 a drop for the reason n.
        if let Some(packed) = self.cache.get(place, &key) {
            let reason = (packed as usize).checked_sub(1).map(|reason| DropReason::ALL[reason]);
            return reason.map_or(Verdict::Bypass, Verdict::Drop);
        }
        let seen = Seen::new(header, ports, pkt.domain()).swapped();
        let reason = match self.spd.lookup(&seen).decide(self.config.no_match) {
            Ok(None) => None,
            Ok(Some(_)) => Some(DropReason::ExpectedProtection),
            Err(reason) => Some(reason),
        };
        self.cache.put(place, &key, reason.map_or(0, |reason| reason as u32 + 1));
        reason.map_or(Verdict::Bypass, Verdict::Drop)
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
                self.cache.forget();
                self.domains |= policy.domain != Domain::default();
                if self.domains {
                    self.move_to_domain(policy.id, policy.domain);
                }
            }
            DataPlaneOp::DeletePolicy(id) => {
                self.spd.delete(*id)?;
                self.cache.forget();
            }
            DataPlaneOp::AddSa(params) if params.direction == Direction::Inbound => self.add_sa(params, now)?,
            DataPlaneOp::DeleteSa(id) if id.direction == Direction::Inbound => {
                let (slot, sa) = self.sad.remove(*id)?;
                self.payloads.set(slot, None);
                self.batched_sas -= usize::from(sa.suite.is_batched());
                self.spis.remove(&sa.cold.params);
                self.sad.retire(sa);
            }
            DataPlaneOp::MoveSa { id, src, dst, encap } if id.direction == Direction::Inbound => {
                self.move_sa(*id, (*src, *dst), *encap)?;
            }
            DataPlaneOp::SetMtu { id, mtu } if id.direction == Direction::Inbound => {
                let sa = self.sad.find(*id).and_then(|slot| self.sad.get_mut(slot));
                sa.ok_or(DataPlaneError::NoSuchSa(*id))?.cold.learn_mtu(*mtu);
            }
            DataPlaneOp::TellUse(id) if id.direction == Direction::Inbound => self.sad.tell_use(*id)?,
            DataPlaneOp::AddSa(_)
            | DataPlaneOp::OfferSa(_)
            | DataPlaneOp::DeleteSa(_)
            | DataPlaneOp::TellUse(_)
            | DataPlaneOp::FailAcquire(_)
            | DataPlaneOp::SkipNumbers { .. }
            | DataPlaneOp::MoveSa { .. }
            | DataPlaneOp::SetMtu { .. }
            | DataPlaneOp::AddInterface(_)
            | DataPlaneOp::DeleteInterface(_) => {}
        }
        Ok(())
    }

    fn add_sa(&mut self, params: &SaParams, now: Instant) -> Result<(), DataPlaneError> {
        self.sad.admits(params)?;
        if let Some(other) = self.spis.taken(params).and_then(|slot| self.sad.get(slot)) {
            return Err(DataPlaneError::Exists(other.cold.params.id()));
        }
        let mut sa = InboundSa::new(params, self.sad.spares(), now)?;
        if params.options.ipcomp.cpi().is_some() && self.expander.is_none() {
            self.expander = Some(Box::new(Expander::new()));
        }
        sa.cold.domain = self.spd.domain(params.policy).unwrap_or_default();
        self.batched_sas += usize::from(sa.suite.is_batched());
        let slot = self.sad.insert(sa);
        self.spis.insert(params, slot);
        Ok(())
    }

    fn move_sa(&mut self, id: SaId, (src, dst): (IpAddr, IpAddr), encap: Option<Encap>) -> Result<(), DataPlaneError> {
        let (slot, moved) = self.sad.may_move(id, src, dst)?;
        let sa = self.sad.get_mut(slot).ok_or(DataPlaneError::NoSuchSa(id))?;
        if sa.cold.params.lookup != SaLookup::Spi {
            return Err(DataPlaneError::Invalid("an SA that is found by its addresses cannot move".into()));
        }
        let params = &mut sa.cold.params;
        (params.src, params.dst, params.encap) = (src, dst, encap);
        sa.peer = encap.map(|encap| (src, encap.src_port));
        self.sad.rename(id, moved, slot);
        Ok(())
    }

    /// The SAs of a policy that may have come before it, or that stood elsewhere, follow it: a packet must not have to ask.
    fn move_to_domain(&mut self, policy: PolicyId, domain: Domain) {
        for sa in self.sad.iter_mut().filter(|sa| sa.cold.params.policy == policy) {
            sa.cold.domain = domain;
        }
    }

    /// The next event, oldest first, or `None`.
    pub fn poll_event(&mut self) -> Option<DataPlaneEvent> {
        self.sad.poll_event(&mut self.events)
    }

    /// Ends what has outlived its time by `now`.
    pub fn tick(&mut self, now: Instant) {
        self.sad.tick(now, &mut self.events);
    }

    /// When [`Inbound::tick`] has something to do next.
    pub fn deadline(&self) -> Option<Instant> {
        self.sad.deadline()
    }

    /// The inbound SAs, each with its counters, without a copy of them.
    pub fn sas(&self) -> impl Iterator<Item = (&SaParams, SaCounters)> {
        self.sad.statuses()
    }

    /// One of the inbound SAs.
    pub fn sa(&self, id: SaId) -> Option<SaStatus> {
        self.sad.find(id).and_then(|slot| self.sad.get(slot)).map(status).map(copied)
    }

    /// The inbound SAs.
    pub fn list(&self) -> Vec<SaStatus> {
        self.sas().map(copied).collect()
    }

    /// Lets the first SA believe that it received this number.
    #[cfg(test)]
    pub(crate) fn newest_for_test(&mut self, sequence: u64) -> bool {
        self.sad.get_mut(0).is_some_and(|sa| {
            if let crate::suite::KeyedSuite::AhEsp(both) = &mut sa.suite {
                both.esp_window.accept(sequence);
            }
            sa.window.accept(sequence)
        })
    }

    pub(crate) fn spd(&self) -> (&Spd, NoMatch) {
        (&self.spd, self.config.no_match)
    }

    /// What became of the packets so far.
    pub fn counters(&self) -> Counters {
        Counters { events_deferred: self.events.deferred, ..self.counters }
    }
}

/// RFC 7296 §2.23: only an authentic packet, and not an old one held back, tells where the peer is.
#[cold]
fn note_move(sa: &mut InboundSa, events: &mut Events, peer: (IpAddr, u16)) {
    let id = sa.cold.params.id();
    if events.push(DataPlaneEvent::PeerMoved { id, src: peer.0, src_port: Some(peer.1) }) {
        sa.peer = Some(peer);
    }
}

/// RFC 4301 §5.2: reports of packets outside of the selectors are limited in rate.
fn note_outside(sa: &mut InboundSa, events: &mut Events, packet: &[u8], now: Instant) {
    let lately = sa.cold.outside_told.is_some_and(|at| now.since(at) < OUTSIDE_SELECTORS_PERIOD);
    let (id, packet) = (sa.cold.params.id(), PacketStart::of(packet));
    if !lately && events.push(DataPlaneEvent::OutsideSelectors { id, packet }) {
        sa.cold.outside_told = Some(now);
    }
}

/// What the policies say to a clear packet of the SA.
#[inline(always)]
fn allow(
    (spd, domains): (&Spd, bool),
    fragments: &mut Fragments,
    sa: &InboundSa,
    pkt: &mut PacketBuf<'_>,
    now: Instant,
) -> Result<(), DropReason> {
    if domains {
        pkt.set_domain(sa.cold.domain);
    }
    if sa.later_fragments {
        follows_first(fragments, sa, pkt, now)?;
    }
    if spd.has_overlaps() {
        belongs(spd, fragments, sa, pkt, now)?;
    }
    Ok(())
}

/// RFC 4301 §5.2: where policies overlap, the SA's selectors are not enough. They may hold addresses that a policy
/// before the SA's own gives to another peer.
fn belongs(
    spd: &Spd,
    fragments: &mut Fragments,
    sa: &InboundSa,
    pkt: &PacketBuf<'_>,
    now: Instant,
) -> Result<(), DropReason> {
    let params = &sa.cold.params;
    let header = Header::parse(pkt.packet()).map_err(|_| DropReason::BadInnerPacket)?;
    let ports = fragments.ports(&header, pkt.packet(), pkt.domain(), Some(params.spi.0), now);
    let seen = Seen::new(&header, ports, pkt.domain());
    spd.admits(&seen.swapped(), params.policy, params.src)
}

/// RFC 4301 §7.3: a later fragment comes after the first of its datagram, on the same SA, which that one was within the
/// selectors of. First ones are remembered.
fn follows_first(
    fragments: &mut Fragments,
    sa: &InboundSa,
    pkt: &PacketBuf<'_>,
    now: Instant,
) -> Result<(), DropReason> {
    let header = Header::parse(pkt.packet()).map_err(|_| DropReason::BadInnerPacket)?;
    if header.fragment == Fragment::Whole {
        return Ok(());
    }
    let ports = fragments.ports(&header, pkt.packet(), pkt.domain(), Some(sa.cold.params.spi.0), now);
    if header.fragment == Fragment::First || sa.selects_with(&header, ports) {
        return Ok(());
    }
    Err(if ports.is_none() { DropReason::HiddenPorts } else { DropReason::BadSelector })
}

/// Tells ESP, in UDP or not, and AH from clear packets.
fn content(header: &Header, packet: &[u8]) -> Content {
    match (header.protocol, header.fragment) {
        (protocol::ESP, Fragment::Whole) => Content::Esp { esp_at: header.payload_at, src_port: None },
        // RFC 4303 §3.4.1: reassembly comes before ESP.
        (protocol::ESP, _) => Content::Refused(DropReason::EspFragment),
        (protocol::AH, Fragment::Whole) => Content::Ah,
        // RFC 4302 §3.4.1: and before AH.
        (protocol::AH, _) => Content::Refused(DropReason::AhFragment),
        (protocol::UDP, Fragment::Whole) => udp_content(header, &packet[header.payload_at..header.total_len]),
        _ => Content::Clear,
    }
}

fn udp_content(header: &Header, datagram: &[u8]) -> Content {
    let src_port = match ports(protocol::UDP, datagram) {
        Ports { src: Some(src_port), dst: Some(udp_encap::PORT) } => src_port,
        _ => return Content::Clear,
    };
    let Some(payload) = datagram.get(UDP_HEADER_LEN..) else {
        return Content::Refused(DropReason::BadEncapsulation);
    };
    // A UDP length that leaves out part of the IP payload would let two readers see two packets.
    if usize::from(u16::from_be_bytes([datagram[4], datagram[5]])) != datagram.len() {
        return Content::Refused(DropReason::BadEncapsulation);
    }
    match classify(payload) {
        Payload::Esp(_) => Content::Esp { esp_at: header.payload_at + UDP_HEADER_LEN, src_port: Some(src_port) },
        Payload::Ike(_) => Content::Clear,
        Payload::Keepalive => Content::Refused(DropReason::Keepalive),
        Payload::Malformed => Content::Refused(DropReason::BadEncapsulation),
    }
}

#[cfg(test)]
mod tests;
