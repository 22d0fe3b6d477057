//! The Authentication Header (RFC 4302 §2), and the headers before it as its ICV covers them.
//!
//! ```text
//! next header 1 | length 1 | reserved 2 | SPI 4 | sequence number 4 | ICV | padding
//! ```
//! The ICV is computed over everything from the IP header to the end of the packet, with what may change on the way
//! set to zero or to its value at the receiver: [`Covered`] is that form of the headers. [`v4`] and [`v6`] know the
//! fields of each family (RFC 4302 §3.3.3.1 and Appendix A).

mod v4;
mod v6;

use core::fmt;

use ravelin_types::Spi;

use crate::ip;

/// The header without its ICV.
pub const FIXED_LEN: usize = 12;
/// The longest IP header with options or extension headers that AH is put behind.
pub const MAX_HEADERS_LEN: usize = 256;

/// Length of the whole header with an ICV of `icv_len` bytes: a multiple of 4 bytes in IPv4, of 8 in IPv6, with no more
/// padding than that takes (RFC 4302 §3.3.3.2.1).
#[inline]
pub fn header_len(icv_len: usize, ipv6: bool) -> usize {
    (FIXED_LEN + icv_len).next_multiple_of(if ipv6 { 8 } else { 4 })
}

/// The header without its ICV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AhHeader {
    /// Protocol of what follows.
    pub next_header: u8,
    /// Length of the whole header in bytes, ICV and padding included: a multiple of 4.
    pub len: usize,
    /// The receiver's label of the SA.
    pub spi: Spi,
    /// The low 32 bits of the sequence number.
    pub sequence: u32,
}

impl AhHeader {
    /// Reads the header at the start of `bytes`; `None` when it is shorter than [`FIXED_LEN`] or longer than `bytes`.
    /// The reserved field is ignored (RFC 4302 §2.3).
    pub fn parse(bytes: &[u8]) -> Option<AhHeader> {
        let &[next_header, words, _, _, a, b, c, d, e, f, g, h] = bytes.first_chunk()?;
        let len = (usize::from(words) + 2) * 4;
        (FIXED_LEN..=bytes.len()).contains(&len).then_some(AhHeader {
            next_header,
            len,
            spi: Spi(u32::from_be_bytes([a, b, c, d])),
            sequence: u32::from_be_bytes([e, f, g, h]),
        })
    }

    /// Writes the header up to the ICV.
    pub fn emit(self, out: &mut [u8; FIXED_LEN]) {
        debug_assert!(self.len.is_multiple_of(4) && (FIXED_LEN..=1028).contains(&self.len));
        out[..4].copy_from_slice(&[self.next_header, (self.len / 4 - 2) as u8, 0, 0]);
        out[4..8].copy_from_slice(&self.spi.0.to_be_bytes());
        out[8..].copy_from_slice(&self.sequence.to_be_bytes());
    }
}

/// The headers before AH as its ICV covers them.
pub struct Covered {
    bytes: [u8; MAX_HEADERS_LEN],
    len: usize,
    at_destination: bool,
}

impl Covered {
    /// Takes what of a packet stands before AH, from the version to the end of the last header.
    ///
    /// # Errors
    /// [`Uncoverable`] says what about the headers.
    pub fn new(headers: &[u8]) -> Result<Self, Uncoverable> {
        let mut covered = Covered { bytes: [0; MAX_HEADERS_LEN], len: headers.len(), at_destination: true };
        let bytes = covered.bytes.get_mut(..headers.len()).ok_or(Uncoverable::TooLong)?;
        bytes.copy_from_slice(headers);
        match headers.first().map(|version| version >> 4) {
            Some(4) if headers.len() >= ip::v4::HEADER_LEN => covered.at_destination = v4::cover(bytes)?,
            Some(6) if headers.len() >= ip::v6::HEADER_LEN => (covered.len, covered.at_destination) = v6::cover(bytes)?,
            _ => return Err(Uncoverable::Malformed),
        }
        Ok(covered)
    }

    /// The bytes for the ICV.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Whether no source route leads on from the destination address: only the last of a route's hosts opens AH.
    pub fn at_destination(&self) -> bool {
        self.at_destination
    }
}

/// Why AH cannot stand behind certain headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncoverable {
    /// They are longer than [`MAX_HEADERS_LEN`].
    TooLong,
    /// An option or a length in them is malformed.
    Malformed,
    /// A routing header of a type whose end nobody can predict: only type 0 is known (RFC 4302 Appendix A2).
    Routing,
}

impl fmt::Display for Uncoverable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Uncoverable::TooLong => "the headers before AH are too long",
            Uncoverable::Malformed => "a header before AH is malformed",
            Uncoverable::Routing => "the routing header is of a type that AH cannot cover",
        })
    }
}

impl core::error::Error for Uncoverable {}

#[cfg(test)]
mod tests;
