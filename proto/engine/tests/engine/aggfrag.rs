//! AGGFRAG payloads (RFC 9347): packets share protected packets, or are spread over them.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::common::*;
use crate::sys::allocations;
use ravelin_engine::limits::{AGGFRAG_PATH, AGGFRAG_WAIT};
use ravelin_engine::{DropReason, Engine, HEADROOM, Mark, OuterMeta, PacketBuf, Verdict};
use ravelin_types::Instant;
use ravelin_types::dataplane::{DataPlaneError, DataPlaneOp};
use ravelin_types::options::{AggFrag, Dscp, SaOptions};
use ravelin_types::policy::{Action, Mode};
use ravelin_types::proposal::{AhSuite, EspSuite, Suite};
use ravelin_types::sa::{Direction, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_types::{Spi, policy::PolicyId};
use ravelin_wire::ip::{Header, protocol};

const V4: (&str, &str) = ("192.0.2.1", "192.0.2.2");
const V6: (&str, &str) = ("2001:db8::1", "2001:db8::2");
const AS_NEEDED: AggFrag = AggFrag { rate: None, fragments: true };

fn at(rate: u64) -> AggFrag {
    AggFrag { rate: NonZeroU64::new(rate), ..AS_NEEDED }
}

fn with(ends: (&str, &str), suite: EspSuite, aggfrag: AggFrag) -> SaParams {
    let options = SaOptions { aggfrag: Some(aggfrag), ..SaOptions::default() };
    SaParams { options, ..sa(Direction::Outbound, Mode::Tunnel, ends.0, ends.1, suite) }
}

/// The next packets that the engine makes of what it has taken.
fn payloads(engine: &mut Engine, now: Instant) -> Vec<Vec<u8>> {
    let mut bytes = vec![0xa5; HEADROOM + 70_000];
    let mut made = Vec::new();
    loop {
        let mut pkt = PacketBuf::new(&mut bytes, HEADROOM..HEADROOM).unwrap();
        match engine.outbound.poll_payload(&mut pkt, now) {
            Some(Verdict::Send(_)) => made.push(pkt.packet().to_vec()),
            None => return made,
            Some(other) => panic!("{other:?}"),
        }
    }
}

/// The next packets out of payloads.
fn packets(engine: &mut Engine, now: Instant) -> Vec<(Verdict, Vec<u8>)> {
    let mut bytes = vec![0xa5; 70_000];
    let mut out = Vec::new();
    loop {
        let mut pkt = PacketBuf::new(&mut bytes, 0..0).unwrap();
        let Some(verdict) = engine.inbound.poll_packet(&mut pkt, now) else { return out };
        out.push((verdict, pkt.packet().to_vec()));
    }
}

fn take(engine: &mut Engine, packet: &[u8]) {
    assert_eq!(send(engine, packet, NOW).0, Verdict::Taken);
}

fn clear(count: usize) -> Vec<Vec<u8>> {
    let one = |n: usize| match n % 3 {
        0 => udp("10.1.0.1", "10.2.0.2", (n as u16, 9), n * 97 % 1400),
        1 => udp("2001:db8:1::1", "2001:db8:2::2", (n as u16, 9), n * 89 % 3000),
        _ => udp("10.1.0.3", "10.2.0.4", (n as u16, 9), 0),
    };
    (0..count).map(one).collect()
}

#[test]
fn packets_cross_in_fewer_and_in_more_than_they_were() {
    let cbc = suite(EncrId::AES_CBC, 256, IntegId::HMAC_SHA2_256_128);
    for ends in [V4, V6] {
        for suite in [AES_GCM, with_esn(AES_GCM), cbc] {
            for params in [with(ends, suite, AS_NEEDED), in_udp(with(ends, suite, AS_NEEDED), 4500, 4500)] {
                let mut engine = looped(&params);
                let clear = clear(60);
                clear.iter().for_each(|packet| take(&mut engine, packet));
                let sealed = payloads(&mut engine, NOW);
                assert!(sealed.len() > 10 && sealed.len() < 40, "{}", sealed.len());
                for packet in &sealed {
                    let header = Header::parse(packet).unwrap();
                    assert!(header.total_len == packet.len() && packet.len() <= AGGFRAG_PATH.into());
                    assert_eq!(receive(&mut engine, packet).0, Verdict::Taken);
                }
                // All but the last are as long as the path takes, as far as the cipher's blocks let them.
                assert!(sealed[..sealed.len() - 1].iter().all(|it| it.len() > usize::from(AGGFRAG_PATH) - 16));
                let expected: Vec<_> = clear.iter().map(|packet| (Verdict::Deliver, packet.clone())).collect();
                assert_eq!(packets(&mut engine, NOW), expected);
                assert_eq!(receive(&mut engine, &sealed[0]).0, Verdict::Drop(DropReason::Replayed));
                assert!(payloads(&mut engine, NOW).is_empty() && engine.outbound.payload_deadline().is_none());
                assert_eq!(engine.list()[0].counters.packets, sealed.len() as u64);
            }
        }
    }
}

#[test]
fn a_batch_is_opened_together() {
    let cbc = suite(EncrId::AES_CBC, 128, IntegId::HMAC_SHA1_96);
    let mut engine = looped(&with(V4, cbc, AS_NEEDED));
    let clear = clear(40);
    let mut buffers: Vec<Buffer> = clear.iter().map(|packet| Buffer::new(packet)).collect();
    let mut taken: Vec<_> = buffers.iter_mut().map(Buffer::buf).collect();
    let mut verdicts = vec![Verdict::Deliver; 40];
    engine.outbound.process_batch(&mut taken, NOW, &mut verdicts);
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Taken));
    let mut buffers: Vec<Buffer> = payloads(&mut engine, NOW).iter().map(|packet| Buffer::new(packet)).collect();
    let mut arrived: Vec<_> = buffers.iter_mut().map(Buffer::buf).collect();
    verdicts.truncate(arrived.len());
    engine.inbound.process_batch(&mut arrived, NOW, &mut verdicts);
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Taken));
    let out: Vec<_> = packets(&mut engine, NOW).into_iter().map(|(_, packet)| packet).collect();
    assert_eq!(out, clear);
}

#[test]
fn at_a_rate_packets_of_one_length_go_all_the_time() {
    let mut engine = looped(&with(V4, AES_GCM, at(1_200_000)));
    let mut now = NOW;
    let mut lengths = Vec::new();
    let mut out = Vec::new();
    let clear = clear(20);
    // 1500 bytes are 10 ms of it.
    for step in 0..100 {
        assert_eq!(engine.outbound.payload_deadline(), Some(now));
        if step == 30 {
            clear.iter().for_each(|packet| take(&mut engine, packet));
            assert_eq!(engine.outbound.payload_deadline(), Some(now), "traffic changes nothing");
        }
        let made = payloads(&mut engine, now);
        assert_eq!(made.len(), 1);
        let expected = |verdict| verdict == Verdict::Taken || verdict == Verdict::Drop(DropReason::Dummy);
        assert!(expected(receive(&mut engine, &made[0]).0));
        lengths.push(made[0].len());
        out.extend(packets(&mut engine, now).into_iter().map(|(_, packet)| packet));
        now = now + Duration::from_millis(10);
    }
    assert!(lengths.iter().all(|len| *len == lengths[0] && *len > 1480), "{lengths:?}");
    assert_eq!(out, clear);
    let counters = engine.list().iter().map(|sa| sa.counters).collect::<Vec<_>>();
    assert_eq!(counters[0].packets, 100);
    assert_eq!((counters[0].dummies, counters[1].dummies), (100 - counters[1].packets, 100 - counters[1].packets));
}

#[test]
fn the_path_and_the_receiver_say_what_goes_into_a_packet() {
    let mut params = with(V4, AES_GCM, AggFrag { fragments: false, ..AS_NEEDED });
    params.options.mtu = Some(600);
    params.options.dscp = Dscp::Set(46);
    let mut engine = looped(&params);
    let small = udp("10.1.0.1", "10.2.0.2", (1, 2), 100);
    for _ in 0..8 {
        take(&mut engine, &small);
    }
    // Nobody may cut it, and its sender is told as with plain tunnel mode (RFC 9347 §2.2.7).
    let big = udp("10.1.0.1", "10.2.0.2", (1, 2), 700);
    assert_eq!(send(&mut engine, &big, NOW).0, Verdict::TooBig);
    let made = payloads(&mut engine, NOW);
    assert_eq!(made.len(), 2);
    for packet in &made {
        assert!(packet.len() <= 600);
        assert_eq!(Header::parse(packet).unwrap().tos, 46 << 2, "RFC 9347 §2.2.5.3");
        assert_eq!(receive(&mut engine, packet).0, Verdict::Taken);
        // Each is complete in itself.
        assert_eq!(packets(&mut engine, NOW).len(), 4);
    }
    params.options.aggfrag = Some(AS_NEEDED);
    let mut engine = looped(&params);
    take(&mut engine, &big);
    assert_eq!(payloads(&mut engine, NOW).len(), 2);
}

#[test]
fn a_lost_packet_is_waited_for_and_costs_what_was_in_it() {
    let mut engine = looped(&with(V4, AES_GCM, AS_NEEDED));
    let clear: Vec<_> = (0..6).map(|n| udp("10.1.0.1", "10.2.0.2", (n, 2), 900)).collect();
    clear.iter().for_each(|packet| take(&mut engine, packet));
    let sealed = payloads(&mut engine, NOW);
    assert_eq!(sealed.len(), 4);
    // The first holds one and a half.
    for lost in 0..4 {
        let mut engine = looped(&with(V4, AES_GCM, AS_NEEDED));
        let mut out = Vec::new();
        for (n, packet) in sealed.iter().enumerate().filter(|(n, _)| *n != lost) {
            assert_eq!(receive(&mut engine, packet).0, Verdict::Taken);
            let now = packets(&mut engine, NOW);
            assert!(n < lost || now.is_empty());
            out.extend(now);
        }
        if lost < 3 {
            assert_eq!(engine.inbound.packet_deadline(), Some(NOW + AGGFRAG_WAIT));
            out.extend(packets(&mut engine, NOW + AGGFRAG_WAIT));
        }
        assert!(out.len() >= 3 && out.len() < 6, "{}", out.len());
        assert!(out.iter().all(|(verdict, packet)| *verdict == Verdict::Deliver && clear.contains(packet)));
        assert_eq!(engine.inbound.packet_deadline(), None);
        let late = receive(&mut engine, &sealed[lost]).0;
        assert_eq!(late, if lost < 3 { Verdict::Drop(DropReason::TooLate) } else { Verdict::Taken });
        let lost_parts = engine.inbound.counters().dropped(DropReason::Incomplete);
        assert_eq!(lost_parts, u64::from(lost > 0 && lost < 3), "what had begun");
    }
}

// RFC 9347 §2.3.
#[test]
fn nothing_else_goes_over_such_an_sa_nor_such_a_payload_over_another() {
    let params = with(V4, AES_GCM, AS_NEEDED);
    let mut engine = looped(&params);
    let clear = udp("10.1.0.1", "10.2.0.2", (1, 2), 100);
    let plain = authentic(&params, 1, &padded(&clear, protocol::IPV4));
    assert_eq!(receive_esp(&mut engine, &params, &plain).0, Verdict::Drop(DropReason::BadNextHeader));
    for (sequence, payload) in [(2, &[][..]), (3, &[0, 0, 0]), (4, &[2, 0, 0, 0, 0x45]), (5, &[1, 0, 0, 0, 0x45])] {
        let bad = authentic(&params, sequence, &padded(payload, protocol::AGGFRAG));
        assert_eq!(receive_esp(&mut engine, &params, &bad).0, Verdict::Drop(DropReason::BadAggFrag), "{payload:?}");
    }
    // With what congestion control says, which is passed over.
    let mut engine = looped(&params);
    let payload = [&[1, 0, 0, 0][..], &[0xcc; 20], &clear].concat();
    let good = authentic(&params, 1, &padded(&payload, protocol::AGGFRAG));
    assert_eq!(receive_esp(&mut engine, &params, &good).0, Verdict::Taken);
    assert_eq!(packets(&mut engine, NOW), [(Verdict::Deliver, clear.clone())]);

    let plain = SaParams { options: SaOptions::default(), ..params.clone() };
    let mut engine = looped(&plain);
    let shared = authentic(&plain, 1, &padded(&clear, protocol::AGGFRAG));
    assert_eq!(receive_esp(&mut engine, &plain, &shared).0, Verdict::Drop(DropReason::BadNextHeader));
}

#[test]
fn what_comes_out_is_held_to_the_selectors() {
    let network = |text: &str| vec![TrafficSelector::prefix(ip(text), 16).unwrap()];
    let narrow = SaParams {
        local_ts: network("10.1.0.0").into(),
        remote_ts: network("10.2.0.0").into(),
        ..with(V4, AES_GCM, AS_NEEDED)
    };
    let mut engine = looped(&with(V4, AES_GCM, AS_NEEDED));
    let inside = udp("10.1.0.1", "10.2.0.2", (1, 2), 100);
    let outside = udp("10.3.0.1", "10.2.0.2", (1, 2), 100);
    take(&mut engine, &outside);
    take(&mut engine, &inside);
    let sealed = payloads(&mut engine, NOW);
    let mut engine = super::common::engine();
    engine.apply(&DataPlaneOp::AddPolicy(protect_all(1)), NOW).unwrap();
    engine.apply(&DataPlaneOp::AddSa(received(&narrow)), NOW).unwrap();
    assert_eq!(receive(&mut engine, &sealed[0]).0, Verdict::Taken);
    let out: Vec<_> = packets(&mut engine, NOW).into_iter().map(|(verdict, _)| verdict).collect();
    assert_eq!(out, [Verdict::Drop(DropReason::BadSelector), Verdict::Deliver]);
    assert_eq!(engine.list()[0].counters.bad_selector, 1);
}

// RFC 4301 §5.2: of what came out, a policy before that of the SA decides about the packet that it is for, and no other.
#[test]
fn what_comes_out_is_held_to_the_policies_before_that_of_the_sa() {
    let network = |text: &str| TrafficSelector::prefix(ip(text), 16).unwrap();
    let mut engine = looped(&with(V4, AES_GCM, AS_NEEDED));
    take(&mut engine, &udp("10.3.0.1", "10.2.0.2", (1, 2), 100));
    take(&mut engine, &udp("10.1.0.1", "10.2.0.2", (1, 2), 100));
    let sealed = payloads(&mut engine, NOW);
    let discard = policy(2, 5, &[network("10.2.0.0")], &[network("10.3.0.0")], Action::Discard);
    engine.apply(&DataPlaneOp::AddPolicy(discard), NOW).unwrap();
    assert_eq!(receive(&mut engine, &sealed[0]).0, Verdict::Taken);
    let out: Vec<_> = packets(&mut engine, NOW).into_iter().map(|(verdict, _)| verdict).collect();
    assert_eq!(out, [Verdict::Drop(DropReason::UnexpectedProtection), Verdict::Deliver]);
}

// RFC 9347 §2.2.3.
#[test]
fn what_waits_goes_on_the_sa_that_takes_the_place_of_its_own() {
    let old = with(V4, AES_GCM, at(1_200_000));
    let mut engine = looped(&old);
    payloads(&mut engine, NOW);
    let clear: Vec<_> = (0..3).map(|n| udp("10.1.0.1", "10.2.0.2", (n, 2), 900)).collect();
    clear.iter().for_each(|packet| take(&mut engine, packet));
    // Half of the second has gone.
    assert_eq!(payloads(&mut engine, NOW + Duration::from_millis(10)).len(), 1);
    let new = SaParams { spi: Spi(0x2000_0001), ..with(V4, AES_GCM, AS_NEEDED) };
    engine.apply(&DataPlaneOp::AddSa(new.clone()), NOW).unwrap();
    engine.apply(&DataPlaneOp::AddSa(received(&new)), NOW).unwrap();
    engine.apply(&DataPlaneOp::DeleteSa(old.id()), NOW).unwrap();
    for sealed in payloads(&mut engine, NOW) {
        assert_eq!(receive(&mut engine, &sealed).0, Verdict::Taken);
    }
    assert_eq!(packets(&mut engine, NOW), [(Verdict::Deliver, clear[2].clone())]);
    assert_eq!(engine.outbound.payload_deadline(), None);
}

#[test]
fn a_dummy_packet_is_padding_alone() {
    let params = with(V4, AES_GCM, AS_NEEDED);
    let mut engine = looped(&params);
    let mut bytes = vec![0; 4000];
    let mut pkt = PacketBuf::new(&mut bytes, HEADROOM..HEADROOM).unwrap();
    assert!(matches!(engine.outbound.send_dummy(params.id(), &mut pkt), Ok(Verdict::Send(_))));
    assert_eq!(pkt.mark(), Mark::Sealed(Mode::Tunnel));
    let mut pkt = pkt.with_mark(Mark::None);
    assert_eq!(engine.inbound.process(&mut pkt, NOW), Verdict::Drop(DropReason::Dummy));
    assert_eq!(packets(&mut engine, NOW), []);
}

// RFC 9347 §5.1.
#[test]
fn only_esp_in_tunnel_mode_has_such_payloads() {
    let ah = Suite::Ah(AhSuite { integ: IntegId::HMAC_SHA2_256_128, sn: SnId::SEQUENTIAL_32 });
    let params = with(V4, AES_GCM, AS_NEEDED);
    for bad in [SaParams { mode: Mode::Transport, ..params.clone() }, with_suite(params, ah)] {
        for params in [received(&bad), bad] {
            let mut engine = portable_engine();
            engine.apply(&DataPlaneOp::AddPolicy(protect_all(1)), NOW).unwrap();
            let refused = engine.apply(&DataPlaneOp::AddSa(params), NOW).unwrap_err();
            assert!(matches!(refused, DataPlaneError::Invalid(_)), "{refused:?}");
        }
    }
}

#[test]
fn no_packet_allocates() {
    let params = SaParams { policy: PolicyId(1), ..with(V4, AES_GCM, AS_NEEDED) };
    let mut engine = looped(&params);
    let clear = udp("10.1.0.1", "10.2.0.2", (7, 9), 1000);
    let meta = OuterMeta { src: params.src, dst: params.dst, src_port: None, tos: 0, ttl: 64 };
    let mut bytes = vec![0; 4000];
    let mut before = 0;
    for round in 0..1000 {
        if round == 1 {
            before = allocations();
        }
        for _ in 0..4 {
            bytes[HEADROOM..HEADROOM + clear.len()].copy_from_slice(&clear);
            let mut pkt = PacketBuf::new(&mut bytes, HEADROOM..HEADROOM + clear.len()).unwrap();
            assert_eq!(engine.outbound.process(&mut pkt, NOW), Verdict::Taken);
        }
        let mut delivered = 0;
        loop {
            let mut pkt = PacketBuf::new(&mut bytes, HEADROOM..HEADROOM).unwrap();
            let Some(Verdict::Send(outer)) = engine.outbound.poll_payload(&mut pkt, NOW) else { break };
            pkt.trim_front(outer.esp_at);
            assert_eq!(engine.inbound.process_esp(&mut pkt, &meta, NOW), Verdict::Taken);
            let mut pkt = PacketBuf::new(&mut bytes, HEADROOM..HEADROOM).unwrap();
            while engine.inbound.poll_packet(&mut pkt, NOW) == Some(Verdict::Deliver) {
                delivered += 1;
            }
        }
        assert_eq!(delivered, 4);
    }
    assert_eq!(allocations() - before, 0);
}
