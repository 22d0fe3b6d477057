//! Private keys on PKCS #11 tokens: how an operator names them, and what strongSwan's files and VICI say of them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use ravelin_crypto::signature::PrivateKey;
use ravelin_crypto_aws_lc::PROVIDER;
use ravelin_pkcs11::{Key, Module, Place, Trouble};
use ravelin_types::Secret;

use crate::secret;
use crate::swanctl::reader::Reader;
use crate::value::unhex;

/// Where a private key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyAt {
    /// In a file.
    File(PathBuf),
    /// On a token: a `pkcs11:` URI as written.
    Token(String),
}

/// A file, or a `pkcs11:` URI (RFC 7512).
///
/// # Errors
/// What is wrong with the URI.
pub fn key_at(text: &str) -> Result<KeyAt, String> {
    if !Place::is_meant(text) {
        return Ok(KeyAt::File(text.into()));
    }
    Place::parse(text).map(|_| KeyAt::Token(text.to_owned())).map_err(|bad| bad.to_string())
}

/// The key that a URI names.
pub(super) fn open(uri: &str) -> Result<Arc<dyn PrivateKey>, Trouble> {
    let place = Place::parse(uri)?;
    let read = |path: &PathBuf| secret::read(path).map_err(|error| Trouble::Pin(path.clone(), error.to_string()));
    let pin = place.pin_source.as_ref().map(read).transpose()?;
    Ok(Arc::new(Key::open(&place, pin, PROVIDER)?))
}

/// What strongSwan says of a key on a token: `handle` is its CKA_ID; `module` the name under which p11-kit has it, or the
/// path of its library.
pub struct TokenKey {
    place: Place,
    pin: Option<Secret>,
}

impl TokenKey {
    /// Reads a section `token…` of `secrets`, or the message `load-token`.
    pub fn read(mut reader: Reader<'_>) -> Option<Self> {
        let id = reader.value("handle", |text| unhex(text).ok_or_else(|| "expected hexadecimal digits".to_owned()));
        let slot = reader.value("slot", |text| text.parse::<u64>().map_err(|_| "expected a number".to_owned()));
        let module = reader.value("module", |text| {
            Ok(match text.contains('/') {
                true => Module::File(text.into()),
                false => Module::Named(text.to_owned()),
            })
        });
        let pin = reader.setting("pin").map(|setting| setting.bytes().map(Secret::from));
        let pin = pin.and_then(|pin| reader.problems.take(pin));
        if id.is_none() {
            reader.wrong("`handle` with the ID of the key (CKA_ID) is missing");
        }
        reader.finish(&[]);
        let place = Place { id: Some(id?), slot, module: module.unwrap_or_default(), ..Place::default() };
        Some(TokenKey { place, pin })
    }

    /// The key.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn open(&self) -> Result<Arc<dyn PrivateKey>, String> {
        let key = Key::open(&self.place, self.pin.clone(), PROVIDER).map_err(|trouble| trouble.to_string())?;
        Ok(Arc::new(key))
    }
}

impl fmt::Display for KeyAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyAt::File(path) => path.display().fmt(f),
            KeyAt::Token(uri) => f.write_str(uri),
        }
    }
}
