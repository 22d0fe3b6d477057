//! IKEv1 messages that other implementations sent.
//!
//! The origin and licence of each capture is in the first line of its file under `tests/data/ike`.

use ravelin_types::IdType;
use ravelin_types::proposal::ProtocolId;
use ravelin_wire::ike::header::{ExchangeType, Flags};
use ravelin_wire::ike::v1::{
    AuthMethod, Chain, Content, GroupId, HashId, IkeAttribute, IkeEncr, Message, Payload, Payloads, emit,
};

/// The datagrams of a capture.
fn datagrams(text: &str) -> Vec<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).expect("captures are in hexadecimal") as u8;
    let byte = |pair: &[u8]| digit(pair[0]) << 4 | digit(pair[1]);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.as_bytes().chunks(2).map(byte).collect()).collect()
}

macro_rules! capture {
    ($name:literal) => {
        datagrams(include_str!(concat!("data/ike/", $name, ".hex")))
    };
}

fn clear(datagram: &[u8]) -> Payloads {
    match Message::parse(datagram).expect("a message").content {
        Content::Clear(payloads) => payloads,
        Content::Encrypted(_) => panic!("it is encrypted"),
    }
}

fn kinds(datagram: &[u8]) -> Vec<u8> {
    clear(datagram).all().iter().map(|payload| payload.kind().0).collect()
}

#[test]
fn main_mode_between_two_routers() {
    let datagrams = capture!("ikev1-main-mode");
    assert_eq!(kinds(&datagrams[0]), [1, 13, 13, 13, 13]);
    let first = clear(&datagrams[0]);
    let Payload::Sa(sa) = &first.all()[0] else { panic!("no SA") };
    assert_eq!((sa.0[0].number, sa.0[0].protocol), (1, ProtocolId::IKE));
    let values: Vec<(IkeAttribute, u64)> =
        sa.0[0].transforms[0].attributes.iter().map(|a| (IkeAttribute(a.kind), a.as_number().unwrap())).collect();
    assert!(values.contains(&(IkeAttribute::ENCRYPTION, u64::from(IkeEncr::AES.0))));
    assert!(values.contains(&(IkeAttribute::HASH, u64::from(HashId::SHA1.0))));
    assert!(values.contains(&(IkeAttribute::AUTHENTICATION_METHOD, u64::from(AuthMethod::PRE_SHARED_KEY.0))));
    assert!(values.contains(&(IkeAttribute::GROUP, u64::from(GroupId::MODP1024.0))));
    assert_eq!(kinds(&datagrams[2]), [4, 10, 13, 13, 13, 20, 20]);
    let exchanges: Vec<ExchangeType> = datagrams.iter().map(|d| Message::parse(d).unwrap().header.exchange).collect();
    assert_eq!(exchanges[..6], [ExchangeType::IDENTITY_PROTECTION; 6]);
    assert_eq!(exchanges[6..], [ExchangeType::QUICK_MODE; 3]);
    for datagram in &datagrams[4..] {
        assert!(Message::parse(datagram).unwrap().header.flags.contains(Flags::V1_ENCRYPTED));
    }
}

#[test]
fn aggressive_mode_says_who_it_is_in_clear() {
    let datagrams = capture!("ikev1-aggressive-mode");
    assert_eq!(kinds(&datagrams[0]), [1, 13, 13, 13, 13, 4, 10, 5, 13, 13, 13]);
    assert_eq!(kinds(&datagrams[1]), [1, 13, 13, 13, 13, 13, 4, 5, 10, 8, 20, 20]);
    let first = clear(&datagrams[0]);
    let Payload::Id(id) = &first.all()[7] else { panic!("no ID") };
    assert_eq!(id.kind, IdType::IPV4_ADDR);
    // What HASH_I covers is the body as it stands in the message.
    assert_eq!(datagrams[0][first.body(7).unwrap()], id.body());
}

/// What we make of a message is byte for byte what the peer sent.
#[test]
fn cleartext_messages_are_emitted_as_they_came() {
    let all = [
        capture!("ikev1-main-mode"),
        capture!("ikev1-aggressive-mode"),
        capture!("ikev1-sa-setup"),
        capture!("ikev1-nat-t"),
    ];
    let mut seen = 0;
    for datagram in all.concat() {
        let message = Message::parse(&datagram).unwrap();
        if let Content::Clear(payloads) = message.content {
            assert_eq!(emit(&message.header, &Chain::new(payloads.all()).unwrap()), datagram);
            seen += 1;
        }
    }
    assert_eq!(seen, 14);
}
