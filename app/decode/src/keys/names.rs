//! The names of algorithms in Wireshark's tables.
//!
//! They are sentences such as `AES-GCM-128 with 16 octet ICV [RFC5282]`, written differently from release to release and
//! from program to program, so they are read by their words: brackets are dropped, `_` is `-`, case does not count.

use ravelin_types::transform::{EncrId, IntegId, PrfId};

/// How a MAC is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MacName {
    /// The cipher does it, or nobody.
    None,
    /// HMAC of this hash, cut to so many bytes.
    Hmac(PrfId, usize),
    /// An algorithm with a key of its own.
    Integ(IntegId),
    /// So many bytes that cannot be checked.
    Unchecked(usize),
}

fn words(name: &str) -> String {
    let name = name.split('[').next().unwrap_or_default();
    name.trim().replace('_', "-").to_ascii_uppercase()
}

/// The cipher of this name. The length of its key is known from the key.
pub(super) fn cipher(name: &str) -> Option<EncrId> {
    let name = words(name);
    let icv = |eight, twelve, sixteen| match () {
        () if name.contains("8 OCTET") => eight,
        () if name.contains("12 OCTET") => twelve,
        () => sixteen,
    };
    Some(match name.as_str() {
        "NULL" => EncrId::NULL,
        "DES" | "DES-CBC" => EncrId::DES,
        "3DES" | "3DES-CBC" | "TRIPLEDES-CBC" => EncrId::DES3,
        n if n.starts_with("AES-CBC") => EncrId::AES_CBC,
        n if n.starts_with("AES-CTR") => EncrId::AES_CTR,
        n if n.starts_with("AES-GCM") => icv(EncrId::AES_GCM_8, EncrId::AES_GCM_12, EncrId::AES_GCM_16),
        n if n.starts_with("AES-CCM") => icv(EncrId::AES_CCM_8, EncrId::AES_CCM_12, EncrId::AES_CCM_16),
        n if n.starts_with("CAMELLIA-CBC") => EncrId::CAMELLIA_CBC,
        n if n.starts_with("CHACHA20") => EncrId::CHACHA20_POLY1305,
        _ => return None,
    })
}

/// The MAC of this name.
pub(super) fn mac(name: &str) -> Option<MacName> {
    let name = words(name);
    if let Some(rest) = name.strip_prefix("ANY ") {
        let bits: usize = rest.split([' ', '-']).next()?.parse().ok()?;
        return (bits <= 512 && bits.is_multiple_of(8)).then_some(MacName::Unchecked(bits / 8));
    }
    // `HMAC-SHA-256-128`, `HMAC-SHA2-256-128`, `HMAC-SHA256-128` are one.
    let plain: String = name.chars().filter(|c| *c != '-').collect();
    Some(match plain.as_str() {
        "" | "NONE" | "NULL" => MacName::None,
        "HMACMD596" => MacName::Hmac(PrfId::HMAC_MD5, 12),
        "HMACMD5128" => MacName::Hmac(PrfId::HMAC_MD5, 16),
        "HMACSHA196" => MacName::Hmac(PrfId::HMAC_SHA1, 12),
        "HMACSHA1160" => MacName::Hmac(PrfId::HMAC_SHA1, 20),
        "HMACSHA25696" | "HMACSHA225696" => MacName::Hmac(PrfId::HMAC_SHA2_256, 12),
        "HMACSHA256128" | "HMACSHA2256128" => MacName::Hmac(PrfId::HMAC_SHA2_256, 16),
        "HMACSHA384192" | "HMACSHA2384192" => MacName::Hmac(PrfId::HMAC_SHA2_384, 24),
        "HMACSHA512256" | "HMACSHA2512256" => MacName::Hmac(PrfId::HMAC_SHA2_512, 32),
        "AESXCBC96" | "AESXCBCMAC96" => MacName::Integ(IntegId::AES_XCBC_96),
        "AESCMAC96" => MacName::Integ(IntegId::AES_CMAC_96),
        _ => return None,
    })
}

/// What to write for an algorithm, and whether Wireshark reads it: one that it does not know makes it refuse the whole table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub name: String,
    pub known: bool,
}

fn known(name: impl Into<String>) -> Option<Written> {
    Some(Written { name: name.into(), known: true })
}

fn ours(name: impl Into<String>) -> Option<Written> {
    Some(Written { name: name.into(), known: false })
}

/// The octets of the ICV of a combined-mode cipher.
fn octets(id: EncrId) -> u8 {
    match id {
        EncrId::AES_GCM_8 | EncrId::AES_CCM_8 => 8,
        EncrId::AES_GCM_12 | EncrId::AES_CCM_12 => 12,
        _ => 16,
    }
}

/// A cipher in `ikev2_decryption_table`.
pub(super) fn ike_cipher(id: EncrId, bits: u16) -> Option<Written> {
    match id {
        EncrId::DES3 => known("3DES [RFC2451]"),
        EncrId::AES_CBC => known(format!("AES-CBC-{bits} [RFC3602]")),
        EncrId::AES_CTR => known(format!("AES-CTR-{bits} [RFC5930]")),
        EncrId::AES_GCM_8 | EncrId::AES_GCM_12 | EncrId::AES_GCM_16 => {
            known(format!("AES-GCM-{bits} with {} octet ICV [RFC5282]", octets(id)))
        }
        EncrId::AES_CCM_8 | EncrId::AES_CCM_12 | EncrId::AES_CCM_16 => {
            known(format!("AES-CCM-{bits} with {} octet ICV [RFC5282]", octets(id)))
        }
        other => more_ciphers(other),
    }
}

/// A cipher in `esp_sa`.
pub(super) fn esp_cipher(id: EncrId) -> Option<Written> {
    match id {
        EncrId::NULL => known("NULL"),
        EncrId::DES => known("DES-CBC [RFC2405]"),
        EncrId::DES3 => known("TripleDES-CBC [RFC2451]"),
        EncrId::AES_CBC => known("AES-CBC [RFC3602]"),
        EncrId::AES_CTR => known("AES-CTR [RFC3686]"),
        EncrId::AES_GCM_8 | EncrId::AES_GCM_12 | EncrId::AES_GCM_16 => {
            known(format!("AES-GCM with {} octet ICV [RFC4106]", octets(id)))
        }
        EncrId::AES_CCM_8 | EncrId::AES_CCM_12 | EncrId::AES_CCM_16 => {
            ours(format!("AES-CCM with {} octet ICV [RFC4309]", octets(id)))
        }
        other => more_ciphers(other),
    }
}

fn more_ciphers(id: EncrId) -> Option<Written> {
    match id {
        EncrId::DES => ours("DES-CBC [RFC2405]"),
        EncrId::CAMELLIA_CBC => ours("CAMELLIA-CBC [RFC5529]"),
        // Releases since 4.2 know it for ESP.
        EncrId::CHACHA20_POLY1305 => ours("ChaCha20 with Poly1305 [RFC7634]"),
        _ => None,
    }
}

/// A MAC in `ikev2_decryption_table`.
pub(super) fn ike_mac(id: IntegId) -> Option<Written> {
    match id {
        IntegId::NONE => known("NONE [RFC4306]"),
        IntegId::HMAC_MD5_96 => known("HMAC_MD5_96 [RFC2403]"),
        IntegId::HMAC_SHA1_96 => known("HMAC_SHA1_96 [RFC2404]"),
        IntegId::HMAC_SHA2_256_128 => known("HMAC_SHA2_256_128 [RFC4868]"),
        IntegId::HMAC_SHA2_384_192 => known("HMAC_SHA2_384_192 [RFC4868]"),
        IntegId::HMAC_SHA2_512_256 => known("HMAC_SHA2_512_256 [RFC4868]"),
        other => more_macs(other),
    }
}

/// A MAC in `esp_sa`.
pub(super) fn esp_mac(id: IntegId) -> Option<Written> {
    match id {
        IntegId::NONE => known("NULL"),
        IntegId::HMAC_MD5_96 => known("HMAC-MD5-96 [RFC2403]"),
        IntegId::HMAC_SHA1_96 => known("HMAC-SHA-1-96 [RFC2404]"),
        IntegId::HMAC_SHA2_256_128 => known("HMAC-SHA-256-128 [RFC4868]"),
        IntegId::HMAC_SHA2_384_192 => known("HMAC-SHA-384-192 [RFC4868]"),
        IntegId::HMAC_SHA2_512_256 => known("HMAC-SHA-512-256 [RFC4868]"),
        other => more_macs(other),
    }
}

fn more_macs(id: IntegId) -> Option<Written> {
    match id {
        IntegId::AES_XCBC_96 => ours("AES-XCBC-96 [RFC3566]"),
        IntegId::AES_CMAC_96 => ours("AES-CMAC-96 [RFC4494]"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_several_programs() {
        for (name, id) in [
            ("AES-GCM-256 with 16 octet ICV [RFC5282]", EncrId::AES_GCM_16),
            ("AES-GCM with 8 octet ICV [RFC4106]", EncrId::AES_GCM_8),
            ("AES-CCM-128 with 12 octet ICV [RFC5282]", EncrId::AES_CCM_12),
            ("AES-CBC-128 [RFC3602]", EncrId::AES_CBC),
            ("TripleDES-CBC [RFC2451]", EncrId::DES3),
            ("3DES [RFC2451]", EncrId::DES3),
            ("ChaCha20 with Poly1305 [RFC7634]", EncrId::CHACHA20_POLY1305),
        ] {
            assert_eq!(cipher(name), Some(id), "{name}");
        }
        assert_eq!(cipher("TWOFISH-CBC"), None);
        for (name, id) in [
            ("HMAC_SHA1_160 [RFC4595]", MacName::Hmac(PrfId::HMAC_SHA1, 20)),
            ("HMAC-SHA-1-96 [RFC2404]", MacName::Hmac(PrfId::HMAC_SHA1, 12)),
            ("HMAC_SHA2_512_256 [RFC4868]", MacName::Hmac(PrfId::HMAC_SHA2_512, 32)),
            ("HMAC-SHA-256-128 [RFC4868]", MacName::Hmac(PrfId::HMAC_SHA2_256, 16)),
            ("ANY 96 bit authentication [no checking]", MacName::Unchecked(12)),
            ("ANY 128-bits of Authentication [No Checking]", MacName::Unchecked(16)),
            ("NONE [RFC4306]", MacName::None),
        ] {
            assert_eq!(mac(name), Some(id), "{name}");
        }
        assert_eq!(mac("MAC-RIPEMD-160-96"), None);
        assert_eq!(mac("ANY 7 bits"), None);
    }
}
