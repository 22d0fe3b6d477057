//! Unpredictable IVs for CBC ciphers (RFC 3602 §3), drawn in bulk so that a packet seldom waits for the source.

use alloc::boxed::Box;

use ravelin_crypto::SecureRandom;

const POOL: usize = 4096;

/// Random bytes, each given out once.
pub(crate) struct IvSource {
    rng: Box<dyn SecureRandom>,
    pool: Box<[u8; POOL]>,
    used: usize,
}

impl IvSource {
    pub fn new(rng: Box<dyn SecureRandom>) -> Self {
        IvSource { rng, pool: Box::new([0; POOL]), used: POOL }
    }

    /// Fills an IV, which is much shorter than the pool.
    pub fn fill(&mut self, iv: &mut [u8]) {
        if self.used + iv.len() > POOL {
            self.rng.fill(&mut *self.pool);
            self.used = 0;
        }
        let end = self.used + iv.len();
        iv.copy_from_slice(&self.pool[self.used..end]);
        self.used = end;
    }
}
