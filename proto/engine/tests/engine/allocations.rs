//! No packet makes the engine allocate, whatever becomes of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::algorithms::every_suite;
use crate::common::*;
use crate::sys::allocations;
use ravelin_crypto::CryptoProvider;
use ravelin_engine::{DropReason, Engine, EngineConfig, HEADROOM, Mark, OuterMeta, PacketBuf, TAILROOM, Verdict};
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::options::{Dummies, Mss, SaOptions};
use ravelin_types::policy::{Action, Mode};
use ravelin_types::proposal::Suite;
use ravelin_types::sa::{Direction, Encap, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId};
use ravelin_wire::ip::v4;

#[test]
fn no_packet_allocates_in_either_direction() {
    let cbc = suite(EncrId::AES_CBC, 256, IntegId::HMAC_SHA2_256_128);
    for suite in [AES_GCM, with_esn(AES_GCM), cbc] {
        for mode in [Mode::Tunnel, Mode::Transport] {
            let params = sa(Direction::Outbound, mode, "192.0.2.1", "192.0.2.2", suite);
            let mut engine = looped(&params);
            let clear = udp("192.0.2.1", "192.0.2.2", (7, 9), 1000);
            let mut bytes = vec![0; HEADROOM + clear.len() + TAILROOM];
            let meta = OuterMeta { src: params.src, dst: params.dst, src_port: None, tos: 0, ttl: 64 };
            let before = allocations();
            for _ in 0..1000 {
                bytes[HEADROOM..HEADROOM + clear.len()].copy_from_slice(&clear);
                let mut pkt = PacketBuf::new(&mut bytes, HEADROOM..HEADROOM + clear.len()).unwrap();
                let Verdict::Send(outer) = engine.outbound.process(&mut pkt, NOW) else { panic!("not sent") };
                pkt.trim_front(outer.esp_at);
                assert_eq!(engine.inbound.process_esp(&mut pkt, &meta, NOW), Verdict::Deliver);
                let mut pkt = pkt.with_mark(Mark::None);
                assert_eq!(engine.inbound.process(&mut pkt, NOW), { Verdict::Drop(DropReason::ExpectedProtection) });
            }
            assert_eq!(allocations() - before, 0, "{mode:?} {suite:?}");
        }
    }
}

#[test]
fn no_option_makes_a_packet_allocate() {
    let options = SaOptions {
        mtu: Some(1280),
        mss: Mss::Path,
        tfc: 256,
        dummies: Some(Dummies::default()),
        ..SaOptions::default()
    };
    let params = SaParams { options, ..sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM) };
    let mut engine = looped(&params);
    let mut bytes = vec![0; 4000];
    let before = allocations();
    let mut seen = [0; 3];
    for (n, len) in (0..300).zip([100, 1400].into_iter().cycle()) {
        let clear = clear_packets(len);
        bytes[HEADROOM..HEADROOM + len].copy_from_slice(&clear[..len]);
        let mut pkt = PacketBuf::new(&mut bytes, HEADROOM..HEADROOM + len).unwrap();
        match engine.outbound.process(&mut pkt, NOW) {
            Verdict::Send(_) => {
                seen[0] += 1;
                assert_eq!(engine.inbound.process(&mut pkt, NOW), Verdict::Deliver);
            }
            Verdict::TooBig => seen[1] += 1,
            verdict => assert_eq!(verdict, Verdict::Drop(DropReason::TooBig)),
        }
        // The schedule of dummy packets is no part of a packet's way: its tree may allocate.
        if n % 100 == 0 {
            let mut pkt = PacketBuf::new(&mut bytes, HEADROOM..HEADROOM).unwrap();
            assert!(matches!(engine.outbound.send_dummy(params.id(), &mut pkt), Ok(Verdict::Send(_))));
            seen[2] += 1;
        }
    }
    assert_eq!(allocations() - before, 0);
    assert!(seen.iter().all(|&count| count > 0), "{seen:?}");
}

/// The first `len` bytes are a UDP packet that nobody may cut.
fn clear_packets(len: usize) -> [u8; 1500] {
    let mut packet = [0; 1500];
    let (src, dst) = ([10, 1, 0, 1].into(), [10, 2, 0, 2].into());
    let protocol = ravelin_wire::ip::protocol::UDP;
    let total_len = len as u16;
    v4::Fields { tos: 0, total_len, id: 9, dont_fragment: true, ttl: 61, protocol, src, dst }
        .emit(packet.first_chunk_mut().unwrap());
    packet
}

/// Each provider that packets may go through, as the daemon puts them together.
pub fn providers() -> Vec<CryptoProvider> {
    let aws_lc = ravelin_crypto_aws_lc::provider();
    let fast = ravelin_crypto_ipsec_mb::try_provider().map(|fast| aws_lc.with_packets_by(&fast));
    [portable(), aws_lc].into_iter().chain(fast).collect()
}

pub fn has(provider: &CryptoProvider, suite: &Suite) -> bool {
    let integ = |id| id == IntegId::NONE || provider.integ(id).is_some();
    suite.esp().is_none_or(|esp| provider.encr(esp.encr).is_some() && integ(esp.integ))
        && suite.ah().is_none_or(|ah| integ(ah.integ))
}

/// Every algorithm of every provider, in both modes, families and forms (one by one and as a batch), in UDP and not: no
/// packet allocates, genuine or not, and no payload is moved. (There is nothing to lock with in `core` and `alloc`.)
#[test]
fn no_algorithm_of_esp_or_ah_allocates_or_moves_a_payload() {
    const BATCH: usize = 17;
    const FORGED: usize = 5;
    let suites = every_suite();
    let (v4, v6) = (("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2"));
    let cases = [
        (Mode::Transport, v4, v4),
        (Mode::Transport, v6, v6),
        (Mode::Tunnel, v4, v4),
        (Mode::Tunnel, v6, v4),
        (Mode::Tunnel, v4, v6),
    ];
    let all = providers().into_iter().flat_map(|provider| suites.iter().map(move |suite| (provider, *suite)));
    let mut counts = BTreeMap::new();
    for (provider, suite) in all.filter(|(provider, suite)| has(provider, suite)) {
        *counts.entry(provider.name).or_insert(0) += 1;
        for (mode, inner, outer) in cases {
            for encap in [None, Some(Encap::udp(4500, 4500))] {
                if encap.is_some() && suite.ah().is_some() {
                    continue;
                }
                let params = with_suite(sa(Direction::Outbound, mode, outer.0, outer.1, AES_GCM), suite);
                let params = SaParams { encap, ..params };
                let engine = Engine::new(EngineConfig::default(), provider, Box::new(Seeded(7)));
                let mut engine = looped_in(engine, &params);
                let clear = udp(inner.0, inner.1, (7, 9), 100);
                let whole = HEADROOM..HEADROOM + clear.len();
                let mut buffers = vec![vec![0; HEADROOM + clear.len() + TAILROOM]; BATCH];
                let (mut sent, mut received) = ([Verdict::Bypass; BATCH], [Verdict::Bypass; BATCH]);
                for together in [false, true] {
                    buffers.iter_mut().for_each(|bytes| bytes[whole.clone()].copy_from_slice(&clear));
                    let packet = |bytes| PacketBuf::new(bytes, whole.clone()).unwrap();
                    let mut packets: Vec<_> = buffers.iter_mut().map(|bytes| packet(bytes)).collect();
                    let before = allocations();
                    match together {
                        true => engine.outbound.process_batch(&mut packets, NOW, &mut sent),
                        false => packets.iter_mut().zip(&mut sent).for_each(|(pkt, verdict)| {
                            *verdict = engine.outbound.process(pkt, NOW);
                        }),
                    }
                    *packets[FORGED].packet_mut().last_mut().unwrap() ^= 1;
                    match together {
                        true => engine.inbound.process_batch(&mut packets, NOW, &mut received),
                        false => packets.iter_mut().zip(&mut received).for_each(|(pkt, verdict)| {
                            *verdict = engine.inbound.process(pkt, NOW);
                        }),
                    }
                    let allocated = allocations() - before;
                    let what = format!("{} {mode:?} {suite:?} {inner:?} {outer:?} {encap:?}", provider.name);
                    assert_eq!(allocated, 0, "{what}");
                    assert!(sent.iter().all(|verdict| matches!(verdict, Verdict::Send(_))), "{what} {sent:?}");
                    for (n, (pkt, verdict)) in packets.iter().zip(&received).enumerate() {
                        assert_eq!(*verdict == Verdict::Deliver, n != FORGED, "{what} {verdict:?}");
                        assert!(n == FORGED || (pkt.range() == whole && pkt.packet() == clear), "{what}");
                    }
                }
            }
        }
    }
    assert_eq!(counts[portable().name], suites.len());
    assert!(counts.values().all(|count| *count >= suites.len() / 4), "{counts:?}");
}

#[test]
fn a_batch_over_many_sas_and_a_packet_on_hold_do_not_allocate() {
    let mut engine = many_sas(1000);
    let mut buffers: Vec<Vec<u8>> = (0..64)
        .map(|n| {
            let clear = udp(&format!("10.0.0.{n}"), "10.9.9.9", (7, 9), 100);
            [&[0; HEADROOM][..], &clear, &[0; TAILROOM]].concat()
        })
        .collect();
    let hold = udp("172.16.0.1", "172.16.0.2", (7, 9), 10);
    buffers.push([&[0; HEADROOM][..], &hold, &[0; TAILROOM]].concat());
    let mut packets: Vec<PacketBuf<'_>> = buffers
        .iter_mut()
        .map(|bytes| {
            let end = bytes.len() - TAILROOM;
            PacketBuf::new(bytes, HEADROOM..end).unwrap()
        })
        .collect();
    let mut verdicts = vec![Verdict::Bypass; packets.len()];
    let before = allocations();
    engine.outbound.process_batch(&mut packets, NOW, &mut verdicts);
    assert_eq!(allocations() - before, 0);
    assert!(verdicts[..64].iter().all(|verdict| matches!(verdict, Verdict::Send(_))), "{verdicts:?}");
    assert!(matches!(verdicts[64], Verdict::Hold(_)));
    for (pkt, verdict) in packets.iter_mut().zip(&verdicts) {
        if let Verdict::Send(outer) = verdict {
            pkt.trim_front(outer.esp_at);
        }
    }
    let meta = OuterMeta { src: ip("192.0.2.1"), dst: ip("192.0.2.2"), src_port: None, tos: 0, ttl: 64 };
    let before = allocations();
    engine.inbound.process_esp_batch(&mut packets, &[meta; 64], NOW, &mut verdicts);
    assert_eq!(allocations() - before, 0);
    assert_eq!(verdicts[..64], [Verdict::Deliver; 64]);
}

#[test]
fn first_packets_of_flows_among_very_many_policies_do_not_allocate() {
    let mut engine = engine();
    let address = |n: u32| IpAddr::from((0x0a00_0000 + n).to_be_bytes());
    // More than stay in the processor's caches, so that a batch has them fetched ahead.
    for n in 0..5000 {
        let action = if n % 2 == 0 { Action::Bypass } else { Action::Discard };
        let local = if n % 3 == 0 { TrafficSelector::any_v4() } else { TrafficSelector::host(address(n)) };
        let remote = TrafficSelector::host(address(n)).with(17, 9..=20).unwrap();
        engine.apply(&DataPlaneOp::AddPolicy(policy(n, 10, &[local], &[remote], action)), NOW).unwrap();
    }
    let mut buffers: Vec<Vec<u8>> =
        (0..600).map(|n| udp(&address(n).to_string(), &address(n).to_string(), (9, 9), 10)).collect();
    let mut packets: Vec<PacketBuf<'_>> =
        buffers.iter_mut().map(|bytes| PacketBuf::new(bytes, 0..38).unwrap()).collect();
    let mut verdicts = vec![Verdict::Deliver; packets.len()];
    let before = allocations();
    engine.outbound.process_batch(&mut packets, NOW, &mut verdicts);
    for (pkt, expected) in packets.iter_mut().zip(&verdicts) {
        assert_eq!(engine.inbound.process(pkt, NOW), *expected);
    }
    assert_eq!(allocations() - before, 0);
    let decided = [Verdict::Bypass, Verdict::Drop(DropReason::PolicyDiscard)];
    assert!(verdicts.iter().enumerate().all(|(n, verdict)| *verdict == decided[n % 2]), "{verdicts:?}");
}
