//! Bad input, by row of the table of security holes in other implementations.

use alloc::vec;

use ravelin_types::Spi;
use ravelin_types::proposal::ProtocolId;
use ravelin_types::transform::{EncrId, KeMethod, Transform, TransformType};

use super::super::super::header::Header;
use super::super::*;
use super::header;
use crate::limits;

/// A datagram whose chain is `bytes`, with a right length field.
fn datagram(first: PayloadType, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    header().emit(first, (Header::LEN + bytes.len()) as u32, &mut out);
    out.extend_from_slice(bytes);
    out
}

/// The payload of type `kind` with this body, or why not.
fn parse(kind: PayloadType, body: &[u8]) -> Result<Payload, &'static str> {
    let mut bytes = vec![0, 0];
    bytes.extend_from_slice(&u16::try_from(body.len() + 4).unwrap().to_be_bytes());
    bytes.extend_from_slice(body);
    parse_chain(kind, &bytes).map(|mut payloads| payloads.remove(0)).map_err(|error| error.reason)
}

// Row 1 (CVE-2026-12413): an SKF behind so many unknown payloads that the array of payloads is full.
#[test]
fn row_1_number_of_payloads_is_bounded() {
    const N: usize = limits::MAX_PAYLOADS;
    for count in [0, 1, N - 1, N, N + 1, 2 * N] {
        for last in [PayloadType::NONE, PayloadType::SK, PayloadType::SKF] {
            let mut bytes = Vec::new();
            for i in 0..count {
                let next = if i + 1 < count { PayloadType(200) } else { last };
                bytes.extend_from_slice(&[next.0, 0, 0, 4]);
            }
            if last != PayloadType::NONE {
                bytes.extend_from_slice(&[0, 0, 0, 12, 0, 1, 0, 1, 1, 2, 3, 4]);
            }
            let first = if count > 0 { PayloadType(200) } else { last };
            let parsed = Message::parse(&datagram(first, &bytes));
            // The Encrypted payload counts as one.
            let all = count + usize::from(last != PayloadType::NONE);
            assert_eq!(parsed.is_ok(), all <= N, "{count} payloads before {last}");
            if let Ok(message) = parsed {
                assert_eq!(message.payloads.len(), count);
                assert_eq!(message.protected.is_some(), last != PayloadType::NONE);
            }
        }
    }
}

// Row 7 (CVE-2023-38710): the rekey notify with any protocol and SPI size is read as it is.
// RFC 7296 §3.10.
#[test]
fn row_7_notify_keeps_any_protocol_and_spi_size() {
    for protocol in [0, 1, 2, 3, 4, 255] {
        for len in [0, 1, 4, 8, 255] {
            let mut body = vec![protocol, len, 0x40, 0x09];
            body.resize(4 + usize::from(len), 7);
            let Ok(Payload::Notify(notify)) = parse(PayloadType::NOTIFY, &body) else { panic!("{body:?}") };
            assert_eq!((notify.protocol, notify.kind), (ProtocolId(protocol), NotifyType::REKEY_SA));
            assert_eq!(notify.spi.len(), usize::from(len));
            assert_eq!(notify.spi.child().is_some(), len == 4);
            assert_eq!(notify.spi.ike().is_some(), len == 8);
            body.pop();
            assert_eq!(parse(PayloadType::NOTIFY, &body), Err("truncated"));
        }
    }
}

const V4: [u8; 16] = [7, 6, 0, 16, 0, 80, 0, 90, 10, 0, 0, 1, 10, 0, 0, 9];

fn ts(count: u8, selectors: &[&[u8]]) -> Vec<u8> {
    let mut body = vec![count, 0, 0, 0];
    selectors.iter().for_each(|selector| body.extend_from_slice(selector));
    body
}

// Row 11 (CVE-2023-23009): malformed traffic selector payloads.
// RFC 7296 §3.13.
#[test]
fn row_11_traffic_selector_counts_and_lengths() {
    for kind in [PayloadType::TSI, PayloadType::TSR] {
        assert!(parse(kind, &ts(1, &[&V4])).is_ok());
        assert_eq!(parse(kind, &ts(0, &[])), Err("no traffic selector"));
        assert_eq!(parse(kind, &ts(0, &[&V4])), Err("no traffic selector"));
        assert_eq!(parse(kind, &ts(1, &[&V4, &V4])), Err("trailing bytes"));
        assert_eq!(parse(kind, &ts(2, &[&V4])), Err("truncated"));
        assert_eq!(parse(kind, &ts(255, &[&V4])), Err("truncated"));
        assert!(parse(kind, &ts(255, &[V4.as_slice(); 255])).is_ok());

        for len in (0..=64).chain([0xff00, 0xffff]) {
            let mut selector = V4;
            selector[2..4].copy_from_slice(&u16::to_be_bytes(len));
            assert_eq!(parse(kind, &ts(1, &[&selector])).is_ok(), len == 16, "IPv4 selector of length {len}");
            selector[0] = 8;
            assert!(parse(kind, &ts(1, &[&selector])).is_err(), "IPv6 selector with IPv4 addresses, length {len}");
            selector[0] = 200;
            assert_eq!(parse(kind, &ts(1, &[&selector])).is_ok(), len == 16, "unknown selector of length {len}");
        }
    }
}

// Row 11: what can be read but selects nothing does not fail the payload.
#[test]
fn row_11_unusable_selectors_are_passed_over() {
    let unknown = [9, 0, 0, 6, 1, 2];
    let mut ports_reversed = V4;
    ports_reversed[4..8].copy_from_slice(&[0, 2, 0, 1]);
    let mut reversed = V4;
    reversed[11] = 10;
    let body = ts(4, &[&unknown, &ports_reversed, &reversed, &V4]);
    let Ok(Payload::TsI(ts)) = parse(PayloadType::TSI, &body) else { panic!("not read") };
    assert_eq!(ts.0.len(), 4);
    let usable: Vec<_> = ts.usable().collect();
    assert_eq!(alloc::format!("{usable:?}"), "[TrafficSelector(10.0.0.1-10.0.0.9[6/80-90])]");
    // And they survive unchanged.
    assert_eq!(Chain::new([&Payload::TsI(ts)]).unwrap().bytes()[4..], body);
}

// RFC 7296 §3.13.1: start 65535 and end 0 are OPAQUE, and no range that runs backwards.
#[test]
fn opaque_ports_are_read_and_written() {
    let mut opaque = V4;
    opaque[4..8].copy_from_slice(&[0xff, 0xff, 0, 0]);
    let body = ts(1, &[&opaque]);
    let Ok(Payload::TsI(ts)) = parse(PayloadType::TSI, &body) else { panic!("not read") };
    assert!(ts.usable().all(|selector| selector.is_opaque()) && ts.usable().count() == 1);
    assert_eq!(Chain::new([&Payload::TsI(ts)]).unwrap().bytes()[4..], body);
}

// Row 21 (CVE-2013-6467): a chain may lack or repeat any payload; that is for the exchange to judge, not a crash.
#[test]
fn row_21_any_set_of_payloads_is_a_chain() {
    for PayloadKind { kind, name } in PAYLOADS {
        let one = Payload::Unknown { kind: PayloadType(200), critical: false, body: Vec::new() };
        let bytes = Chain::new([&one, &one]).unwrap().bytes().to_vec();
        // Both are empty payloads now, the second of the type in question.
        let parsed = parse_chain(PayloadType(200), &[&[kind.0], &bytes[1..]].concat());
        let may_be_empty = *kind == PayloadType::VENDOR;
        assert_eq!(parsed.is_ok(), may_be_empty, "empty {name}");
    }
}

// Rows 22 and 40 (CVE-2013-4564, CVE-2004-0392): datagrams shorter than a header; a length field that lies.
#[test]
fn row_22_length_of_the_datagram() {
    let whole = datagram(PayloadType::VENDOR, &[0, 0, 0, 8, 1, 2, 3, 4]);
    for len in 0..whole.len() {
        let error = Message::parse(&whole[..len]).unwrap_err();
        assert_eq!(error.reason, if len < Header::LEN { "truncated" } else { "length is not that of the datagram" });
        assert!(error.offset <= len);
    }
    for length in [0, 1, 27, 28, 35, 37, 0xffff, 0x1_0024, 0x7fff_ffff, 0xffff_ffff] {
        let mut datagram = whole.clone();
        datagram[24..28].copy_from_slice(&u32::to_be_bytes(length));
        assert_eq!(Message::parse(&datagram).unwrap_err().reason, "length is not that of the datagram");
    }
}

// Rows 23, 33 and 54 (CVE-2013-2052, CVE-2010-2628, CVE-2025-9242): identities of every type and length.
// RFC 7296 §3.5.
#[test]
fn row_54_identities_of_any_length() {
    for kind in 0..=20 {
        for len in [0, 1, 3, 4, 5, 15, 16, 17, 255, 256, 512, 4096, 0xfff7] {
            let mut body = vec![kind, 0, 0, 0];
            body.resize(4 + len, b'a');
            let right = match kind {
                1 => len == 4,
                5 => len == 16,
                // RFC 7619 §2.2: nobody has no data.
                13 => len == 0,
                _ => true,
            };
            for payload in [PayloadType::IDI, PayloadType::IDR] {
                assert_eq!(parse(payload, &body).is_ok(), right, "ID type {kind} of {len} bytes");
            }
        }
        for len in 0..4 {
            assert_eq!(parse(PayloadType::IDI, &[kind; 4][..len]), Err("truncated"));
        }
    }
}

// Row 24 (CVE-2015-3991): payload types of IKEv1 inside IKEv2 are unknown types like others.
// RFC 7296 §3.2: the types, the critical bit, the reserved bits.
#[test]
fn row_24_every_payload_type() {
    for kind in 1..=255 {
        let kind = PayloadType(kind);
        let parsed = parse(kind, &[0; 16]);
        if kind == PayloadType::SK || kind == PayloadType::SKF {
            assert_eq!(parsed, Err("encrypted payload inside another"));
        } else if !PAYLOADS.iter().any(|known| known.kind == kind) {
            assert_eq!(parsed, Ok(Payload::Unknown { kind, critical: false, body: vec![0; 16] }));
        }
    }
}

// Row 25 (CVE-2014-9221): any group number is just a number.
#[test]
fn row_25_every_key_exchange_method() {
    for method in 0..=u16::MAX {
        let [high, low] = method.to_be_bytes();
        let ke = Ke { method: KeMethod(method), data: vec![5] };
        assert_eq!(parse(PayloadType::KE, &[high, low, 0xff, 0xff, 5]), Ok(Payload::Ke(ke)));
    }
}

// Rows 36 and 37 (CVE-2004-0218..0222, PROTOS): payload lengths 0 to 4 in every type end the walk.
#[test]
fn row_36_tiny_payload_lengths() {
    for kind in 1..=255 {
        for next in [0, kind] {
            for len in 0..4 {
                let bytes = [next, 0, 0, len, next, 0, 0, len];
                let error = parse_chain(PayloadType(kind), &bytes).unwrap_err();
                assert_eq!(error.reason, "payload length below that of its header");
            }
        }
        // Payloads that name their own type as the next run into the end of the data.
        let endless = [kind, 0, 0, 4].repeat(limits::MAX_PAYLOADS - 1);
        assert!(parse_chain(PayloadType(kind), &endless).is_err());
    }
}

// Rows 37 and 50 (PROTOS, CVE-2022-34721): every single length, count and type byte changed, in every payload.
#[test]
fn row_37_each_byte_of_each_payload_changed() {
    let proposal =
        [0, 0, 0, 32, 1, 3, 4, 2, 1, 2, 3, 4, 3, 0, 0, 12, 1, 0, 0, 20, 0x80, 14, 0, 128, 0, 0, 0, 8, 5, 0, 0, 0];
    let ts = ts(2, &[&V4, &V4]);
    let seeds: [(PayloadType, &[u8]); 11] = [
        (PayloadType::SA, &proposal),
        (PayloadType::KE, &[0, 19, 0, 0, 1, 2, 3, 4]),
        (PayloadType::IDI, &[1, 0, 0, 0, 10, 0, 0, 1]),
        (PayloadType::CERT, &[4, 0x30, 0]),
        (PayloadType::CERTREQ, &[4, 1, 2, 3]),
        (PayloadType::AUTH, &[2, 0, 0, 0, 1, 2, 3, 4]),
        (PayloadType::NOTIFY, &[3, 4, 0x40, 9, 1, 2, 3, 4]),
        (PayloadType::DELETE, &[3, 4, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8]),
        (PayloadType::TSI, &ts),
        (PayloadType::CP, &[1, 0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 4, 1, 2, 3, 4]),
        (PayloadType::EAP, &[1, 7, 0, 5, 1]),
    ];
    for (kind, seed) in seeds {
        assert!(parse(kind, seed).is_ok(), "{kind}");
        for at in 0..seed.len() {
            for value in 0..=255 {
                let mut body = seed.to_vec();
                body[at] = value;
                // Reading ends, and what was read says the same once more.
                if let Ok(payload) = parse(kind, &body)
                    && let Ok(chain) = Chain::new([&payload])
                {
                    assert_eq!(parse_chain(kind, chain.bytes()), Ok(vec![payload]));
                }
            }
            // Underflow and overflow by one.
            assert!(kind != PayloadType::SA || parse(kind, &seed[..at]).is_err());
        }
    }
}

// Row 44 (CVE-2016-1287): fragments with a length below their header, impossible numbers.
#[test]
fn row_44_fragment_numbers_and_lengths() {
    let skf = |number: u16, total: u16, body: &[u8]| {
        let mut bytes = vec![0, 0];
        bytes.extend_from_slice(&(8 + body.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(&total.to_be_bytes());
        bytes.extend_from_slice(body);
        datagram(PayloadType::SKF, &bytes)
    };
    for (number, total) in [(0, 0), (0, 1), (1, 0), (2, 1), (0xffff, 1), (0xffff, 0xfffe)] {
        assert_eq!(
            Message::parse(&skf(number, total, &[1; 40])).unwrap_err().reason,
            "fragment number not in 1..=total"
        );
    }
    for (number, total) in [(1, 1), (1, 0xffff), (0xffff, 0xffff)] {
        let protected = Message::parse(&skf(number, total, &[])).unwrap().protected.unwrap();
        assert_eq!(protected.fragment, Fragment::new(number, total));
        assert_eq!(protected.body_at, 36);
    }
    for len in 0..8u8 {
        let bytes = [[0, 0, 0, len].as_slice(), &[0; 32][..usize::from(len.saturating_sub(4))]].concat();
        assert!(Message::parse(&datagram(PayloadType::SKF, &bytes)).is_err(), "SKF of length {len}");
    }
    // A length that would wrap 16 bits reaches beyond the datagram.
    let mut long = skf(1, 1, &[0; 8]);
    long[30..32].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(Message::parse(&long).unwrap_err().reason, "truncated");
    // Nothing may follow.
    let mut short = skf(1, 1, &[0; 8]);
    short[31] -= 1;
    assert_eq!(Message::parse(&short).unwrap_err().reason, "trailing bytes");
}

// Row 50 (CVE-2022-34721): an inner length above the payload's.
#[test]
fn row_50_inner_lengths_beyond_the_payload() {
    assert_eq!(parse(PayloadType::CP, &[1, 0, 0, 0, 0, 1, 0, 5, 1, 2, 3, 4]), Err("truncated"));
    assert_eq!(parse(PayloadType::DELETE, &[3, 4, 0, 2, 1, 2, 3, 4]), Err("truncated"));
    assert_eq!(parse(PayloadType::DELETE, &[3, 4, 0xff, 0xff]), Err("too many SPIs"));
    assert_eq!(parse(PayloadType::DELETE, &[77, 255, 0xff, 0xff, 1]), Err("truncated"));
    assert_eq!(parse(PayloadType::EAP, &[1, 7, 0, 6, 1]), Err("EAP length is not that of the payload"));
    assert_eq!(parse(PayloadType::EAP, &[1, 7, 0, 4]), Err("EAP message without a type"));
    assert_eq!(parse(PayloadType::EAP, &[3, 7, 0, 5, 1]), Err("EAP result with data"));
    // An attribute of a transform that reaches beyond the transform, while the proposal is long enough.
    let proposal = [0, 0, 0, 28, 1, 3, 0, 2, 3, 0, 0, 12, 1, 0, 0, 20, 0, 99, 0, 1, 0, 0, 0, 8, 5, 0, 0, 0];
    assert_eq!(parse(PayloadType::SA, &proposal), Err("truncated"));
}

// Rows 16 and 35: a proposal without transforms is read; an SA payload without a proposal is not.
#[test]
fn row_35_empty_proposals() {
    let Ok(Payload::Sa(sa)) = parse(PayloadType::SA, &[0, 0, 0, 8, 1, 3, 0, 0]) else { panic!("not read") };
    assert!(sa.0[0].proposal.transforms.is_empty());
    assert_eq!(parse(PayloadType::SA, &[]), Err("truncated"));
}

// RFC 7296 §3.3.5 and §3.3.6: unacceptable, and the others are processed as usual.
#[test]
fn transforms_with_attributes_that_are_not_understood_are_never_chosen() {
    let transform = |attributes: &[u8], kind: u8| {
        let len = 8 + attributes.len() as u8;
        let mut body = vec![0, 0, 0, 8 + len, 1, 3, 0, 1, 0, 0, 0, len, kind, 0, 0, 20];
        body.extend_from_slice(attributes);
        match parse(PayloadType::SA, &body) {
            Ok(Payload::Sa(sa)) => sa.0[0].proposal.transforms[0],
            other => panic!("{other:?}"),
        }
    };
    let unknown = Transform::Unknown { kind: TransformType::ENCR, id: 20 };
    assert_eq!(transform(&[], 1), Transform::Encr(EncrId(20), None));
    assert_eq!(transform(&[0x80, 14, 1, 0], 1), Transform::Encr(EncrId(20), Some(256)));
    // Twice, in the long form, or another attribute.
    assert_eq!(transform(&[0x80, 14, 1, 0, 0x80, 14, 0, 128], 1), unknown);
    assert_eq!(transform(&[0, 14, 0, 2, 1, 0], 1), unknown);
    assert_eq!(transform(&[0x80, 14, 1, 0, 0x80, 99, 0, 0], 1), unknown);
    // A key length where none belongs.
    assert_eq!(transform(&[0x80, 14, 1, 0], 4), Transform::Unknown { kind: TransformType::KE, id: 20 });
    // It can be reported, but is not sent on without its attributes.
    let proposal = ravelin_types::proposal::Proposal { protocol: ProtocolId::ESP, transforms: vec![unknown] };
    let sa = Sa(vec![OfferedProposal { number: 1, spi: Spi(1).into(), proposal }]);
    assert!(Chain::new([&Payload::Sa(sa)]).is_err());
}

// RFC 7296 §3.3.1 and §3.3.2: numbers, reserved octets, what follows.
#[test]
fn proposals_and_transforms_say_rightly_whether_more_follow() {
    let last = [0, 0, 0, 16, 1, 3, 0, 1, 0, 0, 0, 8, 5, 0, 0, 0];
    let more = |at: usize, value: u8| {
        let mut body = last;
        body[at] = value;
        parse(PayloadType::SA, &body)
    };
    assert!(more(0, 0).is_ok());
    assert_eq!(more(0, 2), Err("truncated"));
    assert_eq!(more(0, 3), Err("substructure neither the last nor followed by another"));
    assert_eq!(more(8, 3), Err("number of transforms is not what their headers say"));
    assert_eq!(more(8, 2), Err("substructure neither the last nor followed by another"));
    assert_eq!(more(7, 0), Err("trailing bytes"));
    assert_eq!(more(7, 2), Err("number of transforms is not what their headers say"));
    assert_eq!(parse(PayloadType::SA, &[last, last].concat()), Err("trailing bytes"));
    let many = |count: usize| {
        let mut body = last.repeat(count);
        (0..count - 1).for_each(|i| body[16 * i] = 2);
        parse(PayloadType::SA, &body)
    };
    assert!(many(limits::MAX_PROPOSALS).is_ok());
    assert_eq!(many(limits::MAX_PROPOSALS + 1), Err("too many proposals"));
}

// RFC 7296 §2.10 and §3.9.
#[test]
fn nonces_have_16_to_256_bytes() {
    for len in [0, 1, 15, 16, 17, 255, 256, 257, 1000] {
        assert_eq!(parse(PayloadType::NONCE, &vec![1; len]).is_ok(), (16..=256).contains(&len));
        assert_eq!(Nonce::new(vec![1; len]).is_some(), (16..=256).contains(&len));
        // RFC 8019 §8.2: four keys of one length, and not nothing.
        assert_eq!(parse(PayloadType::PS, &vec![1; len]).is_ok(), len > 0 && len % 4 == 0);
    }
}

// RFC 7296 §2.5: a higher major version is refused, but its header can be answered; a minor one is ignored.
#[test]
fn other_versions_keep_their_header() {
    let mut bytes = datagram(PayloadType::NONE, &[]);
    for version in 0..=255 {
        bytes[17] = version;
        let (parsed, _) = Header::parse(&bytes).unwrap();
        assert_eq!(parsed.version.0, version);
        assert_eq!(Message::parse(&bytes).is_ok(), version >> 4 == 2);
    }
}

#[test]
fn errors_name_payload_and_place() {
    // V, then an IDr with an IPv4 address of two bytes.
    let bytes = [36, 0, 0, 5, 9, 0, 0, 0, 10, 1, 0, 0, 0, 1, 2];
    let error = Message::parse(&datagram(PayloadType::VENDOR, &bytes)).unwrap_err();
    assert_eq!(
        alloc::string::ToString::to_string(&error),
        "IDr payload at byte 41: address does not have the length of its type"
    );
}
