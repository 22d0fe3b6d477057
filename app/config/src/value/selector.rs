//! Identity strings of traffic (document 003 §3.12): which addresses and ports a policy is about.
//!
//! ```text
//! any  any6  ADDRESS  ADDRESS/BITS  ADDRESS/MASK  FIRST-LAST  (LAST may be short: 10.0.0.40-.60)
//! each with ,PORT or ,FIRST-LAST or ,opaque at its end, or before the slash
//! ```
//! `opaque` is about packets that show no port, such as later fragments (RFC 4301 §4.4.1); with `-p icmp/TYPE` at one
//! side, messages of the type are sent or received, not both (RFC 4301 §4.4.1.3).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use ravelin_types::selector::{ANY_PORTS, ANY_PROTOCOL, BadSelector, OPAQUE_PORTS, TrafficSelector};

use super::BadValue;
use super::protocol::Protocol;

/// Addresses and ports, not yet bound to a protocol. Prints as listings show it: `10.0.0.78:500`, `any`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdString(TrafficSelector);

impl IdString {
    /// As a selector for packets of `protocol`, with its types where no ports are given.
    pub fn bind(self, protocol: &Protocol) -> TrafficSelector {
        let ports = match &protocol.types {
            Some(types) if self.0.any_port() => types.clone(),
            _ => self.0.ports(),
        };
        // Types and the ports of a selector are in order, so `with` takes them.
        self.0.with(protocol.number, ports).unwrap_or(self.0)
    }

    /// Whether its ports have a meaning with `protocol`.
    ///
    /// # Errors
    /// When ports are given for a protocol that has none.
    pub fn check_ports(self, protocol: &Protocol) -> Result<(), BadValue> {
        const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];
        match protocol.number {
            _ if self.0.any_port() => Ok(()),
            // RFC 7296 §3.13.1: with any protocol goes any port.
            ANY_PROTOCOL if self.0.is_opaque() => Err(BadValue::new("opaque needs a protocol, like -p udp")),
            number if self.0.is_opaque() || WITH_PORTS.contains(&number) => Ok(()),
            _ => Err(BadValue::new("a port needs -p udp or -p tcp; types stand behind the protocol, like -p icmp/8")),
        }
    }

    /// The only address it stands for, if there is only one.
    pub fn host(self) -> Option<IpAddr> {
        let (first, last) = self.0.addresses().into_inner();
        (first == last).then_some(first)
    }

    /// Whether it is about IPv4.
    pub fn is_ipv4(self) -> bool {
        self.0.is_ipv4()
    }
}

impl IdString {
    /// Of a selector whose types are shown with its protocol, and not as ports.
    pub fn beside(protocol: &Protocol, selector: TrafficSelector) -> Self {
        let bare = if protocol.types.is_some() && !selector.is_opaque() { ANY_PORTS } else { selector.ports() };
        IdString(selector.with(selector.protocol(), bare).unwrap_or(selector))
    }

    /// As [`id_string`] reads it.
    pub fn written(self) -> String {
        let (first, last) = self.0.ports().into_inner();
        match (self.0.any_port(), first == last) {
            (true, _) => self.addresses(),
            _ if self.0.is_opaque() => format!("{},opaque", self.addresses()),
            (false, true) => format!("{},{first}", self.addresses()),
            (false, false) => format!("{},{first}-{last}", self.addresses()),
        }
    }

    fn addresses(self) -> String {
        match self.0.with(ANY_PROTOCOL, ANY_PORTS) {
            Ok(bare) if bare == TrafficSelector::any_v4() => "any".to_owned(),
            Ok(bare) if bare == TrafficSelector::any_v6() => "any6".to_owned(),
            Ok(bare) => bare.to_string(),
            Err(_) => self.0.to_string(),
        }
    }
}

impl From<TrafficSelector> for IdString {
    fn from(selector: TrafficSelector) -> Self {
        IdString(selector)
    }
}

/// Has both sides of a policy about two address families begin with the same one: whoever can only say one pair (IKEv1's
/// quick mode, the management messages) says the first of each side. Packets are of one family, so that the order of
/// families means nothing.
pub fn begin_alike(local: &[TrafficSelector], remote: &mut [TrafficSelector]) {
    if let Some(first) = local.first() {
        remote.sort_by_key(|selector| selector.is_ipv4() != first.is_ipv4());
    }
}

/// An identity string as written behind `-s` and `-d` of `ipsec policy`.
///
/// # Errors
/// When it has none of the forms above.
pub fn id_string(text: &str) -> Result<IdString, BadValue> {
    let ports = id_ports(text)?;
    let Parts { before, mask_behind, .. } = Parts::of(text);
    let (base, mask) = match (before.split_once('/'), mask_behind) {
        (Some((base, _)), Some(_)) => return Err(BadValue::at(base.len() + 1, "expected one mask")),
        (Some((base, mask)), None) => (base, Some(mask)),
        (None, mask) => (before, mask),
    };
    let selector = addresses_of(base, mask)?;
    selector.with(0, ports).map(IdString).map_err(|error| BadValue::new(error.to_string()))
}

/// The ports of an identity string, whatever else it says.
///
/// # Errors
/// When they are none.
pub fn id_ports(text: &str) -> Result<RangeInclusive<u16>, BadValue> {
    let Parts { before, port, .. } = Parts::of(text);
    port.map_or(Ok(ANY_PORTS), |port| ports(port, before.len() + 1))
}

/// An identity string taken apart.
struct Parts<'a> {
    before: &'a str,
    port: Option<&'a str>,
    mask_behind: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// The port stands before a slash (`192.168.10.0,1500/24`) or at the end.
    fn of(text: &'a str) -> Self {
        let Some((before, after)) = text.split_once(',') else {
            return Parts { before: text, port: None, mask_behind: None };
        };
        let (port, mask) = after.split_once('/').unwrap_or((after, ""));
        Parts { before, port: Some(port), mask_behind: Some(mask).filter(|mask| !mask.is_empty()) }
    }
}

fn addresses_of(text: &str, mask: Option<&str>) -> Result<TrafficSelector, BadValue> {
    if let Some(mask) = mask {
        let base = address(text, 0)?;
        let len = prefix_len(mask, base, text.len() + 1)?;
        return TrafficSelector::prefix(base, len).map_err(|error| at(text.len() + 1, error));
    }
    if text.eq_ignore_ascii_case("any") {
        return Ok(TrafficSelector::any_v4());
    }
    if text.eq_ignore_ascii_case("any6") {
        return Ok(TrafficSelector::any_v6());
    }
    if let Some((first, last)) = text.split_once('-') {
        let first_address = address(first, 0)?;
        let last_address = match (last.strip_prefix('.'), first_address) {
            (Some(tail), IpAddr::V4(first_v4)) => IpAddr::V4(short_last(first_v4, tail, first.len() + 1)?),
            _ => address(last, first.len() + 1)?,
        };
        return TrafficSelector::new(first_address..=last_address, 0, 0..=u16::MAX)
            .map_err(|error| at(first.len() + 1, error));
    }
    address(text, 0).map(TrafficSelector::host)
}

fn address(text: &str, offset: usize) -> Result<IpAddr, BadValue> {
    text.parse().map_err(|_| {
        let shown = if text.is_empty() { "nothing".to_owned() } else { format!("`{text}`") };
        BadValue::at(offset, format!("{shown} is not an IP address; expected an address, any or any6"))
    })
}

/// `40-.60`: the last octets replace those of the first address.
fn short_last(first: Ipv4Addr, tail: &str, offset: usize) -> Result<Ipv4Addr, BadValue> {
    let bad = || BadValue::at(offset, "expected the last octets");
    let mut last = first.octets();
    let kept = last.len().checked_sub(tail.split('.').count()).filter(|kept| *kept > 0).ok_or_else(bad)?;
    for (to, from) in last.iter_mut().skip(kept).zip(tail.split('.')) {
        *to = from.parse().map_err(|_| bad())?;
    }
    Ok(last.into())
}

/// The length of a prefix, or a mask of the same family as `base`.
fn prefix_len(text: &str, base: IpAddr, offset: usize) -> Result<u8, BadValue> {
    if let Ok(len) = text.parse::<u8>() {
        return Ok(len);
    }
    let mask = match (text.parse(), base) {
        (Ok(IpAddr::V4(mask)), IpAddr::V4(_)) => Some((mask.to_bits().leading_ones(), mask.to_bits().count_ones())),
        (Ok(IpAddr::V6(mask)), IpAddr::V6(_)) => Some((mask.to_bits().leading_ones(), mask.to_bits().count_ones())),
        _ => None,
    };
    match mask {
        Some((leading, all)) if leading == all => Ok(u8::try_from(leading).unwrap_or(u8::MAX)),
        Some(_) => Err(BadValue::at(offset, "the mask has a gap; expected ones, then zeros")),
        None => Err(BadValue::at(offset, "expected a number of bits or a mask")),
    }
}

fn ports(text: &str, offset: usize) -> Result<RangeInclusive<u16>, BadValue> {
    if text.eq_ignore_ascii_case("opaque") {
        return Ok(OPAQUE_PORTS);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| {
        text.parse::<u16>().map_err(|_| BadValue::at(offset, "expected a port from 0 to 65535, or opaque"))
    };
    let (first, last) = (port(first)?, port(last)?);
    match (first, last) {
        // Document 003 §3.3: zero is the wildcard.
        (0, 0) => Ok(ANY_PORTS),
        _ if first > last => Err(at(offset, BadSelector::PortsReversed)),
        _ => Ok(first..=last),
    }
}

fn at(offset: usize, error: BadSelector) -> BadValue {
    BadValue::at(offset, error.to_string())
}

impl fmt::Display for IdString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let selector = self.0;
        let plain = self.addresses();
        let bracketed = plain.contains(':') && !selector.any_port();
        let addresses = if bracketed { format!("[{plain}]") } else { plain };
        let (first, last) = selector.ports().into_inner();
        match (selector.any_port(), first == last) {
            (true, _) => f.write_str(&addresses),
            _ if selector.is_opaque() => write!(f, "{addresses}:opaque"),
            (false, true) => write!(f, "{addresses}:{first}"),
            (false, false) => write!(f, "{addresses}:{first}-{last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        id_string(text).unwrap().to_string()
    }

    // Every example of document 003 §3.12.
    #[test]
    fn the_forms_of_the_document() {
        for (text, expected) in [
            ("192.168.10.1", "192.168.10.1"),
            ("192.168.10.0/255.255.255.0", "192.168.10.0/24"),
            ("192.168.10.0/24", "192.168.10.0/24"),
            ("192.168.10.40-192.168.10.60", "192.168.10.40-192.168.10.60"),
            ("192.168.10.40-.60", "192.168.10.40-192.168.10.60"),
            ("192.168.10.1,1500", "192.168.10.1:1500"),
            ("192.168.10.0,1500/255.255.255.0", "192.168.10.0/24:1500"),
            ("192.168.10.0/24,1500", "192.168.10.0/24:1500"),
            ("192.168.10.40-192.168.10.60,1500", "192.168.10.40-192.168.10.60:1500"),
            ("192.168.10.40-.60,1500-1600", "192.168.10.40-192.168.10.60:1500-1600"),
            ("3ffe:501:ffff::211:11ff:febe:7f61", "3ffe:501:ffff:0:211:11ff:febe:7f61"),
            ("fe80::211:11ff:febe:7f61,1500", "[fe80::211:11ff:febe:7f61]:1500"),
            ("3ffe:501:ffff:2::/64", "3ffe:501:ffff:2::/64"),
            ("any", "any"),
            ("any6", "any6"),
            ("ANY,500", "any:500"),
            ("10.0.0.1,0", "10.0.0.1"),
            ("10.0.0.0/8,opaque", "10.0.0.0/8:opaque"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_located() {
        for (text, offset) in [
            ("192.168.10", 0),
            ("192.168.10.0/33", 13),
            ("192.168.10.0/255.0.255.0", 13),
            ("10.0.0.9-10.0.0.1", 9),
            ("10.0.0.1,70000", 9),
            ("10.0.0.1,20-10", 9),
            ("10.0.0.1-::1", 9),
            ("", 0),
        ] {
            assert_eq!(id_string(text).unwrap_err().offset, offset, "{text}");
        }
    }

    #[test]
    fn ports_need_a_protocol_with_ports() {
        let web = id_string("10.0.0.1,80").unwrap();
        let [any, icmp, tcp] = [0, 1, 6].map(Protocol::from);
        assert_eq!(web.bind(&tcp).to_string(), "10.0.0.1[6/80]");
        assert!(web.check_ports(&tcp).is_ok());
        assert!(web.check_ports(&icmp).is_err());
        assert!(web.check_ports(&any).is_err());
        let host = id_string("10.0.0.1").unwrap();
        assert!(host.check_ports(&icmp).is_ok());
        assert_eq!(host.bind(&icmp).to_string(), "10.0.0.1[1]");
        let opaque = id_string("10.0.0.1,opaque").unwrap();
        assert!(opaque.check_ports(&any).is_err());
        assert!([&icmp, &tcp].iter().all(|protocol| opaque.check_ports(protocol).is_ok()));
        assert_eq!(opaque.bind(&tcp).to_string(), "10.0.0.1[6/opaque]");
    }

    #[test]
    fn types_of_the_protocol_stand_where_no_ports_are_given() {
        let echo = crate::value::protocol::protocol("icmp/8").unwrap();
        assert_eq!(id_string("10.0.0.1").unwrap().bind(&echo).to_string(), "10.0.0.1[1/2048-2303]");
        assert_eq!(id_string("10.0.0.1,opaque").unwrap().bind(&echo).to_string(), "10.0.0.1[1/opaque]");
    }
}
