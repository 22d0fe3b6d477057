//! RFC 7383: messages in fragments, both ways.

use std::sync::Arc;
use std::time::Duration;

use ravelin_ike::config::{LocalAuth, RemoteAuth};
use ravelin_ike::{Command, Config, Transmit};
use ravelin_testkit::papers::{self, Kind};
use ravelin_types::selector::TrafficSelector;
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{Fragment, Message, NotifyType, Payload};

use crate::lab::*;
use crate::papers::{NAME_B, credential, give_key, trust};
use crate::v2::peer::{Peer, notify};

/// Selectors that make IKE_AUTH longer than a datagram should be.
fn many(config: &mut Config) {
    for child in &mut config.policies {
        let nets = |third: u8, ours: &str| {
            let net = move |i: u8| TrafficSelector::prefix(ip(&format!("10.{third}.{i}.0")), 24).unwrap();
            (0..50).map(net).chain([TrafficSelector::host(ip(ours))]).collect::<Vec<_>>()
        };
        let a = child.policy.local == [TrafficSelector::host(ip(A))];
        let (local, remote) = if a { (1, 2) } else { (2, 1) };
        child.policy.local = nets(local, if a { A } else { B });
        child.policy.remote = nets(remote, if a { B } else { A });
    }
}

fn large() -> Lab {
    Lab::with(|a, b| {
        many(a);
        many(b);
    })
}

/// After IKE_SA_INIT; what is on the wire is A's IKE_AUTH request.
fn asked() -> Lab {
    let mut lab = large();
    lab.a.command(Command::Initiate(POLICY));
    lab.a_to_b();
    lab.b_to_a();
    lab
}

fn fragment(message: &Transmit) -> Option<Fragment> {
    Message::parse(&message.data).unwrap().protected.and_then(|protected| protected.fragment)
}

fn numbers<'a>(messages: impl IntoIterator<Item = &'a Transmit>) -> Vec<(u16, u16)> {
    let fragments = messages.into_iter().map(|message| fragment(message).unwrap());
    fragments.map(|fragment| (fragment.number(), fragment.total())).collect()
}

// HDR, SKF {1 of 3} --> ... both ways, each within an IP datagram of 1280 octets.
#[test]
fn a_long_message_goes_in_fragments_and_is_put_together() {
    let mut lab = asked();
    assert_eq!(numbers(&lab.a.sent), [(1, 2), (2, 2)]);
    assert!(lab.a.sent.iter().all(|message| message.data.len() + 52 <= 1280));
    lab.a_to_b();
    assert!(lab.b.sent.is_empty() && lab.b.sas.is_empty(), "nothing happens before all is there");
    lab.a_to_b();
    assert_eq!(numbers(&lab.b.sent), [(1, 2), (2, 2)]);
    lab.settle();
    lab.assert_mirrored();
    assert_eq!(lab.a.child().local_ts.len(), 51);
    // RFC 7383 §2.4: what is short goes whole; rekeys of both kinds are long again.
    lab.a.command(Command::CheckLiveness("peer".into()));
    assert_eq!(fragment(&lab.a.sent[0]), None);
    lab.settle();
    lab.b.command(Command::RekeyIke("peer".into()));
    lab.settle();
    lab.b.command(Command::RekeyChild(POLICY));
    assert_eq!(numbers(&lab.b.sent), [(1, 2), (2, 2)]);
    lab.settle();
    lab.assert_mirrored();
    assert_eq!((lab.a.failures().len(), lab.b.failures().len()), (0, 0));
}

#[test]
fn fragments_come_in_any_order_and_more_than_once() {
    let mut lab = asked();
    let (first, second) = (lab.a.take(), lab.a.take());
    for message in [&second, &second, &first] {
        lab.b.receive(message);
    }
    assert_eq!(lab.b.sent.len(), 2, "one answer");
    let (one, two) = (lab.b.take(), lab.b.take());
    for message in [&two, &one, &two, &one] {
        lab.a.receive(message);
    }
    lab.assert_mirrored();
    // RFC 7383 §2.6.1: a repeated request gets its answer for the first fragment alone.
    lab.b.receive(&second);
    assert!(lab.b.sent.is_empty());
    lab.b.receive(&first);
    assert_eq!(numbers(&lab.b.sent), [(1, 2), (2, 2)]);
}

/// What a path takes that is no wider than IPv4 must have it.
fn passes(message: &Transmit) -> bool {
    message.data.len() + 32 <= 576
}

/// Lets both talk over a narrow path until A has done what it was told. How often A's clock ran.
fn over_a_narrow_path(lab: &mut Lab, mut done: impl FnMut(&Host) -> bool) -> u32 {
    for waits in 0..8 {
        while !lab.a.sent.is_empty() || !lab.b.sent.is_empty() || lab.a.answer() || lab.b.answer() {
            lab.a.sent.drain(..).filter(passes).for_each(|message| lab.b.receive(&message));
            lab.b.sent.drain(..).filter(passes).for_each(|message| lab.a.receive(&message));
        }
        if done(&lab.a) {
            return waits;
        }
        lab.a.sleep(Duration::from_secs(1 << waits));
    }
    panic!("{:?}", lab.a.failures());
}

// RFC 7383 §2.5.2: smaller ones are more, and replace what is there of the larger ones.
#[test]
fn where_large_fragments_do_not_pass_small_ones_do() {
    let mut lab = asked();
    // One of the large ones comes through by chance.
    lab.a.take();
    lab.a_to_b();
    let waits = over_a_narrow_path(&mut lab, |a| !a.children().is_empty());
    // RFC 7383 §2.5.1: the responder goes by what it received, and its answer is small at once.
    assert_eq!(waits, 2, "two transmissions are large");
    lab.assert_mirrored();
}

// RFC 7383 §2.5.1: what an exchange has shown holds for those that come.
#[test]
fn a_path_that_is_narrow_is_found_out_once() {
    let mut lab = asked();
    assert_eq!(over_a_narrow_path(&mut lab, |a| !a.children().is_empty()), 2);
    for _ in 0..2 {
        for from_a in [true, false] {
            let (child, ike) = (lab.a.child().inbound, lab.a.ike().spis);
            let host = if from_a { &mut lab.a } else { &mut lab.b };
            host.command(Command::RekeyChild(POLICY));
            assert!(host.sent.len() > 3 && host.sent.iter().all(passes));
            assert_eq!(over_a_narrow_path(&mut lab, |a| a.child().inbound != child), 0);
            let host = if from_a { &mut lab.a } else { &mut lab.b };
            host.command(Command::RekeyIke("peer".into()));
            assert_eq!(over_a_narrow_path(&mut lab, |a| a.ike().spis != ike), 0);
        }
    }
    lab.assert_mirrored();
}

// A short request, and a long answer, which nobody but the responder can make smaller.
#[test]
fn an_answer_that_does_not_arrive_is_made_smaller() {
    let root = papers::root("root", Kind::P256);
    let (paper, other) = (root.peer("b", &[NAME_B], Kind::P256), papers::root("other", Kind::P256));
    let mut lab = Lab::with(|a, b| {
        a.remotes[0].remote_auth = RemoteAuth::Signature(Arc::new(trust(&[&root.der])));
        b.remotes[0].local_auth = LocalAuth::Signature(credential(&paper, &[&other.der, &root.der]));
    });
    give_key(&mut lab.b, &paper);
    lab.a.command(Command::Initiate(POLICY));
    lab.a_to_b();
    lab.b_to_a();
    assert_eq!(lab.a.sent.iter().filter(|message| passes(message)).count(), 1);
    assert_eq!(over_a_narrow_path(&mut lab, |a| !a.children().is_empty()), 2);
    lab.assert_mirrored();
}

// RFC 7383 §2.3 and §2.4: the notify of both sides comes first.
#[test]
fn a_peer_that_says_nothing_of_it_gets_whole_messages_and_may_send_no_fragments() {
    let mut config = config(B, A);
    config.policies[0].policy.local.extend((0..60).map(|i| TrafficSelector::host(ip(&format!("10.0.0.{i}")))));
    let mut host = Host::new(config, 2);
    let mut peer = Peer::up(&mut host);
    let before = host.endpoint.counters().forged;
    let message = peer.seal_fragments(ExchangeType::INFORMATIONAL, &[notify(NotifyType::COOKIE, &[])], 8);
    peer.send(&mut host, &message[0]);
    assert_eq!(host.endpoint.counters().forged, before + 1);
    assert!(host.sent.is_empty());
}

/// A peer whose IKE_SA_INIT request announces fragments.
fn fragmenting(host: &mut Host) -> Peer {
    let mut peer = Peer::new(1);
    let mut payloads = peer.init_payloads();
    payloads.push(notify(NotifyType::IKEV2_FRAGMENTATION_SUPPORTED, &[]));
    let request = peer.init_message(&payloads);
    peer.send(host, &request);
    let answer = host.take();
    let message = Message::parse(&answer.data).unwrap();
    let told = |payload: &Payload| matches!(payload, Payload::Notify(notify) if notify.kind == NotifyType::IKEV2_FRAGMENTATION_SUPPORTED);
    assert!(message.payloads.iter().any(told));
    peer.init_answered(&answer.data);
    peer
}

// docs/HISTORY.md, rows 44 and 72: a peer without an identity sends what it likes; it costs what is written down.
#[test]
fn fragments_of_a_stranger_are_bounded_and_harm_nobody() {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = fragmenting(&mut host);
    let payloads = peer.auth_request();
    let parts = peer.seal_fragments(ExchangeType::IKE_AUTH, &payloads, 40);
    assert!(parts.len() > 3);
    // Damage in any fragment is found there, and the fragment can come again.
    let mut damaged = parts[1].clone();
    *damaged.last_mut().unwrap() ^= 1;
    peer.send(&mut host, &damaged);
    assert_eq!(host.endpoint.counters().forged, 1);
    // Numbers that cannot be: zero, beyond the total, and a total beyond the bound.
    for (number, total) in [(0u16, 1u16), (0, 0), (2, 1), (1, 0)] {
        let mut wrong = parts[0].clone();
        wrong[32..34].copy_from_slice(&number.to_be_bytes());
        wrong[34..36].copy_from_slice(&total.to_be_bytes());
        peer.send(&mut host, &wrong);
    }
    assert_eq!(host.endpoint.counters().malformed, 4);
    // All but the last, then all of a set with fewer parts, which is older (RFC 7383 §2.6).
    parts[..parts.len() - 1].iter().for_each(|part| peer.send(&mut host, part));
    let older = peer.seal_fragments(ExchangeType::IKE_AUTH, &payloads, 200);
    older.iter().for_each(|part| peer.send(&mut host, part));
    assert!(host.sent.is_empty() && host.sas.is_empty());
    peer.send(&mut host, &parts[parts.len() - 1]);
    assert_eq!(host.sas.len(), 2);
}

// docs/HISTORY.md, row 1: unknown payloads outside of SKF, up to and beyond the bound of a message.
#[test]
fn payloads_outside_of_fragments_are_passed_over_or_end_it() {
    for count in [0usize, 1, 63, 64, 65, 200] {
        let mut host = Host::new(config(B, A), 2);
        let mut peer = fragmenting(&mut host);
        let payloads = peer.auth_request();
        let parts = peer.seal_fragments_behind(ExchangeType::IKE_AUTH, &payloads, 100, count);
        parts.iter().for_each(|part| peer.send(&mut host, part));
        let counters = host.endpoint.counters();
        assert_eq!((host.sas.len() == 2) as u64 + u64::from(counters.malformed > 0), 1, "{count}: {counters:?}");
    }
}

// What a fragment holds may be anything once it is put together.
#[test]
fn nonsense_in_fragments_is_answered_like_nonsense() {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = fragmenting(&mut host);
    let parts = peer.seal_fragments(ExchangeType::IKE_AUTH, &[notify(NotifyType::COOKIE, &[])], 3);
    assert!(parts.len() > 1);
    parts.iter().for_each(|part| peer.send(&mut host, part));
    assert_eq!(host.sent.len(), 1);
    assert!(host.sas.is_empty());
}

#[test]
fn fragments_that_are_never_completed_are_forgotten() {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = fragmenting(&mut host);
    let payloads = peer.auth_request();
    for part in peer.seal_fragments(ExchangeType::IKE_AUTH, &payloads, 100) {
        peer.send(&mut host, &part);
    }
    host.sent.clear();
    peer.next_id = 2;
    let parts = peer.seal_fragments(ExchangeType::INFORMATIONAL, &[notify(NotifyType::COOKIE, &[])], 3);
    peer.send(&mut host, &parts[0]);
    host.sleep(Duration::from_secs(31));
    parts[1..].iter().for_each(|part| peer.send(&mut host, part));
    assert!(host.sent.is_empty(), "the first one is gone");
    parts.iter().for_each(|part| peer.send(&mut host, part));
    assert_eq!(host.sent.len(), 1);
}
