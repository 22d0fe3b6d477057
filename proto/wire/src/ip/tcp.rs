//! The maximum segment size that a TCP handshake announces (RFC 9293 §3.7.1), lowered for a path that takes less.

use super::{Fragment, Header, be16, checksum, protocol, v4, v6};

const HEADER_LEN: usize = 20;
const FLAGS_AT: usize = 13;
const SYN: u8 = 0x02;
const CHECKSUM_AT: usize = 16;
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MSS: u8 = 2;
const MSS_LEN: u8 = 4;

/// The segment size that makes packets of `mtu` bytes, without options (RFC 6691 §2).
pub fn segment_size(mtu: u16, ipv4: bool) -> u16 {
    let headers = HEADER_LEN + if ipv4 { v4::HEADER_LEN } else { v6::HEADER_LEN };
    mtu.saturating_sub(headers as u16)
}

/// Lowers the segment size that the packet announces to `most`, and mends the checksum. Nothing happens to packets
/// that announce none or less, are no beginning of a connection, or whose options are malformed. True when changed.
pub fn clamp_segment_size(packet: &mut [u8], header: &Header, most: u16) -> bool {
    if header.protocol != protocol::TCP || header.fragment != Fragment::Whole {
        return false;
    }
    let Some(segment) = packet.get_mut(header.payload_at..header.total_len) else { return false };
    let Some(&[.., offset, flags]) = segment.get(..=FLAGS_AT) else { return false };
    let options_end = usize::from(offset >> 4) * 4;
    if flags & SYN == 0 || options_end < HEADER_LEN || options_end > segment.len() {
        return false;
    }
    let Some(at) = announced_at(&segment[..options_end]) else { return false };
    let (Some(announced), Some(sum)) = (be16(segment, at), be16(segment, CHECKSUM_AT)) else { return false };
    if announced <= most {
        return false;
    }
    // Sums take words at even places; at an odd place the bytes of both values trade theirs.
    let (old, new) = if at % 2 == 0 { (announced, most) } else { (announced.swap_bytes(), most.swap_bytes()) };
    let sum = checksum::update(sum, old, new);
    segment[at..at + 2].copy_from_slice(&most.to_be_bytes());
    segment[CHECKSUM_AT..CHECKSUM_AT + 2].copy_from_slice(&sum.to_be_bytes());
    true
}

/// Where the size stands, if all options before it are well formed.
fn announced_at(header: &[u8]) -> Option<usize> {
    let mut at = HEADER_LEN;
    loop {
        match *header.get(at..)? {
            [END, ..] => return None,
            [NO_OPERATION, ..] => at += 1,
            [MSS, MSS_LEN, _, _, ..] => return Some(at + 2),
            [MSS, ..] => return None,
            [_, len, ..] if len >= 2 => at += usize::from(len),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// A SYN with these options (a multiple of four bytes) and a good checksum.
    fn syn(ipv4: bool, flags: u8, options: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; if ipv4 { 20 } else { 40 }];
        let len = HEADER_LEN + options.len() + 3;
        if ipv4 {
            packet[0] = 0x45;
            packet[3] = (20 + len) as u8;
            packet[9] = protocol::TCP;
            packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        } else {
            packet[0] = 0x60;
            packet[5] = len as u8;
            packet[6] = protocol::TCP;
            packet[23] = 1;
        }
        let at = packet.len();
        packet.extend([0; HEADER_LEN]);
        packet[at + 12] = ((HEADER_LEN + options.len()) / 4 * 16) as u8;
        packet[at + FLAGS_AT] = flags;
        packet.extend(options);
        packet.extend(b"abc");
        let sum = checksum::finish(sum(&packet));
        packet[at + CHECKSUM_AT..at + 18].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    /// Over the pseudo header too.
    fn sum(packet: &[u8]) -> u64 {
        let header = Header::parse(packet).unwrap();
        let segment = &packet[header.payload_at..];
        checksum::sum_address(header.src)
            + checksum::sum_address(header.dst)
            + 6
            + segment.len() as u64
            + checksum::sum(segment)
    }

    fn clamp(packet: &mut [u8], most: u16) -> bool {
        let header = Header::parse(packet).unwrap();
        clamp_segment_size(packet, &header, most)
    }

    #[test]
    fn the_size_is_lowered_and_the_checksum_holds() {
        for ipv4 in [true, false] {
            // At an even and at an odd place, in a SYN and a SYN-ACK.
            for options in [[2, 4, 5, 180, 1, 1, 1, 1], [1, 2, 4, 5, 180, 1, 1, 1], [3, 3, 7, 2, 4, 5, 180, 0]] {
                for flags in [0x02, 0x12] {
                    for most in [1459, 1000, 536, 0x0100, 1] {
                        let mut packet = syn(ipv4, flags, &options);
                        assert!(clamp(&mut packet, most));
                        assert_eq!(checksum::finish(sum(&packet)), 0);
                        let again = packet.clone();
                        assert!(!clamp(&mut packet, most));
                        assert_eq!(packet, again);
                        let mut expected = options.to_vec();
                        let at = expected.windows(2).position(|w| w == [5, 180]).unwrap();
                        expected[at..at + 2].copy_from_slice(&most.to_be_bytes());
                        let start = if ipv4 { 40 } else { 60 };
                        assert_eq!(&packet[start..start + 8], expected);
                    }
                }
            }
        }
    }

    #[test]
    fn everything_else_is_left_alone() {
        let left = |packet: Vec<u8>| {
            let mut changed = packet.clone();
            !clamp(&mut changed, 500) && changed == packet
        };
        assert!(left(syn(true, 0x10, &[2, 4, 5, 180])), "no SYN");
        assert!(left(syn(true, 0x02, &[])), "no options");
        assert!(left(syn(true, 0x02, &[0, 2, 4, 5, 180, 0, 0, 0])), "behind the end of the options");
        assert!(left(syn(true, 0x02, &[2, 3, 5, 180])), "wrong length");
        assert!(left(syn(true, 0x02, &[1, 1, 2, 4])), "cut short by the header's end");
        assert!(left(syn(true, 0x02, &[8, 0, 2, 4, 5, 180, 1, 1])), "an option without length");
        assert!(left(syn(true, 0x02, &[8, 40, 2, 4, 5, 180, 1, 1])), "an option beyond the end");
        assert!(left(syn(true, 0x02, &[2, 4, 1, 0])), "small enough");
        let mut beyond = syn(true, 0x02, &[2, 4, 5, 180]);
        beyond[32] = 0xf0;
        assert!(left(beyond), "a header longer than the packet");
        let mut udp = syn(true, 0x02, &[2, 4, 5, 180]);
        udp[9] = protocol::UDP;
        assert!(left(udp));
        let mut later = syn(true, 0x02, &[2, 4, 5, 180]);
        later[7] = 1;
        assert!(left(later));
    }

    #[test]
    fn sizes_leave_room_for_the_headers() {
        assert_eq!((segment_size(1500, true), segment_size(1500, false), segment_size(30, true)), (1460, 1440, 0));
    }
}
