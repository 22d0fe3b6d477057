//! How each side proves who it is: one file for each method, and the two lists of methods.
//!
//! The two sides need not use the same one (RFC 7296 §2.15). All methods cover the same octets, the `SignedOctets` of the
//! side that proves.

pub(crate) mod psk;

use alloc::string::String;

use ravelin_crypto::PrfAlg;
use ravelin_crypto::ikev2::SignedOctets;
use ravelin_types::Secret;
use ravelin_wire::ike::v2::{Auth, Id, Payload};

/// How we prove who we are.
#[derive(Clone, Debug)]
pub enum LocalAuth {
    /// By a pre-shared key.
    Psk(Secret),
}

impl LocalAuth {
    /// Whether it can prove anything.
    pub(crate) fn is_usable(&self) -> bool {
        match self {
            LocalAuth::Psk(secret) => !secret.is_empty(),
        }
    }
}

/// How the peer must prove who it is.
#[derive(Clone, Debug)]
pub enum RemoteAuth {
    /// By a pre-shared key.
    Psk(Secret),
}

impl RemoteAuth {
    /// Whether anybody can satisfy it.
    pub(crate) fn is_usable(&self) -> bool {
        match self {
            RemoteAuth::Psk(secret) => !secret.is_empty(),
        }
    }

    /// What is expected, for a report.
    pub(crate) fn words(&self, remote: &str) -> String {
        match self {
            RemoteAuth::Psk(_) => alloc::format!("the pre-shared key of remote {remote}"),
        }
    }
}

/// What one side proves, before the octets are put together.
pub(crate) struct Claim<'a> {
    /// The prover's IKE_SA_INIT message.
    pub(crate) message: &'a [u8],
    /// The other side's nonce.
    pub(crate) nonce: &'a [u8],
    /// The prover's SK_p.
    pub(crate) sk_p: &'a Secret,
    /// The prover's identity.
    pub(crate) id: &'a Id,
}

/// AUTH does not prove what it should.
pub(crate) struct Unproven;

impl Claim<'_> {
    /// AUTH, as we make it.
    pub(crate) fn prove(&self, prf: &dyn PrfAlg, auth: &LocalAuth) -> Payload {
        match auth {
            LocalAuth::Psk(secret) => Payload::Auth(psk::prove(&self.octets(prf), prf, secret)),
        }
    }

    /// Judges the peer's AUTH; any other method than the one expected fails.
    pub(crate) fn judge(&self, prf: &dyn PrfAlg, expected: &RemoteAuth, auth: &Auth) -> Result<(), Unproven> {
        match expected {
            RemoteAuth::Psk(secret) => psk::judge(&self.octets(prf), prf, secret, auth),
        }
    }

    fn octets(&self, prf: &dyn PrfAlg) -> SignedOctets<'_> {
        SignedOctets::new(prf, self.message, self.nonce, self.sk_p, &self.id.body())
    }
}
