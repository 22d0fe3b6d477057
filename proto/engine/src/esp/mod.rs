//! ESP (RFC 4303): the cryptographic part of a packet, with the headers around it left to the modes.
//!
//! ```text
//!  ESP header 8 | IV | payload, padding, trailer | ICV
//!  `-- additional data --' `---- encrypted ----'        AEAD (RFC 4106, RFC 7634): the IV is not additional data
//!  `-------------- integrity ----------------'          separate integrity (RFC 4303 §3.3.2), SN high half behind
//! ```

mod iv;

use alloc::boxed::Box;
use core::fmt;

use ravelin_crypto::{BadKey, BatchKey, CryptoProvider, EncrAlg, EncrKey, Forged, IntegKey, IvKind};
use ravelin_types::dataplane::DataPlaneError;
use ravelin_types::options::SaOptions;
use ravelin_types::proposal::EspSuite;
use ravelin_types::sa::SaKeys;
use ravelin_types::transform::{IntegId, SnId};
use ravelin_wire::esp::{ALIGNMENT, HEADER_LEN, TRAILER_LEN};

use crate::chain::{Covered, EspPieces};
use crate::fetch::fetch;
use crate::integ;

pub(crate) use iv::IvSource;

/// The longest IV and ICV that [`HEADROOM`](crate::HEADROOM) and [`TAILROOM`](crate::TAILROOM) allow for.
const MAX_IV_LEN: usize = 16;
const MAX_BLOCK_LEN: usize = 16;
const MAX_ICV_LEN: usize = 32;

/// The keyed ciphers of one SA, with their lengths at hand.
pub(crate) struct Esp {
    cipher: Cipher,
    iv: Iv,
    /// Extended (64-bit) sequence numbers.
    pub extended: bool,
    /// Of what the packet carries.
    iv_len: u8,
    block_len: u8,
    icv_len: u8,
    /// The ICV is shorter than the algorithm's, which batches do not know.
    short_icv: bool,
}

/// Where the IV of a packet comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Iv {
    /// RFC 4106 §3.1, RFC 7634 §2: any value that the key sees once; the sequence number is one.
    Sequence,
    /// RFC 3602 §3, RFC 2451 §3: nobody can predict it.
    Random,
    /// The sequence number, and not in the packet.
    Implicit,
}

enum Cipher {
    Aead(Box<dyn EncrKey>),
    /// More than one key.
    Keys(Box<Keys>),
}

struct Keys {
    encr: Box<dyn EncrKey>,
    /// `None` where the cipher is AEAD.
    integ: Option<Box<dyn IntegKey>>,
    /// Both for many packets at once, where the provider has that.
    batch: Option<Box<dyn BatchKey>>,
}

impl Esp {
    pub fn new(
        suite: &EspSuite,
        keys: &SaKeys,
        options: &SaOptions,
        crypto: &CryptoProvider,
    ) -> Result<Self, DataPlaneError> {
        let refused = |why: fmt::Arguments<'_>| Err(DataPlaneError::algorithm(why));
        let Some(alg) = crypto.encr(suite.encr) else {
            return refused(format_args!("{} is not in the provider {}", suite.encr, crypto.name));
        };
        if keys.encr.len() != usize::from(suite.encr_key_bits) / 8 + alg.salt_len() {
            return refused(format_args!("the {} key does not have {} bits", suite.encr, suite.encr_key_bits));
        }
        let encr_key = (suite.encr, keys.encr.expose());
        let encr = match alg.key(encr_key.1) {
            Ok(key) => key,
            Err(bad) => return refused(format_args!("{}: {bad}", suite.encr)),
        };
        // RFC 4303 §3.3.2: encryption without integrity is not offered.
        let (cipher, icv_len) = match (alg.is_aead(), suite.integ) {
            (true, IntegId::NONE) => {
                let cipher = match crypto.batch.map(|batch| batch.key(encr_key, (IntegId::NONE, &[]))) {
                    Some(Ok(Some(batch))) => Cipher::Keys(Box::new(Keys { encr, integ: None, batch: Some(batch) })),
                    Some(Err(bad)) => return refused(format_args!("{}: {bad}", suite.encr)),
                    Some(Ok(None)) | None => Cipher::Aead(encr),
                };
                (cipher, alg.icv_len())
            }
            (true, _) => return refused(format_args!("{} takes no separate integrity algorithm", suite.encr)),
            (false, IntegId::NONE) => return refused(format_args!("{} needs an integrity algorithm", suite.encr)),
            (false, id) => {
                let integ = integ::Integ::new(id, &keys.integ, options.short_icv, crypto)?;
                if integ.iv_len > 0 {
                    // RFC 4543 §5.3: GMAC as integrity algorithm is AH's.
                    return refused(format_args!("{id} is for AH only"));
                }
                let batch = match crypto.batch {
                    Some(batch) => batch.key(encr_key, (id, keys.integ.expose())),
                    None => Ok(None),
                };
                match batch {
                    Ok(batch) => (Cipher::Keys(Box::new(Keys { encr, integ: Some(integ.key), batch })), integ.icv_len),
                    Err(bad) => return refused(format_args!("{} with {id}: {bad}", suite.encr)),
                }
            }
        };
        if alg.iv_len() > MAX_IV_LEN
            || alg.block_len() > MAX_BLOCK_LEN
            || !alg.block_len().is_power_of_two()
            || icv_len > MAX_ICV_LEN
        {
            return refused(format_args!("{} has lengths beyond the engine's", suite.encr));
        }
        let iv = iv_source(alg);
        Ok(Esp {
            cipher,
            iv,
            extended: suite.sn == SnId::PARTIAL_64,
            iv_len: if iv == Iv::Implicit { 0 } else { alg.iv_len() as u8 },
            block_len: alg.block_len() as u8,
            icv_len: icv_len as u8,
            short_icv: options.short_icv && integ::may_be_short(suite.integ),
        })
    }

    /// Becomes that of another SA with this suite, whose keys it has.
    pub fn renew(&mut self, suite: &EspSuite, options: &SaOptions, crypto: &CryptoProvider) {
        if let Some(alg) = crypto.integ(suite.integ) {
            self.icv_len = integ::icv_len(alg, options.short_icv) as u8;
            self.short_icv = options.short_icv && integ::may_be_short(suite.integ);
        }
    }

    /// Gets other keys of the same lengths, in the memory of those that it has.
    pub fn replace(&mut self, keys: &SaKeys) -> Result<(), BadKey> {
        let (encr_key, integ_key) = (keys.encr.expose(), keys.integ.expose());
        match &mut self.cipher {
            Cipher::Aead(encr) => encr.replace(encr_key),
            Cipher::Keys(keys) => {
                keys.encr.replace(encr_key)?;
                keys.integ.as_mut().map_or(Ok(()), |integ| integ.replace(integ_key))?;
                keys.batch.as_mut().map_or(Ok(()), |batch| batch.replace(encr_key, integ_key))
            }
        }
    }

    /// Has the processor fetch the keys ahead of their use for a packet of `len` bytes, with 0 where they begin.
    #[inline]
    pub fn fetch(&self, len: usize) {
        match &self.cipher {
            Cipher::Aead(encr) => encr.prefetch(len),
            Cipher::Keys(keys) => fetch(&**keys),
        }
    }

    /// Bytes from the start of the ESP header to the ciphertext.
    #[inline]
    pub fn head_len(&self) -> usize {
        HEADER_LEN + usize::from(self.iv_len)
    }

    #[inline]
    pub fn block_len(&self) -> usize {
        usize::from(self.block_len)
    }

    #[inline]
    pub fn icv_len(&self) -> usize {
        usize::from(self.icv_len)
    }

    /// Whether an ESP packet of this length can be one of this SA: header, IV, whole blocks with a trailer, ICV
    /// (RFC 4303 §2.4: the ciphertext is a multiple of the block, and of four).
    #[inline]
    pub fn fits(&self, len: usize) -> bool {
        let multiple = self.block_len().max(ALIGNMENT);
        match len.checked_sub(self.head_len() + self.icv_len()) {
            // The block is a power of two.
            Some(text) => text >= TRAILER_LEN && text & (multiple - 1) == 0,
            None => false,
        }
    }

    /// The keys for many packets at once, where the provider has that.
    #[inline]
    pub fn batch_key(&self) -> Option<&dyn BatchKey> {
        match &self.cipher {
            Cipher::Aead(_) => None,
            Cipher::Keys(keys) => keys.batch.as_deref().filter(|_| !self.short_icv),
        }
    }

    /// Seals an ESP packet that has its header, payload and trailer, and room for IV and ICV.
    #[inline]
    pub fn seal(&self, esp: &mut [u8], sequence: u64, ivs: &mut IvSource) {
        self.write_iv(esp, sequence, ivs);
        self.encrypt(esp, sequence);
    }

    /// The first half of [`Esp::seal`].
    #[inline]
    pub fn write_iv(&self, esp: &mut [u8], sequence: u64, ivs: &mut IvSource) {
        let iv = &mut esp[HEADER_LEN..self.head_len()];
        match (self.iv, iv.split_first_chunk_mut()) {
            (Iv::Sequence, Some((counter, rest))) => {
                *counter = sequence.to_be_bytes();
                if !rest.is_empty() {
                    rest.fill(0);
                }
            }
            (Iv::Sequence | Iv::Implicit, _) => {}
            (Iv::Random, _) => ivs.fill(iv),
        }
    }

    /// The second half of [`Esp::seal`].
    #[inline(always)]
    pub fn encrypt(&self, esp: &mut [u8], sequence: u64) {
        let (head, rest) = esp.split_at_mut(self.head_len());
        let (text, icv) = rest.split_at_mut(rest.len() - self.icv_len());
        let (header, iv) = head.split_at(HEADER_LEN);
        let number = sequence.to_be_bytes();
        let iv = if self.iv == Iv::Implicit { &number } else { iv };
        let (encr, integ) = self.keys();
        match integ {
            None => encr.seal(iv, self.additional(header, sequence, &mut [0; 12]), text, icv),
            Some(integ) => {
                encr.seal(iv, &[], text, &mut []);
                integ.sign(&[head, text, self.high(&number)], icv);
            }
        }
    }

    /// Verifies and decrypts an ESP packet that [`Esp::fits`]. On an error it holds no plaintext.
    #[inline]
    pub fn open(&self, esp: &mut [u8], sequence: u64) -> Result<(), Forged> {
        let (head, rest) = esp.split_at_mut(self.head_len());
        let (text, icv) = rest.split_at_mut(rest.len() - self.icv_len());
        let (header, iv) = head.split_at(HEADER_LEN);
        let number = sequence.to_be_bytes();
        let iv = if self.iv == Iv::Implicit { &number } else { iv };
        let (encr, integ) = self.keys();
        match integ {
            None => encr.open(iv, self.additional(header, sequence, &mut [0; 12]), text, icv),
            Some(integ) => {
                integ.verify(&[head, text, self.high(&number)], icv)?;
                encr.open(iv, &[], text, &[])
            }
        }
    }

    /// Whether the ciphers take text in pieces.
    pub fn takes_pieces(&self) -> bool {
        self.keys().0.in_pieces().is_some()
    }

    /// [`Esp::encrypt`] of a packet in pieces, for keys that take them.
    pub fn encrypt_pieces(&self, esp: EspPieces<'_>, sequence: u64) {
        let EspPieces { head, mut text, icv } = esp;
        let (header, iv) = head.split_at(HEADER_LEN);
        let number = sequence.to_be_bytes();
        let iv = if self.iv == Iv::Implicit { &number } else { iv };
        let (encr, integ) = self.keys();
        let encr = encr.in_pieces().expect("the caller has asked");
        match integ {
            None => encr.seal(iv, self.additional(header, sequence, &mut [0; 12]), &mut text, icv),
            Some(integ) => {
                encr.seal(iv, &[], &mut text, &mut []);
                integ.sign_pieces(&Covered { before: [head], text: &text, behind: self.high(&number) }, icv);
            }
        }
    }

    /// [`Esp::open`] of a packet in pieces, for keys that take them.
    pub fn open_pieces(&self, esp: EspPieces<'_>, sequence: u64) -> Result<(), Forged> {
        let EspPieces { head, mut text, icv } = esp;
        let (header, iv) = head.split_at(HEADER_LEN);
        let number = sequence.to_be_bytes();
        let iv = if self.iv == Iv::Implicit { &number } else { iv };
        let (encr, integ) = self.keys();
        let encr = encr.in_pieces().ok_or(Forged)?;
        match integ {
            None => encr.open(iv, self.additional(header, sequence, &mut [0; 12]), &mut text, icv),
            Some(integ) => {
                integ.verify_pieces(&Covered { before: [head], text: &text, behind: self.high(&number) }, icv)?;
                encr.open(iv, &[], &mut text, &[])
            }
        }
    }

    #[inline]
    fn keys(&self) -> (&dyn EncrKey, Option<&dyn IntegKey>) {
        match &self.cipher {
            Cipher::Aead(encr) => (&**encr, None),
            Cipher::Keys(keys) => (&*keys.encr, keys.integ.as_deref()),
        }
    }

    /// What a separate integrity algorithm covers behind the packet: the upper half of an extended number.
    #[inline]
    fn high<'a>(&self, number: &'a [u8; 8]) -> &'a [u8] {
        if self.extended { &number[..4] } else { &[] }
    }

    /// The additional data of an AEAD cipher: SPI and sequence number, 64 bits of it when extended (RFC 4106 §5).
    #[inline]
    fn additional<'a>(&self, header: &'a [u8], sequence: u64, room: &'a mut [u8; 12]) -> &'a [u8] {
        if !self.extended {
            return header;
        }
        room[..4].copy_from_slice(&header[..4]);
        room[4..].copy_from_slice(&sequence.to_be_bytes());
        room
    }
}

fn iv_source(alg: &dyn EncrAlg) -> Iv {
    match alg.iv_kind() {
        _ if alg.implicit_iv() => Iv::Implicit,
        IvKind::Unique => Iv::Sequence,
        IvKind::Unpredictable => Iv::Random,
    }
}
