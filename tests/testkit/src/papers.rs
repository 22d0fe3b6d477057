//! Certificates for tests: authorities, what they issue, and their revocation lists. Keys are fresh in every run.

pub use rcgen::CertificateParams;
use rcgen::{
    BasicConstraints, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};

use crate::ocsp::element;

/// What a certificate is for: TLS servers.
pub const SERVER_AUTH: rcgen::ExtendedKeyUsagePurpose = rcgen::ExtendedKeyUsagePurpose::ServerAuth;

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RSA with 2048 bits.
    Rsa,
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// ECDSA on P-521.
    P521,
    /// Ed25519.
    Ed25519,
}

/// A certificate and its private key.
pub struct Paper {
    /// The certificate in DER.
    pub der: Vec<u8>,
    /// The certificate in PEM.
    pub pem: String,
    /// The key in PKCS #8.
    pub pkcs8: Vec<u8>,
    /// The key in PEM.
    pub key_pem: String,
    params: CertificateParams,
    key: KeyPair,
}

/// Certificates and private keys that OpenSSL made, of kinds that [`Kind`] has not: PEM of an authority's certificate, of one
/// of `192.0.2.1.example.org` with its key, and of one of `192.0.2.2.example.org` with its own.
pub fn stored(kind: &str) -> &'static str {
    match kind {
        "brainpoolP256r1" => include_str!("../data/openssl/papers/brainpoolP256r1.pem"),
        "brainpoolP384r1" => include_str!("../data/openssl/papers/brainpoolP384r1.pem"),
        "brainpoolP512r1" => include_str!("../data/openssl/papers/brainpoolP512r1.pem"),
        // 1024 bits and signatures with SHA-1, as there were when DSA was in use.
        "dsa1024" => include_str!("../data/openssl/papers/dsa1024.pem"),
        // 2048 bits and signatures with SHA2-256.
        "dsa2048" => include_str!("../data/openssl/papers/dsa2048.pem"),
        _ => panic!("no stored papers of {kind}"),
    }
}

/// A certificate for `C=CH, O=Ravelin, CN=name` with these alternative names: domain names, addresses, or those of mail.
pub fn subject(name: &str, names: &[&str]) -> CertificateParams {
    subject_in("Ravelin", name, names)
}

/// The same for another organization.
pub fn subject_in(organization: &str, name: &str, names: &[&str]) -> CertificateParams {
    let (mail, names): (Vec<String>, Vec<String>) =
        names.iter().map(|name| (*name).to_owned()).partition(|name| name.contains('@'));
    let mut params = CertificateParams::new(names).expect("names");
    let mail = mail.into_iter().map(|name| SanType::Rfc822Name(name.try_into().expect("a name of mail")));
    params.subject_alt_names.extend(mail);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "CH");
    params.distinguished_name.push(DnType::OrganizationName, organization);
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params
}

/// Puts it into a unit of its organization.
pub fn in_unit(mut params: CertificateParams, unit: &str) -> CertificateParams {
    let mut name = rcgen::DistinguishedName::new();
    for (kind, value) in params.distinguished_name.iter() {
        if *kind == DnType::CommonName {
            name.push(DnType::OrganizationalUnitName, unit);
        }
        name.push(kind.clone(), value.clone());
    }
    params.distinguished_name = name;
    params
}

/// Lets it say where the list of its authority is.
pub fn listed_at(mut params: CertificateParams, uri: &str) -> CertificateParams {
    params.crl_distribution_points = vec![rcgen::CrlDistributionPoint { uris: vec![uri.to_owned()] }];
    params
}

/// Lets it say where a responder of OCSP is.
pub fn answered_at(mut params: CertificateParams, uri: &str) -> CertificateParams {
    let access = rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], crate::ocsp::access(uri));
    params.custom_extensions.push(access);
    params
}

/// Makes it one of a responder of OCSP that an authority names.
pub fn responder(mut params: CertificateParams) -> CertificateParams {
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::OcspSigning];
    params
}

/// Makes it one of an authority.
pub fn authority(mut params: CertificateParams) -> CertificateParams {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = false;
    params
}

/// Gives it an extension that nobody knows and everybody must (RFC 5280 §4.2).
pub fn with_critical(mut params: CertificateParams) -> CertificateParams {
    let mut extension = rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 36906, 1], vec![5, 0]);
    extension.set_criticality(true);
    params.custom_extensions.push(extension);
    params
}

/// Lets it have so many authorities below it, one above the other.
pub fn of_depth(mut params: CertificateParams, depth: u8) -> CertificateParams {
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(depth));
    params
}

/// Lets it be valid until the begin of a year.
pub fn until(mut params: CertificateParams, year: i32) -> CertificateParams {
    params.not_after = date_time_ymd(year, 1, 1);
    params
}

/// Gives it a serial number, where that of its key, which a certificate has by default, would not do.
pub fn numbered(mut params: CertificateParams, number: u64) -> CertificateParams {
    params.serial_number = Some(SerialNumber::from(number));
    params
}

fn key(kind: Kind) -> KeyPair {
    match kind {
        Kind::Rsa => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048),
        Kind::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        Kind::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
        Kind::P521 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512),
        Kind::Ed25519 => KeyPair::generate_for(&rcgen::PKCS_ED25519),
    }
    .expect("a key")
}

/// A trusted authority, signed by itself.
pub fn root(name: &str, kind: Kind) -> Paper {
    own(authority(subject(name, &[])), kind)
}

/// A certificate signed by itself.
pub fn own(params: CertificateParams, kind: Kind) -> Paper {
    let key = key(kind);
    let certificate = params.self_signed(&key).expect("a certificate");
    Paper::new(&certificate, params, key)
}

/// `SEQUENCE { modulus, exponent }` (RFC 8017 §A.1.1), which need be no key.
struct Numbers(Vec<u8>);

impl rcgen::PublicKeyData for Numbers {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

impl Paper {
    fn new(certificate: &rcgen::Certificate, params: CertificateParams, key: KeyPair) -> Self {
        Paper {
            der: certificate.der().to_vec(),
            pem: certificate.pem(),
            pkcs8: key.serialize_der(),
            key_pem: key.serialize_pem(),
            params,
            key,
        }
    }

    /// Issues a certificate for a fresh key.
    pub fn issue(&self, params: CertificateParams, kind: Kind) -> Paper {
        let key = key(kind);
        let certificate = params.signed_by(&key, &self.issuer()).expect("a certificate");
        Paper::new(&certificate, params, key)
    }

    /// Issues a certificate for a key of RSA of these numbers, whatever they are, in DER.
    pub fn issue_for_numbers(&self, params: CertificateParams, modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
        let sign = |number: &[u8]| if number.first().is_none_or(|first| *first > 0x7f) { &[0][..] } else { &[] };
        let numbers = [modulus, exponent].map(|number| element(2, &[sign(number), number].concat()));
        let key = Numbers(element(0x30, &numbers.concat()));
        params.signed_by(&key, &self.issuer()).expect("a certificate").der().to_vec()
    }

    /// Issues another certificate for the key of `of`.
    pub fn issue_for(&self, params: CertificateParams, of: &Paper) -> Paper {
        let key = KeyPair::from_pem(&of.key_pem).expect("a key");
        let certificate = params.signed_by(&key, &self.issuer()).expect("a certificate");
        Paper::new(&certificate, params, key)
    }

    /// A certificate of an authority below this one.
    pub fn intermediate(&self, name: &str, kind: Kind) -> Paper {
        let mut params = authority(subject(name, &[]));
        params.use_authority_key_identifier_extension = true;
        self.issue(params, kind)
    }

    /// A certificate of a peer, valid for these names.
    pub fn peer(&self, name: &str, names: &[&str], kind: Kind) -> Paper {
        self.issue(subject(name, names), kind)
    }

    /// This certificate's subject and key, signed by another authority.
    pub fn cross_signed_by(&self, other: &Paper) -> Vec<u8> {
        self.params.signed_by(&self.key, &other.issuer()).expect("a certificate").der().to_vec()
    }

    /// The revocation list of this authority, current from 2020 to 2090, in DER.
    pub fn crl(&self, revoked: &[&Paper]) -> Vec<u8> {
        self.crl_until(revoked, 2090)
    }

    /// As [`Paper::crl`], current until the begin of a year.
    pub fn crl_until(&self, revoked: &[&Paper], year: i32) -> Vec<u8> {
        let revoked = revoked.iter().map(|paper| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&paper.serial()),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer()).expect("a list").der().to_vec()
    }

    /// Its serial number.
    pub fn serial(&self) -> Vec<u8> {
        serial(&self.der)
    }

    pub(crate) fn key(&self) -> &KeyPair {
        &self.key
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

/// The serial number of a certificate that rcgen made: the first INTEGER behind the version.
fn serial(der: &[u8]) -> Vec<u8> {
    let version = [0xa0, 3, 2, 1, 2, 2];
    let at = der.windows(version.len()).position(|window| window == version).expect("a version") + version.len();
    let len = usize::from(der[at]);
    der[at + 1..=at + len].to_vec()
}
