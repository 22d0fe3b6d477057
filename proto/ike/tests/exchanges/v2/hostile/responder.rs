//! A responder that breaks the protocol while the endpoint is waiting for IKE_AUTH.

use std::time::Duration;

use ravelin_ike::Command;
use ravelin_ike::explain::Part;
use ravelin_types::sa::Direction::{Inbound, Outbound};
use ravelin_types::transform::{EncrId, KeMethod, Transform};
use ravelin_types::{Identity, Secret, Spi};
use ravelin_wire::ike::header::{ExchangeType, PayloadType};
use ravelin_wire::ike::v2::{AnySpi, AuthMethod, Chain, Delete, Fragment, Ke, Message, NotifyType, Payload, emit};

use super::{child_payloads, every_request, is_down, state, up};
use crate::lab::*;
use crate::v2::peer::{self, FIRST, Peer, deleted, notifies};

/// The endpoint has sent its IKE_AUTH request, which was taken.
fn asked() -> (Host, Peer) {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = Peer::new(9);
    host.command(Command::Initiate(POLICY));
    let request = host.take();
    let answer = peer.answer_init(&request.data);
    peer.send(&mut host, &answer);
    let (id, _) = peer.asked(&mut host);
    assert_eq!((id, host.ike().state), (1, "IKE_AUTH"));
    (host, peer)
}

/// The IKE SA is gone, and the responder was told why in a request of its own (RFC 7296 §2.21.2).
fn assert_refused(host: &mut Host, peer: &Peer, told: NotifyType) {
    assert!(is_down(host));
    let (id, asked) = peer.asked(host);
    assert_eq!((id, notifies(&asked)), (2, vec![told]));
    assert!(host.sent.is_empty());
}

// RFC 7296 §2.21.1: an answer that makes no sense ends nothing, and the operator hears what there was in place of an answer.
#[test]
fn an_answer_to_ike_sa_init_that_makes_no_sense_is_told_of_and_waited_out() {
    let weak = Transform::Encr(EncrId::AES_GCM_16, Some(256));
    let other = |index: usize, transform| {
        let mut proposal = ike_proposal(KeMethod::CURVE25519);
        proposal.transforms[index] = transform;
        peer::sa(vec![proposal], AnySpi::None)
    };
    type Change<'a> = &'a dyn Fn(&mut Vec<Payload>);
    let changes: [(&str, Change<'_>); 6] = [
        ("no KE", &|payloads| drop(payloads.remove(1))),
        ("two KE", &|payloads| payloads.push(payloads[1].clone())),
        ("another cipher", &|payloads| payloads[0] = other(0, weak)),
        ("no length of the key", &|payloads| payloads[0] = other(0, Transform::Encr(EncrId::AES_GCM_16, None))),
        ("a short value", &|payloads| payloads[1] = Payload::Ke(Ke { method: KeMethod::CURVE25519, data: vec![0] })),
        ("not readable", &|payloads| {
            payloads.push(Payload::Unknown { kind: PayloadType::TSI, critical: false, body: vec![] })
        }),
    ];
    for (what, change) in changes {
        let (mut host, mut peer) = (Host::new(config(B, A), 2), Peer::new(9));
        host.command(Command::Initiate(POLICY));
        let request = host.take();
        let answer = peer.answer_init(&request.data);
        let Message { header, mut payloads, .. } = Message::parse(&answer).unwrap();
        change(&mut payloads);
        let wrong = emit(&header, &Chain::new(&payloads).unwrap());
        for _ in 0..3 {
            peer.send(&mut host, &wrong);
        }
        assert_eq!((host.sent.len(), host.ike().state), (0, "IKE_SA_INIT"), "{what}");
        assert_eq!(host.failures().len(), 1, "{what}");
        assert_ne!(host.failures()[0].part, Part::NoAnswer);
        // Who joins those that wait hears of it, too.
        for command in [Command::Initiate(POLICY), Command::InitiateIke("peer".into())] {
            let before = host.failures().len();
            host.command(command);
            assert_eq!(host.failures().len(), before, "{what}");
            peer.send(&mut host, &wrong);
            assert_eq!(host.failures().len(), before + 1, "{what}");
        }
        // The true answer is still welcome.
        peer.send(&mut host, &answer);
        assert_eq!(host.ike().state, "IKE_AUTH", "{what}");
        (0..120).for_each(|_| host.sleep(Duration::from_secs(1)));
        assert!(is_down(&host), "{what}");
    }
}

// Row 26: the keys are there, the peer is not authenticated: no request of it is heard.
#[test]
fn nothing_is_heard_from_a_responder_before_ike_auth() {
    let (mut host, mut peer) = asked();
    let before = state(&host);
    let requests = every_request(&mut peer);
    for exchange in (0..=255).map(ExchangeType) {
        for id in [0, 1, 2] {
            for response in [false, true] {
                // The answer to our request, which one of another exchange would end: `hostile::initial`.
                if response && id == 1 {
                    continue;
                }
                for payloads in &requests {
                    let message = peer.seal(exchange, response, id, payloads);
                    peer.send(&mut host, &message);
                }
            }
        }
    }
    let message = peer.seal(ExchangeType::INFORMATIONAL, false, 0, &[Payload::Delete(Delete::Ike)]);
    peer.send(&mut host, &message);
    assert!(host.sent.is_empty());
    assert_eq!(state(&host), before);
    let payloads = peer.auth_answer();
    peer.answer(&mut host, ExchangeType::IKE_AUTH, 1, &payloads);
    assert_eq!(host.ike().state, "ESTABLISHED");
}

// Rows 21, 31: each payload of the answer missing, and each there twice.
#[test]
fn the_answer_of_ike_auth_needs_each_payload_once() {
    for index in 0..5 {
        for twice in [false, true] {
            let (mut host, mut peer) = asked();
            let mut payloads = peer.auth_answer();
            if twice {
                payloads.push(payloads[index].clone())
            } else {
                drop(payloads.remove(index))
            }
            peer.answer(&mut host, ExchangeType::IKE_AUTH, 1, &payloads);
            assert!(host.sas.is_empty(), "{index} {twice}");
            assert_eq!(host.failures().len(), 1);
            if twice || index < 2 {
                assert_refused(&mut host, &peer, NotifyType::INVALID_SYNTAX);
            } else {
                // RFC 7296 §2.21.2: authenticated all the same, so the IKE SA stands without the Child SA.
                assert_eq!(host.ike().state, "ESTABLISHED");
            }
        }
    }
}

// Row 59 and the like: who does not prove that it is the right one is nobody.
#[test]
fn a_responder_that_does_not_prove_who_it_is() {
    let wrong: [fn(&mut Peer) -> Vec<Payload>; 5] = [
        |peer| {
            peer.secret = Secret::from(&b"another secret that is long enough"[..]);
            peer.auth_answer()
        },
        |peer| {
            peer.secret = Secret::from(&b""[..]);
            peer.auth_answer()
        },
        |peer| {
            peer.id = Identity::Fqdn("somebody.example.org".into());
            peer.auth_answer()
        },
        |peer| with_auth(peer, AuthMethod::NULL, None),
        |peer| with_auth(peer, AuthMethod::SHARED_KEY, Some(vec![])),
    ];
    for payloads in wrong {
        let (mut host, mut peer) = asked();
        let payloads = payloads(&mut peer);
        peer.answer(&mut host, ExchangeType::IKE_AUTH, 1, &payloads);
        assert_refused(&mut host, &peer, NotifyType::AUTHENTICATION_FAILED);
        let failure = &host.failures()[0];
        assert!(matches!(failure.part, Part::Authentication | Part::Method | Part::Identity), "{failure}");
        assert!(!failure.theirs.is_empty() && !failure.ours.is_empty(), "{failure}");
    }
}

fn with_auth(peer: &Peer, method: AuthMethod, data: Option<Vec<u8>>) -> Vec<Payload> {
    let mut payloads = peer.auth_answer();
    if let Payload::Auth(auth) = &mut payloads[1] {
        auth.method = method;
        auth.data = data.unwrap_or_else(|| auth.data.clone());
    }
    payloads
}

// A reflection: the endpoint's own AUTH and identity sent back to it.
#[test]
fn an_endpoint_does_not_authenticate_itself() {
    let mut host = Host::new(config(B, A), 2);
    // Even where both ends have one identity.
    host.configure(|config| config.remotes[0].remote_id = config.remotes[0].local_id.clone());
    let mut peer = Peer::new(9);
    host.command(Command::Initiate(POLICY));
    let request = host.take();
    let answer = peer.answer_init(&request.data);
    peer.send(&mut host, &answer);
    let (_, asked) = peer.asked(&mut host);
    let back = asked.iter().filter_map(|payload| match payload {
        Payload::IdI(id) => Some(Payload::IdR(id.clone())),
        Payload::Auth(auth) => Some(Payload::Auth(auth.clone())),
        _ => None,
    });
    let mut payloads: Vec<Payload> = back.collect();
    payloads.extend(child_payloads(FIRST));
    peer.answer(&mut host, ExchangeType::IKE_AUTH, 1, &payloads);
    assert_refused(&mut host, &peer, NotifyType::AUTHENTICATION_FAILED);
}

// The Child SA that the responder chose is not the one that was offered; it must go, the IKE SA stands.
#[test]
fn a_child_sa_that_was_not_offered_is_deleted() {
    let mut strong = peer::answered_esp();
    strong.transforms[0] = Transform::Encr(EncrId::AES_GCM_16, Some(256));
    // Ours and its own side, for another host than was asked for.
    let [other_i, _] = peer::ts("192.0.2.77", A);
    let [_, other_r] = peer::ts(B, "192.0.2.77");
    for (index, payload) in [
        (2, peer::sa_of(strong, FIRST.into())),
        (2, peer::sa_of(peer::answered_esp(), Spi(1).into())),
        (3, other_i),
        (4, other_r),
    ] {
        let (mut host, mut peer) = asked();
        let mut payloads = peer.auth_answer();
        payloads[index] = payload;
        peer.answer(&mut host, ExchangeType::IKE_AUTH, 1, &payloads);
        assert_eq!(host.ike().state, "ESTABLISHED");
        assert!(host.sas.is_empty());
        // HDR, SK {D(ESP, SPIi)} -->
        let (id, asked) = peer.asked(&mut host);
        assert_eq!((id, deleted(&asked).len()), (2, 1));
    }
}

// RFC 7296 §3.10.1: an error that nobody knows fails the request; a status that nobody knows is ignored.
#[test]
fn an_answer_of_one_error_is_the_end_and_of_one_beside_auth_is_not() {
    for kind in [NotifyType::AUTHENTICATION_FAILED, NotifyType::NO_PROPOSAL_CHOSEN, NotifyType(8000)] {
        let (mut host, mut peer) = asked();
        peer.answer(&mut host, ExchangeType::IKE_AUTH, 1, &[peer::notify(kind, &[])]);
        assert!(is_down(&host) && host.sent.is_empty(), "{kind}");
        assert_eq!(host.failures().len(), 1);

        let (mut host, mut peer) = asked();
        let mut payloads = peer.auth_answer();
        payloads.truncate(2);
        payloads.push(peer::notify(kind, &[]));
        peer.answer(&mut host, ExchangeType::IKE_AUTH, 1, &payloads);
        assert_eq!(host.ike().state, "ESTABLISHED", "{kind}");
        assert!(host.sas.is_empty() && host.sent.is_empty());
        assert_eq!(host.failures().len(), 1);
    }
}

// Row 53: what comes with a refusal reaches logs and terminals only in printable characters.
#[test]
fn reports_of_refusals_hold_no_control_characters() {
    for data in [&b"\x1b[2J\x1b]0;owned\x07"[..], b"a\nIKE SA up\r\n", b"$(reboot)\0`id`%n%s", &[0xff; 40]] {
        for kind in [NotifyType::AUTHENTICATION_FAILED, NotifyType::INVALID_KE_PAYLOAD, NotifyType(8000)] {
            let (mut host, mut peer) = asked();
            peer.answer(&mut host, ExchangeType::IKE_AUTH, 1, &[peer::notify(kind, data)]);
            let report = host.failures()[0].to_string();
            assert!(report.chars().all(|c| !c.is_control()), "{report:?}");
        }
        let (mut host, mut peer) = up();
        host.command(Command::RekeyChild(POLICY));
        let (id, _) = peer.asked(&mut host);
        let refusal = [peer::notify(NotifyType::NO_PROPOSAL_CHOSEN, data)];
        peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &refusal);
        assert!(host.failures()[0].to_string().chars().all(|c| !c.is_control()));
    }
}

// Row 6: a remote without a secret authenticates nobody, and nobody is authenticated by an empty one.
#[test]
fn an_empty_secret_is_none() {
    let mut host = Host::new(config(B, A), 2);
    host.configure(|config| share(&mut config.remotes[0], b""));
    let mut peer = Peer::keyed(&mut host);
    peer.secret = Secret::from(&b""[..]);
    let payloads = peer.auth_request();
    let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
    assert_eq!(notifies(&answer), [NotifyType::AUTHENTICATION_FAILED]);
    assert!(host.sas.is_empty());

    let mut host = Host::new(config(B, A), 2);
    host.configure(|config| share(&mut config.remotes[0], b""));
    let mut peer = Peer::new(9);
    peer.secret = Secret::from(&b""[..]);
    host.command(Command::Initiate(POLICY));
    if let Some(request) = host.sent.pop_front() {
        let answer = peer.answer_init(&request.data);
        peer.send(&mut host, &answer);
        let payloads = peer.auth_answer();
        peer.answer(&mut host, ExchangeType::IKE_AUTH, 1, &payloads);
    }
    assert!(host.sas.is_empty());
    assert!(host.endpoint.ike_sas().iter().all(|sa| sa.state != "ESTABLISHED"));
}

// Row 14: every other exchange in an established IKE SA is answered, and is the end of it (RFC 7296 §2.21.3).
#[test]
fn no_other_exchange_has_a_place_in_an_established_ike_sa() {
    for exchange in (0..=255).map(ExchangeType) {
        if [ExchangeType::CREATE_CHILD_SA, ExchangeType::INFORMATIONAL].contains(&exchange) {
            continue;
        }
        let (mut host, mut peer) = up();
        let answer = peer.ask(&mut host, exchange, &child_payloads(Spi(0x0abc_0002)));
        assert_eq!(notifies(&answer), [NotifyType::INVALID_SYNTAX], "{exchange}");
        assert!(is_down(&host));
    }
}

// Rows 1, 44, 72: fragments were not agreed on, so none is taken, whatever its numbers and however well it is sealed.
#[test]
fn fragments_that_were_not_agreed_on_are_dropped() {
    let (mut host, mut peer) = up();
    let before = state(&host);
    for (number, total) in [(1, 1), (1, 2), (2, 2), (1, 65535), (65535, 65535)] {
        let fragment = Fragment::new(number, total).unwrap();
        let message = peer.seal_fragment(ExchangeType::INFORMATIONAL, fragment, &[peer::delete(&[FIRST])]);
        peer.send(&mut host, &message);
        // Numbers that the codec does not let through.
        for (at, value) in [(32, 0), (33, 0), (34, 0), (35, 0), (32, 255)] {
            let mut wrong = message.clone();
            wrong[at] = value;
            peer.send(&mut host, &wrong);
        }
    }
    assert!(host.sent.is_empty());
    assert_eq!(state(&host), before);
    assert!(host.has(Inbound, host.child().inbound) && host.has(Outbound, FIRST));
    assert_eq!(peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[]), []);
}
