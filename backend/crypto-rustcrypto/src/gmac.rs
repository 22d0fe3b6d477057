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

use aes::{Aes128, Aes192, Aes256};
use ravelin_crypto::{BadKey, EncrAlg, EncrKey, EncrShape, Forged, IntegAlg, IntegKey, Pieces, PiecesKey, PiecesMut};
use ravelin_types::transform::IntegId;
use subtle::ConstantTimeEq;

use crate::gcm::{Aes, IV_LEN, Keyed, SALT_LEN, TAG_LEN};

pub(crate) struct Gmac;

/// RFC 4543 §3.
pub(crate) static NULL_AES_GMAC: Gmac = Gmac;

impl EncrAlg for Gmac {
    fn shape(&self) -> &EncrShape {
        &EncrShape::NULL_AES_GMAC
    }

    fn key(&self, bytes: &[u8]) -> Result<Box<dyn EncrKey>, BadKey> {
        let (key, _) = bytes.split_last_chunk::<SALT_LEN>().ok_or(BadKey)?;
        Ok(match key.len() {
            16 => Box::new(Key::<Aes128>::new(bytes)?),
            24 => Box::new(Key::<Aes192>::new(bytes)?),
            32 => Box::new(Key::<Aes256>::new(bytes)?),
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
        let (key, _) = bytes.split_last_chunk::<SALT_LEN>().ok_or(BadKey)?;
        if key.len() != self.key_len {
            return Err(BadKey);
        }
        Ok(match self.id {
            IntegId::AES_128_GMAC => Box::new(Key::<Aes128>::new(bytes)?),
            IntegId::AES_192_GMAC => Box::new(Key::<Aes192>::new(bytes)?),
            _ => Box::new(Key::<Aes256>::new(bytes)?),
        })
    }
}

struct Key<C>(Keyed<C>);

impl<C: Aes> Key<C> {
    fn new(bytes: &[u8]) -> Result<Self, BadKey> {
        Keyed::new(bytes).map(Key)
    }

    /// All of it is additional data.
    fn tag<'p>(&self, iv: &[u8; IV_LEN], parts: impl Iterator<Item = &'p [u8]>) -> [u8; TAG_LEN] {
        self.0.tag(iv, parts, [].into_iter())
    }
}

impl<C: Aes> EncrKey for Key<C> {
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

impl<C: Aes> PiecesKey for Key<C> {
    fn seal(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &mut [u8]) {
        let array = iv.try_into().expect("the caller passes an IV of the algorithm's length");
        let text: &dyn Pieces = text;
        icv.copy_from_slice(&self.tag(array, [aad, iv].into_iter().chain(text.iter())));
    }

    fn open(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &[u8]) -> Result<(), Forged> {
        if let Ok(array) = iv.try_into() {
            let pieces: &dyn Pieces = text;
            let tag = self.tag(array, [aad, iv].into_iter().chain(pieces.iter()));
            if bool::from(tag.ct_eq(icv)) {
                return Ok(());
            }
        }
        text.wipe();
        Err(Forged)
    }
}

impl<C: Aes> IntegKey for Key<C> {
    fn sign(&self, parts: &[&[u8]], icv: &mut [u8]) {
        let (iv, tag) =
            icv.split_first_chunk_mut().expect("the caller passes room for an ICV of the algorithm's length");
        tag.copy_from_slice(&self.tag(iv, parts.iter().copied()));
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        *self = Self::new(bytes)?;
        Ok(())
    }

    fn verify(&self, parts: &[&[u8]], icv: &[u8]) -> Result<(), Forged> {
        let (iv, tag) = icv.split_first_chunk().ok_or(Forged)?;
        if bool::from(self.tag(iv, parts.iter().copied()).ct_eq(tag)) { Ok(()) } else { Err(Forged) }
    }

    fn sign_pieces(&self, pieces: &dyn Pieces, icv: &mut [u8]) {
        let (iv, tag) =
            icv.split_first_chunk_mut().expect("the caller passes room for an ICV of the algorithm's length");
        tag.copy_from_slice(&self.tag(iv, pieces.iter()));
    }
}
