//! Keys: the generators, what is derived, and what is protected with it.

use alloc::vec::Vec;

use aes::Aes128;
use aes::cipher::array::Array;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use hmac::{Hmac, Mac};
use ravelin_types::Secret;
use sha1::{Digest, Sha1};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::Kind;
use super::challenge::{Triplet, Vector};

const BLOCK: usize = 16;
const MSK: usize = 64;

/// What messages of a user are protected with, and what keys of later conversations come from.
#[derive(Clone)]
pub(super) struct Keys {
    kind: Kind,
    encr: Secret,
    aut: Secret,
    /// MK, or with AKA' K_re.
    again: Secret,
}

impl Keys {
    /// RFC 4186 §7: with the master session key.
    pub(super) fn of_triplets(identity: &[u8], triplets: &[Triplet], hello: &Hello) -> (Keys, Secret) {
        let mut mk = Sha1::new_with_prefix(identity);
        triplets.iter().for_each(|triplet| mk.update(triplet.kc));
        mk.update(hello.nonce);
        mk.update(&hello.versions);
        mk.update(hello.selected.to_be_bytes());
        Self::of_mk(Kind::Sim, Zeroizing::new(mk.finalize().into()))
    }

    /// RFC 4187 §7, RFC 9048 §3.3: with the master session key.
    pub(super) fn of_vector(kind: Kind, identity: &[u8], vector: &Vector, network: &[u8]) -> (Keys, Secret) {
        let (ck, ik) = vector.keys.expose().split_at(BLOCK);
        if kind != Kind::AkaPrime {
            let mk = Sha1::new_with_prefix(identity).chain_update(ik).chain_update(ck).finalize();
            return Self::of_mk(kind, Zeroizing::new(mk.into()));
        }
        let (ck, ik) = bound(&vector.keys, network, &vector.autn);
        let mut material = Zeroizing::new([0; 16 + 32 + 32 + MSK]);
        let secret = Zeroizing::new([ik, ck].concat());
        prf_prime(&secret, &[b"EAP-AKA'", identity], &mut material[..]);
        let (tek, msk) = material.split_at(80);
        let part = |range| Secret::from(tek.get(range).unwrap_or_default());
        (Keys { kind, encr: part(0..16), aut: part(16..48), again: part(48..80) }, Secret::from(msk))
    }

    fn of_mk(kind: Kind, mk: Zeroizing<[u8; 20]>) -> (Keys, Secret) {
        let mut material = Zeroizing::new([0; 16 + 16 + MSK]);
        prf(&mk, &mut material[..]);
        let (tek, msk) = material.split_at(32);
        let (encr, aut) = tek.split_at(16);
        (Keys { kind, encr: encr.into(), aut: aut.into(), again: Secret::from(&mk[..]) }, Secret::from(msk))
    }

    /// The master session key of a fast re-authentication.
    pub(super) fn renewed(&self, identity: &[u8], counter: u16, nonce: &[u8; 16]) -> Secret {
        let (counter, again) = (counter.to_be_bytes(), self.again.expose());
        let mut msk = Zeroizing::new([0; MSK]);
        if self.kind == Kind::AkaPrime {
            prf_prime(again, &[b"EAP-AKA' re-auth", identity, &counter, nonce], &mut msk[..]);
        } else {
            let seed = Sha1::new_with_prefix(identity).chain_update(counter).chain_update(nonce).chain_update(again);
            prf(&Zeroizing::new(seed.finalize().into()), &mut msk[..]);
        }
        Secret::from(&msk[..])
    }

    /// RFC 4187 §10.15, RFC 9048 §3.4.2: over these parts.
    pub(super) fn mac(&self, parts: &[&[u8]]) -> [u8; 16] {
        let key = self.aut.expose();
        let mut mac = [0; 16];
        match self.kind {
            Kind::AkaPrime => mac.copy_from_slice(&hmac_sha256(key, parts)[..16]),
            Kind::Sim | Kind::Aka => {
                let mut hmac = <Hmac<Sha1> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of every length");
                parts.iter().for_each(|part| hmac.update(part));
                mac.copy_from_slice(&hmac.finalize().into_bytes()[..16]);
            }
        }
        mac
    }

    /// Encrypts whole blocks.
    pub(super) fn seal(&self, iv: &[u8; BLOCK], data: &mut [u8]) {
        let mode = cbc::Encryptor::inner_iv_slice_init(self.cipher(), iv);
        let (blocks, _) = Array::slice_as_chunks_mut(data);
        mode.expect("an IV is a block").encrypt_blocks(blocks);
    }

    /// Decrypts whole blocks.
    pub(super) fn open(&self, iv: &[u8; BLOCK], data: &mut [u8]) {
        let mode = cbc::Decryptor::inner_iv_slice_init(self.cipher(), iv);
        let (blocks, _) = Array::slice_as_chunks_mut(data);
        mode.expect("an IV is a block").decrypt_blocks(blocks);
    }

    fn cipher(&self) -> Aes128 {
        Aes128::new_from_slice(self.encr.expose()).expect("K_encr has 16 octets")
    }

    /// K_encr, K_aut, and MK or K_re.
    #[cfg(test)]
    pub(super) fn parts(&self) -> [&[u8]; 3] {
        [self.encr.expose(), self.aut.expose(), self.again.expose()]
    }
}

/// What is said in EAP-SIM before the challenge.
#[derive(Clone, Default)]
pub(super) struct Hello {
    pub(super) nonce: [u8; 16],
    /// The list of the authenticator, as it was said.
    pub(super) versions: Vec<u8>,
    pub(super) selected: u16,
}

/// RFC 4187 §10.13, RFC 9048 §3.4.3: over what was said about identities.
pub(super) fn checkcode(kind: Kind, said: &[u8]) -> Vec<u8> {
    match (said.is_empty(), kind) {
        (true, _) => Vec::new(),
        (false, Kind::AkaPrime) => Sha256::digest(said).to_vec(),
        (false, Kind::Sim | Kind::Aka) => Sha1::digest(said).to_vec(),
    }
}

/// Whether two values that prove something are the same, in constant time.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    bool::from(a.ct_eq(b))
}

/// CK' and IK', which hold for one network (3GPP TS 33.402 Annex A.2).
fn bound(keys: &Secret, network: &[u8], autn: &[u8; 16]) -> ([u8; BLOCK], [u8; BLOCK]) {
    // A name is as long as an attribute can be.
    let length = (network.len() as u16).to_be_bytes();
    let hidden = autn.get(..6).unwrap_or_default();
    let both = Zeroizing::new(hmac_sha256(keys.expose(), &[&[0x20], network, &length, hidden, &[0, 6]]));
    let (mut ck, mut ik) = ([0; BLOCK], [0; BLOCK]);
    ck.copy_from_slice(&both[..BLOCK]);
    ik.copy_from_slice(&both[BLOCK..]);
    (ck, ik)
}

fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut hmac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of every length");
    parts.iter().for_each(|part| hmac.update(part));
    hmac.finalize().into_bytes().into()
}

/// PRF' (RFC 9048 §3.4.1).
fn prf_prime(key: &[u8], parts: &[&[u8]], out: &mut [u8]) {
    let mut last = Zeroizing::new(Vec::new());
    for (piece, count) in out.chunks_mut(32).zip(1u8..) {
        let count = [count];
        let all = [&[last.as_slice()], parts, &[&count]].concat();
        last = Zeroizing::new(hmac_sha256(key, &all).to_vec());
        piece.copy_from_slice(last.get(..piece.len()).unwrap_or_default());
    }
}

/// The generator of FIPS 186-2 with its change notice 1, without `mod q` (RFC 4186 Appendix B). Its function G is the bare
/// compression of SHA-1.
fn prf(seed: &[u8; 20], out: &mut [u8]) {
    const T: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut key = Zeroizing::new(*seed);
    for piece in out.chunks_mut(20) {
        let mut block = Zeroizing::new([0; 64]);
        block[..20].copy_from_slice(&*key);
        let mut state = T;
        sha1::block_api::compress(&mut state, &[*block]);
        let w = Zeroizing::new(state.map(u32::to_be_bytes));
        state.zeroize();
        let w = w.as_flattened();
        piece.copy_from_slice(w.get(..piece.len()).unwrap_or_default());
        // XKEY = (1 + XKEY + w) mod 2^160
        let mut carry = 1;
        for (octet, w) in key.iter_mut().zip(w).rev() {
            carry += u16::from(*octet) + u16::from(*w);
            [_, *octet] = carry.to_be_bytes();
            carry >>= 8;
        }
    }
}
