//! The two ends of opening a packet, for hardware that does what lies between them.

use ravelin_types::Instant;
use ravelin_types::policy::Mode;
use ravelin_types::sa::SaId;
use ravelin_wire::esp::EspHeader;
use ravelin_wire::ip::Header;

use super::{Content, Inbound, OuterMeta, content};
use crate::accelerator::Share;
use crate::open::{Arrived, Opened, openable, renew};
use crate::packet::PacketBuf;
use crate::requests::Begun;
use crate::sad::{InboundSa, Slot};
use crate::together::Aside;
use crate::verdict::{DropReason, Verdict};

impl Inbound {
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

    /// Finds the SA of an ESP packet, if it is one of which hardware has a `share`, and the whole number of the packet, if
    /// it may be fresh. `None`: nothing has changed, and the packet is for [`Inbound::process`].
    pub(crate) fn begin(&mut self, pkt: &mut PacketBuf<'_>, share: impl FnOnce(Slot) -> Share) -> Option<Begun> {
        let header = Header::parse(pkt.packet()).ok()?;
        let Content::Esp { esp_at, src_port } = content(&header, pkt.packet()) else { return None };
        self.begin_esp((&header, esp_at, src_port), pkt, |slot, _| share(slot))
    }

    /// The same of what is ESP at `esp_at`, from a UDP port or none.
    pub(super) fn begin_esp(
        &mut self,
        (header, esp_at, src_port): (&Header, usize, Option<u16>),
        pkt: &mut PacketBuf<'_>,
        share: impl FnOnce(Slot, &InboundSa) -> Share,
    ) -> Option<Begun> {
        let packet = pkt.packet();
        if !self.may_lack_checksum(packet, header, esp_at, src_port) {
            return None;
        }
        let packet = packet.get(esp_at..header.total_len)?;
        let esp = EspHeader::parse(packet)?;
        let meta = OuterMeta::of(header, src_port);
        let slot = self.spis.find(esp.spi, &meta)?;
        let sa = self.sad.get(slot).filter(|sa| !sa.usage.is_dead())?;
        let (share, sequence) = match share(slot, sa) {
            Share::Nothing => return None,
            Share::Cipher => (Share::Cipher, openable(sa, packet, esp)?),
            // What comes whole from hardware is expected to be a packet.
            Share::Whole if sa.cold.params.options.ipcomp.cpi().is_some() => return None,
            Share::Whole => (Share::Whole, renew(sa, esp.sequence)?),
        };
        pkt.truncate(header.total_len);
        Some(Begun { slot, share, sequence, payload: 0, esp_at, arrived: Some(meta), verdict: None })
    }

    /// The packet in `pkt` was opened elsewhere, or is bad. Two packets with one number may have been begun with; only the
    /// first to come back is fresh.
    pub(crate) fn finish(
        &mut self,
        begun: Begun,
        pkt: &mut PacketBuf<'_>,
        outcome: Result<(), DropReason>,
        now: Instant,
    ) -> Verdict {
        let slot = begun.slot;
        let finished = match begun.share {
            Share::Cipher => self.decrypted(begun, pkt, outcome, now),
            Share::Whole | Share::Nothing => self.opened(begun, pkt, outcome, now),
        };
        let verdict = finished.unwrap_or_else(|reason| self.sa_drops(slot, reason));
        self.counters.count(&verdict);
        verdict
    }

    /// The cipher is done, and the checks of [`open`](crate::open::open) behind it follow.
    fn decrypted(
        &mut self,
        begun: Begun,
        pkt: &mut PacketBuf<'_>,
        outcome: Result<(), DropReason>,
        now: Instant,
    ) -> Result<Verdict, DropReason> {
        let Begun { slot, sequence, esp_at, .. } = begun;
        let meta = begun.arrived.ok_or(DropReason::UnknownSpi)?;
        let header = Header::parse(pkt.packet()).map_err(|_| DropReason::BadIpHeader)?;
        let aside = Aside { index: 0, slot, esp_at, sequence, forged: outcome.is_err() };
        Ok(self.open_aside(&aside, pkt, Arrived { at: esp_at, meta: &meta, header: Some(&header) }, now))
    }

    /// The packet came whole from hardware that opened it.
    fn opened(
        &mut self,
        begun: Begun,
        pkt: &mut PacketBuf<'_>,
        outcome: Result<(), DropReason>,
        now: Instant,
    ) -> Result<Verdict, DropReason> {
        let (sa, meta) = self.sad.get_mut(begun.slot).zip(begun.arrived).ok_or(DropReason::UnknownSpi)?;
        outcome?;
        sa.window.check(begun.sequence).map_err(|_| DropReason::Replayed)?;
        let newest = sa.window.accept(begun.sequence);
        let header = Header::parse(pkt.packet()).map_err(|_| DropReason::BadInnerPacket)?;
        let payload = if sa.selects(&header, pkt.packet()) {
            Ok(if sa.mode == Mode::Tunnel { header.total_len } else { header.total_len - header.esp_at })
        } else {
            Err(DropReason::BadSelector)
        };
        Ok(self.admit(begun.slot, pkt, &meta, Opened::new(newest, payload), now))
    }
}
