//! Packets that travel as one: super-packets of datagrams, trains of ESP in UDP, and what waits when there is no room.
//! What is cut or merged wrongly the kernel at the far side drops for its checksum, so it does not arrive.

use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::process::Command;

use ravelin_tun::TunConfig;
use ravelin_types::dataplane::DataPlane;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Case;
use crate::lab::{self, Host, PATIENCE, Tunnel, link, pair, selector, socket, tcp, wait_for};

pub const CASES: &[Case] = &[
    ("datagrams_cross_as_super_packets", datagrams),
    ("datagrams_of_many_flows_and_lengths", many_flows),
    ("trains_longer_than_the_path", long_trains),
    ("both_directions_on_one_processor", one_processor),
    ("a_link_without_room_holds_up_no_operation", no_room),
];

/// A socket that hands the kernel many datagrams of `length` bytes as one (UDP_SEGMENT).
fn in_segments(host: &Host, to: &str, length: u16) -> UdpSocket {
    let to = socket(to);
    host.run(move || {
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).unwrap();
        socket.connect(to).unwrap();
        let value = libc::c_int::from(length);
        // SAFETY: the pointer and the length describe `value`, which lives until the call returns.
        let result = unsafe {
            let length = size_of::<libc::c_int>() as libc::socklen_t;
            libc::setsockopt(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, (&raw const value).cast(), length)
        };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        socket
    })
}

fn listen(host: &Host, at: &str) -> UdpSocket {
    let at = socket(at);
    let server = host.run(move || UdpSocket::bind(at).unwrap());
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    server
}

/// The next datagram.
fn receive(server: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_536];
    let len = server.recv(&mut buffer).expect("a datagram comes");
    buffer[..len].to_vec()
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

/// Packets that crossed the device: to the host's stack, and from it.
fn device_packets(host: &Host) -> (u64, u64) {
    let counters = host.run(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap());
    let line = counters.lines().find_map(|line| line.trim().strip_prefix("ravelin0:")).unwrap().to_owned();
    let column = |i| line.split_whitespace().nth(i).unwrap().parse::<u64>().unwrap();
    (column(1), column(9))
}

/// One write of many datagrams, the last one shorter, is as many datagrams at the far side.
fn datagrams() {
    for encap in [false, true] {
        let (a, b) = pair();
        Tunnel { encap, ..Tunnel::transport(1, "10.0.1.1", "10.0.1.2") }.add(&a, &b);
        Tunnel { encap, ..Tunnel::transport(2, "fd00:1::1", "fd00:1::2") }.add(&a, &b);
        for to in ["10.0.1.2:5001", "[fd00:1::2]:5001"] {
            let (server, client) = (listen(&b, to), in_segments(&a, to, 100));
            let sent = bytes(6030);
            for _ in 0..10 {
                assert_eq!(client.send(&sent).unwrap(), sent.len());
                for piece in sent.chunks(100) {
                    assert_eq!(receive(&server), piece);
                }
            }
        }
        // 20 writes of 61 datagrams each: neither device saw them one by one.
        let ((delivered, _), (_, read)) = (device_packets(&b), device_packets(&a));
        assert!(read < 100, "{read} super-packets for 20 writes");
        assert!(!encap || delivered < 600, "{delivered} super-packets for 1220 datagrams");
        assert_eq!((b.arrived("clear"), a.dropped("malformed super-packet")), (0, 0));
    }
}

/// Flows that alternate, each with a length of its own: every flow arrives whole and in order.
fn many_flows() {
    let (a, b) = pair();
    Tunnel { encap: true, ..Tunnel::transport(1, "10.0.1.1", "10.0.1.2") }.add(&a, &b);
    let flows: Vec<_> = (0..8u16)
        .map(|i| {
            let at = format!("10.0.1.2:{}", 5001 + i);
            (listen(&b, &at), in_segments(&a, &at, 50 + 37 * i), usize::from(50 + 37 * i))
        })
        .collect();
    let sent = bytes(4000);
    for _ in 0..5 {
        flows.iter().for_each(|(_, client, _)| assert_eq!(client.send(&sent).unwrap(), sent.len()));
        for (server, _, length) in &flows {
            for piece in sent.chunks(*length) {
                assert_eq!(receive(server), piece);
            }
        }
    }
}

/// Datagrams that must be fragmented on the path cannot leave as a train: they leave one by one.
fn long_trains() {
    let (a, b) = pair();
    Tunnel { encap: true, ..Tunnel::transport(1, "10.0.1.1", "10.0.1.2") }.add(&a, &b);
    for host in [&a, &b] {
        host.ip("link set e1 mtu 1300");
    }
    let (server, client) = (listen(&b, "10.0.1.2:5001"), in_segments(&a, "10.0.1.2:5001", 1250));
    let sent = bytes(1250 * 9 + 5);
    assert_eq!(client.send(&sent).unwrap(), sent.len());
    for piece in sent.chunks(1250) {
        assert_eq!(receive(&server), piece);
    }
    assert_eq!(a.dropped("could not be sent"), 0);
}

/// A process that may use one processor carries both directions on one thread.
fn one_processor() {
    let (a, b) = (Host::new("a"), Host::new("b"));
    link(&a, &b, 1);
    for host in [&a, &b] {
        host.run(|| {
            let allowed = sched_getaffinity(None).unwrap();
            let mut one = CpuSet::new();
            one.set((0..CpuSet::MAX_CPU).find(|&cpu| allowed.is_set(cpu)).unwrap());
            sched_setaffinity(None, &one).unwrap();
        });
        host.start_with(TunConfig { workers: 1, ..lab::config() });
    }
    // A thread gives itself its name when it begins to run.
    wait_for(|| {
        let threads = std::fs::read_dir("/proc/self/task").unwrap();
        let names = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("comm")).unwrap());
        (names.filter(|name| name.trim() == "ravelin-packets").count() == 2).then_some(())
    });
    Tunnel { encap: true, ..Tunnel::transport(1, "10.0.1.1", "10.0.1.2") }.add(&a, &b);
    Tunnel::transport(2, "fd00:1::1", "fd00:1::2").add(&a, &b);
    tcp(&a, &b, "10.0.1.2:5001", 4 << 20);
    tcp(&b, &a, "[fd00:1::1]:5001", 4 << 20);
    assert_eq!((a.arrived("clear"), b.arrived("clear")), (0, 0));
    a.stop();
    assert_eq!(a.ip("-d link show type tun"), "");
}

/// The link takes a kilobyte per second. The device's queue and the socket fill up, and operations are carried out all
/// the same; when the link is free again, what waited is sent.
fn no_room() {
    for encap in [false, true] {
        let (a, b) = pair();
        let tunnel = Tunnel { encap, ..Tunnel::transport(1, "10.0.1.1", "10.0.1.2") };
        tunnel.add(&a, &b);
        let (server, client) = (listen(&b, "10.0.1.2:5001"), in_segments(&a, "10.0.1.2:5001", 1200));
        let slow = ["-n", &a.name, "qdisc", "add", "dev", "e1", "root", "tbf"];
        let limits = ["rate", "8kbit", "burst", "5kb", "limit", "32mb"];
        let limited = Command::new("tc").args(slow).args(limits).output();
        if !limited.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: this kernel has no token bucket filter (sch_tbf)");
            return;
        }
        let sent = bytes(1200 * 50);
        for _ in 0..100 {
            assert_eq!(client.send(&sent).unwrap(), sent.len());
        }
        // A part of the 5000 datagrams was sealed, and then there was no room.
        let sealed = || {
            let list = a.plane(DataPlane::list);
            list.iter().map(|sa| sa.counters.packets).max().unwrap_or_default()
        };
        let mut last = 0;
        wait_for(|| {
            let before = std::mem::replace(&mut last, sealed());
            (before == last && last > 100).then_some(())
        });
        assert!(last < 5000, "all {last} found room");
        let other = Tunnel { id: 2, local: selector("10.0.9.1"), remote: selector("10.0.9.2"), ..tunnel };
        other.add(&a, &b);
        // What the link held is lost with its queue, what waited behind it is sent.
        crate::sh("tc", &["-n", &a.name, "qdisc", "del", "dev", "e1", "root"]);
        wait_for(|| (sealed() == 5000).then_some(()));
        (0..20).for_each(|_| assert_eq!(receive(&server).len(), 1200));
        assert_eq!(a.dropped("could not be sent"), 0);
    }
}
