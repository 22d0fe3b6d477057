//! Encryption of messages in CBC mode, chained from message to message (RFC 2409 appendix B).

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::encryption::EncrKey;
use crate::ikev1::Publics;
use crate::provider::HashFn;

/// The IV of the next message of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Iv(Vec<u8>);

impl Iv {
    /// That of the first encrypted message of phase 1: `hash(g^xi | g^xr)`.
    pub fn first(hash: HashFn, hash_len: usize, publics: Publics<'_>, cipher: &Cipher) -> Self {
        Self::hashed(hash, hash_len, &[publics.initiator, publics.responder], cipher)
    }

    /// That of the first message of an exchange after phase 1: `hash(last block of phase 1 | M-ID)`. `self` is what phase
    /// 1 left.
    pub fn for_exchange(&self, hash: HashFn, hash_len: usize, message_id: u32, cipher: &Cipher) -> Self {
        Self::hashed(hash, hash_len, &[&self.0, &message_id.to_be_bytes()], cipher)
    }

    fn hashed(hash: HashFn, hash_len: usize, parts: &[&[u8]], cipher: &Cipher) -> Self {
        // No block is longer than 16 bytes, and no hash shorter.
        let mut iv = vec![0; hash_len];
        hash(parts, &mut iv);
        iv.truncate(cipher.block_len);
        Iv(iv)
    }

    /// The bytes, for decoders and test vectors.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The cipher of an ISAKMP SA, for both directions.
pub struct Cipher {
    key: Box<dyn EncrKey>,
    block_len: usize,
}

impl Cipher {
    pub(super) fn new(key: Box<dyn EncrKey>, block_len: usize) -> Self {
        Cipher { key, block_len }
    }

    /// What is encrypted must be a multiple of this.
    pub fn block_len(&self) -> usize {
        self.block_len
    }

    /// Encrypts in place and returns the IV for what follows.
    ///
    /// # Panics
    /// When the text is empty or not a multiple of the block length.
    pub fn seal(&self, iv: &Iv, text: &mut [u8]) -> Iv {
        self.key.seal(&iv.0, &[], text, &mut []);
        self.last_block(text).expect("a message has at least one block")
    }

    /// The text, not yet known to be the peer's, and the IV for what follows if it is. `None`: no ciphertext has this
    /// length.
    pub fn open(&self, iv: &Iv, ciphertext: &[u8]) -> Option<(Vec<u8>, Iv)> {
        if !ciphertext.len().is_multiple_of(self.block_len) {
            return None;
        }
        let next = self.last_block(ciphertext)?;
        let mut text = ciphertext.to_vec();
        self.key.open(&iv.0, &[], &mut text, &[]).ok()?;
        Some((text, next))
    }

    fn last_block(&self, ciphertext: &[u8]) -> Option<Iv> {
        let start = ciphertext.len().checked_sub(self.block_len)?;
        Some(Iv(ciphertext[start..].to_vec()))
    }
}
