//! What every message must do.

mod sample;

use alloc::format;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use ravelin_types::ErrorCode;
use ravelin_types::selector::TrafficSelector;

use super::*;
pub(super) use sample::Sample;

fn run<T: core::fmt::Debug>(strategy: impl Strategy<Value = T>, test: impl Fn(T) -> Result<(), TestCaseError>) {
    let config = Config { failure_persistence: None, ..Config::with_cases(64) };
    TestRunner::new(config).run(&strategy, test).unwrap();
}

/// Requests hold keys, which are compared through the octets.
pub(super) fn assert_request<T: core::fmt::Debug>(strategy: impl Strategy<Value = T>, wrap: impl Fn(T) -> Request) {
    run(strategy, |body| {
        let request = wrap(body);
        let message = request.emit(Module::IKE, 0x0102);
        let (header, data) = Header::parse(message.expose()).unwrap();
        prop_assert_eq!((header.kind, header.src, header.dst), (request.kind(), Module::IKE, Module::IPSEC));
        prop_assert_eq!((header.sequence, header.status), (0x0102, Status::OK));
        let parsed = Request::parse(header.kind, data).unwrap();
        prop_assert_eq!(format!("{parsed:?}"), format!("{request:?}"));
        let again = parsed.emit(Module::IKE, 0x0102);
        prop_assert_eq!(again.expose(), message.expose());
        // All of the data is needed, and nothing behind it.
        for len in 0..data.len() {
            prop_assert!(Request::parse(header.kind, &data[..len]).is_err());
        }
        prop_assert!(Request::parse(header.kind, &[data, &[0]].concat()).is_err());
        Ok(())
    });
}

pub(super) fn assert_reply<T: core::fmt::Debug>(strategy: impl Strategy<Value = T>, wrap: impl Fn(T) -> Reply) {
    run(strategy, |body| {
        let reply = wrap(body);
        let asked =
            Header { kind: reply.kind(), src: Module::ADMIN, dst: Module::IPSEC, sequence: 7, status: Status::OK };
        let message = emit_answer(&asked, &Ok(reply.clone()));
        let (header, data) = Header::parse(&message).unwrap();
        prop_assert_eq!(header, Header { src: Module::IPSEC, dst: Module::ADMIN, ..asked });
        prop_assert_eq!(parse_answer(&header, data).unwrap(), Ok(reply));
        Ok(())
    });
}

pub(super) fn assert_event<T: core::fmt::Debug>(strategy: impl Strategy<Value = T>, wrap: impl Fn(T) -> Event) {
    run(strategy, |body| {
        let event = wrap(body);
        let message = event.emit(Module::IKE, 9);
        let (header, data) = Header::parse(&message).unwrap();
        prop_assert_eq!((header.kind, header.sequence), (event.kind(), 9));
        prop_assert!(header.kind.is_event());
        prop_assert_eq!(Event::parse(header.kind, data).unwrap(), event);
        for len in 0..data.len() {
            prop_assert!(Event::parse(header.kind, &data[..len]).is_err());
        }
        Ok(())
    });
}

#[test]
fn an_error_is_a_status_without_data() {
    let asked = Header {
        kind: MessageType::GET_SA,
        src: Module::ADMIN,
        dst: Module::IPSEC,
        sequence: 0xbeef,
        status: Status::OK,
    };
    let message = emit_answer(&asked, &Err(ErrorCode::SaNotFound.into()));
    assert_eq!(message, [14, 1, 3, 0, 0xbe, 0xef, 0, 0, 0, 29, 0, 0]);
    let (header, data) = Header::parse(&message).unwrap();
    assert_eq!(parse_answer(&header, data).unwrap(), Err(Status(29)));
    assert_eq!(Status(29).error(), Some(ErrorCode::SaNotFound));
    // A status that nobody knows is a status.
    let unknown = Header { status: Status(999), ..header };
    assert_eq!(parse_answer(&unknown, &[]).unwrap(), Err(Status(999)));
    assert!(parse_answer(&unknown, &[1]).is_err());
}

#[test]
fn a_header_says_what_follows_it() {
    let good = Request::FlushSad(Nothing).emit(Module::ADMIN, 1);
    let good = good.expose();
    assert_eq!(good, [11, 3, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for (at, octet) in [(3, 1), (7, 1)] {
        let mut bad = good.to_vec();
        bad[at] = octet;
        assert!(Header::parse(&bad).is_err(), "octet {at}");
    }
    for len in 0..Header::LEN {
        assert!(Header::parse(&good[..len]).is_err());
    }
    // The padding has no meaning.
    assert!(Header::parse(&[&good[..10], &[1, 2]].concat()).is_ok());
    let longest = [&[11, 3, 1, 0, 0, 1, 0x03, 0xf5, 0, 0, 0, 0][..], &[0; MAX_DATA_LEN + 1]].concat();
    assert!(Header::parse(&longest).is_err());
    for kind in [0, 17, 21, 22, 255] {
        assert!(Request::parse(MessageType(kind), &[]).is_err());
    }
}

#[test]
fn an_identity_says_what_is_wrong_with_it() {
    let range = TrafficIdentity::from(&TrafficSelector::any_v4());
    assert_eq!(range.selector(0), Ok(TrafficSelector::any_v4()));
    let subnet = TrafficIdentity {
        kind: IdentityType::IPV4_ADDR_SUBNET,
        ports: (0, 0),
        address: [10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        second: [255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    };
    assert_eq!(format!("{}", subnet.selector(0).unwrap()), "10.1.0.0/16");
    let gap = TrafficIdentity { second: [255, 0, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], ..subnet };
    assert_eq!(gap.selector(0), Err(ErrorCode::BadAddrRange));
    let too_long = TrafficIdentity { second: [255; 16], ..subnet };
    assert_eq!(too_long.selector(0), Err(ErrorCode::BadAddrRange));
    let backwards = TrafficIdentity { address: range.second, second: range.address, ..range };
    assert_eq!(backwards.selector(0), Err(ErrorCode::BadAddrRange));
    assert_eq!(TrafficIdentity { kind: IdentityType(2), ..range }.selector(0), Err(ErrorCode::BadIdType));
    let web = TrafficIdentity { ports: (80, 80), ..range };
    assert_eq!(web.selector(6).unwrap().ports(), 80..=80);
    assert_eq!(web.selector(0), Err(ErrorCode::BadPortNumber));
    assert_eq!(TrafficIdentity { ports: (81, 80), ..range }.selector(6), Err(ErrorCode::BadPortNumber));
}

#[test]
fn a_message_does_not_print_its_keys() {
    let sample = sample::add_sa(Key::new(ravelin_types::Secret::from(&[0xab; 20][..])).unwrap());
    let shown = format!("{:?}", Request::AddSa(sample));
    assert!(shown.contains("Secret(20 bytes)") && !shown.contains("171"), "{shown}");
    assert!(Key::new(ravelin_types::Secret::from(&[0; MAX_KEY_LEN + 1][..])).is_none());
}
