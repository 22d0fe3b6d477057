//! What every payload must do, and the bad input that broke other implementations.

mod bad_input;
mod sample;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use ravelin_types::IkeSpi;

use super::super::header::{ExchangeType, Flags, Header, Version};
use super::*;
pub(super) use sample::Sample;

/// Emits samples in a chain and reads them back. Also: every prefix of a body is read without a panic, and what is
/// read from it can be emitted and read again.
pub(super) fn assert_round_trip<T: Clone + core::fmt::Debug>(
    strategy: impl Strategy<Value = T>,
    wrap: impl Fn(T) -> Payload,
) {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(64) });
    runner
        .run(&strategy, |body| {
            let payload = wrap(body);
            let chain = Chain::new([&payload, &payload]).unwrap();
            prop_assert_eq!(parse_chain(chain.first(), chain.bytes()).unwrap(), [payload.clone(), payload.clone()]);

            let one = Chain::new([&payload]).unwrap();
            let body = &one.bytes()[4..];
            for len in 0..body.len().min(80) {
                let mut r = Reader::new(&body[..len], 0, payload.kind());
                if let Ok(shorter) = Payload::parse(payload.kind(), false, &mut r)
                    && let Ok(chain) = Chain::new([&shorter])
                {
                    prop_assert_eq!(parse_chain(chain.first(), chain.bytes()).unwrap(), [shorter]);
                }
            }
            Ok(())
        })
        .unwrap();
}

pub(super) fn header() -> Header {
    Header {
        initiator_spi: IkeSpi(0x0102_0304_0506_0708),
        responder_spi: IkeSpi(9),
        version: Version::V2,
        exchange: ExchangeType::IKE_AUTH,
        flags: Flags::INITIATOR,
        message_id: 7,
    }
}

#[test]
fn cleartext_message_round_trip() {
    let payloads = [
        Payload::Vendor(Vendor(b"mark".into())),
        Payload::Unknown { kind: PayloadType(200), critical: true, body: [1].into() },
    ];
    let datagram = emit(&header(), &Chain::new(&payloads).unwrap());
    let message = Message::parse(&datagram).unwrap();
    assert_eq!(message, Message { header: header(), payloads: payloads.into(), protected: None });
    // RFC 7296 §3.1: 28 bytes, then 4 + 4 of V and 4 + 1 of the unknown payload with its critical bit.
    assert_eq!(datagram.len(), 41);
    assert_eq!(datagram[28..32], [200, 0, 0, 8]);
    assert_eq!(datagram[36..40], [0, 0x80, 0, 5]);
}

#[test]
fn an_empty_message_has_no_first_payload() {
    let datagram = emit(&header(), &Chain::default());
    assert_eq!(datagram.len(), Header::LEN);
    assert!(Message::parse(&datagram).unwrap().payloads.is_empty());
}

// RFC 7296 §3.14: the last payload.
#[test]
fn protected_message_says_where_its_body_is() {
    let body = [0xab; 40];
    for (fragment, body_at) in [(None, 32), (Fragment::new(2, 3), 36)] {
        let mut datagram = emit_head(&header(), PayloadType::IDI, fragment, body.len());
        assert_eq!(datagram.len(), body_at);
        datagram.extend_from_slice(&body);
        let message = Message::parse(&datagram).unwrap();
        let first = if fragment.is_some() { PayloadType::NONE } else { PayloadType::IDI };
        assert_eq!(message.protected, Some(Protected { first, fragment, body_at, critical: None }));
        assert!(message.payloads.is_empty());
    }
}

#[test]
fn a_chain_refuses_what_does_not_fit() {
    let reason = |payload: Payload| Chain::new([&payload]).unwrap_err().reason;
    assert_eq!(reason(Payload::TsI(Ts::new(&[]))), "no traffic selector");
    assert_eq!(reason(Payload::Sa(Sa(Vec::new()))), "no proposal");
    let spi = AnySpi::Other(alloc::vec![0; 256]);
    let notify = Notify { spi, ..Notify::new(NotifyType::COOKIE, []) };
    assert_eq!(reason(Payload::Notify(notify)), "the SPI is too long");
    let sk = Payload::Unknown { kind: PayloadType::SK, critical: false, body: Vec::new() };
    assert_eq!(reason(sk), "its type cannot stand in a chain");

    let mut chain = Chain::default();
    let half = Payload::Vendor(Vendor(alloc::vec![0; crate::limits::MAX_CHAIN_LEN / 2]));
    chain.push(&half).unwrap();
    let before = chain.clone();
    assert_eq!(chain.push(&half).unwrap_err().reason, "the message would be too long");
    assert_eq!(chain, before);
}

#[test]
fn the_longest_chain_leaves_room_for_its_protection() {
    let longest = Payload::Vendor(Vendor(alloc::vec![0; crate::limits::MAX_CHAIN_LEN - 4]));
    let chain = Chain::new([&longest]).unwrap();
    let body_len = 255 + chain.bytes().len() + 256 + 255;
    let head = emit_head(&header(), chain.first(), Fragment::new(1, 1), body_len);
    assert_eq!(usize::from(u16::from_be_bytes([head[30], head[31]])), 8 + body_len);
}

#[test]
fn identity_body_is_kept_as_it_was_sent() {
    // The reserved bytes are set, which AUTH covers too (RFC 7296 §2.15).
    let body = [2, 0xff, 1, 2, b'g', b'w'];
    let parsed = Payload::parse(PayloadType::IDI, false, &mut Reader::new(&body, 0, PayloadType::IDI)).unwrap();
    let Payload::IdI(id) = parsed else { panic!("not an identity: {parsed:?}") };
    assert_eq!(id.body(), body);
}
