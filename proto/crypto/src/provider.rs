//! The traits of a crypto provider: one list per transform type, each entry both description and constructor.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use ravelin_types::Secret;
use ravelin_types::transform::{EncrId, IntegId, KeMethod, PrfId};
use subtle::ConstantTimeEq;

use crate::batch::BatchCrypto;
use crate::encryption::EncrAlg;
use crate::error::{BadKey, BadPublicValue, Forged};
use crate::pieces::Pieces;
use crate::signature::{Both, Signatures};

/// The algorithms of one provider, in its order of preference.
#[derive(Clone, Copy)]
pub struct CryptoProvider {
    /// Name for listings.
    pub name: &'static str,
    /// Encryption, AEAD ciphers included.
    pub encr: &'static [&'static dyn EncrAlg],
    /// Integrity.
    pub integ: &'static [&'static dyn IntegAlg],
    /// Pseudorandom functions.
    pub prf: &'static [&'static dyn PrfAlg],
    /// Key exchange methods.
    pub ke: &'static [&'static dyn KeAlg],
    /// SHA-1 over the concatenation of the parts, for NAT detection alone, which names it (RFC 7296 §2.23) and asks
    /// nothing of it that its weakness would break.
    pub sha1: fn(&[&[u8]]) -> [u8; 20],
    /// Signatures with public keys; without them nobody proves who he is by a certificate.
    pub signatures: Option<&'static dyn Signatures>,
    /// Pairs of encryption and integrity that are faster when many packets are given at once. Without it each packet
    /// is sealed and opened by itself.
    pub batch: Option<&'static dyn BatchCrypto>,
}

impl CryptoProvider {
    /// The encryption algorithm with this identifier.
    pub fn encr(&self, id: EncrId) -> Option<&'static dyn EncrAlg> {
        self.encr.iter().copied().find(|alg| alg.id() == id)
    }

    /// The integrity algorithm with this identifier.
    pub fn integ(&self, id: IntegId) -> Option<&'static dyn IntegAlg> {
        self.integ.iter().copied().find(|alg| alg.id() == id)
    }

    /// The pseudorandom function with this identifier.
    pub fn prf(&self, id: PrfId) -> Option<&'static dyn PrfAlg> {
        self.prf.iter().copied().find(|alg| alg.id() == id)
    }

    /// The key exchange method with this identifier.
    pub fn ke(&self, id: KeMethod) -> Option<&'static dyn KeAlg> {
        self.ke.iter().copied().find(|alg| alg.id() == id)
    }

    /// This provider with `fast` in place of its own encryption and integrity wherever `fast` has the same algorithm, and
    /// with the batches of `fast`. The order of preference stays; what only `fast` has comes behind. The lists are made
    /// once and live as long as the program, so call it at start, not per connection.
    #[must_use]
    pub fn with_packets_by(self, fast: &CryptoProvider) -> CryptoProvider {
        let encr = self.encr.iter().map(|own| fast.encr(own.id()).unwrap_or(*own));
        let integ = self.integ.iter().map(|own| fast.integ(own.id()).unwrap_or(*own));
        let (encr, integ): (Vec<_>, Vec<_>) = (encr.collect(), integ.collect());
        let replaced = CryptoProvider { encr: Vec::leak(encr), integ: Vec::leak(integ), ..self };
        CryptoProvider { name: fast.name, batch: fast.batch, ..replaced.with_more_of(fast) }
    }

    /// This provider, and behind its own algorithms those that only `other` has. As with
    /// [`CryptoProvider::with_packets_by`], the lists are made once and live as long as the program.
    #[must_use]
    pub fn with_more_of(self, other: &CryptoProvider) -> CryptoProvider {
        let encr = other.encr.iter().copied().filter(|alg| self.encr(alg.id()).is_none());
        let integ = other.integ.iter().copied().filter(|alg| self.integ(alg.id()).is_none());
        let encr: Vec<&'static dyn EncrAlg> = self.encr.iter().copied().chain(encr).collect();
        let integ: Vec<&'static dyn IntegAlg> = self.integ.iter().copied().chain(integ).collect();
        let prf = other.prf.iter().copied().filter(|alg| self.prf(alg.id()).is_none());
        let ke = other.ke.iter().copied().filter(|alg| self.ke(alg.id()).is_none());
        let prf: Vec<&'static dyn PrfAlg> = self.prf.iter().copied().chain(prf).collect();
        let ke: Vec<&'static dyn KeAlg> = self.ke.iter().copied().chain(ke).collect();
        CryptoProvider {
            encr: Vec::leak(encr),
            integ: Vec::leak(integ),
            prf: Vec::leak(prf),
            ke: Vec::leak(ke),
            signatures: match (self.signatures, other.signatures) {
                (Some(own), Some(more)) => Some(Box::leak(Box::new(Both(own, more)))),
                (own, more) => own.or(more),
            },
            ..self
        }
    }
}

impl fmt::Debug for CryptoProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CryptoProvider({})", self.name)
    }
}

/// The only source of randomness: the operating system's in a daemon, a seeded one in a test.
pub trait SecureRandom: Send {
    /// Fills `out` with unpredictable bytes.
    fn fill(&mut self, out: &mut [u8]);
}

/// An integrity algorithm.
pub trait IntegAlg: Send + Sync {
    /// IKEv2 transform ID.
    fn id(&self) -> IntegId;
    /// Key length in bytes, with the salt of GMAC at its end (RFC 4543 §5.4).
    fn key_len(&self) -> usize;
    /// Length of the truncated ICV in bytes, at most 64, with the IV of GMAC in front.
    fn icv_len(&self) -> usize;
    /// Bytes at the front of the ICV that are an IV, unique for the life of the key, which the caller puts there before
    /// it signs: 8 for GMAC, which is for AH only (RFC 4543 §4), else 0.
    fn iv_len(&self) -> usize {
        0
    }
    /// Readies a key.
    ///
    /// # Errors
    /// When the length is not [`IntegAlg::key_len`].
    fn key(&self, bytes: &[u8]) -> Result<Box<dyn IntegKey>, BadKey>;
}

/// A readied integrity key.
pub trait IntegKey: Send + Sync {
    /// Writes the ICV over the concatenation of `parts`; `icv` has the algorithm's length, and the IV at its front
    /// where the algorithm has one, which stays. An HMAC may be asked for less, and is cut short (RFC 2104 §5). Does not
    /// allocate.
    fn sign(&self, parts: &[&[u8]], icv: &mut [u8]);

    /// Becomes the key of these bytes as [`EncrKey::replace`](crate::EncrKey::replace) does.
    ///
    /// # Errors
    /// When the algorithm has no such length. It is not to be used then until it is replaced.
    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey>;

    /// Compares in constant time.
    ///
    /// # Errors
    /// When the ICV is not that of `parts`.
    fn verify(&self, parts: &[&[u8]], icv: &[u8]) -> Result<(), Forged> {
        let mut expected = [0u8; 64];
        let expected = expected.get_mut(..icv.len()).ok_or(Forged)?;
        self.sign(parts, expected);
        if bool::from(expected.ct_eq(icv)) { Ok(()) } else { Err(Forged) }
    }

    /// [`IntegKey::sign`] over more parts than an array may hold.
    fn sign_pieces(&self, pieces: &dyn Pieces, icv: &mut [u8]);

    /// Compares in constant time.
    ///
    /// # Errors
    /// When the ICV is not that of `pieces`.
    fn verify_pieces(&self, pieces: &dyn Pieces, icv: &[u8]) -> Result<(), Forged> {
        let mut expected = [0u8; 64];
        let expected = expected.get_mut(..icv.len()).ok_or(Forged)?;
        // For the IV at its front, where the algorithm has one.
        expected.copy_from_slice(icv);
        self.sign_pieces(pieces, expected);
        if bool::from(expected.ct_eq(icv)) { Ok(()) } else { Err(Forged) }
    }
}

/// A pseudorandom function.
pub trait PrfAlg: Send + Sync {
    /// IKEv2 transform ID.
    fn id(&self) -> PrfId;
    /// Bytes of output; also the preferred key length (RFC 7296 §2.13).
    fn output_len(&self) -> usize;
    /// Readies a key, of any length, for use more than once.
    fn key(&self, key: &[u8]) -> Box<dyn PrfKey>;
    /// Readies a key for `act` alone: it need not go to the heap.
    fn with_key(&self, key: &[u8], act: &mut dyn FnMut(&dyn PrfKey)) {
        act(&*self.key(key));
    }
    /// `prf(key, parts[0] | parts[1] | ...)`, once; `out` has [`PrfAlg::output_len`] bytes.
    fn prf(&self, key: &[u8], parts: &[&[u8]], out: &mut [u8]) {
        self.with_key(key, &mut |key| key.prf(parts, out));
    }
    /// The hash under an HMAC, which IKEv1 uses by itself too (RFC 2409 §4); `None` where there is none.
    fn hash(&self) -> Option<HashFn> {
        None
    }
}

/// A readied key of a pseudorandom function.
pub trait PrfKey: Send + Sync {
    /// `prf(key, parts[0] | parts[1] | ...)`; `out` has [`PrfAlg::output_len`] bytes. Does not allocate.
    fn prf(&self, parts: &[&[u8]], out: &mut [u8]);
}

/// A hash over the concatenation of the parts; the output has the length of the prf that it belongs to.
pub type HashFn = fn(&[&[u8]], &mut [u8]);

/// A key exchange method, written so that a KEM fits as well as Diffie-Hellman.
pub trait KeAlg: Send + Sync {
    /// IKEv2 transform ID.
    fn id(&self) -> KeMethod;
    /// Length in bytes of the initiator's and of the responder's public value.
    fn public_len(&self) -> (usize, usize);
    /// Whether a step takes so long that nobody else should wait for it: a millisecond or more, or a good part of one in a family
    /// whose strong groups take that.
    fn is_slow(&self) -> bool {
        false
    }
    /// The initiator's first step: a fresh private value. All of it comes from `rng`, so that a seed repeats a run; for
    /// ECP and Curve25519 it is one draw in the encoding of RFC 5903 or RFC 7748, so that vectors can be replayed. Who waits for
    /// the responder and who takes the second step may be two at once.
    fn generate(&self, rng: &mut dyn SecureRandom) -> Arc<dyn KePrivate>;
    /// The responder's only step: its public value and the shared secret.
    ///
    /// # Errors
    /// When the peer's value is of a wrong length or not a valid element (RFC 6989).
    fn respond(&self, peer: &[u8], rng: &mut dyn SecureRandom) -> Result<(Vec<u8>, Secret), BadPublicValue>;
}

/// A private value waiting for the responder's public value.
pub trait KePrivate: Send + Sync {
    /// Our public value as the KE payload carries it.
    fn public(&self) -> &[u8];
    /// The shared secret, in the form RFC 7296 §2.14 feeds to the prf.
    ///
    /// # Errors
    /// When the peer's value is of a wrong length or not a valid element (RFC 6989).
    fn agree(&self, peer: &[u8]) -> Result<Secret, BadPublicValue>;
}

impl fmt::Debug for dyn KePrivate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a private value")
    }
}
