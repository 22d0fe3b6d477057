//! Vendor ID payload (RFC 7296 §3.12).

use alloc::vec::Vec;

use super::super::error::Malformed;
use super::super::reader::Reader;
use super::Body;

/// A vendor's mark: opaque bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vendor(pub Vec<u8>);

impl Body for Vendor {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Vendor(r.take_rest().into()))
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}
