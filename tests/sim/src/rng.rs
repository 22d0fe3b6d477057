//! The one source of chance in a run.

use core::ops::Range;
use core::time::Duration;

use ravelin_crypto::SecureRandom;

/// SplitMix64: small, fast, and the same on every machine. Good enough to make orders of events; the keys of a
/// simulated endpoint come from it too, so nothing here is secret.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Self {
        Rng(seed)
    }

    /// A stream that does not depend on how much is drawn from this one later.
    pub fn fork(&mut self) -> Self {
        Rng(self.next())
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in the range, which must not be empty.
    pub fn in_range(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    /// True `permille` times in a thousand.
    pub fn chance(&mut self, permille: u64) -> bool {
        self.in_range(0..1000) < permille
    }

    /// A duration in the range, given in milliseconds, to the microsecond.
    pub fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_micros(self.in_range(range.start * 1000..range.end * 1000))
    }

    /// One of the items.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.in_range(0..items.len() as u64) as usize]
    }
}

impl SecureRandom for Rng {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}
