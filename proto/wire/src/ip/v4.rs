//! The IPv4 header (RFC 791 §3.1).

use core::net::{IpAddr, Ipv4Addr};

use super::{Fragment, Header, Malformed, be16, checksum};

/// Length of a header without options.
pub const HEADER_LEN: usize = 20;
/// Offset of the TOS byte.
pub const TOS_AT: usize = 1;
/// Offset of the total length.
pub const TOTAL_LEN_AT: usize = 2;
/// Offset of the identification.
pub const ID_AT: usize = 4;
/// Offset of the protocol.
pub const PROTOCOL_AT: usize = 9;
/// Offset of the header checksum.
pub const CHECKSUM_AT: usize = 10;
/// Offset of the flags and the fragment offset.
pub const FLAGS_AT: usize = 6;
/// Offset of the source address; the destination's is behind it.
pub const SRC_AT: usize = 12;
/// The flag that forbids fragmentation, in the 16 bits at [`FLAGS_AT`].
pub const DONT_FRAGMENT: u16 = 0x4000;
/// The flag of all fragments but the last.
pub const MORE_FRAGMENTS: u16 = 0x2000;
/// Where the payload of a fragment goes, in units of eight bytes.
pub const FRAGMENT_OFFSET: u16 = 0x1fff;

/// Parses the header of the packet that starts `bytes`, whose version nibble is 4.
///
/// # Errors
/// When a length does not fit. The header checksum is not looked at: a stack has done so before.
#[inline(always)]
pub fn parse(bytes: &[u8]) -> Result<Header, Malformed> {
    let fixed: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(Malformed::Truncated)?;
    let header_len = usize::from(fixed[0] & 0x0f) * 4;
    let total_len = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    if header_len < HEADER_LEN || total_len < header_len {
        return Err(Malformed::Length);
    }
    if total_len > bytes.len() {
        return Err(Malformed::Truncated);
    }
    let flags = u16::from_be_bytes([fixed[6], fixed[7]]);
    let fragment = match (flags & FRAGMENT_OFFSET, flags & MORE_FRAGMENTS) {
        (0, 0) => Fragment::Whole,
        (0, _) => Fragment::First,
        _ => Fragment::Later,
    };
    Ok(Header {
        src: IpAddr::V4(Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15])),
        dst: IpAddr::V4(Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19])),
        tos: fixed[TOS_AT],
        ttl: fixed[8],
        protocol: fixed[PROTOCOL_AT],
        protocol_at: PROTOCOL_AT,
        payload_at: header_len,
        total_len,
        fragment,
        dont_fragment: flags & DONT_FRAGMENT != 0,
        esp_at: header_len,
        esp_protocol: fixed[PROTOCOL_AT],
        esp_protocol_at: PROTOCOL_AT,
    })
}

/// The fields of a header without options, for [`Fields::emit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// DSCP and ECN.
    pub tos: u8,
    /// Header and payload.
    pub total_len: u16,
    /// Identification.
    pub id: u16,
    /// Whether routers must not fragment it.
    pub dont_fragment: bool,
    /// Time to live.
    pub ttl: u8,
    /// Protocol of the payload.
    pub protocol: u8,
    /// Source address.
    pub src: Ipv4Addr,
    /// Destination address.
    pub dst: Ipv4Addr,
}

impl Fields {
    /// Writes the header with its checksum.
    pub fn emit(&self, out: &mut [u8; HEADER_LEN]) {
        let flags = if self.dont_fragment { DONT_FRAGMENT } else { 0 };
        *out = [0; HEADER_LEN];
        out[0] = 0x45;
        out[TOS_AT] = self.tos;
        out[2..4].copy_from_slice(&self.total_len.to_be_bytes());
        out[4..6].copy_from_slice(&self.id.to_be_bytes());
        out[6..8].copy_from_slice(&flags.to_be_bytes());
        out[8] = self.ttl;
        out[PROTOCOL_AT] = self.protocol;
        out[12..16].copy_from_slice(&self.src.octets());
        out[16..20].copy_from_slice(&self.dst.octets());
        let sum = checksum::finish(checksum::sum(out));
        out[CHECKSUM_AT..12].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Writes a new total length and protocol into the header (options included) that `header` is, and its checksum.
pub fn rewrite(header: &mut [u8], total_len: u16, protocol: u8) {
    debug_assert!(header.len() >= HEADER_LEN);
    header[TOTAL_LEN_AT..4].copy_from_slice(&total_len.to_be_bytes());
    header[PROTOCOL_AT] = protocol;
    header[CHECKSUM_AT..12].fill(0);
    let sum = checksum::finish(checksum::sum(header));
    header[CHECKSUM_AT..12].copy_from_slice(&sum.to_be_bytes());
}

/// Changes the TOS byte of the header that `header` starts with, and mends its checksum (RFC 1624 §3).
pub fn set_tos(header: &mut [u8; HEADER_LEN], tos: u8) {
    let old = u16::from_be_bytes([header[0], header[TOS_AT]]);
    header[TOS_AT] = tos;
    let new = u16::from_be_bytes([header[0], tos]);
    let sum = be16(header, CHECKSUM_AT).unwrap_or_default();
    header[CHECKSUM_AT..12].copy_from_slice(&checksum::update(sum, old, new).to_be_bytes());
}
