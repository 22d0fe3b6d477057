//! NULL encryption (RFC 2410): always paired with an integrity algorithm, as any cipher that does not authenticate.

use alloc::boxed::Box;

use ravelin_crypto::{BadKey, EncrAlg, EncrKey, EncrShape, Forged, PiecesKey, PiecesMut};

pub(crate) struct Null;

/// RFC 2410.
pub(crate) static NULL: Null = Null;

impl EncrAlg for Null {
    fn shape(&self) -> &EncrShape {
        &EncrShape::NULL
    }

    fn key(&self, bytes: &[u8]) -> Result<Box<dyn EncrKey>, BadKey> {
        if bytes.is_empty() { Ok(Box::new(Null)) } else { Err(BadKey) }
    }
}

impl EncrKey for Null {
    fn seal(&self, _iv: &[u8], _aad: &[u8], _data: &mut [u8], icv: &mut [u8]) {
        assert!(icv.is_empty(), "the cipher authenticates nothing");
    }

    fn open(&self, iv: &[u8], _aad: &[u8], _data: &mut [u8], icv: &[u8]) -> Result<(), Forged> {
        if iv.is_empty() && icv.is_empty() { Ok(()) } else { Err(Forged) }
    }

    fn in_pieces(&self) -> Option<&dyn PiecesKey> {
        Some(self)
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        if bytes.is_empty() { Ok(()) } else { Err(BadKey) }
    }
}

impl PiecesKey for Null {
    fn seal(&self, iv: &[u8], aad: &[u8], _text: &mut dyn PiecesMut, icv: &mut [u8]) {
        EncrKey::seal(self, iv, aad, &mut [], icv);
    }

    fn open(&self, iv: &[u8], aad: &[u8], _text: &mut dyn PiecesMut, icv: &[u8]) -> Result<(), Forged> {
        EncrKey::open(self, iv, aad, &mut [], icv)
    }
}
