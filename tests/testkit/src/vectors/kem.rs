//! ML-KEM: keys from seeds, encapsulation with given randomness, decapsulation, and the checks of FIPS 203 §7.2 and §7.3.

use ravelin_crypto::{CryptoProvider, KeAlg, KePrivate};
use ravelin_types::transform::KeMethod;
use serde::Deserialize;
use std::sync::Arc;

use super::{Counts, Hex, data};
use crate::random::ReplayedRandom;

/// NIST ACVP.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyGen {
    #[serde(rename = "tcId")]
    tc_id: u32,
    set: u16,
    d: Hex,
    z: Hex,
    ek: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(non_snake_case)] // As FIPS 203 has it.
struct Encapsulation {
    #[serde(rename = "tcId")]
    tc_id: u32,
    set: u16,
    m: Hex,
    ek: Hex,
    c: Hex,
    K: Hex,
    result: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(non_snake_case)] // As FIPS 203 has it.
struct Decapsulation {
    #[serde(rename = "tcId")]
    tc_id: u32,
    set: u16,
    seed: Hex,
    ek: Hex,
    c: Hex,
    K: Hex,
    result: String,
}

pub(super) fn check(provider: &CryptoProvider, counts: &mut Counts) {
    let (file, vectors): (_, Vec<KeyGen>) = data!("nist/mlkem_keygen.json");
    for vector in &vectors {
        let Some(alg) = find(provider, vector.set) else { continue };
        let key = key(alg, &[&vector.d[..], &vector.z].concat());
        assert_eq!(key.public(), &*vector.ek, "{file} {}", vector.tc_id);
        *counts.entry(file).or_default() += 1;
    }
    let (file, vectors): (_, Vec<Encapsulation>) = data!("wycheproof/mlkem_encaps.json");
    for vector in &vectors {
        let Some(alg) = find(provider, vector.set) else { continue };
        let case = format!("{file} {} {}", vector.set, vector.tc_id);
        match alg.respond(&vector.ek, &mut ReplayedRandom::new(vector.m.to_vec())) {
            Ok((ciphertext, shared)) => {
                assert_eq!(vector.result, "valid", "{case}: accepted");
                assert_eq!((&ciphertext[..], shared.expose()), (&*vector.c, &*vector.K), "{case}");
            }
            Err(_) => assert_eq!(vector.result, "invalid", "{case}: refused"),
        }
        *counts.entry(file).or_default() += 1;
    }
    let (file, vectors): (_, Vec<Decapsulation>) = data!("wycheproof/mlkem_decaps.json");
    for vector in &vectors {
        let Some(alg) = find(provider, vector.set) else { continue };
        let case = format!("{file} {} {}", vector.set, vector.tc_id);
        let key = key(alg, &vector.seed);
        match key.agree(&vector.c) {
            // Ciphertexts that nobody made for the key are among the valid ones: their secret is the implicit rejection.
            Ok(shared) => {
                assert_eq!(vector.result, "valid", "{case}: accepted");
                assert_eq!(shared.expose(), &*vector.K, "{case}: secret");
                assert_eq!(key.public(), &*vector.ek, "{case}: encapsulation key");
            }
            Err(_) => assert_eq!(vector.result, "invalid", "{case}: refused"),
        }
        *counts.entry(file).or_default() += 1;
    }
}

fn find(provider: &CryptoProvider, set: u16) -> Option<&'static dyn KeAlg> {
    provider.ke(match set {
        512 => KeMethod::ML_KEM_512,
        768 => KeMethod::ML_KEM_768,
        1024 => KeMethod::ML_KEM_1024,
        other => panic!("no parameter set {other}"),
    })
}

/// The pair of keys from `d | z`.
fn key(alg: &dyn KeAlg, seed: &[u8]) -> Arc<dyn KePrivate> {
    alg.generate(&mut ReplayedRandom::new(seed.to_vec()))
}
