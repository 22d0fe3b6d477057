//! IP headers as far as IPsec needs them: where the parts of a packet lie, and which flow it belongs to.
//!
//! ```text
//! packet ──► parse ──► Header (offsets, addresses, fragment) ──► flow ──► Flow (what selectors are matched against)
//! ```
//! [`v4`] and [`v6`] know the headers, [`transport`] the ports and checksums behind them, [`checksum`] the sums.
//! Nothing here fails on an odd but whole packet; what does not fit its own lengths is [`Malformed`].

pub mod checksum;
pub mod fragment;
pub mod icmp;
pub mod tcp;
pub mod transport;
pub mod v4;
pub mod v6;

use core::fmt;
use core::net::IpAddr;

use ravelin_types::dataplane::Flow;

use transport::Ports;

/// IANA protocol numbers that IPsec has to tell apart.
pub mod protocol {
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// IPv4 inside IP: the next header of a tunnel-mode ESP packet.
    pub const IPV4: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 inside IP: the next header of a tunnel-mode ESP packet.
    pub const IPV6: u8 = 41;
    /// IPv6 routing header.
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header.
    pub const FRAGMENT: u8 = 44;
    /// Encapsulating Security Payload.
    pub const ESP: u8 = 50;
    /// Authentication Header.
    pub const AH: u8 = 51;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// IPv6 "no next header"; in ESP a dummy packet (RFC 4303 §2.6).
    pub const NO_NEXT_HEADER: u8 = 59;
    /// IPv6 destination options.
    pub const DESTINATION_OPTIONS: u8 = 60;
    /// IP payload compression (RFC 3173).
    pub const IPCOMP: u8 = 108;
    /// In ESP, packets that share payloads or are spread over them (RFC 9347 §6.1).
    pub const AGGFRAG: u8 = 144;
    /// IPv6 Mobility Header (RFC 6275 §6.1); it ends the chain of headers.
    pub const MOBILITY: u8 = 135;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// UDP-Lite.
    pub const UDP_LITE: u8 = 136;
    /// DCCP.
    pub const DCCP: u8 = 33;
}

/// Whether the protocol is an IPv6 extension header that [`v6::parse`] walks.
#[inline]
pub fn is_extension(kind: u8) -> bool {
    matches!(kind, protocol::HOP_BY_HOP | protocol::ROUTING | protocol::FRAGMENT | protocol::DESTINATION_OPTIONS)
}

/// Which part of a datagram a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// All of it.
    Whole,
    /// Its beginning, with the transport header; more follows.
    First,
    /// A later part; the transport header is in another packet.
    Later,
}

/// What an IP header says, with the places of its parts. All offsets lie inside the packet that was parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Source address.
    pub src: IpAddr,
    /// Destination address: the one in the fixed header, also where a routing header names further ones.
    pub dst: IpAddr,
    /// DSCP and ECN: the TOS byte of IPv4, the traffic class of IPv6.
    pub tos: u8,
    /// TTL of IPv4, hop limit of IPv6.
    pub ttl: u8,
    /// Protocol of the payload, behind all extension headers that were walked.
    pub protocol: u8,
    /// Where the byte stands that names `protocol`.
    pub protocol_at: usize,
    /// Where the payload begins.
    pub payload_at: usize,
    /// Length of the whole packet by its own header; bytes beyond it are not part of it.
    pub total_len: usize,
    /// Which part of a datagram this is.
    pub fragment: Fragment,
    /// Whether IPv4 forbids fragmentation on the way; always so in IPv6.
    pub dont_fragment: bool,
    /// Where ESP in transport mode goes: behind the IPv4 header, or behind the hop-by-hop, routing and fragment
    /// headers of IPv6 (RFC 4303 §3.1.1).
    pub esp_at: usize,
    /// The protocol of what is at `esp_at`.
    pub esp_protocol: u8,
    /// Where the byte stands that names the protocol of what is at `esp_at`.
    pub esp_protocol_at: usize,
}

impl Header {
    /// Parses the header of the packet that starts `bytes`.
    ///
    /// # Errors
    /// When the version is neither 4 nor 6, or a length does not fit.
    // Always inlined: as a result in memory it would take longer to write and read than to find out.
    #[inline(always)]
    pub fn parse(bytes: &[u8]) -> Result<Header, Malformed> {
        match bytes.first().ok_or(Malformed::Truncated)? >> 4 {
            4 => v4::parse(bytes),
            6 => v6::parse(bytes),
            _ => Err(Malformed::Version),
        }
    }

    /// The ports of the packet `bytes`, from which this header was parsed; see [`transport::ports`]. None too where
    /// the packet is not the beginning of a datagram.
    #[inline]
    pub fn ports(&self, bytes: &[u8]) -> Ports {
        match (self.fragment, bytes.get(self.payload_at..self.total_len)) {
            (Fragment::Whole | Fragment::First, Some(payload)) => transport::ports(self.protocol, payload),
            _ => Ports::NONE,
        }
    }

    /// The datagram of the packet `bytes`, from which this header was parsed; `None` when it is an IPv6 packet without a
    /// fragment header.
    pub fn datagram(&self, bytes: &[u8]) -> Option<Datagram> {
        let Header { src, dst, protocol, .. } = *self;
        if src.is_ipv4() {
            return Some(Datagram { src, dst, id: be16(bytes, v4::ID_AT)?.into(), protocol });
        }
        let (at, _) = v6::fragment_header(bytes)?;
        let id = u32::from_be_bytes(*bytes.get(at + 4..)?.first_chunk()?);
        Some(Datagram { src, dst, id, protocol: 0 })
    }

    /// The flow of the packet `bytes`, from which this header was parsed. Ports are `None` where the packet is not
    /// the beginning of a datagram, its protocol has none, or it ends before them.
    pub fn flow(&self, bytes: &[u8]) -> Flow {
        let Ports { src: src_port, dst: dst_port } = self.ports(bytes);
        Flow { src: self.src, dst: self.dst, protocol: self.protocol, src_port, dst_port }
    }
}

/// The flow of a packet of which only the start is there, as errors quote it.
pub fn quoted_flow(start: &[u8]) -> Option<Flow> {
    let mut quote = [0; QUOTE];
    let len = start.len().min(QUOTE);
    quote[..len].copy_from_slice(&start[..len]);
    // What is there is taken for the whole.
    let (at, total) = match start.first()? >> 4 {
        4 => (v4::TOTAL_LEN_AT, len),
        _ => (v6::PAYLOAD_LEN_AT, len.checked_sub(v6::HEADER_LEN)?),
    };
    quote[at..at + 2].copy_from_slice(&(total as u16).to_be_bytes());
    let quote = &quote[..len];
    Header::parse(quote).ok().map(|header| header.flow(quote))
}

/// What [`quoted_flow`] looks at: the longest header of IPv4 and more.
const QUOTE: usize = 128;

/// What tells a datagram that travels in fragments from others (RFC 791 §3.2, RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Datagram {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Identification: 16 bits in IPv4, 32 in IPv6.
    pub id: u32,
    /// Protocol in IPv4; 0 in IPv6, where it does not count.
    pub protocol: u8,
}

/// Why bytes are not an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than its headers, or than the length it states.
    Truncated,
    /// Neither version 4 nor 6.
    Version,
    /// A header length is below its minimum or above the packet's.
    Length,
    /// More extension headers than [`v6::MAX_EXTENSION_HEADERS`], or hop-by-hop options that are not the first.
    Extensions,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::Truncated => "the packet is shorter than its headers say",
            Malformed::Version => "the IP version is neither 4 nor 6",
            Malformed::Length => "a header length is impossible",
            Malformed::Extensions => "too many or misplaced IPv6 extension headers",
        })
    }
}

impl core::error::Error for Malformed {}

#[inline]
fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests;
