//! Certificates by hash and URL (RFC 7296 §3.6), and what goes with ours.
#![allow(clippy::unwrap_used)]

use ravelin_crypto_aws_lc::provider;
use ravelin_pki::announce::Accepts;
use ravelin_pki::auth::{Claim, Credential, Trust, World};
use ravelin_pki::ocsp::{Enquiry, NONCE};
use ravelin_pki::reference::{self, Kind};
use ravelin_pki::{Certificate, Fault, Lookup, Places, Reference, Time, Wish, limits, memory};
use ravelin_testkit::ocsp::{Reply, Status};
use ravelin_testkit::papers::{self, Kind as Key, Paper};
use ravelin_types::Identity;

/// 2026-06-01.
const NOW: Time = Time(1_780_272_000);
const WORLD: World<'_> = World { now: NOW, crls: &[], answers: &[], memory: &memory::Forgetful };
const BASE: &str = "http://certs.example.org/";
const LOOKUP: Wish = Wish { lookup: true, status: false };
const STATUS: Wish = Wish { lookup: false, status: true };

fn parsed(paper: &Paper) -> Certificate {
    Certificate::parse(&paper.der).unwrap()
}

fn sha1(octets: &[u8]) -> [u8; 20] {
    (provider().sha1)(&[octets])
}

fn to(kind: Kind, octets: &[u8]) -> Reference {
    Reference::new(kind, BASE, octets, &provider())
}

/// DER: a tag, a length, a value.
fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    let len = value.len();
    let head = match len {
        0..=127 => vec![tag, len as u8],
        128..=255 => vec![tag, 0x81, len as u8],
        _ => vec![tag, 0x82, (len >> 8) as u8, len as u8],
    };
    [&head[..], value].concat()
}

fn at(authority: &Paper) -> Places {
    let (crl_uris, ocsp_uris) = Default::default();
    Places { authority: parsed(authority), crl_uris, ocsp_uris, cert_uri_base: None, bundle_uri_base: None }
}

#[test]
fn a_payload_is_the_hash_and_the_url() {
    let peer = papers::root("ca", Key::P256).peer("peer", &[], Key::P256);
    let reference = to(Kind::Certificate, &peer.der);
    let hash = sha1(&peer.der);
    let digits: String = hash.iter().map(|octet| format!("{octet:02x}")).collect();
    let url = format!("{BASE}{digits}");
    assert_eq!(reference.payload(), (12, [&hash[..], url.as_bytes()].concat()));
    let (encoding, data) = reference.payload();
    assert_eq!(Reference::parse(encoding, &data), Some(reference));
    // What leads nowhere, or would mislead whoever reads the log.
    let with = |url: &[u8]| [&hash[..], url].concat();
    let long = [b"http://a/".to_vec(), vec![b'x'; limits::URL]].concat();
    for bad in [with(b""), with(b"http://a/\n"), with(b"http://a/ b"), with("http://\u{e9}/".as_bytes()), with(&long)] {
        assert_eq!(Reference::parse(12, &bad), None);
    }
    assert_eq!(Reference::parse(12, &hash[..19]), None);
    assert_eq!(Reference::parse(4, &with(b"http://a/")), None);
}

#[test]
fn octets_of_another_hash_are_not_even_looked_at() {
    let peer = papers::root("ca", Key::P256).peer("peer", &[], Key::P256);
    let open = |reference: &Reference, octets: &[u8]| reference.open(octets, &provider());
    let good = to(Kind::Certificate, &peer.der);
    assert_eq!(open(&good, &peer.der), Ok(vec![(4, peer.der.clone())]));
    for other in [&b"nonsense"[..], b"", &peer.der[..peer.der.len() - 1]] {
        assert_eq!(open(&good, other), Err(Fault::OtherHash));
    }
    // Of the right hash, and no certificate.
    for nonsense in [&b"nonsense"[..], &[0x30; 100], &peer.der[1..]] {
        assert!(matches!(open(&to(Kind::Certificate, nonsense), nonsense), Err(Fault::Malformed(_))));
        assert!(matches!(open(&to(Kind::Bundle, nonsense), nonsense), Err(Fault::Malformed(_))));
    }
    let long = vec![0x30; limits::CERTIFICATE + 1];
    assert!(matches!(open(&to(Kind::Certificate, &long), &long), Err(Fault::TooMuch(_))));
}

#[test]
fn a_bundle_is_certificates_and_lists_and_no_bundle() {
    let root = papers::root("root", Key::P256);
    let (peer, list) = (root.peer("peer", &[], Key::P256), root.crl(&[]));
    let open = |octets: &[u8]| to(Kind::Bundle, octets).open(octets, &provider());
    // CertificateBundle ::= SEQUENCE OF CHOICE { [0] Certificate, [1] CertificateList }, with explicit tags.
    let members = [der(0xa0, &peer.der), der(0xa0, &root.der), der(0xa1, &list)];
    let bundle = der(0x30, &members.concat());
    assert_eq!(open(&bundle), Ok(vec![(4, peer.der.clone()), (4, root.der.clone()), (7, list.clone())]));
    let ours = reference::bundle(&[parsed(&peer), parsed(&root)]).unwrap();
    assert_eq!(ours, der(0x30, &members[..2].concat()));
    // A bundle in a bundle, a certificate where a list is said, without its tag, a third choice, behind the end, and none.
    for bad in [
        der(0x30, &der(0xa0, &bundle)),
        der(0x30, &bundle),
        der(0x30, &der(0xa1, &peer.der)),
        der(0x30, &der(0xa0, &list)),
        der(0x30, &peer.der),
        der(0x30, &der(0xa2, &peer.der)),
        [&bundle[..], &[0]].concat(),
        vec![0x30, 0],
    ] {
        assert!(matches!(open(&bad), Err(Fault::Malformed(_))), "{bad:02x?}");
    }
    let many = der(0x30, &members[0].repeat(limits::PEER_CERTIFICATES + 1));
    assert!(matches!(open(&many), Err(Fault::TooMuch(_))));
}

#[test]
fn what_was_found_takes_the_place_of_the_reference() {
    let root = papers::root("root", Key::P256);
    let peer = root.peer("peer", &[], Key::P256);
    let (one, other) = (to(Kind::Certificate, &peer.der), to(Kind::Bundle, b"elsewhere"));
    let mut sent = vec![one.payload(), (14, b"answer".to_vec()), other.payload()];
    let found = |it: &Reference| (it == &one).then(|| vec![(4, peer.der.clone()), (7, b"list".to_vec())]);
    assert_eq!(reference::fill(&mut sent, found), std::slice::from_ref(&other));
    assert_eq!(sent, [(4, peer.der.clone()), (7, b"list".to_vec()), (14, b"answer".to_vec()), other.payload()]);
    // However many a peer sends, a few are looked up.
    let flood = (0..1000).map(|number: u32| to(Kind::Certificate, &number.to_be_bytes()).payload());
    let kept = reference::bounded(std::iter::once((4, peer.der.clone())).chain(flood));
    assert_eq!(kept.len(), 1 + limits::REFERENCES);
}

#[test]
fn a_peer_is_not_judged_by_what_was_not_had() {
    let root = papers::root("root", Key::P256);
    let peer = root.peer("peer", &["peer.example.org"], Key::P256);
    let crypto = provider();
    let own = Credential { certificates: vec![parsed(&peer)], ..Credential::default() };
    let key = crypto.signatures.unwrap().private_key(&peer.pkcs8).unwrap();
    let proof = own.prove(&*key, &Accepts { hashes: Some(vec![2]), methods: None }, b"octets").unwrap();
    let judge = |lookup: Lookup, certificates: &[(u8, Vec<u8>)]| {
        let trust = Trust { anchors: [parsed(&root)].into(), lookup, ..Trust::default() };
        let identity = &Identity::Fqdn("peer.example.org".into());
        let judged = trust.judge(Claim { identity, certificates, proof: &proof, octets: b"octets" }, WORLD, &crypto);
        judged.map(|_| ()).map_err(|why| why.to_string())
    };
    let (there, itself) = (to(Kind::Certificate, &peer.der).payload(), (4, peer.der.clone()));
    let under = |base: &str| Lookup::Under(vec![base.into()]);
    for (lookup, words) in [
        (Lookup::Anywhere, "was not had from there"),
        (under(BASE), "was not had from there"),
        (Lookup::Never, "where none is looked up"),
        (under("http://certs.example.org/here/"), "where none is looked up"),
    ] {
        // The first is the peer's own, whatever comes behind it.
        for sent in [vec![there.clone()], vec![there.clone(), itself.clone()]] {
            let why = judge(lookup.clone(), &sent).unwrap_err();
            assert!(why.contains(words) && why.contains(BASE), "{why}");
        }
        assert_eq!(judge(lookup, &[itself.clone(), there.clone()]), Ok(()));
    }
    assert_eq!(judge(Lookup::Anywhere, &[(13, b"short".to_vec())]).unwrap_err(), "no certificate");
}

#[test]
fn what_lies_elsewhere_goes_out_by_hash_and_url_to_those_who_look_it_up() {
    let (root, other) = (papers::root("root", Key::P256), papers::root("root", Key::P256));
    let middle = root.intermediate("middle", Key::P256);
    let own = middle.peer("own", &[], Key::P256);
    let certificates = vec![parsed(&own), parsed(&middle)];
    let plain = Credential { certificates, ..Credential::default() };
    let payloads = |places: &[Places], wish| {
        let placed = plain.clone().placed(&[], places, &provider());
        placed.payloads(wish, WORLD)
    };
    let base = |authority: &Paper| Places { cert_uri_base: Some(BASE.into()), ..at(authority) };
    let whole = vec![(4, own.der.clone()), (4, middle.der.clone())];
    let first = vec![to(Kind::Certificate, &own.der).payload(), (4, middle.der.clone())];
    let both = vec![first[0].clone(), to(Kind::Certificate, &middle.der).payload()];
    assert_eq!(payloads(&[base(&middle)], Wish::default()), whole);
    assert_eq!(payloads(&[base(&middle)], LOOKUP), first);
    assert_eq!(payloads(&[base(&middle), base(&root)], LOOKUP), both);
    // Of an authority with the same name and another key, and of none.
    assert_eq!(payloads(&[base(&other)], LOOKUP), whole);
    assert_eq!(payloads(&[at(&middle)], LOOKUP), whole);
    let bundles = Places { bundle_uri_base: Some(BASE.into()), ..base(&middle) };
    let octets = reference::bundle(&plain.certificates).unwrap();
    assert_eq!(payloads(&[bundles], LOOKUP), [to(Kind::Bundle, &octets).payload()]);
}

// RFC 4806 §4.2: separate from our certificates, and only to those who ask.
#[test]
fn the_answer_about_ours_goes_out_to_those_who_ask() {
    let root = papers::root("root", Key::P256);
    let named = papers::answered_at(papers::subject("own", &[]), "http://ocsp.example.org");
    let own = root.issue(named, Key::P256);
    let crypto = provider();
    let plain = Credential { certificates: vec![parsed(&own)], ..Credential::default() };
    let placed = plain.clone().placed(&[&parsed(&root)], &[], &crypto);
    let uris: Vec<&str> = placed.responders.iter().map(|source| source.uri()).collect();
    assert_eq!(uris, ["http://ocsp.example.org"]);
    // Nobody answers for a certificate whose issuer is not known, nor in the name of another one.
    let other = papers::root("root", Key::P256);
    for known in [&[][..], &[&parsed(&other)], &[&parsed(&own)]] {
        assert!(plain.clone().placed(known, &[], &crypto).responders.is_empty());
    }
    let more = Places { ocsp_uris: vec!["http://lab".into()], ..at(&root) };
    assert_eq!(plain.placed(&[&parsed(&root)], &[more], &crypto).responders.len(), 2);

    assert_eq!(placed.sources(STATUS, WORLD), std::slice::from_ref(&placed.responders));
    assert!(placed.sources(Wish::default(), WORLD).is_empty());
    assert_eq!(placed.payloads(STATUS, WORLD), [(4, own.der.clone())]);
    let enquiry = Enquiry::new(&parsed(&own), &parsed(&root), &crypto).unwrap();
    let request = enquiry.request(&[1; NONCE]).unwrap();
    let der = Reply::new(Status::Good, &request).signed_by(&root, &request, &[]);
    let answers = [enquiry.answer(&der, Some(&[1; NONCE]), NOW, &crypto).unwrap()];
    let world = World { answers: &answers, ..WORLD };
    assert!(placed.sources(STATUS, world).is_empty());
    assert_eq!(placed.payloads(STATUS, world), [(4, own.der.clone()), (14, der)]);
    assert_eq!(placed.payloads(LOOKUP, world), [(4, own.der.clone())]);
    // What is out of date is asked for anew.
    let late = World { now: Time(NOW.0 + 100 * 31_556_952), ..world };
    assert_eq!((placed.sources(STATUS, late).len(), placed.payloads(STATUS, late).len()), (1, 1));
}
