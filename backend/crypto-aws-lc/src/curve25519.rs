//! Curve25519 (RFC 8031).

use std::sync::Arc;

use ravelin_crypto::{BadPublicValue, KeAlg, KePrivate, SecureRandom};
use ravelin_types::Secret;
use ravelin_types::transform::KeMethod;
use zeroize::Zeroizing;

use crate::sys;

const LEN: usize = 32;

pub(crate) struct Curve25519;

/// RFC 8031.
pub(crate) static CURVE25519: Curve25519 = Curve25519;

impl KeAlg for Curve25519 {
    fn id(&self) -> KeMethod {
        KeMethod::CURVE25519
    }

    fn public_len(&self) -> (usize, usize) {
        (LEN, LEN)
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
        let public = sys::x25519_public(&scalar);
        Private { scalar, public }
    }
}

impl KePrivate for Private {
    fn public(&self) -> &[u8] {
        &self.public
    }

    fn agree(&self, peer: &[u8]) -> Result<Secret, BadPublicValue> {
        let peer = peer.try_into().map_err(|_| BadPublicValue)?;
        let mut shared = vec![0; LEN];
        let room = shared.as_mut_slice().try_into().expect("the vector was made with this length");
        // RFC 7748 §6.1: an all-zero result means a point of small order. The check is optional there; here it is made,
        // because a secret that the sender of such a point knows in advance protects nothing.
        if sys::x25519(room, &self.scalar, peer) { Ok(Secret::new(shared)) } else { Err(BadPublicValue) }
    }
}
