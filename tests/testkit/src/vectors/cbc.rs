//! Ciphers that do not authenticate: CBC and counter mode.

use ravelin_crypto::CryptoProvider;
use ravelin_types::transform::EncrId;
use serde::Deserialize;

use super::{Counts, Hex, data, encr_keys};

/// RFC 3602 §4, RFC 3686 §6, and others in the same form. The key is followed by the salt, where there is one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    case: String,
    key: Hex,
    iv: Hex,
    msg: Hex,
    ct: Hex,
}

pub(super) fn check(provider: &CryptoProvider, counts: &mut Counts) {
    run(provider, counts, EncrId::AES_CBC, data!("rfc/aes_cbc.json"));
    run(provider, counts, EncrId::AES_CTR, data!("rfc/aes_ctr.json"));
    run(provider, counts, EncrId::CAMELLIA_CBC, data!("openssl/camellia_cbc.json"));
    run(provider, counts, EncrId::DES3, data!("openssl/des3_cbc.json"));
    run(provider, counts, EncrId::DES, data!("openssl/des_cbc.json"));
}

fn run(provider: &CryptoProvider, counts: &mut Counts, id: EncrId, (file, vectors): (&'static str, Vec<Vector>)) {
    let Some(alg) = provider.encr(id) else { return };
    for vector in &vectors {
        let case = &vector.case;
        for key in encr_keys(alg, &vector.key).expect(case) {
            let mut data = vector.msg.to_vec();
            key.seal(&vector.iv, &[], &mut data, &mut []);
            assert_eq!(data, *vector.ct, "{case}: seal");
            key.open(&vector.iv, &[], &mut data, &[]).expect(case);
            assert_eq!(data, *vector.msg, "{case}: open");
            if alg.block_len() > 1 {
                assert!(key.open(&vector.iv, &[], &mut data[1..], &[]).is_err(), "{case}: part of a block");
            }
        }
        *counts.entry(file).or_default() += 1;
    }
    for len in 0..=40 {
        let listed = alg.key_bits().iter().any(|bits| usize::from(*bits) / 8 + alg.salt_len() == len);
        assert_eq!(alg.key(&vec![0; len]).is_ok(), listed, "{file}: key of {len} bytes");
    }
}
