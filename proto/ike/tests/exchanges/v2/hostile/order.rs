//! Payloads and exchanges in an order, a number or a size that nobody awaits.

use ravelin_ike::Command;
use ravelin_ike::explain::Part;
use ravelin_testkit::papers::Kind;
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::KeMethod;
use ravelin_types::{IdType, Identity, IkeSpi, Spi};
use ravelin_wire::ike::header::{ExchangeType, PayloadType};
use ravelin_wire::ike::v2::{Cert, CertEncoding, Chain, Delete, Id, Message, NotifyType, Payload, Ts, emit};

use super::{errors, fresh, is_down, said_otherwise, state, up};
use crate::lab::*;
use crate::papers::Papers2;
use crate::v2::peer::{self, FIRST, Peer, notifies};
use crate::v2::signature::begin;

const SECOND: Spi = Spi(0x0abc_0002);

/// Each payload of `whole` that must be there left out, and each there twice; the first `count` must.
fn lacking_or_doubled(whole: &[Payload], count: usize) -> Vec<Vec<Payload>> {
    let less = (0..count).map(|at| [&whole[..at], &whole[at + 1..]].concat());
    let more = (0..count).map(|at| [&whole[..at], &whole[at..=at], &whole[at..]].concat());
    less.chain(more).collect()
}

// Row 21: an answer to IKE_SA_INIT is under no key, so a bad one is dropped, and the right one still counts.
#[test]
fn the_answer_of_ike_sa_init_needs_each_payload_once() {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = Peer::new(9);
    host.command(Command::Initiate(POLICY));
    let request = host.take();
    let answer = peer.answer_init(&request.data);
    let parsed = Message::parse(&answer).unwrap();
    let bad = lacking_or_doubled(&parsed.payloads, 3);
    for payloads in &bad {
        peer.send(&mut host, &emit(&parsed.header, &Chain::new(payloads).unwrap()));
        assert!(host.sent.is_empty(), "{payloads:?}");
    }
    assert_eq!((host.ike().state, host.endpoint.counters().malformed), ("IKE_SA_INIT", bad.len() as u64));
    peer.send(&mut host, &answer);
    let (id, _) = peer.asked(&mut host);
    let payloads = peer.auth_answer();
    peer.answer(&mut host, ExchangeType::IKE_AUTH, id, &payloads);
    // The operator heard of the first.
    assert_eq!((host.ike().state, host.failures().len()), ("ESTABLISHED", 1));
}

// Row 21: the peer holds an IKE SA that cannot be used, so all of it is given up: <-- HDR, SK {D(IKE)}
#[test]
fn the_answer_to_a_rekey_of_the_ike_sa_needs_each_payload_once() {
    let (_, ke) = peer::fresh_ke(&mut Peer::new(3).rng);
    let sa = peer::sa_of(ike_proposal(KeMethod::CURVE25519), IkeSpi(0xab).into());
    for payloads in lacking_or_doubled(&[sa, peer::nonce(&[9; 32]), ke], 3) {
        let (mut host, mut peer) = up();
        let sas = host.sas.len();
        host.command(Command::RekeyIke("peer".into()));
        let (id, _) = peer.asked(&mut host);
        peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &payloads);
        assert_eq!((host.failures().len(), host.sas.len()), (1, sas), "{payloads:?}");
        let (_, asked) = peer.asked(&mut host);
        assert_eq!(asked, [Payload::Delete(Delete::Ike)], "{payloads:?}");
    }
}

// Row 14: while a request is open, only an answer with its number is one; whatever else comes is dropped, and the answer still counts.
// An answer that is of another exchange has the number and verifies, so no other will come: the operator is told what came, and the
// exchange comes to nothing. The peer is there, so nothing waits for it, and no IKE SA ends but one whose rekey it was.
#[test]
fn an_answer_of_another_exchange_is_told_and_the_ike_sa_goes_on() {
    let [tsi, tsr] = peer::ts(B, A);
    let child = vec![peer::sa(vec![peer::answered_esp()], SECOND.into()), peer::nonce(&[9; 32]), tsi, tsr];
    let ike = {
        let (_, ke) = peer::fresh_ke(&mut Peer::new(3).rng);
        vec![peer::sa_of(ike_proposal(KeMethod::CURVE25519), IkeSpi(0xab).into()), peer::nonce(&[9; 32]), ke]
    };
    let (create, inform) = (ExchangeType::CREATE_CHILD_SA, ExchangeType::INFORMATIONAL);
    let (up_still, closes) = (Some("ESTABLISHED"), Some("DELETING"));
    for (command, exchange, answer, state_after, asked_after) in [
        // The peer may have made a Child SA.
        (Command::RekeyChild(POLICY), create, child, up_still, true),
        (Command::RekeyIke("peer".into()), create, ike, closes, true),
        (Command::CheckLiveness("peer".into()), inform, vec![], up_still, false),
        (Command::TerminateChild(Some(POLICY)), inform, vec![peer::delete(&[FIRST])], up_still, false),
        (Command::TerminateIke(None), inform, vec![], None, false),
    ] {
        for other in [0, 4, 34, 35, 36, 37, 43, 255].map(ExchangeType).into_iter().filter(|other| *other != exchange) {
            let (mut host, mut peer) = up();
            host.command(command.clone());
            let (id, _) = peer.asked(&mut host);
            let before = state(&host);
            for (dropped, id) in [(1, id + 1), (2, id + 2), (3, u32::MAX)] {
                peer.answer(&mut host, exchange, id, &answer);
                assert_eq!((state(&host), host.endpoint.counters().outside_window), (before.clone(), dropped));
            }
            assert!(host.sent.is_empty() && host.failures().is_empty());
            peer.answer(&mut host, other, id, &answer);
            let place = if exchange == create { "CREATE_CHILD_SA" } else { "INFORMATIONAL" };
            let failure = host.failure(Part::Protocol);
            assert_eq!(failure.theirs, [format!("answers as {other}, and was asked as {place}")]);
            let states: Vec<&str> = host.endpoint.ike_sas().iter().map(|sa| sa.state).collect();
            assert_eq!(states, Vec::from_iter(state_after), "{command:?} {other}");
            assert_eq!(host.sent.is_empty(), !asked_after, "{command:?} {other}");
            // The next exchange is as any.
            if asked_after {
                let (next, asked) = peer.asked(&mut host);
                assert!(next == id + 1 && matches!(asked[..], [Payload::Delete(_)]), "{asked:?}");
                peer.answer(&mut host, inform, next, &[]);
            }
            assert_eq!((host.failures().len(), host.endpoint.ike_sas().is_empty()), (1, state_after != up_still));
        }
    }
}

// RFC 7296 §2.9.2: the new Child SA must not have narrower selectors. Who narrows them is refused, and the old one serves on.
#[test]
fn a_rekey_does_not_narrow_the_selectors() {
    let tcp = |address| Ts::new(&[TrafficSelector::host(ip(address)).with(6, 0..=65535).unwrap()]);
    let [any_i, any_r] = peer::ts(B, A);
    for (tsi, tsr) in [
        (Payload::TsI(tcp(B)), Payload::TsR(tcp(A))),
        (any_i.clone(), Payload::TsR(tcp(A))),
        (Payload::TsI(tcp(B)), any_r.clone()),
    ] {
        let (mut host, mut peer) = up();
        let old = host.child().inbound;
        host.command(Command::RekeyChild(POLICY));
        let (id, _) = peer.asked(&mut host);
        let answer = [peer::sa(vec![peer::answered_esp()], SECOND.into()), peer::nonce(&[9; 32]), tsi, tsr];
        peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &answer);
        let failure = host.failure(Part::Narrower);
        assert!(failure.theirs[0].contains("[6]") && !failure.ours[0].contains("[6]"), "{failure}");
        assert_eq!((host.child().inbound, host.child().outbound, host.child().state), (old, FIRST, "INSTALLED"));
        // The peer has one that we have not: --> HDR, SK {D(ESP, SPI)}
        let (id, asked) = peer.asked(&mut host);
        assert_eq!(peer::deleted(&asked).len(), 1);
        peer.answer(&mut host, ExchangeType::INFORMATIONAL, id, &[]);
        // The next attempt is later, unless somebody wants it now.
        assert!(host.sent.is_empty());
        host.command(Command::RekeyChild(POLICY));
        let (_, asked) = peer.asked(&mut host);
        assert!(notifies(&asked).contains(&NotifyType::REKEY_SA));
    }
}

// RFC 7296 §2.9.2: what several selectors hold together is no narrower than the one that they divide, whichever side does.
#[test]
fn a_rekey_may_divide_the_selectors() {
    let half = |ports| TrafficSelector::host(ip(A)).with(17, ports).unwrap();
    let (whole, halves) = ([half(1000..=1999)], [half(1000..=1499), half(1500..=1999)]);
    let [_, tsr] = peer::ts(A, B);
    let request = |spi, ts: &[TrafficSelector]| {
        let mut request = peer::child_request(spi, 9);
        request.splice(2.., [Payload::TsI(Ts::new(ts)), tsr.clone()]);
        request
    };
    for (theirs, ours, missing) in
        [(&halves[..], &whole[..], false), (&whole, &halves, false), (&halves[..1], &whole, true)]
    {
        let (mut host, mut peer) = up();
        host.configure(|config| config.policies[0].policy.remote = whole.to_vec());
        let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &request(SECOND, &whole));
        assert!(errors(&answer).is_empty(), "{answer:?}");
        host.configure(|config| config.policies[0].policy.remote = ours.to_vec());
        let mut again = request(Spi(0x0abc_0003), theirs);
        again.insert(0, peer::rekey_sa(SECOND));
        let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &again);
        assert_eq!(!errors(&answer).is_empty(), missing, "{answer:?}");
        assert_eq!(host.children().iter().any(|child| child.remote_ts == halves), !missing);
    }
    // As the answer to us: TSr is the peer's side.
    for (answered, missing) in [(&halves[..], false), (&halves[1..], true)] {
        let (mut host, mut peer) = up();
        host.configure(|config| config.policies[0].policy.remote = whole.to_vec());
        peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &request(SECOND, &whole));
        peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[peer::delete(&[FIRST])]);
        host.command(Command::RekeyChild(POLICY));
        let (id, _) = peer.asked(&mut host);
        let [tsi, _] = peer::ts(B, A);
        let sa = peer::sa(vec![peer::answered_esp()], Spi(0x0abc_0003).into());
        let answer = [sa, peer::nonce(&[9; 32]), tsi, Payload::TsR(Ts::new(answered))];
        peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &answer);
        assert_eq!(host.failures().len(), usize::from(missing), "{:?}", host.failures());
        assert_eq!(host.children().iter().any(|child| child.remote_ts == halves), !missing);
    }
}

// RFC 7296 §2.9.2: nor does who is asked narrow them, whichever side has narrower ones now. The old one serves on, and what a
// peer asks for beside it is narrowed as ever.
#[test]
fn a_rekey_for_less_is_refused() {
    let tcp = |address| TrafficSelector::host(ip(address)).with(6, 0..=65535).unwrap();
    let more = |address| Ts::new(&[tcp(address), TrafficSelector::prefix(ip(address), 24).unwrap()]);
    let [any_i, any_r] = peer::ts(A, B);
    let [tcp_i, tcp_r] = [Payload::TsI(Ts::new(&[tcp(A)])), Payload::TsR(Ts::new(&[tcp(B)]))];
    let wide = [Payload::TsI(more(A)), Payload::TsR(more(B))];
    let answer = |host: &mut Host, peer: &mut Peer, ts: [&Payload; 2], rekey: bool| {
        let mut request = peer::child_request(SECOND, 9);
        request.splice(2.., ts.map(Clone::clone));
        request.splice(..0, rekey.then(|| peer::rekey_sa(FIRST)));
        peer.ask(host, ExchangeType::CREATE_CHILD_SA, &request)
    };
    let changed = |host: &mut Host| {
        host.configure(|config| config.policies[0].policy.remote = vec![tcp(A)]);
    };
    for (ts, ours) in
        [([&tcp_i, &tcp_r], false), ([&any_i, &tcp_r], false), ([&tcp_i, &any_r], false), ([&any_i, &any_r], true)]
    {
        let (mut host, mut peer) = up();
        let before = state(&host);
        if ours {
            changed(&mut host);
        }
        assert_eq!(notifies(&answer(&mut host, &mut peer, ts, true)), [NotifyType::TS_UNACCEPTABLE]);
        assert_eq!(state(&host), before);
        let failure = host.failure(Part::Narrower);
        assert_eq!((failure.policy, failure.theirs[0].contains("[6]")), (Some(POLICY), !ours), "{failure}");
        assert_eq!((failure.ours[0].contains("[6]"), failure.ours[1].contains("[6]")), (false, true), "{failure}");
        let answered = answer(&mut host, &mut peer, ts, false);
        assert!(errors(&answered).is_empty() && answered.iter().any(|payload| matches!(payload, Payload::TsI(_))));
        assert_eq!(host.children().len(), 2);
    }
    let (mut host, mut peer) = up();
    let answered = answer(&mut host, &mut peer, [&wide[0], &wide[1]], true);
    assert!(answered.contains(&any_i) && answered.contains(&any_r), "{answered:?}");
}

// Row 36: payloads of 0 to 4 octets of every type, under the keys of an IKE SA and in the first message.
#[test]
fn payloads_of_no_length_end_the_walk() {
    for kind in (1..=255).map(PayloadType) {
        for len in 0..=4u8 {
            let (mut host, mut peer) = up();
            let before = state(&host);
            let answer = peer.ask_bytes(&mut host, ExchangeType::INFORMATIONAL, kind, &[kind.0, 0, 0, len]);
            // A payload that names its own type as the next runs into the end of what is there.
            assert_eq!(notifies(&answer), [NotifyType::INVALID_SYNTAX], "{kind} of length {len}");
            assert!(is_down(&host));
            let (mut host, mut peer) = up();
            let answer = peer.ask_bytes(&mut host, ExchangeType::INFORMATIONAL, kind, &[0, 0, 0, len]);
            assert!(answer.is_empty() || notifies(&answer) == [NotifyType::INVALID_SYNTAX], "{kind}: {answer:?}");
            assert_eq!(answer.is_empty(), !is_down(&host));
            assert!(is_down(&host) || len == 4 && state(&host) == before, "{kind} of length {len}");
        }
    }
    let (mut host, mut peer) = fresh();
    let request = peer.init_request();
    for kind in 1..=255 {
        for len in 0..=4 {
            for next in [0, kind] {
                let mut message = request[..28].to_vec();
                (message[16], message[27]) = (kind, 32);
                message[24..27].fill(0);
                message.extend([next, 0, 0, len]);
                peer.send(&mut host, &message);
                assert!(host.endpoint.ike_sas().is_empty());
                assert!(host.sent.drain(..).all(|answer| answer.data.len() <= 36), "type {kind} of length {len}");
            }
        }
    }
    peer.send(&mut host, &request);
    assert_eq!(host.ike().state, "IKE_SA_INIT");
}

// Row 54: certificates before the identity, of any number and size, and an identity of any size behind them. The order of payloads says
// nothing (RFC 7296 §2.5), and who is not known stays so.
#[test]
fn certificates_before_the_identity_make_nobody_of_it() {
    let papers = Papers2::new(Kind::P256);
    let judged = |change: &dyn Fn(&mut Vec<Payload>)| {
        let mut lab = papers.lab(|_, _| ());
        begin(&mut lab);
        assert!(lab.a.answer());
        let request = lab.a.take();
        let request = said_otherwise(&lab.b, &request, |_, payloads| change(payloads));
        lab.b.receive(&request);
        lab.settle();
        lab
    };
    let mut lab = judged(&|payloads| payloads.reverse());
    lab.settle();
    lab.assert_mirrored();
    assert_eq!(lab.b.children().len(), 1);
    let junk = |count: usize, len: usize| {
        let one = move || Payload::Cert(Cert { encoding: CertEncoding(4), data: vec![0x30; len] });
        (0..count).map(move |_| one())
    };
    for (count, cert, id) in [(0, 0, 40_000), (1, 10_000, 40_000), (16, 1000, 0), (40, 0, 255), (17, 500, 4000)] {
        for kind in [IdType::FQDN, IdType::RFC822_ADDR, IdType::DER_ASN1_DN, IdType::DER_ASN1_GN, IdType::KEY_ID] {
            let lab = judged(&|payloads| {
                payloads.retain(|payload| !matches!(payload, Payload::IdI(_)));
                let identity = Identity::parse(kind, &vec![0x30; id]).unwrap();
                payloads.insert(0, Payload::IdI(Id::new(identity)));
                payloads.splice(0..0, junk(count, cert));
            });
            assert!(lab.b.sas.is_empty() && lab.b.children().is_empty(), "{count} of {cert}, {kind:?} of {id}");
            assert!(matches!(lab.b.failures()[0].part, Part::Identity | Part::Certificate), "{:?}", lab.b.failures());
            assert!(lab.a.sas.is_empty() && lab.a.endpoint.ike_sas().is_empty());
        }
    }
}
