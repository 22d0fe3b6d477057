//! Signature schemes: as TLS numbers them, and as the provider knows them (RFC 8446 §4.2.3).

use ravelin_crypto::signature::{EcCurve, HashAlg, KeyKind, SignatureScheme as Ours};
use rustls::SignatureScheme as Theirs;

/// Best first; `None`: of TLS 1.3 alone is the curve in the scheme, and it must be that of the key.
const TABLE: [(Theirs, Ours, Option<EcCurve>); 11] = [
    (Theirs::ED25519, Ours::Ed25519, None),
    (Theirs::ED448, Ours::Ed448, None),
    (Theirs::ECDSA_NISTP256_SHA256, Ours::Ecdsa(HashAlg::Sha256), Some(EcCurve::P256)),
    (Theirs::ECDSA_NISTP384_SHA384, Ours::Ecdsa(HashAlg::Sha384), Some(EcCurve::P384)),
    (Theirs::ECDSA_NISTP521_SHA512, Ours::Ecdsa(HashAlg::Sha512), Some(EcCurve::P521)),
    (Theirs::RSA_PSS_SHA256, Ours::RsaPss(HashAlg::Sha256), None),
    (Theirs::RSA_PSS_SHA384, Ours::RsaPss(HashAlg::Sha384), None),
    (Theirs::RSA_PSS_SHA512, Ours::RsaPss(HashAlg::Sha512), None),
    (Theirs::RSA_PKCS1_SHA256, Ours::RsaPkcs1(HashAlg::Sha256), None),
    (Theirs::RSA_PKCS1_SHA384, Ours::RsaPkcs1(HashAlg::Sha384), None),
    (Theirs::RSA_PKCS1_SHA512, Ours::RsaPkcs1(HashAlg::Sha512), None),
];

/// All of them. No SHA-1.
pub(crate) fn all() -> Vec<Theirs> {
    TABLE.iter().map(|(theirs, ..)| *theirs).collect()
}

/// What a scheme is with a key of this kind, if such a key makes it. TLS 1.2 pairs any curve with any hash.
pub(crate) fn with_key(theirs: Theirs, kind: KeyKind, version_13: bool) -> Option<Ours> {
    let (_, ours, curve) = TABLE.iter().find(|(scheme, ..)| *scheme == theirs)?;
    // RFC 8446 §4.2.3: PKCS #1 is for certificates alone.
    if version_13 && matches!(ours, Ours::RsaPkcs1(_)) {
        return None;
    }
    let curve_fits = match (curve, kind) {
        (Some(curve), KeyKind::Ecdsa(own)) => !version_13 || *curve == own,
        _ => true,
    };
    Some(*ours).filter(|ours| curve_fits && kind.makes(*ours))
}
