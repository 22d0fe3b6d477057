//! What we announce to verify (RFC 9593) is what we verify.

use ravelin_crypto::signature::{HashAlg, SignatureScheme};
use ravelin_crypto_aws_lc::provider;
use ravelin_pki::announce::{Accepts, Method};
use ravelin_pki::auth::{Claim, Credential, Proof, Trust, World};
use ravelin_pki::restriction::{Family, KeyRule, SchemeRule};
use ravelin_pki::{Certificate, Restrictions, Time, Usage, Wish, algorithm, memory};
use ravelin_testkit::papers::{self, Kind, Paper};
use ravelin_types::Identity;

/// In the time of the papers.
const NOW: Time = Time(1_780_272_000);

fn parsed(paper: &Paper) -> Certificate {
    Certificate::parse(&paper.der).expect("a certificate")
}

fn schemes(methods: &[Method]) -> Vec<SignatureScheme> {
    methods.iter().filter_map(|method| algorithm::scheme(&method.algorithm)).collect()
}

fn numbers(methods: &[Method]) -> Vec<u8> {
    methods.iter().map(|method| method.number).filter(|number| *number != 14).collect()
}

// Every method that is announced for a key is one by which a proof with that key is accepted.
#[test]
fn a_proof_by_each_announced_method_is_accepted() {
    let crypto = provider();
    for kind in [Kind::Rsa, Kind::P256, Kind::P384, Kind::P521, Kind::Ed25519] {
        let root = papers::root("root", kind);
        let peer = root.peer("peer", &["peer.example.org"], kind);
        let key = crypto.signatures.unwrap().private_key(&peer.pkcs8).unwrap();
        let credential = Credential {
            spki: parsed(&peer).spki().to_vec(),
            certificates: vec![parsed(&peer)],
            ..Credential::default()
        };
        // The certificate itself is trusted, so its key is known.
        let trust = Trust { pinned: vec![parsed(&peer)], ..Trust::default() };
        let methods = trust.methods(&crypto);
        assert!(!methods.is_empty());
        for method in methods {
            let only = Accepts { hashes: Some(trust.hashes()), methods: Some(vec![method.clone()]) };
            let proof =
                credential.prove(&*key, &only, b"octets").unwrap_or_else(|why| panic!("{kind:?} {method}: {why}"));
            assert_eq!(proof.method, method.number, "{kind:?}");
            let identity = &Identity::Fqdn("peer.example.org".into());
            let world = World { now: NOW, crls: &[], answers: &[], memory: &memory::Forgetful };
            let certificates = &credential.payloads(Wish::default(), world);
            let claim = Claim { identity, certificates, proof: &proof, octets: b"octets" };
            trust.judge(claim, world, &crypto).unwrap_or_else(|why| panic!("{kind:?} {method}: {why}"));
        }
    }
}

#[test]
fn no_more_is_announced_than_is_asked_for() {
    let crypto = provider();
    let root = papers::root("root", Kind::P256);
    let trust =
        |restrictions: Restrictions| Trust { anchors: [parsed(&root)].into(), restrictions, ..Trust::default() };
    let all = trust(Restrictions::default()).methods(&crypto);
    assert!(schemes(&all).iter().all(|scheme| scheme.hash() != Some(HashAlg::Sha1)));
    assert_eq!(numbers(&all), [9, 10, 11, 1]);
    // DSA and SHA-1 where they are named.
    let rule = |family| SchemeRule { family, hash: Some(HashAlg::Sha1) };
    let auth = vec![rule(Family::Rsa), rule(Family::Dsa)];
    let old = trust(Restrictions { dsa: true, auth, ..Restrictions::default() }).methods(&crypto);
    assert_eq!((schemes(&old), numbers(&old)), (vec![SignatureScheme::RsaPkcs1(HashAlg::Sha1)], vec![1, 3]));
    // One scheme for AUTH; keys of one family.
    let rule = SchemeRule { family: Family::Ecdsa, hash: Some(HashAlg::Sha384) };
    let one = trust(Restrictions { auth: vec![rule], ..Restrictions::default() }).methods(&crypto);
    assert_eq!((schemes(&one), numbers(&one)), (vec![SignatureScheme::Ecdsa(HashAlg::Sha384)], vec![10]));
    let keys = Restrictions { keys: vec![KeyRule::Ecdsa(384)], ..Restrictions::default() };
    assert_eq!(numbers(&trust(keys).methods(&crypto)), [10, 11]);
    // A pinned key makes what it makes.
    let raw = Trust { keys: vec![parsed(&papers::root("other", Kind::Ed25519)).spki().to_vec()], ..Trust::default() };
    let raw = raw.methods(&crypto);
    assert_eq!((schemes(&raw), numbers(&raw)), (vec![SignatureScheme::Ed25519], vec![]));
}

// Row 92 of docs/HISTORY.md, RFC 9155: good signatures by broken hashes, in AUTH by any method and in certificates.
#[test]
fn what_is_signed_by_a_broken_hash_is_refused() {
    let crypto = provider();
    let key = |paper: &Paper| crypto.signatures.unwrap().private_key(&paper.pkcs8).unwrap();
    let world = World { now: NOW, crls: &[], answers: &[], memory: &memory::Forgetful };
    let identity = &Identity::Fqdn("peer.example.org".into());
    for (kind, sha1, sha256) in [
        (Kind::Rsa, SignatureScheme::RsaPkcs1(HashAlg::Sha1), SignatureScheme::RsaPkcs1(HashAlg::Sha256)),
        (Kind::Rsa, SignatureScheme::RsaPss(HashAlg::Sha1), SignatureScheme::RsaPss(HashAlg::Sha256)),
        (Kind::P256, SignatureScheme::Ecdsa(HashAlg::Sha1), SignatureScheme::Ecdsa(HashAlg::Sha256)),
    ] {
        let peer = papers::own(papers::subject("peer", &["peer.example.org"]), kind);
        let trust = Trust { pinned: vec![parsed(&peer)], ..Trust::default() };
        let judge = |method: u8, head: &[u8], scheme: SignatureScheme| {
            let data = [head, &key(&peer).sign(scheme, b"octets").unwrap()].concat();
            let (proof, certificates) = (Proof { method, data }, [(4, peer.der.clone())]);
            trust.judge(
                Claim { identity, certificates: &certificates, proof: &proof, octets: b"octets" },
                world,
                &crypto,
            )
        };
        let named = |scheme| {
            let identifier = algorithm::identifier(scheme);
            [&[identifier.len() as u8][..], &identifier].concat()
        };
        assert!(judge(14, &named(sha256), sha256).is_ok(), "{sha256}");
        let why = judge(14, &named(sha1), sha1).unwrap_err().to_string();
        assert!(why.contains("which is not accepted"), "{sha1}: {why}");
        judge(14, &named(sha256), sha1).unwrap_err();
        if matches!(sha1, SignatureScheme::RsaPkcs1(_)) {
            assert!(judge(1, &[], sha256).is_ok());
            judge(1, &[], sha1).unwrap_err();
        }
    }

    let root = papers::root("root", Kind::Rsa);
    let peer = root.peer("peer", &["peer.example.org"], Kind::P256);
    let trust = Trust { anchors: [parsed(&root)].into(), ..Trust::default() };
    // The certificate, signed again under another name of the algorithm: its last octet, which stands inside and outside.
    let signed = |last: u8, scheme: SignatureScheme| {
        let mut der = peer.der.clone();
        let name = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11];
        let places: Vec<usize> = (0..der.len() - 9).filter(|at| der[*at..].starts_with(&name)).collect();
        assert_eq!((places.len(), &der[4..6]), (2, &[0x30, 0x82][..]));
        places.iter().for_each(|at| der[at + 8] = last);
        let end = 8 + usize::from(u16::from_be_bytes([der[6], der[7]]));
        let signature = key(&root).sign(scheme, &der[4..end]).unwrap();
        let at = der.len() - signature.len();
        der[at..].copy_from_slice(&signature);
        der
    };
    let judge = |der: Vec<u8>| {
        let judged = trust.judge_tls(Some(identity), &[&der], Usage::Ike, world, &crypto);
        judged.map(|_| ()).map_err(|why| why.to_string())
    };
    let (sha1, sha256) = (SignatureScheme::RsaPkcs1(HashAlg::Sha1), SignatureScheme::RsaPkcs1(HashAlg::Sha256));
    assert_eq!(judge(signed(11, sha256)), Ok(()));
    // SHA-1, MD5, MD2, and SHA-1 under the name of SHA2-256.
    for (last, scheme, words) in
        [(5, sha1, "SHA-1"), (4, sha1, "not known here"), (2, sha1, "not known here"), (11, sha1, "")]
    {
        let why = judge(signed(last, scheme)).unwrap_err();
        assert!(why.contains(words), "{last}: {why}");
    }
}
