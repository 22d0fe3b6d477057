//! The ICMP messages that IPsec makes itself: a packet was too big for the path (RFC 1191 §4, RFC 4443 §3.2), which it
//! reads too, or has an option that cannot be (RFC 792, RFC 4443 §3.4).

use core::net::IpAddr;

use super::{Fragment, Header, checksum, protocol, v4, v6};

/// Bytes before the quoted packet: ICMP header of both families.
pub const HEADER_LEN: usize = 8;
/// What [`emit_too_big`] puts before the packet, at most.
pub const HEADROOM: usize = v6::HEADER_LEN + HEADER_LEN;

const TTL: u8 = 64;
/// RFC 1812 §4.3.2.3: as much of the packet as makes a datagram of 576 bytes.
const MAX_V4: usize = 576;
/// RFC 4443 §3.2: as much of the packet as makes one of the IPv6 minimum MTU.
const MAX_V6: usize = 1280;

/// How much of a packet of this family an error message quotes.
pub fn quoted(ipv4: bool, len: usize) -> usize {
    len.min(if ipv4 { MAX_V4 - v4::HEADER_LEN - HEADER_LEN } else { MAX_V6 - v6::HEADER_LEN - HEADER_LEN })
}

/// Bytes that [`emit_too_big`] and [`emit_problem`] write before the quoted packet.
pub fn overhead(ipv4: bool) -> usize {
    HEADER_LEN + if ipv4 { v4::HEADER_LEN } else { v6::HEADER_LEN }
}

/// Whether an error may be sent about a packet: RFC 1122 §3.2.2, RFC 4443 §2.4 (e). Neither about another error nor
/// about a later fragment nor to several hosts.
pub fn may_answer(header: &Header, packet: &[u8]) -> bool {
    let kind = packet.get(header.payload_at).copied();
    let is_error = match header.protocol {
        // Destination unreachable, source quench, redirect, time exceeded, parameter problem.
        protocol::ICMP => kind.is_none_or(|kind| matches!(kind, 3..=5 | 11 | 12)),
        protocol::ICMPV6 => kind.is_none_or(|kind| kind < 128 || kind == 137),
        _ => false,
    };
    let one_host = match (header.src, header.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let one = !src.is_multicast() && !src.is_broadcast() && !src.is_loopback() && src.octets()[0] != 0;
            one && !dst.is_multicast() && !dst.is_broadcast()
        }
        // RFC 4443 §2.4 (e.3): a packet too big is told of multicast too.
        (IpAddr::V6(src), _) => !src.is_multicast() && !src.is_unspecified() && !src.is_loopback(),
        _ => false,
    };
    one_host && !is_error && header.fragment != Fragment::Later
}

/// Writes the message that a packet from `src` to `dst` must not be longer than `mtu`. `message` is [`overhead`] bytes
/// to be written and behind them what is [`quoted`] of the packet. It claims to come from the packet's destination: that
/// address is of the right family and scope, and the packet's way back.
pub fn emit_too_big(message: &mut [u8], src: IpAddr, dst: IpAddr, mtu: u16) {
    // Destination unreachable, fragmentation needed.
    let (kind, code) = if src.is_ipv4() { (3, 4) } else { (2, 0) };
    emit(message, dst, src, [kind, code], mtu.into());
}

/// Writes the message of `from` to `to` that the packet which is quoted has a problem at the byte `pointer`, counted from
/// its start. The message is laid out as for [`emit_too_big`].
pub fn emit_problem(message: &mut [u8], from: IpAddr, to: IpAddr, code: u8, pointer: u16) {
    if from.is_ipv4() {
        // No IPv4 header has more than 60 bytes.
        emit(message, from, to, [12, code], u32::from(pointer & 0xff) << 24);
    } else {
        emit(message, from, to, [4, code], pointer.into());
    }
}

/// `words` are the four bytes behind the checksum.
fn emit(message: &mut [u8], from: IpAddr, to: IpAddr, [kind, code]: [u8; 2], words: u32) {
    let len = message.len();
    let pseudo = match (from, to) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let (protocol, total_len) = (protocol::ICMP, len as u16);
            let fields = v4::Fields { tos: 0, total_len, id: 0, dont_fragment: true, ttl: TTL, protocol, src, dst };
            let Some(header) = message.first_chunk_mut() else { return };
            fields.emit(header);
            0
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let payload_len = len.saturating_sub(v6::HEADER_LEN) as u16;
            let (next_header, hop_limit) = (protocol::ICMPV6, TTL);
            let fields = v6::Fields { tos: 0, payload_len, next_header, hop_limit, src, dst };
            let Some(header) = message.first_chunk_mut() else { return };
            fields.emit(header);
            let addresses = checksum::sum(&src.octets()) + checksum::sum(&dst.octets());
            addresses + u64::from(payload_len) + u64::from(protocol::ICMPV6)
        }
        _ => return,
    };
    let Some(icmp) = message.get_mut(overhead(from.is_ipv4()) - HEADER_LEN..) else { return };
    let Some(header) = icmp.first_chunk_mut::<HEADER_LEN>() else { return };
    let [a, b, c, d] = words.to_be_bytes();
    *header = [kind, code, 0, 0, a, b, c, d];
    let sum = checksum::finish(pseudo + checksum::sum(icmp));
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
}

/// What a message says that a packet of ours was too big.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooBig<'a> {
    /// The largest packet that the next link takes.
    pub mtu: u32,
    /// The beginning of the packet it is about.
    pub quoted: &'a [u8],
}

/// Reads such a message from a whole IP packet; `None` when it is none, or its checksum is wrong.
pub fn parse_too_big<'a>(packet: &'a [u8], header: &Header) -> Option<TooBig<'a>> {
    let icmp = packet.get(header.payload_at..header.total_len)?;
    let &[kind, code, _, _, a, b, c, d, ref quoted @ ..] = icmp else { return None };
    let pseudo = match (header.protocol, kind, code, header.src.is_ipv4()) {
        (protocol::ICMP, 3, 4, true) => 0,
        (protocol::ICMPV6, 2, 0, false) => {
            checksum::sum_address(header.src)
                + checksum::sum_address(header.dst)
                + icmp.len() as u64
                + u64::from(protocol::ICMPV6)
        }
        _ => return None,
    };
    let whole = header.fragment == Fragment::Whole && checksum::finish(pseudo + checksum::sum(icmp)) == 0;
    // RFC 1191 §4: the upper half is unused in IPv4.
    let mtu = if header.src.is_ipv4() { u32::from_be_bytes([0, 0, c, d]) } else { u32::from_be_bytes([a, b, c, d]) };
    whole.then_some(TooBig { mtu, quoted })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn message(src: &str, dst: &str, packet: &[u8], mtu: u16) -> Vec<u8> {
        let (src, dst): (IpAddr, IpAddr) = (src.parse().unwrap(), dst.parse().unwrap());
        let mut message = vec![0xee; overhead(src.is_ipv4())];
        message.extend(&packet[..quoted(src.is_ipv4(), packet.len())]);
        emit_too_big(&mut message, src, dst, mtu);
        message
    }

    #[test]
    fn what_is_written_is_read() {
        for (src, dst, longest) in [("10.0.0.1", "10.0.0.2", 576), ("2001:db8::1", "2001:db8::2", 1280)] {
            let packet = [0x5a; 1500];
            let message = message(src, dst, &packet, 1412);
            assert_eq!(message.len(), longest);
            let header = Header::parse(&message).unwrap();
            assert_eq!((header.src, header.dst), (dst.parse().unwrap(), src.parse().unwrap()));
            let parsed = parse_too_big(&message, &header).unwrap();
            assert_eq!((parsed.mtu, parsed.quoted), (1412, &packet[..parsed.quoted.len()]));
            for at in header.payload_at..message.len() {
                let mut damaged = message.clone();
                damaged[at] ^= 0x10;
                assert_eq!(parse_too_big(&damaged, &header), None);
            }
        }
    }

    #[test]
    fn errors_are_not_answered_with_errors() {
        let allowed = |src: &str, dst: &str, protocol: u8, kind: u8| {
            let mut packet = vec![0; 48];
            packet[0] = if src.contains(':') { 0x60 } else { 0x45 };
            if src.contains(':') {
                (packet[5], packet[6]) = (8, protocol::UDP);
                packet[40] = kind;
            } else {
                packet[3] = 48;
                packet[20] = kind;
            }
            let mut header = Header::parse(&packet).unwrap();
            (header.src, header.dst) = (src.parse().unwrap(), dst.parse().unwrap());
            header.protocol = protocol;
            let answered = may_answer(&header, &packet);
            header.fragment = Fragment::Later;
            assert!(!may_answer(&header, &packet));
            answered
        };
        assert!(allowed("10.0.0.1", "10.0.0.2", protocol::TCP, 3));
        assert!(allowed("10.0.0.1", "10.0.0.2", protocol::ICMP, 8));
        assert!(!allowed("10.0.0.1", "10.0.0.2", protocol::ICMP, 3));
        assert!(!allowed("10.0.0.1", "224.0.0.1", protocol::UDP, 0));
        assert!(!allowed("0.0.0.0", "10.0.0.2", protocol::UDP, 0));
        assert!(!allowed("127.0.0.1", "10.0.0.2", protocol::UDP, 0));
        assert!(allowed("2001:db8::1", "ff02::1", protocol::UDP, 0));
        assert!(allowed("2001:db8::1", "2001:db8::2", protocol::ICMPV6, 128));
        assert!(!allowed("2001:db8::1", "2001:db8::2", protocol::ICMPV6, 2));
        assert!(!allowed("::", "2001:db8::2", protocol::UDP, 0));
    }
}
