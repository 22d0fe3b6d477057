//! Packets that share AGGFRAG payloads (RFC 9347 §5.1).

use std::num::NonZeroU64;

use ravelin_ike::explain::Part;
use ravelin_ike::{Command, Config};
use ravelin_types::options::AggFrag;
use ravelin_types::policy::Mode;
use ravelin_types::sa::Direction;
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{NotifyType, Payload};

use super::peer::{Peer, notify};
use crate::lab::*;

const WHOLE: AggFrag = AggFrag { rate: None, fragments: true };
const UNCUT: AggFrag = AggFrag { rate: None, fragments: false };

/// What a host's policy asks for, with a data plane that can.
fn give(config: &mut Config, wanted: Option<AggFrag>) {
    config.aggfrag = true;
    let protection = protection(config);
    protection.options.aggfrag = wanted;
}

fn at_a_rate() -> AggFrag {
    AggFrag { rate: NonZeroU64::new(2_000_000), ..WHOLE }
}

/// What the one Child SA has, and its two SAs in the data plane.
fn agreed(host: &Host) -> Option<AggFrag> {
    let child = host.child();
    assert_eq!(child.mode, Mode::Tunnel);
    for (direction, spi) in [(Direction::Inbound, child.inbound), (Direction::Outbound, child.outbound)] {
        assert_eq!(host.sa(direction, spi).options.aggfrag, child.aggfrag);
    }
    child.aggfrag
}

#[test]
fn both_sides_agree_and_rekeys_keep_it() {
    // What is sent at a rate is each side's own business.
    for (a, b) in [(WHOLE, WHOLE), (at_a_rate(), WHOLE), (at_a_rate(), at_a_rate())] {
        let mut lab = Lab::with(|first, second| {
            give(first, Some(a));
            give(second, Some(b));
        });
        lab.establish();
        assert_eq!((agreed(&lab.a), agreed(&lab.b)), (Some(a), Some(b)));
        for by_b in [false, true] {
            let host = if by_b { &mut lab.b } else { &mut lab.a };
            host.command(Command::RekeyChild(POLICY));
            lab.settle();
            assert_eq!((agreed(&lab.a), agreed(&lab.b)), (Some(a), Some(b)));
        }
        lab.a.command(Command::RekeyIke("peer".into()));
        lab.settle();
        assert_eq!((agreed(&lab.a), agreed(&lab.b)), (Some(a), Some(b)));
        lab.assert_mirrored();
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    }
}

#[test]
fn the_child_sa_is_a_plain_tunnel_where_one_side_does_not_want_it_or_cannot() {
    for (a, b) in [(true, false), (false, true)] {
        for cannot in [false, true] {
            let mut lab = Lab::with(|first, second| {
                for (config, wants) in [(first, a), (second, b)] {
                    give(config, (wants || cannot).then_some(WHOLE));
                    config.aggfrag = wants;
                }
            });
            lab.establish();
            assert_eq!((agreed(&lab.a), agreed(&lab.b)), (None, None));
            assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
        }
    }
}

// RFC 9347 §5.1: what is not acceptable to the initiator it deletes.
#[test]
fn what_hides_traffic_is_not_done_without() {
    for (a, b) in [(Some(at_a_rate()), None), (None, Some(at_a_rate()))] {
        let mut lab = Lab::with(|first, second| {
            give(first, a);
            give(second, b);
        });
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        let failed = if a.is_some() { &lab.a } else { &lab.b };
        let failures = failed.failures();
        assert_eq!(failures.iter().map(|failure| failure.part).collect::<Vec<_>>(), [Part::Mode], "{failures:?}");
        assert!(failures[0].to_string().contains("constant rate"), "{}", failures[0]);
        for host in [&lab.a, &lab.b] {
            assert!(host.endpoint.ike_sas().iter().all(|sa| sa.children.is_empty()));
        }
    }
}

fn said(payloads: &[Payload]) -> Vec<&[u8]> {
    let data = payloads.iter().filter_map(|payload| match payload {
        Payload::Notify(notify) if notify.kind == NotifyType::USE_AGGFRAG => Some(notify.data.as_slice()),
        _ => None,
    });
    data.collect()
}

fn use_aggfrag(flags: &[u8]) -> Payload {
    notify(NotifyType::USE_AGGFRAG, flags)
}

#[test]
fn a_responder_declines_what_it_cannot_meet() {
    let ask = |wanted: bool, more: &[Payload]| {
        let mut lab = Lab::with(|_, b| give(b, wanted.then_some(WHOLE)));
        let mut peer = Peer::keyed(&mut lab.b);
        let mut request = peer.auth_request();
        request.extend_from_slice(more);
        let answer = peer.ask(&mut lab.b, ExchangeType::IKE_AUTH, &request);
        let agreed = agreed(&lab.b);
        assert_eq!(said(&answer), agreed.map(|_| &[0][..]).into_iter().collect::<Vec<_>>(), "{answer:#?}");
        agreed
    };
    assert_eq!(ask(true, &[use_aggfrag(&[0])]), Some(WHOLE));
    assert_eq!(ask(true, &[use_aggfrag(&[1])]), Some(UNCUT), "RFC 9347 §6.1.4: D");
    assert_eq!(ask(false, &[use_aggfrag(&[0])]), None);
    assert_eq!(ask(true, &[]), None);
    // C, what no specification has yet, and what is no octet.
    for flags in [&[2][..], &[3], &[4], &[0x80], &[], &[0, 0]] {
        assert_eq!(ask(true, &[use_aggfrag(flags)]), None, "{flags:?}");
    }
    // RFC 9347 §5.1: it is not combined with transport mode.
    let transport = notify(NotifyType::USE_TRANSPORT_MODE, &[]);
    assert_eq!(ask(true, &[transport, use_aggfrag(&[0])]), None);
}

#[test]
fn an_initiator_takes_the_answer_or_there_is_no_child_sa() {
    let answered = |wanted: bool, answers: &[Payload]| {
        let mut host = Lab::with(|_, b| give(b, wanted.then_some(WHOLE))).b;
        host.command(Command::Initiate(POLICY));
        let mut peer = Peer::new(1);
        let request = host.take();
        let answer = peer.answer_init(&request.data);
        peer.send(&mut host, &answer);
        let (id, request) = peer.asked(&mut host);
        assert_eq!(said(&request), wanted.then_some(&[0][..]).into_iter().collect::<Vec<_>>());
        let mut payloads = peer.auth_answer();
        payloads.extend_from_slice(answers);
        peer.answer(&mut host, ExchangeType::IKE_AUTH, id, &payloads);
        match host.failures().first() {
            Some(failure) => Err(failure.part),
            None => Ok(agreed(&host)),
        }
    };
    assert_eq!(answered(true, &[use_aggfrag(&[0])]), Ok(Some(WHOLE)));
    assert_eq!(answered(true, &[use_aggfrag(&[1])]), Ok(Some(UNCUT)));
    assert_eq!(answered(true, &[]), Ok(None));
    // The peer has an SA with AGGFRAG payloads then, and requires more than there is here.
    for flags in [&[2][..], &[0x40], &[]] {
        assert_eq!(answered(true, &[use_aggfrag(flags)]), Err(Part::Mode), "{flags:?}");
    }
    assert_eq!(answered(false, &[use_aggfrag(&[0])]), Err(Part::Protocol), "it was not asked for");
}
