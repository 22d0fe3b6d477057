//! ChaCha20-Poly1305 as a job: the library's direct functions take three calls per packet and more time. They are for text
//! in pieces.

use std::ptr;

use ravelin_crypto::{Pieces, PiecesMut};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::gcm::{DECRYPT, ENCRYPT};
use super::layout::{
    AUTH_CHACHA20_POLY1305, Aead, CIPHER_CHACHA20_POLY1305, ChaChaContext, DIR_DECRYPT, DIR_ENCRYPT, ORDER_CIPHER_HASH,
    ORDER_HASH_CIPHER, OfHash,
};
use super::load::{Library, library};
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

    /// [`ChaChaKey::encrypt`] of text in pieces.
    pub(crate) fn encrypt_pieces(&self, iv: &[u8; 8], aad: &[u8], text: &mut dyn PiecesMut, tag: &mut [u8; TAG_LEN]) {
        self.run_pieces(ENCRYPT, iv, aad, text, tag);
    }

    /// [`ChaChaKey::decrypt`] of text in pieces.
    pub(crate) fn decrypt_pieces(
        &self,
        iv: &[u8; 8],
        aad: &[u8],
        text: &mut dyn PiecesMut,
        tag: &[u8; TAG_LEN],
    ) -> bool {
        let mut expected = [0; TAG_LEN];
        self.run_pieces(DECRYPT, iv, aad, text, &mut expected);
        let genuine = bool::from(expected.ct_eq(tag));
        if !genuine {
            text.wipe();
        }
        genuine
    }

    fn run_pieces(
        &self,
        direction: usize,
        iv: &[u8; 8],
        aad: &[u8],
        text: &mut dyn PiecesMut,
        tag: &mut [u8; TAG_LEN],
    ) {
        let library = library().expect("keys are made of a library that was found");
        assert!((&*text as &dyn Pieces).total() as u64 <= MAX_LEN, "the cipher's limit");
        let nonce = self.nonce(iv);
        let (key, mut state) = (self.key.as_ptr().cast(), ChaChaContext([0; _]));
        let context = &raw mut state;
        // SAFETY: the context has the header's size and is initialised by the first call; key and nonce have the cipher's
        // lengths; input and output are the same range, which the call allows; every other pointer goes with the length of
        // its slice.
        unsafe {
            (library.chacha_init)(key, context, nonce.as_ptr().cast(), aad.as_ptr().cast(), aad.len() as u64);
            for n in 0..text.count() {
                let piece = text.piece_mut(n);
                if !piece.is_empty() {
                    let (len, data) = (piece.len() as u64, piece.as_mut_ptr());
                    (library.chacha_update[direction])(key, context, data.cast(), data.cast_const().cast(), len);
                }
            }
            (library.chacha_finalize)(context, tag.as_mut_ptr().cast(), TAG_LEN as u64);
        }
        state.0.zeroize();
    }

    fn nonce(&self, iv: &[u8; 8]) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        nonce[..4].copy_from_slice(&self.salt);
        nonce[4..].copy_from_slice(iv);
        nonce
    }

    #[inline]
    fn run(&self, (direction, order): (u32, u32), iv: &[u8; 8], aad: &[u8], data: &mut [u8], tag: &mut [u8; TAG_LEN]) {
        assert!(data.len() as u64 <= MAX_LEN, "the cipher's limit");
        let nonce = self.nonce(iv);
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
