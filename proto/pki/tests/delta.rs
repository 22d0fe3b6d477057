//! Lists that have only what has changed since another (RFC 5280 §5.2.4).
#![allow(clippy::unwrap_used)]

use ravelin_crypto_aws_lc::provider;
use ravelin_pki::auth::{Refusal, Trust, World};
use ravelin_pki::{Certificate, Crl, Demand, Fault, Source, Time, Usage, memory};
use ravelin_testkit::crl::{List, REMOVED};
use ravelin_testkit::papers::{self, Kind, Paper};

/// 2026-06-01.
const NOW: Time = Time(1_780_272_000);
const URI: &str = "http://lab/changes.crl";

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    Revoked,
    Unknown,
}

fn lists(ders: &[Vec<u8>]) -> Vec<Crl> {
    ders.iter().map(|der| Crl::parse(der).unwrap()).collect()
}

/// What becomes of a peer whose state must be known.
fn judged(root: &Paper, peer: &Paper, ders: &[Vec<u8>]) -> Verdict {
    let trust = Trust {
        anchors: [Certificate::parse(&root.der).unwrap()].into(),
        revocation: Demand::Strict,
        ..Trust::default()
    };
    let world = World { now: NOW, crls: &lists(ders), answers: &[], memory: &memory::Forgetful };
    match trust.judge_tls(None, &[&peer.der], Usage::Any, world, &provider()) {
        Ok(_) => Verdict::Good,
        Err(Refusal::Certificate(Fault::Revoked(_))) => Verdict::Revoked,
        Err(Refusal::Certificate(Fault::RevocationUnknown(_))) => Verdict::Unknown,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn what_has_changed_counts_with_the_list_it_is_about() {
    let (root, other) = (papers::root("root", Kind::P256), papers::root("root", Kind::P256));
    let peer = root.peer("peer", &["peer.lab"], Kind::P256);
    let revoked = |reason| vec![(peer.serial(), reason)];
    let complete = |number| List::new(number);
    let held = |number| List { entries: revoked(Some(6)), ..List::new(number) };
    let changed = |number, since, entries| List { since: Some(since), entries, ..List::new(number) };
    let all = |all: &[List]| all.iter().map(|list| list.signed_by(&root)).collect::<Vec<_>>();

    assert_eq!(judged(&root, &peer, &all(&[complete(1), changed(2, 1, vec![])])), Verdict::Good);
    assert_eq!(judged(&root, &peer, &all(&[complete(1), changed(2, 1, revoked(None))])), Verdict::Revoked);
    assert_eq!(judged(&root, &peer, &all(&[changed(2, 1, revoked(Some(1))), complete(1)])), Verdict::Revoked);
    // A hold ends, and comes again.
    let released = changed(3, 1, revoked(Some(REMOVED)));
    assert_eq!(judged(&root, &peer, &all(&[held(1), changed(2, 1, vec![])])), Verdict::Revoked);
    assert_eq!(judged(&root, &peer, &all(&[held(1), released.clone()])), Verdict::Good);
    // By itself it says nothing, nor with a list that is too old for it, or has it in it already.
    for alone in [vec![], vec![held(1)], vec![held(4)]] {
        let lists = [alone.clone(), vec![changed(4, 2, revoked(Some(REMOVED)))]].concat();
        let verdict = if alone.is_empty() { Verdict::Unknown } else { Verdict::Revoked };
        assert_eq!(judged(&root, &peer, &all(&lists)), verdict, "{alone:?}");
    }
    // Nobody else can release a certificate.
    assert_eq!(judged(&root, &peer, &[held(1).signed_by(&root), released.signed_by(&other)]), Verdict::Revoked);
    // A complete list may be out of date where what has changed is not.
    let old = List { next: "20210101000000Z".into(), ..complete(1) };
    assert_eq!(judged(&root, &peer, &all(std::slice::from_ref(&old))), Verdict::Unknown);
    assert_eq!(judged(&root, &peer, &all(&[old.clone(), changed(2, 1, vec![])])), Verdict::Good);
    // What has changed may be, too: it revokes nevertheless.
    let late = List { next: "20210101000000Z".into(), ..changed(2, 1, revoked(None)) };
    assert_eq!(judged(&root, &peer, &all(&[old, late])), Verdict::Revoked);
}

#[test]
fn what_has_changed_is_asked_for_where_a_list_says_that_it_is() {
    let root = papers::root("root", Kind::P256);
    let peer = root.peer("peer", &["peer.lab"], Kind::P256);
    let trust = Trust { anchors: [Certificate::parse(&root.der).unwrap()].into(), ..Trust::default() };
    let sources = |ders: &[Vec<u8>]| {
        let world = World { now: NOW, crls: &lists(ders), answers: &[], memory: &memory::Forgetful };
        trust.sources(&[(4, peer.der.clone())], world, &provider())
    };
    let complete = List { freshest: Some(URI.into()), ..List::new(1) }.signed_by(&root);
    let changed = |next: &str| List { since: Some(1), next: next.into(), ..List::new(2) }.signed_by(&root);
    assert!(sources(&[List::new(1).signed_by(&root)]).is_empty());
    let asked = [vec![Source::List(URI.into())]];
    assert_eq!(sources(std::slice::from_ref(&complete)), asked);
    assert_eq!(sources(&[complete.clone(), changed("20210101000000Z")]), asked);
    assert!(sources(&[complete, changed("20900101000000Z")]).is_empty());
}
