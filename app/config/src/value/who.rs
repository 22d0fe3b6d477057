//! Who somebody is: one identity, or several that are alike, as `ike remote` and as strongSwan has them.

use ravelin_ike::config::IdPattern;
use ravelin_types::identity::IdType;
use ravelin_types::selector::TrafficSelector;
use ravelin_types::{Dn, Identity};

use super::address::range;
use super::identity::{identity, written};
use super::{BadValue, unhex};

/// What stands behind `-f` and `-g` of `ike remote`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdWord {
    /// An identity.
    Given(Identity),
    /// `asn1dn:` without a name: the subject of the certificate.
    Subject,
    /// Several that are alike.
    Like(IdPattern),
}

/// An identity, a pattern of them, or `asn1dn:` for the subject of a certificate.
///
/// # Errors
/// As [`identity`].
pub fn word(text: &str) -> Result<IdWord, BadValue> {
    // Document 003 §5.2 is printed with `asnlbn:`.
    match text.to_ascii_lowercase().as_str() {
        "asn1dn:" | "asnlbn:" => Ok(IdWord::Subject),
        _ => pattern(text).map(|pattern| match pattern {
            IdPattern::Exactly(id) => IdWord::Given(id),
            pattern => IdWord::Like(pattern),
        }),
    }
}

/// An identity, or several that are alike: `any`, `*@example.org`, `*.example.org`, `10.1.0.0/16`, `O=Example, CN=*`, or a
/// sub-tree of names `O=Example, *`.
///
/// # Errors
/// As [`identity`].
pub fn pattern(text: &str) -> Result<IdPattern, BadValue> {
    if text.eq_ignore_ascii_case("any") {
        return Ok(IdPattern::Any);
    }
    let plain = identity(text);
    match plain {
        Ok(id) if !text.contains('*') => Ok(IdPattern::Exactly(id)),
        plain => match who(text) {
            Ok(Who::Like(pattern)) => Ok(pattern),
            Ok(Who::Exactly(_)) | Err(_) => plain.map(IdPattern::Exactly),
        },
    }
}

/// A pattern as [`pattern`] reads it.
pub fn pattern_word(pattern: &IdPattern) -> String {
    match pattern {
        IdPattern::Any => "any".to_owned(),
        IdPattern::Exactly(id) => written(id),
        IdPattern::Ending(_, end) => format!("*{end}"),
        // Only a network can be typed.
        IdPattern::Range(range) => TrafficSelector::new(range.clone(), 0, 0..=u16::MAX)
            .map_or_else(|_| pattern.to_string(), |network| network.to_string()),
        IdPattern::Within(_) | IdPattern::Like(_) => pattern.to_string(),
    }
}

/// Who somebody is: one identity, or those that fit a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// This one.
    Exactly(Identity),
    /// All that fit.
    Like(IdPattern),
}

impl From<Who> for IdPattern {
    fn from(who: Who) -> Self {
        match who {
            Who::Exactly(id) => IdPattern::Exactly(id),
            Who::Like(pattern) => pattern,
        }
    }
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
    identity(&text).map_err(|error| error.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_identities_may_be_alike() {
        for (text, shown) in [
            ("any", "%any"),
            ("*@example.org", "*@example.org"),
            ("*.example.org", "*.example.org"),
            ("10.1.0.0/16", "10.1.0.0-10.1.255.255"),
            ("asn1dn:C=CH, O=Example, *", "C=CH, O=Example, *"),
            ("joe@example.org", "rfc822:joe@example.org"),
            ("fqdn:a-b.example.org", "fqdn:a-b.example.org"),
        ] {
            assert_eq!(pattern(text).map(|pattern| pattern.to_string()), Ok(shown.to_owned()), "{text}");
        }
        assert!(pattern("asn1dn:XX=1, *").is_err() && pattern("gw..example").is_err());
        assert_eq!((word("asnlbn:"), word("ASN1DN:")), (Ok(IdWord::Subject), Ok(IdWord::Subject)));
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
}
