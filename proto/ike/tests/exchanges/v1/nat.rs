//! NAT traversal (RFC 3947): detection, the move to port 4500, ESP in UDP, addresses of transport mode.

use ravelin_ike::{Command, Transmit};
use ravelin_types::policy::Mode;
use ravelin_types::sa::Direction;
use std::net::SocketAddr;
use std::time::Duration;

use super::lab;
use crate::lab::{A, B, Lab, POLICY, ip, set_mode, socket};

/// A is behind a NAT with this address outside.
const OUTSIDE: &str = "203.0.113.9";

fn outside(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(ip(OUTSIDE), address.port() + 30_000)
}

/// Everything arrives, through the NAT.
fn settle(lab: &mut Lab) {
    for _ in 0..100 {
        if let Some(message) = lab.a.sent.pop_front() {
            lab.b.receive_from(&message, message.remote, outside(message.local));
        } else if let Some(message) = lab.b.sent.pop_front() {
            let Transmit { local, remote, .. } = message.clone();
            assert_eq!(remote.ip(), ip(OUTSIDE), "B answers where it was asked");
            lab.a.receive_from(&message, SocketAddr::new(ip(A), remote.port() - 30_000), local);
        } else {
            return;
        }
    }
    panic!("the two never come to rest");
}

fn through_a_nat(mode: Mode) -> Lab {
    let mut lab = lab(|a, b| {
        set_mode(a, mode);
        set_mode(b, mode);
        b.remotes[0].remote = "0.0.0.0".parse().unwrap();
        if mode == Mode::Transport {
            b.policies[0].policy.remote = vec![ravelin_types::selector::TrafficSelector::any_v4()];
        }
    });
    lab.a.command(Command::Initiate(POLICY));
    settle(&mut lab);
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    lab
}

#[test]
fn esp_travels_in_udp_from_port_4500() {
    let lab = through_a_nat(Mode::Tunnel);
    assert_eq!((lab.a.ike().nat, lab.b.ike().nat), ((true, false), (false, true)));
    assert_eq!((lab.a.ike().local.port(), lab.a.ike().peer.port()), (4500, 4500));
    assert_eq!(lab.b.ike().peer, socket(&format!("{OUTSIDE}:34500")));
    let out = lab.b.sa(Direction::Outbound, lab.b.child().outbound);
    let encap = out.encap.unwrap();
    assert_eq!((out.dst, encap.src_port, encap.dst_port), (ip(OUTSIDE), 4500, 34_500));
    lab.assert_mirrored();
}

#[test]
fn transport_mode_knows_the_addresses_before_the_nat() {
    let lab = through_a_nat(Mode::Transport);
    let inbound = lab.b.sa(Direction::Inbound, lab.b.child().inbound);
    let original = inbound.original.unwrap();
    assert_eq!((original.src, original.dst), (ip(A), ip(B)));
    assert_eq!(lab.b.child().remote_ts[0].addresses(), ip(OUTSIDE)..=ip(OUTSIDE));
    let inbound = lab.a.sa(Direction::Inbound, lab.a.child().inbound);
    assert_eq!((inbound.original.unwrap().src, inbound.original.unwrap().dst), (ip(B), ip(OUTSIDE)));
}

#[test]
fn the_peer_is_followed_when_its_nat_forgets_it() {
    let mut lab = through_a_nat(Mode::Tunnel);
    lab.a.command(Command::RekeyChild(POLICY));
    let message = lab.a.take();
    let moved = socket(&format!("{OUTSIDE}:61000"));
    lab.b.receive_from(&message, message.remote, moved);
    assert_eq!(lab.b.ike().peer, moved);
    assert!(!lab.b.moves.is_empty());
    // What does not verify moves nobody.
    let mut forged = message.clone();
    let last = forged.data.len() - 1;
    forged.data[last] ^= 1;
    lab.b.receive_from(&forged, message.remote, socket("198.51.100.1:4500"));
    assert_eq!(lab.b.ike().peer, moved);
}

#[test]
fn who_asks_for_it_gets_udp_without_a_nat() {
    let mut lab = lab(|a, _| a.remotes[0].encap = true);
    lab.establish();
    assert!(lab.a.sas.values().chain(lab.b.sas.values()).all(|sa| sa.encap.is_some()));
}

// RFC 3947 §4: once the two have moved, another phase 1 begins there; a peer behind a NAT would hear nothing else.
#[test]
fn another_phase_1_begins_where_the_peer_is_heard() {
    for from_a in [true, false] {
        let mut lab = through_a_nat(Mode::Tunnel);
        let (before, child) = (lab.b.ike().spis, lab.b.child().inbound);
        let host = if from_a { &mut lab.a } else { &mut lab.b };
        host.command(Command::RekeyIke("peer".into()));
        assert_eq!(host.sent.front().map(|message| message.local.port()), Some(4500));
        settle(&mut lab);
        for _ in 0..6 {
            lab.sleep(Duration::from_secs(1));
            settle(&mut lab);
        }
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
        assert_ne!(lab.b.ike().spis, before);
        assert_eq!(lab.b.ike().peer, socket(&format!("{OUTSIDE}:34500")));
        assert_eq!((lab.a.ike().nat, lab.b.ike().nat), ((true, false), (false, true)));
        assert_eq!(lab.b.child().inbound, child);
        lab.assert_mirrored();
    }
}
