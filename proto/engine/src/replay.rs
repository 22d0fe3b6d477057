//! The anti-replay window (RFC 4303 §3.4.3) as a ring of words (RFC 6479), and the high half of extended sequence
//! numbers (RFC 4303 Appendix A2).
//!
//! Order of use: [`ReplayWindow::infer`], [`ReplayWindow::check`], verify the ICV, [`ReplayWindow::accept`].

use alloc::boxed::Box;
use alloc::vec;

use crate::fetch::fetch;

/// Which of the last numbers were received.
pub(crate) struct ReplayWindow {
    /// The highest number accepted.
    top: u64,
    /// How many numbers, `top` included, are told apart; 0: off.
    size: u64,
    ring: Ring,
}

/// One bit per number, in a power of two of words; at least one word more than the window needs, so that a new word is
/// cleared before its use.
enum Ring {
    /// Of the windows that most SAs have: it is in the SA, and nothing else has to be fetched for it.
    Near([u64; NEAR]),
    Far(Box<[u64]>),
}

/// Enough for 64 packets.
const NEAR: usize = 2;

impl Ring {
    fn new(words: usize) -> Self {
        if words <= NEAR { Ring::Near([0; NEAR]) } else { Ring::Far(vec![0; words].into_boxed_slice()) }
    }

    #[inline]
    fn words(&self) -> &[u64] {
        match self {
            Ring::Near(words) => words,
            Ring::Far(words) => words,
        }
    }

    #[inline]
    fn words_mut(&mut self) -> &mut [u64] {
        match self {
            Ring::Near(words) => words,
            Ring::Far(words) => words,
        }
    }
}

/// Why a number is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stale {
    Seen,
    TooOld,
}

const WORD: u64 = u64::BITS as u64;

impl ReplayWindow {
    pub fn new(size: u32) -> Self {
        ReplayWindow { top: 0, size: size.into(), ring: Ring::new(words(size)) }
    }

    /// Becomes a new window of this size, in the memory that it has where that is enough.
    pub fn renew(&mut self, size: u32) {
        if words(size) > self.ring.words().len() {
            *self = Self::new(size);
        } else {
            (self.top, self.size) = (0, size.into());
            self.ring.words_mut().fill(0);
        }
    }

    pub fn top(&self) -> u64 {
        self.top
    }

    /// Has the processor fetch the part of the ring that the next numbers fall into, where that is elsewhere.
    #[inline]
    pub fn fetch(&self) {
        if let Ring::Far(words) = &self.ring {
            fetch(&words[word(words, self.top)]);
        }
    }

    /// The 64-bit number of which `low` is the lower half (RFC 4303 Appendix A2.1); `None` when it would be negative
    /// or beyond 64 bits.
    pub fn infer(&self, low: u32) -> Option<u64> {
        let (top_low, top_high) = (self.top as u32, (self.top >> 32) as u32);
        let size = self.size.max(1) as u32;
        let bottom = top_low.wrapping_sub(size - 1);
        let high = match (top_low >= size - 1, low >= bottom) {
            // The window lies within one subspace of 2^32 numbers ...
            (true, true) => top_high,
            (true, false) => top_high.checked_add(1)?,
            // ... or begins in the one before.
            (false, true) => top_high.checked_sub(1)?,
            (false, false) => top_high,
        };
        Some(u64::from(high) << 32 | u64::from(low))
    }

    /// The whole number of which `low` is the lower half, once it was accepted: it is not above the highest.
    pub fn accepted(&self, low: u32) -> u64 {
        let near = self.top & !u64::from(u32::MAX) | u64::from(low);
        if near > self.top { near.saturating_sub(1 << 32) } else { near }
    }

    /// Whether a packet with this number may be looked at further. Changes nothing.
    #[inline]
    pub fn check(&self, sequence: u64) -> Result<(), Stale> {
        if self.size == 0 {
            return Ok(());
        }
        if sequence == 0 {
            return Err(Stale::TooOld);
        }
        if sequence > self.top {
            return Ok(());
        }
        if self.top - sequence >= self.size {
            return Err(Stale::TooOld);
        }
        let ring = self.ring.words();
        if ring[word(ring, sequence)] & bit(sequence) == 0 { Ok(()) } else { Err(Stale::Seen) }
    }

    /// Records the number of an authentic packet that passed [`ReplayWindow::check`]. True when it is the highest.
    #[inline]
    pub fn accept(&mut self, sequence: u64) -> bool {
        let newest = sequence > self.top;
        let ring = self.ring.words_mut();
        if newest {
            let (old, new) = (self.top / WORD, sequence / WORD);
            let fresh = (new - old).min(ring.len() as u64);
            for back in 0..fresh {
                ring[word(ring, (new - back) * WORD)] = 0;
            }
            self.top = sequence;
        }
        ring[word(ring, sequence)] |= bit(sequence);
        newest
    }
}

/// The word of a number in a ring.
#[inline]
fn word(ring: &[u64], sequence: u64) -> usize {
    (sequence / WORD) as usize & (ring.len() - 1)
}

/// How many words the ring of a window has.
fn words(size: u32) -> usize {
    if size == 0 { 1 } else { (u64::from(size).div_ceil(WORD) as usize + 1).next_power_of_two() }
}

fn bit(sequence: u64) -> u64 {
    1 << (sequence % WORD)
}

#[cfg(test)]
mod tests;
