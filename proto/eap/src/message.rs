//! EAP messages with their head, as RADIUS and EAP-TTLS carry them: `| code | identifier | length (2) | data |` (RFC 3748 §4).

use alloc::vec::Vec;

use ravelin_wire::ike::v2::{Eap, EapCode};

/// With the head.
pub(crate) fn emit(eap: &Eap) -> Vec<u8> {
    // What came in an IKE message has a length that fits.
    let length = (4 + eap.data.len()) as u16;
    [&[eap.code.0, eap.identifier][..], &length.to_be_bytes(), &eap.data].concat()
}

/// `None`: the length is not that of the message, or a type is missing or too much.
pub(crate) fn parse(octets: &[u8]) -> Option<Eap> {
    let [code, identifier, high, low, data @ ..] = octets else { return None };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let eap = Eap { code: EapCode(*code), identifier: *identifier, data: data.to_vec() };
    let typed = matches!(eap.code, EapCode::REQUEST | EapCode::RESPONSE);
    (length == octets.len() && typed != data.is_empty()).then_some(eap)
}
