//! Messages that other implementations sent, and malformed ones that broke other decoders.
//!
//! The origin and licence of each capture is in the first line of its file under `tests/data/ike`.

use ravelin_types::IkeSpi;
use ravelin_types::transform::{EncrId, IntegId, KeMethod, PrfId, Transform};
use ravelin_wire::ike::header::{ExchangeType, Flags, PayloadType};
use ravelin_wire::ike::v2::{Chain, Message, NotifyType, Payload, Protected, emit};

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

fn kinds(message: &Message) -> Vec<u8> {
    message.payloads.iter().map(|payload| payload.kind().0).collect()
}

#[test]
fn four_exchanges_of_two_racoon2_hosts() {
    let messages: Vec<Message> = capture!("ikev2four").iter().map(|d| Message::parse(d).unwrap()).collect();
    assert_eq!(messages.len(), 16);

    let first = &messages[0];
    assert_eq!(first.header.initiator_spi, IkeSpi(0xa888_75a8_1989_92a6));
    assert_eq!(first.header.responder_spi, IkeSpi::ZERO);
    assert_eq!(first.header.exchange, ExchangeType::IKE_SA_INIT);
    assert_eq!(first.header.flags, Flags::INITIATOR);
    assert_eq!(kinds(first), [33, 34, 40, 41, 41]);
    let Payload::Sa(sa) = &first.payloads[0] else { panic!("no SA") };
    assert_eq!(sa.0.len(), 1);
    let transforms = &sa.0[0].proposal.transforms;
    assert_eq!(transforms.len(), 12);
    assert_eq!(transforms[1], Transform::Encr(EncrId::AES_CBC, Some(256)));
    assert_eq!(transforms[3], Transform::Encr(EncrId::DES3, None));
    assert_eq!(transforms[6], Transform::Prf(PrfId(4)));
    assert_eq!(transforms[9], Transform::Integ(IntegId(5)));
    assert_eq!(transforms[11], Transform::Ke(KeMethod::MODP2048));
    let Payload::Ke(ke) = &first.payloads[1] else { panic!("no KE") };
    assert_eq!((ke.method, ke.data.len()), (KeMethod::MODP1024, 128));
    let Payload::Nonce(nonce) = &first.payloads[2] else { panic!("no nonce") };
    assert_eq!(nonce.as_bytes()[..4], [0x61, 0x28, 0xeb, 0xd0]);
    let Payload::Notify(notify) = &first.payloads[3] else { panic!("no notify") };
    assert_eq!((notify.kind, notify.data.len()), (NotifyType::NAT_DETECTION_SOURCE_IP, 20));

    // The responder asks for a cookie, and gets it in front.
    assert_eq!(kinds(&messages[1]), [41]);
    assert_eq!(messages[1].header.flags, Flags::RESPONSE);
    let Payload::Notify(cookie) = &messages[1].payloads[0] else { panic!("no notify") };
    assert_eq!(cookie.kind, NotifyType::COOKIE);
    assert_eq!(messages[2].payloads[0], messages[1].payloads[0]);
    assert_eq!(kinds(&messages[2]), [41, 33, 34, 40, 41, 41]);

    assert_eq!(messages[4].header.exchange, ExchangeType::IKE_AUTH);
    for message in &messages[4..] {
        assert!(message.payloads.is_empty());
        assert!(matches!(message.protected, Some(Protected { fragment: None, body_at: 32, .. })));
    }
}

#[test]
fn initiator_with_six_proposals() {
    let datagrams = capture!("ikev2pI2");
    let message = Message::parse(&datagrams[0]).unwrap();
    assert_eq!(kinds(&message), [33, 34, 40, 43]);
    let Payload::Sa(sa) = &message.payloads[0] else { panic!("no SA") };
    let numbers: Vec<(u8, usize)> = sa.0.iter().map(|p| (p.number, p.proposal.transforms.len())).collect();
    assert_eq!(numbers, [(1, 4), (2, 4), (3, 4), (4, 4), (5, 4), (6, 4)]);
    let protected = Message::parse(&datagrams[1]).unwrap().protected.unwrap();
    assert_eq!(protected.first, PayloadType::IDI);
}

#[test]
fn android_over_ipv6() {
    let messages: Vec<Message> = capture!("arkime-ikev2").iter().map(|d| Message::parse(d).unwrap()).collect();
    assert_eq!(kinds(&messages[0]), [33, 34, 40]);
    let Payload::Sa(sa) = &messages[0].payloads[0] else { panic!("no SA") };
    assert_eq!(
        sa.0[0].proposal.transforms,
        [
            Transform::Encr(EncrId::AES_CBC, Some(256)),
            Transform::Prf(PrfId::HMAC_SHA2_512),
            Transform::Integ(IntegId::HMAC_SHA2_512_256),
            Transform::Ke(KeMethod::ECP384),
        ]
    );
    let exchanges: Vec<u8> = messages.iter().map(|m| m.header.exchange.0).collect();
    assert_eq!(exchanges, [34, 34, 34, 35, 35, 36, 36, 37, 37]);
    assert!(messages[3..].iter().all(|m| m.protected.is_some()));
}

/// What we make of a message is byte for byte what the peer sent, as long as the peer leaves reserved bits clear.
/// (`ikev2pI2` sets the critical bit of payloads that every receiver knows.)
#[test]
fn cleartext_messages_are_emitted_as_they_came() {
    let mut seen = 0;
    for datagram in [capture!("ikev2four"), capture!("arkime-ikev2")].concat() {
        let message = Message::parse(&datagram).unwrap();
        if message.protected.is_none() {
            assert_eq!(emit(&message.header, &Chain::new(&message.payloads).unwrap()), datagram);
            seen += 1;
        }
    }
    assert_eq!(seen, 7);
}

// docs/HISTORY.md, row 57: the captures that crashed tcpdump's ISAKMP printers.
#[test]
fn row_57_malformed_captures_are_refused() {
    let reason = |datagrams: Vec<Vec<u8>>| Message::parse(&datagrams[0]).unwrap_err().reason;
    assert_eq!(reason(capture!("ikev2-id-normal")), "address does not have the length of its type");
    assert_eq!(reason(capture!("ikev2pI2-segfault")), "substructure neither the last nor followed by another");
    assert_eq!(reason(capture!("isakmp-delete-segfault")), "length is not that of the datagram");
    assert_eq!(reason(capture!("isakmp-pointer-loop")), "length is not that of the datagram");
    assert_eq!(reason(capture!("isakmpv1-attr-oobr")), "length is not that of the datagram");
    // IKEv1, of length 0.
    assert_eq!(reason(capture!("ikev1-zero-length")), "length is not that of the datagram");
}
