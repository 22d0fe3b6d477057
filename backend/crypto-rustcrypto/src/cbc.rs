//! CBC: AES (RFC 3602), Camellia (RFC 4312, RFC 5529), 3DES (RFC 2451) and DES (RFC 2405). No authentication of its own,
//! always paired with an integrity algorithm.

use alloc::boxed::Box;

use aes::cipher::array::Array;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use camellia::{Camellia128, Camellia192, Camellia256};
use cbc::{Decryptor, Encryptor};
use des::{Des, TdesEde3};
use ravelin_crypto::pieces::in_blocks;
use ravelin_crypto::{BadKey, EncrAlg, EncrKey, EncrShape, Forged, Pieces, PiecesKey, PiecesMut};

/// One cipher in CBC mode.
pub(crate) struct Cbc {
    shape: EncrShape,
    key: fn(&[u8]) -> Option<Box<dyn EncrKey>>,
}

pub(crate) static AES_CBC: Cbc = Cbc {
    shape: EncrShape::AES_CBC,
    key: |key| match key.len() {
        16 => Key::<Aes128>::boxed(key),
        24 => Key::<Aes192>::boxed(key),
        32 => Key::<Aes256>::boxed(key),
        _ => None,
    },
};

pub(crate) static CAMELLIA_CBC: Cbc = Cbc {
    shape: EncrShape::CAMELLIA_CBC,
    key: |key| match key.len() {
        16 => Key::<Camellia128>::boxed(key),
        24 => Key::<Camellia192>::boxed(key),
        32 => Key::<Camellia256>::boxed(key),
        _ => None,
    },
};

pub(crate) static DES3_CBC: Cbc = Cbc { shape: EncrShape::DES3_CBC, key: Key::<TdesEde3>::boxed };

pub(crate) static DES_CBC: Cbc = Cbc { shape: EncrShape::DES_CBC, key: Key::<Des>::boxed };

impl EncrAlg for Cbc {
    fn shape(&self) -> &EncrShape {
        &self.shape
    }

    fn key(&self, bytes: &[u8]) -> Result<Box<dyn EncrKey>, BadKey> {
        (self.key)(bytes).ok_or(BadKey)
    }
}

/// The keyed cipher, which wipes itself.
struct Key<C>(C);

impl<C: KeyInit + BlockCipherEncrypt + BlockCipherDecrypt + Send + Sync + 'static> Key<C> {
    fn boxed(key: &[u8]) -> Option<Box<dyn EncrKey>> {
        Some(Box::new(Key(C::new_from_slice(key).ok()?)))
    }
}

impl<C: KeyInit + BlockCipherEncrypt + BlockCipherDecrypt + Send + Sync> EncrKey for Key<C> {
    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &mut [u8]) {
        assert!(aad.is_empty() && icv.is_empty(), "the cipher authenticates nothing");
        let mode = Encryptor::inner_iv_slice_init(&self.0, iv);
        let mut mode = mode.expect("the caller passes an IV of the algorithm's length");
        let (blocks, rest) = Array::slice_as_chunks_mut(data);
        assert!(rest.is_empty(), "the caller passes whole blocks");
        mode.encrypt_blocks(blocks);
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &[u8]) -> Result<(), Forged> {
        let mode = Decryptor::inner_iv_slice_init(&self.0, iv);
        let (blocks, rest) = Array::slice_as_chunks_mut(data);
        let (Ok(mut mode), true) = (mode, rest.is_empty() && aad.is_empty() && icv.is_empty()) else {
            return Err(Forged);
        };
        mode.decrypt_blocks(blocks);
        Ok(())
    }

    fn in_pieces(&self) -> Option<&dyn PiecesKey> {
        Some(self)
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        self.0 = C::new_from_slice(bytes).map_err(|_| BadKey)?;
        Ok(())
    }
}

/// The blocks are those of AES; of the ciphers with shorter ones, two fit.
const BLOCK_LEN: usize = 16;

impl<C: BlockCipherEncrypt + BlockCipherDecrypt> PiecesKey for Key<C> {
    fn seal(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &mut [u8]) {
        assert!(aad.is_empty() && icv.is_empty(), "the cipher authenticates nothing");
        let mode = Encryptor::inner_iv_slice_init(&self.0, iv);
        let mut mode = mode.expect("the caller passes an IV of the algorithm's length");
        in_blocks::<BLOCK_LEN>(text, |part| {
            let (blocks, rest) = Array::slice_as_chunks_mut(part);
            assert!(rest.is_empty(), "the caller passes whole blocks");
            mode.encrypt_blocks(blocks);
        });
    }

    fn open(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &[u8]) -> Result<(), Forged> {
        let mut mode = Decryptor::inner_iv_slice_init(&self.0, iv).map_err(|_| Forged)?;
        let total = (&*text as &dyn Pieces).total();
        if !total.is_multiple_of(C::block_size()) || !aad.is_empty() || !icv.is_empty() {
            return Err(Forged);
        }
        in_blocks::<BLOCK_LEN>(text, |part| mode.decrypt_blocks(Array::slice_as_chunks_mut(part).0));
        Ok(())
    }
}
