//! The IPv6 header and its extension headers (RFC 8200 §3 and §4).

use core::net::{IpAddr, Ipv6Addr};

use super::{Fragment, Header, Malformed, be16, is_extension, protocol};

/// Length of the fixed header.
pub const HEADER_LEN: usize = 40;
/// Offset of the payload length.
pub const PAYLOAD_LEN_AT: usize = 4;
/// Offset of the next header.
pub const NEXT_HEADER_AT: usize = 6;
/// Extension headers walked before a packet is given up: RFC 8200 §4.1 knows seven places for one.
pub const MAX_EXTENSION_HEADERS: usize = 8;

/// Length of a fragment header.
pub const FRAGMENT_HEADER_LEN: usize = 8;

/// Parses the header of the packet that starts `bytes`, whose version nibble is 6, and walks its extension headers.
/// Jumbograms (RFC 2675) are not served: their payload is taken as empty.
///
/// # Errors
/// When a length does not fit or the extension headers are not in order.
#[inline(never)]
pub fn parse(bytes: &[u8]) -> Result<Header, Malformed> {
    let fixed: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(Malformed::Truncated)?;
    let total_len = HEADER_LEN + usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
    let packet = bytes.get(..total_len).ok_or(Malformed::Truncated)?;
    let mut header = Header {
        src: IpAddr::V6(address(fixed, 8)),
        dst: IpAddr::V6(address(fixed, 24)),
        tos: fixed[0] << 4 | fixed[1] >> 4,
        ttl: fixed[7],
        protocol: fixed[NEXT_HEADER_AT],
        protocol_at: NEXT_HEADER_AT,
        payload_at: HEADER_LEN,
        total_len,
        fragment: Fragment::Whole,
        dont_fragment: true,
        esp_at: HEADER_LEN,
        esp_protocol: fixed[NEXT_HEADER_AT],
        esp_protocol_at: NEXT_HEADER_AT,
    };
    if is_extension(header.protocol) {
        walk(packet, &mut header)?;
    }
    Ok(header)
}

fn walk(packet: &[u8], header: &mut Header) -> Result<(), Malformed> {
    for walked in 0..MAX_EXTENSION_HEADERS {
        let (kind, at) = (header.protocol, header.payload_at);
        if kind == protocol::HOP_BY_HOP && walked > 0 {
            return Err(Malformed::Extensions);
        }
        let rest = packet.get(at..).ok_or(Malformed::Truncated)?;
        let &[next, units, ..] = rest else { return Err(Malformed::Truncated) };
        let len = if kind == protocol::FRAGMENT { FRAGMENT_HEADER_LEN } else { (usize::from(units) + 1) * 8 };
        if len > rest.len() {
            return Err(Malformed::Truncated);
        }
        header.protocol = next;
        header.protocol_at = at;
        header.payload_at = at + len;
        if kind != protocol::DESTINATION_OPTIONS {
            // RFC 4303 §3.1.1: ESP stands behind these, and so behind what stands before them too.
            (header.esp_at, header.esp_protocol, header.esp_protocol_at) = (at + len, next, at);
        }
        if kind == protocol::FRAGMENT {
            let offset = be16(rest, 2).ok_or(Malformed::Truncated)?;
            header.fragment = match (offset >> 3, offset & 1) {
                (0, 0) => header.fragment,
                (0, _) => Fragment::First,
                // What follows is the middle of a datagram and not a header.
                _ => {
                    header.fragment = Fragment::Later;
                    return Ok(());
                }
            };
        }
        if !is_extension(next) {
            return Ok(());
        }
    }
    Err(Malformed::Extensions)
}

/// Where the first fragment header of the IPv6 packet `packet` stands, and where the byte that names it.
pub fn fragment_header(packet: &[u8]) -> Option<(usize, usize)> {
    let (mut at, mut named_at) = (HEADER_LEN, NEXT_HEADER_AT);
    for _ in 0..MAX_EXTENSION_HEADERS {
        match *packet.get(named_at)? {
            protocol::FRAGMENT => return Some((at, named_at)),
            kind if !is_extension(kind) => return None,
            _ => (at, named_at) = (at + (usize::from(*packet.get(at + 1)?) + 1) * 8, at),
        }
    }
    None
}

fn address(fixed: &[u8; HEADER_LEN], at: usize) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&fixed[at..at + 16]);
    Ipv6Addr::from(octets)
}

/// The fields of a fixed header, for [`Fields::emit`]. The flow label is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// Traffic class: DSCP and ECN.
    pub tos: u8,
    /// Everything behind the fixed header.
    pub payload_len: u16,
    /// Protocol of what follows.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub src: Ipv6Addr,
    /// Destination address.
    pub dst: Ipv6Addr,
}

impl Fields {
    /// Writes the header.
    pub fn emit(&self, out: &mut [u8; HEADER_LEN]) {
        out[0] = 0x60 | self.tos >> 4;
        out[1] = self.tos << 4;
        out[2..4].fill(0);
        out[4..6].copy_from_slice(&self.payload_len.to_be_bytes());
        out[NEXT_HEADER_AT] = self.next_header;
        out[7] = self.hop_limit;
        out[8..24].copy_from_slice(&self.src.octets());
        out[24..40].copy_from_slice(&self.dst.octets());
    }
}

/// Changes the traffic class of the header that `header` starts with.
#[inline]
pub fn set_tos(header: &mut [u8; HEADER_LEN], tos: u8) {
    header[0] = 0x60 | tos >> 4;
    header[1] = header[1] & 0x0f | tos << 4;
}
