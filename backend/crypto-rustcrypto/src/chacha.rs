//! ChaCha20-Poly1305 (RFC 7634, RFC 8439) over text in one piece, as its crate has it, or many.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use poly1305::Poly1305;
use ravelin_crypto::{BadKey, EncrKey, Forged, Pieces, PiecesKey, PiecesMut};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::blocks::{BLOCK_LEN, Blocks};

const IV_LEN: usize = 8;
/// Of the key stream; the first is the key of Poly1305 (RFC 8439 §2.6).
const STREAM_BLOCK_LEN: u64 = 64;

/// Key and salt.
pub(crate) struct ChaCha {
    key: [u8; 32],
    salt: [u8; 4],
}

impl ChaCha {
    pub fn new(bytes: &[u8]) -> Result<Self, BadKey> {
        let (key, salt) = bytes.split_last_chunk().ok_or(BadKey)?;
        Ok(ChaCha { key: key.try_into().map_err(|_| BadKey)?, salt: *salt })
    }

    fn nonce(&self, iv: &[u8; IV_LEN]) -> Nonce {
        let mut nonce = Nonce::default();
        nonce[..4].copy_from_slice(&self.salt);
        nonce[4..].copy_from_slice(iv);
        nonce
    }

    /// Cipher and hash before the text.
    fn begin(&self, iv: &[u8; IV_LEN], aad: &[u8]) -> (ChaCha20, Mac) {
        let mut stream = ChaCha20::new(&self.key.into(), &self.nonce(iv));
        let mut key = Zeroizing::new([0; 32]);
        stream.apply_keystream(&mut *key);
        stream.seek(STREAM_BLOCK_LEN);
        let mut hash = Blocks::new(Poly1305::new((&*key).into()));
        hash.update(aad);
        let aad_len = hash.pad();
        (stream, Mac { hash, aad_len })
    }
}

/// RFC 8439 §2.8: additional data and ciphertext, both padded, and their lengths.
struct Mac {
    hash: Blocks<Poly1305>,
    aad_len: u64,
}

impl Mac {
    fn over(mut self, text: &dyn Pieces) -> [u8; BLOCK_LEN] {
        text.iter().for_each(|piece| self.hash.update(piece));
        let text_len = self.hash.pad();
        let mut lengths = [0; BLOCK_LEN];
        lengths[..8].copy_from_slice(&self.aad_len.to_le_bytes());
        lengths[8..].copy_from_slice(&text_len.to_le_bytes());
        self.hash.finish(lengths)
    }
}

impl EncrKey for ChaCha {
    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &mut [u8]) {
        let iv = iv.try_into().expect("the caller passes an IV of the algorithm's length");
        let cipher = ChaCha20Poly1305::new(&self.key.into());
        let tag = cipher.encrypt_inout_detached(&self.nonce(iv), aad, data.into());
        icv.copy_from_slice(&tag.expect("only data beyond a packet's length cannot be sealed"));
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &[u8]) -> Result<(), Forged> {
        let cipher = ChaCha20Poly1305::new(&self.key.into());
        let opened = match (iv.try_into(), <&Tag>::try_from(icv)) {
            (Ok(iv), Ok(tag)) => cipher.decrypt_inout_detached(&self.nonce(iv), aad, data.into(), tag).is_ok(),
            _ => false,
        };
        if opened {
            return Ok(());
        }
        data.fill(0);
        Err(Forged)
    }

    fn in_pieces(&self) -> Option<&dyn PiecesKey> {
        Some(self)
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        *self = Self::new(bytes)?;
        Ok(())
    }
}

impl PiecesKey for ChaCha {
    fn seal(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &mut [u8]) {
        let iv = iv.try_into().expect("the caller passes an IV of the algorithm's length");
        let (mut stream, mac) = self.begin(iv, aad);
        (0..text.count()).for_each(|n| stream.apply_keystream(text.piece_mut(n)));
        icv.copy_from_slice(&mac.over(text));
    }

    fn open(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &[u8]) -> Result<(), Forged> {
        if let Ok(iv) = iv.try_into() {
            let (mut stream, mac) = self.begin(iv, aad);
            if bool::from(mac.over(text).ct_eq(icv)) {
                (0..text.count()).for_each(|n| stream.apply_keystream(text.piece_mut(n)));
                return Ok(());
            }
        }
        text.wipe();
        Err(Forged)
    }
}

impl Drop for ChaCha {
    fn drop(&mut self) {
        self.key.zeroize();
        self.salt.zeroize();
    }
}
