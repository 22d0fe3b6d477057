//! Paths that are narrower than the link at hand, and who may say so.

use std::net::SocketAddr;

use ravelin_types::options::{Df, SaOptions};
use ravelin_types::policy::Mode;
use ravelin_wire::ip::{icmp, protocol, v4};
use socket2::{Domain, Protocol, Socket, Type};

use crate::Case;
use crate::lab::{Host, Tunnel, ip, link, pair, reaches, tcp, wait_for};

pub const CASES: &[Case] = &[
    ("routers_narrow_the_path_and_senders_are_told", narrow_router),
    ("strangers_narrow_no_path", strangers),
    ("the_own_link_narrows_the_path", narrow_link),
];

const TOO_BIG: &str = "too big for the path";

/// A tunnel whose packets nobody may cut, for the addresses 10.8.0.1 and 10.8.0.2 that the hosts get.
fn tunnel(a: &Host, b: &Host, ends: (&str, &str), encap: bool) {
    a.ip("addr add 10.8.0.1/32 dev lo");
    b.ip("addr add 10.8.0.2/32 dev lo");
    let options = SaOptions { df: Df::Set, ..SaOptions::default() };
    let traffic = Tunnel::transport(1, "10.8.0.1", "10.8.0.2");
    let tunnel = Tunnel { mode: Mode::Tunnel, ends: (ip(ends.0), ip(ends.1)), encap, options, ..traffic };
    tunnel.add(a, b);
    // As a daemon would: the host itself has no route to the other side.
    a.ip("route add 10.8.0.2/32 dev e1 src 10.8.0.1");
    b.ip(&format!(
        "route add 10.8.0.1/32 dev {} src 10.8.0.2",
        if b.ip("link").contains(" e3@") { "e3" } else { "e1" }
    ));
}

/// Counts packets in fragments that arrive over a link.
fn count_fragments(host: &Host, device: &str) {
    host.nft(&format!(
        "table inet fragments {{
           counter seen {{ }}
           chain arrived {{
             type filter hook prerouting priority -450;
             iifname \"{device}\" ip frag-off & 0x3fff != 0 counter name seen
             iifname \"{device}\" exthdr frag exists counter name seen
           }}
         }}"
    ));
}

fn fragments(host: &Host) -> u64 {
    let text = host.nft("list counter inet fragments seen");
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "packets").unwrap();
    words[at + 1].parse().unwrap()
}

/// The link behind a router takes 1300 bytes. TCP does not stall, and once it is known nothing is cut.
fn narrow_router() {
    for (ends, encap) in [
        (("10.0.1.1", "10.0.3.2"), false),
        (("10.0.1.1", "10.0.3.2"), true),
        (("fd00:1::1", "fd00:3::2"), false),
        (("fd00:1::1", "fd00:3::2"), true),
    ] {
        let [a, router, b] = ["a", "router", "b"].map(Host::new);
        link(&a, &router, 1);
        link(&router, &b, 3);
        router.forward();
        router.ip("link set e3 mtu 1300");
        b.ip("link set e3 mtu 1300");
        a.ip("route add 10.0.3.0/24 via 10.0.1.2");
        b.ip("route add 10.0.1.0/24 via 10.0.3.1");
        a.ip("-6 route add fd00:3::/64 via fd00:1::2");
        b.ip("-6 route add fd00:1::/64 via fd00:3::1");
        a.start();
        b.start();
        tunnel(&a, &b, ends, encap);
        count_fragments(&b, "e3");
        assert!(reaches(&a, &b, "10.8.0.2:5001", 100));
        tcp(&a, &b, "10.8.0.2:5001", 1 << 20);
        let told = a.dropped(TOO_BIG);
        assert!(told > 0, "{ends:?}");
        let before = fragments(&b);
        tcp(&a, &b, "10.8.0.2:5001", 1 << 20);
        assert_eq!((fragments(&b), b.dropped("clear")), (before, 0), "{ends:?}");
    }
}

fn header(src: &str, dst: &str, protocol: u8, len: usize) -> [u8; v4::HEADER_LEN] {
    let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
    let total_len = len.try_into().unwrap();
    let mut header = [0; v4::HEADER_LEN];
    v4::Fields { tos: 0, total_len, id: 0, dont_fragment: true, ttl: 63, protocol, src, dst }.emit(&mut header);
    header
}

/// Sends the message that a packet of 1400 bytes from 10.0.1.1 on an SA was too big for `mtu`.
fn claim(router: &Host, spi: u32, sequence: u32, dst: &str, mtu: u16) {
    let mut message = vec![0; icmp::overhead(true)];
    message.extend(header("10.0.1.1", dst, protocol::ESP, 1400));
    message.extend(spi.to_be_bytes());
    message.extend(sequence.to_be_bytes());
    icmp::emit_too_big(&mut message, ip("10.0.1.1"), ip(dst), mtu);
    router.run(move || {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).unwrap();
        socket.send_to(&message[v4::HEADER_LEN..], &socket_addr("10.0.1.1").into()).unwrap();
    });
}

/// Sends a packet of this length through the tunnel that nobody may cut, whatever the host knows of the path.
fn send_whole(a: &Host, len: usize) {
    let mut packet = header("10.8.0.1", "10.8.0.2", 253, len).to_vec();
    packet.resize(len, 0x5a);
    a.run(move || {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW))).unwrap();
        socket.send_to(&packet, &socket_addr("10.8.0.2").into()).unwrap();
    });
}

fn socket_addr(address: &str) -> SocketAddr {
    SocketAddr::new(ip(address), 0)
}

// docs/HISTORY.md, row 121: a message that is not about a packet of ours narrows nothing, and none narrows below what
// every path takes.
fn strangers() {
    let (a, b) = pair();
    tunnel(&a, &b, ("10.0.1.1", "10.0.1.2"), false);
    assert!(reaches(&a, &b, "10.8.0.2:5001", 1200));
    let told = |len: usize| {
        let before = a.dropped(TOO_BIG);
        send_whole(&a, len);
        // One behind the other: when this one has crossed, that one was decided about.
        assert!(reaches(&a, &b, "10.8.0.2:5001", 100));
        a.dropped(TOO_BIG) > before
    };
    let spi = 0x1100;
    for (spi, sequence, dst) in [(spi + 2, 1, "10.0.1.2"), (spi, 1000, "10.0.1.2"), (spi, 1, "10.0.1.3")] {
        claim(&b, spi, sequence, dst, 700);
    }
    // One that is believed tells that those before it were seen.
    claim(&b, spi, 1, "10.0.1.2", 1300);
    wait_for(|| told(1280).then_some(()));
    assert!(!told(1200), "which does not fit into 700");
    claim(&b, spi, 1, "10.0.1.2", 68);
    wait_for(|| told(1200).then_some(()));
    assert!(!told(500), "which fits into 576");
}

/// No router is there to tell: the kernel refuses what does not fit the link.
fn narrow_link() {
    for encap in [false, true] {
        let (a, b) = pair();
        tunnel(&a, &b, ("10.0.1.1", "10.0.1.2"), encap);
        for host in [&a, &b] {
            host.ip("link set e1 mtu 1300");
        }
        count_fragments(&b, "e1");
        tcp(&a, &b, "10.8.0.2:5001", 1 << 20);
        assert!(a.dropped(TOO_BIG) > 0 && a.dropped("could not be sent") > 0);
        assert_eq!((fragments(&b), b.arrived("clear")), (0, 0));
    }
}
