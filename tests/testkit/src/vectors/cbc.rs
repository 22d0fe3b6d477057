//! AES-CBC.

use ravelin_crypto::CryptoProvider;
use ravelin_types::transform::EncrId;
use serde::Deserialize;

use super::{Counts, Hex, data};

/// RFC 3602 §4.
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
    let (file, vectors): (_, Vec<Vector>) = data!("rfc/aes_cbc.json");
    let Some(alg) = provider.encr(EncrId::AES_CBC) else { return };
    for vector in &vectors {
        let case = &vector.case;
        let key = alg.key(&vector.key).expect(case);
        let mut data = vector.msg.to_vec();
        key.seal(&vector.iv, &[], &mut data, &mut []);
        assert_eq!(data, *vector.ct, "{case}: seal");
        key.open(&vector.iv, &[], &mut data, &[]).expect(case);
        assert_eq!(data, *vector.msg, "{case}: open");
        assert!(key.open(&vector.iv, &[], &mut data[1..], &[]).is_err(), "{case}: part of a block");
        *counts.entry(file).or_default() += 1;
    }
    for len in 0..=40 {
        let listed = alg.key_bits().iter().any(|bits| usize::from(*bits) == len * 8);
        assert_eq!(alg.key(&vec![0; len]).is_ok(), listed, "{file}: key of {len} bytes");
    }
}
