//! AES-GCM (RFC 4106) and ChaCha20-Poly1305 (RFC 7634), and their forms with an implicit IV (RFC 8750).
//!
//! Both make the nonce from a 4-octet salt, the end of the key material, and the 8-octet IV of the packet.

use ravelin_crypto::{BadKey, EncrAlg, EncrKey, Forged, IvKind};
use ravelin_types::transform::EncrId;

use crate::sys::{ChaChaKey, GcmKey, GmacKey, library};

const SALT_LEN: usize = 4;
const IV_LEN: usize = 8;

/// Readies a key; `None` when its length is not the algorithm's.
type Ready = fn(key: &[u8], salt: [u8; SALT_LEN]) -> Option<Box<dyn EncrKey>>;

/// One AEAD algorithm.
pub(crate) struct Aead {
    id: EncrId,
    key_bits: &'static [u16],
    sends_key_length: bool,
    icv_len: usize,
    implicit_iv: bool,
    key: Ready,
}

impl Aead {
    /// The same cipher with the IV that packets do not carry (RFC 8750 §4).
    const fn with_implicit_iv(&self, id: EncrId) -> Aead {
        Aead { id, implicit_iv: true, ..*self }
    }
}

/// RFC 4106, with the ICV of 16, 12 or 8 octets.
macro_rules! aes_gcm {
    ($name:ident, $icv:literal) => {
        pub(crate) static $name: Aead = Aead {
            id: EncrId::$name,
            key_bits: &[128, 256, 192],
            sends_key_length: true,
            icv_len: $icv,
            implicit_iv: false,
            key: |key, salt| Some(GcmKey::new(library().ok()?, key, salt, $icv)?),
        };
    };
}

aes_gcm!(AES_GCM_16, 16);
aes_gcm!(AES_GCM_12, 12);
aes_gcm!(AES_GCM_8, 8);

/// RFC 7634. The key length is fixed, so no Key Length attribute is sent (RFC 7296 §3.3.5).
pub(crate) static CHACHA20_POLY1305: Aead = Aead {
    id: EncrId::CHACHA20_POLY1305,
    key_bits: &[256],
    sends_key_length: false,
    icv_len: 16,
    implicit_iv: false,
    key: |key, salt| Some(ChaChaKey::new(library().ok()?, key.try_into().ok()?, salt)),
};

pub(crate) static AES_GCM_16_IIV: Aead = AES_GCM_16.with_implicit_iv(EncrId::AES_GCM_16_IIV);
pub(crate) static CHACHA20_POLY1305_IIV: Aead = CHACHA20_POLY1305.with_implicit_iv(EncrId::CHACHA20_POLY1305_IIV);

/// RFC 4543 §3: the frame of AES-GCM around a packet that is not encrypted.
pub(crate) static NULL_AES_GMAC: Aead = Aead {
    id: EncrId::NULL_AES_GMAC,
    key_bits: &[128, 256, 192],
    sends_key_length: true,
    icv_len: 16,
    implicit_iv: false,
    key: |key, salt| Some(GmacKey::new(library().ok()?, key, salt)?),
};

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

    fn prefetch(&self, _: usize) {
        self.fetch();
    }
}
