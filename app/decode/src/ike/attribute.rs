//! Data attributes, which both versions write alike (RFC 7296 §3.3.5, RFC 2408 §3.3).
//!
//! ```text
//!   1 and type (2) | value (2)          or          0 and type (2) | length (2) | value (length)
//! ```

use crate::field::Value;
use crate::scope::Scope;

/// The names that Wireshark has for the parts of attributes of one kind.
pub(super) struct Names {
    pub attribute: &'static str,
    pub format: &'static str,
    pub kind: &'static str,
    pub length: &'static str,
    pub value: &'static str,
}

/// What an attribute means.
pub(super) struct Meaning {
    /// The line, without its beginning.
    pub text: String,
    /// The name and value of the part that is its content, where Wireshark has one.
    pub part: Option<(&'static str, Value)>,
}

/// Reads one attribute; gives its type and value.
pub(super) fn read<'a>(
    scope: &mut Scope<'a, '_>,
    names: &Names,
    meaning: impl FnOnce(u16, &[u8]) -> Meaning,
) -> Option<(u16, &'a [u8])> {
    let (Some(head), rest) = (scope.peek().first_chunk::<4>(), scope.peek().get(4..).unwrap_or_default()) else {
        scope.problem(format!("an attribute takes 4 bytes, and only {} are left", scope.peek().len()));
        return None;
    };
    let short = head[0] & 0x80 != 0;
    let kind = u16::from_be_bytes([head[0] & 0x7f, head[1]]);
    let stated = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let value = if short { &scope.peek()[2..4] } else { &rest[..stated.min(rest.len())] };
    if !short && stated > rest.len() {
        scope.problem(format!("attribute {kind} has {stated} bytes, and only {} are left", rest.len()));
    }
    let Meaning { text, part } = meaning(kind, value);
    let len = if short { 4 } else { 4 + value.len() };
    scope.bytes(names.attribute, len, format!("ATTR: {text}"))?;
    scope.bits(names.format, u64::from(short));
    scope.bits(names.kind, u64::from(kind));
    if !short {
        scope.bits(names.length, stated as u64);
    }
    if !value.is_empty() {
        scope.part(names.value, Value::Bytes, value);
    }
    if let Some((name, content)) = part {
        scope.part(name, content, &[]);
    }
    Some((kind, value))
}

/// The number that a value is.
pub(super) fn number(value: &[u8]) -> u64 {
    value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
