//! Crypto providers against each other: what one seals the others seal alike and open, and what none sealed all refuse.
//! Where the multi-buffer library is missing, AWS-LC alone is held against the portable provider.
//!
//! Input: `key size | bytes of additional data | key and salt | IV | additional data | text`, the last parts cut short where
//! the input ends. It goes through every algorithm in turn, and as `key | IV | text` through those of integrity.

use std::sync::OnceLock;

use ravelin_crypto::{BatchPacket, CryptoProvider, EncrAlg, IntegAlg};
use ravelin_types::transform::{EncrId, IntegId};

const INTEGS: [IntegId; 4] =
    [IntegId::HMAC_SHA1_96, IntegId::HMAC_SHA2_256_128, IntegId::HMAC_SHA2_384_192, IntegId::HMAC_SHA2_512_256];

/// The portable provider with everything, and the fast one.
fn providers() -> &'static (CryptoProvider, CryptoProvider) {
    static PROVIDERS: OnceLock<(CryptoProvider, CryptoProvider)> = OnceLock::new();
    PROVIDERS.get_or_init(|| {
        let portable = ravelin_crypto_rustcrypto::provider_with_legacy();
        (portable, ravelin_crypto_ipsec_mb::try_provider().unwrap_or(portable))
    })
}

/// Takes `len` bytes off the front; zeros stand for those that are missing.
fn take(input: &mut &[u8], len: usize) -> Vec<u8> {
    let (front, rest) = input.split_at(len.min(input.len()));
    *input = rest;
    let mut bytes = front.to_vec();
    bytes.resize(len, 0);
    bytes
}

fn byte(input: &mut &[u8]) -> usize {
    usize::from(take(input, 1)[0])
}

/// One packet, by each algorithm.
pub(crate) fn single(input: &[u8]) {
    let (portable, fast) = providers();
    for others in [fast, &ravelin_crypto_aws_lc::PROVIDER] {
        for alg in portable.encr {
            others.encr(alg.id()).into_iter().for_each(|other| one_packet(*alg, other, input));
        }
        for alg in portable.integ {
            others.integ(alg.id()).into_iter().for_each(|other| one_icv(*alg, other, input));
        }
    }
}

fn one_icv(alg: &dyn IntegAlg, other: &dyn IntegAlg, mut input: &[u8]) {
    let key = take(&mut input, alg.key_len());
    let (key, other) = (alg.key(&key).expect("a listed length"), other.key(&key).expect("a listed length"));
    let mut icv = take(&mut input, alg.iv_len());
    icv.resize(alg.icv_len(), 0);
    let (front, back) = input.split_at(input.len() / 3);
    key.sign(&[front, &[], back], &mut icv);
    other.verify(&[input], &icv).expect("what the other signed");
    let flipped = input.len() % icv.len();
    icv[flipped] ^= 1;
    assert!(key.verify(&[input], &icv).is_err() && other.verify(&[front, back], &icv).is_err());
}

fn one_packet(alg: &dyn EncrAlg, other: &dyn EncrAlg, mut input: &[u8]) {
    let bits = alg.key_bits()[byte(&mut input) % alg.key_bits().len()];
    let aad_len = if alg.is_aead() { byte(&mut input) % 40 } else { 0 };
    let key = take(&mut input, usize::from(bits) / 8 + alg.salt_len());
    let (key, other) = (alg.key(&key).expect("a listed length"), other.key(&key).expect("a listed length"));
    let (iv, aad) = (take(&mut input, alg.iv_len()), take(&mut input, aad_len));
    let text = input[..input.len() / alg.block_len() * alg.block_len()].to_vec();
    let (mut one, mut two) = (text.clone(), text.clone());
    let (mut icv, mut other_icv) = (vec![0; alg.icv_len()], vec![0; alg.icv_len()]);
    key.seal(&iv, &aad, &mut one, &mut icv);
    other.seal(&iv, &aad, &mut two, &mut other_icv);
    assert_eq!((&one, &icv), (&two, &other_icv), "sealed by both");
    key.open(&iv, &aad, &mut two, &icv).expect("what the other sealed");
    other.open(&iv, &aad, &mut one, &icv).expect("what the other sealed");
    assert_eq!((&one, &two), (&text, &text), "opened by both");
    // The input as a packet that came from somewhere.
    if let Some(len) = text.len().checked_sub(alg.icv_len()).filter(|_| alg.is_aead()) {
        let (mut one, mut two) = (text[..len].to_vec(), text[..len].to_vec());
        let verdict = key.open(&iv, &aad, &mut one, &text[len..]);
        assert_eq!(other.open(&iv, &aad, &mut two, &text[len..]), verdict);
        assert_eq!(one, two);
    }
}

/// A batch of packets cut from the input, under keys of different sizes.
pub(crate) fn batch(mut input: &[u8]) {
    let (portable, fast) = providers();
    let Some(batch) = fast.batch else { return };
    let encr = portable.encr(EncrId::AES_CBC).expect("the portable provider has it");
    let mut sas = Vec::new();
    for n in 0..=byte(&mut input) % 80 {
        let integ = portable.integ(INTEGS[n % INTEGS.len()]).expect("the portable provider has it");
        let (encr_key, integ_key) = (vec![n as u8; [16, 24, 32][n % 3]], vec![n as u8; integ.key_len()]);
        let fast = batch.key((EncrId::AES_CBC, &encr_key), (integ.id(), &integ_key));
        let fast = fast.expect("keys of their lengths").expect("a pair with batches");
        let len = 24 + byte(&mut input) / 16 * 16 + 16 + integ.icv_len();
        let high = (byte(&mut input) % 2 == 1).then_some(n as u32);
        let keys = (encr.key(&encr_key).expect("a length"), integ.key(&integ_key).expect("a length"));
        sas.push((fast, keys, high, integ.icv_len(), take(&mut input, len)));
    }
    let clear: Vec<Vec<u8>> = sas.iter().map(|sa| sa.4.clone()).collect();
    let mut sealed = clear.clone();
    let each = |esps: &mut [Vec<u8>], call: &dyn Fn(&mut [BatchPacket<'_>])| -> Vec<bool> {
        let packets = esps.iter_mut().zip(&sas).map(|(esp, sa)| BatchPacket::new(&*sa.0, esp, sa.2));
        let mut packets: Vec<BatchPacket<'_>> = packets.collect();
        call(&mut packets);
        packets.iter().map(|packet| packet.forged).collect()
    };
    each(&mut sealed, &|packets| batch.seal(packets));
    for ((esp, clear), (_, (encr, integ), high, icv_len, _)) in sealed.iter().zip(&clear).zip(&sas) {
        let mut expected = clear.clone();
        let (text, icv) = expected.split_at_mut(clear.len() - icv_len);
        let (head, data) = text.split_at_mut(24);
        encr.seal(&head[8..], &[], data, &mut []);
        let high = high.map(u32::to_be_bytes);
        integ.sign(&[text, high.as_ref().map_or(&[], |high| high)], icv);
        assert_eq!(*esp, expected, "sealed in the batch and alone");
    }
    // What is left of the input cuts or changes one of them.
    let victim = byte(&mut input) % sealed.len();
    let at = byte(&mut input) * 3 % sealed[victim].len();
    match byte(&mut input) {
        0 => sealed[victim].truncate(at),
        change => sealed[victim][at] ^= change as u8,
    }
    let forged = each(&mut sealed, &|packets| batch.open(packets));
    for (n, (esp, clear)) in sealed.iter().zip(&clear).enumerate() {
        assert_eq!(forged[n], n == victim, "packet {n}");
        let end = clear.len() - sas[n].3;
        assert!(if forged[n] { esp.iter().skip(24).all(|byte| *byte == 0) } else { esp[..end] == clear[..end] });
    }
}
