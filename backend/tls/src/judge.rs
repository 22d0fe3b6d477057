//! Whether the other side's certificates are believed and its signature is by their key: our own rules, for both roles.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ravelin_crypto::CryptoProvider;
use ravelin_pki::auth::{Refusal, Trust, World};
use ravelin_pki::memory::{Memory, Seen};
use ravelin_pki::ocsp::Answer;
use ravelin_pki::{Certificate, Crl, Fault, Time, Usage, path};
use ravelin_types::Identity;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerIncompatible, SignatureScheme,
};

use crate::{Register, scheme};

/// Places that are asked about the certificates of one handshake.
const MAX_ASKED: usize = 16;

/// The certificate of the other side once it was judged, or why it is not believed.
pub(crate) type Found = Arc<OnceLock<Result<Certificate, Refusal>>>;

/// What was verified in one judgement: to find out what is missing, the path is gone before it is judged.
#[derive(Default)]
struct Verified(Mutex<Seen>);

impl Memory for Verified {
    fn with(&self, act: &mut dyn FnMut(&mut Seen)) {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

pub(crate) struct Judge {
    trust: Arc<Trust>,
    peer: Option<Identity>,
    /// The lists and answers that were known when the handshake began.
    known: (Vec<Crl>, Vec<Answer>),
    register: Option<Arc<dyn Register>>,
    now: Time,
    crypto: CryptoProvider,
    found: Found,
}

impl Judge {
    pub(crate) fn new(
        trust: Arc<Trust>,
        peer: Option<Identity>,
        world: World<'_>,
        register: Option<Arc<dyn Register>>,
        crypto: CryptoProvider,
    ) -> Self {
        let known = (world.crls.to_vec(), world.answers.to_vec());
        Judge { trust, peer, known, register, now: world.now, crypto, found: Found::default() }
    }

    pub(crate) fn found(&self) -> Found {
        self.found.clone()
    }

    fn judge(&self, own: &CertificateDer<'_>, others: &[CertificateDer<'_>], usage: Usage) -> Result<(), Error> {
        let sent: Vec<&[u8]> = std::iter::once(own).chain(others).map(AsRef::as_ref).collect();
        let verified = Verified::default();
        let learnt = self.register.as_ref().and_then(|register| self.learn(&sent, &**register, &verified));
        let world = self.world(learnt.as_ref().unwrap_or(&self.known), &verified);
        match self.trust.judge_tls(self.peer.as_ref(), &sent, usage, world, &self.crypto) {
            Ok(certificate) => {
                let _ = self.found.set(Ok(certificate));
                Ok(())
            }
            Err(why) => {
                let error = told(&why);
                let _ = self.found.set(Err(why));
                Err(Error::InvalidCertificate(error))
            }
        }
    }

    /// What is known once nobody is left to ask about these certificates; `None`: nobody was asked.
    fn learn(&self, sent: &[&[u8]], register: &dyn Register, verified: &Verified) -> Option<(Vec<Crl>, Vec<Answer>)> {
        let mut learnt = None;
        for _ in 0..MAX_ASKED {
            let world = self.world(learnt.as_ref().unwrap_or(&self.known), verified);
            let missing = self.trust.sources_of(sent, world, &self.crypto);
            if missing.is_empty() || !register.learn(&missing) {
                break;
            }
            learnt = Some(register.known());
        }
        learnt
    }

    fn world<'a>(&self, (crls, answers): &'a (Vec<Crl>, Vec<Answer>), verified: &'a Verified) -> World<'a> {
        World { now: self.now, crls, answers, memory: verified }
    }

    fn verify(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
        version_13: bool,
    ) -> Result<HandshakeSignatureValid, Error> {
        let bad = || Error::InvalidCertificate(CertificateError::BadSignature);
        let certificate = Certificate::parse(certificate).map_err(|_| bad())?;
        let key = path::key(&certificate, &self.crypto).map_err(|_| bad())?;
        let scheme = scheme::with_key(signed.scheme, key.kind(), version_13)
            .ok_or(Error::PeerIncompatible(PeerIncompatible::NoSignatureSchemesInCommon))?;
        key.verify(scheme, message, signed.signature()).map_err(|_| bad())?;
        Ok(HandshakeSignatureValid::assertion())
    }
}

/// What decides over the alert that the other side hears (RFC 8446 §6.2). What it can mend, it is told.
fn told(why: &Refusal) -> CertificateError {
    match why {
        Refusal::Certificate(fault) => match fault {
            Fault::Expired(..) => CertificateError::Expired,
            Fault::NotYetValid(..) => CertificateError::NotValidYet,
            Fault::Revoked(_) => CertificateError::Revoked,
            Fault::UnknownAuthority { .. } | Fault::NotThrough(..) => CertificateError::UnknownIssuer,
            Fault::Malformed(_) => CertificateError::BadEncoding,
            Fault::Usage(_) => CertificateError::InvalidPurpose,
            _ => CertificateError::Other(OtherError(Arc::new(why.clone()))),
        },
        _ => CertificateError::Other(OtherError(Arc::new(why.clone()))),
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(end_entity, intermediates, Usage::TlsServer).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, cert, dss, false)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, cert, dss, true)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        scheme::all()
    }
}

impl ClientCertVerifier for Judge {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(end_entity, intermediates, Usage::TlsClient).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, cert, dss, false)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, cert, dss, true)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        scheme::all()
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Judge")
    }
}
