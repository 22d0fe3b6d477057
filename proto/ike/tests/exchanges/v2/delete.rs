//! Deleting Child SAs and IKE SAs, from either side and from both (RFC 7296 §1.4.1, §2.25), one message at a time.

use ravelin_ike::output::DownReason;
use ravelin_ike::{Command, Event};
use ravelin_types::Spi;
use ravelin_types::proposal::ProtocolId;
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{Delete, NotifyType, Payload};

use crate::lab::*;
use crate::v2::peer::{self, FIRST, Peer, deleted};

/// Why Child SAs went down, in order.
fn child_reasons(host: &Host) -> Vec<DownReason> {
    let reasons = host.events.iter().filter_map(|event| match event {
        Event::ChildDown { reason, .. } => Some(*reason),
        _ => None,
    });
    reasons.collect()
}

// RFC 7296 §1.4.1: both requests cross; neither answer names an SA.
#[test]
fn both_delete_the_same_child_sa_at_once() {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = Peer::up(&mut host);
    let ours = host.child().inbound;
    host.command(Command::TerminateChild(None));
    // <-- HDR, SK {D(ESP, SPIb)}
    let (id, asked) = peer.asked(&mut host);
    assert_eq!(deleted(&asked), [ours]);
    // HDR, SK {D(ESP, SPIa)} -->
    // <-- HDR, SK {}
    let answer = peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[peer::delete(&[FIRST])]);
    assert_eq!(answer, []);
    // HDR, SK {} -->
    peer.answer(&mut host, ExchangeType::INFORMATIONAL, id, &[]);
    assert!(host.sas.is_empty());
    assert_eq!(child_reasons(&host), [DownReason::PeerDeleted]);
    assert_eq!(host.ike().state, "ESTABLISHED");
    assert!(host.sent.is_empty());
}

// RFC 7296 §2.25.1: CHILD_SA_NOT_FOUND is only for rekeying; an unknown SPI in a Delete payload is passed over.
#[test]
fn a_delete_of_what_is_not_there_is_answered_with_nothing() {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = Peer::up(&mut host);
    let answer = peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[peer::delete(&[Spi(0x4444_4444)])]);
    assert_eq!(answer, []);
    // An SPI of the other direction names nothing either: the sender gives those on which it receives.
    let inbound = host.child().inbound;
    assert_eq!(peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[peer::delete(&[inbound])]), []);
    // Of another protocol.
    let ah = Payload::Delete(Delete::Child { protocol: ProtocolId::AH, spis: vec![FIRST] });
    assert_eq!(peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[ah]), []);
    assert_eq!(host.sas.len(), 2);
    assert_eq!(host.child().state, "INSTALLED");
}

#[test]
fn one_message_deletes_several_child_sas_and_names_each_once() {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = Peer::up(&mut host);
    let second = Spi(0x0abc_0002);
    let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &peer::child_request(second, 3));
    assert_eq!(peer::notifies(&answer), []);
    let mut inbound: Vec<Spi> = host.children().iter().map(|child| child.inbound).collect();
    let payloads = [peer::delete(&[second, FIRST, second, Spi(0x5555_5555)]), peer::delete(&[FIRST])];
    let answer = peer.ask(&mut host, ExchangeType::INFORMATIONAL, &payloads);
    let mut named = deleted(&answer);
    named.sort();
    inbound.sort();
    assert_eq!(named, inbound);
    assert!(host.sas.is_empty());
}

// Row 9: what follows a Delete of the IKE SA in one message finds nothing to act on.
#[test]
fn a_delete_of_the_ike_sa_with_more_behind_it() {
    for more in [
        vec![Payload::Delete(Delete::Ike)],
        vec![peer::delete(&[FIRST])],
        vec![peer::notify(NotifyType::INITIAL_CONTACT, &[])],
        vec![peer::notify(NotifyType::AUTHENTICATION_FAILED, &[]), peer::delete(&[FIRST])],
    ] {
        let mut host = Host::new(config(B, A), 2);
        let mut peer = Peer::up(&mut host);
        let mut payloads = vec![Payload::Delete(Delete::Ike)];
        payloads.extend(more);
        let answer = peer.ask(&mut host, ExchangeType::INFORMATIONAL, &payloads);
        assert_eq!(answer, []);
        assert!(host.endpoint.ike_sas().is_empty() && host.sas.is_empty());
        // The SA is gone: the next message belongs to none.
        peer.request(&mut host, ExchangeType::INFORMATIONAL, &[]);
        assert_eq!(host.endpoint.counters().unknown_spi, 1);
    }
}

// RFC 7296 §2.21.2 and §2.21.3: these errors from an authenticated peer end the IKE SA without a Delete payload.
#[test]
fn an_error_of_the_peer_that_is_fatal_ends_the_ike_sa() {
    for (kind, ends) in [
        (NotifyType::AUTHENTICATION_FAILED, true),
        (NotifyType::INVALID_SYNTAX, true),
        (NotifyType::INVALID_SELECTORS, false),
        (NotifyType(8192), false),
        (NotifyType(40960), false),
    ] {
        let mut host = Host::new(config(B, A), 2);
        let mut peer = Peer::up(&mut host);
        let answer = peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[peer::notify(kind, &[])]);
        assert_eq!(answer, []);
        assert_eq!(host.endpoint.ike_sas().is_empty(), ends, "{kind}");
        assert_eq!(host.sas.is_empty(), ends, "{kind}");
    }
}

#[test]
fn the_peer_may_answer_a_delete_with_nothing() {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = Peer::up(&mut host);
    host.command(Command::TerminateChild(None));
    let (id, _) = peer.asked(&mut host);
    peer.answer(&mut host, ExchangeType::INFORMATIONAL, id, &[]);
    assert!(host.sas.is_empty() && host.children().is_empty());
}
