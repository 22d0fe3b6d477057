//! What the SPD and the SAD make of packets (RFC 4301 §4.4, §5).

use crate::common::*;
use ravelin_engine::{DropReason, Engine, EngineConfig, Verdict};
use ravelin_types::dataplane::{DataPlaneError, DataPlaneEvent, DataPlaneOp};
use ravelin_types::policy::{Action, Mode, Policy, PolicyId, Protection, Ways};
use ravelin_types::sa::{Direction, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId};
use ravelin_types::{Secret, Spi};
use ravelin_wire::ip::protocol;

fn net(address: &str, len: u8) -> TrafficSelector {
    TrafficSelector::prefix(ip(address), len).unwrap()
}

fn tunnel(spi: u32) -> SaParams {
    SaParams { spi: Spi(spi), ..sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM) }
}

fn spi_of(sent: &(Verdict, Vec<u8>)) -> u32 {
    let Verdict::Send(outer) = sent.0 else { panic!("{:?}", sent.0) };
    u32::from_be_bytes(sent.1[outer.esp_at..outer.esp_at + 4].try_into().unwrap())
}

#[test]
fn unmatched_packets_pass_or_not_as_configured() {
    let clear = udp("10.0.0.1", "10.0.0.2", (1, 2), 20);
    let mut engine = engine();
    assert_eq!(send(&mut engine, &clear, NOW), (Verdict::Bypass, clear.clone()));
    assert_eq!(receive(&mut engine, &clear), (Verdict::Bypass, clear.clone()));
    assert_eq!((engine.outbound.counters().bypassed, engine.inbound.counters().bypassed), (1, 1));

    let mut engine = engine_with(EngineConfig::default());
    assert_eq!(send(&mut engine, &clear, NOW).0, Verdict::Drop(DropReason::NoPolicy));
    assert_eq!(receive(&mut engine, &clear).0, Verdict::Drop(DropReason::NoPolicy));
    assert_eq!(engine.inbound.counters().dropped(DropReason::NoPolicy), 1);
}

#[test]
fn bypass_and_discard_hold_both_ways() {
    let (here, there) = (net("10.1.0.0", 16), net("10.2.0.0", 16));
    let mut engine = engine();
    let web = there.with(6, 80..=80).unwrap();
    engine.apply(&DataPlaneOp::AddPolicy(policy(1, 5, &[here], &[web], Action::Bypass)), NOW).unwrap();
    engine.apply(&DataPlaneOp::AddPolicy(policy(2, 9, &[here], &[there], Action::Discard)), NOW).unwrap();
    let tcp = |src, dst, ports: (u16, u16)| {
        let header = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
        packet(ip(src), ip(dst), 6, &[&header[..], &[0; 16]].concat())
    };
    assert_eq!(send(&mut engine, &tcp("10.1.0.1", "10.2.0.1", (999, 80)), NOW).0, Verdict::Bypass);
    assert_eq!(receive(&mut engine, &tcp("10.2.0.1", "10.1.0.1", (80, 999))).0, Verdict::Bypass);
    let discard = Verdict::Drop(DropReason::PolicyDiscard);
    assert_eq!(send(&mut engine, &tcp("10.1.0.1", "10.2.0.1", (80, 999)), NOW).0, discard);
    assert_eq!(receive(&mut engine, &tcp("10.2.0.1", "10.1.0.1", (999, 80))).0, discard);
    // A cached decision does not outlive its policy.
    engine.apply(&DataPlaneOp::DeletePolicy(PolicyId(2)), NOW).unwrap();
    assert_eq!(send(&mut engine, &tcp("10.1.0.1", "10.2.0.1", (80, 999)), NOW).0, Verdict::Bypass);
    assert_eq!(receive(&mut engine, &tcp("10.2.0.1", "10.1.0.1", (999, 80))).0, Verdict::Bypass);
}

#[test]
fn a_packet_without_an_sa_asks_for_one_once() {
    let clear = udp("10.0.0.1", "10.0.0.2", (1, 2), 20);
    let mut engine = engine();
    engine.apply(&DataPlaneOp::AddPolicy(protect_all(1)), NOW).unwrap();
    let held = Verdict::Hold(PolicyId(1));
    for _ in 0..5 {
        assert_eq!(send(&mut engine, &clear, NOW), (held, clear.clone()), "untouched, to be offered again");
    }
    let Some(DataPlaneEvent::Acquire { policy: PolicyId(1), flow, .. }) = engine.poll_event() else { panic!() };
    assert_eq!((flow.src, flow.dst_port), (ip("10.0.0.1"), Some(2)));
    assert_eq!(engine.poll_event(), None);
    assert_eq!(engine.outbound.counters().held, 5);

    // Nobody answered in time.
    let later = NOW + EngineConfig::default().acquire_timeout;
    assert_eq!(send(&mut engine, &clear, later).0, held);
    assert!(matches!(engine.poll_event(), Some(DataPlaneEvent::Acquire { .. })));

    // An SA came: the packet goes; and when it is gone, the next packet asks at once.
    engine.apply(&DataPlaneOp::AddSa(tunnel(0x1001)), later).unwrap();
    assert!(matches!(send(&mut engine, &clear, later).0, Verdict::Send(_)));
    engine.apply(&DataPlaneOp::DeleteSa(tunnel(0x1001).id()), later).unwrap();
    assert_eq!(send(&mut engine, &clear, later).0, held);
    assert!(matches!(engine.poll_event(), Some(DataPlaneEvent::Acquire { .. })));
}

#[test]
fn the_newest_sa_whose_selectors_hold_sends() {
    let mut engine = engine();
    engine.apply(&DataPlaneOp::AddPolicy(protect_all(1)), NOW).unwrap();
    let narrow = SaParams { remote_ts: [net("10.2.0.0", 16)].into(), ..tunnel(0x1002) };
    for params in [tunnel(0x1001), narrow] {
        engine.apply(&DataPlaneOp::AddSa(params), NOW).unwrap();
    }
    let (inside, outside) = (udp("10.1.0.1", "10.2.0.1", (1, 2), 9), udp("10.1.0.1", "10.3.0.1", (1, 2), 9));
    assert_eq!(spi_of(&send(&mut engine, &inside, NOW)), 0x1002);
    assert_eq!(spi_of(&send(&mut engine, &outside, NOW)), 0x1001);
    // Rekeyed: the successor takes over at once, and the flows that only the old one carries stay with it.
    let successor = SaParams { remote_ts: [net("10.2.0.0", 16)].into(), ..tunnel(0x1003) };
    engine.apply(&DataPlaneOp::AddSa(successor), NOW).unwrap();
    assert_eq!(spi_of(&send(&mut engine, &inside, NOW)), 0x1003);
    assert_eq!(spi_of(&send(&mut engine, &outside, NOW)), 0x1001);
    engine.apply(&DataPlaneOp::DeleteSa(tunnel(0x1003).id()), NOW).unwrap();
    assert_eq!(spi_of(&send(&mut engine, &inside, NOW)), 0x1002);
    engine.apply(&DataPlaneOp::DeleteSa(tunnel(0x1001).id()), NOW).unwrap();
    assert_eq!(send(&mut engine, &outside, NOW).0, Verdict::Hold(PolicyId(1)));
}

// docs/HISTORY.md, row 120, second half: in the clear, where protection is required.
#[test]
fn clear_packets_of_protected_traffic_are_dropped() {
    let params = sa(Direction::Outbound, Mode::Transport, "192.0.2.1", "192.0.2.2", AES_GCM);
    let mut engine = looped(&params);
    let clear = udp("192.0.2.2", "192.0.2.1", (1, 2), 20);
    assert_eq!(receive(&mut engine, &clear).0, Verdict::Drop(DropReason::ExpectedProtection));
    let v6 = udp("2001:db8::2", "2001:db8::1", (1, 2), 20);
    assert_eq!(receive(&mut engine, &v6).0, Verdict::Drop(DropReason::ExpectedProtection));
    assert_eq!(engine.inbound.counters().dropped(DropReason::ExpectedProtection), 2);
    assert_eq!(engine.inbound.counters().all_dropped(), 2);
}

// docs/HISTORY.md, row 119.
// Row 120: the SA's selectors hold the address, but a policy before its own gives it to another peer.
#[test]
fn an_sa_carries_nothing_that_a_policy_before_its_own_decides() {
    let protected_by = |peer: &str| match protect() {
        Action::Protect(protection) => Action::Protect(Protection { remote: ip(peer), ..protection }),
        other => other,
    };
    // The wide SA is from 192.0.2.1 and serves policy 1.
    let params = SaParams { policy: PolicyId(1), ..tunnel(0x1000_0001) };
    let mut sequence = 0;
    let mut arrives = |engine: &mut Engine, from: &str| {
        sequence += 1;
        let esp = authentic(&params, sequence, &padded(&udp(from, "10.1.0.1", (5, 80), 20), protocol::IPV4));
        receive_esp(engine, &params, &esp).0
    };
    let ours = net("10.1.0.0", 16);
    let mut engine = engine();
    engine.apply(&DataPlaneOp::AddSa(received(&params)), NOW).unwrap();
    let wide = policy(1, 10, &[ours], &[net("10.0.0.0", 8)], protected_by("192.0.2.1"));
    engine.apply(&DataPlaneOp::AddPolicy(wide), NOW).unwrap();
    assert_eq!(arrives(&mut engine, "10.2.0.1"), Verdict::Deliver);
    for (id, priority, net, action, verdict) in [
        (2, 5, "10.2.0.0", protected_by("192.0.2.9"), Verdict::Drop(DropReason::PolicyMismatch)),
        (3, 5, "10.3.0.0", Action::Bypass, Verdict::Drop(DropReason::UnexpectedProtection)),
        (4, 5, "10.4.0.0", Action::Discard, Verdict::Drop(DropReason::UnexpectedProtection)),
        (5, 5, "10.5.0.0", protected_by("192.0.2.1"), Verdict::Deliver),
        (6, 20, "10.6.0.0", protected_by("192.0.2.9"), Verdict::Deliver),
    ] {
        let narrow = policy(id, priority, &[ours], &[self::net(net, 16)], action);
        engine.apply(&DataPlaneOp::AddPolicy(narrow), NOW).unwrap();
        assert_eq!(arrives(&mut engine, &net.replace("0.0", "0.1")), verdict, "policy {id}");
    }
    assert_eq!(engine.inbound.list()[0].counters.bad_policy, 3);
    // What no policy is before stays with the SA.
    assert_eq!(arrives(&mut engine, "10.7.0.1"), Verdict::Deliver);
    engine.apply(&DataPlaneOp::DeletePolicy(PolicyId(2)), NOW).unwrap();
    assert_eq!(arrives(&mut engine, "10.2.0.1"), Verdict::Deliver);
}

#[test]
fn fragments_neither_slip_past_ports_nor_into_transport_mode() {
    let any = TrafficSelector::any_v4();
    let dns = any.with(17, 53..=53).unwrap();
    let mut engine = engine();
    engine.apply(&DataPlaneOp::AddPolicy(policy(1, 5, &[any], &[dns], protect())), NOW).unwrap();
    let mut later = udp("10.0.0.1", "10.0.0.2", (9, 53), 20);
    later[6..8].copy_from_slice(&[0x00, 0x05]);
    let mut first = udp("10.0.0.1", "10.0.0.2", (9, 53), 20);
    first[6..8].copy_from_slice(&[0x20, 0x00]);
    let mut tiny = udp("10.0.0.1", "10.0.0.2", (9, 53), 20)[..22].to_vec();
    tiny[2..4].copy_from_slice(&22u16.to_be_bytes());
    let hidden = Verdict::Drop(DropReason::HiddenPorts);
    assert_eq!(send(&mut engine, &later, NOW).0, hidden);
    assert_eq!(send(&mut engine, &tiny, NOW).0, hidden);
    assert_eq!(send(&mut engine, &first, NOW).0, Verdict::Hold(PolicyId(1)));
    let reversed = |packet: &[u8]| {
        let mut packet = packet.to_vec();
        packet[12..20].rotate_left(4);
        packet
    };
    assert_eq!(receive(&mut engine, &reversed(&later)).0, hidden);

    // RFC 4303 §3.3.4: transport mode takes whole datagrams only, IPv6 ones too.
    let params = sa(Direction::Outbound, Mode::Transport, "10.0.0.1", "10.0.0.2", AES_GCM);
    let mut engine = looped(&params);
    assert_eq!(send(&mut engine, &first, NOW).0, Verdict::Drop(DropReason::FragmentInTransport));
    let fragment = [17, 0, 0, 1, 0, 0, 0, 9, 0, 1, 0, 53, 0, 8, 0, 0];
    let v6 = packet(ip("2001:db8::1"), ip("2001:db8::2"), 44, &fragment);
    assert_eq!(send(&mut engine, &v6, NOW).0, Verdict::Drop(DropReason::FragmentInTransport));
    // In tunnel mode a fragment is a packet like any other.
    let params = sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM);
    let mut engine = looped(&params);
    let protected = sealed(&mut engine, &later);
    assert_eq!(receive(&mut engine, &protected), (Verdict::Deliver, later));
}

#[test]
fn the_halves_work_on_two_threads() {
    let params = sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM);
    let (mut outbound, mut inbound) = looped(&params).split();
    let (tx, rx) = std::sync::mpsc::sync_channel::<Vec<u8>>(8);
    let sender = std::thread::spawn(move || {
        for n in 0..500 {
            let mut buffer = Buffer::new(&udp("10.0.0.1", "10.0.0.2", (1, 2), n));
            assert!(matches!(buffer.with(|pkt| outbound.process(pkt, NOW)), Verdict::Send(_)));
            tx.send(buffer.packet().to_vec()).unwrap();
        }
    });
    for (n, packet) in rx.iter().enumerate() {
        let mut buffer = Buffer::new(&packet);
        assert_eq!(buffer.with(|pkt| inbound.process(pkt, NOW)), Verdict::Deliver);
        assert_eq!(buffer.packet(), udp("10.0.0.1", "10.0.0.2", (1, 2), n));
    }
    sender.join().unwrap();
    assert_eq!(inbound.counters().protected, 500);
}

#[test]
fn what_cannot_be_done_is_refused_and_changes_nothing() {
    let mut engine = engine();
    let good = tunnel(0x1001);
    let add = |params: SaParams| DataPlaneOp::AddSa(params);
    engine.apply(&add(good.clone()), NOW).unwrap();
    engine.apply(&add(received(&good)), NOW).unwrap();
    assert_eq!(engine.apply(&add(good.clone()), NOW), Err(DataPlaneError::Exists(good.id())));
    // Inbound SPIs are ours alone, whatever the address.
    let other_dst = SaParams { dst: ip("192.0.2.9"), ..received(&good) };
    assert_eq!(engine.apply(&add(other_dst), NOW), Err(DataPlaneError::Exists(received(&good).id())));
    let missing = tunnel(0x1999).id();
    assert_eq!(engine.apply(&DataPlaneOp::DeleteSa(missing), NOW), Err(DataPlaneError::NoSuchSa(missing)));
    let delete = DataPlaneOp::DeletePolicy(PolicyId(7));
    assert_eq!(engine.apply(&delete, NOW), Err(DataPlaneError::NoSuchPolicy(PolicyId(7))));

    let fresh = tunnel(0x2000);
    let mut short = fresh.clone();
    short.keys.encr = Secret::new(vec![1; 19]);
    let mut no_integrity = fresh.clone();
    no_integrity.suite = suite(EncrId::AES_CBC, 128, IntegId::NONE).into();
    no_integrity.keys.encr = Secret::new(vec![1; 16]);
    let mut null = fresh.clone();
    null.suite = suite(EncrId::NULL, 0, IntegId::NONE).into();
    // docs/HISTORY.md, row 114: no extended numbers without a window to tell them from.
    let mut blind = received(&fresh);
    blind.suite = with_esn(AES_GCM).into();
    blind.replay_window = 0;
    for params in [short, no_integrity, null, blind] {
        let result = engine.apply(&add(params), NOW);
        assert!(matches!(result, Err(DataPlaneError::Algorithm(_))), "{result:?}");
    }
    let wide = SaParams { replay_window: 4097, ..received(&fresh) };
    assert!(matches!(engine.apply(&add(wide), NOW), Err(DataPlaneError::Invalid(_))));
    let mixed = SaParams { src: ip("::1"), ..fresh.clone() };
    assert!(matches!(engine.apply(&add(mixed), NOW), Err(DataPlaneError::Invalid(_))));
    assert_eq!(engine.list().len(), 2);
    engine.apply(&add(fresh), NOW).unwrap();
    assert_eq!(engine.list().len(), 3);
}

#[test]
fn every_sa_is_listed_with_its_counters() {
    let params = tunnel(0x1001);
    let mut engine = looped(&params);
    let clear = udp("10.0.0.1", "10.0.0.2", (1, 2), 72);
    let protected = sealed(&mut engine, &clear);
    assert_eq!(receive(&mut engine, &protected).0, Verdict::Deliver);
    assert_eq!(receive(&mut engine, &protected).0, Verdict::Drop(DropReason::Replayed));
    let list = engine.list();
    assert_eq!(
        list.iter().map(|sa| sa.params.direction).collect::<Vec<_>>(),
        [Direction::Outbound, Direction::Inbound]
    );
    assert!(list.iter().all(|sa| (sa.counters.packets, sa.counters.bytes, sa.counters.sequence) == (1, 100, 1)));
    assert_eq!((list[0].counters.replayed, list[1].counters.replayed), (0, 1));
}

#[test]
fn very_many_policies_and_sas_keep_their_flows_apart() {
    let mut engine = many_sas(600);
    for round in 0..3 {
        for n in 0..600u32 {
            let src = std::net::Ipv4Addr::from_bits(0x0a00_0000 + n).to_string();
            let sent = send(&mut engine, &udp(&src, "10.9.9.9", (1, 2), 5), NOW);
            assert_eq!(spi_of(&sent), 0x1000 + n, "round {round}");
            assert_eq!(receive(&mut engine, &sent.1).0, Verdict::Deliver);
        }
    }
    assert_eq!(engine.poll_event(), None);
}

// An SA between two hosts for all ports of a protocol is nobody's narrowed one.
#[test]
fn an_sa_for_a_protocol_between_two_hosts_carries_every_port() {
    let ends = |from: &str| [TrafficSelector::host(ip(from)).with(17, 0..=u16::MAX).unwrap()];
    let (local, remote) = (ends("192.0.2.1"), ends("192.0.2.2"));
    let mut engine = engine();
    let params = SaParams {
        mode: Mode::Transport,
        local_ts: local.into(),
        remote_ts: remote.into(),
        policy: PolicyId(1),
        ..tunnel(0x1000_0001)
    };
    engine.apply(&DataPlaneOp::AddPolicy(policy(1, 10, &local, &remote, protect())), NOW).unwrap();
    engine.apply(&DataPlaneOp::AddSa(params), NOW).unwrap();
    for ports in [(1, 2), (3, 4), (0, 0)] {
        let (verdict, _) = send(&mut engine, &udp("192.0.2.1", "192.0.2.2", ports, 20), NOW);
        assert!(matches!(verdict, Verdict::Send(_)), "{ports:?}: {verdict:?}");
    }
}

// RFC 4301 §4.4.1: what is to be bypassed or discarded outbound and inbound stands in SPD-O and SPD-I, each for itself.
#[test]
fn an_entry_may_be_about_one_direction_alone() {
    let any = [TrafficSelector::any_v4()];
    let of = |id, priority, action, ways| Policy { ways, ..policy(id, priority, &any, &any, action) };
    let packet = udp("10.0.0.1", "10.0.0.2", (1, 2), 40);
    let dropped = Verdict::Drop(DropReason::PolicyDiscard);
    let none = Verdict::Drop(DropReason::NoPolicy);
    for (action, decided) in [(Action::Bypass, Verdict::Bypass), (Action::Discard, dropped)] {
        for (ways, out, back) in
            [(Ways::Both, decided, decided), (Ways::Outbound, decided, none), (Ways::Inbound, none, decided)]
        {
            let mut engine = engine_with(EngineConfig::default());
            engine.apply(&DataPlaneOp::AddPolicy(of(1, 10, action.clone(), ways)), NOW).unwrap();
            assert_eq!((send(&mut engine, &packet, NOW).0, receive(&mut engine, &packet).0), (out, back), "{ways:?}");
            // It may turn round, stands before others for its direction alone, and goes again.
            let other = if ways == Ways::Inbound { Ways::Outbound } else { Ways::Inbound };
            engine.apply(&DataPlaneOp::AddPolicy(of(1, 10, action.clone(), other)), NOW).unwrap();
            let turned = if other == Ways::Inbound { (none, decided) } else { (decided, none) };
            assert_eq!((send(&mut engine, &packet, NOW).0, receive(&mut engine, &packet).0), turned);
            engine.apply(&DataPlaneOp::AddPolicy(protect_all(2)), NOW).unwrap();
            let clear = Verdict::Drop(DropReason::ExpectedProtection);
            let protected =
                if other == Ways::Inbound { (Verdict::Hold(PolicyId(2)), decided) } else { (decided, clear) };
            assert_eq!((send(&mut engine, &packet, NOW).0, receive(&mut engine, &packet).0), protected);
            engine.apply(&DataPlaneOp::DeletePolicy(PolicyId(1)), NOW).unwrap();
            assert_eq!(receive(&mut engine, &packet).0, clear);
        }
    }
    // One about a device is for a data plane that knows by which a packet leaves or came.
    let lan = ravelin_types::policy::DeviceName::new("eth1").unwrap();
    for only in [None, Some(Direction::Outbound), Some(Direction::Inbound)] {
        let mut engine = engine_with(EngineConfig::default());
        engine.apply(&DataPlaneOp::AddPolicy(of(1, 10, Action::Bypass, Ways::Over(lan, only))), NOW).unwrap();
        assert_eq!((send(&mut engine, &packet, NOW).0, receive(&mut engine, &packet).0), (none, none));
    }
    // Protection is both ways whatever is said.
    let mut engine = engine_with(EngineConfig::default());
    engine.apply(&DataPlaneOp::AddPolicy(Policy { ways: Ways::Inbound, ..protect_all(1) }), NOW).unwrap();
    assert_eq!(send(&mut engine, &packet, NOW).0, Verdict::Hold(PolicyId(1)));
}
