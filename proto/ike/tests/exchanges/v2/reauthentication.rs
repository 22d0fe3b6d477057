//! Both sides prove anew who they are (RFC 7296 §2.8.3, RFC 4478), and how many IKE SAs a peer may have.

use std::time::Duration;

use ravelin_ike::explain::Part;
use ravelin_ike::extensions::Childless;
use ravelin_ike::output::DownReason;
use ravelin_ike::{Command, Event, Unique, limits};
use ravelin_types::Spi;
use ravelin_types::sa::Direction;

use crate::lab::*;

const HOUR: Duration = Duration::from_secs(3600);

/// Seconds pass one by one, and every message arrives; what both sides hold is the same all along, and never nothing.
fn run(lab: &mut Lab, seconds: u64) {
    for _ in 0..seconds {
        lab.sleep(Duration::from_secs(1));
        lab.settle();
        lab.traffic();
        lab.assert_mirrored();
        assert!(!lab.a.children().is_empty(), "traffic would wait");
    }
}

fn anew(host: &Host) -> usize {
    host.events.iter().filter(|event| matches!(event, Event::IkeReauthenticated { .. })).count()
}

fn ups(host: &Host) -> usize {
    host.events.iter().filter(|event| matches!(event, Event::IkeUp { .. })).count()
}

// HDR, SAi1 ... AUTH, SAi2, TSi, TSr, then on the old IKE SA   HDR, SK {D}  -->
#[test]
fn another_ike_sa_takes_the_place_of_one_that_is_old() {
    let mut lab = Lab::with(|a, _| a.remotes[0].extensions.reauth = Some(HOUR));
    lab.establish();
    let (before, child) = (lab.a.ike(), lab.a.child());
    let at = before.reauth_at.expect("a time").since(before.created);
    assert!(at > HOUR * 9 / 10 && at <= HOUR, "{at:?}");
    run(&mut lab, 3700);
    assert_eq!((anew(&lab.a), ups(&lab.b)), (1, 2));
    let (after, now) = (lab.a.ike(), lab.a.child());
    assert!(before.spis != after.spis && after.initiator && child.inbound != now.inbound);
    assert_eq!((now.policy, now.local_ts, now.remote_ts), (child.policy, child.local_ts, child.remote_ts));
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    let gone = |event: &&Event| matches!(event, Event::IkeDown { reason: DownReason::Replaced, .. });
    assert_eq!(lab.a.events.iter().filter(gone).count(), 1);
    // And so on.
    run(&mut lab, 3700);
    assert_eq!(anew(&lab.a), 2);
}

// Nobody has to wait for the time.
#[test]
fn it_is_done_on_demand() {
    let mut lab = Lab::new();
    lab.establish();
    let (before, child) = (lab.a.ike(), lab.a.child());
    assert_eq!(before.reauth_at, None);
    lab.a.command(Command::ReauthenticateIkeSa(before.spis.0));
    run(&mut lab, 5);
    assert_eq!((anew(&lab.a), ups(&lab.b)), (1, 2));
    assert!(before.spis != lab.a.ike().spis && child.inbound != lab.a.child().inbound);
    // Once.
    run(&mut lab, 3700);
    assert_eq!(anew(&lab.a), 1);
}

// Whoever only accepts does not begin, and says so. The peer knows when it has to.
#[test]
fn who_only_accepts_does_not_begin_anew() {
    let mut lab = Lab::with(|_, b| b.remotes[0].initiate = false);
    lab.establish();
    let before = lab.b.ike();
    lab.b.command(Command::ReauthenticateIkeSa(before.spis.1));
    run(&mut lab, 300);
    assert_eq!((anew(&lab.b), ups(&lab.a), lab.b.ike().spis), (0, 1, before.spis));
    let failures = lab.b.failures();
    assert_eq!(failures.iter().map(|failure| failure.part).collect::<Vec<_>>(), [Part::Role]);
    assert_eq!(failures[0].ours, ["accept only"]);
}

// Nor is an IKE SA without use whose Child SA is being rekeyed at that moment.
#[test]
fn a_child_sa_that_is_being_rekeyed_is_made_anew_too() {
    let mut lab = Lab::up();
    let (before, child) = (lab.a.ike(), lab.a.child());
    lab.a.command(Command::RekeyChild(POLICY));
    let request = lab.a.take();
    assert_eq!(lab.a.child().state, "REKEYING");
    lab.a.command(Command::ReauthenticateIkeSa(before.spis.0));
    lab.a.sleep(Duration::ZERO);
    lab.b.receive(&request);
    run(&mut lab, 5);
    assert_eq!((anew(&lab.a), ups(&lab.b)), (1, 2));
    assert!(before.spis != lab.a.ike().spis && child.inbound != lab.a.child().inbound);
    lab.assert_mirrored();
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
}

// What the peer sent on the old SA before it knew the new one still arrives, and so does what we did.
#[test]
fn the_old_sas_stay_until_what_is_on_its_way_has_arrived() {
    let mut lab = Lab::with(|a, _| a.remotes[0].extensions.reauth = Some(HOUR));
    lab.establish();
    let mut both = 0;
    while anew(&lab.a) == 0 {
        lab.sleep(Duration::from_millis(500));
        lab.settle();
        lab.traffic();
        both = lab.a.sas.len();
    }
    assert_eq!((both, lab.b.sas.len()), (4, 4), "two pairs on each side");
    assert_eq!(lab.a.endpoint.ike_sas().iter().filter(|ike| ike.state == "DELETING").count(), 1);
    lab.sleep(Duration::from_secs(1));
    lab.settle();
    assert_eq!((lab.a.sas.len(), lab.b.sas.len()), (2, 2));
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
}

/// A begins anew, and B has answered. The inbound SPIs of B: of before, and of now.
fn answered() -> (Lab, Spi, Spi) {
    let mut lab = Lab::up();
    let old = lab.b.child().inbound;
    lab.a.command(Command::ReauthenticateIkeSa(lab.a.ike().spis.0));
    lab.a.sleep(Duration::ZERO);
    lab.a_to_b();
    lab.b_to_a();
    lab.b.order.clear();
    lab.a_to_b();
    assert_eq!(lab.b.order, ["in+", "send"]);
    let new = lab.b.children().iter().map(|child| child.inbound).find(|spi| *spi != old).expect("another");
    lab.b.order.clear();
    (lab, old, new)
}

// A second time before anything was heard of the first: what takes the place of the oldest is the one that the peer has.
#[test]
fn what_was_made_anew_twice_at_once_sends_where_the_peer_has_it() {
    let (mut lab, old, first) = answered();
    lab.b_to_a();
    let newest = lab.a.endpoint.ike_sas().into_iter().max_by_key(|ike| ike.serial).expect("two");
    lab.a.command(Command::ReauthenticateIkeSa(newest.spis.0));
    lab.a.sleep(Duration::ZERO);
    lab.a_to_b();
    lab.b_to_a();
    lab.a_to_b();
    // The answer is lost.
    lab.b.sent.clear();
    let children = lab.b.children();
    let second = children.iter().map(|child| child.inbound).find(|spi| ![old, first].contains(spi)).expect("a third");
    let sends = |lab: &Lab, inbound| {
        let child = lab.b.children().into_iter().find(|child| child.inbound == inbound).expect("it is there");
        lab.b.has(Direction::Outbound, child.outbound)
    };
    assert_eq!([old, first, second].map(|inbound| sends(&lab, inbound)), [true, false, false]);
    // The oldest goes.
    lab.a.sleep(limits::REAUTH_OVERLAP);
    while !lab.a.sent.is_empty() {
        lab.a_to_b();
    }
    assert_eq!([first, second].map(|inbound| sends(&lab, inbound)), [true, false]);
}

// RFC 7296 §2.8: "an implementation MAY defer such sending": until a packet shows that the peer has our answer.
#[test]
fn the_responder_sends_on_the_new_child_sa_once_it_receives_on_it() {
    let (mut lab, old, new) = answered();
    lab.b.command(Command::Alive(old));
    assert!(lab.b.order.is_empty());
    lab.b.command(Command::Alive(new));
    assert_eq!(lab.b.order, ["out+"]);
    lab.settle();
    lab.sleep(Duration::from_secs(2));
    lab.settle();
    lab.assert_mirrored();
    assert_eq!((lab.a.child().outbound, lab.b.child().inbound), (new, new));
}

// Or until the peer gives the old one up, with which it says the same, or asks for something on the new IKE SA.
#[test]
fn the_responder_sends_on_the_new_child_sa_once_the_old_one_goes() {
    for deletes in [true, false] {
        let (mut lab, ..) = answered();
        lab.b_to_a();
        match deletes {
            true => lab.sleep(Duration::from_secs(1)),
            false => lab.a.command(Command::RekeyChild(POLICY)),
        }
        lab.a_to_b();
        assert_eq!(lab.b.order.iter().filter(|what| **what == "out+").count(), 1, "{:?}", lab.b.order);
        lab.settle();
        lab.traffic();
        lab.assert_mirrored();
    }
}

// A peer that lost what it had, and does not say so, waits for nothing that would not come.
#[test]
fn the_responder_sends_on_the_new_child_sa_after_a_moment() {
    let (mut lab, ..) = answered();
    lab.b.sent.clear();
    lab.b.sleep(Duration::from_millis(1900));
    assert!(lab.b.order.is_empty());
    lab.b.sleep(Duration::from_millis(100));
    assert_eq!(lab.b.order, ["out+"]);
}

// Nothing is there that would send instead.
#[test]
fn a_first_child_sa_sends_at_once() {
    let mut lab = Lab::new();
    lab.a.command(Command::Initiate(POLICY));
    lab.a_to_b();
    lab.b_to_a();
    lab.b.order.clear();
    lab.a_to_b();
    assert_eq!(lab.b.order, ["in+", "out+", "send"]);
}

// RFC 4478 §2, RFC 4478 §3: <--  HDR, SK {IDr, AUTH, SAr2, TSi, TSr, N(AUTH_LIFETIME)}, four octets of seconds.
#[test]
fn the_responder_says_how_long_an_authentication_is_good() {
    let mut lab = Lab::with(|_, b| b.remotes[0].extensions.reauth = Some(HOUR));
    lab.establish();
    run(&mut lab, 3600);
    assert_eq!((anew(&lab.a), ups(&lab.b)), (1, 2), "before the time was over");
    let expired = |event: &Event| matches!(event, Event::IkeDown { reason: DownReason::Expired, .. });
    assert!(!lab.b.events.iter().any(expired));
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
}

// RFC 4478 §2: if the IKE SA is rekeyed, the time limit applies to the new one, whoever rekeys it.
#[test]
fn a_rekeyed_ike_sa_is_no_younger() {
    for by_responder in [false, true] {
        let mut lab = Lab::with(|_, b| b.remotes[0].extensions.reauth = Some(HOUR));
        lab.establish();
        run(&mut lab, 1800);
        let host = if by_responder { &mut lab.b } else { &mut lab.a };
        host.command(Command::RekeyIke("peer".into()));
        lab.settle();
        assert_eq!(lab.a.ike().initiator, !by_responder);
        run(&mut lab, 1800);
        assert_eq!((anew(&lab.a), anew(&lab.b)), (1, 0), "by whoever began the first one");
    }
}

// RFC 4478 §5: a responder that says zero each time does not make us do nothing else.
#[test]
fn a_responder_cannot_have_us_authenticate_without_end() {
    let mut lab = Lab::with(|_, b| b.remotes[0].extensions.reauth = Some(Duration::ZERO));
    lab.establish();
    run(&mut lab, 30);
    let times = anew(&lab.a);
    assert!((5..=10).contains(&times), "{times}");
    // One that has just been replaced stays a moment longer.
    assert!(lab.a.endpoint.ike_sas().len() <= 2);
}

// RFC 4478 §4: a peer that does not repeat its authentication loses the IKE SA.
#[test]
fn a_peer_that_does_nothing_loses_the_ike_sa() {
    let mut lab = Lab::with(|_, b| b.remotes[0].extensions.reauth = Some(HOUR));
    lab.establish();
    // The remote is gone at A, so there is nothing to begin with.
    lab.a.configure(|config| config.remotes.clear());
    for _ in 0..3700 {
        lab.sleep(Duration::from_secs(1));
        lab.settle();
    }
    let expired = |event: &Event| matches!(event, Event::IkeDown { reason: DownReason::Expired, .. });
    assert!(lab.b.events.iter().any(expired));
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
}

// What cannot be repeated is tried again, and the old IKE SA serves until it must end.
#[test]
fn an_attempt_that_fails_leaves_the_old_ike_sa_in_use() {
    let mut lab = Lab::with(|a, _| a.remotes[0].extensions.reauth = Some(HOUR));
    lab.establish();
    let spis = lab.a.ike().spis;
    lab.b.configure(|config| share(&mut config.remotes[0], b"another secret than before, long enough"));
    for _ in 0..3640 {
        lab.sleep(Duration::from_secs(1));
        lab.settle();
    }
    assert!(lab.a.failures().len() > 1, "{:?}", lab.a.failures().len());
    assert_eq!((lab.a.ike().spis, lab.a.children().len()), (spis, 1));
    lab.b.configure(|config| share(&mut config.remotes[0], SECRET));
    for _ in 0..40 {
        lab.sleep(Duration::from_secs(1));
        lab.settle();
    }
    assert_eq!((anew(&lab.a), lab.a.children().len(), lab.b.children().len()), (1, 1, 1));
    lab.assert_mirrored();
}

// The lab fails where a timer that has run is due again: a daemon would do nothing else until the peer is given up.
#[test]
fn an_ike_sa_that_waits_to_be_deleted_has_no_time_to_repeat_the_authentication() {
    let mut lab = Lab::with(|a, _| a.remotes[0].extensions.reauth = Some(HOUR));
    lab.establish();
    let ike = lab.a.ike();
    let at = ike.reauth_at.expect("a time").since(ike.created);
    for _ in 0..at.as_secs() - 5 {
        lab.sleep(Duration::from_secs(1));
        lab.settle();
    }
    // Nobody answers.
    lab.a.command(Command::TerminateIke(None));
    for _ in 0..600 {
        lab.a.sleep(Duration::from_secs(1));
    }
    assert_eq!((anew(&lab.a), lab.a.sas.len(), lab.a.endpoint.ike_sas().len()), (0, 0, 0));
}

/// B knows A's name; another host of that name, A's double, begins when A is there already.
fn double(unique: Unique, first_contact: bool) -> (Lab, Host) {
    let mut lab = Lab::with(|_, b| {
        b.remotes[0].extensions.unique = unique;
        b.remotes[0].remote = ip("0.0.0.0");
    });
    lab.establish();
    let mut config = lab.a.config.clone();
    config.remotes[0].local = Some(ip("192.0.2.8"));
    if !first_contact {
        config.remotes[0].extensions.unique = Unique::Never;
    }
    let mut double = Host::new(config, 9);
    double.command(Command::Initiate(POLICY));
    for _ in 0..100 {
        if let Some(message) = double.sent.pop_front() {
            lab.b.receive(&message);
        } else if let Some(message) = lab.b.sent.pop_front() {
            let to = if message.remote.ip() == ip("192.0.2.8") { &mut double } else { &mut lab.a };
            to.receive(&message);
        } else if let Some(message) = lab.a.sent.pop_front() {
            lab.b.receive(&message);
        }
    }
    (lab, double)
}

#[test]
fn the_policy_says_how_many_ike_sas_a_peer_may_have() {
    // (policy, INITIAL_CONTACT): what A has, what its double has, and whether A was told.
    for (unique, only, first, second, told) in [
        (Unique::Never, true, 1, 1, false),
        (Unique::No, false, 1, 1, false),
        (Unique::No, true, 1, 1, false),
        (Unique::Replace, false, 0, 1, true),
        (Unique::Keep, false, 1, 0, false),
        (Unique::Keep, true, 1, 1, false),
    ] {
        let (lab, double) = double(unique, only);
        let what = format!("{unique:?} {only}");
        assert_eq!((lab.a.children().len(), double.children().len()), (first, second), "{what}");
        let gone = |event: &Event| matches!(event, Event::IkeDown { reason: DownReason::PeerDeleted, .. });
        assert_eq!(lab.a.events.iter().any(gone), told, "{what}");
        let left = if only && unique != Unique::Never { 1 } else { first + second };
        assert_eq!(lab.b.children().len(), left, "{what}");
        if unique == Unique::Keep && !only {
            let failures = lab.b.failures();
            assert!(failures[0].to_string().contains("keeps the IKE SA that it has"), "{}", failures[0]);
        }
    }
}

// Who proves himself anew is where he was, and begins the new IKE SA while the old one is there: that is nobody else.
#[test]
fn who_authenticates_anew_replaces_himself_whatever_the_policy() {
    for unique in [Unique::Never, Unique::No, Unique::Replace, Unique::Keep] {
        let mut lab = Lab::with(|_, b| b.remotes[0].extensions.unique = unique);
        lab.establish();
        lab.a.command(Command::ReauthenticateIkeSa(lab.a.ike().spis.0));
        let mut both = false;
        for _ in 0..20 {
            lab.sleep(Duration::from_millis(100));
            lab.settle();
            // What is on its way on the old ones arrives on either side.
            both |= [&lab.a, &lab.b].iter().all(|host| host.children().len() == 2);
        }
        assert!(both, "{unique:?}");
        assert_eq!((anew(&lab.a), lab.a.sas.len(), lab.b.sas.len()), (1, 2, 2), "{unique:?}");
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]), "{unique:?}");
        lab.assert_mirrored();
    }
}

// With nothing to go on with it would begin an IKE SA without a Child SA, which not every peer takes.
#[test]
fn an_ike_sa_without_a_child_sa_is_made_anew_where_the_peer_takes_one() {
    for (theirs, again) in [(Childless::Never, 0), (Childless::Allow, 1)] {
        let mut lab = Lab::with(|a, b| {
            a.remotes[0].extensions.childless = Childless::Prefer;
            b.remotes[0].extensions.childless = theirs;
        });
        lab.establish();
        lab.a.command(Command::TerminateChild(None));
        lab.settle();
        lab.a.command(Command::ReauthenticateIkeSa(lab.a.ike().spis.0));
        for _ in 0..20 {
            lab.sleep(Duration::from_millis(100));
            lab.settle();
        }
        assert_eq!((anew(&lab.a), lab.a.endpoint.ike_sas().len()), (again, again), "{theirs:?}");
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]), "{theirs:?}");
    }
}
