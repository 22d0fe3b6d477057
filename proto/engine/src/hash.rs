//! A quick keyed hash for tables whose keys others choose: folded 64 x 64 bit multiplication.

use core::hash::{BuildHasher, Hasher};

/// The secret of one table's hash.
#[derive(Clone, Copy)]
pub(crate) struct HashKey {
    start: u64,
    step: u64,
}

impl HashKey {
    /// `seed` is secret and random.
    pub fn new(seed: u64) -> Self {
        let start = fold(seed ^ SPREAD, 0xbf58_476d_1ce4_e5b9);
        // Odd, so that no bit of a word is lost to a factor of two.
        HashKey { start, step: fold(start ^ seed, 0x94d0_49bb_1331_11eb) | 1 }
    }

    /// Hashes words.
    #[inline]
    pub fn words<const WORDS: usize>(&self, words: &[u64; WORDS]) -> u64 {
        let pair = |state, words: &[u64]| match *words {
            [first, second] => fold(first ^ state, second ^ self.step),
            [last] => fold(last ^ state, self.step),
            _ => state,
        };
        fold(words.chunks(2).fold(self.start, pair), SPREAD)
    }
}

/// Any odd number with bits all over.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

impl BuildHasher for HashKey {
    type Hasher = KeyedHasher;

    #[inline]
    fn build_hasher(&self) -> KeyedHasher {
        KeyedHasher { state: self.start, step: self.step }
    }
}

/// A hash in the making.
pub(crate) struct KeyedHasher {
    state: u64,
    step: u64,
}

impl Hasher for KeyedHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.state = fold(self.state ^ word, self.step);
    }

    #[inline]
    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        // One more round spreads the last word over all bits.
        fold(self.state, SPREAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_give_different_hashes_and_words_spread() {
        let (a, b) = (HashKey::new(1), HashKey::new(2));
        assert_ne!(a.words(&[5, 6]), b.words(&[5, 6]));
        assert_ne!(a.words(&[5, 6, 7, 8, 9]), b.words(&[5, 6, 7, 8, 9]));
        assert_ne!(a.hash_one("left"), a.hash_one("right"));
        // 4096 neighbouring addresses over 4096 buckets, by either half: random placement fills about 63 % of them.
        let used: std::collections::BTreeSet<u64> =
            (0..4096u64).map(|n| a.words(&[17, 0x0a00_0000 + n]) >> 32 & 4095).collect();
        assert!(used.len() > 2400, "{}", used.len());
        let used: std::collections::BTreeSet<u64> =
            (0..4096u64).map(|n| a.words(&[17, 0x0a00_0000 + n]) & 4095).collect();
        assert!(used.len() > 2400, "{}", used.len());
        let used: std::collections::BTreeSet<u64> = (0..4096u32).map(|n| a.hash_one(n) >> 52).collect();
        assert!(used.len() > 2400, "{}", used.len());
    }
}
