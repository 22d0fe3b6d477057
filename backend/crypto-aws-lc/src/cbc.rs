//! AES-CBC (RFC 3602): no authentication of its own, always paired with an integrity algorithm.

use ravelin_crypto::{BadKey, EncrAlg, EncrKey, EncrShape, Forged};

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
        let iv = iv.try_into().expect("the caller passes an IV of the algorithm's length");
        let (blocks, rest) = data.as_chunks_mut::<BLOCK_LEN>();
        assert!(rest.is_empty(), "the caller pads to whole blocks");
        self.0.encrypt(iv, blocks);
    }

    fn open(&self, iv: &[u8], _aad: &[u8], data: &mut [u8], _icv: &[u8]) -> Result<(), Forged> {
        // Bytes that are not decrypted are no plaintext, so `data` may stay as it came.
        let iv = iv.try_into().map_err(|_| Forged)?;
        let (blocks, rest) = data.as_chunks_mut::<BLOCK_LEN>();
        if !rest.is_empty() {
            return Err(Forged);
        }
        self.0.decrypt(iv, blocks);
        Ok(())
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        self.0 = AesCbc::new(bytes).ok_or(BadKey)?;
        Ok(())
    }
}
