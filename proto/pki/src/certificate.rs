//! One certificate, decoded, with what path validation asks of it at hand (RFC 5280 §4).

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier};
use der::{Decode, Encode, Sequence};
use ravelin_types::Dn;
use x509_cert::ext::pkix::constraints::name::GeneralSubtrees;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints, CertificatePolicies, CrlDistributionPoints,
    ExtendedKeyUsage, KeyUsage, NameConstraints, PolicyConstraints, PolicyMappings, SubjectAltName,
    SubjectKeyIdentifier,
};

use crate::fault::Fault;
use crate::point::Point;
use crate::{limits, oid};

/// A certificate. Cheap to clone.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    der: Vec<u8>,
    tbs: Vec<u8>,
    /// The AlgorithmIdentifier of the signature, in DER.
    algorithm: Vec<u8>,
    signature: Vec<u8>,
    serial: Vec<u8>,
    issuer: Dn,
    subject: Dn,
    valid: (u64, u64),
    spki: Vec<u8>,
    version3: bool,
    extensions: Extensions,
}

/// What the extensions say.
#[derive(Default)]
pub(crate) struct Extensions {
    /// cA and pathLenConstraint.
    pub(crate) basic: Option<(bool, Option<u8>)>,
    pub(crate) key_usage: Option<KeyUsage>,
    pub(crate) usages: Option<Vec<ObjectIdentifier>>,
    pub(crate) names: Vec<AltName>,
    pub(crate) permitted: Vec<AltName>,
    pub(crate) excluded: Vec<AltName>,
    pub(crate) policies: Option<Vec<ObjectIdentifier>>,
    pub(crate) mappings: Vec<(ObjectIdentifier, ObjectIdentifier)>,
    /// requireExplicitPolicy and inhibitPolicyMapping.
    pub(crate) policy_constraints: (Option<u32>, Option<u32>),
    pub(crate) inhibit_any: Option<u32>,
    pub(crate) subject_key: Option<Vec<u8>>,
    pub(crate) authority_key: Option<Vec<u8>>,
    /// Of its revocation lists.
    pub(crate) points: Vec<Point>,
    pub(crate) crl_uris: Vec<String>,
    pub(crate) freshest_uris: Vec<String>,
    pub(crate) ocsp_uris: Vec<String>,
    /// The first critical one that is not known here.
    pub(crate) unknown: Option<ObjectIdentifier>,
}

/// A name in a certificate, or a subtree of names in a constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AltName {
    /// A domain name.
    Dns(String),
    /// A mail address; in a constraint also a host or `.domain`.
    Email(String),
    /// 4 or 16 bytes; in a constraint address and mask.
    Ip(Vec<u8>),
    /// A distinguished name.
    Dn(Dn),
    /// A URI; in a constraint a host or `.domain`.
    Uri(String),
    /// A kind that is not compared, by its tag.
    Other(u8),
}

/// The three parts of everything that is signed here: certificates and revocation lists.
#[derive(Sequence)]
pub(crate) struct Signed<'a> {
    tbs: AnyRef<'a>,
    algorithm: AnyRef<'a>,
    signature: BitStringRef<'a>,
}

impl Signed<'_> {
    /// What is signed, the AlgorithmIdentifier, the signature; the first two in DER.
    pub(crate) fn split(der: &[u8]) -> Result<[Vec<u8>; 3], Fault> {
        let signed = Signed::from_der(der).map_err(|_| Fault::Malformed("it is not DER"))?;
        let bytes = |any: AnyRef<'_>| any.to_der().map_err(|_| Fault::Malformed("it is not DER"));
        let signature = signed.signature.as_bytes().ok_or(Fault::Malformed("its signature has odd bits"))?;
        Ok([bytes(signed.tbs)?, bytes(signed.algorithm)?, signature.to_vec()])
    }
}

impl Certificate {
    /// Decodes a certificate in DER.
    ///
    /// # Errors
    /// [`Fault::Malformed`] and [`Fault::TooMuch`].
    pub fn parse(der: &[u8]) -> Result<Self, Fault> {
        if der.len() > limits::CERTIFICATE {
            return Err(Fault::TooMuch("bytes of a certificate"));
        }
        let [tbs, algorithm, signature] = Signed::split(der)?;
        let inner =
            x509_cert::TbsCertificate::from_der(&tbs).map_err(|_| Fault::Malformed("it is not as RFC 5280 has it"))?;
        let encoded = |value: der::Result<Vec<u8>>| value.map_err(|_| Fault::Malformed("a part cannot be encoded"));
        // RFC 5280 §4.1.1.2: the algorithm stands inside what is signed as well, and must be the same.
        if encoded(inner.signature().to_der())? != algorithm {
            return Err(Fault::Malformed("it names two signature algorithms"));
        }
        let version3 = inner.version() == x509_cert::Version::V3;
        if inner.extensions().is_some() && !version3 {
            return Err(Fault::Malformed("extensions in a certificate that is not of version 3"));
        }
        let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
        let spki = inner.subject_public_key_info();
        Ok(Certificate(Arc::new(Inner {
            der: der.to_vec(),
            tbs,
            algorithm,
            signature,
            serial: inner.serial_number().as_bytes().to_vec(),
            issuer: Dn::new(&encoded(inner.issuer().to_der())?),
            subject: Dn::new(&encoded(inner.subject().to_der())?),
            valid: (seconds(inner.validity().not_before), seconds(inner.validity().not_after)),
            spki: encoded(spki.to_der())?,
            version3,
            extensions: Extensions::parse(inner.extensions().map_or(&[], |all| all))?,
        })))
    }

    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// Whom it is for.
    pub fn subject(&self) -> &Dn {
        &self.0.subject
    }

    /// Who signed it.
    pub fn issuer(&self) -> &Dn {
        &self.0.issuer
    }

    /// The number that its issuer gave it.
    pub fn serial(&self) -> &[u8] {
        &self.0.serial
    }

    /// From when to when it is valid, both included, in seconds since 1970.
    pub fn valid(&self) -> (u64, u64) {
        self.0.valid
    }

    /// The SubjectPublicKeyInfo in DER.
    pub fn spki(&self) -> &[u8] {
        &self.0.spki
    }

    /// The other names of the subject.
    pub fn alt_names(&self) -> &[AltName] {
        &self.0.extensions.names
    }

    /// Whether it says that it is that of an authority. One of version 1 says nothing.
    pub fn is_authority(&self) -> bool {
        matches!(self.0.extensions.basic, Some((true, _)))
    }

    /// Whether subject and issuer are one.
    pub fn is_self_issued(&self) -> bool {
        self.subject().is(self.issuer())
    }

    /// The URIs of its revocation lists.
    pub fn crl_uris(&self) -> &[String] {
        &self.0.extensions.crl_uris
    }

    /// The URIs of what has changed since those were made (RFC 5280 §4.2.1.15).
    pub fn freshest_uris(&self) -> &[String] {
        &self.0.extensions.freshest_uris
    }

    /// The URIs of its OCSP responders.
    pub fn ocsp_uris(&self) -> &[String] {
        &self.0.extensions.ocsp_uris
    }

    /// Every name of it, for a report.
    pub fn names(&self) -> String {
        let subject = (!self.subject().is_empty()).then(|| self.subject().to_string());
        let names: Vec<String> = subject.into_iter().chain(self.alt_names().iter().map(ToString::to_string)).collect();
        if names.is_empty() { "nobody".into() } else { names.join(", ") }
    }

    /// What is signed, the AlgorithmIdentifier in DER, and the signature.
    pub(crate) fn signed(&self) -> (&[u8], &[u8], &[u8]) {
        (&self.0.tbs, &self.0.algorithm, &self.0.signature)
    }

    pub(crate) fn is_version3(&self) -> bool {
        self.0.version3
    }

    pub(crate) fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.subject())
    }
}

impl Extensions {
    fn parse(all: &[x509_cert::ext::Extension]) -> Result<Self, Fault> {
        let mut out = Extensions::default();
        for (at, extension) in all.iter().enumerate() {
            // RFC 5280 §4.2: no extension stands twice.
            if all.iter().take(at).any(|other| other.extn_id == extension.extn_id) {
                return Err(Fault::Malformed("an extension is repeated"));
            }
            if !out.take(extension)? && extension.critical {
                out.unknown = out.unknown.or(Some(extension.extn_id));
            }
        }
        Ok(out)
    }

    /// Whether the extension is known.
    fn take(&mut self, extension: &x509_cert::ext::Extension) -> Result<bool, Fault> {
        let bytes = extension.extn_value.as_bytes();
        match extension.extn_id {
            oid::BASIC_CONSTRAINTS => {
                let basic: BasicConstraints = decode(bytes)?;
                self.basic = Some((basic.ca, basic.path_len_constraint));
            }
            oid::KEY_USAGE => self.key_usage = Some(decode(bytes)?),
            oid::EXTENDED_KEY_USAGE => self.usages = Some(filled(decode::<ExtendedKeyUsage>(bytes)?.0)?),
            oid::ALT_NAME => {
                let names = filled(decode::<SubjectAltName>(bytes)?.0)?;
                if names.len() > limits::NAMES {
                    return Err(Fault::TooMuch("names in a certificate"));
                }
                self.names = names.iter().map(AltName::from).collect();
            }
            oid::NAME_CONSTRAINTS => {
                let constraints: NameConstraints = decode(bytes)?;
                if constraints.permitted_subtrees.is_none() && constraints.excluded_subtrees.is_none() {
                    return Err(EMPTY);
                }
                self.permitted = subtrees(constraints.permitted_subtrees)?;
                self.excluded = subtrees(constraints.excluded_subtrees)?;
            }
            oid::POLICIES => {
                let policies = filled(decode::<CertificatePolicies>(bytes)?.0)?;
                let policies: Vec<_> = policies.iter().map(|policy| policy.policy_identifier).collect();
                let repeated = policies.iter().enumerate().any(|(at, one)| policies.iter().take(at).any(|o| o == one));
                // RFC 5280 §4.2.1.4: no policy stands twice.
                if repeated {
                    return Err(Fault::Malformed("a policy is repeated"));
                }
                if policies.len() > limits::POLICIES {
                    return Err(Fault::TooMuch("policies in a certificate"));
                }
                self.policies = Some(policies);
            }
            oid::POLICY_MAPPINGS => {
                let mappings = filled(decode::<PolicyMappings>(bytes)?.0)?;
                if mappings.len() > limits::POLICIES {
                    return Err(Fault::TooMuch("policies in a certificate"));
                }
                self.mappings = mappings.iter().map(|m| (m.issuer_domain_policy, m.subject_domain_policy)).collect();
            }
            oid::POLICY_CONSTRAINTS => {
                let constraints: PolicyConstraints = decode(bytes)?;
                self.policy_constraints = (constraints.require_explicit_policy, constraints.inhibit_policy_mapping);
            }
            oid::INHIBIT_ANY => self.inhibit_any = Some(decode(bytes)?),
            oid::SUBJECT_KEY_ID => {
                self.subject_key = Some(decode::<SubjectKeyIdentifier>(bytes)?.0.as_bytes().to_vec())
            }
            oid::AUTHORITY_KEY_ID => {
                let key = decode::<AuthorityKeyIdentifier>(bytes)?.key_identifier;
                self.authority_key = key.map(|key| key.as_bytes().to_vec());
            }
            oid::CRL_POINTS => {
                self.points = points(bytes)?;
                self.crl_uris = uris(&self.points);
            }
            oid::FRESHEST_CRL => self.freshest_uris = uris(&points(bytes)?),
            oid::AUTHORITY_ACCESS => {
                let access = filled(decode::<AuthorityInfoAccessSyntax>(bytes)?.0)?;
                let ocsp = access.iter().filter(|access| access.access_method == oid::ACCESS_OCSP);
                self.ocsp_uris = ocsp.filter_map(|access| uri(&access.access_location)).collect();
            }
            oid::ISSUER_ALT_NAME => {}
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The names of distribution points.
pub(crate) fn points(bytes: &[u8]) -> Result<Vec<Point>, Fault> {
    let points = filled(decode::<CrlDistributionPoints>(bytes)?.0)?;
    Ok(points.iter().filter_map(|point| point.distribution_point.as_ref()).flat_map(Point::all).collect())
}

/// Where they are.
pub(crate) fn uris(points: &[Point]) -> Vec<String> {
    points.iter().filter_map(Point::uri).cloned().collect()
}

const EMPTY: Fault = Fault::Malformed("an extension is empty");

fn decode<'a, T: Decode<'a>>(bytes: &'a [u8]) -> Result<T, Fault> {
    T::from_der(bytes).map_err(|_| Fault::Malformed("an extension is not as RFC 5280 has it"))
}

/// RFC 5280 gives all of these lists at least one entry.
fn filled<T>(list: Vec<T>) -> Result<Vec<T>, Fault> {
    if list.is_empty() { Err(EMPTY) } else { Ok(list) }
}

fn subtrees(subtrees: Option<GeneralSubtrees>) -> Result<Vec<AltName>, Fault> {
    let Some(subtrees) = subtrees else { return Ok(Vec::new()) };
    let subtrees = filled(subtrees)?;
    // RFC 5280 §4.2.1.10: minimum is zero and maximum absent.
    if subtrees.iter().any(|subtree| subtree.minimum != 0 || subtree.maximum.is_some()) {
        return Err(Fault::Malformed("a name constraint with a distance"));
    }
    Ok(subtrees.iter().map(|subtree| AltName::from(&subtree.base)).collect())
}

fn uri(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str().into()),
        _ => None,
    }
}

impl From<&GeneralName> for AltName {
    fn from(name: &GeneralName) -> Self {
        match name {
            GeneralName::DnsName(name) => AltName::Dns(name.as_str().into()),
            GeneralName::Rfc822Name(name) => AltName::Email(name.as_str().into()),
            GeneralName::IpAddress(bytes) => AltName::Ip(bytes.as_bytes().to_vec()),
            GeneralName::DirectoryName(name) => {
                name.to_der().map_or(AltName::Other(4), |der| AltName::Dn(Dn::new(&der)))
            }
            GeneralName::UniformResourceIdentifier(uri) => AltName::Uri(uri.as_str().into()),
            GeneralName::OtherName(_) => AltName::Other(0),
            GeneralName::EdiPartyName(_) => AltName::Other(5),
            GeneralName::RegisteredId(_) => AltName::Other(8),
        }
    }
}

impl fmt::Display for AltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AltName::Dns(name) => write!(f, "DNS:{}", name.escape_debug()),
            AltName::Email(name) => write!(f, "email:{}", name.escape_debug()),
            AltName::Uri(name) => write!(f, "URI:{}", name.escape_debug()),
            AltName::Dn(name) => write!(f, "DN:{name}"),
            AltName::Ip(bytes) => match (<[u8; 4]>::try_from(bytes.as_slice()), <[u8; 16]>::try_from(bytes.as_slice()))
            {
                (Ok(v4), _) => write!(f, "IP:{}", core::net::Ipv4Addr::from(v4)),
                (_, Ok(v6)) => write!(f, "IP:{}", core::net::Ipv6Addr::from(v6)),
                _ => write!(f, "IP:{bytes:02x?}"),
            },
            AltName::Other(tag) => write!(f, "a name of kind {tag}"),
        }
    }
}
