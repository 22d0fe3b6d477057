//! A remote with several addresses: which one is tried, and when the first one has its turn again (S-223, S-121). Host B
//! stands for all of them; those that are down answer nothing.

use std::net::IpAddr;
use std::time::Duration;

use ravelin_ike::config::{Config, Gateway, Liveness, Reach};
use ravelin_ike::explain::Part;
use ravelin_ike::{Command, Event};
use ravelin_types::dataplane::{DataPlaneEvent, Flow};
use ravelin_types::policy::Mode;
use ravelin_types::sa::Direction;

use crate::lab::*;

const FIRST: &str = "198.51.100.1";
const SECOND: &str = "198.51.100.2";
const SIX: &str = "2001:db8::2";

/// Makes the configurations those of a version.
pub type Version = fn(&mut Config);

pub fn versions() -> Vec<(u8, Version)> {
    let mut all: Vec<(u8, Version)> = Vec::new();
    if cfg!(feature = "ikev2") {
        all.push((2, |_| ()));
    }
    #[cfg(feature = "ikev1")]
    all.push((1, |config| crate::v1::v1(config, false)));
    all
}

/// A reaches B at `addresses`, in this order, and asks whether it lives after 20 s.
fn lab(version: Version, addresses: &[&str]) -> Lab {
    Lab::with(|a, b| {
        version(a);
        version(b);
        b.remotes[0].local = None;
        let remote = &mut a.remotes[0];
        remote.local = None;
        remote.remote = ip(addresses[0]);
        let others = addresses[1..].iter().map(|other| Reach::At(Gateway { address: ip(other), source: own(other) }));
        remote.open.alternates = others.collect();
        remote.source = own(addresses[0]);
        remote.liveness = Liveness::Regular(Duration::from_secs(20));
        // One remote and one policy for a peer that comes from an address of either family.
        b.remotes[0].open.alternates = vec![Reach::At(Gateway { address: ip("2001:db8::1"), source: None })];
    })
}

/// From which address of A another is reached.
fn own(address: &str) -> Option<IpAddr> {
    Some(ip(if address.contains(':') { "2001:db8::1" } else { A }))
}

/// Lets time pass second by second, while what goes to or comes from these addresses is lost.
fn run(lab: &mut Lab, seconds: u64, down: &[&str]) {
    for _ in 0..seconds {
        deliver(lab, down);
        lab.sleep(Duration::from_secs(1));
    }
}

/// Lets messages arrive until there are none, but those to or from these addresses.
pub fn deliver(lab: &mut Lab, down: &[&str]) {
    let lost = |address: IpAddr| down.iter().any(|other| ip(other) == address);
    for _ in 0..100 {
        if let Some(message) = lab.a.sent.pop_front() {
            if !lost(message.remote.ip()) {
                lab.b.receive(&message);
            }
        } else if let Some(message) = lab.b.sent.pop_front() {
            if !lost(message.local.ip()) {
                lab.a.receive(&message);
            }
        } else {
            break;
        }
    }
}

pub fn tried(lab: &Lab) -> Vec<(IpAddr, IpAddr)> {
    let of = |event: &Event| match event {
        Event::GatewaySilent { silent, next: Reach::At(next), .. } => Some((*silent, next.address)),
        _ => None,
    };
    lab.a.events.iter().filter_map(of).collect()
}

#[test]
fn the_next_gateway_is_tried_when_one_does_not_answer() {
    for (number, version) in versions() {
        let mut lab = lab(version, &[FIRST, SECOND, B]);
        lab.a.command(Command::Initiate(POLICY));
        run(&mut lab, 200, &[FIRST, SECOND]);
        assert_eq!(tried(&lab), [(ip(FIRST), ip(SECOND)), (ip(SECOND), ip(B))]);
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]), "what works in the end is no failure");
        assert_eq!((lab.a.ike().peer.ip(), lab.a.ike().version), (ip(B), number));
        let child = lab.a.child();
        assert_eq!(lab.a.sa(Direction::Outbound, child.outbound).dst, ip(B));
        lab.assert_mirrored();
    }
}

#[test]
fn a_remote_of_which_no_gateway_answers_has_failed_once() {
    for (_, version) in versions() {
        let mut lab = lab(version, &[FIRST, SECOND]);
        lab.a.command(Command::Initiate(POLICY));
        run(&mut lab, 300, &[FIRST, SECOND]);
        assert_eq!(lab.a.failure(Part::NoAnswer).address, ip(SECOND));
        assert!(lab.a.endpoint.ike_sas().is_empty());
    }
}

#[test]
fn the_first_gateway_has_its_turn_again_after_a_while() {
    for (_, version) in versions() {
        let mut lab = lab(version, &[FIRST, B]);
        lab.a.command(Command::Initiate(POLICY));
        run(&mut lab, 100, &[FIRST]);
        assert_eq!(lab.a.ike().peer.ip(), ip(B));
        for (pause, expected) in [(5, B), (300, FIRST)] {
            lab.a.command(Command::TerminateIke(None));
            run(&mut lab, pause, &[]);
            lab.a.command(Command::Initiate(POLICY));
            run(&mut lab, 3, &[]);
            assert_eq!(lab.a.ike().peer.ip(), ip(expected), "after {pause} s");
        }
    }
}

#[test]
fn what_is_wanted_goes_to_the_next_gateway_when_one_dies() {
    for (_, version) in versions() {
        let mut lab = lab(version, &[FIRST, B]);
        lab.a.command(Command::Initiate(POLICY));
        run(&mut lab, 3, &[]);
        assert_eq!(lab.a.ike().peer.ip(), ip(FIRST));
        // It goes, and somebody asks for its Child SA anew.
        lab.a.command(Command::TerminateChild(Some(POLICY)));
        run(&mut lab, 3, &[]);
        lab.a.command(Command::Initiate(POLICY));
        run(&mut lab, 200, &[FIRST]);
        assert_eq!((lab.a.ike().peer.ip(), lab.a.children().len()), (ip(B), 1));
        // And the other way round, though the first is still passed over: the second is the only one that answers.
        lab.a.command(Command::TerminateChild(Some(POLICY)));
        run(&mut lab, 3, &[]);
        lab.a.command(Command::Initiate(POLICY));
        run(&mut lab, 400, &[B]);
        assert_eq!((lab.a.ike().peer.ip(), lab.a.children().len()), (ip(FIRST), 1));
    }
}

// One remote and one policy for a peer with an address of each family.
#[test]
fn a_peer_of_both_families_is_reached_over_the_one_that_works() {
    for (_, version) in versions() {
        let mut lab = lab(version, &[B, SIX]);
        lab.a.command(Command::Initiate(POLICY));
        run(&mut lab, 100, &[B]);
        assert_eq!((lab.a.ike().peer.ip(), lab.a.ike().local.ip()), (ip(SIX), ip("2001:db8::1")));
        let (child, sa) = (lab.a.child(), |lab: &Lab, spi| lab.a.sa(Direction::Outbound, spi).dst);
        assert_eq!(sa(&lab, child.outbound), ip(SIX));
        lab.assert_mirrored();
    }
}

// In transport mode the addresses of the IKE SA are those of the packets (RFC 4301 §4.1).
#[test]
fn in_transport_mode_the_address_of_the_packet_is_the_one() {
    for (_, version) in versions() {
        let mut lab = lab(version, &[FIRST, B]);
        for host in [&mut lab.a, &mut lab.b] {
            host.configure(|config| set_mode(config, Mode::Transport));
        }
        let flow = Flow { src: ip(A), dst: ip(B), protocol: 17, src_port: Some(5000), dst_port: Some(53) };
        lab.a.event(DataPlaneEvent::Acquire { policy: POLICY, flow, processor: None });
        run(&mut lab, 3, &[]);
        assert_eq!(tried(&lab), []);
        assert_eq!((lab.a.ike().peer.ip(), lab.a.child().mode), (ip(B), Mode::Transport));
    }
}

// When its IKE SA would be rekeyed, what went to another gateway comes back to the first one, and goes on meanwhile.
#[test]
#[cfg(feature = "ikev2")]
fn an_ike_sa_with_another_gateway_comes_back_when_it_is_old() {
    let mut lab = lab(|_| (), &[FIRST, B]);
    lab.a.configure(|config| config.remotes[0].lifetime = Duration::from_secs(600));
    lab.a.command(Command::Initiate(POLICY));
    run(&mut lab, 100, &[FIRST]);
    assert_eq!(lab.a.ike().peer.ip(), ip(B));
    // The first is down still: another IKE SA with the second is as good as a rekeyed one.
    run(&mut lab, 650, &[FIRST]);
    assert_eq!((lab.a.ike().peer.ip(), lab.a.children().len()), (ip(B), 1));
    run(&mut lab, 650, &[]);
    assert_eq!((lab.a.ike().peer.ip(), lab.a.children().len()), (ip(FIRST), 1));
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    let down = lab.a.events.iter().filter(|event| matches!(event, Event::IkeDown { .. })).count();
    assert_eq!(down, 2, "{:#?}", lab.a.events);
    lab.assert_mirrored();
}
