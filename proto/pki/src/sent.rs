//! What goes with AUTH by a signature: our certificates, or where they lie for peers that look them up (RFC 7296 §3.6), and
//! what their authority says of ours for peers that ask (RFC 4806 §4.2).

use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::CryptoProvider;

use crate::auth::{ATTRIBUTES, Credential, OCSP, RAW_KEY, World, X509};
use crate::certificate::Certificate;
use crate::ocsp::{Answer, Enquiry};
use crate::path;
use crate::reference::{self, Kind, Reference};
use crate::revocation::{Places, Source};

/// What a peer wants of us beside AUTH.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// It looks certificates up.
    pub lookup: bool,
    /// It wants to know whether ours was revoked.
    pub status: bool,
}

impl Credential {
    /// Encoding and data of the CERT payloads.
    pub fn payloads(&self, wish: Wish, world: World<'_>) -> Vec<(u8, Vec<u8>)> {
        if self.certificates.is_empty() {
            return vec![(RAW_KEY, self.spki.clone())];
        }
        let mut payloads: Vec<(u8, Vec<u8>)> = match wish.lookup && !self.hosted.is_empty() {
            true => self.hosted.clone(),
            false => self.certificates.iter().map(sent).collect(),
        };
        payloads.extend(self.attributes.iter().map(|it| (ATTRIBUTES, it.der().to_vec())));
        let answer = self.answer(world).filter(|_| wish.status);
        payloads.extend(answer.map(|answer| (OCSP, answer.der().to_vec())));
        payloads
    }

    /// Where it is to be learnt what the peer wants to know of ours, as far as that is not known.
    pub fn sources(&self, wish: Wish, world: World<'_>) -> Vec<Vec<Source>> {
        match wish.status && !self.responders.is_empty() && self.answer(world).is_none() {
            true => vec![self.responders.clone()],
            false => Vec::new(),
        }
    }

    fn answer<'a>(&self, world: World<'a>) -> Option<&'a Answer> {
        let ours = |answer: &&Answer| {
            answer.is_current(world.now)
                && self.responders.iter().any(|source| match source {
                    Source::Responder(_, enquiry) => answer.enquiry() == enquiry,
                    Source::List(_) => false,
                })
        };
        world.answers.iter().find(ours)
    }

    /// With what the certificates that are `known`, and `places`, say of ours: who answers for the first, and where all lie.
    pub fn placed(self, known: &[&Certificate], places: &[Places], crypto: &CryptoProvider) -> Self {
        let responders = self.certificates.first().map(|own| responders(own, known, places, crypto));
        let hosted = hosted(&self.certificates, places, crypto);
        Credential { responders: responders.unwrap_or_default(), hosted, ..self }
    }
}

fn sent(certificate: &Certificate) -> (u8, Vec<u8>) {
    (X509, certificate.der().to_vec())
}

fn issued(certificate: &Certificate, issuer: &Certificate, crypto: &CryptoProvider) -> bool {
    issuer.subject().is(certificate.issuer()) && path::is_signed_by(certificate, issuer, crypto)
}

fn responders(own: &Certificate, known: &[&Certificate], places: &[Places], crypto: &CryptoProvider) -> Vec<Source> {
    if own.ocsp_uris().is_empty() && places.iter().all(|places| places.ocsp_uris.is_empty()) {
        return Vec::new();
    }
    let issuer = known.iter().find(|issuer| issued(own, issuer, crypto));
    let Some((issuer, enquiry)) = issuer.and_then(|issuer| Some((issuer, Enquiry::new(own, issuer, crypto)?))) else {
        return Vec::new();
    };
    let uris = Places::responders(places, own, issuer).into_iter();
    uris.map(|uri| Source::Responder(uri, enquiry.clone())).collect()
}

/// The CERT payloads for peers that look certificates up. None where none of them lies anywhere.
fn hosted(certificates: &[Certificate], places: &[Places], crypto: &CryptoProvider) -> Vec<(u8, Vec<u8>)> {
    let whole = certificates.first().and_then(|own| base(own, places, |it| it.bundle_uri_base.as_deref(), crypto));
    if let Some((base, octets)) = whole.zip(reference::bundle(certificates)) {
        return vec![Reference::new(Kind::Bundle, base, &octets, crypto).payload()];
    }
    let mut any = false;
    let payload = |certificate| match base(certificate, places, |it| it.cert_uri_base.as_deref(), crypto) {
        Some(base) => {
            any = true;
            Reference::new(Kind::Certificate, base, certificate.der(), crypto).payload()
        }
        None => sent(certificate),
    };
    let payloads = certificates.iter().map(payload).collect();
    if any { payloads } else { Vec::new() }
}

/// The base that is said of the authority that issued a certificate.
fn base<'a>(
    certificate: &Certificate,
    places: &'a [Places],
    said: fn(&Places) -> Option<&str>,
    crypto: &CryptoProvider,
) -> Option<&'a str> {
    let mut places = places.iter().filter(|places| said(places).is_some());
    places.find(|places| issued(certificate, &places.authority, crypto)).and_then(said)
}
