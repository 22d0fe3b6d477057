//! Random packets, against AWS-LC where it has the algorithm; and what is offered without being asked for.

use ravelin_crypto::SecureRandom;
use ravelin_crypto_rustcrypto::{provider, provider_with_legacy};
use ravelin_testkit::{SeededRandom, pieces};
use ravelin_types::transform::{EncrId, IntegId, PrfId};

fn random(rng: &mut SeededRandom, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    bytes
}

#[test]
fn ciphers_agree() {
    let theirs = ravelin_crypto_aws_lc::provider();
    let mut rng = SeededRandom::new(5);
    let mut compared = Vec::new();
    for alg in provider().encr {
        let Some(other) = theirs.encr(alg.id()) else { continue };
        compared.push(alg.id());
        for bits in alg.key_bits() {
            for len in (0..=80).chain([1400, 1401, 9000]).map(|len| len * alg.block_len()) {
                let key = random(&mut rng, usize::from(*bits) / 8 + alg.salt_len());
                let (one, two) = (alg.key(&key).unwrap(), other.key(&key).unwrap());
                let iv = random(&mut rng, alg.iv_len());
                let aad = if alg.is_aead() { random(&mut rng, 8 + len % 2 * 4) } else { Vec::new() };
                let text = random(&mut rng, len);
                let (mut data, mut expected) = (text.clone(), text.clone());
                let (mut icv, mut expected_icv) = (vec![0; alg.icv_len()], vec![0; alg.icv_len()]);
                one.seal(&iv, &aad, &mut data, &mut icv);
                two.seal(&iv, &aad, &mut expected, &mut expected_icv);
                assert!(data == expected && icv == expected_icv, "{} {bits}: {len} bytes sealed", alg.id());
                two.open(&iv, &aad, &mut data, &icv).unwrap();
                one.open(&iv, &aad, &mut expected, &icv).unwrap();
                assert!(data == text && expected == text, "{} {bits}: {len} bytes opened", alg.id());
            }
        }
    }
    assert_eq!(compared.len(), theirs.encr.len(), "{compared:?}");
}

#[test]
fn integrity_agrees() {
    let theirs = ravelin_crypto_aws_lc::provider();
    let mut rng = SeededRandom::new(6);
    for other in theirs.integ {
        let alg = provider().integ(other.id()).unwrap();
        for len in (0..=200).chain([1400, 9000]) {
            let key = random(&mut rng, alg.key_len());
            let (one, two) = (alg.key(&key).unwrap(), other.key(&key).unwrap());
            let text = random(&mut rng, len);
            let parts = [&text[..len / 3], &[], &text[len / 3..]];
            let mut icv = vec![0; alg.icv_len()];
            one.sign(&parts, &mut icv);
            two.verify(&[&text], &icv).unwrap();
            icv[len % alg.icv_len()] ^= 1;
            two.verify(&[&text], &icv).unwrap_err();
        }
    }
}

#[test]
fn every_cipher_takes_text_in_pieces() {
    let provider = provider_with_legacy();
    let all: Vec<EncrId> = provider.encr.iter().map(|alg| alg.id()).collect();
    assert_eq!(pieces::check(&provider), all);
}

#[test]
fn forgeries_leave_no_plaintext() {
    for alg in provider_with_legacy().encr.iter().filter(|alg| alg.is_aead()) {
        let key = alg.key(&vec![7; usize::from(alg.key_bits()[0]) / 8 + alg.salt_len()]).unwrap();
        let (mut sealed, mut icv) = ([0x55; 100], vec![0; alg.icv_len()]);
        key.seal(&[9; 8], &[8; 8], &mut sealed, &mut icv);
        for byte in 0..icv.len() {
            let (mut data, mut bad) = (sealed, icv.clone());
            bad[byte] ^= 1;
            key.open(&[9; 8], &[8; 8], &mut data, &bad).unwrap_err();
            assert_eq!(data, [0; 100], "{}", alg.id());
        }
        key.open(&[9; 8], &[8; 8], &mut sealed, &icv).unwrap();
        assert_eq!(sealed, [0x55; 100], "{}", alg.id());
    }
}

#[test]
fn legacy_algorithms_are_there_only_for_those_who_ask() {
    let (plain, legacy) = (provider(), provider_with_legacy());
    for id in [EncrId::DES, EncrId::DES3, EncrId::CAMELLIA_CBC] {
        assert!(plain.encr(id).is_none() && legacy.encr(id).is_some(), "{id}");
    }
    assert!(plain.integ(IntegId::HMAC_MD5_96).is_none() && legacy.integ(IntegId::HMAC_MD5_96).is_some());
    assert!(plain.prf(PrfId::HMAC_MD5).is_none() && legacy.prf(PrfId::HMAC_MD5).is_some());
    // The rest is the same, in the same order and ahead of them.
    let ids = |list: &[&dyn ravelin_crypto::EncrAlg]| list.iter().map(|alg| alg.id()).collect::<Vec<_>>();
    assert!(ids(legacy.encr).starts_with(&ids(plain.encr)));
    let ids = |list: &[&dyn ravelin_crypto::IntegAlg]| list.iter().map(|alg| alg.id()).collect::<Vec<_>>();
    assert!(ids(legacy.integ).starts_with(&ids(plain.integ)));
    let ids = |list: &[&dyn ravelin_crypto::PrfAlg]| list.iter().map(|alg| alg.id()).collect::<Vec<_>>();
    assert!(ids(legacy.prf).starts_with(&ids(plain.prf)));
}

#[test]
fn what_does_not_encrypt_is_never_negotiated_for_ike() {
    use ravelin_crypto::ikev2::{ChildAlgs, IkeAlgs};
    use ravelin_types::proposal::{AhSuite, EspSuite, IkeSuite};
    use ravelin_types::transform::{KeMethod, SnId};
    let both = ravelin_crypto::CryptoProvider { ke: ravelin_crypto_aws_lc::PROVIDER.ke, ..provider() };
    let (encr, integ) = (EncrId::NULL, IntegId::HMAC_SHA2_256_128);
    let esp = EspSuite { encr, encr_key_bits: 0, integ, sn: SnId::SEQUENTIAL_32 };
    assert!(ChildAlgs::find(&both, &esp.into()).is_some());
    let ke = KeMethod::CURVE25519;
    let ike = |encr, encr_key_bits| IkeSuite { encr, encr_key_bits, integ, prf: PrfId::HMAC_SHA2_256, ke };
    assert!(IkeAlgs::find(&both, &ike(EncrId::AES_CBC, 128)).is_some());
    assert!(IkeAlgs::find(&both, &ike(EncrId::NULL, 0)).is_none());
    let gmac = IkeSuite { integ: IntegId::NONE, ..ike(EncrId::NULL_AES_GMAC, 128) };
    assert!(IkeAlgs::find(&both, &gmac).is_none());
    assert!(IkeAlgs::find(&both, &IkeSuite { encr: EncrId::AES_GCM_16, ..gmac }).is_some());
    assert!(IkeAlgs::find(&both, &IkeSuite { encr: EncrId::AES_GCM_16_IIV, ..gmac }).is_none());
    // GMAC in AH has an IV, for which ESP has no room.
    assert!(IkeAlgs::find(&both, &IkeSuite { integ: IntegId::AES_128_GMAC, ..ike(EncrId::AES_CBC, 128) }).is_none());
    assert!(ChildAlgs::find(&both, &EspSuite { integ: IntegId::AES_128_GMAC, ..esp }.into()).is_none());
    let ah = AhSuite { integ: IntegId::AES_128_GMAC, sn: SnId::SEQUENTIAL_32 };
    assert!(ChildAlgs::find(&both, &ah.into()).is_some());
}
