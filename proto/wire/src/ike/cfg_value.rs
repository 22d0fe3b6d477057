//! What configuration attributes say (RFC 7296 §3.15.1), in either version of IKE: the payloads carry them as bytes.
//!
//! ```text
//!   INTERNAL_IP4_ADDRESS, _DNS, ...  address          INTERNAL_IP4_SUBNET   address | mask
//!   INTERNAL_IP6_ADDRESS             address | length INTERNAL_IP6_SUBNET   address | length
//!   INTERNAL_DNS_DOMAIN              name             INTERNAL_DNSSEC_TA    tag (2) | algorithm | digest type | digest
//!   ENCDNS_IP4, ENCDNS_IP6           priority (2) | count | length of the name | addresses | name | parameters
//!   INTERNAL_IP6_LINK                interface ID (8) | link ID
//!   INTERNAL_IP6_PREFIX              address | length
//!   ENCDNS_DIGEST_INFO               count of hashes | length of the name | name | hashes (2 each) | digest
//! ```

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::v2::CfgAttributeType;

/// The longest name of a domain, in characters (RFC 1035 §2.3.4).
const MAX_NAME: usize = 253;

/// The value of an attribute that has one. An empty attribute asks, or leaves the choice to the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CfgValue {
    /// An address of the family that the type says; the netmask of IPv4 too.
    Address(IpAddr),
    /// An IPv6 address and the length of its prefix.
    Ip6Address(Ipv6Addr, u8),
    /// A network: its first address and the length of the prefix.
    Subnet(IpAddr, u8),
    /// The name of a domain (RFC 8598 §4.1).
    Domain(String),
    /// A DNSSEC trust anchor of the domain before it (RFC 8598 §4.2).
    TrustAnchor(TrustAnchor),
    /// An encrypted DNS resolver (RFC 9464 §3.1).
    EncryptedDns(EncryptedDns),
    /// By which key an encrypted DNS resolver is known, or the hashes for one who asks (RFC 9464 §3.2).
    DnsDigest(DnsDigest),
    /// A virtual link: the interface ID of its sender, and by which name the gateway knows it; empty for none yet (RFC 5739 §5.1).
    Link(u64, Vec<u8>),
    /// A prefix of the peer's own on that link: its first address, and its length (RFC 5739 §5.2).
    Prefix(Ipv6Addr, u8),
    /// A type whose value nobody here reads.
    Other(Vec<u8>),
}

/// A DS record without its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustAnchor {
    /// Key tag.
    pub key_tag: u16,
    /// Algorithm of the key.
    pub algorithm: u8,
    /// Algorithm of the digest.
    pub digest_type: u8,
    /// The digest, in the presentation format of RFC 4034 §5.3.
    pub digest: String,
}

/// An encrypted DNS resolver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedDns {
    /// The lowest is tried first; 0 is for none (RFC 9464 §3.1).
    pub priority: u16,
    /// Where it is, all of one family.
    pub addresses: Vec<IpAddr>,
    /// The name in its certificate.
    pub name: String,
    /// Service parameters, which [`SvcParams`](super::svc_params::SvcParams) reads.
    pub parameters: Vec<u8>,
}

/// A digest of the key in a resolver's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsDigest {
    /// Hash algorithms by the numbers of RFC 7427 §7: that of the digest, or those that the sender of a request knows.
    pub hashes: Vec<u16>,
    /// The name of the resolver; empty where all have one name.
    pub name: String,
    /// Of its SubjectPublicKeyInfo in DER; empty in a request.
    pub digest: Vec<u8>,
}

impl DnsDigest {
    /// SHA2-256, which everybody knows.
    pub const SHA256: u16 = 2;
}

/// A value that its type cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadCfgValue(pub CfgAttributeType);

impl fmt::Display for BadCfgValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has a value of a wrong form", self.0)
    }
}

impl core::error::Error for BadCfgValue {}

impl CfgValue {
    /// Reads the value of an attribute; `None`: it is empty.
    ///
    /// # Errors
    /// When a value of this type cannot be like this.
    pub fn parse(kind: CfgAttributeType, bytes: &[u8]) -> Result<Option<CfgValue>, BadCfgValue> {
        if bytes.is_empty() {
            return Ok(None);
        }
        Self::read(kind, bytes).map(Some).ok_or(BadCfgValue(kind))
    }

    fn read(kind: CfgAttributeType, bytes: &[u8]) -> Option<CfgValue> {
        Some(match kind {
            CfgAttributeType::INTERNAL_IP4_ADDRESS
            | CfgAttributeType::INTERNAL_IP4_NETMASK
            | CfgAttributeType::INTERNAL_IP4_DNS
            | CfgAttributeType::INTERNAL_IP4_NBNS
            | CfgAttributeType::INTERNAL_IP4_DHCP => CfgValue::Address(v4(bytes)?.into()),
            CfgAttributeType::INTERNAL_IP6_DNS | CfgAttributeType::INTERNAL_IP6_DHCP => {
                CfgValue::Address(v6(bytes)?.into())
            }
            CfgAttributeType::INTERNAL_IP6_ADDRESS => {
                let (address, length) = prefix(bytes)?;
                CfgValue::Ip6Address(address, length)
            }
            CfgAttributeType::INTERNAL_IP4_SUBNET => {
                let (address, mask) = bytes.split_at_checked(4)?;
                let mask = u32::from_be_bytes(mask.try_into().ok()?);
                // The mask of a prefix has no hole.
                (mask.leading_ones() + mask.trailing_zeros() >= 32).then_some(())?;
                CfgValue::Subnet(v4(address)?.into(), u8::try_from(mask.leading_ones()).ok()?)
            }
            CfgAttributeType::INTERNAL_IP6_SUBNET => {
                let (address, length) = prefix(bytes)?;
                CfgValue::Subnet(address.into(), length)
            }
            CfgAttributeType::INTERNAL_IP6_LINK => {
                let (interface, id) = bytes.split_first_chunk()?;
                CfgValue::Link(u64::from_be_bytes(*interface), id.into())
            }
            CfgAttributeType::INTERNAL_IP6_PREFIX => {
                let (address, length) = prefix(bytes)?;
                // RFC 5739 §5.2: whatever is behind the prefix says nothing.
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                CfgValue::Prefix(Ipv6Addr::from_bits(address.to_bits() & mask), length)
            }
            CfgAttributeType::INTERNAL_DNS_DOMAIN => CfgValue::Domain(name(bytes)?),
            CfgAttributeType::INTERNAL_DNSSEC_TA => CfgValue::TrustAnchor(trust_anchor(bytes)?),
            CfgAttributeType::ENCDNS_IP4 => CfgValue::EncryptedDns(resolver(bytes, 4, |b| v4(b).map(IpAddr::V4))?),
            CfgAttributeType::ENCDNS_IP6 => CfgValue::EncryptedDns(resolver(bytes, 16, |b| v6(b).map(IpAddr::V6))?),
            CfgAttributeType::ENCDNS_DIGEST_INFO => CfgValue::DnsDigest(digest(bytes)?),
            _ => CfgValue::Other(bytes.into()),
        })
    }

    /// The bytes of the value. Counts and lengths that their field cannot say are cut to what it can.
    pub fn emit(&self) -> Vec<u8> {
        match self {
            CfgValue::Address(IpAddr::V4(address)) => address.octets().into(),
            CfgValue::Address(IpAddr::V6(address)) => address.octets().into(),
            CfgValue::Subnet(IpAddr::V4(address), length) => {
                let mask = u32::MAX.checked_shl(32 - u32::from((*length).min(32))).unwrap_or(0);
                [address.octets(), mask.to_be_bytes()].concat()
            }
            CfgValue::Link(interface, id) => [&interface.to_be_bytes()[..], id].concat(),
            CfgValue::Ip6Address(address, length)
            | CfgValue::Prefix(address, length)
            | CfgValue::Subnet(IpAddr::V6(address), length) => {
                let mut bytes = Vec::from(address.octets());
                bytes.push(*length);
                bytes
            }
            CfgValue::Domain(name) => name.as_bytes().into(),
            CfgValue::TrustAnchor(anchor) => {
                let mut bytes = Vec::from(anchor.key_tag.to_be_bytes());
                bytes.extend([anchor.algorithm, anchor.digest_type]);
                bytes.extend_from_slice(anchor.digest.as_bytes());
                bytes
            }
            CfgValue::EncryptedDns(resolver) => {
                let mut bytes = Vec::from(resolver.priority.to_be_bytes());
                let (count, length) = (resolver.addresses.len().min(255), resolver.name.len().min(255));
                bytes.extend([count as u8, length as u8]);
                for address in resolver.addresses.iter().take(count) {
                    bytes.extend(CfgValue::Address(*address).emit());
                }
                bytes.extend(resolver.name.bytes().take(length));
                bytes.extend_from_slice(&resolver.parameters);
                bytes
            }
            CfgValue::DnsDigest(DnsDigest { hashes, name, digest }) => {
                let (count, length) = (hashes.len().min(255), name.len().min(255));
                let mut bytes = Vec::from([count as u8, length as u8]);
                bytes.extend(name.bytes().take(length));
                bytes.extend(hashes.iter().take(count).flat_map(|hash| hash.to_be_bytes()));
                bytes.extend_from_slice(digest);
                bytes
            }
            CfgValue::Other(bytes) => bytes.clone(),
        }
    }
}

impl CfgAttributeType {
    /// The attribute that asks for, or grants, an address of this family.
    pub fn address(v4: bool) -> Self {
        if v4 { Self::INTERNAL_IP4_ADDRESS } else { Self::INTERNAL_IP6_ADDRESS }
    }

    /// The attribute of DNS servers of this family.
    pub fn dns(v4: bool) -> Self {
        if v4 { Self::INTERNAL_IP4_DNS } else { Self::INTERNAL_IP6_DNS }
    }

    /// The attribute of encrypted DNS resolvers of this family.
    pub fn encrypted_dns(v4: bool) -> Self {
        if v4 { Self::ENCDNS_IP4 } else { Self::ENCDNS_IP6 }
    }

    /// The attribute of networks of this family.
    pub fn subnet(v4: bool) -> Self {
        if v4 { Self::INTERNAL_IP4_SUBNET } else { Self::INTERNAL_IP6_SUBNET }
    }
}

fn v4(bytes: &[u8]) -> Option<Ipv4Addr> {
    Some(<[u8; 4]>::try_from(bytes).ok()?.into())
}

fn v6(bytes: &[u8]) -> Option<Ipv6Addr> {
    Some(<[u8; 16]>::try_from(bytes).ok()?.into())
}

fn prefix(bytes: &[u8]) -> Option<(Ipv6Addr, u8)> {
    let (address, length) = bytes.split_at_checked(16)?;
    let [length @ 0..=128] = *length else { return None };
    Some((v6(address)?, length))
}

/// A name in letters that a resolver's configuration may hold as they are.
fn name(bytes: &[u8]) -> Option<String> {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (bytes.len() <= MAX_NAME && bytes.iter().all(fits)).then(|| bytes.iter().copied().map(char::from).collect())
}

fn trust_anchor(bytes: &[u8]) -> Option<TrustAnchor> {
    let (&[high, low, algorithm, digest_type], digest) = bytes.split_first_chunk()?;
    let hex = !digest.is_empty() && digest.iter().all(u8::is_ascii_hexdigit);
    let digest = hex.then(|| digest.iter().copied().map(char::from).collect())?;
    Some(TrustAnchor { key_tag: u16::from_be_bytes([high, low]), algorithm, digest_type, digest })
}

fn resolver(bytes: &[u8], size: usize, address: fn(&[u8]) -> Option<IpAddr>) -> Option<EncryptedDns> {
    let (&[high, low, count, length], rest) = bytes.split_first_chunk()?;
    let (addresses, rest) = rest.split_at_checked(usize::from(count) * size)?;
    let (adn, parameters) = rest.split_at_checked(usize::from(length))?;
    Some(EncryptedDns {
        priority: u16::from_be_bytes([high, low]),
        addresses: addresses.chunks_exact(size).filter_map(address).collect(),
        name: name(adn)?,
        parameters: parameters.into(),
    })
}

fn digest(bytes: &[u8]) -> Option<DnsDigest> {
    let (&[count, length], rest) = bytes.split_first_chunk()?;
    let (adn, rest) = rest.split_at_checked(usize::from(length))?;
    let (hashes, digest) = rest.split_at_checked(2 * usize::from(count))?;
    let hashes = hashes.chunks_exact(2).map(|hash| u16::from_be_bytes([hash[0], hash[1]])).collect();
    Some(DnsDigest { hashes, name: name(adn)?, digest: digest.into() })
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn both(kind: CfgAttributeType, bytes: &[u8]) -> CfgValue {
        let value = CfgValue::parse(kind, bytes).unwrap().unwrap();
        assert_eq!(value.emit(), bytes, "{kind}");
        value
    }

    #[test]
    fn values_come_back_as_they_were() {
        let v4 = both(CfgAttributeType::INTERNAL_IP4_DNS, &[10, 0, 0, 53]);
        assert_eq!(v4, CfgValue::Address(Ipv4Addr::new(10, 0, 0, 53).into()));
        let subnet = both(CfgAttributeType::INTERNAL_IP4_SUBNET, &[10, 1, 0, 0, 255, 255, 0, 0]);
        assert_eq!(subnet, CfgValue::Subnet(Ipv4Addr::new(10, 1, 0, 0).into(), 16));
        both(CfgAttributeType::INTERNAL_IP4_SUBNET, &[0; 8]);
        let mut address = vec![0; 17];
        address[16] = 64;
        assert_eq!(
            both(CfgAttributeType::INTERNAL_IP6_ADDRESS, &address),
            CfgValue::Ip6Address(Ipv6Addr::UNSPECIFIED, 64)
        );
        both(CfgAttributeType::INTERNAL_IP6_SUBNET, &address);
        assert_eq!(both(CfgAttributeType::INTERNAL_DNS_DOMAIN, b"example.com"), CfgValue::Domain("example.com".into()));
        both(CfgAttributeType::INTERNAL_DNSSEC_TA, b"\xa9\x51\x08\x0149AAC11D");
        let resolver = b"\x00\x01\x02\x08\x0a\x00\x00\x01\x0a\x00\x00\x02dns.test\x00\x01\x00\x03\x02h2";
        let CfgValue::EncryptedDns(resolver) = both(CfgAttributeType::ENCDNS_IP4, resolver) else { panic!() };
        assert_eq!((resolver.priority, resolver.addresses.len(), resolver.name.as_str()), (1, 2, "dns.test"));
        // RFC 9464 §3.2: of a request, and of a reply.
        let asks = both(CfgAttributeType::ENCDNS_DIGEST_INFO, b"\x02\x00\x00\x02\x00\x03");
        let asked = DnsDigest { hashes: vec![2, 3], name: String::new(), digest: vec![] };
        assert_eq!(asks, CfgValue::DnsDigest(asked));
        let told = both(CfgAttributeType::ENCDNS_DIGEST_INFO, b"\x01\x08dns.test\x00\x02\xaa\xbb");
        let digest = DnsDigest { hashes: vec![2], name: "dns.test".into(), digest: vec![0xaa, 0xbb] };
        assert_eq!(told, CfgValue::DnsDigest(digest));
        assert_eq!(both(CfgAttributeType::INTERNAL_IP6_LINK, &[7; 8]), CfgValue::Link(0x0707_0707_0707_0707, vec![]));
        let link = both(CfgAttributeType::INTERNAL_IP6_LINK, b"\0\0\0\0\0\0\0\x01link");
        assert_eq!(link, CfgValue::Link(1, b"link".to_vec()));
        both(CfgAttributeType::APPLICATION_VERSION, b"any \x00 bytes");
        assert_eq!(CfgValue::parse(CfgAttributeType::INTERNAL_IP6_ADDRESS, b""), Ok(None));
    }

    // RFC 5739 §5.2: the sender has zeros behind the prefix, and whatever else is there is passed over.
    #[test]
    fn a_prefix_ends_where_its_length_says() {
        let (first, other) = ("2001:db8:1:2::", "2001:db8:1:2:ffff::1");
        for (text, length) in [(first, 64), (other, 64)] {
            let mut bytes = text.parse::<Ipv6Addr>().unwrap().octets().to_vec();
            bytes.push(length);
            let value = CfgValue::parse(CfgAttributeType::INTERNAL_IP6_PREFIX, &bytes).unwrap().unwrap();
            assert_eq!(value, CfgValue::Prefix(first.parse().unwrap(), 64));
            assert_eq!(value.emit()[..16], first.parse::<Ipv6Addr>().unwrap().octets());
        }
        let all = CfgValue::parse(CfgAttributeType::INTERNAL_IP6_PREFIX, &[0; 17]);
        assert_eq!(all, Ok(Some(CfgValue::Prefix(Ipv6Addr::UNSPECIFIED, 0))));
    }

    // Row 104 of docs/HISTORY.md: what a shell, a file or a terminal would make something else of, in every place of a name.
    #[test]
    fn names_are_letters_digits_and_little_else() {
        let long = "a".repeat(254);
        let odd = [
            "a b",
            "a;reboot",
            "a|b",
            "a&b",
            "`id`",
            "$(id)",
            "a'b",
            "a\"b",
            "a\\b",
            "a>b",
            "a<b",
            "a*b",
            "a?b",
            "a#b",
            "a\nb",
            "a\rb",
            "a\0b",
            "a\tb",
            "\u{1b}[2J",
            "\u{e9}",
            "../a",
            "a/b",
            "%n",
            "{a}",
            "~a",
            "!a",
            long.as_str(),
        ];
        for name in odd.map(str::as_bytes) {
            let length = name.len() as u8;
            let dns = [&[0, 1, 1, length, 10, 0, 0, 1][..], name].concat();
            for (kind, bytes) in [
                (CfgAttributeType::INTERNAL_DNS_DOMAIN, name.to_vec()),
                (CfgAttributeType::ENCDNS_IP4, dns),
                (CfgAttributeType::ENCDNS_DIGEST_INFO, [&[1, length][..], name, &[0, 2]].concat()),
            ] {
                assert_eq!(CfgValue::parse(kind, &bytes), Err(BadCfgValue(kind)), "{kind} {}", name.escape_ascii());
            }
        }
        // A version is any octets: what is not made a name of is told escaped.
        assert!(CfgValue::parse(CfgAttributeType::APPLICATION_VERSION, b"\x1b[2J\0;reboot").is_ok());
    }

    #[test]
    fn values_of_a_wrong_form_are_refused() {
        for (kind, bytes) in [
            (CfgAttributeType::INTERNAL_IP4_ADDRESS, &[10, 0, 0][..]),
            (CfgAttributeType::INTERNAL_IP4_SUBNET, &[10, 0, 0, 0, 255, 0, 255, 0]),
            (CfgAttributeType::INTERNAL_IP6_ADDRESS, &[0; 16]),
            (CfgAttributeType::INTERNAL_IP6_ADDRESS, &[129; 17]),
            (CfgAttributeType::INTERNAL_DNS_DOMAIN, b"evil.test\nnameserver 6.6.6.6"),
            (CfgAttributeType::INTERNAL_DNS_DOMAIN, &[b'a'; 254]),
            (CfgAttributeType::INTERNAL_DNSSEC_TA, b"\xa9\x51\x08\x01"),
            (CfgAttributeType::INTERNAL_DNSSEC_TA, b"\xa9\x51\x08\x01not hex"),
            (CfgAttributeType::ENCDNS_IP4, b"\x00\x01\x02\x08\x0a\x00\x00\x01"),
            (CfgAttributeType::ENCDNS_IP6, b"\x00\x01\x00\x09short"),
            (CfgAttributeType::ENCDNS_IP4, b"\x00\x01\x00\x04a\nb."),
            (CfgAttributeType::INTERNAL_IP6_LINK, &[0; 7]),
            (CfgAttributeType::INTERNAL_IP6_PREFIX, &[0; 16]),
            (CfgAttributeType::INTERNAL_IP6_PREFIX, &[129; 17]),
            (CfgAttributeType::ENCDNS_DIGEST_INFO, b"\x01"),
            (CfgAttributeType::ENCDNS_DIGEST_INFO, b"\x02\x00\x00\x02\x00"),
            (CfgAttributeType::ENCDNS_DIGEST_INFO, b"\x01\x09dns.test\x00\x02"),
        ] {
            assert_eq!(CfgValue::parse(kind, bytes), Err(BadCfgValue(kind)), "{kind}");
        }
    }
}
