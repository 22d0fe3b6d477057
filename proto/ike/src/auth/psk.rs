//! Pre-shared keys (RFC 7296 §2.15, method 2).

use ravelin_crypto::ikev2::SignedOctets;
use ravelin_crypto::{Forged, PrfAlg};
use ravelin_types::Secret;
use ravelin_wire::ike::v2::{Auth, AuthMethod, Id, Payload};

/// What one side signs, before the octets are put together.
pub(crate) struct Signer<'a> {
    /// The signer's IKE_SA_INIT message.
    pub(crate) message: &'a [u8],
    /// The other side's nonce.
    pub(crate) nonce: &'a [u8],
    /// The signer's SK_p.
    pub(crate) sk_p: &'a Secret,
    /// The signer's identity.
    pub(crate) id: &'a Id,
}

impl Signer<'_> {
    /// AUTH.
    pub(crate) fn sign(&self, prf: &dyn PrfAlg, secret: &Secret) -> Payload {
        let data = self.octets(prf).psk_auth(prf, secret);
        Payload::Auth(Auth { method: AuthMethod::SHARED_KEY, data })
    }

    /// Judges the peer's AUTH; any other method than this one fails.
    pub(crate) fn verify(&self, prf: &dyn PrfAlg, secret: &Secret, auth: &Auth) -> Result<(), Forged> {
        // An empty key authenticates nobody, whatever the configuration says.
        if auth.method != AuthMethod::SHARED_KEY || secret.is_empty() {
            return Err(Forged);
        }
        self.octets(prf).verify_psk_auth(prf, secret, &auth.data)
    }

    fn octets(&self, prf: &dyn PrfAlg) -> SignedOctets<'_> {
        SignedOctets::new(prf, self.message, self.nonce, self.sk_p, &self.id.body())
    }
}
