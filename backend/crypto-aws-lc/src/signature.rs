//! Signatures: RSA (PKCS #1 v1.5 and PSS), ECDSA over the curves of NIST and Brainpool, Ed25519, ML-DSA, and DSA.
//!
//! The library draws the randomness of a signature itself: a nonce that repeats gives the private key away, so it is not
//! left to a source that a test can seed.

use ravelin_crypto::signature::{
    EcCurve, HashAlg, KeyKind, MlDsa, PrivateKey, PublicKey, SignatureScheme, Signatures, Unsigned,
};
use ravelin_crypto::{BadKey, Forged};

use crate::sys::{Curve, Digest, Family, Key};

/// Bits of `p` and `q` of DSA (FIPS 186-4 §4.2): others are no DSA, and longer ones would take a verifier's time.
const DSA: [(u32, u16); 4] = [(1024, 160), (2048, 224), (2048, 256), (3072, 256)];

pub(crate) struct AwsLc;

pub(crate) static SIGNATURES: AwsLc = AwsLc;

impl Signatures for AwsLc {
    fn public_key(&self, spki: &[u8]) -> Result<Box<dyn PublicKey>, BadKey> {
        Key::public(spki).and_then(Pair::new).map(|key| Box::new(key) as Box<dyn PublicKey>).ok_or(BadKey)
    }

    fn private_key(&self, pkcs8: &[u8]) -> Result<Box<dyn PrivateKey>, BadKey> {
        Key::private(pkcs8).and_then(Pair::new).map(|key| Box::new(key) as Box<dyn PrivateKey>).ok_or(BadKey)
    }
}

/// A key pair or its public half.
pub(crate) struct Pair {
    key: Key,
    kind: KeyKind,
}

impl Pair {
    fn new(key: Key) -> Option<Self> {
        let kind = match key.family()? {
            Family::Rsa(bits) => KeyKind::Rsa(bits),
            Family::Ec(curve) => KeyKind::Ecdsa(match curve {
                Curve::P256 => EcCurve::P256,
                Curve::P384 => EcCurve::P384,
                Curve::P521 => EcCurve::P521,
                Curve::BrainpoolP256 => EcCurve::BrainpoolP256,
                Curve::BrainpoolP384 => EcCurve::BrainpoolP384,
                Curve::BrainpoolP512 => EcCurve::BrainpoolP512,
                _ => return None,
            }),
            Family::Dsa(p, q) => {
                let (p, q) = *DSA.iter().find(|(bits, order)| (*bits, u32::from(*order)) == (p, q))?;
                key.is_in_group().then_some(KeyKind::Dsa(p, q))?
            }
            Family::Ed25519 => KeyKind::Ed25519,
            Family::MlDsa44 => KeyKind::MlDsa(MlDsa::L44),
            Family::MlDsa65 => KeyKind::MlDsa(MlDsa::L65),
            Family::MlDsa87 => KeyKind::MlDsa(MlDsa::L87),
        };
        Some(Pair { key, kind })
    }
}

fn parts(scheme: SignatureScheme) -> (Digest, bool) {
    let digest = match scheme.hash() {
        Some(HashAlg::Sha1) => Digest::Sha1,
        Some(HashAlg::Sha256) => Digest::Sha256,
        Some(HashAlg::Sha384) => Digest::Sha384,
        Some(HashAlg::Sha512) => Digest::Sha512,
        None => Digest::None,
    };
    (digest, matches!(scheme, SignatureScheme::RsaPss(_)))
}

impl PublicKey for Pair {
    fn kind(&self) -> KeyKind {
        self.kind
    }

    fn verify(&self, scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> Result<(), Forged> {
        let (digest, pss) = parts(scheme);
        let verified = self.kind.makes(scheme)
            && match scheme {
                SignatureScheme::Bare => self.key.verifies_hash(message, signature),
                _ => self.key.verifies(digest, pss, message, signature),
            };
        if verified { Ok(()) } else { Err(Forged) }
    }
}

impl PrivateKey for Pair {
    fn kind(&self) -> KeyKind {
        self.kind
    }

    fn public_info(&self) -> Vec<u8> {
        self.key.public_info()
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, Unsigned> {
        let (digest, pss) = parts(scheme);
        let signature = match scheme {
            _ if !self.kind.makes(scheme) => None,
            SignatureScheme::Bare => self.key.sign_hash(message),
            _ => self.key.sign(digest, pss, message),
        };
        signature.ok_or(Unsigned::Scheme)
    }
}
