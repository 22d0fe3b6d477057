//! How each side proves who it is: one file for each method, and the two lists of methods.
//!
//! The two sides need not use the same one (RFC 7296 §2.15). All methods cover the same octets, the `SignedOctets` of the
//! side that proves.

mod eap;
mod fingerprint;
mod null;
mod psk;
mod rounds;
mod signature;

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::ikev2::{SignedOctets, shared_key};
use ravelin_crypto::{CryptoProvider, PrfAlg};
use ravelin_eap::Client;
use ravelin_pki::announce::Accepts;
use ravelin_pki::auth::{Credential, Proof, Trust};
use ravelin_pki::{Date, Wish};
use ravelin_types::{HostName, Identity, Secret};
use ravelin_wire::ike::v2::{Auth, AuthMethod, Cert, CertEncoding, Id, Payload};

pub use self::eap::EapServer;
#[cfg(feature = "ikev2")]
pub(crate) use self::fingerprint::{alike, fingerprint};
pub(crate) use self::psk::LastKey;
pub use self::rounds::{OwnRound, PeerRound, Rounds};
use crate::error::{Disagreement, Error};
use crate::explain::{Means, Part};
use crate::limits;
use crate::question::Question;

/// How we prove who we are.
#[derive(Clone, Debug)]
pub enum LocalAuth {
    /// By a pre-shared key.
    Psk(Secret),
    /// By a signature.
    Signature(Arc<Credential>),
    /// By an EAP method, as the one who initiates (RFC 7296 §2.16).
    Eap(Arc<Client>),
    /// Not at all (RFC 7619).
    Null,
}

impl LocalAuth {
    /// What it is, for a report.
    pub(crate) fn means(&self) -> Means {
        match self {
            LocalAuth::Psk(_) => Means::SharedKey,
            LocalAuth::Signature(credential) if credential.certificates.is_empty() => Means::PublicKey,
            LocalAuth::Signature(_) => Means::Certificate,
            LocalAuth::Eap(_) => Means::Eap,
            LocalAuth::Null => Means::Nothing,
        }
    }

    /// The same with whose it is.
    pub(crate) fn words(&self) -> String {
        match self {
            LocalAuth::Psk(_) => "a pre-shared key".into(),
            LocalAuth::Signature(credential) => match credential.certificates.first() {
                Some(own) => {
                    let (names, issuer, until) = (own.names(), own.issuer(), Date(own.valid().1));
                    alloc::format!("the certificate {names} of {issuer}, valid until {until}")
                }
                None => "a public key without a certificate".into(),
            },
            LocalAuth::Eap(client) => alloc::format!("EAP as user {}", client.user),
            LocalAuth::Null => "nothing".into(),
        }
    }

    /// Whether it can prove anything.
    pub(crate) fn is_usable(&self) -> bool {
        match self {
            LocalAuth::Psk(secret) => !secret.is_empty(),
            LocalAuth::Signature(_) | LocalAuth::Null => true,
            LocalAuth::Eap(client) => !client.methods.is_empty(),
        }
    }
}

/// How the peer must prove who it is.
#[derive(Clone, Debug)]
pub enum RemoteAuth {
    /// By a pre-shared key.
    Psk(Secret),
    /// By a signature.
    Signature(Arc<Trust>),
    /// By an EAP method, as the one who initiates (RFC 7296 §2.16). A responder of whom this is expected is one that
    /// proves itself by the method alone (RFC 5998).
    Eap(Arc<EapServer>),
    /// Not at all: it is nobody, whoever it says it is (RFC 7619).
    Null,
}

impl RemoteAuth {
    /// Whether anybody can satisfy it.
    pub(crate) fn is_usable(&self) -> bool {
        match self {
            RemoteAuth::Psk(secret) => !secret.is_empty(),
            RemoteAuth::Signature(trust) => trust.is_usable(),
            RemoteAuth::Eap(eap) => eap.server.is_usable(),
            RemoteAuth::Null => true,
        }
    }

    /// AUTH of this peer does not prove what is expected, or is by another method.
    pub(crate) fn unproven(&self, remote: &str, peer: &Identity, auth: AuthMethod) -> Error {
        let part = match (self, auth) {
            (RemoteAuth::Psk(_), AuthMethod::SHARED_KEY) => Part::Authentication,
            // Of nobody, it is by the keys of the IKE SA.
            (RemoteAuth::Null, AuthMethod::NULL) => Part::Protocol,
            _ => Part::Method,
        };
        let theirs = alloc::format!("{peer} with AUTH by {auth}");
        Error::Authentication(Disagreement::new(part, vec![theirs], vec![self.words(remote)]))
    }

    /// The names of servers elsewhere that know the users.
    pub(crate) fn server_names(&self) -> &[HostName] {
        match self {
            RemoteAuth::Eap(eap) => eap.server.relay.as_ref().map_or(&[], |aaa| &aaa.names),
            RemoteAuth::Psk(_) | RemoteAuth::Signature(_) | RemoteAuth::Null => &[],
        }
    }

    /// What is expected, for a report.
    pub(crate) fn words(&self, remote: &str) -> String {
        match self {
            RemoteAuth::Psk(_) => alloc::format!("the pre-shared key of remote {remote}"),
            RemoteAuth::Signature(_) => alloc::format!("a certificate or key that is trusted for remote {remote}"),
            RemoteAuth::Null => alloc::format!("NULL authentication for remote {remote}"),
            RemoteAuth::Eap(eap) => {
                if eap.server.relay.is_some() {
                    return alloc::format!("EAP with a RADIUS server for remote {remote}");
                }
                let methods: Vec<String> = eap.server.methods.iter().map(ToString::to_string).collect();
                alloc::format!("{} for remote {remote}", methods.join(" or "))
            }
        }
    }
}

/// `[CERTREQ, ...]`: what would do for one of these. An authority of several is named once.
pub(crate) fn requests<'a>(proofs: impl Iterator<Item = &'a RemoteAuth>, crypto: &CryptoProvider) -> Vec<Payload> {
    let trusts = proofs.filter_map(|auth| match auth {
        RemoteAuth::Signature(trust) => Some(&**trust),
        RemoteAuth::Psk(_) | RemoteAuth::Eap(_) | RemoteAuth::Null => None,
    });
    signature::requests(ravelin_pki::auth::requests(trusts, limits::REQUESTED_AUTHORITIES, crypto))
}

/// What one side proves, before the octets are put together.
pub(crate) struct Claim<'a> {
    /// The prover's IKE_SA_INIT message.
    pub(crate) message: &'a [u8],
    /// The other side's, where it is proven too.
    pub(crate) received: Option<&'a [u8]>,
    /// The other side's nonce.
    pub(crate) nonce: &'a [u8],
    /// The prover's SK_p.
    pub(crate) sk_p: &'a Secret,
    /// The prover's identity.
    pub(crate) id: &'a Id,
    /// What IKE_INTERMEDIATE exchanges add.
    pub(crate) int_auth: Vec<u8>,
}

/// AUTH does not prove what it should.
pub(crate) struct Unproven;

/// What a peer said of the proof that it wants of us.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// What it lets us prove ourselves with.
    pub(crate) accepts: &'a Accepts,
    /// What it wants beside AUTH.
    pub(crate) wish: Wish,
}

/// What we prove who we are with.
pub(crate) struct Proven {
    /// `[CERT, ...]`
    pub(crate) certificates: Vec<Payload>,
    /// Nothing where EAP comes first.
    pub(crate) auth: Option<Payload>,
}

impl Proven {
    /// Without certificates.
    pub(crate) fn by(auth: Option<Payload>) -> Self {
        Proven { certificates: Vec::new(), auth }
    }

    /// By a signature.
    pub(crate) fn signed(proof: Proof, certificates: Vec<(u8, Vec<u8>)>) -> Self {
        let cert = |(encoding, data)| Payload::Cert(Cert { encoding: CertEncoding(encoding), data });
        Proven {
            certificates: certificates.into_iter().map(cert).collect(),
            auth: Some(Payload::Auth(Auth { method: AuthMethod(proof.method), data: proof.data })),
        }
    }
}

/// What is there at once, or has to be asked for.
pub(crate) enum Now<T> {
    /// Here it is.
    Known(T),
    /// Ask.
    Ask(Question),
}

impl Claim<'_> {
    /// AUTH, as we make it.
    pub(crate) fn prove(
        &self,
        prf: &dyn PrfAlg,
        auth: &LocalAuth,
        asked: Asked<'_>,
        last: &mut LastKey,
    ) -> Now<Proven> {
        let auth = match auth {
            LocalAuth::Psk(secret) => Some(Payload::Auth(psk::prove(&self.octets(prf), prf, last.ready(prf, secret)))),
            LocalAuth::Signature(credential) => {
                return Now::Ask(signature::prove(credential, asked, self.octets(prf).parts().concat()));
            }
            LocalAuth::Eap(_) => None,
            LocalAuth::Null => Some(Payload::Auth(null::prove(&self.octets(prf), prf, self.sk_p))),
        };
        Now::Known(Proven::by(auth))
    }

    /// AUTH with what an EAP method made.
    pub(crate) fn prove_shared(&self, prf: &dyn PrfAlg, secret: &Secret) -> Payload {
        Payload::Auth(psk::prove(&self.octets(prf), prf, &*shared_key(prf, secret)))
    }

    /// Judges AUTH with what an EAP method made.
    pub(crate) fn judge_shared(&self, prf: &dyn PrfAlg, secret: &Secret, auth: &Auth) -> Result<(), Unproven> {
        psk::judge(&self.octets(prf), prf, &*shared_key(prf, psk::usable(secret)?), auth)
    }

    /// The secret of AUTH behind an EAP conversation: its key, or without one the prover's own SK_p (RFC 7296 §2.16).
    pub(crate) fn after_eap<'s>(&'s self, msk: &'s Option<Secret>) -> &'s Secret {
        msk.as_ref().unwrap_or(self.sk_p)
    }

    /// Judges the peer's AUTH, which came among these payloads; any other method than the one expected fails.
    pub(crate) fn judge(
        &self,
        prf: &dyn PrfAlg,
        expected: &RemoteAuth,
        auth: &Auth,
        payloads: &[Payload],
        last: &mut LastKey,
    ) -> Result<Now<()>, Unproven> {
        match expected {
            RemoteAuth::Psk(secret) => {
                psk::judge(&self.octets(prf), prf, last.ready(prf, psk::usable(secret)?), auth).map(Now::Known)
            }
            RemoteAuth::Null => null::judge(&self.octets(prf), prf, self.sk_p, auth).map(Now::Known),
            // Whoever shall prove himself by EAP has no other way.
            RemoteAuth::Eap(_) => Err(Unproven),
            RemoteAuth::Signature(_) if [AuthMethod::SHARED_KEY, AuthMethod::NULL].contains(&auth.method) => {
                Err(Unproven)
            }
            RemoteAuth::Signature(trust) => {
                let octets = self.octets(prf).parts().concat();
                Ok(Now::Ask(signature::judge(trust, &self.id.identity, payloads, auth, octets)))
            }
        }
    }

    /// AUTH of a resumed IKE SA, by the prover's own SK_p (RFC 5723 §4.3.3).
    pub(crate) fn prove_resumed(&self, prf: &dyn PrfAlg) -> Payload {
        Payload::Auth(Auth { method: AuthMethod::SHARED_KEY, data: self.octets(prf).keyed_auth(prf, self.sk_p) })
    }

    /// Judges that of the peer. There is no other way then, so the method says nothing: peers send the one of old.
    pub(crate) fn judge_resumed(&self, prf: &dyn PrfAlg, auth: &Auth) -> Result<(), Unproven> {
        self.octets(prf).verify_keyed_auth(prf, self.sk_p, &auth.data).map_err(|_| Unproven)
    }

    fn octets(&self, prf: &dyn PrfAlg) -> SignedOctets<'_> {
        let octets = SignedOctets::new(prf, self.message, self.nonce, self.sk_p, &self.id.body());
        let octets = octets.with_intermediate(&self.int_auth);
        match self.received {
            Some(received) => octets.with_received(received),
            None => octets,
        }
    }
}
