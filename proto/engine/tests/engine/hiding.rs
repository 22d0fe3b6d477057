//! TFC padding and dummy packets (RFC 4303 §2.6, §2.7).

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::*;
use ravelin_engine::{DropReason, Engine, EngineConfig, HEADROOM, PacketBuf, TAILROOM, TfcRequest, Verdict};
use ravelin_types::Spi;
use ravelin_types::dataplane::{DataPlaneError, DataPlaneOp};
use ravelin_types::options::{Dummies, SaOptions};
use ravelin_types::policy::Mode;
use ravelin_types::proposal::{AhSuite, Suite};
use ravelin_types::sa::{Direction, SaParams};
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_wire::ip::{Header, protocol};

const AH: AhSuite = AhSuite { integ: IntegId::HMAC_SHA2_256_128, sn: SnId::SEQUENTIAL_32 };
const V4: (&str, &str) = ("192.0.2.1", "192.0.2.2");
const V6: (&str, &str) = ("2001:db8::1", "2001:db8::2");

fn with(mode: Mode, ends: (&str, &str), options: SaOptions) -> SaParams {
    SaParams { options, ..sa(Direction::Outbound, mode, ends.0, ends.1, AES_GCM) }
}

fn padded_by(tfc: u16) -> SaOptions {
    SaOptions { tfc, ..SaOptions::default() }
}

/// Protects the packet in a buffer with `room` bytes behind it; how long it is then. It opens to what it was.
fn length(engine: &mut Engine, clear: &[u8], room: usize) -> usize {
    let mut bytes = [&[0xee; HEADROOM][..], clear, &vec![0xee; room]].concat();
    let mut pkt = PacketBuf::new(&mut bytes, HEADROOM..HEADROOM + clear.len()).unwrap();
    let verdict = engine.outbound.process(&mut pkt, NOW);
    assert!(matches!(verdict, Verdict::Send(_)), "{verdict:?}");
    let wire = pkt.packet().to_vec();
    assert_eq!(Header::parse(&wire).unwrap().total_len, wire.len());
    assert_eq!(receive(engine, &wire), (Verdict::Deliver, clear.to_vec()));
    wire.len()
}

#[test]
fn lengths_differ_and_the_padding_is_gone_on_arrival() {
    let icmp = |ends: (&str, &str)| packet(ip(ends.0), ip(ends.1), protocol::ICMP, &[8, 0, 0, 0, 0, 1, 0, 1]);
    for ends in [V4, V6] {
        let inside = udp("10.1.0.1", "10.2.0.2", (5, 6), 30);
        let ip_in_ip = packet(ip(ends.0), ip(ends.1), protocol::IPV4, &inside);
        let inside = udp("2001:db8:1::1", "2001:db8:2::2", (5, 6), 30);
        let ipv6_in_ip = packet(ip(ends.0), ip(ends.1), protocol::IPV6, &inside);
        // Where the payload does not tell its length, nothing is added (RFC 4303 §2.7).
        let cases = [
            (Mode::Tunnel, udp("10.1.0.1", "10.2.0.2", (1, 2), 100), true),
            (Mode::Tunnel, icmp(("2001:db8:1::1", "2001:db8:2::2")), true),
            (Mode::Transport, udp(ends.0, ends.1, (1, 2), 100), true),
            (Mode::Transport, ip_in_ip, true),
            (Mode::Transport, ipv6_in_ip, true),
            (Mode::Transport, icmp(ends), false),
            (Mode::Transport, packet(ip(ends.0), ip(ends.1), protocol::TCP, &[0x50; 40]), false),
        ];
        for (mode, clear, pads) in cases {
            for suite in [AES_GCM, with_esn(AES_GCM)] {
                let plain = length(
                    &mut looped(&SaParams { suite: suite.into(), ..with(mode, ends, padded_by(0)) }),
                    &clear,
                    600,
                );
                let mut engine = looped(&SaParams { suite: suite.into(), ..with(mode, ends, padded_by(256)) });
                let lengths: BTreeSet<usize> = (0..200).map(|_| length(&mut engine, &clear, 600)).collect();
                if pads {
                    assert!(lengths.len() > 20, "{lengths:?}");
                    assert!(lengths.iter().all(|len| (plain..=plain + 256).contains(len)));
                } else {
                    assert_eq!(lengths, BTreeSet::from([plain]));
                }
            }
        }
    }
}

#[test]
fn what_does_not_fit_goes_without() {
    let clear = udp("10.1.0.1", "10.2.0.2", (1, 2), 1100);
    let lengths = |options, room| -> BTreeSet<usize> {
        let mut engine = looped(&with(Mode::Tunnel, V4, options));
        (0..200).map(|_| length(&mut engine, &clear, room)).collect()
    };
    let plain = *lengths(padded_by(0), TAILROOM).first().unwrap();
    assert_eq!(lengths(padded_by(256), TAILROOM).last(), Some(&(plain + 28)), "the room");
    let path = SaOptions { mtu: Some(1210), ..padded_by(256) };
    assert!(lengths(path, 600).iter().all(|&len| (plain..=1210).contains(&len)), "the path");
    assert!(lengths(padded_by(256), 600).iter().all(|&len| (plain..=1280).contains(&len)), "a path not known");
    assert_eq!(lengths(padded_by(1), 600), BTreeSet::from([plain]), "fewer than one");
}

#[test]
fn the_bytes_of_the_buffer_do_not_leak() {
    // NULL encryption shows what is inside.
    let suite = suite(EncrId::NULL, 0, IntegId::HMAC_SHA2_256_128);
    let config = EngineConfig { tfc_padding: |_| 100, ..EngineConfig::default() };
    let engine = Engine::new(config, portable(), Box::new(Seeded(7)));
    let mut engine = looped_in(engine, &with_suite(with(Mode::Tunnel, V4, padded_by(256)), suite.into()));
    let clear = udp("10.1.0.1", "10.2.0.2", (1, 2), 20);
    let mut bytes = [&[0xee; HEADROOM][..], &clear, &[0xee; 600]].concat();
    let mut pkt = PacketBuf::new(&mut bytes, HEADROOM..HEADROOM + clear.len()).unwrap();
    assert!(matches!(engine.outbound.process(&mut pkt, NOW), Verdict::Send(_)));
    let padding = &pkt.packet()[20 + 8 + clear.len()..][..100];
    assert!(padding.iter().all(|&byte| byte == 0), "{padding:x?}");
}

#[test]
fn an_embedder_chooses_the_padding() {
    // All packets as long as the longest.
    let even = |request: TfcRequest| 300usize.saturating_sub(request.packet_len);
    let engine = engine_with(EngineConfig { tfc_padding: even, ..EngineConfig::default() });
    let mut engine = looped_in(engine, &with(Mode::Tunnel, V4, padded_by(256)));
    let lengths: BTreeSet<usize> =
        [30, 100, 200].map(|len| length(&mut engine, &udp("10.1.0.1", "10.2.0.2", (1, 2), len), 600)).into();
    assert_eq!(lengths.len(), 1);
}

#[test]
fn lengths_that_lie_are_left_to_the_stack() {
    let params = with(Mode::Transport, V4, SaOptions::default());
    for (told, kept) in [(8u16, 8), (20, 20), (28, 28), (29, 28), (0, 28), (7, 28), (65535, 28)] {
        let mut datagram = [7; 28];
        datagram[4..6].copy_from_slice(&told.to_be_bytes());
        let esp = authentic(&params, 1, &padded(&datagram, protocol::UDP));
        let (verdict, clear) = receive_esp(&mut looped(&params), &params, &esp);
        assert_eq!((verdict, clear.len()), (Verdict::Deliver, 20 + kept), "{told}");
        assert_eq!(Header::parse(&clear).unwrap().total_len, 20 + kept);
    }
}

fn hiding(mode: Mode, ends: (&str, &str), dummies: Dummies) -> SaParams {
    with(mode, ends, SaOptions { dummies: Some(dummies), ..SaOptions::default() })
}

/// What the engine makes of an empty buffer.
fn dummy(engine: &mut Engine, now: ravelin_types::Instant) -> Option<(Verdict, Vec<u8>)> {
    let mut bytes = vec![0xee; 2000];
    let mut pkt = PacketBuf::new(&mut bytes, HEADROOM..HEADROOM).unwrap();
    let verdict = engine.outbound.poll_dummy(&mut pkt, now)?;
    Some((verdict, pkt.packet().to_vec()))
}

#[test]
fn dummies_come_at_random_times_and_sizes_and_are_thrown_away() {
    for mode in [Mode::Tunnel, Mode::Transport] {
        for ends in [V4, V6] {
            for encap in [false, true] {
                let mut params = hiding(mode, ends, Dummies::default());
                if encap {
                    params = in_udp(params, 4500, 4500);
                }
                let mut engine = looped(&params);
                let (mut now, mut lengths, mut gaps) = (NOW, BTreeSet::new(), BTreeSet::new());
                for count in 1..=200 {
                    let next = engine.outbound.dummy_deadline().unwrap();
                    assert!(next > now && next <= now + Duration::from_secs(30));
                    gaps.insert(next.since(now));
                    assert!(dummy(&mut engine, now).is_none());
                    now = next;
                    let (verdict, wire) = dummy(&mut engine, now).unwrap();
                    let Verdict::Send(outer) = verdict else { panic!("{verdict:?}") };
                    assert_eq!((outer.src, outer.dst), (params.src, params.dst));
                    lengths.insert(wire.len());
                    let (verdict, inside) = receive(&mut engine, &wire);
                    assert_eq!(verdict, Verdict::Drop(DropReason::Dummy));
                    // The content stays for inspection: in tunnel mode a packet that says it carries nothing.
                    if mode == Mode::Tunnel {
                        let header = Header::parse(&inside).unwrap();
                        assert_eq!((header.src, header.protocol), (params.src, protocol::NO_NEXT_HEADER));
                        assert!(header.total_len - header.payload_at < 16);
                    } else {
                        assert!(inside.len() < 16);
                    }
                    let status = engine.list();
                    assert!(status.iter().all(|sa| sa.counters.dummies == count && sa.counters.sequence == count));
                }
                assert!(gaps.len() > 190 && lengths.len() >= 4, "{lengths:?}");
                assert_eq!(engine.inbound.counters().dropped(DropReason::Dummy), 200);
            }
        }
    }
}

#[test]
fn the_receiver_sees_numbers_without_gaps() {
    let mut engine = looped(&hiding(Mode::Tunnel, V4, Dummies { size: 1000, interval: Duration::from_secs(1) }));
    for n in 0..20u64 {
        let now = NOW + Duration::from_secs(n);
        while let Some((_, wire)) = dummy(&mut engine, now) {
            assert_eq!(receive(&mut engine, &wire).0, Verdict::Drop(DropReason::Dummy));
        }
        let clear = udp("10.1.0.1", "10.2.0.2", (1, 2), 20);
        let wire = sealed(&mut engine, &clear);
        assert_eq!(receive(&mut engine, &wire), (Verdict::Deliver, clear));
    }
    let counters = engine.list()[1].counters;
    assert_eq!((counters.packets, counters.packets + counters.dummies), (20, counters.sequence));
}

#[test]
fn dummies_fit_the_path_and_the_buffer() {
    let options = SaOptions {
        mtu: Some(1280),
        dummies: Some(Dummies { size: u16::MAX, interval: Duration::from_secs(1) }),
        ..SaOptions::default()
    };
    let mut engine = looped(&with(Mode::Tunnel, V6, options));
    let mut now = NOW;
    for _ in 0..200 {
        now = now + Duration::from_secs(1);
        while let Some((verdict, wire)) = dummy(&mut engine, now) {
            assert!(matches!(verdict, Verdict::Send(_)), "{verdict:?}");
            assert!(wire.len() <= 1280);
        }
    }
    let mut bytes = [0; HEADROOM + 10];
    let mut pkt = PacketBuf::new(&mut bytes, HEADROOM..HEADROOM).unwrap();
    let next = now + Duration::from_secs(1);
    assert_eq!(engine.outbound.poll_dummy(&mut pkt, next), Some(Verdict::Drop(DropReason::NoRoom)));
}

#[test]
fn who_cannot_send_dummies_says_so() {
    let params = with(Mode::Tunnel, V4, SaOptions::default());
    let mut engine = looped(&params);
    assert_eq!(engine.outbound.dummy_deadline(), None, "nobody asked for them");
    let send = |engine: &mut Engine, id| {
        let mut bytes = [0; 500];
        let mut pkt = PacketBuf::new(&mut bytes, HEADROOM..HEADROOM).unwrap();
        engine.outbound.send_dummy(id, &mut pkt)
    };
    assert!(matches!(send(&mut engine, params.id()), Ok(Verdict::Send(_))), "asked for by name");
    let inbound = received(&params).id();
    assert_eq!(send(&mut engine, inbound), Err(DataPlaneError::NoSuchSa(inbound)));
    let ah = with_suite(hiding(Mode::Tunnel, V4, Dummies::default()), AH.into());
    let mut engine = looped_in(portable_engine(), &ah);
    let error = send(&mut engine, ah.id()).unwrap_err();
    assert_eq!(error, DataPlaneError::NoDummies(ah.id()));
    assert_eq!(error.code().original(), "XE_SESS_UNAVL_FOR_DUMMY_TX");
    assert_eq!(engine.outbound.dummy_deadline(), None);
}

#[test]
fn ah_around_esp_hides_too() {
    let esp = suite(EncrId::AES_CBC, 128, IntegId::HMAC_SHA1_96);
    let both = Suite::AhEsp { ah: AH, ah_spi: Spi(0x1000_0001), esp };
    let options = SaOptions { dummies: Some(Dummies::default()), ..padded_by(256) };
    for (mode, ends) in [(Mode::Tunnel, V4), (Mode::Tunnel, V6), (Mode::Transport, V4), (Mode::Transport, V6)] {
        let mut engine = looped_in(portable_engine(), &with_suite(with(mode, ends, options), both));
        let clear = udp(ends.0, ends.1, (1, 2), 100);
        let lengths: BTreeSet<usize> = (0..50).map(|_| length(&mut engine, &clear, 600)).collect();
        assert!(lengths.len() > 5, "{lengths:?}");
        let (verdict, wire) = dummy(&mut engine, NOW + Duration::from_secs(30)).unwrap();
        assert!(matches!(verdict, Verdict::Send(outer) if outer.protocol == protocol::AH));
        assert_eq!(receive(&mut engine, &wire).0, Verdict::Drop(DropReason::Dummy));
    }
}

#[test]
fn a_deleted_or_ended_sa_sends_none() {
    let params = hiding(Mode::Tunnel, V4, Dummies::default());
    let mut engine = looped(&params);
    engine.apply(&DataPlaneOp::DeleteSa(params.id()), NOW).unwrap();
    assert_eq!(engine.outbound.dummy_deadline(), None);
    let mut dead = hiding(Mode::Tunnel, V4, Dummies::default());
    dead.lifetime.hard.time = Some(Duration::from_secs(10));
    let mut engine = looped(&dead);
    let later = NOW + Duration::from_secs(10);
    engine.tick(later);
    assert!(dummy(&mut engine, later + Duration::from_secs(100)).is_none());
}
