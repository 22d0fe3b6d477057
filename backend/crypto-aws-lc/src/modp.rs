//! The MODP groups 14, 15 and 16 (RFC 3526): safe primes with generator 2.
//!
//! Private exponents are short, at least twice the strength of the group (RFC 3526 §8, RFC 7919 §5.2): the work drops
//! by the ratio of the lengths, and no known attack on a safe-prime group profits.

use std::sync::LazyLock;

use ravelin_crypto::{BadPublicValue, KeAlg, KePrivate, SecureRandom};
use ravelin_types::Secret;
use ravelin_types::transform::KeMethod;
use zeroize::Zeroizing;

use crate::sys::{Modulus, Prime};

pub(crate) struct Modp {
    id: KeMethod,
    /// Bytes of the modulus, and of every public value.
    len: usize,
    /// Bytes of a private exponent.
    exponent_len: usize,
    /// Made at first use.
    modulus: &'static LazyLock<Modulus>,
}

static MODULUS_2048: LazyLock<Modulus> = LazyLock::new(|| Modulus::new(Prime::Rfc3526Bits2048, 256));
static MODULUS_3072: LazyLock<Modulus> = LazyLock::new(|| Modulus::new(Prime::Rfc3526Bits3072, 384));
static MODULUS_4096: LazyLock<Modulus> = LazyLock::new(|| Modulus::new(Prime::Rfc3526Bits4096, 512));

pub(crate) static MODP2048: Modp = modp(KeMethod::MODP2048, 256, 32, &MODULUS_2048);
pub(crate) static MODP3072: Modp = modp(KeMethod::MODP3072, 384, 40, &MODULUS_3072);
pub(crate) static MODP4096: Modp = modp(KeMethod::MODP4096, 512, 48, &MODULUS_4096);

/// Room for the largest exponent.
const MAX_EXPONENT: usize = 48;

const fn modp(id: KeMethod, len: usize, exponent_len: usize, modulus: &'static LazyLock<Modulus>) -> Modp {
    Modp { id, len, exponent_len, modulus }
}

impl Modp {
    fn private(&self, rng: &mut dyn SecureRandom) -> Private {
        let mut exponent = Zeroizing::new([0; MAX_EXPONENT]);
        let bytes = &mut exponent[..self.exponent_len];
        rng.fill(bytes);
        // A fixed length keeps the time of the exponentiation fixed, and excludes 0 and 1.
        bytes[0] |= 0x80;
        let public = self.modulus.pow_of_two(bytes);
        Private { modulus: self.modulus, exponent, exponent_len: self.exponent_len, public }
    }
}

impl KeAlg for Modp {
    fn id(&self) -> KeMethod {
        self.id
    }

    fn public_len(&self) -> (usize, usize) {
        (self.len, self.len)
    }

    fn generate(&self, rng: &mut dyn SecureRandom) -> Box<dyn KePrivate> {
        Box::new(self.private(rng))
    }

    fn respond(&self, peer: &[u8], rng: &mut dyn SecureRandom) -> Result<(Vec<u8>, Secret), BadPublicValue> {
        // Nothing is computed for a value that cannot be one.
        if peer.len() != self.len {
            return Err(BadPublicValue);
        }
        let private = self.private(rng);
        let shared = private.agree(peer)?;
        Ok((private.public, shared))
    }
}

struct Private {
    modulus: &'static Modulus,
    exponent: Zeroizing<[u8; MAX_EXPONENT]>,
    exponent_len: usize,
    public: Vec<u8>,
}

impl KePrivate for Private {
    fn public(&self) -> &[u8] {
        &self.public
    }

    fn agree(&self, peer: &[u8]) -> Result<Secret, BadPublicValue> {
        // RFC 7296 §3.4: the value is padded to the length of the modulus. RFC 6989 §2.1: 1 < y < p - 1, and a safe
        // prime needs no more. `pow` checks both.
        let shared = self.modulus.pow(peer, &self.exponent[..self.exponent_len]);
        shared.map(Secret::new).ok_or(BadPublicValue)
    }
}
