//! Quick mode's identities IDci and IDcr, as the traffic selectors that both versions have (RFC 2407 §4.6.2, RFC 2409 §5.5).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ravelin_types::identity::IdType;
use ravelin_types::selector::{ANY_PORTS, TrafficSelector};
use ravelin_wire::ike::v1::Id;

use crate::error::Error;

const IPV4_SUBNET: IdType = IdType(4);
const IPV6_SUBNET: IdType = IdType(6);
const IPV4_RANGE: IdType = IdType(7);
const IPV6_RANGE: IdType = IdType(8);

/// A traffic selector as an identity of quick mode.
///
/// # Errors
/// When IKEv1 has no way to say it: a range of ports, or types of ICMP.
pub(crate) fn id(selector: &TrafficSelector) -> Result<Id, Error> {
    let port = match selector.ports().into_inner() {
        _ if selector.any_port() => 0,
        (first, last) if first == last && !selector.is_opaque() => first,
        _ => {
            return Err(Error::Misuse(
                "IKEv1 cannot ask for a range of ports: give the policy one port or none, or use IKEv2",
            ));
        }
    };
    let (first, last) = selector.addresses().into_inner();
    let bytes = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let v4 = first.is_ipv4();
    let (kind, data) = match selector.prefixes().as_slice() {
        _ if first == last => (if v4 { IdType::IPV4_ADDR } else { IdType::IPV6_ADDR }, bytes(first)),
        [(address, len)] => {
            let mask = match v4 {
                true => IpAddr::V4(Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(*len)).unwrap_or(0))),
                false => IpAddr::V6(Ipv6Addr::from(u128::MAX.checked_shl(128 - u32::from(*len)).unwrap_or(0))),
            };
            (if v4 { IPV4_SUBNET } else { IPV6_SUBNET }, [bytes(*address), bytes(mask)].concat())
        }
        _ => (if v4 { IPV4_RANGE } else { IPV6_RANGE }, [bytes(first), bytes(last)].concat()),
    };
    Ok(Id { kind, protocol: selector.protocol(), port, data })
}

/// The traffic selector that an identity of quick mode stands for.
///
/// # Errors
/// When it is no address, or its data does not fit its type (history row 8).
pub(crate) fn selector(id: &Id) -> Result<TrafficSelector, Error> {
    let bad = Error::Violation("an identity of quick mode that is no address");
    let v4 = |bytes: &[u8]| Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?));
    let v6 = |bytes: &[u8]| Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?));
    let halves = |len: usize| (id.data.len() == 2 * len).then(|| id.data.split_at(len));
    let addresses = match id.kind {
        IdType::IPV4_ADDR => v4(&id.data).map(TrafficSelector::host),
        IdType::IPV6_ADDR => v6(&id.data).map(TrafficSelector::host),
        IPV4_SUBNET => halves(4).and_then(|(address, mask)| prefix(v4(address)?, v4(mask)?)),
        IPV6_SUBNET => halves(16).and_then(|(address, mask)| prefix(v6(address)?, v6(mask)?)),
        IPV4_RANGE => halves(4).and_then(|(first, last)| range(v4(first)?, v4(last)?)),
        IPV6_RANGE => halves(16).and_then(|(first, last)| range(v6(first)?, v6(last)?)),
        _ => None,
    };
    let addresses = addresses.ok_or(bad.clone())?;
    let ports = if id.port == 0 { ANY_PORTS } else { id.port..=id.port };
    addresses.with(id.protocol, ports).map_err(|_| bad)
}

fn prefix(address: IpAddr, mask: IpAddr) -> Option<TrafficSelector> {
    let (len, whole) = match mask {
        IpAddr::V4(mask) => (mask.to_bits().leading_ones(), mask.to_bits().count_ones()),
        IpAddr::V6(mask) => (mask.to_bits().leading_ones(), mask.to_bits().count_ones()),
    };
    // A mask with holes is no prefix.
    let len = u8::try_from(len).ok().filter(|_| len == whole)?;
    TrafficSelector::prefix(address, len).ok()
}

fn range(first: IpAddr, last: IpAddr) -> Option<TrafficSelector> {
    (first <= last).then(|| TrafficSelector::new(first..=last, 0, ANY_PORTS).ok())?
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn selectors_survive_as_identities() {
        for (text, protocol, port) in [
            ("10.0.0.1/32", 6, 80),
            ("10.1.0.0/16", 0, 0),
            ("0.0.0.0/0", 17, 0),
            ("2001:db8::/32", 0, 0),
            ("2001:db8::1/128", 17, 53),
            ("::/0", 0, 0),
        ] {
            let (address, len) = text.split_once('/').unwrap();
            let ports = if port == 0 { ANY_PORTS } else { port..=port };
            let prefix = TrafficSelector::prefix(address.parse().unwrap(), len.parse().unwrap()).unwrap();
            let wanted = prefix.with(protocol, ports).unwrap();
            assert_eq!(selector(&id(&wanted).unwrap()).unwrap(), wanted, "{text}");
        }
        let first: IpAddr = "10.0.0.5".parse().unwrap();
        let last: IpAddr = "10.0.0.9".parse().unwrap();
        let range = TrafficSelector::new(first..=last, 0, ANY_PORTS).unwrap();
        assert_eq!(selector(&id(&range).unwrap()).unwrap(), range);
        assert!(id(&TrafficSelector::any_v4().with(6, 1..=9).unwrap()).is_err());
    }

    // History row 8: every type with wrong lengths, and types that are no address.
    #[test]
    fn identities_that_are_no_traffic_are_refused() {
        for kind in 0..=u8::MAX {
            for len in 0..40 {
                let id = Id { kind: IdType(kind), protocol: 0, port: 0, data: vec![0; len] };
                let fits = matches!((kind, len), (1, 4) | (5, 16) | (4 | 7, 8) | (6 | 8, 32));
                assert_eq!(selector(&id).is_ok(), fits, "type {kind}, {len} bytes");
            }
        }
        let holes = Id { kind: IPV4_SUBNET, protocol: 0, port: 0, data: vec![10, 0, 0, 0, 255, 0, 255, 0] };
        let backwards = Id { kind: IPV4_RANGE, protocol: 0, port: 0, data: vec![10, 0, 0, 2, 10, 0, 0, 1] };
        assert!(selector(&holes).is_err() && selector(&backwards).is_err());
    }
}
