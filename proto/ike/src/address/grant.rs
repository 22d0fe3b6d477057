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

use super::pool::Attribute;
use crate::limits;

/// What a responder gives to an initiator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Internal addresses.
    pub addresses: Vec<IpAddr>,
    /// What else it told about the network inside, in its order.
    pub attributes: Vec<Attribute>,
}

/// What an initiator asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// One address each: whether of IPv4, and the one it would like.
    pub(crate) addresses: Vec<(bool, Option<IpAddr>)>,
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
        let rest = self.attributes.iter().map(Attribute::emit);
        addresses.chain(rest).collect()
    }

    /// What a reply to a request for `asked` addresses grants. Attributes of a wrong form, addresses that no host can have
    /// and those that nobody asked for are passed over.
    pub(crate) fn parse(attributes: &[CfgAttribute], asked: &[IpAddr]) -> Grant {
        let mut grant = Grant::default();
        for attribute in attributes {
            let Ok(Some(value)) = CfgValue::parse(attribute.kind, &attribute.value) else { continue };
            let address = match (attribute.kind, &value) {
                (CfgAttributeType::INTERNAL_IP4_ADDRESS, CfgValue::Address(address)) => *address,
                (_, CfgValue::Ip6Address(address, _)) => (*address).into(),
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
            if is_assignable(address)
                && of_family(&grant.addresses) < of_family(asked)
                && !grant.addresses.contains(&address)
            {
                grant.addresses.push(address);
            }
        }
        grant
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
            if let Ok(Some(CfgValue::DnsDigest(asked))) = CfgValue::parse(attribute.kind, &attribute.value) {
                wishes.hashes = asked.hashes;
            }
            if !wishes.kinds.contains(&attribute.kind) {
                wishes.kinds.push(attribute.kind);
            }
        }
        wishes
    }

    /// The attributes of a request for these addresses, an unspecified one leaving the choice to the peer, and for what
    /// goes with them.
    pub(crate) fn of(addresses: &[IpAddr]) -> Vec<CfgAttribute> {
        let asks = addresses.iter().map(|address| {
            let value = match address {
                _ if address.is_unspecified() => Vec::new(),
                IpAddr::V4(_) => CfgValue::Address(*address).emit(),
                IpAddr::V6(address) => CfgValue::Ip6Address(*address, 128).emit(),
            };
            CfgAttribute { kind: CfgAttributeType::address(address.is_ipv4()), value }
        });
        let of = |v4: bool| addresses.iter().any(|address| address.is_ipv4() == v4);
        let families = [true, false].into_iter().filter(|v4| of(*v4));
        let kinds = |v4| [CfgAttributeType::dns(v4), CfgAttributeType::encrypted_dns(v4), CfgAttributeType::subnet(v4)];
        let more = families.flat_map(kinds).chain([CfgAttributeType::INTERNAL_DNS_DOMAIN]);
        // RFC 9464 §3.2: with the hashes that we know.
        let hashes = DnsDigest { hashes: vec![DnsDigest::SHA256], name: String::new(), digest: vec![] };
        let digest = Attribute { kind: CfgAttributeType::ENCDNS_DIGEST_INFO, value: CfgValue::DnsDigest(hashes) };
        asks.chain(more.map(|kind| CfgAttribute { kind, value: vec![] })).chain([digest.emit()]).collect()
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
        let is_server = |it: &Attribute| {
            [true, false]
                .iter()
                .any(|v4| [CfgAttributeType::dns(*v4), CfgAttributeType::encrypted_dns(*v4)].contains(&it.kind))
        };
        if !attributes.iter().any(is_server) {
            attributes.retain(|attribute| attribute.kind != CfgAttributeType::INTERNAL_DNS_DOMAIN);
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
        let grant = Grant { addresses, attributes: vec![dns, net] };
        assert_eq!(Grant::parse(&grant.emit(), &asked), grant);
        assert_eq!(grant.dns().collect::<Vec<_>>(), [IpAddr::from([10, 1, 0, 53])]);
        assert_eq!(grant.subnets().map(|net| alloc::format!("{net}")).collect::<Vec<_>>(), ["10.1.0.0/16"]);
        // What was not asked for is not taken.
        assert_eq!(Grant::parse(&grant.emit(), &asked[..1]).addresses, grant.addresses[..1]);
    }

    #[test]
    fn no_responder_makes_an_address_of_what_is_none() {
        for bad in ["127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "169.254.1.1", "::1", "fe80::1", "ff02::1"]
        {
            let grant = Grant { addresses: vec![bad.parse().unwrap()], attributes: vec![] };
            let asked = [IpAddr::from([0; 4]), IpAddr::from([0; 16])];
            assert!(Grant::parse(&grant.emit(), &asked).addresses.is_empty(), "{bad}");
        }
    }

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let like = IpAddr::from([10, 3, 0, 7]);
        let wishes = Wishes::parse(&Wishes::of(&[like, IpAddr::from([0; 16])]));
        assert_eq!(wishes.addresses, [(true, Some(like)), (false, None)]);
        assert!(wishes.kinds.contains(&CfgAttributeType::INTERNAL_IP6_DNS));
        let many = vec![CfgAttribute { kind: CfgAttributeType::INTERNAL_IP4_ADDRESS, value: vec![] }; 100];
        assert_eq!(Wishes::parse(&many).addresses.len(), limits::INTERNAL_ADDRESSES);
    }
}
