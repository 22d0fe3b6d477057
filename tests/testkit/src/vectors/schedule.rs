//! The IKEv2 key schedule: NIST CAVP, and one schedule captured with all seven keys.

use std::slice;

use ravelin_crypto::ikev2::{
    ChildAlgs, IkeAlgs, IkeKeys, KeyMat, MessageKeys, Nonces, SignedOctets, Skeyseed, shared_key,
};
use ravelin_crypto::{BadKey, CryptoProvider, EncrAlg, EncrKey, EncrShape};
use ravelin_types::transform::{EncrId, IntegId, PrfId};
use ravelin_types::{IkeSpi, Secret};
use serde::Deserialize;

use super::mac::prf_id;
use super::{Counts, Hex, data};

/// NIST CAVP "IKEv2 KDF" (SP 800-135).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nist {
    hash: String,
    #[serde(rename = "Ni")]
    ni: Hex,
    #[serde(rename = "Nr")]
    nr: Hex,
    #[serde(rename = "g^ir")]
    shared: Hex,
    #[serde(rename = "g^ir (new)")]
    new_shared: Hex,
    #[serde(rename = "SPIi")]
    spi_i: Hex,
    #[serde(rename = "SPIr")]
    spi_r: Hex,
    #[serde(rename = "SKEYSEED")]
    skeyseed: Hex,
    #[serde(rename = "DKM")]
    dkm: Hex,
    #[serde(rename = "DKM(Child SA)")]
    child: Hex,
    #[serde(rename = "DKM(Child SA D-H)")]
    child_pfs: Hex,
    #[serde(rename = "SKEYSEED(Rekey)")]
    rekey: Hex,
}

/// The seven keys of a real suite.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Captured {
    case: String,
    encr: u16,
    bits: u16,
    integ: u16,
    prf: u16,
    shared: Hex,
    ni: Hex,
    nr: Hex,
    spi_i: Hex,
    spi_r: Hex,
    skeyseed: Hex,
    sk_d: Hex,
    sk_ai: Hex,
    sk_ar: Hex,
    sk_ei: Hex,
    sk_er: Hex,
    sk_pi: Hex,
    sk_pr: Hex,
}

/// AUTH of method 2.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PskAuth {
    case: String,
    prf: u16,
    psk: Hex,
    message: Hex,
    nonce: Hex,
    sk_p: Hex,
    id_body: Hex,
    auth: Hex,
}

pub(super) fn check(provider: &CryptoProvider, counts: &mut Counts) {
    let (file, vectors): (_, Vec<Nist>) = data!("nist/ikev2_kdf.json");
    for (number, vector) in vectors.iter().enumerate() {
        let ran = nist(provider, vector, &format!("{file} {number}"));
        *counts.entry(file).or_default() += usize::from(ran);
    }
    let (file, vectors): (_, Vec<Captured>) = data!("captured/ike_keys.json");
    for vector in &vectors {
        *counts.entry(file).or_default() += usize::from(captured(provider, vector));
    }
    let (file, vectors): (_, Vec<PskAuth>) = data!("captured/psk_auth.json");
    for vector in &vectors {
        *counts.entry(file).or_default() += usize::from(psk_auth(provider, vector));
    }
}

fn spi(bytes: &[u8]) -> IkeSpi {
    IkeSpi(u64::from_be_bytes(bytes.try_into().expect("an IKE SPI has eight bytes")))
}

/// Swallows whatever part of the key stream a vector has, so that streams of any length can be compared.
struct KeyOfAnyLength(EncrShape);

impl EncrAlg for KeyOfAnyLength {
    fn shape(&self) -> &EncrShape {
        &self.0
    }

    fn key(&self, _bytes: &[u8]) -> Result<Box<dyn EncrKey>, BadKey> {
        Err(BadKey)
    }
}

/// Algorithms live as long as the program; a test may leave a few behind.
fn key_of(salt_len: usize) -> &'static dyn EncrAlg {
    Box::leak(Box::new(KeyOfAnyLength(EncrShape { salt_len, icv_len: 16, ..EncrShape::NULL })))
}

fn nist(provider: &CryptoProvider, vector: &Nist, case: &str) -> bool {
    let Some(prf) = provider.prf(prf_id(&vector.hash)) else { return false };
    let Some(ke) = provider.ke.first() else { return false };
    let nonces = Nonces { initiator: &vector.ni, responder: &vector.nr };
    let seed = Skeyseed::initial(prf, &Secret::from(&*vector.shared), nonces);
    assert_eq!(seed.expose(), &*vector.skeyseed, "{case}: SKEYSEED");

    // The keys in their order are the stream; encryption keys of the vector's length make it long enough.
    let algs = IkeAlgs { encr: key_of(vector.dkm.len()), encr_key_bits: 0, integ: None, prf, ke: *ke };
    let (keys, messages) = seed.derive(&algs, nonces, spi(&vector.spi_i), spi(&vector.spi_r));
    assert!(in_order(&keys, &messages).starts_with(&vector.dkm), "{case}: DKM");

    let new_shared = Secret::from(&*vector.new_shared);
    for (shared, expected, what) in
        [(&[][..], &vector.child, "KEYMAT"), (slice::from_ref(&new_shared), &vector.child_pfs, "KEYMAT with PFS")]
    {
        let esp = ChildAlgs::Esp { encr: key_of(expected.len() / 2), encr_key_bits: 0, integ: None };
        let keymat = KeyMat::derive(prf, &keys.sk_d, &esp, shared, nonces);
        let stream = [keymat.initiator.encr.expose(), keymat.responder.encr.expose()].concat();
        assert_eq!(stream, **expected, "{case}: {what}");
    }

    let rekeyed = Skeyseed::rekeyed(prf, &keys.sk_d, slice::from_ref(&new_shared), nonces);
    assert_eq!(rekeyed.expose(), &*vector.rekey, "{case}: SKEYSEED of the rekeyed SA");
    true
}

fn in_order(keys: &IkeKeys, messages: &MessageKeys) -> Vec<u8> {
    let IkeKeys { sk_d, sk_pi, sk_pr } = keys;
    let ([ai, ar], [ei, er]) = (messages.integ(), messages.encr());
    [sk_d.expose(), ai, ar, ei, er, sk_pi.expose(), sk_pr.expose()].concat()
}

fn captured(provider: &CryptoProvider, vector: &Captured) -> bool {
    let case = &vector.case;
    let (Some(encr), Some(integ), Some(prf), Some(ke)) = (
        provider.encr(EncrId(vector.encr)),
        provider.integ(IntegId(vector.integ)),
        provider.prf(PrfId(vector.prf)),
        provider.ke.first(),
    ) else {
        return false;
    };
    let nonces = Nonces { initiator: &vector.ni, responder: &vector.nr };
    let seed = Skeyseed::initial(prf, &Secret::from(&*vector.shared), nonces);
    assert_eq!(seed.expose(), &*vector.skeyseed, "{case}: SKEYSEED");
    let algs = IkeAlgs { encr, encr_key_bits: vector.bits, integ: Some(integ), prf, ke: *ke };
    let (keys, messages) = seed.derive(&algs, nonces, spi(&vector.spi_i), spi(&vector.spi_r));
    let ([ai, ar], [ei, er]) = (messages.integ(), messages.encr());
    for (key, expected, name) in [
        (keys.sk_d.expose(), &vector.sk_d, "SK_d"),
        (ai, &vector.sk_ai, "SK_ai"),
        (ar, &vector.sk_ar, "SK_ar"),
        (ei, &vector.sk_ei, "SK_ei"),
        (er, &vector.sk_er, "SK_er"),
        (keys.sk_pi.expose(), &vector.sk_pi, "SK_pi"),
        (keys.sk_pr.expose(), &vector.sk_pr, "SK_pr"),
    ] {
        assert_eq!(key, &**expected, "{case}: {name}");
    }
    true
}

fn psk_auth(provider: &CryptoProvider, vector: &PskAuth) -> bool {
    let case = &vector.case;
    let Some(prf) = provider.prf(PrfId(vector.prf)) else { return false };
    let (sk_p, psk) = (Secret::from(&*vector.sk_p), Secret::from(&*vector.psk));
    let octets = SignedOctets::new(prf, &vector.message, &vector.nonce, &sk_p, &vector.id_body);
    assert_eq!(octets.shared_auth(prf, &*shared_key(prf, &psk)), *vector.auth, "{case}: AUTH");
    assert!(octets.verify_shared_auth(prf, &*shared_key(prf, &psk), &vector.auth).is_ok(), "{case}: verify");
    let wrong = Secret::from(&vector.psk[1..]);
    assert!(octets.verify_shared_auth(prf, &*shared_key(prf, &wrong), &vector.auth).is_err(), "{case}: wrong secret");
    true
}
