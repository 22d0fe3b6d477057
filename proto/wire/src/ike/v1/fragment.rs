//! Fragment payload: a part of a message that is too long for the path. Not in any RFC; peers that send the vendor ID
//! "FRAGMENTATION" understand it, and no other.
//!
//! ```text
//!   fragment ID (2) | number (1, from 1) | flags (1: 1 for the last) | part of the message
//! ```

use alloc::vec::Vec;

use super::super::error::Malformed;
use super::super::reader::Reader;
use super::Body;

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The same in all parts of a message.
    pub id: u16,
    /// Which part, from 1.
    pub number: u8,
    /// Whether it is the last.
    pub last: bool,
    /// Its bytes.
    pub data: Vec<u8>,
}

impl Body for Fragment {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let id = r.u16()?;
        let at = r.clone();
        let number = r.u8()?;
        if number == 0 {
            return Err(at.malformed("fragments are counted from 1"));
        }
        let last = r.u8()? & 1 != 0;
        Ok(Fragment { id, number, last, data: r.take_rest().into() })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.to_be_bytes());
        out.extend_from_slice(&[self.number, u8::from(self.last)]);
        out.extend_from_slice(&self.data);
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.number == 0 { Err("fragments are counted from 1") } else { Ok(()) }
    }
}
