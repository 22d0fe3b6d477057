//! The Encrypted payload and fragments of it (RFC 7296 §3.14, RFC 7383 §2.5).

use ravelin_wire::ike::header::PayloadType;

use super::{chain, payload_name};
use crate::field::{Field, Problem, Value};
use crate::ike::numbers::Numbers;
use crate::ike::session::Sessions;
use crate::known::Known;
use crate::scope::Scope;

/// Reads the Encrypted payload, or a fragment of one, behind its generic header.
pub(super) fn protected(
    kind: PayloadType,
    first: u8,
    numbers: &Numbers,
    message: &[u8],
    known: &mut Known,
    scope: &mut Scope<'_, '_>,
) {
    let fragment = if kind == PayloadType::SKF {
        let number = scope.number("isakmp.frag.number", 2, |n| format!("Fragment Number - {n}"));
        let total = scope.number("isakmp.frag.total", 2, |n| format!("Total Fragments - {n}"));
        let (Some(number), Some(total)) = (number, total) else { return };
        if number == 0 || number > total {
            scope.problem(format!("fragment {number} of {total} cannot be (RFC 7383 §2.5)"));
        }
        Some((number as u16, total as u16))
    } else {
        None
    };
    let Known { keys, options, sessions } = known;
    let head = message.get(..scope.at()).unwrap_or_default();
    let spis = (numbers.initiator, numbers.responder);
    let Some(keys) = keys.ikev2(spis, numbers.by_initiator(), head, scope.peek()) else {
        scope.remainder("isakmp.enc.data", "Encrypted Data; no keys are given for this IKE SA");
        return;
    };
    let have = scope.peek().len();
    let Some(text_len) = have.checked_sub(keys.iv_len() + keys.icv_len()).filter(|len| *len > 0) else {
        scope.problem(format!("{have} bytes are too few for IV, content and ICV of {}", keys.names()));
        return;
    };
    let Some(iv) = scope.bytes("isakmp.enc.iv", keys.iv_len(), "Initialization Vector") else { return };
    let text_at = scope.at();
    let Some(text) = scope.bytes("isakmp.enc.data", text_len, "Encrypted Data") else { return };
    let icv_at = scope.at();
    let icv = scope.peek();
    let plain = match keys.open(numbers.by_initiator(), head, iv, text, icv) {
        Ok(plain) => Some(plain),
        Err(unverified) => {
            let names = keys.names();
            scope.problem_at(
                icv_at,
                format!(
                    "the integrity check does not verify with the keys given ({names}): a receiver drops this message"
                ),
            );
            unverified.filter(|_| options.ignore_icv)
        }
    };
    if let Some(plain) = plain {
        let fields = decrypted(&plain, text_at, first, fragment, (numbers, sessions), scope.problems);
        scope.hush("isakmp.enc.data");
        scope.push(Field::group("isakmp.enc.decrypted", text_at, fields));
    }
    scope.remainder("isakmp.enc.icd", "Integrity Checksum Data");
}

/// What was decrypted: the payloads, or a part of them, and the padding.
fn decrypted(
    plain: &[u8],
    at: usize,
    first: u8,
    fragment: Option<(u16, u16)>,
    (numbers, sessions): (&Numbers, &mut Sessions),
    problems: &mut Vec<Problem>,
) -> Vec<Field> {
    let pad = usize::from(plain.last().copied().unwrap_or_default());
    let mut inner = Scope::new(plain, at, problems);
    let Some(content) = plain.len().checked_sub(pad + 1) else {
        inner.problem("the pad length is greater than what was decrypted");
        return inner.fields;
    };
    let Some(fragment) = fragment else {
        contained(first, content, &mut inner);
        padding(pad, &mut inner);
        return inner.fields;
    };
    inner.bytes("isakmp.frag.data", content, "Fragment Data");
    padding(pad, &mut inner);
    let mut fields = inner.fields;
    if let Ok((first, whole)) = sessions.fragment(numbers, fragment, first, &plain[..content]) {
        // Offsets count in the message that was put together.
        let mut inner = Scope::new(&whole, 0, problems);
        contained(first, whole.len(), &mut inner);
        fields.append(&mut inner.fields);
    }
    fields
}

fn contained(first: u8, len: usize, inner: &mut Scope<'_, '_>) {
    inner.group("isakmp.enc.contained", Value::Bytes, len, |inner| {
        chain(first, len, inner, &mut |kind, _, inner| {
            inner.problem(format!("an {} payload stands inside another", payload_name(kind.0)));
        });
        Some(())
    });
}

fn padding(len: usize, inner: &mut Scope<'_, '_>) {
    if len > 0 {
        inner.bytes("isakmp.enc.padding", len, "Padding");
    }
    inner.number("isakmp.enc.pad_length", 1, |n| format!("Pad Length - {n}"));
}
