//! Suites looked up in the provider, and keys cut in the order of the RFC.

use ravelin_crypto::ikev2::{ChildAlgs, IkeAlgs, KeyMat, Nonces, Skeyseed};
use ravelin_crypto_aws_lc::provider;
use ravelin_testkit::SeededRandom;
use ravelin_types::proposal::{EspSuite, IkeSuite};
use ravelin_types::transform::{EncrId, IntegId, KeMethod, PrfId, SnId};
use ravelin_types::{IkeSpi, Secret};

const NONCES: Nonces<'static> = Nonces { initiator: b"nonce of the initiator", responder: b"nonce of the responder" };

fn ike(encr: EncrId, bits: u16, integ: IntegId) -> IkeSuite {
    IkeSuite { encr, encr_key_bits: bits, integ, prf: PrfId::HMAC_SHA2_256, ke: KeMethod::CURVE25519 }
}

fn esp(encr: EncrId, bits: u16, integ: IntegId) -> Option<ChildAlgs> {
    ChildAlgs::find(&provider(), &EspSuite { encr, encr_key_bits: bits, integ, sn: SnId::PARTIAL_64 }.into())
}

#[test]
fn a_suite_is_found_only_whole_and_consistent() {
    let found = |suite: IkeSuite| IkeAlgs::find(&provider(), &suite).is_some();
    assert!(found(ike(EncrId::AES_GCM_16, 128, IntegId::NONE)));
    assert!(found(ike(EncrId::CHACHA20_POLY1305, 256, IntegId::NONE)));
    assert!(found(ike(EncrId::AES_CBC, 256, IntegId::HMAC_SHA2_256_128)));
    // RFC 5282 §8: no integrity algorithm beside an AEAD cipher; the others need one.
    assert!(!found(ike(EncrId::AES_GCM_16, 128, IntegId::HMAC_SHA2_256_128)));
    assert!(!found(ike(EncrId::AES_CBC, 256, IntegId::NONE)));
    assert!(!found(ike(EncrId::AES_GCM_16, 64, IntegId::NONE)));
    assert!(!found(ike(EncrId::DES3, 192, IntegId::HMAC_SHA1_96)));
    assert!(!found(ike(EncrId::AES_CBC, 128, IntegId::HMAC_MD5_96)));
    let suite = ike(EncrId::AES_GCM_16, 128, IntegId::NONE);
    assert!(!found(IkeSuite { prf: PrfId::HMAC_MD5, ..suite }));
    // The private group number behind CVE-2014-9221, and no group at all.
    assert!(!found(IkeSuite { ke: KeMethod(1025), ..suite }));
    assert!(!found(IkeSuite { ke: KeMethod::NONE, ..suite }));
    assert!(esp(EncrId::NULL, 0, IntegId::HMAC_SHA1_96).is_none());
    assert!(esp(EncrId::AES_CBC, 192, IntegId::NONE).is_none());
}

// RFC 7296 §2.17: the order in KEYMAT.
#[test]
fn keymat_gives_encryption_before_integrity_and_the_initiator_first() {
    let prf = provider().prf(PrfId::HMAC_SHA2_256).unwrap();
    let sk_d = Secret::from(&[9; 32][..]);
    // Both take 72 bytes of the same stream.
    let aead = esp(EncrId::AES_GCM_16, 256, IntegId::NONE).unwrap();
    let pair = esp(EncrId::AES_CBC, 128, IntegId::HMAC_SHA1_96).unwrap();
    let aead = KeyMat::derive(prf, &sk_d, &aead, &[], NONCES);
    let pair = KeyMat::derive(prf, &sk_d, &pair, &[], NONCES);
    let stream = [aead.initiator.encr.expose(), aead.responder.encr.expose()].concat();
    assert!(aead.initiator.integ.is_empty() && aead.responder.integ.is_empty());
    let parts = [&pair.initiator.encr, &pair.initiator.integ, &pair.responder.encr, &pair.responder.integ];
    assert_eq!(parts.map(Secret::len), [16, 20, 16, 20]);
    assert_eq!(parts.map(Secret::expose).concat(), stream);
}

#[test]
fn each_direction_of_an_ike_sa_has_its_own_keys() {
    for suite in [
        ike(EncrId::AES_GCM_16, 256, IntegId::NONE),
        ike(EncrId::CHACHA20_POLY1305, 256, IntegId::NONE),
        ike(EncrId::AES_CBC, 128, IntegId::HMAC_SHA2_512_256),
    ] {
        let algs = IkeAlgs::find(&provider(), &suite).unwrap();
        let seed = Skeyseed::initial(algs.prf, &Secret::from(&[1; 32][..]), NONCES);
        let (_, keys) = seed.derive(&algs, NONCES, IkeSpi(1), IkeSpi(2));
        let (mut initiator, mut responder) = keys.ciphers(&algs).unwrap();
        let mut rng = SeededRandom::new(1);
        let (mut request, mut response) = (b"head".to_vec(), b"head".to_vec());
        initiator.seal(&mut request, b"request", &mut rng);
        responder.seal(&mut response, b"response", &mut rng);
        assert_eq!(initiator.open(&request, 4).as_deref(), Ok(&b"request"[..]));
        assert_eq!(responder.open(&response, 4).as_deref(), Ok(&b"response"[..]));
        assert!(responder.open(&request, 4).is_err() && initiator.open(&response, 4).is_err());
        // Keys of one suite do not fit another.
        let other = IkeAlgs::find(&provider(), &ike(EncrId::AES_CBC, 192, IntegId::HMAC_SHA1_96)).unwrap();
        assert!(keys.ciphers(&other).is_err());
    }
}
