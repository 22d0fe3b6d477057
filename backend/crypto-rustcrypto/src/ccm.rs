//! AES-CCM (RFC 4309, RFC 3610) over text in one piece, as its crate has it, or many.
//!
//! ```text
//!  B_0 = flags | salt 3 | IV 8 | length of the text 4         flags: additional data there, length of the ICV, 4 bytes count
//!  CBC-MAC over B_0 | length of additional data 2, itself, padded with zeros | text, padded
//!  A_i = 3 | salt | IV | i: the key stream, of which A_0 is for the ICV
//! ```

use aes::cipher::{InnerIvInit, StreamCipher};
use ccm::Ccm as InOnePiece;
use ccm::aead::array::ArraySize;
use ccm::consts::U11;
use ccm::{AeadInOut, Nonce, Tag, TagSize};
use ctr::{Ctr32BE, CtrCore};
use ravelin_crypto::{BadKey, EncrKey, Forged, Pieces, PiecesKey, PiecesMut};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::blocks::BLOCK_LEN;
use crate::gcm::Aes;

const SALT_LEN: usize = 3;
const IV_LEN: usize = 8;
const NONCE_LEN: usize = SALT_LEN + IV_LEN;
/// RFC 4309 §4: the length takes four bytes, and flags say so with one less.
const FLAG_LENGTH: u8 = 3;
const FLAG_ADDITIONAL: u8 = 1 << 6;

/// The keyed cipher, which wipes itself, and the salt; with an ICV of `ICV` bytes.
pub(crate) struct Ccm<C, const ICV: usize> {
    cipher: C,
    salt: [u8; SALT_LEN],
}

impl<C: Aes, const ICV: usize> Ccm<C, ICV> {
    /// `bytes` is the key followed by the salt.
    pub fn new(bytes: &[u8]) -> Result<Self, BadKey> {
        let (key, salt) = bytes.split_last_chunk().ok_or(BadKey)?;
        Ok(Ccm { cipher: C::new_from_slice(key).map_err(|_| BadKey)?, salt: *salt })
    }

    fn nonce(&self, iv: &[u8; IV_LEN]) -> Nonce<U11> {
        let mut nonce = [0; NONCE_LEN];
        nonce[..SALT_LEN].copy_from_slice(&self.salt);
        nonce[SALT_LEN..].copy_from_slice(iv);
        nonce.into()
    }

    /// The key stream behind the block for the ICV, and that block.
    fn key_stream(&self, iv: &[u8; IV_LEN]) -> (Ctr32BE<&C>, [u8; BLOCK_LEN]) {
        let mut counter = [0; BLOCK_LEN];
        counter[0] = FLAG_LENGTH;
        counter[1..=NONCE_LEN].copy_from_slice(&self.nonce(iv));
        let mut stream = Ctr32BE::from_core(CtrCore::inner_iv_init(&self.cipher, &counter.into()));
        let mut mask = [0; BLOCK_LEN];
        stream.apply_keystream(&mut mask);
        (stream, mask)
    }

    /// The MAC over additional data, of fewer than 65280 bytes, and text.
    fn mac(&self, iv: &[u8; IV_LEN], aad: &[u8], text: &dyn Pieces) -> [u8; BLOCK_LEN] {
        let mut first = [0; BLOCK_LEN];
        first[0] = (((ICV as u8 - 2) / 2) << 3) | FLAG_LENGTH | if aad.is_empty() { 0 } else { FLAG_ADDITIONAL };
        first[1..=NONCE_LEN].copy_from_slice(&self.nonce(iv));
        first[BLOCK_LEN - 4..].copy_from_slice(&(text.total() as u32).to_be_bytes());
        let mut mac = CbcMac { cipher: &self.cipher, state: [0; BLOCK_LEN], filled: 0 };
        mac.update(&first);
        if !aad.is_empty() {
            mac.update(&(aad.len() as u16).to_be_bytes());
            mac.update(aad);
            mac.pad();
        }
        text.iter().for_each(|piece| mac.update(piece));
        mac.pad();
        mac.state
    }
}

struct CbcMac<'c, C> {
    cipher: &'c C,
    state: [u8; BLOCK_LEN],
    filled: usize,
}

impl<C: Aes> CbcMac<'_, C> {
    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.state[self.filled] ^= byte;
            self.filled += 1;
            if self.filled == BLOCK_LEN {
                self.pad();
            }
        }
    }

    /// The rest of the block is zeros.
    fn pad(&mut self) {
        if self.filled > 0 {
            self.cipher.encrypt_block((&mut self.state).into());
            self.filled = 0;
        }
    }
}

fn masked(mut mac: [u8; BLOCK_LEN], mask: [u8; BLOCK_LEN]) -> [u8; BLOCK_LEN] {
    mac.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    mac
}

impl<C: Aes, const ICV: usize> EncrKey for Ccm<C, ICV>
where
    [u8; ICV]: OfLength,
{
    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &mut [u8]) {
        let iv = iv.try_into().expect("the caller passes an IV of the algorithm's length");
        let cipher = InOnePiece::<&C, Length<ICV>, U11>::from(&self.cipher);
        let tag = cipher.encrypt_inout_detached(&self.nonce(iv), aad, data.into());
        icv.copy_from_slice(&tag.expect("only data beyond a packet's length cannot be sealed"));
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &[u8]) -> Result<(), Forged> {
        let cipher = InOnePiece::<&C, Length<ICV>, U11>::from(&self.cipher);
        let opened = match (iv.try_into(), <&Tag<Length<ICV>>>::try_from(icv)) {
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

/// The type by which the crate knows a length of the ICV.
pub(crate) trait OfLength {
    type Length: ArraySize + TagSize;
}

type Length<const ICV: usize> = <[u8; ICV] as OfLength>::Length;

impl OfLength for [u8; 8] {
    type Length = ccm::consts::U8;
}

impl OfLength for [u8; 12] {
    type Length = ccm::consts::U12;
}

impl OfLength for [u8; 16] {
    type Length = ccm::consts::U16;
}

impl<C: Aes, const ICV: usize> PiecesKey for Ccm<C, ICV> {
    fn seal(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &mut [u8]) {
        let iv = iv.try_into().expect("the caller passes an IV of the algorithm's length");
        let mac = self.mac(iv, aad, text);
        let (mut stream, mask) = self.key_stream(iv);
        (0..text.count()).for_each(|n| stream.apply_keystream(text.piece_mut(n)));
        icv.copy_from_slice(&masked(mac, mask)[..ICV]);
    }

    fn open(&self, iv: &[u8], aad: &[u8], text: &mut dyn PiecesMut, icv: &[u8]) -> Result<(), Forged> {
        if let Ok(iv) = iv.try_into() {
            let (mut stream, mask) = self.key_stream(iv);
            (0..text.count()).for_each(|n| stream.apply_keystream(text.piece_mut(n)));
            // The MAC is over what was sent in the clear.
            if bool::from(masked(self.mac(iv, aad, text), mask)[..ICV].ct_eq(icv)) {
                return Ok(());
            }
        }
        text.wipe();
        Err(Forged)
    }
}

impl<C, const ICV: usize> Drop for Ccm<C, ICV> {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}
