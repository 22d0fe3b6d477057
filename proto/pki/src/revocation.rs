//! Whether a certificate was revoked: revocation lists (RFC 5280 §5 and §6.3) and answers of responders ([`ocsp`](crate::ocsp)).
//!
//! A list counts when the authority that issued the certificate signed it, when it is current and when it covers the
//! certificate; one that has only what has changed counts with the list that it is about. Indirect lists are passed over. Whichever
//! of the two says that a certificate was revoked is believed, and either will do where it must be known that it was not.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use ravelin_crypto::CryptoProvider;

use crate::certificate::Certificate;
use crate::crl::{Crl, Known};
use crate::fault::Fault;
use crate::ocsp::{Answer, Enquiry};
use crate::path::{self, Rules};

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
        let lists = lists(certificate, above, rules, crypto);
        if !Known::is_all_known(&lists, rules.now) {
            sources.extend(Places::lists(rules.revocation.places, certificate, issuer).into_iter().map(Source::List));
        }
        // RFC 5280 §6.3.3 (a): what has changed is asked for, too, wherever it is to be had.
        if !lists.iter().any(|list| list.has_changes() && list.is_current(rules.now)) {
            let complete = lists.iter().filter(|list| !list.has_changes());
            let of_lists = complete.flat_map(|list| list.complete().freshest());
            sources.extend(certificate.freshest_uris().iter().chain(of_lists).cloned().map(Source::List));
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
    let current: Vec<&Known<'_>> = lists.iter().filter(|list| list.is_current(rules.now)).collect();
    let counts = |list: &&Known<'_>| !current.iter().any(|newer| newer.replaces(list));
    let answers = rules.revocation.answers.iter();
    let about = |answer: &&Answer| above.first().is_some_and(|issuer| answer.is_about(certificate, issuer));
    let answers: Vec<&Answer> = answers.filter(about).collect();
    let answered = answers.iter().any(|answer| answer.is_current(rules.now));
    if lists.iter().filter(counts).any(|list| list.revokes(certificate.serial()))
        || answers.iter().any(|answer| answer.is_revoked() && (answer.is_current(rules.now) || !answered))
    {
        return Err(Fault::Revoked(certificate.subject().to_string()));
    }
    if rules.revocation.is_demanded(certificate, above.first()) && !Known::is_all_known(&lists, rules.now) && !answered
    {
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
    let lists = rules.revocation.crls.iter().filter(|crl| crl.is_usable() && crl.is_by(issuer, rules, crypto));
    let lists = Known::all(&lists.collect::<Vec<_>>());
    if lists.iter().any(|list| list.revokes(serial)) {
        return Err(Fault::Revoked(words.into()));
    }
    match rules.revocation.demand == Demand::Strict && !Known::is_all_known(&lists, rules.now) {
        true => Err(Fault::RevocationUnknown(words.into())),
        false => Ok(()),
    }
}

/// What the lists of the issuer that cover a certificate say. They may be signed with another key of the issuer than the
/// certificate, as long as the path shows that it is one (RFC 5280 §6.3.3 (f)).
fn lists<'a>(
    certificate: &Certificate,
    above: &[Certificate],
    rules: &Rules<'a>,
    crypto: &CryptoProvider,
) -> Vec<Known<'a>> {
    let is_by_issuer = |crl: &&Crl| {
        let mut signers = above.iter().filter(|signer| signer.subject().is(certificate.issuer()));
        crl.covers(certificate) && signers.any(|signer| crl.is_by(signer, rules, crypto))
    };
    Known::all(&rules.revocation.crls.iter().filter(is_by_issuer).collect::<Vec<_>>())
}
