//! What strangers and NATs send to the ports.

use std::net::UdpSocket;
use std::time::Duration;

use ravelin_tun::TunConfig;
use ravelin_types::dataplane::{DataPlane, DataPlaneOp};

use crate::Case;
use crate::lab::{self, Host, Tunnel, is_lost, link, pair, socket, tcp, wait_for};

pub const CASES: &[Case] = &[
    ("malformed_datagrams_on_both_ports", malformed),
    ("more_ike_messages_than_anyone_reads", flood),
    ("esp_without_an_sa_is_counted_and_not_answered", unknown_spi),
    ("keepalives_are_sent_and_swallowed", keepalives),
];

/// Sends datagrams from an unbound socket of `a`.
fn send(a: &Host, to: &str, datagrams: Vec<Vec<u8>>) {
    let to = socket(to);
    a.run(move || {
        let from = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).unwrap();
        for datagram in datagrams {
            from.send_to(&datagram, to).unwrap();
        }
    });
}

// docs/HISTORY.md, row 124: datagrams of 0 to 8 bytes, the marker alone, a keepalive, SPI 0.
fn malformed() {
    let (a, b) = pair();
    Tunnel::transport(1, "10.0.1.1", "10.0.1.2").add(&a, &b);
    for to in ["10.0.1.2:4500", "[fd00:1::2]:4500"] {
        let all_ones = (0..=8).map(|len| vec![0xff; len]);
        let all_zeros = (0..=3).map(|len| vec![0; len]);
        send(&a, to, all_ones.chain(all_zeros).collect());
    }
    // Of 13 datagrams one is a keepalive and one has the length of ESP.
    wait_for(|| (b.dropped("neither ESP nor AH nor IKE nor a keepalive") == 2 * 11).then_some(()));
    wait_for(|| (b.dropped("NAT keepalives received") == 2).then_some(()));
    assert_eq!(b.plane(|plane| plane.poll_ike()), None);
    // The marker with nothing behind it is an IKE message, which is for the daemon to refuse.
    send(&a, "10.0.1.2:4500", vec![vec![0; 4]]);
    assert_eq!(b.run_until(|plane| plane.poll_ike()).data, b"");
    tcp(&a, &b, "10.0.1.2:5001", 100_000);
}

fn flood() {
    let (a, b) = pair();
    Tunnel::transport(1, "10.0.1.1", "10.0.1.2").add(&a, &b);
    for _ in 0..10 {
        send(&a, "10.0.1.2:500", vec![vec![7; 1200]; 100]);
    }
    let dropped = wait_for(|| Some(b.dropped("IKE messages while too many waited")).filter(|&count| count > 0));
    let mut waiting = 0;
    while b.plane(|plane| plane.poll_ike()).is_some() {
        waiting += 1;
    }
    assert!(waiting >= 256 && dropped > 0, "{waiting} waited, {dropped} were dropped");
    tcp(&a, &b, "10.0.1.2:5001", 100_000);
}

fn unknown_spi() {
    let (a, b) = pair();
    for tunnel in [Tunnel::transport(1, "10.0.1.1", "10.0.1.2"), Tunnel::transport(2, "fd00:1::1", "fd00:1::2")] {
        tunnel.add(&a, &b);
    }
    for sa in b.plane(DataPlane::list) {
        b.apply(DataPlaneOp::DeleteSa(sa.params.id()));
    }
    assert!(is_lost(&a, &b, "10.0.1.2:5001", 100));
    assert!(is_lost(&a, &b, "[fd00:1::2]:5001", 100));
    wait_for(|| (b.dropped("no SA with this SPI") == 2).then_some(()));
    // The kernel knows nothing of ESP, but the packets had a reader: no ICMP goes back.
    assert_eq!((a.arrived("clear"), a.arrived("sealed")), (0, 0));
}

fn keepalives() {
    let (a, b) = (Host::new("a"), Host::new("b"));
    link(&a, &b, 1);
    a.start_with(TunConfig { keepalive: Some(Duration::from_millis(50)), ..lab::config() });
    b.start();
    Tunnel { encap: true, ..Tunnel::transport(1, "10.0.1.1", "10.0.1.2") }.add(&a, &b);
    Tunnel { encap: true, ..Tunnel::transport(2, "fd00:1::1", "fd00:1::2") }.add(&a, &b);
    wait_for(|| (b.dropped("NAT keepalives received") >= 6).then_some(()));
    assert_eq!(b.plane(|plane| plane.poll_ike()), None);
    for sa in a.plane(DataPlane::list) {
        a.apply(DataPlaneOp::DeleteSa(sa.params.id()));
    }
    let after = b.arrived("encapsulated");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(b.arrived("encapsulated"), after, "no SA, no keepalive");
}
