//! Identification payload (RFC 2407 §4.6.2).
//!
//! ```text
//!   type (1) | protocol (1) | port (2) | data
//! ```
//! In phase 1 it says who a peer is, in phase 2 which traffic an SA is for.

use alloc::vec::Vec;

use ravelin_types::IdType;

use super::super::error::Malformed;
use super::super::reader::Reader;
use super::Body;

/// An identity as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id {
    /// What `data` is.
    pub kind: IdType,
    /// IP protocol; 0: any.
    pub protocol: u8,
    /// Port; 0: any.
    pub port: u16,
    /// Identification Data.
    pub data: Vec<u8>,
}

impl Id {
    /// The body without the generic header: `IDii_b`, `IDir_b` of RFC 2409 §5.
    pub fn body(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.emit(&mut out);
        out
    }
}

impl Body for Id {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let kind = IdType(r.u8()?);
        let protocol = r.u8()?;
        let port = r.u16()?;
        Ok(Id { kind, protocol, port, data: r.take_rest().into() })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.kind.0, self.protocol]);
        out.extend_from_slice(&self.port.to_be_bytes());
        out.extend_from_slice(&self.data);
    }
}
