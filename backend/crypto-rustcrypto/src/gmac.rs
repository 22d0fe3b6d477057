//! AES-GMAC (RFC 4543): for ESP in the frame of an AEAD cipher that does not encrypt, for AH as an integrity algorithm
//! whose ICV begins with the IV.
//!
//! ```text
//!  ESP: A = SPI, sequence number | IV | payload, padding, trailer        AH: A = all that is authenticated
//!  GMAC = GHASH(A, padded with zeros | bits of A, 64 | 0, 64)  xor  AES(salt | IV | 1)
//! ```
//! Read RFC 4543 §3.3 with figure 4 before changing this: the IV is among what ESP authenticates, as all implementations
//! have it.

use alloc::boxed::Box;

use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherEncrypt, BlockSizeUser, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use ravelin_crypto::{BadKey, EncrAlg, EncrKey, EncrShape, Forged, IntegAlg, IntegKey};
use ravelin_types::transform::IntegId;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

const SALT_LEN: usize = 4;
const IV_LEN: usize = 8;
const TAG_LEN: usize = 16;
const BLOCK_LEN: usize = 16;

pub(crate) struct Gmac;

/// RFC 4543 §3.
pub(crate) static NULL_AES_GMAC: Gmac = Gmac;

impl EncrAlg for Gmac {
    fn shape(&self) -> &EncrShape {
        &EncrShape::NULL_AES_GMAC
    }

    fn key(&self, bytes: &[u8]) -> Result<Box<dyn EncrKey>, BadKey> {
        let (key, salt) = bytes.split_last_chunk::<SALT_LEN>().ok_or(BadKey)?;
        Ok(match key.len() {
            16 => Box::new(Key::<Aes128>::new(key, *salt)?),
            24 => Box::new(Key::<Aes192>::new(key, *salt)?),
            32 => Box::new(Key::<Aes256>::new(key, *salt)?),
            _ => return Err(BadKey),
        })
    }
}

/// GMAC for AH, with a key of one length.
pub(crate) struct Integ {
    id: IntegId,
    key_len: usize,
}

// RFC 4543 §5.3: each key length has an identifier of its own.
pub(crate) static AES_128_GMAC: Integ = Integ { id: IntegId::AES_128_GMAC, key_len: 16 };
pub(crate) static AES_192_GMAC: Integ = Integ { id: IntegId::AES_192_GMAC, key_len: 24 };
pub(crate) static AES_256_GMAC: Integ = Integ { id: IntegId::AES_256_GMAC, key_len: 32 };

impl IntegAlg for Integ {
    fn id(&self) -> IntegId {
        self.id
    }

    fn key_len(&self) -> usize {
        self.key_len + SALT_LEN
    }

    fn icv_len(&self) -> usize {
        IV_LEN + TAG_LEN
    }

    fn iv_len(&self) -> usize {
        IV_LEN
    }

    fn key(&self, bytes: &[u8]) -> Result<Box<dyn IntegKey>, BadKey> {
        let (key, salt) = bytes.split_last_chunk::<SALT_LEN>().ok_or(BadKey)?;
        if key.len() != self.key_len {
            return Err(BadKey);
        }
        Ok(match self.id {
            IntegId::AES_128_GMAC => Box::new(Key::<Aes128>::new(key, *salt)?),
            IntegId::AES_192_GMAC => Box::new(Key::<Aes192>::new(key, *salt)?),
            _ => Box::new(Key::<Aes256>::new(key, *salt)?),
        })
    }
}

/// The keyed cipher and hash, which wipe themselves, and the salt.
struct Key<C> {
    cipher: C,
    hash: GHash,
    salt: [u8; SALT_LEN],
}

impl<C: KeyInit + BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + Send + Sync + 'static> Key<C> {
    fn new(key: &[u8], salt: [u8; SALT_LEN]) -> Result<Self, BadKey> {
        let cipher = C::new_from_slice(key).map_err(|_| BadKey)?;
        let mut hash_key = Zeroizing::new([0; BLOCK_LEN]);
        cipher.encrypt_block((&mut *hash_key).into());
        let hash = GHash::new((&*hash_key).into());
        Ok(Key { cipher, hash, salt })
    }

    fn become_key_of(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        let (key, salt) = bytes.split_last_chunk().ok_or(BadKey)?;
        *self = Self::new(key, *salt)?;
        Ok(())
    }
}

impl<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>> Key<C> {
    fn tag(&self, iv: &[u8; IV_LEN], parts: &[&[u8]]) -> [u8; TAG_LEN] {
        let mut hash = Blocks { hash: self.hash.clone(), block: [0; BLOCK_LEN], filled: 0 };
        parts.iter().for_each(|part| hash.update(part));
        let hashed = hash.finish(parts.iter().map(|part| part.len() as u64 * 8).sum());
        let mut tag = [0; BLOCK_LEN];
        tag[..SALT_LEN].copy_from_slice(&self.salt);
        tag[SALT_LEN..SALT_LEN + IV_LEN].copy_from_slice(iv);
        tag[BLOCK_LEN - 1] = 1;
        self.cipher.encrypt_block((&mut tag).into());
        tag.iter_mut().zip(hashed).for_each(|(byte, hashed)| *byte ^= hashed);
        tag
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

impl<C: KeyInit + BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + Send + Sync + 'static> EncrKey for Key<C> {
    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &mut [u8]) {
        let iv = iv.try_into().expect("the caller passes an IV of the algorithm's length");
        icv.copy_from_slice(&self.tag(iv, &[aad, iv, data]));
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &[u8]) -> Result<(), Forged> {
        let genuine = iv.try_into().is_ok_and(|array| bool::from(self.tag(array, &[aad, iv, data]).ct_eq(icv)));
        if genuine {
            return Ok(());
        }
        data.fill(0);
        Err(Forged)
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        self.become_key_of(bytes)
    }
}

impl<C: KeyInit + BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + Send + Sync + 'static> IntegKey for Key<C> {
    fn sign(&self, parts: &[&[u8]], icv: &mut [u8]) {
        let (iv, tag) =
            icv.split_first_chunk_mut().expect("the caller passes room for an ICV of the algorithm's length");
        tag.copy_from_slice(&self.tag(iv, parts));
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        self.become_key_of(bytes)
    }

    fn verify(&self, parts: &[&[u8]], icv: &[u8]) -> Result<(), Forged> {
        let (iv, tag) = icv.split_first_chunk().ok_or(Forged)?;
        if bool::from(self.tag(iv, parts).ct_eq(tag)) { Ok(()) } else { Err(Forged) }
    }
}

impl<C> Drop for Key<C> {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}
