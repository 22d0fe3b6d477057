//! The public half of a key on a token, as a SubjectPublicKeyInfo.

use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use der::asn1::{AnyRef, BitString, ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode, Encode, Sequence};
use ravelin_pki::Certificate;
use x509_cert::spki::{AlgorithmIdentifier, SubjectPublicKeyInfo};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// Octets of a point of Ed25519.
const ED25519_POINT: usize = 32;

/// RSAPublicKey (RFC 8017 appendix A.1.1).
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

/// The SubjectPublicKeyInfo of a private key: from what the token tells of it, of the public key of the same ID, or of the
/// certificate of the same ID. `None`: it does not tell enough.
pub(crate) fn info(session: &Session, key: ObjectHandle) -> Result<Option<Vec<u8>>, Error> {
    let told = attributes(session, key)?;
    if let Some(info) = encode(&told) {
        return Ok(Some(info));
    }
    let Some(id) = told.iter().find(|it| matches!(it, Attribute::Id(id) if !id.is_empty())) else { return Ok(None) };
    for public in session.find_objects(&[Attribute::Class(ObjectClass::PUBLIC_KEY), id.clone()])? {
        if let Some(info) = encode(&attributes(session, public)?) {
            return Ok(Some(info));
        }
    }
    for paper in session.find_objects(&[Attribute::Class(ObjectClass::CERTIFICATE), id.clone()])? {
        let value = session.get_attributes(paper, &[AttributeType::Value])?;
        let Some(Attribute::Value(der)) = value.first() else { continue };
        if let Ok(certificate) = Certificate::parse(der) {
            return Ok(Some(certificate.spki().to_vec()));
        }
    }
    Ok(None)
}

/// Whether a private key is of a kind that signs on a token: the library has no mechanism of DSA, Ed448 and ML-DSA.
pub(crate) fn signs(session: &Session, key: ObjectHandle) -> Result<bool, Error> {
    const KINDS: [KeyType; 3] = [KeyType::RSA, KeyType::EC, KeyType::EC_EDWARDS];
    // To a token it is of the same kind as Ed25519; the curve is an object identifier or its name (PKCS #11 §6.3.5).
    let is_ed448 = |curve: &[u8]| curve.ends_with(&[0x2b, 0x65, 0x71]) || curve.ends_with(b"edwards448");
    let told = session.get_attributes(key, &[AttributeType::KeyType, AttributeType::EcParams])?;
    Ok(told.iter().all(|it| match it {
        Attribute::KeyType(kind) => KINDS.contains(kind),
        Attribute::EcParams(curve) => !is_ed448(curve),
        _ => true,
    }))
}

fn attributes(session: &Session, object: ObjectHandle) -> Result<Vec<Attribute>, Error> {
    use AttributeType::{EcParams, EcPoint, Id, KeyType, Modulus, PublicExponent};
    // What an object has not is left out.
    session.get_attributes(object, &[Id, KeyType, Modulus, PublicExponent, EcParams, EcPoint])
}

fn encode(told: &[Attribute]) -> Option<Vec<u8>> {
    let bytes = |wanted: AttributeType| {
        told.iter().find_map(|it| match it {
            Attribute::Modulus(bytes)
            | Attribute::PublicExponent(bytes)
            | Attribute::EcParams(bytes)
            | Attribute::EcPoint(bytes)
                if it.attribute_type() == wanted && !bytes.is_empty() =>
            {
                Some(&bytes[..])
            }
            _ => None,
        })
    };
    let kind = told.iter().find_map(|it| match it {
        Attribute::KeyType(kind) => Some(*kind),
        _ => None,
    })?;
    if kind == KeyType::RSA {
        let modulus = UintRef::new(bytes(AttributeType::Modulus)?).ok()?;
        let exponent = UintRef::new(bytes(AttributeType::PublicExponent)?).ok()?;
        let key = RsaPublicKey { modulus, exponent }.to_der().ok()?;
        return written(RSA, Some(AnyRef::NULL), &key);
    }
    // The standard has the point in an OCTET STRING; some tokens leave that away.
    let point = bytes(AttributeType::EcPoint)?;
    let inner = <&OctetStringRef>::from_der(point).map_or(point, |inner| inner.as_bytes());
    if kind == KeyType::EC {
        let curve = AnyRef::from_der(bytes(AttributeType::EcParams)?).ok()?;
        return written(EC, Some(curve), inner);
    }
    // Ed448 has a longer one.
    (kind == KeyType::EC_EDWARDS && inner.len() == ED25519_POINT).then(|| written(ED25519, None, inner))?
}

fn written(oid: ObjectIdentifier, parameters: Option<AnyRef<'_>>, key: &[u8]) -> Option<Vec<u8>> {
    let subject_public_key = BitString::from_bytes(key).ok()?;
    SubjectPublicKeyInfo { algorithm: AlgorithmIdentifier { oid, parameters }, subject_public_key }.to_der().ok()
}
