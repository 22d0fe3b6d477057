//! All calls into AWS-LC's C interface, wrapped so that the rest of the crate is safe code.
//!
//! Three rules hold everywhere: a C object belongs to exactly one Rust value and is wiped and freed by its `Drop`;
//! lengths that C trusts are array types or are checked right before the call; a C function that can only fail for
//! lack of memory ends the process, as Rust's own allocator does.

mod aead;
mod aes;
mod bignum;
mod container;
mod curve;
mod kem;
mod key;
mod sha;
pub(crate) mod stream;

pub(crate) use aead::{AeadCipher, AeadContext};
pub(crate) use aes::{AesCbc, AesCtr, KeyStream};
pub(crate) use bignum::{Modulus, Prime};
pub(crate) use container::{any_private, encrypted_private, opened, pem, pkcs12};
pub(crate) use curve::{Curve, EC_MAX_FIELD, x25519, x25519_public};
pub(crate) use kem::{Kem, KemKey};
pub(crate) use key::{Digest, Family, Key};
pub(crate) use sha::{Hash, Sha1, Sha256, Sha384, Sha512};

/// Fills `out` from the library's generator.
pub(crate) fn random(out: &mut [u8]) {
    // SAFETY: pointer and length describe `out`.
    let done = unsafe { aws_lc_sys::RAND_bytes(out.as_mut_ptr(), out.len()) };
    assert_eq!(done, 1, "AWS-LC aborts by itself when the system has no randomness");
}

/// Overwrites a C struct that held key material.
///
/// # Safety
/// `object` is never used again, or all-zero bytes are valid for it.
unsafe fn cleanse<T>(object: &mut T) {
    // SAFETY: the range is exactly the object, which is borrowed exclusively.
    unsafe { aws_lc_sys::OPENSSL_cleanse(std::ptr::from_mut(object).cast(), size_of::<T>()) };
}

/// Overwrites bytes that held key material.
pub(crate) fn wipe(bytes: &mut [u8]) {
    // SAFETY: pointer and length describe `bytes`, for which zeros are valid.
    unsafe { aws_lc_sys::OPENSSL_cleanse(bytes.as_mut_ptr().cast(), bytes.len()) };
}
