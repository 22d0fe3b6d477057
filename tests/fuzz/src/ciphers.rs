//! Crypto providers against each other: what one seals the others seal alike and open, and what none sealed all refuse.
//! Where the multi-buffer library is missing, AWS-LC alone is held against the portable provider.
//!
//! Input: `key size | bytes of additional data | key and salt | IV | additional data | text`, the last parts cut short where
//! the input ends. It goes through every algorithm in turn, and as `key | IV | text` through those of integrity.

use std::sync::OnceLock;

use ravelin_crypto::{BatchKey, BatchPacket, CryptoProvider, EncrAlg, EncrKey, IntegAlg, IntegKey};
use ravelin_types::transform::{EncrId, IntegId};

const INTEGS: [IntegId; 7] = [
    IntegId::HMAC_SHA1_96,
    IntegId::HMAC_SHA2_256_128,
    IntegId::HMAC_SHA2_384_192,
    IntegId::HMAC_SHA2_512_256,
    IntegId::AES_XCBC_96,
    IntegId::AES_CMAC_96,
    IntegId::HMAC_MD5_96,
];
/// With lengths of the key and its salt.
const ENCRS: [(EncrId, &[usize]); 8] = [
    (EncrId::AES_CBC, &[16, 24, 32]),
    (EncrId::AES_CCM_16, &[19, 35]),
    (EncrId::AES_CTR, &[20, 28, 36]),
    (EncrId::DES3, &[24]),
    (EncrId::AES_CCM_12, &[19, 35]),
    (EncrId::NULL, &[0]),
    (EncrId::AES_CCM_8, &[19, 35]),
    (EncrId::DES, &[8]),
];

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

/// An SA with a packet of its own.
struct Sa {
    fast: Box<dyn BatchKey>,
    encr: Box<dyn EncrKey>,
    /// `None` with an AEAD cipher.
    integ: Option<Box<dyn IntegKey>>,
    high: Option<u32>,
    /// ESP header and IV.
    head: usize,
    icv_len: usize,
    clear: Vec<u8>,
}

impl Sa {
    /// One packet alone.
    fn seal(&self, esp: &mut [u8]) {
        let (text, icv) = esp.split_at_mut(esp.len() - self.icv_len);
        let (head, data) = text.split_at_mut(self.head);
        let high = self.high.map(u32::to_be_bytes);
        let high = high.as_ref().map_or(&[][..], |high| high);
        match &self.integ {
            Some(integ) => {
                self.encr.seal(&head[8..], &[], data, &mut []);
                integ.sign(&[text, high], icv);
            }
            None => self.encr.seal(&head[8..], &[&head[..4], high, &head[4..8]].concat(), data, icv),
        }
    }
}

/// A batch of packets cut from the input, under keys of different sizes.
pub(crate) fn batch(mut input: &[u8]) {
    let (portable, fast) = providers();
    let Some(batch) = fast.batch else { return };
    let mut sas = Vec::new();
    for n in 0..=byte(&mut input) % 80 {
        let (id, lens) = ENCRS[byte(&mut input) % ENCRS.len()];
        let encr = portable.encr(id).expect("the portable provider has it");
        let integ = if encr.is_aead() { None } else { portable.integ(INTEGS[n % INTEGS.len()]) };
        let (encr_key, integ_key) =
            (vec![n as u8; lens[n % lens.len()]], vec![n as u8; integ.map_or(0, |alg| alg.key_len())]);
        let fast = batch.key((id, &encr_key), (integ.map_or(IntegId::NONE, |alg| alg.id()), &integ_key));
        let (head, icv_len) = (8 + encr.iv_len(), integ.map_or(encr.icv_len(), |alg| alg.icv_len()));
        let len = 16 + byte(&mut input) / encr.block_len() * encr.block_len();
        let high = (byte(&mut input) % 2 == 1).then_some(n as u32);
        sas.push(Sa {
            fast: fast.expect("keys of their lengths").expect("a pair with batches"),
            encr: encr.key(&encr_key).expect("a length"),
            integ: integ.map(|alg| alg.key(&integ_key).expect("a length")),
            high,
            head,
            icv_len,
            clear: take(&mut input, head + len + icv_len),
        });
    }
    let clear: Vec<Vec<u8>> = sas.iter().map(|sa| sa.clear.clone()).collect();
    let mut sealed = clear.clone();
    let each = |esps: &mut [Vec<u8>], call: &dyn Fn(&mut [BatchPacket<'_>])| -> Vec<bool> {
        let packets = esps.iter_mut().zip(&sas).map(|(esp, sa)| BatchPacket::new(&*sa.fast, esp, sa.high));
        let mut packets: Vec<BatchPacket<'_>> = packets.collect();
        call(&mut packets);
        packets.iter().map(|packet| packet.forged).collect()
    };
    each(&mut sealed, &|packets| batch.seal(packets));
    for (esp, sa) in sealed.iter().zip(&sas) {
        let mut expected = sa.clear.clone();
        sa.seal(&mut expected);
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
        let end = clear.len() - sas[n].icv_len;
        assert!(if forged[n] {
            esp.iter().skip(sas[n].head).all(|byte| *byte == 0)
        } else {
            esp[..end] == clear[..end]
        });
    }
}
