//! Nonce payload (RFC 7296 §3.9).

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::super::error::Malformed;
use super::super::reader::Reader;
use super::Body;
use crate::limits;

/// A nonce of 16 to 256 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nonce(Arc<[u8]>);

impl Nonce {
    /// `None` when the length is not one a nonce may have.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Option<Self> {
        let bytes = bytes.into();
        limits::NONCE_LEN.contains(&bytes.len()).then_some(Nonce(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, for whoever goes on with them.
    pub fn shared(&self) -> Arc<[u8]> {
        self.0.clone()
    }
}

impl Body for Nonce {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let at = r.clone();
        Nonce::new(r.take_rest()).ok_or_else(|| at.malformed("nonce not of 16 to 256 bytes"))
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}
