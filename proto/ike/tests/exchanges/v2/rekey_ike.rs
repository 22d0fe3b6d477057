//! Rekeying of the IKE SA, alone, colliding, and beside exchanges of Child SAs (RFC 7296 §2.8.2, §2.25), one message at a time.

use std::time::Duration;

use ravelin_ike::output::DownReason;
use ravelin_ike::{Command, Event, limits};
use ravelin_types::IkeSpi;

use super::rekey::assert_one_child;
use crate::lab::*;

#[test]
fn the_ike_sa_is_rekeyed_and_the_child_sas_move() {
    let mut lab = Lab::up();
    let old = lab.a.ike().spis;
    let child = lab.a.child().inbound;
    lab.a.command(Command::RekeyIke("peer".into()));
    // HDR, SK {SA, Ni, KEi} -->
    assert_eq!(lab.a.next(), Some((CREATE_CHILD, 2, false)));
    lab.a_to_b();
    // <-- HDR, SK {SA, Nr, KEr}
    lab.b_to_a();
    // HDR, SK {D(IKE)} -->  on the old IKE SA
    assert_eq!(lab.a.next(), Some((INFO, 3, false)));
    assert_eq!(lab.a.sent[0].data[..8], old.0.0.to_be_bytes());
    lab.a_to_b();
    // <-- HDR, SK {}
    lab.b_to_a();
    assert_ne!(lab.a.ike().spis, old);
    assert_eq!(lab.a.ike().spis, lab.b.ike().spis);
    assert_eq!(lab.a.child().inbound, child);
    assert_one_child(&lab);
    let silent = |host: &Host| !host.events.iter().any(|event| matches!(event, Event::ChildDown { .. }));
    assert!(silent(&lab.a) && silent(&lab.b));

    // The new one works, from both ends, with message IDs from 0.
    lab.b.command(Command::RekeyChild(POLICY));
    assert_eq!(lab.b.next(), Some((CREATE_CHILD, 0, false)));
    lab.settle();
    lab.a.command(Command::RekeyChild(POLICY));
    assert_eq!(lab.a.next(), Some((CREATE_CHILD, 0, false)));
    lab.settle();
    assert_one_child(&lab);
    // And the one who answered becomes the original initiator when it rekeys.
    lab.b.command(Command::RekeyIke("peer".into()));
    lab.settle();
    assert!(lab.b.ike().initiator && !lab.a.ike().initiator);
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
}

#[test]
fn the_ike_sa_is_rekeyed_when_its_time_comes() {
    let mut lab = Lab::with(|a, _| a.remotes[0].lifetime = Duration::from_secs(100));
    lab.establish();
    let old = lab.a.ike();
    let at = old.rekey_at.unwrap().since(lab.a.now);
    assert!(at <= Duration::from_secs(100) && at >= Duration::from_secs(90));
    lab.a.sleep(at);
    lab.settle();
    assert_ne!(lab.a.ike().spis, old.spis);
    assert_one_child(&lab);
}

#[test]
fn an_ike_sa_without_its_remote_is_not_prolonged() {
    let mut lab = Lab::up();
    lab.a.configure(|config| config.remotes.clear());
    // Neither when the peer asks ...
    let spis = lab.a.ike().spis;
    lab.b.command(Command::RekeyIke(lab.b.ike().remote));
    lab.settle();
    assert_eq!(lab.a.ike().spis, spis);
    // ... nor by itself when its time comes.
    lab.sleep(lab.a.ike().rekey_at.unwrap().since_origin() + Duration::from_secs(3600));
    lab.settle();
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.a.sas.is_empty(), "{:?}", lab.a.endpoint.ike_sas());
}

#[test]
fn an_ike_sa_that_cannot_be_rekeyed_ends_at_its_hard_lifetime() {
    let mut lab = Lab::with(|a, _| a.remotes[0].lifetime = Duration::from_secs(100));
    lab.establish();
    // B does not agree to any new IKE SA.
    lab.b.configure(|config| config.remotes[0].accept = false);
    lab.a.sleep(Duration::from_secs(100));
    assert_eq!(lab.a.next().map(|next| next.0), Some(CREATE_CHILD));
    lab.a.sent.clear();
    lab.a.sleep(Duration::from_secs(10));
    assert_eq!(lab.a.ike().state, "DELETING");
    assert_eq!(lab.a.endpoint.ike_sas().len(), 1);
}

#[test]
fn colliding_ike_rekeys_leave_one_ike_sa_with_the_child_sas() {
    let (mut a_won, mut b_won) = (0, 0);
    for seed in 0..12 {
        let mut lab = Lab::new();
        lab.a = Host::new(lab.a.config.clone(), 300 + seed);
        lab.establish();
        let old = lab.a.ike().spis;
        lab.a.command(Command::RekeyIke("peer".into()));
        lab.b.command(Command::RekeyIke("peer".into()));
        // send req1: SA(..,SPIa1,..), Ni1 -->    <-- send req2: SA(..,SPIb1,..), Ni2
        let (req1, req2) = (lab.a.take(), lab.b.take());
        lab.a.receive(&req2);
        lab.b.receive(&req1);
        // send resp2 -->    <-- send resp1
        let (resp2, resp1) = (lab.a.take(), lab.b.take());
        lab.a.receive(&resp1);
        lab.b.receive(&resp2);
        // Three IKE SAs at each, of which one is deleted by A and one by B.
        assert_eq!((lab.a.endpoint.ike_sas().len(), lab.b.endpoint.ike_sas().len()), (3, 3));
        lab.settle();
        assert_ne!(lab.a.ike().spis, old);
        assert_eq!(lab.a.ike().spis, lab.b.ike().spis);
        assert_one_child(&lab);
        if lab.a.ike().initiator {
            a_won += 1
        } else {
            b_won += 1
        }
        lab.b.command(Command::RekeyChild(POLICY));
        lab.settle();
        assert_one_child(&lab);
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    }
    assert!(a_won > 0 && b_won > 0, "the nonces decide: {a_won} to {b_won}");
}

#[test]
fn an_ike_rekey_that_one_side_finishes_before_it_hears_of_the_other() {
    let mut lab = Lab::up();
    let old = lab.a.ike().spis;
    lab.a.command(Command::RekeyIke("peer".into()));
    lab.b.command(Command::RekeyIke("peer".into()));
    // send req1 -->     <-- send req2 (on its way for long)
    let req2 = lab.b.take();
    lab.a_to_b();
    // <-- send resp1
    lab.b_to_a();
    // send req3: D() -->
    lab.a_to_b();
    // <-- send resp3: (); B forgets its own rekey.
    assert_eq!(lab.b.endpoint.ike_sas().len(), 1);
    // req2 arrives at last: A is closing that IKE SA.
    lab.a.receive(&req2);
    // N(TEMPORARY_FAILURE) -->  for an IKE SA that B no longer has
    lab.settle();
    assert_ne!(lab.a.ike().spis, old);
    assert_eq!(lab.a.ike().spis, lab.b.ike().spis);
    assert_one_child(&lab);
    lab.sleep(Duration::from_secs(120));
    lab.settle();
    assert_one_child(&lab);
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
}

#[test]
fn an_ike_rekey_waits_for_child_exchanges_and_the_other_way_round() {
    let mut lab = Lab::up();
    lab.a.command(Command::RekeyIke("peer".into()));
    lab.b.command(Command::RekeyChild(POLICY));
    let (ike, child) = (lab.a.take(), lab.b.take());
    // B is creating a Child SA: <-- N(TEMPORARY_FAILURE)
    lab.b.receive(&ike);
    // A is rekeying the IKE SA: N(TEMPORARY_FAILURE) -->
    lab.a.receive(&child);
    lab.settle();
    assert_eq!(lab.a.endpoint.ike_sas().len(), 1);
    assert_one_child(&lab);
    // Both try again; the one that comes first goes first.
    for _ in 0..200 {
        lab.sleep(Duration::from_millis(100));
        lab.settle();
    }
    assert_one_child(&lab);
    assert_eq!(lab.a.ike().spis, lab.b.ike().spis);
    let done = |host: &Host| host.events.iter().any(|event| matches!(event, Event::IkeRekeyed { .. }));
    assert!(done(&lab.a) && done(&lab.b));
    assert!(lab.b.events.iter().any(|event| matches!(event, Event::ChildRekeyed { .. })));
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
}

#[test]
fn a_child_sa_is_deleted_while_the_ike_sa_is_being_rekeyed() {
    let mut lab = Lab::up();
    lab.a.command(Command::RekeyIke("peer".into()));
    lab.b.command(Command::TerminateChild(Some(POLICY)));
    // <-- HDR, SK {D(ESP, SPIb)}
    lab.b_to_a();
    lab.settle();
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    lab.sleep(Duration::from_secs(5));
    lab.settle();
    assert_eq!(lab.a.ike().spis, lab.b.ike().spis);
}

#[test]
fn an_ike_sa_is_closed_while_it_is_being_rekeyed() {
    let mut lab = Lab::up();
    lab.a.command(Command::RekeyIke("peer".into()));
    lab.b.command(Command::TerminateIke(None));
    let rekey = lab.a.take();
    let delete = lab.b.take();
    // B is closing it: <-- N(TEMPORARY_FAILURE)
    lab.b.receive(&rekey);
    // A obeys and forgets its own rekey.
    lab.a.receive(&delete);
    assert!(lab.a.endpoint.ike_sas().is_empty());
    lab.settle();
    assert!(lab.b.endpoint.ike_sas().is_empty());
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    let told = |event: &Event| matches!(event, Event::IkeDown { reason: DownReason::PeerDeleted, .. });
    assert!(lab.a.events.iter().any(told));
}

#[test]
fn a_replaced_ike_sa_that_the_peer_never_deletes_goes_by_itself() {
    let mut lab = Lab::up();
    lab.a.command(Command::RekeyIke("peer".into()));
    lab.a_to_b();
    assert_eq!(lab.b.endpoint.ike_sas().len(), 2);
    lab.b.sent.clear();
    lab.b.sleep(limits::REPLACED_IKE_LIFETIME);
    assert_eq!(lab.b.endpoint.ike_sas().len(), 1);
    assert_eq!(lab.b.children().len(), 1);
    assert_ne!(lab.b.ike().spis.0, IkeSpi::ZERO);
}
