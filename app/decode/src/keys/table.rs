//! The lines of Wireshark's tables.
//!
//! ```text
//!   ikev1_decryption_table   initiator cookie, encryption key
//!   ikev2_decryption_table   initiator SPI, responder SPI, SK_ei, SK_er, cipher, SK_ai, SK_ar, MAC
//!   esp_sa                   IPv4 or IPv6, source, destination, SPI, cipher, its key, MAC, its key [, ...]
//! ```
//! Fields are separated by commas and may be in quotes. In `esp_sa` an address or an SPI may be `*`.

use std::fmt;
use std::net::IpAddr;

use ravelin_types::{IkeSpi, Secret};

use super::cipher::{EspKeys, IkeKeys};

/// The longest key in bytes.
const MAX_KEY: usize = 256;

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for BadLine {}

/// A line that was read.
pub(super) enum Line {
    Ikev1(IkeSpi, Secret),
    Ikev2((IkeSpi, IkeSpi), IkeKeys),
    Esp(EspKeys),
}

/// Reads one line that is neither empty nor a comment.
pub(super) fn parse(line: &str) -> Result<Line, String> {
    let fields: Vec<&str> = line.split(',').map(|field| field.trim().trim_matches('"')).collect();
    match fields.as_slice() {
        [cookie, key] => Ok(Line::Ikev1(ike_spi(cookie)?, secret(key)?)),
        [family, src, dst, spi, cipher, key, mac, mac_key, ..] if family.to_ascii_lowercase().starts_with("ipv") => {
            let keys = EspKeys::new(
                (any(spi, self::spi)?, any(src, address)?, any(dst, address)?),
                (cipher, &secret(key)?),
                (mac, &secret(mac_key)?),
            )?;
            Ok(Line::Esp(keys))
        }
        [spi_i, spi_r, sk_ei, sk_er, cipher, sk_ai, sk_ar, mac] => {
            let encr = [&secret(sk_ei)?, &secret(sk_er)?];
            let integ = [&secret(sk_ai)?, &secret(sk_ar)?];
            Ok(Line::Ikev2((ike_spi(spi_i)?, ike_spi(spi_r)?), IkeKeys::new((cipher, encr), (mac, integ))?))
        }
        other => Err(format!(
            "{} fields: expected 2 (IKEv1: cookie and key), 8 (IKEv2: two SPIs, SK_ei, SK_er, cipher, SK_ai, SK_ar, MAC) or 8 \
             that begin with IPv4 or IPv6 (ESP: source, destination, SPI, cipher, key, MAC, key)",
            other.len()
        )),
    }
}

fn any<T>(field: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if field == "*" { Ok(None) } else { read(field).map(Some) }
}

fn address(field: &str) -> Result<IpAddr, String> {
    field.parse().map_err(|_| format!("`{field}` is no IP address (nor `*` for any)"))
}

fn spi(field: &str) -> Result<u32, String> {
    let digits = field.strip_prefix("0x").unwrap_or(field);
    u32::from_str_radix(digits, 16).map_err(|_| format!("`{field}` is no SPI of 32 bits in hexadecimal"))
}

fn ike_spi(field: &str) -> Result<IkeSpi, String> {
    let digits = field.strip_prefix("0x").unwrap_or(field);
    let spi = if digits.len() == 16 { u64::from_str_radix(digits, 16).ok() } else { None };
    spi.map(IkeSpi).ok_or_else(|| format!("`{field}` is no SPI or cookie of 16 hexadecimal digits"))
}

/// A key in hexadecimal. An error does not repeat it.
fn secret(field: &str) -> Result<Secret, String> {
    let digits = field.strip_prefix("0x").or_else(|| field.strip_prefix("0X")).unwrap_or(field).as_bytes();
    if !digits.len().is_multiple_of(2) || digits.len() > 2 * MAX_KEY {
        return Err(format!(
            "a key has {} hexadecimal digits: expected an even number up to {}",
            digits.len(),
            2 * MAX_KEY
        ));
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    let byte = |pair: &[u8]| Some((nibble(pair[0])? << 4 | nibble(pair[1])?) as u8);
    let bytes: Option<Vec<u8>> = digits.chunks_exact(2).map(byte).collect();
    bytes
        .map(|bytes| Secret::from(bytes.as_slice()))
        .ok_or_else(|| "a key has characters that are not hexadecimal digits".into())
}
