//! What is captured, and what is left alone.

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;

use ravelin_types::Way;
use ravelin_types::dataplane::{DataPlane, DataPlaneEvent, DataPlaneOp};
use ravelin_types::policy::{Action, DeviceName, Policy, PolicyId, Ways};
use ravelin_types::selector::{OPAQUE_PORTS, TrafficSelector};

use crate::Case;
use crate::lab::{
    Host, PATIENCE, Tunnel, exchange, ip, is_lost, link, pair, policy, reaches, selector, socket, tcp, wait_for,
};

pub const CASES: &[Case] = &[
    ("the_first_packet_waits_for_its_sa", first_packet_waits),
    ("unmatched_traffic_is_left_alone", unmatched_traffic),
    ("selectors_with_ranges_protocol_and_ports", selectors),
    ("selectors_on_types_and_opaque_ports", types_and_opaque_ports),
    ("policies_hold_in_their_order", order),
    ("a_removed_policy_captures_no_more", removed),
    ("among_many_policies_each_holds", many),
    ("what_leaves_or_arrives_by_a_device_passes_and_nothing_else", by_device),
    ("ike_passes_by_the_spd_and_is_never_protected", ike),
];

fn first_packet_waits() {
    let (a, b) = pair();
    let tunnel = Tunnel::transport(1, "10.0.1.1", "10.0.1.2");
    tunnel.add_policies(&a, &b);
    let listener = b.run(|| TcpListener::bind(socket("10.0.1.2:5001")).unwrap());
    let (connected, wait) = channel();
    // Linux repeats a SYN after one second; this connects with the first.
    let jobs = a.run(|| std::thread::spawn(|| TcpStream::connect_timeout(&socket("10.0.1.2:5001"), PATIENCE)));
    std::thread::spawn(move || connected.send(jobs.join().unwrap()));
    let event = a.run_until(DataPlane::poll_event);
    let DataPlaneEvent::Acquire { policy, flow, .. } = event else { panic!("{event:?}") };
    assert_eq!((policy, flow.src, flow.dst, flow.dst_port), (PolicyId(1), ip("10.0.1.1"), ip("10.0.1.2"), Some(5001)));
    assert_eq!(b.arrived("clear") + b.arrived("sealed"), 0);
    tunnel.add_sas(&a, &b);
    let stream = wait.recv_timeout(PATIENCE).unwrap().unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let server = std::thread::spawn(move || std::io::copy(&mut &accepted, &mut &accepted));
    exchange(stream, 10_000);
    server.join().unwrap().unwrap();
    assert_eq!(b.arrived("clear"), 0);
}

fn unmatched_traffic() {
    let (a, b) = pair();
    a.ip("addr add 10.0.1.11/24 dev e1");
    b.ip("addr add 10.0.1.12/24 dev e1");
    Tunnel::transport(1, "10.0.1.11", "10.0.1.12").add(&a, &b);
    tcp(&a, &b, "10.0.1.2:5001", 100_000);
    tcp(&a, &b, "[fd00:1::2]:5001", 100_000);
    assert!(b.arrived("clear") > 20);
    assert_eq!(b.arrived("sealed"), 0);
}

fn selectors() {
    let (a, b) = pair();
    a.ip("addr add 10.0.1.11/24 dev e1");
    b.ip("addr add 10.0.1.12/24 dev e1");
    b.ip("addr add 10.0.1.15/24 dev e1");
    // The remote range is no prefix, and only TCP to a range of ports is protected.
    let tunnel = Tunnel {
        local: selector("10.0.1.1-10.0.1.11"),
        remote: selector("10.0.1.2-10.0.1.12").with(6, 5000..=5009).unwrap(),
        ..Tunnel::transport(1, "10.0.1.1", "10.0.1.2")
    };
    // Transport mode is between the ends only; more addresses need a tunnel.
    let tunnel = Tunnel { mode: ravelin_types::policy::Mode::Tunnel, ..tunnel };
    tunnel.add(&a, &b);
    tcp(&a, &b, "10.0.1.12:5009", 1000);
    assert_eq!(b.arrived("clear"), 0);
    let sealed = b.arrived("sealed");
    assert!(sealed > 3);
    tcp(&a, &b, "10.0.1.12:5010", 1000);
    tcp(&a, &b, "10.0.1.15:5001", 1000);
    assert!(reaches(&a, &b, "10.0.1.12:5001", 100));
    assert!(b.arrived("clear") > 9);
    assert_eq!(b.arrived("sealed"), sealed);
}

fn types_and_opaque_ports() {
    let (a, b) = pair();
    let (local, remote) = (selector("10.0.1.1"), selector("10.0.1.2"));
    let on = |selector: TrafficSelector, protocol, ports| selector.with(protocol, ports).unwrap();
    // The kernel takes these; what they match is the filter's own test.
    let echo = on(local, 1, 0x0800..=0x08ff);
    a.apply(DataPlaneOp::AddPolicy(policy(1, 50, echo, on(remote, 1, OPAQUE_PORTS), Action::Discard)));
    let v6 = on(TrafficSelector::any_v6(), 135, 0x0500..=0x0500);
    a.apply(DataPlaneOp::AddPolicy(policy(2, 50, v6, v6, Action::Discard)));
    let fragments = |selector| on(selector, 6, OPAQUE_PORTS);
    a.apply(DataPlaneOp::AddPolicy(policy(3, 50, fragments(local), fragments(remote), Action::Discard)));
    assert!(reaches(&a, &b, "10.0.1.2:5001", 4000));
    tcp(&a, &b, "10.0.1.2:5001", 1000);
    // Types are in force: the answer to a datagram for which nobody listens is ICMP of type 3.
    let unreachable = on(remote, 1, 0x0300..=0x03ff);
    b.apply(DataPlaneOp::AddPolicy(policy(4, 50, unreachable, on(local, 1, OPAQUE_PORTS), Action::Discard)));
    a.run(|| _ = std::net::UdpSocket::bind("10.0.1.1:0").unwrap().send_to(&[1], "10.0.1.2:5002"));
    wait_for(|| (b.dropped("discarded by policy") == 1).then_some(()));
    assert_eq!(a.dropped("discarded by policy"), 0);
}

fn order() {
    let (a, b) = pair();
    Tunnel::transport(1, "10.0.1.1", "10.0.1.2").add(&a, &b);
    let (local, remote) = (selector("10.0.1.1"), selector("10.0.1.2"));
    let udp_to = |port| remote.with(17, port..=port).unwrap();
    // In front of the protect policy, on both hosts: UDP to 6001 passes in clear, to 6002 it is discarded.
    for (id, port, action) in [(2, 6001, Action::Bypass), (3, 6002, Action::Discard)] {
        a.apply(DataPlaneOp::AddPolicy(policy(id, 50, local, udp_to(port), action.clone())));
        b.apply(DataPlaneOp::AddPolicy(policy(id, 50, udp_to(port), local, action)));
    }
    assert!(reaches(&a, &b, "10.0.1.2:6001", 100));
    assert_eq!((b.arrived("clear"), b.arrived("sealed")), (1, 0));
    assert!(is_lost(&a, &b, "10.0.1.2:6002", 100));
    assert_eq!((b.arrived("clear"), b.arrived("sealed")), (1, 0));
    assert_eq!(a.dropped("discarded by policy"), 1);
    assert!(reaches(&a, &b, "10.0.1.2:6003", 100));
    assert_eq!((b.arrived("clear"), b.arrived("sealed")), (1, 1));
}

fn removed() {
    let (a, b) = pair();
    Tunnel::transport(1, "10.0.1.1", "10.0.1.2").add(&a, &b);
    assert!(reaches(&a, &b, "10.0.1.2:5001", 100));
    for host in [&a, &b] {
        host.apply(DataPlaneOp::DeletePolicy(PolicyId(1)));
    }
    assert!(reaches(&a, &b, "10.0.1.2:5001", 100));
    assert_eq!((b.arrived("clear"), b.arrived("sealed")), (1, 1));
    let unknown = a.plane(|plane| plane.apply(&DataPlaneOp::DeletePolicy(PolicyId(1)))).unwrap_err();
    assert_eq!(unknown.to_string(), "there is no policy 1");
}

/// Policies on hosts, networks and ranges that overlap, with one that lets pass between them.
fn many() {
    let (a, b) = pair();
    let own = selector("10.0.1.1");
    let mut ops = Vec::new();
    let mut add = |priority, other: String, action| {
        let id = ops.len() as u32 + 10;
        ops.push(DataPlaneOp::AddPolicy(policy(id, priority, own, selector(&other), action)));
    };
    (0..150).for_each(|i| add(1, format!("10.7.{i}.1"), Action::Discard));
    (0..150).for_each(|i| add(1, format!("10.6.{i}.0/24"), Action::Discard));
    add(1, "10.6.3.7-10.6.9.200".into(), Action::Discard);
    add(1, "fd00:7::/32".into(), Action::Discard);
    add(2, "10.0.1.12".into(), Action::Bypass);
    (2..100).for_each(|i| add(3, format!("10.0.1.{i}"), Action::Discard));
    a.plane(move |plane| plane.apply_all(&ops)).unwrap();
    b.ip("addr add 10.0.1.12/24 dev e1");
    b.ip("addr add 10.0.1.112/24 dev e1");
    for (i, address) in ["10.7.149.1", "10.6.0.255", "10.6.149.1", "10.6.5.5"].into_iter().enumerate() {
        a.ip(&format!("route add {address}/32 via 10.0.1.2"));
        b.ip(&format!("addr add {address}/32 dev lo"));
        assert!(is_lost(&a, &b, &format!("{address}:5001"), 100), "{address}");
        assert_eq!(a.dropped("discarded by policy"), i as u64 + 1);
    }
    assert!(is_lost(&a, &b, "10.0.1.2:5001", 100));
    assert!(reaches(&a, &b, "10.0.1.12:5001", 100), "let pass before it is discarded");
    assert!(reaches(&a, &b, "10.0.1.112:5001", 100), "no policy is about it");
    let rules = a.nft("list chain inet ravelin select").matches("counter name").count();
    assert!(rules < 10, "{rules} rules");
}

/// RFC 4301 §3.1: a gateway that protects all of 10/8 from its two networks to the outside, whose addresses are in there too.
fn by_device() {
    let [outside, gateway, left, right] = ["outside", "gateway", "left", "right"].map(Host::new);
    link(&outside, &gateway, 1);
    link(&gateway, &left, 3);
    link(&gateway, &right, 4);
    gateway.forward();
    for (host, net) in [(&left, 3), (&right, 4)] {
        host.ip(&format!("route add default via 10.0.{net}.1"));
    }
    outside.ip("route add default via 10.0.1.2");
    gateway.start();
    let everything = Tunnel {
        local: selector("10.0.0.0/8"),
        remote: selector("10.0.0.0/8"),
        mode: ravelin_types::policy::Mode::Tunnel,
        ..Tunnel::transport(1, "10.0.1.2", "10.0.1.1")
    };
    gateway.apply(DataPlaneOp::AddPolicy(everything.policy()));
    assert!(is_lost(&left, &right, "10.0.4.2:5001", 100), "within 10/8, and so protected");
    for (id, device) in [(2, "e3"), (3, "e4")] {
        let ways = Ways::Over(DeviceName::new(device).unwrap(), None);
        let all = TrafficSelector::any_v4();
        gateway.apply(DataPlaneOp::AddPolicy(Policy { ways, ..policy(id, 50, all, all, Action::Bypass) }));
    }
    // Between the networks, and between them and the gateway.
    assert!(reaches(&left, &right, "10.0.4.2:5001", 100));
    assert!(reaches(&right, &left, "10.0.3.2:5001", 3000), "in fragments");
    assert!(reaches(&gateway, &left, "10.0.3.2:5002", 100));
    assert!(reaches(&left, &gateway, "10.0.3.1:5002", 100));
    tcp(&left, &right, "10.0.4.2:5003", 100_000);
    // To the outside and from there, as before.
    assert!(is_lost(&left, &outside, "10.0.1.1:5001", 100));
    assert!(is_lost(&gateway, &outside, "10.0.1.1:5001", 100));
    assert_eq!(outside.arrived("clear"), 0);
    let clear = gateway.dropped("clear packet where protection is required");
    assert!(is_lost(&outside, &left, "10.0.3.2:5001", 100));
    assert!(is_lost(&outside, &gateway, "10.0.1.2:5001", 100));
    assert_eq!(gateway.dropped("clear packet where protection is required"), clear + 2);
    gateway.apply(DataPlaneOp::DeletePolicy(PolicyId(3)));
    assert!(is_lost(&left, &right, "10.0.4.2:5001", 100));
}

/// RFC 4301 §5: IKE is looked up in the SPD like all that arrives and leaves, on both of its ports.
fn ike() {
    let (a, b) = pair();
    Tunnel::transport(1, "10.0.1.1", "10.0.1.2").add(&a, &b);
    for (port, id) in [(500, 10), (4500, 20)] {
        let (local, remote) = ((ip("10.0.1.1"), port).into(), (ip("10.0.1.2"), port).into());
        // What the host itself refuses to send is lost like any other.
        let send = || a.plane(move |plane| drop(plane.send_ike(Way::udp(local, remote), &[7; 40])));
        let arrives = || {
            send();
            assert_eq!(b.run_until(|plane| plane.poll_ike()).data, [7; 40]);
        };
        let on_port = |address| selector(address).with(17, port..=port).unwrap();
        let add = |host: &Host, id, priority, [from, to]: [TrafficSelector; 2], action| {
            host.apply(DataPlaneOp::AddPolicy(policy(id, priority, from, to, action)));
        };
        let (ours, theirs) = (on_port("10.0.1.1"), on_port("10.0.1.2"));
        let dropped = |host: &Host| host.dropped("discarded by policy");
        let before = (dropped(&a), dropped(&b));
        arrives();
        add(&b, id, 50, [theirs, ours], Action::Discard);
        send();
        wait_for(|| (dropped(&b) == before.1 + 1).then_some(()));
        add(&b, id + 1, 40, [theirs, ours], Action::Bypass);
        arrives();
        add(&a, id, 50, [ours, theirs], Action::Discard);
        send();
        assert_eq!((dropped(&a), dropped(&b)), (before.0 + 1, before.1 + 1));
        assert_eq!(b.plane(|plane| plane.poll_ike()), None);
    }
    assert_eq!((b.arrived("clear"), b.arrived("sealed")), (0, 0), "though a policy protects all between the hosts");
    // What is no IKE on that port is not asked about.
    let tunnel = Tunnel { encap: true, generation: 1, ..Tunnel::transport(1, "10.0.1.1", "10.0.1.2") };
    tunnel.add_sas(&a, &b);
    assert!(reaches(&a, &b, "10.0.1.2:5001", 100));
}
