//! Every published vector against every algorithm that a provider has.
//!
//! ```text
//!  data/*.json ──► aead, cbc, mac   ──┐
//!                  exchange, kem    ──┼──► check(provider) ──► Counts: how many vectors ran, per file
//!                  schedule (KDF)   ──┤
//!                  message (SK)     ──┘
//! ```
//! A vector whose algorithm the provider lacks is left out and not counted, so the test of a provider states the
//! counts it expects. A vector that disagrees panics with its file and case.

mod aead;
mod cbc;
mod exchange;
mod kem;
mod mac;
mod message;
mod schedule;
mod schedule_v1;

use std::collections::BTreeMap;

use ravelin_crypto::{BadKey, CryptoProvider, EncrAlg, EncrKey, IntegAlg, IntegKey};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// How many vectors of each file ran.
pub type Counts = BTreeMap<&'static str, usize>;

/// Runs everything.
///
/// # Panics
/// When the provider disagrees with a vector; that is what it is for.
pub fn check(provider: &CryptoProvider) -> Counts {
    let mut counts = Counts::new();
    aead::check(provider, &mut counts);
    cbc::check(provider, &mut counts);
    mac::check(provider, &mut counts);
    exchange::check(provider, &mut counts);
    kem::check(provider, &mut counts);
    schedule::check(provider, &mut counts);
    schedule_v1::check(provider, &mut counts);
    message::check(provider, &mut counts);
    counts
}

/// The key of `bytes` as it is made, and one that was another and was replaced: both give the same.
fn encr_keys(alg: &dyn EncrAlg, bytes: &[u8]) -> Result<[Box<dyn EncrKey>; 2], BadKey> {
    let mut replaced = alg.key(&vec![0xa5; bytes.len()])?;
    replaced.replace(bytes)?;
    Ok([alg.key(bytes)?, replaced])
}

/// The same for integrity.
fn integ_keys(alg: &dyn IntegAlg, bytes: &[u8]) -> Result<[Box<dyn IntegKey>; 2], BadKey> {
    let mut replaced = alg.key(&vec![0xa5; bytes.len()])?;
    replaced.replace(bytes)?;
    Ok([alg.key(bytes)?, replaced])
}

/// Binary data, written in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hex(Vec<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digit = |c: u8| char::from(c).to_digit(16).map(|d| d as u8);
        let (pairs, odd) = text.as_bytes().as_chunks::<2>();
        let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect::<Option<_>>();
        match bytes {
            Some(bytes) if odd.is_empty() => Ok(Hex(bytes)),
            _ => Err(serde::de::Error::custom("not an even number of hexadecimal digits")),
        }
    }
}

impl std::ops::Deref for Hex {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Reads one data file, which is part of the program.
fn load<T: DeserializeOwned>(file: &str, text: &str) -> Vec<T> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Loads a file below `data/` by its name: `(name, vectors)`.
macro_rules! data {
    ($name:literal) => {
        ($name, super::load($name, include_str!(concat!("../../data/", $name))))
    };
}
use data;
