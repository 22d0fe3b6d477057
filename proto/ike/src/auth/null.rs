//! NULL authentication (RFC 7619): AUTH that binds the messages to the IKE SA and proves nothing of who made them. The key is
//! the prover's own SK_p, as behind an EAP method without a key.

use ravelin_crypto::PrfAlg;
use ravelin_crypto::ikev2::{SignedOctets, shared_key};
use ravelin_types::Secret;
use ravelin_wire::ike::v2::{Auth, AuthMethod};

use super::Unproven;

/// AUTH.
pub(super) fn prove(octets: &SignedOctets<'_>, prf: &dyn PrfAlg, sk_p: &Secret) -> Auth {
    Auth { method: AuthMethod::NULL, data: octets.shared_auth(prf, &*shared_key(prf, sk_p)) }
}

/// Judges the peer's AUTH; any other method than this one fails.
pub(super) fn judge(octets: &SignedOctets<'_>, prf: &dyn PrfAlg, sk_p: &Secret, auth: &Auth) -> Result<(), Unproven> {
    if auth.method != AuthMethod::NULL {
        return Err(Unproven);
    }
    octets.verify_shared_auth(prf, &*shared_key(prf, sk_p), &auth.data).map_err(|_| Unproven)
}
