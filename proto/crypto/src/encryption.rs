//! Encryption algorithms: what each of them is, whoever computes it, and the trait by which a provider computes it.

use alloc::boxed::Box;

use ravelin_types::transform::EncrId;

use crate::error::{BadKey, Forged};
use crate::pieces::PiecesKey;

/// How the IV of each packet must be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IvKind {
    /// Unique for the life of the key; a counter will do (counter-mode ciphers, AEAD).
    Unique,
    /// Unpredictable to others (CBC, RFC 3602 §3).
    Unpredictable,
}

/// What an encryption algorithm is: the lengths that packets and key material have with it. The same with every provider.
#[derive(Clone, Copy, Debug)]
pub struct EncrShape {
    /// IKEv2 transform ID.
    pub id: EncrId,
    /// Key lengths in bits (salt not counted) the algorithm takes, preferred first; one entry for a fixed length.
    pub key_bits: &'static [u16],
    /// Whether the Key Length attribute must be sent (RFC 7296 §3.3.5: only for variable lengths).
    pub sends_key_length: bool,
    /// Bytes of salt taken from KEYMAT after the key (RFC 4106 §8.1).
    pub salt_len: usize,
    /// Bytes of IV that [`EncrKey`] takes, carried in each packet unless the IV is implicit.
    pub iv_len: usize,
    /// How that IV is made.
    pub iv_kind: IvKind,
    /// Plaintext is padded to a multiple of this; 1 for stream ciphers.
    pub block_len: usize,
    /// Bytes of ICV an AEAD cipher adds; 0 where a separate integrity algorithm is needed.
    pub icv_len: usize,
    /// Whether packets carry no IV because both ends make it: the sequence number in 8 bytes, big-endian, the upper half
    /// zero where the SA counts in 32 bits (RFC 8750 §4). For ESP only (RFC 8750 §7).
    pub implicit_iv: bool,
}

/// Key lengths of AES and Camellia.
const BLOCK_CIPHER_BITS: &[u16] = &[128, 256, 192];

impl EncrShape {
    /// RFC 4106. The nonce is the salt and the IV of 8 octets.
    pub const AES_GCM_16: EncrShape = EncrShape {
        id: EncrId::AES_GCM_16,
        key_bits: BLOCK_CIPHER_BITS,
        sends_key_length: true,
        salt_len: 4,
        iv_len: 8,
        iv_kind: IvKind::Unique,
        block_len: 1,
        icv_len: 16,
        implicit_iv: false,
    };
    /// RFC 4106 §6.
    pub const AES_GCM_12: EncrShape = EncrShape { id: EncrId::AES_GCM_12, icv_len: 12, ..Self::AES_GCM_16 };
    /// RFC 4106 §6.
    pub const AES_GCM_8: EncrShape = EncrShape { id: EncrId::AES_GCM_8, icv_len: 8, ..Self::AES_GCM_16 };
    /// RFC 8750.
    pub const AES_GCM_16_IIV: EncrShape =
        EncrShape { id: EncrId::AES_GCM_16_IIV, implicit_iv: true, ..Self::AES_GCM_16 };

    /// RFC 4309: a salt of 3 octets.
    pub const AES_CCM_16: EncrShape = EncrShape { id: EncrId::AES_CCM_16, salt_len: 3, ..Self::AES_GCM_16 };
    /// RFC 4309.
    pub const AES_CCM_12: EncrShape = EncrShape { id: EncrId::AES_CCM_12, icv_len: 12, ..Self::AES_CCM_16 };
    /// RFC 4309.
    pub const AES_CCM_8: EncrShape = EncrShape { id: EncrId::AES_CCM_8, icv_len: 8, ..Self::AES_CCM_16 };
    /// RFC 8750.
    pub const AES_CCM_8_IIV: EncrShape = EncrShape { id: EncrId::AES_CCM_8_IIV, implicit_iv: true, ..Self::AES_CCM_8 };

    /// RFC 7634. The key length is fixed, so no Key Length attribute is sent (RFC 7296 §3.3.5).
    pub const CHACHA20_POLY1305: EncrShape =
        EncrShape { id: EncrId::CHACHA20_POLY1305, key_bits: &[256], sends_key_length: false, ..Self::AES_GCM_16 };
    /// RFC 8750.
    pub const CHACHA20_POLY1305_IIV: EncrShape =
        EncrShape { id: EncrId::CHACHA20_POLY1305_IIV, implicit_iv: true, ..Self::CHACHA20_POLY1305 };

    /// RFC 4543 §3: the frame of AES-GCM around a packet that is not encrypted.
    pub const NULL_AES_GMAC: EncrShape = EncrShape { id: EncrId::NULL_AES_GMAC, ..Self::AES_GCM_16 };

    /// RFC 3686 (§5.1: the nonce is the end of the key material).
    pub const AES_CTR: EncrShape = EncrShape { id: EncrId::AES_CTR, icv_len: 0, ..Self::AES_GCM_16 };

    /// RFC 3602.
    pub const AES_CBC: EncrShape = EncrShape {
        id: EncrId::AES_CBC,
        key_bits: BLOCK_CIPHER_BITS,
        sends_key_length: true,
        salt_len: 0,
        iv_len: 16,
        iv_kind: IvKind::Unpredictable,
        block_len: 16,
        icv_len: 0,
        implicit_iv: false,
    };
    /// RFC 5529 §2.
    pub const CAMELLIA_CBC: EncrShape = EncrShape { id: EncrId::CAMELLIA_CBC, ..Self::AES_CBC };
    /// RFC 2451: three keys of 64 bits, of which each has 8 for parity that nobody looks at.
    pub const DES3_CBC: EncrShape = EncrShape { id: EncrId::DES3, key_bits: &[192], ..Self::DES_CBC };
    /// RFC 2405.
    pub const DES_CBC: EncrShape = EncrShape {
        id: EncrId::DES,
        key_bits: &[64],
        sends_key_length: false,
        iv_len: 8,
        block_len: 8,
        ..Self::AES_CBC
    };

    /// RFC 2410: always paired with an integrity algorithm, as any cipher that does not authenticate.
    pub const NULL: EncrShape = EncrShape {
        id: EncrId::NULL,
        key_bits: &[0],
        sends_key_length: false,
        salt_len: 0,
        iv_len: 0,
        iv_kind: IvKind::Unique,
        block_len: 1,
        icv_len: 0,
        implicit_iv: false,
    };

    /// The key and the salt behind it.
    ///
    /// # Errors
    /// When there are fewer bytes than a salt has.
    pub fn split<'a>(&self, bytes: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), BadKey> {
        let key_len = bytes.len().checked_sub(self.salt_len).ok_or(BadKey)?;
        Ok(bytes.split_at(key_len))
    }
}

/// An encryption algorithm as a provider has it.
pub trait EncrAlg: Send + Sync {
    /// What it is.
    fn shape(&self) -> &EncrShape;

    /// Readies a key: `bytes` is the key followed by the salt.
    ///
    /// # Errors
    /// When the length fits none of [`EncrShape::key_bits`].
    fn key(&self, bytes: &[u8]) -> Result<Box<dyn EncrKey>, BadKey>;

    /// [`EncrShape::id`].
    fn id(&self) -> EncrId {
        self.shape().id
    }

    /// [`EncrShape::key_bits`].
    fn key_bits(&self) -> &'static [u16] {
        self.shape().key_bits
    }

    /// [`EncrShape::sends_key_length`].
    fn sends_key_length(&self) -> bool {
        self.shape().sends_key_length
    }

    /// [`EncrShape::salt_len`].
    fn salt_len(&self) -> usize {
        self.shape().salt_len
    }

    /// [`EncrShape::iv_len`].
    fn iv_len(&self) -> usize {
        self.shape().iv_len
    }

    /// [`EncrShape::iv_kind`].
    fn iv_kind(&self) -> IvKind {
        self.shape().iv_kind
    }

    /// [`EncrShape::block_len`].
    fn block_len(&self) -> usize {
        self.shape().block_len
    }

    /// [`EncrShape::icv_len`].
    fn icv_len(&self) -> usize {
        self.shape().icv_len
    }

    /// [`EncrShape::implicit_iv`].
    fn implicit_iv(&self) -> bool {
        self.shape().implicit_iv
    }

    /// Whether the cipher authenticates too.
    fn is_aead(&self) -> bool {
        self.icv_len() > 0
    }
}

/// A readied encryption key. No call allocates.
pub trait EncrKey: Send + Sync {
    /// Encrypts `data` in place and writes the ICV. `iv` has the algorithm's IV length; `data` is a multiple of its
    /// block length. For ciphers that are not AEAD, `aad` and `icv` are empty.
    ///
    /// # Panics
    /// When a length is not the algorithm's: that would be plaintext on the wire.
    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &mut [u8]);

    /// Verifies in constant time and decrypts `data` in place. On an error `data` holds no plaintext.
    ///
    /// # Errors
    /// When the ICV does not verify or a length does not fit the algorithm.
    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &[u8]) -> Result<(), Forged>;

    /// This key for text in pieces, where the library can go on from one to the next.
    fn in_pieces(&self) -> Option<&dyn PiecesKey> {
        None
    }

    /// Becomes the key of these bytes, as many as it was made of, in the memory that it has: no allocator is asked. What
    /// it was is wiped.
    ///
    /// # Errors
    /// When the algorithm has no such length. It is not to be used then until it is replaced.
    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey>;

    /// Hint that a packet of `len` bytes is about to be sealed or opened: the processor may fetch what that needs of the
    /// key meanwhile; with 0, its beginning, which makes fetching the rest a little later quick. Changes nothing.
    fn prefetch(&self, len: usize) {
        let _ = len;
    }
}
