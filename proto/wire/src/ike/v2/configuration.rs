//! Configuration payload (RFC 7296 §3.15).

use alloc::vec::Vec;

use super::super::error::Malformed;
use super::super::reader::Reader;
use super::Body;
use super::numbers::{CfgAttributeType, CfgType};
use crate::limits;

/// The top bit of an attribute's type is reserved.
const TYPE_MASK: u16 = 0x7fff;

/// A request for, or a grant of, configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cfg {
    /// Request, reply, set or acknowledgement.
    pub kind: CfgType,
    /// In the sender's order.
    pub attributes: Vec<CfgAttribute>,
}

/// One attribute. An empty value asks for one, or leaves the choice to the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CfgAttribute {
    /// What.
    pub kind: CfgAttributeType,
    /// Its value, in a form that depends on `kind`.
    pub value: Vec<u8>,
}

impl Body for Cfg {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let kind = CfgType(r.u8()?);
        r.take(3)?; // reserved
        let mut attributes = Vec::new();
        while !r.is_empty() {
            if attributes.len() == limits::MAX_CFG_ATTRIBUTES {
                return Err(r.malformed("too many attributes"));
            }
            let kind = CfgAttributeType(r.u16()? & TYPE_MASK);
            let len = usize::from(r.u16()?);
            attributes.push(CfgAttribute { kind, value: r.take(len)?.into() });
        }
        Ok(Cfg { kind, attributes })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.kind.0, 0, 0, 0]);
        for attribute in &self.attributes {
            out.extend_from_slice(&attribute.kind.0.to_be_bytes());
            // A chain takes no payload above its own bound, so the cast loses nothing in what is sent.
            out.extend_from_slice(&(attribute.value.len() as u16).to_be_bytes());
            out.extend_from_slice(&attribute.value);
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.attributes.len() > limits::MAX_CFG_ATTRIBUTES {
            return Err("too many attributes");
        }
        if self.attributes.iter().any(|attribute| attribute.kind.0 & !TYPE_MASK != 0) {
            return Err("an attribute type has more than 15 bits");
        }
        Ok(())
    }
}
