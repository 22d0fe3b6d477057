//! Our signatures: by the key of a credential, wherever it is.

use std::fmt;
use std::sync::Arc;

use ravelin_crypto::signature::{KeyKind, PrivateKey};
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

use crate::scheme;

pub(crate) struct Key(pub(crate) Arc<dyn PrivateKey>);

impl SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        // What fits TLS 1.3 goes in TLS 1.2 as well, and PKCS #1 is for peers that offer nothing better.
        let kind = self.0.kind();
        let usable = |version_13| {
            let of_key = |scheme: &SignatureScheme| scheme::with_key(*scheme, kind, version_13).is_some();
            scheme::all().into_iter().find(|scheme| of_key(scheme) && offered.contains(scheme))
        };
        let scheme = usable(true).or_else(|| usable(false))?;
        Some(Box::new(Pen { key: self.0.clone(), scheme }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.0.kind() {
            KeyKind::Rsa(_) => SignatureAlgorithm::RSA,
            KeyKind::Ecdsa(_) => SignatureAlgorithm::ECDSA,
            KeyKind::Ed25519 => SignatureAlgorithm::ED25519,
            KeyKind::Ed448 => SignatureAlgorithm::ED448,
            // TLS has no number for it here, so no scheme is chosen.
            KeyKind::MlDsa(_) | KeyKind::Dsa(..) => SignatureAlgorithm::Unknown(0),
        }
    }
}

struct Pen {
    key: Arc<dyn PrivateKey>,
    scheme: SignatureScheme,
}

impl Signer for Pen {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let scheme = scheme::with_key(self.scheme, self.key.kind(), false)
            .ok_or_else(|| Error::General("our key does not make signatures of this scheme".into()))?;
        self.key
            .sign(scheme, message)
            .map_err(|error| Error::General(format!("our private key does not sign: {error}")))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl fmt::Debug for Pen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pen")
    }
}
