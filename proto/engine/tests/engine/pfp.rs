//! Policies that populate the selectors of their SAs from packets (RFC 4301 §4.4.1.2).

use crate::common::*;
use ravelin_engine::limits::MAX_ACQUIRES_PER_POLICY;
use ravelin_engine::{DropReason, Engine, EngineConfig, Verdict};
use ravelin_types::Spi;
use ravelin_types::dataplane::{DataPlaneEvent, DataPlaneOp, Flow};
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Mode, Policy, PolicyId, Protection};
use ravelin_types::sa::{Direction, SaParams};
use ravelin_types::selector::TrafficSelector;

fn filling(pfp: Pfp) -> Policy {
    let Action::Protect(protection) = protect() else { unreachable!() };
    Policy { action: Action::Protect(Protection { pfp, ..protection }), ..protect_all(1) }
}

fn with(pfp: Pfp) -> Engine {
    let mut engine = engine();
    engine.apply(&DataPlaneOp::AddPolicy(filling(pfp)), NOW).unwrap();
    engine
}

/// The n-th client of a server on port 5001.
fn client(n: u16) -> Vec<u8> {
    udp("10.1.0.1", "10.2.0.1", (10_000 + n, 5001), 20)
}

/// An SA for exactly the flow.
fn sa_for(flow: &Flow, spi: u32) -> SaParams {
    let side = |address, port: Option<u16>| {
        let ports = port.map_or(0..=u16::MAX, |port| port..=port);
        vec![TrafficSelector::host(address).with(flow.protocol, ports).unwrap()]
    };
    SaParams {
        spi: Spi(spi),
        local_ts: side(flow.src, flow.src_port).into(),
        remote_ts: side(flow.dst, flow.dst_port).into(),
        ..sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM)
    }
}

fn acquired(engine: &mut Engine) -> Option<Flow> {
    match engine.poll_event()? {
        DataPlaneEvent::Acquire { policy: PolicyId(1), flow, .. } => Some(flow),
        other => panic!("{other:?}"),
    }
}

fn spi_of(sent: &(Verdict, Vec<u8>)) -> u32 {
    let Verdict::Send(outer) = sent.0 else { panic!("{:?}", sent.0) };
    u32::from_be_bytes(sent.1[outer.esp_at..outer.esp_at + 4].try_into().unwrap())
}

#[test]
fn each_flow_asks_for_and_uses_an_sa_of_its_own() {
    const FLOWS: u16 = 100;
    let mut engine = with(Pfp::ALL);
    for _ in 0..2 {
        for n in 0..FLOWS {
            assert_eq!(send(&mut engine, &client(n), NOW).0, Verdict::Hold(PolicyId(1)));
        }
    }
    let flows: Vec<Flow> = std::iter::from_fn(|| acquired(&mut engine)).collect();
    assert_eq!(flows.len(), usize::from(FLOWS), "each flow asks once");
    // Answered in another order, and each answer serves its flow alone.
    for (n, flow) in flows.iter().enumerate().rev() {
        engine.apply(&DataPlaneOp::AddSa(sa_for(flow, 0x1000 + n as u32)), NOW).unwrap();
        assert_eq!(spi_of(&send(&mut engine, &client(n as u16), NOW)), 0x1000 + n as u32);
        if n > 0 {
            assert_eq!(send(&mut engine, &client(n as u16 - 1), NOW).0, Verdict::Hold(PolicyId(1)));
        }
    }
    for n in (0..FLOWS).chain(0..FLOWS) {
        assert_eq!(spi_of(&send(&mut engine, &client(n), NOW)), 0x1000 + u32::from(n));
    }
    assert_eq!(acquired(&mut engine), None);
    // Rekeyed and deleted, each is replaced alone.
    engine.apply(&DataPlaneOp::AddSa(sa_for(&flows[3], 0x5000)), NOW).unwrap();
    assert_eq!(spi_of(&send(&mut engine, &client(3), NOW)), 0x5000);
    engine.apply(&DataPlaneOp::DeleteSa(sa_for(&flows[3], 0x1003).id()), NOW).unwrap();
    assert_eq!(spi_of(&send(&mut engine, &client(3), NOW)), 0x5000);
    engine.apply(&DataPlaneOp::DeleteSa(sa_for(&flows[3], 0x5000).id()), NOW).unwrap();
    assert_eq!(send(&mut engine, &client(3), NOW).0, Verdict::Hold(PolicyId(1)));
    assert_eq!(acquired(&mut engine), Some(flows[3]));
    assert_eq!(spi_of(&send(&mut engine, &client(4), NOW)), 0x1004);
}

#[test]
fn what_is_not_filled_from_the_packet_is_shared() {
    let by_peer = Pfp { remote: true, ..Pfp::NONE };
    let mut engine = with(by_peer);
    let packet = |src: &str, dst: &str, port| udp(src, dst, (port, 53), 20);
    assert!(matches!(send(&mut engine, &packet("10.1.0.1", "10.2.0.1", 1), NOW).0, Verdict::Hold(_)));
    assert!(matches!(send(&mut engine, &packet("10.1.0.9", "10.2.0.1", 2), NOW).0, Verdict::Hold(_)));
    assert_eq!(acquired(&mut engine).unwrap().dst, ip("10.2.0.1"));
    assert_eq!(acquired(&mut engine), None, "the same peer");
    assert!(matches!(send(&mut engine, &packet("10.1.0.1", "10.2.0.2", 1), NOW).0, Verdict::Hold(_)));
    assert_eq!(acquired(&mut engine).unwrap().dst, ip("10.2.0.2"));
    let all = sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM);
    let to_one = SaParams { remote_ts: [TrafficSelector::host(ip("10.2.0.1"))].into(), ..all };
    engine.apply(&DataPlaneOp::AddSa(to_one), NOW).unwrap();
    for (src, port) in [("10.1.0.1", 1), ("10.1.0.9", 2), ("10.1.7.7", 3)] {
        assert!(matches!(send(&mut engine, &packet(src, "10.2.0.1", port), NOW).0, Verdict::Send(_)));
    }
    assert!(matches!(send(&mut engine, &packet("10.1.0.1", "10.2.0.2", 1), NOW).0, Verdict::Hold(_)));
}

#[test]
fn flows_beyond_the_bound_wait_for_room_and_block_no_other_policy() {
    let mut engine = with(Pfp::ALL);
    let other = TrafficSelector::host(ip("10.9.9.9"));
    engine
        .apply(&DataPlaneOp::AddPolicy(policy(2, 1, &[other], &[TrafficSelector::any_v4()], protect())), NOW)
        .unwrap();
    for n in 0..MAX_ACQUIRES_PER_POLICY as u16 {
        assert_eq!(send(&mut engine, &client(n), NOW).0, Verdict::Hold(PolicyId(1)));
    }
    let one_more = client(MAX_ACQUIRES_PER_POLICY as u16);
    assert_eq!(send(&mut engine, &one_more, NOW).0, Verdict::Drop(DropReason::TooManyAcquires));
    assert_eq!(send(&mut engine, &client(0), NOW).0, Verdict::Hold(PolicyId(1)));
    assert_eq!(send(&mut engine, &udp("10.9.9.9", "10.2.0.1", (1, 1), 9), NOW).0, Verdict::Hold(PolicyId(2)));
    // An answer makes room, and so does time.
    let first = acquired(&mut engine).unwrap();
    engine.apply(&DataPlaneOp::AddSa(sa_for(&first, 0x1000)), NOW).unwrap();
    assert_eq!(send(&mut engine, &one_more, NOW).0, Verdict::Hold(PolicyId(1)));
    let again = client(MAX_ACQUIRES_PER_POLICY as u16 + 1);
    assert_eq!(send(&mut engine, &again, NOW).0, Verdict::Drop(DropReason::TooManyAcquires));
    assert_eq!(send(&mut engine, &again, NOW + EngineConfig::default().acquire_timeout).0, Verdict::Hold(PolicyId(1)));
}

#[test]
fn sas_are_sorted_anew_when_the_policy_changes() {
    let mut engine = with(Pfp::NONE);
    let flow = |n: u16| Flow {
        src: ip("10.1.0.1"),
        dst: ip("10.2.0.1"),
        protocol: 17,
        src_port: Some(10_000 + n),
        dst_port: Some(5001),
    };
    let wide = sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM);
    let wide = SaParams { spi: Spi(0x9000), ..wide };
    for params in [wide.clone(), sa_for(&flow(1), 0x1001), sa_for(&flow(2), 0x1002), sa_for(&flow(1), 0x2001)] {
        engine.apply(&DataPlaneOp::AddSa(params), NOW).unwrap();
    }
    let spis = |engine: &mut Engine| [1, 2, 3].map(|n| spi_of(&send(engine, &client(n), NOW)));
    assert_eq!(spis(&mut engine), [0x2001, 0x1002, 0x9000]);
    for pfp in [Pfp::ALL, Pfp { remote: true, ..Pfp::NONE }, Pfp::NONE, Pfp::ALL] {
        engine.apply(&DataPlaneOp::AddPolicy(filling(pfp)), NOW).unwrap();
        assert_eq!(spis(&mut engine), [0x2001, 0x1002, 0x9000], "{pfp:?}");
    }
    engine.apply(&DataPlaneOp::DeletePolicy(PolicyId(1)), NOW).unwrap();
    for (flow, spi) in [(flow(1), 0x1001), (flow(2), 0x1002), (flow(1), 0x2001)] {
        engine.apply(&DataPlaneOp::DeleteSa(sa_for(&flow, spi).id()), NOW).unwrap();
    }
    engine.apply(&DataPlaneOp::AddPolicy(filling(Pfp::NONE)), NOW).unwrap();
    assert_eq!(spis(&mut engine), [0x9000; 3]);
}
