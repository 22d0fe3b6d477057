//! AES-GCM through the direct functions: one call per packet, nothing kept between calls.

use std::mem::MaybeUninit;

use ravelin_crypto::{Pieces, PiecesMut};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::layout::{GcmContext, GcmFn, GcmSchedules};
use super::load::{Library, library};

pub(crate) const NONCE_LEN: usize = 12;
const MAX_TAG_LEN: usize = 16;
/// Places in the tables of functions.
pub(super) const ENCRYPT: usize = 0;
pub(super) const DECRYPT: usize = 1;
/// The part of [`GcmSchedules`] that is the expanded key of AES.
const ROUND_KEYS: usize = 16 * 15;
/// SP 800-38D §5.2.1.1; beyond it the library would return without having done anything.
const MAX_LEN: u64 = (1 << 36) - 32;

/// A keyed cipher with the salt beside it: one piece of memory, since very many of them may be in use.
#[repr(C, align(64))]
pub(crate) struct GcmKey {
    enc: GcmFn,
    dec: GcmFn,
    salt: [u8; 4],
    tag_len: u8,
    /// 0, 1 and 2 for keys of 16, 24 and 32 bytes.
    size: u8,
    schedules: GcmSchedules,
}

impl GcmKey {
    /// `None` unless the key has 16, 24 or 32 bytes and the tag 8 to 16.
    pub(crate) fn new(library: &Library, key: &[u8], salt: [u8; 4], tag_len: usize) -> Option<Box<Self>> {
        if !(8..=MAX_TAG_LEN).contains(&tag_len) {
            return None;
        }
        let mut this = Box::new(GcmKey {
            enc: library.gcm_enc[0],
            dec: library.gcm_dec[0],
            salt,
            tag_len: tag_len as u8,
            size: 0,
            schedules: GcmSchedules([0; _]),
        });
        this.replace(library, key, salt).then_some(this)
    }

    /// Another key in its place. `false` unless it has 16, 24 or 32 bytes: nothing has changed.
    pub(crate) fn replace(&mut self, library: &Library, key: &[u8], salt: [u8; 4]) -> bool {
        let size = match key.len() {
            16 => 0,
            24 => 1,
            32 => 2,
            _ => return false,
        };
        (self.enc, self.dec, self.salt) = (library.gcm_enc[size], library.gcm_dec[size], salt);
        self.size = size as u8;
        self.schedules.0.zeroize();
        // SAFETY: the function is the one for this key length, and the schedules have the size and alignment of the
        // header.
        unsafe { (library.gcm_pre[size])(key.as_ptr().cast(), &raw mut self.schedules) };
        true
    }

    /// Encrypts in place and writes the tag.
    #[inline]
    pub(crate) fn encrypt(&self, iv: &[u8; 8], aad: &[u8], data: &mut [u8], tag: &mut [u8]) {
        assert_eq!(tag.len(), usize::from(self.tag_len), "the caller passes room for an ICV of the algorithm's length");
        self.run(self.enc, iv, aad, data, tag);
    }

    /// Verifies the tag in constant time and decrypts in place. On `false` the data is zeros.
    #[inline]
    pub(crate) fn decrypt(&self, iv: &[u8; 8], aad: &[u8], data: &mut [u8], tag: &[u8]) -> bool {
        let mut expected = [0; MAX_TAG_LEN];
        let expected = &mut expected[..usize::from(self.tag_len)];
        self.run(self.dec, iv, aad, data, expected);
        let genuine = bool::from(expected.ct_eq(tag));
        if !genuine {
            data.fill(0);
        }
        genuine
    }

    /// [`GcmKey::encrypt`] of text in pieces.
    pub(crate) fn encrypt_pieces(&self, iv: &[u8; 8], aad: &[u8], text: &mut dyn PiecesMut, tag: &mut [u8]) {
        assert_eq!(tag.len(), usize::from(self.tag_len), "the caller passes room for an ICV of the algorithm's length");
        self.run_pieces(ENCRYPT, iv, aad, text, tag);
    }

    /// [`GcmKey::decrypt`] of text in pieces.
    pub(crate) fn decrypt_pieces(&self, iv: &[u8; 8], aad: &[u8], text: &mut dyn PiecesMut, tag: &[u8]) -> bool {
        let mut expected = [0; MAX_TAG_LEN];
        let expected = &mut expected[..usize::from(self.tag_len)];
        self.run_pieces(DECRYPT, iv, aad, text, expected);
        let genuine = bool::from(expected.ct_eq(tag));
        if !genuine {
            text.wipe();
        }
        genuine
    }

    fn run_pieces(&self, direction: usize, iv: &[u8; 8], aad: &[u8], text: &mut dyn PiecesMut, tag: &mut [u8]) {
        let library = library().expect("keys are made of a library that was found");
        let size = usize::from(self.size);
        let (init, update) = (library.gcm_init[size], library.gcm_update[direction][size]);
        assert!((&*text as &dyn Pieces).total() as u64 <= MAX_LEN, "the cipher's limit");
        let nonce = AtOnce::nonce(self.salt, *iv);
        let (schedules, mut context) = (&raw const self.schedules, MaybeUninit::<GcmContext>::uninit());
        let context = context.as_mut_ptr();
        // SAFETY: the schedules are those of all three functions; the context is room that the first of them initialises;
        // input and output are the same range, which the call allows; every other pointer goes with the length of its slice.
        unsafe {
            init(schedules, context, nonce.0.as_ptr(), aad.as_ptr(), aad.len() as u64);
            for n in 0..text.count() {
                let piece = text.piece_mut(n);
                if !piece.is_empty() {
                    update(schedules, context, piece.as_mut_ptr(), piece.as_ptr(), piece.len() as u64);
                }
            }
            library.gcm_finalize[direction][size](schedules, context, tag.as_mut_ptr(), tag.len() as u64);
        }
    }

    #[inline]
    fn run(&self, function: GcmFn, iv: &[u8; 8], aad: &[u8], data: &mut [u8], tag: &mut [u8]) {
        assert!(data.len() as u64 <= MAX_LEN, "the cipher's limit");
        let nonce = AtOnce::nonce(self.salt, *iv);
        let short = AtOnce::additional(aad);
        let additional = short.as_ref().map_or(aad.as_ptr(), |short| short.0.as_ptr());
        let mut context = MaybeUninit::<GcmContext>::uninit();
        let text = data.as_mut_ptr();
        // SAFETY: the schedules are those of `function`; the context is room that the call initialises itself; input
        // and output are the same range, which the call allows; every other pointer goes with the length of its slice.
        unsafe {
            function(
                &raw const self.schedules,
                context.as_mut_ptr(),
                text,
                text,
                data.len() as u64,
                nonce.0.as_ptr(),
                additional,
                aad.len() as u64,
                tag.as_mut_ptr(),
                tag.len() as u64,
            );
        }
    }

    /// Has the processor fetch what a packet of `len` bytes needs ahead of its use; with 0 only the beginning. The code
    /// for wide registers takes the powers of the hash key from the end, one for each block; the round keys stand before.
    #[inline]
    pub(crate) fn fetch(&self, len: usize) {
        const LINES: usize = size_of::<GcmKey>() / 64;
        const HEAD: usize = (LINES * 64 - size_of::<GcmSchedules>() + ROUND_KEYS).div_ceil(64);
        let (head, tail) = if len == 0 { (1, 0) } else { (HEAD, (len / 16 + 3).div_ceil(4).min(LINES - HEAD)) };
        #[cfg(target_arch = "x86_64")]
        for line in (0..head).chain(LINES - tail..LINES) {
            let address = (&raw const *self).cast::<i8>().wrapping_add(line * 64);
            // SAFETY: the instruction is part of every x86-64 and has no effect but on the caches.
            unsafe { core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(address) };
        }
    }
}

/// Up to sixteen bytes that the library is about to read at once. They are written at once too: what was just written in
/// several pieces would have to leave the processor's store buffer first.
#[repr(align(16))]
struct AtOnce([u8; 16]);

impl AtOnce {
    #[inline]
    fn new(low: u64, high: u64) -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            use core::arch::x86_64::{_mm_set_epi64x, _mm_store_si128};
            let mut this = AtOnce([0; 16]);
            // SAFETY: SSE2 is part of every x86-64, and the store is of 16 bytes to 16 aligned ones.
            unsafe { _mm_store_si128(this.0.as_mut_ptr().cast(), _mm_set_epi64x(high as i64, low as i64)) };
            this
        }
        #[cfg(not(target_arch = "x86_64"))]
        AtOnce((u128::from(high) << 64 | u128::from(low)).to_le_bytes())
    }

    #[inline]
    fn nonce(salt: [u8; 4], iv: [u8; 8]) -> Self {
        let (salt, iv) = (u64::from(u32::from_le_bytes(salt)), u64::from_le_bytes(iv));
        AtOnce::new(salt | iv << 32, iv >> 32)
    }

    /// The additional data of ESP: SPI and number, of 32 or 64 bits. `None` for others.
    #[inline]
    fn additional(aad: &[u8]) -> Option<Self> {
        let (low, rest) = aad.split_first_chunk()?;
        let high = match rest.first_chunk() {
            Some(high) if rest.len() == 4 => u32::from_le_bytes(*high),
            None if rest.is_empty() => 0,
            _ => return None,
        };
        Some(AtOnce::new(u64::from_le_bytes(*low), high.into()))
    }
}

impl Drop for GcmKey {
    fn drop(&mut self) {
        self.schedules.0.zeroize();
        self.salt.zeroize();
    }
}
