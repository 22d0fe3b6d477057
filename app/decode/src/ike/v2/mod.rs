//! Payloads of IKEv2 (RFC 7296 §3.2 to §3.16, RFC 7383 §2.5), with the keys of the Encrypted payload where they are given.

mod payload;
mod protected;
mod sa;

use ravelin_wire::ike::header::PayloadType;

use super::both::{self, bounded};
use super::numbers::Numbers;
use crate::field::Value;
use crate::known::Known;
use crate::scope::Scope;

const GENERIC: usize = 4;

/// The name of a payload type.
pub(super) fn payload_name(number: u8) -> String {
    match PayloadType(number) {
        PayloadType::NONE => "NONE".into(),
        PayloadType::SA => "Security Association".into(),
        PayloadType::KE => "Key Exchange".into(),
        PayloadType::IDI => "Identification - Initiator".into(),
        PayloadType::IDR => "Identification - Responder".into(),
        PayloadType::CERT => "Certificate".into(),
        PayloadType::CERTREQ => "Certificate Request".into(),
        PayloadType::AUTH => "Authentication".into(),
        PayloadType::NOTIFY => "Notify".into(),
        PayloadType::DELETE => "Delete".into(),
        PayloadType::VENDOR => "Vendor ID".into(),
        PayloadType::TSI => "Traffic Selector - Initiator".into(),
        PayloadType::TSR => "Traffic Selector - Responder".into(),
        PayloadType::SK => "Encrypted and Authenticated".into(),
        PayloadType::SKF => "Encrypted and Authenticated Fragment".into(),
        PayloadType::CP => "Configuration".into(),
        PayloadType::EAP => "Extensible Authentication".into(),
        other => other.to_string(),
    }
}

/// Reads what follows the header, `len` bytes of it.
pub(super) fn body(numbers: &Numbers, message: &[u8], len: usize, known: &mut Known, scope: &mut Scope<'_, '_>) {
    chain(numbers.first, len, scope, &mut |kind, first, scope| {
        protected::protected(kind, first, numbers, message, known, scope);
    });
}

/// What reads an Encrypted payload behind its generic header: its type, the type of its first payload inside.
type Protected<'f> = &'f mut dyn FnMut(PayloadType, u8, &mut Scope<'_, '_>);

/// Reads `len` bytes of payloads.
fn chain(first: u8, len: usize, scope: &mut Scope<'_, '_>, protected: Protected<'_>) {
    let mut next = first;
    let end = scope.at() + len;
    let mut count = 0;
    while next != PayloadType::NONE.0 && scope.at() < end {
        if !bounded(count, scope) {
            return;
        }
        count += 1;
        let left = end - scope.at();
        let kind = PayloadType(next);
        let Some(head) = scope.peek().get(..GENERIC.min(left)).and_then(<[u8]>::first_chunk::<GENERIC>) else {
            scope.problem(format!("the header of payload {kind} takes 4 bytes, and only {left} are left"));
            return;
        };
        let stated = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if stated > left {
            scope.problem(format!("payload {kind} has {stated} bytes by its header, and only {left} are left"));
        }
        if stated < GENERIC {
            scope.problem(format!("payload {kind} has {stated} bytes by its header, which itself takes 4"));
        }
        let after = head[0];
        scope.group("isakmp.typepayload", Value::Number(u64::from(next)), stated.clamp(GENERIC, left), |scope| {
            generic(scope, payload_name);
            if kind == PayloadType::SK || kind == PayloadType::SKF {
                protected(kind, after, scope);
                return Some(());
            }
            body_of(kind, scope)
        });
        // RFC 7296 §3.14: the next payload of an Encrypted payload is about its content.
        next = if kind == PayloadType::SK || kind == PayloadType::SKF { PayloadType::NONE.0 } else { after };
    }
    if next != PayloadType::NONE.0 {
        scope.problem(format!("payload {} should follow, and the message ends", PayloadType(next)));
    }
}

/// The generic header of a payload.
fn generic(scope: &mut Scope<'_, '_>, name: fn(u8) -> String) {
    scope.number("isakmp.nextpayload", 1, |n| format!("Next Payload - {}", name(n as u8)));
    scope.number(
        "isakmp.criticalpayload",
        1,
        |n| if n & 0x80 == 0 { "Not critical".into() } else { "Critical".into() },
    );
    let byte = scope.fields.last().and_then(|field| field.bytes.first().copied()).unwrap_or_default();
    if let Some(last) = scope.fields.last_mut() {
        last.value = Value::Number(u64::from(byte >> 7));
    }
    scope.bits("isakmp.reserved7", u64::from(byte & 0x7f));
    scope.number("isakmp.payloadlength", 2, |n| format!("Payload Length - {n}"));
}

/// Reads the body of one payload in the clear.
fn body_of(kind: PayloadType, scope: &mut Scope<'_, '_>) -> Option<()> {
    match kind {
        PayloadType::SA => sa::proposals(scope),
        PayloadType::KE => payload::key_exchange(scope),
        PayloadType::IDI | PayloadType::IDR => payload::identity(scope),
        PayloadType::CERT => {
            payload::certificate(scope, "isakmp.cert.encoding", "isakmp.cert.data", "Certificate Data")
        }
        PayloadType::CERTREQ => {
            payload::certificate(scope, "isakmp.certreq.type", "isakmp.certreq.authority", "Certificate Authority")
        }
        PayloadType::AUTH => payload::auth(scope),
        PayloadType::NONCE => {
            scope.remainder("isakmp.nonce", "Nonce Data");
            Some(())
        }
        PayloadType::NOTIFY => payload::notify(scope),
        PayloadType::DELETE => payload::delete(scope),
        PayloadType::VENDOR => both::vendor(scope),
        PayloadType::TSI | PayloadType::TSR => payload::selectors(scope),
        PayloadType::CP => payload::configuration(scope),
        PayloadType::EAP => payload::eap(scope),
        _ => {
            scope.remainder("isakmp.datapayload", "Data");
            Some(())
        }
    }
}
