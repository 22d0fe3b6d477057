//! AUTH by signature, both roles: kinds of keys, what is no proof, and questions that stay open.

use std::sync::Arc;
use std::time::Duration;

use ravelin_ike::config::{LocalAuth, RemoteAuth};
use ravelin_ike::explain::{Means, Part};
use ravelin_ike::{Answer, Command, Event, Input, Question, limits};
use ravelin_ike::{Ppk, PpkIn, Ppks};
use ravelin_pki::announce::Accepts;
use ravelin_pki::auth::{Claim, Credential, Proof, Trust, World};
use ravelin_pki::{Time, memory};
use ravelin_testkit::papers::{self, Kind, Paper};
use ravelin_types::Identity;

use crate::lab::*;
use crate::papers::{NAME_A, NAME_B, Papers2, certificate, credential, give_key, trust};

/// A begins, and B refuses for this reason; A hears it, and nobody has anything.
pub(super) fn refused(mut lab: Lab, words: &str) {
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    let there = lab.b.failure(Part::Certificate);
    assert!(there.to_string().contains(words), "{there}");
    let here = lab.a.failures().remove(0);
    let by = match here.part {
        Part::NotBelieved(Means::Certificate) => "by the certificate C=CH, O=Ravelin, CN=",
        Part::NotBelieved(Means::PublicKey) => "by a public key without a certificate",
        other => panic!("{other}"),
    };
    assert!(here.theirs == ["AUTHENTICATION_FAILED"] && here.ours[0].contains(by), "{here}");
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.a.sas.is_empty() && lab.b.sas.is_empty());
    lab.b.sleep(limits::HALF_OPEN_LIFETIME + Duration::from_secs(1));
    assert!(lab.b.endpoint.ike_sas().is_empty());
}

/// A begins, B answers with something that A refuses for this reason.
pub(super) fn refuses(mut lab: Lab, words: &str) {
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    let here = lab.a.failure(Part::Certificate);
    assert!(here.to_string().contains(words), "{here}");
    // B learns it from N(AUTHENTICATION_FAILED) in an INFORMATIONAL request, and that it is about its certificate or key.
    let there = lab.b.failures().into_iter().find(|failure| failure.exchange == "INFORMATIONAL").unwrap();
    assert!(matches!(there.part, Part::NotBelieved(Means::Certificate | Means::PublicKey)), "{there}");
    assert!(!there.to_string().contains("pre-shared"), "{there}");
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.b.endpoint.ike_sas().is_empty());
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
}

// HDR, SAi1, KEi, Ni, N(SIGNATURE_HASH_ALGORITHMS)  -->
//     <--  HDR, SAr1, KEr, Nr, N(SIGNATURE_HASH_ALGORITHMS), CERTREQ
// HDR, SK {IDi, CERT, CERTREQ, IDr, AUTH, SAi2, TSi, TSr}  -->
//     <--  HDR, SK {IDr, CERT, AUTH, SAr2, TSi, TSr}
// RFC 7427 §4: by a hash that the other side announced.
#[test]
fn every_kind_of_key_authenticates_both_sides() {
    for kind in [Kind::Rsa, Kind::P256, Kind::P384, Kind::P521, Kind::Ed25519] {
        let mut lab = Papers2::new(kind).lab(|_, _| ());
        lab.establish();
        lab.assert_mirrored();
        assert_eq!(lab.a.ike().identities.unwrap().1, Identity::Fqdn(NAME_B.into()), "{kind:?}");
        let up =
            lab.b.events.iter().any(|e| matches!(e, Event::IkeUp { peer: Identity::Fqdn(name), .. } if name == NAME_A));
        assert!(up, "{kind:?}");
    }
}

#[test]
fn one_side_by_certificate_and_the_other_by_pre_shared_key() {
    let papers = Papers2::new(Kind::P256);
    let mut lab = papers.lab(|a, b| {
        a.remotes[0].local_auth = LocalAuth::Psk(SECRET.into());
        b.remotes[0].remote_auth = RemoteAuth::Psk(SECRET.into());
    });
    lab.establish();
    lab.assert_mirrored();
}

#[test]
fn a_peer_with_a_certificate_of_its_own_and_raw_keys() {
    let (a, b) =
        (papers::own(papers::subject("a", &[]), Kind::P256), papers::own(papers::subject("b", &[]), Kind::Rsa));
    let pinned = |paper: &Paper| Trust { pinned: vec![certificate(&paper.der)], ..Trust::default() };
    let raw = |paper: &Paper| Trust { keys: vec![certificate(&paper.der).spki().to_vec()], ..Trust::default() };
    let bare =
        |paper: &Paper| Arc::new(Credential { certificates: vec![], ..Credential::clone(&credential(paper, &[])) });
    for (local, trusts) in [(credential(&a, &[]), [pinned(&a), pinned(&b)]), (bare(&a), [raw(&a), raw(&b)])] {
        let [of_a, of_b] = trusts;
        let make = |of_a: Trust| {
            let remote_credential = if local.certificates.is_empty() { bare(&b) } else { credential(&b, &[]) };
            let mut lab = Lab::with(|c, d| {
                c.remotes[0].local_auth = LocalAuth::Signature(local.clone());
                c.remotes[0].remote_auth = RemoteAuth::Signature(Arc::new(of_b.clone()));
                d.remotes[0].local_auth = LocalAuth::Signature(remote_credential);
                d.remotes[0].remote_auth = RemoteAuth::Signature(Arc::new(of_a));
            });
            give_key(&mut lab.a, &a);
            give_key(&mut lab.b, &b);
            lab
        };
        make(of_a).establish();
        // CVE-2020-16088: a key or certificate that is not the configured one, however good its signature.
        refused(make(of_b.clone()), "is not the certificate that is configured for the peer");
    }
}

/// A begins, up to its question for a signature. A cookie may come first: B's CERTREQ makes its answer longer.
pub(super) fn begin(lab: &mut Lab) {
    lab.a.command(Command::Initiate(POLICY));
    while lab.a.asked.is_empty() {
        lab.a_to_b();
        lab.b_to_a();
    }
}

/// Sends what A would, but its AUTH as the test has it.
fn bent(papers: &Papers2, bend: impl Fn(Proof) -> Proof) -> Lab {
    let mut lab = papers.lab(|_, _| ());
    begin(&mut lab);
    let (op, question) = lab.a.asked.pop_front().unwrap();
    let Answer::Signed(proof, certificates) = lab.a.papers.answer(question) else { panic!() };
    lab.a.input(Input::Done(op, Answer::Signed(bend(proof), certificates).into()));
    lab
}

// docs/HISTORY.md, rows 79 to 83, 91, 92: what is no signature, and what is one by a broken hash.
#[test]
fn proofs_that_are_none_are_refused() {
    let proof = |method: u8, data: &[u8]| Proof { method, data: data.to_vec() };
    let rsa_sha1 = [&[15, 0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 5, 5, 0][..], &[1; 256]].concat();
    let rsa_md5 = [&[15, 0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 4, 5, 0][..], &[1; 256]].concat();
    for (kind, bad, words) in [
        (Kind::Rsa, proof(14, &[]), "an empty digital signature"),
        (Kind::Rsa, proof(14, &[200, 1, 2]), "a digital signature that is cut short"),
        (Kind::Rsa, proof(14, &[0]), "an algorithm that is not known here"),
        (Kind::Rsa, proof(14, &rsa_sha1), "AUTH by RSA PKCS #1 with SHA-1, which is not accepted"),
        (Kind::Rsa, proof(14, &rsa_md5), "an algorithm that is not known here"),
        (Kind::Rsa, proof(1, &[]), "is not by the key"),
        (Kind::Rsa, proof(1, &[0; 256]), "is not by the key"),
        (Kind::Rsa, proof(1, &[0xff; 256]), "is not by the key"),
        (Kind::Rsa, proof(1, &[0; 4000]), "is not by the key"),
        (Kind::Rsa, proof(9, &[1; 64]), "an ECDSA signature of another curve or length"),
        (Kind::P256, proof(9, &[0; 64]), "is not by the key"),
        (Kind::P256, proof(9, &[0xff; 64]), "is not by the key"),
        (Kind::P256, proof(9, &[1; 63]), "an ECDSA signature of another curve or length"),
        (Kind::P256, proof(10, &[1; 96]), "an ECDSA signature of another curve or length"),
        (Kind::P256, proof(1, &[1; 256]), "a scheme that a key of the kind ECDSA P-256 does not make"),
        // By the pre-shared key that nobody has.
        (Kind::P256, proof(2, &[1; 32]), "AUTH by pre-shared key"),
        (Kind::P256, proof(3, &[1; 40]), "a DSS signature of another key or length"),
    ] {
        let papers = Papers2::new(kind);
        let mut lab = bent(&papers, |_| bad.clone());
        lab.settle();
        let part = if bad.method == 2 { Part::Method } else { Part::Certificate };
        let there = lab.b.failure(part);
        assert!(there.to_string().contains(words), "{bad:?}: {there}");
        assert!(lab.b.sas.is_empty());
    }
    // RFC 7619 §2: authentication by nobody.
    let mut lab = bent(&Papers2::new(Kind::P256), |_| proof(13, &[]));
    lab.settle();
    assert!(lab.b.failure(Part::Method).theirs[0].ends_with(" by NULL authentication"));
    assert!(lab.b.sas.is_empty());
    // One bit of a good one.
    let papers = Papers2::new(Kind::Rsa);
    let mut lab = bent(&papers, |mut proof| {
        *proof.data.last_mut().unwrap() ^= 1;
        proof
    });
    lab.settle();
    lab.b.failure(Part::Certificate);
}

pub(super) fn unhex(digits: &str) -> Vec<u8> {
    let octet = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(octet).collect()
}

/// DER: a tag, the length, what is inside.
pub(super) fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let inner = parts.concat();
    let head = match inner.len() {
        len @ 0..=127 => vec![tag, len as u8],
        len @ 128..=255 => vec![tag, 0x81, len as u8],
        len => [&[tag, 0x82][..], &(len as u16).to_be_bytes()].concat(),
    };
    [head, inner].concat()
}

// Rows 79 and 80 of docs/HISTORY.md, RFC 4055 §3.1: a good signature under parameters of PSS by which nobody signs, each of them there
// or left out.
#[test]
fn parameters_of_pss_that_no_signer_has_are_refused_around_a_good_signature() {
    let sha256 = unhex("300d06096086480165030402010500");
    let (pss, mgf1) = (unhex("06092a864886f70d01010a"), unhex("06092a864886f70d010108"));
    let hash = der(0xa0, &[&sha256]);
    let mask = der(0xa1, &[&der(0x30, &[&mgf1, &sha256])]);
    let salt = |octets: &[u8]| der(0xa2, &[&der(2, &[octets])]);
    let trailer = |number: u8| der(0xa3, &[&[2, 1, number]]);
    let of = |parts: &[&[u8]]| der(0x30, &[&pss, &der(0x30, parts)]);
    let (good, last) = (salt(&[32]), trailer(1));
    let mut bad = vec![
        // No parameters at all, NULL, and octets behind them.
        der(0x30, &[&pss]),
        der(0x30, &[&pss, &[5, 0]]),
        der(0x30, &[&pss, &der(0x30, &[&hash, &mask, &good]), &[5, 0]]),
        // MGF1 without its hash, and with another one.
        of(&[&hash, &der(0xa1, &[&der(0x30, &[&mgf1])]), &good]),
        of(&[&hash, &der(0xa1, &[&der(0x30, &[&mgf1, &unhex("300d06096086480165030402030500")])]), &good]),
        of(&[&hash, &mask, &good, &trailer(2)]),
        of(&[&hash, &mask, &good, &trailer(0)]),
        of(&[&hash, &hash, &mask, &good]),
    ];
    // A salt of -1, 0, 33, as long as the modulus, of 2^31 - 1, of 2^32 - 1, and of what has no end.
    let lengths: [&[u8]; 8] =
        [&[0xff], &[0], &[33], &[1, 0], &[0x7f, 0xff, 0xff, 0xff], &[0, 0xff, 0xff, 0xff, 0xff], &[1; 9], &[]];
    bad.extend(lengths.map(|length| of(&[&hash, &mask, &salt(length)])));
    let fields = [&hash, &mask, &good, &last];
    let some = |which: u32| {
        let kept: Vec<&[u8]> = (0..4).filter(|at| which >> at & 1 == 1).map(|at| fields[at].as_slice()).collect();
        of(&kept)
    };
    // Without its hash, mask or salt it says SHA-1, or 20 octets.
    bad.extend((0..16).filter(|which| which & 0b111 != 0b111).map(some));
    let papers = Papers2::new(Kind::Rsa);
    let with = |identifier: &[u8]| {
        let mut lab = bent(&papers, |proof| {
            let (len, rest) = proof.data.split_first().unwrap();
            let (honest, signature) = rest.split_at(usize::from(*len));
            assert_eq!((proof.method, honest), (14, of(&[&hash, &mask, &good]).as_slice()));
            Proof { method: 14, data: [&[identifier.len() as u8], identifier, signature].concat() }
        });
        lab.settle();
        lab
    };
    for identifier in &bad {
        let lab = with(identifier);
        let there = lab.b.failure(Part::Certificate).to_string();
        assert!(there.contains("which is not accepted"), "{identifier:02x?}: {there}");
        assert!(lab.b.sas.is_empty() && lab.a.sas.is_empty());
    }
    for identifier in [some(0b0111), some(0b1111)] {
        with(&identifier).assert_mirrored();
    }
}

// Rows 78, 81 to 83 and 91 of docs/HISTORY.md: nothing, zeros, the modulus, the order, one: in the right form, by every kind of key.
#[test]
fn numbers_that_are_no_signature_authenticate_nobody() {
    let order = unhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let pair = |r: &[u8], s: &[u8]| der(0x30, &[&der(2, &[r]), &der(2, &[s])]);
    let long = [&[0][..], &order].concat();
    for kind in [Kind::Rsa, Kind::P256, Kind::P384, Kind::P521, Kind::Ed25519] {
        let papers = Papers2::new(kind);
        let mut bad = vec![vec![], vec![0], vec![0; 64], vec![0xff; 64], vec![0; 256], vec![0; 4096]];
        match kind {
            Kind::Rsa => {
                let spki = certificate(&papers.a.der).spki().to_vec();
                // The exponent is the last: 2 3 1 0 1.
                let modulus = spki[spki.len() - 5 - 256..spki.len() - 5].to_vec();
                let mut above = modulus.clone();
                *above.last_mut().unwrap() += 1;
                let one = [&[0; 255][..], &[1]].concat();
                bad.extend([vec![0xff; 256], modulus.clone(), above, one, [&[0][..], &modulus].concat()]);
            }
            Kind::Ed25519 => {
                // The neutral element, with S of zero: good for any message where nobody looks at the key.
                bad.push([&[1][..], &[0; 63]].concat());
            }
            _ => {
                bad.extend([
                    pair(&[0], &[0]),
                    pair(&[0], &[1]),
                    pair(&[1], &[0]),
                    pair(&[1], &[1]),
                    pair(&[0xff], &[1]),
                ]);
                bad.extend([pair(&long, &[1]), pair(&[1], &long), pair(&long, &long), pair(&[], &[]), vec![0x30, 0]]);
            }
        }
        for signature in &bad {
            let mut lab = bent(&papers, |proof| {
                let len = usize::from(proof.data[0]);
                Proof { method: 14, data: [&proof.data[..=len], signature].concat() }
            });
            lab.settle();
            let there = lab.b.failure(Part::Certificate).to_string();
            assert!(there.contains("is not by the key of the certificate"), "{kind:?} {signature:02x?}: {there}");
            assert!(lab.b.sas.is_empty() && lab.a.sas.is_empty());
        }
        papers.lab(|_, _| ()).establish();
    }
}

// Rows 81 and 82 of docs/HISTORY.md: keys that are none, in a certificate that its authority has signed and as a raw key.
#[test]
fn keys_that_are_none_authenticate_nobody() {
    let rsa = |modulus: &[u8], exponent: &[u8]| {
        let number = |octets: &[u8]| if octets[0] < 0x80 { octets.to_vec() } else { [&[0], octets].concat() };
        let key = der(0x30, &[&der(2, &[&number(modulus)]), &der(2, &[&number(exponent)])]);
        der(0x30, &[&unhex("300d06092a864886f70d0101010500"), &der(3, &[&[0], &key])])
    };
    let odd = |octets: usize| [vec![0xff; octets - 1], vec![0x01]].concat();
    let even = [vec![0xff; 255], vec![0xfe]].concat();
    let proof = Proof { method: 1, data: vec![0; 256] };
    for (what, spki) in [
        ("less than a hash", rsa(&odd(16), &[1, 0, 1])),
        ("less than a hash and its padding", rsa(&odd(42), &[1, 0, 1])),
        ("1024 bits", rsa(&odd(128), &[1, 0, 1])),
        ("16384 bits", rsa(&odd(2048), &[1, 0, 1])),
        ("one", rsa(&[1], &[1, 0, 1])),
        ("zero", rsa(&[0], &[1, 0, 1])),
        ("even", rsa(&even, &[1, 0, 1])),
        ("to the power of zero", rsa(&odd(256), &[0])),
        ("to the power of one", rsa(&odd(256), &[1])),
        ("to an even power", rsa(&odd(256), &[1, 0, 0])),
        ("to a power as long as the modulus", rsa(&odd(256), &[0x7f; 256])),
    ] {
        let trust = Trust { keys: vec![spki.clone()], ..Trust::default() };
        let world = World { now: Time(1_780_272_000), crls: &[], answers: &[], memory: &memory::Forgetful };
        for proof in
            [proof.clone(), Proof { data: vec![], ..proof.clone() }, Proof { data: vec![0; 16], ..proof.clone() }]
        {
            let identity = &Identity::Fqdn(NAME_A.into());
            let claim = Claim { identity, certificates: &[(15, spki.clone())], proof: &proof, octets: b"octets" };
            assert!(trust.judge(claim, world, &provider()).is_err(), "{what}");
        }
    }
}

// RFC 7296 §3.8.
#[test]
fn a_peer_without_rfc_7427_gets_the_methods_of_old() {
    for (kind, method) in [(Kind::Rsa, 1), (Kind::P256, 9), (Kind::P384, 10), (Kind::P521, 11)] {
        let papers = Papers2::new(kind);
        // Each side's proof, made as if the other had announced no hashes, is accepted by the other.
        let mut lab = papers.lab(|_, _| ());
        lab.a.command(Command::Initiate(POLICY));
        for _ in 0..20 {
            for host in [&mut lab.a, &mut lab.b] {
                while let Some((op, mut question)) = host.asked.pop_front() {
                    match &mut question {
                        Question::Sign { peer, .. } => {
                            assert_eq!(peer.hashes.as_deref(), Some(&[2, 3, 4, 5][..]));
                            peer.hashes = None;
                        }
                        Question::SignHash { .. } => panic!("a question of IKEv1"),
                        Question::Judge { proof, .. } => assert_eq!(proof.method, method),
                        other => panic!("{other:?}"),
                    }
                    let answer = host.papers.answer(question);
                    host.input(Input::Done(op, answer.into()));
                }
            }
            if !lab.a.sent.is_empty() {
                lab.a_to_b();
            } else if !lab.b.sent.is_empty() {
                lab.b_to_a();
            }
        }
        assert_eq!(lab.a.failures(), []);
        assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, 1), "{kind:?}");
    }
    // Ed25519 has no such method.
    let papers = Papers2::new(Kind::Ed25519);
    let key = provider().signatures.unwrap().private_key(&papers.a.pkcs8).unwrap();
    let refusal = credential(&papers.a, &[]).prove(&*key, &Accepts::default(), b"octets").unwrap_err();
    assert!(refusal.to_string().contains("our key (Ed25519) makes no signature"), "{refusal}");
}

#[test]
fn while_a_question_is_open_nothing_is_sent_twice_and_other_peers_go_on() {
    let papers = Papers2::new(Kind::P256);
    let mut lab = papers.lab(|_, _| ());
    begin(&mut lab);
    // Nobody answers A yet: no message, and another want joins this IKE SA.
    assert!(lab.a.sent.is_empty());
    lab.a.command(Command::Initiate(POLICY));
    assert_eq!(lab.a.endpoint.ike_sas().len(), 1);
    assert!(lab.a.answer());
    let request = lab.a_to_b();
    // The request comes again while B waits for the judgement, and for its signature.
    for _ in 0..2 {
        lab.b.receive(&request);
        assert!(lab.b.sent.is_empty());
        assert_eq!(lab.b.asked.len(), 1);
        assert!(lab.b.answer());
    }
    assert_eq!(lab.b.endpoint.counters().repeated, 2);
    assert_eq!(lab.b.sent.len(), 1);
    // B has sent it once, and again on demand.
    lab.b.receive(&request);
    assert_eq!(lab.b.sent.len(), 2);
    lab.settle();
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, 1));
    lab.assert_mirrored();
}

#[test]
fn questions_without_an_answer_end_what_asked() {
    let papers = Papers2::new(Kind::P256);
    let mut lab = papers.lab(|_, _| ());
    begin(&mut lab);
    assert!(lab.a.answer());
    lab.a_to_b();
    let (op, _) = lab.b.asked.pop_front().unwrap();
    lab.b.sleep(limits::ANSWER + Duration::from_secs(1));
    assert!(lab.b.endpoint.ike_sas().is_empty());
    lab.b.failure(Part::Configuration);
    // The answer comes too late, and another to a question nobody asked.
    lab.b.input(Input::Done(op, Answer::Proven.into()));
    assert!(lab.b.endpoint.ike_sas().is_empty() && lab.b.sent.is_empty());

    // A key that is gone: A says so and sends nothing; B as responder refuses.
    let mut lab = papers.lab(|_, _| ());
    lab.a.papers.keys.clear();
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    let here = lab.a.failure(Part::Configuration);
    assert!(here.to_string().contains("the private key key is not there any more"), "{here}");
    assert!(lab.a.endpoint.ike_sas().is_empty());
    let mut lab = papers.lab(|_, _| ());
    lab.b.papers.keys.clear();
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.b.failure(Part::Configuration);
    lab.a.failure(Part::NotBelieved(Means::Certificate));
    assert!(lab.a.endpoint.ike_sas().is_empty());
}

// RFC 8784 §3: where the peer may do without the key, the initiator signs twice.
#[test]
fn signatures_cover_a_post_quantum_key_and_its_absence() {
    let papers = Papers2::new(Kind::P256);
    let ppk = |secret: &[u8], required| Ppks {
        id: Some(b"gw".to_vec()),
        required,
        exchange: PpkIn::Auth,
        keys: [Ppk { id: b"gw".to_vec(), secret: secret.into() }].into(),
    };
    for required in [true, false] {
        for (there, used) in [(ppk(b"a secret", false), true), (Ppks::default(), false)] {
            if required && !used {
                continue;
            }
            let mut lab = papers.lab(|a, b| {
                a.remotes[0].extensions.ppk = ppk(b"a secret", required);
                // A key of another name: announced, and then not there.
                let strange =
                    Ppks { keys: [Ppk { id: b"x".to_vec(), secret: b"x"[..].into() }].into(), ..there.clone() };
                b.remotes[0].extensions.ppk = if used { there.clone() } else { strange };
            });
            lab.establish();
            lab.assert_mirrored();
            assert_eq!((lab.a.ike().ppk, lab.b.ike().ppk), (used, used));
        }
    }
}

// RFC 7427 §4: by a hash that the other side announced, which is one that is asked for; whoever signs otherwise is refused.
#[test]
fn keys_and_signatures_are_those_that_are_asked_for() {
    use ravelin_crypto::signature::HashAlg::{Sha256, Sha384, Sha512};
    use ravelin_pki::Restrictions;
    use ravelin_pki::restriction::{Family, KeyRule, SchemeRule};

    let rule = |family, hash| SchemeRule { family, hash: Some(hash) };
    let asked = |keys: &[KeyRule], chain: &[SchemeRule], auth: &[SchemeRule]| Restrictions {
        words: "what was asked".into(),
        dsa: false,
        keys: keys.into(),
        chain: chain.into(),
        auth: auth.into(),
    };
    let papers = Papers2::new(Kind::P256);
    let of_a = |restrictions: Restrictions| {
        let trust = Trust { restrictions, ..trust(&[&papers.root.der]) };
        papers.lab(|_, b| b.remotes[0].remote_auth = RemoteAuth::Signature(Arc::new(trust)))
    };
    for taken in [
        asked(&[KeyRule::Rsa(2048), KeyRule::Ecdsa(256)], &[], &[]),
        asked(&[], &[rule(Family::Any, Sha384), rule(Family::Ecdsa, Sha256)], &[]),
        // A would rather sign with SHA2-256, which is not announced.
        asked(&[], &[], &[rule(Family::Ecdsa, Sha512)]),
        asked(&[], &[], &[rule(Family::Any, Sha384)]),
    ] {
        let mut lab = of_a(taken);
        lab.establish();
        lab.assert_mirrored();
    }
    refused(of_a(asked(&[KeyRule::Ecdsa(384)], &[], &[])), "has a key of ECDSA P-256, where `what was asked`");
    refused(of_a(asked(&[KeyRule::Rsa(1024), KeyRule::Ed25519], &[], &[])), "has a key of ECDSA P-256");
    refused(of_a(asked(&[], &[rule(Family::Any, Sha512)], &[])), "is signed by ECDSA with SHA2-256, where");
    refused(of_a(asked(&[], &[rule(Family::Rsa, Sha256)], &[])), "is signed by ECDSA with SHA2-256, where");
    // The hash is announced for whoever has an RSA key.
    refused(
        of_a(asked(&[], &[], &[rule(Family::RsaPss, Sha384)])),
        "AUTH by ECDSA with SHA2-384, where `what was asked`",
    );
    // A signs by what it is asked to, and not otherwise.
    let signs = |restrictions: Restrictions, taken: Restrictions| {
        papers.lab(|a, b| {
            let own = Credential { restrictions, ..Credential::clone(&credential(&papers.a, &[])) };
            a.remotes[0].local_auth = LocalAuth::Signature(Arc::new(own));
            let trust = Trust { restrictions: taken, ..trust(&[&papers.root.der]) };
            b.remotes[0].remote_auth = RemoteAuth::Signature(Arc::new(trust));
        })
    };
    let first = asked(&[], &[], &[rule(Family::Any, Sha512), rule(Family::Any, Sha256)]);
    signs(first.clone(), Restrictions::default()).establish();
    signs(first.clone(), asked(&[], &[], &[rule(Family::Any, Sha256)])).establish();
    let mut lab = signs(first, asked(&[], &[], &[rule(Family::Any, Sha384)]));
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    let here = lab.a.failure(Part::Configuration);
    assert!(here.to_string().contains("makes no signature of `what was asked`"), "{here}");
    // A pinned key is asked about, too.
    let pinned = Trust {
        pinned: vec![certificate(&papers.a.der)],
        restrictions: asked(&[KeyRule::Ecdsa(521)], &[], &[]),
        ..Trust::default()
    };
    refused(papers.lab(|_, b| b.remotes[0].remote_auth = RemoteAuth::Signature(Arc::new(pinned))), "has a key of");
}

// RFC 7296 §3.8 leaves the hash of method 1 open, and SHA-1 is its default: what is not accepted is the hash, and not the key.
#[test]
fn a_signature_by_sha_1_is_told_as_that() {
    use ravelin_crypto::signature::HashAlg::{Sha1, Sha384};
    use ravelin_pki::Restrictions;
    use ravelin_pki::restriction::{Family, SchemeRule};

    let papers = Papers2::new(Kind::Rsa);
    let by = |hash| Restrictions {
        words: "what was asked".into(),
        auth: vec![SchemeRule { family: Family::Rsa, hash: Some(hash) }],
        ..Restrictions::default()
    };
    // As if B had announced no hashes.
    let taken_by = |restrictions| {
        let mut lab = papers.lab(|a, b| {
            let own = Credential { restrictions: by(Sha1), ..Credential::clone(&credential(&papers.a, &[])) };
            a.remotes[0].local_auth = LocalAuth::Signature(Arc::new(own));
            let trust = Trust { restrictions, ..trust(&[&papers.root.der]) };
            b.remotes[0].remote_auth = RemoteAuth::Signature(Arc::new(trust));
        });
        begin(&mut lab);
        let (op, mut question) = lab.a.asked.pop_front().unwrap();
        let Question::Sign { peer, .. } = &mut question else { panic!() };
        *peer = Accepts::default();
        let answer = lab.a.papers.answer(question);
        lab.a.input(Input::Done(op, answer.into()));
        lab.settle();
        lab
    };
    for (taken, words) in [
        (Restrictions::default(), "AUTH by RSA PKCS #1 with SHA-1, which is not accepted: let it sign by SHA-2"),
        (by(Sha384), "AUTH by RSA PKCS #1 with SHA-1, where `what was asked` is asked for"),
    ] {
        let failure = taken_by(taken).b.failure(Part::Certificate);
        assert!(failure.to_string().contains(words), "{failure}");
    }
    assert_eq!(taken_by(by(Sha1)).b.children().len(), 1);
}
