//! Randomness that a test chooses.

use ravelin_crypto::SecureRandom;

/// A stream that depends on the seed alone, so that a failing run can be repeated. SplitMix64 (Steele, Lea and Flood,
/// "Fast splittable pseudorandom number generators", 2014): well spread, and not secure in any way.
#[derive(Clone, Debug)]
pub struct SeededRandom(u64);

impl SeededRandom {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        SeededRandom(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias is bound / 2^64: too small to matter to a test.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

impl SecureRandom for SeededRandom {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// Hands out exactly the bytes it was made with, once: the private value of a vector.
#[derive(Clone, Debug)]
pub struct ReplayedRandom(Vec<u8>);

impl ReplayedRandom {
    /// A source for one `fill` of this length.
    pub fn new(bytes: Vec<u8>) -> Self {
        ReplayedRandom(bytes)
    }
}

impl SecureRandom for ReplayedRandom {
    fn fill(&mut self, out: &mut [u8]) {
        assert_eq!(out.len(), self.0.len(), "the algorithm drew another length than the vector holds");
        out.copy_from_slice(&self.0);
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_stream() {
        let draw = |seed| {
            let mut bytes = [0; 21];
            SeededRandom::new(seed).fill(&mut bytes);
            bytes
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        // The first output of the reference implementation for seed 1234567.
        assert_eq!(SeededRandom::new(1234567).next_u64(), 6457827717110365317);
    }

    #[test]
    fn numbers_stay_below_the_bound() {
        let mut rng = SeededRandom::new(1);
        let seen: std::collections::BTreeSet<u64> = (0..200).map(|_| rng.below(5)).collect();
        assert_eq!(seen, (0..5).collect());
    }
}
