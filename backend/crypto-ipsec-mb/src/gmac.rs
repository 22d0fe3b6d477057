//! AES-GMAC (RFC 4543): for AH an integrity algorithm whose ICV begins with the IV; for ESP see `aead.rs`.

use ravelin_crypto::{BadKey, EncrKey, Forged, IntegAlg, IntegKey, Pieces, PiecesKey, PiecesMut};
use ravelin_types::transform::IntegId;

use crate::sys::{GmacKey, TAG_LEN, library};

const SALT_LEN: usize = 4;
const IV_LEN: usize = 8;

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
        let library = library().map_err(|_| BadKey)?;
        let key: Box<GmacKey> = GmacKey::new(library, key, *salt).ok_or(BadKey)?;
        Ok(key)
    }
}

impl IntegKey for GmacKey {
    fn sign(&self, parts: &[&[u8]], icv: &mut [u8]) {
        let (iv, tag) =
            icv.split_first_chunk_mut().expect("the caller passes room for an ICV of the algorithm's length");
        tag.copy_from_slice(&self.tag(iv, parts.iter().copied()));
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        replace(self, bytes)
    }

    fn sign_pieces(&self, pieces: &dyn Pieces, icv: &mut [u8]) {
        let (iv, tag) =
            icv.split_first_chunk_mut().expect("the caller passes room for an ICV of the algorithm's length");
        tag.copy_from_slice(&self.tag(iv, pieces.iter()));
    }

    fn verify(&self, parts: &[&[u8]], icv: &[u8]) -> Result<(), Forged> {
        let (iv, tag) = icv.split_first_chunk().ok_or(Forged)?;
        if self.is_tag(iv, parts.iter().copied(), tag) { Ok(()) } else { Err(Forged) }
    }
}

/// The text in pieces, where the key is for ESP.
impl PiecesKey for GmacKey {
    fn seal(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &mut [u8]) {
        let array = iv.try_into().expect("the caller passes an IV of the algorithm's length");
        let text: &dyn Pieces = text;
        icv.copy_from_slice(&self.tag(array, [aad, iv].into_iter().chain(text.iter())));
    }

    fn open(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &[u8]) -> Result<(), Forged> {
        let pieces: &dyn Pieces = text;
        let parts = [aad, iv].into_iter().chain(pieces.iter());
        if iv.try_into().is_ok_and(|array| self.is_tag(array, parts, icv)) {
            return Ok(());
        }
        text.wipe();
        Err(Forged)
    }
}

/// RFC 4543 §3.3 with figure 4: the IV is among what ESP authenticates, as all implementations have it.
impl EncrKey for GmacKey {
    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &mut [u8]) {
        let array = iv.try_into().expect("the caller passes an IV of the algorithm's length");
        icv.copy_from_slice(&self.tag(array, [aad, iv, data].into_iter()));
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &[u8]) -> Result<(), Forged> {
        if iv.try_into().is_ok_and(|array| self.is_tag(array, [aad, iv, data].into_iter(), icv)) {
            return Ok(());
        }
        data.fill(0);
        Err(Forged)
    }

    fn in_pieces(&self) -> Option<&dyn PiecesKey> {
        Some(self)
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        replace(self, bytes)
    }
}

fn replace(this: &mut GmacKey, bytes: &[u8]) -> Result<(), BadKey> {
    let (key, salt) = bytes.split_last_chunk().ok_or(BadKey)?;
    let library = library().map_err(|_| BadKey)?;
    GmacKey::replace(this, library, key, *salt).then_some(()).ok_or(BadKey)
}
