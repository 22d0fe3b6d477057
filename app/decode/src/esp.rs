//! ESP and AH packets (RFC 4303 §2, RFC 4302 §2), opened with keys that name their SA.

use std::net::IpAddr;

use crate::field::Layer;
use crate::keys::{EspKeys, Keys};
use crate::known::Options;
use crate::scope::Scope;

/// What is inside: the next header and its bytes.
type Opened<T> = Option<(u8, T)>;

/// Reads an ESP packet, and opens it where a key fits.
pub(crate) fn esp(packet: &[u8], ends: (IpAddr, IpAddr), keys: &Keys, options: Options) -> (Layer, Opened<Vec<u8>>) {
    let mut layer = Layer { name: "esp", ..Layer::default() };
    let mut scope = Scope::new(packet, 0, &mut layer.problems);
    let spi = scope.number("esp.spi", 4, |n| format!("ESP SPI - {n:#010x}"));
    let sequence = spi.and_then(|_| scope.number("esp.sequence", 4, |n| format!("ESP Sequence - {n}")));
    if spi == Some(0) {
        scope.problem_at(0, "SPI 0 never stands on the wire (RFC 4303 §2.1)");
    }
    let mut opened = None;
    if let (Some(spi), Some(_)) = (spi, sequence) {
        match keys.esp(spi as u32, ends.0, ends.1) {
            Some(keys) => opened = open(packet, keys, options, &mut scope),
            None => {
                scope.remainder("esp.encrypted_data", "Encrypted data; no key is given for this SPI");
            }
        }
    }
    layer.fields = scope.fields;
    (layer, opened)
}

fn open(packet: &[u8], keys: &EspKeys, options: Options, scope: &mut Scope<'_, '_>) -> Opened<Vec<u8>> {
    let body = scope.peek().len();
    let Some(text_len) = body.checked_sub(keys.iv_len() + keys.icv_len()) else {
        let least = keys.iv_len() + keys.icv_len();
        scope.problem(format!("IV and ICV of {} take {least} bytes, and only {body} are left", keys.names()));
        return None;
    };
    let iv = scope.bytes("esp.iv", keys.iv_len(), "IV")?;
    let text_at = scope.at();
    let text = scope.bytes("esp.encrypted_data", text_len, "Encrypted data")?;
    let icv_at = scope.at();
    let icv = scope.bytes("esp.icv", keys.icv_len(), "Integrity Check Value")?;
    let header = packet.first_chunk::<8>()?;
    let verified = keys.open(header, iv, text, icv);
    let plain = match verified {
        Ok(plain) => {
            scope.bits("esp.icv_good", 1);
            scope.bits("esp.icv_bad", 0);
            plain
        }
        Err(unverified) => {
            scope.bits("esp.icv_good", 0);
            scope.bits("esp.icv_bad", 1);
            scope.problem_at(icv_at, format!("the ICV does not verify with the key given ({})", keys.names()));
            unverified.filter(|_| options.ignore_icv)?
        }
    };
    inside(&plain, text_at, scope)
}

/// Splits what was decrypted into the payload and the trailer (RFC 4303 §2.4 to §2.6).
fn inside(plain: &[u8], at: usize, scope: &mut Scope<'_, '_>) -> Opened<Vec<u8>> {
    let (trailer_at, pad_len) = match plain.len().checked_sub(2).map(|at| (at, usize::from(plain[at]))) {
        Some((trailer_at, pad_len)) if pad_len <= trailer_at => (trailer_at, pad_len),
        _ => {
            scope.problem_at(at, "the pad length is greater than what was decrypted: another key, or a damaged packet");
            return None;
        }
    };
    let mut inner = Scope::new(plain, at, scope.problems);
    inner.bytes("esp.contained_data", trailer_at - pad_len, "Contained data")?;
    if pad_len > 0 {
        let pad = inner.bytes("esp.pad", pad_len, "Pad")?;
        // RFC 4303 §2.4: 1, 2, 3 and so on.
        if pad.iter().zip(1u8..).any(|(byte, expected)| *byte != expected) {
            inner.problem_at(at + trailer_at - pad_len, "the padding is not 1, 2, 3 and so on");
        }
    }
    inner.number("esp.pad_len", 1, |n| format!("Pad Length - {n}"))?;
    let next = inner.number("esp.protocol", 1, |n| format!("Next header - {n}"))?;
    let fields = inner.fields;
    scope.hush("esp.encrypted_data");
    scope.fields.extend(fields);
    Some((next as u8, plain[..trailer_at - pad_len].to_vec()))
}

/// Reads an AH header; what follows is in the clear.
pub(crate) fn ah(packet: &[u8]) -> (Layer, Opened<&[u8]>) {
    let mut layer = Layer { name: "ah", ..Layer::default() };
    let mut scope = Scope::new(packet, 0, &mut layer.problems);
    let inside = (|| {
        let next = scope.number("ah.next_header", 1, |n| format!("Next header - {n}"))?;
        let length = scope.number("ah.length", 1, |n| format!("Length - {} bytes", (n + 2) * 4))?;
        scope.bytes("ah.reserved", 2, "Reserved")?;
        scope.number("ah.spi", 4, |n| format!("AH SPI - {n:#010x}"))?;
        scope.number("ah.sequence", 4, |n| format!("AH Sequence - {n}"))?;
        // RFC 4302 §2.2: 32-bit words, less 2, of which three are the fixed part.
        let Some(icv) = ((length as usize + 2) * 4).checked_sub(12) else {
            scope.problem_at(1, "the length is less than that of the header itself");
            return None;
        };
        scope.bytes("ah.icv", icv, "Integrity Check Value")?;
        Some((next as u8, scope.peek()))
    })();
    layer.fields = scope.fields;
    (layer, inside)
}
