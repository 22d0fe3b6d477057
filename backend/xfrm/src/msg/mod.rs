//! The messages of XFRM, as `linux/xfrm.h` has them: bytes and values, and nothing of when which is sent.
//!
//! A message is its number, a fixed structure, and attributes. `parse` takes anything and answers with a value or with
//! what is wrong; `emit` writes the same bytes again, also of attributes that nobody here knows. Numbers are in the byte
//! order of the machine, padding is where a 64-bit Linux has it.

pub mod attribute;
pub mod bytes;
pub mod info;
pub mod parts;
pub mod policy;
pub mod state;

use std::fmt;

use attribute::Attribute;
use bytes::{Field, Reader};
use info::{SadInfo, SpdInfo};
use policy::{Acquire, Defaults, PolicyExpire, PolicyId, PolicyInfo};
use state::{EventId, Expire, Mapping, Report, SpiRange, StateId, StateInfo};

/// Numbers of the messages.
pub mod kind {
    #![allow(missing_docs)]
    pub const NEW_SA: u16 = 0x10;
    pub const DEL_SA: u16 = 0x11;
    pub const GET_SA: u16 = 0x12;
    pub const NEW_POLICY: u16 = 0x13;
    pub const DEL_POLICY: u16 = 0x14;
    pub const GET_POLICY: u16 = 0x15;
    pub const ALLOC_SPI: u16 = 0x16;
    pub const ACQUIRE: u16 = 0x17;
    pub const EXPIRE: u16 = 0x18;
    pub const UPD_POLICY: u16 = 0x19;
    pub const UPD_SA: u16 = 0x1a;
    pub const POLICY_EXPIRE: u16 = 0x1b;
    pub const FLUSH_SA: u16 = 0x1c;
    pub const FLUSH_POLICY: u16 = 0x1d;
    pub const NEW_AE: u16 = 0x1e;
    pub const GET_AE: u16 = 0x1f;
    pub const REPORT: u16 = 0x20;
    pub const MIGRATE: u16 = 0x21;
    pub const NEW_SAD_INFO: u16 = 0x22;
    pub const GET_SAD_INFO: u16 = 0x23;
    pub const NEW_SPD_INFO: u16 = 0x24;
    pub const GET_SPD_INFO: u16 = 0x25;
    pub const MAPPING: u16 = 0x26;
    pub const SET_DEFAULT: u16 = 0x27;
    pub const GET_DEFAULT: u16 = 0x28;
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The message ends inside a structure.
    Short,
    /// An attribute is shorter than its header or longer than the message.
    AttributeLength,
    /// The key of an algorithm is longer than a key can be, or no whole number of bytes.
    KeyLength,
    /// The name of an algorithm is no text.
    Name,
    /// The bitmap of an anti-replay window is not as long as it says, or shorter than the window.
    Window,
    /// An array has more entries than the kernel's bound.
    TooMany,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::Short => "it ends inside a structure",
            Malformed::AttributeLength => "the length of an attribute does not fit",
            Malformed::KeyLength => "the length of a key makes no sense",
            Malformed::Name => "the name of an algorithm is no text",
            Malformed::Window => "the bitmap of an anti-replay window does not fit its length",
            Malformed::TooMany => "an array has more entries than there can be",
        })
    }
}

impl std::error::Error for Malformed {}

/// A message without its netlink header.
#[derive(Clone, Debug)]
pub struct Message {
    /// One of [`kind`], or another.
    pub kind: u16,
    /// Its fixed part.
    pub body: Body,
    /// What follows.
    pub attributes: Vec<Attribute>,
}

/// The fixed part of a message.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // Made, written and dropped; those kept are of one kind.
pub enum Body {
    /// None: a dump of everything, a flush of policies.
    Empty,
    /// A state.
    State(StateInfo),
    /// The name of a state.
    StateId(StateId),
    /// A state and the SPIs that it may get.
    SpiRange(SpiRange),
    /// A packet needs a state.
    Acquire(Acquire),
    /// A limit of a state was passed.
    Expire(Expire),
    /// A policy.
    Policy(PolicyInfo),
    /// The name of a policy.
    PolicyId(PolicyId),
    /// A limit of a policy was passed.
    PolicyExpire(PolicyExpire),
    /// States of this protocol, 0: of any (the kernel says 255), are removed.
    Flush(u8),
    /// An async event.
    Event(EventId),
    /// A packet that nobody wanted.
    Report(Report),
    /// The packets of a state come from another place.
    Mapping(Mapping),
    /// What happens to packets without a policy.
    Defaults(Defaults),
    /// About the SAD: flags, and attributes of their own.
    SadInfo(u32, Vec<SadInfo>),
    /// About the SPD: flags, and attributes of their own.
    SpdInfo(u32, Vec<SpdInfo>),
    /// A message that we do not know.
    Other(Vec<u8>),
}

impl Message {
    /// A message without attributes.
    pub fn new(kind: u16, body: Body) -> Self {
        Message { kind, body, attributes: Vec::new() }
    }

    /// Reads a message of this number; `dump` where its header has `NLM_F_DUMP`: a request for everything names nothing.
    ///
    /// # Errors
    /// What is wrong with it. Nothing of it is kept then.
    pub fn parse(kind: u16, dump: bool, bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let body = match kind {
            kind::GET_SA | kind::GET_POLICY if dump => Body::Empty,
            kind::NEW_SA | kind::UPD_SA => Body::State(Field::read(&mut from)?),
            kind::DEL_SA | kind::GET_SA => Body::StateId(Field::read(&mut from)?),
            kind::ALLOC_SPI => Body::SpiRange(Field::read(&mut from)?),
            kind::ACQUIRE => Body::Acquire(Field::read(&mut from)?),
            kind::EXPIRE => Body::Expire(Field::read(&mut from)?),
            kind::NEW_POLICY | kind::UPD_POLICY => Body::Policy(Field::read(&mut from)?),
            kind::DEL_POLICY | kind::GET_POLICY | kind::MIGRATE => Body::PolicyId(Field::read(&mut from)?),
            kind::POLICY_EXPIRE => Body::PolicyExpire(Field::read(&mut from)?),
            kind::FLUSH_POLICY => Body::Empty,
            kind::FLUSH_SA => {
                let protocol = Field::read(&mut from)?;
                from.pad(3);
                Body::Flush(protocol)
            }
            kind::NEW_AE | kind::GET_AE => Body::Event(Field::read(&mut from)?),
            kind::REPORT => Body::Report(Field::read(&mut from)?),
            kind::MAPPING => Body::Mapping(Field::read(&mut from)?),
            kind::SET_DEFAULT | kind::GET_DEFAULT => {
                let defaults = Field::read(&mut from)?;
                from.pad(1);
                Body::Defaults(defaults)
            }
            kind::NEW_SAD_INFO | kind::GET_SAD_INFO => {
                let flags = Field::read(&mut from)?;
                let body = Body::SadInfo(flags, info::parse_all(from.rest())?);
                return Ok(Message::new(kind, body));
            }
            kind::NEW_SPD_INFO | kind::GET_SPD_INFO => {
                let flags = Field::read(&mut from)?;
                let body = Body::SpdInfo(flags, info::parse_all(from.rest())?);
                return Ok(Message::new(kind, body));
            }
            _ => return Ok(Message::new(kind, Body::Other(bytes.to_vec()))),
        };
        Ok(Message { kind, body, attributes: attribute::parse_all(from.rest())? })
    }

    /// Appends the message.
    pub fn emit(&self, to: &mut Vec<u8>) {
        match &self.body {
            Body::Empty => {}
            Body::State(body) => body.write(to),
            Body::StateId(body) => body.write(to),
            Body::SpiRange(body) => body.write(to),
            Body::Acquire(body) => body.write(to),
            Body::Expire(body) => body.write(to),
            Body::Policy(body) => body.write(to),
            Body::PolicyId(body) => body.write(to),
            Body::PolicyExpire(body) => body.write(to),
            Body::Flush(protocol) => {
                protocol.write(to);
                pad_before(&self.attributes, 3, to);
            }
            Body::Event(body) => body.write(to),
            Body::Report(body) => body.write(to),
            Body::Mapping(body) => body.write(to),
            Body::Defaults(body) => {
                body.write(to);
                pad_before(&self.attributes, 1, to);
            }
            Body::SadInfo(flags, attributes) => {
                flags.write(to);
                info::write_all(attributes, to);
            }
            Body::SpdInfo(flags, attributes) => {
                flags.write(to);
                info::write_all(attributes, to);
            }
            Body::Other(bytes) => to.extend_from_slice(bytes),
        }
        attribute::write_all(&self.attributes, to);
    }

    /// The first attribute that `pick` wants.
    pub fn find<'a, T>(&'a self, pick: impl FnMut(&'a Attribute) -> Option<T>) -> Option<T> {
        self.attributes.iter().find_map(pick)
    }
}

/// The kernel aligns attributes, and leaves out the padding where none follow.
fn pad_before(attributes: &[Attribute], length: usize, to: &mut Vec<u8>) {
    if !attributes.is_empty() {
        to.resize(to.len() + length, 0);
    }
}
