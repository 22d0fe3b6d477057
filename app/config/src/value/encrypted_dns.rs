//! An encrypted DNS resolver in words (RFC 9464): `dns.example.org 10.1.0.53 alpn=dot port=8530`, its name, its addresses, and how it
//! is spoken to.
//!
//! ```text
//!   alpn=dot, h2, h3, doq   a protocol; may stand again       port=8530          where it is not that of the protocol
//!   dohpath=/q{?dns}        for h2 and h3                      priority=2         the lowest is tried first; without it 1
//!   sha256=HEX              of the public key of its certificate
//! ```

use std::fmt;
use std::net::IpAddr;

use ravelin_ike::address::pool::Attribute;
use ravelin_ike::address::{CfgAttributeType, CfgValue, DnsDigest, EncryptedDns, SvcParams};

/// What `sha256` makes.
const DIGEST: usize = 32;

/// The attributes of it: one for the addresses of each family, and one for the digest.
///
/// # Errors
/// What is wrong, and what was expected.
pub fn parse(text: &str) -> Result<Vec<Attribute>, String> {
    let mut words = text.split_whitespace();
    let name = words.next().ok_or("expected the name in the certificate of the resolver, then its addresses")?;
    let (mut addresses, mut params, mut priority, mut digest) = (Vec::<IpAddr>::new(), SvcParams::default(), 1, None);
    for word in words {
        match word.split_once('=') {
            None => addresses.push(word.parse().map_err(|_| format!("`{word}` is not an address"))?),
            Some(("alpn", protocol)) => params.alpn.push(protocol.to_owned()),
            Some(("port", port)) => params.port = Some(number(port, "port")?),
            Some(("dohpath", path)) => params.dohpath = Some(path.to_owned()),
            // RFC 9464 §3.1: 0 would name another resolver, and is not for these.
            Some(("priority", order)) => priority = number(order, "priority")?,
            Some(("sha256", hex)) => digest = Some(octets(hex).ok_or(format!("`{hex}` is not a digest of SHA2-256"))?),
            Some((key, _)) => {
                return Err(format!("unknown: {key}=; expected alpn=, port=, dohpath=, priority= or sha256="));
            }
        }
    }
    check(&params)?;
    if addresses.is_empty() {
        return Err(format!("`{name}` has no address"));
    }
    let mut attributes = Vec::new();
    for (kind, v4) in [(CfgAttributeType::ENCDNS_IP4, true), (CfgAttributeType::ENCDNS_IP6, false)] {
        let addresses: Vec<IpAddr> = addresses.iter().copied().filter(|address| address.is_ipv4() == v4).collect();
        if !addresses.is_empty() {
            let parameters = params.emit();
            let value = CfgValue::EncryptedDns(EncryptedDns { priority, addresses, name: name.to_owned(), parameters });
            attributes.push(checked(kind, value)?);
        }
    }
    if let Some(digest) = digest {
        let value = CfgValue::DnsDigest(DnsDigest { hashes: vec![DnsDigest::SHA256], name: name.to_owned(), digest });
        attributes.push(checked(CfgAttributeType::ENCDNS_DIGEST_INFO, value)?);
    }
    Ok(attributes)
}

/// RFC 9460 §7.1.2: a resolver says its protocols. RFC 9461 §5: where DNS over HTTPS has its queries must be told, with a place for
/// them.
fn check(params: &SvcParams) -> Result<(), String> {
    let over_https = params.alpn.iter().any(|name| name == "h2" || name == "h3");
    match &params.dohpath {
        _ if params.alpn.is_empty() => Err("expected alpn=dot, alpn=h2, alpn=h3 or alpn=doq".to_owned()),
        None if over_https => Err("alpn=h2 and alpn=h3 need dohpath=, as /dns-query{?dns}".to_owned()),
        Some(_) if !over_https => Err("dohpath= is for alpn=h2 and alpn=h3".to_owned()),
        Some(path) if !path.starts_with('/') || !path.contains("dns") || !path.contains('{') => {
            Err(format!("`{path}` is not a path with a place for the query, as /dns-query{{?dns}}"))
        }
        _ => Ok(()),
    }
}

fn number(text: &str, what: &str) -> Result<u16, String> {
    text.parse().ok().filter(|number| *number != 0).ok_or_else(|| format!("`{text}` is not a {what}"))
}

fn octets(hex: &str) -> Option<Vec<u8>> {
    let fits = hex.len() == 2 * DIGEST && hex.is_ascii();
    let pairs = (0..DIGEST).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok());
    if fits { pairs.collect() } else { None }
}

/// The same, as whoever reads the attribute will take it.
fn checked(kind: CfgAttributeType, value: CfgValue) -> Result<Attribute, String> {
    match CfgValue::parse(kind, &value.emit()) {
        Ok(Some(read)) if read == value => Ok(Attribute { kind, value }),
        _ => Err(
            "a name of a resolver has letters, digits, `-` and `.`, and what is said of it no more than 255 characters"
                .into(),
        ),
    }
}

/// A resolver as [`parse`] reads it.
pub struct Written<'a> {
    /// The resolver.
    pub resolver: &'a EncryptedDns,
    /// The digest of the key of its certificate.
    pub digest: Option<&'a [u8]>,
}

impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EncryptedDns { priority, addresses, name, parameters } = self.resolver;
        f.write_str(name)?;
        addresses.iter().try_for_each(|address| write!(f, " {address}"))?;
        let params = SvcParams::parse(parameters).unwrap_or_default();
        params.alpn.iter().try_for_each(|protocol| write!(f, " alpn={protocol}"))?;
        if let Some(port) = params.port {
            write!(f, " port={port}")?;
        }
        if let Some(path) = &params.dohpath {
            write!(f, " dohpath={path}")?;
        }
        if *priority != 1 {
            write!(f, " priority={priority}")?;
        }
        if let Some(digest) = self.digest {
            f.write_str(" sha256=")?;
            digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Vec<String> {
        let all = parse(text).unwrap();
        let digest = all.iter().find_map(|attribute| match &attribute.value {
            CfgValue::DnsDigest(digest) => Some(&digest.digest[..]),
            _ => None,
        });
        let resolvers = all.iter().filter_map(|attribute| match &attribute.value {
            CfgValue::EncryptedDns(resolver) => Some(Written { resolver, digest }.to_string()),
            _ => None,
        });
        resolvers.collect()
    }

    #[test]
    fn a_resolver_is_written_as_it_was_read() {
        let digest = "sha256=".to_owned() + &"0f".repeat(32);
        for text in [
            "dns.example.org 10.1.0.53 alpn=dot",
            "dns.example.org 10.1.0.53 10.1.0.54 alpn=dot alpn=doq port=8530 priority=2",
            "dns.example.org 2001:db8::53 alpn=h2 dohpath=/dns-query{?dns}",
            &format!("dns.example.org 10.1.0.53 alpn=dot {digest}"),
        ] {
            assert_eq!(written(text), [text]);
        }
        // Each family by itself.
        assert_eq!(written(" d.test ::1  10.1.0.53 alpn=dot "), ["d.test 10.1.0.53 alpn=dot", "d.test ::1 alpn=dot"]);
    }

    #[test]
    fn what_is_no_resolver_is_told() {
        for (text, words) in [
            ("", "expected the name"),
            ("dns.test", "alpn"),
            ("dns.test alpn=dot", "no address"),
            ("dns.test 10.1.0 alpn=dot", "not an address"),
            ("dns.test 10.1.0.53", "alpn"),
            ("dns.test 10.1.0.53 alpn=h2", "dohpath"),
            ("dns.test 10.1.0.53 alpn=dot dohpath=/{?dns}", "dohpath"),
            ("dns.test 10.1.0.53 alpn=h2 dohpath=/query", "place for the query"),
            ("dns.test 10.1.0.53 alpn=dot port=0", "port"),
            ("dns.test 10.1.0.53 alpn=dot priority=0", "priority"),
            ("dns.test 10.1.0.53 alpn=dot sha256=00", "digest"),
            ("dns.test 10.1.0.53 alpn=dot ech=x", "unknown: ech"),
            ("dns;test 10.1.0.53 alpn=dot", "letters"),
        ] {
            let why = parse(text).unwrap_err();
            assert!(why.contains(words), "{text}: {why}");
        }
    }
}
