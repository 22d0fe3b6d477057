//! AES-CBC (RFC 3602): no authentication of its own, always paired with an integrity algorithm.

use ravelin_crypto::pieces::in_blocks;
use ravelin_crypto::{BadKey, EncrAlg, EncrKey, EncrShape, Forged, Pieces, PiecesKey, PiecesMut};

use crate::sys::AesCbc;

const BLOCK_LEN: usize = 16;

pub(crate) struct Cbc;

/// RFC 3602.
pub(crate) static AES_CBC: Cbc = Cbc;

impl EncrAlg for Cbc {
    fn shape(&self) -> &EncrShape {
        &EncrShape::AES_CBC
    }

    fn key(&self, bytes: &[u8]) -> Result<Box<dyn EncrKey>, BadKey> {
        Ok(Box::new(CbcKey(AesCbc::new(bytes).ok_or(BadKey)?)))
    }
}

struct CbcKey(AesCbc);

impl EncrKey for CbcKey {
    fn seal(&self, iv: &[u8], _aad: &[u8], data: &mut [u8], _icv: &mut [u8]) {
        let mut iv = *iv.as_array().expect("the caller passes an IV of the algorithm's length");
        let (blocks, rest) = data.as_chunks_mut::<BLOCK_LEN>();
        assert!(rest.is_empty(), "the caller pads to whole blocks");
        self.0.encrypt(&mut iv, blocks);
    }

    fn open(&self, iv: &[u8], _aad: &[u8], data: &mut [u8], _icv: &[u8]) -> Result<(), Forged> {
        // Bytes that are not decrypted are no plaintext, so `data` may stay as it came.
        let mut iv = *iv.as_array().ok_or(Forged)?;
        let (blocks, rest) = data.as_chunks_mut::<BLOCK_LEN>();
        if !rest.is_empty() {
            return Err(Forged);
        }
        self.0.decrypt(&mut iv, blocks);
        Ok(())
    }

    fn in_pieces(&self) -> Option<&dyn PiecesKey> {
        Some(self)
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        self.0 = AesCbc::new(bytes).ok_or(BadKey)?;
        Ok(())
    }
}

impl PiecesKey for CbcKey {
    fn seal(&self, iv: &[u8], _aad: &[u8], text: &mut dyn PiecesMut, _icv: &mut [u8]) {
        let mut iv = *iv.as_array().expect("the caller passes an IV of the algorithm's length");
        in_blocks::<BLOCK_LEN>(text, |part| {
            let (blocks, rest) = part.as_chunks_mut();
            assert!(rest.is_empty(), "the caller pads to whole blocks");
            self.0.encrypt(&mut iv, blocks);
        });
    }

    fn open(&self, iv: &[u8], _aad: &[u8], text: &mut dyn PiecesMut, _icv: &[u8]) -> Result<(), Forged> {
        let mut iv = *iv.as_array().ok_or(Forged)?;
        if !(&*text as &dyn Pieces).total().is_multiple_of(BLOCK_LEN) {
            return Err(Forged);
        }
        in_blocks::<BLOCK_LEN>(text, |part| self.0.decrypt(&mut iv, part.as_chunks_mut().0));
        Ok(())
    }
}
