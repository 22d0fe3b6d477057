//! The MODP groups: 1 and 2 (RFC 2409), 5 and 14 to 18 (RFC 3526), safe primes with generator 2, and 22 to 24 (RFC 5114),
//! with a subgroup of small prime order.
//!
//! With a safe prime private exponents are short, at least twice the strength of the group (RFC 3526 §8, RFC 7919 §5.2):
//! the work drops by the ratio of the lengths, and no known attack on a safe-prime group profits. In a subgroup they are
//! of the length of its order, and every value of a peer is checked to be a member.

use std::sync::{Arc, LazyLock};

use ravelin_crypto::{BadPublicValue, KeAlg, KePrivate, SecureRandom};
use ravelin_types::Secret;
use ravelin_types::transform::KeMethod;
use zeroize::Zeroizing;

use crate::numbers;
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

/// One line for each group: bytes of a value, bytes of an exponent, and how the modulus is made.
macro_rules! groups {
    ($($name:ident($len:literal, $exponent:literal) = $modulus:expr;)*) => {$(
        pub(crate) static $name: Modp = {
            static MODULUS: LazyLock<Modulus> = LazyLock::new(|| $modulus);
            modp(KeMethod::$name, $len, $exponent, &MODULUS)
        };
    )*};
}

groups! {
    MODP768(96, 24) = Modulus::safe(Prime::Bytes(numbers::PRIME_768), 96);
    MODP1024(128, 24) = Modulus::safe(Prime::Bytes(numbers::PRIME_1024), 128);
    MODP1536(192, 30) = Modulus::safe(Prime::Rfc3526Bits1536, 192);
    MODP2048(256, 32) = Modulus::safe(Prime::Rfc3526Bits2048, 256);
    MODP3072(384, 40) = Modulus::safe(Prime::Rfc3526Bits3072, 384);
    MODP4096(512, 48) = Modulus::safe(Prime::Rfc3526Bits4096, 512);
    MODP6144(768, 56) = Modulus::safe(Prime::Rfc3526Bits6144, 768);
    MODP8192(1024, 64) = Modulus::safe(Prime::Rfc3526Bits8192, 1024);
    MODP1024_S160(128, 20) = Modulus::with_subgroup(
        numbers::PRIME_1024_160, numbers::GENERATOR_1024_160, numbers::ORDER_1024_160);
    MODP2048_S224(256, 28) = Modulus::with_subgroup(
        numbers::PRIME_2048_224, numbers::GENERATOR_2048_224, numbers::ORDER_2048_224);
    MODP2048_S256(256, 32) = Modulus::with_subgroup(
        numbers::PRIME_2048_256, numbers::GENERATOR_2048_256, numbers::ORDER_2048_256);
}

/// Room for the largest exponent.
const MAX_EXPONENT: usize = 64;

const fn modp(id: KeMethod, len: usize, exponent_len: usize, modulus: &'static LazyLock<Modulus>) -> Modp {
    Modp { id, len, exponent_len, modulus }
}

impl Modp {
    fn private(&self, rng: &mut dyn SecureRandom) -> Private {
        let mut exponent = Zeroizing::new([0; MAX_EXPONENT]);
        let bytes = &mut exponent[..self.exponent_len];
        loop {
            rng.fill(bytes);
            // A fixed length keeps the time of the exponentiation fixed, and excludes 0 and 1. Each order of a subgroup
            // has its highest bit set, so at least every second draw is one of its exponents.
            if !self.modulus.has_subgroup() {
                bytes[0] |= 0x80;
            }
            if self.modulus.is_exponent(bytes) {
                break;
            }
        }
        let public = self.modulus.pow_of_generator(bytes);
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

    fn is_slow(&self) -> bool {
        true
    }

    fn generate(&self, rng: &mut dyn SecureRandom) -> Arc<dyn KePrivate> {
        Arc::new(self.private(rng))
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
        // RFC 7296 §3.4: the value is padded to the length of the modulus. RFC 6989 §2.1, §2.2: 1 < y < p - 1, and a member
        // of the subgroup; a safe prime needs no more. `pow` checks all.
        let shared = self.modulus.pow(peer, &self.exponent[..self.exponent_len]);
        shared.map(Secret::new).ok_or(BadPublicValue)
    }
}
