//! The crypto provider on AWS-LC: everything of IKEv2, and the packet ciphers where nothing faster is at hand.
//!
//! It never decides which algorithm is used, never keeps a key longer than its owner, and takes every private value
//! from the caller's [`SecureRandom`](ravelin_crypto::SecureRandom), so a seeded source gives a repeatable run. This
//! file holds the lists; each family has a file of its own, and `sys/` holds all `unsafe` code. Read `aead.rs` first:
//! the shape of the others is the same.

mod aead;
mod cbc;
mod container;
mod ctr;
mod curve25519;
mod ecp;
mod hmac;
mod ml_kem;
mod modp;
mod numbers;
mod pkcs12;
mod random;
mod signature;
mod sys;

use ravelin_crypto::CryptoProvider;

pub use container::{BadContainer, Contents};
pub use random::SystemRandom;

/// All algorithms of this crate, preferred first.
pub static PROVIDER: CryptoProvider = CryptoProvider {
    name: "aws-lc",
    encr: &[
        &aead::AES_GCM_16,
        &aead::CHACHA20_POLY1305,
        &cbc::AES_CBC,
        &ctr::AES_CTR,
        &aead::AES_GCM_12,
        &aead::AES_GCM_8,
        &aead::AES_GCM_16_IIV,
        &aead::CHACHA20_POLY1305_IIV,
    ],
    integ: &[&hmac::HMAC_SHA2_256_128, &hmac::HMAC_SHA2_384_192, &hmac::HMAC_SHA2_512_256, &hmac::HMAC_SHA1_96],
    prf: &[&hmac::PRF_HMAC_SHA2_256, &hmac::PRF_HMAC_SHA2_384, &hmac::PRF_HMAC_SHA2_512, &hmac::PRF_HMAC_SHA1],
    ke: &[
        &curve25519::CURVE25519,
        &ecp::ECP256,
        &ecp::ECP384,
        &ecp::ECP521,
        &modp::MODP2048,
        &modp::MODP3072,
        &modp::MODP4096,
        &modp::MODP6144,
        &modp::MODP8192,
        &ml_kem::ML_KEM_768,
        &ml_kem::ML_KEM_1024,
        &ml_kem::ML_KEM_512,
        &ecp::BRAINPOOL_P256,
        &ecp::BRAINPOOL_P384,
        &ecp::BRAINPOOL_P512,
        &ecp::BRAINPOOL_P224,
        &ecp::ECP224,
        &modp::MODP2048_S256,
        &modp::MODP2048_S224,
        &modp::MODP1536,
        &ecp::ECP192,
        &modp::MODP1024,
        &modp::MODP1024_S160,
        &modp::MODP768,
    ],
    sha1: hmac::sha1,
    signatures: Some(&signature::SIGNATURES),
    batch: None,
};

/// [`PROVIDER`] by value, as the constructors upstream take it.
pub fn provider() -> CryptoProvider {
    PROVIDER
}
