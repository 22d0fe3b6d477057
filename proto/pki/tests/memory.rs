//! What is remembered of certificates saves signatures, and no judgement (ADR 0089).
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::sync::Mutex;

use ravelin_crypto::signature::{KeyKind, PrivateKey, PublicKey, SignatureScheme, Signatures};
use ravelin_crypto::{BadKey, CryptoProvider, Forged};
use ravelin_crypto_aws_lc::provider;
use ravelin_pki::auth::{Claim, Proof, Refusal, Trust, World};
use ravelin_pki::memory::{Forgetful, Memory, Seen};
use ravelin_pki::restriction::KeyRule;
use ravelin_pki::{Certificate, Crl, Fault, Restrictions, Time, Usage, limits};
use ravelin_testkit::papers::{self, Kind, Paper};
use ravelin_types::Identity;

/// 2026-06-01.
const NOW: Time = Time(1_780_272_000);

thread_local! {
    static VERIFIED: Cell<usize> = const { Cell::new(0) };
    static READIED: Cell<usize> = const { Cell::new(0) };
}

/// Signatures of the provider, counted as they are verified, and keys as they are readied.
struct Counting;

struct Key(Box<dyn PublicKey>);

impl Signatures for Counting {
    fn public_key(&self, spki: &[u8]) -> Result<Box<dyn PublicKey>, BadKey> {
        READIED.set(READIED.get() + 1);
        Ok(Box::new(Key(provider().signatures.unwrap().public_key(spki)?)))
    }

    fn private_key(&self, pkcs8: &[u8]) -> Result<Box<dyn PrivateKey>, BadKey> {
        provider().signatures.unwrap().private_key(pkcs8)
    }
}

impl PublicKey for Key {
    fn kind(&self) -> KeyKind {
        self.0.kind()
    }

    fn verify(&self, scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> Result<(), Forged> {
        VERIFIED.set(VERIFIED.get() + 1);
        self.0.verify(scheme, message, signature)
    }
}

#[derive(Default)]
struct Kept(Mutex<Seen>);

impl Memory for Kept {
    fn with(&self, act: &mut dyn FnMut(&mut Seen)) {
        act(&mut self.0.lock().unwrap());
    }
}

fn trust(anchor: &Paper) -> Trust {
    Trust { anchors: [Certificate::parse(&anchor.der).unwrap()].into(), ..Trust::default() }
}

fn at(memory: &dyn Memory) -> World<'_> {
    World { now: NOW, crls: &[], answers: &[], memory }
}

/// What comes of it, and how many signatures were verified for that.
fn judge(trust: &Trust, sent: &[&[u8]], world: World<'_>) -> (Result<(), Fault>, usize) {
    let crypto = CryptoProvider { signatures: Some(&Counting), ..provider() };
    VERIFIED.set(0);
    let peer = Identity::Fqdn("peer.example.org".into());
    let judged = trust.judge_tls(Some(&peer), sent, Usage::Ike, world, &crypto).map(|_| ()).map_err(|why| match why {
        Refusal::Certificate(fault) => fault,
        other => panic!("{other}"),
    });
    (judged, VERIFIED.get())
}

/// A root, an authority below it, and a peer.
fn family() -> [Paper; 3] {
    let root = papers::root("root", Kind::P256);
    let middle = root.intermediate("middle", Kind::P256);
    let peer = middle.peer("peer", &["peer.example.org"], Kind::P256);
    [root, middle, peer]
}

#[test]
fn a_peer_that_comes_back_costs_no_signature_of_its_authorities() {
    let [root, middle, peer] = family();
    let (memory, trust) = (Kept::default(), trust(&root));
    let sent: [&[u8]; 2] = [&peer.der, &middle.der];
    assert_eq!(judge(&trust, &sent, at(&memory)), (Ok(()), 2));
    assert_eq!(judge(&trust, &sent, at(&memory)), (Ok(()), 0));
    // Another one below the same authority costs its own.
    let other = middle.peer("other", &["peer.example.org"], Kind::P256);
    assert_eq!(judge(&trust, &[&other.der, &middle.der], at(&memory)), (Ok(()), 1));
    assert_eq!(judge(&trust, &sent, at(&Forgetful)), (Ok(()), 2));
}

// Each is judged, and verifies the certificate below it; that of the peer verifies AUTH.
#[test]
fn each_key_is_readied_once_for_a_judgement() {
    let [root, middle, peer] = family();
    let crypto = CryptoProvider { signatures: Some(&Counting), ..provider() };
    let certificates = [(4, peer.der.clone()), (4, middle.der.clone())];
    let pinned = Trust { pinned: vec![Certificate::parse(&peer.der).unwrap()], ..Trust::default() };
    for (trust, keys) in [(trust(&root), 3), (pinned, 1)] {
        READIED.set(0);
        let identity = &Identity::Fqdn("peer.example.org".into());
        let proof = Proof { method: 9, data: vec![1; 64] };
        let claim = Claim { identity, certificates: &certificates, proof: &proof, octets: b"octets" };
        let judged = trust.judge(claim, at(&Forgetful), &crypto);
        assert!(matches!(judged, Err(Refusal::Signature(_))), "{judged:?}");
        assert_eq!(READIED.get(), keys);
    }
}

#[test]
fn everything_but_signatures_is_judged_anew() {
    let [root, middle, peer] = family();
    let (memory, plain) = (Kept::default(), trust(&root));
    let sent: [&[u8]; 2] = [&peer.der, &middle.der];
    assert_eq!(judge(&plain, &sent, at(&memory)), (Ok(()), 2));
    let of = |trust: &Trust, world: World<'_>| judge(trust, &sent, world).0;
    // Time.
    assert!(matches!(of(&plain, World { now: Time(u64::MAX), ..at(&memory) }), Err(Fault::Expired(..))));
    // Revocation, of the peer and of the authority.
    for (authority, gone) in [(&middle, &peer), (&root, &middle)] {
        let crls = [Crl::parse(&authority.crl(&[gone])).unwrap()];
        assert!(matches!(of(&plain, World { crls: &crls, ..at(&memory) }), Err(Fault::Revoked(_))));
    }
    // Names.
    let stranger = Identity::Fqdn("stranger.example.org".into());
    let judged = plain.judge_tls(Some(&stranger), &sent, Usage::Ike, at(&memory), &provider());
    assert!(matches!(judged, Err(Refusal::Certificate(Fault::WrongName { .. }))));
    // Usage, and what is accepted.
    let judged = plain.judge_tls(None, &[&middle.der], Usage::Ike, at(&memory), &provider());
    assert!(matches!(judged, Err(Refusal::Certificate(Fault::Usage(_)))));
    let keys = Restrictions { words: "ecdsa-384".into(), keys: vec![KeyRule::Ecdsa(384)], ..Restrictions::default() };
    assert!(matches!(of(&Trust { restrictions: keys, ..plain.clone() }, at(&memory)), Err(Fault::Restricted(..))));
    // Whom we believe.
    assert!(matches!(of(&trust(&papers::root("other", Kind::P256)), at(&memory)), Err(Fault::UnknownAuthority { .. })));
    assert_eq!(of(&plain, at(&memory)), Ok(()));
}

#[test]
fn a_signature_is_known_of_one_key_and_of_these_octets() {
    // Without an identifier of the key above it, which would tell authorities apart before.
    let root = papers::root("root", Kind::P256);
    let middle = root.issue(papers::authority(papers::subject("middle", &[])), Kind::P256);
    let peer = middle.peer("peer", &["peer.example.org"], Kind::P256);
    let (memory, plain) = (Kept::default(), trust(&root));
    assert_eq!(judge(&plain, &[&peer.der, &middle.der], at(&memory)), (Ok(()), 2));
    // An authority of the same name with another key.
    let impostor = trust(&papers::root("root", Kind::P256));
    let judged = judge(&impostor, &[&peer.der, &middle.der], at(&memory));
    assert!(matches!(judged, (Err(Fault::BadSignature(_)), 1)), "{judged:?}");
    // One octet of the signature, which is the end.
    let mut forged = peer.der.clone();
    *forged.last_mut().unwrap() ^= 1;
    // What was refused is not known the next time either.
    for _ in 0..2 {
        let judged = judge(&plain, &[&forged, &middle.der], at(&memory));
        assert!(matches!(judged, (Err(Fault::UnknownAuthority { .. }), 1)), "{judged:?}");
    }
}

#[test]
fn those_that_were_not_shown_for_long_go() {
    let root = papers::root("root", Kind::P256);
    let (memory, trust) = (Kept::default(), trust(&root));
    // As long as they may be.
    let names: Vec<String> =
        (0..limits::NAMES - 1).map(|number| format!("{number}.{}.example.org", "x".repeat(60))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).chain(["peer.example.org"]).collect();
    let first = root.peer("first", &names, Kind::P256);
    let faithful = root.peer("faithful", &names, Kind::P256);
    let comes = |paper: &Paper| {
        let (judged, verified) = judge(&trust, &[&paper.der], at(&memory));
        assert_eq!(judged, Ok(()));
        verified
    };
    assert_eq!((comes(&first), comes(&faithful), comes(&first)), (1, 1, 0));
    for _ in 0..2 * limits::REMEMBERED / first.der.len() {
        assert_eq!(comes(&root.peer("one of many", &names, Kind::P256)), 1);
        assert_eq!(comes(&faithful), 0);
    }
    assert_eq!(comes(&first), 1);
}
