//! TLS for the EAP methods over it, by rustls: versions 1.2 and 1.3, without a socket.
//!
//! What rustls does not decide: whose certificates are believed (`ravelin-pki`, with the same rules and authorities as for
//! IKE, in `judge.rs`) and what makes our signatures (the key of a credential, which may be in a token, in `sign.rs`). It
//! resumes no sessions: each conversation proves both sides anew. Read [`Maker`] first.
#![forbid(unsafe_code)]

mod end;
mod judge;
mod scheme;
mod sign;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, OnceLock};

use ravelin_crypto::CryptoProvider;
use ravelin_crypto::signature::PrivateKey;
use ravelin_eap::tls::{Tls, TlsMaker, TlsSide};
use ravelin_pki::auth::World;
use ravelin_pki::ocsp::Answer;
use ravelin_pki::{Crl, Source};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

use self::end::End;
use self::judge::Judge;

/// What is known about revocation, and how more of it becomes known while a handshake goes on.
pub trait Register: Send + Sync {
    /// Asks one of these places, by certificate, that was not asked yet, and waits for that. `false`: nobody is left to ask.
    fn learn(&self, missing: &[Vec<Source>]) -> bool;

    /// The lists and answers that are known by now.
    fn known(&self) -> (Vec<Crl>, Vec<Answer>);
}

/// Makes ends of TLS with what is true now; it is made anew for each question.
#[derive(Clone, Copy)]
pub struct Maker<'a> {
    /// Private keys by the names in credentials.
    pub keys: &'a dyn Fn(&str) -> Option<Arc<dyn PrivateKey>>,
    /// The time, and what is known about revocation.
    pub world: World<'a>,
    /// Where more is to be known about it; whoever has none judges by what is known.
    pub register: Option<&'a Arc<dyn Register>>,
    /// Who verifies.
    pub crypto: &'a CryptoProvider,
}

/// The ciphers and groups of TLS.
fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    static PROVIDER: OnceLock<Arc<rustls::crypto::CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())).clone()
}

impl Maker<'_> {
    /// Our certificates and the key to them, where we have such.
    fn own(&self, side: &TlsSide) -> Result<Option<SingleCertAndKey>, String> {
        let Some(credential) = &side.credential else { return Ok(None) };
        let key = (self.keys)(&credential.key)
            .ok_or_else(|| format!("the private key {} is not there any more", credential.key))?;
        let chain: Vec<_> =
            credential.certificates.iter().map(|certificate| certificate.der().to_vec().into()).collect();
        if chain.is_empty() {
            return Err("a raw public key does not go with EAP-TLS: it takes a certificate".to_owned());
        }
        Ok(Some(CertifiedKey::new(chain, Arc::new(sign::Key(key))).into()))
    }

    fn judge(&self, side: &TlsSide) -> Result<Judge, String> {
        let trust = side.trust.clone().ok_or("nobody is believed: there are no authorities for EAP")?;
        Ok(Judge::new(trust, side.peer.clone(), self.world, self.register.cloned(), *self.crypto))
    }
}

impl TlsMaker for Maker<'_> {
    fn connect(&self, side: &TlsSide) -> Result<Box<dyn Tls>, String> {
        let judge = self.judge(side)?;
        let found = judge.found();
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(judge));
        let mut config = match self.own(side)? {
            Some(own) => builder.with_client_cert_resolver(Arc::new(own)),
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        // There is no host behind EAP whose name could be said; the judge knows whom the certificate must name.
        config.enable_sni = false;
        let name = ServerName::try_from("eap.invalid").map_err(|error| error.to_string())?;
        let end = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
        Ok(Box::new(End::new(end.into(), found)))
    }

    fn accept(&self, side: &TlsSide) -> Result<Box<dyn Tls>, String> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let (builder, found) = match &side.trust {
            Some(_) => {
                let judge = self.judge(side)?;
                let found = judge.found();
                (builder.with_client_cert_verifier(Arc::new(judge)), found)
            }
            None => (builder.with_no_client_auth(), judge::Found::default()),
        };
        let own = self.own(side)?.ok_or("this side has no certificate for EAP")?;
        let mut config = builder.with_cert_resolver(Arc::new(own));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let end = ServerConnection::new(Arc::new(config)).map_err(|error| error.to_string())?;
        Ok(Box::new(End::new(end.into(), found)))
    }
}

impl fmt::Debug for Maker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Maker")
    }
}
