//! IKEv1: what is read, sent and read again is the same; what is read has its place in the datagram.

use ravelin_wire::ike::header::{Header, PayloadType};
use ravelin_wire::ike::v1::{Chain, Content, Message, Payloads, emit};
use ravelin_wire::limits;

/// A whole datagram.
pub fn message(input: &[u8]) {
    let message = match Message::parse(input) {
        Ok(message) => message,
        Err(error) => {
            assert!(error.offset <= input.len(), "the error is outside the datagram");
            return;
        }
    };
    let Content::Clear(payloads) = &message.content else { return };
    placed(payloads, Header::LEN, input.len());
    assert_eq!(payloads.end(), input.len(), "a message in clear has no padding");
    if let Some(chain) = again(payloads) {
        let parsed = Message::parse(&emit(&message.header, &chain)).expect("what was emitted is a message");
        assert_eq!(parsed.header, message.header);
    }
}

/// What was encrypted; the first byte is the type of the first payload.
pub fn chain(input: &[u8]) {
    let Some((&first, bytes)) = input.split_first() else { return };
    match Payloads::parse(PayloadType(first), bytes) {
        Ok(payloads) => {
            placed(&payloads, 0, bytes.len());
            again(&payloads);
        }
        Err(error) => assert!(error.offset <= bytes.len(), "the error is outside the chain"),
    }
}

/// The body of one payload of this type.
pub fn payload(kind: PayloadType, body: &[u8]) {
    let Ok(len) = u16::try_from(body.len() + 4) else { return };
    let mut bytes = vec![0, 0];
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(body);
    if let Ok(payloads) = Payloads::parse(kind, &bytes) {
        assert_eq!(payloads.all().len(), 1);
        assert_eq!(payloads.all()[0].kind(), kind);
        again(&payloads);
    }
}

/// Each body lies behind the one before, and all of them within the input.
fn placed(payloads: &Payloads, start: usize, end: usize) {
    let mut at = start;
    for index in 0..payloads.all().len() {
        let body = payloads.body(index).expect("every payload has its place");
        assert!(at + 4 == body.start && body.start <= body.end);
        at = body.end;
    }
    assert!(payloads.body(payloads.all().len()).is_none());
    assert!(at == payloads.end() && at <= end);
}

/// Emits and reads again what was read. `None`: it cannot be sent.
fn again(payloads: &Payloads) -> Option<Chain> {
    assert!(payloads.all().len() <= limits::MAX_PAYLOADS);
    let chain = Chain::new(payloads.all()).ok()?;
    let parsed = Payloads::parse(chain.first(), chain.bytes()).expect("what was emitted is a chain");
    assert_eq!(parsed.all(), payloads.all());
    Some(chain)
}
