//! AES in counter mode (RFC 3686): no authentication of its own, always paired with an integrity algorithm.

use ravelin_crypto::{BadKey, EncrAlg, EncrKey, EncrShape, Forged, PiecesKey, PiecesMut};
use zeroize::Zeroize;

use crate::sys::{AesCtr, KeyStream};

const NONCE_LEN: usize = 4;
const IV_LEN: usize = 8;

pub(crate) struct Ctr;

/// RFC 3686.
pub(crate) static AES_CTR: Ctr = Ctr;

impl EncrAlg for Ctr {
    fn shape(&self) -> &EncrShape {
        &EncrShape::AES_CTR
    }

    fn key(&self, bytes: &[u8]) -> Result<Box<dyn EncrKey>, BadKey> {
        Ok(Box::new(CtrKey::new(bytes)?))
    }
}

struct CtrKey {
    cipher: AesCtr,
    nonce: [u8; NONCE_LEN],
}

impl CtrKey {
    fn new(bytes: &[u8]) -> Result<Self, BadKey> {
        let (key, nonce) = bytes.split_last_chunk().ok_or(BadKey)?;
        Ok(CtrKey { cipher: AesCtr::new(key).ok_or(BadKey)?, nonce: *nonce })
    }

    fn key_stream(&self, iv: &[u8; IV_LEN]) -> KeyStream<'_> {
        // RFC 3686 §4: nonce, IV, and a counter that starts with one.
        let mut block = [0; 16];
        block[..NONCE_LEN].copy_from_slice(&self.nonce);
        block[NONCE_LEN..NONCE_LEN + IV_LEN].copy_from_slice(iv);
        block[15] = 1;
        self.cipher.key_stream(block)
    }
}

impl EncrKey for CtrKey {
    fn seal(&self, iv: &[u8], _aad: &[u8], data: &mut [u8], _icv: &mut [u8]) {
        let iv = iv.try_into().expect("the caller passes an IV of the algorithm's length");
        self.key_stream(iv).apply(data);
    }

    fn open(&self, iv: &[u8], _aad: &[u8], data: &mut [u8], _icv: &[u8]) -> Result<(), Forged> {
        self.key_stream(iv.try_into().map_err(|_| Forged)?).apply(data);
        Ok(())
    }

    fn in_pieces(&self) -> Option<&dyn PiecesKey> {
        Some(self)
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        *self = Self::new(bytes)?;
        Ok(())
    }
}

impl PiecesKey for CtrKey {
    fn seal(&self, iv: &[u8], _aad: &[u8], text: &mut dyn PiecesMut, _icv: &mut [u8]) {
        let iv = iv.try_into().expect("the caller passes an IV of the algorithm's length");
        let mut stream = self.key_stream(iv);
        (0..text.count()).for_each(|n| stream.apply(text.piece_mut(n)));
    }

    fn open(&self, iv: &[u8], _aad: &[u8], text: &mut dyn PiecesMut, _icv: &[u8]) -> Result<(), Forged> {
        let mut stream = self.key_stream(iv.try_into().map_err(|_| Forged)?);
        (0..text.count()).for_each(|n| stream.apply(text.piece_mut(n)));
        Ok(())
    }
}

impl Drop for CtrKey {
    fn drop(&mut self) {
        self.nonce.zeroize();
    }
}
