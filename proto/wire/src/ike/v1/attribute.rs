//! Data attributes (RFC 2408 §3.3), of transforms and of the Attribute payload.
//!
//! ```text
//!   1 and type (2) | value (2)          or          0 and type (2) | length (2) | value
//! ```

use alloc::vec::Vec;

use super::super::error::Malformed;
use super::super::header::PayloadType;
use super::super::reader::Reader;
use crate::limits;

/// Set in the type of an attribute whose value takes the place of the length.
const BASIC: u16 = 0x8000;

/// One attribute; what its type means depends on where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Type, 15 bits.
    pub kind: u16,
    /// Value.
    pub value: AttributeValue,
}

/// A value in one of the two forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// 16 bits in place of the length.
    Basic(u16),
    /// Bytes behind a length.
    Long(Vec<u8>),
}

impl Attribute {
    /// A number, in the short form where it fits.
    pub fn number(kind: u16, value: u32) -> Self {
        let value = match u16::try_from(value) {
            Ok(short) => AttributeValue::Basic(short),
            Err(_) => AttributeValue::Long(value.to_be_bytes().into()),
        };
        Attribute { kind, value }
    }

    /// Bytes.
    pub fn bytes(kind: u16, value: impl Into<Vec<u8>>) -> Self {
        Attribute { kind, value: AttributeValue::Long(value.into()) }
    }

    /// Reads attributes to the end of `bytes`: those of a notification.
    ///
    /// # Errors
    /// When they are not attributes.
    pub fn parse_all(bytes: &[u8]) -> Result<Vec<Attribute>, Malformed> {
        parse_all(&mut Reader::new(bytes, 0, PayloadType::V1_NOTIFY))
    }

    /// Appends the attribute.
    pub fn emit(&self, out: &mut Vec<u8>) {
        emit_all(core::slice::from_ref(self), out);
    }

    /// The value as a number, whichever form it came in. `None`: none, or more than 64 bits.
    pub fn as_number(&self) -> Option<u64> {
        match &self.value {
            AttributeValue::Basic(value) => Some(u64::from(*value)),
            AttributeValue::Long(bytes) if (1..=8).contains(&bytes.len()) => {
                Some(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
            }
            AttributeValue::Long(_) => None,
        }
    }

    /// The value as bytes; nothing for a short number.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.value {
            AttributeValue::Basic(_) => &[],
            AttributeValue::Long(bytes) => bytes,
        }
    }
}

/// Reads attributes to the end of `r`.
pub(super) fn parse_all(r: &mut Reader<'_>) -> Result<Vec<Attribute>, Malformed> {
    let mut attributes = Vec::new();
    while !r.is_empty() {
        if attributes.len() == limits::MAX_V1_ATTRIBUTES {
            return Err(r.malformed("too many attributes"));
        }
        let kind = r.u16()?;
        let value = r.u16()?;
        let value = match kind & BASIC {
            0 => AttributeValue::Long(r.take(usize::from(value))?.into()),
            _ => AttributeValue::Basic(value),
        };
        attributes.push(Attribute { kind: kind & !BASIC, value });
    }
    Ok(attributes)
}

pub(super) fn emit_all(attributes: &[Attribute], out: &mut Vec<u8>) {
    for attribute in attributes {
        match &attribute.value {
            AttributeValue::Basic(value) => {
                out.extend_from_slice(&(attribute.kind | BASIC).to_be_bytes());
                out.extend_from_slice(&value.to_be_bytes());
            }
            AttributeValue::Long(bytes) => {
                out.extend_from_slice(&attribute.kind.to_be_bytes());
                // A chain takes no payload above its own bound, so the cast loses nothing in what is sent.
                out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
                out.extend_from_slice(bytes);
            }
        }
    }
}

pub(super) fn check_all(attributes: &[Attribute]) -> Result<(), &'static str> {
    if attributes.len() > limits::MAX_V1_ATTRIBUTES {
        return Err("too many attributes");
    }
    if attributes.iter().any(|attribute| attribute.kind & BASIC != 0) {
        return Err("an attribute type has more than 15 bits");
    }
    Ok(())
}
