//! Errors that a peer reports of a quick mode, above all of the message that has no answer.

use ravelin_types::Spi;
use ravelin_types::dataplane::{DataPlaneEvent, Flow};

use super::*;
use crate::limits::{V1_DOUBTED, V1_PROOF, V1_REPEAT_AFTER, V1_RETIREMENT, V1_SWITCH};

const MALFORMED: NotifyType = NotifyType::PAYLOAD_MALFORMED;

/// Two with an ISAKMP SA, and Child SAs for each flow.
fn each_flow() -> (Side, Side) {
    let (mut a, mut b) = up();
    for (side, [own, peer]) in [(&mut a, ENDS), (&mut b, [ENDS[1], ENDS[0]])] {
        let mut policy = policy(own, peer);
        if let Action::Protect(protection) = &mut policy.policy.action {
            protection.pfp = Pfp::ALL;
        }
        let config = Config { remotes: vec![remote(own, peer)], policies: vec![policy], ..Config::default() };
        side.input(Input::Command(Command::Configure(Arc::new(config))), at(1000));
    }
    (a, b)
}

/// A packet of the flow from this port asks.
fn ask(a: &mut Side, port: u16) {
    let [src, dst] = ENDS.map(|end| end.parse().unwrap());
    let flow = Flow { src, dst, protocol: 17, src_port: Some(port), dst_port: Some(53) };
    a.input(Input::DataPlane(DataPlaneEvent::Acquire { policy: POLICY, flow, processor: None }), a.now);
}

/// What the one has sent goes to the other.
fn cross(from: &mut Side, to: &mut Side) {
    let now = to.now;
    deliver(core::mem::take(&mut from.sent), to, now);
}

/// A quick mode of A whose last message is lost: A has the Child SA, whose SPI it is, and B has not.
fn one_sided(a: &mut Side, b: &mut Side) -> Spi {
    cross(a, b);
    cross(b, a);
    // What A sends behind it is another quick mode.
    a.sent.remove(0);
    let up = |event: &Event| match event {
        Event::ChildUp { inbound, .. } | Event::ChildRekeyed { inbound, .. } => Some(*inbound),
        _ => None,
    };
    a.events.iter().rev().find_map(up).unwrap()
}

/// B says so, in an exchange of its own, as strongSwan does without an SPI.
fn complain(a: &mut Side, b: &mut Side, kind: NotifyType, spi: AnySpi) {
    let (doi, protocol) = (Doi::IPSEC, ProtocolId::IKE);
    b.say(|_| Payload::Notify(Notify { doi, protocol, spi, kind, data: Vec::new() }));
    cross(b, a);
}

/// So much later.
fn wait(a: &mut Side, time: Duration) {
    let then = a.now + time;
    a.input(Input::Timer, then);
}

/// All that is under way arrives.
fn arrive(a: &mut Side, b: &mut Side) {
    let now = a.now;
    settle(a, b, now);
}

/// What A tells the operator that failed.
fn told(side: &Side) -> Vec<(Part, &str, &str)> {
    let failures =
        side.events.iter().filter_map(|event| if let Event::Failed(failure) = event { Some(failure) } else { None });
    failures
        .map(|failure| (failure.part, &*failure.theirs[0], failure.ours.first().map_or("", |line| &**line)))
        .collect()
}

fn states(side: &Side) -> Vec<(Spi, &'static str)> {
    let children = side.endpoint.ike_sas().into_iter().flat_map(|sa| sa.children);
    children.map(|child| (child.inbound, child.state)).collect()
}

// strongSwan loses the IV of a quick mode to other exchanges, and then cannot read the last message.
#[test]
fn a_child_sa_that_the_peer_did_not_get_is_made_anew() {
    for by_spi in [false, true] {
        let (mut a, mut b) = up();
        a.input(Input::Command(Command::Initiate(POLICY)), at(1000));
        let lost = one_sided(&mut a, &mut b);
        assert_eq!((a.sas, states(&b)), (2, vec![]));
        complain(&mut a, &mut b, MALFORMED, if by_spi { lost.into() } else { AnySpi::None });
        wait(&mut a, V1_PROOF);
        let ours = alloc::format!("the SA in {lost}, which the peer may not have, is negotiated anew");
        assert_eq!(told(&a), [(Part::Refused, "PAYLOAD-MALFORMED to our last message", &*ours)]);
        arrive(&mut a, &mut b);
        // It sends at once: on the old one nothing arrives.
        assert_eq!((a.sas, states(&b).len()), (4, 1));
        assert!(states(&a).contains(&(lost, "REKEYED")));
        wait(&mut a, V1_SWITCH + V1_RETIREMENT);
        arrive(&mut a, &mut b);
        assert_eq!((a.sas, states(&a)[0].1), (2, "INSTALLED"));
        assert_eq!(told(&a).len(), 1);
    }
}

// Of a copy of what it has read strongSwan says the same.
#[test]
fn a_packet_proves_that_the_peer_has_it() {
    let (mut a, mut b) = up();
    a.input(Input::Command(Command::Initiate(POLICY)), at(1000));
    settle(&mut a, &mut b, at(1000));
    complain(&mut a, &mut b, MALFORMED, AnySpi::None);
    let (inbound, _) = states(&a)[0];
    a.input(Input::Command(Command::Alive(inbound)), at(1001));
    wait(&mut a, V1_PROOF);
    assert_eq!((told(&a), a.sas, a.sent.len()), (vec![], 2, 0));
}

#[test]
fn what_the_peer_refuses_for_ever_comes_to_an_end() {
    let (mut a, mut b) = up();
    a.input(Input::Command(Command::Initiate(POLICY)), at(1000));
    one_sided(&mut a, &mut b);
    complain(&mut a, &mut b, MALFORMED, AnySpi::None);
    wait(&mut a, V1_PROOF);
    let second = one_sided(&mut a, &mut b);
    complain(&mut a, &mut b, MALFORMED, AnySpi::None);
    wait(&mut a, V1_PROOF);
    let ours = alloc::format!("the SA in {second}, which the peer may not have, is deleted");
    assert_eq!((told(&a).len(), told(&a)[1]), (2, (Part::Refused, "PAYLOAD-MALFORMED to our last message", &*ours)));
    assert_eq!((a.sas, states(&a)), (0, vec![]), "no side has one");
    // Nothing is asked for any more, whatever B says, and what a packet asks for comes up.
    for _ in 0..100 {
        complain(&mut a, &mut b, MALFORMED, AnySpi::None);
    }
    wait(&mut a, V1_PROOF);
    assert_eq!(told(&a).len(), 2);
    let now = a.now;
    a.input(Input::Command(Command::Initiate(POLICY)), now);
    arrive(&mut a, &mut b);
    assert_eq!((a.sas, states(&a).len()), (2, 1));
}

#[test]
fn an_error_about_nothing_in_particular_is_about_what_ended_last() {
    let (mut a, mut b) = each_flow();
    (1..=4).for_each(|port| ask(&mut a, port));
    let mut next = || {
        a.now = a.now + Duration::from_millis(1);
        one_sided(&mut a, &mut b)
    };
    let ended = [next(), next(), next()];
    // What is asked for meanwhile goes on.
    assert_eq!(a.sent.len(), 1);
    complain(&mut a, &mut b, MALFORMED, AnySpi::None);
    arrive(&mut a, &mut b);
    assert_eq!((told(&a), states(&b).len()), (vec![], 1));
    wait(&mut a, V1_PROOF);
    assert_eq!(told(&a).len(), V1_DOUBTED);
    assert!(told(&a).iter().all(|(.., ours)| ended[1..].iter().any(|spi| ours.contains(&alloc::format!("{spi}")))));
    arrive(&mut a, &mut b);
    assert_eq!(states(&b).len(), 1 + V1_DOUBTED);
    assert_eq!(states(&a).iter().filter(|(_, state)| *state == "REKEYED").count(), V1_DOUBTED);
}

#[test]
fn what_is_said_of_an_offer_is_about_the_offer() {
    let (mut a, mut b) = each_flow();
    (1..=2).for_each(|port| ask(&mut a, port));
    let ended = one_sided(&mut a, &mut b);
    complain(&mut a, &mut b, NotifyType::NO_PROPOSAL_CHOSEN, AnySpi::None);
    wait(&mut a, V1_PROOF);
    assert_eq!(told(&a).iter().map(|(part, ..)| *part).collect::<Vec<_>>(), [Part::ChildProposal]);
    // With nothing else under way, it is about that.
    complain(&mut a, &mut b, NotifyType::NO_PROPOSAL_CHOSEN, AnySpi::None);
    wait(&mut a, V1_PROOF);
    assert!(told(&a)[1].2.contains(&alloc::format!("{ended}")));
}

// The peer is there, so the ISAKMP SA is; what it does not answer is given up sooner than where it says nothing.
#[test]
fn what_the_peer_cannot_read_is_given_up_when_it_stays_without_an_answer() {
    let (mut a, mut b) = up();
    a.input(Input::Command(Command::Initiate(POLICY)), at(1000));
    complain(&mut a, &mut b, MALFORMED, AnySpi::None);
    assert_eq!((told(&a), a.sent.len()), (vec![], 1));
    (0..30).for_each(|_| wait(&mut a, Duration::from_secs(1)));
    assert_eq!(
        told(&a).iter().map(|(part, theirs, _)| (*part, *theirs)).collect::<Vec<_>>(),
        [(Part::Refused, "PAYLOAD-MALFORMED")]
    );
    assert_eq!((a.sent.len(), a.endpoint.ike_sas().len()), (3, 1), "sent three times");
}

// A slow peer says its second message again before it comes to our third.
#[test]
fn the_third_message_is_repeated_for_one_that_may_have_lost_it() {
    let (mut a, mut b) = up();
    a.input(Input::Command(Command::Initiate(POLICY)), at(1000));
    cross(&mut a, &mut b);
    let second = b.sent.remove(0);
    for (after, answers) in
        [(Duration::ZERO, 1), (V1_REPEAT_AFTER / 3, 0), (V1_REPEAT_AFTER / 3, 0), (V1_REPEAT_AFTER, 1)]
    {
        let now = a.now + after;
        deliver(vec![second.clone()], &mut a, now);
        assert_eq!(core::mem::take(&mut a.sent).len(), answers);
    }
}

// RFC 2409 §5.7: whoever has no keys says nothing that counts.
#[test]
fn an_error_without_a_hash_over_it_is_none() {
    let (mut a, mut b) = up();
    a.input(Input::Command(Command::Initiate(POLICY)), at(1000));
    one_sided(&mut a, &mut b);
    let notify =
        || Notify { doi: Doi::IPSEC, protocol: ProtocolId::IKE, spi: AnySpi::None, kind: MALFORMED, data: Vec::new() };
    b.say_bare(ExchangeType::INFORMATIONAL_V1, |_| vec![Payload::Notify(notify())]);
    b.say(|_| Payload::Notify(notify()));
    *b.sent[1].data.last_mut().unwrap() ^= 1;
    cross(&mut b, &mut a);
    wait(&mut a, V1_PROOF);
    assert_eq!((told(&a), a.sas, a.sent.len()), (vec![], 2, 0));
}

// An SA that nothing takes the place of, and that the peer may not have, is no good.
#[test]
fn what_cannot_be_made_anew_is_deleted() {
    let (mut a, mut b) = up();
    a.input(Input::Command(Command::Initiate(POLICY)), at(1000));
    let lost = one_sided(&mut a, &mut b);
    complain(&mut a, &mut b, MALFORMED, AnySpi::None);
    wait(&mut a, V1_PROOF);
    complain(&mut a, &mut b, NotifyType::NO_PROPOSAL_CHOSEN, AnySpi::None);
    wait(&mut a, Duration::ZERO);
    assert_eq!((a.sas, states(&a)), (0, vec![]));
    assert!(a.events.iter().any(|event| matches!(event, Event::ChildDown { inbound, .. } if *inbound == lost)));
}
