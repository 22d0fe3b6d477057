//! What a responder says of names inside, and how much of it its initiator takes: domains, and the DNSSEC trust anchors of domains.
//!
//! ```text
//!   INTERNAL_IP4_DNS, ...   servers; without a domain beside them for all names
//!   INTERNAL_DNS_DOMAIN     a domain that all these servers are for, and no other name
//!   INTERNAL_DNSSEC_TA      of the domain right before it, or before others of them
//! ```
//! Read RFC 8598 §3.2, §4.2, §5 and §6 before changing this file.

use alloc::vec::Vec;

use ravelin_wire::ike::cfg_value::{CfgValue, TrustAnchor};
use ravelin_wire::ike::v2::CfgAttributeType;

use super::Grant;
use super::pool::Attribute;
#[cfg(feature = "ikev2")]
use crate::config::Internal;

/// Whether a name is this domain or one in it.
pub fn is_within(name: &str, domain: &str) -> bool {
    let (name, domain) = (name.trim_end_matches('.'), domain.trim_end_matches('.'));
    let Some((before, end)) = name.len().checked_sub(domain.len()).and_then(|at| name.split_at_checked(at)) else {
        return false;
    };
    end.eq_ignore_ascii_case(domain) && (before.is_empty() || before.ends_with('.'))
}

/// Adds attributes to others: none twice, and an anchor to its domain. `false`: the domain of one is not there.
pub fn join(all: &mut Vec<Attribute>, more: &[Attribute]) -> bool {
    let (mut of, mut placed) = (None, true);
    for attribute in more {
        match &attribute.value {
            CfgValue::TrustAnchor(_) => {
                let domain = all.iter().position(|it| of == Some(&it.value));
                let Some(first) = domain.map(|at| at + 1) else {
                    placed = false;
                    continue;
                };
                let anchors = all.iter().skip(first);
                let count = anchors.take_while(|it| matches!(it.value, CfgValue::TrustAnchor(_))).count();
                if !all[first..first + count].contains(attribute) {
                    all.insert(first + count, attribute.clone());
                }
                continue;
            }
            value @ CfgValue::Domain(_) => of = Some(value),
            _ => {}
        }
        if !all.contains(attribute) {
            all.push(attribute.clone());
        }
    }
    placed
}

impl Grant {
    /// DNSSEC trust anchors, each with its domain.
    pub fn anchors(&self) -> impl Iterator<Item = (&str, &TrustAnchor)> {
        let mut domain = None;
        self.attributes.iter().filter_map(move |attribute| match &attribute.value {
            CfgValue::Domain(name) => {
                domain = Some(name.as_str());
                None
            }
            CfgValue::TrustAnchor(anchor) => domain.map(|domain| (domain, anchor)),
            _ => None,
        })
    }

    /// Takes what the remote may say of names. RFC 8598 §1: domains are for its servers. Servers whose domains are all refused are
    /// for no name, and not for all of them.
    #[cfg(feature = "ikev2")]
    pub(crate) fn limit_names(&mut self, internal: &Internal, is_nobody: bool) {
        let told = self.domains().next().is_some();
        // RFC 8598 §5: only those that the operator takes. RFC 8598 §8: none of somebody who has not proven who it is.
        let takes = |name: &str| !is_nobody && takes_domain(internal, name);
        // RFC 8598 §6: anchors for those alone that the operator named.
        let trusts = |name: &str| internal.anchored.iter().any(|domain| is_within(name, domain));
        let (mut taken, mut trusted) = (false, false);
        self.attributes.retain(|attribute| match &attribute.value {
            CfgValue::Domain(name) => {
                taken = takes(name);
                trusted = taken && trusts(name);
                taken
            }
            CfgValue::TrustAnchor(_) => trusted,
            _ => true,
        });
        if told && self.domains().next().is_none() {
            self.attributes.retain(|attribute| !is_server(attribute.kind));
        } else if !told && self.attributes.iter().any(|attribute| is_server(attribute.kind)) {
            // RFC 8598 §3.2: the operator's own words where the responder has none.
            let kind = CfgAttributeType::INTERNAL_DNS_DOMAIN;
            let own = internal.domains.iter().map(|name| Attribute { kind, value: CfgValue::Domain(name.clone()) });
            self.attributes.extend(own);
        }
    }
}

#[cfg(feature = "ikev2")]
fn takes_domain(internal: &Internal, name: &str) -> bool {
    internal.domains.is_empty() || internal.domains.iter().any(|domain| is_within(name, domain))
}

/// Whether an attribute names a DNS server, of either kind.
pub(crate) fn is_server(kind: CfgAttributeType) -> bool {
    [true, false].iter().any(|v4| [CfgAttributeType::dns(*v4), CfgAttributeType::encrypted_dns(*v4)].contains(&kind))
}

#[cfg(all(test, feature = "ikev2"))]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;
    use core::net::IpAddr;

    fn domain(name: &str) -> Attribute {
        Attribute { kind: CfgAttributeType::INTERNAL_DNS_DOMAIN, value: CfgValue::Domain(name.into()) }
    }

    fn anchor(key_tag: u16) -> Attribute {
        let anchor = TrustAnchor { key_tag, algorithm: 8, digest_type: 2, digest: "AB".into() };
        Attribute { kind: CfgAttributeType::INTERNAL_DNSSEC_TA, value: CfgValue::TrustAnchor(anchor) }
    }

    fn server() -> Attribute {
        Attribute { kind: CfgAttributeType::dns(true), value: CfgValue::Address(IpAddr::from([10, 1, 0, 53])) }
    }

    fn named(grant: &Grant) -> Vec<(&str, u16)> {
        grant.anchors().map(|(name, anchor)| (name, anchor.key_tag)).collect()
    }

    /// What is taken of a reply with these, by who takes these domains, and anchors of those.
    fn taken(attributes: Vec<Attribute>, domains: &[&str], anchored: &[&str]) -> Grant {
        let own = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let sent = Grant { attributes, ..Grant::default() };
        let mut grant = Grant::parse(&sent.emit(), &[], None);
        let internal = Internal { domains: own(domains), anchored: own(anchored), ..Internal::default() };
        grant.limit_names(&internal, false);
        grant
    }

    #[test]
    fn a_name_is_within_its_domain_and_no_other() {
        for (name, yes) in
            [("corp.example", true), ("a.Corp.Example.", true), ("xcorp.example", false), ("example", false)]
        {
            assert_eq!(is_within(name, "corp.example"), yes, "{name}");
        }
    }

    // RFC 8598 §4.2: immediately behind its domain, or ignored.
    #[test]
    fn an_anchor_is_of_the_domain_right_before_it() {
        let all = ["corp.example", "other.example"];
        let told = vec![server(), domain(all[0]), anchor(1), anchor(2), domain(all[1]), server(), anchor(3)];
        assert_eq!(named(&taken(told, &[], &all)), [(all[0], 1), (all[0], 2)]);
        assert_eq!(named(&taken(vec![server(), anchor(1), domain(all[0])], &[], &all)), []);
        // One that nobody can read is before it, and not the one before that.
        let bad = Attribute { kind: CfgAttributeType::INTERNAL_DNS_DOMAIN, value: CfgValue::Other(b"a b".to_vec()) };
        assert_eq!(named(&taken(vec![server(), domain(all[0]), bad, anchor(1)], &[], &all)), []);
        let address = Attribute { kind: CfgAttributeType::address(true), value: server().value };
        assert_eq!(named(&taken(vec![server(), domain(all[0]), address, anchor(1)], &[], &all)), []);
    }

    // RFC 8598 §5 and §6.
    #[test]
    fn domains_and_anchors_are_those_that_the_operator_takes() {
        let told = || vec![server(), domain("corp.example"), anchor(1), domain("bank.example"), anchor(2)];
        let domains = |grant: &Grant| grant.domains().map(ToString::to_string).collect::<Vec<_>>();
        let all = taken(told(), &[], &[]);
        assert_eq!((domains(&all).len(), named(&all).len(), all.dns().count()), (2, 0, 1), "no anchors without a list");
        let some = taken(told(), &["corp.example"], &["example", "bank.example"]);
        assert_eq!((domains(&some), named(&some)), (vec!["corp.example".to_string()], vec![("corp.example", 1)]));
        let none = taken(told(), &["else.example"], &["corp.example"]);
        assert_eq!(
            (domains(&none).len(), named(&none).len(), none.dns().count()),
            (0, 0, 0),
            "and no server for all names"
        );
        // RFC 8598 §3.2: the own list where nothing was told, and nothing without a server.
        assert_eq!(domains(&taken(vec![server()], &["corp.example"], &[])), ["corp.example"]);
        assert!(domains(&taken(vec![], &["corp.example"], &[])).is_empty());
        // RFC 8598 §8.
        let mut grant = Grant { attributes: told(), ..Grant::default() };
        grant.limit_names(&Internal { anchored: vec!["corp.example".into()], ..Internal::default() }, true);
        assert!(grant.attributes.is_empty(), "{grant:?}");
    }

    #[test]
    fn what_two_pools_tell_of_a_domain_is_told_of_it() {
        let mut all = vec![];
        assert!(join(&mut all, &[domain("a"), anchor(1), server(), domain("b"), anchor(2)]));
        assert!(join(&mut all, &[server(), domain("b"), anchor(3), domain("a"), anchor(1), anchor(4)]));
        assert_eq!(all, [domain("a"), anchor(1), anchor(4), server(), domain("b"), anchor(2), anchor(3)]);
        assert!(!join(&mut all, &[anchor(5)]));
    }
}
