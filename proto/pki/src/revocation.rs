//! Whether a certificate was revoked: revocation lists (RFC 5280 §5 and §6.3) and answers of responders ([`ocsp`](crate::ocsp)).
//!
//! A list counts when the authority that issued the certificate signed it, when it is current and when it covers the
//! certificate. Indirect lists and those that hold only differences are passed over. Whichever of the two says that a
//! certificate was revoked is believed, and either will do where it must be known that it was not.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use der::{Decode, Encode};
use ravelin_crypto::CryptoProvider;
use ravelin_types::Dn;
use x509_cert::crl::CertificateList;
use x509_cert::ext::pkix::IssuingDistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};

use crate::certificate::{Certificate, Signed};
use crate::fault::Fault;
use crate::ocsp::{Answer, Enquiry};
use crate::path::{self, Rules, Time};
use crate::{limits, oid};

/// What is known about revocation, and what is done with a certificate of which nothing is known.
#[derive(Clone, Copy, Debug)]
pub struct Revocation<'a> {
    /// Lists that were loaded or fetched.
    pub crls: &'a [Crl],
    /// Answers of OCSP responders.
    pub answers: &'a [Answer],
    /// Where more is to be learnt than certificates say.
    pub places: &'a [Places],
    /// Of which certificates below the anchor it must be known.
    pub demand: Demand,
}

/// Which certificates must be known not to be revoked. One that is known to be revoked is never accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Demand {
    /// None: where nothing is known, nothing is held against it.
    #[default]
    Relaxed,
    /// Those of which it is known where that is to be learnt: they or the configuration say it.
    IfUri,
    /// All.
    Strict,
}

/// An authority, and where its lists, responders and certificates are, beside what its certificates say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The certificate of the authority.
    pub authority: Certificate,
    /// URIs of its revocation lists.
    pub crl_uris: Vec<String>,
    /// URIs of its OCSP responders.
    pub ocsp_uris: Vec<String>,
    /// Under which URL each certificate that it issued lies, by the digits of its SHA-1 (RFC 7296 §3.6).
    pub cert_uri_base: Option<String>,
    /// Under which URL bundles of such a certificate and those above it lie.
    pub bundle_uri_base: Option<String>,
}

impl Places {
    /// URIs for a certificate that this authority issued: what is configured comes first.
    fn uris<'a>(
        all: &'a [Places],
        configured: impl Fn(&'a Places) -> &'a [String],
        own: &'a [String],
        issuer: &Certificate,
    ) -> Vec<String> {
        let same = |places: &&Places| {
            places.authority.spki() == issuer.spki() && places.authority.subject().is(issuer.subject())
        };
        let mut uris = Vec::new();
        for uri in all.iter().filter(same).flat_map(configured).chain(own) {
            if !uris.contains(uri) {
                uris.push(uri.clone());
            }
        }
        uris
    }

    /// Who answers for a certificate that this authority issued.
    pub(crate) fn responders(all: &[Places], certificate: &Certificate, issuer: &Certificate) -> Vec<String> {
        Places::uris(all, |places| &places.ocsp_uris, certificate.ocsp_uris(), issuer)
    }

    /// Where the lists are that are about it.
    fn lists(all: &[Places], certificate: &Certificate, issuer: &Certificate) -> Vec<String> {
        Places::uris(all, |places| &places.crl_uris, certificate.crl_uris(), issuer)
    }
}

impl Revocation<'_> {
    fn is_demanded(&self, certificate: &Certificate, issuer: Option<&Certificate>) -> bool {
        match self.demand {
            Demand::Relaxed => false,
            Demand::IfUri => issuer.is_some_and(|issuer| {
                !Places::responders(self.places, certificate, issuer).is_empty()
                    || !Places::lists(self.places, certificate, issuer).is_empty()
            }),
            Demand::Strict => true,
        }
    }
}

/// Where it is to be learnt whether a certificate was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// At a responder with this URI, which is asked this.
    Responder(String, Enquiry),
    /// In the revocation list with this URI.
    List(String),
}

impl Source {
    /// Its URI.
    pub fn uri(&self) -> &str {
        match self {
            Source::Responder(uri, _) | Source::List(uri) => uri,
        }
    }
}

/// A revocation list. Cheap to clone.
#[derive(Clone)]
pub struct Crl(Arc<Inner>);

struct Inner {
    der: Vec<u8>,
    tbs: Vec<u8>,
    algorithm: Vec<u8>,
    signature: Vec<u8>,
    issuer: Dn,
    updated: (u64, Option<u64>),
    revoked: BTreeSet<Vec<u8>>,
    scope: Scope,
}

/// Which certificates a list covers.
#[derive(Clone, Debug, Default)]
struct Scope {
    only_users: bool,
    only_authorities: bool,
    /// The URIs of the point that it is for; none: for all.
    point: Option<Vec<String>>,
    /// It needs something that is not known here.
    unusable: bool,
}

impl Crl {
    /// Decodes a list in DER.
    ///
    /// # Errors
    /// [`Fault::Malformed`] and [`Fault::TooMuch`].
    pub fn parse(der: &[u8]) -> Result<Self, Fault> {
        if der.len() > limits::CRL {
            return Err(Fault::TooMuch("bytes of a revocation list"));
        }
        let [tbs, algorithm, signature] = Signed::split(der)?;
        let list: CertificateList =
            CertificateList::from_der(der).map_err(|_| Fault::Malformed("it is no revocation list"))?;
        let list = list.tbs_cert_list;
        let bad = |_| Fault::Malformed("a part cannot be encoded");
        if list.signature.to_der().map_err(bad)? != algorithm {
            return Err(Fault::Malformed("it names two signature algorithms"));
        }
        let mut scope = Scope::default();
        for extension in list.crl_extensions.iter().flatten() {
            match extension.extn_id {
                oid::ISSUING_POINT => scope.restrict(extension.extn_value.as_bytes())?,
                oid::AUTHORITY_KEY_ID | oid::CRL_NUMBER => {}
                oid::DELTA_CRL => scope.unusable = true,
                _ => scope.unusable |= extension.critical,
            }
        }
        let mut revoked = BTreeSet::new();
        for entry in list.revoked_certificates.iter().flatten() {
            // RFC 5280 §5.3: a critical extension that is not known makes the whole list unusable; certificateIssuer,
            // that of indirect lists, is one.
            scope.unusable |= entry.crl_entry_extensions.iter().flatten().any(|extension| extension.critical);
            revoked.insert(entry.serial_number.as_bytes().to_vec());
        }
        let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
        Ok(Crl(Arc::new(Inner {
            der: der.to_vec(),
            tbs,
            algorithm,
            signature,
            issuer: Dn::new(&list.issuer.to_der().map_err(bad)?),
            updated: (seconds(list.this_update), list.next_update.map(seconds)),
            revoked,
            scope,
        })))
    }

    /// The list in DER.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// Who signed it.
    pub fn issuer(&self) -> &Dn {
        &self.0.issuer
    }

    /// When it was made, and when the next will be, in seconds since 1970.
    pub fn updated(&self) -> (u64, Option<u64>) {
        self.0.updated
    }

    /// How many certificates it revokes.
    pub fn len(&self) -> usize {
        self.0.revoked.len()
    }

    /// Whether it revokes none.
    pub fn is_empty(&self) -> bool {
        self.0.revoked.is_empty()
    }

    /// Whether it is current: RFC 5280 §5.1.2.5 has every list say when the next comes.
    pub fn is_current(&self, now: Time) -> bool {
        let (this, next) = self.updated();
        this <= now.0 && next.is_some_and(|next| now.0 <= next)
    }

    fn covers(&self, certificate: &Certificate) -> bool {
        let scope = &self.0.scope;
        let kind = if certificate.is_authority() { !scope.only_users } else { !scope.only_authorities };
        let point = scope.point.as_ref().is_none_or(|uris| uris.iter().any(|uri| certificate.crl_uris().contains(uri)));
        !scope.unusable && kind && point
    }

    /// Whether the authority signed it and may (RFC 5280 §6.3.3 (f) and (g)).
    fn is_by(&self, issuer: &Certificate, rules: &Rules<'_>, crypto: &CryptoProvider) -> bool {
        let signs = issuer.extensions().key_usage.as_ref().is_none_or(|usage| usage.crl_sign());
        let inner = &self.0;
        let verified = || {
            let scheme = path::known(&inner.algorithm).ok().filter(|scheme| rules.restrictions.in_chain(*scheme))?;
            path::key(issuer, crypto).ok()?.verify(scheme, &inner.tbs, &inner.signature).ok()
        };
        signs && inner.issuer.is(issuer.subject()) && verified().is_some()
    }
}

impl Scope {
    fn restrict(&mut self, der: &[u8]) -> Result<(), Fault> {
        let point = IssuingDistributionPoint::from_der(der)
            .map_err(|_| Fault::Malformed("an extension of a revocation list is not as RFC 5280 has it"))?;
        self.only_users = point.only_contains_user_certs;
        self.only_authorities = point.only_contains_ca_certs;
        self.unusable |= point.indirect_crl || point.only_contains_attribute_certs || point.only_some_reasons.is_some();
        match point.distribution_point {
            Some(DistributionPointName::FullName(names)) => {
                let uri = |name: &GeneralName| match name {
                    GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str().into()),
                    _ => None,
                };
                self.point = Some(names.iter().filter_map(uri).collect());
            }
            Some(DistributionPointName::NameRelativeToCRLIssuer(_)) => self.unusable = true,
            None => {}
        }
        Ok(())
    }
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crl({}, {} revoked)", self.issuer(), self.len())
    }
}

/// Where it is to be learnt about the certificates of a path: for each certificate the places that are known, any of
/// which will do, responders first (RFC 5280 §4.2.1.13 and §4.2.2.1). A responder is asked although there is a list: it knows
/// sooner.
pub(crate) fn missing(path: &path::Path, rules: &Rules<'_>, crypto: &CryptoProvider) -> Vec<Vec<Source>> {
    let sources = |at: usize| {
        let (certificate, above) = path.0.get(at..)?.split_first()?;
        let issuer = above.first()?;
        let answers = rules.revocation.answers;
        if answers.iter().any(|answer| answer.is_current(rules.now) && answer.is_about(certificate, issuer)) {
            return None;
        }
        let enquiry = Enquiry::new(certificate, issuer, crypto)?;
        let responders = Places::responders(rules.revocation.places, certificate, issuer).into_iter();
        let mut sources: Vec<Source> = responders.map(|uri| Source::Responder(uri, enquiry.clone())).collect();
        if !lists(certificate, above, rules, crypto).iter().any(|crl| crl.is_current(rules.now)) {
            sources.extend(Places::lists(rules.revocation.places, certificate, issuer).into_iter().map(Source::List));
        }
        Some(sources).filter(|sources| !sources.is_empty())
    };
    (0..path.0.len()).filter_map(sources).collect()
}

/// Checks the certificate at this place of a path by what is known.
pub(crate) fn check(chain: &[Certificate], at: usize, rules: &Rules<'_>, crypto: &CryptoProvider) -> Result<(), Fault> {
    let (certificate, above) = match chain.get(at..) {
        Some([certificate, above @ ..]) => (certificate, above),
        _ => return Err(Fault::None),
    };
    let lists = lists(certificate, above, rules, crypto);
    // An old list revokes as well, unless a current one does not say it any more: it was a hold. So does an old answer.
    let newest = lists.iter().filter(|crl| crl.is_current(rules.now)).map(|crl| crl.updated().0).max();
    let counts = |crl: &&&Crl| newest.is_none_or(|newest| crl.updated().0 >= newest);
    let answers = rules.revocation.answers.iter();
    let about = |answer: &&Answer| above.first().is_some_and(|issuer| answer.is_about(certificate, issuer));
    let answers: Vec<&Answer> = answers.filter(about).collect();
    let answered = answers.iter().any(|answer| answer.is_current(rules.now));
    if lists.iter().filter(counts).any(|crl| crl.0.revoked.contains(certificate.serial()))
        || answers.iter().any(|answer| answer.is_revoked() && (answer.is_current(rules.now) || !answered))
    {
        return Err(Fault::Revoked(certificate.subject().to_string()));
    }
    if rules.revocation.is_demanded(certificate, above.first()) && newest.is_none() && !answered {
        return Err(Fault::RevocationUnknown(certificate.subject().to_string()));
    }
    Ok(())
}

/// The same for an attribute certificate with this number, about which its authority has lists of its own (RFC 5755 §6).
pub(crate) fn check_attributes(
    serial: &[u8],
    words: &str,
    issuer: &Certificate,
    rules: &Rules<'_>,
    crypto: &CryptoProvider,
) -> Result<(), Fault> {
    let lists = rules.revocation.crls.iter().filter(|crl| !crl.0.scope.unusable && crl.is_by(issuer, rules, crypto));
    let lists: Vec<&Crl> = lists.collect();
    if lists.iter().any(|crl| crl.0.revoked.contains(serial)) {
        return Err(Fault::Revoked(words.into()));
    }
    match rules.revocation.demand == Demand::Strict && !lists.iter().any(|crl| crl.is_current(rules.now)) {
        true => Err(Fault::RevocationUnknown(words.into())),
        false => Ok(()),
    }
}

/// The lists of the issuer that cover a certificate. They may be signed with another key of the issuer than the
/// certificate, as long as the path shows that it is one (RFC 5280 §6.3.3 (f)).
fn lists<'a>(
    certificate: &Certificate,
    above: &[Certificate],
    rules: &Rules<'a>,
    crypto: &CryptoProvider,
) -> Vec<&'a Crl> {
    let is_by_issuer = |crl: &&Crl| {
        let mut signers = above.iter().filter(|signer| signer.subject().is(certificate.issuer()));
        crl.covers(certificate) && signers.any(|signer| crl.is_by(signer, rules, crypto))
    };
    rules.revocation.crls.iter().filter(is_by_issuer).collect()
}
