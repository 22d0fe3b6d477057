//! Input that broke other implementations; the numbers are rows of the history of such faults.

use super::*;
use crate::limits;

fn message(first: PayloadType, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    header(Flags::NONE).emit(first, (Header::LEN + bytes.len()) as u32, &mut out);
    out.extend_from_slice(bytes);
    out
}

fn reason(first: PayloadType, bytes: &[u8]) -> &'static str {
    Message::parse(&message(first, bytes)).unwrap_err().reason
}

fn body(kind: PayloadType, body: &[u8]) -> Result<Payload, Malformed> {
    Payload::parse(kind, &mut Reader::new(body, 0, kind))
}

// Rows 36, 37, 40: lengths of 0 to 3 do not loop, lengths beyond the message do not read on.
#[test]
fn payload_lengths_are_held_to_the_message() {
    for kind in 1..=u8::MAX {
        for len in 0..4u8 {
            assert_eq!(reason(PayloadType(kind), &[kind, 0, 0, len]), "payload length below that of its header");
        }
        assert_eq!(reason(PayloadType(kind), &[0, 0, 0xff, 0xff]), "truncated");
        assert_eq!(reason(PayloadType(kind), &[0, 0]), "truncated");
    }
}

// Row 37: a chain that never ends is bounded.
#[test]
fn the_number_of_payloads_is_bounded() {
    let many = [PayloadType::V1_VENDOR.0, 0, 0, 4].repeat(limits::MAX_PAYLOADS + 1);
    assert_eq!(reason(PayloadType::V1_VENDOR, &many), "too many payloads");
}

// Row 20: unassigned bits of DOI and situation.
#[test]
fn other_dois_and_situations_are_refused() {
    let proposal = [0, 0, 0, 8, 1, 1, 0, 0];
    let sa = |doi: u32, situation: u32| {
        body(PayloadType::V1_SA, &[&doi.to_be_bytes()[..], &situation.to_be_bytes(), &proposal].concat())
    };
    assert!(sa(1, 1).is_ok());
    for doi in [0, 2, u32::MAX] {
        assert_eq!(sa(doi, 1).unwrap_err().reason, "the DOI is not that of IPsec");
    }
    for situation in (0..32).map(|bit| 1 << bit).filter(|bit| *bit != 1).chain([0, 3, u32::MAX]) {
        assert_eq!(sa(1, situation).unwrap_err().reason, "the situation is not SIT_IDENTITY_ONLY");
    }
}

// Rows 35, 50: counts and inner lengths that do not fit.
#[test]
fn counts_of_an_sa_payload_are_held_to_its_bytes() {
    let sa = |proposals: &[u8]| {
        body(PayloadType::V1_SA, &[&[0, 0, 0, 1, 0, 0, 0, 1], proposals].concat()).map_err(|error| error.reason)
    };
    assert_eq!(sa(&[]), Err("truncated"));
    // A proposal of 3 bytes, one that goes on behind the payload, one whose SPI does.
    assert_eq!(sa(&[0, 0, 0, 3, 1, 1, 0, 0]), Err("substructure shorter than its header"));
    assert_eq!(sa(&[0, 0, 0, 9, 1, 1, 0, 0]), Err("truncated"));
    assert_eq!(sa(&[0, 0, 0, 8, 1, 1, 255, 0]), Err("truncated"));
    // One transform announced, none there; none announced, one there; another announced behind the last.
    assert_eq!(sa(&[0, 0, 0, 8, 1, 1, 0, 1]), Err("truncated"));
    let transform = [0, 0, 0, 8, 1, 1, 0, 0];
    assert_eq!(sa(&[&[0, 0, 0, 16, 1, 1, 0, 0], &transform[..]].concat()), Err("trailing bytes"));
    let followed = [3, 0, 0, 8, 1, 1, 0, 0];
    let wrong = "number of transforms is not what their headers say";
    assert_eq!(sa(&[&[0, 0, 0, 16, 1, 1, 0, 1], &followed[..]].concat()), Err(wrong));
    // An attribute whose length is behind the transform.
    let attribute = [0, 0, 0, 12, 1, 1, 0, 0, 0, 12, 0, 4];
    assert_eq!(sa(&[&[0, 0, 0, 20, 1, 1, 0, 1], &attribute[..]].concat()), Err("truncated"));
}

// Rows 27, 44: fragments are counted from 1, and one shorter than its fields is none.
#[test]
fn fragments_have_a_number() {
    let fragment = |bytes: &[u8]| body(PayloadType::V1_FRAGMENT, bytes).map_err(|error| error.reason);
    assert_eq!(fragment(&[0, 1, 0, 1, 7]), Err("fragments are counted from 1"));
    assert_eq!(fragment(&[0, 1, 1]), Err("truncated"));
    assert!(fragment(&[0, 1, 255, 1]).is_ok());
}

// Rows 9, 36: the SPIs of a delete are as many and as long as it says.
#[test]
fn deletes_are_held_to_their_counts() {
    let delete = |protocol: u8, len: u8, count: u16, spis: &[u8]| {
        let head = [&[0, 0, 0, 1, protocol, len], &count.to_be_bytes()[..], spis].concat();
        body(PayloadType::V1_DELETE, &head).map_err(|error| error.reason)
    };
    assert!(delete(3, 4, 2, &[7; 8]).is_ok() && delete(1, 16, 1, &[7; 16]).is_ok());
    assert_eq!(delete(3, 4, 2, &[7; 7]), Err("truncated"));
    assert_eq!(delete(3, 4, 1, &[7; 8]), Err("trailing bytes"));
    assert_eq!(delete(3, 4, u16::MAX, &[]), Err("too many SPIs"));
    assert_eq!(delete(1, 255, 1024, &[]), Err("truncated"));
    // Sizes that do not fit the protocol are kept apart, so that nobody takes them for SPIs.
    assert!(matches!(delete(3, 8, 1, &[7; 8]), Ok(Payload::Delete(Delete::Other { .. }))));
    assert!(matches!(delete(1, 0, 0, &[]), Ok(Payload::Delete(Delete::Other { .. }))));
}

// Row 24: payload types of IKEv2 mean nothing here.
#[test]
fn payloads_of_the_other_version_are_unknown() {
    for kind in 33..=54 {
        let payload = body(PayloadType(kind), &[1, 2, 3]).unwrap();
        assert_eq!(payload, Payload::Unknown { kind: PayloadType(kind), body: [1, 2, 3].into() });
    }
}

// Rows 12, 22: what is shorter than a header, or not as long as it says.
#[test]
fn headers_are_held_to_the_datagram() {
    let whole = message(PayloadType::NONE, &[]);
    assert!(Message::parse(&whole).is_ok());
    for len in 0..whole.len() {
        assert!(Message::parse(&whole[..len]).is_err());
    }
    for version in (0..=u8::MAX).filter(|version| version >> 4 != 1) {
        let mut other = whole.clone();
        other[17] = version;
        assert_eq!(Message::parse(&other).unwrap_err().reason, "major version is not 1");
    }
}
