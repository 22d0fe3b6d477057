//! Curve448 (RFC 8031).

use alloc::sync::Arc;
use alloc::vec::Vec;

use ravelin_crypto::{BadPublicValue, KeAlg, KePrivate, SecureRandom};
use ravelin_types::Secret;
use ravelin_types::transform::KeMethod;
use x448::{X448_BASEPOINT_BYTES, x448, x448_unchecked};
use zeroize::{Zeroize, Zeroizing};

const LEN: usize = 56;

pub(crate) struct Curve448;

/// RFC 8031.
pub(crate) static CURVE448: Curve448 = Curve448;

impl KeAlg for Curve448 {
    fn id(&self) -> KeMethod {
        KeMethod::CURVE448
    }

    fn public_len(&self) -> (usize, usize) {
        (LEN, LEN)
    }

    fn is_slow(&self) -> bool {
        true
    }

    fn generate(&self, rng: &mut dyn SecureRandom) -> Arc<dyn KePrivate> {
        Arc::new(Private::generate(rng))
    }

    fn respond(&self, peer: &[u8], rng: &mut dyn SecureRandom) -> Result<(Vec<u8>, Secret), BadPublicValue> {
        // Nothing is computed for a value that cannot be one.
        if peer.len() != LEN {
            return Err(BadPublicValue);
        }
        let private = Private::generate(rng);
        let shared = private.agree(peer)?;
        Ok((private.public.to_vec(), shared))
    }
}

struct Private {
    scalar: Zeroizing<[u8; LEN]>,
    public: [u8; LEN],
}

impl Private {
    fn generate(rng: &mut dyn SecureRandom) -> Self {
        let mut scalar = Zeroizing::new([0; LEN]);
        rng.fill(&mut *scalar);
        let public = x448_unchecked(*scalar, X448_BASEPOINT_BYTES);
        Private { scalar, public }
    }
}

impl KePrivate for Private {
    fn public(&self) -> &[u8] {
        &self.public
    }

    fn agree(&self, peer: &[u8]) -> Result<Secret, BadPublicValue> {
        let peer: [u8; LEN] = peer.try_into().map_err(|_| BadPublicValue)?;
        // RFC 7748 §6.2: an all-zero result means a point of small order, and is refused.
        let mut shared = x448(*self.scalar, peer).filter(|shared| *shared != [0; LEN]).ok_or(BadPublicValue)?;
        let secret = Secret::from(&shared[..]);
        shared.zeroize();
        Ok(secret)
    }
}
