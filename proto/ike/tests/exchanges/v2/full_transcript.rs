//! AUTH about both messages of IKE_SA_INIT (draft-ietf-ipsecme-ikev2-downgrade-prevention-08), and what somebody between the two
//! gets away with, and not.

use std::time::Duration;

use ravelin_ike::explain::{Means, Part};
use ravelin_ike::extensions::FullTranscript::{self, Allow, Never, Require};
use ravelin_ike::{Command, Config, Transmit};
use ravelin_types::transform::{Additional, KeMethod, Transform};
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{Chain, Message, NotifyType, Payload, emit};

use crate::lab::*;
use crate::v2::peer::{Peer, notifies};

const SAID: NotifyType = NotifyType::IKE_SA_INIT_FULL_TRANSCRIPT_AUTH;

fn lab(a: FullTranscript, b: FullTranscript) -> Lab {
    Lab::with(|config_a, config_b| {
        config_a.remotes[0].extensions.full_transcript = a;
        config_b.remotes[0].extensions.full_transcript = b;
    })
}

fn says(message: &Transmit) -> bool {
    notifies(&Message::parse(&message.data).unwrap().payloads).contains(&SAID)
}

/// Whether both sides, which have an IKE SA, proved both messages.
fn proven(lab: &Lab) -> bool {
    lab.assert_mirrored();
    let [a, b] = [&lab.a, &lab.b].map(|host| host.ike().full_transcript);
    assert_eq!(a, b);
    a
}

/// Each side says it whether or not the other does, and it takes both.
#[test]
fn both_messages_are_proven_where_both_sides_do_it() {
    for (a, b) in [(Allow, Allow), (Allow, Never), (Never, Allow), (Never, Never), (Require, Allow), (Allow, Require)] {
        let mut lab = lab(a, b);
        lab.a.command(Command::Initiate(POLICY));
        assert_eq!(says(&lab.a_to_b()), a != Never);
        // A cookie may come first.
        let mut answer = lab.b_to_a();
        while let Some((SA_INIT, ..)) = lab.a.next() {
            lab.a_to_b();
            answer = lab.b_to_a();
        }
        assert_eq!(says(&answer), b != Never);
        lab.settle();
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
        assert_eq!(proven(&lab), a != Never && b != Never, "{a:?}, {b:?}");
        // An IKE SA that takes its place is no worse.
        let before = lab.a.ike().full_transcript;
        lab.a.command(Command::RekeyIke("peer".into()));
        lab.settle();
        lab.sleep(Duration::from_secs(5));
        lab.settle();
        assert_eq!(proven(&lab), before);
    }
}

/// A peer that has nothing of the endpoint: eight octets of zero, what it received, what it sent.
#[test]
fn auth_covers_what_was_received_and_then_what_was_sent() {
    for full_transcript in [true, false] {
        // As initiator: it says it, and does it or not.
        let mut host = Host::new(config(B, A), 2);
        let mut peer = Peer::keyed(&mut host);
        peer.full_transcript = full_transcript;
        let payloads = peer.auth_request();
        let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
        assert_eq!(answer.iter().any(|payload| matches!(payload, Payload::TsI(_))), full_transcript);
        if let Some(Payload::IdR(id)) = answer.first() {
            assert!(answer.contains(&peer.auth_of(false, id)), "AUTH of the responder");
        }
        // As responder.
        assert_eq!(answered(Allow, |peer| peer.full_transcript = full_transcript), full_transcript);
    }
}

/// Whether an endpoint has an IKE SA with a responder that says the notify if the endpoint does, and makes its AUTH after this.
fn answered(when: FullTranscript, before_auth: impl FnOnce(&mut Peer)) -> bool {
    let mut config = config(B, A);
    config.remotes[0].extensions.full_transcript = when;
    let mut host = Host::new(config, 2);
    host.command(Command::Initiate(POLICY));
    let request = host.take();
    let mut peer = Peer::new(1);
    let answer = peer.answer_init(&request.data);
    peer.send(&mut host, &answer);
    let (id, _) = peer.asked(&mut host);
    before_auth(&mut peer);
    let payloads = peer.auth_answer();
    peer.answer(&mut host, ExchangeType::IKE_AUTH, id, &payloads);
    host.sas.len() == 2
}

/// The attack: somebody who has the key of the initiator showed the responder a request without its best offer. What the responder
/// proves by RFC 7296 alone is its own answer, and the initiator sees nothing wrong.
#[test]
fn an_initiator_sees_that_the_responder_had_another_request() {
    let other_request =
        |peer: &mut Peer| peer.init.0 = without(&peer.init.0, |payload| matches!(payload, Payload::Sa(_)));
    assert!(answered(Never, other_request));
    assert!(!answered(Allow, other_request));
    assert!(answered(Allow, |_| ()));
}

/// The message without some payloads.
fn without(message: &[u8], drop: impl Fn(&Payload) -> bool) -> Vec<u8> {
    let mut message = Message::parse(message).unwrap();
    let before = message.payloads.len();
    message.payloads.retain(|payload| !drop(payload));
    assert!(message.payloads.len() < before);
    emit(&message.header, &Chain::new(&message.payloads).unwrap())
}

fn is_it(payload: &Payload) -> bool {
    matches!(payload, Payload::Notify(notify) if notify.kind == SAID)
}

/// Whoever takes the notify out of one message or of both is found out by the AUTH of the initiator: each side proves what it
/// said, and that it said it.
#[test]
fn whoever_takes_the_notify_away_is_found_out() {
    for (request, answer) in [(true, false), (false, true), (true, true)] {
        let mut lab = Lab::new();
        lab.a.command(Command::Initiate(POLICY));
        for _ in 0..2 {
            while let Some((SA_INIT, ..)) = lab.a.next() {
                let mut message = lab.a.take();
                if request {
                    message.data = without(&message.data, is_it);
                }
                lab.b.receive(&message);
            }
            while let Some((SA_INIT, ..)) = lab.b.next() {
                let mut message = lab.b.take();
                if answer && says(&message) {
                    message.data = without(&message.data, is_it);
                }
                lab.a.receive(&message);
            }
        }
        assert_eq!(lab.a.next(), Some((AUTH, 1, false)));
        lab.settle();
        assert_eq!((lab.a.sas.len(), lab.b.sas.len()), (0, 0), "request {request}, answer {answer}");
        lab.a.failure(Part::NotBelieved(Means::SharedKey));
        lab.b.failure(Part::Authentication);
    }
}

/// Where it is required, a side that does not do it has no IKE SA, and whoever takes the notify away none either.
#[test]
fn where_it_is_required_there_is_no_ike_sa_without() {
    let mut responder = lab(Never, Require);
    responder.a.command(Command::Initiate(POLICY));
    responder.settle();
    assert!(responder.a.sas.is_empty() && responder.b.sas.is_empty());
    let failure = responder.b.failure(Part::Transcript);
    assert!(failure.theirs[0].contains("IKE_SA_INIT_FULL_TRANSCRIPT_AUTH"), "{failure}");
    responder.a.failure(Part::NotBelieved(Means::SharedKey));

    let mut initiator = lab(Require, Never);
    initiator.a.command(Command::Initiate(POLICY));
    initiator.settle();
    assert!(initiator.a.endpoint.ike_sas().is_empty(), "nothing is said of who we are");
    let failure = initiator.a.failure(Part::Transcript);
    assert_eq!(failure.exchange, "IKE_AUTH");
    assert!(failure.advice.contains("--full-transcript"), "{failure}");
    assert_eq!(initiator.b.failures(), []);
}

/// The last two messages count, with what INVALID_KE_PAYLOAD changed; as with a cookie (`under_load_a_cookie_comes_first`).
#[test]
fn the_messages_that_count_are_the_last_ones() {
    let mut lab = Lab::with(|a, b| {
        a.remotes[0].proposals[0].transforms.push(Transform::Ke(KeMethod::ECP256));
        b.remotes[0].proposals = vec![ike_proposal(KeMethod::ECP256)];
    });
    lab.establish();
    assert!(proven(&lab));
}

/// IntAuth comes behind all of it (RFC 9242 §3.3.2).
#[test]
fn ike_intermediate_is_proven_too() {
    let more = |config: &mut Config| {
        let additional = Transform::AddKe(Additional::new(1).unwrap(), KeMethod::ML_KEM_768);
        config.remotes[0].proposals[0].transforms.push(additional);
    };
    let mut lab = Lab::with(|a, b| {
        more(a);
        more(b);
    });
    lab.establish();
    assert!(proven(&lab));
    assert_eq!(lab.a.ike().additional, [KeMethod::ML_KEM_768]);
}

/// RFC 5723: nothing is negotiated when an IKE SA is resumed, so it does as the first one did; and by a ticket of one that did not,
/// nobody comes where it is required by now.
#[test]
fn a_resumed_ike_sa_does_as_the_first_one() {
    for when in [Allow, Never] {
        let mut lab = Lab::with(|a, b| {
            for config in [a, b] {
                config.remotes[0].extensions.resumption = true;
                config.remotes[0].extensions.full_transcript = when;
            }
        });
        lab.establish();
        lose(&mut lab);
        lab.a.command(Command::Initiate(POLICY));
        assert_eq!(lab.a.next(), Some((RESUME, 0, false)));
        assert!(!says(&lab.a_to_b()) && !says(&lab.b_to_a()));
        lab.settle();
        assert_eq!(proven(&lab), when == Allow);
        lose(&mut lab);
        lab.b.configure(|config| config.remotes[0].extensions.full_transcript = Require);
        lab.a.command(Command::Initiate(POLICY));
        assert_eq!(lab.a.next(), Some((RESUME, 0, false)));
        lab.a_to_b();
        let answer = lab.b_to_a();
        let refused = notifies(&Message::parse(&answer.data).unwrap().payloads).contains(&NotifyType::TICKET_NACK);
        assert_eq!(refused, when == Never);
    }
}

/// Nobody hears A any more, and A notices.
fn lose(lab: &mut Lab) {
    lab.a.command(Command::CheckLiveness("peer".into()));
    for _ in 0..80 {
        lab.a.sleep(Duration::from_secs(1));
        lab.b.now = lab.a.now;
        lab.a.sent.clear();
    }
    assert!(lab.a.endpoint.ike_sas().is_empty());
}
