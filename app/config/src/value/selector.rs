//! Identity strings of traffic (document 003 §3.12): which addresses and ports a policy is about.
//!
//! ```text
//! any  any6  ADDRESS  ADDRESS/BITS  ADDRESS/MASK  FIRST-LAST  (LAST may be short: 10.0.0.40-.60)
//! each with ,PORT or ,FIRST-LAST at its end, or before the slash
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use ravelin_types::selector::{BadSelector, TrafficSelector};

use super::BadValue;

/// Addresses and ports, not yet bound to a protocol. Prints as listings show it: `10.0.0.78:500`, `any`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdString(TrafficSelector);

impl IdString {
    /// As a selector for packets of `protocol`.
    pub fn bind(self, protocol: u8) -> TrafficSelector {
        // The ports come from a selector, so they are in order and `with` takes them.
        self.0.with(protocol, self.0.ports()).unwrap_or(self.0)
    }

    /// Whether its ports have a meaning with `protocol`.
    ///
    /// # Errors
    /// When ports are given for a protocol that has none.
    pub fn check_ports(self, protocol: u8) -> Result<(), BadValue> {
        const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];
        if self.0.any_port() || WITH_PORTS.contains(&protocol) {
            return Ok(());
        }
        Err(BadValue::new("a port needs -p udp or -p tcp"))
    }

    /// The only address it stands for, if there is only one.
    pub fn host(self) -> Option<IpAddr> {
        let (first, last) = self.0.addresses().into_inner();
        (first == last).then_some(first)
    }

    /// The same addresses with any port.
    pub fn without_ports(self) -> IdString {
        IdString(self.0.with(0, 0..=u16::MAX).unwrap_or(self.0))
    }

    /// Whether it is about IPv4.
    pub fn is_ipv4(self) -> bool {
        self.0.is_ipv4()
    }
}

impl From<TrafficSelector> for IdString {
    fn from(selector: TrafficSelector) -> Self {
        IdString(selector)
    }
}

/// An identity string as written behind `-s` and `-d` of `ipsec policy`.
///
/// # Errors
/// When it has none of the forms above.
pub fn id_string(text: &str) -> Result<IdString, BadValue> {
    // The port stands before a slash (`192.168.10.0,1500/24`) or at the end.
    let (addresses, ports) = match text.split_once(',') {
        None => (text.to_owned(), 0..=u16::MAX),
        Some((before, after)) => {
            let (port, suffix) = match after.split_once('/') {
                Some((port, mask)) => (port, format!("/{mask}")),
                None => (after, String::new()),
            };
            (format!("{before}{suffix}"), ports(port, before.len() + 1)?)
        }
    };
    let selector = addresses_of(&addresses)?;
    selector.with(0, ports).map(IdString).map_err(|error| BadValue::new(error.to_string()))
}

fn addresses_of(text: &str) -> Result<TrafficSelector, BadValue> {
    if text.eq_ignore_ascii_case("any") {
        return Ok(TrafficSelector::any_v4());
    }
    if text.eq_ignore_ascii_case("any6") {
        return Ok(TrafficSelector::any_v6());
    }
    if let Some((base, mask)) = text.split_once('/') {
        let base_address = address(base, 0)?;
        let len = prefix_len(mask, base_address, base.len() + 1)?;
        return TrafficSelector::prefix(base_address, len).map_err(|error| at(base.len() + 1, error));
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
    let octets: Option<Vec<u8>> = tail.split('.').map(|part| part.parse().ok()).collect();
    let octets = octets.filter(|octets| octets.len() < 4).ok_or(BadValue::at(offset, "expected the last octets"))?;
    let mut last = first.octets();
    let kept = last.len() - octets.len();
    for (to, from) in last.iter_mut().skip(kept).zip(octets) {
        *to = from;
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
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| text.parse::<u16>().map_err(|_| BadValue::at(offset, "expected a port from 0 to 65535"));
    let (first, last) = (port(first)?, port(last)?);
    match (first, last) {
        // Document 003 §3.3: zero is the wildcard.
        (0, 0) => Ok(0..=u16::MAX),
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
        let any_port = TrafficSelector::any_v4().ports();
        let addresses = match selector.with(0, any_port) {
            Ok(bare) if bare == TrafficSelector::any_v4() => "any".to_owned(),
            Ok(bare) if bare == TrafficSelector::any_v6() => "any6".to_owned(),
            Ok(bare) if !bare.is_ipv4() && !selector.any_port() => format!("[{bare}]"),
            Ok(bare) => bare.to_string(),
            Err(_) => selector.to_string(),
        };
        let (first, last) = selector.ports().into_inner();
        match (selector.any_port(), first == last) {
            (true, _) => f.write_str(&addresses),
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
        assert_eq!(web.bind(6).to_string(), "10.0.0.1[6/80]");
        assert!(web.check_ports(6).is_ok());
        assert!(web.check_ports(1).is_err());
        assert!(web.check_ports(0).is_err());
        let host = id_string("10.0.0.1").unwrap();
        assert!(host.check_ports(1).is_ok());
        assert_eq!(host.bind(1).to_string(), "10.0.0.1[1]");
    }
}
