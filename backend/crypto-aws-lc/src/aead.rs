//! AES-GCM (RFC 4106, RFC 5282) and ChaCha20-Poly1305 (RFC 7634), and their forms with an implicit IV (RFC 8750).
//!
//! Both make the nonce from a 4-octet salt, the end of the key material, and the 8-octet IV of the packet.

use ravelin_crypto::{BadKey, EncrAlg, EncrKey, EncrShape, Forged, PiecesKey, PiecesMut};

use crate::sys::{AeadCipher, AeadContext, stream, wipe};

const SALT_LEN: usize = 4;
const MAX_KEY_LEN: usize = 32;
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
        let beside = Beside::new(cipher, key, *salt).ok_or(BadKey)?;
        let key: Box<AeadKey> = AeadContext::new(cipher, key, self.shape.icv_len, beside).ok_or(BadKey)?;
        Ok(key)
    }
}

/// The keyed cipher with the rest beside it: one piece of memory, since very many of them may be in use.
type AeadKey = AeadContext<Beside>;

/// The salt; and, for text in pieces, the key as it came.
struct Beside {
    salt: [u8; SALT_LEN],
    cipher: AeadCipher,
    key_len: u8,
    key: [u8; MAX_KEY_LEN],
}

impl Beside {
    fn new(cipher: AeadCipher, key: &[u8], salt: [u8; SALT_LEN]) -> Option<Self> {
        let mut this = Beside { salt, cipher, key_len: key.len() as u8, key: [0; MAX_KEY_LEN] };
        this.key.get_mut(..key.len())?.copy_from_slice(key);
        Some(this)
    }

    fn key(&self) -> (AeadCipher, &[u8]) {
        (self.cipher, &self.key[..usize::from(self.key_len)])
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        wipe(&mut self.key);
        wipe(&mut self.salt);
    }
}

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
        self.encrypt(&nonce(&self.beside.salt, iv), aad, data, icv);
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &[u8]) -> Result<(), Forged> {
        let Ok(iv) = iv.try_into() else {
            data.fill(0);
            return Err(Forged);
        };
        if self.decrypt(&nonce(&self.beside.salt, iv), aad, data, icv) { Ok(()) } else { Err(Forged) }
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        let (key, salt) = bytes.split_last_chunk().ok_or(BadKey)?;
        if !AeadContext::replace(self, key) {
            return Err(BadKey);
        }
        self.beside = Beside::new(self.beside.cipher, key, *salt).ok_or(BadKey)?;
        Ok(())
    }

    fn in_pieces(&self) -> Option<&dyn PiecesKey> {
        Some(self)
    }

    fn prefetch(&self, len: usize) {
        self.fetch(len);
    }
}

impl PiecesKey for AeadKey {
    fn seal(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &mut [u8]) {
        assert_eq!(icv.len(), self.tag_len, "the caller passes room for an ICV of the algorithm's length");
        let iv = iv.try_into().expect("the caller passes an IV of the algorithm's length");
        stream::encrypt(self.beside.key(), &nonce(&self.beside.salt, iv), aad, text, icv);
    }

    fn open(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &[u8]) -> Result<(), Forged> {
        if let Ok(iv) = iv.try_into()
            && icv.len() == self.tag_len
        {
            let genuine = stream::decrypt(self.beside.key(), &nonce(&self.beside.salt, iv), aad, text, icv);
            return if genuine { Ok(()) } else { Err(Forged) };
        }
        text.wipe();
        Err(Forged)
    }
}

// The key as it came fits into what the alignment leaves free.
const _: () = assert!(size_of::<AeadKey>() == size_of::<AeadContext<[u8; SALT_LEN]>>());
