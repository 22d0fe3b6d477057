use super::*;

fn ts(first: &str, last: &str, protocol: u8, ports: std::ops::RangeInclusive<u16>) -> TrafficSelector {
    TrafficSelector::new(first.parse().unwrap()..=last.parse().unwrap(), protocol, ports).unwrap()
}

#[test]
fn selectors_are_the_smallest_networks_that_hold_them() {
    let any = 0..=u16::MAX;
    for (first, last, network) in [
        ("10.1.0.0", "10.1.255.255", "10.1.0.0/16"),
        ("10.1.0.7", "10.1.0.7", "10.1.0.7/32"),
        ("10.1.0.7", "10.1.0.8", "10.1.0.0/28"),
        ("0.0.0.0", "255.255.255.255", "0.0.0.0/0"),
        ("2001:db8::", "2001:db8::ffff", "2001:db8::/112"),
        ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0"),
    ] {
        assert_eq!(subnet(&ts(first, last, 0, any.clone())), network);
    }
}

#[test]
fn ports_are_written_as_iptables_takes_them() {
    let of = |protocol, ports| ts("10.0.0.1", "10.0.0.1", protocol, ports);
    let both = |local, remote| (port(&local, &remote, &local, true), port(&local, &remote, &remote, false));
    let words = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(both(of(0, 0..=u16::MAX), of(0, 0..=u16::MAX)), words("0", "0"));
    assert_eq!(both(of(6, 80..=80), of(6, 1024..=2048)), words("80", "1024:2048"));
    assert_eq!(both(of(6, OPAQUE_PORTS), of(6, 1..=1)), words("0", "1"));
    // Type 8 with code 3: RFC 7296 §3.13.1.
    assert_eq!(both(of(1, 0x0803..=0x0803), of(0, 0..=u16::MAX)), words("8", "3"));
}
