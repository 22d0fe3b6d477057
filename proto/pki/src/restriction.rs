//! Fewer keys and signatures than are accepted in general, as an operator asks for: least lengths of the keys of a chain,
//! schemes of the signatures in it, and of AUTH (RFC 7427). And more: DSA and SHA-1 are accepted where they are named, and
//! nowhere else (RFC 8247 §3).

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use ravelin_crypto::signature::{HashAlg, KeyKind, SignatureScheme};

/// What is accepted of somebody. Nothing in a list: whatever is accepted in general, which DSA and SHA-1 are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restrictions {
    /// As it was written, for whoever mends it.
    pub words: String,
    /// DSA is named: its keys are accepted, and its signatures.
    pub dsa: bool,
    /// Keys of certificates, from the one of AUTH to that of the authority.
    pub keys: Vec<KeyRule>,
    /// Signatures in certificates.
    pub chain: Vec<SchemeRule>,
    /// Signatures of AUTH, best first; with IKEv1, where AUTH names no hash, they are not asked about.
    pub auth: Vec<SchemeRule>,
}

/// Keys of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRule {
    /// RSA, from so many bits on.
    Rsa(u32),
    /// ECDSA, from so many bits of the curve on.
    Ecdsa(u32),
    /// DSA, from so many bits of its prime on.
    Dsa(u32),
    /// Ed25519.
    Ed25519,
    /// Ed448.
    Ed448,
}

/// Signatures of one family with one hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemeRule {
    /// The family.
    pub family: Family,
    /// The hash; `None`: the scheme has its own.
    pub hash: Option<HashAlg>,
}

/// A family of signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Any.
    Any,
    /// RSA with either padding.
    Rsa,
    /// RSASSA-PSS.
    RsaPss,
    /// ECDSA.
    Ecdsa,
    /// DSA.
    Dsa,
    /// Ed25519.
    Ed25519,
    /// Ed448.
    Ed448,
}

impl SchemeRule {
    /// Whether it is about signatures of this scheme.
    pub fn takes(self, scheme: SignatureScheme) -> bool {
        let family = match scheme {
            SignatureScheme::RsaPkcs1(_) => matches!(self.family, Family::Any | Family::Rsa),
            SignatureScheme::RsaPss(_) => matches!(self.family, Family::Any | Family::Rsa | Family::RsaPss),
            SignatureScheme::Ecdsa(_) => matches!(self.family, Family::Any | Family::Ecdsa),
            SignatureScheme::Dsa(_) => matches!(self.family, Family::Any | Family::Dsa),
            SignatureScheme::Ed25519 => matches!(self.family, Family::Any | Family::Ed25519),
            SignatureScheme::Ed448 => matches!(self.family, Family::Any | Family::Ed448),
            SignatureScheme::MlDsa(_) => self.family == Family::Any,
            SignatureScheme::Bare => return true,
        };
        family && self.hash == scheme.hash()
    }
}

impl Restrictions {
    /// Whether there are any.
    pub fn any(&self) -> bool {
        *self != Restrictions::default()
    }

    /// Whether a key of this kind is accepted.
    ///
    /// # Errors
    /// What it is, in words.
    pub fn key(&self, kind: KeyKind) -> Result<(), String> {
        let takes = |rule: &KeyRule| match (rule, kind) {
            (KeyRule::Rsa(least), KeyKind::Rsa(bits)) => bits >= *least,
            (KeyRule::Ecdsa(least), KeyKind::Ecdsa(curve)) => u32::from(curve.bits()) >= *least,
            (KeyRule::Dsa(least), KeyKind::Dsa(bits, _)) => bits >= *least,
            (KeyRule::Ed25519, KeyKind::Ed25519) | (KeyRule::Ed448, KeyKind::Ed448) => true,
            _ => false,
        };
        let named = self.dsa || !matches!(kind, KeyKind::Dsa(..));
        if named && (self.keys.is_empty() || self.keys.iter().any(takes)) { Ok(()) } else { Err(kind.to_string()) }
    }

    /// Whether a certificate may be signed so.
    pub fn in_chain(&self, scheme: SignatureScheme) -> bool {
        self.takes(&self.chain, scheme)
    }

    /// Whether AUTH may be signed so.
    pub fn in_auth(&self, scheme: SignatureScheme) -> bool {
        self.takes(&self.auth, scheme)
    }

    fn takes(&self, rules: &[SchemeRule], scheme: SignatureScheme) -> bool {
        let in_general = scheme.hash() != Some(HashAlg::Sha1);
        let named = self.dsa || !matches!(scheme, SignatureScheme::Dsa(_));
        named && (rules.is_empty() && in_general || rules.iter().any(|rule| rule.takes(scheme)))
    }

    /// Those of `schemes` by which AUTH may be signed: in the order asked for, else in theirs.
    pub fn ordered(&self, schemes: Vec<SignatureScheme>) -> Vec<SignatureScheme> {
        let schemes: Vec<SignatureScheme> = schemes.into_iter().filter(|scheme| self.in_auth(*scheme)).collect();
        if self.auth.is_empty() {
            return schemes;
        }
        let by_rule = |rule: &SchemeRule| schemes.iter().copied().filter(|scheme| rule.takes(*scheme)).collect();
        self.auth.iter().flat_map(|rule| -> Vec<SignatureScheme> { by_rule(rule) }).collect()
    }

    /// Whether some signature of AUTH with this hash is accepted.
    pub fn has_hash(&self, hash: Option<HashAlg>) -> bool {
        let in_general = hash != Some(HashAlg::Sha1);
        self.auth.is_empty() && in_general || self.auth.iter().any(|rule| rule.hash == hash)
    }
}
