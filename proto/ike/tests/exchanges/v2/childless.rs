//! RFC 6023: IKE SAs that begin without a Child SA.

use ravelin_ike::explain::Part;
use ravelin_ike::extensions::Childless;
use ravelin_ike::{Command, Event};
use ravelin_types::proposal::ProtocolId;
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{AnySpi, Message, Notify, NotifyType, Payload};

use crate::lab::*;
use crate::v2::peer::{Peer, name, notifies, notify};

const ALL: [Childless; 4] = [Childless::Never, Childless::Allow, Childless::Prefer, Childless::Force];

fn lab(a: Childless, b: Childless) -> Lab {
    Lab::with(|config_a, config_b| {
        config_a.remotes[0].extensions.childless = a;
        config_b.remotes[0].extensions.childless = b;
    })
}

// RFC 6023 §4: the protocol is 1, and there is no SPI.
fn announces(message: &ravelin_ike::Transmit) -> bool {
    let payloads = Message::parse(&message.data).unwrap().payloads;
    let announced = Notify::about(ProtocolId::IKE, AnySpi::None, NotifyType::CHILDLESS_IKEV2_SUPPORTED);
    payloads.contains(&Payload::Notify(announced))
}

#[test]
fn the_child_sa_comes_with_a_key_exchange_of_its_own() {
    for a in [Childless::Prefer, Childless::Force] {
        let mut lab = lab(a, Childless::Allow);
        lab.a.command(Command::Initiate(POLICY));
        assert!(!announces(&lab.a_to_b()), "it is the responder who says so");
        // The answer is longer than the request: a cookie comes first.
        lab.b_to_a();
        lab.a_to_b();
        assert!(announces(&lab.b_to_a()));
        // HDR, SK {IDi, AUTH} -->   <-- HDR, SK {IDr, AUTH}
        assert_eq!(lab.a.next(), Some((AUTH, 1, false)));
        lab.a_to_b();
        assert!(lab.b.sas.is_empty());
        lab.b_to_a();
        assert!(lab.a.events.iter().any(|event| matches!(event, Event::IkeUp { .. })));
        // HDR, SK {SA, Ni, TSi, TSr} -->
        assert_eq!(lab.a.next(), Some((CREATE_CHILD, 2, false)));
        lab.settle();
        lab.assert_mirrored();
        assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, 1));
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    }
}

#[test]
fn an_ike_sa_alone_is_made_where_both_permit_it() {
    for a in ALL {
        for b in ALL {
            let mut lab = lab(a, b);
            lab.a.command(Command::InitiateIke("peer".into()));
            lab.settle();
            let stands = a != Childless::Never && b != Childless::Never;
            assert_eq!(lab.a.endpoint.ike_sas().len(), usize::from(stands), "{a:?} {b:?}");
            assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
            if !stands {
                lab.a.failure(Part::Configuration);
                continue;
            }
            // It is one like any other: asked for again it is there, it is rekeyed, and gives a Child SA.
            lab.a.command(Command::InitiateIke("peer".into()));
            assert!(lab.a.sent.is_empty());
            lab.b.command(Command::RekeyIke("peer".into()));
            lab.settle();
            lab.b.command(Command::Initiate(POLICY));
            assert_eq!(lab.b.next(), Some((CREATE_CHILD, 0, false)));
            lab.settle();
            lab.assert_mirrored();
            assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, 1));
        }
    }
}

#[test]
fn what_is_forced_has_no_other_way() {
    for (a, b) in [(Childless::Force, Childless::Never), (Childless::Allow, Childless::Force)] {
        let mut lab = lab(a, b);
        lab.a.command(Command::Initiate(POLICY));
        lab.settle();
        assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
        assert_eq!(lab.a.failures().len() + lab.b.failures().len(), if a == Childless::Force { 1 } else { 2 });
        assert!(lab.a.endpoint.ike_sas().is_empty());
    }
    // What is preferred has one.
    let mut lab = lab(Childless::Prefer, Childless::Never);
    lab.establish();
    lab.assert_mirrored();
}

// RFC 6023 §3: as if there were no such extension; and half a Child SA is none.
#[test]
fn a_request_without_a_child_sa_is_refused_where_it_is_not_permitted() {
    let authenticate = |childless: Childless, left_out: &[&str]| {
        let mut config = config(B, A);
        config.remotes[0].extensions.childless = childless;
        let mut host = Host::new(config, 2);
        let mut peer = Peer::new(9);
        // Long enough that the answer needs no cookie before it.
        let mut payloads = peer.init_payloads();
        payloads.push(notify(NotifyType(40_000), &[0; 100]));
        let request = peer.init_message(&payloads);
        peer.send(&mut host, &request);
        let answer = host.take();
        peer.init_answered(&answer.data);
        let mut payloads = peer.auth_request();
        payloads.retain(|payload| !left_out.contains(&name(payload).as_str()));
        let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
        let up = host.events.iter().any(|event| matches!(event, Event::IkeUp { .. }));
        assert_eq!(up, !notifies(&answer).contains(&NotifyType::INVALID_SYNTAX));
        (up, answer)
    };
    let all = ["SA", "TSi", "TSr"];
    assert!(!authenticate(Childless::Never, &all).0);
    let (up, answer) = authenticate(Childless::Allow, &all);
    assert!(up);
    assert!(!answer.iter().any(|payload| matches!(payload, Payload::Sa(_) | Payload::TsI(_) | Payload::TsR(_))));
    // RFC 6023 §3: the answer to a request with a Child SA has one.
    let (up, answer) = authenticate(Childless::Allow, &[]);
    assert!(up && answer.iter().any(|payload| matches!(payload, Payload::Sa(_))));
    for half in [&["SA"][..], &["TSi"], &["TSi", "TSr"], &["SA", "TSr"]] {
        assert!(!authenticate(Childless::Allow, half).0, "{half:?}");
    }
}
