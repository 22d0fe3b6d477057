//! One packet at a time.

use ravelin_crypto::{CryptoProvider, SecureRandom};
use ravelin_crypto_ipsec_mb::try_provider;
use ravelin_testkit::{SeededRandom, pieces, vectors};
use ravelin_types::transform::{EncrId, IntegId};

use crate::Case;

pub const CASES: &[Case] = &[
    ("every_vector_agrees", every_vector_agrees),
    ("a_composed_provider_has_everything", a_composed_provider_has_everything),
    ("random_packets_agree_with_others", random_packets_agree_with_others),
    ("integrity_agrees_with_others", integrity_agrees_with_others),
    ("every_cipher_takes_text_in_pieces", every_cipher_takes_text_in_pieces),
    ("forgeries_leave_no_plaintext", forgeries_leave_no_plaintext),
    ("a_key_works_on_every_thread", a_key_works_on_every_thread),
];

fn every_vector_agrees() {
    let provider = try_provider().unwrap();
    let chacha = provider.encr(EncrId::CHACHA20_POLY1305).is_some();
    // Those that are faster with AVX-512 alone.
    let with_avx512 = |count: usize| if chacha { count } else { 0 };
    let mut expected = vec![
        ("captured/sk_payload.json", with_avx512(1)),
        // AES-GCM in three sizes with three ICVs, and ChaCha20-Poly1305.
        ("message/tampered", 9 + with_avx512(1)),
        ("openssl/aes_gmac.json", 18),
        ("openssl/aes_gmac.json, in AH", 18),
        ("rfc/aes_ctr.json", with_avx512(9)),
        ("rfc/chacha20_poly1305.json", with_avx512(2)),
        ("rfc/chacha20_poly1305.json, implicit IV", with_avx512(2)),
        ("wycheproof/aes_gcm.json", 99),
        ("wycheproof/aes_gcm.json, cut", 116),
        ("wycheproof/aes_gcm.json, implicit IV", 99),
        ("wycheproof/chacha20_poly1305.json", with_avx512(158)),
    ];
    expected.retain(|(_, count)| *count > 0);
    let counts = vectors::check(&provider);
    let ran: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(ran, expected);
}

fn a_composed_provider_has_everything() {
    let (fast, rest) = (try_provider().unwrap(), ravelin_crypto_aws_lc::provider());
    let both = rest.with_packets_by(&fast);
    assert_eq!(both.name, fast.name);
    assert!(both.batch.is_some() && rest.batch.is_none());
    let ids = |provider: &CryptoProvider| provider.encr.iter().map(|alg| alg.id()).collect::<Vec<_>>();
    let more = ids(&fast).into_iter().filter(|id| !ids(&rest).contains(id)).collect();
    assert_eq!(ids(&both), [ids(&rest), more].concat());
    let gcm = |provider: &CryptoProvider| std::ptr::from_ref(provider.encr(EncrId::AES_GCM_16).unwrap()).cast::<()>();
    assert_eq!(gcm(&both), gcm(&fast));
    assert_ne!(gcm(&both), gcm(&rest));
    assert!(both.encr(EncrId::AES_CBC).is_some() && both.integ(IntegId::HMAC_SHA2_256_128).is_some());
    assert!(rest.integ(IntegId::AES_128_GMAC).is_none() && both.integ(IntegId::AES_128_GMAC).is_some());
    assert_eq!((both.prf.len(), both.ke.len()), (rest.prf.len(), rest.ke.len()));
    let (counts, fast) = (vectors::check(&both), vectors::check(&fast));
    assert!(fast.iter().all(|(file, count)| counts[file] >= *count), "{counts:?}");
    assert!(vectors::check(&rest).iter().all(|(file, count)| counts[file] >= *count), "{counts:?}");
}

/// Every length to beyond a kilobyte, and some up to the largest packet.
fn random_packets_agree_with_others() {
    let (ours, aws_lc) = (try_provider().unwrap(), ravelin_crypto_aws_lc::provider());
    let portable = ravelin_crypto_rustcrypto::provider();
    let mut rng = SeededRandom::new(3);
    let mut bytes = |len: usize| {
        let mut bytes = vec![0; len];
        rng.fill(&mut bytes);
        bytes
    };
    for alg in ours.encr {
        let other = aws_lc.encr(alg.id()).or(portable.encr(alg.id())).unwrap();
        for bits in alg.key_bits() {
            let short = 0..=1100;
            let long = (0..60).map(|n| 1100 + n * 1079);
            for (n, len) in short.chain(long).enumerate() {
                let key = bytes(usize::from(*bits) / 8 + alg.salt_len());
                let (one, two) = (alg.key(&key).unwrap(), other.key(&key).unwrap());
                let (iv, aad, text) =
                    (bytes(alg.iv_len()), bytes(if alg.is_aead() { [8, 12, 0, 1, 20][n % 5] } else { 0 }), bytes(len));
                // Not aligned to anything.
                let mut room = vec![0; len + 3];
                let data = &mut room[n % 4..][..len];
                data.copy_from_slice(&text);
                let mut expected = text.clone();
                let (mut icv, mut expected_icv) = (vec![0; alg.icv_len()], vec![0; alg.icv_len()]);
                one.seal(&iv, &aad, data, &mut icv);
                two.seal(&iv, &aad, &mut expected, &mut expected_icv);
                assert!(data == expected && icv == expected_icv, "{} {bits}: {len} bytes sealed", alg.id());
                one.open(&iv, &aad, data, &icv).unwrap();
                assert!(data == text, "{} {bits}: {len} bytes opened", alg.id());
            }
        }
    }
}

/// GMAC over parts of any length, as AH has them.
fn integrity_agrees_with_others() {
    let (ours, portable) = (try_provider().unwrap(), ravelin_crypto_rustcrypto::provider());
    let mut rng = SeededRandom::new(4);
    for alg in ours.integ {
        let other = portable.integ(alg.id()).unwrap();
        for len in (0..300).chain([1400, 1401, 9000]) {
            let mut bytes = vec![0; alg.key_len() + 8 + len];
            rng.fill(&mut bytes);
            let (key, rest) = bytes.split_at(alg.key_len());
            let (iv, text) = rest.split_at(8);
            let (one, two) = (alg.key(key).unwrap(), other.key(key).unwrap());
            let parts = [&text[..len / 3], &text[len / 3..len / 2], &[], &text[len / 2..]];
            let mut icv = [iv, &[0; 16]].concat();
            one.sign(&parts, &mut icv);
            two.verify(&parts, &icv).unwrap();
            one.verify(&[text], &icv).unwrap();
            icv[len % 24] ^= 1;
            one.verify(&parts, &icv).unwrap_err();
        }
    }
}

fn every_cipher_takes_text_in_pieces() {
    let provider = try_provider().unwrap();
    let all: Vec<EncrId> = provider.encr.iter().map(|alg| alg.id()).collect();
    assert_eq!(pieces::check(&provider), all);
}

fn forgeries_leave_no_plaintext() {
    let provider = try_provider().unwrap();
    for alg in provider.encr.iter().filter(|alg| alg.is_aead()) {
        let key = alg.key(&vec![7; usize::from(alg.key_bits()[0]) / 8 + alg.salt_len()]).unwrap();
        let mut sealed = [0x55; 100];
        let mut icv = vec![0; alg.icv_len()];
        let (iv, aad) = ([9; 8], [8; 8]);
        key.seal(&iv, &aad, &mut sealed, &mut icv);
        for byte in 0..icv.len() {
            let (mut data, mut bad) = (sealed, icv.clone());
            bad[byte] ^= 1;
            key.open(&iv, &aad, &mut data, &bad).unwrap_err();
            assert_eq!(data, [0; 100], "{}", alg.id());
        }
        for bad in [&icv[1..], &[icv.clone(), vec![0]].concat(), &[]] {
            let mut data = sealed;
            key.open(&iv, &aad, &mut data, bad).unwrap_err();
            assert_eq!(data, [0; 100], "{}", alg.id());
        }
        let mut data = sealed;
        key.open(&[9; 7], &aad, &mut data, &icv).unwrap_err();
        assert_eq!(data, [0; 100], "{}", alg.id());
        assert!(key.open(&iv, &[8; 9], &mut sealed.clone(), &icv).is_err());
        key.open(&iv, &aad, &mut sealed, &icv).unwrap();
        assert_eq!(sealed, [0x55; 100]);
    }
}

fn a_key_works_on_every_thread() {
    let provider = try_provider().unwrap();
    for alg in provider.encr {
        let key = alg.key(&vec![7; usize::from(alg.key_bits()[0]) / 8 + alg.salt_len()]).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                let key = &key;
                scope.spawn(move || {
                    for n in 0..500u16 {
                        let text = [thread; 333];
                        let (mut data, mut icv) = (text, vec![0; alg.icv_len()]);
                        let iv = [thread, (n >> 8) as u8, n as u8, 0, 0, 0, 0, 0];
                        key.seal(&iv, &[], &mut data, &mut icv);
                        assert_eq!(data == text, alg.id() == EncrId::NULL_AES_GMAC, "{}", alg.id());
                        key.open(&iv, &[], &mut data, &icv).unwrap();
                        assert_eq!(data, text);
                    }
                });
            }
        });
    }
}
