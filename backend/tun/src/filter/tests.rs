use super::*;
use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{DeviceName, Domain, Mode, PolicyId, Protection, Ways};
use ravelin_types::selector::OPAQUE_PORTS;

fn ts(text: &str) -> TrafficSelector {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    TrafficSelector::new(first.parse().unwrap()..=last.parse().unwrap(), 0, 0..=u16::MAX).unwrap()
}

fn policy(id: u32, local: TrafficSelector, remote: TrafficSelector, action: Action) -> Policy {
    let name = "\"; flush ruleset; #".to_owned();
    Policy {
        id: PolicyId(id),
        name,
        domain: Domain::default(),
        priority: 1,
        local: vec![local],
        remote: vec![remote],
        action,
        ways: Ways::default(),
    }
}

fn rules_of(chain: &str, script: &str) -> Vec<String> {
    let start = format!("add rule inet ravelin {chain} ");
    script.lines().filter_map(|line| line.strip_prefix(&start)).map(str::to_owned).collect()
}

#[test]
fn addresses_print_in_their_shortest_form() {
    let matching = |from: &str, to: &str| matches(&ts(from), &ts(to), true).join(" | ");
    assert_eq!(matching("10.0.0.1", "10.0.0.2"), "meta nfproto ipv4 ip saddr 10.0.0.1 ip daddr 10.0.0.2");
    assert_eq!(
        matching("10.0.0.0-10.0.0.255", "10.1.0.1-10.1.0.6"),
        "meta nfproto ipv4 ip saddr 10.0.0.0/24 ip daddr 10.1.0.1-10.1.0.6"
    );
    assert_eq!(
        matching("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fd00::1"),
        "meta nfproto ipv6 ip6 daddr fd00::1"
    );
    assert_eq!(matching("0.0.0.0-255.255.255.255", "0.0.0.0-255.255.255.255"), "meta nfproto ipv4");
    assert_eq!(matching("10.0.0.1", "fd00::1"), "", "no packet has addresses of both families");
}

#[test]
fn ports_need_a_protocol_that_has_them_and_hidden_ones_match_too() {
    let (a, b) = (ts("10.0.0.1"), ts("10.0.0.2"));
    let addresses = "meta nfproto ipv4 ip saddr 10.0.0.1 ip daddr 10.0.0.2";
    assert_eq!(
        matches(&a.with(6, 0..=u16::MAX).unwrap(), &b.with(6, 80..=81).unwrap(), true),
        [
            format!("{addresses} meta l4proto 6 th dport 80-81"),
            format!("{addresses} meta l4proto 6 ip frag-off & 0x1fff != 0")
        ]
    );
    // What a bypass policy cannot see, it does not let pass.
    assert_eq!(matches(&a.with(17, 53..=53).unwrap(), &b, false), [format!("{addresses} meta l4proto 17 th sport 53")]);
    assert_eq!(
        matches(&a.with(0, 53..=53).unwrap(), &b, false),
        [
            format!("{addresses} meta l4proto {{ 6, 17, 33, 132, 136 }} th sport 53"),
            format!("{addresses} meta l4proto 1 @th,0,16 53")
        ]
    );
    let echo = a.with(1, 0x0800..=0x08ff).unwrap();
    assert_eq!(matches(&echo, &b, false), [format!("{addresses} meta l4proto 1 @th,0,16 2048-2303")]);
    let any_type = "ip saddr 10.0.0.2 ip daddr 10.0.0.1 meta l4proto 1 @th,0,16 0-65535";
    assert_eq!(matches(&b, &echo, false), [format!("meta nfproto ipv4 {any_type}")], "types are asked of the sender");
    assert!(matches(&a.with(47, 1..=2).unwrap(), &b, true).is_empty(), "GRE has no ports");
    assert!(matches(&a.with(6, 0..=9).unwrap(), &b.with(17, 0..=9).unwrap(), true).is_empty());
}

#[test]
fn opaque_ports_and_mobility_types_match() {
    let (a, b) = (ts("10.0.0.1"), ts("10.0.0.2"));
    let addresses = "meta nfproto ipv4 ip saddr 10.0.0.1 ip daddr 10.0.0.2";
    let opaque = |selector: TrafficSelector, protocol| selector.with(protocol, OPAQUE_PORTS).unwrap();
    let fragments = [format!("{addresses} meta l4proto 17 ip frag-off & 0x1fff != 0")];
    assert_eq!(matches(&opaque(a, 17), &opaque(b, 17), false), fragments);
    assert_eq!(matches(&opaque(a, 17), &b.with(17, 5..=5).unwrap(), false), [""; 0]);
    // AH has nothing to show.
    let ah = format!("{addresses} meta l4proto 51");
    assert_eq!(matches(&opaque(a, 51), &opaque(b, 51), false), [format!("{ah} ip frag-off & 0x1fff != 0"), ah]);
    // RFC 4301 §4.4.1.3: sent and not received.
    let echo = a.with(1, 0x0800..=0x08ff).unwrap();
    assert_eq!(matches(&echo, &opaque(b, 1), false), [format!("{addresses} meta l4proto 1 @th,0,16 2048-2303")]);
    assert_eq!(matches(&opaque(b, 1), &echo, false), [""; 0]);
    let (a, b) = (ts("fd00::1"), ts("fd00::2"));
    let mobility = "meta nfproto ipv6 ip6 saddr fd00::1 ip6 daddr fd00::2 meta l4proto 135";
    let update = a.with(135, 0x0500..=0x0600).unwrap();
    assert_eq!(matches(&update, &b, false), [format!("{mobility} mh type 5-6")]);
    assert_eq!(matches(&a.with(135, 1..=2).unwrap(), &b, false), [""; 0], "no type lies there");
}

#[test]
fn every_chain_walks_the_policies_in_order_and_inbound_swaps_the_sides() {
    let (a, b) = (ts("10.0.0.1"), ts("10.0.0.2"));
    let policies = [policy(7, a, b.with(17, 53..=53).unwrap(), Action::Bypass), policy(3, a, b, Action::Discard)];
    let script = super::policies(&TunConfig::default(), policies.iter(), &[]);
    let forth = "meta nfproto ipv4 ip saddr 10.0.0.1 ip daddr 10.0.0.2";
    let back = "meta nfproto ipv4 ip saddr 10.0.0.2 ip daddr 10.0.0.1";
    let discard = "counter name discarded drop comment \"policy 3\"";
    for chain in ["select", "leak"] {
        assert_eq!(
            rules_of(chain, &script)[1..],
            [format!("{forth} meta l4proto 17 th dport 53 accept comment \"policy 7\""), format!("{forth} {discard}")]
        );
    }
    assert_eq!(
        rules_of("policies", &script),
        [format!("{back} meta l4proto 17 th sport 53 accept comment \"policy 7\""), format!("{back} {discard}")]
    );
    assert!(!script.contains("ruleset"), "a name of a policy never gets into the script");
}

#[test]
fn too_many_pairs_of_selectors_are_refused_by_name() {
    let many: Vec<TrafficSelector> = (0..65).map(|i| ts(&format!("10.0.{i}.1"))).collect();
    let wide = Policy { local: many.clone(), remote: many, ..policy(9, ts("::"), ts("::"), Action::Discard) };
    let error = check([&wide].into_iter()).unwrap_err();
    assert!(error.starts_with("policy 9") && error.contains("4225") && error.contains("4096"), "{error}");
}

#[test]
fn many_pairs_of_addresses_are_looked_up_in_sets() {
    let all = ts("0.0.0.0-255.255.255.255");
    let net = |i: u32| ts(&format!("10.{}.{}.0-10.{}.{}.255", i / 256, i % 256, i / 256, i % 256));
    let host = |i: u32| ts(&format!("10.9.{}.{}", i / 256, i % 256));
    let v6 = |i: u32| ts(&format!("fd00:{i:x}::-fd00:{i:x}::ffff"));
    let mut policies: Vec<Policy> = (0..600).map(|i| policy(i, all, net(i), Action::Discard)).collect();
    // An element that overlaps others must not stand in their set.
    policies.push(policy(1206, all, ts("10.0.0.0-10.2.255.255"), Action::Discard));
    policies.push(policy(600, ts("10.8.0.1"), host(7), Action::Bypass));
    policies.extend((0..600).map(|i| policy(601 + i, ts("10.8.0.1"), host(i), Action::Discard)));
    policies.extend((0..5).map(|i| policy(1201 + i, v6(9), v6(i), Action::Discard)));
    let script = super::policies(&TunConfig::default(), policies.iter(), &[]);
    let rules = rules_of("select", &script);
    let elements = |rule: &String| rule.matches(" . ").count() - 1;
    let sets: Vec<(usize, bool)> = rules
        .iter()
        .filter(|rule| rule.contains("{"))
        .map(|rule| (elements(rule), rule.contains("nfproto ipv4")))
        .collect();
    let before = rules.iter().position(|rule| rule.contains("policy 600")).unwrap();
    assert_eq!(sets, [(512, true), (88, true), (5, false), (512, true), (88, true)]);
    assert_eq!(before, 4, "the policy between them stays between them");
    assert!(
        rules
            .iter()
            .any(|rule| rule.contains("ip daddr 10.0.0.0-10.2.255.255 counter") && rule.contains("policy 1206"))
    );
    assert_eq!(rules.len(), 8);
}

#[test]
fn a_policy_of_one_direction_stands_in_the_chains_of_that_direction() {
    let all = ts("0.0.0.0-255.255.255.255");
    for (ways, out, back) in [(Ways::Both, 1, 1), (Ways::Outbound, 1, 0), (Ways::Inbound, 0, 1)] {
        let discard = Policy { ways, ..policy(1, all, ts("10.0.0.1"), Action::Discard) };
        let script = super::policies(&TunConfig::default(), [&discard].into_iter(), &[]);
        let rules = |chain| rules_of(chain, &script).iter().filter(|rule| rule.contains("discarded")).count();
        assert_eq!(["select", "leak", "policies"].map(rules), [out, out, back], "{script}");
    }
}

// RFC 4301 §3.1: a packet crosses the boundary by the device that it leaves or arrives by.
#[test]
fn a_policy_about_a_device_asks_each_chain_what_it_knows_of_devices() {
    let all = ts("0.0.0.0-255.255.255.255");
    let lan = DeviceName::new("eth1.10").unwrap();
    let asked = |only| {
        let pass = Policy { ways: Ways::Over(lan, only), ..policy(1, all, all, Action::Bypass) };
        let script = super::policies(&TunConfig::default(), [&pass].into_iter(), &[]);
        ["select", "forwarded", "leak", "policies"].map(|chain| {
            let rules = rules_of(chain, &script).into_iter().find(|rule| rule.contains("policy 1"));
            rules.map(|rule| rule.replace(" meta nfproto ipv4 accept comment \"policy 1\"", ""))
        })
    };
    let [out, routed, back] =
        ["oifname", "fib daddr oifname", "iifname"].map(|asks| Some(format!("{asks} \"eth1.10\"")));
    assert_eq!(asked(None), [out.clone(), routed.clone(), out.clone(), back.clone()]);
    assert_eq!(asked(Some(Direction::Outbound)), [out.clone(), routed, out, None]);
    assert_eq!(asked(Some(Direction::Inbound)), [None, None, None, back]);
    // Many of them are no set of addresses, and others are walked by forwarded packets too.
    let mut many: Vec<Policy> = (1..9).map(|i| policy(i, all, ts(&format!("10.0.0.{i}")), Action::Discard)).collect();
    let plain = super::policies(&TunConfig::default(), many.iter(), &[]);
    assert_eq!(rules_of("forwarded", &plain)[1..], ["goto select"]);
    many[3].ways = Ways::Over(lan, None);
    let script = super::policies(&TunConfig::default(), many.iter(), &[]);
    let forwarded = rules_of("forwarded", &script);
    assert!(!forwarded.iter().any(|rule| rule.contains("goto select")), "{forwarded:?}");
    assert_eq!(rules_of("select", &script).len(), forwarded.len());
    let own = "fib daddr oifname \"eth1.10\" meta nfproto ipv4 ip daddr 10.0.0.4 counter name discarded drop comment \"policy 4\"";
    assert!(forwarded.iter().any(|rule| rule == own), "{forwarded:?}");
}

// RFC 4301 §5: the SPD is asked about IKE as about all other packets; but what IKE makes does not carry it.
#[test]
fn ike_is_dropped_where_a_policy_says_so_and_never_protected() {
    let all = ts("0.0.0.0-255.255.255.255");
    let ike = |id, action| policy(id, all.with(17, 500..=500).unwrap(), all, action);
    let other = policy(1, all, ts("10.0.0.2"), Action::Bypass);
    let script = |policies: &[Policy]| super::policies(&TunConfig::default(), policies.iter(), &[]);
    let rules = |policies: &[Policy]| ["ike_out", "ike_in"].map(|chain| rules_of(chain, &script(policies)).len());
    assert_eq!(rules(&[ike(2, Action::Bypass), other.clone()]), [0, 0], "nothing is to be dropped");
    let discard = script(&[other, ike(2, Action::Discard)]);
    let matching = "meta nfproto ipv4 meta l4proto 17 th";
    let drop = "counter name discarded drop comment \"policy 2\"";
    assert_eq!(rules_of("ike_out", &discard)[1], format!("{matching} sport 500 {drop}"));
    assert_eq!(rules_of("ike_in", &discard)[1], format!("{matching} dport 500 {drop}"));
    assert!(!discard.contains("ike_out goto") && rules_of("ike_in", &discard)[0].contains("accept"));
}

#[test]
fn what_is_captured_is_sent_to_the_worker_of_its_policy() {
    let config = TunConfig { workers: 4, ..TunConfig::default() };
    let script = create(&config);
    assert_eq!(rules_of("protect", &script).last().unwrap(), "meta mark set meta mark & 0x8fffffff | 0x4000000 accept");
    assert_eq!(
        rules_of("protect3", &script),
        [
            "ip frag-off & 0x3fff != 0 goto protect",
            "exthdr frag exists goto protect",
            "ip frag-off & 0x4000 != 0 iif != 0 meta mark set meta mark & 0x8fffffff | 0x3c000000 accept",
            "ip frag-off & 0x4000 != 0 meta l4proto tcp meta mark set meta mark & 0x8fffffff | 0x3c000000 accept",
            "meta mark set meta mark & 0x8fffffff | 0x34000000 accept",
        ]
    );
    assert!(script.contains("oifname { \"lo\", \"ravelin0\", \"ravelin0-1\", \"ravelin0-2\", \"ravelin0-3\" } accept"));

    // Many pairs of hosts are a set for each worker; what asks for more keeps its place.
    let (a, b) = (ts("10.0.0.1"), ts("10.0.0.2"));
    let protect = || {
        Action::Protect(Protection {
            mode: Mode::Tunnel,
            local: None,
            remote: "192.0.2.2".parse().unwrap(),
            pfp: Pfp::NONE,
            lifetime: Lifetime::default(),
            replay_window: 64,
            options: SaOptions::default(),
        })
    };
    let port = policy(1, a.with(17, 53..=53).unwrap(), b, protect());
    let pairs = (2..42u32).map(|id| policy(id, ts(&format!("10.1.0.{id}")), ts(&format!("10.2.0.{id}")), protect()));
    let all: Vec<Policy> = std::iter::once(port).chain(pairs).collect();
    let script = policies(&config, all.iter(), &[]);
    let selected: Vec<String> = rules_of("select", &script).into_iter().skip(1).collect();
    let ends: Vec<&str> = selected.iter().map(|rule| &rule[rule.rfind("goto ").unwrap()..]).collect();
    let first = ends.iter().position(|end| *end == "goto protect").unwrap();
    assert!(
        selected[..first].iter().all(|rule| rule.contains("10.0.0.1") && rule.contains("goto protect1")),
        "{selected:?}"
    );
    assert_eq!(ends[first..], ["goto protect", "goto protect1", "goto protect2", "goto protect3"]);
    // In one set the guards have them.
    assert_eq!(rules_of("leak", &script).iter().filter(|rule| rule.contains("10.1.0.2 . 10.2.0.2")).count(), 1);
}
