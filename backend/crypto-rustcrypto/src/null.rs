//! NULL encryption (RFC 2410): always paired with an integrity algorithm, as any cipher that does not authenticate.

use alloc::boxed::Box;

use ravelin_crypto::{BadKey, EncrAlg, EncrKey, Forged, IvKind};
use ravelin_types::transform::EncrId;

pub(crate) struct Null;

/// RFC 2410.
pub(crate) static NULL: Null = Null;

impl EncrAlg for Null {
    fn id(&self) -> EncrId {
        EncrId::NULL
    }

    fn key_bits(&self) -> &'static [u16] {
        &[0]
    }

    fn sends_key_length(&self) -> bool {
        false
    }

    fn salt_len(&self) -> usize {
        0
    }

    fn iv_len(&self) -> usize {
        0
    }

    fn iv_kind(&self) -> IvKind {
        IvKind::Unique
    }

    fn block_len(&self) -> usize {
        1
    }

    fn icv_len(&self) -> usize {
        0
    }

    fn key(&self, bytes: &[u8]) -> Result<Box<dyn EncrKey>, BadKey> {
        if bytes.is_empty() { Ok(Box::new(Null)) } else { Err(BadKey) }
    }
}

impl EncrKey for Null {
    fn seal(&self, _iv: &[u8], _aad: &[u8], _data: &mut [u8], icv: &mut [u8]) {
        assert!(icv.is_empty(), "the cipher authenticates nothing");
    }

    fn open(&self, iv: &[u8], _aad: &[u8], _data: &mut [u8], icv: &[u8]) -> Result<(), Forged> {
        if iv.is_empty() && icv.is_empty() { Ok(()) } else { Err(Forged) }
    }
}
