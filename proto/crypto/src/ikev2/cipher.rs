//! Protection of the Encrypted payload (SK, SKF) in one direction of an IKE SA.
//!
//! ```text
//!  message:  IKE header | payloads in clear | generic header of SK [| fragment fields] ‖ IV | ciphertext | ICV
//!            └──────────────────────────── head ──────────────────────────────────────┘└──────── body ───────┘
//!  AEAD:     the head is associated data (RFC 5282 §5.1), the ICV is the cipher's tag
//!  others:   the ICV covers head, IV and ciphertext (RFC 7296 §3.14)
//! ```
//! The plaintext is the inner payloads, padding and the Pad Length octet. The head already holds the final lengths,
//! which [`IkeCipher::body_len`] tells in advance.

use alloc::boxed::Box;
use alloc::vec::Vec;

use zeroize::Zeroize;

use crate::encryption::{EncrAlg, EncrKey, IvKind};
use crate::error::{BadKey, Forged};
use crate::provider::{IntegAlg, IntegKey, SecureRandom};

/// The largest IV, ICV and block this module has room for on the stack.
const MAX_ICV: usize = 64;
const MAX_IV: usize = 16;

/// Seals what one side of an IKE SA sends, or opens it on the other side.
pub struct IkeCipher {
    encr: Box<dyn EncrKey>,
    integ: Option<Box<dyn IntegKey>>,
    iv_len: usize,
    iv_kind: IvKind,
    block_len: usize,
    icv_len: usize,
    /// Next value of a counting IV. One cipher object seals for the whole life of its key, so no value repeats.
    next_iv: u64,
}

impl IkeCipher {
    /// Readies the keys of one direction: SK_e and SK_a.
    ///
    /// # Errors
    /// When a key is of a length that its algorithm does not take.
    pub fn new(
        encr: &dyn EncrAlg,
        integ: Option<&dyn IntegAlg>,
        encr_key: &[u8],
        integ_key: &[u8],
    ) -> Result<Self, BadKey> {
        let icv_len = integ.map_or(encr.icv_len(), IntegAlg::icv_len);
        // No algorithm of IKEv2 is larger; the bounds keep `seal` and `open` free of allocation for IV and ICV.
        if icv_len > MAX_ICV || encr.iv_len() > MAX_IV || encr.is_aead() == integ.is_some() {
            return Err(BadKey);
        }
        Ok(IkeCipher {
            encr: encr.key(encr_key)?,
            integ: integ.map(|alg| alg.key(integ_key)).transpose()?,
            iv_len: encr.iv_len(),
            iv_kind: encr.iv_kind(),
            block_len: encr.block_len(),
            icv_len,
            next_iv: 0,
        })
    }

    /// Bytes that `inner` bytes of payloads take as IV, ciphertext and ICV.
    pub fn body_len(&self, inner: usize) -> usize {
        self.iv_len + (inner + 1).next_multiple_of(self.block_len) + self.icv_len
    }

    /// The most bytes of inner payloads that fit a body of `body` bytes, for fragmentation (RFC 7383 §2.5.1).
    pub fn capacity(&self, body: usize) -> usize {
        let room = body.saturating_sub(self.iv_len + self.icv_len);
        (room - room % self.block_len).saturating_sub(1)
    }

    /// Appends the protected `inner` payloads to `message`, which ends with the head. All lengths in the head are
    /// already the final ones.
    pub fn seal(&mut self, message: &mut Vec<u8>, inner: &[u8], rng: &mut dyn SecureRandom) {
        let body_at = message.len();
        let mut iv = [0; MAX_IV];
        let iv = &mut iv[..self.iv_len];
        self.fill_iv(iv, rng);
        let text_len = (inner.len() + 1).next_multiple_of(self.block_len);
        let pad = text_len - inner.len() - 1;
        message.reserve(self.iv_len + text_len + self.icv_len);
        message.extend_from_slice(iv);
        message.extend_from_slice(inner);
        message.resize(message.len() + pad, 0);
        // Less than a block, and the largest block is 16 bytes.
        message.push(pad as u8);
        message.resize(message.len() + self.icv_len, 0);

        let (head, body) = message.split_at_mut(body_at);
        let (sent_iv, rest) = body.split_at_mut(self.iv_len);
        let (text, icv) = rest.split_at_mut(text_len);
        match &self.integ {
            None => self.encr.seal(sent_iv, head, text, icv),
            Some(integ) => {
                self.encr.seal(sent_iv, &[], text, &mut []);
                integ.sign(&[head, sent_iv, text], icv);
            }
        }
    }

    /// Verifies a received message and returns its inner payloads, padding stripped. `body_at` is where the IV
    /// begins: behind the generic header of SK, or behind the fragment fields of SKF; the body is the rest.
    ///
    /// # Errors
    /// When the message was not sealed with these keys or is too short to be. Nothing else is told, so that a sender
    /// learns nothing from the way a forgery fails.
    pub fn open(&self, message: &[u8], body_at: usize) -> Result<Vec<u8>, Forged> {
        let (head, body) = message.split_at_checked(body_at).ok_or(Forged)?;
        let (iv, rest) = body.split_at_checked(self.iv_len).ok_or(Forged)?;
        let text_len = rest.len().checked_sub(self.icv_len).ok_or(Forged)?;
        let (text, icv) = rest.split_at_checked(text_len).ok_or(Forged)?;
        if text.is_empty() || text.len() % self.block_len != 0 {
            return Err(Forged);
        }
        if let Some(integ) = &self.integ {
            integ.verify(&[head, iv, text], icv)?;
        }
        let mut inner = text.to_vec();
        let opened = match &self.integ {
            None => self.encr.open(iv, head, &mut inner, icv),
            Some(_) => self.encr.open(iv, &[], &mut inner, &[]),
        };
        let kept = opened.ok().and_then(|()| {
            // RFC 7296 §3.14: any padding content and length is accepted as long as it fits.
            let pad = usize::from(*inner.last()?);
            inner.len().checked_sub(pad + 1)
        });
        match kept {
            Some(len) => {
                inner.truncate(len);
                Ok(inner)
            }
            None => {
                inner.zeroize();
                Err(Forged)
            }
        }
    }

    fn fill_iv(&mut self, iv: &mut [u8], rng: &mut dyn SecureRandom) {
        match self.iv_kind {
            IvKind::Unpredictable => rng.fill(iv),
            IvKind::Unique => {
                // 2^64 messages are out of reach: the 32-bit message ID ends the IKE SA first.
                let counter = self.next_iv.to_be_bytes();
                self.next_iv = self.next_iv.wrapping_add(1);
                let used = iv.len().min(counter.len());
                let (zeros, low) = iv.split_at_mut(iv.len() - used);
                zeros.fill(0);
                low.copy_from_slice(&counter[counter.len() - used..]);
            }
        }
    }
}
