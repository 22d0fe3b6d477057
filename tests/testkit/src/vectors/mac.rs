//! HMAC, as prf and as integrity algorithm, and the MACs on AES.

use ravelin_crypto::{CryptoProvider, IntegAlg, IntegKey};
use ravelin_types::transform::{IntegId, PrfId};
use serde::Deserialize;

use super::{Counts, Hex, data, integ_keys};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wycheproof {
    #[serde(rename = "tcId")]
    tc_id: u32,
    key: Hex,
    msg: Hex,
    tag: Hex,
    result: String,
}

/// RFC 2202, RFC 4231 and RFC 4868; tags may be cut.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rfc {
    case: String,
    hash: String,
    key: Hex,
    msg: Hex,
    tag: Hex,
}

/// RFC 3566 §4.6, RFC 4494 §5, and Wycheproof with the tag cut.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OnAes {
    case: String,
    integ: u16,
    key: Hex,
    msg: Hex,
    icv: Hex,
}

/// RFC 4434 and RFC 4615.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrfOnAes {
    case: String,
    prf: u16,
    key: Hex,
    msg: Hex,
    out: Hex,
}

pub(super) fn check(provider: &CryptoProvider, counts: &mut Counts) {
    let files: [(&str, (_, Vec<Wycheproof>)); 4] = [
        ("SHA-1", data!("wycheproof/hmac_sha1.json")),
        ("SHA-256", data!("wycheproof/hmac_sha256.json")),
        ("SHA-384", data!("wycheproof/hmac_sha384.json")),
        ("SHA-512", data!("wycheproof/hmac_sha512.json")),
    ];
    for (hash, (file, vectors)) in files {
        for vector in &vectors {
            let case = format!("{file} {}", vector.tc_id);
            let ran = one(provider, hash, &case, &vector.key, &vector.msg, &vector.tag, vector.result == "valid");
            *counts.entry(file).or_default() += usize::from(ran);
        }
    }
    let (file, vectors): (_, Vec<Rfc>) = data!("rfc/hmac.json");
    for vector in &vectors {
        let ran = one(provider, &vector.hash, &vector.case, &vector.key, &vector.msg, &vector.tag, true);
        *counts.entry(file).or_default() += usize::from(ran);
    }
    for (file, vectors) in [data!("rfc/aes_mac.json"), data!("wycheproof/aes_cmac.json")] {
        let vectors: Vec<OnAes> = vectors;
        for vector in &vectors {
            let Some(integ) = provider.integ(IntegId(vector.integ)) else { continue };
            on_aes(integ, vector);
            *counts.entry(file).or_default() += 1;
        }
    }
    let (file, vectors): (_, Vec<PrfOnAes>) = data!("rfc/aes_prf.json");
    for vector in &vectors {
        let Some(prf) = provider.prf(PrfId(vector.prf)) else { continue };
        assert_eq!(prf.output_len(), vector.out.len(), "{}: length", vector.case);
        for cut in 0..=vector.msg.len() {
            let (front, back) = vector.msg.split_at(cut);
            let mut out = vec![0; prf.output_len()];
            prf.prf(&vector.key, &[front, &[], back], &mut out);
            assert_eq!(out, *vector.out, "{}", vector.case);
        }
        *counts.entry(file).or_default() += 1;
    }
    // FIPS 180-4, the example "abc", and the empty string.
    let digest = |parts: &[&[u8]]| (provider.sha1)(parts).map(|byte| format!("{byte:02x}")).concat();
    assert_eq!(digest(&[b"a", b"", b"bc"]), "a9993e364706816aba3e25717850c26c9cd0d89d", "SHA-1 of abc");
    assert_eq!(digest(&[]), "da39a3ee5e6b4b0d3255bfef95601890afd80709", "SHA-1 of nothing");
}

/// The two uses of HMAC with one hash.
fn transforms(hash: &str) -> (PrfId, IntegId) {
    match hash {
        "MD5" => (PrfId::HMAC_MD5, IntegId::HMAC_MD5_96),
        "SHA-1" => (PrfId::HMAC_SHA1, IntegId::HMAC_SHA1_96),
        "SHA-256" => (PrfId::HMAC_SHA2_256, IntegId::HMAC_SHA2_256_128),
        "SHA-384" => (PrfId::HMAC_SHA2_384, IntegId::HMAC_SHA2_384_192),
        "SHA-512" => (PrfId::HMAC_SHA2_512, IntegId::HMAC_SHA2_512_256),
        other => panic!("unknown hash {other}"),
    }
}

pub(super) fn prf_id(hash: &str) -> PrfId {
    transforms(hash).0
}

/// Whether the provider has the prf. `tag` is a prefix of the whole output.
fn one(provider: &CryptoProvider, hash: &str, case: &str, key: &[u8], msg: &[u8], tag: &[u8], valid: bool) -> bool {
    let (prf_id, integ_id) = transforms(hash);
    let Some(prf) = provider.prf(prf_id) else { return false };
    let mut whole = vec![0; prf.output_len()];
    prf.prf(key, &[msg], &mut whole);
    assert_eq!(whole.starts_with(tag), valid, "{case}: prf");
    let (front, back) = msg.split_at(msg.len() / 3);
    let mut parts = vec![0; whole.len()];
    prf.prf(key, &[front, &[], back], &mut parts);
    assert_eq!(parts, whole, "{case}: prf over parts");

    let Some(integ) = provider.integ(integ_id) else { return true };
    let ready = integ_keys(integ, key);
    assert_eq!(ready.is_ok(), key.len() == integ.key_len(), "{case}: key length");
    for ready in ready.iter().flatten() {
        signs(&**ready, case, &[front, back], &whole[..integ.icv_len()]);
    }
    true
}

fn on_aes(integ: &dyn IntegAlg, vector: &OnAes) {
    let case = &vector.case;
    assert_eq!((integ.key_len(), integ.icv_len()), (vector.key.len(), vector.icv.len()), "{case}: lengths");
    for key in integ_keys(integ, &vector.key).expect(case) {
        for cut in 0..=vector.msg.len().min(40) {
            let (front, back) = vector.msg.split_at(cut);
            signs(&*key, case, &[front, &[], back], &vector.icv);
        }
    }
    for len in (0..=40).filter(|len| *len != integ.key_len()) {
        assert!(integ.key(&vec![0; len]).is_err(), "{case}: key of {len} bytes");
    }
}

/// The key makes this ICV of the message and takes no other.
fn signs(key: &dyn IntegKey, case: &str, parts: &[&[u8]], expected: &[u8]) {
    let mut icv = vec![0; expected.len()];
    // Twice with one key: nothing of the first packet stays behind.
    for _ in 0..2 {
        key.sign(parts, &mut icv);
        assert_eq!(icv, expected, "{case}: sign");
    }
    assert!(key.verify(&[&parts.concat()], &icv).is_ok(), "{case}: verify");
    for i in 0..icv.len() {
        icv[i] ^= 0x80;
        assert!(key.verify(parts, &icv).is_err(), "{case}: verify with a flipped bit");
        icv[i] ^= 0x80;
    }
}
