//! Values as strongSwan writes them: addresses, identities, traffic selectors, secrets.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use base64::Engine as _;
use ravelin_ike::config::IdPattern;
use ravelin_types::identity::IdType;
use ravelin_types::selector::{ANY_PORTS, OPAQUE_PORTS, TrafficSelector};
use ravelin_types::{Dn, Identity};

use crate::value::identity;

/// One entry of a list of addresses, such as `local_addrs` and `remote_addrs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `%any`, of both families or one.
    Any(Vec<RangeInclusive<IpAddr>>),
    /// One host: it can be initiated to or from.
    Host(IpAddr),
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
    /// The addresses that it stands for.
    pub fn ranges(&self) -> Vec<RangeInclusive<IpAddr>> {
        match self {
            Address::Any(ranges) => ranges.clone(),
            Address::Host(host) => vec![*host..=*host],
            Address::Range(range) => vec![range.clone()],
        }
    }
}

/// An entry of `local_addrs` or `remote_addrs`.
pub fn address(text: &str) -> Result<Address, String> {
    let (v4, v6) = (TrafficSelector::any_v4().addresses(), TrafficSelector::any_v6().addresses());
    match text {
        "%any" => return Ok(Address::Any(vec![v4, v6])),
        "%any4" | "0.0.0.0" | "0.0.0.0/0" => return Ok(Address::Any(vec![v4])),
        "%any6" | "::" | "::/0" => return Ok(Address::Any(vec![v6])),
        _ => {}
    }
    if let Ok(host) = text.parse::<IpAddr>() {
        return Ok(Address::Host(host));
    }
    let expected = || {
        format!(
            "`{text}` is not an address, a subnet, a range or %any (names are not looked up, since whoever answers could \
             name any address)"
        )
    };
    range(text).map(Address::Range).ok_or_else(expected)
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
fn range(text: &str) -> Option<RangeInclusive<IpAddr>> {
    if let Some((base, len)) = text.split_once('/') {
        let prefix = TrafficSelector::prefix(base.parse().ok()?, len.parse().ok()?).ok()?;
        return Some(prefix.addresses());
    }
    let (first, last) = text.split_once('-').or_else(|| text.split_once(".."))?;
    let range = first.trim().parse().ok()?..=last.trim().parse().ok()?;
    TrafficSelector::new(range, 0, ANY_PORTS).ok().map(|selector| selector.addresses())
}

/// Who somebody is: one identity, or those that fit a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// This one.
    Exactly(Identity),
    /// All that fit.
    Like(IdPattern),
}

/// An identity, `%any`, one with a wildcard in front (`*@example.org`, `*.example.org`), a distinguished name with
/// wildcards (`O=Example, CN=*`) or a sub-tree of them (`O=Example, *`), or a range of addresses.
pub fn who(text: &str) -> Result<Who, String> {
    if text == "%any" || text == "*" {
        return Ok(Who::Like(IdPattern::Any));
    }
    match text.strip_prefix('*') {
        Some(end) if end.starts_with('@') => Ok(Who::Like(IdPattern::Ending(IdType::RFC822_ADDR, end.to_owned()))),
        Some(end) if end.starts_with('.') => Ok(Who::Like(IdPattern::Ending(IdType::FQDN, end.to_owned()))),
        _ => match (dn_pattern(text), range(text)) {
            (Some(pattern), _) => pattern.map(Who::Like),
            (None, Some(range)) => Ok(Who::Like(IdPattern::Range(range))),
            (None, None) => id(text).map(Who::Exactly),
        },
    }
}

fn dn_pattern(text: &str) -> Option<Result<IdPattern, String>> {
    let name = text.strip_prefix("asn1dn:").unwrap_or(text);
    let parse = |name: &str| name.trim().parse::<Dn>().map_err(|bad| format!("`{text}`: {bad}"));
    match name.trim_end().strip_suffix('*').map(str::trim_end) {
        Some(base) if base.ends_with(',') => Some(parse(base.trim_end_matches(',')).map(IdPattern::Within)),
        _ if name.contains("=*") => Some(parse(name).map(IdPattern::Like)),
        _ => None,
    }
}

/// An identity as strongSwan reads it: the type is that of the value, or given by a prefix, or by `@` in front.
pub fn id(text: &str) -> Result<Identity, String> {
    if let Some(hex) = text.strip_prefix("@#") {
        return unhex(hex)
            .map(Identity::KeyId)
            .ok_or_else(|| format!("`{text}`: expected hexadecimal digits behind @#"));
    }
    if let Some(email) = text.strip_prefix("@@") {
        return Ok(Identity::Rfc822(email.to_owned()));
    }
    if let Some(name) = text.strip_prefix('@') {
        return Ok(Identity::Fqdn(name.to_owned()));
    }
    if let Some((prefix, value)) = text.split_once(':')
        && let Some(hex) = value.strip_prefix('#')
    {
        let kind = match prefix {
            "ipv4" => IdType::IPV4_ADDR,
            "ipv6" => IdType::IPV6_ADDR,
            "fqdn" | "dns" => IdType::FQDN,
            "rfc822" | "email" | "userfqdn" => IdType::RFC822_ADDR,
            "asn1dn" => IdType::DER_ASN1_DN,
            "asn1gn" => IdType::DER_ASN1_GN,
            "keyid" => IdType::KEY_ID,
            _ => return Err(format!("`{prefix}:` is not a type of identity")),
        };
        let parsed = unhex(hex).and_then(|data| Identity::parse(kind, &data));
        return parsed.ok_or_else(|| format!("`{text}`: expected the identity in hexadecimal digits behind #"));
    }
    let text = text.strip_prefix("userfqdn:").map_or(text.to_owned(), |email| format!("rfc822:{email}"));
    let text = text.strip_prefix("dns:").map_or(text.clone(), |name| format!("fqdn:{name}"));
    // A distinguished name has no prefix in strongSwan's files.
    let text = if text.contains('=') && !text.contains(':') { format!("asn1dn:{text}") } else { text };
    identity::identity(&text).map_err(|error| error.message)
}

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

pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':' && *byte != b'_').collect();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    digits.chunks(2).map(|pair| Some(value(*pair.first()?)? << 4 | value(*pair.get(1)?)?)).collect()
}

/// The unspecified address, for any peer.
pub fn unspecified(like: Option<IpAddr>) -> IpAddr {
    match like {
        Some(IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
        _ => Ipv4Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hosts_ranges_or_any() {
        assert_eq!(address("192.0.2.1"), Ok(Address::Host("192.0.2.1".parse().unwrap())));
        let range = "10.0.0.0".parse().unwrap()..="10.0.0.255".parse().unwrap();
        assert_eq!(address("10.0.0.0/24"), Ok(Address::Range(range)));
        assert!(matches!(address("10.0.0.1-10.0.0.9"), Ok(Address::Range(_))));
        assert_eq!(address("%any").unwrap().ranges().len(), 2);
        assert!(address("gw.example.org").unwrap_err().contains("names are not looked up"));
        assert!(address("10.0.0.0/33").is_err() && address("10.0.0.9-10.0.0.1").is_err());
    }

    #[test]
    fn identities_have_the_type_of_their_value() {
        for (text, shown) in [
            ("192.0.2.1", "ipv4:192.0.2.1"),
            ("moon.strongswan.org", "fqdn:moon.strongswan.org"),
            ("carol@strongswan.org", "rfc822:carol@strongswan.org"),
            ("@carol@strongswan.org", "fqdn:carol@strongswan.org"),
            ("@@carol", "rfc822:carol"),
            ("@#00ff", "keyid:0x00ff"),
            ("keyid:site", "keyid:site"),
            ("ipv4:#0a000001", "ipv4:10.0.0.1"),
            ("C=CH, O=Lab, CN=gw", "asn1dn:C=CH, O=Lab, CN=gw"),
        ] {
            assert_eq!(id(text).map(|id| id.to_string()), Ok(shown.to_owned()), "{text}");
        }
        assert!(id("ipv4:#0a").is_err() && id("@#0").is_err());
        assert_eq!(who("%any"), Ok(Who::Like(IdPattern::Any)));
        for (text, shown) in [
            ("C=CH, O=Example, *", "C=CH, O=Example, *"),
            ("C=CH, O=Example, CN=*", "C=CH, O=Example, CN=*"),
            ("10.1.0.0/16", "10.1.0.0-10.1.255.255"),
            ("10.1.0.1-10.1.0.9", "10.1.0.1-10.1.0.9"),
        ] {
            match who(text) {
                Ok(Who::Like(pattern)) => assert_eq!(pattern.to_string(), shown),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(who("XX=1, *").is_err() && who("gw-1.example.org").is_ok_and(|who| matches!(who, Who::Exactly(_))));
        let like = Who::Like(IdPattern::Ending(IdType::RFC822_ADDR, "@example.org".to_owned()));
        assert_eq!(who("*@example.org"), Ok(like));
    }

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
