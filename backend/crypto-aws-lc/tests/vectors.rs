//! The provider against every published vector.

use ravelin_crypto_aws_lc::provider;
use ravelin_testkit::{pieces, vectors};

#[test]
fn text_in_pieces_is_text() {
    let all: Vec<_> = provider().encr.iter().map(|alg| alg.id()).collect();
    assert_eq!(pieces::check(&provider()), all);
}

#[test]
fn every_vector_agrees() {
    let counts = vectors::check(&provider());
    let expected = [
        ("captured/ike_keys.json", 1),
        ("captured/ikev1_psk.json", 1),
        ("captured/psk_auth.json", 1),
        ("captured/sk_payload.json", 2),
        // Every group but Curve448, and the three of ML-KEM.
        ("exchange/any_group", 24),
        // AES-GCM in three sizes with three ICVs, ChaCha20-Poly1305, AES-CBC and AES-CTR in three sizes with four
        // integrity algorithms.
        ("message/tampered", 9 + 1 + 6 * 4),
        ("nist/ikev1_kdf.json", 48),
        ("nist/ikev2_kdf.json", 80),
        ("nist/mlkem_keygen.json", 24),
        ("rfc/aes_cbc.json", 8),
        ("rfc/aes_ctr.json", 9),
        ("rfc/chacha20_poly1305.json", 2),
        ("rfc/chacha20_poly1305.json, implicit IV", 2),
        ("rfc/ecp.json", 9),
        ("rfc/ecp_edges.json", 8),
        ("rfc/hmac.json", 70),
        ("rfc/modp.json", 8),
        ("rfc/modp_subgroup.json", 3),
        ("rfc/x25519.json", 4),
        ("rfc/x25519_small_order.json", 7),
        ("wycheproof/aes_gcm.json", 99),
        ("wycheproof/aes_gcm.json, cut", 116),
        ("wycheproof/aes_gcm.json, implicit IV", 99),
        ("wycheproof/chacha20_poly1305.json", 158),
        ("wycheproof/ecdh_brainpoolP256r1.json", 271),
        ("wycheproof/ecdh_brainpoolP384r1.json", 339),
        ("wycheproof/ecdh_brainpoolP512r1.json", 266),
        ("wycheproof/ecdh_secp256r1.json", 178),
        ("wycheproof/ecdh_secp384r1.json", 395),
        ("wycheproof/ecdh_secp521r1.json", 331),
        ("wycheproof/hmac_sha1.json", 85),
        ("wycheproof/hmac_sha256.json", 87),
        ("wycheproof/hmac_sha384.json", 87),
        ("wycheproof/hmac_sha512.json", 87),
        ("wycheproof/mlkem_decaps.json", 48),
        ("wycheproof/mlkem_encaps.json", 72),
        ("wycheproof/x25519.json", 259),
    ];
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), expected);
}
