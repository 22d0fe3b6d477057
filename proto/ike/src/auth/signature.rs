//! Signatures with the keys of certificates, or with public keys alone (RFC 7296 §2.15, RFC 7427).
//!
//! Neither side waits here: both the signature and the judgement are questions.

use alloc::sync::Arc;
use alloc::vec::Vec;

use ravelin_pki::auth::{Credential, Proof, Trust};
use ravelin_pki::reference;
use ravelin_types::Identity;
use ravelin_wire::ike::v2::{Auth, CertEncoding, CertReq, Payload};

use super::Asked;
use crate::question::Question;

/// What to ask for our AUTH.
pub(super) fn prove(credential: &Arc<Credential>, asked: Asked<'_>, octets: Vec<u8>) -> Question {
    Question::Sign { credential: credential.clone(), peer: asked.accepts.clone(), wish: asked.wish, octets }
}

/// What to ask about the peer's.
pub(super) fn judge(
    trust: &Arc<Trust>,
    identity: &Identity,
    payloads: &[Payload],
    auth: &Auth,
    octets: Vec<u8>,
) -> Question {
    let certificates = payloads.iter().filter_map(|payload| match payload {
        Payload::Cert(cert) => Some((cert.encoding.0, cert.data.clone())),
        _ => None,
    });
    Question::Judge {
        trust: trust.clone(),
        identity: identity.clone(),
        certificates: reference::bounded(certificates),
        proof: Proof { method: auth.method.0, data: auth.data.clone() },
        octets,
    }
}

/// `CERTREQ, CERTREQ, ...`
pub(super) fn requests(asked: Vec<(u8, Vec<u8>)>) -> Vec<Payload> {
    let payload = |(encoding, authorities)| Payload::CertReq(CertReq { encoding: CertEncoding(encoding), authorities });
    asked.into_iter().map(payload).collect()
}
