//! Many packets in one call, against one at a time with AWS-LC.

use ravelin_crypto::{BatchCrypto, BatchKey, BatchPacket, EncrKey, IntegKey, SecureRandom};
use ravelin_crypto_ipsec_mb::try_provider;
use ravelin_testkit::SeededRandom;
use ravelin_types::transform::{EncrId, IntegId};

use crate::Case;

pub const CASES: &[Case] = &[
    ("batches_of_many_keys_agree_with_aws_lc", batches_of_many_keys_agree_with_aws_lc),
    ("forged_packets_are_marked_and_wiped", forged_packets_are_marked_and_wiped),
    ("other_pairs_have_no_batches", other_pairs_have_no_batches),
];

const HEAD: usize = 8 + 16;
const INTEGS: [IntegId; 4] =
    [IntegId::HMAC_SHA1_96, IntegId::HMAC_SHA2_256_128, IntegId::HMAC_SHA2_384_192, IntegId::HMAC_SHA2_512_256];

fn batch() -> &'static dyn BatchCrypto {
    try_provider().unwrap().batch.unwrap()
}

/// One SA, with the keys of both providers.
struct Sa {
    fast: Box<dyn BatchKey>,
    encr: Box<dyn EncrKey>,
    integ: Box<dyn IntegKey>,
    icv_len: usize,
    extended: bool,
}

impl Sa {
    fn new(integ: IntegId, key_len: usize, extended: bool, rng: &mut SeededRandom) -> Self {
        let aws_lc = ravelin_crypto_aws_lc::provider();
        let integ_alg = aws_lc.integ(integ).unwrap();
        let (mut encr_key, mut integ_key) = (vec![0; key_len], vec![0; integ_alg.key_len()]);
        rng.fill(&mut encr_key);
        rng.fill(&mut integ_key);
        let fast = batch().key((EncrId::AES_CBC, &encr_key), (integ, &integ_key));
        Sa {
            fast: fast.unwrap().unwrap(),
            encr: aws_lc.encr(EncrId::AES_CBC).unwrap().key(&encr_key).unwrap(),
            integ: integ_alg.key(&integ_key).unwrap(),
            icv_len: integ_alg.icv_len(),
            extended,
        }
    }

    /// What the engine does without batches.
    fn seal(&self, esp: &mut [u8], high: u32) {
        let (text, icv) = esp.split_at_mut(esp.len() - self.icv_len);
        let (head, data) = text.split_at_mut(HEAD);
        self.encr.seal(&head[8..], &[], data, &mut []);
        let high = high.to_be_bytes();
        self.integ.sign(&[text, if self.extended { &high } else { &[] }], icv);
    }
}

fn sas(rng: &mut SeededRandom) -> Vec<Sa> {
    let mut sas = Vec::new();
    for extended in [false, true] {
        for key_len in [16, 24, 32] {
            for integ in INTEGS {
                sas.push(Sa::new(integ, key_len, extended, rng));
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
        let mut esp = vec![0; HEAD + blocks * 16 + sa.icv_len];
        rng.fill(&mut esp);
        esp
    };
    sas.iter().cycle().take(count).map(one).collect()
}

fn batches_of_many_keys_agree_with_aws_lc() {
    let mut rng = SeededRandom::new(11);
    let sas = sas(&mut rng);
    for count in (0..=70).chain([127, 128, 129, 300]) {
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
    let count = 100;
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
            2 => esp.truncate([esp.len() - 1, HEAD, 3, 0][n / 3 % 4]),
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
            assert!(esp.iter().skip(HEAD).all(|byte| *byte == 0), "packet {n} is wiped");
        } else {
            assert!(esp[..end] == clear[..end], "packet {n} is open");
        }
    }
    // So is one beyond any IP packet, whatever its end.
    let mut esp = vec![1; HEAD + (1 << 16) + sas[0].icv_len];
    sas[0].seal(&mut esp, 0);
    let mut packet = [BatchPacket::new(&*sas[0].fast, &mut esp, None)];
    batch().open(&mut packet);
    assert!(packet[0].forged);
    // A wrong upper half is a forgery as well.
    let extended = &sas[12];
    let mut esp = vec![1; HEAD + 16 + extended.icv_len];
    extended.seal(&mut esp, 5);
    let mut packet = [BatchPacket::new(&*extended.fast, &mut esp, Some(6))];
    batch().open(&mut packet);
    assert!(packet[0].forged);
}

fn other_pairs_have_no_batches() {
    let none = |encr, integ| matches!(batch().key(encr, integ), Ok(None));
    assert!(none((EncrId::AES_GCM_16, &[0; 20]), (IntegId::NONE, &[])));
    assert!(none((EncrId::AES_CBC, &[0; 16]), (IntegId::HMAC_MD5_96, &[0; 16])));
    assert!(none((EncrId::DES3, &[0; 24]), (IntegId::HMAC_SHA1_96, &[0; 20])));
    let bad = |encr: &[u8], integ: &[u8]| batch().key((EncrId::AES_CBC, encr), (IntegId::HMAC_SHA1_96, integ)).is_err();
    assert!(bad(&[0; 17], &[0; 20]) && bad(&[0; 16], &[0; 19]) && bad(&[], &[0; 20]) && bad(&[0; 16], &[]));
    assert!(!bad(&[0; 16], &[0; 20]));
}
