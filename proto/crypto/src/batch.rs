//! Packets of many SAs in one call, for ciphers that work on several of them at a time.
//!
//! AES-CBC encryption and HMAC go through a packet one block after the other, so one packet leaves most of a processor
//! idle; several side by side do not. AES-CCM, which is both, gains too; the other AEAD ciphers do not and stay with
//! [`EncrKey`](crate::EncrKey).
//!
//! ```text
//!  SA is added:   batch.key(encr, integ) ──► Some(BatchKey), beside the EncrKey and IntegKey of the SA
//!  packets come:  BatchPacket { key, esp, high } for each ──► batch.seal(all) or batch.open(all)
//!  few packets:   below batch.least(), EncrKey and IntegKey one at a time are faster
//! ```
//! Both ways give the same bytes.

use alloc::boxed::Box;
use core::any::Any;

use ravelin_types::transform::{EncrId, IntegId};

use crate::error::BadKey;

/// Encryption and integrity of one SA, readied for [`BatchCrypto::seal`] and [`BatchCrypto::open`].
pub trait BatchKey: Any + Send + Sync {
    /// Becomes the key of these bytes, given as to [`BatchCrypto::key`], as [`EncrKey::replace`](crate::EncrKey::replace)
    /// does.
    ///
    /// # Errors
    /// When the pair has no such lengths. It is not to be used then until it is replaced.
    fn replace(&mut self, encr: &[u8], integ: &[u8]) -> Result<(), BadKey>;
}

/// One ESP packet of a batch.
pub struct BatchPacket<'a> {
    /// Made by the [`BatchCrypto`] that is given the packet.
    pub key: &'a dyn BatchKey,
    /// `ESP header 8 | IV | text | ICV` with the algorithms' lengths, the text in whole blocks. The IV is there already.
    /// No longer than an IP packet can hold (65,534 bytes).
    pub esp: &'a mut [u8],
    /// With extended sequence numbers the upper half, which the ICV covers (RFC 4303 §3.3.2.1).
    pub high: Option<u32>,
    /// Set by [`BatchCrypto::open`]: the ICV did not verify, or the length fits no packet of the key. `esp` then holds
    /// no plaintext.
    pub forged: bool,
}

impl<'a> BatchPacket<'a> {
    /// A packet to be sealed or opened.
    pub fn new(key: &'a dyn BatchKey, esp: &'a mut [u8], high: Option<u32>) -> Self {
        BatchPacket { key, esp, high, forged: false }
    }
}

/// What a provider has for batches. No call but [`BatchCrypto::key`] allocates.
pub trait BatchCrypto: Send + Sync {
    /// How many packets at least must come together for a call to be worth it.
    fn least(&self) -> usize;

    /// Readies the keys of an SA, the first followed by its salt, the second empty for an AEAD cipher; `None` when this pair of
    /// algorithms has no batches.
    ///
    /// # Errors
    /// When the pair has batches and a key does not have its length.
    fn key(&self, encr: (EncrId, &[u8]), integ: (IntegId, &[u8])) -> Result<Option<Box<dyn BatchKey>>, BadKey>;

    /// Encrypts each packet in place and writes its ICV.
    ///
    /// # Panics
    /// When a key is another provider's or a length is not the algorithm's: that would be plaintext on the wire.
    fn seal(&self, packets: &mut [BatchPacket<'_>]);

    /// Verifies each packet in constant time and decrypts it in place, or sets [`BatchPacket::forged`].
    ///
    /// # Panics
    /// When a key is another provider's.
    fn open(&self, packets: &mut [BatchPacket<'_>]);
}
