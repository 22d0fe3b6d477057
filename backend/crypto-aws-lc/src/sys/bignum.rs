//! Modular exponentiation in constant time.

use std::ptr::{self, NonNull};

use aws_lc_sys as c;

/// A big number; cleared when freed.
pub(super) struct Bn(NonNull<c::BIGNUM>);

impl Bn {
    fn new() -> Self {
        // SAFETY: no preconditions.
        Bn(NonNull::new(unsafe { c::BN_new() }).expect("out of memory"))
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        // SAFETY: pointer and length describe `bytes`; a null result pointer asks for a new number.
        let number = unsafe { c::BN_bin2bn(bytes.as_ptr(), bytes.len(), ptr::null_mut()) };
        Bn(NonNull::new(number).expect("out of memory"))
    }

    /// For calls.
    pub(super) fn as_ptr(&self) -> *mut c::BIGNUM {
        self.0.as_ptr()
    }

    /// Big-endian, padded in front to `len` bytes.
    fn to_bytes(&self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        // SAFETY: pointer and length describe `bytes`.
        let done = unsafe { c::BN_bn2bin_padded(bytes.as_mut_ptr(), len, self.0.as_ptr()) };
        assert_eq!(done, 1, "a number below the modulus fits its length");
        bytes
    }
}

impl Drop for Bn {
    fn drop(&mut self) {
        // SAFETY: the number is ours and not used afterwards.
        unsafe { c::BN_clear_free(self.0.as_ptr()) };
    }
}

/// A prime: those that come with the library, or the bytes of another.
#[derive(Clone, Copy)]
pub(crate) enum Prime {
    Rfc3526Bits1536,
    Rfc3526Bits2048,
    Rfc3526Bits3072,
    Rfc3526Bits4096,
    Rfc3526Bits6144,
    Rfc3526Bits8192,
    Bytes(&'static [u8]),
}

impl Prime {
    fn number(self) -> Bn {
        // SAFETY: a null argument asks for a new number.
        let number = unsafe {
            match self {
                Prime::Rfc3526Bits1536 => c::BN_get_rfc3526_prime_1536(ptr::null_mut()),
                Prime::Rfc3526Bits2048 => c::BN_get_rfc3526_prime_2048(ptr::null_mut()),
                Prime::Rfc3526Bits3072 => c::BN_get_rfc3526_prime_3072(ptr::null_mut()),
                Prime::Rfc3526Bits4096 => c::BN_get_rfc3526_prime_4096(ptr::null_mut()),
                Prime::Rfc3526Bits6144 => c::BN_get_rfc3526_prime_6144(ptr::null_mut()),
                Prime::Rfc3526Bits8192 => c::BN_get_rfc3526_prime_8192(ptr::null_mut()),
                Prime::Bytes(bytes) => return Bn::from_bytes(bytes),
            }
        };
        Bn(NonNull::new(number).expect("out of memory"))
    }
}

/// A prime with what Montgomery multiplication needs, and the generator of the group in use.
pub(crate) struct Modulus {
    prime: Bn,
    montgomery: NonNull<c::BN_MONT_CTX>,
    generator: Bn,
    /// Order of the group, big-endian, where it is less than half of all values.
    order: Option<&'static [u8]>,
    /// `p - 1`, big-endian: public values stay below it.
    last: Vec<u8>,
}

// SAFETY: nothing in it changes after `new`; AWS-LC reads const numbers and Montgomery contexts from any thread.
unsafe impl Send for Modulus {}
// SAFETY: as above.
unsafe impl Sync for Modulus {}

impl Modulus {
    /// A safe prime of `len` bytes with generator 2.
    pub(crate) fn safe(prime: Prime, len: usize) -> Self {
        Self::new(prime, len, &[2], None)
    }

    /// A prime with a subgroup of prime order.
    pub(crate) fn with_subgroup(prime: &'static [u8], generator: &[u8], order: &'static [u8]) -> Self {
        Self::new(Prime::Bytes(prime), prime.len(), generator, Some(order))
    }

    fn new(prime: Prime, len: usize, generator: &[u8], order: Option<&'static [u8]>) -> Self {
        let prime = prime.number();
        // SAFETY: the prime is a valid odd number; a null context asks for a temporary one.
        let montgomery = unsafe { c::BN_MONT_CTX_new_for_modulus(prime.0.as_ptr(), ptr::null_mut()) };
        let montgomery = NonNull::new(montgomery).expect("out of memory");
        let mut last = prime.to_bytes(len);
        // The prime is odd, so its last bit is the one to take away.
        last[len - 1] ^= 1;
        Modulus { prime, montgomery, generator: Bn::from_bytes(generator), order, last }
    }

    /// Whether the generator's order is a small part of all values.
    pub(crate) fn has_subgroup(&self) -> bool {
        self.order.is_some()
    }

    /// Whether an exponent may be used: in `[1, q-1]` where the group has an order `q` of its own.
    pub(crate) fn is_exponent(&self, exponent: &[u8]) -> bool {
        // A draw that is out of range is thrown away, and how far one in range resembles the order is of no use.
        self.order.is_none_or(|order| exponent < order && exponent.iter().any(|byte| *byte != 0))
    }

    /// `generator^exponent mod p`, padded to the length of `p`.
    pub(crate) fn pow_of_generator(&self, exponent: &[u8]) -> Vec<u8> {
        self.mod_exp(&self.generator, exponent)
    }

    /// `base^exponent mod p`, padded to the length of `p`. `None` unless `base` has that length, is in `[2, p-2]` and in
    /// the subgroup, where there is one.
    pub(crate) fn pow(&self, base: &[u8], exponent: &[u8]) -> Option<Vec<u8>> {
        let (low, high) = base.split_last()?;
        let above_one = *low > 1 || high.iter().any(|byte| *byte != 0);
        // Big-endian strings of one length order as the numbers do; both are public.
        if base.len() != self.last.len() || !above_one || base >= self.last.as_slice() {
            return None;
        }
        let base = Bn::from_bytes(base);
        if let Some(order) = self.order {
            // RFC 6989 §2.2: y^q = 1 holds for the members of the subgroup alone.
            let (last, rest) = self.mod_exp(&base, order).split_last().map(|(l, r)| (*l, r.to_vec()))?;
            if last != 1 || rest.iter().any(|byte| *byte != 0) {
                return None;
            }
        }
        Some(self.mod_exp(&base, exponent))
    }

    fn mod_exp(&self, base: &Bn, exponent: &[u8]) -> Vec<u8> {
        let exponent = Bn::from_bytes(exponent);
        let result = Bn::new();
        // SAFETY: all numbers are valid, base and modulus are fit for the call (base below the odd modulus, Montgomery
        // context of that modulus), and the context made here is freed here.
        let done = unsafe {
            let scratch = NonNull::new(c::BN_CTX_new()).expect("out of memory");
            let done = c::BN_mod_exp_mont_consttime(
                result.0.as_ptr(),
                base.0.as_ptr(),
                exponent.0.as_ptr(),
                self.prime.0.as_ptr(),
                scratch.as_ptr(),
                self.montgomery.as_ptr(),
            );
            c::BN_CTX_free(scratch.as_ptr());
            done
        };
        assert_eq!(done, 1, "out of memory");
        result.to_bytes(self.last.len())
    }
}

impl Drop for Modulus {
    fn drop(&mut self) {
        // SAFETY: the context is ours and not used afterwards.
        unsafe { c::BN_MONT_CTX_free(self.montgomery.as_ptr()) };
    }
}
