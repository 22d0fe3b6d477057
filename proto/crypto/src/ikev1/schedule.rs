//! From a shared secret to the keys of an ISAKMP SA and of what is negotiated under it.

use alloc::vec;
use alloc::vec::Vec;

use ravelin_types::proposal::{IkeSuite, ProtocolId};
use ravelin_types::sa::SaKeys;
use ravelin_types::transform::{IntegId, PrfId};
use ravelin_types::{IkeSpi, Secret, Spi};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::cipher::Cipher;
use crate::encryption::{EncrAlg, IvKind};
use crate::error::{BadKey, Forged};
use crate::ikev2::{ChildAlgs, Cutter, Nonces, encr_key_len, prf_once};
use crate::provider::{CryptoProvider, HashFn, IntegAlg, KeAlg, PrfAlg};

/// The algorithms of an ISAKMP SA.
#[derive(Clone, Copy)]
pub struct Algs {
    /// Encryption, always CBC.
    pub encr: &'static dyn EncrAlg,
    /// Key length in bits.
    pub encr_key_bits: u16,
    /// The HMAC of the negotiated hash (RFC 2409 §4).
    pub prf: &'static dyn PrfAlg,
    /// The negotiated hash.
    pub hash: HashFn,
    /// The HMAC of SHA-1, which signatures by DSS are over whatever was negotiated (RFC 2409 §5.1).
    pub sha1: &'static dyn PrfAlg,
    /// Diffie-Hellman group.
    pub ke: &'static dyn KeAlg,
}

impl Algs {
    /// Looks a suite up. `None` when the provider lacks a part of it, or a part is not for IKEv1: messages are encrypted
    /// in CBC mode (RFC 2409 appendix B), and nothing but hashes protects their integrity.
    pub fn find(provider: &CryptoProvider, suite: &IkeSuite) -> Option<Self> {
        let encr = provider.encr(suite.encr)?;
        let cbc = encr.iv_kind() == IvKind::Unpredictable && !encr.is_aead() && encr.iv_len() == encr.block_len();
        if !cbc || suite.integ != IntegId::NONE || !encr.key_bits().contains(&suite.encr_key_bits) {
            return None;
        }
        let prf = provider.prf(suite.prf)?;
        let (hash, sha1) = (prf.hash()?, provider.prf(PrfId::HMAC_SHA1)?);
        Some(Algs { encr, encr_key_bits: suite.encr_key_bits, prf, hash, sha1, ke: provider.ke(suite.ke)? })
    }
}

/// CKY-I and CKY-R.
#[derive(Clone, Copy, Debug)]
pub struct Cookies {
    /// The initiator's.
    pub initiator: IkeSpi,
    /// The responder's.
    pub responder: IkeSpi,
}

/// g^xi and g^xr, as the KE payloads carry them.
#[derive(Clone, Copy, Debug)]
pub struct Publics<'a> {
    /// The initiator's.
    pub initiator: &'a [u8],
    /// The responder's.
    pub responder: &'a [u8],
}

/// SKEYID: what only the two sides know.
#[derive(Debug)]
pub struct Skeyid(Secret);

impl Skeyid {
    /// `prf(pre-shared-key, Ni_b | Nr_b)`
    pub fn pre_shared(prf: &dyn PrfAlg, key: &Secret, nonces: Nonces<'_>) -> Self {
        Skeyid(prf_once(prf, key.expose(), &[nonces.initiator, nonces.responder]))
    }

    /// `prf(Ni_b | Nr_b, g^xy)`
    pub fn signatures(prf: &dyn PrfAlg, shared: &Secret, nonces: Nonces<'_>) -> Self {
        let mut key = [nonces.initiator, nonces.responder].concat();
        let skeyid = prf_once(prf, &key, &[shared.expose()]);
        key.zeroize();
        Skeyid(skeyid)
    }

    /// SKEYID_d, SKEYID_a and SKEYID_e.
    pub fn derive(self, prf: &'static dyn PrfAlg, shared: &Secret, cookies: Cookies) -> Keys {
        let (cky_i, cky_r) = (cookies.initiator.0.to_be_bytes(), cookies.responder.0.to_be_bytes());
        let key = prf.key(self.0.expose());
        let next = |before: &[u8], n: u8| {
            let mut out = vec![0; prf.output_len()];
            key.prf(&[before, shared.expose(), &cky_i, &cky_r, &[n]], &mut out);
            Secret::new(out)
        };
        let skeyid_d = next(&[], 0);
        let skeyid_a = next(skeyid_d.expose(), 1);
        let skeyid_e = next(skeyid_a.expose(), 2);
        Keys { prf, cookies, skeyid: self.0, skeyid_d, skeyid_a, skeyid_e }
    }
}

/// The keys of an ISAKMP SA.
#[derive(Clone)]
pub struct Keys {
    prf: &'static dyn PrfAlg,
    cookies: Cookies,
    skeyid: Secret,
    skeyid_d: Secret,
    skeyid_a: Secret,
    skeyid_e: Secret,
}

impl Keys {
    /// The same keys for HASH_I and HASH_R by another hash than the negotiated one.
    pub fn hashing_by(&self, prf: &'static dyn PrfAlg) -> Self {
        Keys { prf, ..self.clone() }
    }

    /// HASH_I: `prf(SKEYID, g^xi | g^xr | CKY-I | CKY-R | SAi_b | IDii_b)`. `sa` is the body of the initiator's SA
    /// payload, `id` that of its ID payload, both as they were sent.
    pub fn hash_i(&self, publics: Publics<'_>, sa: &[u8], id: &[u8]) -> Vec<u8> {
        let (cky_i, cky_r) = (self.cookies.initiator.0.to_be_bytes(), self.cookies.responder.0.to_be_bytes());
        self.prf(&self.skeyid, &[publics.initiator, publics.responder, &cky_i, &cky_r, sa, id])
    }

    /// HASH_R: `prf(SKEYID, g^xr | g^xi | CKY-R | CKY-I | SAi_b | IDir_b)`.
    pub fn hash_r(&self, publics: Publics<'_>, sa: &[u8], id: &[u8]) -> Vec<u8> {
        let (cky_i, cky_r) = (self.cookies.initiator.0.to_be_bytes(), self.cookies.responder.0.to_be_bytes());
        self.prf(&self.skeyid, &[publics.responder, publics.initiator, &cky_r, &cky_i, sa, id])
    }

    /// The hash at the front of a message of phase 2: `prf(SKEYID_a, M-ID | parts)`. HASH(1) and those of Informational
    /// and Transaction exchanges have the rest of the message as their part, HASH(2) `Ni_b` and the rest.
    pub fn hash(&self, message_id: u32, parts: &[&[u8]]) -> Vec<u8> {
        let id = message_id.to_be_bytes();
        let all: Vec<&[u8]> = core::iter::once(&id[..]).chain(parts.iter().copied()).collect();
        self.prf(&self.skeyid_a, &all)
    }

    /// HASH(3): `prf(SKEYID_a, 0 | M-ID | Ni_b | Nr_b)`.
    pub fn hash_3(&self, message_id: u32, nonces: Nonces<'_>) -> Vec<u8> {
        self.prf(&self.skeyid_a, &[&[0], &message_id.to_be_bytes(), nonces.initiator, nonces.responder])
    }

    /// Compares a hash in constant time.
    ///
    /// # Errors
    /// When they differ, in length too.
    pub fn verify(&self, expected: &[u8], received: &[u8]) -> Result<(), Forged> {
        if bool::from(expected.ct_eq(received)) { Ok(()) } else { Err(Forged) }
    }

    /// Readies the encryption of messages.
    ///
    /// # Errors
    /// When `algs` are not those the keys were derived for.
    pub fn cipher(&self, algs: &Algs) -> Result<Cipher, BadKey> {
        Ok(Cipher::new(algs.encr.key(self.cipher_key(algs).expose())?, algs.encr.block_len()))
    }

    /// The key of that cipher.
    pub fn cipher_key(&self, algs: &Algs) -> Secret {
        let len = encr_key_len(algs.encr, algs.encr_key_bits);
        match self.skeyid_e.len() >= len {
            true => Secret::from(&self.skeyid_e.expose()[..len]),
            // RFC 2409 appendix B: Ka = K1 | K2 | ..., K1 = prf(SKEYID_e, 0), K2 = prf(SKEYID_e, K1), ...
            false => expand(algs.prf, &self.skeyid_e, &[&[0]], &[], len),
        }
    }

    /// For test vectors: SKEYID, SKEYID_d, SKEYID_a, SKEYID_e.
    pub fn expose(&self) -> [&[u8]; 4] {
        [&self.skeyid, &self.skeyid_d, &self.skeyid_a, &self.skeyid_e].map(Secret::expose)
    }

    fn prf(&self, key: &Secret, parts: &[&[u8]]) -> Vec<u8> {
        let mut out = vec![0; self.prf.output_len()];
        self.prf.prf(key.expose(), parts, &mut out);
        out
    }
}

/// The keys of one SA (RFC 2409 §5.5): `K1 = prf(SKEYID_d, [g(qm)^xy |] protocol | SPI | Ni_b | Nr_b)`,
/// `K2 = prf(SKEYID_d, K1 | ...)`. The SPI is that of the SA, so that its receiver's choice is in its keys. Encryption
/// comes first (RFC 4301 §4.5.2).
pub fn keymat(
    keys: &Keys,
    protocol: ProtocolId,
    spi: Spi,
    algs: &ChildAlgs,
    shared: Option<&Secret>,
    nonces: Nonces<'_>,
) -> SaKeys {
    let shared = shared.map_or(&[][..], Secret::expose);
    let spi = spi.0.to_be_bytes();
    let seed = [shared, &[protocol.0], &spi, nonces.initiator, nonces.responder];
    let (e, a) = match algs {
        ChildAlgs::Esp { encr, encr_key_bits, integ } => {
            (encr_key_len(*encr, *encr_key_bits), integ.map_or(0, IntegAlg::key_len))
        }
        ChildAlgs::Ah(integ) => (0, integ.key_len()),
    };
    let stream = expand(keys.prf, &keys.skeyid_d, &seed, &seed, e + a);
    let mut cut = Cutter(stream.expose());
    match algs {
        ChildAlgs::Esp { .. } => SaKeys { encr: cut.next(e), integ: cut.next(a), ..SaKeys::default() },
        ChildAlgs::Ah(_) => SaKeys { ah: cut.next(a), ..SaKeys::default() },
    }
}

/// `K1 | K2 | ...` cut to `len`: `K1 = prf(key, first)`, `Kn = prf(key, Kn-1 | later)`.
fn expand(prf: &dyn PrfAlg, key: &Secret, first: &[&[u8]], later: &[&[u8]], len: usize) -> Secret {
    let (block, key) = (prf.output_len(), prf.key(key.expose()));
    // Sized once: a vector that grew would leave key material behind in the freed memory.
    let mut stream = vec![0; len.next_multiple_of(block)];
    for start in (0..len).step_by(block) {
        let (done, rest) = stream.split_at_mut(start);
        match start.checked_sub(block) {
            None => key.prf(first, &mut rest[..block]),
            Some(before) => {
                let parts: Vec<&[u8]> = core::iter::once(&done[before..]).chain(later.iter().copied()).collect();
                key.prf(&parts, &mut rest[..block]);
            }
        }
    }
    stream[len..].zeroize();
    stream.truncate(len);
    Secret::new(stream)
}
