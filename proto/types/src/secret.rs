//! Key material that is wiped when dropped and never printed by accident.

use alloc::vec::Vec;
use core::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes that must not outlive their use or appear in a log. `Debug` prints only the length.
#[derive(Clone, Default, Zeroize, ZeroizeOnDrop)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes ownership of `bytes`; the vector must not have been reallocated while it held the secret.
    pub fn new(bytes: Vec<u8>) -> Self {
        Secret(bytes)
    }

    /// Nothing, with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Secret(Vec::with_capacity(bytes))
    }

    /// Becomes a copy of `other` in the memory that it has, if that is enough. What it was is wiped before.
    pub fn copy_from(&mut self, other: &Secret) {
        self.set(other.expose());
    }

    /// Becomes these bytes in the memory that it has, if that is enough. What it was is wiped before.
    pub fn set(&mut self, bytes: &[u8]) {
        self.0.zeroize();
        self.0.extend_from_slice(bytes);
    }

    /// The bytes, for a cipher, or for an operator who asked for them by name.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&[u8]> for Secret {
    fn from(bytes: &[u8]) -> Self {
        Secret(bytes.to_vec())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_stays_where_there_is_room() {
        let mut secret = Secret::with_capacity(8);
        let place = secret.expose().as_ptr();
        for text in [&b"12345678"[..], b"hunter2", b""] {
            secret.copy_from(&Secret::from(text));
            assert_eq!((secret.expose(), secret.expose().as_ptr()), (text, place));
        }
    }

    #[test]
    fn debug_prints_only_the_length() {
        let secret = Secret::from(&b"hunter2"[..]);
        assert_eq!(alloc::format!("{secret:?}"), "Secret(7 bytes)");
    }
}
