//! Files with certificates and keys, as tools write them: PEM or DER; PKCS #1, SEC 1, PKCS #8 with and without a
//! passphrase; PKCS #12.

use std::fmt;

use pkcs8::der::Decode;
use pkcs8::spki::SubjectPublicKeyInfoRef;
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use ravelin_types::Secret;

use crate::pkcs12;
use crate::sys::{self, Key};

/// Blocks of one file that are looked at.
const MAX_BLOCKS: usize = 256;

/// What a file holds. Everything is DER.
#[derive(Debug, Default)]
pub struct Contents {
    /// Certificates, in the order of the file.
    pub certificates: Vec<Vec<u8>>,
    /// Certificate revocation lists.
    pub crls: Vec<Vec<u8>>,
    /// Attribute certificates.
    pub attributes: Vec<Vec<u8>>,
    /// Public keys, each a SubjectPublicKeyInfo.
    pub public_keys: Vec<Vec<u8>>,
    /// Private keys, each PKCS #8 without a passphrase; those of kinds that are not built in here as they came.
    pub private_keys: Vec<Secret>,
}

/// Why a file cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadContainer {
    /// A key or the file is under a passphrase, and none was given.
    NeedsPassphrase,
    /// The passphrase is not the right one, or what it protects is damaged.
    WrongPassphrase,
    /// A private key that cannot be read, or of a kind that is not built in.
    BadKey,
    /// Nothing in it that is known.
    Unknown,
}

impl Contents {
    /// Reads the content of a file.
    ///
    /// # Errors
    /// When nothing in it is known, or a key in it cannot be had.
    pub fn read(bytes: &[u8], passphrase: Option<&Secret>) -> Result<Self, BadContainer> {
        let mut contents = Contents::default();
        let blocks = sys::pem(bytes, MAX_BLOCKS);
        if blocks.is_empty() {
            contents.der(bytes, passphrase)?;
        }
        for block in blocks {
            match block.label.as_str() {
                "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => {
                    contents.certificates.push(block.data.to_vec());
                }
                "ATTRIBUTE CERTIFICATE" => contents.attributes.push(block.data.to_vec()),
                "X509 CRL" => contents.crls.push(block.data.to_vec()),
                "PUBLIC KEY" => contents.public_keys.push(block.data.to_vec()),
                "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" | "DSA PRIVATE KEY" => {
                    let key = match &block.header {
                        None => private(&block.data),
                        // As OpenSSL wrote it before PKCS #8. Its padding may be right by chance with a wrong passphrase.
                        Some(header) => {
                            let passphrase = passphrase.ok_or(BadContainer::NeedsPassphrase)?;
                            let plain = sys::opened(header, &block.data, passphrase.expose());
                            let key = plain.and_then(|plain| private(&plain));
                            Some(key.ok_or(BadContainer::WrongPassphrase)?)
                        }
                    };
                    contents.private_keys.push(key.ok_or(BadContainer::BadKey)?);
                }
                "ENCRYPTED PRIVATE KEY" => contents.encrypted(&block.data, passphrase)?,
                _ => {}
            }
        }
        let found = !contents.certificates.is_empty()
            || !contents.crls.is_empty()
            || !contents.attributes.is_empty()
            || !contents.public_keys.is_empty()
            || !contents.private_keys.is_empty();
        if found { Ok(contents) } else { Err(BadContainer::Unknown) }
    }

    /// Tries one form after the other. Certificates, those of attributes and revocation lists are told apart by whoever decodes them.
    fn der(&mut self, bytes: &[u8], passphrase: Option<&Secret>) -> Result<(), BadContainer> {
        let given = passphrase.map_or(&b""[..], Secret::expose);
        if let Some((key, certificates)) = sys::pkcs12(bytes, given) {
            self.certificates = certificates;
            self.private_keys = key.map(|key| own(key).ok_or(BadContainer::BadKey)).transpose()?.into_iter().collect();
            return Ok(());
        }
        if let Some((key, certificates)) = pkcs12::open(bytes, given) {
            self.certificates = certificates;
            self.private_keys =
                key.map(|key| private(key.expose()).ok_or(BadContainer::BadKey)).transpose()?.into_iter().collect();
            return Ok(());
        }
        if let Some(key) = private(bytes) {
            self.private_keys.push(key);
            return Ok(());
        }
        if EncryptedPrivateKeyInfoRef::from_der(bytes).is_ok() {
            return self.encrypted(bytes, passphrase);
        }
        if is_pfx(bytes) {
            return Err(if passphrase.is_some() {
                BadContainer::WrongPassphrase
            } else {
                BadContainer::NeedsPassphrase
            });
        }
        if SubjectPublicKeyInfoRef::from_der(bytes).is_ok() {
            self.public_keys.push(bytes.to_vec());
        } else if bytes.first() == Some(&0x30) {
            self.certificates.push(bytes.to_vec());
        }
        Ok(())
    }

    fn encrypted(&mut self, der: &[u8], passphrase: Option<&Secret>) -> Result<(), BadContainer> {
        let passphrase = passphrase.ok_or(BadContainer::NeedsPassphrase)?;
        let key = match sys::encrypted_private(der, passphrase.expose()) {
            Some(key) => own(key),
            // What the library decrypts, it reads too: keys of kinds that it does not know are decrypted apart.
            None => {
                let info = EncryptedPrivateKeyInfoRef::from_der(der).map_err(|_| BadContainer::BadKey)?;
                let plain = info.decrypt(passphrase.expose()).map_err(|_| BadContainer::WrongPassphrase)?;
                private(plain.as_bytes())
            }
        };
        self.private_keys.push(key.ok_or(BadContainer::BadKey)?);
        Ok(())
    }
}

/// A private key in any of the forms of DER, as PKCS #8. One of a kind that the library does not know may be one of another
/// provider.
fn private(der: &[u8]) -> Option<Secret> {
    match sys::any_private(der) {
        Some(key) => own(key),
        None => PrivateKeyInfoRef::from_der(der).ok().map(|_| Secret::from(der)),
    }
}

/// One of a kind that is built in here.
fn own(key: Key) -> Option<Secret> {
    key.family().map(|_| Secret::from(&key.private_info()[..]))
}

/// Whether it begins as PKCS #12 does: a sequence with the version 3 in front (RFC 7292 §4).
fn is_pfx(bytes: &[u8]) -> bool {
    let body = match bytes {
        [0x30, len, body @ ..] if *len < 0x80 => body,
        [0x30, 0x81, _, body @ ..] | [0x30, 0x82, _, _, body @ ..] | [0x30, 0x83, _, _, _, body @ ..] => body,
        _ => return false,
    };
    body.starts_with(&[2, 1, 3])
}

impl fmt::Display for BadContainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadContainer::NeedsPassphrase => "the key is under a passphrase; give it, or take the key out of it",
            BadContainer::WrongPassphrase => "the passphrase is not the right one, or the file is damaged",
            BadContainer::BadKey => {
                "the private key cannot be read; RSA, ECDSA (P-256, P-384, P-521, brainpoolP256r1, brainpoolP384r1, \
                                     brainpoolP512r1), Ed25519, Ed448, ML-DSA and DSA keys are built in"
            }
            BadContainer::Unknown => "no certificate and no key is in it; PEM, DER and PKCS #12 are read",
        })
    }
}

impl std::error::Error for BadContainer {}
