//! AES-GCM (RFC 4106, RFC 5282) and ChaCha20-Poly1305 (RFC 7634), and their forms with an implicit IV (RFC 8750).
//!
//! Both make the nonce from a 4-octet salt, the end of the key material, and the 8-octet IV of the packet.

use ravelin_crypto::{BadKey, EncrAlg, EncrKey, EncrShape, Forged};

use crate::sys::{AeadCipher, AeadContext};

const SALT_LEN: usize = 4;
const IV_LEN: usize = 8;
const NONCE_LEN: usize = SALT_LEN + IV_LEN;

/// One AEAD algorithm; the cipher follows from the length of the key.
pub(crate) struct Aead {
    shape: EncrShape,
    cipher: fn(key_len: usize) -> Option<AeadCipher>,
}

pub(crate) static AES_GCM_16: Aead = Aead {
    shape: EncrShape::AES_GCM_16,
    cipher: |key_len| match key_len {
        16 => Some(AeadCipher::Aes128Gcm),
        24 => Some(AeadCipher::Aes192Gcm),
        32 => Some(AeadCipher::Aes256Gcm),
        _ => None,
    },
};

pub(crate) static CHACHA20_POLY1305: Aead = Aead {
    shape: EncrShape::CHACHA20_POLY1305,
    cipher: |key_len| (key_len == 32).then_some(AeadCipher::ChaCha20Poly1305),
};

pub(crate) static AES_GCM_12: Aead = Aead { shape: EncrShape::AES_GCM_12, ..AES_GCM_16 };
pub(crate) static AES_GCM_8: Aead = Aead { shape: EncrShape::AES_GCM_8, ..AES_GCM_16 };
pub(crate) static AES_GCM_16_IIV: Aead = Aead { shape: EncrShape::AES_GCM_16_IIV, ..AES_GCM_16 };
pub(crate) static CHACHA20_POLY1305_IIV: Aead = Aead { shape: EncrShape::CHACHA20_POLY1305_IIV, ..CHACHA20_POLY1305 };

impl EncrAlg for Aead {
    fn shape(&self) -> &EncrShape {
        &self.shape
    }

    fn key(&self, bytes: &[u8]) -> Result<Box<dyn EncrKey>, BadKey> {
        let (key, salt) = bytes.split_last_chunk::<SALT_LEN>().ok_or(BadKey)?;
        let cipher = (self.cipher)(key.len()).ok_or(BadKey)?;
        let key: Box<AeadKey> = AeadContext::new(cipher, key, self.shape.icv_len, *salt).ok_or(BadKey)?;
        Ok(key)
    }
}

/// The keyed cipher with the salt beside it: one piece of memory, since very many of them may be in use.
type AeadKey = AeadContext<[u8; SALT_LEN]>;

#[inline]
fn nonce(salt: &[u8; SALT_LEN], iv: &[u8; IV_LEN]) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    nonce[..SALT_LEN].copy_from_slice(salt);
    nonce[SALT_LEN..].copy_from_slice(iv);
    nonce
}

impl EncrKey for AeadKey {
    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &mut [u8]) {
        let iv = iv.try_into().expect("the caller passes an IV of the algorithm's length");
        self.encrypt(&nonce(&self.beside, iv), aad, data, icv);
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &[u8]) -> Result<(), Forged> {
        let Ok(iv) = iv.try_into() else {
            data.fill(0);
            return Err(Forged);
        };
        if self.decrypt(&nonce(&self.beside, iv), aad, data, icv) { Ok(()) } else { Err(Forged) }
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        let (key, salt) = bytes.split_last_chunk().ok_or(BadKey)?;
        if !AeadContext::replace(self, key) {
            return Err(BadKey);
        }
        self.beside = *salt;
        Ok(())
    }

    fn prefetch(&self, len: usize) {
        self.fetch(len);
    }
}
