//! Addresses of this host and of others: one, several, or any.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ravelin_types::HostName;
use ravelin_types::selector::{ANY_PORTS, TrafficSelector};

use super::host::Host;

/// One entry of a list of addresses, such as `local_addrs` and `remote_addrs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `%any`, of both families or one.
    Any(Vec<RangeInclusive<IpAddr>>),
    /// One host: it can be initiated to or from.
    Host(Host),
    /// A subnet or a range.
    Range(RangeInclusive<IpAddr>),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Any(ranges) if ranges.len() > 1 => f.write_str("%any"),
            Address::Any(ranges) if ranges.iter().all(|range| range.start().is_ipv4()) => f.write_str("%any4"),
            Address::Any(_) => f.write_str("%any6"),
            Address::Host(host) => host.fmt(f),
            Address::Range(range) => write!(f, "{}-{}", range.start(), range.end()),
        }
    }
}

impl Address {
    /// The addresses that it stands for, as far as no name has to be looked up for that.
    pub fn ranges(&self) -> Vec<RangeInclusive<IpAddr>> {
        match self {
            Address::Any(ranges) => ranges.clone(),
            Address::Host(host) => host.address().into_iter().map(|host| host..=host).collect(),
            Address::Range(range) => vec![range.clone()],
        }
    }
}

/// An entry of `local_addrs` or `remote_addrs`: what [`address`] takes, or the name of a host.
pub fn place(text: &str) -> Result<Address, String> {
    let named = |why| {
        let name = HostName::new(text).map(|name| Address::Host(Host::Name(name)));
        name.map_err(|wrong| format!("{why}, or the name of a host: {wrong}"))
    };
    address(text).or_else(named)
}

/// An address, several, or any.
pub fn address(text: &str) -> Result<Address, String> {
    let (v4, v6) = (TrafficSelector::any_v4().addresses(), TrafficSelector::any_v6().addresses());
    match text {
        "%any" => return Ok(Address::Any(vec![v4, v6])),
        "%any4" | "0.0.0.0" | "0.0.0.0/0" => return Ok(Address::Any(vec![v4])),
        "%any6" | "::" | "::/0" => return Ok(Address::Any(vec![v6])),
        _ => {}
    }
    if let Ok(host) = text.parse::<IpAddr>() {
        return Ok(Address::Host(host.into()));
    }
    range(text).map(Address::Range).ok_or_else(|| format!("`{text}` is not an address, a subnet, a range or %any"))
}

/// An entry of `vips`: an address that the peer is asked for, or an unspecified one for any of its family.
pub fn virtual_address(text: &str) -> Result<IpAddr, String> {
    let any = match text {
        "%any" | "%any4" | "%config" | "%config4" => Some(IpAddr::from(Ipv4Addr::UNSPECIFIED)),
        "%any6" | "%config6" => Some(Ipv6Addr::UNSPECIFIED.into()),
        _ => None,
    };
    let parsed = any.or_else(|| text.parse().ok());
    parsed.ok_or_else(|| format!("`{text}` is not an address; expected one, 0.0.0.0 for any, or :: for any of IPv6"))
}

/// `10.0.0.0/8`, `10.0.0.1-10.0.0.9`
pub fn range(text: &str) -> Option<RangeInclusive<IpAddr>> {
    if let Some((base, len)) = text.split_once('/') {
        let prefix = TrafficSelector::prefix(base.parse().ok()?, len.parse().ok()?).ok()?;
        return Some(prefix.addresses());
    }
    let (first, last) = text.split_once('-').or_else(|| text.split_once(".."))?;
    let range = first.trim().parse().ok()?..=last.trim().parse().ok()?;
    TrafficSelector::new(range, 0, ANY_PORTS).ok().map(|selector| selector.addresses())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hosts_ranges_or_any() {
        assert_eq!(address("192.0.2.1"), Ok(Address::Host(Host::Address("192.0.2.1".parse().unwrap()))));
        let range = "10.0.0.0".parse().unwrap()..="10.0.0.255".parse().unwrap();
        assert_eq!(address("10.0.0.0/24"), Ok(Address::Range(range)));
        assert!(matches!(address("10.0.0.1-10.0.0.9"), Ok(Address::Range(_))));
        assert_eq!(address("%any").unwrap().ranges().len(), 2);
        let Ok(Address::Host(named)) = place("gw.Example.org") else { panic!() };
        assert_eq!((named.to_string().as_str(), named.address()), ("gw.example.org", None));
        assert!(place("192.0.2.256").unwrap_err().contains("would be taken for an address"));
        assert!(address("gw.example.org").is_err() && place("%any") == address("%any"));
        assert!(address("10.0.0.0/33").is_err() && address("10.0.0.9-10.0.0.1").is_err());
    }
}
