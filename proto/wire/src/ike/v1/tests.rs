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
    let read = |chain: &Chain| Payloads::parse(chain.first(), chain.bytes()).unwrap().all().to_vec();
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(64) });
    runner
        .run(&strategy, |body| {
            let payload = wrap(body);
            prop_assert_eq!(read(&Chain::new([&payload, &payload]).unwrap()), [payload.clone(), payload.clone()]);

            let one = Chain::new([&payload]).unwrap();
            let body = &one.bytes()[4..];
            for len in 0..body.len().min(80) {
                let mut r = Reader::new(&body[..len], 0, payload.kind());
                if let Ok(shorter) = Payload::parse(payload.kind(), &mut r)
                    && let Ok(chain) = Chain::new([&shorter])
                {
                    prop_assert_eq!(read(&chain), [shorter]);
                }
            }
            Ok(())
        })
        .unwrap();
}

pub(super) fn header(flags: Flags) -> Header {
    Header {
        initiator_spi: IkeSpi(0x0102_0304_0506_0708),
        responder_spi: IkeSpi(9),
        version: Version::V1,
        exchange: ExchangeType::IDENTITY_PROTECTION,
        flags,
        message_id: 0,
    }
}

#[test]
fn a_message_says_where_its_payloads_are() {
    let payloads = [Payload::Vendor(Opaque(b"mark".into())), Payload::Hash(Opaque([7; 16].into()))];
    let datagram = emit(&header(Flags::NONE), &Chain::new(&payloads).unwrap());
    let Content::Clear(read) = Message::parse(&datagram).unwrap().content else { panic!("it is in clear") };
    assert_eq!(read.all(), payloads);
    assert_eq!((read.body(0), read.body(1), read.body(2)), (Some(32..36), Some(40..56), None));
    assert_eq!((read.end(), datagram.len()), (56, 56));
}

#[test]
fn padding_follows_what_was_encrypted_and_nothing_else() {
    let chain = Chain::new([&Payload::Hash(Opaque([7; 16].into()))]).unwrap();
    let padded = [chain.bytes(), &[0; 12]].concat();
    assert_eq!(Payloads::parse(chain.first(), &padded).unwrap().end(), 20);
    let mut datagram = emit(&header(Flags::NONE), &chain);
    datagram.extend_from_slice(&[0; 12]);
    let len = datagram.len() as u32;
    datagram[24..28].copy_from_slice(&len.to_be_bytes());
    assert_eq!(Message::parse(&datagram).unwrap_err().reason, "trailing bytes");
    datagram[19] = Flags::V1_ENCRYPTED.0;
    let message = Message::parse(&datagram).unwrap();
    assert_eq!(message.content, Content::Encrypted(PayloadType::V1_HASH));
}

// Libreswan's messages in clear have lengths of whole words.
#[test]
fn zeros_may_fill_up_a_word_in_clear() {
    let with = |octets: &[u8]| {
        let chain = Chain::new([&Payload::Vendor(Opaque(b"mark".into()))]).unwrap();
        let mut datagram = [emit(&header(Flags::NONE), &chain), octets.to_vec()].concat();
        let len = datagram.len() as u32;
        datagram[24..28].copy_from_slice(&len.to_be_bytes());
        Message::parse(&datagram).map_err(|bad| bad.reason)
    };
    assert!(with(&[]).is_ok() && with(&[0]).is_ok() && with(&[0, 0, 0]).is_ok());
    assert_eq!((with(&[0; 4]), with(&[0, 1])), (Err("trailing bytes"), Err("trailing bytes")));
}

// RFC 2408 §3.3: a number is the same in both forms.
#[test]
fn lifetimes_are_read_in_either_form() {
    assert_eq!(Attribute::number(12, 28_800).value, AttributeValue::Basic(28_800));
    assert_eq!(Attribute::number(12, 86_400).value, AttributeValue::Long([0, 1, 0x51, 0x80].into()));
    for seconds in [0, 28_800, 86_400, u32::MAX] {
        assert_eq!(Attribute::number(12, seconds).as_number(), Some(u64::from(seconds)));
    }
    assert_eq!(Attribute::bytes(12, []).as_number(), None);
    assert_eq!(Attribute::bytes(12, [0; 9]).as_number(), None);
}
