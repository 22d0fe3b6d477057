mod decorrelated;
mod other;
mod reference;

use super::*;
use alloc::string::String;
use alloc::vec;
use core::ops::RangeInclusive;
use core::slice::from_ref;

use ravelin_types::policy::Ways;
use ravelin_types::selector::OPAQUE_PORTS;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn prefix(address: &str, len: u8) -> TrafficSelector {
    TrafficSelector::prefix(ip(address), len).unwrap()
}

fn policy(id: u32, priority: u32, local: TrafficSelector, remote: TrafficSelector, action: Action) -> Policy {
    Policy {
        id: PolicyId(id),
        name: String::new(),
        domain: Domain::default(),
        priority,
        local: vec![local],
        remote: vec![remote],
        action,
        ways: Ways::default(),
    }
}

fn tcp(selector: TrafficSelector, ports: RangeInclusive<u16>) -> TrafficSelector {
    selector.with(6, ports).unwrap()
}

fn seen(src: &str, dst: &str, protocol: u8, ports: Option<(u16, u16)>) -> Seen {
    let (src_port, dst_port) = (ports.map(|p| p.0), ports.map(|p| p.1));
    let hides_ports = ports.is_none() && transport::has_ports(protocol);
    let flow = Flow { src: ip(src), dst: ip(dst), protocol, src_port, dst_port };
    Seen { flow, domain: Domain::default(), hides_ports, hides_protocol: false }
}

/// A packet that is sent, with one field instead of ports.
fn typed(src: &str, dst: &str, protocol: u8, field: u16) -> Seen {
    let mut seen = seen(src, dst, protocol, Some((field, 0)));
    seen.flow.dst_port = None;
    seen
}

fn bypassed(id: u32) -> Match {
    Match::Bypass(PolicyId(id))
}

fn discarded(id: u32) -> Match {
    Match::Discard(PolicyId(id))
}

fn tables(spd: &Spd) -> &finder::Families {
    let Finder::Tables(tables) = &spd.finder else { panic!("another classifier") };
    tables
}

fn spd(policies: &[Policy]) -> Spd {
    let mut spd = Spd::new(3, Direction::Outbound, Limits::default(), None);
    for policy in policies {
        spd.add(policy).unwrap();
    }
    spd
}

#[test]
fn priority_then_number_decides_between_host_pairs_and_wider_entries() {
    let (a, b) = (prefix("10.0.0.1", 32), prefix("10.0.0.2", 32));
    let net = prefix("10.0.0.0", 8);
    let packet = seen("10.0.0.1", "10.0.0.2", 17, Some((1, 2)));
    let pair = policy(5, 10, a, b, Action::Bypass);
    for (id, priority, expected) in
        [(1, 9, discarded(1)), (1, 10, discarded(1)), (9, 10, bypassed(5)), (1, 11, bypassed(5))]
    {
        let spd = spd(&[pair.clone(), policy(id, priority, net, net, Action::Discard)]);
        assert_eq!(spd.lookup(&packet), expected, "{id} at {priority}");
    }
}

#[test]
fn a_policy_is_replaced_and_removed_wherever_it_stood() {
    let (a, b) = (prefix("10.0.0.1", 32), prefix("10.0.0.2", 32));
    let packet = seen("10.0.0.1", "10.0.0.2", 17, Some((1, 2)));
    let mut spd = spd(&[policy(1, 10, a, b, Action::Bypass)]);
    assert_eq!(spd.lookup(&packet), bypassed(1));
    spd.add(&policy(1, 20, prefix("10.0.0.0", 8), b, Action::Discard)).unwrap();
    assert_eq!(spd.lookup(&packet), discarded(1));
    spd.delete(PolicyId(1)).unwrap();
    assert!(tables(&spd).is_empty());
    assert_eq!(spd.lookup(&packet), Match::None);
    assert_eq!(spd.delete(PolicyId(1)), Err(DataPlaneError::NoSuchPolicy(PolicyId(1))));
}

#[test]
fn protocol_and_ports_select() {
    let any = TrafficSelector::any_v4();
    let spd = spd(&[policy(1, 10, any, tcp(any, 80..=81), Action::Discard)]);
    assert_eq!(spd.lookup(&seen("10.0.0.1", "10.0.0.2", 6, Some((5, 81)))), discarded(1));
    assert_eq!(spd.lookup(&seen("10.0.0.1", "10.0.0.2", 6, Some((5, 82)))), Match::None);
    assert_eq!(spd.lookup(&seen("10.0.0.1", "10.0.0.2", 6, Some((80, 5)))), Match::None);
    assert_eq!(spd.lookup(&seen("10.0.0.1", "10.0.0.2", 17, Some((5, 80)))), Match::None);
    assert_eq!(spd.lookup(&seen("2001:db8::1", "2001:db8::2", 6, Some((5, 80)))), Match::None);
}

// docs/HISTORY.md, row 119: a later fragment of protected traffic must not leave in the clear.
#[test]
fn what_hides_its_ports_does_not_slip_past_a_policy_on_ports() {
    let any = TrafficSelector::any_v4();
    let web = policy(1, 10, any, tcp(any, 80..=80), Action::Discard);
    let fragment = seen("10.0.0.1", "10.0.0.2", 6, None);
    assert_eq!(spd(from_ref(&web)).lookup(&fragment), Match::Hidden);
    assert_eq!(spd(from_ref(&web)).lookup(&seen("10.0.0.1", "10.0.0.2", 17, None)), Match::None);
    // A protocol that has no ports is not hiding any.
    assert_eq!(spd(from_ref(&web)).lookup(&seen("10.0.0.1", "10.0.0.2", 47, None)), Match::None);
    // A permission that may not be meant is none; a later entry decides.
    let allowed = policy(1, 10, any, tcp(any, 80..=80), Action::Bypass);
    assert_eq!(spd(from_ref(&allowed)).lookup(&fragment), Match::None);
    assert_eq!(spd(&[allowed, policy(2, 20, any, any, Action::Discard)]).lookup(&fragment), discarded(2));
    // An entry before it that asks for no ports decides.
    let all = policy(3, 5, any, any, Action::Bypass);
    assert_eq!(spd(&[web.clone(), all]).lookup(&fragment), bypassed(3));
    // Not even the protocol is known.
    let hidden = Seen { hides_protocol: true, ..seen("10.0.0.1", "10.0.0.2", 60, None) };
    let hidden = Seen { hides_ports: true, ..hidden };
    assert_eq!(spd(&[web]).lookup(&hidden), Match::Hidden);
    assert_eq!(spd(&[policy(1, 10, any, any, Action::Bypass)]).lookup(&hidden), bypassed(1));
}

#[test]
fn very_many_host_pairs_keep_their_own_answers() {
    let mut spd = Spd::new(1, Direction::Outbound, Limits::default(), None);
    let address = |n: u32| IpAddr::from((0x0a00_0000 + n).to_be_bytes());
    for n in 0..2000 {
        let action = if n % 2 == 0 { Action::Bypass } else { Action::Discard };
        let (a, b) = (TrafficSelector::host(address(n)), TrafficSelector::host(address(n + 1)));
        spd.add(&policy(n, 10, a, b, action)).unwrap();
    }
    assert_eq!(tables(&spd).v4_tables_held(), 1, "one shape of selectors is one table");
    for n in 0..2000 {
        let flow = Flow { src: address(n), dst: address(n + 1), protocol: 1, src_port: Some(8), dst_port: None };
        let seen = Seen { flow, domain: Domain::default(), hides_ports: false, hides_protocol: false };
        let id = PolicyId(n);
        assert_eq!(spd.lookup(&seen), if n % 2 == 0 { Match::Bypass(id) } else { Match::Discard(id) });
        assert_eq!(spd.lookup(&seen.swapped()), Match::None);
    }
}

#[test]
fn types_are_asked_of_the_sender() {
    let (any, echo) = (TrafficSelector::any_v4(), 8 << 8..=(8 << 8 | 0xff));
    let request = typed("10.0.0.1", "10.0.0.2", 1, 0x0800);
    let reply = typed("10.0.0.1", "10.0.0.2", 1, 0);
    for (local, remote, sent, received) in [
        (echo.clone(), echo.clone(), discarded(1), discarded(1)),
        (echo.clone(), OPAQUE_PORTS, discarded(1), Match::None),
        (OPAQUE_PORTS, echo, Match::None, discarded(1)),
    ] {
        let (local, remote) = (any.with(1, local).unwrap(), any.with(1, remote).unwrap());
        let spd = spd(&[policy(1, 10, local, remote, Action::Discard)]);
        assert_eq!(spd.lookup(&request), sent, "{local} {remote}");
        assert_eq!(spd.lookup(&request.swapped()), received, "{local} {remote}");
        assert_eq!(spd.lookup(&reply), Match::None);
    }
    // A binding update of the Mobility Header, type 5; a later fragment of one hides it.
    let any = TrafficSelector::any_v6();
    let update = any.with(135, 5 << 8..=5 << 8).unwrap();
    let spd = spd(&[policy(1, 10, update, update, Action::Discard)]);
    assert_eq!(spd.lookup(&typed("2001:db8::1", "2001:db8::2", 135, 5 << 8)), discarded(1));
    assert_eq!(spd.lookup(&typed("2001:db8::1", "2001:db8::2", 135, 6 << 8)), Match::None);
    assert_eq!(spd.lookup(&seen("2001:db8::1", "2001:db8::2", 135, None)), Match::Hidden);
}

// RFC 4301 §7.2.
#[test]
fn an_entry_on_opaque_ports_takes_what_hides_its_ports() {
    let any = TrafficSelector::any_v4();
    let opaque = any.with(6, OPAQUE_PORTS).unwrap();
    let web = policy(1, 10, any, tcp(any, 80..=80), Action::Discard);
    let fragments = policy(2, 20, opaque, opaque, Action::Bypass);
    let rest = policy(3, 15, any, any, Action::Discard);
    let fragment = seen("10.0.0.1", "10.0.0.2", 6, None);
    assert_eq!(spd(&[web.clone(), fragments.clone()]).lookup(&fragment), bypassed(2));
    assert_eq!(spd(&[web.clone(), rest.clone(), fragments.clone()]).lookup(&fragment), bypassed(2));
    // Without an entry before it that might be meant, the order decides.
    assert_eq!(spd(&[rest, fragments.clone()]).lookup(&fragment), discarded(3));
    let spd = spd(&[web, fragments]);
    assert_eq!(spd.lookup(&seen("10.0.0.1", "10.0.0.2", 6, Some((1, 81)))), Match::None);
    assert_eq!(spd.lookup(&seen("10.0.0.1", "10.0.0.2", 17, None)), Match::None);
    // RFC 4301 §4.4.1.3 A: a protocol without ports.
    let ah = any.with(51, OPAQUE_PORTS).unwrap();
    let spd = self::spd(&[policy(1, 10, ah, ah, Action::Bypass)]);
    assert_eq!(spd.lookup(&seen("10.0.0.1", "10.0.0.2", 51, None)), bypassed(1));
}

#[test]
fn each_domain_has_entries_of_its_own() {
    let any = TrafficSelector::any_v4();
    let blue = Policy { domain: Domain(7), ..policy(1, 10, any, any, Action::Discard) };
    let mut spd = spd(&[blue, policy(2, 20, any, any, Action::Bypass)]);
    let packet = seen("10.0.0.1", "10.0.0.2", 6, Some((1, 2)));
    assert!(!spd.has_overlaps(), "no packet is in both domains");
    assert_eq!(spd.lookup(&packet), bypassed(2));
    assert_eq!(spd.lookup(&Seen { domain: Domain(7), ..packet }), discarded(1));
    assert_eq!(spd.lookup(&Seen { domain: Domain(8), ..packet }), Match::None);
    spd.add(&Policy { domain: Domain(8), ..policy(1, 10, any, any, Action::Discard) }).unwrap();
    assert_eq!(spd.lookup(&Seen { domain: Domain(7), ..packet }), Match::None);
    assert_eq!(spd.domain(PolicyId(1)), Some(Domain(8)));
    spd.delete(PolicyId(1)).unwrap();
    assert_eq!(spd.domain(PolicyId(1)), None);
}
