//! The keyed integrity algorithm of an SA, for ESP and AH.

use alloc::boxed::Box;
use alloc::format;

use ravelin_crypto::{BadKey, CryptoProvider, IntegKey};
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
        let refused = |what| Err(DataPlaneError::Algorithm(what));
        let Some(alg) = crypto.integ(id) else {
            return refused(format!("{id} is not in the provider {}", crypto.name));
        };
        let key = match alg.key(key.expose()) {
            Ok(key) => key,
            Err(bad) => return refused(format!("{id}: {bad}")),
        };
        let (icv_len, iv_len) = (alg.icv_len(), alg.iv_len());
        let sha2 = matches!(id, IntegId::HMAC_SHA2_256_128 | IntegId::HMAC_SHA2_384_192 | IntegId::HMAC_SHA2_512_256);
        if short && sha2 {
            let key = Box::new(Truncated { key, len: icv_len });
            return Ok(Integ { key, icv_len: SHORT_ICV_LEN, iv_len });
        }
        Ok(Integ { key, icv_len, iv_len })
    }
}

/// A key whose ICV is cut shorter than the algorithm has it.
struct Truncated {
    key: Box<dyn IntegKey>,
    /// The algorithm's length.
    len: usize,
}

impl IntegKey for Truncated {
    fn sign(&self, parts: &[&[u8]], icv: &mut [u8]) {
        let mut whole = [0; MAX_ICV_LEN];
        self.key.sign(parts, &mut whole[..self.len]);
        icv.copy_from_slice(&whole[..icv.len()]);
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        self.key.replace(bytes)
    }
}
