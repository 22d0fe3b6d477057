//! AES-GMAC for ESP (RFC 4543): the packet is authenticated and not encrypted, in the frame of an AEAD cipher.
//!
//! ```text
//!  A = SPI, sequence number | IV | payload, padding, trailer
//!  ICV = GHASH(A, padded with zeros | bits of A, 64 | 0, 64)  xor  AES(salt | IV | 1)
//! ```
//! Read RFC 4543 §3.3 with figure 4 before changing this: the IV is among what is authenticated, as all implementations
//! have it.

use alloc::boxed::Box;

use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherEncrypt, BlockSizeUser, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use ravelin_crypto::{BadKey, EncrAlg, EncrKey, Forged, IvKind};
use ravelin_types::transform::EncrId;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

const SALT_LEN: usize = 4;
const IV_LEN: usize = 8;
const ICV_LEN: usize = 16;
const BLOCK_LEN: usize = 16;

pub(crate) struct Gmac;

/// RFC 4543 §3.
pub(crate) static NULL_AES_GMAC: Gmac = Gmac;

impl EncrAlg for Gmac {
    fn id(&self) -> EncrId {
        EncrId::NULL_AES_GMAC
    }

    fn key_bits(&self) -> &'static [u16] {
        &[128, 256, 192]
    }

    fn sends_key_length(&self) -> bool {
        true
    }

    fn salt_len(&self) -> usize {
        SALT_LEN
    }

    fn iv_len(&self) -> usize {
        IV_LEN
    }

    fn iv_kind(&self) -> IvKind {
        IvKind::Unique
    }

    fn block_len(&self) -> usize {
        1
    }

    fn icv_len(&self) -> usize {
        ICV_LEN
    }

    fn key(&self, bytes: &[u8]) -> Result<Box<dyn EncrKey>, BadKey> {
        let (key, salt) = bytes.split_last_chunk::<SALT_LEN>().ok_or(BadKey)?;
        match key.len() {
            16 => Key::<Aes128>::boxed(key, *salt),
            24 => Key::<Aes192>::boxed(key, *salt),
            32 => Key::<Aes256>::boxed(key, *salt),
            _ => Err(BadKey),
        }
    }
}

/// The keyed cipher and hash, which wipe themselves, and the salt.
struct Key<C> {
    cipher: C,
    hash: GHash,
    salt: [u8; SALT_LEN],
}

impl<C: KeyInit + BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + Send + Sync + 'static> Key<C> {
    fn boxed(key: &[u8], salt: [u8; SALT_LEN]) -> Result<Box<dyn EncrKey>, BadKey> {
        let cipher = C::new_from_slice(key).map_err(|_| BadKey)?;
        let mut hash_key = Zeroizing::new([0; BLOCK_LEN]);
        cipher.encrypt_block((&mut *hash_key).into());
        let hash = GHash::new((&*hash_key).into());
        Ok(Box::new(Key { cipher, hash, salt }))
    }
}

impl<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>> Key<C> {
    fn icv(&self, iv: &[u8; IV_LEN], aad: &[u8], data: &[u8]) -> [u8; ICV_LEN] {
        let mut hash = Blocks { hash: self.hash.clone(), block: [0; BLOCK_LEN], filled: 0 };
        [aad, iv, data].into_iter().for_each(|part| hash.update(part));
        let bits = (aad.len() + iv.len() + data.len()) as u64 * 8;
        let hashed = hash.finish(bits);
        let mut icv = [0; BLOCK_LEN];
        icv[..SALT_LEN].copy_from_slice(&self.salt);
        icv[SALT_LEN..SALT_LEN + IV_LEN].copy_from_slice(iv);
        icv[BLOCK_LEN - 1] = 1;
        self.cipher.encrypt_block((&mut icv).into());
        icv.iter_mut().zip(hashed).for_each(|(byte, hashed)| *byte ^= hashed);
        icv
    }
}

/// GHASH over parts that do not end where blocks do.
struct Blocks {
    hash: GHash,
    block: [u8; BLOCK_LEN],
    filled: usize,
}

impl Blocks {
    fn update(&mut self, mut part: &[u8]) {
        if self.filled > 0 {
            let (front, rest) = part.split_at(part.len().min(BLOCK_LEN - self.filled));
            self.block[self.filled..self.filled + front.len()].copy_from_slice(front);
            self.filled += front.len();
            part = rest;
            if self.filled < BLOCK_LEN {
                return;
            }
            self.hash.update(&[self.block.into()]);
        }
        let (whole, rest) = part.split_at(part.len() / BLOCK_LEN * BLOCK_LEN);
        self.hash.update_padded(whole);
        self.block[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
    }

    /// `bits` is the length of all parts.
    fn finish(mut self, bits: u64) -> [u8; BLOCK_LEN] {
        self.hash.update_padded(&self.block[..self.filled]);
        let mut lengths = [0; BLOCK_LEN];
        lengths[..8].copy_from_slice(&bits.to_be_bytes());
        self.hash.update(&[lengths.into()]);
        self.hash.finalize().into()
    }
}

impl<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + Send + Sync> EncrKey for Key<C> {
    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &mut [u8]) {
        let iv = iv.try_into().expect("the caller passes an IV of the algorithm's length");
        icv.copy_from_slice(&self.icv(iv, aad, data));
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &[u8]) -> Result<(), Forged> {
        let genuine = iv.try_into().is_ok_and(|iv| bool::from(self.icv(iv, aad, data).ct_eq(icv)));
        if genuine {
            return Ok(());
        }
        data.fill(0);
        Err(Forged)
    }
}

impl<C> Drop for Key<C> {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}
