//! Packets of many SAs side by side: AES in CBC, counter and CCM mode, 3DES, DES and NULL, with HMAC, AES-XCBC and
//! AES-CMAC.

use ravelin_crypto::{BadKey, BatchCrypto, BatchKey, BatchPacket};
use ravelin_types::transform::{EncrId, IntegId};

use crate::sys::{self, Cipher, Hash, MAX_PACKETS, Mac, PairKey, Suite, library};

/// With fewer packets most lanes stay empty. Measured with `benches/providers.rs` against AWS-LC on a processor with
/// SHA instructions: large packets gain from 4 to 8 at once, the smallest from 16.
const LEAST: usize = 8;

const CCM_192_LEN: usize = 24 + 3;

/// The pairs that the library has lanes for.
pub(crate) struct Pairs;

pub(crate) static PAIRS: Pairs = Pairs;

/// The suite of a pair, and the length of the integrity key (RFC 2403, RFC 2404, RFC 3566, RFC 4494, RFC 4868 §2.6).
/// AES-CCM has none.
fn suite(encr: EncrId, integ: IntegId) -> Option<(Suite, usize)> {
    let ccm = |icv_len| Some((Suite { cipher: Cipher::AesCcm, mac: Mac::Ccm, icv_len }, 0));
    let cipher = match (encr, integ) {
        (EncrId::AES_CCM_16, IntegId::NONE) => return ccm(16),
        (EncrId::AES_CCM_12, IntegId::NONE) => return ccm(12),
        (EncrId::AES_CCM_8, IntegId::NONE) => return ccm(8),
        (EncrId::AES_CBC, _) => Cipher::AesCbc,
        (EncrId::AES_CTR, _) => Cipher::AesCtr,
        (EncrId::DES3, _) => Cipher::Des3,
        (EncrId::DES, _) => Cipher::Des,
        (EncrId::NULL, _) => Cipher::Null,
        _ => return None,
    };
    let (mac, key_len, icv_len) = match integ {
        IntegId::HMAC_MD5_96 => (Mac::Hmac(Hash::Md5), 16, 12),
        IntegId::HMAC_SHA1_96 => (Mac::Hmac(Hash::Sha1), 20, 12),
        IntegId::HMAC_SHA2_256_128 => (Mac::Hmac(Hash::Sha256), 32, 16),
        IntegId::HMAC_SHA2_384_192 => (Mac::Hmac(Hash::Sha384), 48, 24),
        IntegId::HMAC_SHA2_512_256 => (Mac::Hmac(Hash::Sha512), 64, 32),
        IntegId::AES_XCBC_96 => (Mac::AesXcbc, 16, 12),
        IntegId::AES_CMAC_96 => (Mac::AesCmac, 16, 12),
        _ => return None,
    };
    Some((Suite { cipher, mac, icv_len }, key_len))
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
        let (Some((suite, integ_len)), Ok(library)) = (suite(encr, integ), library()) else { return Ok(None) };
        // The library has CCM for keys of 128 and 256 bits; those of 192 have 24 bytes and the salt.
        if suite.cipher == Cipher::AesCcm && encr_key.len() == CCM_192_LEN {
            return Ok(None);
        }
        if integ_key.len() != integ_len {
            return Err(BadKey);
        }
        let key: Box<PairKey> = PairKey::new(library, suite, encr_key, integ_key).ok_or(BadKey)?;
        Ok(Some(key))
    }

    fn seal(&self, packets: &mut [BatchPacket<'_>]) {
        packets.chunks_mut(MAX_PACKETS).for_each(sys::seal);
    }

    fn open(&self, packets: &mut [BatchPacket<'_>]) {
        packets.chunks_mut(MAX_PACKETS).for_each(sys::open);
    }
}
