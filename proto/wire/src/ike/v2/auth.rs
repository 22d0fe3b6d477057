//! Authentication payload (RFC 7296 §3.8).

use alloc::vec::Vec;

use super::super::error::Malformed;
use super::super::reader::Reader;
use super::Body;
use super::numbers::AuthMethod;

/// Proof that the sender is who its identity says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// How it was made.
    pub method: AuthMethod,
    /// The signature or MAC.
    pub data: Vec<u8>,
}

impl Body for Auth {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let method = AuthMethod(r.u8()?);
        r.take(3)?; // reserved
        Ok(Auth { method, data: r.take_rest().into() })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.method.0, 0, 0, 0]);
        out.extend_from_slice(&self.data);
    }
}
