//! Packets in pieces: byte for byte what becomes of them in one, where they lie.

use std::collections::BTreeMap;

use crate::algorithms::every_suite;
use crate::allocations::{has, providers};
use crate::common::*;
use crate::sys::allocations;
use ravelin_crypto::CryptoProvider;
use ravelin_engine::{
    ChainBuf, DropReason, Engine, EngineConfig, HEADROOM, Layout, Mark, NoMatch, PacketBuf, TAILROOM, Verdict,
};
use ravelin_testkit::SeededRandom;
use ravelin_testkit::pieces::cut;
use ravelin_types::Cpi;
use ravelin_types::options::{Df, Dscp, Fragmentation, IpComp, Mss, SaOptions};
use ravelin_types::policy::Mode;
use ravelin_types::proposal::Suite;
use ravelin_types::sa::{Direction, Encap, SaParams};
use ravelin_types::transform::{EncrId, IntegId};

const V4: (&str, &str) = ("192.0.2.1", "192.0.2.2");
const V6: (&str, &str) = ("2001:db8::1", "2001:db8::2");
/// What stands in a buffer before a packet comes there.
const NOTHING: u8 = 0xa5;

/// So many bytes of a packet are copied.
const FRONT: usize = 256;

/// What became of a packet.
#[derive(Debug, PartialEq)]
struct Came {
    verdict: Verdict,
    mark: Mark,
    packet: Vec<u8>,
}

/// The same engine twice.
fn twins(provider: CryptoProvider, params: &SaParams) -> [Engine; 2] {
    [(), ()].map(|()| {
        let config = EngineConfig { no_match: NoMatch::Bypass, ..EngineConfig::default() };
        looped_in(Engine::new(config, provider, Box::new(Seeded(7))), params)
    })
}

fn whole(engine: &mut Engine, direction: Direction, packet: &[u8]) -> Came {
    let mut bytes = [&[NOTHING; HEADROOM][..], packet, &[NOTHING; TAILROOM]].concat();
    let mut pkt = PacketBuf::new(&mut bytes, HEADROOM..HEADROOM + packet.len()).unwrap();
    let verdict = match direction {
        Direction::Outbound => engine.outbound.process(&mut pkt, NOW),
        Direction::Inbound => engine.inbound.process(&mut pkt, NOW),
    };
    Came { verdict, mark: pkt.mark(), packet: pkt.packet().to_vec() }
}

/// Beside what became of the packet, how many bytes of it stayed in their pieces. Nothing was allocated.
fn in_pieces(engine: &mut Engine, direction: Direction, packet: &[u8], rng: &mut SeededRandom) -> (Came, usize) {
    let mut pieces = cut(packet, rng);
    let mut bytes = vec![NOTHING; HEADROOM + packet.len() + TAILROOM];
    let before = allocations();
    let mut chain = ChainBuf::new(&mut pieces, &mut bytes).unwrap();
    let verdict = match direction {
        Direction::Outbound => engine.outbound.process_chain(&mut chain, NOW),
        Direction::Inbound => engine.inbound.process_chain(&mut chain, NOW),
    };
    assert_eq!(allocations() - before, 0);
    let came = Came { verdict, mark: chain.mark(), packet: chain.parts().flatten().copied().collect() };
    let Layout { front, middle, back } = chain.layout();
    assert_eq!(came.packet.len(), front.len() + middle.len() + back.len());
    // Where the middle would stand in the buffer, nothing was ever written.
    assert!(bytes[HEADROOM + middle.start..HEADROOM + middle.end].iter().all(|byte| *byte == NOTHING));
    (came, middle.len())
}

/// A packet out and in again, once as it is and once forged. `stays` says whether its payload is to stay in its pieces.
fn cross([one, many]: &mut [Engine; 2], clear: &[u8], stays: bool, rng: &mut SeededRandom, case: &str) {
    for forged in [false, true] {
        let sent = whole(one, Direction::Outbound, clear);
        assert!(matches!(sent.verdict, Verdict::Send(_)), "{case} {:?}", sent.verdict);
        let (came, stayed) = in_pieces(many, Direction::Outbound, clear, rng);
        assert_eq!(came, sent, "{case}");
        assert_eq!(stayed, if stays { clear.len() - FRONT } else { 0 }, "{case}");
        let mut packet = sent.packet;
        let at = packet.len() - 1 - rng.below(if forged { 500 } else { 1 }) as usize;
        packet[at] ^= u8::from(forged);
        let arrived = whole(one, Direction::Inbound, &packet);
        assert_eq!(arrived.verdict == Verdict::Deliver, !forged, "{case}");
        let (came, stayed) = in_pieces(many, Direction::Inbound, &packet, rng);
        assert_eq!((came.verdict, came.mark), (arrived.verdict, arrived.mark), "{case}");
        if !forged {
            assert!(came.packet == clear && arrived.packet == clear, "{case}");
            assert_eq!(stayed > 0, stays, "{case}");
        }
    }
    assert_eq!(one.outbound.counters(), many.outbound.counters(), "{case}");
    assert_eq!(one.inbound.counters(), many.inbound.counters(), "{case}");
}

/// Whether the provider encrypts this SA's packets in pieces.
fn takes_pieces(provider: &CryptoProvider, suite: &Suite) -> bool {
    let Some(esp) = suite.esp() else { return true };
    let alg = provider.encr(esp.encr).unwrap();
    alg.key(&vec![1; usize::from(esp.encr_key_bits) / 8 + alg.salt_len()]).unwrap().in_pieces().is_some()
}

#[test]
fn every_algorithm_makes_the_same_packets_of_pieces_and_copies_no_payload() {
    let cases = [
        (Mode::Transport, V4, V4),
        (Mode::Transport, V6, V6),
        (Mode::Tunnel, V4, V4),
        (Mode::Tunnel, V6, V4),
        (Mode::Tunnel, V4, V6),
    ];
    let mut rng = SeededRandom::new(173);
    let suites = every_suite();
    let mut counts = BTreeMap::new();
    for provider in providers() {
        for suite in suites.iter().filter(|suite| has(&provider, suite)) {
            for (mode, inner, outer) in cases {
                for encap in
                    [None, Some(Encap::udp(4500, 4500))].into_iter().take(1 + usize::from(suite.ah().is_none()))
                {
                    let params = with_suite(sa(Direction::Outbound, mode, outer.0, outer.1, AES_GCM), *suite);
                    let params = SaParams { encap, ..params };
                    let mut engines = twins(provider, &params);
                    let stays = takes_pieces(&provider, suite);
                    let case = format!("{} {mode:?} {suite:?} {inner:?} {outer:?} {encap:?}", provider.name);
                    let clear = udp(inner.0, inner.1, (7, 9), 600 + rng.below(700) as usize);
                    cross(&mut engines, &clear, stays, &mut rng, &case);
                    *counts.entry((provider.name, stays)).or_insert(0) += 1;
                }
            }
        }
    }
    assert!(counts[&(portable().name, true)] > 100, "{counts:?}");
}

/// The same packet in both engines, and the same outcome. A packet that is dropped is of no use to anyone.
fn same(
    [one, many]: &mut [Engine; 2],
    direction: Direction,
    packet: &[u8],
    rng: &mut SeededRandom,
    case: &str,
) -> Came {
    let expected = whole(one, direction, packet);
    let (came, _) = in_pieces(many, direction, packet, rng);
    assert_eq!((came.verdict, came.mark), (expected.verdict, expected.mark), "{case}");
    if !matches!(came.verdict, Verdict::Drop(_)) {
        assert!(came.packet == expected.packet, "{case}: {:?}", came.verdict);
    }
    assert_eq!(one.outbound.counters(), many.outbound.counters(), "{case}");
    assert_eq!(one.inbound.counters(), many.inbound.counters(), "{case}");
    expected
}

/// A TCP packet, of a handshake where it has options.
fn tcp(ends: (&str, &str), options: &[u8], len: usize) -> Vec<u8> {
    let mut segment = vec![0; 20];
    segment[12] = (((20 + options.len()) / 4) << 4) as u8;
    segment[13] = if options.is_empty() { 0x10 } else { 0x02 };
    segment.extend(options);
    segment.extend((0..len).map(|n| n as u8));
    packet(ip(ends.0), ip(ends.1), 6, &segment)
}

/// An IPv6 UDP packet behind `count` headers of destination options, of 80 bytes each.
fn behind_options(count: usize) -> Vec<u8> {
    let inner = udp(V6.0, V6.1, (7, 9), 700);
    let mut payload = Vec::new();
    for n in 0..count {
        let next = if n + 1 == count { 17 } else { 60 };
        payload.extend([next, 9, 1, 76]);
        payload.extend([0; 76]);
    }
    payload.extend(&inner[40..]);
    packet(ip(V6.0), ip(V6.1), if count == 0 { 17 } else { 60 }, &payload)
}

// What looks at packets beyond their headers, or changes them.
#[test]
fn every_option_makes_the_same_packets_of_pieces() {
    let mut rng = SeededRandom::new(174);
    let plain = SaOptions::default;
    let options = [
        SaOptions { full_ecn: true, dscp: Dscp::Set(46), ..plain() },
        SaOptions { mtu: Some(1280), mss: Mss::Path, ..plain() },
        SaOptions { mss: Mss::Set(800), tfc: 1000, ..plain() },
        SaOptions { mtu: Some(1300), df: Df::Copy, fragmentation: Fragmentation::Before, ..plain() },
        SaOptions { ipcomp: IpComp::With(Cpi(0x3000)), ..plain() },
        SaOptions { zero_checksum: true, ..plain() },
        SaOptions { short_icv: true, pad_check: false, ..plain() },
    ];
    let suites = [AES_GCM, suite(EncrId::AES_CBC, 256, IntegId::HMAC_SHA2_256_128)];
    let mss = [2, 4, 0x05, 0xb4];
    let timestamps: Vec<u8> = mss.into_iter().chain([1; 36]).collect();
    let mut came = BTreeMap::new();
    for (options, suite) in options.iter().flat_map(|options| suites.map(|suite| (options, suite))) {
        for (mode, ends) in [Mode::Transport, Mode::Tunnel].into_iter().flat_map(|mode| [(mode, V4), (mode, V6)]) {
            for encap in [None, Some(Encap::udp(4500, 4500))] {
                let params = sa(Direction::Outbound, mode, ends.0, ends.1, suite);
                let mut engines =
                    twins(ravelin_crypto_aws_lc::provider(), &SaParams { encap, options: *options, ..params });
                let case = format!("{options:?} {suite:?} {mode:?} {ends:?} {encap:?}");
                let mut clear: Vec<Vec<u8>> = [0, 1, 50, 149, 150, 300, 800, 1300, 4000, 20000]
                    .iter()
                    .flat_map(|&len| {
                        [udp(ends.0, ends.1, (7, 9), len), tcp(ends, &mss, len), tcp(ends, &timestamps, len)]
                    })
                    .collect();
                match ends == V6 {
                    true => clear.extend((0..5).map(behind_options)),
                    // May be cut, and leaves its checksum open.
                    false => clear.extend([700, 3000].map(|len| {
                        let mut packet = udp(ends.0, ends.1, (7, 9), len);
                        packet[6] = 0;
                        packet[10..12].fill(0);
                        packet
                    })),
                }
                for clear in &clear {
                    let case = format!("{case}, {} bytes", clear.len());
                    let sent = same(&mut engines, Direction::Outbound, clear, &mut rng, &case);
                    *came.entry(format!("{:?}", sent.verdict).split('(').next().unwrap().to_owned()).or_insert(0) += 1;
                    if let Verdict::Send(_) = sent.verdict {
                        // With congestion on its way.
                        let mut packet = sent.packet;
                        match packet[0] >> 4 {
                            4 => packet[1] |= 3,
                            _ => packet[1] |= 0x30,
                        }
                        same(&mut engines, Direction::Inbound, &packet, &mut rng, &case);
                    }
                }
            }
        }
    }
    assert!(["Send", "Fragment", "TooBig"].iter().all(|verdict| came.contains_key(*verdict)), "{came:?}");
}

// RFC 4303 §2.4: up to 255 bytes of padding, of which the end of the buffer shows some.
#[test]
fn padding_of_any_length_is_looked_at() {
    let params = sa(Direction::Outbound, Mode::Tunnel, V4.0, V4.1, AES_GCM);
    let mut rng = SeededRandom::new(175);
    let mut engines = twins(ravelin_crypto_aws_lc::provider(), &params);
    let mut sequence = 0;
    for pad in 0..=255usize {
        for wrong in [None, Some(0), Some(pad / 2), Some(pad.saturating_sub(1))] {
            let mut plain = udp(V4.0, V4.1, (7, 9), 500 + (255 - pad) + 3);
            let at = plain.len();
            plain.extend((1..=pad as u8).chain([pad as u8, 4]));
            plain.truncate(plain.len() / 4 * 4);
            if let Some(byte) = wrong.and_then(|wrong| plain.get_mut(at + wrong)).filter(|_| pad > 0) {
                *byte ^= 1;
            }
            sequence += 1;
            let esp = authentic(&params, sequence, &plain);
            let arrived = packet(params.src, params.dst, 50, &esp);
            same(&mut engines, Direction::Inbound, &arrived, &mut rng, &format!("{pad} {wrong:?}"));
        }
    }
    assert!(engines[0].inbound.counters().dropped(DropReason::BadPadding) > 100);
}

#[test]
fn packets_that_are_not_protected_stay_as_they_are() {
    let mut rng = SeededRandom::new(176);
    let params = sa(Direction::Outbound, Mode::Tunnel, V4.0, V4.1, AES_GCM);
    let clear = udp("172.16.0.1", "172.16.0.2", (7, 9), 1000);
    // No SA for its policy; no policy at all.
    for mut engine in [many_sas(2), engine()] {
        for direction in [Direction::Outbound, Direction::Inbound] {
            let (came, stayed) = in_pieces(&mut engine, direction, &clear, &mut rng);
            assert!(!matches!(came.verdict, Verdict::Send(_) | Verdict::Deliver), "{:?}", came.verdict);
            assert!(came.packet == clear && stayed == clear.len() - FRONT, "{:?}", came.verdict);
        }
    }
    // What was protected, or opened, passes when it comes by again.
    let mut engine = looped(&params);
    let mut pieces = cut(&clear, &mut rng);
    let mut bytes = vec![NOTHING; HEADROOM + clear.len() + TAILROOM];
    let mut chain = ChainBuf::new(&mut pieces, &mut bytes).unwrap().with_mark(Mark::Sealed(Mode::Tunnel));
    assert_eq!(engine.outbound.process_chain(&mut chain, NOW), Verdict::Bypass);
    assert!(chain.parts().flatten().eq(&clear));
    let short = &mut vec![0; HEADROOM + clear.len() + TAILROOM - 1];
    assert!(ChainBuf::new(&mut pieces, short).is_none() && ChainBuf::new(&mut pieces, &mut []).is_none());
}

/// Whatever arrives or is to leave, in whatever pieces: cut short, changed, longer than it says, or nothing at all.
#[test]
fn hostile_chains_fare_as_hostile_packets() {
    let mut rng = SeededRandom::new(177);
    let v4 = sa(Direction::Outbound, Mode::Tunnel, V4.0, V4.1, AES_GCM);
    let cbc = sa(Direction::Outbound, Mode::Transport, V6.0, V6.1, suite(EncrId::AES_CBC, 128, IntegId::HMAC_SHA1_96));
    let natt = SaParams { encap: Some(Encap::udp(4500, 4500)), ..v4.clone() };
    for params in [v4, cbc, natt] {
        let mut engines = twins(ravelin_crypto_aws_lc::provider(), &params);
        let (src, dst) = (params.src.to_string(), params.dst.to_string());
        let clear = udp(&src, &dst, (7, 9), 700);
        for direction in [Direction::Outbound, Direction::Inbound] {
            same(&mut engines, direction, &[], &mut rng, "nothing");
            for n in 0..1500 {
                let mut packet = match direction {
                    Direction::Outbound => clear.clone(),
                    Direction::Inbound => same(&mut engines, Direction::Outbound, &clear, &mut rng, "sealed").packet,
                };
                let len = packet.len() as u64;
                match n % 4 {
                    0 => packet.truncate(rng.below(len) as usize),
                    1 => packet.extend(vec![n as u8; rng.below(300) as usize]),
                    _ => {}
                }
                for _ in 0..rng.below(3) {
                    let at = rng.below(if n % 2 == 0 { 60 } else { len }.min(packet.len().max(1) as u64)) as usize;
                    if let Some(byte) = packet.get_mut(at) {
                        *byte = rng.next_u64() as u8;
                    }
                }
                // A length that says less than there is.
                if n % 5 == 0 && params.src.is_ipv4() && packet.len() > 20 {
                    let said = (rng.below(len) as u16).to_be_bytes();
                    packet[2..4].copy_from_slice(&said);
                }
                same(&mut engines, direction, &packet, &mut rng, &format!("{n} {direction:?} {params:?}"));
            }
        }
        let counters = engines[0].inbound.counters();
        assert!(counters.all_dropped() > 300 && counters.protected > 100, "{counters:?}");
    }
}
