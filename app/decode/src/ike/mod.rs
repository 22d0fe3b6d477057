//! IKE messages of both versions.
//!
//! ```text
//!   message ─► header ─┬─ version 2 ─► v2::chain ─ SK: keys ─► v2::chain
//!                      └─ version 1 ─► [flag E: Sessions, keys] ─► v1::chain
//! ```
//! The header is the same in both (RFC 7296 §3.1, RFC 2408 §3.1).

mod attribute;
mod both;
mod numbers;
mod phase1;
mod proof;
pub(crate) mod session;
mod v1;
mod v2;

use ravelin_types::IkeSpi;
use ravelin_wire::ike::header::{ExchangeType, Header};

use self::numbers::Numbers;
use crate::field::Layer;
use crate::known::Known;
use crate::scope::Scope;

/// Whether a datagram on no port of IKE is an IKE message all the same.
pub(crate) fn looks_like(data: &[u8]) -> bool {
    Header::parse(data).is_ok_and(|(header, _)| {
        matches!(header.version.0, 0x10 | 0x20) && header.initiator_spi != IkeSpi::ZERO && header.exchange.0 != 0
    })
}

/// Reads a message.
pub(crate) fn message(data: &[u8], known: &mut Known) -> Layer {
    let mut layer = Layer { name: "isakmp", ..Layer::default() };
    let mut scope = Scope::new(data, 0, &mut layer.problems);
    if let Some((numbers, body)) = header(&mut scope, data.len()) {
        match numbers.version >> 4 {
            2 => v2::body(&numbers, data, body, known, &mut scope),
            1 => v1::body(&numbers, data, body, known, &mut scope),
            major => {
                scope.problem_at(17, format!("version {major} of IKE is not known: expected 1 or 2"));
                scope.remainder("isakmp.extradata", "Data");
            }
        }
        if !scope.is_empty() {
            scope.remainder("isakmp.extradata", "Extra data");
        }
    }
    layer.fields = scope.fields;
    layer
}

/// Reads the header; gives its numbers, and how many bytes of payloads follow.
fn header(scope: &mut Scope<'_, '_>, have: usize) -> Option<(Numbers, usize)> {
    // The names of the cookies and flags differ between the versions.
    let version = *scope.peek().get(17)?;
    let two = version >> 4 == 2;
    let (spi_i, spi_r) =
        if two { ("Initiator SPI", "Responder SPI") } else { ("Initiator Cookie", "Responder Cookie") };
    let initiator = u64::from_be_bytes(*scope.bytes("isakmp.ispi", 8, spi_i)?.first_chunk()?);
    let responder = u64::from_be_bytes(*scope.bytes("isakmp.rspi", 8, spi_r)?.first_chunk()?);
    let payload =
        |n: u64| format!("Next Payload - {}", if two { v2::payload_name(n as u8) } else { v1::payload_name(n as u8) });
    let first = scope.number("isakmp.nextpayload", 1, payload)? as u8;
    scope.number("isakmp.version", 1, |n| format!("Version: {}.{}", n >> 4, n & 15))?;
    scope.bits("isakmp.mjver", u64::from(version >> 4));
    scope.bits("isakmp.mnver", u64::from(version & 15));
    let exchange =
        scope.number("isakmp.exchangetype", 1, |n| format!("Exchange Type - {}", exchange_name(n as u8)))? as u8;
    let flags = scope.number("isakmp.flags", 1, |n| format!("Flags -{}", flag_names(n as u8, two)))? as u8;
    for (name, bit) in flag_bits(two) {
        scope.bits(name, u64::from(flags & bit != 0));
    }
    let message_id = scope.number("isakmp.messageid", 4, |_| "Message ID".into())? as u32;
    let length = scope.number("isakmp.length", 4, |n| format!("Length - {n}"))? as usize;
    if two && flags & 0x10 != 0 {
        scope.problem_at(19, "flag V is set: the sender says that it speaks a higher version of IKE (RFC 7296 §3.1)");
    }
    if initiator == 0 {
        scope.problem_at(0, "the initiator's SPI is zero, which no sender may choose (RFC 7296 §3.1)");
    }
    let numbers = Numbers {
        initiator: IkeSpi(initiator),
        responder: IkeSpi(responder),
        first,
        version,
        exchange,
        flags,
        message_id,
    };
    if length != have {
        scope.problem_at(24, format!("the message has {length} bytes by its header, and {have} are there"));
    }
    match length.checked_sub(Header::LEN) {
        Some(body) => Some((numbers, body.min(have - Header::LEN))),
        None => {
            scope.remainder("isakmp.extradata", "Data");
            None
        }
    }
}

fn exchange_name(number: u8) -> String {
    match number {
        0 => "NONE".into(),
        1 => "Base".into(),
        2 => "Identity Protection (Main Mode)".into(),
        5 => "Informational".into(),
        6 => "Transaction (Config Mode)".into(),
        n => ExchangeType(n).to_string(),
    }
}

fn flag_bits(two: bool) -> [(&'static str, u8); 3] {
    if two {
        [("isakmp.flag_i", 0x08), ("isakmp.flag_v", 0x10), ("isakmp.flag_r", 0x20)]
    } else {
        [("isakmp.flag_e", 0x01), ("isakmp.flag_c", 0x02), ("isakmp.flag_a", 0x04)]
    }
}

fn flag_names(flags: u8, two: bool) -> String {
    let names: &[(&str, u8)] = if two {
        &[(" Initiator", 0x08), (" Version", 0x10), (" Response", 0x20)]
    } else {
        &[(" Encryption", 0x01), (" Commit", 0x02), (" Authentication only", 0x04)]
    };
    names.iter().filter(|(_, bit)| flags & bit != 0).map(|(name, _)| *name).collect()
}
