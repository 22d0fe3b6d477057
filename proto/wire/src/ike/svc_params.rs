//! Service parameters of an encrypted DNS resolver, in the wire format of SVCB records (RFC 9460 §2.2).
//!
//! ```text
//!   | key (2) | length (2) | value |     the keys strictly rising
//!   1 alpn      | length | name |, one behind the other (RFC 9460 §7.1.1): which protocols, as dot, h2, h3, doq
//!   3 port      (2), other than that of the protocol (RFC 9460 §7.2)
//!   7 dohpath   a URI template with the variable dns (RFC 9461 §5)
//! ```

use alloc::string::String;
use alloc::vec::Vec;

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const PORT: u16 = 3;
const DOHPATH: u16 = 7;

/// How a resolver is spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SvcParams {
    /// Protocols by their ALPN identifiers.
    pub alpn: Vec<String>,
    /// The port where it is not that of the protocol.
    pub port: Option<u16>,
    /// Where DNS over HTTPS has its queries.
    pub dohpath: Option<String>,
}

impl SvcParams {
    /// Reads them. Keys that are not known are passed over, the address hints too, which addresses stand in the place of (RFC 9464
    /// §3.1). `None`: of a wrong form, or something is mandatory that is not known (RFC 9460 §8).
    pub fn parse(mut bytes: &[u8]) -> Option<Self> {
        let mut params = SvcParams::default();
        let mut mandatory = Vec::new();
        let mut last = None;
        while !bytes.is_empty() {
            let (&[k0, k1, l0, l1], rest) = bytes.split_first_chunk()?;
            let key = u16::from_be_bytes([k0, k1]);
            let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
            bytes = rest;
            if last.replace(key).is_some_and(|last| last >= key) {
                return None;
            }
            match key {
                MANDATORY => {
                    let keys = value.chunks(2).map(|key| Some(u16::from_be_bytes(key.try_into().ok()?)));
                    mandatory = keys.collect::<Option<Vec<u16>>>()?;
                }
                ALPN => params.alpn = alpn(value)?,
                PORT => params.port = Some(u16::from_be_bytes(value.try_into().ok()?)),
                DOHPATH => params.dohpath = Some(printable(value)?),
                _ => {}
            }
        }
        let known = |key: &u16| matches!(*key, ALPN | PORT | DOHPATH);
        mandatory.iter().all(known).then_some(params)
    }

    /// The bytes. A name of a protocol is cut to the 255 octets that its length can say.
    pub fn emit(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut put = |key: u16, value: &[u8]| {
            out.extend_from_slice(&key.to_be_bytes());
            let len = value.len().min(usize::from(u16::MAX));
            out.extend_from_slice(&(len as u16).to_be_bytes());
            out.extend_from_slice(&value[..len]);
        };
        if !self.alpn.is_empty() {
            let mut names = Vec::new();
            for name in &self.alpn {
                let len = name.len().min(255);
                names.push(len as u8);
                names.extend(name.bytes().take(len));
            }
            put(ALPN, &names);
        }
        if let Some(port) = self.port {
            put(PORT, &port.to_be_bytes());
        }
        if let Some(path) = &self.dohpath {
            put(DOHPATH, path.as_bytes());
        }
        out
    }
}

fn alpn(mut value: &[u8]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    while let Some((len, rest)) = value.split_first() {
        let (name, rest) = rest.split_at_checked(usize::from(*len)).filter(|(name, _)| !name.is_empty())?;
        names.push(printable(name)?);
        value = rest;
    }
    (!names.is_empty()).then_some(names)
}

/// A text that may stand in a line of its own: it goes into configurations of others.
fn printable(value: &[u8]) -> Option<String> {
    let fits = !value.is_empty() && value.iter().all(u8::is_ascii_graphic);
    fits.then(|| value.iter().copied().map(char::from).collect())
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    // RFC 9460 §2.2, RFC 9461 §5: keys in order, each by its form.
    #[test]
    fn parameters_come_back_as_they_were() {
        let params = SvcParams {
            alpn: vec!["dot".into(), "h2".into()],
            port: Some(8530),
            dohpath: Some("/dns-query{?dns}".into()),
        };
        let bytes = params.emit();
        assert_eq!(bytes, b"\x00\x01\x00\x07\x03dot\x02h2\x00\x03\x00\x02\x21\x52\x00\x07\x00\x10/dns-query{?dns}");
        assert_eq!(SvcParams::parse(&bytes), Some(params));
        assert_eq!(SvcParams::parse(b""), Some(SvcParams::default()));
        // Hints, and a key that nobody knows; what is mandatory is known.
        let more = b"\x00\x00\x00\x02\x00\x03\x00\x03\x00\x02\x00\x35\x00\x04\x00\x04\x7f\x00\x00\x01\xff\x00\x00\x00";
        assert_eq!(SvcParams::parse(more), Some(SvcParams { port: Some(53), ..SvcParams::default() }));
    }

    #[test]
    fn parameters_of_a_wrong_form_are_refused() {
        for bad in [
            &b"\x00"[..],
            b"\x00\x03\x00\x02\x35",
            b"\x00\x03\x00\x01\x35",
            b"\x00\x01\x00\x00",
            b"\x00\x01\x00\x02\x03d",
            b"\x00\x01\x00\x02\x00\x00",
            b"\x00\x07\x00\x05/a\nb{",
            // Out of order, twice the same.
            b"\x00\x03\x00\x02\x00\x35\x00\x01\x00\x04\x03dot",
            b"\x00\x03\x00\x02\x00\x35\x00\x03\x00\x02\x00\x36",
            // Mandatory, and not known; half a key.
            b"\x00\x00\x00\x02\x00\x09",
            b"\x00\x00\x00\x01\x00",
        ] {
            assert_eq!(SvcParams::parse(bad), None, "{bad:?}");
        }
    }
}
