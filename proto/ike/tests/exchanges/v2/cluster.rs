//! A peer that is a cluster: a member that takes over says by which message IDs the two go on, and what packets it may have missed
//! (RFC 6311).

use std::time::Duration;

use ravelin_ike::{Command, limits};
use ravelin_types::sa::Direction;
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{NotifyType, Payload};

use crate::lab::*;
use crate::v2::peer::{self, Peer};

const INFORMATIONAL: ExchangeType = ExchangeType::INFORMATIONAL;

const CAN: [NotifyType; 2] =
    [NotifyType::IKEV2_MESSAGE_ID_SYNC_SUPPORTED, NotifyType::IPSEC_REPLAY_COUNTER_SYNC_SUPPORTED];

/// A host whose peer may be a cluster, and a peer with an IKE SA that says so, or not.
fn opposite(says: bool) -> (Host, Peer) {
    with(if says { &CAN } else { &[] })
}

/// As [`opposite`], of a peer that says this.
fn with(says: &[NotifyType]) -> (Host, Peer) {
    let mut config = config(B, A);
    config.remotes[0].extensions.cluster = true;
    let mut host = Host::new(config, 2);
    let mut peer = Peer::keyed(&mut host);
    let mut payloads = peer.auth_request();
    payloads.extend(says.iter().map(|kind| peer::notify(*kind, &[])));
    let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
    // RFC 6311 §5, §6.1 and §6.2: the responder says only what was said to it.
    let said = peer::notifies(&answer);
    CAN.iter().for_each(|kind| assert_eq!(said.contains(kind), says.contains(kind)));
    (host, peer)
}

fn sync(sends: u32, expects: u32) -> Payload {
    let data = [*b"once", sends.to_be_bytes(), expects.to_be_bytes()].concat();
    peer::notify(NotifyType::IKEV2_MESSAGE_ID_SYNC, &data)
}

fn missed(packets: u32) -> Payload {
    peer::notify(NotifyType::IPSEC_REPLAY_COUNTER_SYNC, &packets.to_be_bytes())
}

/// What the host answers to a member that takes over: what it will use next, and what it expects.
fn take_over(peer: &mut Peer, host: &mut Host, payloads: &[Payload]) -> Option<(u32, u32)> {
    let message = peer.seal(INFORMATIONAL, false, 0, payloads);
    peer.send(host, &message);
    let answer = host.sent.pop_front()?;
    assert_eq!(kind(&answer.data), (INFO, 0, true));
    let [Payload::Notify(notify)] = &peer.open(&answer)[..] else { panic!("one notify") };
    assert_eq!((notify.kind, &notify.data[..4]), (NotifyType::IKEV2_MESSAGE_ID_SYNC, &b"once"[..]));
    let number = |at: usize| u32::from_be_bytes(notify.data[at..at + 4].try_into().unwrap());
    Some((number(4), number(8)))
}

fn lives(peer: &mut Peer, host: &mut Host, id: u32) -> bool {
    let message = peer.seal(INFORMATIONAL, false, id, &[]);
    peer.send(host, &message);
    host.sent.pop_front().is_some_and(|answer| kind(&answer.data) == (INFO, id, true))
}

// HDR(0), SK {N(IKEV2_MESSAGE_ID_SYNC), N(IPSEC_REPLAY_COUNTER_SYNC)}  -->
//     <--  HDR(0), SK {N(IKEV2_MESSAGE_ID_SYNC)}
// RFC 6311 §5.1 and §8.1: the higher of what both know, never twice, and what is outside is dropped.
#[test]
fn a_member_that_takes_over_goes_on_with_the_higher_numbers() {
    let (mut host, mut peer) = opposite(true);
    assert!(lives(&mut peer, &mut host, 2));
    assert_eq!(take_over(&mut peer, &mut host, &[sync(20, 3), missed(256)]), Some((3, 20)));
    assert!(!lives(&mut peer, &mut host, 3) && lives(&mut peer, &mut host, 20));
    assert_eq!(host.sas.len(), 2);
    // Played back, or older than what came since.
    for sends in [20, 19, 0] {
        assert_eq!(take_over(&mut peer, &mut host, &[sync(sends, 30)]), None);
    }
    assert!(lives(&mut peer, &mut host, 21));
    // What it expects is lower than what we have used.
    assert_eq!(take_over(&mut peer, &mut host, &[sync(22, 0)]), Some((3, 22)));
    assert_eq!(take_over(&mut peer, &mut host, &[sync(22, 0)]), None);
}

// RFC 6311 §5.2: packets of the SA that sends have higher numbers, once for each takeover.
#[test]
fn packets_go_on_with_numbers_that_no_member_has_seen() {
    let (mut host, mut peer) = opposite(true);
    let sends = host.sas.keys().copied().find(|id| id.direction == Direction::Outbound).unwrap();
    assert!(take_over(&mut peer, &mut host, &[sync(20, 3), missed(256)]).is_some());
    assert_eq!(host.skips, [(sends, 256)]);
    assert_eq!(take_over(&mut peer, &mut host, &[sync(20, 3), missed(256)]), None);
    assert_eq!(host.skips.len(), 1, "played back");
    // By itself it is an ordinary request. With extended numbers there are eight octets.
    let (mut host, mut peer) = opposite(true);
    for (data, count) in [(&[0, 0, 2, 0][..], 512), (&[0, 0, 0, 1, 0, 0, 0, 0], 1 << 32)] {
        host.skips.clear();
        let message = peer::notify(NotifyType::IPSEC_REPLAY_COUNTER_SYNC, data);
        assert!(peer.ask(&mut host, INFORMATIONAL, &[message]).is_empty());
        assert_eq!(host.skips, [(sends, count)]);
    }
    // The numbers of 32 bits are not to run out: there is a new SA.
    assert_eq!(host.next(), Some((CREATE_CHILD, 0, false)));
}

#[test]
fn many_numbers_in_small_parts_are_many() {
    let (mut host, mut peer) = opposite(true);
    let half = u32::try_from(limits::SKIPPED_NUMBERS / 2).unwrap();
    assert!(take_over(&mut peer, &mut host, &[sync(20, 3), missed(half)]).is_some());
    assert!(host.sent.is_empty());
    let message = peer.seal(INFORMATIONAL, false, 20, &[missed(half)]);
    peer.send(&mut host, &message);
    let sent: Vec<_> = host.sent.iter().map(|message| kind(&message.data)).collect();
    assert_eq!(sent, [(INFO, 20, true), (CREATE_CHILD, 3, false)]);
}

#[test]
fn numbers_are_skipped_only_as_agreed_and_by_a_whole_count() {
    for says in [&[][..], &CAN[..1]] {
        let (mut host, mut peer) = with(says);
        peer.ask(&mut host, INFORMATIONAL, &[missed(256)]);
        let answer = take_over(&mut peer, &mut host, &[sync(20, 3), missed(256)]);
        assert_eq!((answer.is_some(), &host.skips[..]), (!says.is_empty(), &[][..]));
    }
    // Without message IDs, packets alone.
    let (mut host, mut peer) = with(&CAN[1..]);
    assert_eq!(take_over(&mut peer, &mut host, &[sync(20, 3), missed(256)]), None);
    peer.ask(&mut host, INFORMATIONAL, &[missed(256)]);
    assert_eq!(host.skips.len(), 1);
    let (mut host, mut peer) = opposite(true);
    for data in [&[][..], &[0; 3], &[0; 5], &[0; 9]] {
        let odd = || peer::notify(NotifyType::IPSEC_REPLAY_COUNTER_SYNC, data);
        assert_eq!(take_over(&mut peer, &mut host, &[sync(20, 3), odd()]), None);
        peer.ask(&mut host, INFORMATIONAL, &[odd()]);
    }
    assert_eq!(take_over(&mut peer, &mut host, &[sync(20, 3), missed(1), missed(1)]), None);
    peer.ask(&mut host, INFORMATIONAL, &[missed(0)]);
    assert!(host.skips.is_empty());
}

// RFC 6311 §9: nobody waits for answers of the member that is gone. RFC 7296 §2.25: what it did is not known.
#[test]
fn what_was_open_is_asked_for_anew() {
    let (mut host, mut peer) = opposite(true);
    host.command(Command::RekeyChild(POLICY));
    let lost = host.take();
    assert_eq!(kind(&lost.data), (CREATE_CHILD, 0, false));
    assert_eq!(take_over(&mut peer, &mut host, &[sync(9, 5)]), Some((5, 9)));
    host.sleep(2 * limits::TEMPORARY_FAILURE_WAIT);
    assert_eq!(host.next(), Some((CREATE_CHILD, 5, false)));
    host.sent.clear();
    // The end of the IKE SA is not forgotten.
    let (mut host, mut peer) = opposite(true);
    host.command(Command::TerminateIke(None));
    host.sent.clear();
    let message = peer.seal(INFORMATIONAL, false, 0, &[sync(9, 5)]);
    peer.send(&mut host, &message);
    let sent: Vec<_> = host.sent.iter().map(|message| kind(&message.data)).collect();
    assert_eq!(sent, [(INFO, 0, true), (INFO, 5, false)]);
    peer.answer(&mut host, INFORMATIONAL, 5, &[]);
    assert!(host.sas.is_empty());
    host.sleep(Duration::from_secs(1));
}

#[test]
fn what_is_no_such_message_has_no_effect() {
    // Without the agreement it is a request outside the window.
    let (mut host, mut peer) = opposite(false);
    assert_eq!(take_over(&mut peer, &mut host, &[sync(20, 3)]), None);
    assert!(lives(&mut peer, &mut host, 2));
    let (mut host, mut peer) = opposite(true);
    for payloads in [
        vec![peer::notify(NotifyType::IKEV2_MESSAGE_ID_SYNC, &[0; 11])],
        vec![peer::notify(NotifyType::IKEV2_MESSAGE_ID_SYNC, &[])],
        vec![sync(20, 3), sync(21, 4)],
        vec![sync(20, 3), peer::delete(&[peer::FIRST])],
        vec![],
    ] {
        assert_eq!(take_over(&mut peer, &mut host, &payloads), None);
    }
    // Nor under another message ID: that is a request like others, with an answer that says nothing.
    let answer = peer.ask(&mut host, INFORMATIONAL, &[sync(20, 3)]);
    assert!(answer.is_empty());
    assert!(lives(&mut peer, &mut host, 3));
    assert_eq!(host.sas.len(), 2);
}
