//! Whether a certificate was revoked, from a responder that answers for its authority (RFC 6960).
//!
//! ```text
//!   Enquiry::new ─► request: DER, with a nonce ─► HTTP, elsewhere ─► answer: everything checked ─► Answer ─► revocation
//! ```
//! An [`Answer`] is only made of what was verified, so whoever holds one may believe it until it is out of date.

mod form;

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use der::asn1::{IntRef, OctetString};
use der::{Decode, Encode};
use ravelin_crypto::CryptoProvider;
use ravelin_types::Dn;
use x509_cert::ext::Extension;

pub use self::form::Status;
use self::form::{Basic, CertId, CertStatus, Data, Hash, Request, Responder, Response, Single, TbsRequest};
use crate::certificate::Certificate;
use crate::fault::Date;
use crate::path::{self, Time};
use crate::restriction::Restrictions;
use crate::{limits, oid};

/// Octets of a nonce, as RFC 9654 §2.1 recommends and RFC 8954 §2.1 permits.
pub const NONCE: usize = 32;
/// Seconds by which the clock of a responder may be ahead of ours, and for which an answer is kept that does not say when
/// the next comes.
const LEEWAY: u64 = 300;

/// A question about one certificate. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enquiry {
    certificate: Certificate,
    issuer: Certificate,
    name: [u8; 20],
    key: [u8; 20],
}

/// What a responder that may speak for the authority said about one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    enquiry: Enquiry,
    der: Arc<[u8]>,
    revoked: bool,
    until: u64,
}

/// Why something is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It is not what RFC 6960 describes.
    Malformed(&'static str),
    /// The responder does not answer.
    Status(Status),
    /// It is not signed by the authority, nor by whom the authority named for that.
    Signer(String),
    /// It is for another request, or could be: it has no nonce and does not say until when it is good.
    Nonce,
    /// It says nothing about the certificate that was asked about.
    Other,
    /// The responder does not know the certificate.
    Unknown,
    /// It is not good yet; from when it is, in seconds since 1970.
    Early(u64),
    /// It is not good any more; since when, in seconds since 1970.
    Late(u64),
}

impl Enquiry {
    /// About `certificate`, which the key of `issuer` signed. `None`: the key of the issuer cannot be read.
    pub fn new(certificate: &Certificate, issuer: &Certificate, crypto: &CryptoProvider) -> Option<Self> {
        Some(Enquiry {
            certificate: certificate.clone(),
            issuer: issuer.clone(),
            // SHA-1 is but how responders find a certificate, and the only hash that all of them know.
            name: (crypto.sha1)(&[certificate.issuer().der()]),
            key: path::key_id(issuer.spki(), crypto)?,
        })
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// What tells it from other enquiries.
    pub fn id(&self) -> Vec<u8> {
        [&self.name[..], &self.key, self.certificate.serial()].concat()
    }

    /// The OCSPRequest in DER (RFC 6960 §4.1), with a nonce (RFC 9654 §2.1). `None` only if it could not be encoded, which
    /// does not happen.
    pub fn request(&self, nonce: &[u8; NONCE]) -> Option<Vec<u8>> {
        let octets = |bytes: &[u8]| OctetString::new(bytes).ok()?.to_der().ok();
        let nonce =
            Extension { extn_id: oid::OCSP_NONCE, critical: false, extn_value: OctetString::new(octets(nonce)?).ok()? };
        let id = CertId {
            hash: Hash { oid: oid::SHA1, parameters: Some(der::asn1::AnyRef::NULL) },
            name: OctetString::new(self.name).ok()?,
            key: OctetString::new(self.key).ok()?,
            serial: IntRef::new(self.certificate.serial()).ok()?,
        };
        Request { tbs: TbsRequest { list: vec![Single { id }], extensions: Some(vec![nonce]) } }.to_der().ok()
    }

    /// What an OCSPResponse says that came for the request with this nonce, if it is to be believed (RFC 6960 §3.2). Without
    /// a nonce it came for a request of somebody else, whose nonce says nothing here.
    ///
    /// # Errors
    /// Why not.
    pub fn answer(
        &self,
        der: &[u8],
        nonce: Option<&[u8; NONCE]>,
        now: Time,
        crypto: &CryptoProvider,
    ) -> Result<Answer, Failure> {
        let bad = |what: &'static str| move |_| Failure::Malformed(what);
        if der.len() > limits::OCSP {
            return Err(Failure::Malformed("it is too long"));
        }
        let response = Response::from_der(der).map_err(bad("it is no OCSPResponse"))?;
        if response.status != Status::Successful {
            return Err(Failure::Status(response.status));
        }
        let bytes = response.bytes.ok_or(Failure::Malformed("it is empty"))?;
        if bytes.kind != oid::OCSP_BASIC {
            return Err(Failure::Malformed("it is of another kind than id-pkix-ocsp-basic"));
        }
        let basic = Basic::from_der(bytes.response.as_bytes()).map_err(bad("it is no BasicOCSPResponse"))?;
        let signed = basic.data.to_der().map_err(bad("it is no DER"))?;
        let data = Data::from_der(&signed).map_err(bad("it has no ResponseData"))?;
        self.check_signature(&basic, &signed, &data.responder, now, crypto)?;
        let nonced = check_nonce(data.extensions.as_deref(), nonce)?;
        let single = data.responses.iter().find(|single| self.is_about(&single.id)).ok_or(Failure::Other)?;
        if single.extensions.iter().flatten().any(|extension| extension.critical) {
            return Err(Failure::Malformed("it has a critical extension that is not known here"));
        }
        let revoked = match &single.status {
            CertStatus::Good(_) => false,
            CertStatus::Revoked(_) => true,
            CertStatus::Unknown(_) => return Err(Failure::Unknown),
        };
        let this = single.this_update.to_unix_duration().as_secs();
        if this > now.0.saturating_add(LEEWAY) {
            return Err(Failure::Early(this));
        }
        let until = match single.next_update {
            Some(next) => next.to_unix_duration().as_secs(),
            // RFC 6960 §4.2.2.1: newer information is there at any time, so an old answer must not do.
            None if nonced => now.0.saturating_add(LEEWAY),
            None => return Err(Failure::Nonce),
        };
        if until < now.0 {
            return Err(Failure::Late(until));
        }
        Ok(Answer { enquiry: self.clone(), der: der.into(), revoked, until })
    }

    fn is_about(&self, id: &CertId<'_>) -> bool {
        let serial = IntRef::new(self.certificate.serial());
        id.hash.oid == oid::SHA1
            && id.name.as_bytes() == self.name
            && id.key.as_bytes() == self.key
            && serial.is_ok_and(|serial| serial == id.serial)
    }

    /// RFC 6960 §4.2.2.2: by the key that signed the certificate, or by one that this key certified for the purpose.
    fn check_signature(
        &self,
        basic: &Basic<'_>,
        signed: &[u8],
        responder: &Responder,
        now: Time,
        crypto: &CryptoProvider,
    ) -> Result<(), Failure> {
        let malformed = Failure::Malformed("it has no signature");
        let algorithm = basic.algorithm.to_der().map_err(|_| malformed.clone())?;
        let signature = basic.signature.as_bytes().ok_or(malformed)?;
        let scheme = path::known(&algorithm).map_err(|how| Failure::Signer(alloc::format!("by {how}")))?;
        // What is only accepted by name is named for certificates, and has no part in this.
        if !Restrictions::default().in_chain(scheme) {
            return Err(Failure::Signer(alloc::format!("by {scheme}")));
        }
        let signs = |signer: &Certificate| {
            path::key(signer, crypto).is_ok_and(|key| key.verify(scheme, signed, signature).is_ok())
        };
        if is_named(responder, &self.issuer, crypto) && signs(&self.issuer) {
            return Ok(());
        }
        let sent = basic.certificates.iter().flatten().take(limits::RESPONDERS);
        let mut sent = sent.filter_map(|any| Certificate::parse(&any.to_der().ok()?).ok());
        let delegate = sent.find(|delegate| is_named(responder, delegate, crypto));
        let delegate = delegate.ok_or_else(|| Failure::Signer("by somebody whose certificate is not there".into()))?;
        let named = || delegate.subject().to_string();
        if !self.has_authorized(&delegate, now, crypto) {
            return Err(Failure::Signer(alloc::format!("by {}, whom the authority has not named for that", named())));
        }
        if signs(&delegate) { Ok(()) } else { Err(Failure::Signer(alloc::format!("not by {} as it says", named()))) }
    }

    fn has_authorized(&self, delegate: &Certificate, now: Time, crypto: &CryptoProvider) -> bool {
        let extensions = delegate.extensions();
        let (from, until) = delegate.valid();
        let by_issuer = || {
            let subject = || delegate.subject().to_string();
            path::check_signed(delegate.signed(), &subject, &self.issuer, &Restrictions::default(), crypto).is_ok()
        };
        extensions.usages.as_ref().is_some_and(|usages| usages.contains(&oid::OCSP_SIGNING))
            && extensions.key_usage.as_ref().is_none_or(|usage| usage.digital_signature())
            && extensions.unknown.is_none()
            && (from..=until).contains(&now.0)
            && delegate.issuer().is(self.issuer.subject())
            && by_issuer()
    }
}

/// Whether the ResponderID is that of a certificate.
fn is_named(responder: &Responder, certificate: &Certificate, crypto: &CryptoProvider) -> bool {
    match responder {
        Responder::Name(name) => name.to_der().is_ok_and(|der| Dn::new(&der).is(certificate.subject())),
        Responder::Key(id) => path::key_id(certificate.spki(), crypto).is_some_and(|key| id.as_bytes() == key),
    }
}

/// Whether the nonce came back. Responders that sign beforehand send none (RFC 9654 §2.1); another one is never right.
fn check_nonce(extensions: Option<&[Extension]>, nonce: Option<&[u8; NONCE]>) -> Result<bool, Failure> {
    let mut nonced = false;
    for extension in extensions.unwrap_or_default() {
        if extension.extn_id == oid::OCSP_NONCE {
            let Some(nonce) = nonce else { continue };
            let value = OctetString::from_der(extension.extn_value.as_bytes()).map_err(|_| Failure::Nonce)?;
            if value.as_bytes() != nonce {
                return Err(Failure::Nonce);
            }
            nonced = true;
        } else if extension.critical {
            return Err(Failure::Malformed("it has a critical extension that is not known here"));
        }
    }
    Ok(nonced)
}

impl Answer {
    /// What was asked.
    pub fn enquiry(&self) -> &Enquiry {
        &self.enquiry
    }

    /// The OCSPResponse, in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate that it is about.
    pub fn certificate(&self) -> &Certificate {
        &self.enquiry.certificate
    }

    /// Whether that was revoked.
    pub fn is_revoked(&self) -> bool {
        self.revoked
    }

    /// Whether it is not out of date.
    pub fn is_current(&self, now: Time) -> bool {
        now.0 <= self.until
    }

    /// Whether it is about this certificate, signed by the key of this issuer.
    pub(crate) fn is_about(&self, certificate: &Certificate, issuer: &Certificate) -> bool {
        self.enquiry.certificate == *certificate
            && self.enquiry.issuer.spki() == issuer.spki()
            && self.enquiry.issuer.subject().is(issuer.subject())
    }
}

impl Failure {
    /// Whether it would be the same for every certificate, for a while.
    pub fn is_of_responder(&self) -> bool {
        matches!(self, Failure::Status(Status::TryLater | Status::InternalError))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Malformed(what) => write!(f, "no OCSP answer that can be read: {what}"),
            Failure::Status(status) => f.write_str(match status {
                Status::Successful => "it says that all is well and nothing more",
                Status::MalformedRequest => "it does not understand the request",
                Status::InternalError => "it reports an internal error",
                Status::TryLater => "it asks to try later",
                Status::SigRequired => "it answers signed requests alone",
                Status::Unauthorized => "it does not answer for this certificate",
            }),
            Failure::Signer(whom) => write!(f, "the answer is signed {whom}"),
            Failure::Nonce => f.write_str("the answer may be an old one: it has not the nonce of the request"),
            Failure::Other => f.write_str("the answer is about another certificate"),
            Failure::Unknown => f.write_str("it does not know the certificate"),
            Failure::Early(from) => write!(f, "the answer is good from {} on: compare the clocks", Date(*from)),
            Failure::Late(until) => write!(f, "the answer was good until {}", Date(*until)),
        }
    }
}

impl core::error::Error for Failure {}
