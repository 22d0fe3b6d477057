//! Identification payloads (RFC 7296 §3.5).

use alloc::vec::Vec;

use ravelin_types::{IdType, Identity};

use super::super::error::Malformed;
use super::super::reader::Reader;
use super::Body;

/// Octets that nearly every identity fits.
const ROOM: usize = 64;

/// An identity as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id {
    /// Who.
    pub identity: Identity,
    /// Kept because AUTH covers the body as it was sent (RFC 7296 §2.15), whatever a peer puts here.
    reserved: [u8; 3],
}

impl Id {
    /// Ready to be sent.
    pub fn new(identity: Identity) -> Self {
        Id { identity, reserved: [0; 3] }
    }

    /// The body without the generic header: RestOfInitIDPayload or RestOfRespIDPayload of RFC 7296 §2.15.
    pub fn body(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(ROOM);
        self.emit(&mut out);
        out
    }
}

impl Body for Id {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let kind = IdType(r.u8()?);
        let reserved = r.array()?;
        let at_data = r.clone();
        let identity = Identity::parse(kind, r.take_rest())
            .ok_or_else(|| at_data.malformed("address does not have the length of its type"))?;
        Ok(Id { identity, reserved })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.push(self.identity.kind().0);
        out.extend_from_slice(&self.reserved);
        self.identity.put_data(out);
    }
}
