//! AES-CBC (RFC 3602) with HMAC (RFC 2404, RFC 4868): packets of many SAs side by side.

use ravelin_crypto::{BadKey, BatchCrypto, BatchKey, BatchPacket};
use ravelin_types::transform::{EncrId, IntegId};

use crate::sys::{self, Hash, MAX_PACKETS, PairKey, library};

/// With fewer packets most lanes stay empty. Measured with `benches/providers.rs` against AWS-LC on a processor with
/// SHA instructions: large packets gain from 4 to 8 at once, the smallest from 16.
const LEAST: usize = 8;

/// The pairs that the library has lanes for.
pub(crate) struct Pairs;

pub(crate) static PAIRS: Pairs = Pairs;

/// Hash, length of the key and of the ICV (RFC 2404 §3, RFC 4868 §2.1.1 and §2.6).
fn hmac(id: IntegId) -> Option<(Hash, usize, usize)> {
    match id {
        IntegId::HMAC_SHA1_96 => Some((Hash::Sha1, 20, 12)),
        IntegId::HMAC_SHA2_256_128 => Some((Hash::Sha256, 32, 16)),
        IntegId::HMAC_SHA2_384_192 => Some((Hash::Sha384, 48, 24)),
        IntegId::HMAC_SHA2_512_256 => Some((Hash::Sha512, 64, 32)),
        _ => None,
    }
}

impl BatchCrypto for Pairs {
    fn least(&self) -> usize {
        LEAST
    }

    fn key(
        &self,
        (encr, encr_key): (EncrId, &[u8]),
        (integ, integ_key): (IntegId, &[u8]),
    ) -> Result<Option<Box<dyn BatchKey>>, BadKey> {
        let (EncrId::AES_CBC, Some((hash, key_len, icv_len))) = (encr, hmac(integ)) else { return Ok(None) };
        let Ok(library) = library() else { return Ok(None) };
        if integ_key.len() != key_len {
            return Err(BadKey);
        }
        let key: Box<PairKey> = PairKey::new(library, encr_key, hash, integ_key, icv_len).ok_or(BadKey)?;
        Ok(Some(key))
    }

    fn seal(&self, packets: &mut [BatchPacket<'_>]) {
        packets.chunks_mut(MAX_PACKETS).for_each(sys::seal);
    }

    fn open(&self, packets: &mut [BatchPacket<'_>]) {
        packets.chunks_mut(MAX_PACKETS).for_each(sys::open);
    }
}

impl BatchKey for PairKey {}
