//! `EVP_AEAD` with a context that is ready before the first packet.

use std::mem::MaybeUninit;
use std::ptr;

use aws_lc_sys as c;

pub(crate) const NONCE_LEN: usize = 12;

/// The ciphers in use; all have a 12-byte nonce and a tag of up to 16 bytes.
#[derive(Clone, Copy)]
pub(crate) enum AeadCipher {
    Aes128Gcm,
    Aes192Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
}

impl AeadCipher {
    fn method(self) -> *const c::EVP_AEAD {
        // SAFETY: these return pointers to static tables and have no preconditions.
        unsafe {
            match self {
                AeadCipher::Aes128Gcm => c::EVP_aead_aes_128_gcm(),
                AeadCipher::Aes192Gcm => c::EVP_aead_aes_192_gcm(),
                AeadCipher::Aes256Gcm => c::EVP_aead_aes_256_gcm(),
                AeadCipher::ChaCha20Poly1305 => c::EVP_aead_chacha20_poly1305(),
            }
        }
    }
}

/// A keyed cipher, and beside it what the caller needs for every packet. It lives in a box and is never moved out of
/// it: the C side aligns its state relative to the address of the context.
#[repr(C, align(64))]
pub(crate) struct AeadContext<T> {
    context: c::EVP_AEAD_CTX,
    pub(crate) tag_len: usize,
    pub(crate) beside: T,
}

// SAFETY: after initialisation the context is only read; AWS-LC documents sealing and opening with one context from
// several threads as safe. Nothing in it is tied to the thread that made it.
unsafe impl<T: Send> Send for AeadContext<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for AeadContext<T> {}

impl<T> AeadContext<T> {
    /// `None` when the key or the tag does not have a length of the cipher's.
    pub(crate) fn new(cipher: AeadCipher, key: &[u8], tag_len: usize, beside: T) -> Option<Box<Self>> {
        // SAFETY: zeros are valid for the pointers and bytes of the C struct, and mean an uninitialised context.
        let context = unsafe { MaybeUninit::zeroed().assume_init() };
        let mut boxed = Box::new(AeadContext { context, tag_len, beside });
        // SAFETY: the context is writable and at its final address, `key` is described by pointer and length, and the
        // length is checked inside. On failure the context is zeros again, which `drop` may clean up.
        let done = unsafe {
            c::EVP_AEAD_CTX_init(
                &raw mut boxed.context,
                cipher.method(),
                key.as_ptr(),
                key.len(),
                tag_len,
                ptr::null_mut(),
            )
        };
        (done == 1).then_some(boxed)
    }

    /// Another key of the same cipher in its place. `false` when it does not have the cipher's length: nothing has changed.
    pub(crate) fn replace(&mut self, key: &[u8]) -> bool {
        let method = self.context.aead;
        // SAFETY: the context is initialised, so this points to one of the static tables.
        if unsafe { c::EVP_AEAD_key_length(method) } != key.len() {
            return false;
        }
        // SAFETY: the context is initialised, at its final address and borrowed exclusively; after the first call nothing
        // is left of what it was, and `key` is described by pointer and length.
        let done = unsafe {
            c::EVP_AEAD_CTX_cleanup(&raw mut self.context);
            super::cleanse(&mut self.context);
            let context = &raw mut self.context;
            c::EVP_AEAD_CTX_init(context, method, key.as_ptr(), key.len(), self.tag_len, ptr::null_mut())
        };
        // Whoever went on with a context that is none would not encrypt.
        assert_eq!(done, 1, "lengths of key and tag are the cipher's");
        true
    }

    /// Has the processor fetch all of it ahead of its use for a packet of `len` bytes; with 0 only its beginning.
    #[inline]
    pub(crate) fn fetch(&self, len: usize) {
        let lines = if len == 0 { 1 } else { size_of::<Self>() / 64 };
        #[cfg(target_arch = "x86_64")]
        for line in 0..lines {
            let address = (&raw const *self).cast::<i8>().wrapping_add(line * 64);
            // SAFETY: the instruction is part of every x86-64 and has no effect but on the caches.
            unsafe { core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(address) };
        }
    }

    /// Encrypts in place and writes the tag.
    #[inline]
    pub(crate) fn encrypt(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], data: &mut [u8], tag: &mut [u8]) {
        assert_eq!(tag.len(), self.tag_len, "the caller passes room for an ICV of the algorithm's length");
        let mut tag_len = 0;
        let text = data.as_mut_ptr();
        // SAFETY: the context is initialised; every pointer goes with the length of its slice; input and output are
        // the same range, which the call allows; `tag` is a separate exclusive borrow.
        let done = unsafe {
            c::EVP_AEAD_CTX_seal_scatter(
                &raw const self.context,
                text,
                tag.as_mut_ptr(),
                &raw mut tag_len,
                tag.len(),
                nonce.as_ptr(),
                NONCE_LEN,
                text,
                data.len(),
                ptr::null(),
                0,
                aad.as_ptr(),
                aad.len(),
            )
        };
        assert_eq!(done, 1, "only data beyond 64 GiB cannot be sealed");
    }

    /// Verifies the tag and decrypts in place. On `false` the data is zeros.
    #[inline]
    pub(crate) fn decrypt(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], data: &mut [u8], tag: &[u8]) -> bool {
        // The call would look at the front of a longer one.
        if tag.len() != self.tag_len {
            data.fill(0);
            return false;
        }
        let text = data.as_mut_ptr();
        // SAFETY: as in `seal`; on failure the call clears the output range.
        let done = unsafe {
            c::EVP_AEAD_CTX_open_gather(
                &raw const self.context,
                text,
                nonce.as_ptr(),
                NONCE_LEN,
                text,
                data.len(),
                tag.as_ptr(),
                tag.len(),
                aad.as_ptr(),
                aad.len(),
            )
        };
        done == 1
    }
}

impl<T> Drop for AeadContext<T> {
    fn drop(&mut self) {
        // SAFETY: the context is initialised and not used after this; zeros are valid for it.
        unsafe {
            c::EVP_AEAD_CTX_cleanup(&raw mut self.context);
            super::cleanse(&mut self.context);
        }
    }
}
