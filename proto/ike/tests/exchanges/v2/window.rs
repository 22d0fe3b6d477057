//! Message IDs, repetition and the response cache (RFC 7296 §2.1 to §2.3), one message at a time.

use std::time::Duration;

use ravelin_ike::Command;
use ravelin_ike::output::DownReason;
use ravelin_types::Spi;
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::Payload;

use crate::lab::*;
use crate::v2::peer::{self, Peer};

const SECOND: Spi = Spi(0x0abc_0002);

#[test]
fn a_repeated_request_gets_the_same_bytes_and_has_no_second_effect() {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = Peer::up(&mut host);
    // HDR, SK {SA, Ni, TSi, TSr} -->
    let request = peer.request(&mut host, ExchangeType::CREATE_CHILD_SA, &peer::child_request(SECOND, 3));
    let answer = host.take();
    let (order, events) = (host.order.clone(), host.events.len());
    assert_eq!(host.children().len(), 2);
    for _ in 0..3 {
        peer.send(&mut host, &request);
        assert_eq!(host.take().data, answer.data);
    }
    assert_eq!(host.children().len(), 2);
    assert_eq!(host.events.len(), events);
    let sends = host.order.split_off(order.len());
    assert_eq!(sends, ["send"; 3], "nothing but answers");
    assert_eq!(host.endpoint.counters().repeated, 3);
}

#[test]
fn a_repeated_ike_auth_request_gets_the_same_bytes() {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = Peer::keyed(&mut host);
    let payloads = peer.auth_request();
    let request = peer.request(&mut host, ExchangeType::IKE_AUTH, &payloads);
    let answer = host.take();
    peer.send(&mut host, &request);
    assert_eq!(host.take().data, answer.data);
    assert_eq!(host.sas.len(), 2);
}

#[test]
fn a_request_of_the_same_id_with_other_content_gets_the_cached_answer() {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = Peer::up(&mut host);
    peer.request(&mut host, ExchangeType::INFORMATIONAL, &[]);
    let answer = host.take();
    let other = peer.seal(ExchangeType::INFORMATIONAL, false, peer.next_id - 1, &[peer::delete(&[peer::FIRST])]);
    peer.send(&mut host, &other);
    assert_eq!(host.take().data, answer.data);
    assert_eq!(host.sas.len(), 2, "the delete was not obeyed");
}

#[test]
fn requests_outside_the_window_are_dropped() {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = Peer::up(&mut host);
    for _ in 0..3 {
        assert_eq!(peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[]), []);
    }
    assert_eq!(peer.next_id, 5);
    // Answered long ago, and ahead of the one that is due.
    for id in [0, 1, 2, 3, 6, 7, 1000, u32::MAX] {
        let message = peer.seal(ExchangeType::INFORMATIONAL, false, id, &[peer::delete(&[peer::FIRST])]);
        peer.send(&mut host, &message);
    }
    assert!(host.sent.is_empty());
    assert_eq!(host.endpoint.counters().outside_window, 8);
    assert_eq!(host.sas.len(), 2);
    assert_eq!(peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[]), []);
}

#[test]
fn responses_that_nobody_waits_for_are_dropped() {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = Peer::up(&mut host);
    for id in [0, 1, 2] {
        peer.answer(&mut host, ExchangeType::INFORMATIONAL, id, &[]);
    }
    host.command(Command::TerminateChild(None));
    let (id, _) = peer.asked(&mut host);
    // The right type with another ID.
    peer.answer(&mut host, ExchangeType::INFORMATIONAL, id + 1, &[]);
    assert_eq!(host.endpoint.counters().outside_window, 4);
    assert_eq!(host.child().state, "DELETING");
    peer.answer(&mut host, ExchangeType::INFORMATIONAL, id, &[]);
    assert!(host.children().is_empty());
    // And the right one twice.
    peer.answer(&mut host, ExchangeType::INFORMATIONAL, id, &[]);
    assert_eq!(host.endpoint.counters().outside_window, 5);
}

#[test]
fn one_request_is_open_at_a_time() {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = Peer::up(&mut host);
    host.command(Command::RekeyChild(POLICY));
    host.command(Command::CheckLiveness("peer".into()));
    host.command(Command::TerminateIke(None));
    assert_eq!(host.sent.len(), 1);
    assert_eq!(host.next(), Some((CREATE_CHILD, 0, false)));
    let (id, _) = peer.asked(&mut host);
    peer.answer(
        &mut host,
        ExchangeType::CREATE_CHILD_SA,
        id,
        &[peer::notify(ravelin_wire::ike::v2::NotifyType::TEMPORARY_FAILURE, &[])],
    );
    assert_eq!(host.sent.len(), 1);
    let (id, asked) = peer.asked(&mut host);
    assert_eq!(id, 1);
    assert!(matches!(asked[..], [Payload::Delete(_)]), "{asked:?}");
}

// RFC 7296 §2.2: repetitions keep the Message ID.
#[test]
fn an_unanswered_request_is_repeated_with_growing_waits_until_the_peer_is_taken_for_dead() {
    let mut lab = Lab::up();
    lab.a.command(Command::RekeyChild(POLICY));
    let first = lab.a.take();
    let mut again = Vec::new();
    for second in 1..=70 {
        lab.a.sleep(Duration::from_secs(1));
        while let Some(message) = lab.a.sent.pop_front() {
            if kind(&message.data).0 == SA_INIT {
                continue;
            }
            assert_eq!(message, first, "a repeated request is the same, bit by bit");
            again.push(second);
        }
    }
    assert_eq!(again, [1, 3, 7, 15, 31, 47]);
    assert!(lab.a.sas.is_empty());
    let dead =
        |event: &ravelin_ike::Event| matches!(event, ravelin_ike::Event::IkeDown { reason: DownReason::PeerDead, .. });
    assert!(lab.a.events.iter().any(dead));
}

#[test]
fn messages_that_arrive_late_and_twice_change_nothing() {
    let mut lab = Lab::up();
    let mut kept = Vec::new();
    lab.a.command(Command::RekeyChild(POLICY));
    for _ in 0..4 {
        if !lab.a.sent.is_empty() {
            kept.push((true, lab.a_to_b()));
        } else if !lab.b.sent.is_empty() {
            kept.push((false, lab.b_to_a()));
        }
    }
    assert_eq!(kept.len(), 4, "a rekey and a delete");
    let (here, there) = (lab.a.sas.len(), lab.b.sas.len());
    let spis = (lab.a.child().inbound, lab.b.child().inbound);
    // All again, last first.
    for (to_b, message) in kept.iter().rev() {
        if *to_b { lab.b.receive(message) } else { lab.a.receive(message) }
    }
    lab.settle();
    assert_eq!((lab.a.sas.len(), lab.b.sas.len()), (here, there));
    assert_eq!((lab.a.child().inbound, lab.b.child().inbound), spis);
    lab.assert_mirrored();
}
