//! What several messages have in them.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ravelin_types::dataplane::Flow;
use ravelin_types::policy::{Domain, PolicyId};
use ravelin_types::selector::{ANY_PORTS, BadSelector, OPAQUE_PORTS, TrafficSelector};
use ravelin_types::{ErrorCode, ids};

use super::{Body, Malformed, Reader};
use crate::ip::transport::has_ports;

/// No data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nothing;

impl Body for Nothing {
    fn parse(_: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Nothing)
    }

    fn emit(&self, _: &mut Vec<u8>) {}
}

/// The number of a policy (4 octets; `MgmtPolicyID`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyNumber(pub PolicyId);

impl Body for PolicyNumber {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(PolicyNumber(PolicyId(r.u32()?)))
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.0.to_be_bytes());
    }
}

/// Octets without a meaning, which must be 0.
pub(super) fn reserved(r: &mut Reader<'_>, len: usize) -> Result<(), Malformed> {
    let at = r.clone();
    if r.take(len)?.iter().any(|octet| *octet != 0) { Err(at.malformed("reserved octets are not 0")) } else { Ok(()) }
}

/// An address or none: `family (1: 0 none, 4, 6) | reserved (3) | address (16, IPv4 in the first four)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endpoint(pub Option<IpAddr>);

impl Body for Endpoint {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let at = r.clone();
        let family = r.u8()?;
        reserved(r, 3)?;
        let address: [u8; 16] = r.array()?;
        let (v4, tail) = address.split_at(4);
        match (family, <[u8; 4]>::try_from(v4)) {
            (0, _) if address == [0; 16] => Ok(Endpoint(None)),
            (4, Ok(v4)) if tail.iter().all(|octet| *octet == 0) => Ok(Endpoint(Some(Ipv4Addr::from(v4).into()))),
            (6, _) => Ok(Endpoint(Some(Ipv6Addr::from(address).into()))),
            _ => Err(at.malformed("the address does not fit its family")),
        }
    }

    fn emit(&self, out: &mut Vec<u8>) {
        let family = self.0.map_or(0, |address| if address.is_ipv4() { 4 } else { 6 });
        out.extend_from_slice(&[family, 0, 0, 0]);
        out.extend_from_slice(&self.0.map_or([0; 16], octets));
    }
}

/// Sixteen octets, an IPv4 address in the first four.
fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&v4.octets());
            octets
        }
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn address(octets: [u8; 16], v4: bool) -> IpAddr {
    let [a, b, c, d, ..] = octets;
    if v4 { Ipv4Addr::new(a, b, c, d).into() } else { Ipv6Addr::from(octets).into() }
}

ids! {
    /// The form of an identity, with the numbers of RFC 2407 §4.6.2.1.
    IdentityType(u8) {
        IPV4_ADDR = 1 => "IPv4 address",
        IPV4_ADDR_SUBNET = 4 => "IPv4 address and mask",
        IPV6_ADDR = 5 => "IPv6 address",
        IPV6_ADDR_SUBNET = 6 => "IPv6 address and mask",
        IPV4_ADDR_RANGE = 7 => "IPv4 address range",
        IPV6_ADDR_RANGE = 8 => "IPv6 address range",
    }
}

/// One side of the traffic of a policy (`IPSecID`): `type (1) | reserved (3) | first port (2) | last port (2) |
/// address (16) | mask or last address (16)`. Both ports 0 is any port; 65535 and 0 are OPAQUE (RFC 4301 §4.4.1); ICMP
/// has type * 256 + code. As it was received: what it means is judged by
/// [`TrafficIdentity::selector`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrafficIdentity {
    /// How the rest is read.
    pub kind: IdentityType,
    /// First and last port.
    pub ports: (u16, u16),
    /// The address, or the first one.
    pub address: [u8; 16],
    /// The mask or the last address; nothing where there is one address.
    pub second: [u8; 16],
}

impl TrafficIdentity {
    /// The selector for packets of `protocol`, 0 for any.
    ///
    /// # Errors
    /// [`ErrorCode::BadIdType`] for a type without a name, [`ErrorCode::BadAddrRange`] for a range that runs backwards or
    /// a mask with a gap, [`ErrorCode::BadPortNumber`] for ports that run backwards or that the protocol does not have.
    pub fn selector(&self, protocol: u8) -> Result<TrafficSelector, ErrorCode> {
        let v4 = matches!(
            self.kind,
            IdentityType::IPV4_ADDR | IdentityType::IPV4_ADDR_SUBNET | IdentityType::IPV4_ADDR_RANGE
        );
        let first = address(self.address, v4);
        let addresses = match self.kind {
            IdentityType::IPV4_ADDR | IdentityType::IPV6_ADDR => Ok(TrafficSelector::host(first)),
            IdentityType::IPV4_ADDR_SUBNET | IdentityType::IPV6_ADDR_SUBNET => {
                let mask = u128::from_be_bytes(self.second);
                let len = mask.leading_ones();
                if len != mask.count_ones() {
                    return Err(ErrorCode::BadAddrRange);
                }
                // At most 128, so nothing is lost.
                TrafficSelector::prefix(first, len as u8)
            }
            IdentityType::IPV4_ADDR_RANGE | IdentityType::IPV6_ADDR_RANGE => {
                TrafficSelector::new(first..=address(self.second, v4), 0, ANY_PORTS)
            }
            _ => return Err(ErrorCode::BadIdType),
        };
        let ports = match self.ports {
            // Document 003 §3.3: zero is the wildcard.
            (0, 0) => ANY_PORTS,
            (first, last) => first..=last,
        };
        let meant = ports == ANY_PORTS || ports == OPAQUE_PORTS || has_ports(protocol);
        if !meant {
            return Err(ErrorCode::BadPortNumber);
        }
        addresses.and_then(|selector| selector.with(protocol, ports)).map_err(|error| match error {
            BadSelector::PortsReversed => ErrorCode::BadPortNumber,
            _ => ErrorCode::BadAddrRange,
        })
    }
}

impl From<&TrafficSelector> for TrafficIdentity {
    fn from(selector: &TrafficSelector) -> Self {
        let (first, last) = selector.addresses().into_inner();
        let (kind, second) = match (selector.is_ipv4(), first == last) {
            (true, true) => (IdentityType::IPV4_ADDR, [0; 16]),
            (false, true) => (IdentityType::IPV6_ADDR, [0; 16]),
            (true, false) => (IdentityType::IPV4_ADDR_RANGE, octets(last)),
            (false, false) => (IdentityType::IPV6_ADDR_RANGE, octets(last)),
        };
        let ports = if selector.any_port() { (0, 0) } else { selector.ports().into_inner() };
        TrafficIdentity { kind, ports, address: octets(first), second }
    }
}

impl Body for TrafficIdentity {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let kind = IdentityType(r.u8()?);
        reserved(r, 3)?;
        Ok(TrafficIdentity { kind, ports: (r.u16()?, r.u16()?), address: r.array()?, second: r.array()? })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.kind.0, 0, 0, 0]);
        out.extend_from_slice(&self.ports.0.to_be_bytes());
        out.extend_from_slice(&self.ports.1.to_be_bytes());
        out.extend_from_slice(&self.address);
        out.extend_from_slice(&self.second);
    }
}

/// One packet as the SPD sees it: `protocol (1) | which ports are shown (1: 1 source, 2 destination, 3 both) |
/// domain (2) | source port (2) | destination port (2) | source (20) | destination (20)`. A port that is not shown is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketFlow {
    /// The SPD that it is looked up in.
    pub domain: Domain,
    /// What it shows.
    pub flow: Flow,
}

impl Body for PacketFlow {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let protocol = r.u8()?;
        let at = r.clone();
        let shown = r.u8()?;
        let domain = Domain(r.u16()?);
        let port = |bit: u8, port: u16| match (shown & bit != 0, port) {
            (true, port) => Ok(Some(port)),
            (false, 0) => Ok(None),
            (false, _) => Err(at.malformed("a port that is not shown")),
        };
        let (src_port, dst_port) = (port(1, r.u16()?)?, port(2, r.u16()?)?);
        if shown > 3 {
            return Err(at.malformed("a packet has two ports"));
        }
        let at = r.clone();
        let (Endpoint(Some(src)), Endpoint(Some(dst))) = (Endpoint::parse(r)?, Endpoint::parse(r)?) else {
            return Err(at.malformed("a packet has two addresses"));
        };
        Ok(PacketFlow { domain, flow: Flow { src, dst, protocol, src_port, dst_port } })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        let Flow { src, dst, protocol, src_port, dst_port } = self.flow;
        let shown = u8::from(src_port.is_some()) | u8::from(dst_port.is_some()) << 1;
        out.extend_from_slice(&[protocol, shown]);
        out.extend_from_slice(&self.domain.0.to_be_bytes());
        for port in [src_port, dst_port] {
            out.extend_from_slice(&port.unwrap_or(0).to_be_bytes());
        }
        Endpoint(Some(src)).emit(out);
        Endpoint(Some(dst)).emit(out);
    }
}
