//! The ECP groups (RFC 5903): NIST P-256, P-384 and P-521.
//!
//! The KE payload carries `x | y`, each padded to the length of the field; the shared secret is `x`.

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
}

pub(crate) static ECP256: Ecp = Ecp { id: KeMethod::ECP256, curve: Curve::P256, len: 32, top_mask: 0xff };
pub(crate) static ECP384: Ecp = Ecp { id: KeMethod::ECP384, curve: Curve::P384, len: 48, top_mask: 0xff };
pub(crate) static ECP521: Ecp = Ecp { id: KeMethod::ECP521, curve: Curve::P521, len: 66, top_mask: 0x01 };

impl KeAlg for Ecp {
    fn id(&self) -> KeMethod {
        self.id
    }

    fn public_len(&self) -> (usize, usize) {
        (2 * self.len, 2 * self.len)
    }

    fn generate(&self, rng: &mut dyn SecureRandom) -> Box<dyn KePrivate> {
        Box::new(Private::generate(self, rng))
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
            // FIPS 186-5 §A.2.2: draw until the value is in [1, n-1]. The worst group, P-256, misses once in 2^32.
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
        // RFC 6989 §2.3: coordinates below p and a point on the curve, which has prime order; `mul` checks both.
        let mut point = self.curve.mul(&self.scalar[..self.len], peer).ok_or(BadPublicValue)?;
        let shared = Secret::from(&point[1..=self.len]);
        point.zeroize();
        Ok(shared)
    }
}
