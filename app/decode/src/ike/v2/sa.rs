//! Security Association payloads (RFC 7296 §3.3).

use ravelin_types::transform::{EncrId, IntegId, KeMethod, PrfId, SnId, TransformType};

use super::GENERIC;
use crate::field::Value;
use crate::ike::attribute;
use crate::ike::both::bounded;
use crate::scope::Scope;

/// Levels of substructures below a payload.
const PROPOSAL: u64 = 2;
const TRANSFORM: u64 = 3;

/// The head of a substructure: whether another follows, a reserved byte, the length; gives the length clamped to what is left.
fn substructure(scope: &mut Scope<'_, '_>, what: &str) -> Option<(u64, usize)> {
    let Some(head) = scope.peek().first_chunk::<GENERIC>() else {
        scope.problem(format!("{what} takes at least 4 bytes, and only {} are left", scope.peek().len()));
        return None;
    };
    let stated = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let left = scope.peek().len();
    if stated > left || stated < 2 * GENERIC {
        scope.problem(format!("{what} has {stated} bytes by its header, and {left} are left; it takes 8 at least"));
    }
    Some((u64::from(head[0]), stated.clamp(GENERIC, left)))
}

fn substructure_head(scope: &mut Scope<'_, '_>) -> Option<()> {
    scope.number("isakmp.nextpayload", 1, |n| match n {
        0 => "Last".into(),
        PROPOSAL => "More: Proposal".into(),
        TRANSFORM => "More: Transform".into(),
        n => format!("More: {n}, which is no proposal or transform"),
    })?;
    scope.bytes("isakmp.reserved", 1, "Reserved")?;
    scope.number("isakmp.payloadlength", 2, |n| format!("Payload Length - {n}")).map(drop)
}

/// Reads the proposals.
pub(super) fn proposals(scope: &mut Scope<'_, '_>) -> Option<()> {
    let mut count = 0;
    while !scope.is_empty() && bounded(count, scope) {
        count += 1;
        let (more, len) = substructure(scope, "a proposal")?;
        scope.group("isakmp.typepayload", Value::Number(PROPOSAL), len, proposal);
        if more == 0 {
            break;
        }
    }
    Some(())
}

fn proposal(scope: &mut Scope<'_, '_>) -> Option<()> {
    substructure_head(scope)?;
    scope.number("isakmp.prop.number", 1, |n| format!("Proposal Number - {n}"))?;
    scope.number("isakmp.prop.protoid", 1, |n| format!("Protocol ID - {}", protocol(n)))?;
    let spi = scope.number("isakmp.spisize", 1, |n| format!("SPI Size - {n}"))? as usize;
    let transforms = scope.number("isakmp.prop.transforms", 1, |n| format!("Number of Transforms - {n}"))?;
    if spi > 0 {
        scope.bytes("isakmp.spi", spi, "SPI")?;
    }
    let mut count = 0;
    while !scope.is_empty() {
        let (more, len) = substructure(scope, "a transform")?;
        scope.group("isakmp.typepayload", Value::Number(TRANSFORM), len, transform);
        count += 1;
        if more == 0 {
            break;
        }
    }
    if count != transforms {
        scope.problem(format!("the proposal counts {transforms} transforms and has {count}"));
    }
    Some(())
}

fn transform(scope: &mut Scope<'_, '_>) -> Option<()> {
    const NAMES: attribute::Names = attribute::Names {
        attribute: "isakmp.ike2.attr",
        format: "isakmp.ike2.attr.format",
        kind: "isakmp.ike2.attr.type",
        length: "isakmp.ike2.attr.length",
        value: "isakmp.ike2.attr.value",
    };
    const KEY_LENGTH: u16 = 14;
    substructure_head(scope)?;
    let kind = scope.number("isakmp.tf.type", 1, |n| format!("Transform Type - {}", TransformType(n as u8)))?;
    scope.bytes("isakmp.reserved", 1, "Reserved")?;
    let name: fn(u16) -> String = match TransformType(kind as u8) {
        TransformType::ENCR => |n| EncrId(n).to_string(),
        TransformType::PRF => |n| PrfId(n).to_string(),
        TransformType::INTEG => |n| IntegId(n).to_string(),
        TransformType::KE => |n| KeMethod(n).to_string(),
        TransformType::SN => |n| SnId(n).to_string(),
        // RFC 9370 §2.2: additional key exchanges 1 to 7 have the numbers of type 4.
        TransformType(6..=12) => |n| KeMethod(n).to_string(),
        _ => |n| n.to_string(),
    };
    let field = match kind {
        1 => "isakmp.tf.id.encr",
        2 => "isakmp.tf.id.prf",
        3 => "isakmp.tf.id.integ",
        4 => "isakmp.tf.id.dh",
        5 => "isakmp.tf.id.esn",
        _ => "isakmp.tf.id",
    };
    scope.number(field, 2, |n| format!("Transform ID - {}", name(n as u16)))?;
    while !scope.is_empty() {
        attribute::read(scope, &NAMES, |kind, value| {
            let n = attribute::number(value);
            match kind {
                KEY_LENGTH => attribute::Meaning {
                    text: format!("Key Length - {n}"),
                    part: Some(("isakmp.ike2.attr.key_length", Value::Number(n))),
                },
                other => attribute::Meaning { text: format!("type {other}"), part: None },
            }
        })?;
    }
    Some(())
}

/// The name of a protocol.
pub(super) fn protocol(number: u64) -> String {
    match number {
        0 => "none".into(),
        1 => "IKE".into(),
        2 => "AH".into(),
        3 => "ESP".into(),
        n => n.to_string(),
    }
}
