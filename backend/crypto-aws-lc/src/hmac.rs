//! HMAC (RFC 2104) as integrity algorithm and as prf (RFC 2404, RFC 4868, RFC 7296 §2.13).
//!
//! A readied key holds the two hash states after the inner and the outer pad. A packet costs two copies of a plain
//! struct on the stack and the compressions of its own bytes; nothing is allocated.

use std::marker::PhantomData;

use ravelin_crypto::{BadKey, HashFn, IntegAlg, IntegKey, Pieces, PrfAlg, PrfKey};
use ravelin_types::transform::{IntegId, PrfId};

use crate::sys::{Hash, Sha1, Sha256, Sha384, Sha512, wipe};

/// Room for the output and the block of every hash here.
const MAX_OUTPUT: usize = 64;
const MAX_BLOCK: usize = 128;

/// An integrity algorithm: HMAC cut to `icv_len`.
pub(crate) struct Integ<H> {
    id: IntegId,
    icv_len: usize,
    hash: PhantomData<H>,
}

/// A pseudorandom function.
pub(crate) struct Prf<H> {
    id: PrfId,
    hash: PhantomData<H>,
}

pub(crate) static HMAC_SHA1_96: Integ<Sha1> = integ(IntegId::HMAC_SHA1_96, 12);
pub(crate) static HMAC_SHA2_256_128: Integ<Sha256> = integ(IntegId::HMAC_SHA2_256_128, 16);
pub(crate) static HMAC_SHA2_384_192: Integ<Sha384> = integ(IntegId::HMAC_SHA2_384_192, 24);
pub(crate) static HMAC_SHA2_512_256: Integ<Sha512> = integ(IntegId::HMAC_SHA2_512_256, 32);

pub(crate) static PRF_HMAC_SHA1: Prf<Sha1> = prf(PrfId::HMAC_SHA1);
pub(crate) static PRF_HMAC_SHA2_256: Prf<Sha256> = prf(PrfId::HMAC_SHA2_256);
pub(crate) static PRF_HMAC_SHA2_384: Prf<Sha384> = prf(PrfId::HMAC_SHA2_384);
pub(crate) static PRF_HMAC_SHA2_512: Prf<Sha512> = prf(PrfId::HMAC_SHA2_512);

const fn integ<H>(id: IntegId, icv_len: usize) -> Integ<H> {
    Integ { id, icv_len, hash: PhantomData }
}

const fn prf<H>(id: PrfId) -> Prf<H> {
    Prf { id, hash: PhantomData }
}

impl<H: Hash> IntegAlg for Integ<H> {
    fn id(&self) -> IntegId {
        self.id
    }

    /// RFC 4868 §2.1.1 and RFC 2404 §3: the key is as long as the hash's output.
    fn key_len(&self) -> usize {
        H::OUTPUT
    }

    fn icv_len(&self) -> usize {
        self.icv_len
    }

    fn key(&self, bytes: &[u8]) -> Result<Box<dyn IntegKey>, BadKey> {
        if bytes.len() != H::OUTPUT {
            return Err(BadKey);
        }
        Ok(Box::new(HmacKey::<H>::new(bytes)))
    }
}

impl<H: Hash> PrfAlg for Prf<H> {
    fn id(&self) -> PrfId {
        self.id
    }

    fn output_len(&self) -> usize {
        H::OUTPUT
    }

    fn key(&self, key: &[u8]) -> Box<dyn PrfKey> {
        Box::new(HmacKey::<H>::new(key))
    }

    fn with_key(&self, key: &[u8], act: &mut dyn FnMut(&dyn PrfKey)) {
        act(&HmacKey::<H>::new(key));
    }

    fn hash(&self) -> Option<HashFn> {
        Some(digest::<H>)
    }
}

fn digest<H: Hash>(parts: &[&[u8]], out: &mut [u8]) {
    let mut hash = H::new();
    for part in parts {
        hash.update(part);
    }
    hash.finish(out);
}

/// Plain SHA-1, for NAT detection (RFC 7296 §2.23).
pub(crate) fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    let mut out = [0; 20];
    digest::<Sha1>(parts, &mut out);
    out
}

/// Hash states after the padded key; both wipe themselves.
struct HmacKey<H> {
    inner: H,
    outer: H,
}

impl<H: Hash> HmacKey<H> {
    fn new(key: &[u8]) -> Self {
        // RFC 2104 §2: a key longer than the block is hashed first, a shorter one is padded with zeros.
        let mut block = [0u8; MAX_BLOCK];
        if key.len() > H::BLOCK {
            let mut hash = H::new();
            hash.update(key);
            hash.finish(&mut block[..H::OUTPUT]);
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        let mut keyed = |pad: u8| {
            block.iter_mut().for_each(|byte| *byte ^= pad);
            let mut hash = H::new();
            hash.update(&block[..H::BLOCK]);
            hash
        };
        let inner = keyed(0x36);
        // The block still carries the inner pad.
        let outer = keyed(0x36 ^ 0x5c);
        wipe(&mut block);
        HmacKey { inner, outer }
    }

    /// Writes the whole of it; `out` has the hash's length.
    fn digest<'p>(&self, parts: impl Iterator<Item = &'p [u8]>, out: &mut [u8]) {
        let mut inner = self.inner.clone();
        for part in parts {
            inner.update(part);
        }
        inner.finish(out);
        let mut outer = self.outer.clone();
        outer.update(out);
        outer.finish(out);
    }

    fn cut<'p>(&self, parts: impl Iterator<Item = &'p [u8]>, icv: &mut [u8]) {
        let mut digest = [0; MAX_OUTPUT];
        self.digest(parts, &mut digest[..H::OUTPUT]);
        // At most the ICV's length is asked for, and every ICV is shorter than the digest.
        icv.copy_from_slice(&digest[..icv.len()]);
    }
}

impl<H: Hash> PrfKey for HmacKey<H> {
    fn prf(&self, parts: &[&[u8]], out: &mut [u8]) {
        self.digest(parts.iter().copied(), out);
    }
}

impl<H: Hash> IntegKey for HmacKey<H> {
    fn sign(&self, parts: &[&[u8]], icv: &mut [u8]) {
        self.cut(parts.iter().copied(), icv);
    }

    fn sign_pieces(&self, pieces: &dyn Pieces, icv: &mut [u8]) {
        self.cut(pieces.iter(), icv);
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        *self = HmacKey::new(bytes);
        Ok(())
    }
}
