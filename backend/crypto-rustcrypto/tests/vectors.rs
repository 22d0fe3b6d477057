//! The provider against every published vector.

use ravelin_crypto_rustcrypto::{provider, provider_with_legacy};
use ravelin_testkit::vectors::{self, Counts};

fn expected() -> Counts {
    Counts::from([
        // Curve448.
        ("exchange/any_group", 1),
        ("rfc/x448.json", 4),
        ("wycheproof/x448.json", 255),
        ("captured/ike_keys.json", 1),
        ("nist/ikev2_kdf.json", 80),
        ("captured/ikev1_psk.json", 1),
        ("captured/psk_auth.json", 1),
        ("nist/ikev1_kdf.json", 48),
        ("captured/sk_payload.json", 2),
        // Six AEAD modes of AES in three sizes and ChaCha20-Poly1305; AES-CBC and AES-CTR in three sizes with six
        // integrity algorithms.
        ("message/tampered", 18 + 1 + 6 * 6),
        // Those of 8 octets twice: with an implicit IV too.
        ("openssl/aes_ccm.json", 60),
        ("openssl/aes_gmac.json", 18),
        ("openssl/aes_gmac.json, in AH", 18),
        ("rfc/aes_cbc.json", 8),
        ("rfc/aes_ctr.json", 9),
        ("rfc/aes_mac.json", 11),
        ("rfc/aes_prf.json", 6),
        ("rfc/chacha20_poly1305.json", 2),
        ("rfc/chacha20_poly1305.json, implicit IV", 2),
        ("rfc/hmac.json", 70),
        ("wycheproof/aes_ccm.json", 9),
        ("wycheproof/aes_cmac.json", 11),
        ("wycheproof/aes_gcm.json", 99),
        ("wycheproof/aes_gcm.json, cut", 116),
        ("wycheproof/aes_gcm.json, implicit IV", 99),
        ("wycheproof/chacha20_poly1305.json", 158),
        ("wycheproof/hmac_sha1.json", 85),
        ("wycheproof/hmac_sha256.json", 87),
        ("wycheproof/hmac_sha384.json", 87),
        ("wycheproof/hmac_sha512.json", 87),
    ])
}

#[test]
fn every_vector_agrees() {
    assert_eq!(vectors::check(&provider()), expected());
}

#[test]
fn every_vector_agrees_with_the_legacy_algorithms() {
    let mut expected = expected();
    expected.extend([
        // Camellia-CBC in three sizes, 3DES and DES more, and HMAC-MD5-96.
        ("message/tampered", 18 + 1 + 11 * 7),
        ("openssl/camellia_cbc.json", 12),
        ("openssl/des3_cbc.json", 4),
        ("openssl/des_cbc.json", 5),
        ("rfc/hmac.json", 77),
    ]);
    assert_eq!(vectors::check(&provider_with_legacy()), expected);
}
