//! Who a peer says it is (RFC 7296 §3.5).

mod dn;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use dn::{BadDn, Dn};

use crate::ids;

ids! {
    /// The type of an identification payload.
    IdType(u8) {
        IPV4_ADDR = 1 => "ipv4",
        FQDN = 2 => "fqdn",
        RFC822_ADDR = 3 => "rfc822",
        IPV6_ADDR = 5 => "ipv6",
        DER_ASN1_DN = 9 => "asn1dn",
        DER_ASN1_GN = 10 => "asn1gn",
        KEY_ID = 11 => "keyid",
        NULL = 13 => "null",
    }
}

/// An identity as configured or as received. Text types hold what is printable ASCII or UTF-8; anything else is
/// [`Identity::Other`], so two identities are equal exactly when their type and bytes are; [`Identity::is`] compares whom they name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// ID_IPV4_ADDR
    Ipv4(Ipv4Addr),
    /// ID_IPV6_ADDR
    Ipv6(Ipv6Addr),
    /// ID_FQDN, without a terminator.
    Fqdn(String),
    /// ID_RFC822_ADDR
    Rfc822(String),
    /// ID_KEY_ID: opaque bytes.
    KeyId(Vec<u8>),
    /// ID_DER_ASN1_DN: a distinguished name in DER.
    Dn(Dn),
    /// ID_DER_ASN1_GN: a general name of X.509 in DER.
    GeneralName(Vec<u8>),
    /// ID_NULL: nobody (RFC 7619 §2.2).
    Null,
    /// Any other type, or a text type that is not UTF-8.
    Other {
        /// ID Type.
        kind: IdType,
        /// Identification Data.
        data: Vec<u8>,
    },
}

impl Identity {
    /// From the type and the Identification Data of a payload. `None`: an address type of a wrong length, or an ID_NULL
    /// with data.
    pub fn parse(kind: IdType, data: &[u8]) -> Option<Self> {
        let text = || String::from_utf8(data.to_vec()).ok();
        let other = || Identity::Other { kind, data: data.to_vec() };
        Some(match kind {
            IdType::IPV4_ADDR => Identity::Ipv4(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?)),
            IdType::IPV6_ADDR => Identity::Ipv6(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?)),
            IdType::FQDN => text().map_or_else(other, Identity::Fqdn),
            IdType::RFC822_ADDR => text().map_or_else(other, Identity::Rfc822),
            IdType::KEY_ID => Identity::KeyId(data.to_vec()),
            IdType::DER_ASN1_DN => Identity::Dn(Dn::new(data)),
            IdType::DER_ASN1_GN => Identity::GeneralName(data.to_vec()),
            IdType::NULL => data.is_empty().then_some(Identity::Null)?,
            _ => other(),
        })
    }

    /// Whether both name the same: names and addresses of mail without regard to case (RFC 4945 §3.1.2, RFC 4945 §3.1.3),
    /// distinguished names as certificates are compared ([`Dn::is`]), all others by their octets.
    pub fn is(&self, other: &Identity) -> bool {
        match (self, other) {
            (Identity::Fqdn(one), Identity::Fqdn(other)) => one.eq_ignore_ascii_case(other),
            (Identity::Rfc822(one), Identity::Rfc822(other)) => one.eq_ignore_ascii_case(other),
            (Identity::Dn(one), Identity::Dn(other)) => one.is(other),
            (one, other) => one == other,
        }
    }

    /// What is found by an identity is kept by this: it is equal for names, and for addresses of mail, that name the same.
    pub fn folded(&self) -> Identity {
        match self {
            Identity::Fqdn(name) => Identity::Fqdn(name.to_ascii_lowercase()),
            Identity::Rfc822(address) => Identity::Rfc822(address.to_ascii_lowercase()),
            other => other.clone(),
        }
    }

    /// The type on the wire.
    pub fn kind(&self) -> IdType {
        match self {
            Identity::Ipv4(_) => IdType::IPV4_ADDR,
            Identity::Ipv6(_) => IdType::IPV6_ADDR,
            Identity::Fqdn(_) => IdType::FQDN,
            Identity::Rfc822(_) => IdType::RFC822_ADDR,
            Identity::KeyId(_) => IdType::KEY_ID,
            Identity::Dn(_) => IdType::DER_ASN1_DN,
            Identity::GeneralName(_) => IdType::DER_ASN1_GN,
            Identity::Null => IdType::NULL,
            Identity::Other { kind, .. } => *kind,
        }
    }

    /// The Identification Data on the wire.
    pub fn data(&self) -> Vec<u8> {
        let mut data = Vec::new();
        self.put_data(&mut data);
        data
    }

    /// Appends the Identification Data.
    pub fn put_data(&self, out: &mut Vec<u8>) {
        match self {
            Identity::Ipv4(address) => out.extend_from_slice(&address.octets()),
            Identity::Ipv6(address) => out.extend_from_slice(&address.octets()),
            Identity::Fqdn(text) | Identity::Rfc822(text) => out.extend_from_slice(text.as_bytes()),
            Identity::Dn(dn) => out.extend_from_slice(dn.der()),
            Identity::Null => {}
            Identity::KeyId(data) | Identity::GeneralName(data) | Identity::Other { data, .. } => {
                out.extend_from_slice(data);
            }
        }
    }
}

impl From<IpAddr> for Identity {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Identity::Ipv4(v4),
            IpAddr::V6(v6) => Identity::Ipv6(v6),
        }
    }
}

impl fmt::Display for Identity {
    /// `fqdn:gw.example.org`. Control characters are escaped, so that a peer cannot write to a terminal or a log;
    /// opaque bytes print in hexadecimal, and ID_NULL is `%null`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Identity::Null {
            return f.write_str("%null");
        }
        write!(f, "{}:", self.kind())?;
        match self {
            Identity::Ipv4(address) => write!(f, "{address}"),
            Identity::Ipv6(address) => write!(f, "{address}"),
            Identity::Fqdn(text) | Identity::Rfc822(text) => write!(f, "{}", text.escape_debug()),
            Identity::KeyId(data) if data.iter().all(u8::is_ascii_graphic) && !data.starts_with(b"0x") => {
                data.iter().try_for_each(|byte| write!(f, "{}", char::from(*byte)))
            }
            Identity::Dn(dn) => write!(f, "{dn}"),
            Identity::Null => Ok(()),
            Identity::KeyId(data) | Identity::GeneralName(data) | Identity::Other { data, .. } => {
                f.write_str("0x")?;
                data.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn survives_the_wire() {
        for id in [
            Identity::Ipv4(Ipv4Addr::LOCALHOST),
            Identity::Ipv6(Ipv6Addr::LOCALHOST),
            Identity::Fqdn("gw.example.org".into()),
            Identity::KeyId(b"\x00\xff".to_vec()),
            Identity::Dn("C=CH, CN=gw".parse().unwrap()),
            Identity::Dn(Dn::new(b"no DER")),
            Identity::GeneralName(b"\x82\x01a".to_vec()),
            Identity::Null,
            Identity::Other { kind: IdType::FQDN, data: b"\xff".to_vec() },
        ] {
            assert_eq!(Identity::parse(id.kind(), &id.data()), Some(id));
        }
        assert_eq!(Identity::parse(IdType::IPV4_ADDR, &[1, 2, 3]), None);
        assert_eq!(Identity::parse(IdType::NULL, b"x"), None);
    }

    // RFC 4945 §3.1.2, §3.1.3.
    #[test]
    fn case_makes_no_other_name() {
        let [fqdn, mail]: [fn(&str) -> Identity; 2] =
            [|text| Identity::Fqdn(text.into()), |text| Identity::Rfc822(text.into())];
        for of in [fqdn, mail] {
            let (one, other) = (of("Joe@Gw.Example.org"), of("joe@gw.EXAMPLE.org"));
            assert!(one.is(&other) && other.is(&one) && one != other && one.folded() == other.folded());
            for another in
                ["joe@gw.example.net", "joe@gw.example.orgs", "", "joe@gw.example.org.", "joé@gw.example.org"]
            {
                assert!(!one.is(&of(another)) && one.folded() != of(another).folded(), "{another}");
            }
        }
        assert!(!fqdn("gw").is(&mail("gw")));
        let key = |octets: &[u8]| Identity::KeyId(octets.to_vec());
        assert!(!key(b"gw").is(&key(b"GW")) && key(b"GW").folded() == key(b"GW"));
    }

    // docs/HISTORY.md, row 53: what a peer sends is escaped before it is shown.
    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(Identity::Fqdn("a\u{1b}[2J\n".into()).to_string(), "fqdn:a\\u{1b}[2J\\n");
        assert_eq!(Identity::KeyId(b"a b".to_vec()).to_string(), "keyid:0x612062");
    }
}
