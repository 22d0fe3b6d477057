//! What selectors and NAT need from UDP, TCP, SCTP, ICMP and Mobility: ports, and where the checksum stands.

use super::{be16, protocol};

/// Length of a UDP header.
pub const UDP_HEADER_LEN: usize = 8;

/// What a packet shows to the port selectors of either end. A protocol with one field instead of two ports shows it as
/// its source's alone (RFC 4301 §4.4.1.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// Source port; ICMP and ICMPv6: type * 256 + code; Mobility Header: type * 256 (RFC 4301 §4.4.1.1).
    pub src: Option<u16>,
    /// Destination port.
    pub dst: Option<u16>,
}

impl Ports {
    /// Nothing is shown.
    pub const NONE: Ports = Ports { src: None, dst: None };

    /// Whether nothing is shown.
    #[inline]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// As the other end sees it.
    #[inline]
    pub fn swapped(self) -> Self {
        Ports { src: self.dst, dst: self.src }
    }
}

/// What is at the start of `payload`; nothing where the protocol has no such fields or the payload ends before them.
#[inline]
pub fn ports(protocol: u8, payload: &[u8]) -> Ports {
    match protocol {
        protocol::TCP | protocol::UDP | protocol::SCTP | protocol::UDP_LITE | protocol::DCCP => {
            match (be16(payload, 0), be16(payload, 2)) {
                (Some(src), Some(dst)) => Ports { src: Some(src), dst: Some(dst) },
                _ => Ports::NONE,
            }
        }
        protocol::ICMP | protocol::ICMPV6 => Ports { src: be16(payload, 0), dst: None },
        // RFC 6275 §6.1.1: the type follows next header and length.
        protocol::MOBILITY => Ports { src: payload.get(2).map(|kind| u16::from(*kind) << 8), dst: None },
        _ => Ports::NONE,
    }
}

/// Whether the protocol shows ports, or the one field that stands for them, when its header is there.
#[inline]
pub fn has_ports(protocol: u8) -> bool {
    !ports(protocol, &[0; 4]).is_none()
}

/// Whether the protocol has one field instead of two ports.
#[inline]
pub fn has_type(protocol: u8) -> bool {
    matches!(protocol, protocol::ICMP | protocol::ICMPV6 | protocol::MOBILITY)
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
