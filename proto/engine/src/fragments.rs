//! What first fragments showed, for the later ones of their datagrams (RFC 4301 §7.3 and §7.4).
//!
//! Ports stand in the first fragment only. It is decided as any packet, and its ports are remembered; a later fragment
//! of the same datagram is then decided as if it showed them too. One that comes before its first, or too long after
//! it, hides its ports, and the SPD has rules for that.
//!
//! The memory is fixed. A source has room for [`FRAGMENT_WAYS`] datagrams at a time, the oldest makes way for the next,
//! and which sources share a place is secret: who sends many first fragments pushes out his own.

use alloc::boxed::Box;
use alloc::vec;
use core::net::IpAddr;

use ravelin_types::Instant;
use ravelin_types::policy::Domain;
use ravelin_wire::ip::transport::Ports;
use ravelin_wire::ip::{Datagram, Fragment, Header, v4};

use crate::hash::HashKey;
use crate::limits::{FRAGMENT_SETS, FRAGMENT_TIMEOUT, FRAGMENT_WAYS};

/// How a packet came: in the clear, or on the inbound SA with this SPI. Fragments of one datagram come the same way.
pub(crate) type Via = Option<u32>;

/// First fragments seen lately.
pub(crate) struct Fragments {
    sets: Box<[[Slot; FRAGMENT_WAYS]]>,
    hash: HashKey,
}

#[derive(Clone, Copy)]
struct Slot {
    datagram: Datagram,
    domain: Domain,
    via: Via,
    /// None where two first fragments did not show the same.
    ports: Ports,
    until: Instant,
}

impl Fragments {
    pub fn new(seed: u64) -> Self {
        let any = IpAddr::from([0; 4]);
        let datagram = Datagram { src: any, dst: any, id: 0, protocol: 0 };
        let empty = Slot { datagram, domain: Domain::default(), via: None, ports: Ports::NONE, until: Instant::ZERO };
        Fragments { sets: vec![[empty; FRAGMENT_WAYS]; FRAGMENT_SETS].into_boxed_slice(), hash: HashKey::new(seed) }
    }

    /// The ports of the packet `packet` with this header: its own, or those of the first fragment of its datagram.
    #[inline]
    pub fn ports(&mut self, header: &Header, packet: &[u8], domain: Domain, via: Via, now: Instant) -> Ports {
        match header.fragment {
            Fragment::Whole => header.ports(packet),
            Fragment::First | Fragment::Later => self.ports_of_fragment(header, packet, domain, via, now),
        }
    }

    #[cold]
    fn ports_of_fragment(&mut self, header: &Header, packet: &[u8], domain: Domain, via: Via, now: Instant) -> Ports {
        let ports = header.ports(packet);
        let Some(datagram) = header.datagram(packet) else { return ports };
        let bits = match header.src {
            IpAddr::V4(v4) => v4.to_bits().into(),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let hash = self.hash.words(&[(bits >> 64) as u64, bits as u64]);
        let set = &mut self.sets[hash as usize % FRAGMENT_SETS];
        let known = set
            .iter()
            .position(|slot| slot.datagram == datagram && slot.domain == domain && slot.via == via && slot.until > now);
        match (header.fragment, known) {
            (Fragment::Later, Some(at)) => return set[at].ports,
            // A datagram that shows nothing hides nothing more in its later fragments, or is cut so short that it does.
            (Fragment::First, _) if !ports.is_none() => {
                let at = known.or_else(|| (0..FRAGMENT_WAYS).min_by_key(|&at| set[at].until));
                // RFC 4301 §7.4: with two first fragments, of which one may belong elsewhere, nobody can tell whose the
                // later ones are.
                let clear = known.is_none_or(|at| set[at].ports == ports);
                let ports = if clear { ports } else { Ports::NONE };
                if let Some(slot) = at.and_then(|at| set.get_mut(at)) {
                    *slot = Slot { datagram, domain, via, ports, until: now + FRAGMENT_TIMEOUT };
                }
            }
            _ => {}
        }
        ports
    }
}

/// Whether a later fragment would write over the transport header of the first: the least offset of RFC 1858 §3.2.2,
/// which RFC 4301 §7.2 asks for.
#[inline]
pub(crate) fn overwrites_header(header: &Header, packet: &[u8]) -> bool {
    const TCP: u8 = ravelin_wire::ip::protocol::TCP;
    header.fragment == Fragment::Later
        && header.protocol == TCP
        && header.src.is_ipv4()
        && matches!(packet.get(v4::FLAGS_AT..), Some([high, low, ..])
            if u16::from_be_bytes([*high, *low]) & v4::FRAGMENT_OFFSET == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use core::time::Duration;
    use ravelin_wire::ip::v6;

    const NOW: Instant = Instant::ZERO;
    const WEB: Ports = Ports { src: Some(1), dst: Some(80) };

    /// A fragment of UDP: `offset` in units of eight bytes.
    fn fragment(src: u8, id: u16, offset: u16, ports: Ports) -> Vec<u8> {
        let mut packet = vec![0; 36];
        let (src, dst) = ([10, 0, 0, src].into(), [10, 0, 0, 200].into());
        v4::Fields { tos: 0, total_len: 36, id, dont_fragment: false, ttl: 1, protocol: 17, src, dst }
            .emit(packet.first_chunk_mut().unwrap());
        packet[6..8].copy_from_slice(&(v4::MORE_FRAGMENTS | offset).to_be_bytes());
        packet[20..22].copy_from_slice(&ports.src.unwrap_or(7).to_be_bytes());
        packet[22..24].copy_from_slice(&ports.dst.unwrap_or(7).to_be_bytes());
        packet
    }

    fn ask(fragments: &mut Fragments, packet: &[u8], domain: u16, via: Via, now: Instant) -> Ports {
        let header = Header::parse(packet).unwrap();
        fragments.ports(&header, packet, Domain(domain), via, now)
    }

    #[test]
    fn later_fragments_show_what_the_first_showed() {
        let mut fragments = Fragments::new(7);
        let (first, later) = (fragment(1, 5, 0, WEB), fragment(1, 5, 3, WEB));
        assert_eq!(ask(&mut fragments, &later, 0, None, NOW), Ports::NONE, "it comes before its first");
        assert_eq!(ask(&mut fragments, &first, 0, None, NOW), WEB);
        assert_eq!(ask(&mut fragments, &later, 0, None, NOW), WEB);
        for (packet, domain, via) in [
            (fragment(1, 6, 3, WEB), 0, None),
            (fragment(2, 5, 3, WEB), 0, None),
            (later.clone(), 1, None),
            (later.clone(), 0, Some(9)),
        ] {
            assert_eq!(ask(&mut fragments, &packet, domain, via, NOW), Ports::NONE, "another datagram");
        }
        let last = NOW + (FRAGMENT_TIMEOUT - Duration::from_nanos(1));
        assert_eq!(ask(&mut fragments, &later, 0, None, last), WEB);
        assert_eq!(ask(&mut fragments, &later, 0, None, NOW + FRAGMENT_TIMEOUT), Ports::NONE);
    }

    #[test]
    fn two_first_fragments_that_differ_leave_the_later_ones_without_ports() {
        let mut fragments = Fragments::new(7);
        let other = Ports { dst: Some(23), ..WEB };
        for ports in [WEB, WEB, other] {
            assert_eq!(ask(&mut fragments, &fragment(1, 5, 0, ports), 0, None, NOW), ports);
        }
        assert_eq!(ask(&mut fragments, &fragment(1, 5, 3, WEB), 0, None, NOW), Ports::NONE);
        ask(&mut fragments, &fragment(1, 5, 0, WEB), 0, None, NOW);
        assert_eq!(ask(&mut fragments, &fragment(1, 5, 3, WEB), 0, None, NOW), Ports::NONE, "not mended by a third");
    }

    #[test]
    fn a_source_pushes_out_its_own_datagrams() {
        let mut fragments = Fragments::new(7);
        ask(&mut fragments, &fragment(1, 5, 0, WEB), 0, None, NOW);
        for id in 0..u16::MAX {
            ask(&mut fragments, &fragment(2, id, 0, WEB), 0, None, NOW + Duration::from_millis(id.into()) / 10);
        }
        let later = |fragments: &mut Fragments, src, id| ask(fragments, &fragment(src, id, 3, WEB), 0, None, NOW);
        assert_eq!(later(&mut fragments, 1, 5), WEB, "with this seed the two sources have places of their own");
        let kept = (0..u16::MAX).filter(|&id| later(&mut fragments, 2, id) == WEB).count();
        assert_eq!(kept, FRAGMENT_WAYS);
        assert_eq!(later(&mut fragments, 2, u16::MAX - 1), WEB, "the newest are kept");
    }

    #[test]
    fn in_ipv6_the_fragment_header_has_the_identification() {
        let packet = |more: u16, id: u8| {
            let mut packet = vec![0; 40 + 8 + 16];
            v6::Fields {
                tos: 0,
                payload_len: 24,
                next_header: 44,
                hop_limit: 1,
                src: [1; 16].into(),
                dst: [2; 16].into(),
            }
            .emit(packet.first_chunk_mut().unwrap());
            packet[40..48].copy_from_slice(&[17, 0, (more >> 8) as u8, more as u8, 0, 0, 0, id]);
            packet[48..52].copy_from_slice(&[0, 1, 0, 80]);
            packet
        };
        let mut fragments = Fragments::new(7);
        assert_eq!(ask(&mut fragments, &packet(1, 5), 0, None, NOW), WEB);
        assert_eq!(ask(&mut fragments, &packet(2 << 3, 5), 0, None, NOW), WEB);
        assert_eq!(ask(&mut fragments, &packet(2 << 3, 6), 0, None, NOW), Ports::NONE);
    }

    #[test]
    fn a_fragment_over_the_transport_header_is_told() {
        let mut packet = fragment(1, 5, 1, WEB);
        let over = |packet: &[u8]| overwrites_header(&Header::parse(packet).unwrap(), packet);
        assert!(!over(&packet), "a UDP header ends where it begins");
        packet[9] = 6;
        assert!(over(&packet));
        packet[7] = 2;
        assert!(!over(&packet));
    }
}
