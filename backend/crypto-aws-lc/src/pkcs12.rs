//! PKCS #12 (RFC 7292) with a key of a kind that AWS-LC does not know, which reads no such file at all: what OpenSSL 3 writes of it.
//!
//! ```text
//!   PFX { AuthenticatedSafe [ EncryptedData { certificates }, Data { private key, under the passphrase by itself } ], MAC }
//! ```

use hmac::{Hmac, KeyInit, Mac};
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::asn1::{AnyRef, ContextSpecific, ObjectIdentifier, OctetString};
use pkcs8::der::{Decode, Encode};
use pkcs8::pkcs5::EncryptionScheme;
use pkcs12::CertBag;
use pkcs12::MacData;
use pkcs12::cms::content_info::ContentInfo;
use pkcs12::cms::encrypted_data::EncryptedData;
use pkcs12::kdf::{Pkcs12KeyType, derive_key_utf8};
use pkcs12::pfx::Pfx;
use pkcs12::safe_bag::{SafeBag, SafeContents};
use pkcs12::{PKCS_12_CERT_BAG_OID, PKCS_12_PKCS8_KEY_BAG_OID, PKCS_12_X509_CERT_OID};
use ravelin_types::Secret;
use sha2::Sha256;
use zeroize::Zeroizing;

/// id-data and id-encryptedData (RFC 5652 §4, RFC 5652 §8), and the hash of the MAC.
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// Rounds of the derivation of a key: tools make some thousands, and a file shall not keep us busy for long.
const MAX_ROUNDS: i32 = 1_000_000;

/// The private key in PKCS #8, if there is one, and the certificates. `None`: it is another file, one of another form, or the passphrase
/// is not the right one.
pub(crate) fn open(der: &[u8], passphrase: &[u8]) -> Option<(Option<Secret>, Vec<Vec<u8>>)> {
    let pfx = Pfx::from_der(der).ok()?;
    let safe = octets(&pfx.auth_safe)?;
    check(&pfx.mac_data?, safe.as_bytes(), passphrase)?;
    let (mut key, mut certificates) = (None, Vec::new());
    for info in Vec::<ContentInfo>::from_der(safe.as_bytes()).ok()? {
        let contents = match info.content_type {
            DATA => octets(&info)?.into_bytes().into_vec(),
            ENCRYPTED_DATA => decrypted(&info, passphrase)?,
            _ => continue,
        };
        for bag in SafeContents::from_der(&Zeroizing::new(contents)).ok()? {
            match bag.bag_id {
                PKCS_12_PKCS8_KEY_BAG_OID => {
                    let info: EncryptedPrivateKeyInfoRef<'_> = value(&bag)?;
                    key = Some(Secret::from(info.decrypt(passphrase).ok()?.as_bytes()));
                }
                PKCS_12_CERT_BAG_OID => {
                    let certificate: CertBag = value(&bag)?;
                    if certificate.cert_id == PKCS_12_X509_CERT_OID {
                        certificates.push(certificate.cert_value.into_bytes().into_vec());
                    }
                }
                _ => {}
            }
        }
    }
    Some((key, certificates))
}

fn octets(info: &ContentInfo) -> Option<OctetString> {
    (info.content_type == DATA).then(|| info.content.decode_as().ok())?
}

fn value<'a, T: Decode<'a>>(bag: &'a SafeBag) -> Option<T> {
    let inner = ContextSpecific::<AnyRef<'a>>::from_der(&bag.bag_value).ok()?.value;
    // Behind its tag and length nothing else is left.
    let at = bag.bag_value.len().checked_sub(usize::try_from(inner.encoded_len().ok()?).ok()?)?;
    T::from_der(&bag.bag_value[at..]).ok()
}

fn decrypted(info: &ContentInfo, passphrase: &[u8]) -> Option<Vec<u8>> {
    let sealed = info.content.decode_as::<EncryptedData>().ok()?.enc_content_info;
    let scheme = EncryptionScheme::from_der(&sealed.content_enc_alg.to_der().ok()?).ok()?;
    scheme.decrypt(passphrase, sealed.encrypted_content?.as_bytes()).ok()
}

/// RFC 7292 §4: the MAC over the whole, by a key of appendix B.
fn check(mac: &MacData, safe: &[u8], passphrase: &[u8]) -> Option<()> {
    if mac.mac.algorithm.oid != SHA256 || !(1..=MAX_ROUNDS).contains(&mac.iterations) {
        return None;
    }
    let passphrase = std::str::from_utf8(passphrase).ok()?;
    let salt = mac.mac_salt.as_bytes();
    let key = derive_key_utf8::<Sha256>(passphrase, salt, Pkcs12KeyType::Mac, mac.iterations, 32).ok()?;
    let mut made = Hmac::<Sha256>::new_from_slice(&Zeroizing::new(key)).ok()?;
    made.update(safe);
    made.verify_slice(mac.mac.digest.as_bytes()).ok()
}
