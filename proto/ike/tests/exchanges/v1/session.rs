//! The ISAKMP SA after phase 1: rekeying, lifetime, signs of life, deletes, restarts.

use std::time::Duration;

use ravelin_ike::config::Liveness;
use ravelin_ike::explain::Part;
use ravelin_ike::output::DownReason;
use ravelin_ike::{Command, Config, Event, Unique};
use ravelin_types::selector::TrafficSelector;

use super::{INFORMATIONAL, lab, next, up, v1};
use crate::lab::{B, Host, Lab, POLICY, config, ip};

fn run(lab: &mut Lab, seconds: u64) {
    for _ in 0..seconds {
        lab.sleep(Duration::from_secs(1));
        lab.settle();
    }
}

fn downs(host: &Host) -> Vec<DownReason> {
    let down = host.events.iter().filter_map(|event| match event {
        Event::IkeDown { reason, .. } => Some(*reason),
        _ => None,
    });
    down.collect()
}

#[test]
fn another_phase_1_takes_over_with_all_child_sas() {
    for from_a in [true, false] {
        let mut lab = up();
        let before = lab.a.ike().spis;
        let child = lab.a.child();
        let host = if from_a { &mut lab.a } else { &mut lab.b };
        host.command(Command::RekeyIke("peer".into()));
        lab.settle();
        // The old one stays until the peer has surely moved everything to the new one.
        assert_eq!((lab.a.endpoint.ike_sas().len(), lab.b.endpoint.ike_sas().len()), (2, 2));
        run(&mut lab, 6);
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
        assert_ne!(lab.a.ike().spis, before);
        assert_eq!(lab.a.ike().spis, lab.b.ike().spis);
        assert_eq!(lab.a.child().inbound, child.inbound);
        lab.assert_mirrored();
        assert!(lab.b.events.iter().any(|event| matches!(event, Event::IkeRekeyed { .. })));
        // Whatever is asked for next is asked for under the new one.
        lab.a.command(Command::RekeyChild(POLICY));
        lab.settle();
        run(&mut lab, 8);
        assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, 1));
        lab.assert_mirrored();
    }
}

// Child SAs outlive the ISAKMP SA under which they are made, also where it is replaced while a quick mode is under way in it.
#[test]
fn a_quick_mode_under_way_is_not_lost_with_the_isakmp_sa_that_is_replaced() {
    for (lost, by_a) in [(0, true), (0, false), (1, true), (1, false)] {
        let mut lab = up();
        let old = lab.a.child().inbound;
        lab.a.command(Command::RekeyChild(POLICY));
        lab.a_to_b();
        let mut late = lab.b.take();
        if lost == 1 {
            lab.a.receive(&late);
            late = lab.a.take();
        }
        let host = if by_a { &mut lab.a } else { &mut lab.b };
        host.command(Command::RekeyIke("peer".into()));
        lab.settle();
        let receiver = if lost == 1 { &mut lab.b } else { &mut lab.a };
        receiver.receive(&late);
        lab.settle();
        run(&mut lab, 70);
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
        assert_ne!(lab.a.child().inbound, old, "the new one alone is left, message {lost}, by A: {by_a}");
        assert_eq!(lab.b.children().len(), 1);
        assert_eq!((lab.a.endpoint.ike_sas().len(), lab.b.endpoint.ike_sas().len()), (1, 1));
        lab.assert_mirrored();
    }
}

// One side may have moved its Child SAs to the newer ISAKMP SA while the other still speaks of them under the older one.
#[test]
fn a_delete_under_the_older_isakmp_sa_counts() {
    let mut lab = up();
    lab.a.command(Command::TerminateChild(Some(POLICY)));
    let delete = lab.a.take();
    lab.b.command(Command::RekeyIke("peer".into()));
    lab.settle();
    assert_eq!(lab.b.children().len(), 1);
    lab.b.receive(&delete);
    assert!(lab.b.children().is_empty() && lab.b.sas.is_empty());
}

#[test]
fn it_is_renewed_before_it_ends_and_the_shorter_lifetime_counts() {
    let mut lab = lab(|_, b| b.remotes[0].lifetime = Duration::from_secs(100));
    lab.establish();
    let before = lab.b.ike().spis;
    run(&mut lab, 99);
    assert_ne!(lab.b.ike().spis, before);
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    assert_eq!(lab.a.children().len(), 1);
    lab.assert_mirrored();
}

#[test]
fn it_ends_where_nobody_may_renew_it() {
    let mut lab = lab(|a, _| a.remotes[0].lifetime = Duration::from_secs(100));
    lab.establish();
    for host in [&mut lab.a, &mut lab.b] {
        host.configure(|config| config.remotes[0].initiate = false);
    }
    run(&mut lab, 120);
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.b.endpoint.ike_sas().is_empty());
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
}

#[test]
fn a_delete_takes_all_with_it() {
    for from_a in [true, false] {
        let mut lab = up();
        let host = if from_a { &mut lab.a } else { &mut lab.b };
        host.command(Command::TerminateIke(None));
        lab.settle();
        assert!(lab.a.endpoint.ike_sas().is_empty() && lab.b.endpoint.ike_sas().is_empty());
        assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
        let (here, there) = if from_a { (&lab.a, &lab.b) } else { (&lab.b, &lab.a) };
        assert_eq!((downs(here), downs(there)), (vec![DownReason::Command], vec![DownReason::PeerDeleted]));
    }
}

// RFC 3706: one question, one answer; what the peer sends of itself is an answer too.
#[test]
fn a_quiet_peer_is_asked_whether_it_lives() {
    let mut lab = lab(|a, _| a.remotes[0].liveness = Liveness::Regular(Duration::from_secs(30)));
    lab.establish();
    let inbound = lab.a.child().inbound;
    for _ in 0..10 {
        lab.a.sleep(Duration::from_secs(20));
        lab.a.command(Command::Alive(inbound));
    }
    assert!(lab.a.sent.is_empty(), "its packets show that it lives");
    lab.a.sleep(Duration::from_secs(31));
    assert_eq!(next(&lab.a), Some((INFORMATIONAL, true)));
    lab.a_to_b();
    assert_eq!(next(&lab.b), Some((INFORMATIONAL, true)));
    lab.b_to_a();
    lab.a.sleep(Duration::from_secs(20));
    assert!(lab.a.sent.is_empty(), "it has answered");
    assert_eq!(lab.a.ike().state, "ESTABLISHED");
}

#[test]
fn a_peer_that_does_not_answer_is_dead() {
    let mut lab = lab(|a, _| a.remotes[0].liveness = Liveness::Regular(Duration::from_secs(30)));
    lab.establish();
    let mut asked = 0;
    for _ in 0..200 {
        lab.a.sleep(Duration::from_secs(1));
        asked += lab.a.sent.drain(..).count();
    }
    assert_eq!(asked, 7, "as often as any request");
    lab.a.failure(Part::NoAnswer);
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.a.sas.is_empty());
}

// RFC 3706 §5.5: it matters only where there is something to send.
#[test]
fn a_host_that_sends_nothing_never_asks() {
    let mut lab = lab(|a, _| a.remotes[0].liveness = Liveness::WhenSending(Duration::from_secs(30)));
    lab.establish();
    for _ in 0..100 {
        lab.a.sleep(Duration::from_secs(30));
    }
    assert!(lab.a.sent.is_empty());
    assert!(lab.a.send_packet());
    assert_eq!(next(&lab.a), Some((INFORMATIONAL, true)));
    lab.settle();
    lab.a.sleep(Duration::from_secs(29));
    assert!(!lab.a.send_packet(), "the answer is proof for the same time again");
    assert!(lab.a.sent.is_empty());
}

#[test]
fn a_host_that_sends_into_silence_asks_and_finds_the_peer_dead() {
    let mut lab = lab(|a, _| a.remotes[0].liveness = Liveness::WhenSending(Duration::from_secs(30)));
    lab.establish();
    let mut asked = 0;
    for _ in 0..200 {
        lab.a.sleep(Duration::from_secs(1));
        if lab.a.sas.is_empty() {
            break;
        }
        lab.a.send_packet();
        asked += lab.a.sent.drain(..).count();
    }
    assert_eq!(asked, 7, "as often as any request");
    lab.a.failure(Part::NoAnswer);
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.a.sas.is_empty());
}

// RFC 2407 §4.6.3.3: a peer that comes back from a crash says so, and what is left over goes.
#[test]
fn a_restarted_peer_takes_the_place_of_what_it_was() {
    let mut lab = up();
    let old = lab.b.child().inbound;
    lab.a = Host::new(lab.a.config.clone(), 77);
    lab.a.now = lab.b.now;
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    assert_eq!((lab.b.children().len(), lab.b.endpoint.ike_sas().len()), (1, 1));
    assert_ne!(lab.b.child().inbound, old);
    assert_eq!(downs(&lab.b), [DownReason::InitialContact]);
    lab.assert_mirrored();
}

#[test]
fn both_may_begin_at_once() {
    let mut lab = lab(|_, _| ());
    lab.a.command(Command::Initiate(POLICY));
    lab.b.command(Command::Initiate(POLICY));
    lab.settle();
    run(&mut lab, 70);
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    assert!(!lab.a.children().is_empty());
    assert_eq!(lab.a.children().len(), lab.b.children().len());
    lab.assert_mirrored();
}

// RFC 2407 §4.6.3.3: obeyed, unless the operator lets a peer have any number.
#[test]
fn an_initial_contact_ends_what_was_before_unless_any_number_is_allowed() {
    for (unique, left) in [(Unique::No, 1), (Unique::Never, 2)] {
        let mut lab = lab(|_, b| b.remotes[0].extensions.unique = unique);
        lab.establish();
        let config = lab.a.config.clone();
        lab.a = Host::new(config, 7);
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, left), "{unique:?}");
    }
}

/// Two that are connected, the second of which takes its peer from anywhere.
fn with_anybody(unique: Unique) -> Lab {
    let mut lab = lab(|_, b| {
        b.remotes[0].remote = "0.0.0.0".parse().unwrap();
        b.remotes[0].extensions.unique = unique;
        b.policies[0].policy.remote = vec![TrafficSelector::any_v4()];
        b.policies[0].policy.local = vec![TrafficSelector::host(ip(B))];
    });
    lab.establish();
    lab
}

/// Somebody of the same name connects from another address; gives the one of before.
fn from_elsewhere(lab: &mut Lab, change: impl FnOnce(&mut Config)) -> Host {
    let mut config = config("192.0.2.3", B);
    v1(&mut config, false);
    config.remotes[0].local_id = lab.a.config.remotes[0].local_id.clone();
    change(&mut config);
    let (other, now) = (Host::new(config, 9), lab.a.now);
    let before = std::mem::replace(&mut lab.a, other);
    lab.a.now = now;
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    before
}

// A name that many share, as that of a group: each has an ISAKMP SA of its own, and no part in the Child SAs of another.
#[test]
fn the_same_name_elsewhere_is_another_host() {
    let mut lab = with_anybody(Unique::Never);
    let first = (lab.b.ike().spis, lab.b.child().inbound);
    let a = from_elsewhere(&mut lab, |_| ());
    let children = |host: &Host| host.endpoint.ike_sas().iter().map(|sa| sa.children.len()).collect::<Vec<_>>();
    assert_eq!(children(&lab.b), [1, 1]);
    lab.a.command(Command::TerminateIke(None));
    lab.settle();
    run(&mut lab, 70);
    assert_eq!((lab.b.ike().spis, lab.b.child().inbound), first);
    lab.a = a;
    lab.assert_mirrored();
}

// Where a peer has one alone, the newest is it, wherever it comes from: it has moved, and says nothing of what it had before.
#[test]
fn a_peer_that_comes_from_elsewhere_has_nothing_left_where_it_was_if_it_may_have_one_alone() {
    for (unique, left) in [(Unique::Replace, 1), (Unique::No, 2)] {
        let mut lab = with_anybody(unique);
        let first = (lab.b.ike().spis, lab.b.child().inbound);
        // It says nothing of INITIAL-CONTACT.
        from_elsewhere(&mut lab, |config| config.remotes[0].extensions.unique = Unique::Never);
        let sas = lab.b.endpoint.ike_sas();
        assert_eq!((sas.len(), sas.iter().map(|sa| sa.children.len()).sum::<usize>()), (left, left), "{unique:?}");
        assert_eq!(sas.iter().any(|sa| sa.spis == first.0), unique == Unique::No);
    }
}
