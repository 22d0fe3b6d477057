//! The two ends of opening a packet, for hardware that does what lies between them.

use ravelin_types::Instant;
use ravelin_types::policy::Mode;
use ravelin_types::sa::SaId;
use ravelin_wire::esp::EspHeader;
use ravelin_wire::ip::Header;

use super::{Content, Inbound, OuterMeta, content};
use crate::open::{Opened, renew};
use crate::packet::PacketBuf;
use crate::requests::Begun;
use crate::sad::Slot;
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

    /// Finds the SA of an ESP packet, if it is one that `taken` says yes to, and the whole number of the packet, if it may
    /// be fresh. `None`: nothing has changed, and the packet is for [`Inbound::process`].
    pub(crate) fn begin(&mut self, pkt: &PacketBuf<'_>, taken: impl FnOnce(Slot) -> bool) -> Option<Begun> {
        let packet = pkt.packet();
        let header = &Header::parse(packet).ok()?;
        let Content::Esp { esp_at, src_port } = content(header, packet) else { return None };
        let esp = EspHeader::parse(packet.get(esp_at..header.total_len)?)?;
        let meta = OuterMeta { src: header.src, dst: header.dst, src_port, tos: header.tos, ttl: header.ttl };
        let slot = self.spis.find(esp.spi, &meta)?;
        if !taken(slot) {
            return None;
        }
        let sa = self.sad.get(slot).filter(|sa| !sa.usage.is_dead())?;
        let sequence = renew(sa, esp.sequence)?;
        Some(Begun { slot, sequence, payload: 0, arrived: Some((esp_at, meta)) })
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
        let verdict = self.finished(begun, pkt, outcome, now).unwrap_or_else(|reason| self.sa_drops(slot, reason));
        self.counters.count(&verdict);
        verdict
    }

    fn finished(
        &mut self,
        begun: Begun,
        pkt: &mut PacketBuf<'_>,
        outcome: Result<(), DropReason>,
        now: Instant,
    ) -> Result<Verdict, DropReason> {
        let (sa, (_, meta)) = self.sad.get_mut(begun.slot).zip(begun.arrived).ok_or(DropReason::UnknownSpi)?;
        outcome?;
        sa.window.check(begun.sequence).map_err(|_| DropReason::Replayed)?;
        let newest = sa.window.accept(begun.sequence);
        let header = Header::parse(pkt.packet()).map_err(|_| DropReason::BadInnerPacket)?;
        let payload = if sa.selects(&header, pkt.packet()) {
            Ok(if sa.mode == Mode::Tunnel { header.total_len } else { header.total_len - header.esp_at })
        } else {
            Err(DropReason::BadSelector)
        };
        Ok(self.admit(begun.slot, pkt, &meta, Opened { newest, payload }, now))
    }
}
