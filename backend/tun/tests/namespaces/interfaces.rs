//! Virtual interfaces: routes say what is protected.

use ravelin_types::dataplane::{DataPlane, DataPlaneOp};
use ravelin_types::interface::Interface;
use ravelin_types::options::SaOptions;
use ravelin_types::policy::{Domain, Mode, Policy, PolicyId};

use crate::Case;
use crate::lab::{Host, Tunnel, ip, is_lost, link, pair, reaches, selector, tcp, wait_for};

pub const CASES: &[Case] = &[
    ("virtual_interfaces_carry_what_is_routed_to_them", carries_what_is_routed),
    ("virtual_interfaces_keep_equal_flows_apart", equal_flows),
    ("virtual_interfaces_go_and_come", go_and_come),
    ("what_belongs_on_a_virtual_interface_is_dropped_elsewhere", clear_elsewhere),
];

/// A tunnel for everything of IPv4 behind the interface `vti<number>` of both hosts, which have the addresses .1 and .2
/// of `net`.
fn interface(a: &Host, b: &Host, number: u16, net: &str) -> Tunnel {
    let any = selector("0.0.0.0/0");
    let ends = (ip("10.0.1.1"), ip("10.0.1.2"));
    let id = u32::from(number);
    let options = SaOptions::default();
    let there = Tunnel { id, mode: Mode::Tunnel, ends, local: any, remote: any, encap: false, generation: 0, options };
    let back = Tunnel { ends: (ends.1, ends.0), ..there.clone() };
    let (domain, name) = (Domain(number), format!("vti{number}"));
    for (host, tunnel, last) in [(a, &there, 1), (b, &back, 2)] {
        host.apply(DataPlaneOp::AddInterface(Interface { domain, name: name.clone(), ..Interface::default() }));
        host.apply(DataPlaneOp::AddPolicy(Policy { domain, ..tunnel.policy() }));
        host.ip(&format!("addr add {net}.{last}/24 dev {name}"));
    }
    there.add_sas(a, b);
    there
}

/// Packets that passed the outbound and the inbound SA of a policy.
fn passed(host: &Host, policy: u32) -> u64 {
    let list = host.plane(DataPlane::list);
    list.iter().filter(|sa| sa.params.policy == PolicyId(policy)).map(|sa| sa.counters.packets).sum()
}

fn carries_what_is_routed() {
    let (a, b) = pair();
    interface(&a, &b, 1, "10.9.1");
    interface(&a, &b, 2, "10.9.2");
    tcp(&a, &b, "10.9.1.2:5001", 4 << 20);
    assert!(passed(&a, 1) > 100 && passed(&a, 2) == 0, "{} and {}", passed(&a, 1), passed(&a, 2));
    let first = passed(&a, 1);
    tcp(&b, &a, "10.9.2.1:5001", 4 << 20);
    assert!(passed(&a, 1) == first && passed(&a, 2) > 100, "{} and {}", passed(&a, 1), passed(&a, 2));
    // A route is all that it takes; the selectors hold everything.
    b.ip("addr add 172.16.5.5/32 dev lo");
    a.ip("route add 172.16.5.5/32 dev vti1 src 10.9.1.1");
    tcp(&a, &b, "172.16.5.5:5001", 1000);
    assert_eq!(b.arrived("clear"), 0);
    // No policy of the interface is about IPv6.
    b.ip("-6 addr add fd99::1/128 dev lo nodad");
    a.ip("-6 route add fd99::/64 dev vti1 src fd00:1::1");
    assert!(is_lost(&a, &b, "[fd99::1]:5001", 100));
    assert!(a.dropped("no policy") > 0);
    // Traffic between the hosts that no route leads to an interface is none of our business.
    assert!(reaches(&a, &b, "10.0.1.2:5001", 100));
}

/// Two customers with the same addresses: first the one, then the other is routed to.
fn equal_flows() {
    let (a, b) = pair();
    interface(&a, &b, 1, "10.9.1");
    interface(&a, &b, 2, "10.9.2");
    a.ip("addr add 10.8.0.1/32 dev lo");
    b.ip("addr add 10.8.0.2/32 dev lo");
    for policy in [1, 2, 1] {
        a.ip(&format!("route replace 10.8.0.2/32 dev vti{policy} src 10.8.0.1"));
        b.ip(&format!("route replace 10.8.0.1/32 dev vti{policy} src 10.8.0.2"));
        let before = [passed(&b, policy), passed(&b, 3 - policy)];
        tcp(&a, &b, "10.8.0.2:5001", 1 << 20);
        assert!(passed(&b, policy) > before[0] + 100, "through interface {policy}: {}", passed(&b, policy));
        assert_eq!(passed(&b, 3 - policy), before[1], "through the other one");
    }
    assert_eq!(b.arrived("clear"), 0);
}

fn go_and_come() {
    let (a, b) = pair();
    let tunnel = interface(&a, &b, 1, "10.9.1");
    tcp(&a, &b, "10.9.1.2:5001", 1000);
    let again = DataPlaneOp::AddInterface(Interface { domain: Domain(2), name: "vti1".into(), ..Interface::default() });
    assert!(a.plane(move |plane| plane.apply(&again)).is_err(), "two interfaces of one name");
    tunnel.delete_sas(&a, &b);
    for host in [&a, &b] {
        host.apply(DataPlaneOp::DeletePolicy(PolicyId(1)));
        host.apply(DataPlaneOp::DeleteInterface(Domain(1)));
        wait_for(|| (!host.ip("link").contains("vti1")).then_some(()));
    }
    interface(&a, &b, 1, "10.9.1");
    tcp(&a, &b, "10.9.1.2:5001", 1000);
    assert_eq!(b.arrived("clear"), 0);
}

/// A sender on the link pretends to be behind the tunnel.
fn clear_elsewhere() {
    let [a, b, right] = ["a", "b", "right"].map(Host::new);
    link(&a, &b, 1);
    link(&b, &right, 3);
    b.forward();
    a.start();
    b.start();
    right.ip("route add default via 10.0.3.1");
    right.ip("-6 route add default via fd00:3::1");
    interface(&a, &b, 1, "10.9.1");
    interface(&a, &b, 2, "10.9.2");
    b.ip("-6 addr add fd99::2/64 dev vti1 nodad");
    a.ip("-6 addr add fd99::1/128 dev lo nodad");
    assert!(reaches(&a, &b, "10.9.1.2:5001", 100), "through the tunnel");
    let (v4, v6) =
        ("route replace 10.0.3.0/24 via 10.0.1.2 src 10.9.1.1", "-6 route replace fd00:3::/64 via fd00:1::2");
    a.ip(v4);
    a.ip(&format!("{v6} src fd99::1"));
    // To the host itself and to one behind it; the ports on which it takes IKE are no way around it.
    assert!(is_lost(&a, &b, "10.0.3.1:5001", 100));
    for address in ["10.0.3.2:4500", "10.0.3.2:5001", "[fd00:3::2]:4500", "[fd00:3::2]:5001"] {
        assert!(is_lost(&a, &right, address, 100), "{address}");
    }
    assert_eq!(b.dropped("clear packet where protection is required"), 5);
    // It is the route to the sender that counts: what came out of one tunnel may be answered through another.
    a.ip("route replace 10.9.2.2/32 dev vti2 src 10.9.1.1");
    assert!(reaches(&a, &b, "10.9.2.2:5001", 100));
    // Other senders are none of our business, nor is anybody when the interface has gone.
    a.ip("route replace 10.0.3.0/24 via 10.0.1.2");
    assert!(reaches(&a, &right, "10.0.3.2:5001", 100));
    a.ip(v4);
    b.ip("route add 10.9.1.0/24 via 10.0.1.1 metric 9");
    b.apply(DataPlaneOp::DeletePolicy(PolicyId(1)));
    b.apply(DataPlaneOp::DeleteInterface(Domain(1)));
    wait_for(|| (!b.ip("link").contains("vti1")).then_some(()));
    assert!(reaches(&a, &right, "10.0.3.2:5001", 100));
    assert_eq!(b.dropped("clear packet where protection is required"), 5);
}
