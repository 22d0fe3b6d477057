//! Pre-shared keys (RFC 7296 §2.15, method 2).

use ravelin_crypto::PrfAlg;
use ravelin_crypto::ikev2::SignedOctets;
use ravelin_types::Secret;
use ravelin_wire::ike::v2::{Auth, AuthMethod};

use super::Unproven;

/// AUTH.
pub(super) fn prove(octets: &SignedOctets<'_>, prf: &dyn PrfAlg, secret: &Secret) -> Auth {
    Auth { method: AuthMethod::SHARED_KEY, data: octets.psk_auth(prf, secret) }
}

/// Judges the peer's AUTH; any other method than this one fails.
pub(super) fn judge(octets: &SignedOctets<'_>, prf: &dyn PrfAlg, secret: &Secret, auth: &Auth) -> Result<(), Unproven> {
    // An empty key authenticates nobody, whatever the configuration says.
    if auth.method != AuthMethod::SHARED_KEY || secret.is_empty() {
        return Err(Unproven);
    }
    octets.verify_psk_auth(prf, secret, &auth.data).map_err(|_| Unproven)
}
