//! CBC: AES (RFC 3602), Camellia (RFC 4312, RFC 5529), 3DES (RFC 2451) and DES (RFC 2405). No authentication of its own,
//! always paired with an integrity algorithm.

use alloc::boxed::Box;

use aes::cipher::array::Array;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use camellia::{Camellia128, Camellia192, Camellia256};
use cbc::{Decryptor, Encryptor};
use des::{Des, TdesEde3};
use ravelin_crypto::{BadKey, EncrAlg, EncrKey, Forged, IvKind};
use ravelin_types::transform::EncrId;

/// One cipher in CBC mode.
pub(crate) struct Cbc {
    id: EncrId,
    key_bits: &'static [u16],
    sends_key_length: bool,
    block_len: usize,
    key: fn(&[u8]) -> Option<Box<dyn EncrKey>>,
}

/// RFC 3602.
pub(crate) static AES_CBC: Cbc = Cbc {
    id: EncrId::AES_CBC,
    key_bits: &[128, 256, 192],
    sends_key_length: true,
    block_len: 16,
    key: |key| match key.len() {
        16 => Key::<Aes128>::boxed(key),
        24 => Key::<Aes192>::boxed(key),
        32 => Key::<Aes256>::boxed(key),
        _ => None,
    },
};

/// RFC 5529 §2.
pub(crate) static CAMELLIA_CBC: Cbc = Cbc {
    id: EncrId::CAMELLIA_CBC,
    key_bits: &[128, 256, 192],
    sends_key_length: true,
    block_len: 16,
    key: |key| match key.len() {
        16 => Key::<Camellia128>::boxed(key),
        24 => Key::<Camellia192>::boxed(key),
        32 => Key::<Camellia256>::boxed(key),
        _ => None,
    },
};

/// RFC 2451: three keys of 64 bits, of which each has 8 for parity that nobody looks at.
pub(crate) static DES3_CBC: Cbc =
    Cbc { id: EncrId::DES3, key_bits: &[192], sends_key_length: false, block_len: 8, key: Key::<TdesEde3>::boxed };

/// RFC 2405.
pub(crate) static DES_CBC: Cbc =
    Cbc { id: EncrId::DES, key_bits: &[64], sends_key_length: false, block_len: 8, key: Key::<Des>::boxed };

impl EncrAlg for Cbc {
    fn id(&self) -> EncrId {
        self.id
    }

    fn key_bits(&self) -> &'static [u16] {
        self.key_bits
    }

    fn sends_key_length(&self) -> bool {
        self.sends_key_length
    }

    fn salt_len(&self) -> usize {
        0
    }

    fn iv_len(&self) -> usize {
        self.block_len
    }

    fn iv_kind(&self) -> IvKind {
        IvKind::Unpredictable
    }

    fn block_len(&self) -> usize {
        self.block_len
    }

    fn icv_len(&self) -> usize {
        0
    }

    fn key(&self, bytes: &[u8]) -> Result<Box<dyn EncrKey>, BadKey> {
        (self.key)(bytes).ok_or(BadKey)
    }
}

/// The keyed cipher, which wipes itself.
struct Key<C>(C);

impl<C: KeyInit + BlockCipherEncrypt + BlockCipherDecrypt + Send + Sync + 'static> Key<C> {
    fn boxed(key: &[u8]) -> Option<Box<dyn EncrKey>> {
        Some(Box::new(Key(C::new_from_slice(key).ok()?)))
    }
}

impl<C: BlockCipherEncrypt + BlockCipherDecrypt + Send + Sync> EncrKey for Key<C> {
    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &mut [u8]) {
        assert!(aad.is_empty() && icv.is_empty(), "the cipher authenticates nothing");
        let mode = Encryptor::inner_iv_slice_init(&self.0, iv);
        let mut mode = mode.expect("the caller passes an IV of the algorithm's length");
        let (blocks, rest) = Array::slice_as_chunks_mut(data);
        assert!(rest.is_empty(), "the caller passes whole blocks");
        mode.encrypt_blocks(blocks);
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &[u8]) -> Result<(), Forged> {
        let mode = Decryptor::inner_iv_slice_init(&self.0, iv);
        let (blocks, rest) = Array::slice_as_chunks_mut(data);
        let (Ok(mut mode), true) = (mode, rest.is_empty() && aad.is_empty() && icv.is_empty()) else {
            return Err(Forged);
        };
        mode.decrypt_blocks(blocks);
        Ok(())
    }
}
