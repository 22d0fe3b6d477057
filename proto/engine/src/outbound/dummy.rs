//! Dummy packets (RFC 4303 §2.6): sent now and then by SAs that want it, thrown away by their receiver.
//!
//! The RFC knows no mode in which they are not allowed, so ESP in transport mode sends them too, and AH around ESP.

use core::net::IpAddr;

use ravelin_types::Instant;
use ravelin_types::dataplane::DataPlaneError;
use ravelin_types::options::Dummies;
use ravelin_types::sa::SaId;
use ravelin_wire::ip::{Header, protocol, v4, v6};

use super::Outbound;
use crate::extras::{below, inner_mtu};
use crate::limits::{MIN_DUMMY_GAP, MIN_MTU_V4};
use crate::packet::PacketBuf;
use crate::sad::Slot;
use crate::verdict::{DropReason, Verdict};

impl Outbound {
    /// Makes the next dummy packet that is due in the room of `pkt`, whose content is lost: [`Verdict::Send`], or why
    /// it could not be made. `None`: none is due. Give as much room as for the longest packet that the options allow.
    pub fn poll_dummy(&mut self, pkt: &mut PacketBuf<'_>, now: Instant) -> Option<Verdict> {
        loop {
            let slot = self.dummies.take_due(now)?;
            self.schedule_dummy(slot, now);
            if self.sad.get(slot).is_some_and(|sa| !sa.usage.is_dead()) {
                return Some(self.make_dummy(slot, pkt));
            }
        }
    }

    /// When [`Outbound::poll_dummy`] has something to do next.
    pub fn dummy_deadline(&self) -> Option<Instant> {
        self.dummies.first()
    }

    /// Makes a dummy packet of this SA now, whether or not its options want any.
    ///
    /// # Errors
    /// When there is no such SA, or it is inbound, has no ESP or is out of use.
    pub fn send_dummy(&mut self, id: SaId, pkt: &mut PacketBuf<'_>) -> Result<Verdict, DataPlaneError> {
        let slot = self.sad.find(id).ok_or(DataPlaneError::NoSuchSa(id))?;
        let able = self.sad.get(slot).is_some_and(|sa| sa.suite.esp().is_some() && !sa.usage.is_dead());
        if able { Ok(self.make_dummy(slot, pkt)) } else { Err(DataPlaneError::NoDummies(id)) }
    }

    /// Sets the time of the SA's next dummy packet, if it is to send any.
    pub(super) fn schedule_dummy(&mut self, slot: Slot, now: Instant) {
        let Some(sa) = self.sad.get(slot) else { return };
        if let (Some(Dummies { interval, .. }), Some(_)) = (sa.cold.params.options.dummies, sa.suite.esp()) {
            let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
            let wait = core::time::Duration::from_nanos(below(self.random(), nanos));
            self.dummies.set(slot, Some(now + wait.max(MIN_DUMMY_GAP)));
        }
    }

    /// An IP packet between the ends of the SA without a next header, with random bytes behind.
    fn make_dummy(&mut self, slot: Slot, pkt: &mut PacketBuf<'_>) -> Verdict {
        let random = self.random();
        let no_room = Verdict::Drop(DropReason::NoRoom);
        let Some(sa) = self.sad.get(slot) else { return Verdict::Drop(DropReason::Expired) };
        let params = &sa.cold.params;
        if sa.cold.sender.is_some() {
            // RFC 9347 §2.3: nothing else goes over such an SA, and padding alone is such a payload.
            return self.make_payload(slot, pkt);
        }
        let (src, dst) = (params.src, params.dst);
        let size = params.options.dummies.unwrap_or_default().size;
        let head = if dst.is_ipv4() { v4::HEADER_LEN } else { v6::HEADER_LEN };
        pkt.truncate(0);
        if !pkt.grow_back(head) {
            return no_room;
        }
        emit(pkt.packet_mut(), src, dst, 0);
        let Ok(header) = Header::parse(pkt.packet()) else { return no_room };
        let mtu = sa.cold.mtu.unwrap_or(MIN_MTU_V4);
        let longest = inner_mtu(&sa.cold, &sa.suite, sa.template.udp_len(), mtu, &header);
        let most = size.min(longest.saturating_sub(head as u16).saturating_add(1));
        let len = below(random, most.into()) as usize;
        if !pkt.grow_back(len) {
            return no_room;
        }
        let (start, content) = pkt.packet_mut().split_at_mut(head);
        emit(start, src, dst, len);
        content.chunks_mut(256).for_each(|part| self.ivs.fill(part));
        let Ok(header) = Header::parse(pkt.packet()) else { return no_room };
        let mut verdict = no_room;
        let announced = Some(protocol::NO_NEXT_HEADER);
        if self.seal_in(slot, &header, pkt, announced, &mut verdict).is_ok()
            && let Some(sa) = self.sad.get_mut(slot)
        {
            sa.cold.counters.dummies += 1;
        }
        self.counters.count(&verdict);
        verdict
    }

    fn random(&mut self) -> u32 {
        let mut random = [0; 4];
        self.ivs.fill(&mut random);
        u32::from_ne_bytes(random)
    }
}

fn emit(header: &mut [u8], src: IpAddr, dst: IpAddr, payload: usize) {
    let protocol = protocol::NO_NEXT_HEADER;
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let total_len = (v4::HEADER_LEN + payload) as u16;
            let fields = v4::Fields { tos: 0, total_len, id: 0, dont_fragment: false, ttl: 64, protocol, src, dst };
            if let Some(header) = header.first_chunk_mut() {
                fields.emit(header);
            }
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let (payload_len, next_header) = (payload as u16, protocol);
            let fields = v6::Fields { tos: 0, payload_len, next_header, hop_limit: 64, src, dst };
            if let Some(header) = header.first_chunk_mut() {
                fields.emit(header);
            }
        }
        // The SAD admits no SA whose ends differ in family.
        _ => {}
    }
}
