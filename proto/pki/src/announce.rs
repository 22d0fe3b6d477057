//! Which AUTH a side accepts, as the two say it to each other: hashes (RFC 7427 §4) and methods (RFC 9593).

use alloc::vec::Vec;
use core::fmt;

use ravelin_crypto::CryptoProvider;
use ravelin_crypto::signature::{HashAlg, KeyKind, MlDsa, SignatureScheme};

use crate::auth::{DIGITAL, DSS, ECDSA, HASHES, RSA, Trust};
use crate::{algorithm, path};

/// What a peer says that it verifies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepts {
    /// The hashes of SIGNATURE_HASH_ALGORITHMS; `None`: it knows no RFC 7427.
    pub hashes: Option<Vec<u16>>,
    /// The methods of SUPPORTED_AUTH_METHODS, best first; `None`: it announces none.
    pub methods: Option<Vec<Method>>,
}

/// A method of AUTH that is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// Auth Method (RFC 7296 §3.8).
    pub number: u8,
    /// The AlgorithmIdentifier of a digital signature, in DER; of other methods nothing.
    pub algorithm: Vec<u8>,
    /// Whether it is so only for the certificates of one authority.
    pub linked: bool,
}

impl Accepts {
    /// The first of `schemes` by which the peer takes a digital signature. Which authority is behind our certificate is the
    /// peer's to judge: a method that is linked to one is used where no other fits.
    pub(crate) fn digital(&self, schemes: &[SignatureScheme]) -> Option<SignatureScheme> {
        let hashes = self.hashes.as_ref()?;
        let takes = |scheme: &&SignatureScheme| {
            let number = HASHES.iter().find(|(_, hash)| *hash == scheme.hash()).map(|(number, _)| number);
            number.is_some_and(|number| hashes.contains(number))
        };
        let mut schemes = schemes.iter().filter(takes);
        let Some(methods) = &self.methods else { return schemes.next().copied() };
        let by = |linked| {
            let methods = methods.iter().filter(move |method| method.linked == linked && method.number == DIGITAL);
            let named: Vec<_> = methods.filter_map(|method| algorithm::scheme(&method.algorithm)).collect();
            schemes.clone().find(|scheme| named.contains(scheme)).copied()
        };
        by(false).or_else(|| by(true))
    }

    /// Whether the peer takes a signature by a method that is older than digital signatures.
    pub(crate) fn classic(&self, number: u8) -> bool {
        match &self.methods {
            Some(methods) => methods.iter().any(|method| method.number == number),
            None => self.hashes.is_none(),
        }
    }
}

impl Trust {
    /// The methods by which we let a peer prove itself, best first: all that its AUTH may be by, of the keys that may be its.
    pub fn methods(&self, crypto: &CryptoProvider) -> Vec<Method> {
        use HashAlg::{Sha1, Sha256, Sha384, Sha512};
        let kinds = self.kinds(crypto);
        let by = |scheme: SignatureScheme, kind: Option<KeyKind>| {
            let makes = |key: &KeyKind| key.makes(scheme) && kind.is_none_or(|kind| kind == *key);
            self.restrictions.in_auth(scheme)
                && kinds.iter().any(|key| makes(key) && self.restrictions.key(*key).is_ok())
        };
        let hashes = [Sha256, Sha384, Sha512];
        let digital = [MlDsa::L65, MlDsa::L87, MlDsa::L44].map(SignatureScheme::MlDsa).into_iter();
        let digital = digital.chain([SignatureScheme::Ed25519, SignatureScheme::Ed448]);
        let digital = digital.chain(hashes.map(SignatureScheme::Ecdsa)).chain(hashes.map(SignatureScheme::RsaPss));
        let digital = digital.chain(hashes.map(SignatureScheme::RsaPkcs1));
        let old = [SignatureScheme::Dsa(Sha256), SignatureScheme::Ecdsa(Sha1), SignatureScheme::RsaPkcs1(Sha1)];
        let digital = digital.chain(old);
        let digital = digital.filter(|scheme| by(*scheme, None));
        let digital = digital.map(|scheme| Method::new(DIGITAL, algorithm::identifier(scheme)));
        let curves =
            ECDSA.iter().filter(|(_, curve, hash)| by(SignatureScheme::Ecdsa(*hash), Some(KeyKind::Ecdsa(*curve))));
        let curves = curves.map(|(number, ..)| Method::new(*number, Vec::new()));
        let rsa = hashes.into_iter().chain([Sha1]).any(|hash| by(SignatureScheme::RsaPkcs1(hash), None));
        let rsa = rsa.then(|| Method::new(RSA, Vec::new()));
        let dss = by(SignatureScheme::Dsa(Sha1), None).then(|| Method::new(DSS, Vec::new()));
        digital.chain(curves).chain(rsa).chain(dss).collect()
    }

    /// The kinds of keys that a peer may have: those of its keys where they are known, else of every kind the strongest.
    fn kinds(&self, crypto: &CryptoProvider) -> Vec<KeyKind> {
        if self.anchors.is_empty() {
            let pinned = self.pinned.iter().filter_map(|certificate| path::key(certificate, crypto).ok());
            let keys = self.keys.iter().filter_map(|spki| path::public_key(spki, crypto).ok());
            return pinned.chain(keys).map(|key| key.kind()).collect();
        }
        let curves = ECDSA.iter().map(|(_, curve, _)| KeyKind::Ecdsa(*curve));
        let sets = [MlDsa::L44, MlDsa::L65, MlDsa::L87].map(KeyKind::MlDsa);
        curves
            .chain(sets)
            .chain([KeyKind::Rsa(u32::MAX), KeyKind::Dsa(u32::MAX, u16::MAX), KeyKind::Ed25519, KeyKind::Ed448])
            .collect()
    }
}

impl Method {
    /// For the certificates of every authority.
    fn new(number: u8, algorithm: Vec<u8>) -> Self {
        Method { number, algorithm, linked: false }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match algorithm::scheme(&self.algorithm) {
            Some(scheme) => write!(f, "digital signature by {scheme}"),
            None => write!(f, "authentication method {}", self.number),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use HashAlg::{Sha256, Sha384, Sha512};
    use SignatureScheme::{Ecdsa, RsaPkcs1, RsaPss};

    fn digital(scheme: SignatureScheme, linked: bool) -> Method {
        Method { linked, ..Method::new(DIGITAL, algorithm::identifier(scheme)) }
    }

    fn accepts(hashes: &[u16], methods: Option<Vec<Method>>) -> Accepts {
        Accepts { hashes: Some(hashes.to_vec()), methods }
    }

    // RFC 9593 §3.2.2: a method that is linked to an authority is used where no other fits.
    #[test]
    fn a_method_for_every_authority_comes_first() {
        let schemes = [RsaPss(Sha256), RsaPss(Sha384), RsaPss(Sha512)];
        let linked = vec![digital(RsaPss(Sha256), true), digital(RsaPss(Sha512), false)];
        assert_eq!(accepts(&[2, 3, 4], Some(linked)).digital(&schemes), Some(RsaPss(Sha512)));
        let only = vec![digital(RsaPss(Sha384), true), digital(Ecdsa(Sha256), false)];
        assert_eq!(accepts(&[2, 3, 4], Some(only)).digital(&schemes), Some(RsaPss(Sha384)));
    }

    // RFC 7427 §4: the hash must be announced, too.
    #[test]
    fn a_method_with_a_hash_that_is_not_announced_is_none() {
        let methods = vec![digital(RsaPss(Sha256), false), digital(RsaPkcs1(Sha512), false)];
        let peer = accepts(&[3, 4], Some(methods.clone()));
        assert_eq!(peer.digital(&[RsaPss(Sha256), RsaPss(Sha512), RsaPkcs1(Sha512)]), Some(RsaPkcs1(Sha512)));
        assert_eq!(Accepts { hashes: None, methods: Some(methods) }.digital(&[RsaPss(Sha256)]), None);
        assert_eq!(accepts(&[4], None).digital(&[RsaPss(Sha256), RsaPss(Sha512)]), Some(RsaPss(Sha512)));
    }

    #[test]
    fn the_methods_of_old_are_for_who_knows_no_other_or_says_so() {
        assert!(Accepts::default().classic(RSA) && !accepts(&[2], None).classic(RSA));
        let peer = accepts(&[2], Some(vec![Method::new(RSA, Vec::new())]));
        assert!(peer.classic(RSA) && !peer.classic(9));
    }
}
