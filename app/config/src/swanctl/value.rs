//! Values as strongSwan writes them alone: traffic selectors, secrets.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use base64::Engine as _;
use ravelin_types::selector::{ANY_PORTS, OPAQUE_PORTS, TrafficSelector};

use crate::value::address::range;
use crate::value::unhex;

/// A traffic selector, or one whose address is found later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector {
    /// With its addresses.
    Fixed(TrafficSelector),
    /// `dynamic`: only protocol and ports.
    Dynamic(TrafficSelector),
}

/// `10.1.0.0/16`, `10.1.0.0/16[tcp/80]`, `dynamic[udp]`, `10.0.0.1-10.0.0.9`
pub fn selector(text: &str) -> Result<Selector, String> {
    let (addresses, rest) = match text.split_once('[') {
        None => (text, None),
        Some((addresses, rest)) => {
            let inside = rest.strip_suffix(']').ok_or_else(|| format!("`{text}`: expected `]` at its end"))?;
            (addresses.trim(), Some(inside))
        }
    };
    let (protocol, ports) = match rest {
        None => (0, ANY_PORTS),
        Some(inside) => protocol_ports(inside)?,
    };
    let with = |selector: TrafficSelector| {
        selector.with(protocol, ports.clone()).map_err(|error| format!("`{text}`: {error}"))
    };
    if addresses.eq_ignore_ascii_case("dynamic") || addresses.is_empty() && rest.is_some() {
        return with(TrafficSelector::any_v4()).map(Selector::Dynamic);
    }
    let range = match addresses.parse::<IpAddr>() {
        Ok(host) => Some(host..=host),
        Err(_) => range(addresses),
    };
    let range = range.ok_or_else(|| {
        format!("`{addresses}` is not a subnet, an address, a range or dynamic, each with [protocol/port] behind")
    })?;
    let selector = TrafficSelector::new(range, 0, ANY_PORTS).map_err(|error| format!("`{text}`: {error}"))?;
    with(selector).map(Selector::Fixed)
}

/// Services of the system's list that files name.
const SERVICES: &[(&str, u16)] = &[
    ("ftp", 21),
    ("ssh", 22),
    ("telnet", 23),
    ("smtp", 25),
    ("domain", 53),
    ("http", 80),
    ("ntp", 123),
    ("snmp", 161),
    ("bgp", 179),
    ("ldap", 389),
    ("https", 443),
    ("isakmp", 500),
    ("syslog", 514),
    ("l2f", 1701),
    ("l2tp", 1701),
    ("radius", 1812),
];

fn protocol_ports(text: &str) -> Result<(u8, RangeInclusive<u16>), String> {
    let (protocol, port) = text.split_once('/').map_or((text, None), |(protocol, port)| (protocol, Some(port)));
    let number = match protocol.trim().to_ascii_lowercase().as_str() {
        "" | "%any" | "any" => 0,
        "icmp" => 1,
        "tcp" => 6,
        "udp" => 17,
        "gre" => 47,
        "ipv6-icmp" | "icmpv6" | "icmp6" => 58,
        "ospf" => 89,
        "sctp" => 132,
        other => {
            other.parse().map_err(|_| format!("`{other}` is not a protocol; expected its number, tcp, udp, icmp"))?
        }
    };
    let ports = match port.map(str::trim) {
        None | Some("" | "%any" | "any") => ANY_PORTS,
        Some(word) if word.eq_ignore_ascii_case("opaque") => OPAQUE_PORTS,
        Some(word) => {
            let port = |text: &str| {
                let named = SERVICES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, port)| *port);
                let port = named.or_else(|| text.parse().ok());
                port.ok_or_else(|| format!("`{text}` is not a port; expected 0 to 65535, a known service or opaque"))
            };
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            match (port(first.trim())?, port(last.trim())?) {
                (0, 0) => ANY_PORTS,
                (first, last) if first <= last => first..=last,
                _ => return Err("the first port is above the last".to_owned()),
            }
        }
    };
    if number == 0 && ports != ANY_PORTS {
        return Err("a port needs a protocol, like [udp/500]".to_owned());
    }
    Ok((number, ports))
}

/// An identity without the word for its type in front.
pub fn bare(shown: &str) -> &str {
    shown.split_once(':').map_or(shown, |(_, name)| name)
}

/// A secret: text, `0x` with hexadecimal digits, or `0s` with Base64.
pub fn secret(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    if let Some(hex) = text.strip_prefix("0x") {
        return unhex(hex).ok_or_else(|| "expected an even number of hexadecimal digits behind 0x".to_owned());
    }
    if let Some(encoded) = text.strip_prefix("0s") {
        let decoded = base64::engine::general_purpose::STANDARD.decode(encoded);
        return decoded.map_err(|_| "expected Base64 behind 0s".to_owned());
    }
    Ok(bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_have_protocols_and_ports() {
        let shown = |text: &str| match selector(text) {
            Ok(Selector::Fixed(selector)) => selector.to_string(),
            Ok(Selector::Dynamic(selector)) => format!("dynamic {selector}"),
            Err(why) => why,
        };
        assert_eq!(shown("10.1.0.0/16"), "10.1.0.0/16");
        assert_eq!(shown("10.1.0.0/16[tcp/http]"), "10.1.0.0/16[6/80]");
        assert_eq!(shown("10.1.0.1[udp/1000-2000]"), "10.1.0.1[17/1000-2000]");
        assert_eq!(shown("10.1.0.1[17/opaque]"), "10.1.0.1[17/opaque]");
        assert_eq!(shown("dynamic"), "dynamic 0.0.0.0/0");
        assert_eq!(shown("dynamic[udp/1701]"), "dynamic 0.0.0.0/0[17/1701]");
        assert_eq!(shown("2001:db8::/32"), "2001:db8::/32");
        for bad in ["10.1.0.0/16[tcp", "10.1.0.0/16[/80]", "nowhere", "10.0.0.1[tcp/99999]", "10.0.0.1[tcp/9-1]"] {
            assert!(selector(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_are_text_hexadecimal_or_base64() {
        assert_eq!(secret(b"labsecret"), Ok(b"labsecret".to_vec()));
        assert_eq!(secret(b"0x00ff"), Ok(vec![0, 255]));
        assert_eq!(secret(b"0sAP8="), Ok(vec![0, 255]));
        assert!(secret(b"0x0").is_err() && secret(b"0s!").is_err());
    }
}
