//! The published vectors through the jobs of batches: each whose lengths an ESP packet can have becomes one, as if the
//! library were an ordinary provider. The portable provider takes the others.

use std::sync::atomic::{AtomicUsize, Ordering};

use ravelin_crypto::{
    BadKey, BatchCrypto, BatchKey, BatchPacket, CryptoProvider, EncrAlg, EncrKey, EncrShape, Forged, IntegAlg,
    IntegKey, Pieces,
};
use ravelin_crypto_ipsec_mb::try_provider;
use ravelin_testkit::vectors;
use ravelin_types::transform::{EncrId, IntegId};

use crate::Case;

pub const CASES: &[Case] = &[("every_vector_agrees_in_lanes", every_vector_agrees_in_lanes)];

const HEADER_LEN: usize = 8;
/// Of HMAC-SHA1-96, which stands beside the ciphers.
const ICV_LEN: usize = 12;

/// Packets sealed and opened in lanes.
static IN_LANES: AtomicUsize = AtomicUsize::new(0);

fn batch() -> &'static dyn BatchCrypto {
    try_provider().unwrap().batch.unwrap()
}

fn every_vector_agrees_in_lanes() {
    let portable = ravelin_crypto_rustcrypto::provider_with_legacy();
    let run = |encr: &[EncrId], integ: &[IntegId]| {
        let encr =
            encr.iter().map(|id| -> &'static dyn EncrAlg { Box::leak(Box::new(Encr(portable.encr(*id).unwrap()))) });
        let integ = integ
            .iter()
            .map(|id| -> &'static dyn IntegAlg { Box::leak(Box::new(Integ(portable.integ(*id).unwrap()))) });
        let (encr, integ): (Vec<_>, Vec<_>) = (encr.collect(), integ.collect());
        let before = IN_LANES.load(Ordering::Relaxed);
        let counts = vectors::check(&CryptoProvider { encr: encr.leak(), integ: integ.leak(), ..portable });
        (counts, IN_LANES.load(Ordering::Relaxed) - before)
    };
    // RFC 4309 authenticates 8 or 12 octets before the text: 60 vectors of 20 lengths, without the third size of the key
    // and the empty texts.
    let (counts, packets) = run(&[EncrId::AES_CCM_16, EncrId::AES_CCM_12, EncrId::AES_CCM_8], &[]);
    assert_eq!(counts["openssl/aes_ccm.json"], 45);
    assert!(packets >= 4 * 45 * 2 / 3 * 4 / 5, "{packets}");
    for (id, file, vectors) in [
        (EncrId::AES_CBC, "rfc/aes_cbc.json", 8),
        (EncrId::AES_CTR, "rfc/aes_ctr.json", 9),
        (EncrId::DES3, "openssl/des3_cbc.json", 4),
        (EncrId::DES, "openssl/des_cbc.json", 5),
    ] {
        let (counts, packets) = run(&[id], &[]);
        assert_eq!(counts[file], vectors);
        assert_eq!(packets, 4 * vectors, "{file}: each sealed and opened, with two keys");
    }
    for (id, file, vectors) in [
        (IntegId::AES_XCBC_96, "rfc/aes_mac.json", 7),
        (IntegId::AES_CMAC_96, "wycheproof/aes_cmac.json", 11),
        (IntegId::HMAC_MD5_96, "rfc/hmac.json", 77),
        (IntegId::HMAC_SHA1_96, "wycheproof/hmac_sha1.json", 85),
        (IntegId::HMAC_SHA2_256_128, "wycheproof/hmac_sha256.json", 87),
        (IntegId::HMAC_SHA2_384_192, "wycheproof/hmac_sha384.json", 87),
        (IntegId::HMAC_SHA2_512_256, "wycheproof/hmac_sha512.json", 87),
    ] {
        let (counts, packets) = run(&[], &[id]);
        assert_eq!(counts[file], vectors);
        assert!(packets >= 30, "{file}: {packets} signed");
    }
}

/// Whether the packet opened.
fn one(seal: bool, key: &dyn BatchKey, esp: &mut [u8], high: Option<u32>) -> bool {
    IN_LANES.fetch_add(1, Ordering::Relaxed);
    let mut packet = [BatchPacket::new(key, esp, high)];
    if seal {
        batch().seal(&mut packet)
    } else {
        batch().open(&mut packet)
    }
    !packet[0].forged
}

/// A cipher as the portable provider describes it.
struct Encr(&'static dyn EncrAlg);

struct Key {
    alg: &'static dyn EncrAlg,
    portable: Box<dyn EncrKey>,
    /// What signs the packets of a cipher that is not AEAD, before they are opened.
    integ: Box<dyn IntegKey>,
    lanes: Option<Box<dyn BatchKey>>,
}

impl EncrAlg for Encr {
    fn shape(&self) -> &EncrShape {
        self.0.shape()
    }

    fn key(&self, bytes: &[u8]) -> Result<Box<dyn EncrKey>, BadKey> {
        let (integ, integ_key): (_, &[u8]) =
            if self.is_aead() { (IntegId::NONE, &[]) } else { (IntegId::HMAC_SHA1_96, &[0; 20]) };
        let lanes = batch().key((self.id(), bytes), (integ, integ_key))?;
        let portable = ravelin_crypto_rustcrypto::provider();
        let integ = portable.integ(IntegId::HMAC_SHA1_96).unwrap().key(&[0; 20]).unwrap();
        Ok(Box::new(Key { alg: self.0, portable: self.0.key(bytes)?, integ, lanes }))
    }
}

impl Key {
    /// The key in lanes and the packet, when an ESP packet has these lengths.
    fn packet(&self, iv: &[u8], aad: &[u8], data: &[u8]) -> Option<(&dyn BatchKey, Vec<u8>, Option<u32>)> {
        let (header, high): (Vec<u8>, _) = match *aad {
            [] if !self.alg.is_aead() => (vec![0; HEADER_LEN], None),
            [_, _, _, _, _, _, _, _] => (aad.to_vec(), None),
            [a, b, c, d, e, f, g, h, ref low @ ..] if low.len() == 4 => {
                ([&[a, b, c, d], low].concat(), Some(u32::from_be_bytes([e, f, g, h])))
            }
            _ => return None,
        };
        let fits = !data.is_empty() && data.len().is_multiple_of(self.alg.block_len()) && iv.len() == self.alg.iv_len();
        let lanes = self.lanes.as_deref().filter(|_| fits)?;
        Some((lanes, [&header, iv, data].concat(), high))
    }
}

impl EncrKey for Key {
    fn seal(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &mut [u8]) {
        let Some((lanes, mut esp, high)) = self.packet(iv, aad, data) else {
            return self.portable.seal(iv, aad, data, icv);
        };
        let text_end = esp.len();
        esp.resize(text_end + if self.alg.is_aead() { icv.len() } else { ICV_LEN }, 0);
        assert!(one(true, lanes, &mut esp, high));
        data.copy_from_slice(&esp[text_end - data.len()..text_end]);
        icv.copy_from_slice(&esp[text_end..][..icv.len()]);
    }

    fn open(&self, iv: &[u8], aad: &[u8], data: &mut [u8], icv: &[u8]) -> Result<(), Forged> {
        let Some((lanes, mut esp, high)) = self.packet(iv, aad, data) else {
            return self.portable.open(iv, aad, data, icv);
        };
        let text_end = esp.len();
        if self.alg.is_aead() {
            esp.extend(icv);
        } else {
            let mut icv = [0; ICV_LEN];
            self.integ.sign(&[&esp], &mut icv);
            esp.extend(icv);
        }
        let opened = one(false, lanes, &mut esp, high);
        let text_at = text_end - data.len();
        // A packet cut short holds zeros from there on, and has fewer bytes.
        data.copy_from_slice(&esp[text_at..text_end]);
        if opened { Ok(()) } else { Err(Forged) }
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        self.portable.replace(bytes)?;
        let integ: &[u8] = if self.alg.is_aead() { &[] } else { &[0; 20] };
        self.lanes.as_mut().map_or(Ok(()), |lanes| lanes.replace(bytes, integ))
    }
}

/// An integrity algorithm as the portable provider describes it, beside NULL encryption.
struct Integ(&'static dyn IntegAlg);

struct Mac {
    portable: Box<dyn IntegKey>,
    lanes: Box<dyn BatchKey>,
}

impl IntegAlg for Integ {
    fn id(&self) -> IntegId {
        self.0.id()
    }

    fn key_len(&self) -> usize {
        self.0.key_len()
    }

    fn icv_len(&self) -> usize {
        self.0.icv_len()
    }

    fn key(&self, bytes: &[u8]) -> Result<Box<dyn IntegKey>, BadKey> {
        let lanes = batch().key((EncrId::NULL, &[]), (self.id(), bytes))?.unwrap();
        Ok(Box::new(Mac { portable: self.0.key(bytes)?, lanes }))
    }
}

impl IntegKey for Mac {
    fn sign(&self, parts: &[&[u8]], icv: &mut [u8]) {
        let mut esp = parts.concat();
        let text_end = esp.len();
        if text_end <= HEADER_LEN {
            return self.portable.sign(parts, icv);
        }
        esp.resize(text_end + icv.len(), 0);
        assert!(one(true, &*self.lanes, &mut esp, None));
        assert_eq!(esp[..text_end], parts.concat());
        icv.copy_from_slice(&esp[text_end..]);
    }

    fn sign_pieces(&self, pieces: &dyn Pieces, icv: &mut [u8]) {
        self.sign(&pieces.iter().collect::<Vec<_>>(), icv);
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        self.portable.replace(bytes)?;
        self.lanes.replace(&[], bytes)
    }
}
