//! The IKEv1 key schedule: NIST CAVP, and one phase 1 captured with its keys, IV and hash.

use ravelin_crypto::CryptoProvider;
use ravelin_crypto::ikev1::{Algs, Cookies, Iv, Keys, Publics, Skeyid};
use ravelin_crypto::ikev2::Nonces;
use ravelin_types::proposal::IkeSuite;
use ravelin_types::transform::{EncrId, IntegId, KeMethod, PrfId};
use ravelin_types::{IkeSpi, Secret};
use serde::Deserialize;

use super::mac::prf_id;
use super::{Counts, Hex, data};

/// NIST CAVP "IKEv1 KDF" (SP 800-135); without a key where signatures authenticate.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nist {
    hash: String,
    cky_i: Hex,
    cky_r: Hex,
    ni: Hex,
    nr: Hex,
    shared: Hex,
    psk: Option<Hex>,
    skeyid: Hex,
    skeyid_d: Hex,
    skeyid_a: Hex,
    skeyid_e: Hex,
}

/// Main mode with AES-128, SHA-1 and MODP1024.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Captured {
    case: String,
    psk: Hex,
    cky_i: Hex,
    cky_r: Hex,
    ni: Hex,
    nr: Hex,
    ke_i: Hex,
    ke_r: Hex,
    sa: Hex,
    id: Hex,
    shared: Hex,
    skeyid: Hex,
    skeyid_d: Hex,
    skeyid_a: Hex,
    skeyid_e: Hex,
    iv: Hex,
    hash_r: Hex,
}

pub(super) fn check(provider: &CryptoProvider, counts: &mut Counts) {
    let (file, vectors): (_, Vec<Nist>) = data!("nist/ikev1_kdf.json");
    for (number, vector) in vectors.iter().enumerate() {
        let ran = nist(provider, vector, &format!("{file} {number}"));
        *counts.entry(file).or_default() += usize::from(ran);
    }
    let (file, vectors): (_, Vec<Captured>) = data!("captured/ikev1_psk.json");
    for vector in &vectors {
        *counts.entry(file).or_default() += usize::from(captured(provider, vector));
    }
}

fn cookies(initiator: &Hex, responder: &Hex) -> Cookies {
    let cookie = |bytes: &Hex| IkeSpi(u64::from_be_bytes((**bytes).try_into().expect("a cookie has eight bytes")));
    Cookies { initiator: cookie(initiator), responder: cookie(responder) }
}

fn assert_keys(keys: &Keys, expected: [&Hex; 4], case: &str) {
    assert_eq!(keys.expose(), expected.map(|key| &key[..]), "{case}");
}

fn nist(provider: &CryptoProvider, vector: &Nist, case: &str) -> bool {
    let Some(prf) = provider.prf(prf_id(&vector.hash)) else { return false };
    let nonces = Nonces { initiator: &vector.ni, responder: &vector.nr };
    let shared = Secret::from(&vector.shared[..]);
    let skeyid = match &vector.psk {
        Some(psk) => Skeyid::pre_shared(prf, &Secret::from(&psk[..]), nonces),
        None => Skeyid::signatures(prf, &shared, nonces),
    };
    let keys = skeyid.derive(prf, &shared, cookies(&vector.cky_i, &vector.cky_r));
    assert_keys(&keys, [&vector.skeyid, &vector.skeyid_d, &vector.skeyid_a, &vector.skeyid_e], case);
    true
}

fn captured(provider: &CryptoProvider, vector: &Captured) -> bool {
    // The group gives its secret here, so any that the provider has will do.
    let Some(ke) = provider.ke.first() else { return false };
    let suite = IkeSuite {
        encr: EncrId::AES_CBC,
        encr_key_bits: 128,
        integ: IntegId::NONE,
        prf: PrfId::HMAC_SHA1,
        ke: KeMethod(ke.id().0),
    };
    let Some(algs) = Algs::find(provider, &suite) else { return false };
    let nonces = Nonces { initiator: &vector.ni, responder: &vector.nr };
    let shared = Secret::from(&vector.shared[..]);
    let skeyid = Skeyid::pre_shared(algs.prf, &Secret::from(&vector.psk[..]), nonces);
    let keys = skeyid.derive(algs.prf, &shared, cookies(&vector.cky_i, &vector.cky_r));
    let case = &vector.case;
    assert_keys(&keys, [&vector.skeyid, &vector.skeyid_d, &vector.skeyid_a, &vector.skeyid_e], case);
    let publics = Publics { initiator: &vector.ke_i, responder: &vector.ke_r };
    let cipher = keys.cipher(&algs).expect("the key fits");
    let iv = Iv::first(algs.hash, algs.prf.output_len(), publics, &cipher);
    assert_eq!(iv.as_bytes(), &vector.iv[..], "{case}");
    assert_eq!(keys.hash_r(publics, &vector.sa, &vector.id), vector.hash_r[..], "{case}");
    true
}
