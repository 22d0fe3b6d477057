//! What the kernel tells of its tables as a whole. Their attributes have numbers of their own.

use super::Malformed;
use super::attribute::{framed, split};
use super::bytes::{Field, Reader, structure};

structure! {
    /// How many policies there are: `xfrmu_spdinfo`.
    pub struct PolicyCounts {
        /// Inbound.
        input: u32,
        /// Outbound.
        output: u32,
        /// Forwarded.
        forward: u32,
        /// Inbound ones of sockets.
        socket_input: u32,
        /// Outbound ones of sockets.
        socket_output: u32,
        /// Forwarded ones of sockets.
        socket_forward: u32,
    }
}

structure! {
    /// The hash table of policies: `xfrmu_spdhinfo`; that of states has the same shape, `xfrmu_sadhinfo`.
    pub struct HashTable {
        /// Places.
        places: u32,
        /// Places that it may grow to.
        most: u32,
    }
}

structure! {
    /// From which prefixes on a policy is found by its hash: `xfrmu_spdhthresh`.
    pub struct HashThreshold {
        /// Bits of the local address.
        local: u8,
        /// Bits of the remote address.
        remote: u8,
    }
}

/// An attribute of the messages about the SPD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpdInfo {
    /// How many policies there are.
    Counts(PolicyCounts),
    /// Their table.
    Table(HashTable),
    /// IPv4.
    Threshold4(HashThreshold),
    /// IPv6.
    Threshold6(HashThreshold),
    /// Any other.
    Other(u16, Vec<u8>),
}

/// An attribute of the messages about the SAD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SadInfo {
    /// How many states there are.
    Count(u32),
    /// Their table.
    Table(HashTable),
    /// Any other.
    Other(u16, Vec<u8>),
}

/// An attribute with a number of its own.
pub(crate) trait Info: Sized {
    fn parse(kind: u16, from: &mut Reader<'_>) -> Result<Option<Self>, Malformed>;
    fn other(kind: u16, bytes: Vec<u8>) -> Self;
    fn kind(&self) -> u16;
    fn write(&self, to: &mut Vec<u8>);
}

impl Info for SpdInfo {
    fn parse(kind: u16, from: &mut Reader<'_>) -> Result<Option<Self>, Malformed> {
        Ok(Some(match kind {
            1 => SpdInfo::Counts(Field::read(from)?),
            2 => SpdInfo::Table(Field::read(from)?),
            3 => SpdInfo::Threshold4(Field::read(from)?),
            4 => SpdInfo::Threshold6(Field::read(from)?),
            _ => return Ok(None),
        }))
    }

    fn other(kind: u16, bytes: Vec<u8>) -> Self {
        SpdInfo::Other(kind, bytes)
    }

    fn kind(&self) -> u16 {
        match self {
            SpdInfo::Counts(_) => 1,
            SpdInfo::Table(_) => 2,
            SpdInfo::Threshold4(_) => 3,
            SpdInfo::Threshold6(_) => 4,
            SpdInfo::Other(kind, _) => *kind,
        }
    }

    fn write(&self, to: &mut Vec<u8>) {
        match self {
            SpdInfo::Counts(value) => value.write(to),
            SpdInfo::Table(value) => value.write(to),
            SpdInfo::Threshold4(value) | SpdInfo::Threshold6(value) => value.write(to),
            SpdInfo::Other(_, bytes) => to.extend_from_slice(bytes),
        }
    }
}

impl Info for SadInfo {
    fn parse(kind: u16, from: &mut Reader<'_>) -> Result<Option<Self>, Malformed> {
        Ok(Some(match kind {
            1 => SadInfo::Count(Field::read(from)?),
            2 => SadInfo::Table(Field::read(from)?),
            _ => return Ok(None),
        }))
    }

    fn other(kind: u16, bytes: Vec<u8>) -> Self {
        SadInfo::Other(kind, bytes)
    }

    fn kind(&self) -> u16 {
        match self {
            SadInfo::Count(_) => 1,
            SadInfo::Table(_) => 2,
            SadInfo::Other(kind, _) => *kind,
        }
    }

    fn write(&self, to: &mut Vec<u8>) {
        match self {
            SadInfo::Count(value) => value.write(to),
            SadInfo::Table(value) => value.write(to),
            SadInfo::Other(_, bytes) => to.extend_from_slice(bytes),
        }
    }
}

pub(crate) fn parse_all<T: Info>(mut bytes: &[u8]) -> Result<Vec<T>, Malformed> {
    let mut all = Vec::new();
    while let Some((kind, value, rest)) = split(bytes)? {
        let mut from = Reader::new(value);
        let typed = T::parse(kind, &mut from)?.filter(|_| from.rest().is_empty());
        all.push(typed.unwrap_or_else(|| T::other(kind, value.to_vec())));
        bytes = rest;
    }
    Ok(all)
}

pub(crate) fn write_all<T: Info>(attributes: &[T], to: &mut Vec<u8>) {
    for attribute in attributes {
        framed(attribute.kind(), to, |to| attribute.write(to));
    }
}
