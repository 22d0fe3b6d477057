//! AES in CBC and counter mode on expanded keys.

use aws_lc_sys as c;

const BLOCK_LEN: usize = 16;

const EMPTY: c::AES_KEY = c::AES_KEY { rd_key: [0; 60], rounds: 0 };

/// `None` unless the key has 16, 24 or 32 bytes.
fn bits(key: &[u8]) -> Option<u32> {
    match key.len() {
        16 => Some(128),
        24 => Some(192),
        32 => Some(256),
        _ => None,
    }
}

/// Key schedules for both directions.
pub(crate) struct AesCbc {
    encrypt: c::AES_KEY,
    decrypt: c::AES_KEY,
}

impl AesCbc {
    /// `None` unless the key has 16, 24 or 32 bytes.
    pub(crate) fn new(key: &[u8]) -> Option<Self> {
        let bits = bits(key)?;
        let mut this = AesCbc { encrypt: EMPTY, decrypt: EMPTY };
        // SAFETY: `key` holds `bits` bits and both schedules are writable. The calls return 0 for these lengths.
        let failed = unsafe {
            c::AES_set_encrypt_key(key.as_ptr(), bits, &raw mut this.encrypt)
                | c::AES_set_decrypt_key(key.as_ptr(), bits, &raw mut this.decrypt)
        };
        (failed == 0).then_some(this)
    }

    /// Encrypts in place. `iv` becomes that of what follows.
    pub(crate) fn encrypt(&self, iv: &mut [u8; BLOCK_LEN], blocks: &mut [[u8; BLOCK_LEN]]) {
        cbc(&self.encrypt, iv, blocks, c::AES_ENCRYPT);
    }

    /// Decrypts in place. `iv` becomes that of what follows.
    pub(crate) fn decrypt(&self, iv: &mut [u8; BLOCK_LEN], blocks: &mut [[u8; BLOCK_LEN]]) {
        cbc(&self.decrypt, iv, blocks, c::AES_DECRYPT);
    }
}

/// The call leaves the last block of ciphertext in `iv`.
fn cbc(key: &c::AES_KEY, iv: &mut [u8; BLOCK_LEN], blocks: &mut [[u8; BLOCK_LEN]], direction: i32) {
    let data = blocks.as_flattened_mut();
    let text = data.as_mut_ptr();
    // SAFETY: the schedule fits the direction; input and output are the same range of whole blocks; the IV has one
    // block.
    unsafe { c::AES_cbc_encrypt(text, text, data.len(), key, iv.as_mut_ptr(), direction) };
}

impl Drop for AesCbc {
    fn drop(&mut self) {
        // SAFETY: zeros are valid for the plain integers of a schedule.
        unsafe {
            super::cleanse(&mut self.encrypt);
            super::cleanse(&mut self.decrypt);
        }
    }
}

/// The key schedule of counter mode, which only encrypts.
pub(crate) struct AesCtr(c::AES_KEY);

impl AesCtr {
    /// `None` unless the key has 16, 24 or 32 bytes.
    pub(crate) fn new(key: &[u8]) -> Option<Self> {
        let bits = bits(key)?;
        let mut this = AesCtr(EMPTY);
        // SAFETY: `key` holds `bits` bits and the schedule is writable. The call returns 0 for these lengths.
        let failed = unsafe { c::AES_set_encrypt_key(key.as_ptr(), bits, &raw mut this.0) };
        (failed == 0).then_some(this)
    }

    /// The key stream from this counter block on.
    pub(crate) fn key_stream(&self, counter: [u8; BLOCK_LEN]) -> KeyStream<'_> {
        KeyStream { key: &self.0, counter, rest: [0; BLOCK_LEN], used: 0 }
    }
}

/// A key stream, as far as it was used.
pub(crate) struct KeyStream<'k> {
    key: &'k c::AES_KEY,
    counter: [u8; BLOCK_LEN],
    rest: [u8; BLOCK_LEN],
    /// Of `rest`, always less than a block.
    used: u32,
}

impl KeyStream<'_> {
    /// Encrypts or decrypts in place.
    pub(crate) fn apply(&mut self, data: &mut [u8]) {
        let text = data.as_mut_ptr();
        // SAFETY: input and output are the same range; counter and rest have one block each; how much of the rest was used
        // is what the call before left there, or nothing.
        unsafe {
            c::AES_ctr128_encrypt(
                text,
                text,
                data.len(),
                self.key,
                self.counter.as_mut_ptr(),
                self.rest.as_mut_ptr(),
                &raw mut self.used,
            );
        }
    }
}

impl Drop for AesCtr {
    fn drop(&mut self) {
        // SAFETY: zeros are valid for the plain integers of a schedule.
        unsafe { super::cleanse(&mut self.0) };
    }
}
