//! Management messages: what is read, sent and read again is the same, and no mistake is outside of the message.

use ravelin_wire::ike::error::Malformed;
use ravelin_wire::mgmt::{Event, Header, MAX_DATA_LEN, Request, emit_answer, parse_answer};

/// The header and the data, if there are such.
fn header(input: &[u8]) -> Option<(Header, &[u8])> {
    let (header, data) = Header::parse(input).map_err(|error| inside(error, input)).ok()?;
    assert!(data.len() <= MAX_DATA_LEN);
    assert_eq!(input.len(), Header::LEN + data.len());
    Some((header, data))
}

fn inside(error: Malformed, input: &[u8]) {
    assert!(error.offset <= input.len(), "the error is outside the message");
}

/// What an application sends.
pub fn request(input: &[u8]) {
    let Some((header, data)) = header(input) else { return };
    match Request::parse(header.kind, data) {
        Ok(request) => {
            assert!(!header.kind.is_event());
            assert_eq!(request.kind(), header.kind);
            let emitted = request.emit(header.src, header.sequence);
            assert_eq!(emitted.expose()[Header::LEN..], *data, "the data has two forms");
            if let Request::AddPolicy(policy) = request {
                // What an identity means is found without a panic, and survives being said in our words.
                if let Ok(selector) = policy.source.selector(policy.protocol) {
                    let again = ravelin_wire::mgmt::TrafficIdentity::from(&selector);
                    assert_eq!(again.selector(policy.protocol), Ok(selector));
                }
            }
        }
        Err(error) => inside(error, input),
    }
}

/// What an application is answered.
pub fn answer(input: &[u8]) {
    let Some((header, data)) = header(input) else { return };
    match parse_answer(&header, data) {
        Ok(outcome) => {
            let asked = Header { src: header.dst, dst: header.src, ..header };
            let emitted = emit_answer(&asked, &outcome);
            assert_eq!(emitted[Header::LEN..], *data, "the data has two forms");
            assert_eq!(Header::parse(&emitted).expect("what was emitted is a message").0, header);
        }
        Err(error) => inside(error, input),
    }
}

/// What an application is told.
pub fn event(input: &[u8]) {
    let Some((header, data)) = header(input) else { return };
    match Event::parse(header.kind, data) {
        Ok(event) => {
            assert!(header.kind.is_event());
            assert_eq!(event.emit(header.dst, header.sequence)[Header::LEN..], *data, "the data has two forms");
        }
        Err(error) => inside(error, input),
    }
}
