//! AES-GCM (RFC 4106) and ChaCha20-Poly1305 (RFC 7634), and their forms with an implicit IV (RFC 8750).
//!
//! Both make the nonce from a 4-octet salt, the end of the key material, and the 8-octet IV of the packet.

use ravelin_crypto::{BadKey, EncrAlg, EncrKey, EncrShape, Forged, PiecesKey, PiecesMut};

use crate::sys::{ChaChaKey, GcmKey, GmacKey, library};

const SALT_LEN: usize = 4;

/// Readies a key; `None` when its length is not the algorithm's.
type Ready = fn(key: &[u8], salt: [u8; SALT_LEN]) -> Option<Box<dyn EncrKey>>;

/// One AEAD algorithm.
pub(crate) struct Aead {
    shape: EncrShape,
    key: Ready,
}

macro_rules! aes_gcm {
    ($name:ident, $icv:literal) => {
        pub(crate) static $name: Aead =
            Aead { shape: EncrShape::$name, key: |key, salt| Some(GcmKey::new(library().ok()?, key, salt, $icv)?) };
    };
}

aes_gcm!(AES_GCM_16, 16);
aes_gcm!(AES_GCM_12, 12);
aes_gcm!(AES_GCM_8, 8);

pub(crate) static CHACHA20_POLY1305: Aead = Aead {
    shape: EncrShape::CHACHA20_POLY1305,
    key: |key, salt| Some(ChaChaKey::new(library().ok()?, key.try_into().ok()?, salt)),
};

pub(crate) static AES_GCM_16_IIV: Aead = Aead { shape: EncrShape::AES_GCM_16_IIV, ..AES_GCM_16 };
pub(crate) static CHACHA20_POLY1305_IIV: Aead = Aead { shape: EncrShape::CHACHA20_POLY1305_IIV, ..CHACHA20_POLY1305 };

pub(crate) static NULL_AES_GMAC: Aead =
    Aead { shape: EncrShape::NULL_AES_GMAC, key: |key, salt| Some(GmacKey::new(library().ok()?, key, salt)?) };

impl EncrAlg for Aead {
    fn shape(&self) -> &EncrShape {
        &self.shape
    }

    fn key(&self, bytes: &[u8]) -> Result<Box<dyn EncrKey>, BadKey> {
        let (key, salt) = bytes.split_last_chunk::<SALT_LEN>().ok_or(BadKey)?;
        (self.key)(key, *salt).ok_or(BadKey)
    }
}

impl EncrKey for GcmKey {
    #[inline]
    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &mut [u8]) {
        let iv = iv.try_into().expect("the caller passes an IV of the algorithm's length");
        self.encrypt(iv, aad, data, icv);
    }

    #[inline]
    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &[u8]) -> Result<(), Forged> {
        let Ok(iv) = iv.try_into() else {
            data.fill(0);
            return Err(Forged);
        };
        if self.decrypt(iv, aad, data, icv) { Ok(()) } else { Err(Forged) }
    }

    fn in_pieces(&self) -> Option<&dyn PiecesKey> {
        Some(self)
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        let (key, salt) = bytes.split_last_chunk().ok_or(BadKey)?;
        let library = library().map_err(|_| BadKey)?;
        GcmKey::replace(self, library, key, *salt).then_some(()).ok_or(BadKey)
    }

    fn prefetch(&self, len: usize) {
        self.fetch(len);
    }
}

impl EncrKey for ChaChaKey {
    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &mut [u8]) {
        let iv = iv.try_into().expect("the caller passes an IV of the algorithm's length");
        let icv = icv.try_into().expect("the caller passes room for an ICV of the algorithm's length");
        self.encrypt(iv, aad, data, icv);
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &[u8]) -> Result<(), Forged> {
        let (Ok(iv), Ok(icv)) = (iv.try_into(), icv.try_into()) else {
            data.fill(0);
            return Err(Forged);
        };
        if self.decrypt(iv, aad, data, icv) { Ok(()) } else { Err(Forged) }
    }

    fn in_pieces(&self) -> Option<&dyn PiecesKey> {
        Some(self)
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        let (key, salt) = bytes.split_last_chunk().ok_or(BadKey)?;
        ChaChaKey::replace(self, *key.as_array().ok_or(BadKey)?, *salt);
        Ok(())
    }

    fn prefetch(&self, _: usize) {
        self.fetch();
    }
}

impl PiecesKey for GcmKey {
    fn seal(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &mut [u8]) {
        let iv = iv.try_into().expect("the caller passes an IV of the algorithm's length");
        self.encrypt_pieces(iv, aad, text, icv);
    }

    fn open(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &[u8]) -> Result<(), Forged> {
        let Ok(iv) = iv.try_into() else {
            text.wipe();
            return Err(Forged);
        };
        if self.decrypt_pieces(iv, aad, text, icv) { Ok(()) } else { Err(Forged) }
    }
}

impl PiecesKey for ChaChaKey {
    fn seal(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &mut [u8]) {
        let iv = iv.try_into().expect("the caller passes an IV of the algorithm's length");
        let icv = icv.try_into().expect("the caller passes room for an ICV of the algorithm's length");
        self.encrypt_pieces(iv, aad, text, icv);
    }

    fn open(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &[u8]) -> Result<(), Forged> {
        let (Ok(iv), Ok(icv)) = (iv.try_into(), icv.try_into()) else {
            text.wipe();
            return Err(Forged);
        };
        if self.decrypt_pieces(iv, aad, text, icv) { Ok(()) } else { Err(Forged) }
    }
}
