//! Hashes over blocks of 16 bytes, GHASH and Poly1305, given text in pieces that do not end where blocks do.

use aes::cipher::consts::U16;
use ghash::universal_hash::UniversalHash;

pub(crate) const BLOCK_LEN: usize = 16;

/// A hash, and the part of a block that it has not seen yet.
pub(crate) struct Blocks<H> {
    hash: H,
    block: [u8; BLOCK_LEN],
    filled: usize,
    bytes: u64,
}

impl<H: UniversalHash<BlockSize = U16>> Blocks<H> {
    pub fn new(hash: H) -> Self {
        Blocks { hash, block: [0; BLOCK_LEN], filled: 0, bytes: 0 }
    }

    pub fn update(&mut self, mut part: &[u8]) {
        self.bytes += part.len() as u64;
        if self.filled > 0 {
            let (front, rest) = part.split_at(part.len().min(BLOCK_LEN - self.filled));
            self.block[self.filled..self.filled + front.len()].copy_from_slice(front);
            self.filled += front.len();
            part = rest;
            if self.filled < BLOCK_LEN {
                return;
            }
            self.hash.update(&[self.block.into()]);
        }
        let (whole, rest) = part.split_at(part.len() / BLOCK_LEN * BLOCK_LEN);
        self.hash.update_padded(whole);
        self.block[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
    }

    /// Fills the block up with zeros. Tells how many bytes there were since the last time.
    pub fn pad(&mut self) -> u64 {
        self.hash.update_padded(&self.block[..self.filled]);
        self.filled = 0;
        core::mem::take(&mut self.bytes)
    }

    /// The hash over all of it and a last block, which tells lengths.
    pub fn finish(mut self, lengths: [u8; BLOCK_LEN]) -> [u8; BLOCK_LEN] {
        self.hash.update(&[lengths.into()]);
        self.hash.finalize().into()
    }
}
