//! The hosts of the examples, with the addresses that strongSwan's build fills in.

use anyhow::{Context, Result};
use ravelin_interop::lab::{RAVELIN, SWAN};
use ravelin_interop::process::{Namespace, sh};

/// A host of the examples: its name, its addresses on the wire, and those behind it.
pub struct Place(pub &'static str, pub [&'static str; 2], pub &'static [&'static str]);

/// Alice and venus are in a network behind moon, and alice in the other one, too. Here both are on the wire, and moon is not there.
pub const PLACES: [Place; 6] = [
    Place("moon", ["192.168.0.1", "fec0::1"], &["10.1.0.1", "10.1.0.10", "10.1.0.20", "fec1::1", "fec1::10"]),
    Place("sun", ["192.168.0.2", "fec0::2"], &["10.2.0.1", "10.2.0.10", "fec2::1", "fec2::10"]),
    Place("carol", ["192.168.0.100", "fec0::10"], &[]),
    Place("dave", ["192.168.0.200", "fec0::20"], &[]),
    Place("alice", ["192.168.0.50", "fec0::5"], &["10.1.0.10"]),
    Place("venus", ["192.168.0.60", "fec0::6"], &["10.1.0.20"]),
];

/// What strongSwan's build fills in; the longer names first.
const ADDRESSES: [(&str, &str); 15] = [
    ("PH_IP6_MOON", "fec0::1"),
    ("PH_IP6_SUN", "fec0::2"),
    ("PH_IP6_CAROL", "fec0::10"),
    ("PH_IP6_DAVE", "fec0::20"),
    ("PH_IP_MOON1", "10.1.0.1"),
    ("PH_IP_MOON", "192.168.0.1"),
    ("PH_IP_SUN1", "10.2.0.1"),
    ("PH_IP_SUN", "192.168.0.2"),
    ("PH_IP_CAROL1", "10.3.0.1"),
    ("PH_IP_CAROL", "192.168.0.100"),
    ("PH_IP_DAVE1", "10.3.0.2"),
    ("PH_IP_DAVE", "192.168.0.200"),
    ("PH_IP_ALICE", "10.1.0.10"),
    ("PH_IP_VENUS", "10.1.0.20"),
    ("PH_IP_BOB", "10.2.0.10"),
];

/// What a file of an example says.
pub fn filled(text: &str) -> String {
    ADDRESSES.iter().fold(text.to_owned(), |text, (name, address)| text.replace(name, address))
}

/// Who a host says it is: those of road warriors are names of mail.
pub fn identity(host: &str) -> String {
    match host {
        "carol" | "dave" | "alice" => format!("{host}@strongswan.org"),
        _ => format!("{host}.strongswan.org"),
    }
}

/// Makes the chains of iptables, without a rule.
const FILTERS: &str = "for program in iptables ip6tables; do
  for chain in INPUT OUTPUT FORWARD; do $program -A $chain -j ACCEPT; $program -D $chain -j ACCEPT; done
done";

/// The host of the servers that everybody asks, which each has itself here.
pub const WINNETOU: &str = "192.168.0.150";

/// Gives the hosts their names in the sandbox's own `/etc/hosts`.
pub fn name() -> Result<()> {
    let names: String = PLACES.iter().map(|Place(name, [v4, _], _)| format!("{v4} {name}.strongswan.org\\n")).collect();
    let servers: String =
        ["winnetou", "ip6-winnetou", "crl", "ocsp"].map(|name| format!("{WINNETOU} {name}.strongswan.org\\n")).concat();
    sh(&format!("printf '{names}{servers}' >>/etc/hosts"))?;
    // Whom nobody knows is not looked for for long.
    sh("echo nameserver 127.0.0.1 >/run/resolv.conf; mount --bind /run/resolv.conf /etc/resolv.conf").map(drop)
}

/// Two hosts on one cable, each the way to everything for the other.
pub fn lay(ours: &str, theirs: &str) -> Result<()> {
    let place = |host: &str| PLACES.iter().find(|Place(name, ..)| *name == host).context("a host");
    let names = [&RAVELIN, &SWAN].map(|namespace| match namespace {
        Namespace::Named(name) => *name,
        Namespace::Wire => "",
    });
    for name in names {
        sh(&format!("[ ! -e /run/netns/{name} ] || ip netns del {name}; ip netns add {name}"))?;
    }
    sh(&format!("ip link add eth0 netns {} type veth peer name eth0 netns {}", names[0], names[1]))?;
    for (namespace, own, other) in [(&RAVELIN, ours, theirs), (&SWAN, theirs, ours)] {
        let (Place(_, [v4, v6], behind), Place(_, [to_v4, to_v6], _)) = (place(own)?, place(other)?);
        namespace.sh("ip link set lo up; ip link set eth0 up")?;
        namespace.sh(&format!("ip addr add {v4}/24 dev eth0; ip addr add {v6}/64 dev eth0 nodad"))?;
        for address in behind.iter().chain([&WINNETOU]) {
            namespace.sh(&format!("ip addr add {address} dev lo"))?;
        }
        // What scripts of the examples make these with stays when its rules are gone.
        namespace.sh(FILTERS)?;
        namespace.sh(&format!("ip route add default via {to_v4}; ip -6 route add default via {to_v6}"))?;
    }
    Ok(())
}
