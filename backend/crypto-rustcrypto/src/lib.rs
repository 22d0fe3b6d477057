//! The portable crypto provider, on the crates of the RustCrypto project: no C compiler, no std.
//!
//! It has the packet algorithms, the pseudorandom functions, and of key exchange and signatures Curve448 and
//! Ed448 alone. What RFC 8221 and RFC 8247 tell
//! implementations not to offer is in a list of its own, [`provider_with_legacy`], for operators who asked for it by
//! name. It never decides which algorithm is used, and never keeps a key longer than its owner. This file holds the
//! lists; each family has a file of its own. Read `aead.rs` first: the shape of the others is the same.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod aead;
mod blocks;
mod cbc;
mod ccm;
mod chacha;
mod ctr;
mod curve448;
mod ed448;
mod gcm;
mod gmac;
mod mac;
mod null;
mod xcbc;

use ravelin_crypto::{CryptoProvider, EncrAlg, IntegAlg, PrfAlg};

const NAME: &str = "rustcrypto";

/// All algorithms that may be offered, preferred first.
pub static PROVIDER: CryptoProvider = CryptoProvider {
    name: NAME,
    encr: &[
        &aead::AES_GCM_16,
        &aead::CHACHA20_POLY1305,
        &cbc::AES_CBC,
        &ctr::AES_CTR,
        &aead::AES_CCM_16,
        &aead::AES_GCM_12,
        &aead::AES_CCM_12,
        &aead::AES_GCM_8,
        &aead::AES_CCM_8,
        &gmac::NULL_AES_GMAC,
        &null::NULL,
        &aead::AES_GCM_16_IIV,
        &aead::CHACHA20_POLY1305_IIV,
        &aead::AES_CCM_8_IIV,
    ],
    integ: &[
        &mac::HMAC_SHA2_256_128,
        &mac::HMAC_SHA2_384_192,
        &mac::HMAC_SHA2_512_256,
        &mac::HMAC_SHA1_96,
        &mac::AES_CMAC_96,
        &xcbc::AES_XCBC_96,
        &gmac::AES_128_GMAC,
        &gmac::AES_192_GMAC,
        &gmac::AES_256_GMAC,
    ],
    prf: &[
        &mac::PRF_HMAC_SHA2_256,
        &mac::PRF_HMAC_SHA2_384,
        &mac::PRF_HMAC_SHA2_512,
        &mac::PRF_HMAC_SHA1,
        &xcbc::PRF_AES128_XCBC,
        &mac::PRF_AES128_CMAC,
    ],
    ke: &[&curve448::CURVE448],
    sha1: mac::sha1,
    signatures: Some(&ed448::SIGNATURES),
    batch: None,
};

/// RFC 8221 §5: 3DES SHOULD NOT, DES MUST NOT; Camellia is not on its list at all.
static WITH_LEGACY_ENCR: &[&dyn EncrAlg] = &[
    &aead::AES_GCM_16,
    &aead::CHACHA20_POLY1305,
    &cbc::AES_CBC,
    &ctr::AES_CTR,
    &aead::AES_CCM_16,
    &aead::AES_GCM_12,
    &aead::AES_CCM_12,
    &aead::AES_GCM_8,
    &aead::AES_CCM_8,
    &gmac::NULL_AES_GMAC,
    &null::NULL,
    &aead::AES_GCM_16_IIV,
    &aead::CHACHA20_POLY1305_IIV,
    &aead::AES_CCM_8_IIV,
    &cbc::CAMELLIA_CBC,
    &cbc::DES3_CBC,
    &cbc::DES_CBC,
];

/// RFC 8221 §6: HMAC-MD5-96 MUST NOT.
static WITH_LEGACY_INTEG: &[&dyn IntegAlg] = &[
    &mac::HMAC_SHA2_256_128,
    &mac::HMAC_SHA2_384_192,
    &mac::HMAC_SHA2_512_256,
    &mac::HMAC_SHA1_96,
    &mac::AES_CMAC_96,
    &xcbc::AES_XCBC_96,
    &gmac::AES_128_GMAC,
    &gmac::AES_192_GMAC,
    &gmac::AES_256_GMAC,
    &mac::HMAC_MD5_96,
];

/// RFC 8247 §2.2: PRF_HMAC_MD5 MUST NOT.
static WITH_LEGACY_PRF: &[&dyn PrfAlg] = &[
    &mac::PRF_HMAC_SHA2_256,
    &mac::PRF_HMAC_SHA2_384,
    &mac::PRF_HMAC_SHA2_512,
    &mac::PRF_HMAC_SHA1,
    &xcbc::PRF_AES128_XCBC,
    &mac::PRF_AES128_CMAC,
    &mac::PRF_HMAC_MD5,
];

/// [`PROVIDER`] by value, as the constructors upstream take it.
pub fn provider() -> CryptoProvider {
    PROVIDER
}

/// [`PROVIDER`] and, behind everything else, the algorithms that are only for peers which have nothing better.
pub fn provider_with_legacy() -> CryptoProvider {
    CryptoProvider { encr: WITH_LEGACY_ENCR, integ: WITH_LEGACY_INTEG, prf: WITH_LEGACY_PRF, ..PROVIDER }
}
