//! Where a key is, as a `pkcs11:` URI has it (RFC 7512).

use std::fmt;
use std::path::PathBuf;

/// The beginning of every such URI.
const SCHEME: &str = "pkcs11:";

/// Where a key is. What is not said may be anything; only one key may be left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The library that speaks to the token.
    pub module: Module,
    /// Label of the token.
    pub token: Option<String>,
    /// Serial number of the token.
    pub serial: Option<String>,
    /// Who made the token.
    pub manufacturer: Option<String>,
    /// Model of the token.
    pub model: Option<String>,
    /// The slot it is in.
    pub slot: Option<u64>,
    /// Label of the key (CKA_LABEL).
    pub object: Option<String>,
    /// Identifier of the key (CKA_ID).
    pub id: Option<Vec<u8>>,
    /// The file with the PIN.
    pub pin_source: Option<PathBuf>,
}

/// A library that speaks PKCS #11.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Module {
    /// The proxy of p11-kit, which has all that are registered with it.
    #[default]
    Proxy,
    /// The one that is registered with p11-kit under this name.
    Named(String),
    /// The one in this file.
    File(PathBuf),
}

/// Why a URI cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPlace(String);

impl Place {
    /// Whether a text is meant as such a URI.
    pub fn is_meant(text: &str) -> bool {
        text.get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
    }

    /// Reads a URI (RFC 7512 §2.3).
    ///
    /// # Errors
    /// What is wrong with it, and what was expected.
    pub fn parse(text: &str) -> Result<Self, BadPlace> {
        let rest = text.get(SCHEME.len()..).filter(|_| Self::is_meant(text));
        let rest = rest.ok_or_else(|| BadPlace(format!("a place of a key begins with {SCHEME}")))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut place = Place::default();
        let mut seen: Vec<&str> = Vec::new();
        let path = path.split(';').map(|pair| (pair, true));
        for (pair, in_path) in path.chain(query.split('&').map(|pair| (pair, false))) {
            if pair.is_empty() {
                continue;
            }
            let (name, value) =
                pair.split_once('=').ok_or_else(|| BadPlace(format!("`{pair}`: expected NAME=VALUE")))?;
            if seen.contains(&name) {
                return Err(BadPlace(format!("`{name}` stands there twice")));
            }
            seen.push(name);
            let value =
                decode(value).ok_or_else(|| BadPlace(format!("`{pair}`: not two hexadecimal digits after %")))?;
            place.take(name, value, in_path)?;
        }
        Ok(place)
    }

    fn take(&mut self, name: &str, value: Vec<u8>, in_path: bool) -> Result<(), BadPlace> {
        if in_path && name == "id" {
            self.id = Some(value);
            return Ok(());
        }
        let value = String::from_utf8(value).map_err(|_| BadPlace(format!("`{name}` is not UTF-8")))?;
        match (in_path, name) {
            (true, "token") => self.token = Some(value),
            (true, "serial") => self.serial = Some(value),
            (true, "manufacturer") => self.manufacturer = Some(value),
            (true, "model") => self.model = Some(value),
            (true, "object") => self.object = Some(value),
            (true, "slot-id") => {
                let slot = value.parse().map_err(|_| BadPlace(format!("`slot-id={value}`: expected a number")))?;
                self.slot = Some(slot);
            }
            (true, "type") if value == "private" => {}
            (true, "type") => return Err(BadPlace(format!("`type={value}`: expected `private`"))),
            (false, "module-name") => self.module = Module::Named(value),
            (false, "module-path") => self.module = Module::File(value.into()),
            (false, "pin-source") => self.pin_source = Some(file(&value)?),
            (false, "pin-value") => {
                let why = "`pin-value`: everybody would see the PIN; put it into a file that only its owner can read, \
                           and name that: pin-source=file:/…";
                return Err(BadPlace(why.to_owned()));
            }
            _ => {
                return Err(BadPlace(format!(
                    "`{name}` is not known; expected token, serial, manufacturer, model, slot-id, object, id and type, \
                     and behind a ? module-name, module-path and pin-source"
                )));
            }
        }
        Ok(())
    }
}

/// The file of `pin-source` (RFC 7512 §2.4): a path, or a `file:` URI of this host.
fn file(value: &str) -> Result<PathBuf, BadPlace> {
    let path = match value.strip_prefix("file:") {
        Some(rest) => rest.strip_prefix("//localhost").or_else(|| rest.strip_prefix("//")).unwrap_or(rest),
        None => value,
    };
    match path.starts_with('/') {
        true => Ok(path.into()),
        // Programs, which RFC 7512 §2.4 writes with a |, are not run.
        false => Err(BadPlace(format!("`pin-source={value}`: expected file:/PATH"))),
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                let digits = std::str::from_utf8(&digits).ok().filter(|digits| !digits.starts_with('+'))?;
                u8::from_str_radix(digits, 16).ok()?
            }
            byte => byte,
        });
    }
    Some(decoded)
}

impl fmt::Display for Place {
    /// For people: what is known of the key and its token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key")?;
        if let Some(object) = &self.object {
            write!(f, " {object}")?;
        }
        if let Some(id) = &self.id {
            f.write_str(" of the ID ")?;
            id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Module::Proxy => f.write_str("the proxy of p11-kit"),
            Module::Named(name) => write!(f, "the module {name}"),
            Module::File(path) => write!(f, "the module {}", path.display()),
        }
    }
}

impl fmt::Display for BadPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadPlace {}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7512 §3.
    #[test]
    fn the_examples_of_the_rfc_are_understood_where_they_name_a_private_key() {
        let place = Place::parse(
            "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;\
             object=my-certificate;type=private;id=%69%95%3E%5C%F4%BD%EC%91;serial=\
             ?pin-source=file:/etc/token_pin",
        )
        .unwrap();
        assert_eq!(place.token.as_deref(), Some("The Software PKCS#11 Softtoken"));
        assert_eq!(place.manufacturer.as_deref(), Some("Snake Oil, Inc."));
        assert_eq!(place.id.as_deref(), Some(&[0x69, 0x95, 0x3e, 0x5c, 0xf4, 0xbd, 0xec, 0x91][..]));
        assert_eq!(place.pin_source, Some("/etc/token_pin".into()));
        assert_eq!(Place::parse("pkcs11:"), Ok(Place::default()));
        let named = Place::parse("pkcs11:object=my-sign-key;type=private?module-name=mypkcs11").unwrap();
        assert_eq!(named.module, Module::Named("mypkcs11".into()));
        let file = Place::parse("PKCS11:slot-id=327?module-path=/mnt/libmypkcs11.so.1").unwrap();
        assert_eq!((file.slot, file.module), (Some(327), Module::File("/mnt/libmypkcs11.so.1".into())));
    }

    #[test]
    fn what_cannot_be_taken_is_said_with_what_was_expected() {
        for (text, why) in [
            ("file:/x", "begins with pkcs11:"),
            ("pkcs11:object", "expected NAME=VALUE"),
            ("pkcs11:object=%4", "two hexadecimal digits"),
            ("pkcs11:object=%+4", "two hexadecimal digits"),
            ("pkcs11:object=%ff", "not UTF-8"),
            ("pkcs11:object=a;object=b", "twice"),
            ("pkcs11:type=cert", "expected `private`"),
            ("pkcs11:colour=red", "not known"),
            ("pkcs11:slot-id=x", "expected a number"),
            ("pkcs11:?pin-value=1234", "everybody would see the PIN"),
            ("pkcs11:?pin-source=%7C/usr/bin/pinomatic", "expected file:/PATH"),
        ] {
            let said = Place::parse(text).unwrap_err().to_string();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
