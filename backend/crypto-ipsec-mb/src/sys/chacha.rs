//! ChaCha20-Poly1305 as a job: the library's direct functions take three calls per packet and more time.

use std::ptr;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::layout::{
    AUTH_CHACHA20_POLY1305, Aead, CIPHER_CHACHA20_POLY1305, DIR_DECRYPT, DIR_ENCRYPT, ORDER_CIPHER_HASH,
    ORDER_HASH_CIPHER, OfHash,
};
use super::load::Library;
use super::manager;

const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;
/// RFC 8439 §2.8.
const MAX_LEN: u64 = (1 << 38) - 64;

/// Key and salt.
#[repr(C, align(64))]
pub(crate) struct ChaChaKey {
    key: [u8; 32],
    salt: [u8; 4],
}

impl ChaChaKey {
    /// The library must be there; that it is, the argument proves.
    pub(crate) fn new(_: &Library, key: [u8; 32], salt: [u8; 4]) -> Box<Self> {
        Box::new(ChaChaKey { key, salt })
    }

    /// Another key in its place.
    pub(crate) fn replace(&mut self, key: [u8; 32], salt: [u8; 4]) {
        (self.key, self.salt) = (key, salt);
    }

    /// Encrypts in place and writes the tag.
    #[inline]
    pub(crate) fn encrypt(&self, iv: &[u8; 8], aad: &[u8], data: &mut [u8], tag: &mut [u8; TAG_LEN]) {
        self.run((DIR_ENCRYPT, ORDER_CIPHER_HASH), iv, aad, data, tag);
    }

    /// Verifies the tag in constant time and decrypts in place. On `false` the data is zeros.
    #[inline]
    pub(crate) fn decrypt(&self, iv: &[u8; 8], aad: &[u8], data: &mut [u8], tag: &[u8; TAG_LEN]) -> bool {
        let mut expected = [0; TAG_LEN];
        self.run((DIR_DECRYPT, ORDER_HASH_CIPHER), iv, aad, data, &mut expected);
        let genuine = bool::from(expected.ct_eq(tag));
        if !genuine {
            data.fill(0);
        }
        genuine
    }

    #[inline]
    fn run(&self, (direction, order): (u32, u32), iv: &[u8; 8], aad: &[u8], data: &mut [u8], tag: &mut [u8; TAG_LEN]) {
        assert!(data.len() as u64 <= MAX_LEN, "the cipher's limit");
        let mut nonce = [0; NONCE_LEN];
        nonce[..4].copy_from_slice(&self.salt);
        nonce[4..].copy_from_slice(iv);
        let text = data.as_mut_ptr();
        let len = data.len() as u64;
        // SAFETY: these are the fields of this algorithm; each pointer goes with the length of its slice or array, all
        // of which outlive the call; `data` and `tag` are borrowed exclusively, and working in place is allowed.
        unsafe {
            manager::run(1, |job| {
                job.enc_keys = self.key.as_ptr().cast();
                job.dec_keys = self.key.as_ptr().cast();
                job.key_len = self.key.len() as u64;
                job.src = text;
                job.dst = text;
                job.cipher_start = 0;
                job.cipher_len = len;
                job.hash_start = 0;
                job.hash_len = len;
                job.iv = nonce.as_ptr();
                job.iv_len = NONCE_LEN as u64;
                job.tag = tag.as_mut_ptr();
                job.tag_len = TAG_LEN as u64;
                job.of_hash =
                    OfHash { aead: Aead { aad: aad.as_ptr(), aad_len: aad.len() as u64, context: ptr::null_mut() } };
                job.cipher_mode = CIPHER_CHACHA20_POLY1305;
                job.direction = direction;
                job.hash_alg = AUTH_CHACHA20_POLY1305;
                job.chain_order = order;
            });
        }
    }

    /// Has the processor fetch it ahead of its use.
    #[inline]
    pub(crate) fn fetch(&self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the instruction is part of every x86-64 and has no effect but on the caches.
        unsafe {
            core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>((&raw const *self).cast());
        }
    }
}

impl Drop for ChaChaKey {
    fn drop(&mut self) {
        self.key.zeroize();
        self.salt.zeroize();
    }
}
