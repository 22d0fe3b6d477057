//! Packets that are compressed before they are protected (RFC 7296 §2.22).

use ravelin_ike::Command;
use ravelin_types::policy::Mode;
use ravelin_types::{Cpi, Spi};
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{NotifyType, Payload};

use super::peer::{self, FIRST, Peer, notify};
use crate::ipcomp::{assert_agreed, give, labels};
use crate::lab::*;

#[test]
fn each_side_tells_its_label_and_another_with_each_rekey() {
    for mode in [Mode::Tunnel, Mode::Transport] {
        let mut lab = Lab::with(|a, b| {
            for config in [a, b] {
                give(config, true);
                set_mode(config, mode);
            }
        });
        lab.establish();
        let mut seen = vec![assert_agreed(&lab)];
        for by_b in [false, true] {
            let host = if by_b { &mut lab.b } else { &mut lab.a };
            host.command(Command::RekeyChild(POLICY));
            lab.settle();
            let now = assert_agreed(&lab);
            assert!(seen.iter().all(|before| before.inbound != now.inbound && before.outbound != now.outbound));
            seen.push(now);
        }
        // They go along with the IKE SA.
        lab.a.command(Command::RekeyIke("peer".into()));
        lab.settle();
        assert_eq!(assert_agreed(&lab), seen[2]);
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    }
}

#[test]
fn the_child_sa_goes_without_where_one_side_does_not_want_it_or_cannot() {
    for (a, b) in [(true, false), (false, true)] {
        for cannot in [false, true] {
            let mut lab = Lab::with(|first, second| {
                for (config, wants) in [(first, a), (second, b)] {
                    give(config, wants || cannot);
                    config.ipcomp = wants;
                }
            });
            lab.establish();
            assert_eq!((labels(&lab.a), labels(&lab.b)), (None, None));
        }
    }
}

#[test]
fn what_is_agreed_to_can_change_with_a_rekey() {
    let mut lab = Lab::with(|a, b| {
        give(a, true);
        give(b, false);
    });
    lab.establish();
    assert_eq!(labels(&lab.a), None);
    lab.b.configure(|config| give(config, true));
    lab.a.command(Command::RekeyChild(POLICY));
    lab.settle();
    assert_agreed(&lab);
    lab.b.configure(|config| give(config, false));
    lab.a.command(Command::RekeyChild(POLICY));
    lab.settle();
    assert_eq!((labels(&lab.a), labels(&lab.b)), (None, None));
}

fn supported(cpi: u16, rest: &[u8]) -> Payload {
    notify(NotifyType::IPCOMP_SUPPORTED, &[&cpi.to_be_bytes()[..], rest].concat())
}

/// The data of each.
fn said(payloads: &[Payload]) -> Vec<&[u8]> {
    let data = payloads.iter().filter_map(|payload| match payload {
        Payload::Notify(notify) if notify.kind == NotifyType::IPCOMP_SUPPORTED => Some(notify.data.as_slice()),
        _ => None,
    });
    data.collect()
}

#[test]
fn a_responder_takes_deflate_with_a_label_that_may_be() {
    let ask = |wanted: bool, offers: &[Payload]| {
        let mut lab = Lab::with(|_, b| give(b, wanted));
        let mut peer = Peer::keyed(&mut lab.b);
        let mut request = peer.auth_request();
        request.extend_from_slice(offers);
        let answer = peer.ask(&mut lab.b, ExchangeType::IKE_AUTH, &request);
        let labels = labels(&lab.b);
        let ours = labels.map(|labels| [&labels.inbound.0.to_be_bytes()[..], &[2]].concat());
        assert_eq!(said(&answer), ours.iter().map(Vec::as_slice).collect::<Vec<_>>(), "{answer:#?}");
        labels.map(|labels| labels.outbound)
    };
    let (deflate, lzs) = (supported(0x1234, &[2]), supported(0x1235, &[3]));
    assert_eq!(ask(true, &[lzs.clone(), deflate.clone()]), Some(Some(Cpi(0x1234))));
    assert_eq!(ask(true, &[supported(2, &[2])]), Some(Some(Cpi(2))), "RFC 3173 §3.3: a well-known one");
    assert_eq!(ask(true, &[lzs]), None);
    assert_eq!(ask(false, &[deflate]), None);
    for (cpi, rest) in [(0x1234, &[][..]), (0x1234, &[2, 0]), (0, &[2]), (64, &[2]), (255, &[2])] {
        assert_eq!(ask(true, &[supported(cpi, rest)]), None, "{cpi} {rest:?}");
    }
    assert_eq!(ask(true, &[notify(NotifyType::IPCOMP_SUPPORTED, &[])]), None);
}

// One address may hide several receivers, and a kernel has one state for a label.
#[test]
fn a_responder_has_no_label_of_the_peer_twice() {
    let mut lab = Lab::with(|_, b| give(b, true));
    let mut peer = Peer::keyed(&mut lab.b);
    let mut request = peer.auth_request();
    request.push(supported(0x1234, &[2]));
    peer.ask(&mut lab.b, ExchangeType::IKE_AUTH, &request);
    let first = labels(&lab.b).unwrap();
    for (cpi, taken) in [(0x1234, false), (0x1235, true)] {
        let mut request = peer::child_request(Spi(0x0abc_0100 + u32::from(cpi)), cpi as u8);
        request.push(supported(cpi, &[2]));
        let answer = peer.ask(&mut lab.b, ExchangeType::CREATE_CHILD_SA, &request);
        assert_eq!(said(&answer).len(), usize::from(taken), "{answer:#?}");
    }
    // With the Child SA its labels go.
    peer.ask(&mut lab.b, ExchangeType::INFORMATIONAL, &[peer::delete(&[FIRST])]);
    let mut request = peer::child_request(Spi(0x0abc_0200), 9);
    request.push(supported(0x1234, &[2]));
    let answer = peer.ask(&mut lab.b, ExchangeType::CREATE_CHILD_SA, &request);
    assert!(matches!(said(&answer)[..], [[high, low, 2]] if [*high, *low] != first.inbound.0.to_be_bytes()));
}

#[test]
fn an_initiator_takes_one_answer_to_what_it_asked() {
    let answered = |wanted: bool, answers: &[Payload]| {
        let mut host = Lab::with(|_, b| give(b, wanted)).b;
        host.command(Command::Initiate(POLICY));
        let mut peer = Peer::new(1);
        let request = host.take();
        let answer = peer.answer_init(&request.data);
        peer.send(&mut host, &answer);
        let (id, request) = peer.asked(&mut host);
        assert_eq!(said(&request).len(), usize::from(wanted));
        let mut payloads = peer.auth_answer();
        payloads.extend_from_slice(answers);
        peer.answer(&mut host, ExchangeType::IKE_AUTH, id, &payloads);
        assert_eq!(host.failures(), []);
        labels(&host).map(|labels| labels.outbound)
    };
    let deflate = supported(0x1234, &[2]);
    assert_eq!(answered(true, std::slice::from_ref(&deflate)), Some(Some(Cpi(0x1234))));
    assert_eq!(answered(false, std::slice::from_ref(&deflate)), None, "it was not asked for");
    assert_eq!(answered(true, &[]), None);
    assert_eq!(answered(true, &[supported(0x1234, &[3])]), None, "nor was that algorithm");
    assert_eq!(answered(true, &[deflate.clone(), supported(0x1235, &[2])]), None, "one and no more");
    assert_eq!(answered(true, &[supported(100, &[2])]), None);
}
