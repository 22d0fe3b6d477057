//! Delete, liveness, retransmission and the response cache.

use std::time::Duration;

use crate::lab::*;
use crate::v2::peer::{FIRST, Peer};
use ravelin_ike::config::Liveness;
use ravelin_ike::explain::{Failure, Part};
use ravelin_ike::output::DownReason;
use ravelin_ike::{Command, Event, limits};
use ravelin_types::Spi;
use ravelin_types::dataplane::{DataPlaneEvent, PacketStart};
use ravelin_types::proposal::ProtocolId;
use ravelin_types::sa::Direction::Inbound;
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{Notify, NotifyType, Payload};
use ravelin_wire::ip::{protocol, v4};

#[test]
fn a_child_sa_is_deleted_from_either_end() {
    for initiator in [true, false] {
        let mut lab = Lab::up();
        let (here, there) = if initiator { (&mut lab.a, &mut lab.b) } else { (&mut lab.b, &mut lab.a) };
        here.command(Command::TerminateChild(Some(POLICY)));
        assert_eq!(here.child().state, "DELETING");
        // HDR, SK {D(ESP, SPI)} -->
        there.receive(&here.take());
        assert!(there.sas.is_empty());
        // <-- HDR, SK {D(ESP, SPI')}
        here.receive(&there.take());
        assert!(here.sas.is_empty());
        let down = |host: &Host| {
            host.events.iter().find_map(|event| match event {
                Event::ChildDown { reason, .. } => Some(*reason),
                _ => None,
            })
        };
        assert_eq!((down(here), down(there)), (Some(DownReason::Command), Some(DownReason::PeerDeleted)));
        assert_eq!((lab.a.ike().state, lab.b.ike().state), ("ESTABLISHED", "ESTABLISHED"));
    }
}

#[test]
fn deletes_of_one_child_sa_that_cross_are_both_answered_without_it() {
    let mut lab = Lab::up();
    lab.a.command(Command::TerminateChild(None));
    lab.b.command(Command::TerminateChild(None));
    let (ours, theirs) = (lab.a.take(), lab.b.take());
    lab.a.receive(&theirs);
    lab.b.receive(&ours);
    // HDR, SK {} both ways: shorter than the requests by the Delete payload.
    assert!(lab.a.sent[0].data.len() < ours.data.len() && lab.b.sent[0].data.len() < theirs.data.len());
    lab.settle();
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
}

#[test]
fn the_ike_sa_takes_its_child_sas_along() {
    let mut lab = Lab::up();
    lab.b.command(Command::TerminateIke(Some("peer".into())));
    // <-- HDR, SK {D(IKE)}
    lab.b_to_a();
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.a.sas.is_empty());
    // HDR, SK {} -->
    lab.a_to_b();
    assert!(lab.b.endpoint.ike_sas().is_empty() && lab.b.sas.is_empty());
    // The next packet begins anew.
    lab.establish();
}

#[test]
fn deletes_of_one_ike_sa_that_cross_end_it_on_both_sides() {
    let mut lab = Lab::up();
    lab.a.command(Command::TerminateIke(None));
    lab.b.command(Command::TerminateIke(None));
    lab.settle();
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.b.endpoint.ike_sas().is_empty());
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
}

#[test]
fn a_hard_limit_deletes_the_child_sa() {
    let mut lab = Lab::up();
    let id = lab.a.sa(Inbound, lab.a.child().inbound).id();
    lab.a.event(DataPlaneEvent::HardExpire(id));
    lab.settle();
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
}

fn lively() -> Lab {
    let mut lab = Lab::with(|a, _| a.remotes[0].liveness = Liveness::Regular(Duration::from_secs(10)));
    lab.establish();
    lab
}

#[test]
fn a_quiet_peer_is_asked_whether_it_lives() {
    let mut lab = lively();
    lab.a.sleep(Duration::from_secs(9));
    assert!(lab.a.sent.is_empty());
    lab.a.sleep(Duration::from_secs(1));
    // HDR, SK {} -->
    assert_eq!(lab.a.next(), Some((INFO, 2, false)));
    lab.settle();
    // Packets count as well as messages.
    lab.a.sleep(Duration::from_secs(9));
    let inbound = lab.a.child().inbound;
    lab.a.command(Command::Alive(inbound));
    lab.a.sleep(Duration::from_secs(9));
    assert!(lab.a.sent.is_empty());
    lab.a.sleep(Duration::from_secs(1));
    assert_eq!(lab.a.next(), Some((INFO, 3, false)));
}

#[test]
fn a_dead_peer_is_found_and_everything_with_it_ends() {
    let mut lab = lively();
    for _ in 0..120 {
        lab.a.sleep(Duration::from_secs(1));
    }
    assert_eq!(lab.a.sent.len(), 7);
    lab.a.failure(Part::NoAnswer);
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.a.sas.is_empty());
    let dead = |event: &Event| matches!(event, Event::IkeDown { reason: DownReason::PeerDead, .. });
    assert!(lab.a.events.iter().any(dead));
}

#[test]
fn what_waits_for_a_dead_ike_sa_is_tried_with_a_new_one() {
    let mut lab = Lab::up();
    lab.a.command(Command::TerminateChild(None));
    lab.settle();
    lab.a.command(Command::Initiate(POLICY));
    assert_eq!(lab.a.next().map(|next| next.0), Some(CREATE_CHILD));
    // B restarts and knows nothing.
    lab.b = Host::new(lab.b.config.clone(), 55);
    lab.a.sent.clear();
    while lab.a.next().map(|next| next.0) != Some(SA_INIT) {
        lab.a.sent.clear();
        lab.a.sleep(Duration::from_secs(1));
    }
    lab.settle();
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, 1));
    lab.assert_mirrored();
}

// RFC 7296 §1.4: every INFORMATIONAL request is answered.
#[test]
fn a_repeated_request_gets_the_same_response_and_changes_nothing() {
    let mut lab = Lab::up();
    lab.a.command(Command::RekeyChild(POLICY));
    let request = lab.a_to_b();
    let response = lab.b.take();
    let sas = lab.b.sas.len();
    for _ in 0..3 {
        lab.b.receive(&request);
        assert_eq!(lab.b.take(), response);
    }
    assert_eq!((lab.b.sas.len(), lab.b.endpoint.counters().repeated), (sas, 3));
    lab.a.receive(&response);
    lab.settle();
    // Out of the window by now: not answered at all (RFC 7296 §2.1).
    lab.b.receive(&request);
    assert!(lab.b.sent.is_empty());
    assert_eq!(lab.b.endpoint.counters().outside_window, 1);
    // Nor does a response that nobody waits for do anything.
    lab.a.receive(&response);
    assert_eq!(lab.a.endpoint.counters().outside_window, 1);
    assert_eq!((lab.a.sas.len(), lab.b.sas.len()), (2, 2));
}

#[test]
fn every_exchange_survives_the_loss_of_any_message() {
    // Bit n of `lost` drops the n-th message on the wire.
    for lost in 0..64u32 {
        let mut lab = Lab::new();
        let mut index = 0;
        let mut run = |lab: &mut Lab| {
            for _ in 0..400 {
                for a_sends in [true, false] {
                    let host = if a_sends { &mut lab.a } else { &mut lab.b };
                    let Some(message) = host.sent.pop_front() else { continue };
                    let drop = index < 6 && lost >> index & 1 == 1;
                    index += 1;
                    if !drop {
                        if a_sends { lab.b.receive(&message) } else { lab.a.receive(&message) }
                    }
                }
                if lab.a.sent.is_empty() && lab.b.sent.is_empty() {
                    lab.sleep(Duration::from_millis(500));
                }
            }
        };
        lab.a.command(Command::Initiate(POLICY));
        run(&mut lab);
        lab.assert_mirrored();
        assert_eq!((lab.a.sas.len(), lab.b.sas.len()), (2, 2), "lost: {lost:06b}");
    }
}

#[test]
fn an_unprotected_hint_makes_us_ask_but_not_believe() {
    let mut lab = Lab::up();
    // B restarts; A's message belongs to no IKE SA there.
    let b = Host::new(lab.b.config.clone(), 55);
    let old = std::mem::replace(&mut lab.b, b);
    lab.a.command(Command::CheckLiveness("peer".into()));
    let request = lab.a_to_b();
    // <-- HDR, N(INVALID_IKE_SPI)
    let hint = lab.b.take();
    lab.b = old;
    lab.b.receive(&request);
    lab.settle();
    assert!(hint.data.len() <= request.data.len());
    lab.a.receive(&hint);
    assert_eq!(lab.a.sas.len(), 2);
    // HDR, SK {} -->  once, however many hints come.
    for _ in 0..10 {
        lab.a.receive(&hint);
    }
    assert_eq!(lab.a.sent.len(), 1);
    lab.settle();
    lab.a.receive(&hint);
    assert!(lab.a.sent.is_empty());
    lab.a.sleep(limits::HINT_INTERVAL);
    lab.a.receive(&hint);
    assert_eq!(lab.a.sent.len(), 1);
    lab.settle();
    assert_eq!((lab.a.sas.len(), lab.b.sas.len()), (2, 2));
}

// RFC 4301 §5.2, RFC 7296 §3.10.1.
#[test]
fn a_packet_outside_of_its_sa_is_told_to_whoever_sent_it() {
    let told = |host: &Host| -> Vec<Failure> {
        let told = host.events.iter().filter_map(|event| match event {
            Event::OutsideSelectors(failure) => Some(failure.clone()),
            _ => None,
        });
        told.collect()
    };
    let mut host = Host::new(config(B, A), 2);
    let mut peer = Peer::up(&mut host);
    let id = host.sas.keys().find(|id| id.direction == Inbound).copied().unwrap();
    let outside = outside();
    let event = || DataPlaneEvent::OutsideSelectors { id, packet: PacketStart::of(&outside) };
    host.event(event());
    let (message, payloads) = peer.asked(&mut host);
    let [Payload::Notify(notify)] = &payloads[..] else { panic!("{payloads:?}") };
    assert_eq!((notify.kind, notify.protocol), (NotifyType::INVALID_SELECTORS, ProtocolId::ESP));
    assert_eq!((notify.spi.child(), &*notify.data), (Some(id.spi), &outside[..PacketStart::MOST]));
    let said = &told(&host)[0];
    assert_eq!(
        (said.part, &*said.theirs[0]),
        (Part::OutsideSelectors, "sent 10.3.0.1 -> 10.2.0.1 protocol 17 ports 5 -> 80")
    );
    // While the peer does not answer, one more waits and no others.
    (0..3).for_each(|_| host.event(event()));
    assert!(host.sent.is_empty());
    peer.answer(&mut host, ExchangeType::INFORMATIONAL, message, &[]);
    let (message, _) = peer.asked(&mut host);
    peer.answer(&mut host, ExchangeType::INFORMATIONAL, message, &[]);
    assert!(host.sent.is_empty() && host.failures().is_empty());

    // And the peer says it of ours: by the SPI of the packet, of an SA that is there.
    host.events.clear();
    let about = |protocol, spi, data: &[u8]| {
        let notify = Notify::about(protocol, spi, NotifyType::INVALID_SELECTORS);
        Payload::Notify(Notify { data: data.to_vec(), ..notify })
    };
    for (protocol, spi) in [(ProtocolId::ESP, id.spi), (ProtocolId::ESP, Spi(0x5555_5555)), (ProtocolId::AH, FIRST)] {
        assert_eq!(peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[about(protocol, spi, &outside)]), []);
    }
    assert_eq!(told(&host), []);
    for (data, words) in [(&outside[..], "10.3.0.1 -> 10.2.0.1"), (&[], "a packet that it does not show")] {
        assert_eq!(peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[about(ProtocolId::ESP, FIRST, data)]), []);
        let said = told(&host).pop().unwrap();
        assert_eq!((said.part, said.policy), (Part::OutsideSelectors, Some(POLICY)));
        assert!(
            said.theirs[0].starts_with("INVALID_SELECTORS: it dropped ") && said.theirs[0].contains(words),
            "{said}"
        );
    }
    assert_eq!((host.children().len(), host.sas.len()), (1, 2), "the SA stays");
}

/// A UDP packet that is none of the SA's.
fn outside() -> Vec<u8> {
    let fields = v4::Fields {
        tos: 0,
        total_len: 60,
        id: 1,
        dont_fragment: false,
        ttl: 64,
        protocol: protocol::UDP,
        src: [10, 3, 0, 1].into(),
        dst: [10, 2, 0, 1].into(),
    };
    let mut header = [0; v4::HEADER_LEN];
    fields.emit(&mut header);
    [&header[..], &[0, 5, 0, 80, 0, 40, 0, 0], &[7; 32]].concat()
}
