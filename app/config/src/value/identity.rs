//! Identities of IKE peers: `ipv4:10.0.0.1`, `fqdn:gw.example.org`, ..., or a bare value whose type is guessed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ravelin_types::identity::BadDn;
use ravelin_types::{HostName, Identity};

use super::host::Host;
use super::{BadValue, did_you_mean};

const PREFIXES: &[&str] = &["ipv4", "ipv6", "fqdn", "rfc822", "asn1dn", "keyid"];

/// An identity as `ike remote` has it.
///
/// # Errors
/// When the prefix is unknown or the value does not fit it.
pub fn identity(text: &str) -> Result<Identity, BadValue> {
    // As Libreswan has it.
    if text.eq_ignore_ascii_case("%null") {
        return Ok(Identity::Null);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    match text.split_once(':') {
        Some((prefix, value)) => prefixed(prefix, value),
        None if text.contains('@') => rfc822(text, 0),
        None => fqdn(text, 0),
    }
}

/// An identity as [`identity`] reads it.
pub fn written(id: &Identity) -> String {
    match id {
        // Listings escape what a terminal could misread.
        Identity::Fqdn(text) | Identity::Rfc822(text) => format!("{}:{text}", id.kind()),
        id => id.to_string(),
    }
}

/// An address of one host, or `any` or `any6` for any of a family, which is the unspecified address.
///
/// # Errors
/// As [`host`].
pub fn host_or_any(text: &str) -> Result<IpAddr, BadValue> {
    match text.to_ascii_lowercase().as_str() {
        "any" => Ok(Ipv4Addr::UNSPECIFIED.into()),
        "any6" => Ok(Ipv6Addr::UNSPECIFIED.into()),
        _ => host(text),
    }
}

/// A peer, as written behind `-r`: what [`host_or_any`] takes, or the name of a host.
///
/// # Errors
/// When it is neither.
pub fn peer(text: &str) -> Result<Host, BadValue> {
    match (host_or_any(text), text.parse::<IpAddr>()) {
        (Ok(address), _) => Ok(address.into()),
        (Err(error), Ok(_)) => Err(error),
        (Err(_), Err(_)) => named(text),
    }
}

fn named(text: &str) -> Result<Host, BadValue> {
    HostName::new(text)
        .map(Host::Name)
        .map_err(|why| BadValue::new(format!("expected an IP address or the name of a host: {why}")))
}

/// This host, as written behind `--local`: the address of one host, or a name.
///
/// # Errors
/// When it is neither.
pub fn own(text: &str) -> Result<Host, BadValue> {
    match (host_or_any(text), text.parse::<IpAddr>()) {
        (Ok(address), _) if address.is_unspecified() => {
            Err(BadValue::new("expected an IP address or the name of a host; any is what it is without"))
        }
        (Ok(address), _) => Ok(address.into()),
        (Err(error), Ok(_)) => Err(error),
        (Err(_), Err(_)) => named(text),
    }
}

/// Who a host is that says nothing else: its address, or its name.
pub fn of(host: &Host) -> Identity {
    match host {
        Host::Address(address) => (*address).into(),
        Host::Name(name) => Identity::Fqdn(name.as_str().trim_end_matches('.').to_owned()),
    }
}

/// The address of one host.
///
/// # Errors
/// When it is no address, or not that of one host.
pub fn host(text: &str) -> Result<IpAddr, BadValue> {
    let address: IpAddr =
        text.parse().map_err(|_| BadValue::new("expected an IP address (names are not looked up here)"))?;
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_unspecified() || address.is_multicast() || broadcast {
        return Err(BadValue::new(format!("{address} is not the address of one host")));
    }
    Ok(address)
}

fn prefixed(prefix: &str, value: &str) -> Result<Identity, BadValue> {
    let offset = prefix.len() + 1;
    let lower = prefix.to_ascii_lowercase();
    match lower.as_str() {
        "ipv4" => value.parse().map(Identity::Ipv4).map_err(|_| expected(offset, "an IPv4 address")),
        "ipv6" => value.parse().map(Identity::Ipv6).map_err(|_| expected(offset, "an IPv6 address")),
        "fqdn" => fqdn(value, offset),
        "rfc822" | "email" => rfc822(value, offset),
        "keyid" => key_id(value, offset),
        "asn1dn" | "asnlbn" => {
            value.parse().map(Identity::Dn).map_err(|bad: BadDn| expected(offset + bad.offset, bad.expected))
        }
        _ => Err(BadValue::new(format!(
            "`{prefix}:` is not a type of identity; expected ipv4:, ipv6:, fqdn:, rfc822:, asn1dn: or keyid:{}",
            did_you_mean(prefix, PREFIXES.iter().copied())
        ))),
    }
}

fn fqdn(value: &str, offset: usize) -> Result<Identity, BadValue> {
    let fits = !value.is_empty()
        && value.len() <= 255
        && value.split('.').all(|label| {
            !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_' || c == '*')
        });
    if fits { Ok(Identity::Fqdn(value.to_owned())) } else { Err(expected(offset, "a domain name")) }
}

fn rfc822(value: &str, offset: usize) -> Result<Identity, BadValue> {
    let fits = value.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
    if fits && !value.chars().any(|c| c.is_control() || c.is_whitespace()) && value.len() <= 255 {
        Ok(Identity::Rfc822(value.to_owned()))
    } else {
        Err(expected(offset, "a mail address"))
    }
}

/// Text as it is, or `0x` and hexadecimal digits.
fn key_id(value: &str, offset: usize) -> Result<Identity, BadValue> {
    let bytes = match value.strip_prefix("0x") {
        Some(digits) => hex(digits).ok_or_else(|| expected(offset, "an even number of hexadecimal digits"))?,
        None => value.as_bytes().to_vec(),
    };
    if bytes.is_empty() || bytes.len() > 255 {
        return Err(expected(offset, "1 to 255 bytes"));
    }
    Ok(Identity::KeyId(bytes))
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = digits.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    digits?
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(high << 4 | low),
            _ => None,
        })
        .collect()
}

fn expected(offset: usize, what: &str) -> BadValue {
    BadValue::at(offset, format!("expected {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_guesses() {
        for (text, shown) in [
            ("ipv4:10.0.0.78", "ipv4:10.0.0.78"),
            ("10.0.0.78", "ipv4:10.0.0.78"),
            ("fe80::1", "ipv6:fe80::1"),
            ("IPV6:fe80::1", "ipv6:fe80::1"),
            ("gw.example.org", "fqdn:gw.example.org"),
            ("fqdn:gw", "fqdn:gw"),
            ("joe@example.org", "rfc822:joe@example.org"),
            ("asn1dn:C=CH, O=Example, CN=gw", "asn1dn:C=CH, O=Example, CN=gw"),
            ("keyid:site-7", "keyid:site-7"),
            ("keyid:0x00ff", "keyid:0x00ff"),
        ] {
            assert_eq!(identity(text).map(|id| id.to_string()), Ok(shown.to_owned()), "{text}");
        }
    }

    #[test]
    fn an_endpoint_is_one_host() {
        assert!(host("10.0.0.1").is_ok() && host("fe80::1").is_ok());
        for text in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"] {
            assert!(host(text).unwrap_err().message.ends_with("is not the address of one host"), "{text}");
        }
        assert!(host("gw.example.org").unwrap_err().message.contains("names are not looked up here"));
        for (text, word) in [("ANY6", "any6"), ("any", "any"), ("10.0.0.1", "10.0.0.1"), ("GW.example", "gw.example")] {
            assert_eq!(peer(text).map(|host| host.to_string()), Ok(word.to_owned()));
        }
        for text in ["0.0.0.0", "224.0.0.1", "10.0.0.256", "gw example", "bücher.example"] {
            assert!(peer(text).is_err(), "{text}");
        }
    }

    #[test]
    fn wrong_values_are_located() {
        assert_eq!(identity("ipv4:10.0.0").unwrap_err(), BadValue::at(5, "expected an IPv4 address"));
        assert_eq!(identity("keyid:0x123").unwrap_err().offset, 6);
        assert!(identity("fqnd:a").unwrap_err().message.ends_with("did you mean fqdn?"));
        assert!(identity("asn1dn:").is_err());
        assert_eq!(identity("asn1dn:C=CH,X=1").unwrap_err().offset, 12);
        assert!(identity("").is_err());
        assert!(identity("rfc822:joe").is_err());
        assert!(identity("fqdn:a..b").is_err());
    }
}
