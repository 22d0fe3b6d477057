//! Chains of payloads to be sent: each begins with a generic header that names the type of the next. Both versions have
//! the same (RFC 7296 §3.2, RFC 2408 §3.2), but that the critical bit is IKEv2's.
//!
//! ```text
//!   next payload (1) | critical bit and reserved (1) | length of header and body (2) | body
//! ```

use alloc::vec::Vec;

use super::error::Unfit;
use super::header::PayloadType;
use crate::limits;

/// Length of the generic header.
pub(super) const GENERIC_HEADER_LEN: usize = 4;

/// Octets that nearly every chain fits, so that it does not move while it grows.
const ROOM: usize = 512;

/// The critical bit of the generic header.
pub(super) const CRITICAL: u8 = 0x80;

/// A payload that can be put into a [`Chain`], of either version.
pub trait Emit {
    /// Payload type.
    fn kind(&self) -> PayloadType;
    /// Whether the critical bit is set.
    fn critical(&self) -> bool;
    /// Says why it cannot be sent, if so.
    ///
    /// # Errors
    /// A count or a length beyond its field.
    fn check(&self) -> Result<(), Unfit>;
    /// Appends the body; called only after [`Emit::check`].
    fn emit_body(&self, out: &mut Vec<u8>);
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
    pub fn new<'a, P: Emit + 'a>(payloads: impl IntoIterator<Item = &'a P>) -> Result<Self, Unfit> {
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
    pub fn push(&mut self, payload: &impl Emit) -> Result<(), Unfit> {
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

        if self.count == 0 {
            self.bytes.reserve(ROOM);
        }
        let start = self.bytes.len();
        let critical = payload.critical();
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

    /// Appends the payloads in front of another one of this type.
    pub(super) fn emit_before(&self, next: PayloadType, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        if self.first.is_some() {
            out[start + self.last] = next.0;
        }
    }

    /// The payloads with their generic headers: what an Encrypted payload protects.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
