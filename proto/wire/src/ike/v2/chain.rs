//! Received chains of payloads: each begins with a generic header that names the type of the next (RFC 7296 §3.2).
//!
//! ```text
//!   next payload (1) | critical bit and reserved (1) | length of header and body (2) | body
//! ```

use alloc::vec::Vec;

use super::super::chain::{CRITICAL, GENERIC_HEADER_LEN};
use super::super::error::Malformed;
use super::super::header::PayloadType;
use super::super::reader::Reader;
use super::Payload;
use crate::limits;

/// Payloads that nearly every chain has at most, so that the list does not move while it grows.
const ROOM: usize = 12;

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
    let mut payloads = Vec::with_capacity(if first == PayloadType::SK { 0 } else { ROOM });
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
