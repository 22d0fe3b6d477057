//! Signatures that do not say by what they are made. Those of IKEv1 are over HASH_I and HASH_R, which are not hashed again
//! (RFC 2409 §5.1, RFC 4754), and the kind of our key is what the initiator offers as the authentication method. In both
//! versions, two numbers stand behind each other in full length.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::CryptoProvider;
use ravelin_crypto::signature::{KeyKind, PrivateKey, SignatureScheme};

use crate::algorithm;
use crate::auth::{Credential, ECDSA, Proof, Refusal};

/// The authentication methods of DSS and RSA signatures (RFC 2409 appendix A); those of ECDSA are those of IKEv2.
const DSS: u16 = 2;
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
            KeyKind::Dsa(..) => Some(DSS).filter(|_| self.restrictions.dsa),
            kind => {
                ECDSA.iter().find(|(_, curve, _)| kind == KeyKind::Ecdsa(*curve)).map(|(method, ..)| (*method).into())
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
        let data = payload(kind, signature).ok_or(Refusal::NoCommonScheme(kind))?;
        Ok(Proof { method: Proof::BARE, data })
    }
}

/// The scheme of a peer's signature with a key of this kind, and the signature in the form of the provider. `None`: it is
/// none.
pub(crate) fn received(kind: KeyKind, data: &[u8]) -> Option<(Vec<SignatureScheme>, Vec<u8>)> {
    let signature = match kind {
        KeyKind::Rsa(_) => Some(data.to_vec()),
        kind => numbers(kind, data),
    };
    signature.map(|signature| (vec![SignatureScheme::Bare], signature))
}

/// A signature of two numbers in the form of the provider, from `r | s`, both in full length (RFC 4754 §7, RFC 2409 §5.1).
/// `None`: it is none of a key of this kind.
pub(crate) fn numbers(kind: KeyKind, data: &[u8]) -> Option<Vec<u8>> {
    Some(data).filter(|data| Some(data.len()) == number(kind).map(|len| 2 * len)).and_then(algorithm::from_raw)
}

/// What goes into the payload: a signature of RSA as it is, one of two numbers as `r | s`. `None`: keys of this kind make
/// none that do not say how they are made.
pub(crate) fn payload(kind: KeyKind, signature: Vec<u8>) -> Option<Vec<u8>> {
    match kind {
        KeyKind::Rsa(_) => Some(signature),
        kind => algorithm::to_raw(&signature, number(kind)?),
    }
}

/// Bytes of each number of a signature.
fn number(kind: KeyKind) -> Option<usize> {
    let bits = match kind {
        // The methods of RFC 4754 are for one curve each.
        KeyKind::Ecdsa(curve) => ECDSA.iter().find(|(_, known, _)| *known == curve).map(|_| curve.bits())?,
        KeyKind::Dsa(_, order) => order,
        _ => return None,
    };
    Some(usize::from(bits.div_ceil(8)))
}
