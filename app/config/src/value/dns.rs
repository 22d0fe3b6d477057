//! Domains, and DNSSEC trust anchors of domains in words (RFC 8598): `corp.example 43547 8 2 HEX`, the domain, and then the key tag,
//! the algorithm, the digest type and the digest of a DS record (RFC 4034 §5.3).

use std::fmt;

use ravelin_ike::address::pool::Attribute;
use ravelin_ike::address::{CfgAttributeType, CfgValue, TrustAnchor, names};

use super::BadValue;

/// A domain.
///
/// # Errors
/// It is none.
pub fn domain(text: &str) -> Result<String, BadValue> {
    match CfgValue::parse(CfgAttributeType::INTERNAL_DNS_DOMAIN, text.trim().as_bytes()) {
        Ok(Some(CfgValue::Domain(name))) => Ok(name),
        _ => Err(BadValue::new(format!("`{text}` is not a domain; expected the form corp.example"))),
    }
}

/// A domain of which somebody else may say whom to believe: RFC 8598 §6 excludes the root and top-level domains.
///
/// # Errors
/// It is none, or one of those.
pub fn anchored(text: &str) -> Result<String, BadValue> {
    let name = domain(text)?;
    match name.trim_end_matches('.').contains('.') {
        true => Ok(name),
        false => Err(BadValue::new(format!(
            "`{text}` is a top-level domain, of which no peer may give trust anchors (RFC 8598 §6); expected the form corp.example"
        ))),
    }
}

/// A domain, and the anchor behind it.
///
/// # Errors
/// What is wrong, and what was expected.
pub fn anchor(text: &str) -> Result<[Attribute; 2], String> {
    let wrong = || {
        format!(
            "`{text}` is not a trust anchor; expected a domain and the numbers of its DS record: corp.example 43547 8 2 HEX"
        )
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let [name, key_tag, algorithm, digest_type, digest] = words[..] else { return Err(wrong()) };
    let anchor = TrustAnchor {
        key_tag: key_tag.parse().map_err(|_| wrong())?,
        algorithm: algorithm.parse().map_err(|_| wrong())?,
        digest_type: digest_type.parse().map_err(|_| wrong())?,
        digest: digest.to_owned(),
    };
    let value = CfgValue::TrustAnchor(anchor);
    match CfgValue::parse(CfgAttributeType::INTERNAL_DNSSEC_TA, &value.emit()) {
        Ok(Some(read)) if read == value => {}
        _ => return Err(wrong()),
    }
    let domain = CfgValue::Domain(domain(name).map_err(|bad| bad.message)?);
    let of = |kind, value| Attribute { kind, value };
    Ok([of(CfgAttributeType::INTERNAL_DNS_DOMAIN, domain), of(CfgAttributeType::INTERNAL_DNSSEC_TA, value)])
}

/// Adds an anchor to what a pool tells.
///
/// # Errors
/// The pool has no such domain.
pub fn add(attributes: &mut Vec<Attribute>, [domain, anchor]: &[Attribute; 2]) -> Result<(), String> {
    if !attributes.contains(domain) {
        return Err("the pool does not tell of this domain; name it beside its DNS servers".to_owned());
    }
    names::join(attributes, &[domain.clone(), anchor.clone()]);
    Ok(())
}

/// An anchor as [`anchor`] reads it.
pub struct Anchor<'a> {
    /// Whose it is.
    pub domain: &'a str,
    /// The rest.
    pub anchor: &'a TrustAnchor,
}

impl fmt::Display for Anchor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TrustAnchor { key_tag, algorithm, digest_type, digest } = self.anchor;
        write!(f, "{} {key_tag} {algorithm} {digest_type} {digest}", self.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ravelin_ike::address::Grant;

    #[test]
    fn an_anchor_is_written_as_it_was_read_and_belongs_to_a_domain() {
        let text = "corp.example 43547 8 2 F78CF3344F72137235098ECBBD08947C";
        let read = anchor(text).unwrap();
        let mut attributes = vec![];
        assert!(add(&mut attributes, &read).unwrap_err().contains("this domain"));
        attributes.push(read[0].clone());
        add(&mut attributes, &read).unwrap();
        let grant = Grant { attributes, ..Grant::default() };
        let written: Vec<String> =
            grant.anchors().map(|(domain, anchor)| Anchor { domain, anchor }.to_string()).collect();
        assert_eq!(written, [text]);
        for bad in [
            "",
            "corp.example",
            "corp.example 1 8 2",
            "corp.example 65536 8 2 AB",
            "corp.example 1 8 2 XY",
            "a b 1 8 2 AB",
        ] {
            assert!(anchor(bad).unwrap_err().contains("DS record"), "{bad}");
        }
        assert!(anchored("corp.example").is_ok());
        for bad in ["corp", ".", "example.", "a b"] {
            assert!(anchored(bad).is_err(), "{bad}");
        }
    }
}
