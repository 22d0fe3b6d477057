//! ML-KEM (FIPS 203) as a key exchange method (draft-ietf-ipsecme-ikev2-mlkem): the initiator's value is an encapsulation
//! key, the responder's a ciphertext.

use std::sync::Arc;

use ravelin_crypto::{BadPublicValue, KeAlg, KePrivate, SecureRandom};
use ravelin_types::Secret;
use ravelin_types::transform::KeMethod;
use zeroize::Zeroizing;

use crate::sys::{Kem, KemKey};

pub(crate) struct MlKem {
    id: KeMethod,
    kem: Kem,
    key_len: usize,
    ciphertext_len: usize,
}

// FIPS 203 §8, table 3.
pub(crate) static ML_KEM_512: MlKem = ml_kem(KeMethod::ML_KEM_512, Kem::MlKem512, 800, 768);
pub(crate) static ML_KEM_768: MlKem = ml_kem(KeMethod::ML_KEM_768, Kem::MlKem768, 1184, 1088);
pub(crate) static ML_KEM_1024: MlKem = ml_kem(KeMethod::ML_KEM_1024, Kem::MlKem1024, 1568, 1568);

const fn ml_kem(id: KeMethod, kem: Kem, key_len: usize, ciphertext_len: usize) -> MlKem {
    MlKem { id, kem, key_len, ciphertext_len }
}

impl KeAlg for MlKem {
    fn id(&self) -> KeMethod {
        self.id
    }

    fn public_len(&self) -> (usize, usize) {
        (self.key_len, self.ciphertext_len)
    }

    fn generate(&self, rng: &mut dyn SecureRandom) -> Arc<dyn KePrivate> {
        let mut seed = Zeroizing::new([0; 64]);
        rng.fill(&mut *seed);
        let key = KemKey::generate(self.kem, &seed);
        let public = key.public(self.key_len);
        Arc::new(Private { key, public, ciphertext_len: self.ciphertext_len })
    }

    fn respond(&self, peer: &[u8], rng: &mut dyn SecureRandom) -> Result<(Vec<u8>, Secret), BadPublicValue> {
        // FIPS 203 §7.2: the type check; the modulus check is the library's.
        if peer.len() != self.key_len {
            return Err(BadPublicValue);
        }
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill(&mut *seed);
        let (ciphertext, shared) = self.kem.encapsulate(peer, &seed, self.ciphertext_len).ok_or(BadPublicValue)?;
        Ok((ciphertext, Secret::new(shared)))
    }
}

struct Private {
    key: KemKey,
    public: Vec<u8>,
    ciphertext_len: usize,
}

impl KePrivate for Private {
    fn public(&self) -> &[u8] {
        &self.public
    }

    fn agree(&self, peer: &[u8]) -> Result<Secret, BadPublicValue> {
        // FIPS 203 §7.3: a ciphertext has no other form than its length.
        if peer.len() != self.ciphertext_len {
            return Err(BadPublicValue);
        }
        self.key.decapsulate(peer).map(Secret::new).ok_or(BadPublicValue)
    }
}
