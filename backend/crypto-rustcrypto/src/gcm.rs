//! AES-GCM (RFC 4106, SP 800-38D) of counter mode and GHASH, over text in one piece or many; GMAC is the same without the
//! cipher.
//!
//! ```text
//!  ICV = GHASH(A, padded with zeros | ciphertext, padded | bits of A, 64 | bits of ciphertext, 64)  xor  AES(salt | IV | 1)
//!  key stream = AES(salt | IV | 2), AES(salt | IV | 3), ...
//! ```

use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipher};
use ctr::{Ctr32BE, CtrCore};
use ghash::GHash;
use ravelin_crypto::{BadKey, EncrKey, Forged, Pieces, PiecesKey, PiecesMut};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::blocks::{BLOCK_LEN, Blocks};

pub(crate) const SALT_LEN: usize = 4;
pub(crate) const IV_LEN: usize = 8;
pub(crate) const TAG_LEN: usize = 16;

/// AES, as this crate has it with each length of the key.
pub(crate) trait Aes:
    KeyInit + BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + Send + Sync + 'static
{
}

impl<C: KeyInit + BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + Send + Sync + 'static> Aes for C {}

/// The keyed cipher and hash, which wipe themselves, and the salt.
pub(crate) struct Keyed<C> {
    cipher: C,
    hash: GHash,
    salt: [u8; SALT_LEN],
}

impl<C: Aes> Keyed<C> {
    /// `bytes` is the key followed by the salt.
    pub fn new(bytes: &[u8]) -> Result<Self, BadKey> {
        let (key, salt) = bytes.split_last_chunk().ok_or(BadKey)?;
        let cipher = C::new_from_slice(key).map_err(|_| BadKey)?;
        let mut hash_key = Zeroizing::new([0; BLOCK_LEN]);
        cipher.encrypt_block((&mut *hash_key).into());
        let hash = GHash::new((&*hash_key).into());
        Ok(Keyed { cipher, hash, salt: *salt })
    }

    /// The ICV over additional data and text.
    pub fn tag<'p>(
        &self,
        iv: &[u8; IV_LEN],
        aad: impl Iterator<Item = &'p [u8]>,
        text: impl Iterator<Item = &'p [u8]>,
    ) -> [u8; TAG_LEN] {
        let mut hash = Blocks::new(self.hash.clone());
        aad.for_each(|part| hash.update(part));
        let aad_bits = hash.pad() * 8;
        text.for_each(|part| hash.update(part));
        let text_bits = hash.pad() * 8;
        let mut lengths = [0; BLOCK_LEN];
        lengths[..8].copy_from_slice(&aad_bits.to_be_bytes());
        lengths[8..].copy_from_slice(&text_bits.to_be_bytes());
        let mut tag = self.counter(iv, 1);
        self.cipher.encrypt_block((&mut tag).into());
        tag.iter_mut().zip(hash.finish(lengths)).for_each(|(byte, hashed)| *byte ^= hashed);
        tag
    }

    fn apply(&self, iv: &[u8; IV_LEN], text: &mut dyn PiecesMut) {
        let counter = self.counter(iv, 2).into();
        let mut stream = Ctr32BE::from_core(CtrCore::inner_iv_init(&self.cipher, &counter));
        (0..text.count()).for_each(|n| stream.apply_keystream(text.piece_mut(n)));
    }

    fn counter(&self, iv: &[u8; IV_LEN], count: u8) -> [u8; BLOCK_LEN] {
        let mut block = [0; BLOCK_LEN];
        block[..SALT_LEN].copy_from_slice(&self.salt);
        block[SALT_LEN..SALT_LEN + IV_LEN].copy_from_slice(iv);
        block[BLOCK_LEN - 1] = count;
        block
    }
}

impl<C> Drop for Keyed<C> {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}

/// AES-GCM with an ICV of `ICV` bytes.
pub(crate) struct Gcm<C, const ICV: usize>(Keyed<C>);

impl<C: Aes, const ICV: usize> Gcm<C, ICV> {
    pub fn new(bytes: &[u8]) -> Result<Self, BadKey> {
        Keyed::new(bytes).map(Gcm)
    }
}

impl<C: Aes, const ICV: usize> EncrKey for Gcm<C, ICV> {
    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &mut [u8]) {
        PiecesKey::seal(self, iv, aad, &mut [data], icv);
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &[u8]) -> Result<(), Forged> {
        PiecesKey::open(self, iv, aad, &mut [data], icv)
    }

    fn in_pieces(&self) -> Option<&dyn PiecesKey> {
        Some(self)
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        *self = Self::new(bytes)?;
        Ok(())
    }
}

impl<C: Aes, const ICV: usize> PiecesKey for Gcm<C, ICV> {
    fn seal(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &mut [u8]) {
        let iv = iv.try_into().expect("the caller passes an IV of the algorithm's length");
        self.0.apply(iv, text);
        let text: &dyn Pieces = text;
        let tag = self.0.tag(iv, [aad].into_iter(), text.iter());
        icv.copy_from_slice(&tag[..ICV]);
    }

    fn open(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &[u8]) -> Result<(), Forged> {
        if let (Ok(iv), Ok(icv)) = (iv.try_into(), <&[u8; ICV]>::try_from(icv)) {
            let tag = self.0.tag(iv, [aad].into_iter(), (&*text as &dyn Pieces).iter());
            if bool::from(tag[..ICV].ct_eq(icv)) {
                self.0.apply(iv, text);
                return Ok(());
            }
        }
        text.wipe();
        Err(Forged)
    }
}
