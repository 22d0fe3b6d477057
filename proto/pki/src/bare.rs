//! Signatures of IKEv1: over HASH_I and HASH_R, which are not hashed again (RFC 2409 §5.1, RFC 4754). The kind of our key is
//! what the initiator offers as the authentication method.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::CryptoProvider;
use ravelin_crypto::signature::{KeyKind, PrivateKey, SignatureScheme};

use crate::algorithm;
use crate::auth::{Credential, ECDSA, Proof, Refusal};

/// The authentication method of RSA signatures (RFC 2409 appendix A); those of ECDSA are those of IKEv2.
const RSA: u16 = 3;

impl Proof {
    /// The method of a signature of IKEv1, which does not carry its own; reserved in IKEv2.
    pub const BARE: u8 = 0;
}

impl Credential {
    /// The authentication method of IKEv1 that our key serves (RFC 2409 appendix A, RFC 4754 §6). `None`: there is none for
    /// keys of its kind.
    pub fn method_v1(&self, crypto: &CryptoProvider) -> Option<u16> {
        match crypto.signatures?.public_key(&self.spki).ok()?.kind() {
            KeyKind::Rsa(_) => Some(RSA),
            kind => {
                ECDSA.iter().find(|(_, bits, ..)| kind == KeyKind::Ecdsa(*bits)).map(|(method, ..)| (*method).into())
            }
        }
    }

    /// The signature over a hash.
    ///
    /// # Errors
    /// When keys of this kind have no part in IKEv1, or the key fails.
    pub fn prove_bare(&self, key: &dyn PrivateKey, hash: &[u8]) -> Result<Proof, Refusal> {
        let kind = key.kind();
        let signature = key.sign(SignatureScheme::Bare, hash).map_err(|bad| Refusal::Key(bad.to_string()))?;
        let data = match coordinate(kind) {
            None => signature,
            Some(len) => algorithm::ecdsa_to_raw(&signature, len).ok_or(Refusal::NoCommonScheme(kind))?,
        };
        Ok(Proof { method: Proof::BARE, data })
    }
}

/// The scheme of a peer's signature with a key of this kind, and the signature in the form of the provider. `None`: it is
/// none.
pub(crate) fn received(kind: KeyKind, data: &[u8]) -> Option<(Vec<SignatureScheme>, Vec<u8>)> {
    let signature = match (kind, coordinate(kind)) {
        (KeyKind::Rsa(_), _) => Some(data.to_vec()),
        // RFC 4754 §7: both numbers in full length.
        (_, Some(len)) if data.len() == 2 * len => algorithm::ecdsa_from_raw(data),
        _ => None,
    };
    signature.map(|signature| (vec![SignatureScheme::Bare], signature))
}

/// Bytes of a number of an ECDSA signature.
fn coordinate(kind: KeyKind) -> Option<usize> {
    ECDSA.iter().find(|(_, bits, ..)| kind == KeyKind::Ecdsa(*bits)).map(|(.., len)| *len)
}
