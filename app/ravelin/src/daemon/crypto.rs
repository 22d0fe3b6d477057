//! Which library computes what.
//!
//! ```text
//!  IKE:      AWS-LC, and the portable provider for what it lacks
//!  packets:  the multi-buffer library where it is installed and fits, else the same
//! ```
//! The legacy algorithms of the portable provider are in both lists, since an operator may name them; the configuration
//! has them in no default (ADR 0012).

use ravelin_crypto::CryptoProvider;
use ravelin_crypto_aws_lc::provider as aws_lc;
use ravelin_crypto_rustcrypto::provider_with_legacy as portable;

/// The algorithms of IKE and of its Child SAs.
pub fn ike_provider() -> CryptoProvider {
    aws_lc().with_more_of(&portable())
}

#[cfg(feature = "tun")]
/// What protects packets: `ike` with the ciphers of the multi-buffer library, where that is installed and fits.
pub fn packet_provider(ike: CryptoProvider) -> CryptoProvider {
    match ravelin_crypto_ipsec_mb::try_provider() {
        Ok(fast) => {
            tracing::info!("{} protects packets, and {} what it has no cipher for", fast.name, ike.name);
            ike.with_packets_by(&fast)
        }
        Err(reason) => {
            tracing::info!("{} protects packets: {reason}", ike.name);
            ike
        }
    }
}
