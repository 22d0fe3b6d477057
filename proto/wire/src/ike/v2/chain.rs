//! Chains of payloads: each begins with a generic header that names the type of the next (RFC 7296 §3.2).
//!
//! ```text
//!   next payload (1) | critical bit and reserved (1) | length of header and body (2) | body
//! ```

use alloc::vec::Vec;

use super::super::error::{Malformed, Unfit};
use super::super::header::PayloadType;
use super::super::reader::Reader;
use super::Payload;
use crate::limits;

/// Length of the generic header.
pub(super) const GENERIC_HEADER_LEN: usize = 4;

const CRITICAL: u8 = 0x80;

/// Where a chain ends.
pub(super) enum End<'a> {
    /// With a payload that names no next one.
    Clean,
    /// With an Encrypted payload, the body of which is left to read; `first` is the type of its first payload.
    Protected { kind: PayloadType, first: PayloadType, body: Reader<'a> },
}

/// Reads the payloads inside a decrypted Encrypted payload, the first of which has type `first`.
///
/// # Errors
/// When it is not a chain, or holds an Encrypted payload. Offsets count from the start of `bytes`.
pub fn parse_chain(first: PayloadType, bytes: &[u8]) -> Result<Vec<Payload>, Malformed> {
    match walk(first, Reader::new(bytes, 0, PayloadType::NONE))? {
        (payloads, End::Clean) => Ok(payloads),
        (_, End::Protected { body, .. }) => Err(body.malformed("encrypted payload inside another")),
    }
}

/// Reads a chain to the end of `r`.
pub(super) fn walk(first: PayloadType, mut r: Reader<'_>) -> Result<(Vec<Payload>, End<'_>), Malformed> {
    let mut payloads = Vec::new();
    let mut kind = first;
    // Every turn consumes at least a generic header, so the chain cannot loop.
    while kind != PayloadType::NONE {
        if payloads.len() == limits::MAX_PAYLOADS {
            return Err(r.malformed("too many payloads"));
        }
        let next = PayloadType(r.u8()?);
        let critical = r.u8()? & CRITICAL != 0;
        let at_length = r.clone();
        let body_len = usize::from(r.u16()?)
            .checked_sub(GENERIC_HEADER_LEN)
            .ok_or_else(|| at_length.malformed("payload length below that of its header"))?;
        let mut body = r.part(body_len, kind)?;
        if kind == PayloadType::SK || kind == PayloadType::SKF {
            // RFC 7296 §3.14: an Encrypted payload is the last; its next-payload field is about its content.
            r.finish()?;
            return Ok((payloads, End::Protected { kind, first: next, body }));
        }
        payloads.push(Payload::parse(kind, critical, &mut body)?);
        kind = next;
    }
    r.finish()?;
    Ok((payloads, End::Clean))
}

/// Payloads as bytes, known to fit a message: whatever is emitted from it succeeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    bytes: Vec<u8>,
    first: Option<PayloadType>,
    /// Where the last payload's header begins: its next-payload field is set when another follows.
    last: usize,
    count: usize,
}

impl Chain {
    /// A chain of `payloads`, in order. An empty one is a valid (empty) message.
    ///
    /// # Errors
    /// When a payload does not fit its fields, or all together do not fit a message.
    pub fn new<'a>(payloads: impl IntoIterator<Item = &'a Payload>) -> Result<Self, Unfit> {
        let mut chain = Chain::default();
        for payload in payloads {
            chain.push(payload)?;
        }
        Ok(chain)
    }

    /// Appends one payload.
    ///
    /// # Errors
    /// As [`Chain::new`]; the chain is then as it was.
    pub fn push(&mut self, payload: &Payload) -> Result<(), Unfit> {
        let kind = payload.kind();
        let unfit = |reason| Unfit { payload: kind, reason };
        // Neither ends a chain by name, nor is built from outside: an Encrypted payload is laid out by `emit_head`.
        if matches!(kind, PayloadType::NONE | PayloadType::SK | PayloadType::SKF) {
            return Err(unfit("its type cannot stand in a chain"));
        }
        if self.count == limits::MAX_PAYLOADS {
            return Err(unfit("too many payloads in one message"));
        }
        payload.check()?;

        let start = self.bytes.len();
        let critical = matches!(payload, Payload::Unknown { critical: true, .. });
        self.bytes.extend_from_slice(&[PayloadType::NONE.0, if critical { CRITICAL } else { 0 }, 0, 0]);
        payload.emit_body(&mut self.bytes);
        if self.bytes.len() > limits::MAX_CHAIN_LEN {
            self.bytes.truncate(start);
            return Err(unfit("the message would be too long"));
        }
        // The whole chain is shorter than MAX_CHAIN_LEN, so this fits 16 bits.
        let len = (self.bytes.len() - start) as u16;
        self.bytes[start + 2..start + 4].copy_from_slice(&len.to_be_bytes());
        match self.first {
            None => self.first = Some(kind),
            Some(_) => self.bytes[self.last] = kind.0,
        }
        self.last = start;
        self.count += 1;
        Ok(())
    }

    /// Type of the first payload; [`PayloadType::NONE`] when there is none.
    pub fn first(&self) -> PayloadType {
        self.first.unwrap_or(PayloadType::NONE)
    }

    /// The payloads with their generic headers: what an Encrypted payload protects.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
