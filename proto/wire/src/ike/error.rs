//! What can be wrong with a message.

use core::fmt;

use super::header::PayloadType;

/// Bytes that are not a message. Names the payload and where in the input it went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The payload that is wrong; [`PayloadType::NONE`] for the header and for the chain itself.
    pub payload: PayloadType,
    /// Offset in the datagram, or in the decrypted chain.
    pub offset: usize,
    /// What is wrong, in a few words.
    pub reason: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.payload {
            PayloadType::NONE => write!(f, "message at byte {}: {}", self.offset, self.reason),
            payload => write!(f, "{payload} payload at byte {}: {}", self.offset, self.reason),
        }
    }
}

impl core::error::Error for Malformed {}

/// A payload that cannot be sent: our own mistake, or a configuration too large for the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The payload.
    pub payload: PayloadType,
    /// What does not fit, in a few words.
    pub reason: &'static str,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} payload cannot be sent: {}", self.payload, self.reason)
    }
}

impl core::error::Error for Unfit {}
