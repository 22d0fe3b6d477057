//! The traffic: UDP packets that carry a mark, a number and a pattern made of it.

use core::net::IpAddr;

use ravelin_wire::ip::{Header, checksum, protocol, v4, v6};
use ravelin_wire::udp_encap::{UDP_HEADER_LEN, emit_header};

/// Stands at the start of every payload; were it seen on the wire, something went out in the clear.
pub const MARK: &[u8; 16] = b"RAVELIN CLEAR  >";

const PORT: u16 = 7777;
const NUMBER_AT: usize = UDP_HEADER_LEN + MARK.len();

/// The packet with this number, of this flow.
pub fn packet(flow: u16, src: IpAddr, dst: IpAddr, number: u64) -> Vec<u8> {
    let mut udp = vec![0; UDP_HEADER_LEN];
    udp.extend(MARK);
    udp.extend(number.to_be_bytes());
    udp.extend((0..number % 1000).map(|i| (number.wrapping_mul(31) + i) as u8));
    let len = udp.len() as u16;
    if let Some(header) = udp.first_chunk_mut() {
        emit_header(header, PORT + flow, PORT + flow, len);
    }
    let pseudo = checksum::sum_address(src) + checksum::sum_address(dst) + u64::from(protocol::UDP) + u64::from(len);
    let sum = checksum::finish(pseudo + checksum::sum(&udp));
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
    let mut packet = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let mut header = [0; v4::HEADER_LEN];
            let total_len = len + header.len() as u16;
            let id = number as u16;
            v4::Fields { tos: 0, total_len, id, dont_fragment: false, ttl: 64, protocol: protocol::UDP, src, dst }
                .emit(&mut header);
            header.to_vec()
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let mut header = [0; v6::HEADER_LEN];
            v6::Fields { tos: 0, payload_len: len, next_header: protocol::UDP, hop_limit: 64, src, dst }
                .emit(&mut header);
            header.to_vec()
        }
        _ => unreachable!("a scenario gives both ends of the traffic one family"),
    };
    packet.extend(udp);
    packet
}

/// The flow of a packet of ours.
pub fn flow(packet: &[u8]) -> Option<u16> {
    let header = Header::parse(packet).ok()?;
    let port = packet.get(header.payload_at..)?.first_chunk()?;
    u16::from_be_bytes(*port).checked_sub(PORT)
}

/// The number of a packet of ours; `None` when it is none.
pub fn number(packet: &[u8]) -> Option<u64> {
    let header = Header::parse(packet).ok()?;
    let payload = packet.get(header.payload_at..header.total_len)?;
    if header.protocol != protocol::UDP || payload.get(UDP_HEADER_LEN..NUMBER_AT)? != MARK {
        return None;
    }
    payload.get(NUMBER_AT..)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// Whether the IP header is whole, and that of IPv4 undamaged by its checksum.
pub fn intact(packet: &[u8]) -> bool {
    Header::parse(packet).is_ok_and(|header| {
        header.src.is_ipv6()
            || packet.get(..v4::HEADER_LEN).is_some_and(|fixed| checksum::fold(checksum::sum(fixed)) == 0xffff)
    })
}

/// The packet without what ESP in transport mode does not protect and the way may change: traffic class, flow label and
/// hop limit of IPv6. In IPv4 a change to the header breaks its checksum.
pub fn lasting(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if let [version, class, flow @ ..] = packet.as_mut_slice()
        && *version >> 4 == 6
        && flow.len() > 6
    {
        *version = 0x60;
        *class = 0;
        flow[..2].fill(0);
        flow[5] = 0;
    }
    packet
}

/// Whether the mark can be seen anywhere in the bytes.
pub fn shows_mark(bytes: &[u8]) -> bool {
    bytes.windows(MARK.len()).any(|window| window == MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_has_its_number_and_its_mark() {
        for (src, dst) in [("10.0.0.1", "10.0.0.2"), ("fd01::1", "fd01::2")] {
            let packet = packet(1, src.parse().unwrap(), dst.parse().unwrap(), 0x1234);
            assert_eq!((number(&packet), flow(&packet)), (Some(0x1234), Some(1)));
            assert!(shows_mark(&packet));
            assert_eq!(number(&packet[1..]), None);
        }
    }
}
