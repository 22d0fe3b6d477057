//! Many packets in one call, against one at a time with the portable provider.

use ravelin_crypto::{BatchCrypto, BatchKey, BatchPacket, EncrKey, IntegKey, SecureRandom};
use ravelin_crypto_ipsec_mb::try_provider;
use ravelin_testkit::SeededRandom;
use ravelin_types::transform::{EncrId, IntegId};

use crate::Case;

pub const CASES: &[Case] = &[
    ("batches_of_many_keys_agree_with_others", batches_of_many_keys_agree_with_others),
    ("forged_packets_are_marked_and_wiped", forged_packets_are_marked_and_wiped),
    ("other_pairs_have_no_batches", other_pairs_have_no_batches),
];

const ENCRS: [(EncrId, &[usize]); 8] = [
    (EncrId::AES_CBC, &[16, 24, 32]),
    (EncrId::AES_CTR, &[20, 28, 36]),
    (EncrId::DES3, &[24]),
    (EncrId::DES, &[8]),
    (EncrId::NULL, &[0]),
    (EncrId::AES_CCM_16, &[19, 35]),
    (EncrId::AES_CCM_12, &[19, 35]),
    (EncrId::AES_CCM_8, &[19, 35]),
];
const INTEGS: [IntegId; 7] = [
    IntegId::HMAC_SHA1_96,
    IntegId::HMAC_SHA2_256_128,
    IntegId::HMAC_SHA2_384_192,
    IntegId::HMAC_SHA2_512_256,
    IntegId::HMAC_MD5_96,
    IntegId::AES_XCBC_96,
    IntegId::AES_CMAC_96,
];

fn batch() -> &'static dyn BatchCrypto {
    try_provider().unwrap().batch.unwrap()
}

/// One SA, with the keys of both providers.
struct Sa {
    fast: Box<dyn BatchKey>,
    encr: Box<dyn EncrKey>,
    /// `None` with an AEAD cipher.
    integ: Option<Box<dyn IntegKey>>,
    /// ESP header and IV.
    head: usize,
    block_len: usize,
    icv_len: usize,
    extended: bool,
}

impl Sa {
    fn new(encr: EncrId, integ: IntegId, key_len: usize, extended: bool, rng: &mut SeededRandom) -> Self {
        let portable = ravelin_crypto_rustcrypto::provider_with_legacy();
        let encr_alg = portable.encr(encr).unwrap();
        let integ_alg = portable.integ(integ);
        let (mut encr_key, mut integ_key) = (vec![0; key_len], vec![0; integ_alg.map_or(0, |alg| alg.key_len())]);
        rng.fill(&mut encr_key);
        rng.fill(&mut integ_key);
        // It was another key before.
        let other = (vec![0xa5; encr_key.len()], vec![0xa5; integ_key.len()]);
        let mut fast = batch().key((encr, &other.0), (integ, &other.1)).unwrap().unwrap();
        fast.replace(&encr_key, &integ_key).unwrap();
        Sa {
            fast,
            encr: encr_alg.key(&encr_key).unwrap(),
            integ: integ_alg.map(|alg| alg.key(&integ_key).unwrap()),
            head: 8 + encr_alg.iv_len(),
            block_len: encr_alg.block_len(),
            icv_len: integ_alg.map_or(encr_alg.icv_len(), |alg| alg.icv_len()),
            extended,
        }
    }

    /// What the engine does without batches.
    fn seal(&self, esp: &mut [u8], high: u32) {
        let (text, icv) = esp.split_at_mut(esp.len() - self.icv_len);
        let (head, data) = text.split_at_mut(self.head);
        let high = high.to_be_bytes();
        let high: &[u8] = if self.extended { &high } else { &[] };
        match &self.integ {
            Some(integ) => {
                self.encr.seal(&head[8..], &[], data, &mut []);
                integ.sign(&[text, high], icv);
            }
            None => self.encr.seal(&head[8..], &[&head[..4], high, &head[4..8]].concat(), data, icv),
        }
    }
}

/// Every pair with every length of the key, with and without extended sequence numbers.
fn sas(rng: &mut SeededRandom) -> Vec<Sa> {
    let portable = ravelin_crypto_rustcrypto::provider_with_legacy();
    let mut sas = Vec::new();
    for extended in [false, true] {
        for (encr, key_lens) in ENCRS {
            let aead = portable.encr(encr).unwrap().is_aead();
            let integs: &[IntegId] = if aead { &[IntegId::NONE] } else { &INTEGS };
            for key_len in key_lens {
                for integ in integs {
                    sas.push(Sa::new(encr, *integ, *key_len, extended, rng));
                }
            }
        }
    }
    sas
}

fn packets<'a>(sas: &'a [Sa], esps: &'a mut [Vec<u8>]) -> Vec<BatchPacket<'a>> {
    let each = esps.iter_mut().enumerate().zip(sas.iter().cycle());
    each.map(|((n, esp), sa)| BatchPacket::new(&*sa.fast, esp, sa.extended.then_some(n as u32))).collect()
}

/// Random packets, the SAs of all suites taking turns.
fn fill(sas: &[Sa], count: usize, rng: &mut SeededRandom) -> Vec<Vec<u8>> {
    let one = |sa: &Sa| {
        let mut size = [0; 2];
        rng.fill(&mut size);
        let blocks = match size[0] % 8 {
            0 => 1,
            7 => 1 + usize::from(u16::from_be_bytes(size)) / 17,
            _ => 1 + usize::from(size[1]) % 94,
        };
        // Whole blocks, or as many bytes and some.
        let text = blocks * 16 - if sa.block_len == 1 { usize::from(size[1] % 16) } else { 0 };
        let mut esp = vec![0; sa.head + text + sa.icv_len];
        rng.fill(&mut esp);
        esp
    };
    sas.iter().cycle().take(count).map(one).collect()
}

fn batches_of_many_keys_agree_with_others() {
    let mut rng = SeededRandom::new(11);
    let sas = sas(&mut rng);
    for count in (0..=18).chain([31, 32, 33, 63, 64, 65, 127, 128, 129, 300]) {
        let clear = fill(&sas, count, &mut rng);
        let (mut sealed, mut expected) = (clear.clone(), clear.clone());
        batch().seal(&mut packets(&sas, &mut sealed));
        for (n, (esp, sa)) in expected.iter_mut().zip(sas.iter().cycle()).enumerate() {
            sa.seal(esp, n as u32);
        }
        assert!(sealed == expected, "{count} packets sealed");

        let mut opened = packets(&sas, &mut sealed);
        batch().open(&mut opened);
        assert!(opened.iter().all(|packet| !packet.forged), "{count} packets opened");
        for ((esp, clear), sa) in sealed.iter().zip(&clear).zip(sas.iter().cycle()) {
            let end = esp.len() - sa.icv_len;
            assert!(esp[..end] == clear[..end], "{count} packets opened");
        }
    }
}

fn forged_packets_are_marked_and_wiped() {
    let mut rng = SeededRandom::new(12);
    let sas = sas(&mut rng);
    let count = 3 * sas.len();
    let clear = fill(&sas, count, &mut rng);
    let mut sealed = clear.clone();
    batch().seal(&mut packets(&sas, &mut sealed));
    // Every third has a flipped bit somewhere, every third a length that fits no packet.
    for (n, esp) in sealed.iter_mut().enumerate() {
        match n % 3 {
            1 => {
                let mut at = [0; 2];
                rng.fill(&mut at);
                let at = usize::from(u16::from_be_bytes(at)) % esp.len();
                esp[at] ^= 0x10;
            }
            2 => esp.truncate([esp.len().min(sas[n % sas.len()].head + 1), sas[n % sas.len()].head, 3, 0][n / 3 % 4]),
            _ => {}
        }
    }
    let mut opened = packets(&sas, &mut sealed);
    batch().open(&mut opened);
    let forged: Vec<bool> = opened.iter().map(|packet| packet.forged).collect();
    for (n, (esp, clear)) in sealed.iter().zip(&clear).enumerate() {
        assert_eq!(forged[n], n % 3 != 0, "packet {n}");
        let end = clear.len() - sas[n % sas.len()].icv_len;
        if forged[n] {
            assert!(esp.iter().skip(sas[n % sas.len()].head).all(|byte| *byte == 0), "packet {n} is wiped");
        } else {
            assert!(esp[..end] == clear[..end], "packet {n} is open");
        }
    }
    // So is one beyond any IP packet, whatever its end.
    let mut esp = vec![1; sas[0].head + (1 << 16) + sas[0].icv_len];
    sas[0].seal(&mut esp, 0);
    let mut packet = [BatchPacket::new(&*sas[0].fast, &mut esp, None)];
    batch().open(&mut packet);
    assert!(packet[0].forged);
    // A wrong upper half is a forgery as well.
    for extended in sas.iter().filter(|sa| sa.extended) {
        let mut esp = vec![1; extended.head + 16 + extended.icv_len];
        extended.seal(&mut esp, 5);
        let mut packet = [BatchPacket::new(&*extended.fast, &mut esp, Some(6))];
        batch().open(&mut packet);
        assert!(packet[0].forged);
    }
}

fn other_pairs_have_no_batches() {
    let none = |encr, integ| matches!(batch().key(encr, integ), Ok(None));
    assert!(none((EncrId::AES_GCM_16, &[0; 20]), (IntegId::NONE, &[])));
    assert!(none((EncrId::AES_CCM_8_IIV, &[0; 19]), (IntegId::NONE, &[])));
    assert!(none((EncrId::AES_CCM_16, &[0; 27]), (IntegId::NONE, &[])));
    assert!(none((EncrId::CAMELLIA_CBC, &[0; 16]), (IntegId::HMAC_SHA1_96, &[0; 20])));
    assert!(none((EncrId::AES_CBC, &[0; 16]), (IntegId::AES_128_GMAC, &[0; 20])));
    assert!(none((EncrId::AES_CBC, &[0; 16]), (IntegId::NONE, &[])));
    for (encr, lens) in ENCRS.into_iter().take(5) {
        for (integ, integ_len) in INTEGS.into_iter().zip([20, 32, 48, 64, 16, 16, 16]) {
            for len in (0..=40).filter(|len| !lens.contains(len)) {
                assert!(batch().key((encr, &vec![0; len]), (integ, &vec![0; integ_len])).is_err(), "{encr} {len}");
            }
            for len in (0..=70).filter(|len| *len != integ_len) {
                assert!(batch().key((encr, &vec![0; lens[0]]), (integ, &vec![0; len])).is_err(), "{integ} {len}");
            }
        }
    }
    let bad = |encr: &[u8], integ: &[u8]| batch().key((EncrId::AES_CCM_12, encr), (IntegId::NONE, integ)).is_err();
    assert!(bad(&[0; 18], &[]) && bad(&[0; 20], &[]) && bad(&[], &[]) && bad(&[0; 19], &[0]));
    assert!(!bad(&[0; 19], &[]) && !bad(&[0; 35], &[]));
}
