//! Payloads that are bytes without a form of their own: KE, HASH, SIG, VID, NAT-D (RFC 2408 §3.7, §3.11, §3.12, §3.16;
//! RFC 3947 §3.2).

use alloc::vec::Vec;

use super::super::error::Malformed;
use super::super::reader::Reader;
use super::Body;

/// All of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opaque(pub Vec<u8>);

impl Body for Opaque {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Opaque(r.take_rest().into()))
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}
