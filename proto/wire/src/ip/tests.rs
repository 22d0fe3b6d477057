use super::*;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::vec::Vec;

fn v4_packet(flags: u16, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = [0; 20];
    v4::Fields {
        tos: 0xb8,
        total_len: (20 + payload.len()) as u16,
        id: 7,
        dont_fragment: false,
        ttl: 61,
        protocol,
        src: Ipv4Addr::new(10, 0, 0, 1),
        dst: Ipv4Addr::new(10, 0, 0, 2),
    }
    .emit(&mut header);
    header[6..8].copy_from_slice(&flags.to_be_bytes());
    [&header[..], payload].concat()
}

fn v6_packet(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = [0; 40];
    v6::Fields {
        tos: 0x2e,
        payload_len: payload.len() as u16,
        next_header,
        hop_limit: 9,
        src: Ipv6Addr::LOCALHOST,
        dst: "2001:db8::2".parse().unwrap(),
    }
    .emit(&mut header);
    [&header[..], payload].concat()
}

#[test]
fn v4_header_and_ports() {
    let packet = v4_packet(v4::DONT_FRAGMENT, protocol::UDP, &[0, 53, 0x80, 0, 0, 8, 0, 0]);
    let header = Header::parse(&packet).unwrap();
    assert_eq!((header.payload_at, header.total_len, header.tos, header.ttl), (20, 28, 0xb8, 61));
    assert!(header.dont_fragment);
    let flow = header.flow(&packet);
    assert_eq!((flow.src_port, flow.dst_port), (Some(53), Some(0x8000)));
    assert_eq!(flow.src, "10.0.0.1".parse::<IpAddr>().unwrap());
}

// docs/HISTORY.md, row 119: fragments show no ports unless they are the first and long enough.
#[test]
fn fragments_show_ports_only_at_their_beginning() {
    let first = v4_packet(0x2000, protocol::TCP, &[0, 80, 1, 1, 0, 0, 0, 0]);
    let later = v4_packet(0x0001, protocol::TCP, &[0, 80, 1, 1, 0, 0, 0, 0]);
    let tiny = v4_packet(0x2000, protocol::TCP, &[0, 80, 1]);
    assert_eq!(Header::parse(&first).unwrap().fragment, Fragment::First);
    assert_eq!(Header::parse(&first).unwrap().flow(&first).src_port, Some(80));
    assert_eq!(Header::parse(&later).unwrap().fragment, Fragment::Later);
    assert_eq!(Header::parse(&later).unwrap().flow(&later).src_port, None);
    assert_eq!(Header::parse(&tiny).unwrap().flow(&tiny).src_port, None);
}

#[test]
fn v4_lengths_are_checked() {
    let good = v4_packet(0, protocol::UDP, &[0; 8]);
    for cut in 0..good.len() {
        assert_eq!(Header::parse(&good[..cut]), Err(Malformed::Truncated), "{cut}");
    }
    let mut bad = good.clone();
    bad[0] = 0x44;
    assert_eq!(Header::parse(&bad), Err(Malformed::Length));
    bad[0] = 0x4f;
    assert_eq!(Header::parse(&bad), Err(Malformed::Length));
    bad[0] = 0x55;
    assert_eq!(Header::parse(&bad), Err(Malformed::Version));
}

#[test]
fn types_stand_for_the_port_of_their_sender() {
    let packet = v4_packet(0, protocol::ICMP, &[8, 1, 0, 0]);
    let flow = Header::parse(&packet).unwrap().flow(&packet);
    assert_eq!((flow.src_port, flow.dst_port), (Some(0x801), None));
    // RFC 6275 §6.1.7: a Binding Update is of type 5.
    let packet = v6_packet(protocol::MOBILITY, &[protocol::NO_NEXT_HEADER, 1, 5, 0, 0, 0, 0, 0]);
    let flow = Header::parse(&packet).unwrap().flow(&packet);
    assert_eq!((flow.protocol, flow.src_port, flow.dst_port), (protocol::MOBILITY, Some(0x500), None));
    let stump = v6_packet(protocol::MOBILITY, &[protocol::NO_NEXT_HEADER, 1]);
    assert_eq!(Header::parse(&stump).unwrap().flow(&stump).src_port, None);
}

#[test]
fn v6_extension_headers_are_walked() {
    // hop-by-hop (8), routing (24), atomic fragment (8), destination options (8), UDP
    let mut chain = Vec::new();
    chain.extend([protocol::ROUTING, 0, 1, 4, 0, 0, 0, 0]);
    chain.extend([protocol::FRAGMENT, 2]);
    chain.extend([0; 22]);
    chain.extend([protocol::DESTINATION_OPTIONS, 0, 0, 0, 0, 0, 0, 1]);
    chain.extend([protocol::UDP, 0, 1, 4, 0, 0, 0, 0]);
    chain.extend([0x11, 0x94, 0, 53, 0, 8, 0, 0]);
    let packet = v6_packet(protocol::HOP_BY_HOP, &chain);
    let header = Header::parse(&packet).unwrap();
    assert_eq!((header.protocol, header.payload_at), (protocol::UDP, 88));
    assert_eq!((header.esp_at, header.esp_protocol), (80, protocol::DESTINATION_OPTIONS));
    assert_eq!(packet[header.esp_protocol_at], protocol::DESTINATION_OPTIONS);
    assert_eq!(header.fragment, Fragment::Whole);
    assert_eq!(header.tos, 0x2e);
    assert_eq!(header.flow(&packet).src_port, Some(4500));
    for cut in 0..packet.len() {
        assert!(Header::parse(&packet[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn v6_chains_are_bounded() {
    let endless: Vec<u8> = [protocol::DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0].repeat(20);
    assert_eq!(Header::parse(&v6_packet(protocol::DESTINATION_OPTIONS, &endless)), Err(Malformed::Extensions));
    let late: Vec<u8> = [protocol::HOP_BY_HOP, 0, 1, 4, 0, 0, 0, 0].repeat(2);
    assert_eq!(Header::parse(&v6_packet(protocol::DESTINATION_OPTIONS, &late)), Err(Malformed::Extensions));
    // An extension header that claims more than the packet has.
    assert_eq!(Header::parse(&v6_packet(protocol::ROUTING, &[6, 200, 0, 0, 0, 0, 0, 0])), Err(Malformed::Truncated));
}

#[test]
fn v6_later_fragments_are_not_read_further() {
    let packet = v6_packet(protocol::FRAGMENT, &[protocol::HOP_BY_HOP, 0, 0, 9, 0, 0, 0, 1, 0xff]);
    let header = Header::parse(&packet).unwrap();
    assert_eq!((header.fragment, header.payload_at), (Fragment::Later, 48));
    assert_eq!(header.flow(&packet).src_port, None);
}

#[test]
fn incremental_checksums_equal_full_ones() {
    // RFC 1624 §4's example: the case in which equation 2 goes wrong.
    assert_eq!(checksum::update(0xdd2f, 0x5555, 0x3285), 0x0000);
    let mut packet = v4_packet(0, protocol::UDP, &[]);
    assert_eq!(checksum::finish(checksum::sum(&packet)), 0);
    for tos in 0..=255 {
        v4::set_tos(packet.first_chunk_mut().unwrap(), tos);
        assert_eq!(checksum::fold(checksum::sum(&packet)), 0xffff, "{tos}");
    }
    v4::rewrite(&mut packet, 0x1234, protocol::ESP);
    assert_eq!(checksum::finish(checksum::sum(&packet)), 0);
    assert_eq!((packet[9], packet[2]), (protocol::ESP, 0x12));
    let (old, new) = ([1u8, 2, 3, 4, 5], [9u8, 8, 7, 6, 5]);
    let updated =
        checksum::update_sums(checksum::finish(checksum::sum(&old)), checksum::sum(&old), checksum::sum(&new));
    assert_eq!(updated, checksum::finish(checksum::sum(&new)));
}

#[test]
fn v6_traffic_class_leaves_the_flow_label() {
    let mut packet = v6_packet(protocol::UDP, &[]);
    packet[1] |= 0x0a;
    packet[3] = 0x55;
    v6::set_tos(packet.first_chunk_mut().unwrap(), 0xb9);
    assert_eq!(Header::parse(&packet).unwrap().tos, 0xb9);
    assert_eq!((packet[1] & 0x0f, packet[3]), (0x0a, 0x55));
}

#[test]
fn a_quote_shows_the_flow_as_far_as_it_goes() {
    let text = [&[0, 53, 0x80, 0, 0, 108, 0, 0][..], &[0; 100]].concat();
    for (packet, header) in [(v4_packet(0, protocol::UDP, &text), 20), (v6_packet(protocol::UDP, &text), 40)] {
        let flow = Header::parse(&packet).unwrap().flow(&packet);
        assert_eq!((quoted_flow(&packet), quoted_flow(&packet[..header + 8])), (Some(flow), Some(flow)));
        assert_eq!(quoted_flow(&packet[..header]), Some(Flow { src_port: None, dst_port: None, ..flow }));
        for short in 0..header {
            assert_eq!(quoted_flow(&packet[..short]), None);
        }
    }
    assert_eq!((quoted_flow(&[0x75; 60]), quoted_flow(&[0xff; 300])), (None, None));
}
