//! Text that lies in pieces: what a stack keeps in a chain of buffers, encrypted and authenticated where it lies.
//!
//! ```text
//!  EncrKey::in_pieces() ──► Some(PiecesKey): seal, open, the same bytes as EncrKey makes of one piece
//!                      └──► None: the library takes one piece of text, and the caller puts it together before
//!  IntegKey::sign_pieces: every algorithm
//! ```
//! Pieces have any number and any size, none at all too. Where a cipher works on blocks, [`in_blocks`] carries a block that
//! lies across pieces over the stack, one at a time; everything else stays where it is.

use alloc::vec::Vec;

use crate::error::Forged;

/// Bytes in pieces, to be read.
pub trait Pieces {
    /// How many pieces there are.
    fn count(&self) -> usize;
    /// The `n`-th of them, counted from 0. It may be empty.
    ///
    /// # Panics
    /// When there are no so many.
    fn piece(&self, n: usize) -> &[u8];
}

/// Bytes in pieces, to be changed.
pub trait PiecesMut: Pieces {
    /// As [`Pieces::piece`].
    ///
    /// # Panics
    /// When there are no so many.
    fn piece_mut(&mut self, n: usize) -> &mut [u8];
}

macro_rules! lists {
    ($([$($generic:tt)*] $list:ty;)*) => {$(
        impl<T: AsRef<[u8]>, $($generic)*> Pieces for $list {
            fn count(&self) -> usize {
                self.len()
            }

            fn piece(&self, n: usize) -> &[u8] {
                self[n].as_ref()
            }
        }

        impl<T: AsRef<[u8]> + AsMut<[u8]>, $($generic)*> PiecesMut for $list {
            fn piece_mut(&mut self, n: usize) -> &mut [u8] {
                self[n].as_mut()
            }
        }
    )*};
}

lists! {
    [] Vec<T>;
    [] &mut [T];
    [const N: usize] [T; N];
}

impl<'a> dyn Pieces + 'a {
    /// The pieces in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.count()).map(|n| self.piece(n))
    }

    /// Bytes in all of them.
    pub fn total(&self) -> usize {
        self.iter().fold(0, |total, piece| total.saturating_add(piece.len()))
    }
}

impl<'a> dyn PiecesMut + 'a {
    /// Writes zeros over all of them.
    pub fn wipe(&mut self) {
        (0..self.count()).for_each(|n| self.piece_mut(n).fill(0));
    }
}

/// A key whose cipher takes text in pieces. No call allocates.
pub trait PiecesKey {
    /// [`EncrKey::seal`](crate::EncrKey::seal); the pieces together are a multiple of the block length.
    ///
    /// # Panics
    /// When a length is not the algorithm's: that would be plaintext on the wire.
    fn seal(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &mut [u8]);

    /// [`EncrKey::open`](crate::EncrKey::open). On an error the pieces hold no plaintext.
    ///
    /// # Errors
    /// When the ICV does not verify or a length does not fit the algorithm.
    fn open(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &[u8]) -> Result<(), Forged>;
}

/// Calls `run` with the text in order, in parts of whole blocks; only the last may end within one. A block that lies across
/// pieces is put together on the stack for the call, and written back.
pub fn in_blocks<const BLOCK: usize>(text: &mut dyn PiecesMut, mut run: impl FnMut(&mut [u8])) {
    let mut place = Place::default();
    while place.n < text.count() {
        let piece = &mut text.piece_mut(place.n)[place.at..];
        let whole = piece.len() - piece.len() % BLOCK;
        if whole > 0 {
            run(&mut piece[..whole]);
        }
        if whole == piece.len() {
            place = Place { n: place.n + 1, at: 0 };
            continue;
        }
        place.at += whole;
        let mut block = [0; BLOCK];
        let (behind, filled) = place.visit(text, BLOCK, |part, at| block[at..at + part.len()].copy_from_slice(part));
        run(&mut block[..filled]);
        place.visit(text, filled, |part, at| part.copy_from_slice(&block[at..at + part.len()]));
        place = behind;
    }
}

/// A byte of text in pieces.
#[derive(Clone, Copy, Default)]
struct Place {
    n: usize,
    at: usize,
}

impl Place {
    /// Shows `f` at most `len` bytes from here on, in the parts in which they lie, each with how many were before it. Tells
    /// where the next one is, and how many there were.
    fn visit(mut self, text: &mut dyn PiecesMut, len: usize, mut f: impl FnMut(&mut [u8], usize)) -> (Place, usize) {
        let mut seen = 0;
        while seen < len && self.n < text.count() {
            let piece = &mut text.piece_mut(self.n)[self.at..];
            let part = piece.len().min(len - seen);
            f(&mut piece[..part], seen);
            seen += part;
            self =
                if part == piece.len() { Place { n: self.n + 1, at: 0 } } else { Place { at: self.at + part, ..self } };
        }
        (self, seen)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn blocks_come_whole_and_in_order_and_go_back_to_their_place() {
        for sizes in [&[3, 0, 1, 1, 40, 2, 16, 0][..], &[63], &[0, 0], &[], &[1; 63], &[16, 47], &[15, 1, 16, 31]] {
            let mut next = 0..;
            let mut pieces: Vec<Vec<u8>> = sizes.iter().map(|&size| next.by_ref().take(size).collect()).collect();
            let (mut seen, mut lens) = (vec![], vec![]);
            in_blocks::<16>(&mut pieces, |part| {
                seen.extend_from_slice(part);
                lens.push(part.len());
                part.iter_mut().for_each(|byte| *byte ^= 0xff);
            });
            let total = sizes.iter().sum::<usize>();
            assert_eq!(seen, (0..total as u8).collect::<Vec<_>>(), "{sizes:?}");
            assert_eq!(pieces.concat(), (0..total as u8).map(|byte| byte ^ 0xff).collect::<Vec<_>>(), "{sizes:?}");
            assert!(lens.iter().rev().skip(1).all(|len| len % 16 == 0) && !lens.contains(&0), "{lens:?}");
            let pieces: &dyn Pieces = &pieces;
            assert_eq!(pieces.total(), total);
        }
    }
}
