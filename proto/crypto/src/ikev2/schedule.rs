//! From a shared secret to the keys of an IKE SA and of its Child SAs.

use alloc::vec;
use alloc::vec::Vec;

use ravelin_types::sa::SaKeys;
use ravelin_types::transform::PrfId;
use ravelin_types::{IkeSpi, Secret};
use zeroize::{Zeroize, Zeroizing};

use super::algs::{ChildAlgs, IkeAlgs, encr_key_len};
use super::cipher::IkeCipher;
use crate::error::BadKey;
use crate::provider::{IntegAlg, PrfAlg};

/// No output of a prf is longer.
pub(super) const MAX_OUTPUT: usize = 64;

/// The nonces of one exchange, payload headers stripped. In CREATE_CHILD_SA the initiator is whoever began *that*
/// exchange, not the original initiator.
#[derive(Clone, Copy, Debug)]
pub struct Nonces<'a> {
    /// Ni.
    pub initiator: &'a [u8],
    /// Nr.
    pub responder: &'a [u8],
}

/// SKEYSEED: what the seven keys of an IKE SA are expanded from.
#[derive(Debug)]
pub struct Skeyseed(Secret);

impl Skeyseed {
    /// `prf(Ni | Nr, g^ir)` (RFC 7296 §2.14).
    pub fn initial<'a>(prf: &dyn PrfAlg, shared: &Secret, nonces: Nonces<'a>) -> Self {
        // RFC 7296 §2.14: for these two the first 64 bits of each nonce make the key.
        let most = match prf.id() {
            PrfId::AES128_XCBC | PrfId::AES128_CMAC => 8,
            _ => usize::MAX,
        };
        let cut = |nonce: &'a [u8]| &nonce[..nonce.len().min(most)];
        let key = [cut(nonces.initiator), cut(nonces.responder)].concat();
        Skeyseed(prf_once(prf, &key, &[shared.expose()]))
    }

    /// `prf(SK_d (old), SK(0) | Ni | Nr | SK(1) | ... SK(n))` (RFC 7296 §2.18, RFC 9370 §2.2.4). `old_prf` is the prf of
    /// the IKE SA being replaced; `shared` has the secret of the rekeying exchange and those of the additional key
    /// exchanges after it, in their order; the nonces are those of the rekeying exchange.
    pub fn rekeyed(old_prf: &dyn PrfAlg, old_sk_d: &Secret, shared: &[Secret], nonces: Nonces<'_>) -> Self {
        let octets = Secret::new(concat(seed(shared, nonces)));
        Skeyseed(prf_once(old_prf, old_sk_d.expose(), &[octets.expose()]))
    }

    /// `prf(SK_d (old), "Resumption" | Ni | Nr)` (RFC 5723 §5.1), with the prf of the IKE SA that is resumed.
    pub fn resumed(prf: &dyn PrfAlg, old_sk_d: &Secret, nonces: Nonces<'_>) -> Self {
        Skeyseed(prf_once(prf, old_sk_d.expose(), &[b"Resumption", nonces.initiator, nonces.responder]))
    }

    /// `prf+(PPK, SK_d)`, as long as an output of the prf: what the keys are made from anew with a post-quantum pre-shared key
    /// (RFC 9867 §3.1).
    pub fn with_ppk(prf: &dyn PrfAlg, ppk: &Secret, sk_d: &Secret) -> Self {
        Skeyseed(prf_plus(prf, ppk.expose(), [sk_d.expose()], prf.output_len()))
    }

    /// `{SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr} = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr)`
    /// (RFC 7296 §2.14). The SPIs are those of the IKE SA the keys are for: the new ones after a rekey.
    pub fn derive(self, algs: &IkeAlgs, nonces: Nonces<'_>, spi_i: IkeSpi, spi_r: IkeSpi) -> (IkeKeys, MessageKeys) {
        let (spi_i, spi_r) = (spi_i.0.to_be_bytes(), spi_r.0.to_be_bytes());
        let seed = [nonces.initiator, nonces.responder, &spi_i, &spi_r];
        // RFC 5282 §7.1: with an AEAD cipher SK_ai and SK_ar have no octets.
        let (d, a) = (algs.prf.output_len(), algs.integ.map_or(0, IntegAlg::key_len));
        let e = encr_key_len(algs.encr, algs.encr_key_bits);
        let stream = prf_plus(algs.prf, self.0.expose(), seed, 3 * d + 2 * a + 2 * e);
        let mut cut = Cutter(stream.expose());
        let sk_d = cut.next(d);
        let messages = MessageKeys { keys: cut.next(2 * a + 2 * e), a };
        (IkeKeys { sk_d, sk_pi: cut.next(d), sk_pr: cut.next(d) }, messages)
    }

    /// The bytes, for test vectors.
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

/// What keys and proofs are made from; `i` and `r` stand for the original initiator and responder.
#[derive(Clone, Debug)]
pub struct IkeKeys {
    /// Derives the keys of Child SAs and of the next IKE SA.
    pub sk_d: Secret,
    /// The initiator's part in AUTH.
    pub sk_pi: Secret,
    /// The responder's part in AUTH.
    pub sk_pr: Secret,
}

/// What protects messages: SK_ai, SK_ar, SK_ei and SK_er, one behind the other.
#[derive(Clone, Debug)]
pub struct MessageKeys {
    keys: Secret,
    /// Length of SK_ai and of SK_ar.
    a: usize,
}

impl MessageKeys {
    /// SK_ai and SK_ar; empty with an AEAD cipher.
    pub fn integ(&self) -> [&[u8]; 2] {
        let (keys, _) = self.keys.expose().split_at(2 * self.a);
        keys.split_at(self.a).into()
    }

    /// SK_ei and SK_er, the salt at the end of each.
    pub fn encr(&self) -> [&[u8]; 2] {
        let (_, keys) = self.keys.expose().split_at(2 * self.a);
        keys.split_at(keys.len() / 2).into()
    }

    /// Readies the protection of SK payloads: what the original initiator sends, and what the original responder
    /// sends.
    ///
    /// # Errors
    /// When `algs` are not those the keys were derived for.
    pub fn ciphers(&self, algs: &IkeAlgs) -> Result<(IkeCipher, IkeCipher), BadKey> {
        let ([ei, er], [ai, ar]) = (self.encr(), self.integ());
        let initiator = IkeCipher::new(algs.encr, algs.integ, ei, ai)?;
        let responder = IkeCipher::new(algs.encr, algs.integ, er, ar)?;
        Ok((initiator, responder))
    }
}

impl IkeKeys {
    /// The same with a post-quantum pre-shared key in those that protect what comes later (RFC 8784 §3):
    /// `SK_x = prf+(PPK, SK_x')` for SK_d, SK_pi and SK_pr.
    pub fn mixed(&self, prf: &dyn PrfAlg, ppk: &Secret) -> Self {
        let mix = |key: &Secret| prf_plus(prf, ppk.expose(), [key.expose()], key.len());
        IkeKeys { sk_d: mix(&self.sk_d), sk_pi: mix(&self.sk_pi), sk_pr: mix(&self.sk_pr) }
    }
}

/// KEYMAT of one Child SA (RFC 7296 §2.17).
#[derive(Clone, Debug)]
pub struct KeyMat {
    /// For packets from the initiator of the exchange to its responder.
    pub initiator: SaKeys,
    /// For packets from the responder of the exchange to its initiator.
    pub responder: SaKeys,
}

impl KeyMat {
    /// `prf+(SK_d, [SK(0) |] Ni | Nr [| SK(1) | ... SK(n)])` (RFC 7296 §2.17, RFC 9370 §2.2.4). `shared` has the secret of
    /// the key exchange inside CREATE_CHILD_SA and those of the additional ones after it; it is empty in IKE_AUTH and
    /// without PFS. The nonces are those of the exchange that made the Child SA (IKE_SA_INIT for the first one).
    pub fn derive(prf: &dyn PrfAlg, sk_d: &Secret, algs: &ChildAlgs, shared: &[Secret], nonces: Nonces<'_>) -> Self {
        let (e, a) = match algs {
            ChildAlgs::Esp { encr, encr_key_bits, integ } => {
                (encr_key_len(*encr, *encr_key_bits), integ.map_or(0, IntegAlg::key_len))
            }
            ChildAlgs::Ah(integ) => (0, integ.key_len()),
        };
        let stream = prf_plus(prf, sk_d.expose(), seed(shared, nonces), 2 * (e + a));
        let mut cut = Cutter(stream.expose());
        // RFC 7296 §2.17: all keys of the initiator-to-responder SA come first; within an SA encryption comes first.
        let mut keys = || match algs {
            ChildAlgs::Esp { .. } => SaKeys { encr: cut.next(e), integ: cut.next(a), ..SaKeys::default() },
            ChildAlgs::Ah(_) => SaKeys { ah: cut.next(a), ..SaKeys::default() },
        };
        let (initiator, responder) = (keys(), keys());
        KeyMat { initiator, responder }
    }
}

/// `[SK(0) |] Ni | Nr [| SK(1) | ... SK(n)]`, in pieces to be concatenated.
fn seed<'a>(shared: &'a [Secret], nonces: Nonces<'a>) -> impl Iterator<Item = &'a [u8]> + Clone {
    let (first, more) = shared.split_at(shared.len().min(1));
    let [first, more] = [first, more].map(|secrets| secrets.iter().map(Secret::expose));
    first.chain([nonces.initiator, nonces.responder]).chain(more)
}

/// The pieces one behind the other.
fn concat<'a>(parts: impl Iterator<Item = &'a [u8]> + Clone) -> Vec<u8> {
    // Sized once: a vector that grew would leave secrets behind in the freed memory.
    let mut whole = Vec::with_capacity(parts.clone().map(<[u8]>::len).sum());
    parts.for_each(|part| whole.extend_from_slice(part));
    whole
}

/// `prf(key, parts)` as a secret.
pub(crate) fn prf_once(prf: &dyn PrfAlg, key: &[u8], parts: &[&[u8]]) -> Secret {
    let mut out = vec![0; prf.output_len()];
    prf.prf(key, parts, &mut out);
    Secret::new(out)
}

/// `prf+(key, seed)` cut to `len` bytes (RFC 7296 §2.13): `T1 | T2 | ...`, `Tn = prf(key, Tn-1 | seed | n)`. The seed comes
/// in pieces.
///
/// The counter is one octet, so 255 blocks are the end of the stream. The callers here ask for at most a dozen keys.
pub(super) fn prf_plus<'a>(
    prf: &dyn PrfAlg,
    key: &[u8],
    seed: impl IntoIterator<Item = &'a [u8], IntoIter: Clone>,
    len: usize,
) -> Secret {
    let block = prf.output_len();
    debug_assert!(len <= 255 * block, "prf+ ends after 255 blocks");
    // Sized once, as above.
    let mut stream = vec![0; len.next_multiple_of(block)];
    // `Tn-1 | seed | n` in one piece: every piece costs a call, and the seed is there for each block again.
    let previous: &[u8] = &[0; MAX_OUTPUT][..block];
    let mut input = Zeroizing::new(concat([previous].into_iter().chain(seed).chain([&[0][..]])));
    prf.with_key(key, &mut |key| {
        for (n, out) in (1..=255u8).zip(stream.chunks_exact_mut(block)) {
            if let Some(counter) = input.last_mut() {
                *counter = n;
            }
            let from = if n == 1 { block } else { 0 };
            key.prf(&[&input[from..]], out);
            input[..block].copy_from_slice(out);
        }
    });
    stream[len..].zeroize();
    stream.truncate(len);
    Secret::new(stream)
}

/// Takes keys off the front of a key stream.
pub(crate) struct Cutter<'a>(pub(crate) &'a [u8]);

impl Cutter<'_> {
    pub(crate) fn next(&mut self, len: usize) -> Secret {
        let (key, rest) = self.0.split_at(len);
        self.0 = rest;
        Secret::from(key)
    }
}
