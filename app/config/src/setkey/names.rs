//! The names of setkey(8): those of FreeBSD, NetBSD and ipsec-tools, and what is not there with the reason.

use ravelin_types::transform::{EncrId, IntegId};

use crate::value::did_you_mean;

/// What a name stands for, or why it is refused.
type Names<T> = &'static [(&'static str, Result<T, &'static str>)];

const NO_CIPHER: &str = "the cipher is not there; use aes-cbc";
const NO_HASH: &str = "the algorithm is not there; use hmac-sha2-256";

const ENCR: Names<EncrId> = &[
    ("aes-cbc", Ok(EncrId::AES_CBC)),
    ("rijndael-cbc", Ok(EncrId::AES_CBC)),
    ("aes-ctr", Ok(EncrId::AES_CTR)),
    ("aes-gcm-16", Ok(EncrId::AES_GCM_16)),
    ("aes-gmac", Ok(EncrId::NULL_AES_GMAC)),
    ("camellia-cbc", Ok(EncrId::CAMELLIA_CBC)),
    ("chacha20-poly1305", Ok(EncrId::CHACHA20_POLY1305)),
    ("3des-cbc", Ok(EncrId::DES3)),
    ("des-cbc", Ok(EncrId::DES)),
    ("null", Ok(EncrId::NULL)),
    ("blowfish-cbc", Err(NO_CIPHER)),
    ("cast128-cbc", Err(NO_CIPHER)),
    ("twofish-cbc", Err(NO_CIPHER)),
    ("rc5-cbc", Err(NO_CIPHER)),
    ("skipjack", Err(NO_CIPHER)),
    ("des-deriv", Err(NO_CIPHER)),
    ("des-32iv", Err(NO_CIPHER)),
    ("3des-deriv", Err(NO_CIPHER)),
    ("simple", Err(NO_CIPHER)),
];

const INTEG: Names<IntegId> = &[
    ("hmac-sha2-256", Ok(IntegId::HMAC_SHA2_256_128)),
    ("hmac-sha256", Ok(IntegId::HMAC_SHA2_256_128)),
    ("hmac-sha2-384", Ok(IntegId::HMAC_SHA2_384_192)),
    ("hmac-sha384", Ok(IntegId::HMAC_SHA2_384_192)),
    ("hmac-sha2-512", Ok(IntegId::HMAC_SHA2_512_256)),
    ("hmac-sha512", Ok(IntegId::HMAC_SHA2_512_256)),
    ("hmac-sha1", Ok(IntegId::HMAC_SHA1_96)),
    ("aes-xcbc-mac", Ok(IntegId::AES_XCBC_96)),
    ("hmac-md5", Ok(IntegId::HMAC_MD5_96)),
    ("null", Ok(IntegId::NONE)),
    ("keyed-md5", Err(NO_HASH)),
    ("keyed-sha1", Err(NO_HASH)),
    ("hmac-ripemd160", Err(NO_HASH)),
    ("tcp-md5", Err("TCP-MD5 (RFC 2385) is no IPsec: it is the kernel's, with an option of the socket")),
];

/// What may stand in the place of an upper-layer protocol beside a number.
const UPPER: &[(&str, u8)] = &[
    ("any", 0),
    ("icmp", 1),
    ("igmp", 2),
    ("ip4", 4),
    ("tcp", 6),
    ("udp", 17),
    ("ipv6", 41),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmp6", 58),
    ("ipv6-icmp", 58),
    ("ospf", 89),
    ("pim", 103),
    ("ipcomp", 108),
    ("vrrp", 112),
    ("l2tp", 115),
    ("sctp", 132),
    ("mh", 135),
    ("udplite", 136),
];

/// An encryption algorithm.
pub(super) fn encr(name: &str) -> Result<EncrId, String> {
    known(name, "an encryption algorithm", ENCR)
}

/// An integrity algorithm.
pub(super) fn integ(name: &str) -> Result<IntegId, String> {
    known(name, "an authentication algorithm", INTEG)
}

fn known<T: Copy>(name: &str, kind: &str, names: Names<T>) -> Result<T, String> {
    match names.iter().find(|(known, _)| *known == name) {
        Some((_, Ok(id))) => Ok(*id),
        Some((_, Err(why))) => Err(format!("{name} is refused: {why}")),
        None => {
            let all: Vec<&str> = names.iter().filter(|(_, id)| id.is_ok()).map(|(name, _)| *name).collect();
            let hint = did_you_mean(name, all.iter().copied());
            Err(format!("`{name}` is not {kind}; expected {}{hint}", all.join(", ")))
        }
    }
}

/// The number of an upper-layer protocol; 0 for any.
pub(super) fn upper(text: &str) -> Result<u8, String> {
    let named = UPPER.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
    named.or_else(|| text.parse().ok()).ok_or_else(|| {
        let hint = did_you_mean(text, UPPER.iter().map(|(name, _)| *name));
        format!("expected an upper-layer protocol: tcp, udp, icmp, icmp6, gre, any or a number from 0 to 255{hint}")
    })
}

/// The name of an encryption algorithm in a listing.
pub fn encr_word(id: EncrId) -> String {
    word(id, ENCR).unwrap_or_else(|| id.to_string().to_ascii_lowercase())
}

/// The name of an integrity algorithm in a listing.
pub fn integ_word(id: IntegId) -> String {
    word(id, INTEG).unwrap_or_else(|| id.to_string().to_ascii_lowercase())
}

/// The name of an upper-layer protocol in a listing.
pub fn upper_word(number: u8) -> String {
    let named = UPPER.iter().find(|(_, known)| *known == number);
    named.map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
}

fn word<T: PartialEq>(id: T, names: Names<T>) -> Option<String> {
    let found = names.iter().find(|(_, known)| known.as_ref().is_ok_and(|known| *known == id));
    found.map(|(name, _)| (*name).to_owned())
}
