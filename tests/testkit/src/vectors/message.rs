//! The Encrypted payload: captured messages, and every combination of algorithms against tampering.

use ravelin_crypto::ikev2::IkeCipher;
use ravelin_crypto::{CryptoProvider, EncrAlg, IntegAlg};
use ravelin_types::Secret;
use ravelin_types::transform::{EncrId, IntegId};
use serde::Deserialize;

use super::{Counts, Hex, data};
use crate::random::{ReplayedRandom, SeededRandom};

/// A protected message with its keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Captured {
    case: String,
    encr: u16,
    bits: u16,
    integ: u16,
    encr_key: Hex,
    integ_key: Hex,
    /// IKE header and generic header of SK.
    head: Hex,
    /// IV, ciphertext and ICV.
    body: Hex,
    inner: Hex,
}

pub(super) fn check(provider: &CryptoProvider, counts: &mut Counts) {
    let (file, vectors): (_, Vec<Captured>) = data!("captured/sk_payload.json");
    for vector in &vectors {
        let integ = provider.integ(IntegId(vector.integ));
        let Some(encr) = provider.encr(EncrId(vector.encr)) else { continue };
        if integ.is_none() && vector.integ != 0 {
            continue;
        }
        captured(encr, integ, vector);
        *counts.entry(file).or_default() += 1;
    }
    for encr in provider.encr {
        // RFC 7296 §5: what does not encrypt is for ESP alone, as is an implicit IV (RFC 8750 §7).
        if matches!(encr.id(), EncrId::NULL | EncrId::NULL_AES_GMAC) || encr.implicit_iv() {
            continue;
        }
        for bits in encr.key_bits() {
            // RFC 4543 §4: one with an IV is for AH alone.
            let integs = provider.integ.iter().copied().filter(|integ| integ.iv_len() == 0).map(Some);
            for integ in integs.chain([None]).filter(|integ| integ.is_none() == encr.is_aead()) {
                tampered(*encr, *bits, integ);
                *counts.entry("message/tampered").or_default() += 1;
            }
        }
    }
}

fn captured(encr: &dyn EncrAlg, integ: Option<&dyn IntegAlg>, vector: &Captured) {
    let case = &vector.case;
    assert_eq!(vector.encr_key.len(), usize::from(vector.bits) / 8 + encr.salt_len(), "{case}: key length");
    let (encr_key, integ_key) = (Secret::from(&*vector.encr_key), Secret::from(&*vector.integ_key));
    let mut cipher = IkeCipher::new(encr, integ, encr_key.expose(), integ_key.expose()).expect(case);
    let message = [&*vector.head, &*vector.body].concat();
    assert_eq!(cipher.open(&message, vector.head.len()).expect(case), *vector.inner, "{case}: open");
    assert_eq!(cipher.body_len(vector.inner.len()), vector.body.len(), "{case}: length");
    if integ.is_some() {
        // A random IV can be replayed, and then the message comes out as it was captured.
        let mut sealed = vector.head.to_vec();
        let mut rng = ReplayedRandom::new(vector.body[..encr.iv_len()].to_vec());
        cipher.seal(&mut sealed, &vector.inner, &mut rng);
        assert_eq!(sealed, message, "{case}: seal");
    }
}

/// Round trip at every length around a block; then each byte flipped, each length cut, and bytes added.
fn tampered(encr: &dyn EncrAlg, bits: u16, integ: Option<&dyn IntegAlg>) {
    let case = format!("{} {bits} with {:?}", encr.id(), integ.map(IntegAlg::id));
    let encr_key = Secret::new((0..usize::from(bits) / 8 + encr.salt_len()).map(|i| i as u8).collect());
    let integ_key = Secret::new((0..integ.map_or(0, IntegAlg::key_len)).map(|i| i as u8 ^ 0xff).collect());
    let mut sender = IkeCipher::new(encr, integ, encr_key.expose(), integ_key.expose()).expect(&case);
    let receiver = IkeCipher::new(encr, integ, encr_key.expose(), integ_key.expose()).expect(&case);
    let mut rng = SeededRandom::new(u64::from(bits));
    let head = *b"the IKE header and the generic header";
    let mut last_iv = Vec::new();
    for len in 0..=40 {
        let inner: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let mut message = head.to_vec();
        sender.seal(&mut message, &inner, &mut rng);
        assert_eq!(message.len() - head.len(), sender.body_len(len), "{case}: body length of {len}");
        assert_eq!(receiver.open(&message, head.len()).as_deref(), Ok(&inner[..]), "{case}: {len} bytes");
        let capacity = sender.capacity(message.len() - head.len());
        assert!((len..len + encr.block_len()).contains(&capacity), "{case}: capacity {capacity} for {len}");

        let iv = message[head.len()..head.len() + encr.iv_len()].to_vec();
        assert_ne!(iv, last_iv, "{case}: the IV repeats");
        last_iv = iv;
    }

    let mut message = head.to_vec();
    sender.seal(&mut message, b"inner payloads", &mut rng);
    for i in 0..message.len() {
        message[i] ^= 1;
        assert!(receiver.open(&message, head.len()).is_err(), "{case}: byte {i} flipped");
        message[i] ^= 1;
        assert!(receiver.open(&message[..i], head.len()).is_err(), "{case}: cut to {i}");
    }
    for extra in [1, 16] {
        let longer = [&message[..], &vec![0; extra][..]].concat();
        assert!(receiver.open(&longer, head.len()).is_err(), "{case}: {extra} bytes added");
    }
    assert!(receiver.open(&message, message.len() + 1).is_err(), "{case}: body outside of the message");
    assert_eq!(receiver.open(&message, head.len()).as_deref(), Ok(&b"inner payloads"[..]), "{case}: intact again");
}
