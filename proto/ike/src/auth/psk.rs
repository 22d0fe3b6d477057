//! Secrets that both sides have: pre-shared keys, and what EAP methods make (RFC 7296 §2.15, method 2).

use alloc::boxed::Box;

use ravelin_crypto::ikev2::{SignedOctets, shared_key};
use ravelin_crypto::{PrfAlg, PrfKey};
use ravelin_types::Secret;
use ravelin_types::transform::PrfId;
use ravelin_wire::ike::v2::{Auth, AuthMethod};
use subtle::ConstantTimeEq;

use super::Unproven;

/// The pre-shared key that was used last, ready for AUTH. Both proofs of an IKE SA are mostly by one, and often those of many peers.
#[derive(Default)]
pub(crate) struct LastKey(Option<(PrfId, Secret, Box<dyn PrfKey>)>);

impl LastKey {
    /// This one, ready.
    pub(super) fn ready(&mut self, prf: &dyn PrfAlg, secret: &Secret) -> &dyn PrfKey {
        let is_it = |last: &(PrfId, Secret, _)| last.0 == prf.id() && last.1.expose().ct_eq(secret.expose()).into();
        let last = self.0.take().filter(is_it);
        &*self.0.insert(last.unwrap_or_else(|| (prf.id(), secret.clone(), shared_key(prf, secret)))).2
    }
}

/// An empty key authenticates nobody, whatever the configuration says.
pub(super) fn usable(secret: &Secret) -> Result<&Secret, Unproven> {
    if secret.is_empty() { Err(Unproven) } else { Ok(secret) }
}

/// AUTH.
pub(super) fn prove(octets: &SignedOctets<'_>, prf: &dyn PrfAlg, key: &dyn PrfKey) -> Auth {
    Auth { method: AuthMethod::SHARED_KEY, data: octets.shared_auth(prf, key) }
}

/// Judges the peer's AUTH; any other method than this one fails.
pub(super) fn judge(
    octets: &SignedOctets<'_>,
    prf: &dyn PrfAlg,
    key: &dyn PrfKey,
    auth: &Auth,
) -> Result<(), Unproven> {
    if auth.method != AuthMethod::SHARED_KEY {
        return Err(Unproven);
    }
    octets.verify_shared_auth(prf, key, &auth.data).map_err(|_| Unproven)
}
