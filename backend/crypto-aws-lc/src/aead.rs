//! AES-GCM (RFC 4106, RFC 5282) and ChaCha20-Poly1305 (RFC 7634), and their forms with an implicit IV (RFC 8750).
//!
//! Both make the nonce from a 4-octet salt, the end of the key material, and the 8-octet IV of the packet.

use ravelin_crypto::{BadKey, EncrAlg, EncrKey, Forged, IvKind};
use ravelin_types::transform::EncrId;

use crate::sys::{AeadCipher, AeadContext};

const SALT_LEN: usize = 4;
const IV_LEN: usize = 8;
const NONCE_LEN: usize = SALT_LEN + IV_LEN;

/// One AEAD algorithm; the cipher follows from the length of the key.
pub(crate) struct Aead {
    id: EncrId,
    key_bits: &'static [u16],
    sends_key_length: bool,
    icv_len: usize,
    implicit_iv: bool,
    cipher: fn(key_len: usize) -> Option<AeadCipher>,
}

impl Aead {
    /// The same cipher with an ICV of another length (RFC 4106 §6).
    const fn with_icv(&self, id: EncrId, icv_len: usize) -> Aead {
        Aead { id, icv_len, ..*self }
    }

    /// The same cipher with the IV that packets do not carry (RFC 8750 §4).
    const fn with_implicit_iv(&self, id: EncrId) -> Aead {
        Aead { id, implicit_iv: true, ..*self }
    }
}

/// RFC 4106.
pub(crate) static AES_GCM_16: Aead = Aead {
    id: EncrId::AES_GCM_16,
    key_bits: &[128, 256, 192],
    sends_key_length: true,
    icv_len: 16,
    implicit_iv: false,
    cipher: |key_len| match key_len {
        16 => Some(AeadCipher::Aes128Gcm),
        24 => Some(AeadCipher::Aes192Gcm),
        32 => Some(AeadCipher::Aes256Gcm),
        _ => None,
    },
};

/// RFC 7634. The key length is fixed, so no Key Length attribute is sent (RFC 7296 §3.3.5).
pub(crate) static CHACHA20_POLY1305: Aead = Aead {
    id: EncrId::CHACHA20_POLY1305,
    key_bits: &[256],
    sends_key_length: false,
    icv_len: 16,
    implicit_iv: false,
    cipher: |key_len| (key_len == 32).then_some(AeadCipher::ChaCha20Poly1305),
};

pub(crate) static AES_GCM_12: Aead = AES_GCM_16.with_icv(EncrId::AES_GCM_12, 12);
pub(crate) static AES_GCM_8: Aead = AES_GCM_16.with_icv(EncrId::AES_GCM_8, 8);
pub(crate) static AES_GCM_16_IIV: Aead = AES_GCM_16.with_implicit_iv(EncrId::AES_GCM_16_IIV);
pub(crate) static CHACHA20_POLY1305_IIV: Aead = CHACHA20_POLY1305.with_implicit_iv(EncrId::CHACHA20_POLY1305_IIV);

impl EncrAlg for Aead {
    fn id(&self) -> EncrId {
        self.id
    }

    fn key_bits(&self) -> &'static [u16] {
        self.key_bits
    }

    fn sends_key_length(&self) -> bool {
        self.sends_key_length
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
        self.icv_len
    }

    fn implicit_iv(&self) -> bool {
        self.implicit_iv
    }

    fn key(&self, bytes: &[u8]) -> Result<Box<dyn EncrKey>, BadKey> {
        let (key, salt) = bytes.split_last_chunk::<SALT_LEN>().ok_or(BadKey)?;
        let cipher = (self.cipher)(key.len()).ok_or(BadKey)?;
        let key: Box<AeadKey> = AeadContext::new(cipher, key, self.icv_len, *salt).ok_or(BadKey)?;
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

    fn prefetch(&self, len: usize) {
        self.fetch(len);
    }
}
