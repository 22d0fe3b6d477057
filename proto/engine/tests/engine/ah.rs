//! AH against what the way does to a packet and what a stranger sends (RFC 4302).

use crate::common::*;
use ravelin_engine::{DropReason, Engine, Verdict};
use ravelin_types::Spi;
use ravelin_types::dataplane::{DataPlaneError, DataPlaneOp};
use ravelin_types::policy::Mode;
use ravelin_types::proposal::{AhSuite, Suite};
use ravelin_types::sa::{Direction, Encap, OriginalAddresses, SaParams};
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_wire::ip::{Header, protocol, v4};

const SPI: Spi = Spi(0x1000_0001);
const SHA2: AhSuite = AhSuite { integ: IntegId::HMAC_SHA2_256_128, sn: SnId::SEQUENTIAL_32 };
const ESN: AhSuite = AhSuite { integ: IntegId::HMAC_SHA1_96, sn: SnId::PARTIAL_64 };

fn bundle(ah: AhSuite) -> Suite {
    let mut esp = suite(EncrId::AES_CBC, 128, IntegId::HMAC_SHA1_96);
    esp.sn = ah.sn;
    Suite::AhEsp { ah, ah_spi: SPI, esp }
}

fn v4_sa(mode: Mode, suite: Suite) -> SaParams {
    with_suite(sa(Direction::Outbound, mode, "192.0.2.1", "192.0.2.2", AES_GCM), suite)
}

fn v6_sa(mode: Mode, suite: Suite) -> SaParams {
    with_suite(sa(Direction::Outbound, mode, "2001:db8::1", "2001:db8::2", AES_GCM), suite)
}

fn v4_clear() -> Vec<u8> {
    udp("192.0.2.1", "192.0.2.2", (1, 2), 21)
}

fn v6_clear() -> Vec<u8> {
    udp("2001:db8::1", "2001:db8::2", (1, 2), 21)
}

fn start(params: &SaParams) -> Engine {
    looped_in(portable_engine(), params)
}

/// Four SAs of each family, with their clear packet.
fn cases() -> Vec<(SaParams, Vec<u8>)> {
    let mut cases = Vec::new();
    for suite in [Suite::Ah(SHA2), Suite::Ah(ESN), bundle(SHA2), bundle(ESN)] {
        for mode in [Mode::Transport, Mode::Tunnel] {
            cases.push((v4_sa(mode, suite), v4_clear()));
            cases.push((v6_sa(mode, suite), v6_clear()));
        }
    }
    cases
}

/// The bits of the outer header that may change on the way (RFC 4302 §3.3.3.1.1.1 and §3.3.3.1.2.1).
fn mutable(packet: &[u8], bit: usize) -> bool {
    match (packet[0] >> 4, bit / 8) {
        (4, 1 | 6..=8 | 10 | 11) => true,
        (4, _) => false,
        (_, 0) => bit % 8 < 4,
        (_, 1..=3 | 7) => true,
        _ => false,
    }
}

#[test]
fn every_flipped_bit_is_noticed_unless_it_may_change_on_the_way() {
    for (params, clear) in cases() {
        let packet = sealed(&mut start(&params), &clear);
        let mut engine = start(&params);
        for bit in 0..packet.len() * 8 {
            let mut flipped = packet.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let (verdict, opened) = receive(&mut engine, &flipped);
            let fragment = packet[0] >> 4 == 4 && (bit / 8 == 7 || bit / 8 == 6 && ![6, 7].contains(&(bit % 8)));
            if fragment {
                assert_eq!(verdict, Verdict::Drop(DropReason::AhFragment), "bit {bit}");
            } else if mutable(&packet, bit) {
                assert_eq!(verdict, Verdict::Deliver, "bit {bit} {:?}", params.suite);
                assert_eq!(opened.len(), clear.len());
                engine = start(&params);
            } else {
                assert_ne!(verdict, Verdict::Deliver, "bit {bit} {:?}", params.suite);
            }
        }
        // The genuine one still passes: nothing was recorded for the others.
        assert_eq!(receive(&mut engine, &packet), (Verdict::Deliver, clear));
    }
}

#[test]
fn truncated_packets_are_dropped_and_leave_the_sa_alone() {
    for (params, clear) in cases() {
        let mut engine = start(&params);
        let packet = sealed(&mut engine, &clear);
        for len in 0..packet.len() {
            let mut cut = packet[..len].to_vec();
            // As a stranger sends it: with an IP header that fits.
            match packet[0] >> 4 {
                4 if len >= 20 => v4::rewrite(&mut cut[..20], len as u16, protocol::AH),
                6 if len >= 40 => cut[4..6].copy_from_slice(&((len - 40) as u16).to_be_bytes()),
                _ => {}
            }
            let Verdict::Drop(reason) = receive(&mut engine, &cut).0 else { panic!("{len} bytes") };
            let expected = [DropReason::BadIpHeader, DropReason::BadAhLength, DropReason::AhForged];
            assert!(expected.contains(&reason), "{len} bytes: {reason}");
        }
        assert_eq!(receive(&mut engine, &packet), (Verdict::Deliver, clear));
    }
}

// RFC 4302 §3.3.3.2.1: to 32 bits in IPv4. Linux pads to 64 unless it is told otherwise, and takes nothing else then.
#[test]
fn a_receiver_takes_ah_padded_to_64_bits_in_ipv4_and_a_sender_makes_it_on_demand() {
    let ah = |integ| AhSuite { integ, sn: SnId::SEQUENTIAL_32 };
    for (integ, narrow, wide) in [
        (IntegId::HMAC_SHA1_96, 24, 24),
        (IntegId::HMAC_SHA2_256_128, 28, 32),
        (IntegId::HMAC_SHA2_384_192, 36, 40),
        (IntegId::HMAC_SHA2_512_256, 44, 48),
    ] {
        for (mode, suite) in [(Mode::Transport, Suite::Ah(ah(integ))), (Mode::Tunnel, bundle(ah(integ)))] {
            for (align64, len) in [(false, narrow), (true, wide)] {
                let mut params = v4_sa(mode, suite);
                params.options.ah_align64 = align64;
                let packet = sealed(&mut start(&params), &v4_clear());
                assert_eq!((usize::from(packet[21]) + 2) * 4, len, "{integ}");
                // The receiver has not heard of it.
                params.options.ah_align64 = false;
                let mut engine = start(&params);
                if align64 && wide > narrow {
                    // What is added is covered.
                    let mut flipped = packet.clone();
                    flipped[20 + narrow] ^= 1;
                    assert_eq!(receive(&mut engine, &flipped).0, Verdict::Drop(DropReason::AhForged));
                }
                assert_eq!(receive(&mut engine, &packet), (Verdict::Deliver, v4_clear()), "{integ} {align64}");
                for other in (12..=60).step_by(4).filter(|other| *other != narrow && *other != wide) {
                    let mut odd = packet.clone();
                    odd[21] = (other / 4 - 2) as u8;
                    assert_eq!(receive(&mut engine, &odd).0, Verdict::Drop(DropReason::BadAhLength), "{other}");
                }
            }
        }
    }
}

#[test]
fn a_replayed_packet_is_dropped_before_its_icv_is_looked_at() {
    for (params, clear) in cases() {
        let mut engine = start(&params);
        let packets: Vec<_> = (0..70).map(|_| sealed(&mut engine, &clear)).collect();
        assert_eq!(receive(&mut engine, &packets[68]).0, Verdict::Deliver);
        assert_eq!(receive(&mut engine, &packets[68]).0, Verdict::Drop(DropReason::Replayed));
        assert_eq!(receive(&mut engine, &packets[5]).0, Verdict::Deliver);
        assert_eq!(receive(&mut engine, &packets[5]).0, Verdict::Drop(DropReason::Replayed));
        let old = match params.suite.sn() {
            SnId::PARTIAL_64 => DropReason::AhForged,
            _ => DropReason::TooOld,
        };
        assert_eq!(receive(&mut engine, &packets[4]).0, Verdict::Drop(old));
    }
}

#[test]
fn spis_and_protocols_that_are_not_the_sas_have_reasons_of_their_own() {
    let clear = v4_clear();
    let packet = |suite| sealed(&mut start(&v4_sa(Mode::Transport, suite)), &clear);
    let esp = Suite::Esp(*bundle(SHA2).esp().unwrap());
    let drop = |sa, packet: &[u8]| match receive(&mut start(&v4_sa(Mode::Transport, sa)), packet).0 {
        Verdict::Drop(reason) => reason,
        other => panic!("{other:?}"),
    };
    let mut unknown = packet(Suite::Ah(SHA2));
    unknown[24] ^= 0x40;
    assert_eq!(drop(Suite::Ah(SHA2), &unknown), DropReason::UnknownAhSpi);
    assert_eq!(drop(esp, &packet(Suite::Ah(SHA2))), DropReason::ExpectedEsp);
    assert_eq!(drop(Suite::Ah(SHA2), &packet(esp)), DropReason::ExpectedAh);
    assert_eq!(drop(bundle(SHA2), &packet(esp)), DropReason::ExpectedAh);
    assert_eq!(drop(bundle(SHA2), &packet(Suite::Ah(SHA2))), DropReason::ExpectedEsp, "AH is genuine, ESP is missing");
    let mut other = v4_sa(Mode::Transport, bundle(SHA2));
    other.spi = Spi(7);
    let inside = sealed(&mut looped_outbound(&other), &clear);
    assert_eq!(drop(bundle(SHA2), &inside), DropReason::UnknownSpi, "of ESP inside AH");
}

/// An engine with the outbound SA alone: the AH SPI may be another than that of ESP.
fn looped_outbound(params: &SaParams) -> Engine {
    let mut engine = portable_engine();
    for op in [DataPlaneOp::AddPolicy(protect_all(1)), DataPlaneOp::AddSa(params.clone())] {
        engine.apply(&op, NOW).unwrap();
    }
    engine
}

#[test]
fn a_bundle_counts_once_and_is_one_sa() {
    let params = v4_sa(Mode::Tunnel, bundle(SHA2));
    let mut engine = start(&params);
    for number in 1..=5u8 {
        let packet = sealed(&mut engine, &v4_clear());
        let esp_at = 20 + 28;
        assert_eq!((packet[31], packet[esp_at + 7]), (number, number));
        assert_eq!(receive(&mut engine, &packet).0, Verdict::Deliver);
    }
    let list = engine.list();
    assert_eq!(list.len(), 2);
    for status in &list {
        assert_eq!((status.counters.packets, status.counters.sequence), (5, 5));
        assert_eq!(status.params.id().spi, SPI);
    }
    for inbound in [DataPlaneOp::DeleteSa(list[1].params.id()), DataPlaneOp::DeleteSa(list[0].params.id())] {
        engine.apply(&inbound, NOW).unwrap();
    }
    assert!(engine.list().is_empty());
}

/// A packet in transport mode with these options, its header checksum left wrong.
fn with_options(options: &[u8]) -> Vec<u8> {
    let clear = v4_clear();
    let mut packet = [&clear[..20], options, &clear[20..]].concat();
    packet[0] = 0x40 | (5 + options.len() / 4) as u8;
    let len = packet.len() as u16;
    v4::rewrite(&mut packet[..20 + options.len()], len, protocol::UDP);
    packet
}

#[test]
fn options_of_ipv4_are_covered_by_the_table() {
    // Router alert, no operation, record route, time stamp.
    let options = [148, 4, 0, 0, 1, 7, 7, 4, 0, 0, 0, 0, 68, 8, 5, 0, 0, 0, 0, 0];
    for suite in [Suite::Ah(SHA2), bundle(ESN)] {
        let params = v4_sa(Mode::Transport, suite);
        let packet = sealed(&mut start(&params), &with_options(&options));
        let clear = with_options(&options);
        for at in 20..40 {
            let mut changed = packet.clone();
            changed[at] ^= 0x10;
            let (verdict, opened) = receive(&mut start(&params), &changed);
            match at - 20 {
                // What changes in a mutable option is zero for the ICV; its length leads to the next option.
                7..=11 | 14..=19 => {
                    assert_eq!((verdict, opened[at]), (Verdict::Deliver, changed[at]), "option byte {}", at - 20);
                }
                0..=4 => assert_eq!(verdict, Verdict::Drop(DropReason::AhForged), "option byte {}", at - 20),
                _ => {}
            }
        }
        assert_eq!(receive(&mut start(&params), &packet), (Verdict::Deliver, clear));
    }
}

#[test]
fn a_source_route_is_covered_as_at_its_end() {
    for kind in [131, 137] {
        let params = v4_sa(Mode::Transport, Suite::Ah(SHA2));
        let on_the_way = with_options(&[kind, 11, 4, 192, 0, 2, 9, 192, 0, 2, 2, 1]);
        let mut packet = sealed(&mut start(&params), &on_the_way);
        // Before its end, AH is not to be opened, though the ICV is right.
        let early = receive(&mut start(&params), &packet).0;
        assert_eq!(early, Verdict::Drop(DropReason::UncoverableHeader));
        // RFC 791 §3.1: the hosts on the way leave their addresses in the route.
        packet[16..20].copy_from_slice(&[192, 0, 2, 2]);
        packet[22..31].copy_from_slice(&[12, 10, 0, 0, 1, 10, 0, 0, 2]);
        assert_eq!(receive(&mut start(&params), &packet).0, Verdict::Deliver);
        packet[19] = 3;
        assert_eq!(receive(&mut start(&params), &packet).0, Verdict::Drop(DropReason::AhForged));
    }
}

#[test]
fn malformed_options_are_refused_in_both_directions() {
    for options in [[7, 0, 0, 0], [7, 9, 4, 0], [131, 7, 3, 1]] {
        let params = v4_sa(Mode::Transport, Suite::Ah(SHA2));
        let mut engine = start(&params);
        let clear = with_options(&options);
        assert_eq!(send(&mut engine, &clear, NOW).0, Verdict::Drop(DropReason::UncoverableHeader));
        assert_eq!(engine.list()[0].counters.sequence, 0);
        let mut packet = sealed(&mut engine, &with_options(&[1, 1, 1, 1]));
        packet[20..24].copy_from_slice(&options);
        assert_eq!(receive(&mut engine, &packet).0, Verdict::Drop(DropReason::UncoverableHeader));
    }
}

fn v6_with(next_header: u8, extensions: &[u8]) -> Vec<u8> {
    let clear = v6_clear();
    let mut packet = [&clear[..40], extensions, &clear[40..]].concat();
    packet[6] = next_header;
    let len = (packet.len() - 40) as u16;
    packet[4..6].copy_from_slice(&len.to_be_bytes());
    packet
}

// RFC 4302 §3.1.1 and §3.3.3.1.2.2.
#[test]
fn extension_headers_of_ipv6_are_covered_by_their_bits() {
    // Hop-by-hop: an option that may change and one that may not. Behind AH: destination options.
    let extensions = [60, 1, 0x3e, 4, 1, 2, 3, 4, 0x1e, 4, 5, 6, 7, 8, 1, 0, 17, 0, 0x3e, 4, 1, 2, 3, 4];
    for suite in [Suite::Ah(SHA2), bundle(SHA2)] {
        let params = v6_sa(Mode::Transport, suite);
        let clear = v6_with(0, &extensions);
        let packet = sealed(&mut start(&params), &clear);
        assert_eq!((packet[40], packet[56]), (protocol::AH, if params.suite.esp().is_some() { 50 } else { 60 }));
        for at in 40..56 {
            let mut changed = packet.clone();
            changed[at] ^= 0x01;
            let (verdict, _) = receive(&mut start(&params), &changed);
            if (44..48).contains(&at) {
                assert_eq!(verdict, Verdict::Deliver, "extension byte {}", at - 40);
            } else {
                assert!(matches!(verdict, Verdict::Drop(_)), "extension byte {}", at - 40);
            }
        }
        assert_eq!(receive(&mut start(&params), &packet), (Verdict::Deliver, clear));
    }
}

#[test]
fn routing_headers_of_ipv6_are_predicted_or_refused() {
    let route = |kind, left, address: [u8; 16]| [&[17, 2, kind, left, 0, 0, 0, 0][..], &address].concat();
    let params = v6_sa(Mode::Transport, Suite::Ah(SHA2));
    let (here, there) = (octets("2001:db8::2"), octets("2001:db8::9"));
    // Sent by way of ::9 to ::2.
    let mut clear = v6_with(43, &route(0, 1, here));
    clear[24..40].copy_from_slice(&there);
    let mut packet = sealed(&mut start(&params), &clear);
    assert_eq!(receive(&mut start(&params), &packet).0, Verdict::Drop(DropReason::UncoverableHeader));
    packet[24..40].copy_from_slice(&here);
    packet[43] = 0;
    packet[48..64].copy_from_slice(&there);
    assert_eq!(receive(&mut start(&params), &packet).0, Verdict::Deliver);
    packet[63] ^= 1;
    assert_eq!(receive(&mut start(&params), &packet).0, Verdict::Drop(DropReason::AhForged));
    for kind in [2, 3, 4] {
        let clear = v6_with(43, &route(kind, 1, there));
        assert_eq!(send(&mut start(&params), &clear, NOW).0, Verdict::Drop(DropReason::UncoverableHeader));
    }
}

fn octets(address: &str) -> [u8; 16] {
    address.parse::<std::net::Ipv6Addr>().unwrap().octets()
}

#[test]
fn fragments_are_neither_protected_in_transport_mode_nor_opened() {
    let mut clear = v4_clear();
    clear[6] = 0x20;
    let transport = v4_sa(Mode::Transport, Suite::Ah(SHA2));
    assert_eq!(send(&mut start(&transport), &clear, NOW).0, Verdict::Drop(DropReason::FragmentInTransport));
    // RFC 4302 §3.3.4: tunnel mode takes them.
    let tunnel = v4_sa(Mode::Tunnel, Suite::Ah(SHA2));
    let mut engine = start(&tunnel);
    let mut packet = sealed(&mut engine, &clear);
    assert_eq!(receive(&mut start(&tunnel), &packet), (Verdict::Deliver, clear));
    packet[6] |= 0x20;
    assert_eq!(receive(&mut engine, &packet).0, Verdict::Drop(DropReason::AhFragment));
}

// Row 116 of docs/HISTORY.md: every value of the length of AH but the right one.
#[test]
fn lengths_of_ah_that_lie_are_refused() {
    for (params, clear) in cases() {
        let mut engine = start(&params);
        let packet = sealed(&mut engine, &clear);
        let at = if packet[0] >> 4 == 4 { 21 } else { 41 };
        for length in (0..=255).filter(|length| *length != packet[at]) {
            let mut lying = packet.clone();
            lying[at] = length;
            let (verdict, _) = receive(&mut engine, &lying);
            let expected = [DropReason::BadAhLength, DropReason::AhForged].map(Verdict::Drop);
            assert!(expected.contains(&verdict), "{length}: {verdict:?}");
        }
        assert_eq!(receive(&mut engine, &packet), (Verdict::Deliver, clear));
    }
}

#[test]
fn more_padding_than_needed_is_refused() {
    let params = v4_sa(Mode::Transport, Suite::Ah(SHA2));
    let mut packet = sealed(&mut start(&params), &v4_clear());
    // Up to 64 bits there are peers that pad.
    packet.splice(48..48, [0; 8]);
    packet[21] += 2;
    let len = packet.len() as u16;
    v4::rewrite(&mut packet[..20], len, protocol::AH);
    assert_eq!(receive(&mut start(&params), &packet).0, Verdict::Drop(DropReason::BadAhLength));
}

#[test]
fn what_ah_cannot_do_is_refused_with_a_reason() {
    let params = v4_sa(Mode::Transport, Suite::Ah(SHA2));
    let mut engine = portable_engine();
    let mut refused = |params: SaParams| match engine.apply(&DataPlaneOp::AddSa(params), NOW) {
        Err(DataPlaneError::Invalid(text) | DataPlaneError::Algorithm(text)) => text.to_string(),
        other => panic!("{other:?}"),
    };
    let encap = Some(Encap::udp(4500, 4500));
    assert!(refused(SaParams { encap, ..params.clone() }).contains("NAT"));
    let original = Some(OriginalAddresses { src: ip("10.0.0.1"), dst: ip("10.0.0.2") });
    assert!(refused(SaParams { original, ..params.clone() }).contains("NAT"));
    let esp = *bundle(SHA2).esp().unwrap();
    let two_spis = v4_sa(Mode::Transport, Suite::AhEsp { ah: SHA2, ah_spi: Spi(9), esp });
    assert!(refused(received(&two_spis)).contains("one SPI"));
    let two_kinds = v4_sa(Mode::Transport, Suite::AhEsp { ah: ESN, ah_spi: SPI, esp });
    assert!(refused(two_kinds).contains("sequence numbers"));
    let mut no_key = params.clone();
    no_key.keys.ah = Default::default();
    refused(no_key);
    let none = Suite::Ah(AhSuite { integ: IntegId::NONE, ..SHA2 });
    refused(SaParams { suite: none, ..params.clone() });
    let blind = SaParams { replay_window: 0, ..received(&v4_sa(Mode::Transport, Suite::Ah(ESN))) };
    assert!(refused(blind).contains("window"));

    let mut engine = start(&params);
    let id = params.id();
    let moved = engine.apply(&DataPlaneOp::MoveSa { id, src: params.src, dst: ip("192.0.2.9"), encap }, NOW);
    assert!(matches!(moved, Err(DataPlaneError::Invalid(_))), "{moved:?}");
}

#[test]
fn authentic_packets_that_hold_nonsense_are_dropped() {
    // In tunnel mode AH holds an IP packet; one made for transport mode does not.
    let transport = v4_sa(Mode::Transport, Suite::Ah(SHA2));
    let tunnel = v4_sa(Mode::Tunnel, Suite::Ah(SHA2));
    let packet = sealed(&mut start(&transport), &v4_clear());
    let mut engine = start(&tunnel);
    assert!(matches!(
        receive(&mut engine, &packet).0,
        Verdict::Drop(DropReason::BadInnerPacket | DropReason::BadNextHeader)
    ));
    assert_eq!(engine.list()[1].counters.forged, 0);
    let inner = Header::parse(&packet).unwrap();
    assert_eq!(inner.protocol, protocol::AH);
}
