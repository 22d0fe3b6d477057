//! Exchanges that cross, against a peer that chooses its nonces: what the endpoint does when it wins, when it loses,
//! and when it must ask for patience (RFC 7296 §2.8.1, §2.8.2, §2.25).

use std::time::Duration;

use ravelin_crypto_aws_lc::provider;
use ravelin_ike::output::DownReason;
use ravelin_ike::{Command, Event, limits};
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::sa::Direction::{Inbound, Outbound};
use ravelin_types::transform::KeMethod;
use ravelin_types::{IkeSpi, Spi};
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{AnySpi, Delete, NotifyType, Payload};

use crate::lab::*;
use crate::v2::peer::{self, FIRST, Peer, deleted, notifies, spi_of};

const SECOND: Spi = Spi(0x0abc_0002);
const THIRD: Spi = Spi(0x0abc_0003);
/// Below and above every nonce that the endpoint draws.
const LOW: u8 = 0;
const HIGH: u8 = 0xff;

/// `N(REKEY_SA,SPIa1), SA(..,spi,..), Ni, TSi, TSr`
fn rekey_request(spi: Spi, fill: u8) -> Vec<Payload> {
    let mut payloads = vec![peer::rekey_sa(FIRST)];
    payloads.extend(peer::child_request(spi, fill));
    payloads
}

/// The answer of the peer to a request of the endpoint for a Child SA.
fn rekey_answer(spi: Spi, fill: u8) -> Vec<Payload> {
    let [tsi, tsr] = peer::ts(B, A);
    vec![peer::sa(vec![peer::answered_esp()], spi.into()), peer::nonce(&[fill; 32]), tsi, tsr]
}

struct Crossed {
    host: Host,
    peer: Peer,
    old: Spi,
    /// Inbound SPI at the host of the SA that the host asked for, and of the one that the peer asked for.
    asked: Spi,
    given: Spi,
}

/// Both rekey the same Child SA; the fills are those of the peer's nonces in its request and in its answer.
fn both_rekey(request: u8, answer: u8) -> Crossed {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = Peer::up(&mut host);
    let old = host.child().inbound;
    host.command(Command::RekeyChild(POLICY));
    // <-- req2: N(REKEY_SA,SPIb1), SA(..,SPIb2,..), Ni2
    let (id, req2) = peer.asked(&mut host);
    assert_eq!(notifies(&req2), [NotifyType::REKEY_SA]);
    let asked = spi_of(&req2).child().unwrap();
    // req1: N(REKEY_SA,SPIa1), SA(..,SECOND,..), Ni1 -->
    // <-- resp1: SA(..,SPIb3,..), Nr1
    let resp1 = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &rekey_request(SECOND, request));
    let given = spi_of(&resp1).child().unwrap();
    assert!(host.has(Inbound, given), "it can receive before it answers");
    assert!(!host.has(Outbound, SECOND), "it goes on sending on the old one");
    // resp2: SA(..,THIRD,..), Nr2 -->
    peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &rekey_answer(THIRD, answer));
    Crossed { host, peer, old, asked, given }
}

// RFC 7296 §2.8.1: the SA with the lowest nonce loses and is closed by the endpoint that made it.
#[test]
fn the_peer_had_the_lowest_nonce_so_the_endpoint_closes_the_old_child_sa() {
    let Crossed { mut host, mut peer, old, asked, given } = both_rekey(LOW, HIGH);
    assert!(host.has(Outbound, THIRD), "the one that wins sends at once");
    assert!(!host.has(Outbound, SECOND));
    // <-- req3: D(SPIb1)
    let (id, req3) = peer.asked(&mut host);
    assert_eq!(deleted(&req3), [old]);
    // resp3: D(SPIa1) -->
    peer.answer(&mut host, ExchangeType::INFORMATIONAL, id, &[peer::delete(&[FIRST])]);
    // req4: D(SPIa2) -->
    // <-- resp4: D(SPIb3)
    let answer = peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[peer::delete(&[SECOND])]);
    assert_eq!(deleted(&answer), [given]);
    let child = host.child();
    assert_eq!((child.inbound, child.outbound, child.state), (asked, THIRD, "INSTALLED"));
    assert_eq!(host.sas.len(), 2);
    assert!(host.sent.is_empty());
}

#[test]
fn the_endpoint_had_the_lowest_nonce_so_it_closes_the_child_sa_that_it_made() {
    let Crossed { mut host, mut peer, old, asked, given } = both_rekey(HIGH, LOW);
    assert!(!host.has(Outbound, THIRD), "the one that loses never sends");
    // <-- req3: D(SPIb2)
    let (id, req3) = peer.asked(&mut host);
    assert_eq!(deleted(&req3), [asked]);
    peer.answer(&mut host, ExchangeType::INFORMATIONAL, id, &[peer::delete(&[THIRD])]);
    // req4: D(SPIa1) -->, the old one
    let answer = peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[peer::delete(&[FIRST])]);
    assert_eq!(deleted(&answer), [old]);
    let child = host.child();
    assert_eq!((child.inbound, child.outbound, child.state), (given, SECOND, "INSTALLED"));
    assert!(host.has(Outbound, SECOND), "the survivor sends now");
    assert_eq!(host.sas.len(), 2);
    assert!(host.sent.is_empty());
}

// RFC 7296 §2.8.1: the endpoint finished its rekey and is closing the old SA when the request of the peer arrives.
#[test]
fn a_rekey_of_a_child_sa_that_is_being_closed_is_put_off() {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = Peer::up(&mut host);
    host.command(Command::RekeyChild(POLICY));
    let (id, _) = peer.asked(&mut host);
    peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &rekey_answer(THIRD, HIGH));
    // <-- D(SPIb1)
    let (id, _) = peer.asked(&mut host);
    // N(REKEY_SA,SPIa1), SA, Ni, TSi, TSr -->
    // <-- N(TEMPORARY_FAILURE)
    let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &rekey_request(SECOND, LOW));
    assert_eq!(notifies(&answer), [NotifyType::TEMPORARY_FAILURE]);
    peer.answer(&mut host, ExchangeType::INFORMATIONAL, id, &[peer::delete(&[FIRST])]);
    // Once it is closed, it is not there.
    let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &rekey_request(SECOND, LOW));
    assert_eq!(notifies(&answer), [NotifyType::CHILD_SA_NOT_FOUND]);
    let about = answer.iter().find_map(|payload| match payload {
        Payload::Notify(notify) => Some(notify.spi.clone()),
        _ => None,
    });
    assert_eq!(about, Some(AnySpi::Child(FIRST)), "the SPI is copied from REKEY_SA");
    assert_eq!(host.sas.len(), 2);
}

// RFC 7296 §1.3.3: REKEY_SA is what makes it a rekey, and is left out of what is made from scratch.
#[test]
fn a_child_sa_that_the_peer_does_not_have_is_made_from_scratch() {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = Peer::up(&mut host);
    let old = host.child().inbound;
    host.command(Command::RekeyChild(POLICY));
    let (id, _) = peer.asked(&mut host);
    peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &[peer::notify(NotifyType::CHILD_SA_NOT_FOUND, &[])]);
    assert!(!host.has(Inbound, old), "dropped without a word");
    // <-- SA, Ni, TSi, TSr, without N(REKEY_SA)
    let (id, asked) = peer.asked(&mut host);
    assert_eq!(notifies(&asked), []);
    peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &rekey_answer(SECOND, HIGH));
    assert_eq!(host.child().outbound, SECOND);
    assert_eq!(host.sas.len(), 2);
}

// RFC 7296 §2.25.1 and §2.25.2.
#[test]
fn what_cannot_be_done_now_is_answered_with_temporary_failure() {
    let rekey_ike = |peer: &mut Peer| peer::ike_request(peer, IkeSpi(0x99), HIGH).0;
    // While the endpoint creates, rekeys or closes a Child SA: no rekeying of the IKE SA.
    for command in [Command::RekeyChild(POLICY), Command::TerminateChild(None), Command::Initiate(PolicyId(8))] {
        let mut two = config(B, A);
        two.policies.push(policy(PolicyId(8), Mode::Tunnel, "10.0.0.1", "10.0.0.2"));
        let mut host = Host::new(two, 2);
        let mut peer = Peer::up(&mut host);
        host.command(command.clone());
        host.take();
        let request = rekey_ike(&mut peer);
        let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &request);
        assert_eq!(notifies(&answer), [NotifyType::TEMPORARY_FAILURE], "{command:?}");
        assert_eq!(host.endpoint.ike_sas().len(), 1);
    }
    // While it rekeys or closes the IKE SA: no Child SAs; while it closes it, no rekeying either.
    for (command, ike_too) in [(Command::RekeyIke("peer".into()), false), (Command::TerminateIke(None), true)] {
        let mut host = Host::new(config(B, A), 2);
        let mut peer = Peer::up(&mut host);
        host.command(command);
        host.take();
        for request in [rekey_request(SECOND, HIGH), peer::child_request(SECOND, HIGH)] {
            let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &request);
            assert_eq!(notifies(&answer), [NotifyType::TEMPORARY_FAILURE]);
        }
        if ike_too {
            let request = rekey_ike(&mut peer);
            let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &request);
            assert_eq!(notifies(&answer), [NotifyType::TEMPORARY_FAILURE]);
        }
        // A delete of a Child SA is answered as usual.
        let inbound = host.child().inbound;
        let answer = peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[peer::delete(&[FIRST])]);
        assert_eq!(deleted(&answer), [inbound]);
        assert_eq!(host.sas.len(), 0);
    }
}

// RFC 7296 §2.25: no immediate retry, and an end after some minutes.
#[test]
fn temporary_failure_without_end_closes_the_ike_sa() {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = Peer::up(&mut host);
    host.command(Command::RekeyChild(POLICY));
    let began = host.now;
    let mut waits = Vec::new();
    let mut last = host.now;
    loop {
        let (id, asked) = peer.asked(&mut host);
        if matches!(asked[..], [Payload::Delete(Delete::Ike)]) {
            peer.answer(&mut host, ExchangeType::INFORMATIONAL, id, &[]);
            break;
        }
        waits.push(host.now.since(last).as_secs());
        last = host.now;
        peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &[peer::notify(NotifyType::TEMPORARY_FAILURE, &[])]);
        while host.sent.is_empty() && waits.len() <= limits::TEMPORARY_FAILURES as usize {
            host.sleep(Duration::from_millis(500));
        }
    }
    assert_eq!(waits.len(), limits::TEMPORARY_FAILURES as usize + 1);
    assert!(waits[1..].iter().all(|wait| *wait > 0), "never at once: {waits:?}");
    assert!(waits[1..].is_sorted(), "{waits:?}");
    assert!(host.now.since(began) >= Duration::from_secs(120), "several minutes");
    assert!(host.endpoint.ike_sas().is_empty() && host.sas.is_empty());
}

struct CrossedIke {
    host: Host,
    old: Peer,
    /// On the IKE SA that the peer asked for, and on the one that the host asked for.
    began: Peer,
    answered: Peer,
}

/// Both rekey the IKE SA; the fills are those of the peer's nonces in its request and in its answer.
fn both_rekey_ike(request: u8, answer: u8) -> CrossedIke {
    let mut host = Host::new(config(B, A), 2);
    let mut old = Peer::up(&mut host);
    host.command(Command::RekeyIke("peer".into()));
    // <-- req2: SA(..,SPIb1,..), Ni2, KEi2
    let (id, req2) = old.asked(&mut host);
    let theirs = spi_of(&req2).ike().unwrap();
    // req1: SA(..,SPIa1,..), Ni1, KEi1 -->
    // <-- resp1: SA(..,SPIb2,..), Nr1, KEr1
    let (req1, private) = peer::ike_request(&mut old, IkeSpi(0xa1), request);
    let resp1 = old.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &req1);
    let shared = private.agree(&peer::find_ke(&resp1)).unwrap();
    let spis = (IkeSpi(0xa1), spi_of(&resp1).ike().unwrap());
    let began = old.rekeyed(true, spis, &shared, (vec![request; 32], peer::find_nonce(&resp1)));
    assert_eq!(host.endpoint.ike_sas().len(), 2);
    assert_eq!(host.children().len(), 1);
    // resp2: SA(..,SPIa2,..), Nr2, KEr2 -->
    let alg = provider().ke(KeMethod::CURVE25519).unwrap();
    let (public, shared) = alg.respond(&peer::find_ke(&req2), &mut old.rng).unwrap();
    let sa = peer::sa(vec![ike_proposal(KeMethod::CURVE25519)], IkeSpi(0xa2).into());
    let resp2 = [sa, peer::nonce(&[answer; 32]), peer::ke25519(public)];
    old.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &resp2);
    let nonces = (peer::find_nonce(&req2), vec![answer; 32]);
    let answered = old.rekeyed(false, (theirs, IkeSpi(0xa2)), &shared, nonces);
    assert_eq!(host.endpoint.ike_sas().len(), 3);
    CrossedIke { host, old, began, answered }
}

// RFC 7296 §2.8.2: the new IKE SA with the lowest nonce is deleted by who made it; the old one by the other.
#[test]
fn the_peer_had_the_lowest_nonce_so_the_endpoint_closes_the_old_ike_sa() {
    let CrossedIke { mut host, mut old, mut began, mut answered } = both_rekey_ike(LOW, HIGH);
    // <-- D(IKE) on the old IKE SA
    assert!(old.owns(&host.sent[0]));
    let (id, asked) = old.asked(&mut host);
    assert_eq!(asked, [Payload::Delete(Delete::Ike)]);
    old.answer(&mut host, ExchangeType::INFORMATIONAL, id, &[]);
    // D(IKE) on the one that the peer made -->
    assert_eq!(began.ask(&mut host, ExchangeType::INFORMATIONAL, &[Payload::Delete(Delete::Ike)]), []);
    assert_eq!(host.ike().spis, answered.spis);
    assert_eq!(host.child().outbound, FIRST);
    assert_eq!(host.sas.len(), 2);
    // The survivor has its keys, and its message IDs begin at zero.
    assert_eq!(answered.ask(&mut host, ExchangeType::INFORMATIONAL, &[]), []);
    host.command(Command::CheckLiveness("peer".into()));
    assert_eq!(host.next(), Some((INFO, 0, false)));
    assert!(answered.asked(&mut host).1.is_empty());
    assert!(host.events.iter().all(|event| !matches!(event, Event::IkeDown { reason, .. }
        if *reason != DownReason::Replaced)));
}

#[test]
fn the_endpoint_had_the_lowest_nonce_so_it_closes_the_ike_sa_that_it_made() {
    let CrossedIke { mut host, mut old, mut began, mut answered } = both_rekey_ike(HIGH, LOW);
    // <-- D(IKE) on the one that the endpoint made
    assert!(answered.owns(&host.sent[0]));
    let (id, asked) = answered.asked(&mut host);
    assert_eq!((id, asked), (0, vec![Payload::Delete(Delete::Ike)]));
    answered.answer(&mut host, ExchangeType::INFORMATIONAL, id, &[]);
    // D(IKE) on the old one -->
    assert_eq!(old.ask(&mut host, ExchangeType::INFORMATIONAL, &[Payload::Delete(Delete::Ike)]), []);
    assert_eq!(host.ike().spis, began.spis);
    assert_eq!(host.child().outbound, FIRST);
    // The Child SA can be rekeyed on it, with SK_d of the new IKE SA.
    let answer = began.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &rekey_request(SECOND, HIGH));
    assert_eq!(notifies(&answer), []);
    assert_eq!(host.children().len(), 2);
}

// RFC 7296 §2.25.2: the peer closes the IKE SA that the endpoint is rekeying.
#[test]
fn a_close_of_the_ike_sa_that_is_being_rekeyed_is_obeyed() {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = Peer::up(&mut host);
    host.command(Command::RekeyIke("peer".into()));
    host.take();
    assert_eq!(peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[Payload::Delete(Delete::Ike)]), []);
    assert!(host.endpoint.ike_sas().is_empty() && host.sas.is_empty());
    assert!(host.sent.is_empty());
}

// RFC 7296 §2.25.1: the peer closes the Child SA that the endpoint is rekeying, whatever it then says to the rekey.
#[test]
fn a_child_sa_that_the_peer_closes_while_the_endpoint_rekeys_it() {
    for answered in [true, false] {
        let mut host = Host::new(config(B, A), 2);
        let mut peer = Peer::up(&mut host);
        let old = host.child().inbound;
        host.command(Command::RekeyChild(POLICY));
        // <-- N(REKEY_SA,SPIb1), SA(..,SPIb2,..), Ni, TSi, TSr
        let (id, asked) = peer.asked(&mut host);
        // D(SPIa1) -->
        // <-- D(SPIb1)
        let answer = peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[peer::delete(&[FIRST])]);
        assert_eq!(deleted(&answer), [old]);
        assert!(host.sas.is_empty());
        if answered {
            // SA(..,THIRD,..), Nr, TSi, TSr -->
            peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &rekey_answer(THIRD, HIGH));
            let child = host.child();
            assert_eq!((child.inbound, child.outbound), (spi_of(&asked).child().unwrap(), THIRD));
            assert_eq!(host.sas.len(), 2);
        } else {
            // N(CHILD_SA_NOT_FOUND) -->
            let gone = peer::notify(NotifyType::CHILD_SA_NOT_FOUND, &[]);
            peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &[gone]);
            assert!(host.children().is_empty());
        }
        assert!(host.sent.is_empty(), "nothing is left to delete, and nobody asked for another");
        assert_eq!(host.failures(), []);
    }
}

// The peer made a new IKE SA and says nothing more on the old one, where a request of the endpoint is still open.
#[test]
fn an_open_request_does_not_outlive_the_ike_sa_that_it_was_sent_on() {
    let mut host = Host::new(config(B, A), 2);
    let mut old = Peer::up(&mut host);
    host.command(Command::CheckLiveness("peer".into()));
    host.take();
    let (request, private) = peer::ike_request(&mut old, IkeSpi(0xa1), HIGH);
    let answer = old.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &request);
    let shared = private.agree(&peer::find_ke(&answer)).unwrap();
    let spis = (IkeSpi(0xa1), spi_of(&answer).ike().unwrap());
    let mut new = old.rekeyed(true, spis, &shared, (vec![HIGH; 32], peer::find_nonce(&answer)));
    // D(IKE) -->, without an answer to the liveness check
    assert_eq!(old.ask(&mut host, ExchangeType::INFORMATIONAL, &[Payload::Delete(Delete::Ike)]), []);
    assert_eq!(host.ike().spis, new.spis);
    for _ in 0..100 {
        host.sleep(Duration::from_secs(1));
    }
    assert!(host.sent.is_empty());
    assert_eq!(host.failures(), []);
    assert_eq!(new.ask(&mut host, ExchangeType::INFORMATIONAL, &[]), []);
    assert_eq!(host.sas.len(), 2);
}

// What was replaced can only be deleted: nothing may be left behind on it (RFC 7296 §2.8).
#[test]
fn a_replaced_ike_sa_takes_nothing_but_its_delete() {
    let mut host = Host::new(config(B, A), 2);
    let mut old = Peer::up(&mut host);
    let (request, private) = peer::ike_request(&mut old, IkeSpi(0xa1), HIGH);
    let answer = old.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &request);
    let shared = private.agree(&peer::find_ke(&answer)).unwrap();
    let spis = (IkeSpi(0xa1), spi_of(&answer).ike().unwrap());
    let mut new = old.rekeyed(true, spis, &shared, (vec![HIGH; 32], peer::find_nonce(&answer)));
    let again = peer::ike_request(&mut old, IkeSpi(0xa2), LOW).0;
    for request in [again, rekey_request(SECOND, LOW), peer::child_request(SECOND, LOW)] {
        let answer = old.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &request);
        assert_eq!(notifies(&answer), [NotifyType::TEMPORARY_FAILURE]);
    }
    assert_eq!(host.endpoint.ike_sas().len(), 2);
    // It answers that it lives, and the Child SA is no longer its own.
    assert_eq!(old.ask(&mut host, ExchangeType::INFORMATIONAL, &[]), []);
    assert_eq!(old.ask(&mut host, ExchangeType::INFORMATIONAL, &[peer::delete(&[FIRST])]), []);
    assert_eq!(host.sas.len(), 2);
    assert_eq!(old.ask(&mut host, ExchangeType::INFORMATIONAL, &[Payload::Delete(Delete::Ike)]), []);
    assert_eq!(host.ike().spis, new.spis);
    let inbound = host.child().inbound;
    let answer = new.ask(&mut host, ExchangeType::INFORMATIONAL, &[peer::delete(&[FIRST])]);
    assert_eq!(deleted(&answer), [inbound]);
}

// A third request to rekey the IKE SA, while two are being settled already.
#[test]
fn a_second_rekey_of_the_ike_sa_by_the_peer_in_a_collision_is_put_off() {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = Peer::up(&mut host);
    host.command(Command::RekeyIke("peer".into()));
    host.take();
    let first = peer::ike_request(&mut peer, IkeSpi(0xa1), HIGH).0;
    assert_eq!(notifies(&peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &first)), []);
    let second = peer::ike_request(&mut peer, IkeSpi(0xa2), HIGH).0;
    let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &second);
    assert_eq!(notifies(&answer), [NotifyType::TEMPORARY_FAILURE]);
    assert_eq!(host.endpoint.ike_sas().len(), 2);
}
