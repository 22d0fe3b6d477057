//! AES-GCM, AES-GMAC, AES-CCM and ChaCha20-Poly1305.

use ravelin_crypto::{CryptoProvider, IntegAlg};
use ravelin_types::transform::EncrId;
use serde::Deserialize;

use super::{Counts, Hex, data, encr_keys, integ_keys};

/// Wycheproof, and others cut into the same fields. The nonce is given whole: it begins with the salt.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    #[serde(rename = "tcId")]
    tc_id: serde_json::Value,
    key: Hex,
    iv: Hex,
    aad: Hex,
    msg: Hex,
    ct: Hex,
    tag: Hex,
    result: Verdict,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Valid,
    Invalid,
}

pub(super) fn check(provider: &CryptoProvider, counts: &mut Counts) {
    run(provider, counts, EncrId::AES_GCM_16, data!("wycheproof/aes_gcm.json"));
    run(provider, counts, EncrId::CHACHA20_POLY1305, data!("wycheproof/chacha20_poly1305.json"));
    run(provider, counts, EncrId::CHACHA20_POLY1305, data!("rfc/chacha20_poly1305.json"));
    run(provider, counts, EncrId::AES_CCM_16, data!("wycheproof/aes_ccm.json"));
    run(provider, counts, EncrId::NULL_AES_GMAC, data!("openssl/aes_gmac.json"));
    gmac_in_ah(provider, counts, data!("openssl/aes_gmac.json"));
    // RFC 8750 §4: nothing but where the IV comes from is another.
    run(
        provider,
        counts,
        EncrId::AES_GCM_16_IIV,
        ("wycheproof/aes_gcm.json, implicit IV", data!("wycheproof/aes_gcm.json").1),
    );
    run(
        provider,
        counts,
        EncrId::CHACHA20_POLY1305_IIV,
        ("rfc/chacha20_poly1305.json, implicit IV", data!("rfc/chacha20_poly1305.json").1),
    );
    // SP 800-38D §5.2.1.2: a shorter tag of GCM is the longer one cut. Of CCM it is not: the length is authenticated.
    for (id, len) in [(EncrId::AES_GCM_12, 12), (EncrId::AES_GCM_8, 8)] {
        let (_, mut vectors): (_, Vec<Vector>) = data!("wycheproof/aes_gcm.json");
        vectors.retain(|vector| vector.result == Verdict::Valid);
        vectors.iter_mut().for_each(|vector| vector.tag.0.truncate(len));
        run(provider, counts, id, ("wycheproof/aes_gcm.json, cut", vectors));
    }
    let ccm = [(EncrId::AES_CCM_16, 16), (EncrId::AES_CCM_12, 12), (EncrId::AES_CCM_8, 8), (EncrId::AES_CCM_8_IIV, 8)];
    for (id, len) in ccm {
        let (file, mut vectors): (_, Vec<Vector>) = data!("openssl/aes_ccm.json");
        vectors.retain(|vector| vector.tag.len() == len);
        run(provider, counts, id, (file, vectors));
    }
}

/// RFC 4543 §4: the same GMAC over what AH covers, behind its IV. The vectors' parts are given as they are.
fn gmac_in_ah(provider: &CryptoProvider, counts: &mut Counts, (file, vectors): (&'static str, Vec<Vector>)) {
    for vector in &vectors {
        let case = format!("{file} {} in AH", vector.tc_id);
        let (salt, iv) = vector.iv.split_at(4);
        let of_length =
            |alg: &&&dyn IntegAlg| alg.iv_len() == iv.len() && alg.key_len() == vector.key.len() + salt.len();
        let Some(alg) = provider.integ.iter().find(of_length) else { continue };
        let icv = [iv, &vector.tag].concat();
        for key in integ_keys(*alg, &[&vector.key, salt].concat()).expect(&case) {
            let parts: [&[u8]; 4] = [&vector.aad, iv, &[], &vector.ct];
            assert_eq!(key.verify(&parts, &icv).is_ok(), vector.result == Verdict::Valid, "{case}: verify");
            if vector.result == Verdict::Valid {
                let mut signed = [iv, &[0; 16]].concat();
                key.sign(&parts, &mut signed);
                assert_eq!(signed, icv, "{case}: sign");
            }
            assert!(key.verify(&parts, &icv[..icv.len() - 1]).is_err(), "{case}: short ICV");
            assert!(key.verify(&parts, &icv[..7]).is_err() && key.verify(&parts, &[]).is_err(), "{case}: no IV");
        }
        assert!(alg.key(&vec![0; alg.key_len() - 1]).is_err(), "{case}: short key");
        *counts.entry("openssl/aes_gmac.json, in AH").or_default() += 1;
    }
}

fn run(provider: &CryptoProvider, counts: &mut Counts, id: EncrId, (file, vectors): (&'static str, Vec<Vector>)) {
    let Some(alg) = provider.encr(id) else { return };
    for vector in &vectors {
        let case = format!("{file} {}", vector.tc_id);
        if !alg.key_bits().contains(&((vector.key.len() * 8) as u16)) {
            continue;
        }
        let (salt, iv) = vector.iv.split_at(alg.salt_len());
        for key in encr_keys(alg, &[&vector.key, salt].concat()).expect(&case) {
            let mut data = vector.ct.to_vec();
            let opened = key.open(iv, &vector.aad, &mut data, &vector.tag);
            assert_eq!(opened.is_ok(), vector.result == Verdict::Valid, "{case}: open");
            if opened.is_ok() {
                assert_eq!(data, *vector.msg, "{case}: plaintext");
                let mut tag = vec![0; alg.icv_len()];
                key.seal(iv, &vector.aad, &mut data, &mut tag);
                assert_eq!((&data[..], &tag[..]), (&*vector.ct, &*vector.tag), "{case}: seal");
            } else {
                assert!(vector.msg.is_empty() || data != *vector.msg, "{case}: plaintext handed out unverified");
            }
            // An ICV or an IV of a wrong length is a forgery too, not a panic.
            assert!(key.open(iv, &vector.aad, &mut vector.ct.to_vec(), &vector.tag[1..]).is_err(), "{case}: short ICV");
            assert!(key.open(&iv[1..], &vector.aad, &mut vector.ct.to_vec(), &vector.tag).is_err(), "{case}: short IV");
        }
        *counts.entry(file).or_default() += 1;
    }
    for bits in alg.key_bits() {
        let len = usize::from(*bits) / 8 + alg.salt_len();
        assert!(alg.key(&vec![0; len]).is_ok(), "{file}: {bits} bits");
        assert!(alg.key(&vec![0; len - 1]).is_err() && alg.key(&vec![0; len + 1]).is_err(), "{file}: odd length");
    }
    assert!(alg.key(&[]).is_err(), "{file}: no key");
}
