//! The one way through received bytes: every access is checked, every error knows where it happened.

use super::error::Malformed;
use super::header::PayloadType;

/// A cursor over the bytes of one payload (or chain, or header).
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
    payload: PayloadType,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, which begin at `offset` of the input.
    pub fn new(bytes: &'a [u8], offset: usize, payload: PayloadType) -> Self {
        Reader { rest: bytes, offset, payload }
    }

    /// Offset of the next byte.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Number of bytes left.
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// An error at the next byte.
    pub fn malformed(&self, reason: &'static str) -> Malformed {
        Malformed { payload: self.payload, offset: self.offset, reason }
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.malformed("truncated"))?;
        self.rest = rest;
        self.offset += len;
        Ok(taken)
    }

    /// Everything that is left.
    pub fn take_rest(&mut self) -> &'a [u8] {
        let taken = core::mem::take(&mut self.rest);
        self.offset += taken.len();
        taken
    }

    /// The next `len` bytes as a reader of their own.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn part(&mut self, len: usize, payload: PayloadType) -> Result<Reader<'a>, Malformed> {
        let offset = self.offset;
        Ok(Reader { rest: self.take(len)?, offset, payload })
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.malformed("truncated"))?;
        self.rest = rest;
        self.offset += N;
        Ok(*taken)
    }

    /// One byte.
    ///
    /// # Errors
    /// When nothing is left.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_be_bytes)
    }

    /// Two bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// Asserts that everything was read.
    ///
    /// # Errors
    /// When something is left.
    pub fn finish(&self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(self.malformed("trailing bytes")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_count_from_the_input() {
        let mut r = Reader::new(&[1, 2, 3, 4, 5, 6, 7], 100, PayloadType::KE);
        assert_eq!(r.u8(), Ok(1));
        let mut part = r.part(3, PayloadType::SA).unwrap();
        assert_eq!((r.offset(), r.len()), (104, 3));
        assert_eq!(part.u16(), Ok(0x0203));
        // A part ends where it ends, though the input goes on.
        assert_eq!(part.u16(), Err(Malformed { payload: PayloadType::SA, offset: 103, reason: "truncated" }));
        assert_eq!(part.finish(), Err(Malformed { payload: PayloadType::SA, offset: 103, reason: "trailing bytes" }));
        // What does not fit is not consumed.
        assert_eq!(r.u32(), Err(Malformed { payload: PayloadType::KE, offset: 104, reason: "truncated" }));
        assert!(r.take(4).is_err() && r.take(usize::MAX).is_err());
        assert_eq!(r.take_rest(), [5, 6, 7]);
        assert_eq!((r.offset(), r.is_empty(), r.finish()), (107, true, Ok(())));
    }
}
