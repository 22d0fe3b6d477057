//! Soft and hard limits (RFC 4301 §4.4.2.1).

use crate::common::*;
use ravelin_engine::{DropReason, Engine, Verdict};
use ravelin_types::Spi;
use ravelin_types::dataplane::{DataPlaneEvent, DataPlaneOp};
use ravelin_types::lifetime::{Lifetime, Limits};
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::sa::{Direction, SaParams};
use std::time::Duration;

fn params(lifetime: Lifetime) -> SaParams {
    SaParams { lifetime, ..sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM) }
}

fn limits(packets: Option<u64>, bytes: Option<u64>, seconds: Option<u64>) -> Limits {
    Limits { packets, bytes, time: seconds.map(Duration::from_secs) }
}

#[test]
fn packets_and_bytes_end_an_sa_in_each_direction() {
    // 100 bytes each: soft after the second, hard after the third.
    for (soft, hard) in [
        (limits(Some(2), None, None), limits(Some(3), None, None)),
        (limits(None, Some(150), None), limits(None, Some(300), None)),
    ] {
        let params = params(Lifetime { soft, hard, idle: None });
        let mut engine = looped(&params);
        let clear = udp("10.0.0.1", "10.0.0.2", (1, 2), 72);
        let (out, back) = (params.id(), received(&params).id());
        let packets: Vec<_> = (0..3).map(|_| sealed(&mut engine, &clear)).collect();
        assert_eq!(engine.poll_event(), Some(DataPlaneEvent::SoftExpire(out)));
        assert_eq!(engine.poll_event(), Some(DataPlaneEvent::HardExpire(out)));
        assert_eq!(engine.poll_event(), None);
        for packet in &packets {
            assert_eq!(receive(&mut engine, packet).0, Verdict::Deliver);
        }
        assert_eq!(engine.poll_event(), Some(DataPlaneEvent::SoftExpire(back)));
        assert_eq!(engine.poll_event(), Some(DataPlaneEvent::HardExpire(back)));
        assert_eq!(receive(&mut engine, &packets[0]).0, Verdict::Drop(DropReason::Expired));
        // Out of use but listed; the next packet asks for another SA.
        assert_eq!(send(&mut engine, &clear, NOW).0, Verdict::Hold(PolicyId(1)));
        assert!(matches!(engine.poll_event(), Some(DataPlaneEvent::Acquire { .. })));
        assert_eq!(engine.poll_event(), None);
        assert_eq!(engine.list().len(), 2);
    }
}

#[test]
fn time_ends_an_sa_when_the_caller_says_so() {
    let params =
        params(Lifetime { soft: limits(None, None, Some(50)), hard: limits(None, None, Some(60)), idle: None });
    let mut engine = engine();
    engine.apply(&DataPlaneOp::AddPolicy(protect_all(1)), NOW).unwrap();
    let start = NOW + Duration::from_secs(1000);
    assert_eq!(engine.deadline(), None);
    engine.apply(&DataPlaneOp::AddSa(params.clone()), start).unwrap();
    assert_eq!(engine.deadline(), Some(start + Duration::from_secs(50)));
    engine.tick(start + Duration::from_secs(49));
    assert_eq!(engine.poll_event(), None);
    engine.tick(start + Duration::from_secs(50));
    assert_eq!(engine.poll_event(), Some(DataPlaneEvent::SoftExpire(params.id())));
    let clear = udp("10.0.0.1", "10.0.0.2", (1, 2), 72);
    assert!(matches!(send(&mut engine, &clear, start).0, Verdict::Send(_)));
    assert_eq!(engine.deadline(), Some(start + Duration::from_secs(60)));
    engine.tick(start + Duration::from_secs(1000));
    assert_eq!(engine.poll_event(), Some(DataPlaneEvent::HardExpire(params.id())));
    assert_eq!((engine.deadline(), engine.poll_event()), (None, None));
    assert_eq!(send(&mut engine, &clear, start).0, Verdict::Hold(PolicyId(1)));
}

#[test]
fn an_older_sa_takes_over_from_one_that_ended() {
    let mut engine = engine();
    engine.apply(&DataPlaneOp::AddPolicy(protect_all(1)), NOW).unwrap();
    let old = SaParams { spi: Spi(0x2000), ..params(Lifetime::default()) };
    let new = params(Lifetime { hard: limits(Some(1), None, None), ..Lifetime::default() });
    for sa in [&old, &new] {
        engine.apply(&DataPlaneOp::AddSa(sa.clone()), NOW).unwrap();
    }
    let clear = udp("10.0.0.1", "10.0.0.2", (1, 2), 72);
    let spis: Vec<_> = (0..3).map(|_| sealed(&mut engine, &clear)[20..24].to_vec()).collect();
    assert_eq!(spis, [new.spi.0.to_be_bytes(), old.spi.0.to_be_bytes(), old.spi.0.to_be_bytes()]);
}

#[test]
fn a_deleted_sa_leaves_no_timer_behind() {
    let params =
        params(Lifetime { soft: limits(None, None, Some(50)), hard: limits(None, None, Some(60)), idle: None });
    let mut engine = looped(&params);
    for id in [params.id(), SaParams { direction: Direction::Inbound, ..params.clone() }.id()] {
        engine.apply(&DataPlaneOp::DeleteSa(id), NOW).unwrap();
    }
    assert_eq!(engine.deadline(), None);
    engine.tick(NOW + Duration::from_secs(1000));
    assert_eq!(engine.poll_event(), None);
}

#[test]
fn a_full_event_queue_loses_no_expiry() {
    let mut engine = engine();
    let count = 2000;
    for n in 0..count {
        let lifetime = Lifetime { soft: limits(None, None, Some(1)), hard: limits(None, None, Some(2)), idle: None };
        let params = SaParams { spi: Spi(0x1000 + n), ..params(lifetime) };
        engine.apply(&DataPlaneOp::AddSa(params), NOW).unwrap();
    }
    engine.tick(NOW + Duration::from_secs(10));
    assert!(engine.outbound.counters().events_deferred > 0);
    let (mut soft, mut hard) = (0, 0);
    while let Some(event) = engine.poll_event() {
        match event {
            DataPlaneEvent::SoftExpire(_) => soft += 1,
            DataPlaneEvent::HardExpire(_) => hard += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((soft, hard), (count, count));
}

#[test]
fn an_sa_that_carries_nothing_is_reported_as_idle() {
    let seconds = |n| NOW + Duration::from_secs(n);
    let params = params(Lifetime { idle: Some(Duration::from_secs(60)), ..Lifetime::default() });
    let mut engine = looped(&params);
    let (out, into) = (params.id(), SaParams { direction: Direction::Inbound, ..params.clone() }.id());
    let clear = udp("10.0.0.1", "10.0.0.2", (1, 2), 20);
    let idle_at = |engine: &mut Engine, at| {
        engine.tick(at);
        std::iter::from_fn(|| engine.poll_event()).collect::<Vec<_>>()
    };
    sealed(&mut engine, &clear);
    assert_eq!(idle_at(&mut engine, seconds(59)), []);
    assert_eq!(engine.deadline(), Some(seconds(60)));
    assert_eq!(idle_at(&mut engine, seconds(60)), [DataPlaneEvent::Idle(into)], "the other direction sent a packet");
    let both = [DataPlaneEvent::Idle(out), DataPlaneEvent::Idle(into)];
    assert_eq!(idle_at(&mut engine, seconds(120)), both);
    sealed(&mut engine, &clear);
    assert_eq!(idle_at(&mut engine, seconds(180)), [DataPlaneEvent::Idle(into)]);
    // Looked at late, it is looked at once.
    assert_eq!(idle_at(&mut engine, seconds(1000)), both);
    for id in [out, into] {
        engine.apply(&DataPlaneOp::DeleteSa(id), seconds(1000)).unwrap();
    }
    assert_eq!(engine.deadline(), None);
}
