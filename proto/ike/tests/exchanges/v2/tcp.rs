//! IKE and ESP in TCP (RFC 9329): A, at 192.0.2.1, opens connections to B, at 192.0.2.2, which listens on port 4500.

use std::net::SocketAddr;
use std::time::Duration;

use ravelin_ike::explain::Part;
use ravelin_ike::{Command, Event, HostAddresses, Input, Outcome, StreamOp, Tcp};
use ravelin_types::sa::Direction::{Inbound, Outbound};
use ravelin_types::sa::Encap;
use ravelin_types::{Carrier, Way};
use ravelin_wire::ike::v2::{Message, NotifyType, Payload};

use crate::lab::*;

const SECOND: Duration = Duration::from_secs(1);

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn lab(at_once: bool) -> Lab {
    Lab::with(|a, _| a.remotes[0].extensions.tcp = Some(Tcp { port: 4500, at_once }))
}

/// A asks for a connection, and gets one from this port.
fn open(lab: &mut Lab, port: u16) -> Way {
    open_from(lab, A, port)
}

fn open_from(lab: &mut Lab, address: &str, port: u16) -> Way {
    let (op, what) = lab.a.streams.pop_front().expect("a connection is asked for");
    assert_eq!(what, StreamOp::Open { local: ip(address), remote: socket("192.0.2.2:4500") });
    let local = SocketAddr::new(ip(address), port);
    lab.a.input(Input::Done(op, Outcome::Opened(Ok(local))));
    Way::tcp(local, socket("192.0.2.2:4500"))
}

fn back(way: Way) -> Way {
    Way::tcp(way.remote, way.local)
}

/// An IKE SA with a Child SA in TCP.
fn up() -> (Lab, Way) {
    let mut lab = lab(true);
    lab.a.command(Command::Initiate(POLICY));
    let way = open(&mut lab, 40_000);
    lab.settle();
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    (lab, way)
}

fn encap(way: Way) -> Option<Encap> {
    Some(Encap { carrier: Carrier::Tcp, src_port: way.local.port(), dst_port: way.remote.port() })
}

fn assert_in(lab: &Lab, way: Way) {
    for (host, way) in [(&lab.a, way), (&lab.b, back(way))] {
        let child = host.child();
        assert_eq!(host.sa(Outbound, child.outbound).encap, encap(way));
        assert_eq!(host.sa(Inbound, child.inbound).encap, encap(back(way)));
        let ike = host.ike();
        assert_eq!((ike.carrier, ike.local, ike.peer), (Carrier::Tcp, way.local, way.remote));
    }
}

// RFC 9329 §5.1 and RFC 9329 §9: UDP first, at least twice; then a new IKE SA in TCP, with another SPI. RFC 9329 §6.5: NAT
// detection by TCP ports. RFC 9329 §5: and everything in TCP from then on.
#[test]
fn without_an_answer_in_udp_a_new_ike_sa_begins_in_tcp() {
    let mut lab = lab(false);
    lab.a.command(Command::Initiate(POLICY));
    let first = lab.a.take();
    assert_eq!(first.carrier, Carrier::Udp);
    lab.a.sleep(SECOND);
    assert_eq!(lab.a.take(), first);
    lab.a.sleep(2 * SECOND);
    assert!(lab.a.sent.is_empty());
    let way = open(&mut lab, 40_000);
    assert_eq!(lab.a.sent[0].way(), way);
    assert_ne!(lab.a.sent[0].data[..8], first.data[..8], "the SPI");
    lab.settle();
    assert_in(&lab, way);
    lab.assert_mirrored();
    assert_eq!(lab.a.ike().nat, (false, false));
    assert_eq!(lab.a.failures(), []);
}

#[test]
fn an_answer_in_udp_is_the_end_of_it() {
    let mut lab = lab(false);
    lab.establish();
    assert!(lab.a.streams.is_empty());
    assert_eq!(lab.a.ike().carrier, Carrier::Udp);
    assert_eq!(lab.a.sa(Outbound, lab.a.child().outbound).encap, None);
}

// RFC 9329 §6.2: nothing is repeated. RFC 9329 §7.5: fragments are not offered, so none are sent.
#[test]
fn in_a_stream_nothing_is_repeated_and_fragments_are_not_offered() {
    let mut lab = lab(true);
    lab.a.command(Command::Initiate(POLICY));
    open(&mut lab, 40_000);
    let Ok(Message { payloads, .. }) = Message::parse(&lab.a.sent[0].data) else { panic!("no message") };
    let offered = |kind| payloads.iter().any(|payload| matches!(payload, Payload::Notify(n) if n.kind == kind));
    assert!(offered(NotifyType::NAT_DETECTION_SOURCE_IP));
    assert!(!offered(NotifyType::IKEV2_FRAGMENTATION_SUPPORTED));
    lab.a_to_b();
    lab.b.sent.clear();
    for _ in 0..4 {
        lab.a.sleep(SECOND);
    }
    assert!(lab.a.sent.is_empty());
}

// There is no TCP either: UDP has all its transmissions, and the operator reads of both.
#[test]
fn without_a_connection_udp_has_its_turn_again() {
    for refused_at_once in [true, false] {
        let mut lab = lab(false);
        lab.a.command(Command::Initiate(POLICY));
        lab.a.sleep(SECOND);
        lab.a.sleep(2 * SECOND);
        if refused_at_once {
            let (op, _) = lab.a.streams.pop_front().unwrap();
            lab.a.input(Input::Done(op, Outcome::Opened(Err("to 192.0.2.2:4500: no route".into()))));
        } else {
            let way = open(&mut lab, 40_000);
            lab.a.input(Input::Closed(way));
        }
        assert!(lab.a.failure(Part::NoAnswer).to_string().contains("TCP"));
        lab.a.events.clear();
        lab.a.sent.drain(..lab.a.sent.len() - 1);
        assert_eq!(lab.a.sent[0].carrier, Carrier::Udp);
        for _ in 0..40 {
            lab.a.sleep(2 * SECOND);
        }
        assert_eq!(lab.a.sent.len(), 7, "all transmissions");
        assert!(lab.a.endpoint.ike_sas().is_empty());
        assert!(lab.a.streams.is_empty(), "TCP was tried");
    }
}

// RFC 9329 §6.1: the originator opens another, and says so at once; the responder waits, and follows.
#[test]
fn a_lost_connection_is_opened_anew_by_its_originator() {
    let (mut lab, first) = up();
    assert_in(&lab, first);
    lab.b.input(Input::Closed(back(first)));
    assert!(lab.b.streams.is_empty() && lab.b.sent.is_empty());
    lab.a.input(Input::Closed(first));
    let second = open(&mut lab, 40_001);
    assert_eq!(lab.a.sent[0].way(), second, "an empty INFORMATIONAL");
    lab.settle();
    assert_in(&lab, second);
    lab.assert_mirrored();
    // Nobody needs the old one any more.
    assert!(lab.a.streams.iter().any(|(_, what)| *what == StreamOp::Close(first)));
    assert!(lab.b.streams.iter().any(|(_, what)| *what == StreamOp::Close(back(first))));
}

// What strangers open and end is of no IKE SA.
#[test]
fn a_connection_of_nobody_ends_unnoticed() {
    let (mut lab, first) = up();
    for stranger in ["192.0.2.1:40001", "192.0.2.99:40000"].map(socket) {
        lab.b.input(Input::Closed(Way::tcp(first.remote, stranger)));
        lab.a.input(Input::Closed(Way::tcp(stranger, first.remote)));
    }
    assert!(lab.a.streams.is_empty() && lab.b.streams.is_empty() && lab.a.sent.is_empty());
    assert_in(&lab, first);
}

// RFC 9329 §6.2: a request that was open goes over the new connection, on either side.
#[test]
fn what_waits_for_an_answer_goes_over_the_new_connection() {
    let (mut lab, first) = up();
    lab.a.command(Command::CheckLiveness("peer".into()));
    let request = lab.a.take();
    lab.b.command(Command::CheckLiveness("peer".into()));
    let asked = lab.b.take();
    lab.a.input(Input::Closed(first));
    lab.b.input(Input::Closed(back(first)));
    assert!(lab.a.streams.is_empty(), "at the pace of repetitions");
    lab.a.sleep(SECOND);
    let second = open(&mut lab, 40_001);
    assert_eq!((lab.a.sent[0].way(), &lab.a.sent[0].data), (second, &request.data));
    lab.a_to_b();
    let again = lab.b.sent.iter().find(|message| message.data == asked.data).expect("the request of the responder");
    assert_eq!(again.way(), back(second));
    lab.settle();
    assert_in(&lab, second);
}

// A peer that takes no connection is tried as often as a request is repeated, and is dead in the end.
#[test]
fn a_peer_that_takes_no_connection_is_dead_in_the_end() {
    let (mut lab, first) = up();
    lab.a.input(Input::Closed(first));
    let mut tries = 0;
    for _ in 0..60 {
        while let Some((op, what)) = lab.a.streams.pop_front() {
            if matches!(what, StreamOp::Open { .. }) {
                tries += 1;
                lab.a.input(Input::Done(op, Outcome::Opened(Err("refused".into()))));
            }
        }
        lab.a.sleep(2 * SECOND);
    }
    assert_eq!(tries, 7);
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.a.sas.is_empty());
}

// RFC 9329 §1.2: whoever rekeys, the originator stays; §6.1: the old and the new IKE SA share the connection.
#[test]
fn a_rekey_by_the_responder_changes_nothing_about_the_connection() {
    let (mut lab, first) = up();
    lab.b.command(Command::RekeyIke("peer".into()));
    lab.settle();
    assert!(!lab.a.ike().initiator);
    assert_in(&lab, first);
    assert!(lab.a.streams.is_empty() && lab.b.streams.is_empty());
    lab.a.input(Input::Closed(first));
    let second = open(&mut lab, 40_001);
    lab.settle();
    assert_in(&lab, second);
}

// RFC 9329 §6.1: the connection goes with the IKE SA.
#[test]
fn the_last_ike_sa_takes_the_connection_with_it() {
    let (mut lab, way) = up();
    lab.a.command(Command::TerminateIke(None));
    lab.settle();
    let closed = |host: &Host| host.streams.iter().map(|(_, what)| *what).collect::<Vec<_>>();
    assert_eq!(closed(&lab.a), [StreamOp::Close(way)]);
    assert_eq!(closed(&lab.b), [StreamOp::Close(back(way))]);
}

/// With MOBIKE, and TCP as A has it; in UDP where that gets an answer.
fn mobile(at_once: bool, udp: bool) -> (Lab, Option<Way>) {
    let mut lab = Lab::with(|a, b| {
        a.remotes[0].extensions.tcp = Some(Tcp { port: 4500, at_once });
        for config in [a, b] {
            let remote = &mut config.remotes[0];
            remote.source = remote.local.take();
            remote.extensions.mobike = true;
        }
    });
    lab.a.command(at(&[A]));
    lab.b.command(Command::Addresses(HostAddresses { addresses: vec![ip(B)], sources: [(ip(A), ip(B))].into() }));
    lab.a.command(Command::Initiate(POLICY));
    let mut way = None;
    if !udp {
        if !at_once {
            lab.a.sleep(SECOND);
            lab.a.sleep(2 * SECOND);
        }
        lab.a.sent.clear();
        way = Some(open(&mut lab, 40_000));
    }
    lab.settle();
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    assert!(lab.a.ike().mobike);
    (lab, way)
}

fn at(addresses: &[&str]) -> Command {
    let addresses: Vec<_> = addresses.iter().map(|address| ip(address)).collect();
    let sources = [(ip(B), addresses[0])].into();
    Command::Addresses(HostAddresses { addresses, sources })
}

/// Both are at NEW_A and B in UDP, and so is what they protect.
fn assert_in_udp(lab: &Lab) {
    for (host, own, other) in [(&lab.a, NEW_A, B), (&lab.b, B, NEW_A)] {
        let (child, ike) = (host.child(), host.ike());
        let out = host.sa(Outbound, child.outbound);
        assert_eq!((out.src, out.dst, out.encap), (ip(own), ip(other), None));
        assert_eq!(host.sa(Inbound, child.inbound).encap, None);
        assert_eq!(ike.carrier, Carrier::Udp);
        assert_eq!((ike.local, ike.peer), (SocketAddr::new(ip(own), 4500), SocketAddr::new(ip(other), 4500)));
    }
}

const NEW_A: &str = "198.51.100.1";

// RFC 9329 §7.1: another network is asked in UDP first, whatever the last one took, and ESP goes without TCP when there is an
// answer; the old connection is closed.
#[test]
fn another_network_is_asked_in_udp_first() {
    let (mut lab, first) = mobile(false, false);
    let first = first.unwrap();
    assert_in(&lab, first);
    lab.a.command(at(&[NEW_A]));
    assert_eq!(lab.a.sent[0].way(), Way::udp(socket("198.51.100.1:4500"), socket("192.0.2.2:4500")));
    assert_eq!(lab.a.sa(Outbound, lab.a.child().outbound).encap, encap(first), "not before the peer has answered");
    lab.settle();
    assert_in_udp(&lab);
    lab.assert_mirrored();
    assert!(lab.a.streams.iter().any(|(_, what)| *what == StreamOp::Close(first)));
    assert!(lab.a.streams.iter().all(|(_, what)| !matches!(what, StreamOp::Open { .. })));
}

// RFC 9329 §7.1 and appendix B.4: without an answer the same request goes by TCP, and a new one with the right hashes after it.
#[test]
fn without_an_answer_in_udp_the_same_request_goes_by_tcp() {
    for udp in [false, true] {
        let (mut lab, _) = mobile(false, udp);
        lab.a.command(at(&[NEW_A]));
        let update = lab.a.take();
        assert_eq!(update.carrier, Carrier::Udp);
        lab.a.sleep(SECOND);
        assert_eq!(lab.a.take(), update);
        lab.a.streams.retain(|(_, what)| !matches!(what, StreamOp::Close(_)));
        lab.a.sleep(2 * SECOND);
        let second = open_from(&mut lab, NEW_A, 40_001);
        let again = lab.a_to_b();
        assert_eq!((again.way(), &again.data), (second, &update.data));
        lab.b_to_a();
        let (exchange, id, response) = lab.a.next().expect("another request");
        assert_eq!((exchange, id, response), (INFO, kind(&update.data).1 + 1, false));
        lab.settle();
        assert_in(&lab, second);
        lab.assert_mirrored();
        assert_eq!(lab.a.ike().nat, (false, false), "of the second request");
        // Home again: in UDP.
        lab.a.command(at(&[A]));
        assert_eq!(lab.a.sent[0].carrier, Carrier::Udp);
        lab.settle();
        assert_eq!((lab.a.ike().carrier, lab.b.ike().carrier), (Carrier::Udp, Carrier::Udp));
    }
}

// There is no TCP either: UDP has its turn again, each as often as a request is repeated.
#[test]
fn in_a_network_without_either_the_two_take_turns() {
    let (mut lab, _) = mobile(false, false);
    lab.a.command(at(&[NEW_A]));
    let (mut tries, mut sent) = (0, 0);
    for _ in 0..60 {
        while let Some((op, what)) = lab.a.streams.pop_front() {
            if matches!(what, StreamOp::Open { .. }) {
                tries += 1;
                lab.a.input(Input::Done(op, Outcome::Opened(Err("refused".into()))));
            }
        }
        sent += lab.a.sent.drain(..).filter(|message| message.carrier == Carrier::Udp).count();
        lab.a.sleep(2 * SECOND);
    }
    assert!(tries > 2 && sent > 1, "{tries} {sent}");
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.a.sas.is_empty());
}

// Whoever wants TCP at once has it in every network.
#[test]
fn a_remote_that_is_always_in_tcp_stays_there() {
    let (mut lab, _) = mobile(true, false);
    lab.a.command(at(&[NEW_A]));
    assert!(lab.a.sent.is_empty());
    lab.a.streams.retain(|(_, what)| !matches!(what, StreamOp::Close(_)));
    let second = open_from(&mut lab, NEW_A, 40_001);
    lab.settle();
    assert_in(&lab, second);
}

// RFC 9329 §10: the same is true of the way back.
#[test]
fn only_the_leader_takes_its_peer_back_to_udp() {
    let (mut lab, first) = mobile(false, false);
    let first = first.unwrap();
    lab.a.command(at(&[NEW_A]));
    let real = lab.a.take();
    let mut forged = real.clone();
    *forged.data.last_mut().unwrap() ^= 1;
    lab.b.receive(&forged);
    assert_eq!((lab.b.ike().carrier, lab.b.ike().peer), (Carrier::Tcp, first.local));
    lab.b.receive(&real);
    assert_eq!(lab.b.ike().carrier, Carrier::Udp);
    lab.settle();
    assert_in_udp(&lab);
    // What was received is played again from elsewhere.
    let elsewhere = ravelin_ike::Transmit { local: socket("203.0.113.9:4500"), ..real };
    lab.b.receive(&elsewhere);
    lab.settle();
    assert_in_udp(&lab);
    // What is not about addresses leads nobody anywhere.
    lab.a.command(Command::CheckLiveness("peer".into()));
    let asked = lab.a.take();
    let by_tcp = ravelin_ike::Transmit { carrier: Carrier::Tcp, local: socket("203.0.113.9:7"), ..asked };
    lab.b.receive(&by_tcp);
    assert_in_udp(&lab);
}

// RFC 9329 §10: a message that does not verify, or is old, leads nobody to another connection.
#[test]
fn only_what_verifies_and_is_new_moves_the_responder() {
    let (mut lab, first) = up();
    lab.a.command(Command::CheckLiveness("peer".into()));
    let real = lab.a.take();
    let elsewhere = socket("198.51.100.9:7");
    let mut forged = real.clone();
    *forged.data.last_mut().unwrap() ^= 1;
    forged.local = elsewhere;
    lab.b.receive(&forged);
    lab.b.receive(&real);
    lab.settle();
    // What was received is played again by another connection.
    let replayed = ravelin_ike::Transmit { local: elsewhere, ..real };
    lab.b.receive(&replayed);
    assert_in(&lab, first);
    let moved = |event: &Event| matches!(event, Event::IkeMoved { .. });
    assert!(!lab.b.events.iter().any(moved));
}

// Over another connection a message of IKEv1 is not taken, and cookies are not asked for (RFC 9329 §6.3).
#[test]
fn strangers_get_no_cookie_and_no_older_version() {
    let mut lab = lab(true);
    for port in 1..=u16::try_from(2 * ravelin_ike::limits::COOKIE_THRESHOLD).unwrap() {
        let mut other = Host::new(lab.a.config.clone(), u64::from(port) + 100);
        other.command(Command::Initiate(POLICY));
        let (op, _) = other.streams.pop_front().unwrap();
        other.input(Input::Done(op, Outcome::Opened(Ok(SocketAddr::new(ip(A), port)))));
        lab.b.receive(&other.take());
        let answer = lab.b.take();
        let Ok(Message { payloads, .. }) = Message::parse(&answer.data) else { panic!("no message") };
        assert!(payloads.iter().any(|payload| matches!(payload, Payload::Ke(_))), "an answer, and no cookie");
        if port >= 60 {
            break;
        }
    }
    let mut old = vec![0; 28];
    old[17] = 0x10;
    old[27] = 28;
    lab.b.input(Input::Datagram(ravelin_ike::Datagram {
        local: socket("192.0.2.2:4500"),
        remote: socket("192.0.2.1:9"),
        carrier: Carrier::Tcp,
        data: &old,
    }));
    assert!(lab.b.sent.is_empty());
}
