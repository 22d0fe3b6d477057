//! AES-GCM (RFC 4106), AES-CCM (RFC 4309) and ChaCha20-Poly1305 (RFC 7634), and their forms with an implicit IV
//! (RFC 8750).
//!
//! All make the nonce from a salt, the end of the key material, and the 8-octet IV of the packet: 4 and 8 octets for
//! GCM and ChaCha20, 3 and 8 for CCM.

use alloc::boxed::Box;

use aes::{Aes128, Aes192, Aes256};
use aes_gcm::AesGcm;
use aes_gcm::aead::array::typenum::{U8, U11, U12, U16};
use aes_gcm::aead::{AeadCore, AeadInOut, KeyInit, Nonce, Tag};
use ccm::Ccm;
use chacha20poly1305::ChaCha20Poly1305;
use ravelin_crypto::{BadKey, EncrAlg, EncrKey, EncrShape, Forged};
use zeroize::Zeroize;

const IV_LEN: usize = 8;

/// Readies a key; `None` when its length is not the algorithm's.
type Ready = fn(key: &[u8], salt: &[u8]) -> Option<Box<dyn EncrKey>>;

/// One AEAD algorithm.
pub(crate) struct Aead {
    shape: EncrShape,
    key: Ready,
}

/// AES in one mode, for each length of the key.
macro_rules! aes {
    ($name:ident, $salt:literal, $mode128:ty, $mode192:ty, $mode256:ty) => {
        pub(crate) static $name: Aead = Aead {
            shape: EncrShape::$name,
            key: |key, salt| match key.len() {
                16 => Key::<$mode128, $salt>::boxed(key, salt),
                24 => Key::<$mode192, $salt>::boxed(key, salt),
                32 => Key::<$mode256, $salt>::boxed(key, salt),
                _ => None,
            },
        };
    };
}

aes!(AES_GCM_16, 4, AesGcm<Aes128, U12>, AesGcm<Aes192, U12>, AesGcm<Aes256, U12>);
aes!(AES_GCM_12, 4, AesGcm<Aes128, U12, U12>, AesGcm<Aes192, U12, U12>, AesGcm<Aes256, U12, U12>);
aes!(AES_GCM_8, 4, AesGcm<Aes128, U12, U8>, AesGcm<Aes192, U12, U8>, AesGcm<Aes256, U12, U8>);
aes!(AES_CCM_16, 3, Ccm<Aes128, U16, U11>, Ccm<Aes192, U16, U11>, Ccm<Aes256, U16, U11>);
aes!(AES_CCM_12, 3, Ccm<Aes128, U12, U11>, Ccm<Aes192, U12, U11>, Ccm<Aes256, U12, U11>);
aes!(AES_CCM_8, 3, Ccm<Aes128, U8, U11>, Ccm<Aes192, U8, U11>, Ccm<Aes256, U8, U11>);

pub(crate) static CHACHA20_POLY1305: Aead =
    Aead { shape: EncrShape::CHACHA20_POLY1305, key: Key::<ChaCha20Poly1305, 4>::boxed };

pub(crate) static AES_GCM_16_IIV: Aead = Aead { shape: EncrShape::AES_GCM_16_IIV, ..AES_GCM_16 };
pub(crate) static AES_CCM_8_IIV: Aead = Aead { shape: EncrShape::AES_CCM_8_IIV, ..AES_CCM_8 };
pub(crate) static CHACHA20_POLY1305_IIV: Aead = Aead { shape: EncrShape::CHACHA20_POLY1305_IIV, ..CHACHA20_POLY1305 };

impl EncrAlg for Aead {
    fn shape(&self) -> &EncrShape {
        &self.shape
    }

    fn key(&self, bytes: &[u8]) -> Result<Box<dyn EncrKey>, BadKey> {
        let (key, salt) = self.shape.split(bytes)?;
        (self.key)(key, salt).ok_or(BadKey)
    }
}

/// The keyed cipher, which wipes itself, and the salt.
struct Key<C, const SALT: usize> {
    cipher: C,
    salt: [u8; SALT],
}

impl<C: AeadInOut + KeyInit + Send + Sync + 'static, const SALT: usize> Key<C, SALT> {
    fn new(key: &[u8], salt: &[u8]) -> Option<Self> {
        Some(Key { cipher: C::new_from_slice(key).ok()?, salt: salt.try_into().ok()? })
    }

    fn boxed(key: &[u8], salt: &[u8]) -> Option<Box<dyn EncrKey>> {
        Some(Box::new(Self::new(key, salt)?))
    }
}

impl<C: AeadCore, const SALT: usize> Key<C, SALT> {
    fn nonce(&self, iv: &[u8; IV_LEN]) -> Nonce<C> {
        let mut nonce = Nonce::<C>::default();
        nonce[..SALT].copy_from_slice(&self.salt);
        nonce[SALT..].copy_from_slice(iv);
        nonce
    }
}

impl<C: AeadInOut + KeyInit + Send + Sync + 'static, const SALT: usize> EncrKey for Key<C, SALT> {
    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &mut [u8]) {
        let iv = iv.try_into().expect("the caller passes an IV of the algorithm's length");
        let tag = self.cipher.encrypt_inout_detached(&self.nonce(iv), aad, data.into());
        icv.copy_from_slice(&tag.expect("only data beyond a packet's length cannot be sealed"));
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &[u8]) -> Result<(), Forged> {
        let opened = match (iv.try_into(), <&Tag<C>>::try_from(icv)) {
            (Ok(iv), Ok(tag)) => self.cipher.decrypt_inout_detached(&self.nonce(iv), aad, data.into(), tag).is_ok(),
            _ => false,
        };
        if opened {
            return Ok(());
        }
        data.fill(0);
        Err(Forged)
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        let (key, salt) = bytes.split_last_chunk::<SALT>().ok_or(BadKey)?;
        *self = Self::new(key, salt).ok_or(BadKey)?;
        Ok(())
    }
}

impl<C, const SALT: usize> Drop for Key<C, SALT> {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}
