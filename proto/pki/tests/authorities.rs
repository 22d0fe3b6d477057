//! An authority that is asked for and is not at the top.
#![allow(clippy::unwrap_used)]

use ravelin_crypto_aws_lc::provider;
use ravelin_pki::auth::{Refusal, Trust, World};
use ravelin_pki::{Certificate, Crl, Fault, Time, Usage, memory};
use ravelin_testkit::papers::{self, Kind, Paper};

/// 2026-06-01.
const NOW: Time = Time(1_780_272_000);

fn parsed(paper: &Paper) -> Certificate {
    Certificate::parse(&paper.der).unwrap()
}

/// Whom a peer with this certificate is told to be by who trusts `root`, and asks for `asked`.
fn judged(root: &Paper, asked: &Paper, peer: &Paper, sent: &[&Paper], lists: &[Vec<u8>]) -> Result<(), Refusal> {
    let crls: Vec<Crl> = lists.iter().map(|der| Crl::parse(der).unwrap()).collect();
    let trust = Trust { anchors: [parsed(root)].into(), above: [parsed(asked)].into(), ..Trust::default() };
    let sent: Vec<&[u8]> = std::iter::once(peer).chain(sent.iter().copied()).map(|paper| &paper.der[..]).collect();
    let world = World { now: NOW, crls: &crls, answers: &[], memory: &memory::Forgetful };
    trust.judge_tls(None, &sent, Usage::Any, world, &provider()).map(drop)
}

#[test]
fn it_must_be_above_and_is_judged_as_every_other() {
    let params = |name| papers::authority(papers::subject(name, &[]));
    let root = papers::own(papers::of_depth(params("root"), 1), Kind::P256);
    let (sales, research) = (root.intermediate("sales", Kind::P256), root.intermediate("research", Kind::P256));
    let peer = sales.peer("peer", &["peer.lab"], Kind::P256);
    assert_eq!(judged(&root, &sales, &peer, &[&sales], &[]), Ok(()));
    // Another certificate of the same authority.
    let again = root.issue_for(papers::numbered(params("sales"), 7), &sales);
    assert_eq!(judged(&root, &again, &peer, &[&sales], &[]), Ok(()));
    let refused = |result: Result<(), Refusal>| match result {
        Err(Refusal::Certificate(fault)) => fault,
        other => panic!("{other:?}"),
    };
    let fault = refused(judged(&root, &research, &peer, &[&sales], &[]));
    assert!(matches!(fault, Fault::NotThrough(..)), "{fault}");
    // The authority above it has revoked it.
    let fault = refused(judged(&root, &sales, &peer, &[&sales], &[root.crl(&[&sales])]));
    assert!(matches!(fault, Fault::Revoked(_)), "{fault}");
    // The one above it lets nobody come between.
    let below = sales.intermediate("below", Kind::P256);
    let peer = below.peer("peer", &["peer.lab"], Kind::P256);
    let fault = refused(judged(&root, &below, &peer, &[&below, &sales], &[]));
    assert!(matches!(fault, Fault::PathTooLong(_)), "{fault}");
}
