use super::*;
use std::vec::Vec;

fn covered(headers: &[u8]) -> (Vec<u8>, bool) {
    let covered = Covered::new(headers).unwrap();
    (covered.bytes().to_vec(), covered.at_destination())
}

fn refused(headers: &[u8]) -> Uncoverable {
    Covered::new(headers).err().expect("must be refused")
}

fn v4(options: &[u8]) -> Vec<u8> {
    let mut header =
        std::vec![0x40, 0xb9, 0x01, 0x00, 0x12, 0x34, 0x40, 0x00, 61, 51, 0xaa, 0xbb, 192, 0, 2, 1, 192, 0, 2, 2,];
    header.extend(options);
    header[0] |= (header.len() / 4) as u8;
    header
}

fn v6(next_header: u8, extensions: &[u8]) -> Vec<u8> {
    let mut headers = std::vec![0x6b, 0x9a, 0xbc, 0xde, 0x01, 0x00, next_header, 61];
    headers.extend((0..16).map(|i| 0x10 + i));
    headers.extend([0xdd; 16]);
    headers.extend(extensions);
    headers
}

#[test]
fn header_round_trip() {
    let header = AhHeader { next_header: 6, len: 24, spi: Spi(0x1234_5678), sequence: 9 };
    let mut out = [0xff; 24];
    header.emit(out.first_chunk_mut().unwrap());
    assert_eq!(out[..12], [6, 4, 0, 0, 0x12, 0x34, 0x56, 0x78, 0, 0, 0, 9]);
    assert_eq!(AhHeader::parse(&out), Some(header));
    out[2] = 0xff;
    assert_eq!(AhHeader::parse(&out), Some(header), "reserved is ignored");
    for len in 0..24 {
        assert_eq!(AhHeader::parse(&out[..len]), None, "{len}");
    }
    out[1] = 0;
    assert_eq!(AhHeader::parse(&out), None, "shorter than the fixed part");
}

// RFC 4302 §2.2: an ICV of 96 bits gives "4" and needs no padding in either family.
#[test]
fn padding_is_the_least_that_aligns() {
    for (icv, in_v4, in_v6) in [(12, 24, 24), (16, 28, 32), (24, 36, 40), (32, 44, 48)] {
        assert_eq!((header_len(icv, false), header_len(icv, true)), (in_v4, in_v6));
    }
}

#[test]
fn fields_of_ipv4_that_change_are_zero() {
    let expected = [0x45, 0, 0x01, 0x00, 0x12, 0x34, 0, 0, 0, 51, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    assert_eq!(covered(&v4(&[])), (expected.to_vec(), true));
}

// RFC 4302 Appendix A1, every line of the table, and one option that nobody knows.
#[test]
fn options_of_ipv4_by_the_table() {
    for (kind, immutable) in [
        (130, true),
        (133, true),
        (134, true),
        (148, true),
        (149, true),
        (68, false),
        (7, false),
        (82, false),
        (136, false),
        (11, false),
        (12, false),
        (145, false),
        (10, false),
        (205, false),
        (142, false),
        (15, false),
        (144, false),
        (147, false),
        (0x5e, false),
    ] {
        let options = [1, kind, 4, 0xab, 0xcd, 1, 0, 0x77];
        let expected = if immutable { options } else { [1, 0, 0, 0, 0, 1, 0, 0x77] };
        assert_eq!(covered(&v4(&options)).0[20..], expected, "option {kind}");
    }
}

#[test]
fn source_routes_of_ipv4_end_at_their_last_address() {
    for kind in [131, 137] {
        let route = |pointer| [kind, 11, pointer, 10, 0, 0, 1, 10, 0, 0, 2, 0];
        for (pointer, end, at_destination) in
            [(4, [10, 0, 0, 2], false), (8, [10, 0, 0, 2], false), (12, [192, 0, 2, 2], true)]
        {
            let (bytes, arrived) = covered(&v4(&route(pointer)));
            assert_eq!((&bytes[16..20], arrived), (&end[..], at_destination));
            assert_eq!(bytes[20..], [0; 12]);
        }
        for pointer in [0, 3, 5, 10] {
            assert_eq!(refused(&v4(&route(pointer))), Uncoverable::Malformed);
        }
        let twice = [kind, 7, 4, 10, 0, 0, 1, 131, 7, 4, 10, 0, 0, 2, 0, 0];
        assert_eq!(refused(&v4(&twice)), Uncoverable::Malformed);
    }
}

#[test]
fn malformed_options_of_ipv4_are_refused() {
    for options in [[1, 1, 1, 7], [7, 0, 0, 0], [7, 1, 0, 0], [7, 5, 4, 0], [131, 2, 1, 1], [148, 255, 0, 0]] {
        assert_eq!(refused(&v4(&options)), Uncoverable::Malformed, "{options:?}");
    }
}

#[test]
fn fields_of_ipv6_that_change_are_zero() {
    let mut expected = v6(51, &[]);
    expected[..4].copy_from_slice(&[0x60, 0, 0, 0]);
    expected[7] = 0;
    assert_eq!(covered(&v6(51, &[])), (expected, true));
}

#[test]
fn options_of_ipv6_by_their_bit() {
    for kind in [0, 60] {
        // Pad1, one that may change, one that may not, PadN.
        let extension = [51, 1, 0, 0x3e, 2, 0xab, 0xcd, 0xc2, 4, 1, 2, 3, 4, 1, 1, 0];
        let mut expected = extension;
        expected[5..7].fill(0);
        assert_eq!(covered(&v6(kind, &extension)).0[40..], expected);
        for malformed in [[51, 0, 0x3e, 5, 0, 0, 0, 0], [51, 0, 1, 3, 0, 0, 0, 0x3e], [51, 1, 1, 4, 0, 0, 0, 0]] {
            assert_eq!(refused(&v6(kind, &malformed)), Uncoverable::Malformed);
        }
    }
}

#[test]
fn source_routes_of_ipv6_are_as_at_their_end() {
    let route = |left, addresses: [u8; 3]| {
        let mut header = std::vec![51, 6, 0, left, 0, 0, 0, 0];
        addresses.iter().for_each(|&address| header.extend([address; 16]));
        header
    };
    // RFC 2460 §4.4: destination and next address change places at each host.
    let on_the_way = [
        (3, 0xdd, [0xa1, 0xa2, 0xa3]),
        (2, 0xa1, [0xdd, 0xa2, 0xa3]),
        (1, 0xa2, [0xdd, 0xa1, 0xa3]),
        (0, 0xa3, [0xdd, 0xa1, 0xa2]),
    ];
    for (left, destination, addresses) in on_the_way {
        let mut headers = v6(43, &route(left, addresses));
        headers[24..40].fill(destination);
        let (bytes, arrived) = covered(&headers);
        assert_eq!(bytes[24..40], [0xa3; 16]);
        assert_eq!(bytes[40..], route(0, [0xdd, 0xa1, 0xa2]));
        assert_eq!(arrived, left == 0);
    }
    assert_eq!(refused(&v6(43, &route(4, [1, 2, 3]))), Uncoverable::Malformed);
    let mut odd = route(0, [1, 2, 3]);
    odd[1] = 5;
    odd.truncate(48);
    assert_eq!(refused(&v6(43, &odd)), Uncoverable::Malformed);
    for kind in [1, 2, 3, 4] {
        let mut other = route(1, [1, 2, 3]);
        other[2] = kind;
        assert_eq!(refused(&v6(43, &other)), Uncoverable::Routing);
    }
}

#[test]
fn a_fragment_header_of_a_whole_packet_is_left_out() {
    let options = [44, 0, 1, 4, 0, 0, 0, 0];
    let fragment = [60, 0, 0, 0, 1, 2, 3, 4];
    let more = [51, 0, 0x3e, 4, 1, 2, 3, 4];
    let (bytes, _) = covered(&v6(0, &[options, fragment, more].concat()));
    let mut expected = v6(0, &[[60, 0, 1, 4, 0, 0, 0, 0], [51, 0, 0x3e, 4, 0, 0, 0, 0]].concat());
    expected[..6].copy_from_slice(&[0x60, 0, 0, 0, 0x00, 0xf8]);
    expected[7] = 0;
    assert_eq!(bytes, expected);
}

#[test]
fn truncated_and_endless_headers_are_refused() {
    assert_eq!(refused(&[]), Uncoverable::Malformed);
    assert_eq!(refused(&v4(&[])[..19]), Uncoverable::Malformed);
    assert_eq!(refused(&v6(51, &[])[..39]), Uncoverable::Malformed);
    assert_eq!(refused(&v6(6, &[0; 8])), Uncoverable::Malformed);
    let long = [&[51, 27, 1, 222][..], &[0; 220]].concat();
    assert_eq!(refused(&v6(0, &long)), Uncoverable::TooLong);
    let extensions = [43, 0, 1, 4, 0, 0, 0, 0, 44, 2, 0, 1, 0, 0, 0, 0];
    let extensions = [&extensions[..], &[7; 16], &[60, 0, 0, 0, 0, 0, 0, 0], &[51, 0, 1, 4, 0, 0, 0, 0]].concat();
    let whole = v6(0, &extensions);
    for len in 0..whole.len() {
        // No panic; and only what ends where a header ends is covered.
        let ends = [40, 48, 72, 80].contains(&len);
        assert_eq!(Covered::new(&whole[..len]).is_ok(), ends, "{len}");
    }
}
