//! MOBIKE (RFC 4555): A, at 192.0.2.1, began the IKE SA with B, at 192.0.2.2.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ravelin_ike::explain::Part;
use ravelin_ike::{Command, Event, HostAddresses};
use ravelin_types::policy::Mode;
use ravelin_types::sa::Direction::{Inbound, Outbound};
use ravelin_types::sa::Encap;
use ravelin_types::selector::TrafficSelector;
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{NotifyType, Payload};

use crate::lab::*;
use crate::v2::peer::{Peer, notifies, notify};

const NEW_A: &str = "198.51.100.1";
const NEW_B: &str = "203.0.113.2";

/// What a host says of its addresses, with the ways from the first of them.
fn at(addresses: &[&str], peers: &[&str]) -> Command {
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| ip(address)).collect();
    let sources = peers.iter().map(|peer| (ip(peer), addresses[0])).collect::<BTreeMap<_, _>>();
    Command::Addresses(HostAddresses { addresses, sources })
}

fn mobile(mode: Mode) -> Lab {
    let mut lab = Lab::with(|a, b| {
        for config in [a, b] {
            let remote = &mut config.remotes[0];
            remote.source = remote.local.take();
            remote.extensions.mobike = true;
            set_mode(config, mode);
        }
    });
    lab.a.command(at(&[A], &[B]));
    lab.b.command(at(&[B], &[A]));
    lab
}

fn up() -> Lab {
    let mut lab = mobile(Mode::Tunnel);
    lab.establish();
    lab
}

/// Outer addresses of both halves of the only Child SA.
fn outer(host: &Host) -> [(IpAddr, IpAddr); 2] {
    let child = host.child();
    let ends = |direction, spi| (host.sa(direction, spi).src, host.sa(direction, spi).dst);
    [ends(Inbound, child.inbound), ends(Outbound, child.outbound)]
}

fn moved(host: &Host) -> usize {
    host.events.iter().filter(|event| matches!(event, Event::IkeMoved { .. })).count()
}

// RFC 4555 §3.2 and §3.3: MOBIKE_SUPPORTED of both in IKE_AUTH, and port 4500 without a NAT.
#[test]
fn it_is_agreed_on_by_two_and_goes_to_port_4500_at_once() {
    let lab = up();
    for host in [&lab.a, &lab.b] {
        let ike = host.ike();
        assert!(ike.mobike);
        assert_eq!((ike.local.port(), ike.peer.port(), ike.nat), (4500, 4500, (false, false)));
        assert!(host.sas.values().all(|sa| sa.encap.is_none()), "without a NAT ESP needs no UDP");
    }
    for neither in [0, 1] {
        let mut lab = Lab::with(|a, b| [a, b][neither].remotes[0].extensions.mobike = true);
        lab.establish();
        assert!(!lab.a.ike().mobike && !lab.b.ike().mobike);
    }
}

//   HDR, SK {N(UPDATE_SA_ADDRESSES), N(NO_ADDITIONAL_ADDRESSES), N(NAT_DETECTION_*), N(COOKIE2)}  -->
//                             <--  HDR, SK {N(NAT_DETECTION_*), N(COOKIE2)}
//                             <--  HDR, SK {N(COOKIE2)}
//   HDR, SK {N(COOKIE2)}  -->
#[test]
fn the_leader_moves_and_its_peer_follows_when_it_has_answered_there() {
    let mut lab = up();
    lab.a.command(at(&[NEW_A], &[B]));
    assert_eq!(outer(&lab.a), [(ip(B), ip(NEW_A)), (ip(NEW_A), ip(B))], "the peer is where it was");
    let update = lab.a_to_b();
    assert_eq!((update.local, update.remote), (socket("198.51.100.1:4500"), socket("192.0.2.2:4500")));
    let answer = lab.b_to_a();
    assert_eq!(answer.remote, update.local);
    assert_eq!(outer(&lab.b), [(ip(A), ip(B)), (ip(B), ip(A))], "not before A has shown that it is there");
    assert_eq!(lab.b.next(), Some((INFO, 0, false)));
    lab.settle();
    assert_eq!(outer(&lab.b), [(ip(NEW_A), ip(B)), (ip(B), ip(NEW_A))]);
    lab.assert_mirrored();
    assert_eq!((moved(&lab.a), moved(&lab.b)), (1, 1));
    assert_eq!((lab.a.ike().local, lab.b.ike().peer), (update.local, update.local));
    // All goes on there.
    lab.b.command(Command::RekeyIke("peer".into()));
    lab.settle();
    lab.b.command(Command::RekeyChild(POLICY));
    lab.settle();
    assert_eq!(outer(&lab.a), [(ip(B), ip(NEW_A)), (ip(NEW_A), ip(B))]);
    lab.assert_mirrored();
    // B began the IKE SA that is there now, and A leads all the same.
    lab.a.command(at(&[A], &[B]));
    lab.settle();
    assert_eq!(outer(&lab.b), [(ip(A), ip(B)), (ip(B), ip(A))]);
}

//   HDR, SK {N(ADDITIONAL_*_ADDRESS) or N(NO_ADDITIONAL_ADDRESSES), N(COOKIE2)}    from the new address
#[test]
fn the_other_side_moves_and_the_leader_goes_after_it() {
    let mut lab = up();
    lab.b.command(at(&[NEW_B], &[A]));
    assert_eq!(outer(&lab.b), [(ip(A), ip(NEW_B)), (ip(NEW_B), ip(A))]);
    lab.b_to_a();
    assert_eq!(outer(&lab.a), [(ip(B), ip(A)), (ip(A), ip(B))], "not before B has answered there");
    lab.settle();
    assert_eq!(outer(&lab.a), [(ip(NEW_B), ip(A)), (ip(A), ip(NEW_B))]);
    assert_eq!(lab.a.ike().peer, socket("203.0.113.2:4500"));
    lab.assert_mirrored();
}

#[test]
fn additional_addresses_are_told_and_replaced() {
    let mut lab = mobile(Mode::Tunnel);
    lab.b.command(at(&[B, NEW_B, "2001:db8::2"], &[A]));
    lab.establish();
    assert_eq!(lab.a.ike().peer_addresses, [ip(NEW_B), ip("2001:db8::2")]);
    lab.b.command(at(&[B, "203.0.113.9"], &[A]));
    lab.settle();
    assert_eq!(lab.a.ike().peer_addresses, [ip("203.0.113.9")]);
    lab.b.command(at(&[B], &[A]));
    lab.settle();
    assert!(lab.a.ike().peer_addresses.is_empty());
    lab.b.command(at(&[B], &[A]));
    assert!(lab.b.sent.is_empty(), "nothing is new");
    assert_eq!((moved(&lab.a), moved(&lab.b)), (0, 0));
}

// An address inside a protected network is behind the tunnel for the peer, and no way to us.
#[test]
fn addresses_inside_protected_networks_are_not_told() {
    let network = |address, len| TrafficSelector::prefix(ip(address), len).unwrap();
    let both = [ip(NEW_B), ip("2001:db8::2")];
    for (local, told) in [
        (vec![network("203.0.113.0", 24)], &both[1..]),
        (vec![network("10.0.0.0", 8), network(NEW_B, 32)], &both[1..]),
        (vec![network("203.0.113.0", 24), network("2001:db8::", 32)], &[]),
        (vec![network("192.0.2.0", 24)], &both),
        // Everything is no network.
        (vec![TrafficSelector::any_v4(), TrafficSelector::any_v6()], &both),
        // A policy for the host itself, at each of its addresses.
        (vec![network(B, 32), network(NEW_B, 32)], &both),
    ] {
        let mut lab = mobile(Mode::Tunnel);
        for (host, theirs) in [(&mut lab.a, true), (&mut lab.b, false)] {
            host.configure(|config| {
                let policy = &mut config.policies[0].policy;
                *if theirs { &mut policy.remote } else { &mut policy.local } = local.clone();
            });
        }
        lab.b.command(at(&[B, NEW_B, "2001:db8::2"], &[A]));
        lab.establish();
        assert_eq!(lab.a.ike().peer_addresses, told, "{local:?}");
        // Nor when they change.
        lab.b.command(at(&[B, "2001:db8::2", NEW_B, "198.51.100.2"], &[A]));
        lab.settle();
        let theirs = lab.a.ike().peer_addresses;
        assert_eq!(theirs.contains(&ip(NEW_B)), told.contains(&ip(NEW_B)), "{theirs:?}");
        assert!(theirs.contains(&ip("198.51.100.2")));
    }
}

#[test]
fn when_one_address_is_silent_the_leader_tries_the_others() {
    let mut lab = mobile(Mode::Tunnel);
    lab.b.command(at(&[B, "203.0.113.9", NEW_B], &[A]));
    lab.establish();
    lab.a.command(Command::CheckLiveness("peer".into()));
    for _ in 0..200 {
        lab.a.sleep(Duration::from_secs(4));
        // Only what goes to the third address arrives.
        for message in std::mem::take(&mut lab.a.sent) {
            if message.remote.ip() == ip(NEW_B) {
                lab.b.receive(&message);
            }
        }
        lab.settle();
    }
    assert_eq!(lab.a.failures(), []);
    assert_eq!(lab.a.ike().peer, socket("203.0.113.2:4500"));
    assert_eq!(outer(&lab.a), [(ip(NEW_B), ip(A)), (ip(A), ip(NEW_B))]);
    assert_eq!(outer(&lab.b), [(ip(A), ip(NEW_B)), (ip(NEW_B), ip(A))]);
}

#[test]
fn without_another_address_a_silent_peer_is_dead() {
    let mut lab = up();
    lab.a.command(Command::CheckLiveness("peer".into()));
    for _ in 0..100 {
        lab.a.sleep(Duration::from_secs(4));
        lab.a.sent.clear();
    }
    lab.a.failure(Part::NoAnswer);
    assert!(lab.a.sas.is_empty());
}

// RFC 4555 §3.6: another request follows where one went out from several addresses.
#[test]
fn an_open_request_goes_on_from_the_new_address() {
    let mut lab = up();
    lab.a.command(Command::RekeyChild(POLICY));
    let lost = lab.a.take();
    assert_eq!(lost.local.ip(), ip(A));
    lab.a.command(at(&[NEW_A], &[B]));
    let again = lab.a_to_b();
    assert_eq!((again.local.ip(), &again.data), (ip(NEW_A), &lost.data));
    lab.settle();
    assert_eq!(outer(&lab.a), [(ip(B), ip(NEW_A)), (ip(NEW_A), ip(B))]);
    assert_eq!(outer(&lab.b), [(ip(NEW_A), ip(B)), (ip(B), ip(NEW_A))]);
    lab.assert_mirrored();
}

#[test]
fn two_moves_in_a_row_end_at_the_last_place() {
    let mut lab = up();
    lab.a.command(at(&[NEW_A], &[B]));
    let first = lab.a.take();
    lab.a.command(at(&["198.51.100.7"], &[B]));
    lab.b.receive(&first);
    lab.settle();
    let end = ip("198.51.100.7");
    assert_eq!(outer(&lab.a), [(ip(B), end), (end, ip(B))]);
    assert_eq!(outer(&lab.b), [(end, ip(B)), (ip(B), end)]);
}

#[test]
fn without_a_way_to_the_peer_nothing_happens_until_there_is_one() {
    let mut lab = up();
    lab.a.command(at(&[NEW_A], &[]));
    assert!(lab.a.sent.is_empty());
    lab.a.command(at(&[NEW_A], &[B]));
    lab.settle();
    assert_eq!(outer(&lab.b), [(ip(NEW_A), ip(B)), (ip(B), ip(NEW_A))]);
}

#[test]
fn an_address_that_was_configured_is_not_left() {
    let mut lab = mobile(Mode::Tunnel);
    lab.a.configure(|config| config.remotes[0].local = Some(ip(A)));
    lab.establish();
    lab.a.command(at(&[NEW_A], &[B]));
    assert!(lab.a.sent.is_empty() && moved(&lab.a) == 0);
}

// A NAT stands in front of the new place and is left behind again.
#[test]
fn behind_a_nat_esp_goes_into_udp_and_comes_out_again() {
    let mut lab = up();
    let outside = socket("203.0.113.77:1025");
    lab.a.command(at(&["10.0.0.1"], &[B]));
    for _ in 0..4 {
        if let Some(message) = lab.a.sent.pop_front() {
            lab.b.receive_from(&message, message.remote, outside);
        }
        if let Some(message) = lab.b.sent.pop_front() {
            assert_eq!(message.remote, outside);
            lab.a.receive_from(&message, socket("10.0.0.1:4500"), message.local);
        }
    }
    assert_eq!((lab.a.ike().nat, lab.b.ike().nat), ((true, false), (false, true)));
    let (here, there) = (lab.a.child(), lab.b.child());
    assert_eq!(lab.a.sa(Outbound, here.outbound).encap, Some(Encap::udp(4500, 4500)));
    let out = lab.b.sa(Outbound, there.outbound);
    assert_eq!((out.dst, out.encap), (outside.ip(), Some(Encap::udp(4500, 1025))));
    assert_eq!(lab.b.sa(Inbound, there.inbound).encap, Some(Encap::udp(1025, 4500)));
    lab.a.command(at(&[NEW_A], &[B]));
    lab.settle();
    assert_eq!((lab.a.ike().nat, lab.b.ike().nat), ((false, false), (false, false)));
    assert!(lab.a.sas.values().chain(lab.b.sas.values()).all(|sa| sa.encap.is_none()));
    assert_eq!(outer(&lab.b), [(ip(NEW_A), ip(B)), (ip(B), ip(NEW_A))]);
}

// RFC 4555 §3.8: the leader compares how it is seen.
#[test]
fn a_nat_that_maps_anew_is_noticed_by_a_sign_of_life() {
    let mut lab = up();
    let mut port = 1025;
    let cross = |lab: &mut Lab, port| {
        for _ in 0..6 {
            if let Some(message) = lab.a.sent.pop_front() {
                lab.b.receive_from(&message, message.remote, socket(&format!("203.0.113.77:{port}")));
            }
            if let Some(message) = lab.b.sent.pop_front() {
                lab.a.receive_from(&message, socket("10.0.0.1:4500"), message.local);
            }
        }
    };
    lab.a.command(at(&["10.0.0.1"], &[B]));
    cross(&mut lab, port);
    port = 2000;
    lab.a.command(Command::CheckLiveness("peer".into()));
    cross(&mut lab, port);
    assert_eq!(lab.b.ike().peer, socket("203.0.113.77:2000"));
    let child = lab.b.child();
    assert_eq!(lab.b.sa(Outbound, child.outbound).encap, Some(Encap::udp(4500, 2000)));
}

#[test]
fn transport_mode_stays_where_it_is() {
    let mut lab = mobile(Mode::Transport);
    lab.establish();
    lab.a.command(at(&[NEW_A], &[B]));
    assert!(lab.a.sent.is_empty() && moved(&lab.a) == 0);
}

/// B, and a peer at A that began an IKE SA with MOBIKE and says what it likes.
fn wild() -> (Host, Peer) {
    let mut config = config(B, A);
    config.remotes[0].local = None;
    config.remotes[0].extensions.mobike = true;
    let mut host = Host::new(config, 2);
    let mut peer = Peer::new(1);
    let mut init = peer.init_payloads();
    init.push(notify(NotifyType::NAT_DETECTION_SOURCE_IP, &[0; 20]));
    init.push(notify(NotifyType::NAT_DETECTION_DESTINATION_IP, &[0; 20]));
    let request = peer.init_message(&init);
    peer.send(&mut host, &request);
    let answer = host.take();
    peer.init_answered(&answer.data);
    let mut payloads = peer.auth_request();
    payloads.push(notify(NotifyType::MOBIKE_SUPPORTED, b"a later version says more"));
    let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
    assert!(notifies(&answer).contains(&NotifyType::MOBIKE_SUPPORTED));
    assert!(host.ike().mobike);
    (host, peer)
}

fn update(more: &[Payload]) -> Vec<Payload> {
    let mut payloads = vec![notify(NotifyType::UPDATE_SA_ADDRESSES, &[]), notify(NotifyType::COOKIE2, &[7; 64])];
    payloads.extend_from_slice(more);
    payloads
}

// RFC 4555 §3.9.
#[test]
fn addresses_that_cannot_be_and_forbidden_nats_change_nothing() {
    let (mut host, mut peer) = wild();
    let before = outer(&host);
    let home = peer.local;
    let cookie = notify(NotifyType::COOKIE2, &[7; 64]);
    for nowhere in ["0.0.0.0:4500", "224.0.0.1:4500", "127.0.0.1:4500"] {
        peer.local = socket(nowhere);
        let answer = peer.ask(&mut host, ExchangeType::INFORMATIONAL, &update(&[]));
        assert_eq!(answer, [notify(NotifyType::UNACCEPTABLE_ADDRESSES, &[]), cookie.clone()]);
    }
    // The addresses of another path, half of them, and none.
    peer.local = socket("198.51.100.1:4500");
    let wrong = [198, 51, 100, 2, 192, 0, 2, 2, 0x11, 0x94, 0x01, 0xf4];
    for named in [&wrong[..], &wrong[..4], &[]] {
        let answer =
            peer.ask(&mut host, ExchangeType::INFORMATIONAL, &update(&[notify(NotifyType::NO_NATS_ALLOWED, named)]));
        assert_eq!(answer, [notify(NotifyType::UNEXPECTED_NAT_DETECTED, &[]), cookie.clone()]);
    }
    assert_eq!((outer(&host), host.ike().peer), (before, home));
    // Those of this path.
    let right = [198, 51, 100, 1, 192, 0, 2, 2, 0x11, 0x94, 0x01, 0xf4];
    let answer =
        peer.ask(&mut host, ExchangeType::INFORMATIONAL, &update(&[notify(NotifyType::NO_NATS_ALLOWED, &right)]));
    assert_eq!(answer, [cookie]);
    assert_eq!((outer(&host), host.ike().peer.ip()), (before, ip("198.51.100.1")));
}

// RFC 4555 §3.5: the side that did not begin the IKE SA says where it is, and leaves it to the other to change addresses.
#[test]
fn who_did_not_begin_never_asks_to_change_addresses() {
    let (mut host, peer) = wild();
    host.command(at(&[NEW_B], &[A]));
    let (_, told) = peer.asked(&mut host);
    let kinds = notifies(&told);
    assert!(!kinds.contains(&NotifyType::UPDATE_SA_ADDRESSES), "{kinds:?}");
    assert!(kinds.contains(&NotifyType::NO_ADDITIONAL_ADDRESSES), "{kinds:?}");
}

// The other way round: the host began it, and decides alone.
#[test]
fn who_began_obeys_nobody_who_asks_to_change_addresses() {
    let mut config = config(B, A);
    (config.remotes[0].source, config.remotes[0].extensions.mobike) = (config.remotes[0].local.take(), true);
    let mut host = Host::new(config, 2);
    host.command(at(&[B], &[A]));
    host.command(Command::Initiate(POLICY));
    let request = host.take();
    let mut peer = Peer::new(9);
    let nats = [NotifyType::NAT_DETECTION_SOURCE_IP, NotifyType::NAT_DETECTION_DESTINATION_IP];
    let answer = peer.answer_init_with(&request.data, &nats.map(|kind| notify(kind, &[0; 20])));
    peer.send(&mut host, &answer);
    let asked = host.take();
    (peer.local, peer.remote) = (asked.remote, asked.local);
    let mut answer = peer.auth_answer();
    answer.push(notify(NotifyType::MOBIKE_SUPPORTED, &[]));
    peer.answer(&mut host, ExchangeType::IKE_AUTH, 1, &answer);
    assert!(host.ike().mobike, "{:?}", host.failures());
    host.sent.clear();
    peer.next_id = 0;
    let (before, home) = (outer(&host), host.ike().peer);
    peer.local = socket("203.0.113.2:4500");
    let answer = peer.ask(&mut host, ExchangeType::INFORMATIONAL, &update(&[]));
    assert_eq!(answer, [notify(NotifyType::COOKIE2, &[7; 64])]);
    assert_eq!((outer(&host), host.ike().peer), (before, home));
    assert!(host.sent.is_empty() && moved(&host) == 0);
}

// RFC 4555 §3.7 and §4.2.5: COOKIE2 comes back as it was sent, or the IKE SA ends.
#[test]
fn packets_do_not_follow_a_peer_that_cannot_answer_where_it_says_it_is() {
    let (mut host, mut peer) = wild();
    let before = outer(&host);
    peer.local = socket("198.51.100.1:4500");
    peer.ask(&mut host, ExchangeType::INFORMATIONAL, &update(&[]));
    let (id, asked) = peer.asked(&mut host);
    assert_eq!(notifies(&asked), [NotifyType::COOKIE2]);
    // It never saw the request, so it cannot know the cookie.
    peer.answer(&mut host, ExchangeType::INFORMATIONAL, id, &[notify(NotifyType::COOKIE2, &[0; 16])]);
    assert_eq!(outer(&host), before);
    host.failure(Part::Protocol);
    let (id, asked) = peer.asked(&mut host);
    assert!(matches!(asked.as_slice(), [Payload::Delete(_)]), "{asked:?}");
    peer.answer(&mut host, ExchangeType::INFORMATIONAL, id, &[]);
    assert!(host.sas.is_empty());
}

#[test]
fn lists_of_addresses_are_bounded_and_nonsense_in_them_is_passed_over() {
    let (mut host, mut peer) = wild();
    let mut many: Vec<Payload> =
        (0..40).map(|last| notify(NotifyType::ADDITIONAL_IP4_ADDRESS, &[203, 0, 113, last])).collect();
    for nonsense in [&[][..], &[1, 2, 3], &[0; 5], &[0; 4], &[127, 0, 0, 1], &[224, 0, 0, 1]] {
        many.insert(0, notify(NotifyType::ADDITIONAL_IP4_ADDRESS, nonsense));
        many.insert(0, notify(NotifyType::ADDITIONAL_IP6_ADDRESS, nonsense));
    }
    let answer = peer.ask(&mut host, ExchangeType::INFORMATIONAL, &many);
    assert!(answer.is_empty());
    let known = host.ike().peer_addresses;
    assert_eq!((known.len(), known[0]), (16, ip("203.0.113.0")));
}
