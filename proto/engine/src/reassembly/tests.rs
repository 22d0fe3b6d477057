use std::vec;
use std::vec::Vec;

use ravelin_wire::ip::checksum;
use ravelin_wire::ip::fragment::Fragments;

use super::*;

const NOW: Instant = Instant::ZERO;

/// Numbers without a pattern, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

fn v4_packet(id: u16, src: u8, options: usize, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 20 + options];
    packet[0] = 0x45 + (options / 4) as u8;
    packet[20..].fill(1);
    packet[4..6].copy_from_slice(&id.to_be_bytes());
    packet[8] = 17;
    packet[12..20].copy_from_slice(&[10, 0, 0, src, 10, 0, 0, 2]);
    packet.extend(payload);
    let total_len = packet.len() as u16;
    v4::rewrite(&mut packet[..20 + options], total_len, protocol::UDP);
    packet
}

fn v6_packet(src: u8, extension: bool, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 40];
    packet[0] = 0x60;
    packet[6] = if extension { protocol::HOP_BY_HOP } else { protocol::UDP };
    packet[7] = 64;
    packet[23] = src;
    packet[39] = 1;
    if extension {
        packet.extend([protocol::UDP, 0, 1, 4, 0, 0, 0, 0]);
    }
    packet.extend(payload);
    let payload_len = (packet.len() - 40) as u16;
    packet[4..6].copy_from_slice(&payload_len.to_be_bytes());
    packet
}

fn cut(packet: &[u8], mtu: usize, id: u32) -> Vec<Vec<u8>> {
    let mut fragments = Fragments::new(packet, mtu, id).unwrap();
    let mut out = vec![0; mtu];
    let mut all = Vec::new();
    while let Some(len) = fragments.next(&mut out).unwrap() {
        all.push(out[..len].to_vec());
    }
    all
}

fn complete(added: Added<'_>) -> Option<Vec<u8>> {
    match added {
        Added::Complete(pkt) => Some(pkt.packet().to_vec()),
        _ => None,
    }
}

fn refusal(added: Added<'_>) -> Refusal {
    match added {
        Added::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

/// A fragment of UDP with offset and length in bytes.
fn fragment(ipv4: bool, id: u16, offset: usize, len: usize, more: bool) -> Vec<u8> {
    let payload: Vec<u8> = (0..len).map(|i| (offset + i) as u8).collect();
    if ipv4 {
        let mut packet = v4_packet(id, 1, 0, &payload);
        let flags = (offset / 8) as u16 | if more { v4::MORE_FRAGMENTS } else { 0 };
        packet[6..8].copy_from_slice(&flags.to_be_bytes());
        return packet;
    }
    let mut packet = v6_packet(1, false, &[0; 8]);
    packet[6] = protocol::FRAGMENT;
    let [hi, lo] = (offset as u16 | u16::from(more)).to_be_bytes();
    packet[40..].copy_from_slice(&[protocol::UDP, 0, hi, lo, 0, 0, (id >> 8) as u8, id as u8]);
    packet.extend(&payload);
    let payload_len = (packet.len() - 40) as u16;
    packet[4..6].copy_from_slice(&payload_len.to_be_bytes());
    packet
}

#[test]
fn what_was_cut_comes_together_again_in_any_order() {
    let mut numbers = Numbers(7);
    let mut table = Reassembly::new(8, 8);
    for round in 0..2000u32 {
        let mut waiting = Vec::new();
        let mut originals = Vec::new();
        for datagram in 0..4u16 {
            let len = 8 + numbers.below(if round % 50 == 0 { 65_000 } else { 4000 });
            let payload: Vec<u8> = (0..len).map(|_| numbers.below(256) as u8).collect();
            let (src, odd) = (numbers.below(3) as u8, numbers.below(2) == 1);
            let packet = match datagram % 2 {
                0 => v4_packet(round as u16 * 4 + datagram, src, if odd { 8 } else { 0 }, &payload),
                _ => v6_packet(src, odd, &payload),
            };
            let mtu = 576 + numbers.below(1000);
            waiting.extend(cut(&packet, mtu, round * 4 + u32::from(datagram)));
            originals.push(packet);
        }
        let mut whole = Vec::new();
        while !waiting.is_empty() {
            let next = waiting.swap_remove(numbers.below(waiting.len()));
            match table.add(&next, NOW) {
                Added::Whole => whole.push(next),
                Added::Complete(pkt) => whole.push(pkt.packet().to_vec()),
                Added::Held => {}
                Added::Refused(refusal) => panic!("{refusal:?}"),
            }
        }
        originals.sort();
        whole.sort();
        assert_eq!(originals, whole, "round {round}");
        assert!(table.is_empty());
    }
    assert_eq!(table.counters(), (0, 0));
}

#[test]
fn a_complete_datagram_has_a_good_header() {
    let mut table = Reassembly::new(1, 1);
    let all = cut(&v4_packet(5, 1, 8, &[3; 1000]), 300, 0);
    let (last, others) = all.split_last().unwrap();
    others.iter().for_each(|part| assert!(complete(table.add(part, NOW)).is_none()));
    let whole = complete(table.add(last, NOW)).unwrap();
    assert_eq!(checksum::finish(checksum::sum(&whole[..28])), 0);
    assert_eq!(Header::parse(&whole).unwrap().fragment, Fragment::Whole);
}

#[test]
fn a_repeated_fragment_does_no_harm() {
    for ipv4 in [true, false] {
        let mut table = Reassembly::new(1, 1);
        for _ in 0..3 {
            assert!(matches!(table.add(&fragment(ipv4, 1, 8, 8, true), NOW), Added::Held));
        }
        assert!(matches!(table.add(&fragment(ipv4, 1, 0, 8, true), NOW), Added::Held));
        assert!(complete(table.add(&fragment(ipv4, 1, 16, 3, false), NOW)).is_some());
    }
}

#[test]
fn overlaps_end_the_datagram() {
    // What is there first, and what comes then: (offset, length, more).
    type Place = (usize, usize, bool);
    let cases: [(&[Place], Place); 8] = [
        (&[(0, 24, true)], (16, 16, true)),
        (&[(16, 16, true)], (0, 24, true)),
        (&[(0, 24, true)], (8, 8, true)),
        (&[(8, 8, true)], (0, 24, true)),
        // Teardrop: the last lies inside the first.
        (&[(0, 40, true)], (24, 4, false)),
        // Two ends.
        (&[(32, 8, false)], (40, 8, false)),
        (&[(32, 8, false)], (40, 8, true)),
        (&[(40, 8, true)], (16, 8, false)),
    ];
    for ipv4 in [true, false] {
        for (before, then) in cases {
            let mut table = Reassembly::new(2, 2);
            for &(offset, len, more) in before {
                assert!(matches!(table.add(&fragment(ipv4, 1, offset, len, more), NOW), Added::Held));
            }
            let (offset, len, more) = then;
            assert_eq!(refusal(table.add(&fragment(ipv4, 1, offset, len, more), NOW)), Refusal::Overlap, "{then:?}");
            // RFC 5722 §3: those that come later go too.
            assert_eq!(refusal(table.add(&fragment(ipv4, 1, 80, 8, true), NOW)), Refusal::GivenUp);
            table.tick(NOW + TIMEOUT);
            assert!(table.is_empty());
        }
    }
}

#[test]
fn the_same_place_with_other_bytes_is_an_overlap() {
    for ipv4 in [true, false] {
        let mut table = Reassembly::new(1, 1);
        let mut part = fragment(ipv4, 1, 8, 8, true);
        assert!(matches!(table.add(&part, NOW), Added::Held));
        *part.last_mut().unwrap() ^= 1;
        assert_eq!(refusal(table.add(&part, NOW)), Refusal::Overlap);
    }
}

#[test]
fn too_long_and_tiny_fragments_are_refused() {
    for ipv4 in [true, false] {
        let mut table = Reassembly::new(1, 1);
        // Ping of death: the end would lie beyond 65,535.
        assert_eq!(refusal(table.add(&fragment(ipv4, 1, 65_528, 40, false), NOW)), Refusal::TooLong);
        assert_eq!(refusal(table.add(&fragment(ipv4, 1, 8, 0, true), NOW)), Refusal::Tiny);
        assert_eq!(refusal(table.add(&fragment(ipv4, 1, 8, 12, true), NOW)), Refusal::Tiny);
        // The TCP flags would be in the next one.
        let mut first = fragment(ipv4, 1, 0, 16, true);
        let at = if ipv4 { v4::PROTOCOL_AT } else { 40 };
        first[at] = protocol::TCP;
        assert_eq!(refusal(table.add(&first, NOW)), Refusal::Tiny);
        assert!(table.is_empty());
        let cut_short = &fragment(ipv4, 1, 0, 16, true)[..30];
        assert_eq!(refusal(table.add(cut_short, NOW)), Refusal::Malformed);
        assert_eq!(table.counters(), (5, 0));
    }
}

#[test]
fn an_extension_header_that_hides_the_transport_is_refused() {
    // RFC 7112 §5: destination options behind the fragment header, and nothing behind them.
    let mut first = fragment(false, 1, 0, 8, true);
    first[40] = protocol::DESTINATION_OPTIONS;
    first[48..].copy_from_slice(&[protocol::TCP, 0, 1, 4, 0, 0, 0, 0]);
    assert_eq!(refusal(Reassembly::new(1, 1).add(&first, NOW)), Refusal::Tiny);
}

#[test]
fn many_pieces_are_too_many() {
    let mut table = Reassembly::new(1, 1);
    for n in 0..MAX_FRAGMENTS {
        assert!(matches!(table.add(&fragment(true, 1, 8 + n * 16, 8, true), NOW), Added::Held));
    }
    assert_eq!(refusal(table.add(&fragment(true, 1, 0, 8, true), NOW)), Refusal::TooMany);
}

#[test]
fn no_source_takes_more_than_its_share() {
    let mut table = Reassembly::new(4, 2);
    let part = |src: u8, id: u16| cut(&v4_packet(id, src, 0, &[0; 600]), 400, 0);
    assert!(matches!(table.add(&part(9, 1)[0], NOW), Added::Held));
    for id in 0..100 {
        assert!(matches!(table.add(&part(1, id)[0], NOW + Duration::from_secs(1)), Added::Held));
        assert!(table.len() <= 3);
    }
    assert!(complete(table.add(&part(9, 1)[1], NOW)).is_some(), "another source is not disturbed");
    assert!(complete(table.add(&part(1, 99)[1], NOW)).is_some(), "the newest of the busy source is there");
    // Many sources: the oldest datagram makes room.
    for src in 20..100 {
        assert!(matches!(table.add(&part(src, 1)[0], NOW + Duration::from_secs(src.into())), Added::Held));
        assert!(table.len() <= 4);
    }
    assert!(complete(table.add(&part(99, 1)[1], NOW)).is_some());
    assert!(matches!(Reassembly::new(0, 0).add(&part(1, 1)[0], NOW), Added::Refused(Refusal::TooMany)));
}

#[test]
fn what_waits_too_long_is_forgotten() {
    let mut table = Reassembly::new(4, 4);
    let all = cut(&v4_packet(1, 1, 0, &[0; 600]), 400, 0);
    assert!(table.deadline().is_none());
    assert!(matches!(table.add(&all[0], NOW), Added::Held));
    assert_eq!(table.deadline(), Some(NOW + TIMEOUT));
    assert!(matches!(table.add(&all[1], NOW + TIMEOUT), Added::Held), "the first is gone");
    assert_eq!(table.counters(), (0, 1));
}

#[test]
fn congestion_marks_follow_rfc_3168() {
    // ECN fields of two fragments, and of the datagram.
    let cases = [(0, 0, Some(0)), (2, 3, Some(3)), (1, 3, Some(3)), (0, 3, None), (2, 0, Some(0)), (2, 2, Some(2))];
    for (first, last, expected) in cases {
        for packet in [v4_packet(1, 1, 0, &[0; 600]), v6_packet(1, false, &[0; 600])] {
            let mut table = Reassembly::new(1, 1);
            let mut all = cut(&packet, 400, 1);
            for (part, ecn) in all.iter_mut().zip([first, last]) {
                match part[0] >> 4 {
                    4 => v4::set_tos(part.first_chunk_mut().unwrap(), 0xb8 | ecn),
                    _ => v6::set_tos(part.first_chunk_mut().unwrap(), 0xb8 | ecn),
                }
            }
            assert!(matches!(table.add(&all[0], NOW), Added::Held));
            let tos = complete(table.add(&all[1], NOW)).map(|whole| Header::parse(&whole).unwrap().tos);
            assert_eq!(tos, expected.map(|ecn| 0xb8 | ecn));
        }
    }
}

#[test]
fn garbage_is_refused_or_held() {
    let mut numbers = Numbers(3);
    let mut table = Reassembly::new(4, 4);
    for _ in 0..200_000 {
        let mut packet = fragment(numbers.below(2) == 0, 1, numbers.below(8192) * 8, numbers.below(64), true);
        for _ in 0..numbers.below(4) {
            let at = numbers.below(packet.len());
            packet[at] = numbers.below(256) as u8;
        }
        table.add(&packet, NOW);
        assert!(table.len() <= 4);
    }
}
