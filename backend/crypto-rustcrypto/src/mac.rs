//! HMAC (RFC 2104) as integrity algorithm and as prf (RFC 2403, RFC 2404, RFC 4868, RFC 7296 §2.13), AES-CMAC-96 (RFC 4494)
//! and AES-CMAC-PRF-128 (RFC 4615).
//!
//! A readied key is a MAC that has taken in its key; a packet costs a copy of it and nothing on the heap.

use alloc::boxed::Box;
use core::marker::PhantomData;

use aes::Aes128;
use cmac::Cmac;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use ravelin_crypto::{BadKey, HashFn, IntegAlg, IntegKey, Pieces, PrfAlg, PrfKey};
use ravelin_types::transform::{IntegId, PrfId};
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

/// An integrity algorithm: a MAC cut to `icv_len`.
pub(crate) struct Integ<M> {
    id: IntegId,
    key_len: usize,
    icv_len: usize,
    mac: PhantomData<fn() -> M>,
}

/// A pseudorandom function.
pub(crate) struct Prf<M> {
    id: PrfId,
    output_len: usize,
    hash: HashFn,
    mac: PhantomData<fn() -> M>,
}

// RFC 4868 §2.1.1, RFC 2403 §2 and RFC 2404 §3: the key of an HMAC is as long as the hash's output.
pub(crate) static HMAC_MD5_96: Integ<Hmac<Md5>> = integ(IntegId::HMAC_MD5_96, 16, 12);
pub(crate) static HMAC_SHA1_96: Integ<Hmac<Sha1>> = integ(IntegId::HMAC_SHA1_96, 20, 12);
pub(crate) static HMAC_SHA2_256_128: Integ<Hmac<Sha256>> = integ(IntegId::HMAC_SHA2_256_128, 32, 16);
pub(crate) static HMAC_SHA2_384_192: Integ<Hmac<Sha384>> = integ(IntegId::HMAC_SHA2_384_192, 48, 24);
pub(crate) static HMAC_SHA2_512_256: Integ<Hmac<Sha512>> = integ(IntegId::HMAC_SHA2_512_256, 64, 32);
pub(crate) static AES_CMAC_96: Integ<Cmac<Aes128>> = integ(IntegId::AES_CMAC_96, 16, 12);

pub(crate) static PRF_HMAC_MD5: Prf<Hmac<Md5>> = prf(PrfId::HMAC_MD5, 16, digest::<Md5>);
pub(crate) static PRF_HMAC_SHA1: Prf<Hmac<Sha1>> = prf(PrfId::HMAC_SHA1, 20, digest::<Sha1>);
pub(crate) static PRF_HMAC_SHA2_256: Prf<Hmac<Sha256>> = prf(PrfId::HMAC_SHA2_256, 32, digest::<Sha256>);
pub(crate) static PRF_HMAC_SHA2_384: Prf<Hmac<Sha384>> = prf(PrfId::HMAC_SHA2_384, 48, digest::<Sha384>);
pub(crate) static PRF_HMAC_SHA2_512: Prf<Hmac<Sha512>> = prf(PrfId::HMAC_SHA2_512, 64, digest::<Sha512>);

const fn integ<M>(id: IntegId, key_len: usize, icv_len: usize) -> Integ<M> {
    Integ { id, key_len, icv_len, mac: PhantomData }
}

const fn prf<M>(id: PrfId, output_len: usize, hash: HashFn) -> Prf<M> {
    Prf { id, output_len, hash, mac: PhantomData }
}

impl<M: Mac + KeyInit + Clone + Send + Sync + 'static> IntegAlg for Integ<M> {
    fn id(&self) -> IntegId {
        self.id
    }

    fn key_len(&self) -> usize {
        self.key_len
    }

    fn icv_len(&self) -> usize {
        self.icv_len
    }

    fn key(&self, bytes: &[u8]) -> Result<Box<dyn IntegKey>, BadKey> {
        if bytes.len() != self.key_len {
            return Err(BadKey);
        }
        Ok(Box::new(Key(<M as KeyInit>::new_from_slice(bytes).map_err(|_| BadKey)?)))
    }
}

/// The MAC after its key; it wipes itself.
struct Key<M>(M);

impl<M: Mac + Clone> Key<M> {
    fn mac<'p>(&self, parts: impl Iterator<Item = &'p [u8]>, icv: &mut [u8]) {
        let mut mac = self.0.clone();
        parts.for_each(|part| mac.update(part));
        // At most the ICV's length is asked for, and every ICV is shorter than the output.
        icv.copy_from_slice(&mac.finalize().into_bytes()[..icv.len()]);
    }
}

impl<M: Mac + KeyInit + Clone + Send + Sync> IntegKey for Key<M> {
    fn sign(&self, parts: &[&[u8]], icv: &mut [u8]) {
        self.mac(parts.iter().copied(), icv);
    }

    fn sign_pieces(&self, pieces: &dyn Pieces, icv: &mut [u8]) {
        self.mac(pieces.iter(), icv);
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), BadKey> {
        self.0 = <M as KeyInit>::new_from_slice(bytes).map_err(|_| BadKey)?;
        Ok(())
    }
}

impl<M: Mac + KeyInit + Clone + Send + Sync> PrfKey for Key<M> {
    fn prf(&self, parts: &[&[u8]], out: &mut [u8]) {
        self.sign(parts, out);
    }
}

impl<M: Mac + KeyInit + Clone + Send + Sync + 'static> PrfAlg for Prf<M> {
    fn id(&self) -> PrfId {
        self.id
    }

    fn output_len(&self) -> usize {
        self.output_len
    }

    fn key(&self, key: &[u8]) -> Box<dyn PrfKey> {
        Box::new(Key(<M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length")))
    }

    fn hash(&self) -> Option<HashFn> {
        Some(self.hash)
    }
}

fn digest<D: Digest>(parts: &[&[u8]], out: &mut [u8]) {
    let mut hash = D::new();
    parts.iter().for_each(|part| hash.update(part));
    out.copy_from_slice(&hash.finalize());
}

pub(crate) struct CmacPrf;

/// RFC 4615.
pub(crate) static PRF_AES128_CMAC: CmacPrf = CmacPrf;

impl PrfAlg for CmacPrf {
    fn id(&self) -> PrfId {
        PrfId::AES128_CMAC
    }

    fn output_len(&self) -> usize {
        16
    }

    fn key(&self, key: &[u8]) -> Box<dyn PrfKey> {
        let cmac = |key: &[u8; 16]| Key(<Cmac<Aes128> as KeyInit>::new(key.into()));
        // RFC 4615 §3: a key of another length is replaced by its MAC under the zero key.
        let mut whole = Zeroizing::new([0; 16]);
        match key.try_into() {
            Ok(key) => *whole = key,
            Err(_) => cmac(&[0; 16]).prf(&[key], &mut *whole),
        }
        Box::new(cmac(&whole))
    }
}

/// Plain SHA-1, for NAT detection (RFC 7296 §2.23).
pub(crate) fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    let mut out = [0; 20];
    digest::<Sha1>(parts, &mut out);
    out
}
