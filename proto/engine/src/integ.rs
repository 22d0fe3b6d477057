//! The keyed integrity algorithm of an SA, for ESP and AH.

use alloc::boxed::Box;

use ravelin_crypto::{CryptoProvider, IntegAlg, IntegKey};
use ravelin_types::Secret;
use ravelin_types::dataplane::DataPlaneError;
use ravelin_types::transform::IntegId;

/// What [`IntegKey`] writes at most.
pub(crate) const MAX_ICV_LEN: usize = 64;
/// Length of the ICV that HMAC-SHA-2 had before RFC 4868.
const SHORT_ICV_LEN: usize = 12;

/// A keyed integrity algorithm with its lengths.
pub(crate) struct Integ {
    pub key: Box<dyn IntegKey>,
    /// What a packet carries, the IV of GMAC included.
    pub icv_len: usize,
    pub iv_len: usize,
}

impl Integ {
    /// With `short`, HMAC-SHA-2 has an ICV of 96 bits; other algorithms keep theirs.
    pub fn new(id: IntegId, key: &Secret, short: bool, crypto: &CryptoProvider) -> Result<Self, DataPlaneError> {
        let Some(alg) = crypto.integ(id) else {
            return Err(DataPlaneError::algorithm(format_args!("{id} is not in the provider {}", crypto.name)));
        };
        let key = match alg.key(key.expose()) {
            Ok(key) => key,
            Err(bad) => return Err(DataPlaneError::algorithm(format_args!("{id}: {bad}"))),
        };
        Ok(Integ { key, icv_len: icv_len(alg, short), iv_len: alg.iv_len() })
    }
}

/// Length of the ICV in packets, see [`Integ::new`].
pub(crate) fn icv_len(alg: &dyn IntegAlg, short: bool) -> usize {
    if short && may_be_short(alg.id()) { SHORT_ICV_LEN } else { alg.icv_len() }
}

/// Whether the ICV of 96 bits changes anything with the algorithm.
pub(crate) fn may_be_short(id: IntegId) -> bool {
    matches!(id, IntegId::HMAC_SHA2_256_128 | IntegId::HMAC_SHA2_384_192 | IntegId::HMAC_SHA2_512_256)
}
