//! What a side wants beside AUTH of the other: hash and URL in the place of certificates, which it looks up (RFC 7296 §3.6),
//! and what their authority says of them (RFC 4806).
//!
//! ```text
//!   before the other proves itself      CERTREQ (OCSP Content), N(HTTP_CERT_LOOKUP_SUPPORTED)
//!   with its AUTH                       CERT (Hash and URL of X.509 ...), CERT (OCSP Content)
//! ```

use ravelin_pki::{Lookup, Wish};
use ravelin_wire::ike::v2::{CertEncoding, Notify, NotifyType, Payload};

use crate::config::{Remote, RemoteAuth};
use crate::v2::message::Payloads;

/// What the peer wants.
pub(crate) fn read(payloads: &Payloads) -> Wish {
    let status = |payload: &Payload| matches!(payload, Payload::CertReq(asked) if asked.encoding == CertEncoding::OCSP);
    Wish {
        lookup: payloads.notify(NotifyType::HTTP_CERT_LOOKUP_SUPPORTED).is_some(),
        status: payloads.0.iter().any(status),
    }
}

/// RFC 7296 §3.7: said beside CERTREQ, where every peer that this may be is looked up.
pub(crate) fn lookup<'a>(remotes: impl Iterator<Item = &'a Remote>) -> Option<Payload> {
    let trusts = remotes.flat_map(Remote::peer_proofs).filter_map(|auth| match auth {
        RemoteAuth::Signature(trust) => Some(trust),
        RemoteAuth::Psk(_) | RemoteAuth::Eap(_) | RemoteAuth::Null => None,
    });
    let mut trusts = trusts.peekable();
    let all = trusts.peek().is_some() && trusts.all(|trust| trust.lookup != Lookup::Never);
    all.then(|| Payload::Notify(Notify::new(NotifyType::HTTP_CERT_LOOKUP_SUPPORTED, [])))
}
