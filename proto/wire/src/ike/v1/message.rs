//! Whole messages (RFC 2408 §3.1), and where each payload stands in its bytes.

use alloc::vec::Vec;
use core::ops::Range;

use super::super::chain::GENERIC_HEADER_LEN;
use super::super::error::Malformed;
use super::super::header::{Flags, Header, PayloadType};
use super::super::reader::Reader;
use super::{Chain, Payload, emit};
use crate::limits;

const WORD: usize = 4;

/// A received message of version 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The header.
    pub header: Header,
    /// What follows it.
    pub content: Content,
}

/// Everything after the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Payloads in clear; their places count from the start of the datagram.
    Clear(Payloads),
    /// Ciphertext; the first payload in it has this type.
    Encrypted(PayloadType),
}

/// The payloads of one message in order, and where they were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payloads {
    payloads: Vec<Payload>,
    bodies: Vec<Range<usize>>,
    end: usize,
}

impl Payloads {
    /// Reads a decrypted chain, the first payload of which has type `first`. What follows the last payload is padding
    /// and ignored (RFC 2409 appendix B).
    ///
    /// # Errors
    /// When it is not a chain. Offsets count from the start of `bytes`.
    pub fn parse(first: PayloadType, bytes: &[u8]) -> Result<Self, Malformed> {
        walk(first, &mut Reader::new(bytes, 0, PayloadType::NONE))
    }

    /// All payloads.
    pub fn all(&self) -> &[Payload] {
        &self.payloads
    }

    /// Where the body of the payload at `index` is.
    pub fn body(&self, index: usize) -> Option<Range<usize>> {
        self.bodies.get(index).cloned()
    }

    /// Where the last payload ends, and padding begins.
    pub fn end(&self) -> usize {
        self.end
    }
}

impl Message {
    /// Reads a datagram (after a non-ESP marker).
    ///
    /// # Errors
    /// When the datagram is not a well-formed message of major version 1.
    pub fn parse(datagram: &[u8]) -> Result<Self, Malformed> {
        let (header, first) = Header::parse(datagram)?;
        let mut r = Reader::new(datagram, 0, PayloadType::NONE);
        r.take(Header::LEN)?;
        if header.version.major() != 1 {
            return Err(Malformed { payload: PayloadType::NONE, offset: 17, reason: "major version is not 1" });
        }
        if header.flags.contains(Flags::V1_ENCRYPTED) {
            return Ok(Message { header, content: Content::Encrypted(first) });
        }
        let payloads = walk(first, &mut r)?;
        // Libreswan fills what it sends in clear up to a multiple of four octets with zeros, which the length counts.
        let behind = r.clone();
        let padding = r.take_rest();
        if padding.len() >= WORD || padding.iter().any(|octet| *octet != 0) {
            behind.finish()?;
        }
        Ok(Message { header, content: Content::Clear(payloads) })
    }
}

/// A message to be encrypted from byte 28 on: padded with zeros to a multiple of `block_len` (RFC 2409 appendix B).
pub fn emit_padded(header: &Header, chain: &Chain, block_len: usize) -> Vec<u8> {
    let mut out = emit(header, chain);
    let len = Header::LEN + chain.bytes().len().next_multiple_of(block_len);
    out.resize(len, 0);
    // A chain is at most MAX_CHAIN_LEN bytes.
    out[Header::LEN - 4..Header::LEN].copy_from_slice(&(len as u32).to_be_bytes());
    out
}

/// Reads a chain to its end.
fn walk(first: PayloadType, r: &mut Reader<'_>) -> Result<Payloads, Malformed> {
    let mut chain = Payloads::default();
    let mut kind = first;
    // Every turn consumes at least a generic header, so the chain cannot loop.
    while kind != PayloadType::NONE {
        if chain.payloads.len() == limits::MAX_PAYLOADS {
            return Err(r.malformed("too many payloads"));
        }
        let next = PayloadType(r.u8()?);
        r.u8()?; // reserved
        let at_length = r.clone();
        let body_len = usize::from(r.u16()?)
            .checked_sub(GENERIC_HEADER_LEN)
            .ok_or_else(|| at_length.malformed("payload length below that of its header"))?;
        let start = r.offset();
        let mut body = r.part(body_len, kind)?;
        chain.payloads.push(Payload::parse(kind, &mut body)?);
        chain.bodies.push(start..r.offset());
        kind = next;
    }
    chain.end = r.offset();
    Ok(chain)
}
