//! Traffic crosses, and nothing but ESP is on the wire.

use std::net::{TcpListener, TcpStream};

use ravelin_tun::TunConfig;
use ravelin_types::Way;
use ravelin_types::dataplane::{DataPlane, DataPlaneOp};
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::sa::Direction;

use crate::Case;
use crate::lab::{
    self, Host, PATIENCE, Tunnel, exchange, ip, is_lost, link, pair, reaches, selector, socket, tcp, wait_for,
};

pub const CASES: &[Case] = &[
    ("transport_mode_ipv4", transport_mode_ipv4),
    ("transport_mode_ipv6", transport_mode_ipv6),
    ("transport_mode_in_udp", transport_mode_in_udp),
    ("without_offload_at_one_end", without_offload),
    ("super_packets_of_more_segments_than_a_batch", tiny_segments),
    ("tunnel_mode_between_gateways", tunnel_mode_between_gateways),
    ("tunnel_mode_ipv4_in_ipv6_in_udp", tunnel_mode_ipv4_in_ipv6_in_udp),
    ("datagrams_longer_than_the_link", datagrams_longer_than_the_link),
    ("an_established_connection_moves_into_the_tunnel", an_established_connection),
    ("sas_are_replaced_under_traffic", replaced),
    ("ike_datagrams", ike_datagrams),
];

const MEGABYTES: usize = 4 << 20;

fn only_esp_arrived(hosts: [&Host; 2]) {
    for host in hosts {
        assert_eq!(host.arrived("clear"), 0, "clear packets reached {}", host.name);
        assert!(host.arrived("sealed") > 100, "ESP reached {}", host.name);
    }
}

fn transport_mode_ipv4() {
    let (a, b) = pair();
    Tunnel::transport(1, "10.0.1.1", "10.0.1.2").add(&a, &b);
    tcp(&a, &b, "10.0.1.2:5001", MEGABYTES);
    tcp(&b, &a, "10.0.1.1:5001", MEGABYTES);
    only_esp_arrived([&a, &b]);
    let list = a.plane(DataPlane::list);
    assert_eq!(list.len(), 2);
    for sa in list {
        assert!(sa.counters.bytes as usize > 2 * MEGABYTES, "{:?} {:?}", sa.params.direction, sa.counters);
        assert_eq!((sa.counters.forged, sa.counters.replayed), (0, 0));
    }
}

fn transport_mode_ipv6() {
    let (a, b) = pair();
    Tunnel::transport(1, "fd00:1::1", "fd00:1::2").add(&a, &b);
    tcp(&a, &b, "[fd00:1::2]:5001", MEGABYTES);
    tcp(&b, &a, "[fd00:1::1]:5001", MEGABYTES);
    only_esp_arrived([&a, &b]);
}

fn transport_mode_in_udp() {
    for (local, remote, address) in
        [("10.0.1.1", "10.0.1.2", "10.0.1.2:5001"), ("fd00:1::1", "fd00:1::2", "[fd00:1::2]:5001")]
    {
        let (a, b) = pair();
        Tunnel { encap: true, ..Tunnel::transport(1, local, remote) }.add(&a, &b);
        tcp(&a, &b, address, MEGABYTES);
        assert_eq!((b.arrived("clear"), b.arrived("sealed")), (0, 0));
        // The filter counts a train of packets as one.
        assert!(b.arrived("encapsulated") > 20);
    }
}

/// Two networks, 10.0.2.0/24 behind one gateway and 10.0.3.0/24 behind the other, and the same in IPv6.
fn sites() -> [Host; 4] {
    let [left, a, b, right] = ["left", "a", "b", "right"].map(Host::new);
    link(&a, &b, 1);
    link(&a, &left, 2);
    link(&b, &right, 3);
    for gateway in [&a, &b] {
        gateway.forward();
        gateway.start();
    }
    left.ip("route add default via 10.0.2.1");
    left.ip("-6 route add default via fd00:2::1");
    right.ip("route add default via 10.0.3.1");
    right.ip("-6 route add default via fd00:3::1");
    [left, a, b, right]
}

fn tunnel_mode_between_gateways() {
    let [left, a, b, right] = sites();
    let v4 = Tunnel {
        mode: Mode::Tunnel,
        local: selector("10.0.2.0/24"),
        remote: selector("10.0.3.0/24"),
        ..Tunnel::transport(1, "10.0.1.1", "10.0.1.2")
    };
    let v6_in_v4 = Tunnel { id: 2, local: selector("fd00:2::/64"), remote: selector("fd00:3::/64"), ..v4.clone() };
    v4.add(&a, &b);
    v6_in_v4.add(&a, &b);
    // Neither gateway has a route to the network behind the other: the capture leads there.
    tcp(&left, &right, "10.0.3.2:5001", MEGABYTES);
    tcp(&right, &left, "[fd00:2::2]:5001", MEGABYTES);
    // The gateway itself speaks from the address inside its network, though it has no route either.
    tcp(&a, &right, "10.0.3.2:5001", 1000);
    only_esp_arrived([&a, &b]);
}

fn tunnel_mode_ipv4_in_ipv6_in_udp() {
    let (a, b) = pair();
    let tunnel = Tunnel {
        mode: Mode::Tunnel,
        ends: (ip("fd00:1::1"), ip("fd00:1::2")),
        encap: true,
        ..Tunnel::transport(1, "10.0.1.1", "10.0.1.2")
    };
    tunnel.add(&a, &b);
    tcp(&a, &b, "10.0.1.2:5001", MEGABYTES);
    assert_eq!((b.arrived("clear"), b.arrived("sealed")), (0, 0));
    // The filter counts a train of packets as one.
    assert!(b.arrived("encapsulated") > 20);
}

fn datagrams_longer_than_the_link() {
    let (a, b) = pair();
    Tunnel::transport(1, "10.0.1.1", "10.0.1.2").add(&a, &b);
    Tunnel::transport(2, "fd00:1::1", "fd00:1::2").add(&a, &b);
    // The whole datagram is sealed and ESP is fragmented (RFC 4303 §3.3.4), never the other way round.
    assert!(reaches(&a, &b, "10.0.1.2:5001", 1360), "as long as the limit");
    // DF is set on these, which Linux fragments nevertheless.
    assert!(reaches(&a, &b, "10.0.1.2:5001", 1400), "longer than the limit");
    assert!(reaches(&a, &b, "10.0.1.2:5001", 1472), "as long as the link takes");
    assert!(reaches(&a, &b, "10.0.1.2:5001", 8000), "IPv4 fragments");
    assert!(reaches(&a, &b, "[fd00:1::2]:5001", 8000), "IPv6 fragments");
    assert_eq!(b.arrived("clear"), 0);
    assert_eq!(a.dropped("fragment in transport mode"), 0);
}

/// The path of a kernel that has no segmentation offload, against one that has.
fn without_offload() {
    let (a, b) = (Host::new("a"), Host::new("b"));
    link(&a, &b, 1);
    a.start_with(TunConfig { offload: false, ..lab::config() });
    b.start();
    Tunnel::transport(1, "10.0.1.1", "10.0.1.2").add(&a, &b);
    tcp(&a, &b, "10.0.1.2:5001", MEGABYTES);
    tcp(&b, &a, "10.0.1.1:5001", MEGABYTES);
    only_esp_arrived([&a, &b]);
    // With it, what crosses the device is far fewer packets than those on the wire.
    let device_packets = |host: &Host| {
        let counters = host.run(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap());
        let line = counters.lines().find_map(|line| line.trim().strip_prefix("ravelin0:")).unwrap().to_owned();
        let column = |i| line.split_whitespace().nth(i).unwrap().parse::<u64>().unwrap();
        (column(1), column(9))
    };
    let ((received, sent), wire) = (device_packets(&b), b.arrived("sealed"));
    let plain = device_packets(&a);
    assert!(received < wire, "{received} packets delivered of {wire}");
    assert!(sent < plain.0, "{sent} super-packets for {} packets", plain.0);
}

/// The receiver wants segments so short that one super-packet makes several batches.
fn tiny_segments() {
    let (a, b) = pair();
    b.ip("route replace 10.0.1.0/24 dev e1 src 10.0.1.2 advmss 88");
    Tunnel::transport(1, "10.0.1.1", "10.0.1.2").add(&a, &b);
    tcp(&a, &b, "10.0.1.2:5001", MEGABYTES / 4);
    assert_eq!(b.arrived("clear"), 0);
    assert!(b.arrived("sealed") > 10_000, "the segments were not short");
    assert_eq!(a.dropped("malformed super-packet"), 0);
}

/// A connection that agreed on the segment size of the bare link goes on when its policy comes.
fn an_established_connection() {
    let (a, b) = pair();
    let listener = b.run(|| TcpListener::bind(socket("10.0.1.2:5001")).unwrap());
    let stream = a.run(|| TcpStream::connect_timeout(&socket("10.0.1.2:5001"), PATIENCE)).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let server = std::thread::spawn(move || {
        accepted.set_read_timeout(Some(PATIENCE)).unwrap();
        std::io::copy(&mut &accepted, &mut &accepted).unwrap();
    });
    Tunnel::transport(1, "10.0.1.1", "10.0.1.2").add(&a, &b);
    exchange(stream, MEGABYTES);
    server.join().unwrap();
    assert!(b.arrived("sealed") > 100);
}

fn replaced() {
    let (a, b) = pair();
    let mut tunnel = Tunnel::transport(1, "10.0.1.1", "10.0.1.2");
    tunnel.add(&a, &b);
    let listener = b.run(|| TcpListener::bind(socket("10.0.1.2:5001")).unwrap());
    let stream = a.run(|| TcpStream::connect_timeout(&socket("10.0.1.2:5001"), PATIENCE)).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let server = std::thread::spawn(move || std::io::copy(&mut &accepted, &mut &accepted).unwrap());
    let client = std::thread::spawn(move || exchange(stream, 4 * MEGABYTES));
    for generation in 1..6 {
        let before = a.arrived("sealed");
        let old = tunnel.clone();
        tunnel.generation = generation;
        tunnel.add_sas(&a, &b);
        // Traffic goes on with the new ones before the old ones go, unless all of it is over.
        wait_for(|| (a.arrived("sealed") > before || client.is_finished()).then_some(()));
        old.delete_sas(&a, &b);
    }
    client.join().unwrap();
    server.join().unwrap();
    for host in [&a, &b] {
        assert_eq!(host.dropped("no SA with this SPI"), 0);
        assert_eq!(host.dropped("wait"), 0, "packets that found no SA");
        assert_eq!((host.arrived("clear"), host.plane(DataPlane::list).len()), (0, 2));
    }
}

fn ike_datagrams() {
    let (a, b) = pair();
    for (port, local, remote) in
        [(500, "10.0.1.1", "10.0.1.2"), (4500, "10.0.1.1", "10.0.1.2"), (500, "fd00:1::1", "fd00:1::2")]
    {
        let (local, remote) = ((ip(local), port).into(), (ip(remote), port).into());
        a.plane(move |plane| plane.send_ike(Way::udp(local, remote), b"hello")).unwrap();
        let datagram = b.run_until(move |plane| plane.poll_ike());
        assert_eq!((datagram.local, datagram.remote, datagram.data.as_slice()), (remote, local, &b"hello"[..]));
    }
    // A message longer than the link, and a policy for all traffic: IKE is its own exception, fragments included.
    for (id, local, remote) in [(8, "10.0.1.1", "10.0.1.2"), (9, "fd00:1::1", "fd00:1::2")] {
        Tunnel::transport(id, local, remote).add_policies(&a, &b);
        let (local, remote) = ((ip(local), 500).into(), (ip(remote), 500).into());
        a.plane(move |plane| plane.send_ike(Way::udp(local, remote), &[0x5a; 5000])).unwrap();
        assert_eq!(b.run_until(|plane| plane.poll_ike()).data, [0x5a; 5000]);
        for host in [&a, &b] {
            host.apply(DataPlaneOp::DeletePolicy(PolicyId(id)));
        }
    }
    // ESP inside UDP goes to the engine, not to the daemon.
    let tunnel = Tunnel { encap: true, ..Tunnel::transport(1, "10.0.1.1", "10.0.1.2") };
    tunnel.add(&a, &b);
    assert!(reaches(&a, &b, "10.0.1.2:5001", 100));
    assert_eq!(b.plane(|plane| plane.poll_ike()), None);
    // The SA reports that its peer is alive.
    let sas = b.plane(DataPlane::list);
    let inbound = sas.iter().find(|sa| sa.params.direction == Direction::Inbound).unwrap().params.spi;
    assert_eq!(b.run_until(|plane| plane.poll_alive()), inbound);
    // A deleted SA opens nothing any more.
    for sa in sas {
        b.apply(DataPlaneOp::DeleteSa(sa.params.id()));
    }
    assert!(is_lost(&a, &b, "10.0.1.2:5001", 100));
    wait_for(|| (b.dropped("no SA with this SPI") == 1).then_some(()));
}
