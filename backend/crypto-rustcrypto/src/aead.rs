//! AES-GCM (RFC 4106), AES-CCM (RFC 4309) and ChaCha20-Poly1305 (RFC 7634), and their forms with an implicit IV
//! (RFC 8750).
//!
//! All make the nonce from a salt, the end of the key material, and the 8-octet IV of the packet: 4 and 8 octets for
//! GCM and ChaCha20, 3 and 8 for CCM.

use alloc::boxed::Box;

use aes::{Aes128, Aes192, Aes256};
use ravelin_crypto::{BadKey, EncrAlg, EncrKey, EncrShape};

use crate::ccm::Ccm;
use crate::chacha::ChaCha;
use crate::gcm::Gcm;

/// Readies a key of `bits` bits, with the salt behind it.
type Ready = fn(bits: usize, bytes: &[u8]) -> Result<Box<dyn EncrKey>, BadKey>;

/// One AEAD algorithm.
pub(crate) struct Aead {
    shape: EncrShape,
    key: Ready,
}

/// AES in one mode, for each length of the key.
macro_rules! aes {
    ($name:ident, $mode:ident, $icv:literal) => {
        pub(crate) static $name: Aead = Aead {
            shape: EncrShape::$name,
            key: |bits, bytes| {
                Ok(match bits {
                    128 => Box::new($mode::<Aes128, $icv>::new(bytes)?),
                    192 => Box::new($mode::<Aes192, $icv>::new(bytes)?),
                    256 => Box::new($mode::<Aes256, $icv>::new(bytes)?),
                    _ => return Err(BadKey),
                })
            },
        };
    };
}

aes!(AES_GCM_16, Gcm, 16);
aes!(AES_GCM_12, Gcm, 12);
aes!(AES_GCM_8, Gcm, 8);
aes!(AES_CCM_16, Ccm, 16);
aes!(AES_CCM_12, Ccm, 12);
aes!(AES_CCM_8, Ccm, 8);

pub(crate) static CHACHA20_POLY1305: Aead =
    Aead { shape: EncrShape::CHACHA20_POLY1305, key: |_, bytes| Ok(Box::new(ChaCha::new(bytes)?)) };

pub(crate) static AES_GCM_16_IIV: Aead = Aead { shape: EncrShape::AES_GCM_16_IIV, ..AES_GCM_16 };
pub(crate) static AES_CCM_8_IIV: Aead = Aead { shape: EncrShape::AES_CCM_8_IIV, ..AES_CCM_8 };
pub(crate) static CHACHA20_POLY1305_IIV: Aead = Aead { shape: EncrShape::CHACHA20_POLY1305_IIV, ..CHACHA20_POLY1305 };

impl EncrAlg for Aead {
    fn shape(&self) -> &EncrShape {
        &self.shape
    }

    fn key(&self, bytes: &[u8]) -> Result<Box<dyn EncrKey>, BadKey> {
        let (key, _) = self.shape.split(bytes)?;
        (self.key)(key.len() * 8, bytes)
    }
}
