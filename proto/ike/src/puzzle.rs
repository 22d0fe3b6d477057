//! Puzzles: what proves that somebody spent time, and can be checked in none.
//!
//! The task is to find four keys under each of which the prf of a text ends in so many zero bits. One more bit is twice the
//! work; it takes four, so that luck evens out. Read RFC 8019 §4.4 and §7.1.3 before changing this file.

use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::{CryptoProvider, PrfAlg};
use ravelin_types::transform::PrfId;
use ravelin_wire::ike::v2::PuzzleSolution;

use crate::limits;

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Puzzle {
    /// The function.
    pub prf: PrfId,
    /// What it is taken of: nobody can know it before.
    pub text: Vec<u8>,
    /// How many bits are zero at the end of each result.
    pub bits: u8,
}

impl Puzzle {
    /// Four keys. It takes some seconds where there are [`limits::PUZZLE_BITS`], and a bound on how long: whoever tried eight
    /// times as many keys as it takes on average has had no luck. `None` then, and where it is harder than that or the prf is
    /// not known.
    pub fn solve(&self, crypto: &CryptoProvider) -> Option<PuzzleSolution> {
        if self.bits > limits::PUZZLE_BITS {
            return None;
        }
        let prf = crypto.prf(self.prf)?;
        let mut result = vec![0; prf.output_len()];
        let mut found = Vec::with_capacity(PuzzleSolution::KEYS * size_of::<u32>());
        for key in 0..(8 * PuzzleSolution::KEYS as u32) << self.bits {
            let key = key.to_be_bytes();
            if self.zeros(prf, &key, &mut result) >= self.bits.into() {
                found.extend_from_slice(&key);
            }
            if found.len() == found.capacity() {
                return PuzzleSolution::new(found);
            }
        }
        None
    }

    /// Whether somebody else did it.
    pub(crate) fn is_solved_by(&self, solution: &PuzzleSolution, crypto: &CryptoProvider) -> bool {
        let Some(prf) = crypto.prf(self.prf) else { return false };
        let keys: Vec<&[u8]> = solution.keys().collect();
        // RFC 8019 §8.2: no longer than the preferred length; RFC 8019 §7.1.3: one key is not four.
        let fit = keys.iter().all(|key| key.len() <= prf.output_len());
        let differ = keys.iter().enumerate().all(|(at, key)| !keys[..at].contains(key));
        let mut result = vec![0; prf.output_len()];
        // RFC 8019 §7.1.4: each of them.
        fit && differ && keys.iter().all(|key| self.zeros(prf, key, &mut result) >= self.bits.into())
    }

    /// The zero bits at the end of the result of a key.
    fn zeros(&self, prf: &dyn PrfAlg, key: &[u8], result: &mut [u8]) -> u32 {
        prf.prf(key, &[&self.text], result);
        let bytes = result.iter().rev().take_while(|byte| **byte == 0).count();
        let last = result.iter().rev().nth(bytes).map_or(0, |byte| byte.trailing_zeros());
        bytes as u32 * u8::BITS + last
    }
}
