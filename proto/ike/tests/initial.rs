//! The initial exchanges, one message at a time.

mod common;

use std::time::Duration;

use common::*;
use ravelin_ike::explain::Part;
use ravelin_ike::{Command, Event};
use ravelin_types::Identity;
use ravelin_types::policy::Mode;
use ravelin_types::sa::Direction;

#[test]
fn two_round_trips_make_an_ike_sa_and_a_child_sa() {
    let mut lab = Lab::new();
    lab.a.command(Command::Initiate(POLICY));

    // HDR(A,0), SAi1, KEi, Ni -->
    assert_eq!(lab.a.next(), Some((SA_INIT, 0, false)));
    lab.a_to_b();
    assert_eq!(lab.b.ike().state, "IKE_SA_INIT");

    // <-- HDR(A,B), SAr1, KEr, Nr
    assert_eq!(lab.b.next(), Some((SA_INIT, 0, true)));
    lab.b_to_a();
    assert_eq!(lab.a.ike().state, "IKE_AUTH");

    // HDR(A,B), SK {IDi, IDr, AUTH, SAi2, TSi, TSr} -->
    assert_eq!(lab.a.next(), Some((AUTH, 1, false)));
    lab.a_to_b();
    assert_eq!(lab.b.ike().state, "ESTABLISHED");
    // The responder can receive before it answers.
    assert_eq!(lab.b.order, ["send", "in+", "out+", "send"]);

    // <-- HDR(A,B), SK {IDr, AUTH, SAr2, TSi, TSr}
    assert_eq!(lab.b.next(), Some((AUTH, 1, true)));
    lab.b_to_a();
    assert_eq!(lab.a.ike().state, "ESTABLISHED");
    assert_eq!(lab.a.sent.len() + lab.b.sent.len(), 0);

    lab.assert_mirrored();
    assert_eq!(lab.a.sas.len(), 2);
    let (here, there) = (lab.a.ike(), lab.b.ike());
    assert_eq!(here.spis, there.spis);
    assert_eq!(here.suite, there.suite);
    assert_eq!(here.nat, (false, false));
    assert_eq!(here.local, socket("192.0.2.1:500"));
    let id = |host: &str| Identity::Fqdn(format!("{host}.example.org"));
    assert_eq!(here.identities, Some((id(A), id(B))));
    assert_eq!(there.identities, Some((id(B), id(A))));
    let child = lab.a.child();
    let sa = lab.a.sa(Direction::Inbound, child.inbound);
    assert_eq!((sa.src, sa.dst, sa.encap), (ip(B), ip(A), None));
    assert_eq!(sa.replay_window, 64);
    assert!(matches!(lab.a.events[..], [Event::IkeUp { .. }, Event::ChildUp { .. }]), "{:?}", lab.a.events);
}

#[test]
fn transport_mode_by_agreement() {
    let mut lab = Lab::with(|a, b| {
        set_mode(a, Mode::Transport);
        set_mode(b, Mode::Transport);
    });
    lab.establish();
    assert_eq!(lab.a.child().mode, Mode::Transport);
    assert_eq!(lab.b.child().mode, Mode::Transport);
    lab.assert_mirrored();
}

#[test]
fn a_wrong_key_is_refused_and_both_sides_say_so() {
    let mut lab = Lab::with(|a, _| a.remotes[0].secret = (&b"another secret of some length"[..]).into());
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.a.failure(Part::Authentication);
    let there = lab.b.failure(Part::Authentication);
    assert!(there.to_string().contains("192.0.2.1.example.org"), "{there}");
    assert!(lab.a.endpoint.ike_sas().is_empty());
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    lab.b.sleep(Duration::from_secs(31));
    assert!(lab.b.endpoint.ike_sas().is_empty());
}
