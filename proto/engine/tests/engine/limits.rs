//! An engine whose memory is planned: refusals at its limits, and what it takes.

use std::time::Duration;

use crate::common::*;
use crate::sys::{allocations, live_bytes};
use ravelin_engine::{DropReason, Engine, EngineConfig, HEADROOM, Limits, PacketBuf, TAILROOM, Verdict};
use ravelin_types::dataplane::{DataPlaneError, DataPlaneEvent, DataPlaneOp, Table};
use ravelin_types::lifetime;
use ravelin_types::policy::{Mode, Policy, PolicyId};
use ravelin_types::sa::{Direction, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::{Instant, Spi};

const SMALL: Limits = Limits {
    policies: 64,
    sas: 64,
    selectors: 2,
    events: 8,
    acquires: 8,
    flow_sets: 64,
    replay_window: 4096,
    suites: &[],
    ipcomp: false,
};

fn small(limits: Limits) -> Engine {
    engine_with(EngineConfig { limits, ..EngineConfig::default() })
}

fn client(n: u32) -> TrafficSelector {
    TrafficSelector::host([10, 0, 0, n as u8].into())
}

fn policy_of(n: u32) -> Policy {
    policy(n, 10, &[client(n)], &[TrafficSelector::any_v4()], protect())
}

fn sa_of(n: u32) -> SaParams {
    SaParams {
        spi: Spi(0x1000 + n),
        policy: PolicyId(n),
        local_ts: [client(n)].into(),
        remote_ts: [TrafficSelector::any_v4()].into(),
        ..sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM)
    }
}

fn ops_of(n: u32) -> [DataPlaneOp; 3] {
    [DataPlaneOp::AddPolicy(policy_of(n)), DataPlaneOp::AddSa(sa_of(n)), DataPlaneOp::AddSa(received(&sa_of(n)))]
}

fn undo(op: &DataPlaneOp) -> DataPlaneOp {
    match op {
        DataPlaneOp::AddPolicy(policy) => DataPlaneOp::DeletePolicy(policy.id),
        DataPlaneOp::AddSa(params) => DataPlaneOp::DeleteSa(params.id()),
        other => panic!("{other:?} is not added"),
    }
}

#[test]
fn each_limit_refuses_and_says_which_it_is() {
    let mut engine = small(Limits { policies: 2, sas: 2, ..SMALL });
    for n in 0..2 {
        ops_of(n).iter().for_each(|op| engine.apply(op, NOW).unwrap());
    }
    for op in &ops_of(2) {
        let table = if matches!(op, DataPlaneOp::AddPolicy(_)) { Table::Policies } else { Table::Sas };
        assert_eq!(engine.apply(op, NOW), Err(DataPlaneError::Full(table, 2)));
    }
    // What is there may be replaced, and what goes makes room.
    engine.apply(&ops_of(1)[0], NOW).unwrap();
    for (old, new) in ops_of(1).iter().zip(&ops_of(2)) {
        engine.apply(&undo(old), NOW).unwrap();
        engine.apply(new, NOW).unwrap();
    }
    assert_eq!(engine.list().len(), 4);
    let wide = Policy { local: vec![client(1), client(2), client(3)], ..policy_of(0) };
    assert!(matches!(engine.apply(&DataPlaneOp::AddPolicy(wide), NOW), Err(DataPlaneError::Invalid(_))));
}

#[test]
fn events_and_acquires_beyond_their_limits_wait() {
    let mut engine = small(SMALL);
    for n in 0..40 {
        engine.apply(&ops_of(n)[0], NOW).unwrap();
    }
    let too_many = Verdict::Drop(DropReason::TooManyAcquires);
    let ask = |engine: &mut Engine, n: u8| send(engine, &udp(&format!("10.0.0.{n}"), "10.9.9.9", (7, 9), 10), NOW).0;
    for n in 0..40 {
        let verdict = ask(&mut engine, n);
        assert!(if n < 8 { matches!(verdict, Verdict::Hold(_)) } else { verdict == too_many }, "{n}: {verdict:?}");
    }
    let asked = |engine: &mut Engine| std::iter::from_fn(|| engine.poll_event()).count();
    assert_eq!(asked(&mut engine), 8);
    let later = NOW + Duration::from_secs(31);
    for n in 8..40 {
        send(&mut engine, &udp(&format!("10.0.0.{n}"), "10.9.9.9", (7, 9), 10), later);
    }
    assert_eq!(asked(&mut engine), 8, "others get their turn when the first were not answered");

    let mut engine = small(SMALL);
    let hard = lifetime::Limits { time: Some(Duration::from_secs(5)), ..lifetime::Limits::default() };
    for n in 0..20 {
        let lifetime = lifetime::Lifetime { hard, ..lifetime::Lifetime::default() };
        engine.apply(&DataPlaneOp::AddSa(SaParams { lifetime, ..sa_of(n) }), NOW).unwrap();
    }
    engine.tick(NOW + Duration::from_secs(6));
    let ended = std::iter::from_fn(|| engine.poll_event());
    let ended = ended.filter(|event| matches!(event, DataPlaneEvent::HardExpire(_))).count();
    assert_eq!(ended, 20, "no expiry is lost");
}

/// Packets of all kinds, and time, cost no memory at all once the engine is made and filled.
#[test]
fn an_engine_at_its_limits_runs_without_allocating() {
    let mut engine = small(SMALL);
    for n in 0..63 {
        ops_of(n).iter().for_each(|op| engine.apply(op, NOW).unwrap());
    }
    engine.apply(&ops_of(63)[0], NOW).unwrap();
    let clear: Vec<Vec<u8>> = (0..64).map(|n| udp(&format!("10.0.0.{n}"), "10.9.9.9", (7, 9), 200)).collect();
    let mut bytes = vec![0; HEADROOM + clear[0].len() + TAILROOM];
    let before = allocations();
    for round in 0..200u64 {
        let now = NOW + Duration::from_secs(round);
        for (n, clear) in clear.iter().enumerate() {
            bytes[HEADROOM..HEADROOM + clear.len()].copy_from_slice(clear);
            // Ever new flows, more than the cache remembers.
            bytes[HEADROOM + 20..HEADROOM + 22].copy_from_slice(&(round as u16).to_be_bytes());
            let mut pkt = PacketBuf::new(&mut bytes, HEADROOM..HEADROOM + clear.len()).unwrap();
            match engine.outbound.process(&mut pkt, now) {
                Verdict::Send(_) => assert_eq!(engine.inbound.process(&mut pkt, now), Verdict::Deliver),
                Verdict::Hold(PolicyId(63)) => assert_eq!(n, 63),
                other => panic!("{other:?}"),
            }
        }
        engine.tick(now);
        if round % 3 == 0 {
            while engine.poll_event().is_some() {}
        }
    }
    assert_eq!(allocations() - before, 0);
}

/// What comes and goes leaves nothing behind, so the memory of an engine has a bound that can be measured once.
#[test]
fn memory_does_not_grow_with_what_came_and_went() {
    let mut at_limit = Vec::with_capacity(30);
    let start = live_bytes();
    let mut engine = small(SMALL);
    let empty = live_bytes() - start;
    for round in 0..30u32 {
        for n in 0..64 {
            ops_of(n * 7 % 64).iter().for_each(|op| engine.apply(op, NOW).unwrap());
        }
        at_limit.push(live_bytes() - start);
        for n in 0..64 {
            ops_of((n + round) * 11 % 64).iter().for_each(|op| engine.apply(&undo(op), NOW).unwrap());
        }
    }
    let most = *at_limit[..5].iter().max().unwrap();
    assert!(at_limit.iter().all(|bytes| *bytes <= most), "{at_limit:?}");
    drop(engine);
    assert_eq!(live_bytes(), start);
    eprintln!("an engine for 64 policies and 64 SAs each way: {empty} bytes empty, {most} full");
}

#[test]
fn the_default_holds_a_million() {
    let Limits { policies, sas, .. } = Limits::default();
    assert_eq!((policies, sas), (1 << 20, 1 << 20));
    assert_eq!(small(Limits::default()).deadline(), None::<Instant>);
}
