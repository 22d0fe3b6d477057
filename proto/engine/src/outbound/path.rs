//! Packets that are too long for the path of their SA, and what is known of that path (RFC 4301 §8.2).

use core::net::IpAddr;

use ravelin_types::dataplane::DataPlaneError;
use ravelin_types::sa::{Direction, SaId};
use ravelin_types::{Instant, Spi};
use ravelin_wire::ip::{Header, icmp, protocol, v4, v6};
use ravelin_wire::udp_encap::UDP_HEADER_LEN;

use super::Outbound;
use crate::deadlines::Deadlines;
use crate::extras::inner_mtu;
use crate::limits::{ERROR_BURST, ERROR_PERIOD, LEARNED_MTU_LIFE, MIN_MTU_V6};
use crate::packet::{Mark, PacketBuf};
use crate::sad::Slot;
use crate::verdict::{DropReason, Verdict};

/// How long what a router told is believed, and how many senders may be told.
pub(super) struct Paths {
    until: Deadlines,
    errors: u32,
    errors_since: Instant,
}

impl Paths {
    /// With room for what is told about the SAs in so many slots, and more when they come.
    pub(super) fn new(slots: usize) -> Self {
        Paths { until: Deadlines::with_room(slots), errors: ERROR_BURST, errors_since: Instant::ZERO }
    }

    /// The SA in the slot is gone, or its path is another.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.until.set(slot, None);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.until.first()
    }

    /// RFC 4443 §2.4 (f): errors are sent at a bounded rate.
    fn may_answer(&mut self, now: Instant) -> bool {
        while self.errors < ERROR_BURST && self.errors_since + ERROR_PERIOD <= now {
            self.errors += 1;
            self.errors_since = self.errors_since + ERROR_PERIOD;
        }
        if self.errors == ERROR_BURST {
            self.errors_since = now;
        }
        let may = self.errors > 0;
        self.errors -= u32::from(may);
        may
    }
}

impl Outbound {
    /// The packet is too long once protected: it goes back to be cut, or its sender is told.
    #[cold]
    pub(super) fn too_long(&mut self, slot: Slot, header: &Header, pkt: &mut PacketBuf<'_>, now: Instant) -> Verdict {
        let dropped = Verdict::Drop(DropReason::TooBig);
        let Some(sa) = self.sad.get(slot) else { return dropped };
        let mtu = inner_mtu(&sa.cold, &sa.suite, sa.template.udp_len(), sa.template.mtu(), header);
        if sa.template.cuts(header) {
            return Verdict::Fragment(mtu);
        }
        // RFC 2473 §7.1: nobody is told less than what every path takes.
        let mtu = if header.src.is_ipv6() { mtu.max(MIN_MTU_V6) } else { mtu };
        let mode = sa.template.mode();
        if !icmp::may_answer(header, pkt.packet()) || !self.paths.may_answer(now) {
            return dropped;
        }
        let ipv4 = header.src.is_ipv4();
        pkt.truncate(icmp::quoted(ipv4, header.total_len));
        if !pkt.grow_front(icmp::overhead(ipv4)) {
            return Verdict::Drop(DropReason::NoRoom);
        }
        icmp::emit_too_big(pkt.packet_mut(), header.src, header.dst, mtu);
        // It is ours: no policy is asked about it on its way in.
        pkt.set_mark(Mark::Opened(mode));
        Verdict::TooBig
    }

    pub(super) fn set_mtu(&mut self, id: SaId, mtu: Option<u16>) -> Result<(), DataPlaneError> {
        let slot = self.sad.find(id).ok_or(DataPlaneError::NoSuchSa(id))?;
        self.paths.forget(slot);
        self.put_mtu(slot, mtu);
        Ok(())
    }

    fn put_mtu(&mut self, slot: Slot, mtu: Option<u16>) {
        let Some(sa) = self.sad.get_mut(slot) else { return };
        sa.cold.learn_mtu(mtu);
        let mtu = sa.cold.mtu;
        sa.template.set_mtu(mtu);
    }

    /// Takes a whole IP packet that may be an ICMP message about a packet of ours that was too big for a router on the way.
    /// Such messages are not authenticated (RFC 4301 §8.2.1): call this only where they are wanted. One is believed when
    /// it quotes an SA's addresses, SPI and a number that was sent, asks for less than what is known, and for a while. The
    /// SA whose path is narrower now.
    pub fn learn_mtu(&mut self, packet: &[u8], now: Instant) -> Option<SaId> {
        let header = Header::parse(packet).ok()?;
        let message = icmp::parse_too_big(packet, &header)?;
        let quoted = Quoted::parse(message.quoted)?;
        let (src, dst, spi) = (quoted.src, quoted.dst, quoted.spi);
        let id = SaId { direction: Direction::Outbound, dst, src: None, spi };
        let slot = self.sad.find(id).or_else(|| self.sad.find(SaId { src: Some(src), ..id }))?;
        let sa = self.sad.get(slot)?;
        let sent = u64::from(quoted.sequence) <= sa.sequence || sa.suite.extended();
        // Zero is of routers before RFC 1191, which do not say how much they take.
        let less = message.mtu > 0 && message.mtu < u32::from(quoted.len) && message.mtu < sa.template.mtu().into();
        if sa.cold.params.src != src || !sent || !less {
            return None;
        }
        let id = sa.cold.params.id();
        self.put_mtu(slot, u16::try_from(message.mtu).ok());
        self.paths.until.set(slot, Some(now + LEARNED_MTU_LIFE));
        Some(id)
    }

    /// Forgets what was learned too long ago.
    pub(super) fn tick_paths(&mut self, now: Instant) {
        while let Some(slot) = self.paths.until.take_due(now) {
            self.put_mtu(slot, None);
        }
    }
}

/// The beginning of a packet that we sent. It is cut off, so it is no whole packet to parse.
struct Quoted {
    src: IpAddr,
    dst: IpAddr,
    len: u16,
    spi: Spi,
    sequence: u32,
}

impl Quoted {
    /// RFC 792 wants 64 bits behind the IP header, enough for SPI and number of ESP; of ESP in UDP and of AH only a message
    /// that quotes more tells the SA.
    fn parse(packet: &[u8]) -> Option<Self> {
        let (src, dst, len, kind, at) = match packet.first()? >> 4 {
            4 => {
                let fixed: &[u8; v4::HEADER_LEN] = packet.first_chunk()?;
                let address = |at: usize| IpAddr::from([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
                let len = u16::from_be_bytes([fixed[2], fixed[3]]);
                (address(12), address(16), len, fixed[v4::PROTOCOL_AT], usize::from(fixed[0] & 15) * 4)
            }
            _ => {
                let fixed: &[u8; v6::HEADER_LEN] = packet.first_chunk()?;
                let address = |at: usize| {
                    let mut octets = [0; 16];
                    octets.copy_from_slice(&fixed[at..at + 16]);
                    IpAddr::from(octets)
                };
                let len = u16::from_be_bytes([fixed[4], fixed[5]]).saturating_add(v6::HEADER_LEN as u16);
                (address(8), address(24), len, fixed[v6::NEXT_HEADER_AT], v6::HEADER_LEN)
            }
        };
        let spi_at = match kind {
            protocol::ESP => at,
            protocol::UDP => at + UDP_HEADER_LEN,
            // The SA of AH around ESP is known by the SPI of ESP, which stands behind a header whose length is in it.
            protocol::AH => {
                let next = *packet.get(at)?;
                if next == protocol::ESP { at + (usize::from(*packet.get(at + 1)?) + 2) * 4 } else { at + 4 }
            }
            _ => return None,
        };
        let &[a, b, c, d, e, f, g, h] = packet.get(spi_at..)?.first_chunk()?;
        let (spi, sequence) = (Spi(u32::from_be_bytes([a, b, c, d])), u32::from_be_bytes([e, f, g, h]));
        Some(Quoted { src, dst, len, spi, sequence })
    }
}
