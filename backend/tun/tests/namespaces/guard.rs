//! Clear text neither gets in nor out.

use ravelin_types::dataplane::{DataPlane, DataPlaneOp};
use ravelin_types::policy::Mode;

use crate::Case;
use crate::lab::{Host, Tunnel, is_lost, link, pair, reaches, selector, wait_for, workers};

pub const CASES: &[Case] = &[
    ("a_clear_packet_that_must_be_protected_is_dropped", clear_inbound),
    ("clear_packets_to_a_network_behind_are_dropped_on_every_port", clear_transit),
    ("a_packet_that_escapes_the_capture_is_dropped", leak),
    ("a_removed_device_leaks_nothing", device_removed),
    ("a_removed_filter_comes_back", filter_removed),
    ("ipv4_is_protected_where_ipv6_is_switched_off", without_ipv6),
    ("neighbour_discovery_is_not_captured", neighbours),
    ("routes_of_others_pull_nothing_out_of_a_tunnel", routes_of_others),
];

fn clear_inbound() {
    let (a, b) = (Host::new("a"), Host::new("b"));
    link(&a, &b, 1);
    b.start();
    for (local, remote, id) in [("10.0.1.2", "10.0.1.1", 1), ("fd00:1::2", "fd00:1::1", 2)] {
        b.apply(DataPlaneOp::AddPolicy(Tunnel::transport(id, local, remote).policy()));
    }
    assert!(is_lost(&a, &b, "10.0.1.2:5001", 100));
    assert!(is_lost(&a, &b, "[fd00:1::2]:5001", 100));
    assert_eq!(b.dropped("clear packet where protection is required"), 2);
    // Fragments too, whether or not they show a port.
    assert!(is_lost(&a, &b, "10.0.1.2:5001", 3000));
    assert!(is_lost(&a, &b, "[fd00:1::2]:5001", 3000));
    assert!(b.dropped("clear packet where protection is required") > 2);
}

fn clear_transit() {
    let [a, b, right] = ["a", "b", "right"].map(Host::new);
    link(&a, &b, 1);
    link(&b, &right, 3);
    b.forward();
    b.start();
    a.ip("route add 10.0.3.0/24 via 10.0.1.2");
    a.ip("-6 route add fd00:3::/64 via fd00:1::2");
    right.ip("route add default via 10.0.3.1");
    right.ip("-6 route add default via fd00:3::1");
    for port in [500, 4500] {
        assert!(reaches(&a, &right, &format!("10.0.3.2:{port}"), 100), "without a policy it is no business of ours");
    }
    for (local, remote, id) in [("10.0.3.2", "10.0.1.1", 1), ("fd00:3::2", "fd00:1::1", 2)] {
        b.apply(DataPlaneOp::AddPolicy(Tunnel::transport(id, local, remote).policy()));
    }
    // The ports on which a gateway takes IKE and ESP are no way around it.
    for port in [500, 4500, 5001] {
        for address in [format!("10.0.3.2:{port}"), format!("[fd00:3::2]:{port}")] {
            assert!(is_lost(&a, &right, &address, 100), "{address}");
            assert!(is_lost(&a, &right, &address, 3000), "{address}, in fragments");
        }
    }
    assert!(b.dropped("clear packet where protection is required") >= 12);
}

fn leak() {
    let (a, b) = pair();
    Tunnel::transport(1, "10.0.1.1", "10.0.1.2").add(&a, &b);
    Tunnel::transport(2, "fd00:1::1", "fd00:1::2").add(&a, &b);
    // Somebody breaks the capture.
    for family in ["-4", "-6"] {
        for _ in 0..workers() {
            a.ip(&format!("{family} rule delete priority 5210"));
            a.ip(&format!("{family} rule delete priority 5211"));
        }
    }
    assert!(is_lost(&a, &b, "10.0.1.2:5001", 100));
    assert!(is_lost(&a, &b, "[fd00:1::2]:5001", 100));
    assert_eq!(b.arrived("clear"), 0);
    assert_eq!(a.dropped("would have left in clear"), 2);
}

// Row 118 of docs/HISTORY.md: a network that a host is in gives it routes (DHCP option 121), addresses, and itself as the way to the
// peer.
fn routes_of_others() {
    let [a, b, rogue] = ["a", "b", "rogue"].map(Host::new);
    link(&a, &rogue, 1);
    link(&a, &b, 2);
    b.ip("addr add 10.8.0.1/32 dev lo");
    b.ip("route add 10.0.1.0/24 via 10.0.2.1");
    for route in ["0.0.0.0/1", "10.8.0.0/24", "10.8.0.1/32"] {
        a.ip(&format!("route add {route} via 10.0.1.2"));
    }
    a.ip("addr add 10.8.0.77/24 dev e1");
    assert!(is_lost(&a, &b, "10.8.0.1:5001", 100));
    let stolen = rogue.arrived("clear");
    assert!(stolen > 0, "without a policy that is where it goes");
    [&a, &b].into_iter().for_each(Host::start);
    let tunnel = Tunnel {
        mode: Mode::Tunnel,
        local: selector("0.0.0.0/0"),
        remote: selector("10.8.0.0/24"),
        ..Tunnel::transport(1, "10.0.2.1", "10.0.2.2")
    };
    tunnel.add(&a, &b);
    assert!(reaches(&a, &b, "10.8.0.1:5001", 100));
    // By way of the stranger it is ESP.
    a.ip("route add 10.0.2.2/32 via 10.0.1.2");
    assert!(is_lost(&a, &b, "10.8.0.1:5001", 100));
    assert_eq!(rogue.arrived("clear"), stolen);
    assert!(rogue.arrived("sealed") > 0);
    a.ip("route delete 10.0.2.2/32 via 10.0.1.2");
    assert!(reaches(&a, &b, "10.8.0.1:5001", 100));
}

fn device_removed() {
    let (a, b) = pair();
    Tunnel::transport(1, "10.0.1.1", "10.0.1.2").add(&a, &b);
    assert!(reaches(&a, &b, "10.0.1.2:5001", 100));
    a.ip("link delete ravelin0");
    (1..workers()).for_each(|worker| drop(a.ip(&format!("link delete ravelin0-{worker}"))));
    assert!(is_lost(&a, &b, "10.0.1.2:5001", 100));
    assert_eq!((b.arrived("clear"), a.dropped("would have left in clear")), (0, 1));
    // The threads still answer, and leaving works.
    assert_eq!(a.plane(DataPlane::list).len(), 2);
    a.stop();
    assert!(is_lost(&a, &b, "10.0.1.2:5001", 100), "the other end still wants protection");
    assert_eq!(b.arrived("clear"), 1);
}

fn neighbours() {
    let (a, b) = pair();
    Tunnel::transport(1, "fd00:1::1", "fd00:1::2").add(&a, &b);
    for _ in 0..2 {
        assert!(reaches(&a, &b, "[fd00:1::2]:5001", 100));
        for host in [&a, &b] {
            host.ip("neigh flush all");
        }
    }
    assert_eq!(b.arrived("clear"), 0);
}

fn without_ipv6() {
    let (a, b) = (Host::new("a"), Host::new("b"));
    link(&a, &b, 1);
    for host in [&a, &b] {
        host.run(|| {
            for device in ["all", "default"] {
                std::fs::write(format!("/proc/sys/net/ipv6/conf/{device}/disable_ipv6"), "1").unwrap();
            }
        });
        host.start();
    }
    Tunnel::transport(1, "10.0.1.1", "10.0.1.2").add(&a, &b);
    assert!(reaches(&a, &b, "10.0.1.2:5001", 100));
    assert_eq!(b.arrived("clear"), 0);
    a.stop();
}

fn filter_removed() {
    let (a, b) = pair();
    Tunnel::transport(1, "10.0.1.1", "10.0.1.2").add(&a, &b);
    // Another table that goes is none of our business.
    a.nft("add table inet other; delete table inet other");
    assert_eq!(a.plane(DataPlane::poll_event), None);
    let before = a.nft("list table inet ravelin");
    a.nft("delete table inet ravelin");
    // Nobody has to ask.
    wait_for(|| a.nft("list tables").contains("table inet ravelin").then_some(()));
    wait_for(|| (a.nft("list table inet ravelin") == before).then_some(()));
    assert!(reaches(&a, &b, "10.0.1.2:5001", 100));
    assert_eq!(b.arrived("clear"), 0);
}
