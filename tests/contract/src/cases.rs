//! The cases.

use std::collections::BTreeMap;
use std::time::Duration;

use ravelin_types::dataplane::{DataPlaneError, DataPlaneEvent, DataPlaneOp, Flow};
use ravelin_types::lifetime::{Lifetime, Limits};
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Mode, Policy, PolicyId};
use ravelin_types::proposal::Suite;
use ravelin_types::sa::{Direction, SaId, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::SnId;
use ravelin_types::{Cpi, Secret};

use crate::make::{self, Shape, TUNNEL, ah_esp, gcm, sa, with};
use crate::{End, Pair};

/// A case: its name, and what it does between two fresh hosts.
pub type Case = (&'static str, fn(&mut dyn Pair));

/// Every case.
pub const CASES: &[Case] = &[
    ("a_packet_without_an_sa_asks_for_one_and_does_not_leave", a_packet_without_an_sa_asks_for_one_and_does_not_leave),
    ("packets_cross_in_every_shape_and_are_counted", packets_cross_in_every_shape_and_are_counted),
    ("ah_goes_around_esp", ah_goes_around_esp),
    ("packets_may_be_compressed_one_way_or_both", packets_may_be_compressed_one_way_or_both),
    ("bypass_passes_and_discard_drops", bypass_passes_and_discard_drops),
    (
        "clear_packets_do_not_get_in_where_they_are_to_be_protected",
        clear_packets_do_not_get_in_where_they_are_to_be_protected,
    ),
    ("names_that_are_taken_or_unknown_are_refused", names_that_are_taken_or_unknown_are_refused),
    ("the_newest_outbound_sa_sends", the_newest_outbound_sa_sends),
    ("limits_are_told_softly_and_then_hold", limits_are_told_softly_and_then_hold),
    ("an_idle_sa_is_told", an_idle_sa_is_told),
    ("the_next_packet_of_an_sa_is_told_of_when_asked", the_next_packet_of_an_sa_is_told_of_when_asked),
    ("a_packet_under_another_key_is_dropped_and_counted", a_packet_under_another_key_is_dropped_and_counted),
    ("a_number_that_was_seen_is_a_replay", a_number_that_was_seen_is_a_replay),
    ("numbers_are_skipped_and_do_not_cycle", numbers_are_skipped_and_do_not_cycle),
    ("a_policy_is_replaced_by_one_of_its_number", a_policy_is_replaced_by_one_of_its_number),
    ("without_its_sa_a_policy_asks_again", without_its_sa_a_policy_asks_again),
    ("each_flow_asks_for_its_own_sa", each_flow_asks_for_its_own_sa),
    ("each_of_five_hundred_flows_has_a_pair_of_its_own", each_of_five_hundred_flows_has_a_pair_of_its_own),
    ("an_sa_takes_no_more_than_was_agreed", an_sa_takes_no_more_than_was_agreed),
];

const SPIS: (u32, u32) = (0x1001, 0x2002);

/// Policies at both ends.
fn policies(pair: &mut dyn Pair, shape: Shape) -> [Policy; 2] {
    End::BOTH.map(|end| {
        let policy = make::policy(end, 1, shape);
        pair.apply(end, DataPlaneOp::AddPolicy(policy.clone())).unwrap();
        policy
    })
}

/// A pair of SAs at both ends.
fn sas(pair: &mut dyn Pair, policies: &[Policy; 2], spis: (u32, u32), suite: Suite) {
    for (end, policy) in End::BOTH.into_iter().zip(policies) {
        for direction in [Direction::Inbound, Direction::Outbound] {
            pair.apply(end, DataPlaneOp::AddSa(sa(end, direction, policy, spis, suite))).unwrap();
        }
    }
}

fn crosses(pair: &mut dyn Pair, from: End, shape: Shape) -> bool {
    let (src, dst) = shape.flow(from, 4000, 5001);
    pair.send(from, src, dst)
}

/// A tunnel with what is outside in it, and with the other family.
fn tunnels() -> [Shape; 3] {
    [TUNNEL, Shape { inner6: true, ..TUNNEL }, Shape { outer6: true, ..TUNNEL }]
}

/// The counters of one SA: packets, and what was forged.
fn counted(pair: &mut dyn Pair, end: End, id: SaId) -> (u64, u64) {
    let listed = pair.list(end).into_iter().find(|sa| sa.params.id() == id).expect("it is listed");
    (listed.counters.packets, listed.counters.forged)
}

fn a_packet_without_an_sa_asks_for_one_and_does_not_leave(pair: &mut dyn Pair) {
    policies(pair, TUNNEL);
    for _ in 0..2 {
        assert!(!crosses(pair, End::A, TUNNEL));
        let Some(DataPlaneEvent::Acquire { policy, flow, .. }) = pair.event(End::A) else { panic!("no acquire") };
        assert_eq!((policy, flow.src, flow.dst), (PolicyId(1), TUNNEL.inner(End::A), TUNNEL.inner(End::B)));
        assert_eq!((flow.protocol, flow.src_port, flow.dst_port), (17, Some(4000), Some(5001)));
        // The next packets ask for nothing new, until it has failed.
        assert!(!crosses(pair, End::A, TUNNEL));
        assert_eq!(pair.events(End::A), []);
        pair.apply(End::A, DataPlaneOp::FailAcquire(PolicyId(1))).unwrap();
    }
    assert_eq!(pair.events(End::B), []);
}

fn packets_cross_in_every_shape_and_are_counted(pair: &mut dyn Pair) {
    for (mode, outer6, inner6) in [
        (Mode::Tunnel, false, false),
        (Mode::Tunnel, false, true),
        (Mode::Tunnel, true, false),
        (Mode::Tunnel, true, true),
        (Mode::Transport, false, false),
        (Mode::Transport, true, true),
    ] {
        for sn in [SnId::SEQUENTIAL_32, SnId::PARTIAL_64] {
            let shape = Shape { mode, outer6, inner6 };
            let policies = policies(pair, shape);
            sas(pair, &policies, SPIS, gcm(sn));
            for end in End::BOTH {
                for _ in 0..3 {
                    assert!(crosses(pair, end, shape), "{shape:?} {sn} from {end:?}");
                }
            }
            for (end, policy) in End::BOTH.into_iter().zip(&policies) {
                for direction in [Direction::Inbound, Direction::Outbound] {
                    let id = sa(end, direction, policy, SPIS, gcm(sn)).id();
                    assert_eq!(counted(pair, end, id), (3, 0), "{shape:?} {sn} {id:?}");
                    pair.apply(end, DataPlaneOp::DeleteSa(id)).unwrap();
                }
                pair.apply(end, DataPlaneOp::DeletePolicy(policy.id)).unwrap();
            }
            assert!(pair.list(End::A).is_empty());
        }
    }
}

fn ah_goes_around_esp(pair: &mut dyn Pair) {
    for shape in [Shape { mode: Mode::Transport, ..TUNNEL }].into_iter().chain(tunnels()) {
        let policies = policies(pair, shape);
        sas(pair, &policies, SPIS, ah_esp(0));
        for end in End::BOTH {
            assert!(crosses(pair, end, shape), "{shape:?} from {end:?}");
        }
        for (end, policy) in End::BOTH.into_iter().zip(&policies) {
            for direction in [Direction::Inbound, Direction::Outbound] {
                let id = sa(end, direction, policy, SPIS, ah_esp(0)).id();
                assert_eq!(counted(pair, end, id), (1, 0));
                pair.apply(end, DataPlaneOp::DeleteSa(id)).unwrap();
            }
            pair.apply(end, DataPlaneOp::DeletePolicy(policy.id)).unwrap();
        }
    }
}

/// What is too short to be compressed crosses on SAs that have a label for it, of whichever directions.
fn packets_may_be_compressed_one_way_or_both(pair: &mut dyn Pair) {
    let transport = Shape { mode: Mode::Transport, ..TUNNEL };
    let tunnels = tunnels().map(|shape| (shape, gcm(SnId::SEQUENTIAL_32)));
    for (shape, suite) in tunnels.into_iter().chain([(transport, gcm(SnId::PARTIAL_64)), (TUNNEL, ah_esp(0))]) {
        for (to_a, to_b) in [(Some(0x1234), Some(0x1234)), (None, Some(0x4321)), (Some(0x4321), None)] {
            let policies = policies(pair, shape);
            let mut installed = Vec::new();
            for (end, policy) in End::BOTH.into_iter().zip(&policies) {
                for direction in [Direction::Inbound, Direction::Outbound] {
                    let mut params = sa(end, direction, policy, SPIS, suite);
                    let to_this = (direction == Direction::Inbound) == (end == End::A);
                    params.options.ipcomp = if to_this { to_a } else { to_b }.map(Cpi).into();
                    pair.apply(end, DataPlaneOp::AddSa(params.clone())).unwrap();
                    installed.push((end, params.id()));
                }
            }
            for end in End::BOTH {
                assert!(crosses(pair, end, shape), "{shape:?} {to_a:?} {to_b:?} from {end:?}");
            }
            for (end, id) in installed {
                assert_eq!(counted(pair, end, id), (1, 0), "{shape:?} {to_a:?} {to_b:?} {id:?}");
                pair.apply(end, DataPlaneOp::DeleteSa(id)).unwrap();
            }
            for (end, policy) in End::BOTH.into_iter().zip(&policies) {
                pair.apply(end, DataPlaneOp::DeletePolicy(policy.id)).unwrap();
            }
        }
    }
}

fn bypass_passes_and_discard_drops(pair: &mut dyn Pair) {
    policies(pair, TUNNEL);
    for (action, passes) in [(Action::Bypass, true), (Action::Discard, false)] {
        for end in End::BOTH {
            let mut first = make::policy(end, 2, TUNNEL);
            first.priority = 3000;
            first.action = action.clone();
            pair.apply(end, DataPlaneOp::AddPolicy(first)).unwrap();
        }
        assert_eq!(crosses(pair, End::A, TUNNEL), passes, "{action:?}");
        assert_eq!(crosses(pair, End::B, TUNNEL), passes, "{action:?}");
        assert_eq!(pair.events(End::A), []);
    }
}

fn clear_packets_do_not_get_in_where_they_are_to_be_protected(pair: &mut dyn Pair) {
    let mut open = make::policy(End::A, 1, TUNNEL);
    open.action = Action::Bypass;
    pair.apply(End::A, DataPlaneOp::AddPolicy(open.clone())).unwrap();
    let closed = make::policy(End::B, 1, TUNNEL);
    pair.apply(End::B, DataPlaneOp::AddPolicy(closed)).unwrap();
    assert!(!crosses(pair, End::A, TUNNEL));
    let mut passes = make::policy(End::B, 1, TUNNEL);
    passes.action = Action::Bypass;
    pair.apply(End::B, DataPlaneOp::AddPolicy(passes)).unwrap();
    assert!(crosses(pair, End::A, TUNNEL));
}

fn names_that_are_taken_or_unknown_are_refused(pair: &mut dyn Pair) {
    let policies = policies(pair, TUNNEL);
    let params = sa(End::A, Direction::Outbound, &policies[0], SPIS, gcm(SnId::SEQUENTIAL_32));
    pair.apply(End::A, DataPlaneOp::AddSa(params.clone())).unwrap();
    let again = pair.apply(End::A, DataPlaneOp::AddSa(params.clone())).unwrap_err();
    assert_eq!(again, DataPlaneError::Exists(params.id()));
    pair.apply(End::A, DataPlaneOp::DeleteSa(params.id())).unwrap();
    let unknown = pair.apply(End::A, DataPlaneOp::DeleteSa(params.id())).unwrap_err();
    assert_eq!(unknown, DataPlaneError::NoSuchSa(params.id()));
    let unknown = pair.apply(End::A, DataPlaneOp::DeletePolicy(PolicyId(9))).unwrap_err();
    assert_eq!(unknown, DataPlaneError::NoSuchPolicy(PolicyId(9)));
    let mut short = params;
    short.keys.encr = Secret::new(vec![1; 19]);
    let refused = pair.apply(End::A, DataPlaneOp::AddSa(short)).unwrap_err();
    assert!(matches!(refused, DataPlaneError::Algorithm(_)), "{refused}");
    assert!(pair.list(End::A).is_empty());
}

fn the_newest_outbound_sa_sends(pair: &mut dyn Pair) {
    let policies = policies(pair, TUNNEL);
    let suite = gcm(SnId::SEQUENTIAL_32);
    sas(pair, &policies, SPIS, suite);
    assert!(crosses(pair, End::A, TUNNEL));
    let newer = (0x1011, 0x2012);
    sas(pair, &policies, newer, suite);
    assert!(crosses(pair, End::A, TUNNEL));
    let id = |direction, spis| sa(End::A, direction, &policies[0], spis, suite).id();
    assert_eq!(counted(pair, End::A, id(Direction::Outbound, SPIS)), (1, 0));
    assert_eq!(counted(pair, End::A, id(Direction::Outbound, newer)), (1, 0));
    // The old one goes, and nothing is missed.
    for (end, policy) in End::BOTH.into_iter().zip(&policies) {
        for direction in [Direction::Inbound, Direction::Outbound] {
            pair.apply(end, DataPlaneOp::DeleteSa(sa(end, direction, policy, SPIS, suite).id())).unwrap();
        }
    }
    assert!(crosses(pair, End::A, TUNNEL) && crosses(pair, End::B, TUNNEL));
    assert_eq!(counted(pair, End::A, id(Direction::Outbound, newer)), (2, 0));
}

fn limits_are_told_softly_and_then_hold(pair: &mut dyn Pair) {
    let limit = |packets| Limits { packets: Some(packets), ..Limits::default() };
    let policies = policies(pair, TUNNEL);
    let suite = gcm(SnId::SEQUENTIAL_32);
    sas(pair, &policies, SPIS, suite);
    let mut params = sa(End::A, Direction::Outbound, &policies[0], SPIS, suite);
    let id = params.id();
    params.lifetime = Lifetime { soft: limit(3), hard: limit(6), idle: None };
    pair.apply(End::A, DataPlaneOp::DeleteSa(id)).unwrap();
    pair.apply(End::A, DataPlaneOp::AddSa(params)).unwrap();
    let passed = (0..10).filter(|_| crosses(pair, End::A, TUNNEL)).count();
    assert!((5..=6).contains(&passed), "{passed} packets passed");
    let events = pair.events(End::A);
    let told: Vec<_> = events.iter().filter(|event| !matches!(event, DataPlaneEvent::Acquire { .. })).collect();
    assert_eq!(told, [&DataPlaneEvent::SoftExpire(id), &DataPlaneEvent::HardExpire(id)], "{events:?}");
    // It stays listed until it is deleted.
    assert!(pair.list(End::A).iter().any(|sa| sa.params.id() == id));
    pair.apply(End::A, DataPlaneOp::DeleteSa(id)).unwrap();
}

fn an_idle_sa_is_told(pair: &mut dyn Pair) {
    let policies = policies(pair, TUNNEL);
    let mut params: SaParams = sa(End::A, Direction::Outbound, &policies[0], SPIS, gcm(SnId::SEQUENTIAL_32));
    params.lifetime.idle = Some(Duration::from_secs(2));
    let id = params.id();
    pair.apply(End::A, DataPlaneOp::AddSa(params)).unwrap();
    pair.wait(Duration::from_secs(1));
    assert_eq!(pair.events(End::A), []);
    pair.wait(Duration::from_secs(3));
    assert_eq!(pair.event(End::A), Some(DataPlaneEvent::Idle(id)));
}

fn the_next_packet_of_an_sa_is_told_of_when_asked(pair: &mut dyn Pair) {
    let policies = policies(pair, TUNNEL);
    let suite = gcm(SnId::SEQUENTIAL_32);
    sas(pair, &policies, SPIS, suite);
    let id = |direction| sa(End::A, direction, &policies[0], SPIS, suite).id();
    let (out, into) = (id(Direction::Outbound), id(Direction::Inbound));
    assert!(crosses(pair, End::A, TUNNEL));
    // Longer than it takes a data plane that looks now and then.
    pair.wait(Duration::from_secs(3));
    assert_eq!(pair.events(End::A), [], "nobody asked");
    pair.apply(End::A, DataPlaneOp::TellUse(out)).unwrap();
    assert!(crosses(pair, End::B, TUNNEL));
    pair.wait(Duration::from_secs(2));
    assert_eq!(pair.events(End::A), [], "it is not that SA which carries what comes in");
    assert!(crosses(pair, End::A, TUNNEL));
    assert_eq!(pair.event(End::A), Some(DataPlaneEvent::Used(out)));
    assert!(crosses(pair, End::A, TUNNEL));
    pair.wait(Duration::from_secs(2));
    assert_eq!(pair.events(End::A), [], "once");
    pair.apply(End::A, DataPlaneOp::TellUse(into)).unwrap();
    assert!(crosses(pair, End::B, TUNNEL));
    assert_eq!(pair.event(End::A), Some(DataPlaneEvent::Used(into)));
    pair.apply(End::A, DataPlaneOp::DeleteSa(out)).unwrap();
    assert_eq!(pair.apply(End::A, DataPlaneOp::TellUse(out)), Err(DataPlaneError::NoSuchSa(out)));
}

fn a_packet_under_another_key_is_dropped_and_counted(pair: &mut dyn Pair) {
    let policies = policies(pair, TUNNEL);
    let suite = gcm(SnId::SEQUENTIAL_32);
    sas(pair, &policies, SPIS, suite);
    let mut wrong = sa(End::B, Direction::Inbound, &policies[1], SPIS, suite);
    let id = wrong.id();
    wrong.keys.encr = Secret::new(vec![7; 20]);
    pair.apply(End::B, DataPlaneOp::DeleteSa(id)).unwrap();
    pair.apply(End::B, DataPlaneOp::AddSa(wrong)).unwrap();
    assert!(!crosses(pair, End::A, TUNNEL));
    assert_eq!(counted(pair, End::B, id), (0, 1));
}

// docs/HISTORY.md, row 115: the window is there whoever installs it. An outbound SA that is made anew counts from the beginning.
fn a_number_that_was_seen_is_a_replay(pair: &mut dyn Pair) {
    let policies = policies(pair, TUNNEL);
    let suite = gcm(SnId::SEQUENTIAL_32);
    sas(pair, &policies, SPIS, suite);
    assert!(crosses(pair, End::A, TUNNEL) && crosses(pair, End::A, TUNNEL));
    let outbound = sa(End::A, Direction::Outbound, &policies[0], SPIS, suite);
    pair.apply(End::A, DataPlaneOp::DeleteSa(outbound.id())).unwrap();
    pair.apply(End::A, DataPlaneOp::AddSa(outbound)).unwrap();
    assert!(!crosses(pair, End::A, TUNNEL) && !crosses(pair, End::A, TUNNEL));
    assert!(crosses(pair, End::A, TUNNEL), "a number that is new");
    let inbound = sa(End::B, Direction::Inbound, &policies[1], SPIS, suite).id();
    let listed = pair.list(End::B).into_iter().find(|sa| sa.params.id() == inbound).expect("it is listed");
    assert_eq!((listed.counters.packets, listed.counters.replayed), (3, 2));
}

fn numbers_are_skipped_and_do_not_cycle(pair: &mut dyn Pair) {
    let policies = policies(pair, TUNNEL);
    for (spis, sn) in [(SPIS, SnId::SEQUENTIAL_32), ((0x3001, 0x3002), SnId::PARTIAL_64)] {
        let suite = gcm(sn);
        sas(pair, &policies, spis, suite);
        let id = |direction| sa(End::A, direction, &policies[0], spis, suite).id();
        let (out, into) = (id(Direction::Outbound), sa(End::B, Direction::Inbound, &policies[1], spis, suite).id());
        let arrived = |pair: &mut dyn Pair| {
            let listed = pair.list(End::B).into_iter().find(|sa| sa.params.id() == into).expect("it is listed");
            (listed.counters.packets, listed.counters.sequence)
        };
        assert!(crosses(pair, End::A, TUNNEL) && crosses(pair, End::A, TUNNEL));
        assert_eq!(arrived(pair), (2, 2));
        pair.apply(End::A, DataPlaneOp::SkipNumbers { id: out, count: 1_000_000 }).unwrap();
        assert!(crosses(pair, End::A, TUNNEL));
        assert_eq!(arrived(pair), (3, 1_000_003));
        if sn == SnId::SEQUENTIAL_32 {
            pair.apply(End::A, DataPlaneOp::SkipNumbers { id: out, count: u64::MAX }).unwrap();
            assert!(!crosses(pair, End::A, TUNNEL), "there is no number left");
        }
        pair.apply(End::A, DataPlaneOp::DeleteSa(out)).unwrap();
        assert_eq!(
            pair.apply(End::A, DataPlaneOp::SkipNumbers { id: out, count: 1 }),
            Err(DataPlaneError::NoSuchSa(out))
        );
        pair.apply(End::B, DataPlaneOp::DeleteSa(into)).unwrap();
    }
}

fn a_policy_is_replaced_by_one_of_its_number(pair: &mut dyn Pair) {
    let policies = policies(pair, TUNNEL);
    sas(pair, &policies, SPIS, gcm(SnId::SEQUENTIAL_32));
    assert!(crosses(pair, End::A, TUNNEL));
    for (end, policy) in End::BOTH.into_iter().zip(&policies) {
        let mut other = policy.clone();
        other.action = Action::Discard;
        pair.apply(end, DataPlaneOp::AddPolicy(other)).unwrap();
    }
    assert!(!crosses(pair, End::A, TUNNEL));
    for (end, policy) in End::BOTH.into_iter().zip(policies) {
        pair.apply(end, DataPlaneOp::AddPolicy(policy)).unwrap();
    }
    assert!(crosses(pair, End::A, TUNNEL), "the SAs were there all the time");
}

fn without_its_sa_a_policy_asks_again(pair: &mut dyn Pair) {
    let policies = policies(pair, TUNNEL);
    let suite = gcm(SnId::SEQUENTIAL_32);
    sas(pair, &policies, SPIS, suite);
    assert!(crosses(pair, End::A, TUNNEL));
    let id = sa(End::A, Direction::Outbound, &policies[0], SPIS, suite).id();
    pair.apply(End::A, DataPlaneOp::DeleteSa(id)).unwrap();
    assert!(!crosses(pair, End::A, TUNNEL));
    assert!(matches!(pair.event(End::A), Some(DataPlaneEvent::Acquire { .. })));
}

fn each_flow_asks_for_its_own_sa(pair: &mut dyn Pair) {
    let policy = with(make::policy(End::A, 1, TUNNEL), |protection| protection.pfp = Pfp::ALL);
    pair.apply(End::A, DataPlaneOp::AddPolicy(policy.clone())).unwrap();
    for round in 0..2 {
        for port in 5001..5005 {
            let (src, dst) = TUNNEL.flow(End::A, 4000, port);
            assert!(!pair.send(End::A, src, dst));
            if round == 0 {
                let Some(DataPlaneEvent::Acquire { flow, .. }) = pair.event(End::A) else { panic!("no acquire") };
                assert_eq!(flow.dst_port, Some(port));
            }
            assert_eq!(pair.events(End::A), [], "once for each flow");
        }
    }
}

/// A server on port 5001, and 500 flows to it at a time: each gets SAs of its own, by its acquire, and each packet goes by
/// the SA of its flow.
fn each_of_five_hundred_flows_has_a_pair_of_its_own(pair: &mut dyn Pair) {
    const FLOWS: u16 = 500;
    let policies = End::BOTH.map(|end| {
        let policy = with(make::policy(end, 1, TUNNEL), |protection| protection.pfp = Pfp::ALL);
        pair.apply(end, DataPlaneOp::AddPolicy(policy.clone())).unwrap();
        policy
    });
    let suite = gcm(SnId::SEQUENTIAL_32);
    let mut up: BTreeMap<Flow, usize> = BTreeMap::new();
    let mut acquired = |pair: &mut dyn Pair, event: DataPlaneEvent| {
        let DataPlaneEvent::Acquire { flow, .. } = event else { panic!("{event:?}") };
        let at = up.len();
        assert!(up.insert(flow, at).is_none(), "{flow} asked twice");
        flow_sas(pair, &policies, &flow, at, suite);
        flow.src_port
    };
    let ports = 10_000..10_000 + FLOWS;
    for port in ports.clone() {
        let (src, dst) = TUNNEL.flow(End::A, port, 5001);
        pair.offer(End::A, src, dst);
    }
    let mut asked = Vec::new();
    for event in pair.events(End::A) {
        asked.push(acquired(pair, event));
    }
    assert!(!asked.is_empty());
    // A data plane may have so many acquires under way at a time, the kernel one; whoever is left over goes on sending.
    for port in ports.filter(|port| !asked.contains(&Some(*port))) {
        let (src, dst) = TUNNEL.flow(End::A, port, 5001);
        pair.offer(End::A, src, dst);
        let event = pair.event(End::A).unwrap_or_else(|| panic!("port {port} is not asked for"));
        assert_eq!(acquired(pair, event), Some(port));
    }
    assert_eq!(up.len(), usize::from(FLOWS));
    let ends = |flow: &Flow| ((flow.src, flow.src_port.unwrap()).into(), (flow.dst, flow.dst_port.unwrap()).into());
    // What waited for its SA goes by it where a data plane holds packets; one more each way is counted on top.
    let (src, dst) = ends(up.keys().next().unwrap());
    assert!((0..40).any(|_| pair.send(End::A, src, dst)));
    let mut before = End::BOTH.map(|end| packets(pair, end));
    loop {
        // Takes a moment.
        pair.events(End::A);
        let now = End::BOTH.map(|end| packets(pair, end));
        if now == before {
            break;
        }
        before = now;
    }
    for flow in up.keys() {
        let (src, dst) = ends(flow);
        assert!(pair.send(End::A, src, dst), "{flow}");
        assert!(pair.send(End::B, dst, src), "{flow} back");
    }
    for (end, before) in End::BOTH.into_iter().zip(before) {
        let after = packets(pair, end);
        assert_eq!(after.len(), 2 * usize::from(FLOWS));
        for (id, count) in after {
            assert_eq!(count - before[&id], 1, "each packet on the SA of its flow: {id:?}");
        }
    }
}

/// SAs for one flow, at both ends and in both directions.
fn flow_sas(pair: &mut dyn Pair, policies: &[Policy; 2], flow: &Flow, at: usize, suite: Suite) {
    let spis = (0x1_0000 + at as u32, 0x2_0000 + at as u32);
    for (end, policy) in End::BOTH.into_iter().zip(policies) {
        let Action::Protect(protection) = &policy.action else { panic!("it protects") };
        let Flow { src, dst, src_port, dst_port, .. } = *flow;
        let seen = match end {
            End::A => *flow,
            End::B => Flow { src: dst, dst: src, src_port: dst_port, dst_port: src_port, ..*flow },
        };
        let (local_ts, remote_ts) = protection.pfp.fill(&policy.local, &policy.remote, &seen);
        for direction in [Direction::Inbound, Direction::Outbound] {
            let (local_ts, remote_ts) = (local_ts.clone(), remote_ts.clone());
            let params = SaParams {
                local_ts: local_ts.into(),
                remote_ts: remote_ts.into(),
                ..sa(end, direction, policy, spis, suite)
            };
            pair.apply(end, DataPlaneOp::AddSa(params)).unwrap();
        }
    }
}

/// The packets that each SA has carried.
fn packets(pair: &mut dyn Pair, end: End) -> BTreeMap<SaId, u64> {
    pair.list(end).into_iter().map(|sa| (sa.params.id(), sa.counters.packets)).collect()
}

fn an_sa_takes_no_more_than_was_agreed(pair: &mut dyn Pair) {
    let policies = policies(pair, TUNNEL);
    let suite = gcm(SnId::SEQUENTIAL_32);
    let narrow = |side: &TrafficSelector, port: u16| vec![side.with(17, port..=port).unwrap()];
    for (end, policy) in End::BOTH.into_iter().zip(&policies) {
        for direction in [Direction::Inbound, Direction::Outbound] {
            let mut params = sa(end, direction, policy, SPIS, suite);
            // A sends from port 4000 to port 5001, and nothing else.
            let ports = if end == End::A { (4000, 5001) } else { (5001, 4000) };
            params.local_ts = narrow(&policy.local[0], ports.0).into();
            params.remote_ts = narrow(&policy.remote[0], ports.1).into();
            pair.apply(end, DataPlaneOp::AddSa(params)).unwrap();
        }
    }
    assert!(crosses(pair, End::A, TUNNEL));
    let (src, dst) = TUNNEL.flow(End::A, 4000, 5002);
    assert!(!pair.send(End::A, src, dst));
    let Some(DataPlaneEvent::Acquire { flow, .. }) = pair.event(End::A) else { panic!("no acquire") };
    assert_eq!(flow.dst_port, Some(5002));
}
