use std::vec;
use std::vec::Vec;

use super::*;
use crate::{HEADROOM, TAILROOM};
use ravelin_wire::ip::checksum;

/// Numbers without a pattern, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// A packet of IPv4 with these options, filled up with the end of them.
fn v4_with(options: &[u8], dst: [u8; 4]) -> Vec<u8> {
    let mut packet = vec![0; 20];
    packet.extend(options);
    packet.resize(20 + options.len().next_multiple_of(4), 0);
    let header_len = packet.len();
    packet[0] = 0x40 | (header_len / 4) as u8;
    packet[12..20].copy_from_slice(&[&[10, 0, 0, 1][..], &dst].concat());
    packet.extend([0x5a; 24]);
    let len = packet.len() as u16;
    v4::rewrite(&mut packet[..header_len], len, protocol::ESP);
    packet
}

/// A packet of IPv6 with these headers, each its type and what stands behind the first two bytes.
fn v6_with(headers: &[(u8, Vec<u8>)], group: bool) -> Vec<u8> {
    let mut packet = vec![0; 40];
    packet[0] = 0x60;
    packet[6] = headers.first().map_or(protocol::ESP, |header| header.0);
    (packet[8], packet[23], packet[24], packet[39]) = (0x20, 1, if group { 0xff } else { 0x20 }, 2);
    for (n, (_, body)) in headers.iter().enumerate() {
        let next = headers.get(n + 1).map_or(protocol::ESP, |header| header.0);
        assert_eq!((body.len() + 2) % 8, 0);
        packet.extend([next, ((body.len() + 2) / 8 - 1) as u8]);
        packet.extend(body);
    }
    packet.extend([0x5a; 24]);
    let len = (packet.len() - 40) as u16;
    packet[4..6].copy_from_slice(&len.to_be_bytes());
    packet
}

fn refused(packet: &[u8]) -> Option<(Reason, Option<(u8, u16)>)> {
    let answer = |refused: Refused| refused.answer.map(|problem| (problem.code, problem.pointer));
    check(packet, &Rules::default()).err().map(|refused| (refused.reason, answer(refused)))
}

const HOST: [u8; 4] = [10, 0, 0, 2];
const GROUP: [u8; 4] = [224, 0, 0, 9];

// RFC 791 §3.1.
#[test]
fn options_of_ipv4_are_skipped_or_refused() {
    let wrong = |at: u16| Some((Reason::Malformed, Some((0, 20 + at))));
    let route = Some((Reason::SourceRoute, None));
    let cases: [(&[u8], Option<_>); 17] = [
        (&[], None),
        (&[1, 1, 1, 0], None),
        // What stands behind the end is padding.
        (&[0, 131, 200, 9], None),
        (&[148, 4, 0, 0], None),
        (&[7, 7, 4, 0, 0, 0, 0], None),
        (&[68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0], None),
        (&[0x9e, 2, 0x5e, 2], None),
        (&[131, 7, 4, 192, 0, 2, 9], route),
        (&[137, 7, 8, 192, 0, 2, 9], route),
        (&[1, 7, 0, 0], wrong(2)),
        (&[7, 1, 0, 0], wrong(1)),
        (&[7, 9, 4, 0], wrong(1)),
        (&[7, 3, 3, 0], wrong(2)),
        (&[7, 2, 0, 0], wrong(1)),
        (&[68, 4, 4, 0], wrong(2)),
        (&[131, 3, 0, 0], wrong(2)),
        (&[1, 1, 1, 7], wrong(3)),
    ];
    for (options, expected) in cases {
        assert_eq!(refused(&v4_with(options, HOST)), expected, "{options:?}");
        let silent = expected.map(|(reason, _)| (reason, None));
        assert_eq!(refused(&v4_with(options, GROUP)), silent, "nobody answers a group");
    }
    // RFC 1122 §3.2.1.8 (c), for who wants it: the end of a route, and no other of its hosts.
    let rules = Rules { ended_source_routes: true, ..Rules::default() };
    assert_eq!(check(&v4_with(&[137, 7, 8, 192, 0, 2, 9], HOST), &rules), Ok(()));
    assert!(check(&v4_with(&[137, 7, 4, 192, 0, 2, 9], HOST), &rules).is_err());
    let twice = v4_with(&[137, 7, 8, 192, 0, 2, 9, 131, 7, 8, 192, 0, 2, 9], HOST);
    assert_eq!(check(&twice, &rules).unwrap_err().reason, Reason::Malformed);
}

// RFC 8200 §4.2: the upper two bits of a type that is not known say what is done.
#[test]
fn every_type_of_option_of_ipv6_is_judged_by_its_bits() {
    let host_answers = |kind: u8| [None, None, Some((2, 44)), Some((2, 44))][usize::from(kind >> 6)];
    let group_answers = |kind: u8| [None, None, Some((2, 44)), None][usize::from(kind >> 6)];
    for header in [protocol::HOP_BY_HOP, protocol::DESTINATION_OPTIONS] {
        for kind in 2..=255u8 {
            let body = vec![1, 0, kind, 2, 7, 7];
            let expected = |answer| (kind >> 6 > 0).then_some((Reason::Unknown, answer));
            assert_eq!(refused(&v6_with(&[(header, body.clone())], false)), expected(host_answers(kind)), "{kind}");
            assert_eq!(refused(&v6_with(&[(header, body.clone())], true)), expected(group_answers(kind)), "{kind}");
            let rules = Rules { knows: |kind| kind >= 64, ..Rules::default() };
            assert_eq!(check(&v6_with(&[(header, body)], false), &rules), Ok(()));
        }
        // An option that is longer than its header, and one without a length.
        for (body, at) in [(vec![0, 0, 5, 3, 0, 0], 44), (vec![1, 3, 0, 0, 0, 5], 47)] {
            let packet = v6_with(&[(header, body)], false);
            assert_eq!(refused(&packet), Some((Reason::Malformed, Some((0, at)))));
        }
    }
}

// RFC 8200 §4.4 and RFC 5095 §3.
#[test]
fn a_route_of_ipv6_is_skipped_where_it_ends_and_never_followed() {
    for kind in 0..=255 {
        let route = |left| (protocol::ROUTING, vec![kind, left, 0, 0, 0, 0]);
        let options = (protocol::DESTINATION_OPTIONS, vec![1, 4, 0, 0, 0, 0]);
        assert_eq!(refused(&v6_with(&[options.clone(), route(0)], false)), None);
        let packet = v6_with(&[options, route(1)], false);
        assert_eq!(refused(&packet), Some((Reason::SourceRoute, Some((0, 50)))));
    }
}

#[test]
fn of_a_fragment_what_it_has_of_the_headers_counts() {
    let unknown = (protocol::DESTINATION_OPTIONS, vec![1, 0, 0xc2, 2, 0, 0]);
    let fragment = |flags: u8| (protocol::FRAGMENT, vec![0, flags, 0, 0, 0, 1]);
    assert_eq!(refused(&v6_with(&[fragment(1), unknown.clone()], false)), None, "behind the fragment header");
    assert_eq!(refused(&v6_with(&[fragment(0), unknown.clone()], false)), Some((Reason::Unknown, Some((2, 52)))));
    assert_eq!(refused(&v6_with(&[unknown, fragment(1)], false)), Some((Reason::Unknown, Some((2, 44)))));
}

/// Options that are in order, whatever they are, pass or are refused for what they say; one byte changed never leads out of
/// the packet.
#[test]
fn lists_of_options_are_read_as_they_were_written() {
    let mut numbers = Numbers(7);
    for round in 0..20_000 {
        let (mut options, mut route, mut unknown) = (Vec::new(), false, None);
        let v4 = round % 2 == 0;
        while options.len() < 30 && numbers.below(5) > 0 {
            let kind = if v4 { [1, 7, 68, 131, 148, 130][numbers.below(6)] } else { numbers.below(256) as u8 };
            if v4 && kind == 1 || !v4 && kind == 0 {
                options.push(kind);
                continue;
            }
            // Nothing is judged behind the first that is refused.
            route |= v4 && kind == 131;
            if !v4 && kind >> 6 > 0 {
                unknown = unknown.or(Some((kind, options.len())));
            }
            let data = numbers.below(3);
            match v4 {
                true => options.extend([kind, 4 + data as u8, 5]),
                false => options.extend([kind, 1 + data as u8]),
            }
            options.extend(vec![9; data + 1]);
        }
        let packet = match v4 {
            true => v4_with(&options, HOST),
            false => {
                options.resize((options.len() + 2).next_multiple_of(8) - 2, 0);
                v6_with(&[(protocol::HOP_BY_HOP, options.clone())], false)
            }
        };
        let told = refused(&packet);
        match (v4, route, unknown) {
            (true, true, _) => assert_eq!(told, Some((Reason::SourceRoute, None)), "{options:?}"),
            (false, _, Some((kind, at))) => {
                let answer = (kind >> 6 > 1).then_some((2, 42 + at as u16));
                assert_eq!(told, Some((Reason::Unknown, answer)), "{options:?}");
            }
            _ => assert_eq!(told, None, "{options:?}"),
        }
        let mut damaged = packet.clone();
        let at = numbers.below(damaged.len());
        damaged[at] = numbers.below(256) as u8;
        if let Some((_, Some((_, pointer)))) = refused(&damaged) {
            assert!(usize::from(pointer) < damaged.len());
        }
    }
}

#[test]
fn the_answer_quotes_the_packet_and_points_into_it() {
    let cases = [
        (v4_with(&[7, 3, 3, 0], HOST), IpAddr::from(HOST), [12, 0, 22, 0, 0, 0]),
        (
            v6_with(&[(protocol::HOP_BY_HOP, vec![0x9e, 4, 0, 0, 0, 0])], true),
            "2000::77".parse().unwrap(),
            [4, 2, 0, 0, 0, 42],
        ),
    ];
    for (packet, us, [kind, code, words @ ..]) in cases {
        let problem = check(&packet, &Rules::default()).unwrap_err().answer.unwrap();
        let place = HEADROOM..HEADROOM + packet.len();
        let mut room = [&[0; HEADROOM][..], &packet, &[0; TAILROOM]].concat();
        let mut pkt = PacketBuf::new(&mut room, place).unwrap();
        assert!(problem.write(&mut pkt, us));
        let header = Header::parse(pkt.packet()).unwrap();
        let icmp = &pkt.packet()[header.payload_at..];
        assert_eq!((header.src, header.dst), (us, Header::parse(&packet).unwrap().src));
        assert_eq!((&icmp[..2], &icmp[4..8], &icmp[8..]), (&[kind, code][..], &words[..], &packet[..]));
        let pseudo = match us {
            IpAddr::V4(_) => 0,
            IpAddr::V6(_) => checksum::sum_address(us) + checksum::sum_address(header.dst) + 58 + icmp.len() as u64,
        };
        assert_eq!(checksum::finish(pseudo + checksum::sum(icmp)), 0);
        // Not from an address of the other family, and not without room.
        let mut tight = packet.clone();
        let mut pkt = PacketBuf::new(&mut tight, 0..packet.len()).unwrap();
        assert!(!problem.write(&mut pkt, us));
        let other = if us.is_ipv4() { IpAddr::from([0u16; 8]) } else { IpAddr::from(HOST) };
        assert!(!problem.write(&mut pkt, other));
    }
}
