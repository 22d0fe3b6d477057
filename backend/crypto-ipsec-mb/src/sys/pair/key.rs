//! The keys of one SA, as the jobs of a manager want them.

use std::ffi::c_void;

use ravelin_crypto::{BadKey, BatchKey};
use zeroize::{Zeroize, Zeroizing};

use super::super::layout::{
    AES_SCHEDULE_LEN, AUTH_AES_CCM, AUTH_AES_CMAC, AUTH_AES_XCBC, AUTH_HMAC_MD5, AUTH_HMAC_SHA_1, AUTH_HMAC_SHA_256,
    AUTH_HMAC_SHA_384, AUTH_HMAC_SHA_512, CIPHER_CBC, CIPHER_CCM, CIPHER_CNTR, CIPHER_DES, CIPHER_DES3, CIPHER_NULL,
    Ccm, Hmac, Job, OfHash, OnAes,
};
use super::super::load::{Library, library};
use super::{MAX_ICV, MAX_LEN, Scratch};

pub(super) const ESP_HEADER_LEN: usize = 8;
const MAX_HASH_BLOCK: usize = 128;
const AES_BLOCK_LEN: usize = 16;
const DES_SCHEDULE_LEN: usize = 16 * 8;
const MAX_STATE: usize = 64;
/// The upper half of an extended sequence number.
pub(super) const HIGH_LEN: usize = 4;
/// The round keys of AES-128; behind them lie the two masks of XCBC and CMAC.
const MASKS_AT: usize = 11 * 16;

/// A cipher that the library has in lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cipher {
    Null,
    AesCbc,
    AesCtr,
    /// With its own integrity, [`Mac::Ccm`].
    AesCcm,
    Des,
    Des3,
}

impl Cipher {
    fn iv_len(self) -> usize {
        match self {
            Cipher::Null => 0,
            Cipher::AesCbc => AES_BLOCK_LEN,
            Cipher::AesCtr | Cipher::AesCcm | Cipher::Des | Cipher::Des3 => 8,
        }
    }

    fn block_len(self) -> usize {
        match self {
            Cipher::Null | Cipher::AesCtr | Cipher::AesCcm => 1,
            Cipher::AesCbc => AES_BLOCK_LEN,
            Cipher::Des | Cipher::Des3 => 8,
        }
    }

    /// The end of the key that is the front of each nonce (RFC 3686 §5.1, RFC 4309 §7.1).
    fn salt_len(self) -> usize {
        match self {
            Cipher::AesCtr => 4,
            Cipher::AesCcm => 3,
            Cipher::Null | Cipher::AesCbc | Cipher::Des | Cipher::Des3 => 0,
        }
    }

    fn number(self) -> u32 {
        match self {
            Cipher::Null => CIPHER_NULL,
            Cipher::AesCbc => CIPHER_CBC,
            Cipher::AesCtr => CIPHER_CNTR,
            Cipher::AesCcm => CIPHER_CCM,
            Cipher::Des => CIPHER_DES,
            Cipher::Des3 => CIPHER_DES3,
        }
    }
}

/// An integrity algorithm that the library has in lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mac {
    Hmac(Hash),
    AesXcbc,
    AesCmac,
    /// That of [`Cipher::AesCcm`].
    Ccm,
}

/// The hash of an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn block_len(self) -> usize {
        match self {
            Hash::Md5 | Hash::Sha1 | Hash::Sha256 => 64,
            Hash::Sha384 | Hash::Sha512 => MAX_HASH_BLOCK,
        }
    }
}

impl Mac {
    fn number(self) -> u32 {
        match self {
            Mac::Hmac(Hash::Md5) => AUTH_HMAC_MD5,
            Mac::Hmac(Hash::Sha1) => AUTH_HMAC_SHA_1,
            Mac::Hmac(Hash::Sha256) => AUTH_HMAC_SHA_256,
            Mac::Hmac(Hash::Sha384) => AUTH_HMAC_SHA_384,
            Mac::Hmac(Hash::Sha512) => AUTH_HMAC_SHA_512,
            Mac::AesXcbc => AUTH_AES_XCBC,
            Mac::AesCmac => AUTH_AES_CMAC,
            Mac::Ccm => AUTH_AES_CCM,
        }
    }
}

/// What protects the packets of an SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suite {
    pub cipher: Cipher,
    pub mac: Mac,
    pub icv_len: usize,
}

/// Schedules, and the hash states behind the padded keys or what stands for them, aligned as the library wants them.
#[repr(C, align(64))]
pub(crate) struct PairKey {
    /// AES: the schedules of both directions. DES and 3DES: that of each key.
    cipher: [u8; 2 * AES_SCHEDULE_LEN],
    /// HMAC: the inner and the outer state. XCBC and CMAC: the round keys and two masks.
    mac: [u8; MASKS_AT + 2 * AES_BLOCK_LEN],
    key_len: u64,
    salt: [u8; 4],
    pub(super) suite: Suite,
}

impl BatchKey for PairKey {
    fn replace(&mut self, encr: &[u8], integ: &[u8]) -> Result<(), BadKey> {
        let library = library().map_err(|_| BadKey)?;
        self.ready(library, encr, integ).ok_or(BadKey)
    }
}

impl PairKey {
    /// `key` is followed by the salt. `None` unless both keys have a length of their algorithm.
    pub(crate) fn new(library: &Library, suite: Suite, key: &[u8], mac_key: &[u8]) -> Option<Box<Self>> {
        let mut this = Box::new(PairKey { cipher: [0; _], mac: [0; _], key_len: 0, salt: [0; 4], suite });
        this.ready(library, key, mac_key)?;
        Some(this)
    }

    /// The same for keys that take the place of others.
    fn ready(&mut self, library: &Library, key: &[u8], mac_key: &[u8]) -> Option<()> {
        let Suite { cipher, mac, icv_len } = self.suite;
        let (key, salt) = key.split_at_checked(key.len().checked_sub(cipher.salt_len())?)?;
        self.wipe();
        self.key_len = key.len() as u64;
        self.salt[..salt.len()].copy_from_slice(salt);
        let fits = icv_len <= MAX_ICV
            && self.ready_cipher(library, key)
            && match mac {
                Mac::Hmac(hash) => self.ready_hmac(library, hash, mac_key),
                Mac::AesXcbc => self.ready_xcbc(library, mac_key),
                Mac::AesCmac => self.ready_cmac(library, mac_key),
                Mac::Ccm => mac_key.is_empty(),
            };
        fits.then_some(())
    }

    fn wipe(&mut self) {
        self.cipher.zeroize();
        self.mac.zeroize();
        self.salt.zeroize();
    }

    fn ready_cipher(&mut self, library: &Library, key: &[u8]) -> bool {
        let (encrypt, decrypt) = self.cipher.split_at_mut(AES_SCHEDULE_LEN);
        match (self.suite.cipher, key.len()) {
            (Cipher::Null, 0) => {}
            // The library has CCM for two sizes.
            (Cipher::AesCbc | Cipher::AesCtr, 16 | 24 | 32) | (Cipher::AesCcm, 16 | 32) => {
                let expand = library.keyexp[key.len() / 8 - 2];
                // SAFETY: the function is the one for this key length; both schedules have room for the longest and are
                // aligned to 16.
                unsafe { expand(key.as_ptr().cast(), encrypt.as_mut_ptr().cast(), decrypt.as_mut_ptr().cast()) };
            }
            (Cipher::Des, 8) | (Cipher::Des3, 24) => {
                let (keys, _) = key.as_chunks::<8>();
                for (key, schedule) in keys.iter().zip(self.cipher.chunks_exact_mut(DES_SCHEDULE_LEN)) {
                    // SAFETY: the key has 8 bytes and the schedule its 128, aligned to 8.
                    unsafe { (library.des_keysched)(schedule.as_mut_ptr().cast(), key.as_ptr().cast()) };
                }
            }
            _ => return false,
        }
        true
    }

    fn ready_hmac(&mut self, library: &Library, hash: Hash, key: &[u8]) -> bool {
        let mut block = Zeroizing::new([0; MAX_HASH_BLOCK]);
        match block[..hash.block_len()].get_mut(..key.len()) {
            Some(front) => front.copy_from_slice(key),
            None => return false,
        }
        let one_block = library.one_block[hash as usize];
        let (inner, outer) = self.mac.split_at_mut(MAX_STATE);
        // RFC 2104 §2. The second time the block still carries the inner pad.
        for (pad, state) in [(0x36, inner), (0x36 ^ 0x5c, outer)] {
            block.iter_mut().for_each(|byte| *byte ^= pad);
            // SAFETY: the block has the length of the longest block, and there is room for the longest state.
            unsafe { one_block(block.as_ptr().cast(), state.as_mut_ptr().cast()) };
        }
        true
    }

    fn ready_xcbc(&mut self, library: &Library, key: &[u8]) -> bool {
        let (rounds, masks) = self.mac.split_at_mut(MASKS_AT);
        let (whole, padded) = masks.split_at_mut(AES_BLOCK_LEN);
        if key.len() != AES_BLOCK_LEN {
            return false;
        }
        // SAFETY: the key has 16 bytes; there is room for eleven round keys and two blocks, aligned to 16.
        unsafe {
            (library.xcbc_keyexp)(
                key.as_ptr().cast(),
                rounds.as_mut_ptr().cast(),
                whole.as_mut_ptr().cast(),
                padded.as_mut_ptr().cast(),
            );
        }
        true
    }

    fn ready_cmac(&mut self, library: &Library, key: &[u8]) -> bool {
        let (rounds, masks) = self.mac.split_at_mut(MASKS_AT);
        let (whole, padded) = masks.split_at_mut(AES_BLOCK_LEN);
        if key.len() != AES_BLOCK_LEN {
            return false;
        }
        // SAFETY: the key has 16 bytes; there is room for eleven round keys and two blocks, aligned to 16.
        unsafe {
            library.expand(key, rounds.as_mut_ptr());
            (library.cmac_subkeys)(rounds.as_ptr().cast(), whole.as_mut_ptr().cast(), padded.as_mut_ptr().cast());
        }
        true
    }

    /// Where the text begins: `ESP header 8 | IV | text | ICV`.
    pub(super) fn text_at(&self) -> usize {
        ESP_HEADER_LEN + self.suite.cipher.iv_len()
    }

    /// Whether an ESP packet of this length can be one of this key: its text is in whole blocks, and the library's lanes
    /// can count it.
    pub(super) fn fits(&self, len: usize) -> bool {
        let text = len.checked_sub(self.text_at() + self.suite.icv_len);
        len <= MAX_LEN && text.is_some_and(|text| text > 0 && text.is_multiple_of(self.suite.cipher.block_len()))
    }

    /// Writes the job of a packet that [`PairKey::fits`]. What the library wants in one piece and no packet has so is put
    /// together in `scratch`.
    pub(super) fn fill(&self, job: &mut Job, esp: &mut [u8], high: Option<u32>, scratch: &mut Scratch) {
        let Suite { cipher, mac, icv_len } = self.suite;
        let (text_at, text_end) = (self.text_at(), esp.len() - icv_len);
        let salt_len = cipher.salt_len();
        if salt_len > 0 {
            scratch.nonce[..salt_len].copy_from_slice(&self.salt[..salt_len]);
            scratch.nonce[salt_len..][..cipher.iv_len()].copy_from_slice(&esp[ESP_HEADER_LEN..text_at]);
        }
        let (hash_start, hash_end) = match mac {
            Mac::Ccm => (text_at, text_end),
            _ => (0, append_high(esp, text_end, high)),
        };
        job.of_hash = self.of_hash(esp, high, scratch);
        let (first, second) = self.cipher.split_at(AES_SCHEDULE_LEN);
        (job.enc_keys, job.dec_keys) = match cipher {
            Cipher::Des3 => {
                scratch.des3 = [0, 1, 2].map(|n| self.cipher[n * DES_SCHEDULE_LEN..].as_ptr());
                (scratch.des3.as_ptr().cast(), scratch.des3.as_ptr().cast())
            }
            Cipher::Des => (first.as_ptr().cast(), first.as_ptr().cast()),
            Cipher::Null | Cipher::AesCbc | Cipher::AesCtr | Cipher::AesCcm => {
                (first.as_ptr().cast(), second.as_ptr().cast())
            }
        };
        job.key_len = self.key_len;
        job.cipher_mode = cipher.number();
        job.cipher_start = text_at as u64;
        job.cipher_len = (text_end - text_at) as u64;
        job.hash_alg = mac.number();
        job.hash_start = hash_start as u64;
        job.hash_len = (hash_end - hash_start) as u64;
        job.tag = scratch.icv.as_mut_ptr();
        job.tag_len = icv_len as u64;
        job.iv_len = (salt_len + cipher.iv_len()) as u64;
        // From here on nothing looks at the packet but through these pointers.
        let start = esp.as_mut_ptr();
        job.src = start;
        job.dst = start.wrapping_add(text_at);
        job.iv = if salt_len > 0 { scratch.nonce.as_ptr() } else { start.wrapping_add(ESP_HEADER_LEN) };
    }

    fn of_hash(&self, esp: &[u8], high: Option<u32>, scratch: &mut Scratch) -> OfHash {
        let unused: *const c_void = std::ptr::null();
        let (rounds, masks) = self.mac.split_at(MASKS_AT);
        match self.suite.mac {
            Mac::Hmac(_) => {
                let (inner, outer) = self.mac.split_at(MAX_STATE);
                OfHash { hmac: Hmac { inner: inner.as_ptr(), outer: outer.as_ptr(), unused } }
            }
            Mac::AesXcbc | Mac::AesCmac => {
                let (whole, padded) = masks.split_at(AES_BLOCK_LEN);
                OfHash { on_aes: OnAes { rounds: rounds.as_ptr(), whole: whole.as_ptr(), padded: padded.as_ptr() } }
            }
            Mac::Ccm => {
                let len = additional(esp, high, &mut scratch.additional);
                OfHash { ccm: Ccm { aad: scratch.additional.as_ptr(), aad_len: len as u64 } }
            }
        }
    }
}

impl Drop for PairKey {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// Puts the upper half of the sequence number behind the text, where the ICV has its place, since the library hashes
/// one piece of memory (RFC 4303 §3.3.2.1: it is hashed there and not sent). Returns where what is hashed ends.
fn append_high(esp: &mut [u8], text_end: usize, high: Option<u32>) -> usize {
    match high {
        Some(high) => {
            esp[text_end..text_end + HIGH_LEN].copy_from_slice(&high.to_be_bytes());
            text_end + HIGH_LEN
        }
        None => text_end,
    }
}

/// RFC 4309 §5: SPI and sequence number, with its upper half between them where it is extended. Returns the length.
fn additional(esp: &[u8], high: Option<u32>, room: &mut [u8; ESP_HEADER_LEN + HIGH_LEN]) -> usize {
    let (spi, low) = esp[..ESP_HEADER_LEN].split_at(4);
    room[..4].copy_from_slice(spi);
    match high {
        Some(high) => {
            room[4..8].copy_from_slice(&high.to_be_bytes());
            room[8..].copy_from_slice(low);
            room.len()
        }
        None => {
            room[4..8].copy_from_slice(low);
            ESP_HEADER_LEN
        }
    }
}
