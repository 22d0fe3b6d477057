//! SAs with AGGFRAG payloads: packets wait in the SA's sender, and payloads are made of them.

use core::net::{IpAddr, Ipv4Addr};

use ravelin_types::Instant;
use ravelin_types::policy::PolicyId;
use ravelin_wire::ip::{Fragment, Header, protocol, v4};

use super::Outbound;
use crate::aggfrag::Sender;
use crate::extras::{clamp, inner_mtu};
use crate::limits::{AGGFRAG_PATH, MAX_PAYLOAD};
use crate::packet::PacketBuf;
use crate::sad::{OutboundSa, Slot};
use crate::verdict::{DropReason, Verdict};

impl Outbound {
    /// Makes the next AGGFRAG payload (RFC 9347) that is due in the room of `pkt`, whose content is lost:
    /// [`Verdict::Send`], or why it could not be made. `None`: none is due. Call this after packets were [`Verdict::Taken`], until
    /// it says `None`, and when [`Outbound::payload_deadline`] has come. Give as much room as for the longest packet that the path
    /// takes.
    pub fn poll_payload(&mut self, pkt: &mut PacketBuf<'_>, now: Instant) -> Option<Verdict> {
        loop {
            let slot = self.payloads.take_due(now)?;
            let Some(sa) = self.sad.get_mut(slot).filter(|sa| !sa.usage.is_dead()) else { continue };
            let len = usize::from(path(sa));
            let Some(sender) = sa.cold.sender.as_deref_mut() else { continue };
            sender.passed(len, now);
            let constant = sender.is_constant();
            let verdict = self.make_payload(slot, pkt);
            if constant || matches!(verdict, Verdict::Send(_)) {
                self.schedule_payload(slot);
            }
            return Some(verdict);
        }
    }

    /// When [`Outbound::poll_payload`] has something to do next.
    pub fn payload_deadline(&self) -> Option<Instant> {
        self.payloads.first()
    }

    /// Takes the packet into the queue of its SA.
    #[cold]
    pub(super) fn gather(
        &mut self,
        slot: Slot,
        header: &Header,
        pkt: &mut PacketBuf<'_>,
        verdict: &mut Verdict,
    ) -> Result<(), DropReason> {
        let taken = self.sad.get_mut(slot).ok_or(DropReason::Expired).and_then(|sa| take(sa, header, pkt));
        match taken {
            Ok(()) => {
                self.schedule_payload(slot);
                *verdict = Verdict::Taken;
            }
            Err(reason) => {
                self.sad.count_drop(slot, reason);
                *verdict = Verdict::Drop(reason);
            }
        }
        taken
    }

    /// Sets the time of the SA's next payload.
    pub(super) fn schedule_payload(&mut self, slot: Slot) {
        let due = self.sad.get(slot).and_then(|sa| sa.cold.sender.as_ref()?.due());
        self.payloads.set(slot, due);
    }

    /// Makes a payload of what waits in the SA, of padding alone where nothing does.
    pub(super) fn make_payload(&mut self, slot: Slot, pkt: &mut PacketBuf<'_>) -> Verdict {
        let mut verdict = Verdict::Drop(DropReason::NoRoom);
        let made = self.sad.get_mut(slot).and_then(|sa| fill(sa, pkt));
        if let Some((header, packets)) = made
            && self.seal_in(slot, &header, pkt, Some(protocol::AGGFRAG), &mut verdict).is_ok()
            && let Some(sa) = self.sad.get_mut(slot)
        {
            sa.cold.counters.dummies += u64::from(packets == 0);
        }
        let too_big = self.sad.get_mut(slot).and_then(|sa| sa.cold.sender.as_mut()).map_or(0, |it| it.take_too_big());
        self.counters.count_drops(DropReason::TooBig, too_big);
        self.counters.count(&verdict);
        verdict
    }

    /// Packets that have not left on an SA that goes leave on the one that takes its place, if it has such payloads too.
    pub(super) fn pass_on(&mut self, policy: PolicyId, mut left: Sender) {
        if left.is_empty() {
            return;
        }
        let mut room = alloc::vec![0; MAX_PAYLOAD];
        while let Some(packet) = left.take_whole(&mut room) {
            let Ok(header) = Header::parse(packet) else { return };
            let Some(slot) = self.senders.find(policy, &header.flow(packet), &self.sad) else { continue };
            if let Some(sender) = self.sad.get_mut(slot).and_then(|sa| sa.cold.sender.as_deref_mut())
                && sender.push(packet)
            {
                self.schedule_payload(slot);
            }
        }
    }
}

/// The longest packet that goes to the other end.
fn path(sa: &OutboundSa) -> u16 {
    sa.cold.mtu.unwrap_or(AGGFRAG_PATH)
}

fn take(sa: &mut OutboundSa, header: &Header, pkt: &mut PacketBuf<'_>) -> Result<(), DropReason> {
    // What a payload says of the rest of a packet has 16 bits.
    if header.total_len > MAX_PAYLOAD {
        return Err(DropReason::TooLong);
    }
    let udp_len = sa.template.udp_len();
    clamp(&sa.cold, &sa.suite, udp_len, pkt.packet_mut(), header);
    let most = inner_mtu(&sa.cold, &sa.suite, udp_len, path(sa), header);
    let sender = sa.cold.sender.as_deref_mut().ok_or(DropReason::Expired)?;
    // RFC 9347 §2.2.7: where the receiver takes no pieces, the path is as narrow as with plain tunnel mode.
    if !sender.cuts() && header.total_len > most.into() {
        return Err(DropReason::TooBig);
    }
    pkt.truncate(header.total_len);
    let packet = pkt.packet_mut();
    if header.src.is_ipv4() && packet[v4::CHECKSUM_AT..].starts_with(&[0; 2]) {
        // A stack that leaves the checksum to its link may leave it open; nobody can fill it in behind encryption.
        v4::rewrite(&mut packet[..header.payload_at], header.total_len as u16, header.protocol);
    }
    if sender.push(packet) { Ok(()) } else { Err(DropReason::QueueFull) }
}

/// Puts a payload into the room of `pkt`: what is sealed for a header, and how much of it are packets.
fn fill(sa: &mut OutboundSa, pkt: &mut PacketBuf<'_>) -> Option<(Header, usize)> {
    let udp_len = sa.template.udp_len();
    // RFC 9347 §2.2.5: nothing of the packets' headers gets into the outer one.
    let unspecified = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let mut header = Header {
        src: unspecified,
        dst: unspecified,
        tos: 0,
        ttl: 0,
        protocol: protocol::AGGFRAG,
        protocol_at: 0,
        payload_at: 0,
        total_len: 0,
        fragment: Fragment::Whole,
        dont_fragment: false,
        esp_at: 0,
        esp_protocol: protocol::AGGFRAG,
        esp_protocol_at: 0,
    };
    let most = inner_mtu(&sa.cold, &sa.suite, udp_len, path(sa), &header);
    pkt.truncate(0);
    if !pkt.grow_back(usize::from(most) + ravelin_wire::aggfrag::HEADER_LEN) {
        return None;
    }
    let sender = sa.cold.sender.as_deref_mut()?;
    let (used, packets) = sender.fill(pkt.packet_mut());
    if !sender.is_constant() {
        pkt.truncate(used);
    }
    header.total_len = pkt.len();
    (used > 0).then_some((header, packets))
}
