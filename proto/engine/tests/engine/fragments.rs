//! Fragments of clear packets at the SPD (RFC 4301 §7).

use crate::common::*;
use ravelin_engine::{DropReason, Engine, EngineConfig, Verdict};
use ravelin_types::dataplane::{DataPlaneEvent, DataPlaneOp};
use ravelin_types::policy::{Action, Mode, PolicyId};
use ravelin_types::sa::{Direction, SaParams};
use ravelin_types::selector::{OPAQUE_PORTS, TrafficSelector};
use ravelin_wire::ip::fragment::Fragments;

const HIDDEN: Verdict = Verdict::Drop(DropReason::HiddenPorts);

fn add(engine: &mut Engine, id: u32, remote: TrafficSelector, action: Action) {
    let local = if remote.is_ipv4() { TrafficSelector::any_v4() } else { TrafficSelector::any_v6() };
    engine.apply(&DataPlaneOp::AddPolicy(policy(id, id, &[local], &[remote], action)), NOW).unwrap();
}

/// A UDP packet to `port` as three fragments.
fn cut(src: &str, dst: &str, port: u16, id: u32) -> Vec<Vec<u8>> {
    let mut whole = udp(src, dst, (1024, port), 2800);
    if ip(src).is_ipv4() {
        whole[6] = 0;
        whole[4..6].copy_from_slice(&(id as u16).to_be_bytes());
        whole[10..12].fill(0);
        let sum = ravelin_wire::ip::checksum::finish(ravelin_wire::ip::checksum::sum(&whole[..20]));
        whole[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    let (mut fragments, mut room) = (Fragments::new(&whole, 1280, id).unwrap(), [0; 1500]);
    let mut cut = Vec::new();
    while let Some(len) = fragments.next(&mut room).unwrap() {
        cut.push(room[..len].to_vec());
    }
    assert_eq!(cut.len(), 3);
    cut
}

// RFC 4301 §7.4, its own example: one port is bypassed, another protected.
#[test]
fn later_fragments_go_the_way_of_their_first() {
    for (src, dst, any) in
        [("10.0.0.1", "10.0.0.2", TrafficSelector::any_v4()), ("2001:db8::1", "2001:db8::2", TrafficSelector::any_v6())]
    {
        let mut engine = engine_with(EngineConfig::default());
        add(&mut engine, 1, any.with(17, 119..=119).unwrap(), Action::Bypass);
        add(&mut engine, 2, any.with(17, 23..=23).unwrap(), protect());
        add(&mut engine, 3, any.with(17, 99..=99).unwrap(), Action::Discard);
        let both = |engine: &mut Engine, out: &[u8], back: &[u8]| (send(engine, out, NOW).0, receive(engine, back).0);
        let (news, back) = (cut(src, dst, 119, 1), udp(dst, src, (119, 1024), 1));
        assert_eq!(both(&mut engine, &news[1], &back), (HIDDEN, Verdict::Bypass), "it came before its first");
        for fragment in &news {
            assert_eq!(send(&mut engine, fragment, NOW).0, Verdict::Bypass);
        }
        for fragment in cut(src, dst, 99, 2) {
            assert_eq!(send(&mut engine, &fragment, NOW).0, Verdict::Drop(DropReason::PolicyDiscard));
        }
        // Inbound, the ends are swapped: these come from the port.
        for fragment in cut(src, dst, 119, 3) {
            assert_eq!(receive(&mut engine, &fragment).0, Verdict::Drop(DropReason::NoPolicy));
        }
        // What a forged fragment without a first would hit is safe.
        assert_eq!(receive(&mut engine, &cut(src, dst, 23, 4)[1]).0, HIDDEN);
    }
}

#[test]
fn inbound_later_fragments_go_the_way_of_their_first() {
    let mut engine = engine_with(EngineConfig::default());
    let any = TrafficSelector::any_v4();
    let local = |port| any.with(17, port..=port).unwrap();
    for (id, port, action) in [(1, 119, Action::Bypass), (2, 23, protect())] {
        engine.apply(&DataPlaneOp::AddPolicy(policy(id, id, &[local(port)], &[any], action)), NOW).unwrap();
    }
    for fragment in cut("10.0.0.1", "10.0.0.2", 119, 1) {
        assert_eq!(receive(&mut engine, &fragment).0, Verdict::Bypass);
    }
    let telnet = cut("10.0.0.1", "10.0.0.2", 23, 2);
    for fragment in &telnet {
        assert_eq!(receive(&mut engine, fragment).0, Verdict::Drop(DropReason::ExpectedProtection));
    }
    // Another first fragment of the same datagram does not let the rest pass.
    assert_eq!(receive(&mut engine, &cut("10.0.0.1", "10.0.0.2", 119, 2)[0]).0, Verdict::Bypass);
    assert_eq!(receive(&mut engine, &telnet[1]).0, HIDDEN);
}

#[test]
fn a_batch_remembers_first_fragments_too() {
    let mut engine = many_sas(300);
    add(&mut engine, 1000, TrafficSelector::any_v4().with(17, 119..=119).unwrap(), Action::Bypass);
    add(&mut engine, 1001, TrafficSelector::any_v4().with(17, 23..=23).unwrap(), Action::Discard);
    let fragments: Vec<_> = (0..20).flat_map(|id| cut("10.200.0.1", "10.200.0.2", 119, id)).collect();
    let mut buffers: Vec<_> = fragments.iter().map(|fragment| Buffer::new(fragment)).collect();
    let mut verdicts = vec![Verdict::Deliver; buffers.len()];
    let mut packets: Vec<_> = buffers.iter_mut().map(Buffer::buf).collect();
    engine.outbound.process_batch(&mut packets, NOW, &mut verdicts);
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Bypass), "{verdicts:?}");
}

// RFC 4301 §7.1 to §7.3: which SA carries a later fragment.
#[test]
fn an_sa_on_ports_carries_no_later_fragments_and_one_on_opaque_ports_does() {
    let any = TrafficSelector::any_v4();
    let web = any.with(17, 80..=80).unwrap();
    let opaque = any.with(17, OPAQUE_PORTS).unwrap();
    let fragments = cut("10.0.0.1", "10.0.0.2", 80, 7);
    let mut engine = engine_with(EngineConfig::default());
    add(&mut engine, 1, web, protect());
    let params = |spi, policy, local: TrafficSelector, remote: TrafficSelector| SaParams {
        spi: ravelin_types::Spi(spi),
        policy: PolicyId(policy),
        local_ts: [local].into(),
        remote_ts: [remote].into(),
        ..sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM)
    };
    let whole = params(0x1001, 1, any, web);
    engine.apply(&DataPlaneOp::AddSa(whole), NOW).unwrap();
    assert!(matches!(send(&mut engine, &fragments[0], NOW).0, Verdict::Send(_)));
    assert_eq!(send(&mut engine, &fragments[1], NOW).0, HIDDEN, "nobody agreed to that");
    assert_eq!(engine.poll_event(), None, "and another SA would not help");

    // A policy of their own, with an SA of its own: what shows no port, whatever its first fragment showed.
    let mut engine = engine_with(EngineConfig::default());
    add(&mut engine, 1, web, protect());
    let parts = policy(2, 2, &[opaque], &[opaque], protect());
    engine.apply(&DataPlaneOp::AddPolicy(parts), NOW).unwrap();
    assert_eq!(send(&mut engine, &fragments[1], NOW).0, Verdict::Hold(PolicyId(2)));
    assert!(matches!(engine.poll_event(), Some(DataPlaneEvent::Acquire { policy: PolicyId(2), .. })));
    let carries = params(0x1002, 2, opaque, opaque);
    engine.apply(&DataPlaneOp::AddSa(carries.clone()), NOW).unwrap();
    engine.apply(&DataPlaneOp::AddSa(received(&carries)), NOW).unwrap();
    let protected = sealed(&mut engine, &fragments[1]);
    // A packet that shows its ports is not for this SA.
    assert_eq!(send(&mut engine, &udp("10.0.0.1", "10.0.0.2", (1, 81), 9), NOW).0, Verdict::Drop(DropReason::NoPolicy));
    assert_eq!(receive(&mut engine, &protected), (Verdict::Deliver, fragments[1].clone()));
}

// RFC 4301 §7.3, RFC 7296 §1.3.1: where both ends have said so, with the ports of the first fragment.
#[test]
fn an_sa_on_ports_carries_later_fragments_where_both_ends_agreed() {
    let any = TrafficSelector::any_v4();
    let web = any.with(17, 80..=80).unwrap();
    let mut engine = engine_with(EngineConfig::default());
    add(&mut engine, 1, web, protect());
    let mut params = SaParams {
        spi: ravelin_types::Spi(0x1001),
        policy: PolicyId(1),
        local_ts: [any].into(),
        remote_ts: [web].into(),
        ..sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM)
    };
    params.options.later_fragments = true;
    engine.apply(&DataPlaneOp::AddSa(params.clone()), NOW).unwrap();
    engine.apply(&DataPlaneOp::AddSa(received(&params)), NOW).unwrap();
    let fragments = cut("10.0.0.1", "10.0.0.2", 80, 7);
    let over: Vec<_> = fragments.iter().map(|fragment| sealed(&mut engine, fragment)).collect();
    // Inbound they come in any order, but after the first.
    assert_eq!(receive(&mut engine, &over[2]).0, HIDDEN);
    assert_eq!(receive(&mut engine, &over[0]), (Verdict::Deliver, fragments[0].clone()));
    assert_eq!(receive(&mut engine, &over[1]), (Verdict::Deliver, fragments[1].clone()));

    // What the peer sends there although its first fragment went elsewhere, or was for another port.
    let mut peer = engine_with(EngineConfig::default());
    let mut wide = params.clone();
    (wide.local_ts, wide.remote_ts) = ([any].into(), [any].into());
    add(&mut peer, 1, any, protect());
    peer.apply(&DataPlaneOp::AddSa(wide), NOW).unwrap();
    // The peer's own numbers go on behind ours.
    for _ in 0..5 {
        sealed(&mut peer, &fragments[0]);
    }
    let other = cut("10.0.0.1", "10.0.0.2", 81, 8);
    let over: Vec<_> = other.iter().map(|fragment| sealed(&mut peer, fragment)).collect();
    assert_eq!(receive(&mut engine, &over[0]).0, Verdict::Drop(DropReason::BadSelector));
    assert_ne!(receive(&mut engine, &over[1]).0, Verdict::Deliver);
    // Without the agreement it is dropped whatever came first.
    params.options.later_fragments = false;
    let mut engine = engine_with(EngineConfig::default());
    add(&mut engine, 1, web, protect());
    engine.apply(&DataPlaneOp::AddSa(received(&params)), NOW).unwrap();
    let over: Vec<_> = fragments.iter().map(|fragment| sealed(&mut peer, fragment)).collect();
    assert_eq!(receive(&mut engine, &over[0]).0, Verdict::Deliver);
    assert_eq!(receive(&mut engine, &over[1]).0, Verdict::Drop(DropReason::BadSelector));
}

#[test]
fn fragments_over_a_transport_header_are_dropped() {
    let mut engine = engine();
    let mut later = packet(ip("10.0.0.1"), ip("10.0.0.2"), 6, &[0; 24]);
    later[6..8].copy_from_slice(&[0x20, 1]);
    assert_eq!(receive(&mut engine, &later).0, Verdict::Drop(DropReason::OverlappingFragment));
    later[7] = 2;
    assert_eq!(receive(&mut engine, &later).0, Verdict::Bypass);
    later[7] = 1;
    let params = sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM);
    let mut engine = looped(&params);
    let protected = sealed(&mut engine, &later);
    assert_eq!(receive(&mut engine, &protected).0, Verdict::Drop(DropReason::OverlappingFragment));
}
