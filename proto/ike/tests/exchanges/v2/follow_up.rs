//! RFC 9370 §2.2.4: additional key exchanges behind CREATE_CHILD_SA, for Child SAs and for the IKE SA.

use std::time::Duration;

use ravelin_ike::output::DownReason;
use ravelin_ike::{Command, Config, Event, limits};
use ravelin_types::Spi;
use ravelin_types::proposal::Proposal;
use ravelin_types::sa::Direction::{Inbound, Outbound};
use ravelin_types::transform::{Additional, KeMethod, SnId, Transform};
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{Ke, NotifyType, Payload};

use crate::lab::*;
use crate::v2::peer::{self, FIRST, Peer, notifies, spi_of};

const FOLLOW_UP: u8 = 44;
const LINK: NotifyType = NotifyType::ADDITIONAL_KEY_EXCHANGE;
const KEM: KeMethod = KeMethod::ML_KEM_768;

fn with(mut proposal: Proposal, methods: &[(u8, KeMethod)]) -> Proposal {
    let more = methods.iter().map(|(number, id)| Transform::AddKe(Additional::new(*number).unwrap(), *id));
    proposal.transforms.extend(more);
    proposal
}

fn esp(methods: &[(u8, KeMethod)]) -> Vec<Proposal> {
    vec![with(pfs(esp_proposal(), KeMethod::CURVE25519), methods)]
}

/// Child SAs and IKE SAs have these additional key exchanges.
fn more(config: &mut Config, methods: &[(u8, KeMethod)]) {
    config.policies[0].proposals = esp(methods);
    config.remotes[0].proposals = vec![with(ike_proposal(KeMethod::CURVE25519), methods)];
}

fn lab(methods: &[(u8, KeMethod)]) -> Lab {
    let mut lab = Lab::with(|a, b| {
        more(a, methods);
        more(b, methods);
    });
    lab.establish();
    lab
}

fn assert_one_child(lab: &Lab) {
    assert_eq!((lab.a.sas.len(), lab.b.sas.len()), (2, 2));
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, 1));
    lab.assert_mirrored();
}

fn assert_no_failures(lab: &Lab) {
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
}

/// The exchanges that A begins until nothing is under way, as types in order; fragments count once.
fn exchanges_of_a(lab: &mut Lab) -> Vec<u8> {
    let mut seen = Vec::new();
    loop {
        if let Some((kind, id, false)) = lab.a.next()
            && seen.last() != Some(&(kind, id))
        {
            seen.push((kind, id));
        }
        match (lab.a.sent.is_empty(), lab.b.sent.is_empty()) {
            (false, _) => drop(lab.a_to_b()),
            (true, false) => drop(lab.b_to_a()),
            (true, true) => return seen.into_iter().map(|(kind, _)| kind).collect(),
        }
    }
}

#[test]
fn a_child_sa_is_rekeyed_with_all_that_was_agreed_on() {
    let mut lab = lab(&[(1, KEM), (3, KeMethod::ECP384)]);
    let old = (lab.a.child().inbound, lab.b.child().inbound);
    lab.a.command(Command::RekeyChild(POLICY));
    // HDR, SK {N(REKEY_SA), SA, Ni, KEi, TSi, TSr} -->   <-- HDR, SK {SA, Nr, KEr, TSi, TSr, N(ADDITIONAL_KEY_EXCHANGE)}
    lab.a_to_b();
    assert_eq!(lab.b.children().len(), 1, "nothing is made before the last key exchange");
    lab.b_to_a();
    assert_eq!((lab.a.sas.len(), lab.b.sas.len()), (2, 2));
    assert_eq!(lab.a.next().map(|next| next.0), Some(FOLLOW_UP));
    assert!(lab.a.sent.iter().all(|message| message.data.len() <= 1228), "ML-KEM goes in fragments");
    // IKE_FOLLOWUP_KE twice, then the delete of the old one.
    assert_eq!(exchanges_of_a(&mut lab), [FOLLOW_UP, FOLLOW_UP, INFO]);
    assert_one_child(&lab);
    assert!(lab.a.child().inbound != old.0 && lab.b.child().inbound != old.1);
    // The other side, and a Child SA that was not there.
    lab.b.command(Command::RekeyChild(POLICY));
    lab.settle();
    assert_one_child(&lab);
    lab.a.command(Command::TerminateChild(None));
    lab.settle();
    lab.a.command(Command::Initiate(POLICY));
    assert_eq!(exchanges_of_a(&mut lab), [CREATE_CHILD, FOLLOW_UP, FOLLOW_UP]);
    assert_one_child(&lab);
    assert_no_failures(&lab);
}

#[test]
fn the_ike_sa_is_rekeyed_with_what_made_it() {
    let mut lab = lab(&[(1, KEM), (2, KeMethod::ECP256)]);
    let old = lab.a.ike().spis;
    lab.a.command(Command::RekeyIke("peer".into()));
    assert_eq!(exchanges_of_a(&mut lab), [CREATE_CHILD, FOLLOW_UP, FOLLOW_UP, INFO]);
    assert_eq!(lab.a.ike().spis, lab.b.ike().spis);
    assert_ne!(lab.a.ike().spis, old);
    assert_eq!(lab.b.ike().additional, [KEM, KeMethod::ECP256]);
    // The keys of the new one are the same at both: it works, both ways.
    lab.b.command(Command::RekeyIke("peer".into()));
    lab.settle();
    assert!(lab.b.ike().initiator);
    lab.a.command(Command::RekeyChild(POLICY));
    lab.settle();
    assert_one_child(&lab);
    assert_no_failures(&lab);
}

#[test]
fn both_sides_agree_on_what_there_is_to_do() {
    let none = KeMethod::NONE;
    let done = |a: &[(u8, KeMethod)], b: &[(u8, KeMethod)]| {
        let mut lab = Lab::with(|config_a, config_b| {
            config_a.policies[0].proposals = esp(a);
            config_b.policies[0].proposals = esp(b);
        });
        lab.establish();
        lab.a.command(Command::RekeyChild(POLICY));
        let seen = exchanges_of_a(&mut lab);
        assert_one_child(&lab);
        (lab.a.failures().is_empty(), seen.iter().filter(|kind| **kind == FOLLOW_UP).count())
    };
    assert_eq!(done(&[(1, KEM), (1, none)], &[(1, KEM)]), (true, 1));
    assert_eq!(done(&[(1, KEM), (1, none)], &[]), (true, 0));
    assert_eq!(done(&[(1, KEM)], &[]), (false, 0), "the one who asks insists");
    assert_eq!(done(&[], &[(1, KEM)]), (false, 0), "the one who answers insists");
    // RFC 7296 §1.2: without PFS here the peer has its way, and so with what comes after it.
    let mut lab = Lab::with(|a, _| a.policies[0].proposals = esp(&[(1, KEM)]));
    lab.establish();
    lab.a.command(Command::RekeyChild(POLICY));
    assert_eq!(exchanges_of_a(&mut lab), [CREATE_CHILD, FOLLOW_UP, INFO]);
    assert_one_child(&lab);
}

#[test]
fn loss_and_repetition_do_no_harm() {
    let mut lab = lab(&[(1, KeMethod::ECP256), (2, KeMethod::ECP384)]);
    lab.a.command(Command::RekeyChild(POLICY));
    lab.a_to_b();
    lab.b_to_a();
    for _ in 0..2 {
        // The answer is lost; the request comes again, and once more after that.
        let request = lab.a_to_b();
        lab.b.sent.clear();
        lab.a.sleep(Duration::from_secs(1));
        assert_eq!(lab.a_to_b(), request);
        let answer = lab.b.take();
        lab.b.receive(&request);
        assert_eq!(lab.b.take(), answer, "the same answer again");
        lab.a.receive(&answer);
        lab.a.receive(&answer);
    }
    lab.settle();
    assert_one_child(&lab);
    assert_no_failures(&lab);
}

#[test]
fn colliding_child_rekeys_stop_the_one_with_the_lowest_nonce() {
    let (mut a_won, mut b_won) = (0, 0);
    for seed in 0..12 {
        let mut lab = lab(&[(1, KeMethod::ECP256)]);
        lab.a = Host::new(lab.a.config.clone(), 500 + seed);
        lab.b = Host::new(lab.b.config.clone(), 2);
        lab.establish();
        let old = lab.a.child().inbound;
        lab.a.command(Command::RekeyChild(POLICY));
        lab.b.command(Command::RekeyChild(POLICY));
        let (req1, req2) = (lab.a.take(), lab.b.take());
        lab.a.receive(&req2);
        lab.b.receive(&req1);
        let (resp2, resp1) = (lab.a.take(), lab.b.take());
        lab.a.receive(&resp1);
        lab.b.receive(&resp2);
        // One of them goes on, the other says nothing more.
        let next = (lab.a.next().map(|next| next.0), lab.b.next().map(|next| next.0));
        match next {
            (Some(FOLLOW_UP), None) => a_won += 1,
            (None, Some(FOLLOW_UP)) => b_won += 1,
            other => panic!("{other:?}"),
        }
        lab.settle();
        assert_one_child(&lab);
        assert_ne!(lab.a.child().inbound, old);
        // What the loser put off is not needed any more, and nothing is left of its promise.
        let spi = lab.a.child().inbound;
        lab.sleep(limits::FOLLOW_UP_WAIT);
        lab.sleep(limits::REKEY_RETRY);
        lab.settle();
        assert_eq!(lab.a.child().inbound, spi);
        assert_no_failures(&lab);
    }
    assert!(a_won > 0 && b_won > 0, "the nonces decide: {a_won} to {b_won}");
}

#[test]
fn colliding_ike_rekeys_stop_the_one_with_the_lowest_nonce() {
    let (mut a_won, mut b_won) = (0, 0);
    for seed in 0..12 {
        let mut lab = lab(&[(1, KeMethod::ECP256)]);
        lab.a = Host::new(lab.a.config.clone(), 600 + seed);
        lab.b = Host::new(lab.b.config.clone(), 2);
        lab.establish();
        let old = lab.a.ike().spis;
        lab.a.command(Command::RekeyIke("peer".into()));
        lab.b.command(Command::RekeyIke("peer".into()));
        let (req1, req2) = (lab.a.take(), lab.b.take());
        lab.a.receive(&req2);
        lab.b.receive(&req1);
        let (resp2, resp1) = (lab.a.take(), lab.b.take());
        lab.a.receive(&resp1);
        lab.b.receive(&resp2);
        assert_eq!((lab.a.endpoint.ike_sas().len(), lab.b.endpoint.ike_sas().len()), (1, 1));
        lab.settle();
        assert_ne!(lab.a.ike().spis, old);
        assert_eq!(lab.a.ike().spis, lab.b.ike().spis);
        if lab.a.ike().initiator {
            a_won += 1
        } else {
            b_won += 1
        }
        assert_one_child(&lab);
        // Both can be asked for something.
        lab.a.command(Command::RekeyChild(POLICY));
        lab.settle();
        lab.b.command(Command::RekeyChild(POLICY));
        lab.settle();
        assert_one_child(&lab);
        assert_no_failures(&lab);
    }
    assert!(a_won > 0 && b_won > 0, "the nonces decide: {a_won} to {b_won}");
}

// RFC 9370 §2.2.4: a request that comes when the other rekey is already followed up is put off.
#[test]
fn a_rekey_that_comes_late_is_put_off() {
    for ike in [false, true] {
        let mut lab = lab(&[(1, KeMethod::ECP256)]);
        let rekey = || if ike { Command::RekeyIke("peer".into()) } else { Command::RekeyChild(POLICY) };
        lab.a.command(rekey());
        lab.b.command(rekey());
        // send req1 --> (late)    <-- send req2
        let req1 = lab.a.take();
        lab.b_to_a();
        // send resp2 -->, and B follows it up
        lab.a_to_b();
        assert_eq!(lab.b.next().map(|next| next.0), Some(FOLLOW_UP));
        let follow_up = lab.b.take();
        // req1 arrives: <-- N(TEMPORARY_FAILURE)
        lab.b.receive(&req1);
        let put_off = lab.b.take();
        // In either order.
        if ike {
            lab.a.receive(&put_off);
            lab.a.receive(&follow_up);
        } else {
            lab.a.receive(&follow_up);
            lab.a.receive(&put_off);
        }
        lab.settle();
        assert_one_child(&lab);
        assert_eq!(lab.a.ike().spis, lab.b.ike().spis);
        assert_no_failures(&lab);
    }
}

#[test]
fn what_we_want_waits_for_the_ike_sa_that_the_peer_is_making() {
    let mut lab = lab(&[(1, KeMethod::ECP256)]);
    lab.b.command(Command::RekeyIke("peer".into()));
    lab.b_to_a();
    let answer = lab.a.take();
    lab.a.command(Command::RekeyChild(POLICY));
    assert!(lab.a.sent.is_empty(), "it might be left behind");
    lab.b.receive(&answer);
    lab.settle();
    lab.a.sleep(Duration::ZERO);
    lab.settle();
    assert!(lab.a.events.iter().any(|event| matches!(event, Event::ChildRekeyed { .. })));
    assert_one_child(&lab);
    assert_no_failures(&lab);
}

/// The proposal of the peer at A, and the answer to that of the endpoint.
fn offered() -> Proposal {
    with(pfs(esp_proposal(), KeMethod::CURVE25519), &[(1, KeMethod::ECP256)])
}

/// `N(REKEY_SA)?, SA, Ni, KEi, TSi, TSr`
fn request(peer: &mut Peer, spi: Spi, old: Option<Spi>) -> Vec<Payload> {
    let (_, ke) = peer::fresh_ke(&mut peer.rng);
    let [tsi, tsr] = peer::ts(A, B);
    let mut payloads: Vec<Payload> = old.map(peer::rekey_sa).into_iter().collect();
    payloads.extend([peer::sa(vec![offered()], spi.into()), peer::nonce(&[7; 32]), ke, tsi, tsr]);
    payloads
}

fn ecp256(peer: &mut Peer) -> Payload {
    let private = provider().ke(KeMethod::ECP256).unwrap().generate(&mut peer.rng);
    Payload::Ke(Ke { method: KeMethod::ECP256, data: private.public().to_vec() })
}

fn link(payloads: &[Payload]) -> Payload {
    let is_it = |payload: &&Payload| matches!(payload, Payload::Notify(notify) if notify.kind == LINK);
    payloads.iter().find(is_it).cloned().expect("a link")
}

fn host() -> (Host, Peer) {
    let mut config = config(B, A);
    config.policies[0].proposals = esp(&[(1, KeMethod::ECP256)]);
    let mut host = Host::new(config, 2);
    let peer = Peer::up(&mut host);
    (host, peer)
}

const FOLLOW_UPS: u32 = limits::FOLLOW_UPS as u32;

// A peer that begins and never goes on costs little, and not for long.
#[test]
fn what_waits_for_the_peer_is_bounded_and_forgotten() {
    let (mut host, mut peer) = host();
    let mut links = Vec::new();
    for n in 0..FOLLOW_UPS {
        let asked = request(&mut peer, Spi(0x0b00_0000 + n), None);
        links.push(link(&peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &asked)));
    }
    links.dedup();
    assert_eq!(links.len(), limits::FOLLOW_UPS, "each has a link of its own");
    let asked = request(&mut peer, Spi(0x0b00_1000), None);
    let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &asked);
    assert_eq!(notifies(&answer), [NotifyType::TEMPORARY_FAILURE]);
    assert_eq!(host.sas.len(), 2);
    // One of them is followed up, and cannot be twice.
    let follow_up = [ecp256(&mut peer), links[1].clone()];
    let answer = peer.ask(&mut host, ExchangeType::IKE_FOLLOWUP_KE, &follow_up);
    assert_eq!(notifies(&answer), [], "the last answer has no link");
    assert_eq!(host.sas.len(), 4);
    let answer = peer.ask(&mut host, ExchangeType::IKE_FOLLOWUP_KE, &follow_up);
    assert_eq!(notifies(&answer), [NotifyType::STATE_NOT_FOUND]);
    // The others were too slow, and make room.
    host.sleep(limits::FOLLOW_UP_WAIT);
    let late = [ecp256(&mut peer), links[0].clone()];
    let answer = peer.ask(&mut host, ExchangeType::IKE_FOLLOWUP_KE, &late);
    assert_eq!(notifies(&answer), [NotifyType::STATE_NOT_FOUND]);
    let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &asked);
    assert_eq!(notifies(&answer), [LINK]);
    assert_eq!(host.sas.len(), 4);
    assert_eq!(host.failures(), []);
}

#[test]
fn a_child_sa_that_is_closed_meanwhile_is_not_replaced() {
    let (mut host, mut peer) = host();
    let asked = request(&mut peer, Spi(0x0b00_0000), Some(FIRST));
    let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &asked);
    host.command(Command::TerminateChild(None));
    let (id, _) = peer.asked(&mut host);
    let ke = ecp256(&mut peer);
    let answer = peer.ask(&mut host, ExchangeType::IKE_FOLLOWUP_KE, &[ke, link(&answer)]);
    assert_eq!(notifies(&answer), [NotifyType::STATE_NOT_FOUND]);
    peer.answer(&mut host, ExchangeType::INFORMATIONAL, id, &[peer::delete(&[FIRST])]);
    assert!(host.sas.is_empty());
}

#[test]
fn what_does_not_belong_to_it_is_refused() {
    let begun = || {
        let (mut host, mut peer) = host();
        let asked = request(&mut peer, Spi(0x0b00_0000), None);
        let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &asked);
        (host, peer, link(&answer))
    };
    // Another link.
    let (mut host, mut peer, _) = begun();
    let ke = ecp256(&mut peer);
    for data in [&[][..], &[0; 4], &[0xff; 300]] {
        let other = peer::notify(LINK, data);
        let answer = peer.ask(&mut host, ExchangeType::IKE_FOLLOWUP_KE, &[ke.clone(), other]);
        assert_eq!(notifies(&answer), [NotifyType::STATE_NOT_FOUND]);
    }
    assert_eq!((host.sas.len(), host.endpoint.ike_sas().len()), (2, 1));
    // No link, no value, a value of another method, a value that is none: the protocol is broken.
    let (_, curve25519) = peer::fresh_ke(&mut peer.rng);
    let bad = Payload::Ke(Ke { method: KeMethod::ECP256, data: vec![0; 64] });
    for (value, linked) in [(Some(ke), false), (None, true), (Some(curve25519), true), (Some(bad), true)] {
        let (mut host, mut peer, link) = begun();
        let payloads: Vec<Payload> = value.into_iter().chain(linked.then_some(link)).collect();
        let answer = peer.ask(&mut host, ExchangeType::IKE_FOLLOWUP_KE, &payloads);
        assert_eq!(notifies(&answer), [NotifyType::INVALID_SYNTAX]);
        assert!(host.endpoint.ike_sas().is_empty() && host.sas.is_empty());
    }
}

/// `SA, Nr, KEr, TSi, TSr`
fn response(peer: &mut Peer) -> Vec<Payload> {
    let (_, ke) = peer::fresh_ke(&mut peer.rng);
    let [tsi, tsr] = peer::ts(B, A);
    let mut chosen = offered();
    chosen.transforms.push(Transform::Sn(SnId::SEQUENTIAL_32));
    vec![peer::sa(vec![chosen], Spi(0x0b00_0000).into()), peer::nonce(&[9; 32]), ke, tsi, tsr]
}

/// The endpoint asks, and the peer answers CREATE_CHILD_SA: what the endpoint sends next.
fn answered(with_link: bool) -> (Host, Peer, Spi) {
    let (mut host, mut peer) = host();
    let old = host.child().inbound;
    host.command(Command::RekeyChild(POLICY));
    let (id, asked) = peer.asked(&mut host);
    assert!(spi_of(&asked).child().is_some());
    let mut answer = response(&mut peer);
    answer.extend(with_link.then(|| peer::notify(LINK, b"whatever it is")));
    peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &answer);
    (host, peer, old)
}

#[test]
fn an_initiator_goes_on_only_with_what_it_was_told() {
    // The link is sent back as it was.
    let (mut host, peer, _) = answered(true);
    let (_, asked) = peer.asked(&mut host);
    assert_eq!(link(&asked), peer::notify(LINK, b"whatever it is"));
    // Without it there is nothing to go on with.
    let (mut host, peer, old) = answered(false);
    assert_eq!(host.failures().len(), 1);
    assert_eq!(host.child().inbound, old);
    let (_, asked) = peer.asked(&mut host);
    assert_eq!(peer::deleted(&asked).len(), 1, "what the peer may have made has to go");
}

#[test]
fn a_peer_that_forgot_is_asked_again_but_not_for_ever() {
    let (mut host, mut peer, old) = answered(true);
    let mut requests = 0;
    for _ in 0..1000 {
        let Some((kind, ..)) = host.next() else {
            host.sleep(Duration::from_secs(1));
            continue;
        };
        let (id, asked) = peer.asked(&mut host);
        match kind {
            FOLLOW_UP => {
                requests += 1;
                let forgot = [peer::notify(NotifyType::STATE_NOT_FOUND, &[])];
                peer.answer(&mut host, ExchangeType::IKE_FOLLOWUP_KE, id, &forgot);
                assert_eq!(host.child().inbound, old);
            }
            CREATE_CHILD => {
                let mut answer = response(&mut peer);
                answer.push(peer::notify(LINK, &[1]));
                peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &answer);
            }
            _ => {
                // RFC 9370 §2.2.4: it deletes the IKE SA.
                assert!(matches!(asked[..], [Payload::Delete(_)]));
                peer.answer(&mut host, ExchangeType::INFORMATIONAL, id, &[]);
                break;
            }
        }
    }
    assert_eq!(requests, limits::TEMPORARY_FAILURES + 1);
    assert!(host.sas.is_empty());
    let down = |event: &Event| matches!(event, Event::IkeDown { reason: DownReason::ProtocolError, .. });
    assert!(host.events.iter().any(down));
}

#[test]
fn the_data_plane_has_the_new_sa_before_the_old_one_goes() {
    let mut lab = lab(&[(1, KeMethod::ECP256)]);
    let old_b = lab.b.child().inbound;
    lab.a.order.clear();
    lab.b.order.clear();
    lab.a.command(Command::RekeyChild(POLICY));
    lab.settle();
    assert_eq!(lab.a.order, ["send", "send", "in+", "out+", "send", "in-", "out-"]);
    assert_eq!(lab.b.order, ["send", "in+", "send", "out+", "in-", "out-", "send"]);
    assert!(!lab.b.has(Inbound, old_b) && lab.b.has(Outbound, lab.a.child().inbound));
}
