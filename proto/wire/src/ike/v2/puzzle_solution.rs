//! Puzzle Solution payload (RFC 8019 §8.2).

use alloc::vec::Vec;

use super::super::error::Malformed;
use super::super::reader::Reader;
use super::Body;

/// Four keys of one length, one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PuzzleSolution(Vec<u8>);

impl PuzzleSolution {
    /// How many keys there are.
    pub const KEYS: usize = 4;

    /// `None` when there is nothing in it, or not four times the same length.
    pub fn new(keys: impl Into<Vec<u8>>) -> Option<Self> {
        let keys = keys.into();
        (!keys.is_empty() && keys.len().is_multiple_of(Self::KEYS)).then_some(PuzzleSolution(keys))
    }

    /// The four.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.0.chunks_exact(self.0.len() / Self::KEYS)
    }
}

impl Body for PuzzleSolution {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let at = r.clone();
        PuzzleSolution::new(r.take_rest())
            .ok_or_else(|| at.malformed("a puzzle solution that is not four keys of one length"))
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}
