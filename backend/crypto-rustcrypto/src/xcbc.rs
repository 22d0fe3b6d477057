//! AES-XCBC-MAC-96 (RFC 3566) and AES-XCBC-PRF-128 (RFC 4434): CBC-MAC over AES whose last block is masked with a key of its
//! own, so that messages of any length are safe.

use alloc::boxed::Box;

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use ravelin_crypto::{BadKey, IntegAlg, IntegKey, Pieces, PrfAlg, PrfKey};
use ravelin_types::transform::{IntegId, PrfId};
use zeroize::{Zeroize, Zeroizing};

const BLOCK_LEN: usize = 16;
const ICV_LEN: usize = 12;

type Block = [u8; BLOCK_LEN];

pub(crate) struct Xcbc;

/// RFC 3566.
pub(crate) static AES_XCBC_96: Xcbc = Xcbc;

impl IntegAlg for Xcbc {
    fn id(&self) -> IntegId {
        IntegId::AES_XCBC_96
    }

    fn key_len(&self) -> usize {
        BLOCK_LEN
    }

    fn icv_len(&self) -> usize {
        ICV_LEN
    }

    fn key(&self, bytes: &[u8]) -> Result<Box<dyn IntegKey>, BadKey> {
        let key = bytes.try_into().map_err(|_| BadKey)?;
        Ok(Box::new(XcbcKey::new(key)))
    }
}

pub(crate) struct XcbcPrf;

/// RFC 4434.
pub(crate) static PRF_AES128_XCBC: XcbcPrf = XcbcPrf;

impl PrfAlg for XcbcPrf {
    fn id(&self) -> PrfId {
        PrfId::AES128_XCBC
    }

    fn output_len(&self) -> usize {
        BLOCK_LEN
    }

    fn key(&self, key: &[u8]) -> Box<dyn PrfKey> {
        // RFC 4434 §2: a shorter key is padded with zeros, a longer one is replaced by its MAC under the zero key.
        let mut whole = Zeroizing::new([0; BLOCK_LEN]);
        match whole.get_mut(..key.len()) {
            Some(start) => start.copy_from_slice(key),
            None => XcbcKey::new(&[0; BLOCK_LEN]).sign(&[key], &mut *whole),
        }
        Box::new(XcbcKey::new(&whole))
    }
}

impl PrfKey for XcbcKey {
    fn prf(&self, parts: &[&[u8]], out: &mut [u8]) {
        self.sign(parts, out);
    }
}

/// RFC 3566 §4: the cipher under K1, and the masks K2 and K3.
struct XcbcKey {
    cipher: Aes128,
    whole: Block,
    padded: Block,
}

impl XcbcKey {
    fn new(key: &Block) -> Self {
        let derive = Aes128::new(key.into());
        let derived = |constant: u8| {
            let mut block = [constant; BLOCK_LEN];
            derive.encrypt_block((&mut block).into());
            block
        };
        let first = Zeroizing::new(derived(1));
        XcbcKey { cipher: Aes128::new((&*first).into()), whole: derived(2), padded: derived(3) }
    }
}

impl IntegKey for XcbcKey {
    fn sign(&self, parts: &[&[u8]], icv: &mut [u8]) {
        self.mac(parts.iter().copied(), icv);
    }

    fn sign_pieces(&self, pieces: &dyn Pieces, icv: &mut [u8]) {
        self.mac(pieces.iter(), icv);
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        *self = XcbcKey::new(bytes.try_into().map_err(|_| BadKey)?);
        Ok(())
    }
}

impl XcbcKey {
    fn mac<'p>(&self, parts: impl Iterator<Item = &'p [u8]>, icv: &mut [u8]) {
        let mut state = [0; BLOCK_LEN];
        // Bytes that the state has taken in since it was encrypted; the last block is not encrypted here.
        let mut filled = 0;
        for byte in parts.flatten() {
            if filled == BLOCK_LEN {
                self.cipher.encrypt_block((&mut state).into());
                filled = 0;
            }
            state[filled] ^= byte;
            filled += 1;
        }
        let mask = if filled == BLOCK_LEN {
            &self.whole
        } else {
            state[filled] ^= 0x80;
            &self.padded
        };
        state.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        self.cipher.encrypt_block((&mut state).into());
        icv.copy_from_slice(&state[..icv.len()]);
    }
}

impl Drop for XcbcKey {
    fn drop(&mut self) {
        self.whole.zeroize();
        self.padded.zeroize();
    }
}
