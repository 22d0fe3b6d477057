//! The two ends of protecting a packet, for hardware that does what lies between them.

use ravelin_types::Instant;
use ravelin_types::sa::SaId;
use ravelin_wire::ip::Header;

use super::{Decision, Outbound};
use crate::accelerator::Share;
use crate::extras::{Extra, inner_mtu, prepare};
use crate::packet::{HEADROOM, Mark, PacketBuf, TAILROOM};
use crate::requests::Begun;
use crate::sad::Slot;
use crate::seal::{Leave, seal};
use crate::spd::ALL_TABLES;
use crate::template::OuterIp;
use crate::verdict::{DropReason, Outer, Verdict};

impl Outbound {
    /// Where the SA is.
    pub(crate) fn slot(&self, id: SaId) -> Option<Slot> {
        self.sad.find(id)
    }

    /// Counts a packet that is dropped before anything looks at it.
    pub(crate) fn refuse(&mut self, reason: DropReason) -> Verdict {
        let verdict = Verdict::Drop(reason);
        self.counters.count(&verdict);
        verdict
    }

    /// The SA by which the packet is to be protected, if it is.
    pub(super) fn protects(&mut self, header: &Header, pkt: &PacketBuf<'_>, now: Instant) -> Option<Slot> {
        let flow = self.place_of(header, pkt, now);
        let decision = match self.cache.get(flow.1, &flow.0) {
            Some(packed) => Decision::unpack(packed),
            None => self.classify(&flow, ALL_TABLES),
        };
        if let Decision::Protect(slot) = decision { Some(slot) } else { None }
    }

    /// Gives the packet a number of its SA, if it falls under one of which hardware has a `share`, and makes it ready for
    /// what hardware does. `None`: nothing of the SA has changed, and the packet, from its source, is for
    /// [`Outbound::process`].
    pub(crate) fn begin(
        &mut self,
        pkt: &mut PacketBuf<'_>,
        now: Instant,
        share: impl FnOnce(Slot) -> Share,
    ) -> Option<Begun> {
        if let Mark::Sealed(_) = pkt.mark() {
            return None;
        }
        let header = &Header::parse(pkt.packet()).ok()?;
        let slot = self.protects(header, pkt, now)?;
        match share(slot) {
            Share::Nothing => return None,
            Share::Cipher => return self.begin_cipher(slot, header, pkt, Leave::Cipher),
            Share::Whole => {}
        }
        let sa = self.sad.get_mut(slot).filter(|sa| !sa.usage.is_dead())?;
        // What the options want done besides is done here.
        let udp_len = sa.template.udp_len();
        let fits = header.total_len <= inner_mtu(&sa.cold, &sa.suite, udp_len, sa.template.mtu(), header).into();
        if sa.template.has_extras() || !fits {
            return None;
        }
        // What may be too long for the path is for those who know what to do then.
        if header.total_len + HEADROOM + TAILROOM > sa.template.mtu().into() {
            return None;
        }
        let sequence = sa.next_sequence()?;
        sa.sequence = sequence;
        let clear = if sa.template.ip() == OuterIp::None { header.esp_at } else { 0 };
        let payload = header.total_len - clear;
        Some(Begun { slot, share: Share::Whole, sequence, payload, esp_at: 0, arrived: None, verdict: None })
    }

    /// All of the packet but what is to be left, the cipher at least. What is refused here has not changed the SA, and is
    /// refused, told of and counted once more by software.
    pub(super) fn begin_cipher(
        &mut self,
        slot: Slot,
        header: &Header,
        pkt: &mut PacketBuf<'_>,
        leave: Leave,
    ) -> Option<Begun> {
        let sa = self.sad.get_mut(slot).filter(|sa| !sa.usage.is_dead())?;
        let outer_is_ipv6 = match sa.template.ip() {
            OuterIp::None => header.src.is_ipv6(),
            outer => outer == OuterIp::V6,
        };
        // The UDP checksum of IPv6 covers what the cipher makes.
        if leave == Leave::Cipher && sa.template.udp_len() > 0 && outer_is_ipv6 {
            return None;
        }
        if sa.cold.sender.is_some() {
            return None;
        }
        let (extra, shorter) = match sa.template.has_extras() {
            true => prepare(sa, (&mut self.ivs, &mut self.compressor), pkt, header, self.config.tfc_padding),
            false => (Extra::NONE, None),
        };
        let header = shorter.as_ref().unwrap_or(header);
        let sealed = seal(sa, &mut self.ivs, pkt, header, extra, leave).ok()?;
        let mut verdict = Verdict::Bypass;
        sealed.write_verdict(sa, header, &mut verdict);
        let (sequence, payload, esp_at) = (sealed.sequence, sealed.payload, sealed.esp_at);
        Some(Begun { slot, share: Share::Cipher, sequence, payload, esp_at, arrived: None, verdict: Some(verdict) })
    }

    /// The packet in `pkt` was protected elsewhere, or is bad.
    pub(crate) fn finish(&mut self, begun: Begun, pkt: &mut PacketBuf<'_>, outcome: Result<(), DropReason>) -> Verdict {
        let verdict = match (outcome, Header::parse(pkt.packet()), self.sad.get_mut(begun.slot)) {
            (Err(reason), ..) => Verdict::Drop(reason),
            (Ok(()), Ok(header), Some(sa)) => {
                let encap = sa.template.encap();
                let Header { src, dst, protocol, tos, dont_fragment, .. } = header;
                let esp_at = header.payload_at + sa.template.udp_len();
                pkt.set_mark(Mark::Sealed(sa.template.mode()));
                if sa.usage.record(begun.payload) && self.sad.cross(begun.slot, &mut self.events) {
                    self.cache.forget();
                }
                let outer = || Verdict::Send(Outer { src, dst, encap, protocol, esp_at, tos, dont_fragment });
                begun.verdict.unwrap_or_else(outer)
            }
            _ => Verdict::Drop(DropReason::BadIpHeader),
        };
        self.counters.count(&verdict);
        verdict
    }
}
