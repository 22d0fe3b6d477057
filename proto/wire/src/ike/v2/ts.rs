//! Traffic Selector payloads (RFC 7296 §3.13).
//!
//! ```text
//!   count (1) | reserved (3) | selectors:
//!   type (1) | protocol (1) | length (2) | start port (2) | end port (2) | start address | end address
//! ```

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ravelin_types::ids;
use ravelin_types::selector::TrafficSelector;

use super::super::error::Malformed;
use super::super::reader::Reader;
use super::Body;
use crate::limits;

ids! {
    /// Traffic selector type.
    TsType(u8) {
        IPV4_ADDR_RANGE = 7 => "TS_IPV4_ADDR_RANGE",
        IPV6_ADDR_RANGE = 8 => "TS_IPV6_ADDR_RANGE",
        FC_ADDR_RANGE = 9 => "TS_FC_ADDR_RANGE",
        SECLABEL = 10 => "TS_SECLABEL",
    }
}

const SELECTOR_HEADER_LEN: usize = 4;

/// What one side of a Child SA sends from and receives for. Never empty when received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ts(pub Vec<TsEntry>);

/// One selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TsEntry {
    /// A range that packets can be compared with.
    Usable(TrafficSelector),
    /// Another type, or a range that runs backwards: no packet is selected by it, so negotiation passes over it.
    Unusable {
        /// Traffic selector type.
        kind: TsType,
        /// IP protocol, where the type has one.
        protocol: u8,
        /// The bytes after the length.
        body: Vec<u8>,
    },
}

impl Ts {
    /// A payload of these selectors.
    pub fn new(selectors: &[TrafficSelector]) -> Self {
        Ts(selectors.iter().copied().map(TsEntry::Usable).collect())
    }

    /// The selectors that mean something, in order.
    pub fn usable(&self) -> impl Iterator<Item = TrafficSelector> + '_ {
        self.0.iter().filter_map(|entry| if let TsEntry::Usable(ts) = entry { Some(*ts) } else { None })
    }
}

impl Body for Ts {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let at_count = r.clone();
        let count = r.u8()?;
        r.take(3)?; // reserved
        if count == 0 {
            return Err(at_count.malformed("no traffic selector"));
        }
        (0..count).map(|_| parse_entry(r)).collect::<Result<_, _>>().map(Ts)
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.0.len() as u8, 0, 0, 0]);
        for entry in &self.0 {
            match entry {
                TsEntry::Usable(ts) => emit_usable(ts, out),
                TsEntry::Unusable { kind, protocol, body } => {
                    out.extend_from_slice(&[kind.0, *protocol]);
                    // A chain takes no payload above its own bound, so the cast loses nothing in what is sent.
                    out.extend_from_slice(&((SELECTOR_HEADER_LEN + body.len()) as u16).to_be_bytes());
                    out.extend_from_slice(body);
                }
            }
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        match self.0.len() {
            0 => Err("no traffic selector"),
            1..=limits::MAX_SELECTORS => Ok(()),
            _ => Err("too many traffic selectors"),
        }
    }
}

fn parse_entry(r: &mut Reader<'_>) -> Result<TsEntry, Malformed> {
    let kind = TsType(r.u8()?);
    let protocol = r.u8()?;
    let at_len = r.clone();
    let len = usize::from(r.u16()?);
    let expected = match kind {
        TsType::IPV4_ADDR_RANGE => Some(16),
        TsType::IPV6_ADDR_RANGE => Some(40),
        _ => None,
    };
    if len < SELECTOR_HEADER_LEN || expected.is_some_and(|expected| len != expected) {
        return Err(at_len.malformed("selector length does not fit its type"));
    }
    let mut body = r.clone();
    let bytes = r.take(len - SELECTOR_HEADER_LEN)?;
    let unusable = || TsEntry::Unusable { kind, protocol, body: bytes.into() };
    if expected.is_none() {
        return Ok(unusable());
    }
    let ports = body.u16()?..=body.u16()?;
    let mut address = || -> Result<IpAddr, Malformed> {
        Ok(match kind {
            TsType::IPV4_ADDR_RANGE => Ipv4Addr::from(body.array::<4>()?).into(),
            _ => Ipv6Addr::from(body.array::<16>()?).into(),
        })
    };
    let addresses = address()?..=address()?;
    Ok(TrafficSelector::new(addresses, protocol, ports).map_or_else(|_| unusable(), TsEntry::Usable))
}

fn emit_usable(ts: &TrafficSelector, out: &mut Vec<u8>) {
    let (kind, len) = if ts.is_ipv4() { (TsType::IPV4_ADDR_RANGE, 16u16) } else { (TsType::IPV6_ADDR_RANGE, 40) };
    out.extend_from_slice(&[kind.0, ts.protocol()]);
    out.extend_from_slice(&len.to_be_bytes());
    let (start_port, end_port) = ts.ports().into_inner();
    out.extend_from_slice(&start_port.to_be_bytes());
    out.extend_from_slice(&end_port.to_be_bytes());
    let (start, end) = ts.addresses().into_inner();
    for address in [start, end] {
        match address {
            IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
            IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
        }
    }
}
