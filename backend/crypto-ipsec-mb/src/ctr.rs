//! AES in counter mode (RFC 3686): no authentication of its own, always paired with an integrity algorithm.

use ravelin_crypto::{BadKey, EncrAlg, EncrKey, EncrShape, Forged, PiecesKey, PiecesMut};

use crate::sys::{CtrKey, library};

const SALT_LEN: usize = 4;

pub(crate) struct Ctr;

/// RFC 3686.
pub(crate) static AES_CTR: Ctr = Ctr;

impl EncrAlg for Ctr {
    fn shape(&self) -> &EncrShape {
        &EncrShape::AES_CTR
    }

    fn key(&self, bytes: &[u8]) -> Result<Box<dyn EncrKey>, BadKey> {
        let (key, salt) = bytes.split_last_chunk::<SALT_LEN>().ok_or(BadKey)?;
        let key: Box<CtrKey> = CtrKey::new(library().map_err(|_| BadKey)?, key, *salt).ok_or(BadKey)?;
        Ok(key)
    }
}

impl EncrKey for CtrKey {
    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &mut [u8]) {
        assert!(aad.is_empty() && icv.is_empty(), "the cipher authenticates nothing");
        self.apply(iv.try_into().expect("the caller passes an IV of the algorithm's length"), data);
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &[u8]) -> Result<(), Forged> {
        match iv.try_into() {
            Ok(iv) if aad.is_empty() && icv.is_empty() => self.apply(iv, data),
            _ => return Err(Forged),
        }
        Ok(())
    }

    fn in_pieces(&self) -> Option<&dyn PiecesKey> {
        Some(self)
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        let (key, salt) = bytes.split_last_chunk().ok_or(BadKey)?;
        let library = library().map_err(|_| BadKey)?;
        CtrKey::replace(self, library, key, *salt).then_some(()).ok_or(BadKey)
    }
}

impl PiecesKey for CtrKey {
    fn seal(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &mut [u8]) {
        assert!(aad.is_empty() && icv.is_empty(), "the cipher authenticates nothing");
        self.apply_pieces(iv.try_into().expect("the caller passes an IV of the algorithm's length"), text);
    }

    fn open(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &[u8]) -> Result<(), Forged> {
        match iv.try_into() {
            Ok(iv) if aad.is_empty() && icv.is_empty() => self.apply_pieces(iv, text),
            _ => return Err(Forged),
        }
        Ok(())
    }
}
