//! Signatures with the keys of certificates, or with public keys alone (RFC 7296 §2.15, RFC 7427).
//!
//! Neither side waits here: both the signature and the judgement are questions.

use alloc::sync::Arc;
use alloc::vec::Vec;

use ravelin_pki::announce::Accepts;
use ravelin_pki::auth::{Credential, Proof, Trust};
use ravelin_types::Identity;
use ravelin_wire::ike::v2::{Auth, Cert, CertEncoding, CertReq, Payload};

use crate::question::Question;

/// What to ask for our AUTH.
pub(super) fn prove(credential: &Arc<Credential>, peer: &Accepts, octets: Vec<u8>) -> Question {
    Question::Sign { credential: credential.clone(), peer: peer.clone(), octets }
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
        certificates: certificates.collect(),
        proof: Proof { method: auth.method.0, data: auth.data.clone() },
        octets,
    }
}

/// `CERT, CERT, ...`
pub(super) fn certificates(credential: &Credential) -> Vec<Payload> {
    let payloads = credential.payloads().into_iter();
    payloads.map(|(encoding, data)| Payload::Cert(Cert { encoding: CertEncoding(encoding), data })).collect()
}

/// `CERTREQ, CERTREQ, ...`
pub(super) fn requests(asked: Vec<(u8, Vec<u8>)>) -> Vec<Payload> {
    let payload = |(encoding, authorities)| Payload::CertReq(CertReq { encoding: CertEncoding(encoding), authorities });
    asked.into_iter().map(payload).collect()
}
