//! The kernel's names for algorithms.

use ravelin_types::Secret;
use ravelin_types::dataplane::DataPlaneError;
use ravelin_types::proposal::{AhSuite, EspSuite};
use ravelin_types::sa::SaKeys;
use ravelin_types::transform::{EncrId, IntegId};

use crate::msg::attribute::{Algorithm, Attribute};

/// A cipher as the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cipher {
    /// Our name for it.
    pub id: EncrId,
    /// The kernel's.
    pub name: &'static str,
    /// Bits of the ICV of a cipher with integrity, 0 for one without.
    pub icv_bits: u32,
    /// Bytes of salt behind the key.
    pub salt: usize,
    /// Lengths of the key in bits; none where there is but one, or no key.
    pub key_bits: &'static [u16],
    /// Bytes of the key, where its length is no choice.
    pub fixed_key: usize,
}

const AES: &[u16] = &[128, 192, 256];

const fn cipher(id: EncrId, name: &'static str, icv_bits: u32, salt: usize, key_bits: &'static [u16]) -> Cipher {
    Cipher { id, name, icv_bits, salt, key_bits, fixed_key: 0 }
}

/// Every cipher of ESP that the kernel could have.
pub const CIPHERS: &[Cipher] = &[
    cipher(EncrId::AES_GCM_16, "rfc4106(gcm(aes))", 128, 4, AES),
    cipher(EncrId::AES_GCM_12, "rfc4106(gcm(aes))", 96, 4, AES),
    cipher(EncrId::AES_GCM_8, "rfc4106(gcm(aes))", 64, 4, AES),
    Cipher { fixed_key: 32, ..cipher(EncrId::CHACHA20_POLY1305, "rfc7539esp(chacha20,poly1305)", 128, 4, &[]) },
    cipher(EncrId::AES_CCM_16, "rfc4309(ccm(aes))", 128, 3, AES),
    cipher(EncrId::AES_CCM_12, "rfc4309(ccm(aes))", 96, 3, AES),
    cipher(EncrId::AES_CCM_8, "rfc4309(ccm(aes))", 64, 3, AES),
    cipher(EncrId::NULL_AES_GMAC, "rfc4543(gcm(aes))", 128, 4, AES),
    cipher(EncrId::AES_CBC, "cbc(aes)", 0, 0, AES),
    cipher(EncrId::AES_CTR, "rfc3686(ctr(aes))", 0, 4, AES),
    cipher(EncrId::CAMELLIA_CBC, "cbc(camellia)", 0, 0, AES),
    Cipher { fixed_key: 24, ..cipher(EncrId::DES3, "cbc(des3_ede)", 0, 0, &[]) },
    Cipher { fixed_key: 8, ..cipher(EncrId::DES, "cbc(des)", 0, 0, &[]) },
    cipher(EncrId::NULL, "ecb(cipher_null)", 0, 0, &[]),
];

/// An integrity algorithm as the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Integrity {
    /// Our name for it.
    pub id: IntegId,
    /// The kernel's.
    pub name: &'static str,
    /// Bytes of the key.
    pub key: usize,
    /// Bits of the ICV.
    pub icv_bits: u32,
}

const fn integrity(id: IntegId, name: &'static str, key: usize, icv_bits: u32) -> Integrity {
    Integrity { id, name, key, icv_bits }
}

/// Every integrity algorithm that the kernel could have.
pub const INTEGRITIES: &[Integrity] = &[
    integrity(IntegId::HMAC_SHA2_256_128, "hmac(sha256)", 32, 128),
    integrity(IntegId::HMAC_SHA2_384_192, "hmac(sha384)", 48, 192),
    integrity(IntegId::HMAC_SHA2_512_256, "hmac(sha512)", 64, 256),
    integrity(IntegId::HMAC_SHA1_96, "hmac(sha1)", 20, 96),
    integrity(IntegId::AES_CMAC_96, "cmac(aes)", 16, 96),
    integrity(IntegId::AES_XCBC_96, "xcbc(aes)", 16, 96),
    integrity(IntegId::HMAC_MD5_96, "hmac(md5)", 16, 96),
];

/// The attributes of an ESP SA.
///
/// # Errors
/// An algorithm for which the kernel has no name, or a key of another length than the algorithm's.
pub(crate) fn esp(suite: &EspSuite, keys: &SaKeys, short_icv: bool) -> Result<Vec<Attribute>, DataPlaneError> {
    let cipher = CIPHERS.iter().find(|cipher| cipher.id == suite.encr);
    let cipher = cipher.ok_or_else(|| unknown(format_args!("{}", suite.encr)))?;
    let length = if cipher.key_bits.is_empty() { cipher.fixed_key } else { usize::from(suite.encr_key_bits) / 8 };
    check(cipher.name, &keys.encr, length + cipher.salt)?;
    let named = Algorithm { name: cipher.name.into(), icv_bits: cipher.icv_bits, key: keys.encr.clone() };
    if cipher.icv_bits > 0 {
        return Ok(vec![Attribute::Aead(named)]);
    }
    let mut attributes = Vec::new();
    if suite.integ != IntegId::NONE {
        attributes.push(integ(suite.integ, &keys.integ, short_icv)?);
    }
    attributes.push(Attribute::Crypt(named));
    Ok(attributes)
}

/// The attributes of an AH SA.
///
/// # Errors
/// As [`esp`].
pub(crate) fn ah(suite: &AhSuite, keys: &SaKeys, short_icv: bool) -> Result<Vec<Attribute>, DataPlaneError> {
    Ok(vec![integ(suite.integ, &keys.ah, short_icv)?])
}

/// The attribute of IPComp.
pub(crate) fn deflate() -> Attribute {
    Attribute::Compress(Algorithm { name: "deflate".into(), icv_bits: 0, key: Secret::default() })
}

fn integ(id: IntegId, key: &Secret, short_icv: bool) -> Result<Attribute, DataPlaneError> {
    let found = INTEGRITIES.iter().find(|integrity| integrity.id == id);
    let found = found.ok_or_else(|| unknown(format_args!("{id}")))?;
    check(found.name, key, found.key)?;
    // All have 96 bits or more, and 96 where somebody has not heard of RFC 4868 §2.1.2.
    let icv_bits = if short_icv { 96 } else { found.icv_bits };
    Ok(Attribute::AuthTruncated(Algorithm { name: found.name.into(), icv_bits, key: key.clone() }))
}

fn unknown(id: std::fmt::Arguments<'_>) -> DataPlaneError {
    DataPlaneError::algorithm(format_args!("the kernel's IPsec does not know {id}; the data plane `tun` may have it"))
}

fn check(name: &str, key: &Secret, expected: usize) -> Result<(), DataPlaneError> {
    if key.len() == expected {
        return Ok(());
    }
    Err(DataPlaneError::algorithm(format_args!(
        "{name} takes a key of {expected} bytes with its salt, not of {}",
        key.len()
    )))
}
