//! Key Exchange payload (RFC 7296 §3.4).

use alloc::vec::Vec;

use ravelin_types::transform::KeMethod;

use super::super::error::Malformed;
use super::super::reader::Reader;
use super::Body;

/// A public value. Its length is judged by the key exchange method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ke {
    /// Which method.
    pub method: KeMethod,
    /// The public value.
    pub data: Vec<u8>,
}

impl Body for Ke {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let method = KeMethod(r.u16()?);
        r.u16()?; // reserved
        Ok(Ke { method, data: r.take_rest().into() })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.method.0.to_be_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.data);
    }
}
