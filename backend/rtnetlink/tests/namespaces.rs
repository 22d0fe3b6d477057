//! Internal addresses in a network namespace of the test's own: real sockets choose their source as on a host.
//!
//! Works for ordinary users where user namespaces are allowed.

// The whole program is a test, which the lint cannot see without the standard harness.
#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, UdpSocket};
use std::process::{Command, ExitCode};

use ravelin_rtnetlink::{Inside, InsideConfig, InsideRoute, Keeper, undo_leftovers};
use ravelin_store::FileStore;
use ravelin_testkit::namespace::again_inside;
use ravelin_testkit::program::{Case, Outcome, Program};

/// Set in the program's second life, inside its namespaces.
const INSIDE: &str = "RAVELIN_RTNETLINK_TEST_INSIDE";

const CASES: &[(&str, fn())] = &[
    ("only_traffic_of_the_tunnel_has_an_internal_address_as_its_source", sources),
    ("what_a_killed_daemon_left_is_undone_at_the_next_start", leftovers),
    ("no_peer_takes_over_what_the_device_has_already", taken),
];

fn main() -> ExitCode {
    let program = Program::this();
    // Each in a namespace of its own, where the program's only argument is the name of the case.
    if std::env::var_os(INSIDE).is_some() {
        let case = CASES.iter().find(|(name, _)| program.arguments() == [*name]);
        let passed = case.is_some_and(|(_, case)| Outcome::of(case) == Outcome::Passed);
        return ExitCode::from(u8::from(!passed));
    }
    let again = |name| again_inside(INSIDE, &[name]);
    program.run(CASES.iter().map(|(name, _)| Case::new(*name, None, move || again(name))))
}

fn sh(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{line}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A host at 192.0.2.1 and 2001:db8:f::1, its peer at .2, and a default route by way of a router.
fn host() {
    sh("ip link set lo up; ip link add eth0 type veth peer name far; ip link set eth0 up; ip link set far up");
    sh("ip addr add 192.0.2.1/24 dev eth0; ip route add default via 192.0.2.254");
    sh("ip -6 addr add 2001:db8:f::1/64 dev eth0 nodad; ip -6 route add default via 2001:db8:f::254");
}

/// What of ours is in the system.
fn ours() -> Vec<String> {
    let all = sh("ip address show; ip rule; ip -6 rule; ip route show table all; ip -6 route show table all");
    let marks = ["10.3.0.1", "2001:db8:3::1", "29310", "5220"];
    all.lines().filter(|line| marks.iter().any(|mark| line.contains(mark))).map(str::to_owned).collect()
}

/// The source that a socket gets which asks for none.
fn source(to: &str) -> IpAddr {
    let any = if ip(to).is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).unwrap();
    socket.connect((ip(to), 9)).unwrap();
    socket.local_addr().unwrap().ip()
}

fn inside() -> Inside {
    let route = |net: &str, length, source: &str, peer: &str| InsideRoute {
        destination: (ip(net), length),
        source: ip(source),
        peer: ip(peer),
    };
    Inside {
        addresses: [ip("10.3.0.1"), ip("2001:db8:3::1")].into(),
        routes: [
            route("10.2.0.0", 16, "10.3.0.1", "192.0.2.2"),
            route("2001:db8:2::", 48, "2001:db8:3::1", "2001:db8:f::2"),
        ]
        .into(),
    }
}

fn store() -> FileStore {
    let path = std::env::temp_dir().join(format!("ravelin-inside-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    FileStore::open(path).unwrap()
}

/// On the loopback device as with the kernel's IPsec, and on one of our own.
fn sources() {
    host();
    sh("ip link add tunnel type veth peer name nowhere; ip link set tunnel up; ip link set nowhere up");
    let mut store = store();
    for (device, own_mark) in [("lo", None), ("tunnel", Some(0x0200_0000))] {
        let mut keeper = Keeper::new(InsideConfig { device: device.to_owned(), own_mark });
        assert_eq!(keeper.set(&inside(), &mut store), Vec::<String>::new());
        // What goes through the tunnel.
        assert_eq!((source("10.2.0.1"), source("2001:db8:2::1")), (ip("10.3.0.1"), ip("2001:db8:3::1")));
        // What does not: neighbours and the rest of the world.
        for other in ["192.0.2.2", "203.0.113.1"] {
            assert_eq!(source(other), ip("192.0.2.1"), "{device}: {other}");
        }
        for other in ["2001:db8:f::2", "2001:db8:4::1", "2001:db8:3::2", "2001:db8:3:1::1"] {
            assert_eq!(source(other), ip("2001:db8:f::1"), "{device}: {other}");
        }
        // Nor is it chosen where it would be the nearest of all, for anything that does not follow the routes.
        sh("ip -6 addr add 2001:db8:3:ffff::1/128 dev eth0 nodad");
        assert_eq!(source("2001:db8:3::77"), ip("2001:db8:3:ffff::1"), "{device}");
        sh("ip -6 addr del 2001:db8:3:ffff::1/128 dev eth0");
        let shown = sh(&format!("ip -6 address show dev {device} deprecated"));
        assert!(shown.contains("2001:db8:3::1/128"), "{shown}");
        // The whole world through the tunnel: the daemon's own packets still find the peer.
        let mut all = inside();
        all.routes =
            [InsideRoute { destination: (ip("0.0.0.0"), 0), source: ip("10.3.0.1"), peer: ip("192.0.2.2") }].into();
        assert_eq!(keeper.set(&all, &mut store), Vec::<String>::new());
        assert_eq!((source("203.0.113.1"), source("2001:db8:2::1")), (ip("10.3.0.1"), ip("2001:db8:f::1")));
        // IPv6 through a tunnel to an IPv4 peer behind a router, and the other way round.
        all.routes = [
            InsideRoute { destination: (ip("2001:db8:2::"), 48), source: ip("2001:db8:3::1"), peer: ip("203.0.113.9") },
            InsideRoute { destination: (ip("10.2.0.0"), 16), source: ip("10.3.0.1"), peer: ip("2001:db8:9::9") },
        ]
        .into();
        assert_eq!(keeper.set(&all, &mut store), Vec::<String>::new());
        assert_eq!((source("10.2.0.1"), source("2001:db8:2::1")), (ip("10.3.0.1"), ip("2001:db8:3::1")));
        assert_eq!(keeper.set(&Inside::default(), &mut store), Vec::<String>::new());
        assert_eq!(ours(), Vec::<String>::new(), "{device}");
    }
}

fn leftovers() {
    host();
    let mut store = store();
    let mut keeper = Keeper::new(InsideConfig { device: "lo".to_owned(), own_mark: None });
    assert_eq!(keeper.set(&inside(), &mut store), Vec::<String>::new());
    assert!(ours().len() >= 6);
    drop(keeper);
    let undone = undo_leftovers(&mut store).unwrap();
    assert_eq!(undone.len(), 2, "{undone:?}");
    assert_eq!(ours(), Vec::<String>::new());
    assert_eq!(undo_leftovers(&mut store).unwrap(), Vec::<String>::new());
    // A device that is gone took its address along.
    sh("ip link add tunnel type veth peer name nowhere; ip link set tunnel up");
    let mut keeper = Keeper::new(InsideConfig { device: "tunnel".to_owned(), own_mark: None });
    let _ = keeper.set(&inside(), &mut store);
    sh("ip link del tunnel");
    assert_eq!(undo_leftovers(&mut store).unwrap(), Vec::<String>::new());
    assert_eq!(ours(), Vec::<String>::new());
}

/// A peer gives this host one of its own addresses, and takes it away again.
fn taken() {
    host();
    let mut store = store();
    let before = sh("ip address show dev eth0");
    let mut keeper = Keeper::new(InsideConfig { device: "eth0".to_owned(), own_mark: None });
    let own = ip("2001:db8:f::1");
    let route = InsideRoute { destination: (ip("2001:db8:2::"), 48), source: own, peer: ip("2001:db8:f::2") };
    let failed = keeper.set(&Inside { addresses: [own].into(), routes: [route].into() }, &mut store);
    assert!(failed.len() == 1 && failed[0].contains("the device has it already"), "{failed:?}");
    assert_eq!(sh("ip address show dev eth0"), before);
    assert_eq!(undo_leftovers(&mut store).unwrap(), Vec::<String>::new());
    assert_eq!(keeper.set(&Inside::default(), &mut store), Vec::<String>::new());
    assert_eq!((sh("ip address show dev eth0"), ours()), (before, Vec::new()));
}
