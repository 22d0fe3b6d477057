//! From pointers of C to references, after the checks that can be made.

use std::ffi::{CStr, c_char, c_void};

use ravelin_crypto::SecureRandom;

use crate::RvlStatus;
use crate::traffic::RvlPiece;

/// Fills `out` with `len` unpredictable bytes and returns 0; anything else is a failure, which ends the use of the
/// handle. It must not call functions of this library.
pub type RvlRandom = Option<unsafe extern "C" fn(context: *mut c_void, out: *mut u8, len: usize) -> i32>;

/// What a pointer to a `T` points to.
///
/// # Safety
/// The pointer is null or not aligned, or points to a `T` that nobody writes to for `'a`.
pub unsafe fn read<'a, T>(pointer: *const T) -> Result<&'a T, RvlStatus> {
    check(pointer, 1)?;
    // SAFETY: checked above as far as possible, the rest is promised by the caller.
    Ok(unsafe { &*pointer })
}

/// What a pointer to a `T` points to, to be changed.
///
/// # Safety
/// The pointer is null or not aligned, or points to a `T` that nobody else uses for `'a`.
pub unsafe fn write<'a, T>(pointer: *mut T) -> Result<&'a mut T, RvlStatus> {
    check(pointer, 1)?;
    // SAFETY: as above.
    Ok(unsafe { &mut *pointer })
}

/// Where a result goes. What is there before need not be a value.
pub struct Out<T>(*mut T);

impl<T> Out<T> {
    /// # Safety
    /// The pointer is null or not aligned, or points to room for a `T` that nobody else uses while this lives.
    pub unsafe fn new(pointer: *mut T) -> Result<Self, RvlStatus> {
        check(pointer, 1)?;
        Ok(Out(pointer))
    }

    /// As [`Out::new`]; null where the result is not wanted.
    ///
    /// # Safety
    /// As there, or null.
    pub unsafe fn optional(pointer: *mut T) -> Result<Option<Self>, RvlStatus> {
        // SAFETY: the caller's promise.
        if pointer.is_null() { Ok(None) } else { unsafe { Out::new(pointer) }.map(Some) }
    }

    /// Writes the result.
    pub fn set(&self, value: T) {
        // SAFETY: checked and promised where it was made.
        unsafe { self.0.write(value) }
    }
}

/// `len` elements; with `len` 0 the pointer is not looked at.
///
/// # Safety
/// As [`read`], for all elements.
pub unsafe fn slice<'a, T>(pointer: *const T, len: usize) -> Result<&'a [T], RvlStatus> {
    if len == 0 {
        return Ok(&[]);
    }
    check(pointer, len)?;
    // SAFETY: as above.
    Ok(unsafe { std::slice::from_raw_parts(pointer, len) })
}

/// `len` bytes, to be changed; with `len` 0 the pointer is not looked at.
///
/// # Safety
/// As [`write()`], for all bytes.
pub unsafe fn slice_mut<'a>(pointer: *mut u8, len: usize) -> Result<&'a mut [u8], RvlStatus> {
    if len == 0 {
        return Ok(&mut []);
    }
    check(pointer, len)?;
    // SAFETY: as above.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, len) })
}

/// A string in UTF-8; `None` for null.
///
/// # Safety
/// The pointer is null or points to a string that ends with a zero byte and that nobody writes to for `'a`.
pub unsafe fn text<'a>(pointer: *const c_char) -> Result<Option<&'a str>, RvlStatus> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: promised by the caller.
    unsafe { CStr::from_ptr(pointer) }.to_str().map(Some).map_err(|_| RvlStatus::BadParam)
}

fn check<T>(pointer: *const T, count: usize) -> Result<(), RvlStatus> {
    if pointer.is_null() {
        return Err(RvlStatus::Null);
    }
    let fits = count
        .checked_mul(size_of::<T>())
        .is_some_and(|bytes| isize::try_from(bytes).is_ok() && (pointer as usize).checked_add(bytes).is_some());
    if fits && pointer.is_aligned() { Ok(()) } else { Err(RvlStatus::BadPointer) }
}

/// The caller's source of randomness.
pub struct Random {
    fill: unsafe extern "C" fn(*mut c_void, *mut u8, usize) -> i32,
    context: *mut c_void,
}

// SAFETY: the header asks for a function that may be called from whichever thread uses the handle.
unsafe impl Send for Random {}

impl Random {
    /// # Safety
    /// The function keeps the promise of [`RvlRandom`] for as long as the object lives that is given it.
    pub unsafe fn new(fill: RvlRandom, context: *mut c_void) -> Result<Self, RvlStatus> {
        fill.map(|fill| Random { fill, context }).ok_or(RvlStatus::Null)
    }
}

impl SecureRandom for Random {
    fn fill(&mut self, out: &mut [u8]) {
        // SAFETY: promised where it was made.
        let status = unsafe { (self.fill)(self.context, out.as_mut_ptr(), out.len()) };
        assert!(status == 0, "the source of randomness failed with {status}");
    }
}

/// The pieces of a packet of the caller.
#[derive(Debug)]
pub struct Pieces {
    pieces: *const RvlPiece,
    count: usize,
}

// SAFETY: the header asks that nobody else uses the memory until the completion, on whichever thread that is.
unsafe impl Send for Pieces {}

impl Pieces {
    /// # Safety
    /// Each pointer is null or not aligned, or points to what its length says for as long as this lives, and nobody
    /// writes there.
    pub unsafe fn new(pieces: *const RvlPiece, count: usize) -> Result<Self, RvlStatus> {
        // SAFETY: the caller's promise.
        for piece in unsafe { slice(pieces, count)? } {
            // SAFETY: the caller's promise.
            unsafe { slice(piece.data, piece.length)? };
        }
        Ok(Pieces { pieces, count })
    }

    /// The pieces in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        // SAFETY: checked and promised where it was made. Nothing is wrong then, and no piece is left out.
        let pieces = unsafe { slice(self.pieces, self.count) }.unwrap_or_default();
        // SAFETY: as above.
        pieces.iter().map(|piece| unsafe { slice(piece.data, piece.length) }.unwrap_or_default())
    }

    /// As it was given.
    pub fn raw(&self) -> (*const RvlPiece, usize) {
        (self.pieces, self.count)
    }
}

/// The pieces of a packet of the caller, which is changed where it lies.
pub struct PiecesInPlace<'a>(&'a [RvlPiece]);

impl<'a> PiecesInPlace<'a> {
    /// # Safety
    /// Each pointer is null or not aligned, or points to what its length says, which for `'a` nobody else uses.
    pub unsafe fn new(pieces: *const RvlPiece, count: usize) -> Result<Self, RvlStatus> {
        // SAFETY: the caller's promise.
        let pieces = unsafe { slice(pieces, count)? };
        for piece in pieces {
            // SAFETY: the caller's promise.
            unsafe { slice(piece.data, piece.length)? };
        }
        Ok(PiecesInPlace(pieces))
    }
}

impl ravelin_crypto::Pieces for PiecesInPlace<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn piece(&self, n: usize) -> &[u8] {
        let piece = &self.0[n];
        // SAFETY: checked and promised where it was made; no piece is borrowed to be changed as long as `self` is not.
        unsafe { slice(piece.data, piece.length) }.unwrap_or_default()
    }
}

impl ravelin_crypto::PiecesMut for PiecesInPlace<'_> {
    fn piece_mut(&mut self, n: usize) -> &mut [u8] {
        let piece = &self.0[n];
        // SAFETY: checked and promised where it was made; `self` is borrowed exclusively, and with it every piece.
        unsafe { slice_mut(piece.data.cast_mut(), piece.length) }.unwrap_or_default()
    }
}

/// A buffer of the caller.
#[derive(Debug)]
pub struct Buffer {
    start: *mut u8,
    len: usize,
}

// SAFETY: as for the pieces.
unsafe impl Send for Buffer {}

impl Buffer {
    /// # Safety
    /// The pointer is null, or points to `len` bytes that nobody else uses for as long as this lives.
    pub unsafe fn new(start: *mut u8, len: usize) -> Result<Self, RvlStatus> {
        // SAFETY: the caller's promise.
        unsafe { slice_mut(start, len)? };
        Ok(Buffer { start, len })
    }

    /// As it was given.
    pub fn raw(&self) -> *mut u8 {
        self.start
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: checked and promised where it was made.
        unsafe { slice_mut(self.start, self.len) }.unwrap_or_default()
    }
}
