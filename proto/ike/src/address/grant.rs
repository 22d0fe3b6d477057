//! What a peer asks for and what it gets, as configuration attributes: the same in both versions of IKE, whose payloads
//! carry them each in its own form.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use ravelin_types::selector::TrafficSelector;
use ravelin_wire::ike::cfg_value::{CfgValue, DnsDigest, EncryptedDns};
use ravelin_wire::ike::svc_params::SvcParams;
use ravelin_wire::ike::v2::{CfgAttribute, CfgAttributeType};

use super::link::{Link, LinkWish, Prefix};
use super::names::is_server;
use super::pool::Attribute;
use crate::limits;

/// What a responder gives to an initiator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Internal addresses; as initiator also one in each of the prefixes.
    pub addresses: Vec<IpAddr>,
    /// Prefixes of the initiator's own (RFC 5739).
    pub prefixes: Vec<Prefix>,
    /// The link that they are on.
    pub link: Option<Link>,
    /// What else it told about the network inside, in its order.
    pub attributes: Vec<Attribute>,
}

/// What an initiator asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// One address each: whether of IPv4, and the one it would like.
    pub(crate) addresses: Vec<(bool, Option<IpAddr>)>,
    /// Prefixes of its own.
    pub(crate) link: Option<LinkWish>,
    /// Everything it named.
    pub(crate) kinds: Vec<CfgAttributeType>,
    /// The hashes by which it wants to know the keys of resolvers (RFC 9464 §3.2).
    pub(crate) hashes: Vec<u16>,
}

impl Grant {
    /// DNS servers inside.
    pub fn dns(&self) -> impl Iterator<Item = IpAddr> {
        self.attributes.iter().filter_map(|attribute| match (attribute.kind, &attribute.value) {
            (CfgAttributeType::INTERNAL_IP4_DNS | CfgAttributeType::INTERNAL_IP6_DNS, CfgValue::Address(address)) => {
                Some(*address)
            }
            _ => None,
        })
    }

    /// Domains whose names those servers resolve; without any, all names (RFC 8598 §5).
    pub fn domains(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().filter_map(|attribute| match &attribute.value {
            CfgValue::Domain(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Encrypted DNS resolvers inside, best first, each with the digest of its key where that was told (RFC 9464).
    pub fn encrypted_dns(&self) -> Vec<(&EncryptedDns, Option<&[u8]>)> {
        let digest_of = |resolver: &EncryptedDns| {
            let mut told = self.attributes.iter().filter_map(|attribute| match &attribute.value {
                CfgValue::DnsDigest(digest) if digest.name.is_empty() || digest.name == resolver.name => Some(digest),
                _ => None,
            });
            told.find(|digest| digest.hashes == [DnsDigest::SHA256]).map(|digest| &digest.digest[..])
        };
        let mut all: Vec<_> = self.attributes.iter().filter_map(|attribute| encrypted(&attribute.value)).collect();
        all.sort_by_key(|resolver| resolver.priority);
        all.into_iter().map(|resolver| (resolver, digest_of(resolver))).collect()
    }

    /// Networks behind the responder (RFC 7296 §3.15.2).
    pub fn subnets(&self) -> impl Iterator<Item = TrafficSelector> {
        self.attributes.iter().filter_map(|attribute| match attribute.value {
            CfgValue::Subnet(address, length) => TrafficSelector::prefix(address, length).ok(),
            _ => None,
        })
    }

    /// As attributes of a reply.
    pub(crate) fn emit(&self) -> Vec<CfgAttribute> {
        let addresses = self.addresses.iter().map(|address| {
            let value = match address {
                IpAddr::V4(_) => CfgValue::Address(*address),
                IpAddr::V6(address) => CfgValue::Ip6Address(*address, 128),
            };
            CfgAttribute { kind: CfgAttributeType::address(address.is_ipv4()), value: value.emit() }
        });
        let link = self.link.iter().map(|link| CfgValue::Link(link.own, link.id.clone()));
        let link = link.map(|value| CfgAttribute { kind: CfgAttributeType::INTERNAL_IP6_LINK, value: value.emit() });
        let prefixes = self.prefixes.iter().map(|prefix| {
            let value = CfgValue::Prefix(prefix.first(), prefix.length()).emit();
            CfgAttribute { kind: CfgAttributeType::INTERNAL_IP6_PREFIX, value }
        });
        let rest = self.attributes.iter().map(Attribute::emit);
        addresses.chain(link).chain(prefixes).chain(rest).collect()
    }

    /// What a reply to a request for `asked` addresses grants, and for prefixes, on a link on which we have this interface ID.
    /// Attributes of a wrong form, addresses that no host can have and those that nobody asked for are passed over.
    pub(crate) fn parse(attributes: &[CfgAttribute], asked: &[IpAddr], interface: Option<u64>) -> Grant {
        let mut grant = Grant::default();
        if let Some(own) = interface {
            grant.take_link(attributes, own);
        }
        let mut of_domain = false;
        for attribute in attributes {
            let read = CfgValue::parse(attribute.kind, &attribute.value);
            // RFC 8598 §4.2: anchors stand right behind their domain.
            of_domain = match (attribute.kind, &read) {
                (CfgAttributeType::INTERNAL_DNS_DOMAIN, Ok(Some(_))) => true,
                (CfgAttributeType::INTERNAL_DNSSEC_TA, _) => of_domain,
                _ => false,
            };
            let Ok(Some(value)) = read else { continue };
            let address = match (attribute.kind, &value) {
                (CfgAttributeType::INTERNAL_IP4_ADDRESS, CfgValue::Address(address)) => *address,
                (_, CfgValue::Ip6Address(address, _)) => (*address).into(),
                (_, CfgValue::Link(..) | CfgValue::Prefix(..)) => continue,
                (CfgAttributeType::INTERNAL_DNSSEC_TA, _) if !of_domain => continue,
                _ => {
                    // RFC 9464 §3.1: neither without an address nor with priority 0, and RFC 9460 §2.2: parameters in their form.
                    let usable = encrypted(&value).is_none_or(|resolver| {
                        let named = resolver.priority != 0 && !resolver.name.is_empty();
                        named && !resolver.addresses.is_empty() && SvcParams::parse(&resolver.parameters).is_some()
                    });
                    if usable {
                        grant.attributes.push(Attribute { kind: attribute.kind, value });
                    }
                    continue;
                }
            };
            let of_family =
                |addresses: &[IpAddr]| addresses.iter().filter(|a| a.is_ipv4() == address.is_ipv4()).count();
            // RFC 5739 §4.5: prefixes come in the place of IPv6 addresses.
            if is_assignable(address)
                && (address.is_ipv4() || grant.link.is_none())
                && of_family(&grant.addresses) < of_family(asked)
                && !grant.addresses.contains(&address)
            {
                grant.addresses.push(address);
            }
        }
        grant
    }

    /// The link and the prefixes on it, with an address for us in each: that of our interface ID.
    fn take_link(&mut self, attributes: &[CfgAttribute], own: u64) {
        let values = || attributes.iter().filter_map(|it| CfgValue::parse(it.kind, &it.value).ok().flatten());
        let link = values().find_map(|value| match value {
            CfgValue::Link(peer, id) if peer != own && id.len() <= limits::LINK_ID => Some(Link { own, peer, id }),
            _ => None,
        });
        for value in values() {
            let CfgValue::Prefix(first, length) = value else { continue };
            let usable =
                |prefix: &Prefix| [prefix.first(), prefix.host(own)].iter().all(|it| is_assignable((*it).into()));
            let prefix = Prefix::of(first, length).filter(usable);
            if let Some(prefix) = prefix
                && self.prefixes.len() < limits::INTERNAL_ADDRESSES
                && link.is_some()
                && !self.prefixes.contains(&prefix)
            {
                self.prefixes.push(prefix);
                self.addresses.push(prefix.host(own).into());
            }
        }
        self.link = link.filter(|_| !self.prefixes.is_empty());
    }
}

fn encrypted(value: &CfgValue) -> Option<&EncryptedDns> {
    match value {
        CfgValue::EncryptedDns(resolver) => Some(resolver),
        _ => None,
    }
}

impl Attribute {
    /// As an attribute of a payload.
    pub(crate) fn emit(&self) -> CfgAttribute {
        CfgAttribute { kind: self.kind, value: self.value.emit() }
    }

    /// RFC 8598 §3.1, RFC 9464 §4.1: these are for whoever says that he knows what to do with them.
    pub(crate) fn must_be_asked_for(&self) -> bool {
        matches!(
            self.kind,
            CfgAttributeType::INTERNAL_DNS_DOMAIN
                | CfgAttributeType::INTERNAL_DNSSEC_TA
                | CfgAttributeType::ENCDNS_IP4
                | CfgAttributeType::ENCDNS_IP6
                | CfgAttributeType::ENCDNS_DIGEST_INFO
        )
    }
}

impl Wishes {
    /// Whether it wants an address, or prefixes.
    pub(crate) fn any(&self) -> bool {
        self.link.is_some() || !self.addresses.is_empty()
    }

    /// What a request asks for; addresses up to [`limits::INTERNAL_ADDRESSES`].
    pub(crate) fn parse(attributes: &[CfgAttribute]) -> Wishes {
        let mut wishes = Wishes::default();
        for attribute in attributes {
            let v4 = attribute.kind == CfgAttributeType::INTERNAL_IP4_ADDRESS;
            let wants = v4 || attribute.kind == CfgAttributeType::INTERNAL_IP6_ADDRESS;
            if wants && wishes.addresses.len() < limits::INTERNAL_ADDRESSES {
                let like = match CfgValue::parse(attribute.kind, &attribute.value) {
                    Ok(Some(CfgValue::Address(address))) => Some(address),
                    Ok(Some(CfgValue::Ip6Address(address, _))) => Some(address.into()),
                    _ => None,
                };
                wishes.addresses.push((v4, like.filter(|address| !address.is_unspecified())));
            }
            match CfgValue::parse(attribute.kind, &attribute.value) {
                Ok(Some(CfgValue::DnsDigest(asked))) => wishes.hashes = asked.hashes,
                Ok(Some(CfgValue::Link(interface, id))) => wishes.link = Some(LinkWish { interface, id }),
                _ => {}
            }
            if !wishes.kinds.contains(&attribute.kind) {
                wishes.kinds.push(attribute.kind);
            }
        }
        wishes
    }

    /// The attributes of a request for these addresses, an unspecified one leaving the choice to the peer, and for what
    /// goes with them; for prefixes on this link (RFC 5739 §4.1), and where they are of use for DNSSEC trust anchors.
    pub(crate) fn of(addresses: &[IpAddr], link: Option<&LinkWish>, anchors: bool) -> Vec<CfgAttribute> {
        let asks = addresses.iter().map(|address| {
            let value = match address {
                _ if address.is_unspecified() => Vec::new(),
                IpAddr::V4(_) => CfgValue::Address(*address).emit(),
                IpAddr::V6(address) => CfgValue::Ip6Address(*address, 128).emit(),
            };
            CfgAttribute { kind: CfgAttributeType::address(address.is_ipv4()), value }
        });
        let wish = link.map(|wish| CfgValue::Link(wish.interface, wish.id.clone()).emit());
        let wish = wish.map(|value| CfgAttribute { kind: CfgAttributeType::INTERNAL_IP6_LINK, value });
        let of = |v4: bool| addresses.iter().any(|address| address.is_ipv4() == v4) || !v4 && link.is_some();
        let families = [true, false].into_iter().filter(|v4| of(*v4));
        let kinds = |v4| [CfgAttributeType::dns(v4), CfgAttributeType::encrypted_dns(v4), CfgAttributeType::subnet(v4)];
        let more = families.flat_map(kinds).chain([CfgAttributeType::INTERNAL_DNS_DOMAIN]);
        // RFC 8598 §3.1: without those that we have.
        let more = more.chain(anchors.then_some(CfgAttributeType::INTERNAL_DNSSEC_TA));
        // RFC 9464 §3.2: with the hashes that we know.
        let hashes = DnsDigest { hashes: vec![DnsDigest::SHA256], name: String::new(), digest: vec![] };
        let digest = Attribute { kind: CfgAttributeType::ENCDNS_DIGEST_INFO, value: CfgValue::DnsDigest(hashes) };
        asks.chain(wish).chain(more.map(|kind| CfgAttribute { kind, value: vec![] })).chain([digest.emit()]).collect()
    }

    /// Of what a pool tells, what is for who wishes this, in its form.
    pub(crate) fn answered(&self, attributes: &mut Vec<Attribute>) {
        let knows = |attribute: &Attribute| match &attribute.value {
            CfgValue::DnsDigest(told) => told.hashes.iter().all(|hash| self.hashes.contains(hash)),
            _ => true,
        };
        attributes.retain(|it| !it.must_be_asked_for() || self.kinds.contains(&it.kind) && knows(it));
        let mut names: Vec<String> =
            attributes.iter().filter_map(|it| encrypted(&it.value)).map(|resolver| resolver.name.clone()).collect();
        names.dedup();
        // RFC 9464 §3.2: the name stands there where there is more than one. Without a resolver there is no key of it.
        attributes.retain_mut(|attribute| match &mut attribute.value {
            CfgValue::DnsDigest(told) => {
                let known = names.contains(&told.name);
                if names.len() == 1 {
                    told.name.clear();
                }
                known
            }
            _ => true,
        });
        // RFC 8598 §3.2, RFC 9464 §4: domains come with a server for them.
        let knows_domains = self.kinds.contains(&CfgAttributeType::INTERNAL_DNS_DOMAIN);
        if !knows_domains || !attributes.iter().any(|attribute| is_server(attribute.kind)) {
            let of_domains = [CfgAttributeType::INTERNAL_DNS_DOMAIN, CfgAttributeType::INTERNAL_DNSSEC_TA];
            attributes.retain(|attribute| !of_domains.contains(&attribute.kind));
        }
    }
}

/// Whether a host may be given this address.
fn is_assignable(address: IpAddr) -> bool {
    let taken = match address {
        IpAddr::V4(address) => address.is_link_local() || address == Ipv4Addr::BROADCAST || address.octets()[0] == 0,
        IpAddr::V6(address) => address.is_unicast_link_local() || address.to_ipv4_mapped().is_some(),
    };
    !taken && !address.is_unspecified() && !address.is_loopback() && !address.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_comes_back_as_it_was() {
        let dns = Attribute {
            kind: CfgAttributeType::INTERNAL_IP4_DNS,
            value: CfgValue::Address(IpAddr::from([10, 1, 0, 53])),
        };
        let net = Attribute {
            kind: CfgAttributeType::INTERNAL_IP4_SUBNET,
            value: CfgValue::Subnet(IpAddr::from([10, 1, 0, 0]), 16),
        };
        let asked = [IpAddr::from([0; 4]), IpAddr::from([0; 16])];
        let addresses = vec![IpAddr::from([10, 3, 0, 1]), "fec3::1".parse().unwrap()];
        let grant = Grant { addresses, attributes: vec![dns, net], ..Grant::default() };
        assert_eq!(Grant::parse(&grant.emit(), &asked, None), grant);
        assert_eq!(grant.dns().collect::<Vec<_>>(), [IpAddr::from([10, 1, 0, 53])]);
        assert_eq!(grant.subnets().map(|net| alloc::format!("{net}")).collect::<Vec<_>>(), ["10.1.0.0/16"]);
        // What was not asked for is not taken.
        assert_eq!(Grant::parse(&grant.emit(), &asked[..1], None).addresses, grant.addresses[..1]);
    }

    #[test]
    fn no_responder_makes_an_address_of_what_is_none() {
        for bad in ["127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "169.254.1.1", "::1", "fe80::1", "ff02::1"]
        {
            let grant = Grant { addresses: vec![bad.parse().unwrap()], ..Grant::default() };
            let asked = [IpAddr::from([0; 4]), IpAddr::from([0; 16])];
            assert!(Grant::parse(&grant.emit(), &asked, None).addresses.is_empty(), "{bad}");
        }
    }

    #[test]
    fn prefixes_come_with_their_link_to_who_asked_for_one() {
        let prefix = |text: &str, length| Prefix::of(text.parse().unwrap(), length).unwrap();
        let prefixes = vec![prefix("2001:db8:1::", 64), prefix("fd00:1::", 48)];
        let given = Grant { prefixes, link: Some(Link { own: 7, peer: 9, id: b"l".to_vec() }), ..Grant::default() };
        let taken = Grant::parse(&given.emit(), &[], Some(9));
        assert_eq!((&taken.prefixes, taken.link), (&given.prefixes, Some(Link { own: 9, peer: 7, id: b"l".to_vec() })));
        let addresses: Vec<String> = taken.addresses.iter().map(|address| alloc::format!("{address}")).collect();
        assert_eq!(addresses, ["2001:db8:1::9", "fd00:1::9"]);
        // Nobody asked; the other end has our interface ID; no link; networks in which a host can be nobody.
        let none = |grant: &Grant, own| assert_eq!(Grant::parse(&grant.emit(), &[], own), Grant::default());
        none(&given, None);
        none(&given, Some(7));
        none(&Grant { link: None, ..given.clone() }, Some(9));
        let bad = ["fe80::", "ff02::", "::"].map(|text| prefix(text, 64));
        none(&Grant { prefixes: bad.to_vec(), ..given.clone() }, Some(9));
        let many = (0..100).map(|at| prefix(&alloc::format!("2001:db8:{at:x}::"), 64)).collect();
        let taken = Grant::parse(&Grant { prefixes: many, ..given }.emit(), &[], Some(9));
        assert_eq!(taken.prefixes.len(), limits::INTERNAL_ADDRESSES);
    }

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let like = IpAddr::from([10, 3, 0, 7]);
        let link = LinkWish { interface: 9, id: b"l".to_vec() };
        let wishes = Wishes::parse(&Wishes::of(&[like, IpAddr::from([0; 16])], Some(&link), false));
        assert_eq!(wishes.link, Some(link));
        assert_eq!(wishes.addresses, [(true, Some(like)), (false, None)]);
        assert!(wishes.kinds.contains(&CfgAttributeType::INTERNAL_IP6_DNS));
        let many = vec![CfgAttribute { kind: CfgAttributeType::INTERNAL_IP4_ADDRESS, value: vec![] }; 100];
        assert_eq!(Wishes::parse(&many).addresses.len(), limits::INTERNAL_ADDRESSES);
    }
}
