//! The header of every management message.
//!
//! ```text
//!  type (1) | source (1) | destination (1) | reserved (1) | sequence (2) | length of the data (2)
//!  status (2) | padding (2)
//! ```
//! Document 003 calls the header eight octets long and lists fields that need more: the first line is its eight octets,
//! the second what it says was added for the status and to keep the data aligned.

use alloc::vec::Vec;

use ravelin_types::{ErrorCode, ids};

use super::{MAX_DATA_LEN, Malformed, PayloadType, Reader};

ids! {
    /// What a message is about: requests and their replies below 17, events from there on.
    MessageType(u8) {
        APP_REGISTER = 1 => "APP_REGISTER",
        CLONE_POLICY = 2 => "CLONE_POLICY",
        INITIAL_CONTACT = 3 => "INITIAL_CONTACT",
        DELETE_SPIS = 4 => "DELETE_SPIs",
        GET_SPI = 5 => "GET_SPI",
        ACQUIRE_FAIL = 6 => "ACQUIRE_FAIL",
        ADD_SA = 7 => "ADD_SA",
        GET_POLICY = 8 => "GET_POLICY",
        GET_POLICIES = 9 => "GET_POLICIES",
        LOOKUP_POLICY = 10 => "LOOKUP_POLICY",
        SAFLUSH = 11 => "SAFLUSH",
        ADD_POLICY = 12 => "ADD_POLICY",
        DEL_POLICY = 13 => "DEL_POLICY",
        GET_SA = 14 => "GET_SA",
        DEL_SA = 15 => "DEL_SA",
        FLUSH_SPD = 16 => "FLUSH_SPD",
        ACQUIRE = 17 => "ACQUIRE",
        SA_EXPIRED = 18 => "SA_EXPIRED",
        SA_DELETED = 19 => "SA_DELETED",
        POLICY_ADDED = 20 => "POLICY_ADDED",
        POLICY_DELETED = 21 => "POLICY_DELETED",
    }
}

impl MessageType {
    /// Whether it is told, not asked.
    pub fn is_event(self) -> bool {
        (Self::ACQUIRE..=Self::POLICY_DELETED).contains(&self)
    }
}

ids! {
    /// Who sends a message, and whom it is for.
    Module(u8) {
        IPSEC = 1 => "IPsec",
        IKE = 2 => "IKE",
        ADMIN = 3 => "ADMIN",
    }
}

/// How a request ended: 0 in requests and events, and where all went well; else the number of an [`ErrorCode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    /// All went well.
    pub const OK: Status = Status(0);

    /// The error, if it is one of document 003's.
    pub fn error(self) -> Option<ErrorCode> {
        ErrorCode::from_number(self.0)
    }
}

impl From<ErrorCode> for Status {
    fn from(code: ErrorCode) -> Self {
        Status(code.number())
    }
}

/// The header without the length, which follows from the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Message code.
    pub kind: MessageType,
    /// The originator of the message.
    pub src: Module,
    /// The target.
    pub dst: Module,
    /// Chosen by the originator of a request, copied to the reply. In events it counts what was meant for the
    /// application, so a gap says how many it lost.
    pub sequence: u16,
    /// Zero in requests and events.
    pub status: Status,
}

impl Header {
    /// Length in octets.
    pub const LEN: usize = 12;
    pub(super) const LENGTH_AT: usize = 6;

    /// Reads the header of a message and what follows it. The padding is not looked at.
    ///
    /// # Errors
    /// When the message is shorter than a header, the length is not that of the data, or the reserved octet is not 0.
    pub fn parse(message: &[u8]) -> Result<(Header, &[u8]), Malformed> {
        let mut r = Reader::new(message, 0, PayloadType::NONE);
        let (kind, src, dst) = (MessageType(r.u8()?), Module(r.u8()?), Module(r.u8()?));
        let at_reserved = r.clone();
        if r.u8()? != 0 {
            return Err(at_reserved.malformed("the reserved octet is not 0"));
        }
        let sequence = r.u16()?;
        let at_length = r.clone();
        let length = usize::from(r.u16()?);
        let status = Status(r.u16()?);
        r.take(2)?;
        let data = r.take_rest();
        if length != data.len() || length > MAX_DATA_LEN {
            return Err(at_length.malformed("length is not that of the data"));
        }
        Ok((Header { kind, src, dst, sequence, status }, data))
    }

    /// Appends the header with a length of 0.
    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.kind.0, self.src.0, self.dst.0, 0]);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&self.status.0.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
    }
}
