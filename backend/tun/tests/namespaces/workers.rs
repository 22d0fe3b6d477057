//! SAs that are dealt out among workers: what one of them owns the others never see, and yet it is one data plane.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::thread::{JoinHandle, spawn};

use ravelin_tun::TunDataPlane;
use ravelin_types::dataplane::{DataPlane, DataPlaneEvent, DataPlaneOp};
use ravelin_types::options::SaOptions;
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::selector::TrafficSelector;

use crate::Case;
use crate::lab::{Host, PATIENCE, Tunnel, ip, is_lost, link, pair, reaches, selector, tcp, wait_for, workers};

pub const CASES: &[Case] = &[
    ("many_sas_of_one_peer_carry_each_flow_in_order", many_sas),
    ("an_sa_is_replaced_under_traffic_without_loss", replaced_under_traffic),
    ("a_packet_that_another_worker_read_finds_its_sa", strays),
    ("devices_and_routes_of_all_workers_vanish", leaves),
];

/// Tunnels between one pair of hosts.
const TUNNELS: u32 = 8;
/// Datagrams that are under way at a time, of each flow.
const WINDOW: usize = 32;

/// The tunnel of this number between 10.1.0.x on one host and 10.2.0.x on the other, with SPIs that differ in all their bits.
fn tunnel(host_a: &Host, host_b: &Host, id: u32, encap: bool) -> Tunnel {
    let (inner_a, inner_b) = (format!("10.1.0.{id}"), format!("10.2.0.{id}"));
    host_a.ip(&format!("addr add {inner_a}/32 dev lo"));
    host_b.ip(&format!("addr add {inner_b}/32 dev lo"));
    host_a.ip(&format!("route add {inner_b} via 10.0.1.2 src {inner_a}"));
    host_b.ip(&format!("route add {inner_a} via 10.0.1.1 src {inner_b}"));
    let ends = (ip("10.0.1.1"), ip("10.0.1.2"));
    let base = Tunnel::transport(id, &inner_a, &inner_b);
    Tunnel { mode: Mode::Tunnel, ends, encap, generation: id, ..base }
}

/// Sends numbered datagrams from one host to the other, `WINDOW` of them before the last is answered, for so many windows.
/// Fails where one is missing, or where they come out of turn and shall not.
fn numbered(a: &Host, b: &Host, id: u32, windows: usize, in_order: bool) -> JoinHandle<()> {
    let (from, to) = (format!("10.1.0.{id}:0"), format!("10.2.0.{id}:5001"));
    let server = b.run({
        let to = to.clone();
        move || UdpSocket::bind(to).unwrap()
    });
    let client = a.run(move || UdpSocket::bind(from).unwrap());
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(to).unwrap();
    let echo = spawn(move || {
        let mut datagram = [0; 1200];
        for window in 0..windows {
            let mut numbers = Vec::with_capacity(WINDOW);
            let mut last = None;
            for _ in 0..WINDOW {
                let (len, from) = server.recv_from(&mut datagram).expect("a datagram comes");
                assert_eq!(len, 1200, "tunnel {id}");
                numbers.push(u32::from_be_bytes(datagram[..4].try_into().unwrap()));
                last = Some(from);
            }
            if !in_order {
                numbers.sort_unstable();
            }
            let first = (window * WINDOW) as u32;
            assert_eq!(numbers, (first..first + WINDOW as u32).collect::<Vec<_>>(), "tunnel {id}");
            server.send_to(&datagram[..4], last.unwrap()).unwrap();
        }
    });
    spawn(move || {
        let mut datagram = [0x5a; 1200];
        for window in 0..windows {
            for number in window * WINDOW..(window + 1) * WINDOW {
                datagram[..4].copy_from_slice(&(number as u32).to_be_bytes());
                client.send(&datagram).unwrap();
            }
            client.recv(&mut [0; 4]).expect("the window is answered");
        }
        echo.join().unwrap();
    })
}

/// Datagrams of many SAs of one peer come in trains that mix them.
fn many_sas() {
    for encap in [true, false] {
        let (a, b) = pair();
        let tunnels: Vec<Tunnel> = (1..=TUNNELS).map(|id| tunnel(&a, &b, id, encap)).collect();
        tunnels.iter().for_each(|tunnel| tunnel.add(&a, &b));
        let flows: Vec<_> = (1..=TUNNELS).map(|id| numbered(&a, &b, id, 40, true)).collect();
        flows.into_iter().for_each(|flow| flow.join().unwrap());
        tcp(&a, &b, "10.2.0.3:5002", 2 << 20);
        tcp(&b, &a, "10.1.0.4:5002", 2 << 20);
        for host in [&a, &b] {
            // The sums are those of all workers, once the last acknowledgement is counted.
            let (list, counters) = wait_for(|| {
                let (list, counters) = (host.plane(DataPlane::list), host.plane(TunDataPlane::counters));
                let packets: u64 = list.iter().map(|sa| sa.counters.packets).sum();
                (packets == counters.protected.0 + counters.protected.1).then_some((list, counters))
            });
            let names: BTreeSet<_> = list.iter().map(|sa| sa.params.id()).collect();
            assert_eq!((list.len(), names.len()), (2 * TUNNELS as usize, 2 * TUNNELS as usize), "each is listed once");
            assert!(list.iter().all(|sa| sa.counters.replayed == 0 && sa.counters.packets > 0));
            assert_eq!(host.dropped(""), 0, "{:?}", counters.drops);
        }
        assert_eq!(b.arrived("clear"), 0);
    }
}

/// SAs follow each other while packets flow, as after a rekey: the inbound ones first, and the old ones go later. With several
/// workers the old SA and the new one may be of two, and the first packet of the one comes before the last of the other.
fn replaced_under_traffic() {
    for encap in [true, false] {
        let (a, b) = pair();
        let mut tunnels: Vec<Tunnel> = (1..=3).map(|id| tunnel(&a, &b, id, encap)).collect();
        tunnels.iter().for_each(|tunnel| tunnel.add(&a, &b));
        let flows: Vec<_> = (1..=3).map(|id| numbered(&a, &b, id, 200, workers() == 1)).collect();
        for _ in 0..8 {
            for tunnel in &mut tunnels {
                let old = tunnel.clone();
                tunnel.generation += 3;
                tunnel.add_sas(&a, &b);
                old.delete_sas(&a, &b);
            }
        }
        flows.into_iter().for_each(|flow| flow.join().unwrap());
        assert_eq!(a.plane(DataPlane::list).len(), 6);
        assert_eq!((a.dropped("too many"), b.dropped("too many"), b.arrived("clear")), (0, 0, 0));
    }
}

/// A later fragment shows no port. One engine remembers what the first showed, and the SA may be another worker's.
fn strays() {
    let [left, a, b, right] = ["left", "a", "b", "right"].map(Host::new);
    link(&a, &b, 1);
    link(&a, &left, 2);
    link(&b, &right, 3);
    for gateway in [&a, &b] {
        gateway.forward();
        gateway.start();
    }
    left.ip("route add default via 10.0.2.1");
    right.ip("route add default via 10.0.3.1");
    // For each port an SA; a later fragment might be of any.
    let workers = workers() as u32;
    for id in 1..=workers {
        let on_port = |text: &str| -> TrafficSelector {
            let port = 5000 + id as u16;
            let ports = if text.starts_with("10.0.3") { port..=port } else { 0..=u16::MAX };
            selector(text).with(17, ports).unwrap()
        };
        let ends = (ip("10.0.1.1"), ip("10.0.1.2"));
        let (local, remote) = (on_port("10.0.2.0/24"), on_port("10.0.3.0/24"));
        let base = Tunnel::transport(id, "10.0.1.1", "10.0.1.2");
        // Both ends agreed to carry what does not show its ports (RFC 4301 §7.3).
        let options = SaOptions { later_fragments: true, ..SaOptions::default() };
        Tunnel { mode: Mode::Tunnel, ends, local, remote, generation: id, options, ..base }.add(&a, &b);
    }
    // Nothing puts fragments together on the way.
    for id in (1..=workers).rev() {
        let address = format!("10.0.3.2:{}", 5000 + id);
        for _ in 0..3 {
            assert!(reaches(&left, &right, &address, 4000), "{address}");
        }
    }
    assert_eq!((a.dropped("too many"), b.arrived("clear")), (0, 0));
    // And each asks for its SA once, whoever read the packet.
    let last = PolicyId(workers);
    let base = Tunnel { generation: workers, ..Tunnel::transport(workers, "10.0.1.1", "10.0.1.2") };
    let (forth, _) = base.spis();
    let id = a.plane(DataPlane::list).into_iter().find(|sa| sa.params.spi.0 == forth).unwrap().params.id();
    a.apply(DataPlaneOp::DeleteSa(id));
    let address = format!("10.0.3.2:{}", 5000 + workers);
    assert!(is_lost(&left, &right, &address, 4000));
    let event = a.run_until(|plane| plane.poll_event());
    assert!(matches!(event, DataPlaneEvent::Acquire { policy, .. } if policy == last), "{event:?}");
    assert_eq!(a.plane(|plane| plane.poll_event()), None);
}

/// Rules and devices of further workers are taken away like those of the first.
fn leaves() {
    let (a, b) = pair();
    let workers = workers();
    let devices = |host: &Host| host.ip("-br link show type tun").lines().count();
    let rules = |host: &Host| host.ip("rule").lines().filter(|line| line.contains("fwmark")).count();
    assert_eq!((devices(&a), rules(&a)), (workers, 2 * workers + 1));
    a.stop();
    assert_eq!((devices(&a), rules(&a)), (0, 0));
    // Who is killed leaves rules, and the next start takes them away.
    b.run_panic();
    b.start_after_crash();
    assert_eq!((devices(&b), rules(&b)), (workers, 2 * workers + 1));
    wait_for(|| (devices(&b) == workers).then_some(()));
}
