//! Signatures with public keys: what is signed how, and the keys of a provider.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::error::{BadKey, Forged};

/// A hash function of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashAlg {
    /// SHA-1, for those who name it.
    Sha1,
    /// SHA2-256.
    Sha256,
    /// SHA2-384.
    Sha384,
    /// SHA2-512.
    Sha512,
}

/// What is signed how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignatureScheme {
    /// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2).
    RsaPkcs1(HashAlg),
    /// RSASSA-PSS with the same hash in MGF1 and a salt as long as the hash (RFC 8017 §8.1).
    RsaPss(HashAlg),
    /// ECDSA, the signature a DER sequence of two numbers.
    Ecdsa(HashAlg),
    /// DSA (FIPS 186-4 §4), the signature as that of ECDSA; for those who name it.
    Dsa(HashAlg),
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// Ed448 (RFC 8032), with an empty context.
    Ed448,
    /// ML-DSA (FIPS 204), pure, with an empty context.
    MlDsa(MlDsa),
    /// Of IKEv1: the message is a hash already and is not hashed again. RSA pads it as PKCS #1 v1.5 does, without the name
    /// of a hash (RFC 2409 §5.1); ECDSA and DSA are as above.
    Bare,
}

/// A parameter set of ML-DSA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MlDsa {
    /// ML-DSA-44
    L44,
    /// ML-DSA-65
    L65,
    /// ML-DSA-87
    L87,
}

/// A curve of ECDSA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EcCurve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
    /// brainpoolP256r1 (RFC 5639).
    BrainpoolP256,
    /// brainpoolP384r1.
    BrainpoolP384,
    /// brainpoolP512r1.
    BrainpoolP512,
}

impl EcCurve {
    /// The length of its order, which is that of its coordinates.
    pub fn bits(self) -> u16 {
        match self {
            EcCurve::P256 | EcCurve::BrainpoolP256 => 256,
            EcCurve::P384 | EcCurve::BrainpoolP384 => 384,
            EcCurve::BrainpoolP512 => 512,
            EcCurve::P521 => 521,
        }
    }
}

/// What a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, with the length of its modulus in bits.
    Rsa(u32),
    /// A point of a curve.
    Ecdsa(EcCurve),
    /// DSA, with the bits of its prime `p` and of the order `q` of its group.
    Dsa(u32, u16),
    /// Ed25519.
    Ed25519,
    /// Ed448.
    Ed448,
    /// ML-DSA.
    MlDsa(MlDsa),
}

impl KeyKind {
    /// Whether a key of this kind makes signatures of this scheme.
    pub fn makes(self, scheme: SignatureScheme) -> bool {
        match (self, scheme) {
            (KeyKind::Rsa(_), SignatureScheme::RsaPkcs1(_) | SignatureScheme::RsaPss(_))
            | (KeyKind::Ecdsa(_), SignatureScheme::Ecdsa(_))
            | (KeyKind::Dsa(..), SignatureScheme::Dsa(_))
            | (KeyKind::Rsa(_) | KeyKind::Ecdsa(_) | KeyKind::Dsa(..), SignatureScheme::Bare)
            | (KeyKind::Ed25519, SignatureScheme::Ed25519)
            | (KeyKind::Ed448, SignatureScheme::Ed448) => true,
            (KeyKind::MlDsa(key), SignatureScheme::MlDsa(scheme)) => key == scheme,
            _ => false,
        }
    }
}

impl SignatureScheme {
    /// The hash whose weakness is that of the scheme; `None` where the scheme has its own.
    pub fn hash(self) -> Option<HashAlg> {
        match self {
            SignatureScheme::RsaPkcs1(hash)
            | SignatureScheme::RsaPss(hash)
            | SignatureScheme::Ecdsa(hash)
            | SignatureScheme::Dsa(hash) => Some(hash),
            SignatureScheme::Ed25519 | SignatureScheme::Ed448 | SignatureScheme::MlDsa(_) | SignatureScheme::Bare => {
                None
            }
        }
    }
}

/// The signatures of a provider.
pub trait Signatures: Send + Sync {
    /// Readies a public key: a SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// When it is malformed, not a valid key, or of a kind that is not built in.
    fn public_key(&self, spki: &[u8]) -> Result<Box<dyn PublicKey>, BadKey>;

    /// Readies a private key: PKCS #8 in DER.
    ///
    /// # Errors
    /// As [`Signatures::public_key`].
    fn private_key(&self, pkcs8: &[u8]) -> Result<Box<dyn PrivateKey>, BadKey>;
}

/// The keys of two providers: what the first has not is left to the second.
pub(crate) struct Both(pub(crate) &'static dyn Signatures, pub(crate) &'static dyn Signatures);

impl Signatures for Both {
    fn public_key(&self, spki: &[u8]) -> Result<Box<dyn PublicKey>, BadKey> {
        self.0.public_key(spki).or_else(|_| self.1.public_key(spki))
    }

    fn private_key(&self, pkcs8: &[u8]) -> Result<Box<dyn PrivateKey>, BadKey> {
        self.0.private_key(pkcs8).or_else(|_| self.1.private_key(pkcs8))
    }
}

/// A readied public key.
pub trait PublicKey: Send + Sync {
    /// What it is.
    fn kind(&self) -> KeyKind;

    /// Whether the signature is by the owner of the key.
    ///
    /// # Errors
    /// When it is not, or the key does not make signatures of this scheme.
    fn verify(&self, scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> Result<(), Forged>;
}

/// A readied private key, here or in a token.
pub trait PrivateKey: Send + Sync {
    /// What it is.
    fn kind(&self) -> KeyKind;

    /// The public half, a SubjectPublicKeyInfo in DER.
    fn public_info(&self) -> Vec<u8>;

    /// Signs. The randomness of ECDSA, DSA, PSS and ML-DSA is the provider's own, so no two signatures are equal; those of Ed25519
    /// and Ed448 need none.
    ///
    /// # Errors
    /// When the key does not make signatures of this scheme, or the token does not sign.
    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, Unsigned>;

    /// The name of the token that signs, if the key is not here: it may take long, and those who wait for it shall be the
    /// only ones who do.
    fn token(&self) -> Option<&str> {
        None
    }
}

/// Why a private key does not sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsigned {
    /// It makes no signatures of this scheme.
    Scheme,
    /// Its token says why, in words for the operator.
    Token(String),
}

impl fmt::Display for Unsigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unsigned::Scheme => f.write_str("it makes no signatures of this scheme"),
            Unsigned::Token(why) => f.write_str(why),
        }
    }
}

impl core::error::Error for Unsigned {}

impl fmt::Display for HashAlg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HashAlg::Sha1 => "SHA-1",
            HashAlg::Sha256 => "SHA2-256",
            HashAlg::Sha384 => "SHA2-384",
            HashAlg::Sha512 => "SHA2-512",
        })
    }
}

impl fmt::Display for SignatureScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignatureScheme::RsaPkcs1(hash) => write!(f, "RSA PKCS #1 with {hash}"),
            SignatureScheme::RsaPss(hash) => write!(f, "RSA PSS with {hash}"),
            SignatureScheme::Ecdsa(hash) => write!(f, "ECDSA with {hash}"),
            SignatureScheme::Dsa(hash) => write!(f, "DSA with {hash}"),
            SignatureScheme::Ed25519 => f.write_str("Ed25519"),
            SignatureScheme::Ed448 => f.write_str("Ed448"),
            SignatureScheme::MlDsa(set) => write!(f, "{}", KeyKind::MlDsa(*set)),
            SignatureScheme::Bare => f.write_str("a signature of IKEv1"),
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyKind::Rsa(bits) => write!(f, "RSA {bits}"),
            KeyKind::Ecdsa(curve) => write!(f, "ECDSA {curve}"),
            KeyKind::Dsa(p, q) => write!(f, "DSA {p}/{q}"),
            KeyKind::Ed25519 => f.write_str("Ed25519"),
            KeyKind::Ed448 => f.write_str("Ed448"),
            KeyKind::MlDsa(MlDsa::L44) => f.write_str("ML-DSA-44"),
            KeyKind::MlDsa(MlDsa::L65) => f.write_str("ML-DSA-65"),
            KeyKind::MlDsa(MlDsa::L87) => f.write_str("ML-DSA-87"),
        }
    }
}

impl fmt::Display for EcCurve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EcCurve::P256 => "P-256",
            EcCurve::P384 => "P-384",
            EcCurve::P521 => "P-521",
            EcCurve::BrainpoolP256 => "brainpoolP256r1",
            EcCurve::BrainpoolP384 => "brainpoolP384r1",
            EcCurve::BrainpoolP512 => "brainpoolP512r1",
        })
    }
}
