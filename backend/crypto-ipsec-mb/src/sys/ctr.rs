//! AES in counter mode as a job: the library has no direct function for it.

use ravelin_crypto::PiecesMut;
use ravelin_crypto::pieces::in_blocks;
use zeroize::Zeroize;

use super::layout::{AES_SCHEDULE_LEN, AUTH_NULL, CIPHER_CNTR, DIR_ENCRYPT, ORDER_CIPHER_HASH};
use super::load::Library;
use super::manager;

const BLOCK_LEN: usize = 16;
/// RFC 3686 §4: counting begins with one.
const FIRST: u32 = 1;

/// The schedule with the nonce's front beside it.
#[repr(C, align(64))]
pub(crate) struct CtrKey {
    schedule: [u8; AES_SCHEDULE_LEN],
    key_len: u64,
    salt: [u8; 4],
}

impl CtrKey {
    /// `None` unless the key has 16, 24 or 32 bytes.
    pub(crate) fn new(library: &Library, key: &[u8], salt: [u8; 4]) -> Option<Box<Self>> {
        let mut this = Box::new(CtrKey { schedule: [0; _], key_len: 0, salt });
        this.replace(library, key, salt).then_some(this)
    }

    /// Another key in its place. `false` unless it has 16, 24 or 32 bytes: nothing has changed.
    pub(crate) fn replace(&mut self, library: &Library, key: &[u8], salt: [u8; 4]) -> bool {
        if !matches!(key.len(), 16 | 24 | 32) {
            return false;
        }
        (self.key_len, self.salt) = (key.len() as u64, salt);
        self.schedule.zeroize();
        // SAFETY: the key has one of these lengths, and the schedule room for the longest and its alignment.
        unsafe { library.expand(key, self.schedule.as_mut_ptr()) };
        true
    }

    /// Encrypts or decrypts in place.
    #[inline]
    pub(crate) fn apply(&self, iv: &[u8; 8], data: &mut [u8]) {
        self.apply_from(iv, FIRST, data);
    }

    /// [`CtrKey::apply`] to text in pieces.
    pub(crate) fn apply_pieces(&self, iv: &[u8; 8], text: &mut dyn PiecesMut) {
        let mut count = FIRST;
        in_blocks::<BLOCK_LEN>(text, |part| {
            self.apply_from(iv, count, part);
            count += part.len().div_ceil(BLOCK_LEN) as u32;
        });
    }

    #[inline]
    fn apply_from(&self, iv: &[u8; 8], count: u32, data: &mut [u8]) {
        if data.is_empty() {
            return;
        }
        let mut nonce = [0; BLOCK_LEN];
        nonce[..4].copy_from_slice(&self.salt);
        nonce[4..12].copy_from_slice(iv);
        nonce[12..].copy_from_slice(&count.to_be_bytes());
        let text = data.as_mut_ptr();
        let len = data.len() as u64;
        // SAFETY: these are the fields of this algorithm; each pointer goes with the length of its slice or array, all
        // of which outlive the call; `data` is borrowed exclusively, and working in place is allowed.
        unsafe {
            manager::run(1, |job| {
                job.enc_keys = self.schedule.as_ptr().cast();
                job.dec_keys = self.schedule.as_ptr().cast();
                job.key_len = self.key_len;
                job.src = text;
                job.dst = text;
                job.cipher_start = 0;
                job.cipher_len = len;
                job.iv = nonce.as_ptr();
                job.iv_len = BLOCK_LEN as u64;
                job.cipher_mode = CIPHER_CNTR;
                job.direction = DIR_ENCRYPT;
                job.hash_alg = AUTH_NULL;
                job.chain_order = ORDER_CIPHER_HASH;
            });
        }
    }
}

impl Drop for CtrKey {
    fn drop(&mut self) {
        self.schedule.zeroize();
        self.salt.zeroize();
    }
}
