//! Whole messages (RFC 7296 §3.1), and the outside of the Encrypted payload (§3.14; RFC 7383 §2.5 for fragments).
//!
//! ```text
//!   header | cleartext payloads | generic header of SK | IV | ciphertext | ICV
//!   header | cleartext payloads | generic header of SKF | number, total | IV | ciphertext | ICV
//!   └──────────────────── head ───────────────────────────────────────┘ └──────── body ─────┘
//! ```
//! The head is what an AEAD cipher takes as associated data; other ciphers sign head, IV and ciphertext.

use alloc::vec::Vec;

use super::super::chain::{Chain, GENERIC_HEADER_LEN};
use super::super::error::Malformed;
use super::super::header::{Header, PayloadType};
use super::super::reader::Reader;
use super::Payload;
use super::chain::{End, walk};

/// A received message of version 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The header.
    pub header: Header,
    /// The payloads in clear: all of them in IKE_SA_INIT, normally none in other exchanges.
    pub payloads: Vec<Payload>,
    /// The Encrypted payload, not yet verified.
    pub protected: Option<Protected>,
}

/// The Encrypted payload of a received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protected {
    /// Type of the first payload inside.
    pub first: PayloadType,
    /// Which part of a message this is, for SKF.
    pub fragment: Option<Fragment>,
    /// Offset of the IV in the datagram. What precedes is the head; the body runs to the end of the datagram.
    pub body_at: usize,
    /// Type of a payload before it that has to be understood and is not (RFC 7296 §2.5).
    pub critical: Option<PayloadType>,
}

/// The numbers of a fragment: `1 <= number <= total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    number: u16,
    total: u16,
}

impl Fragment {
    /// Fragment `number` of `total`; `None` unless `1 <= number <= total`.
    pub fn new(number: u16, total: u16) -> Option<Self> {
        (1 <= number && number <= total).then_some(Fragment { number, total })
    }

    /// Which one, from 1.
    pub fn number(self) -> u16 {
        self.number
    }

    /// How many there are.
    pub fn total(self) -> u16 {
        self.total
    }
}

impl Message {
    /// Reads a datagram (after a non-ESP marker). A caller that serves other versions too, or wants to answer them
    /// with INVALID_MAJOR_VERSION, reads [`Header::parse`] first.
    ///
    /// # Errors
    /// When the datagram is not a well-formed message of major version 2.
    pub fn parse(datagram: &[u8]) -> Result<Self, Malformed> {
        let (header, first) = Header::parse(datagram)?;
        let mut r = Reader::new(datagram, 0, PayloadType::NONE);
        r.take(Header::LEN)?;
        if header.version.major() != 2 {
            return Err(Malformed { payload: PayloadType::NONE, offset: 17, reason: "major version is not 2" });
        }
        let (payloads, end) = walk(first, r)?;
        let protected = match end {
            End::Clean => None,
            End::Protected { kind, first, mut body } => {
                let fragment = if kind == PayloadType::SKF { Some(parse_fragment(&mut body)?) } else { None };
                let critical = |payload: &Payload| matches!(payload, Payload::Unknown { critical: true, .. });
                let critical = payloads.iter().find(|payload| critical(payload)).map(Payload::kind);
                Some(Protected { first, fragment, body_at: body.offset(), critical })
            }
        };
        Ok(Message { header, payloads, protected })
    }
}

fn parse_fragment(r: &mut Reader<'_>) -> Result<Fragment, Malformed> {
    let at = r.clone();
    let (number, total) = (r.u16()?, r.u16()?);
    // RFC 7383 §2.6: neither is zero, and the number is not above the total.
    Fragment::new(number, total).ok_or_else(|| at.malformed("fragment number not in 1..=total"))
}

/// A message in clear.
pub fn emit(header: &Header, chain: &Chain) -> Vec<u8> {
    let len = Header::LEN + chain.bytes().len();
    let mut out = Vec::with_capacity(len);
    // A chain is at most MAX_CHAIN_LEN bytes.
    header.emit(chain.first(), len as u32, &mut out);
    out.extend_from_slice(chain.bytes());
    out
}

/// The head of a protected message, ready for the body to be appended: header and generic header with the lengths
/// they will have once `body_len` bytes of IV, ciphertext and ICV follow. `first` is the type of the first payload
/// inside, [`Chain::first`]; `fragment` makes it an SKF.
///
/// # Panics
/// When the body does not fit a 16-bit length. A [`Chain`] and its protection always do.
pub fn emit_head(header: &Header, first: PayloadType, fragment: Option<Fragment>, body_len: usize) -> Vec<u8> {
    emit_head_behind(header, &Chain::default(), first, fragment, body_len)
}

/// The same behind payloads in clear, which are protected from changes alone.
///
/// # Panics
/// As [`emit_head`].
pub fn emit_head_behind(
    header: &Header,
    clear: &Chain,
    first: PayloadType,
    fragment: Option<Fragment>,
    body_len: usize,
) -> Vec<u8> {
    let (kind, fields) = match fragment {
        None => (PayloadType::SK, 0),
        Some(_) => (PayloadType::SKF, 4),
    };
    let payload_len = GENERIC_HEADER_LEN + fields + body_len;
    let field = u16::try_from(payload_len).expect("a chain is short enough for its protection to fit 16 bits");
    let len = Header::LEN + clear.bytes().len() + payload_len;
    let mut out = Vec::with_capacity(len);
    let outer = if clear.bytes().is_empty() { kind } else { clear.first() };
    header.emit(outer, len as u32, &mut out);
    clear.emit_before(kind, &mut out);
    // RFC 7383 §2.5: only the first fragment names the type of the first payload.
    let first = if fragment.is_some_and(|f| f.number > 1) { PayloadType::NONE } else { first };
    out.extend_from_slice(&[first.0, 0]);
    out.extend_from_slice(&field.to_be_bytes());
    if let Some(fragment) = fragment {
        out.extend_from_slice(&fragment.number.to_be_bytes());
        out.extend_from_slice(&fragment.total.to_be_bytes());
    }
    out
}
