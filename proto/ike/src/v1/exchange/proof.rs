//! How the two prove in phase 1 who they are (RFC 2409 §5.1, §5.4): with a pre-shared key by HASH_I and HASH_R, with
//! certificates by signatures over them, RSA without the name of a hash, ECDSA (RFC 4754), and DSS where it is named.
//!
//! In hybrid mode the side that logs in by XAuth sends the hash, which proves nothing, and the other signs.
//!
//! The method is part of the offer, and one for both sides. What it decides is here: which key SKEYID comes from, and
//! whether a side sends HASH or SIG.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::CryptoProvider;
use ravelin_crypto::ikev1::{Algs, Cookies, Iv, Publics, Skeyid};
use ravelin_crypto::ikev2::Nonces;
use ravelin_pki::auth::{Proof, Trust};
use ravelin_pki::reference;
use ravelin_types::Secret;
use ravelin_types::identity::Identity;
use ravelin_wire::ike::v1::{AuthMethod, Cert, CertEncoding, CertReq, Opaque, Payload};

use crate::auth::{LocalAuth, Now, RemoteAuth};
use crate::config::{IkeVersion, Remote, Xauth};
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::ike_sa::Ends;
use crate::limits;
use crate::question::Question;
use crate::v1::message::{Payloads, Secured};
use crate::v1::offer::Agreed;
use crate::v1::rules::{self, Rule};

/// The method by which the two of a remote prove who they are, if we initiate phase 1 or not.
///
/// # Errors
/// When IKEv1 has none for it.
pub(super) fn method(remote: &Remote, initiator: bool, crypto: &CryptoProvider) -> Result<AuthMethod, Error> {
    let IkeVersion::V1(v1) = &remote.version else { return Err(Error::Misuse("the remote is not for IKEv1")) };
    // The side that logs in, seen from phase 1.
    let user_begins = v1.xauth.as_ref().map(|xauth| matches!(xauth, Xauth::Login { .. }) == initiator);
    let of_user = |begins: AuthMethod, answers: AuthMethod| match user_begins {
        Some(true) => Some(begins),
        Some(false) => Some(answers),
        None => None,
    };
    if v1.hybrid {
        return of_user(AuthMethod::HYBRID_INIT_RSA, AuthMethod::HYBRID_RESP_RSA)
            .ok_or(Error::Misuse("hybrid mode takes an XAuth login: --xauth-login FILE on the side of the user, --xauth-users FILE on the other"));
    }
    let method = match (&remote.local_auth, &remote.remote_auth) {
        (LocalAuth::Psk(_), RemoteAuth::Psk(_)) => AuthMethod::PRE_SHARED_KEY,
        (LocalAuth::Signature(credential), RemoteAuth::Signature(_)) => credential
            .method_v1(crypto)
            .map(AuthMethod)
            .ok_or(Error::Misuse(
                "IKEv1 has signatures by RSA, by ECDSA on the curves of NIST and, where the signatures asked for name it, by DSA \
                 alone: use such a key, or IKEv2"
            ))?,
        _ => return Err(Error::Misuse("IKEv1 has one method of authentication for both sides: give both a pre-shared key or both a certificate, or use IKEv2")),
    };
    match (user_begins, method) {
        (None, _) => Ok(method),
        (_, AuthMethod::PRE_SHARED_KEY) => {
            Ok(of_user(AuthMethod::XAUTH_INIT_PRE_SHARED, AuthMethod::XAUTH_RESP_PRE_SHARED).unwrap_or(method))
        }
        (_, AuthMethod::RSA_SIGNATURES) => {
            Ok(of_user(AuthMethod::XAUTH_INIT_RSA, AuthMethod::XAUTH_RESP_RSA).unwrap_or(method))
        }
        _ => Err(Error::Misuse("XAuth goes with pre-shared keys and with RSA: use such a key, or EAP with IKEv2")),
    }
}

/// Whether SKEYID comes from a pre-shared key.
fn is_keyed(method: AuthMethod) -> bool {
    let keyed = [AuthMethod::PRE_SHARED_KEY, AuthMethod::XAUTH_INIT_PRE_SHARED, AuthMethod::XAUTH_RESP_PRE_SHARED];
    keyed.contains(&method)
}

/// Whether a side signs; else HASH is all it sends.
fn signs(method: AuthMethod, initiator: bool) -> bool {
    match method {
        AuthMethod::HYBRID_INIT_RSA => !initiator,
        AuthMethod::HYBRID_RESP_RSA => initiator,
        method => !is_keyed(method),
    }
}

/// The payload by which a side proves who it is.
fn rule(method: AuthMethod, initiator: bool) -> Rule {
    if signs(method, initiator) { rules::SIG } else { rules::HASH }
}

/// What the keys of an ISAKMP SA are made from, and what its hashes cover.
pub(crate) struct Material {
    pub(super) agreed: Agreed,
    pub(super) algs: Algs,
    /// Body of the initiator's SA payload.
    pub(super) sa: Vec<u8>,
    pub(super) nonces: (Arc<[u8]>, Arc<[u8]>),
    pub(super) publics: (Vec<u8>, Vec<u8>),
    pub(super) shared: Secret,
}

impl Material {
    /// The keys, for a remote with nothing open.
    pub(super) fn secure(&self, remote: &Remote, ends: &Ends) -> Result<Secured, Error> {
        let nonces = Nonces { initiator: &self.nonces.0, responder: &self.nonces.1 };
        let cookies = Cookies { initiator: ends.spi_i, responder: ends.spi_r };
        let skeyid = match (is_keyed(self.agreed.method), &remote.local_auth, &remote.remote_auth) {
            (true, LocalAuth::Psk(key), RemoteAuth::Psk(_)) if !key.is_empty() => {
                Skeyid::pre_shared(self.algs.prf, key, nonces)
            }
            // An empty key authenticates nobody, whatever the configuration says.
            (true, ..) => {
                return Err(Error::Misuse(
                    "the remote has no pre-shared key: ike remote -h FILE, or a secret whose owners fit the two ends",
                ));
            }
            _ => Skeyid::signatures(self.algs.prf, &self.shared, nonces),
        };
        let keys = skeyid.derive(self.algs.prf, &self.shared, cookies);
        let cipher = keys.cipher(&self.algs).map_err(|_| Error::NOT_BUILT_IN)?;
        let iv = Iv::first(self.algs.hash, self.algs.prf.output_len(), self.publics(), &cipher);
        Ok(Secured { suite: self.agreed.suite, algs: self.algs, keys, cipher, iv })
    }

    fn publics(&self) -> Publics<'_> {
        Publics { initiator: &self.publics.0, responder: &self.publics.1 }
    }

    /// HASH_I or HASH_R, for the side that is `id`.
    fn hash(&self, secured: &Secured, initiator: bool, id: &[u8]) -> Vec<u8> {
        let keys = match self.agreed.method {
            // RFC 2409 §5.1: a signature that is tied to a hash is over HASH_I or HASH_R by that one.
            AuthMethod::DSS => &secured.keys.hashing_by(self.algs.sha1),
            _ => &secured.keys,
        };
        match initiator {
            true => keys.hash_i(self.publics(), &self.sa, id),
            false => keys.hash_r(self.publics(), &self.sa, id),
        }
    }

    /// How we prove that we are `id`: HASH, or the question for SIG.
    pub(super) fn prove(&self, secured: &Secured, remote: &Remote, initiator: bool, id: &[u8]) -> Now<Payload> {
        let hash = self.hash(secured, initiator, id);
        match &remote.local_auth {
            LocalAuth::Signature(credential) if signs(self.agreed.method, initiator) => {
                Now::Ask(Question::SignHash { credential: credential.clone(), hash })
            }
            _ => Now::Known(Payload::Hash(Opaque(hash))),
        }
    }

    /// Whether `payloads` prove that their sender is `identity`, whose body is `id`.
    pub(super) fn judge(
        &self,
        secured: &Secured,
        remote: &Remote,
        initiator: bool,
        payloads: &Payloads,
        (identity, id): (&Identity, &[u8]),
    ) -> Result<Now<()>, Error> {
        rules::require(payloads, rule(self.agreed.method, initiator))?;
        let hash = self.hash(secured, initiator, id);
        match &remote.remote_auth {
            RemoteAuth::Signature(trust) if signs(self.agreed.method, initiator) => {
                let certificates = payloads.all().iter().filter_map(|payload| match payload {
                    Payload::Cert(cert) => Some((cert.encoding.0, cert.data.clone())),
                    _ => None,
                });
                Ok(Now::Ask(Question::Judge {
                    trust: trust.clone(),
                    identity: identity.clone(),
                    certificates: reference::bounded(certificates),
                    proof: Proof { method: Proof::BARE, data: payloads.sig()?.0.clone() },
                    octets: hash,
                }))
            }
            _ => {
                secured.keys.verify(&hash, &payloads.hash()?.0).map(Now::Known).map_err(|_| {
                    self.unproven(alloc::format!("HASH of {identity} that is not of the keys here"), vec![])
                })
            }
        }
    }

    /// What is made with the keys does not fit: they come from the pre-shared key, if there is one.
    pub(super) fn unproven(&self, theirs: String, ours: Vec<String>) -> Error {
        let part = if is_keyed(self.agreed.method) { Part::Authentication } else { Part::Protocol };
        Error::Authentication(Disagreement::new(part, vec![theirs], ours))
    }
}

/// `CERT, CERT, ...`: ours.
pub(super) fn certificates(remote: &Remote) -> Vec<Payload> {
    let LocalAuth::Signature(credential) = &remote.local_auth else { return Vec::new() };
    let cert = |certificate: &ravelin_pki::Certificate| {
        Payload::Cert(Cert { encoding: CertEncoding::X509_SIGNATURE, data: certificate.der().to_vec() })
    };
    credential.certificates.iter().map(cert).collect()
}

/// `CERTREQ, CERTREQ, ...`: one for each authority that we trust (RFC 2408 §3.10); without any, one for whatever there is.
pub(super) fn requests<'a>(remotes: impl Iterator<Item = &'a Arc<Remote>>) -> Vec<Payload> {
    let mut authorities: Vec<Vec<u8>> = Vec::new();
    for remote in remotes {
        let RemoteAuth::Signature(trust) = &remote.remote_auth else { continue };
        for name in names(trust) {
            if !authorities.contains(&name) && authorities.len() < limits::REQUESTED_AUTHORITIES {
                authorities.push(name);
            }
        }
    }
    let request = |authority| Payload::CertReq(CertReq { encoding: CertEncoding::X509_SIGNATURE, authority });
    authorities.into_iter().map(request).collect()
}

fn names(trust: &Trust) -> Vec<Vec<u8>> {
    match trust.asked().is_empty() {
        true => vec![Vec::new()],
        false => trust.asked().iter().map(|authority| Identity::Dn(authority.subject().clone()).data()).collect(),
    }
}
