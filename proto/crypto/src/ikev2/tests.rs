//! The key schedule against a prf that shows what went in. Real algorithms and published vectors run in
//! `ravelin-testkit`, against every provider.

use alloc::boxed::Box;
use alloc::vec::Vec;

use ravelin_types::Secret;
use ravelin_types::transform::PrfId;

use super::schedule::prf_plus;
use super::{Nonces, SignedOctets, Skeyseed, shared_key};
use crate::provider::{PrfAlg, PrfKey};

/// Returns the first eight bytes of `key | parts`, dots behind a shorter input.
struct Transparent;

impl PrfAlg for Transparent {
    fn id(&self) -> PrfId {
        PrfId(1024)
    }

    fn output_len(&self) -> usize {
        8
    }

    fn key(&self, key: &[u8]) -> Box<dyn PrfKey> {
        Box::new(Key(key.to_vec()))
    }
}

struct Key(Vec<u8>);

impl PrfKey for Key {
    fn prf(&self, parts: &[&[u8]], out: &mut [u8]) {
        let input: Vec<u8> = [&self.0[..], &parts.concat()].concat();
        for (i, out) in out.iter_mut().enumerate() {
            *out = input.get(i).copied().unwrap_or(b'.');
        }
    }
}

const NONCES: Nonces<'static> = Nonces { initiator: b"I", responder: b"R" };

#[test]
fn prf_plus_chains_blocks_and_counts_from_one() {
    let stream = prf_plus(&Transparent, b"k", [&b"s"[..], b"t"], 19);
    // T1 = "k" | "st" | 01; T2 = "k" | T1 | ...; T3 = "k" | T2, cut to three bytes.
    assert_eq!(stream.expose(), b"kst\x01....kkst\x01...kkk");
    assert_eq!(prf_plus(&Transparent, b"k", [&b"s"[..]], 0).len(), 0);
    assert_eq!(prf_plus(&Transparent, b"k", [&b"s"[..]], 255 * 8).len(), 255 * 8);
}

#[test]
fn skeyseed_keys_the_first_with_nonces_and_the_next_with_sk_d() {
    let shared = Secret::from(&b"gir"[..]);
    assert_eq!(Skeyseed::initial(&Transparent, &shared, NONCES).expose(), b"IRgir...");
    let sk_d = Secret::from(&b"d"[..]);
    assert_eq!(Skeyseed::rekeyed(&Transparent, &sk_d, &[shared], NONCES).expose(), b"dgirIR..");
    // RFC 9370 §2.2.4: the secrets of additional key exchanges come after the nonces.
    let secrets = [b"x", b"y", b"z"].map(|secret| Secret::from(&secret[..]));
    assert_eq!(Skeyseed::rekeyed(&Transparent, &sk_d, &secrets, NONCES).expose(), b"dxIRyz..");
}

#[test]
fn auth_covers_message_nonce_and_keyed_identity() {
    let sk_p = Secret::from(&b"p"[..]);
    let octets = SignedOctets::new(&Transparent, b"msg", b"N", &sk_p, b"id");
    assert_eq!(octets.parts().concat(), b"msgNpid.....");
    // draft-ietf-ipsecme-ikev2-downgrade-prevention-08: what was received comes before what was sent.
    let whole = octets.clone().with_received(b"other").with_intermediate(b"int");
    assert_eq!(whole.parts().concat(), b"\0\0\0\0\0\0\0\0othermsgNpid.....int");
    let key = &*shared_key(&Transparent, &Secret::from(&b"x"[..]));
    let auth = octets.shared_auth(&Transparent, key);
    assert_eq!(auth, b"xKey Pad");
    assert!(octets.verify_shared_auth(&Transparent, key, &auth).is_ok());
    assert!(octets.verify_shared_auth(&Transparent, key, &auth[..7]).is_err());
    assert!(octets.verify_shared_auth(&Transparent, key, b"xKey Paf").is_err());
}
