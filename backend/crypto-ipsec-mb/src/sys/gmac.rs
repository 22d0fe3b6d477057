//! AES-GMAC through the direct functions, in as many parts as the caller has.

use std::mem::MaybeUninit;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::gcm::NONCE_LEN;
use super::layout::{GcmContext, GcmSchedules, GmacFinalizeFn, GmacInitFn, GmacUpdateFn};
use super::load::Library;

pub(crate) const TAG_LEN: usize = 16;

/// The schedules with the salt beside them.
#[repr(C, align(64))]
pub(crate) struct GmacKey {
    init: GmacInitFn,
    update: GmacUpdateFn,
    finalize: GmacFinalizeFn,
    salt: [u8; 4],
    schedules: GcmSchedules,
}

impl GmacKey {
    /// `None` unless the key has 16, 24 or 32 bytes.
    pub(crate) fn new(library: &Library, key: &[u8], salt: [u8; 4]) -> Option<Box<Self>> {
        let mut this = Box::new(GmacKey {
            init: library.gmac_init[0],
            update: library.gmac_update[0],
            finalize: library.gmac_finalize[0],
            salt,
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
        (self.init, self.update, self.finalize) =
            (library.gmac_init[size], library.gmac_update[size], library.gmac_finalize[size]);
        self.salt = salt;
        self.schedules.0.zeroize();
        // SAFETY: the function is the one for this key length, and the schedules have the size and alignment of the
        // header.
        unsafe { (library.gcm_pre[size])(key.as_ptr().cast(), &raw mut self.schedules) };
        true
    }

    /// The tag over the concatenation of the parts.
    #[inline]
    pub(crate) fn tag<'p>(&self, iv: &[u8; 8], parts: impl Iterator<Item = &'p [u8]>) -> [u8; TAG_LEN] {
        let mut nonce = [0; NONCE_LEN];
        nonce[..4].copy_from_slice(&self.salt);
        nonce[4..].copy_from_slice(iv);
        let mut context = MaybeUninit::<GcmContext>::uninit();
        let mut tag = [0; TAG_LEN];
        // SAFETY: the schedules are those of the functions; the context is room that the first call initialises; every
        // pointer goes with the length of its slice or array.
        unsafe {
            (self.init)(&raw const self.schedules, context.as_mut_ptr(), nonce.as_ptr(), nonce.len() as u64);
            for part in parts.filter(|part| !part.is_empty()) {
                (self.update)(&raw const self.schedules, context.as_mut_ptr(), part.as_ptr(), part.len() as u64);
            }
            (self.finalize)(&raw const self.schedules, context.as_mut_ptr(), tag.as_mut_ptr(), tag.len() as u64);
        }
        tag
    }

    /// Compares in constant time.
    #[inline]
    pub(crate) fn is_tag<'p>(&self, iv: &[u8; 8], parts: impl Iterator<Item = &'p [u8]>, tag: &[u8]) -> bool {
        bool::from(self.tag(iv, parts).ct_eq(tag))
    }
}

impl Drop for GmacKey {
    fn drop(&mut self) {
        self.schedules.0.zeroize();
        self.salt.zeroize();
    }
}
