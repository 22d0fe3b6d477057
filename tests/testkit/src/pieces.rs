//! Text in pieces against the same text in one, for every algorithm of a provider.

use ravelin_crypto::{CryptoProvider, EncrAlg, IntegAlg, SecureRandom};
use ravelin_types::transform::EncrId;

use crate::random::SeededRandom;

const SEED: u64 = 173;

/// Runs every algorithm and returns the ciphers that take text in pieces.
///
/// # Panics
/// When an algorithm makes other bytes of pieces than of one piece, or lets a forgery pass or leaves its plaintext.
pub fn check(provider: &CryptoProvider) -> Vec<EncrId> {
    let mut rng = SeededRandom::new(SEED);
    provider.integ.iter().for_each(|alg| integ(*alg, &mut rng));
    provider.encr.iter().filter(|alg| encr(**alg, &mut rng)).map(|alg| alg.id()).collect()
}

/// `bytes` in pieces: of one byte, of a few, of many, and some of none.
pub fn cut(bytes: &[u8], rng: &mut SeededRandom) -> Vec<Vec<u8>> {
    let most = [1, 3, 20, 70, 600][rng.below(5) as usize];
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rest.len().min(rng.below(most + 1) as usize));
        pieces.push(piece.to_vec());
        rest = behind;
    }
    if rng.below(2) == 0 {
        pieces.push(Vec::new());
    }
    pieces
}

fn random(rng: &mut SeededRandom, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    bytes
}

fn encr(alg: &dyn EncrAlg, rng: &mut SeededRandom) -> bool {
    let mut taken = false;
    for bits in alg.key_bits() {
        for len in (0..40).chain([1400, 1401]) {
            let len = len * alg.block_len();
            let case = format!("{} {bits}: {len} bytes", alg.id());
            let key = alg.key(&random(rng, usize::from(*bits) / 8 + alg.salt_len())).expect("a listed length");
            let Some(pieces) = key.in_pieces() else { continue };
            taken = true;
            let iv = random(rng, alg.iv_len());
            let aad = if alg.is_aead() { random(rng, [8, 12, 0][len % 3]) } else { Vec::new() };
            let text = random(rng, len);
            let (mut whole, mut icv) = (text.clone(), vec![0; alg.icv_len()]);
            key.seal(&iv, &aad, &mut whole, &mut icv);
            let (mut parts, mut parts_icv) = (cut(&text, rng), vec![0; alg.icv_len()]);
            let lens: Vec<usize> = parts.iter().map(Vec::len).collect();
            pieces.seal(&iv, &aad, &mut parts, &mut parts_icv);
            assert!(parts.concat() == whole && parts_icv == icv, "{case} sealed as {lens:?}");
            let mut parts = cut(&whole, rng);
            let lens: Vec<usize> = parts.iter().map(Vec::len).collect();
            pieces.open(&iv, &aad, &mut parts, &icv).unwrap_or_else(|forged| panic!("{case} as {lens:?}: {forged}"));
            assert!(parts.concat() == text, "{case} opened as {lens:?}");
            let mut parts = cut(&whole, rng);
            assert!(pieces.open(&iv[..iv.len().saturating_sub(1)], &aad, &mut parts, &icv).is_err() || iv.is_empty());
            if alg.is_aead() {
                for at in [0, icv.len() - 1] {
                    icv[at] ^= 1;
                    let mut parts = cut(&whole, rng);
                    assert!(pieces.open(&iv, &aad, &mut parts, &icv).is_err(), "{case}: forged");
                    assert!(parts.concat().iter().all(|byte| *byte == 0), "{case}: plaintext of a forgery");
                    icv[at] ^= 1;
                }
                assert!(pieces.open(&iv, &aad, &mut cut(&whole, rng), &icv[1..]).is_err(), "{case}: short ICV");
            } else if alg.block_len() > 1 && len > 0 {
                let mut parts = cut(&whole[1..], rng);
                assert!(pieces.open(&iv, &[], &mut parts, &[]).is_err(), "{case}: part of a block");
            }
        }
    }
    taken
}

fn integ(alg: &dyn IntegAlg, rng: &mut SeededRandom) {
    for len in (0..200).chain([1400, 4001]) {
        let case = format!("{}: {len} bytes", alg.id());
        let key = alg.key(&random(rng, alg.key_len())).expect("the length");
        let (text, mut icv) = (random(rng, len), random(rng, alg.icv_len()));
        key.sign(&[&text], &mut icv);
        let mut parts_icv = icv.clone();
        parts_icv[alg.iv_len()..].fill(0);
        key.sign_pieces(&cut(&text, rng), &mut parts_icv);
        assert_eq!(parts_icv, icv, "{case}");
        key.verify_pieces(&cut(&text, rng), &icv).unwrap_or_else(|forged| panic!("{case}: {forged}"));
        icv[len % alg.icv_len()] ^= 1;
        assert!(key.verify_pieces(&cut(&text, rng), &icv).is_err(), "{case}: forged");
        assert!(key.verify_pieces(&cut(&text, rng), &[0; 65]).is_err(), "{case}: a long ICV");
    }
}
