//! What selectors and NAT need from UDP, TCP, SCTP and ICMP: ports, and where the checksum stands.

use super::{be16, protocol};

/// Length of a UDP header.
pub const UDP_HEADER_LEN: usize = 8;

/// Source and destination port at the start of `payload`; for ICMP twice type * 256 + code (RFC 7296 §3.13.1).
/// `None` where the protocol has no ports or the payload ends before them.
#[inline]
pub fn ports(protocol: u8, payload: &[u8]) -> Option<(u16, u16)> {
    match protocol {
        protocol::TCP | protocol::UDP | protocol::SCTP | protocol::UDP_LITE | protocol::DCCP => {
            Some((be16(payload, 0)?, be16(payload, 2)?))
        }
        protocol::ICMP | protocol::ICMPV6 => {
            let type_code = be16(payload, 0)?;
            Some((type_code, type_code))
        }
        _ => None,
    }
}

/// Whether the protocol shows ports (or an ICMP type) when its header is there.
#[inline]
pub fn has_ports(protocol: u8) -> bool {
    ports(protocol, &[0; 4]).is_some()
}

/// A checksum that covers the pseudo header, and with it the IP addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PseudoHeaderChecksum {
    /// Where it stands in the transport header.
    pub at: usize,
    /// Whether zero means that the sender computed none (UDP in IPv4).
    pub zero_is_none: bool,
}

/// Where the checksum of a protocol stands, if it covers the addresses. (ICMP in IPv4 and SCTP cover none.)
pub fn pseudo_header_checksum(protocol: u8) -> Option<PseudoHeaderChecksum> {
    match protocol {
        protocol::TCP => Some(PseudoHeaderChecksum { at: 16, zero_is_none: false }),
        protocol::UDP => Some(PseudoHeaderChecksum { at: 6, zero_is_none: true }),
        protocol::UDP_LITE | protocol::DCCP => Some(PseudoHeaderChecksum { at: 6, zero_is_none: false }),
        protocol::ICMPV6 => Some(PseudoHeaderChecksum { at: 2, zero_is_none: false }),
        _ => None,
    }
}
