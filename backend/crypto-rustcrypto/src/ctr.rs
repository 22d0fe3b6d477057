//! AES in counter mode (RFC 3686): no authentication of its own, always paired with an integrity algorithm.

use alloc::boxed::Box;

use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipher};
use aes::{Aes128, Aes192, Aes256};
use ctr::{Ctr32BE, CtrCore};
use ravelin_crypto::{BadKey, EncrAlg, EncrKey, EncrShape, Forged, PiecesKey, PiecesMut};
use zeroize::Zeroize;

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
        let (key, nonce) = bytes.split_last_chunk::<NONCE_LEN>().ok_or(BadKey)?;
        match key.len() {
            16 => Key::<Aes128>::boxed(key, *nonce),
            24 => Key::<Aes192>::boxed(key, *nonce),
            32 => Key::<Aes256>::boxed(key, *nonce),
            _ => Err(BadKey),
        }
    }
}

/// The keyed cipher, which wipes itself, and the nonce.
struct Key<C> {
    cipher: C,
    nonce: [u8; NONCE_LEN],
}

impl<C: KeyInit + BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + Send + Sync + 'static> Key<C> {
    fn new(key: &[u8], nonce: [u8; NONCE_LEN]) -> Result<Self, BadKey> {
        Ok(Key { cipher: C::new_from_slice(key).map_err(|_| BadKey)?, nonce })
    }

    fn boxed(key: &[u8], nonce: [u8; NONCE_LEN]) -> Result<Box<dyn EncrKey>, BadKey> {
        Ok(Box::new(Self::new(key, nonce)?))
    }
}

impl<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>> Key<C> {
    fn key_stream(&self, iv: &[u8; IV_LEN]) -> Ctr32BE<&C> {
        // RFC 3686 §4: nonce, IV, and a counter that starts with one.
        let mut block = [0; 16];
        block[..NONCE_LEN].copy_from_slice(&self.nonce);
        block[NONCE_LEN..NONCE_LEN + IV_LEN].copy_from_slice(iv);
        block[15] = 1;
        Ctr32BE::from_core(CtrCore::inner_iv_init(&self.cipher, &block.into()))
    }

    fn apply(&self, iv: &[u8; IV_LEN], text: &mut dyn PiecesMut) {
        let mut stream = self.key_stream(iv);
        (0..text.count()).for_each(|n| stream.apply_keystream(text.piece_mut(n)));
    }
}

impl<C: KeyInit + BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + Send + Sync + 'static> EncrKey for Key<C> {
    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &mut [u8]) {
        assert!(aad.is_empty() && icv.is_empty(), "the cipher authenticates nothing");
        let iv = iv.try_into().expect("the caller passes an IV of the algorithm's length");
        self.key_stream(iv).apply_keystream(data);
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &[u8]) -> Result<(), Forged> {
        match iv.try_into() {
            Ok(iv) if aad.is_empty() && icv.is_empty() => self.key_stream(iv).apply_keystream(data),
            _ => return Err(Forged),
        }
        Ok(())
    }

    fn in_pieces(&self) -> Option<&dyn PiecesKey> {
        Some(self)
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        let (key, nonce) = bytes.split_last_chunk().ok_or(BadKey)?;
        *self = Self::new(key, *nonce)?;
        Ok(())
    }
}

impl<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>> PiecesKey for Key<C> {
    fn seal(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &mut [u8]) {
        assert!(aad.is_empty() && icv.is_empty(), "the cipher authenticates nothing");
        self.apply(iv.try_into().expect("the caller passes an IV of the algorithm's length"), text);
    }

    fn open(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &[u8]) -> Result<(), Forged> {
        match iv.try_into() {
            Ok(iv) if aad.is_empty() && icv.is_empty() => self.apply(iv, text),
            _ => return Err(Forged),
        }
        Ok(())
    }
}

impl<C> Drop for Key<C> {
    fn drop(&mut self) {
        self.nonce.zeroize();
    }
}
