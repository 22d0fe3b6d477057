//! The ECP groups: NIST P-256, P-384 and P-521 (RFC 5903), P-192 and P-224 (RFC 5114), and Brainpool (RFC 6954).
//!
//! The KE payload carries `x | y`, each padded to the length of the field; the shared secret is `x`.

use std::sync::Arc;

use ravelin_crypto::{BadPublicValue, KeAlg, KePrivate, SecureRandom};
use ravelin_types::Secret;
use ravelin_types::transform::KeMethod;
use zeroize::{Zeroize, Zeroizing};

use crate::sys::{Curve, EC_MAX_FIELD};

pub(crate) struct Ecp {
    id: KeMethod,
    curve: Curve,
    /// Bytes of a coordinate and of a scalar.
    len: usize,
    /// Bits of a scalar that are in use in its first byte.
    top_mask: u8,
    is_slow: bool,
}

pub(crate) static ECP192: Ecp = ecp(KeMethod::ECP192, Curve::P192, 24);
pub(crate) static ECP224: Ecp = ecp(KeMethod::ECP224, Curve::P224, 28);
pub(crate) static ECP256: Ecp = ecp(KeMethod::ECP256, Curve::P256, 32);
pub(crate) static ECP384: Ecp = ecp(KeMethod::ECP384, Curve::P384, 48);
pub(crate) static ECP521: Ecp = Ecp { top_mask: 0x01, ..ecp(KeMethod::ECP521, Curve::P521, 66) };
pub(crate) static BRAINPOOL_P224: Ecp = brainpool(KeMethod::BRAINPOOL_P224, Curve::BrainpoolP224, 28);
pub(crate) static BRAINPOOL_P256: Ecp = brainpool(KeMethod::BRAINPOOL_P256, Curve::BrainpoolP256, 32);
pub(crate) static BRAINPOOL_P384: Ecp = brainpool(KeMethod::BRAINPOOL_P384, Curve::BrainpoolP384, 48);
pub(crate) static BRAINPOOL_P512: Ecp = brainpool(KeMethod::BRAINPOOL_P512, Curve::BrainpoolP512, 64);

const fn ecp(id: KeMethod, curve: Curve, len: usize) -> Ecp {
    Ecp { id, curve, len, top_mask: 0xff, is_slow: false }
}

/// The library has no arithmetic made for these curves, so that they take ten times as long as those of NIST.
const fn brainpool(id: KeMethod, curve: Curve, len: usize) -> Ecp {
    Ecp { is_slow: true, ..ecp(id, curve, len) }
}

impl KeAlg for Ecp {
    fn id(&self) -> KeMethod {
        self.id
    }

    fn public_len(&self) -> (usize, usize) {
        (2 * self.len, 2 * self.len)
    }

    fn is_slow(&self) -> bool {
        self.is_slow
    }

    fn generate(&self, rng: &mut dyn SecureRandom) -> Arc<dyn KePrivate> {
        Arc::new(Private::generate(self, rng))
    }

    fn respond(&self, peer: &[u8], rng: &mut dyn SecureRandom) -> Result<(Vec<u8>, Secret), BadPublicValue> {
        // Nothing is computed for a value that cannot be one.
        if peer.len() != 2 * self.len {
            return Err(BadPublicValue);
        }
        let private = Private::generate(self, rng);
        let shared = private.agree(peer)?;
        Ok((private.public, shared))
    }
}

struct Private {
    curve: Curve,
    len: usize,
    scalar: Zeroizing<[u8; EC_MAX_FIELD]>,
    public: Vec<u8>,
}

impl Private {
    fn generate(group: &Ecp, rng: &mut dyn SecureRandom) -> Self {
        let mut scalar = Zeroizing::new([0; EC_MAX_FIELD]);
        loop {
            // FIPS 186-5 §A.2.2: draw until the value is in [1, n-1]. The worst group, brainpoolP384r1, misses
            // every second time.
            let candidate = &mut scalar[..group.len];
            rng.fill(candidate);
            candidate[0] &= group.top_mask;
            if let Some(point) = group.curve.mul_base(candidate) {
                return Private { curve: group.curve, len: group.len, public: point[1..].to_vec(), scalar };
            }
        }
    }
}

impl KePrivate for Private {
    fn public(&self) -> &[u8] {
        &self.public
    }

    fn agree(&self, peer: &[u8]) -> Result<Secret, BadPublicValue> {
        if peer.len() != 2 * self.len {
            return Err(BadPublicValue);
        }
        // RFC 6989 §2.3: coordinates below p and a point on the curve, which has prime order (RFC 6954 §3 too); `mul`
        // checks both.
        let mut point = self.curve.mul(&self.scalar[..self.len], peer).ok_or(BadPublicValue)?;
        let shared = Secret::from(&point[1..=self.len]);
        point.zeroize();
        Ok(shared)
    }
}
