//! Attribute certificates (RFC 5755): an attribute authority says of which groups the owner of a certificate is.
//!
//! ```text
//!   AttributeCertificate ─ holder ─► the certificate that the peer proved itself with
//!                        ─ issuer ─► an attribute authority that is trusted, and whose signature it is
//!                        ─ group  ─► one of those that are asked for
//! ```
//! The authority is one by configuration (RFC 5755 §5), never because of what its certificate says: whoever vouches for names
//! has no say about groups. Groups are the attribute of RFC 5755 §4.4.4; other attributes are not looked at.

mod form;

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Encode, Tag, Tagged};
use ravelin_crypto::CryptoProvider;
use ravelin_types::Dn;
use x509_cert::ext::pkix::name::GeneralName;

use self::form::{Info, Values};
use crate::certificate::{AltName, Certificate, Signed};
use crate::fault::Fault;
use crate::path::{self, Rules, Usage};
use crate::{limits, names, oid, revocation};

/// An attribute certificate. Cheap to clone.
#[derive(Clone)]
pub struct AttributeCertificate(Arc<Inner>);

struct Inner {
    der: Vec<u8>,
    tbs: Vec<u8>,
    algorithm: Vec<u8>,
    signature: Vec<u8>,
    holder: Holder,
    issuer: Dn,
    serial: Vec<u8>,
    valid: (u64, u64),
    groups: Vec<String>,
    /// It says that it is never revoked (RFC 5755 §4.3.6).
    forever: bool,
    /// The first critical extension that is not known here.
    unknown: Option<ObjectIdentifier>,
}

/// Whose it is. What is said of him must all be so.
#[derive(Debug, PartialEq, Eq)]
struct Holder {
    /// Issuer and number of his certificate.
    certificate: Option<(Dn, Vec<u8>)>,
    names: Vec<AltName>,
    /// By a digest, which is not compared here.
    digest: bool,
}

/// What a peer must be shown to be.
#[derive(Clone, Debug, Default)]
pub struct Membership {
    /// In one of these groups; empty: in any, or none.
    pub groups: Vec<String>,
    /// By one of these attribute authorities.
    pub authorities: Arc<[Certificate]>,
    /// Attribute certificates that are here, beside those that the peer sends.
    pub known: Arc<[AttributeCertificate]>,
}

impl AttributeCertificate {
    /// Decodes one in DER.
    ///
    /// # Errors
    /// [`Fault::Malformed`] and [`Fault::TooMuch`].
    pub fn parse(der: &[u8]) -> Result<Self, Fault> {
        const MALFORMED: Fault = Fault::Malformed("it is no attribute certificate as RFC 5755 has it");
        if der.len() > limits::CERTIFICATE {
            return Err(Fault::TooMuch("bytes of an attribute certificate"));
        }
        let [tbs, algorithm, signature] = Signed::split(der)?;
        let info = Info::from_der(&tbs).map_err(|_| MALFORMED)?;
        // RFC 5755 §4.2.1: v2 is 1; §4.2.4: both algorithms are the same.
        if info.version != 1 || info.signature.to_der().map_err(|_| MALFORMED)? != algorithm {
            return Err(MALFORMED);
        }
        let issuer = match info.issuer.names.as_deref().unwrap_or_default() {
            // RFC 5755 §4.2.3: one distinguished name.
            [one] if info.issuer.certificate.is_none() && info.issuer.digest.is_none() => directory(one),
            _ => None,
        };
        let extensions = info.extensions.unwrap_or_default();
        let known = [oid::AUTHORITY_KEY_ID, oid::CRL_POINTS, oid::AUTHORITY_ACCESS, oid::NO_REVOCATION];
        let unknown = extensions.iter().find(|it| it.critical && !known.contains(&it.extn_id)).map(|it| it.extn_id);
        let certificate = match &info.holder.certificate {
            Some(named) => match named.issuer.as_slice() {
                [one] => Some((directory(one).ok_or(MALFORMED)?, named.serial.as_bytes().to_vec())),
                _ => return Err(MALFORMED),
            },
            None => None,
        };
        let names = info.holder.names.iter().flatten().map(AltName::from).collect();
        let holder = Holder { certificate, names, digest: info.holder.digest.is_some() };
        let mut groups = Vec::new();
        for attribute in info.attributes.iter().filter(|attribute| attribute.oid == oid::GROUP) {
            for value in attribute.values.iter() {
                let value = value.to_der().map_err(|_| MALFORMED)?;
                let values = Values::from_der(&value).map_err(|_| MALFORMED)?;
                groups.extend(values.values.iter().filter_map(group).take(limits::GROUPS.saturating_sub(groups.len())));
            }
        }
        let seconds = |time: der::asn1::GeneralizedTime| time.to_unix_duration().as_secs();
        Ok(AttributeCertificate(Arc::new(Inner {
            der: der.to_vec(),
            algorithm,
            signature,
            holder,
            issuer: issuer.ok_or(MALFORMED)?,
            serial: info.serial.as_bytes().to_vec(),
            valid: (seconds(info.validity.not_before), seconds(info.validity.not_after)),
            groups,
            forever: extensions.iter().any(|it| it.extn_id == oid::NO_REVOCATION),
            unknown,
            tbs,
        })))
    }

    /// It in DER.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The attribute authority.
    pub fn issuer(&self) -> &Dn {
        &self.0.issuer
    }

    /// The groups, in the order in which they stand there.
    pub fn groups(&self) -> &[String] {
        &self.0.groups
    }

    /// Whether it is of the owner of this certificate.
    pub fn is_of(&self, certificate: &Certificate) -> bool {
        let Holder { certificate: named, names, digest } = &self.0.holder;
        let by_number = named
            .as_ref()
            .map(|(issuer, serial)| certificate.issuer().is(issuer) && certificate.serial() == serial.as_slice());
        let his = |name: &AltName| match name {
            AltName::Dn(name) => !name.is_empty() && certificate.subject().is(name),
            other => names::has(certificate, other),
        };
        let by_name = (!names.is_empty()).then(|| names.iter().any(his));
        !digest && (by_number.is_some() || by_name.is_some()) && by_number.unwrap_or(true) && by_name.unwrap_or(true)
    }

    /// For a report.
    fn words(&self) -> String {
        alloc::format!("with the groups {}, issued by {}", self.0.groups.join(", "), self.0.issuer)
    }

    /// RFC 5755 §5: it is signed by one of these, who may, and holds now.
    fn check(&self, authorities: &[Certificate], rules: &Rules<'_>, crypto: &CryptoProvider) -> Result<(), Fault> {
        let inner = &self.0;
        let unknown = || Fault::UnknownAuthority { subject: self.words(), issuer: inner.issuer.to_string() };
        let named = authorities.iter().filter(|authority| authority.subject().is(&inner.issuer));
        let signed = (inner.tbs.as_slice(), inner.algorithm.as_slice(), inner.signature.as_slice());
        let mut fault = unknown();
        let mut signer = None;
        for authority in named {
            match path::check_signed(signed, &|| self.words(), authority, rules.restrictions, crypto) {
                Ok(()) => signer = Some(authority),
                Err(other) => fault = other,
            }
        }
        let signer = signer.ok_or(fault)?;
        path::check_alone(signer, &Rules { usage: Usage::Any, ..*rules }, crypto)?;
        if let Some(extension) = inner.unknown {
            return Err(Fault::CriticalExtension(self.words(), extension));
        }
        match inner.valid {
            (from, _) if rules.now.0 < from => return Err(Fault::NotYetValid(self.words(), from)),
            (_, until) if rules.now.0 > until => return Err(Fault::Expired(self.words(), until)),
            _ => {}
        }
        match inner.forever {
            true => Ok(()),
            false => revocation::check_attributes(&inner.serial, &self.words(), signer, rules, crypto),
        }
    }
}

impl Membership {
    /// Whether an attribute authority may be what this certificate is of. It is one by configuration; RFC 5755 §4.5 keeps it
    /// from being an authority of certificates as well.
    ///
    /// # Errors
    /// Why not.
    pub fn authority(certificate: &Certificate) -> Result<(), &'static str> {
        let signs = certificate.extensions().key_usage.as_ref().is_none_or(|usage| usage.digital_signature());
        match (certificate.is_authority(), signs) {
            (true, _) => Err("an attribute authority is no authority of certificates (RFC 5755 §4.5): give it its own"),
            (_, false) => Err("its key usage does not permit digitalSignature, which an attribute authority needs"),
            _ => Ok(()),
        }
    }

    /// Whether the owner of this certificate is in one of the groups, by what is known and what was `sent`.
    pub(crate) fn check(
        &self,
        owner: &Certificate,
        sent: &[&[u8]],
        rules: &Rules<'_>,
        crypto: &CryptoProvider,
    ) -> Result<(), Fault> {
        if self.groups.is_empty() {
            return Ok(());
        }
        let sent = sent.iter().take(limits::PEER_CERTIFICATES).filter_map(|der| AttributeCertificate::parse(der).ok());
        let his = self.known.iter().cloned().chain(sent).filter(|known| known.is_of(owner));
        let mut fault = None;
        let in_group = |it: &AttributeCertificate| it.groups().iter().any(|group| self.groups.contains(group));
        for certificate in his.filter(in_group).take(limits::SIGNATURES) {
            match certificate.check(&self.authorities, rules, crypto) {
                Ok(()) => return Ok(()),
                Err(other) => fault = Some(other),
            }
        }
        let why = fault.map_or_else(|| String::from("no attribute certificate says so"), |fault| fault.to_string());
        Err(self.missing(&owner.subject().to_string(), &why))
    }

    /// That somebody is not shown to be of one of the groups.
    pub(crate) fn missing(&self, subject: &str, why: &str) -> Fault {
        Fault::NotOfGroup(subject.into(), alloc::format!("{}: {why}", self.groups.join(" or ")))
    }
}

fn directory(name: &GeneralName) -> Option<Dn> {
    match AltName::from(name) {
        AltName::Dn(name) => Some(name).filter(|name| !name.is_empty()),
        _ => None,
    }
}

/// The name of a group: text, or an object identifier with dots.
fn group(value: &AnyRef<'_>) -> Option<String> {
    match value.tag() {
        Tag::OctetString | Tag::Utf8String => core::str::from_utf8(value.value()).ok().map(String::from),
        Tag::ObjectIdentifier => value.decode_as::<ObjectIdentifier>().ok().map(|oid| oid.to_string()),
        _ => None,
    }
}

impl PartialEq for AttributeCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for AttributeCertificate {}

impl fmt::Debug for AttributeCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AttributeCertificate({})", self.words())
    }
}
