//! An engine whose limits were set lives in a pool of memory of a fixed size, whatever is added, replaced and deleted: the
//! system is asked for nothing after the start, and what is too much is refused.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

// What the tests of the engine share has more than this program needs.
#[allow(dead_code)]
#[path = "../engine/common.rs"]
mod common;
#[path = "../engine/numbers.rs"]
mod numbers;
mod sys;

use common::*;
use numbers::Numbers;
use ravelin_engine::{Engine, EngineConfig, Limits, Verdict};
use ravelin_types::dataplane::{DataPlaneError, DataPlaneOp};
use ravelin_types::policy::PolicyId;
use ravelin_types::sa::Direction;
use sys::{from_pool, make_pool, refused};

/// 64 policies of up to two selectors on each side, and 64 SAs in each direction of any protocol, with the portable ciphers.
const LIMITS: Limits = Limits {
    policies: 64,
    sas: 64,
    selectors: 2,
    events: 64,
    acquires: 64,
    flow_sets: 64,
    replay_window: 4096,
    suites: &[],
    ipcomp: false,
};
/// A quarter more than what is needed: with 1 MiB the test passes, with 900 KiB it does not.
const POOL: usize = 5 << 18;

#[test]
fn an_engine_with_limits_lives_in_a_pool_of_a_fixed_size() {
    make_pool(POOL);
    let config = EngineConfig { limits: LIMITS, ..EngineConfig::default() };
    let mut engine = from_pool(|| Engine::new(config, portable(), Box::new(Seeded(7))));
    let mut numbers = Numbers(3);
    let (mut full, mut done, mut sent) = (0, 0, 0);
    for _ in 0..50_000 {
        // The operation is its caller's; what the engine keeps of it is its own.
        let op = op(&mut numbers);
        match from_pool(|| engine.apply(&op, NOW)) {
            Ok(()) => done += 1,
            Err(DataPlaneError::Full(_, most)) => {
                assert_eq!(most, 64);
                full += 1;
            }
            Err(DataPlaneError::Exists(_) | DataPlaneError::NoSuchSa(_) | DataPlaneError::NoSuchPolicy(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
        let clear = udp(&format!("10.0.0.{}", numbers.below(90)), "10.0.0.120", (7, 9), 20);
        let mut buffer = Buffer::new(&clear);
        from_pool(|| {
            let verdict = buffer.with(|pkt| engine.outbound.process(pkt, NOW));
            sent += u64::from(matches!(verdict, Verdict::Send(_)));
            while engine.poll_event().is_some() {}
        });
    }
    assert_eq!(refused(), 0, "a pool of {POOL} bytes is enough, whatever came and went");
    assert!(full > 1000 && done > 10_000 && sent > 5_000, "{full} {done} {sent}");
}

/// More of each than there may be.
fn op(numbers: &mut Numbers) -> DataPlaneOp {
    let n = numbers.below(90);
    let direction = if numbers.below(2) == 0 { Direction::Inbound } else { Direction::Outbound };
    match numbers.below(8) {
        0 | 1 => DataPlaneOp::AddPolicy(numbers.policy(n)),
        2 => DataPlaneOp::DeletePolicy(PolicyId(n)),
        3 => DataPlaneOp::DeleteSa(numbers.sa(n, direction).id()),
        _ => DataPlaneOp::AddSa(numbers.sa(n, direction)),
    }
}
