//! Signature algorithms as AlgorithmIdentifiers: in certificates (RFC 4055, RFC 5758, RFC 8410, RFC 9881) and in AUTH
//! (RFC 7427 appendix A).

use alloc::vec::Vec;

use der::asn1::{AnyRef, ObjectIdentifier, UintRef};
use der::{Decode, Encode, Sequence, Tag, Tagged};
use ravelin_crypto::signature::{HashAlg, MlDsa, SignatureScheme};

use HashAlg::{Sha1, Sha256, Sha384, Sha512};
use SignatureScheme::{Dsa, Ecdsa, Ed25519, RsaPkcs1};

const RSA_PSS: ObjectIdentifier = oid("1.2.840.113549.1.1.10");
const MGF1: ObjectIdentifier = oid("1.2.840.113549.1.1.8");

/// All but PSS, whose parameters say more than its identifier.
const PLAIN: &[(SignatureScheme, ObjectIdentifier)] = &[
    (RsaPkcs1(Sha1), oid("1.2.840.113549.1.1.5")),
    (RsaPkcs1(Sha256), oid("1.2.840.113549.1.1.11")),
    (RsaPkcs1(Sha384), oid("1.2.840.113549.1.1.12")),
    (RsaPkcs1(Sha512), oid("1.2.840.113549.1.1.13")),
    (Ecdsa(Sha1), oid("1.2.840.10045.4.1")),
    (Ecdsa(Sha256), oid("1.2.840.10045.4.3.2")),
    (Ecdsa(Sha384), oid("1.2.840.10045.4.3.3")),
    (Ecdsa(Sha512), oid("1.2.840.10045.4.3.4")),
    (Dsa(Sha1), oid("1.2.840.10040.4.3")),
    (Dsa(Sha256), oid("2.16.840.1.101.3.4.3.2")),
    (Dsa(Sha384), oid("2.16.840.1.101.3.4.3.3")),
    (Dsa(Sha512), oid("2.16.840.1.101.3.4.3.4")),
    (Ed25519, oid("1.3.101.112")),
    (SignatureScheme::Ed448, oid("1.3.101.113")),
    (SignatureScheme::MlDsa(MlDsa::L44), oid("2.16.840.1.101.3.4.3.17")),
    (SignatureScheme::MlDsa(MlDsa::L65), oid("2.16.840.1.101.3.4.3.18")),
    (SignatureScheme::MlDsa(MlDsa::L87), oid("2.16.840.1.101.3.4.3.19")),
];

const HASHES: &[(HashAlg, ObjectIdentifier, u32)] = &[
    (Sha1, oid("1.3.14.3.2.26"), 20),
    (Sha256, oid("2.16.840.1.101.3.4.2.1"), 32),
    (Sha384, oid("2.16.840.1.101.3.4.2.2"), 48),
    (Sha512, oid("2.16.840.1.101.3.4.2.3"), 64),
];

/// Read when this is compiled.
const fn oid(dotted: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(dotted)
}

#[derive(Clone, Sequence)]
struct Identifier<'a> {
    oid: ObjectIdentifier,
    parameters: Option<AnyRef<'a>>,
}

/// RSASSA-PSS-params (RFC 4055 §3.1). What is left out stands for SHA-1.
#[derive(Sequence)]
struct Pss<'a> {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    hash: Option<Identifier<'a>>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    mask: Option<Identifier<'a>>,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", optional = "true")]
    salt: Option<u32>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    trailer: Option<u32>,
}

/// Every scheme that has an AlgorithmIdentifier here.
pub fn schemes() -> impl Iterator<Item = SignatureScheme> {
    PLAIN.iter().map(|(scheme, _)| *scheme).chain(HASHES.iter().map(|(hash, ..)| SignatureScheme::RsaPss(*hash)))
}

/// The scheme that an AlgorithmIdentifier in DER names. `None`: not known here, or with parameters that no honest signer
/// has, such as a PSS salt of another length than the hash.
pub fn scheme(der: &[u8]) -> Option<SignatureScheme> {
    let identifier = Identifier::from_der(der).ok()?;
    if identifier.oid == RSA_PSS {
        return pss(&Pss::from_der(&identifier.parameters?.to_der().ok()?).ok()?);
    }
    let (scheme, _) = PLAIN.iter().find(|(_, oid)| *oid == identifier.oid)?;
    let fits = match (scheme, identifier.parameters) {
        // RFC 4055 §2.1: NULL; RFC 7427 §3 has receivers accept its absence.
        (RsaPkcs1(_), Some(parameters)) => parameters.tag() == Tag::Null && parameters.value().is_empty(),
        (RsaPkcs1(_), None) => true,
        (_, parameters) => parameters.is_none(),
    };
    fits.then_some(*scheme)
}

fn pss(parameters: &Pss<'_>) -> Option<SignatureScheme> {
    let hash = parameters.hash.as_ref().map_or(Some(Sha1), hash)?;
    let mask = match &parameters.mask {
        None => Sha1,
        // MGF1 without its hash says nothing.
        Some(mask) if mask.oid == MGF1 => self::hash(&Identifier::from_der(&mask.parameters?.to_der().ok()?).ok()?)?,
        Some(_) => return None,
    };
    let (_, _, len) = HASHES.iter().find(|(known, ..)| *known == hash)?;
    let fits = mask == hash && parameters.salt.unwrap_or(20) == *len && parameters.trailer.unwrap_or(1) == 1;
    fits.then_some(SignatureScheme::RsaPss(hash))
}

fn hash(identifier: &Identifier<'_>) -> Option<HashAlg> {
    let plain = identifier.parameters.is_none_or(|parameters| parameters.tag() == Tag::Null);
    let known = HASHES.iter().find(|(_, oid, _)| *oid == identifier.oid);
    known.filter(|_| plain).map(|(hash, ..)| *hash)
}

/// The AlgorithmIdentifier of a scheme, in DER; empty only if it could not be encoded, which does not happen.
pub fn identifier(scheme: SignatureScheme) -> Vec<u8> {
    let encoded = match scheme {
        SignatureScheme::RsaPss(hash) => encode_pss(hash),
        _ => PLAIN.iter().find(|(known, _)| *known == scheme).and_then(|(_, oid)| {
            let parameters = matches!(scheme, RsaPkcs1(_)).then_some(AnyRef::NULL);
            Identifier { oid: *oid, parameters }.to_der().ok()
        }),
    };
    encoded.unwrap_or_default()
}

fn encode_pss(hash: HashAlg) -> Option<Vec<u8>> {
    let (_, oid, len) = HASHES.iter().find(|(known, ..)| *known == hash)?;
    let hash = Identifier { oid: *oid, parameters: Some(AnyRef::NULL) };
    let hash_der = hash.to_der().ok()?;
    let mask = Identifier { oid: MGF1, parameters: Some(AnyRef::from_der(&hash_der).ok()?) };
    let parameters =
        Pss { hash: Some(hash.clone()), mask: Some(mask), salt: Some(*len), trailer: None }.to_der().ok()?;
    Identifier { oid: RSA_PSS, parameters: Some(AnyRef::from_der(&parameters).ok()?) }.to_der().ok()
}

#[derive(Sequence)]
struct TwoNumbers<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// A signature of ECDSA or DSA as certificates and RFC 7427 have it, from `r | s` of equal lengths (RFC 4754 §7, RFC 2409
/// §5.1).
pub fn from_raw(raw: &[u8]) -> Option<Vec<u8>> {
    if !raw.len().is_multiple_of(2) {
        return None;
    }
    let (r, s) = raw.split_at(raw.len() / 2);
    TwoNumbers { r: UintRef::new(r).ok()?, s: UintRef::new(s).ok()? }.to_der().ok()
}

/// `r | s`, each of `len` bytes, from the DER form.
pub fn to_raw(der: &[u8], len: usize) -> Option<Vec<u8>> {
    let signature = TwoNumbers::from_der(der).ok()?;
    let mut raw = Vec::new();
    for part in [signature.r.as_bytes(), signature.s.as_bytes()] {
        raw.resize(raw.len() + len.checked_sub(part.len())?, 0);
        raw.extend_from_slice(part);
    }
    Some(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_survives_its_identifier() {
        for one in schemes() {
            assert_eq!(scheme(&identifier(one)), Some(one));
        }
        // RFC 7427 appendix A.1.2, A.3.2 and A.4.3.
        assert_eq!(identifier(RsaPkcs1(Sha256)), hex("300d06092a864886f70d01010b0500"));
        assert_eq!(identifier(Ecdsa(Sha256)), hex("300a06082a8648ce3d040302"));
        let pss = "304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d0609\
                   6086480165030402010500a203020120";
        assert_eq!(identifier(SignatureScheme::RsaPss(Sha256)), hex(pss));
        // Without NULL; RFC 7427 §3.
        assert_eq!(scheme(&hex("300b06092a864886f70d01010b")), Some(RsaPkcs1(Sha256)));
    }

    // docs/HISTORY.md, rows 79 and 80: parameters of PSS that are absent, enormous, negative or contradict each other.
    #[test]
    fn pss_parameters_that_no_signer_has_are_refused() {
        let good = identifier(SignatureScheme::RsaPss(Sha256));
        let salt = |bytes: &[u8]| {
            let (_, oid, _) = HASHES[1];
            let hash = Identifier { oid, parameters: None }.to_der().unwrap();
            let field = |tag: u8, inner: &[u8]| [&[tag, u8::try_from(inner.len()).unwrap()], inner].concat();
            let integer = field(2, bytes);
            let parameters = [field(0xa0, &hash), field(0xa2, &integer)].concat();
            let parameters = field(0x30, &parameters);
            field(0x30, &[RSA_PSS.to_der().unwrap(), parameters].concat())
        };
        for bytes in
            [&[0xff][..], &[0x7f, 0xff, 0xff, 0xff], &[0, 0xff, 0xff, 0xff, 0xff], &[0x20], &[1, 0, 0, 0, 0, 0]]
        {
            assert_eq!(scheme(&salt(bytes)), None, "{bytes:?}");
        }
        // No parameters, MGF1 without a hash, a trailer that is not 1.
        assert_eq!(scheme(&hex("300b06092a864886f70d01010a")), None);
        let no_mask_hash = "303206092a864886f70d01010a3025a00f300d06096086480165030402010500a10d300b06092a864886f70d0101\
                            08a203020120";
        assert_eq!(scheme(&hex(no_mask_hash)), None);
        let mut trailer = good.clone();
        trailer[1] += 5;
        trailer[14] += 5;
        trailer.extend([0xa3, 3, 2, 1, 2]);
        assert_eq!(scheme(&trailer), None);
        *trailer.last_mut().unwrap() = 1;
        assert_eq!(scheme(&trailer), Some(SignatureScheme::RsaPss(Sha256)));
        // All defaults: SHA-1, which is for others to refuse.
        assert_eq!(scheme(&hex("300d06092a864886f70d01010a3000")), Some(SignatureScheme::RsaPss(Sha1)));
    }

    #[test]
    fn ecdsa_signatures_have_two_forms() {
        let raw = [[0u8; 31].as_slice(), &[1], &[0x80; 32]].concat();
        let der = from_raw(&raw).unwrap();
        assert_eq!(der[..7], [0x30, 0x26, 2, 1, 1, 2, 0x21]);
        assert_eq!(to_raw(&der, 32), Some(raw));
        assert_eq!(to_raw(&der, 31), None);
        assert_eq!(from_raw(&[1, 2, 3]), None);
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| u8::try_from(d).unwrap()).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }
}
