//! Answers of OCSP responders, honest and hostile ones.
#![allow(clippy::unwrap_used)]

use ravelin_crypto_aws_lc::provider;
use ravelin_pki::announce::Accepts;
use ravelin_pki::auth::{Claim, Credential, Trust, World, requests};
use ravelin_pki::ocsp::{Answer, Enquiry, Failure, NONCE, Status as Declined};
use ravelin_pki::revocation::Revocation;
use ravelin_pki::{
    Certificate, Crl, Demand, Fault, Places, Restrictions, Rules, Source, Time, Usage, Wish, limits, memory, path,
};
use ravelin_testkit::ocsp::{Reply, Status, bare};
use ravelin_testkit::papers::{self, Kind, Paper};
use ravelin_types::Identity;

/// 2026-06-01.
const NOW: Time = Time(1_780_272_000);
const NONCES: [u8; NONCE] = [7; NONCE];
const CRL: &str = "http://crl.example.org/ca.crl";
const OCSP: &str = "http://ocsp.example.org";

fn parsed(paper: &Paper) -> Certificate {
    Certificate::parse(&paper.der).unwrap()
}

struct Scene {
    ca: Paper,
    enquiry: Enquiry,
    request: Vec<u8>,
}

/// An authority, and a question about a certificate that it issued.
fn scene(kind: Kind) -> Scene {
    let ca = papers::root("ca", kind);
    let params = papers::listed_at(papers::subject("peer", &["peer.example.org"]), CRL);
    let peer = ca.issue(papers::answered_at(params, OCSP), kind);
    let enquiry = Enquiry::new(&parsed(&peer), &parsed(&ca), &provider()).unwrap();
    let request = enquiry.request(&NONCES).unwrap();
    Scene { ca, enquiry, request }
}

impl Scene {
    fn reply(&self, status: Status) -> Reply {
        Reply::new(status, &self.request)
    }

    fn hear(&self, der: &[u8]) -> Result<Answer, Failure> {
        self.enquiry.answer(der, Some(&NONCES), NOW, &provider())
    }

    fn own(&self, reply: &Reply) -> Result<Answer, Failure> {
        self.hear(&reply.signed_by(&self.ca, &self.request, &[]))
    }
}

#[test]
fn an_authority_answers_for_itself_or_names_who_does() {
    for kind in [Kind::Rsa, Kind::P256, Kind::P384, Kind::Ed25519] {
        let scene = scene(kind);
        assert!(!scene.own(&scene.reply(Status::Good)).unwrap().is_revoked());
        assert!(scene.own(&scene.reply(Status::Revoked)).unwrap().is_revoked());
        let named = scene.ca.issue(papers::responder(papers::subject("ocsp", &[])), kind);
        let reply = scene.reply(Status::Good).signed_by(&named, &scene.request, &[&named]);
        assert!(!scene.hear(&reply).unwrap().is_revoked());
    }
}

// RFC 6960 §4.2.2.2: a stranger, one whom the authority issued a certificate for something else, one whom somebody else
// named, one that is not sent, and a named one whose key did not sign.
#[test]
fn who_may_not_speak_for_the_authority_is_not_heard() {
    let scene = scene(Kind::P256);
    let (kind, reply) = (Kind::P256, scene.reply(Status::Good));
    let responder = || papers::responder(papers::subject("ocsp", &[]));
    let stranger = papers::root("ca", kind);
    let peer = scene.ca.peer("ocsp", &[], kind);
    let foreign = stranger.issue(responder(), kind);
    let below = scene.ca.intermediate("sub", kind).issue(responder(), kind);
    let mut old = responder();
    old.not_after = old.not_before.replace_year(2020).unwrap();
    let old = scene.ca.issue(old, kind);
    let named = scene.ca.issue(responder(), kind);
    let cases = [
        (&stranger, vec![]),
        (&stranger, vec![&stranger]),
        (&peer, vec![&peer]),
        (&foreign, vec![&foreign, &stranger]),
        (&below, vec![&below]),
        (&old, vec![&old]),
        (&named, vec![]),
        // Of the same name.
        (&peer, vec![&named]),
        (&named, vec![&peer, &peer, &peer, &peer, &named]),
    ];
    for (at, (signer, sent)) in cases.iter().enumerate() {
        let heard = scene.hear(&reply.signed_by(signer, &scene.request, sent));
        assert!(matches!(heard, Err(Failure::Signer(_))), "{at}: {heard:?}");
    }
}

#[test]
fn an_answer_about_another_certificate_is_none() {
    let scene = scene(Kind::P256);
    let (peer, other) = (scene.ca.peer("peer", &["peer.example.org"], Kind::P256), papers::root("ca", Kind::P256));
    for (certificate, issuer) in
        [(parsed(&peer), parsed(&scene.ca)), (scene.enquiry.certificate().clone(), parsed(&other))]
    {
        let request = Enquiry::new(&certificate, &issuer, &provider()).unwrap().request(&NONCES).unwrap();
        let reply = scene.reply(Status::Good).signed_by(&scene.ca, &request, &[]);
        assert_eq!(scene.hear(&reply), Err(Failure::Other));
    }
    assert_eq!(scene.own(&scene.reply(Status::Unknown)), Err(Failure::Unknown));
}

// RFC 6960 §4.2.2.1 and RFC 9654 §2.1.
#[test]
fn an_answer_is_good_in_its_time_and_an_old_one_does_not_come_again() {
    let scene = scene(Kind::P256);
    let good = || scene.reply(Status::Good);
    let replayed = Reply { nonce: Some(vec![8; NONCE]), ..good() };
    assert_eq!(scene.own(&replayed), Err(Failure::Nonce));
    assert_eq!(scene.own(&Reply { nonce: Some(Vec::new()), ..good() }), Err(Failure::Nonce));
    // Signed beforehand: it has a time instead.
    assert!(scene.own(&Reply { nonce: None, ..good() }).is_ok());
    assert_eq!(scene.own(&Reply { nonce: None, next: None, ..good() }), Err(Failure::Nonce));
    let fresh = scene.own(&Reply { next: None, ..good() }).unwrap();
    assert!(fresh.is_current(Time(NOW.0 + 299)) && !fresh.is_current(Time(NOW.0 + 301)));
    let old = scene.own(&Reply { next: Some("20260531000000Z".into()), ..good() });
    assert_eq!(old, Err(Failure::Late(NOW.0 - 86_400)));
    let early = scene.own(&Reply { this: "20260602000000Z".into(), ..good() });
    assert_eq!(early, Err(Failure::Early(NOW.0 + 86_400)));
    // A clock may be a little ahead.
    assert!(scene.own(&Reply { this: "20260601000400Z".into(), ..good() }).is_ok());
}

#[test]
fn a_responder_may_decline() {
    let scene = scene(Kind::P256);
    for (status, declined, all) in [
        (1, Declined::MalformedRequest, false),
        (2, Declined::InternalError, true),
        (3, Declined::TryLater, true),
        (5, Declined::SigRequired, false),
        (6, Declined::Unauthorized, false),
    ] {
        let failure = scene.hear(&bare(status)).unwrap_err();
        assert_eq!((failure.is_of_responder(), failure), (all, Failure::Status(declined)));
    }
    assert!(matches!(scene.hear(&bare(0)), Err(Failure::Malformed(_))));
    assert!(matches!(scene.hear(&bare(4)), Err(Failure::Malformed(_))));
}

// Every cut, and a bit of every octet: an error, never a panic, never another verdict than that which was signed.
#[test]
fn no_damage_makes_an_answer() {
    let scene = scene(Kind::P256);
    let named = scene.ca.issue(papers::responder(papers::subject("ocsp", &[])), Kind::P256);
    let der = scene.reply(Status::Revoked).signed_by(&named, &scene.request, &[&named]);
    for len in 0..der.len() {
        assert!(scene.hear(&der[..len]).is_err());
    }
    for at in 0..der.len() {
        let mut damaged = der.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(scene.hear(&damaged).is_ok_and(|answer| answer.is_revoked()) || scene.hear(&damaged).is_err());
    }
    let long = [der, vec![0; limits::OCSP]].concat();
    assert_eq!(scene.hear(&long), Err(Failure::Malformed("it is too long")));
}

#[test]
fn what_a_responder_says_is_what_a_path_is_judged_by() {
    let scene = scene(Kind::P256);
    let (leaf, ca) = (scene.enquiry.certificate().clone(), parsed(&scene.ca));
    let judge = |answers: &[Answer], crls: &[Crl], demand: Demand, now: Time| {
        let revocation = Revocation { crls, answers, places: &[], demand };
        let rules = Rules {
            now,
            usage: Usage::Ike,
            policies: &[],
            revocation,
            restrictions: &Restrictions::default(),
            memory: &memory::Forgetful,
        };
        path::find(&leaf, &[], std::slice::from_ref(&ca), &rules, &provider()).map(|_| ())
    };
    let (good, gone) = (scene.own(&scene.reply(Status::Good)), scene.own(&scene.reply(Status::Revoked)));
    let (good, gone) = (good.unwrap(), gone.unwrap());
    let revoked = Err(Fault::Revoked(leaf.subject().to_string()));
    let unknown = Err(Fault::RevocationUnknown(leaf.subject().to_string()));
    let later = Time(4_000_000_000);
    let (good, gone) = (std::slice::from_ref(&good), std::slice::from_ref(&gone));
    for demand in [Demand::Relaxed, Demand::IfUri, Demand::Strict] {
        assert_eq!(judge(good, &[], demand, NOW), Ok(()));
        assert_eq!(judge(gone, &[], demand, NOW), revoked);
        let nothing = if demand == Demand::Relaxed { Ok(()) } else { unknown.clone() };
        assert_eq!(judge(&[], &[], demand, NOW), nothing);
        // Neither takes back what the other says.
        let none = Crl::parse(&scene.ca.crl(&[])).unwrap();
        assert_eq!(judge(gone, std::slice::from_ref(&none), demand, NOW), revoked);
    }
    assert!(judge(good, &[], Demand::Strict, later).is_err());
    // For a certificate of the same name and number that another authority of the same name issued, it says nothing.
    let other = self::scene(Kind::P256);
    let answers = [other.own(&other.reply(Status::Revoked)).unwrap()];
    assert_eq!(judge(&answers, &[], Demand::Relaxed, NOW), Ok(()));
}

#[test]
fn responders_are_asked_first_and_lists_if_they_do_not_answer() {
    let scene = scene(Kind::P256);
    let trust = Trust { anchors: [parsed(&scene.ca)].into(), ..Trust::default() };
    let sent = [(4, scene.enquiry.certificate().der().to_vec())];
    let sources = |answers: &[Answer], crls: &[Crl], now| {
        trust.sources(&sent, World { now, crls, answers, memory: &memory::Forgetful }, &provider())
    };
    let responder = Source::Responder(OCSP.into(), scene.enquiry.clone());
    assert_eq!(sources(&[], &[], NOW), [vec![responder.clone(), Source::List(CRL.into())]]);
    // A list is no reason not to ask: the responder knows sooner.
    let list = [Crl::parse(&scene.ca.crl(&[])).unwrap()];
    assert_eq!(sources(&[], &list, NOW), [vec![responder]]);
    // Whatever the answer is, it is asked for again when it is out of date: a hold ends.
    for status in [Status::Good, Status::Revoked] {
        let next = Some("20260602000000Z".into());
        let answer = [scene.own(&Reply { next, ..scene.reply(status) }).unwrap()];
        assert!(sources(&answer, &[], NOW).is_empty());
        assert_eq!(sources(&answer, &[], Time(NOW.0 + 86_401)).len(), 1);
    }
    // Of whom nobody vouches for, nobody is asked.
    let nobody = Trust { anchors: [parsed(&papers::root("ca", Kind::P256))].into(), ..Trust::default() };
    assert!(
        nobody
            .sources(&sent, World { now: NOW, crls: &[], answers: &[], memory: &memory::Forgetful }, &provider())
            .is_empty()
    );
}

// What is configured about an authority comes before what its certificates say, and is for those that it issued alone.
#[test]
fn an_authority_may_be_asked_elsewhere_than_its_certificates_say() {
    let scene = scene(Kind::P256);
    let plain = scene.ca.peer("plain", &[], Kind::P256);
    let at = |authority: &Paper| Places {
        authority: parsed(authority),
        crl_uris: vec!["http://lab/ca.crl".into(), CRL.into()],
        ocsp_uris: vec!["http://lab/ocsp".into()],
        cert_uri_base: None,
        bundle_uri_base: None,
    };
    let uris = |places: Places, leaf: &[u8]| {
        let anchors = [parsed(&scene.ca)].into();
        let trust = Trust { anchors, places: [places].into(), ..Trust::default() };
        let sources = trust.sources(
            &[(4, leaf.to_vec())],
            World { now: NOW, crls: &[], answers: &[], memory: &memory::Forgetful },
            &provider(),
        );
        sources.concat().iter().map(|source| source.uri().to_owned()).collect::<Vec<_>>()
    };
    let said = scene.enquiry.certificate().der();
    assert_eq!(uris(at(&scene.ca), said), ["http://lab/ocsp", OCSP, "http://lab/ca.crl", CRL]);
    assert_eq!(uris(at(&scene.ca), &plain.der), ["http://lab/ocsp", "http://lab/ca.crl", CRL]);
    let other = papers::root("ca", Kind::P256);
    assert_eq!(uris(at(&other), said), [OCSP, CRL]);
    assert!(uris(at(&other), &plain.der).is_empty());
    // With such a place it must be known where it must be if there is one.
    let judge = |places: &[Places]| {
        let revocation = Revocation { crls: &[], answers: &[], places, demand: Demand::IfUri };
        let rules = Rules {
            now: NOW,
            usage: Usage::Ike,
            policies: &[],
            revocation,
            restrictions: &Restrictions::default(),
            memory: &memory::Forgetful,
        };
        path::find(&parsed(&plain), &[], &[parsed(&scene.ca)], &rules, &provider()).is_ok()
    };
    assert!(judge(&[]) && judge(&[at(&other)]) && !judge(&[at(&scene.ca)]));
}

// RFC 4806 §3 and §4.1: beside its certificates a peer sends what the responder told it.
#[test]
fn a_peer_brings_the_answer_about_itself() {
    let scene = scene(Kind::P256);
    let crypto = provider();
    let peer = scene.ca.peer("peer", &["peer.example.org"], Kind::P256);
    let enquiry = Enquiry::new(&parsed(&peer), &parsed(&scene.ca), &crypto).unwrap();
    let request = enquiry.request(&[1; NONCE]).unwrap();
    let credential =
        Credential { spki: parsed(&peer).spki().to_vec(), certificates: vec![parsed(&peer)], ..Credential::default() };
    let key = crypto.signatures.unwrap().private_key(&peer.pkcs8).unwrap();
    let proof = credential.prove(&*key, &Accepts { hashes: Some(vec![2]), methods: None }, b"octets").unwrap();
    let trust = |revocation| Trust { anchors: [parsed(&scene.ca)].into(), revocation, ..Trust::default() };
    let world = World { now: NOW, crls: &[], answers: &[], memory: &memory::Forgetful };
    let judge = |brought: &[Vec<u8>], revocation| {
        let brought = brought.iter().map(|der| (14, der.clone()));
        let certificates: Vec<_> = credential.payloads(Wish::default(), world).into_iter().chain(brought).collect();
        let identity = &Identity::Fqdn("peer.example.org".into());
        let claim = Claim { identity, certificates: &certificates, proof: &proof, octets: b"octets" };
        let judged = trust(revocation).judge(claim, world, &crypto).map(|_| ());
        judged.map_err(|why| why.to_string())
    };
    // It is asked for where it is needed, apart from the authorities.
    let asked = |revocation| {
        requests(std::iter::once(&trust(revocation)), 5, &crypto).iter().map(|(it, of)| (*it, of.len())).collect()
    };
    let (relaxed, strict): (Vec<_>, Vec<_>) = (asked(Demand::Relaxed), asked(Demand::Strict));
    assert_eq!((relaxed, strict), (vec![(4, 20)], vec![(4, 20), (14, 0)]));
    let said = |reply: Reply| reply.signed_by(&scene.ca, &request, &[]);
    let reply = |status| Reply::new(status, &request);
    let (good, gone) = (said(reply(Status::Good)), said(reply(Status::Revoked)));
    assert_eq!(judge(std::slice::from_ref(&good), Demand::Strict), Ok(()));
    assert!(judge(std::slice::from_ref(&gone), Demand::Relaxed).unwrap_err().contains("was revoked"));
    // Nothing else counts: another's, one of the peer itself, one that never ends, and one that comes too late.
    let other = scene.reply(Status::Good).signed_by(&scene.ca, &scene.request, &[]);
    let own = reply(Status::Good).signed_by(&peer, &request, &[&peer]);
    let endless = said(Reply { next: None, ..reply(Status::Good) });
    let useless = [other, own, endless, b"nonsense".to_vec()];
    for brought in [&[][..], &useless, &[useless.to_vec(), vec![good.clone()]].concat()] {
        assert!(judge(brought, Demand::Strict).unwrap_err().contains("cannot be known"));
        assert_eq!(judge(brought, Demand::Relaxed), Ok(()));
    }
    // Who brings it spares us the way to the responder.
    let certificates = |brought: &[Vec<u8>]| {
        let own = (4, scene.enquiry.certificate().der().to_vec());
        [vec![own], brought.iter().map(|der| (14, der.clone())).collect()].concat()
    };
    let answer = scene.reply(Status::Good).signed_by(&scene.ca, &scene.request, &[]);
    assert_eq!(trust(Demand::Strict).sources(&certificates(&[]), world, &crypto).len(), 1);
    assert!(trust(Demand::Strict).sources(&certificates(&[answer]), world, &crypto).is_empty());
}
