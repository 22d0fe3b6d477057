//! Several SPDs, and what they answer when only asked (RFC 4301 §4.4.1).

use crate::common::*;
use ravelin_engine::{Disposal, Disposition, DropReason, Engine, EngineConfig, Verdict};
use ravelin_types::Spi;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::policy::{Action, Domain, Mode, Policy, PolicyId};
use ravelin_types::sa::{Direction, SaParams};
use ravelin_types::selector::TrafficSelector;

const BLUE: Domain = Domain(7);

fn host(address: &str) -> TrafficSelector {
    TrafficSelector::host(ip(address))
}

fn process(engine: &mut Engine, packet: &[u8], domain: Domain) -> (Verdict, Vec<u8>) {
    let mut buffer = Buffer::new(packet);
    let mut pkt = buffer.buf().in_domain(domain);
    let verdict = engine.outbound.process(&mut pkt, NOW);
    (verdict, pkt.packet().to_vec())
}

#[test]
fn a_packet_meets_the_policies_of_its_domain_alone() {
    let mut engine = engine_with(EngineConfig::default());
    let any = [TrafficSelector::any_v4()];
    let red = policy(1, 1, &any, &any, Action::Discard);
    let blue = Policy { domain: BLUE, ..policy(2, 9, &any, &any, Action::Bypass) };
    for policy in [red, blue] {
        engine.apply(&DataPlaneOp::AddPolicy(policy), NOW).unwrap();
    }
    let clear = udp("10.0.0.1", "10.0.0.2", (1, 2), 20);
    for _ in 0..2 {
        // The second time from the flow cache.
        for (domain, expected) in [
            (Domain::default(), Verdict::Drop(DropReason::PolicyDiscard)),
            (BLUE, Verdict::Bypass),
            (Domain(8), Verdict::Drop(DropReason::NoPolicy)),
        ] {
            assert_eq!(process(&mut engine, &clear, domain).0, expected);
            let mut arrived = Buffer::new(&clear);
            assert_eq!(engine.inbound.process(&mut arrived.buf().in_domain(domain), NOW), expected);
        }
    }
}

/// An SA that comes before its policy, and one whose policy moves.
#[test]
fn an_sa_follows_its_policy_from_domain_to_domain() {
    let params = sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM);
    let mut engine = engine_with(EngineConfig::default());
    let any = [TrafficSelector::any_v4()];
    for op in [DataPlaneOp::AddSa(params.clone()), DataPlaneOp::AddSa(received(&params))] {
        engine.apply(&op, NOW).unwrap();
    }
    for domain in [BLUE, Domain(8), Domain::default()] {
        let ours = Policy { domain, ..policy(1, 9, &any, &any, protect()) };
        engine.apply(&DataPlaneOp::AddPolicy(ours), NOW).unwrap();
        let (verdict, sealed) = process(&mut engine, &udp("10.0.0.1", "10.0.0.2", (1, 2), 20), domain);
        assert!(matches!(verdict, Verdict::Send(_)), "{verdict:?}");
        let mut arrived = Buffer::new(&sealed);
        let mut pkt = arrived.buf();
        assert_eq!(engine.inbound.process(&mut pkt, NOW), Verdict::Deliver);
        assert_eq!(pkt.domain(), domain);
    }
}

#[test]
fn what_was_opened_is_in_the_domain_of_its_policy() {
    let params = sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM);
    let mut engine = engine_with(EngineConfig::default());
    let any = [TrafficSelector::any_v4()];
    let ours = Policy { domain: BLUE, ..policy(1, 9, &any, &any, protect()) };
    // In the domain of the outer packets, where nobody would let the inner ones pass.
    let outside = policy(2, 1, &any, &any, Action::Discard);
    for op in [
        DataPlaneOp::AddPolicy(ours),
        DataPlaneOp::AddPolicy(outside),
        DataPlaneOp::AddSa(params.clone()),
        DataPlaneOp::AddSa(received(&params)),
    ] {
        engine.apply(&op, NOW).unwrap();
    }
    let clear = udp("10.0.0.1", "10.0.0.2", (1, 2), 20);
    let (verdict, sealed) = process(&mut engine, &clear, BLUE);
    assert!(matches!(verdict, Verdict::Send(_)), "{verdict:?}");
    let mut buffer = Buffer::new(&sealed);
    let mut pkt = buffer.buf();
    assert_eq!(engine.inbound.process(&mut pkt, NOW), Verdict::Deliver);
    assert_eq!((pkt.domain(), pkt.packet()), (BLUE, &clear[..]));
}

// RFC 4301 §5.1: nested SAs take one pass over the boundary each, here in a domain of their own.
#[test]
fn nested_sas_are_passes_in_different_domains() {
    let inner = sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM);
    let outer = SaParams {
        spi: Spi(0x2000),
        policy: PolicyId(2),
        src: ip("198.51.100.1"),
        dst: ip("198.51.100.2"),
        ..inner.clone()
    };
    let mut engine = engine_with(EngineConfig::default());
    let (hosts, ends) = ([TrafficSelector::any_v4()], [host("192.0.2.1")]);
    let first = policy(1, 1, &hosts, &hosts, protect());
    let second =
        Policy { domain: BLUE, ..policy(2, 1, &ends, &[host("192.0.2.2").with(50, 0..=65535).unwrap()], protect()) };
    for op in [
        DataPlaneOp::AddPolicy(first),
        DataPlaneOp::AddPolicy(second),
        DataPlaneOp::AddSa(inner.clone()),
        DataPlaneOp::AddSa(outer.clone()),
        DataPlaneOp::AddSa(received(&inner)),
        DataPlaneOp::AddSa(received(&outer)),
    ] {
        engine.apply(&op, NOW).unwrap();
    }
    let clear = udp("10.0.0.1", "10.0.0.2", (1, 2), 20);
    let (_, once) = process(&mut engine, &clear, Domain::default());
    let (verdict, twice) = process(&mut engine, &once, BLUE);
    assert!(matches!(verdict, Verdict::Send(to) if to.dst == ip("198.51.100.2")), "{verdict:?}");
    assert_eq!(receive(&mut engine, &twice), (Verdict::Deliver, once.clone()));
    assert_eq!(receive(&mut engine, &once), (Verdict::Deliver, clear));
}

#[test]
fn a_lookup_answers_and_changes_nothing() {
    let mut engine = engine_with(EngineConfig::default());
    let (net, web) = (TrafficSelector::any_v4(), TrafficSelector::any_v4().with(17, 80..=80).unwrap());
    engine.apply(&DataPlaneOp::AddPolicy(policy(1, 1, &[net], &[web], protect())), NOW).unwrap();
    engine.apply(&DataPlaneOp::AddPolicy(policy(2, 2, &[host("10.0.0.1")], &[net], Action::Bypass)), NOW).unwrap();
    engine.apply(&DataPlaneOp::AddPolicy(policy(3, 3, &[host("10.0.0.3")], &[net], Action::Discard)), NOW).unwrap();
    let out = |src, port| udp(src, "10.0.0.2", (1, port), 20);
    let answer = |policy: Option<u32>, action| Disposition { policy: policy.map(PolicyId), action };
    for (packet, expected) in [
        (out("10.0.0.1", 80), answer(Some(1), Disposal::Protect(Mode::Tunnel))),
        (out("10.0.0.1", 81), answer(Some(2), Disposal::Bypass)),
        (out("10.0.0.3", 81), answer(Some(3), Disposal::Discard(DropReason::PolicyDiscard))),
        (out("10.0.0.4", 81), answer(None, Disposal::Discard(DropReason::NoPolicy))),
        (vec![0x45; 3], answer(None, Disposal::Discard(DropReason::BadIpHeader))),
    ] {
        assert_eq!(engine.outbound.lookup(&packet, Domain::default()), expected);
    }
    let mut fragment = out("10.0.0.1", 80);
    fragment[6..8].copy_from_slice(&[0, 9]);
    let hidden = answer(None, Disposal::Discard(DropReason::HiddenPorts));
    assert_eq!(engine.outbound.lookup(&fragment, Domain::default()), hidden);
    let back = udp("10.0.0.2", "10.0.0.1", (80, 1), 20);
    assert_eq!(engine.inbound.lookup(&back, Domain::default()), answer(Some(1), Disposal::Protect(Mode::Tunnel)));
    assert_eq!(engine.inbound.lookup(&back, BLUE), answer(None, Disposal::Discard(DropReason::NoPolicy)));
    assert_eq!(engine.poll_event(), None, "nobody asks for an SA");
    assert_eq!(engine.outbound.counters().all_dropped() + engine.inbound.counters().all_dropped(), 0);
    assert_eq!(engine.outbound.counters().held, 0);
}
