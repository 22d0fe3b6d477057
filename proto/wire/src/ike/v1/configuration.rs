//! Attribute payload: mode config (draft-dukes-ike-mode-cfg-02 §3.2) and XAuth (draft-beaulieu-ike-xauth-02 §6).

use alloc::vec::Vec;

use super::super::error::Malformed;
use super::super::reader::Reader;
use super::attribute::{Attribute, check_all, emit_all, parse_all};
use super::{Body, CfgType};

/// A request for, or a grant of, configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cfg {
    /// Request, reply, set or acknowledgement.
    pub kind: CfgType,
    /// Which request a reply is for.
    pub identifier: u16,
    /// In the sender's order; the types are those of [`CfgAttribute`](super::CfgAttribute).
    pub attributes: Vec<Attribute>,
}

impl Body for Cfg {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let kind = CfgType(r.u8()?);
        r.u8()?; // reserved
        let identifier = r.u16()?;
        Ok(Cfg { kind, identifier, attributes: parse_all(r)? })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.kind.0, 0]);
        out.extend_from_slice(&self.identifier.to_be_bytes());
        emit_all(&self.attributes, out);
    }

    fn check(&self) -> Result<(), &'static str> {
        check_all(&self.attributes)
    }
}
