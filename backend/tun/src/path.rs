//! What is heard of the paths of our packets: ICMP messages that they were too big, as whole packets, which is how the
//! engine takes them. It decides which of them to believe (RFC 4301 §8.2.1).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::BorrowedFd;

use ravelin_wire::ip::{icmp, protocol, v4, v6};
use rustix::net::{RecvFlags, recvfrom};

use crate::sys::HOPS;

/// The longest message: RFC 4443 §2.4 (c) has none above the least MTU of IPv6, and of a longer one the checksum is wrong.
const LONGEST: usize = 2048;
/// Where an ICMPv6 message stands in the room, behind its IP header.
const BODY: usize = v6::HEADER_LEN;
/// Where the source address stands in an IPv6 header.
const SRC_AT: usize = 8;

/// Room for one message.
pub(crate) struct TooBig(Box<[u8]>);

impl TooBig {
    pub(crate) fn new() -> Self {
        TooBig(vec![0; LONGEST].into())
    }

    /// The next message of a raw ICMP socket; `None` when there is no more. What it cannot be about is empty.
    pub(crate) fn receive(&mut self, socket: BorrowedFd<'_>) -> Option<&[u8]> {
        let (_, len, from) = recvfrom(socket, &mut self.0[BODY..], RecvFlags::DONTWAIT).ok()?;
        let body = BODY..BODY + len;
        let from = from.and_then(|from| SocketAddr::try_from(from).ok());
        let Some(IpAddr::V6(src)) = from.map(|from| from.ip()) else { return Some(&self.0[body]) };
        // The sockets of IPv6 keep the IP header for themselves. The message went to whoever sent the packet that it
        // quotes; of one that did not, the checksum is wrong.
        let quoted_src = self.0[body.clone()].get(icmp::HEADER_LEN + SRC_AT..).and_then(<[u8]>::first_chunk::<16>);
        let Some(dst) = quoted_src.map(|octets| Ipv6Addr::from(*octets)) else { return Some(&[]) };
        let (next_header, payload_len) = (protocol::ICMPV6, len as u16);
        let fields = v6::Fields { tos: 0, payload_len, next_header, hop_limit: HOPS, src, dst };
        fields.emit(self.0.first_chunk_mut().expect("the room is longer than a header"));
        Some(&self.0[..body.end])
    }

    /// What a router would say of a packet of ours for which the link at hand is too narrow.
    pub(crate) fn about(&mut self, packet: &[u8], mtu: u16) -> Option<&[u8]> {
        let (src, dst) = match packet.first()? >> 4 {
            4 => {
                let &[.., a, b, c, d, e, f, g, h] = packet.first_chunk::<{ v4::HEADER_LEN }>()?;
                (IpAddr::from([a, b, c, d]), IpAddr::from([e, f, g, h]))
            }
            _ => {
                let address = |at: usize| packet.get(at..)?.first_chunk::<16>().map(|octets| IpAddr::from(*octets));
                (address(SRC_AT)?, address(SRC_AT + 16)?)
            }
        };
        let (at, len) = (icmp::overhead(src.is_ipv4()), icmp::quoted(src.is_ipv4(), packet.len()));
        self.0[at..at + len].copy_from_slice(&packet[..len]);
        let message = &mut self.0[..at + len];
        icmp::emit_too_big(message, src, dst, mtu);
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ravelin_wire::ip::Header;

    #[test]
    fn the_word_of_the_own_link_is_read_like_that_of_a_router() {
        let v4 = [0x45, 0, 5, 220, 0, 0, 0x40, 0, 64, 50, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 0, 16, 1, 0, 0, 0, 9];
        let mut v6 = vec![0x60, 0, 0, 0, 5, 180, 50, 64];
        v6.extend("fd00::1".parse::<Ipv6Addr>().unwrap().octets());
        v6.extend("fd00::2".parse::<Ipv6Addr>().unwrap().octets());
        v6.extend([0, 0, 16, 1, 0, 0, 0, 9]);
        for (packet, src) in [(&v4[..], "10.0.0.1"), (&v6[..], "fd00::1")] {
            let mut room = TooBig::new();
            let message = room.about(packet, 1300).unwrap();
            let header = Header::parse(message).unwrap();
            assert_eq!(header.dst, src.parse::<IpAddr>().unwrap());
            let parsed = icmp::parse_too_big(message, &header).unwrap();
            assert_eq!((parsed.mtu, parsed.quoted), (1300, packet));
        }
        assert!(TooBig::new().about(&[0x45; 19], 1300).is_none() && TooBig::new().about(&[], 1300).is_none());
    }
}
