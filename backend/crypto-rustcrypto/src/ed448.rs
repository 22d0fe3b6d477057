//! Ed448 (RFC 8032), with keys in the forms of RFC 8410.

use alloc::boxed::Box;
use alloc::vec::Vec;

use ed448_goldilocks::elliptic_curve::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePublicKey};
use ed448_goldilocks::{Signature, SigningKey, VerifyingKey};
use ravelin_crypto::signature::{KeyKind, PrivateKey, PublicKey, SignatureScheme, Signatures, Unsigned};
use ravelin_crypto::{BadKey, Forged};

pub(crate) struct Ed448;

/// Keys of Ed448 and of no other kind.
pub(crate) static SIGNATURES: Ed448 = Ed448;

impl Signatures for Ed448 {
    fn public_key(&self, spki: &[u8]) -> Result<Box<dyn PublicKey>, BadKey> {
        let key = VerifyingKey::from_public_key_der(spki).map_err(|_| BadKey)?;
        Ok(Box::new(Public(key)))
    }

    fn private_key(&self, pkcs8: &[u8]) -> Result<Box<dyn PrivateKey>, BadKey> {
        let key = SigningKey::from_pkcs8_der(pkcs8).map_err(|_| BadKey)?;
        Ok(Box::new(Private(key)))
    }
}

struct Public(VerifyingKey);

impl PublicKey for Public {
    fn kind(&self) -> KeyKind {
        KeyKind::Ed448
    }

    fn verify(&self, scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> Result<(), Forged> {
        if scheme != SignatureScheme::Ed448 {
            return Err(Forged);
        }
        let signature = Signature::from_slice(signature).map_err(|_| Forged)?;
        self.0.verify_raw(&signature, message).map_err(|_| Forged)
    }
}

/// The library wipes what is secret in it.
struct Private(SigningKey);

impl PrivateKey for Private {
    fn kind(&self) -> KeyKind {
        KeyKind::Ed448
    }

    fn public_info(&self) -> Vec<u8> {
        self.0.verifying_key().to_public_key_der().map(|der| der.into_vec()).unwrap_or_default()
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, Unsigned> {
        match scheme {
            SignatureScheme::Ed448 => Ok(self.0.sign_raw(message).to_bytes().to_vec()),
            _ => Err(Unsigned::Scheme),
        }
    }
}
