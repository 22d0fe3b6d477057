//! Packets that are wrong in every way a peer or a stranger can think of. The rows are those of the list of past
//! security holes of IPsec implementations.

use std::time::Duration;

use crate::common::*;
use ravelin_engine::{DropReason, HEADROOM, OuterMeta, PacketBuf, TAILROOM, Verdict};
use ravelin_types::dataplane::{DataPlaneError, DataPlaneEvent, DataPlaneOp, PacketStart};
use ravelin_types::policy::Mode;
use ravelin_types::sa::{Direction, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId};
use ravelin_wire::ip::{Header, checksum, protocol};

fn tunnel() -> SaParams {
    sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM)
}

fn transport_v6() -> SaParams {
    sa(Direction::Outbound, Mode::Transport, "2001:db8::1", "2001:db8::2", AES_GCM)
}

// Row 116: every truncation, and lengths that are no multiple of the block.
#[test]
fn truncated_packets_are_dropped_and_leave_the_sa_alone() {
    let cbc = suite(EncrId::AES_CBC, 128, IntegId::HMAC_SHA1_96);
    for suite in [AES_GCM, cbc] {
        let params = SaParams {
            suite: suite.into(),
            ..sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM)
        };
        let params = SaParams { keys: sa(Direction::Outbound, Mode::Tunnel, "::1", "::1", suite).keys, ..params };
        let mut engine = looped(&params);
        let clear = udp("10.0.0.1", "10.0.0.2", (1, 2), 40);
        let esp = sealed(&mut engine, &clear)[20..].to_vec();
        let block = if suite == AES_GCM { 4 } else { 16 };
        let least = if suite == AES_GCM { 8 + 8 + 4 + 16 } else { 8 + 16 + 16 + 12 };
        for len in 0..esp.len() {
            let expected = match (len >= least && (esp.len() - len).is_multiple_of(block), len) {
                (true, _) => DropReason::Forged,
                (false, _) => DropReason::BadEspLength,
            };
            assert_eq!(receive_esp(&mut engine, &params, &esp[..len]).0, Verdict::Drop(expected), "{len}");
        }
        let mut longer = esp.clone();
        for _ in 0..block {
            longer.push(0);
            assert!(matches!(receive_esp(&mut engine, &params, &longer).0, Verdict::Drop(_)));
        }
        assert_eq!(receive_esp(&mut engine, &params, &esp), (Verdict::Deliver, clear));
    }
}

#[test]
fn flipped_bits_are_seen_and_leave_the_sa_alone() {
    for suite in [AES_GCM, with_esn(AES_GCM), suite(EncrId::AES_CBC, 256, IntegId::HMAC_SHA2_256_128)] {
        let params = sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", suite);
        let mut engine = looped(&params);
        let clear = udp("10.0.0.1", "10.0.0.2", (1, 2), 40);
        let esp = sealed(&mut engine, &clear)[20..].to_vec();
        for bit in 0..esp.len() * 8 {
            let mut flipped = esp.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let (verdict, left) = receive_esp(&mut engine, &params, &flipped);
            let expected: &[DropReason] = match bit / 8 {
                0..4 => &[DropReason::UnknownSpi],
                // The number 1 became 0, or one that is far behind an extended one.
                4..8 => &[DropReason::Forged, DropReason::TooOld],
                _ => &[DropReason::Forged],
            };
            assert!(expected.iter().any(|&reason| verdict == Verdict::Drop(reason)), "bit {bit}: {verdict:?}");
            assert!(!left.windows(16).any(|w| w == &clear[32..48]), "plaintext of a forged packet is in the buffer");
        }
        let before = engine.list()[1].counters;
        assert_eq!((before.packets, before.sequence), (0, 0));
        assert_eq!(receive_esp(&mut engine, &params, &esp), (Verdict::Deliver, clear));
    }
}

// Row 96: what anybody can change without being noticed is not decrypted.
#[test]
fn no_sa_encrypts_without_integrity() {
    let mut engine = portable_engine();
    let before = engine.list().len();
    for alg in portable().encr.iter().filter(|alg| !alg.is_aead()) {
        let bits = alg.key_bits().first().copied().unwrap_or(0);
        for direction in [Direction::Outbound, Direction::Inbound] {
            for mode in [Mode::Tunnel, Mode::Transport] {
                let params = sa(direction, mode, "192.0.2.1", "192.0.2.2", AES_GCM);
                let params = with_suite(params, suite(alg.id(), bits, IntegId::NONE).into());
                let refused = engine.apply(&DataPlaneOp::AddSa(params), NOW).expect_err("it has no integrity");
                assert!(matches!(refused, DataPlaneError::Algorithm(_)), "{} {refused}", alg.id());
            }
        }
    }
    assert_eq!(engine.list().len(), before);
}

// Row 97: whatever becomes of the packets between, no key has one IV twice.
#[test]
fn no_key_sees_an_iv_twice() {
    let (sha1, counter) = (IntegId::HMAC_SHA1_96, IntegId::NONE);
    for (encr, bits, integ) in [
        (EncrId::AES_GCM_16, 128, counter),
        (EncrId::AES_CCM_16, 256, counter),
        (EncrId::CHACHA20_POLY1305, 256, counter),
        (EncrId::NULL_AES_GMAC, 128, counter),
        (EncrId::AES_CTR, 128, sha1),
        (EncrId::AES_CBC, 128, sha1),
    ] {
        for suite in [suite(encr, bits, integ), with_esn(suite(encr, bits, integ))] {
            let params = sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM);
            let mut params = with_suite(params, suite.into());
            let mut engine = looped_in(portable_engine(), &params);
            let iv_len = portable().encr(encr).unwrap().iv_len();
            assert!(iv_len >= 8, "{encr}");
            let clear = udp("10.0.0.1", "10.0.0.2", (1, 2), 40);
            let mut seen = std::collections::BTreeSet::new();
            for round in 0..1000 {
                let protected = sealed(&mut engine, &clear);
                assert!(seen.insert(protected[28..28 + iv_len].to_vec()), "{encr} {round}");
                // One for which there is no room, one that is too long, a new address, a new policy, and the same SA again.
                let mut bytes = clear.clone();
                let mut pkt = PacketBuf::new(&mut bytes, 0..clear.len()).unwrap();
                assert_eq!(engine.outbound.process(&mut pkt, NOW), Verdict::Drop(DropReason::NoRoom));
                if round % 100 == 0 {
                    let long = udp("10.0.0.1", "10.0.0.2", (1, 2), 65535 - 28);
                    assert_eq!(send(&mut engine, &long, NOW).0, Verdict::Drop(DropReason::TooLong));
                    let (id, dst) = (params.id(), ip(&format!("192.0.2.{}", 3 + round / 100)));
                    engine.apply(&DataPlaneOp::MoveSa { id, src: params.src, dst, encap: None }, NOW).unwrap();
                    params.dst = dst;
                    engine.apply(&DataPlaneOp::AddPolicy(protect_all(1)), NOW).unwrap();
                    engine.apply(&DataPlaneOp::AddSa(params.clone()), NOW).unwrap_err();
                }
            }
        }
    }
}

#[test]
fn replays_and_late_packets_are_dropped() {
    for window in [1u32, 32, 64, 1024, 4096] {
        let params = SaParams { replay_window: window, ..tunnel() };
        let mut engine = looped(&params);
        let clear = udp("10.0.0.1", "10.0.0.2", (1, 2), 8);
        let count = window as usize + 3;
        let packets: Vec<_> = (0..count).map(|_| sealed(&mut engine, &clear)).collect();
        let drop = |reason| Verdict::Drop(reason);
        assert_eq!(receive(&mut engine, &packets[count - 1]).0, Verdict::Deliver);
        assert_eq!(receive(&mut engine, &packets[2]).0, drop(DropReason::TooOld));
        assert_eq!(receive(&mut engine, &packets[count - 1]).0, drop(DropReason::Replayed));
        if window > 1 {
            let last_inside = count - window as usize;
            assert_eq!(receive(&mut engine, &packets[last_inside]).0, Verdict::Deliver);
            assert_eq!(receive(&mut engine, &packets[last_inside]).0, drop(DropReason::Replayed));
        }
    }
    // Without a window everything authentic passes.
    let mut engine = looped(&SaParams { replay_window: 0, ..tunnel() });
    let protected = sealed(&mut engine, &udp("10.0.0.1", "10.0.0.2", (1, 2), 8));
    assert_eq!(receive(&mut engine, &protected).0, Verdict::Deliver);
    assert_eq!(receive(&mut engine, &protected).0, Verdict::Deliver);
}

// Rows 116 and 117: authentic packets with bad insides. All padding faults look alike.
#[test]
fn authentic_nonsense_is_dropped_and_counted() {
    let params = tunnel();
    let inner = udp("10.0.0.1", "10.0.0.2", (1, 2), 20);
    let mut wrong_padding = padded(&inner[..46], 4);
    wrong_padding[46] ^= 3;
    assert_eq!(wrong_padding.len(), 48);
    let version_6 = [&[0x60][..], &inner[1..]].concat();
    let mut too_long = inner.clone();
    too_long[2..4].copy_from_slice(&49u16.to_be_bytes());
    let cases: [(Vec<u8>, DropReason); 12] = [
        (vec![1, 4, 255, 4], DropReason::BadPadding),
        (vec![0, 0, 3, 4], DropReason::BadPadding),
        (vec![1, 1, 2, 4], DropReason::BadPadding),
        (wrong_padding, DropReason::BadPadding),
        (padded(&[], protocol::NO_NEXT_HEADER), DropReason::Dummy),
        (padded(&[0xab; 500], protocol::NO_NEXT_HEADER), DropReason::Dummy),
        (padded(&inner, protocol::UDP), DropReason::BadNextHeader),
        (padded(&inner, protocol::IPV6), DropReason::BadInnerPacket),
        (padded(&version_6, protocol::IPV6), DropReason::BadInnerPacket),
        (padded(&too_long, protocol::IPV4), DropReason::BadInnerPacket),
        (padded(&[], protocol::IPV4), DropReason::BadInnerPacket),
        (padded(&inner[..19], protocol::IPV4), DropReason::BadInnerPacket),
    ];
    let mut engine = looped(&params);
    for (sequence, (plain, reason)) in (1..).zip(cases) {
        let esp = authentic(&params, sequence, &plain);
        let before = engine.inbound.counters().dropped(reason);
        assert_eq!(receive_esp(&mut engine, &params, &esp).0, Verdict::Drop(reason), "{sequence}");
        assert_eq!(engine.inbound.counters().dropped(reason), before + 1);
        // It was authentic, so its number is used up.
        assert_eq!(receive_esp(&mut engine, &params, &esp).0, Verdict::Drop(DropReason::Replayed));
    }
    // RFC 4303 §2.7: bytes behind the inner packet are traffic-flow confidentiality, not an error.
    let esp = authentic(&params, 100, &padded(&[&inner[..], &[0x77; 200]].concat(), protocol::IPV4));
    assert_eq!(receive_esp(&mut engine, &params, &esp), (Verdict::Deliver, inner));
}

// Row 51: in transport mode over IPv6 the payload begins with a header that leads elsewhere.
#[test]
fn extension_headers_behind_esp_do_not_change_what_the_packet_is() {
    let params = transport_v6();
    let fragment = [17, 0, 0, 1, 0, 0, 0, 9];
    let options = [44, 0, 1, 4, 0, 0, 0, 0];
    let cases: [(u8, Vec<u8>); 6] = [
        (protocol::FRAGMENT, [&fragment[..], &[0; 8]].concat()),
        (protocol::FRAGMENT, vec![17, 0]),
        (protocol::HOP_BY_HOP, vec![17, 0, 1, 4, 0, 0, 0, 0]),
        (protocol::ROUTING, vec![17, 0, 0, 0, 0, 0, 0, 0]),
        // Destination options are allowed there, what they lead to is not.
        (protocol::DESTINATION_OPTIONS, [&options[..], &fragment, &[0; 8]].concat()),
        // Options that claim to be longer than the packet.
        (protocol::DESTINATION_OPTIONS, vec![17, 255, 1, 4, 0, 0, 0, 0]),
    ];
    let mut engine = looped(&params);
    for (sequence, (next_header, payload)) in (1..).zip(cases) {
        let esp = authentic(&params, sequence, &padded(&payload, next_header));
        let verdict = receive_esp(&mut engine, &params, &esp).0;
        assert_eq!(verdict, Verdict::Drop(DropReason::BadInnerPacket), "{sequence}");
        let whole = packet(
            params.src,
            params.dst,
            protocol::ESP,
            &authentic(&params, sequence + 50, &padded(&payload, next_header)),
        );
        assert_eq!(receive(&mut engine, &whole).0, Verdict::Drop(DropReason::BadInnerPacket), "{sequence}");
    }
    let good = [&[17, 0, 1, 4, 0, 0, 0, 0][..], &[0, 9, 0, 9, 0, 8, 0, 0]].concat();
    let esp = authentic(&params, 1000, &padded(&good, protocol::DESTINATION_OPTIONS));
    let (verdict, delivered) = receive_esp(&mut engine, &params, &esp);
    assert_eq!(verdict, Verdict::Deliver);
    assert_eq!(Header::parse(&delivered).unwrap().flow(&delivered).dst_port, Some(9));
}

// Row 110: the largest packets, and buffers with no room to spare.
#[test]
fn sizes_at_the_limit() {
    let mut engine = looped(&tunnel());
    // Outer header 20, ESP header and IV 16, trailer 2 with padding, ICV 16.
    let largest = 65535 - 20 - 16 - 2 - 16;
    let inner_len = largest - (65535 - 36 - 16) % 4;
    let fits = udp("10.0.0.1", "10.0.0.2", (1, 2), inner_len - 28);
    let protected = sealed(&mut engine, &fits);
    assert!(protected.len() > 65530, "{}", protected.len());
    assert_eq!(receive(&mut engine, &protected), (Verdict::Deliver, fits));
    let over = udp("10.0.0.1", "10.0.0.2", (1, 2), inner_len - 28 + 4);
    assert_eq!(send(&mut engine, &over, NOW), (Verdict::Drop(DropReason::TooLong), over.clone()));
    let most = udp("10.0.0.1", "10.0.0.2", (1, 2), 65535 - 28);
    assert_eq!(send(&mut engine, &most, NOW).0, Verdict::Drop(DropReason::TooLong));

    // IPv4 tunnel with AES-GCM, 34 bytes of payload: 36 before, 4 + 16 behind.
    let clear = udp("10.0.0.1", "10.0.0.2", (1, 2), 6);
    let mut offer = |headroom: usize, tailroom: usize| {
        let mut bytes = [&vec![0; headroom][..], &clear, &vec![0; tailroom]].concat();
        let mut pkt = PacketBuf::new(&mut bytes, headroom..headroom + clear.len()).unwrap();
        engine.outbound.process(&mut pkt, NOW)
    };
    for (headroom, tailroom) in [(0, 0), (HEADROOM, 0), (0, TAILROOM), (35, TAILROOM), (HEADROOM, 17)] {
        assert_eq!(offer(headroom, tailroom), Verdict::Drop(DropReason::NoRoom), "{headroom} {tailroom}");
    }
    assert!(matches!(offer(36, 18), Verdict::Send(_)), "exactly as much as it takes");

    // An inbound transport-mode packet needs room for the header that is built.
    let params = transport_v6();
    let mut engine = looped(&params);
    let meta = OuterMeta { src: params.src, dst: params.dst, src_port: None, tos: 0, ttl: 64 };
    for (sequence, headroom, expected) in [
        (1, 0, Verdict::Drop(DropReason::NoRoom)),
        (2, 23, Verdict::Drop(DropReason::NoRoom)),
        (3, 24, Verdict::Deliver),
    ] {
        let esp = authentic(&params, sequence, &padded(&[0, 9, 0, 9, 0, 8, 0, 0], protocol::UDP));
        let mut bytes = [&vec![0; headroom][..], &esp].concat();
        let mut pkt = PacketBuf::new(&mut bytes, headroom..headroom + esp.len()).unwrap();
        assert_eq!(engine.inbound.process_esp(&mut pkt, &meta, NOW), expected);
    }
}

// Row 120, first half: opened by SA A, but addressed as SA B's traffic.
#[test]
fn inner_packets_must_be_in_the_selectors_of_their_sa() {
    let net = |text: &str| TrafficSelector::prefix(ip(text), 16).unwrap();
    let web = net("10.2.0.0").with(17, 80..=80).unwrap();
    let params = SaParams { local_ts: [net("10.1.0.0")].into(), remote_ts: [web].into(), ..tunnel() };
    let mut engine = engine();
    engine.apply(&DataPlaneOp::AddSa(received(&params)), NOW).unwrap();
    let mut fragment = udp("10.1.0.1", "10.2.0.1", (5, 80), 20);
    fragment[6..8].copy_from_slice(&[0, 1]);
    let cases = [
        (udp("10.1.0.1", "10.2.0.1", (5, 80), 20), true),
        (udp("10.3.0.1", "10.2.0.1", (5, 80), 20), false),
        (udp("10.1.0.1", "10.3.0.1", (5, 80), 20), false),
        (udp("10.1.0.1", "10.2.0.1", (5, 81), 20), false),
        (udp("10.2.0.1", "10.1.0.1", (80, 5), 20), false),
        (packet(ip("10.1.0.1"), ip("10.2.0.1"), 6, &[0, 5, 0, 80, 0, 0, 0, 0]), false),
        (udp("2001:db8::1", "2001:db8::2", (5, 80), 20), false),
        (fragment, false),
    ];
    for (sequence, (inner, inside)) in (1..).zip(cases) {
        let next_header = if inner[0] >> 4 == 4 { protocol::IPV4 } else { protocol::IPV6 };
        let esp = authentic(&params, sequence, &padded(&inner, next_header));
        let expected = if inside { Verdict::Deliver } else { Verdict::Drop(DropReason::BadSelector) };
        assert_eq!(receive_esp(&mut engine, &params, &esp).0, expected, "{sequence}");
    }
    let counters = engine.list()[0].counters;
    assert_eq!((counters.packets, counters.bad_selector), (1, 7));
}

// RFC 4301 §5.2: whoever sends what is not within the selectors of an SA can be told, and not about each packet.
#[test]
fn what_is_outside_of_the_selectors_is_told_of_once_in_a_while() {
    let net = |text: &str| TrafficSelector::prefix(ip(text), 16).unwrap();
    let params = SaParams { local_ts: [net("10.1.0.0")].into(), remote_ts: [net("10.2.0.0")].into(), ..tunnel() };
    let mut engine = engine();
    engine.apply(&DataPlaneOp::AddSa(received(&params)), NOW).unwrap();
    let outside = udp("10.3.0.1", "10.2.0.1", (5, 80), 100);
    let mut at = |esp: &[u8], seconds| {
        let meta = OuterMeta { src: params.src, dst: params.dst, src_port: None, tos: 0, ttl: 33 };
        let now = NOW + Duration::from_secs(seconds);
        Buffer::new(esp).with(|pkt| engine.inbound.process_esp(pkt, &meta, now));
        engine.poll_event()
    };
    let esp = |sequence| authentic(&params, sequence, &padded(&outside, protocol::IPV4));
    let told = Some(DataPlaneEvent::OutsideSelectors { id: received(&params).id(), packet: PacketStart::of(&outside) });
    let mut forged = esp(1);
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(at(&forged, 0), None);
    assert_eq!((at(&esp(1), 1), at(&esp(1), 40)), (told.clone(), None), "a packet that is played back tells nothing");
    assert_eq!((at(&esp(2), 1), at(&esp(3), 30), at(&esp(4), 31)), (None, None, told));
    let malformed = authentic(&params, 5, &padded(&outside[..19], protocol::IPV4));
    assert_eq!(at(&malformed, 100), None, "what is wrong in another way is not of this kind");
}

// RFC 6040 §4: marks go in, come out, and are never lost.
#[test]
fn congestion_marks_pass_through_the_tunnel() {
    for (src, dst) in [("10.0.0.1", "10.0.0.2"), ("2001:db8:1::1", "2001:db8:1::2")] {
        let with_tos = |tos: u8| {
            let mut packet = udp(src, dst, (1, 2), 20);
            match packet[0] >> 4 {
                4 => ravelin_wire::ip::v4::set_tos(packet.first_chunk_mut().unwrap(), tos),
                _ => ravelin_wire::ip::v6::set_tos(packet.first_chunk_mut().unwrap(), tos),
            }
            packet
        };
        let mut engine = looped(&tunnel());
        for tos in [0x00, 0xb8, 0xba, 0xb9, 0xbb] {
            let (Verdict::Send(outer), mut protected) = send(&mut engine, &with_tos(tos), NOW) else { panic!() };
            assert_eq!((outer.tos, protected[1]), (tos, tos));
            assert_eq!(checksum::finish(checksum::sum(&protected[..20])), 0);
            // A router on the way marks congestion (and changes the DSCP).
            ravelin_wire::ip::v4::set_tos(protected.first_chunk_mut().unwrap(), 0x2b);
            let (verdict, delivered) = receive(&mut engine, &protected);
            if tos & 3 == 0 {
                assert_eq!(verdict, Verdict::Drop(DropReason::CongestionLost));
            } else {
                assert_eq!((verdict, delivered), (Verdict::Deliver, with_tos(tos | 3)));
            }
        }
    }
}

#[test]
fn fragments_of_esp_are_not_opened() {
    let mut engine = looped(&tunnel());
    let protected = sealed(&mut engine, &udp("10.0.0.1", "10.0.0.2", (1, 2), 20));
    for flags in [[0x20, 0x00], [0x00, 0x01]] {
        let mut fragment = protected.clone();
        fragment[6..8].copy_from_slice(&flags);
        assert_eq!(receive(&mut engine, &fragment).0, Verdict::Drop(DropReason::EspFragment));
    }
    assert_eq!(receive(&mut engine, &protected).0, Verdict::Deliver);
}

#[test]
fn noise_never_panics() {
    let mut engine = looped(&tunnel());
    let mut rng = Seeded(99);
    for round in 0..20_000usize {
        let mut noise = vec![0; round % 120];
        ravelin_crypto::SecureRandom::fill(&mut rng, &mut noise);
        if let Some(first) = noise.first_mut() {
            *first = [0x45, 0x60, 0x4f, *first][round % 4];
        }
        if round % 3 == 0 && noise.len() > 9 {
            noise[9] = 50;
            let len = noise.len() as u16;
            noise[2..4].copy_from_slice(&len.to_be_bytes());
        }
        if round % 8 == 1 && noise.len() >= 40 {
            let len = noise.len() as u16 - 40;
            noise[4..6].copy_from_slice(&len.to_be_bytes());
            noise[6] = [0, 43, 44, 60, 50, 17][round % 6];
        }
        send(&mut engine, &noise, NOW);
        receive(&mut engine, &noise);
        receive_esp(&mut engine, &tunnel(), &noise);
    }
    assert!(engine.inbound.counters().all_dropped() > 20_000);
    assert_eq!(engine.inbound.counters().protected, 0);
}
