//! What MSCHAPv2 computes (RFC 2759 §8, RFC 3079 §3.4).

use alloc::string::String;
use alloc::vec::Vec;

use des::Des;
use des::cipher::{BlockCipherEncrypt, KeyInit};
use md4::{Digest, Md4};
use ravelin_types::Secret;
use sha1::Sha1;
use zeroize::{Zeroize, Zeroizing};

/// RFC 2759 §8.7.
const MAGIC_1: &[u8] = b"Magic server to client signing constant";
const MAGIC_2: &[u8] = b"Pad to make it do more than one iteration";
/// RFC 3079 §3.4.
const KEY_MAGIC_1: &[u8] = b"This is the MPPE Master Key";
const KEY_MAGIC_2: &[u8] = b"On the client side, this is the send key; on the server side, it is the receive key.";
const KEY_MAGIC_3: &[u8] = b"On the client side, this is the receive key; on the server side, it is the send key.";
/// Length of the MSK (RFC 3748 §7.10).
const MSK_LEN: usize = 64;

/// One exchange under one password.
pub(crate) struct Exchange {
    challenge: [u8; 8],
    hash: Zeroizing<[u8; 16]>,
}

impl Exchange {
    /// `user` is the name without a domain.
    pub(crate) fn new(authenticator: &[u8; 16], peer: &[u8; 16], user: &[u8], password: &Secret) -> Self {
        let digest = sha1(&[peer, authenticator, user]);
        let [c @ .., _, _, _, _, _, _, _, _, _, _, _, _] = digest;
        Exchange { challenge: c, hash: Zeroizing::new(nt_hash(password)) }
    }

    /// RFC 2759 §8.5.
    pub(crate) fn response(&self) -> [u8; 24] {
        let mut keys = Zeroizing::new([0; 21]);
        keys[..16].copy_from_slice(&*self.hash);
        let mut response = [0; 24];
        for (part, key) in response.chunks_exact_mut(8).zip(keys.chunks_exact(7)) {
            part.copy_from_slice(&des(key, self.challenge));
        }
        response
    }

    /// RFC 2759 §8.7, without the digits.
    pub(crate) fn authenticator(&self, response: &[u8; 24]) -> [u8; 20] {
        let digest = sha1(&[&*self.hash_of_hash(), response, MAGIC_1]);
        sha1(&[&digest, &self.challenge, MAGIC_2])
    }

    /// The authenticator's receive key, its send key, and zeros.
    pub(crate) fn msk(&self, response: &[u8; 24]) -> Secret {
        let master = Zeroizing::new(sha1(&[&*self.hash_of_hash(), response, KEY_MAGIC_1]));
        let key = |magic| {
            let digest = sha1(&[&master[..16], &[0; 40], magic, &[0xf2; 40]]);
            Zeroizing::new(digest)
        };
        let mut msk = Vec::with_capacity(MSK_LEN);
        msk.extend_from_slice(&key(KEY_MAGIC_2)[..16]);
        msk.extend_from_slice(&key(KEY_MAGIC_3)[..16]);
        msk.resize(MSK_LEN, 0);
        Secret::new(msk)
    }

    fn hash_of_hash(&self) -> Zeroizing<[u8; 16]> {
        Zeroizing::new(Md4::digest(*self.hash).into())
    }
}

/// MD4 of the password in UTF-16. What is no UTF-8 counts octet by octet.
fn nt_hash(password: &Secret) -> [u8; 16] {
    let mut wide: Vec<u8> = match core::str::from_utf8(password.expose()) {
        Ok(text) => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        Err(_) => password.expose().iter().flat_map(|octet| [*octet, 0]).collect(),
    };
    let hash = Md4::digest(&wide).into();
    wide.zeroize();
    hash
}

/// One block under a key of 56 bits, spread over eight octets (RFC 2759 §8.6).
fn des(key: &[u8], block: [u8; 8]) -> [u8; 8] {
    let bits = key.iter().fold(0u64, |bits, octet| bits << 8 | u64::from(*octet));
    let mut spread = Zeroizing::new([0u8; 8]);
    for (at, octet) in spread.iter_mut().enumerate() {
        *octet = ((bits >> (49 - 7 * at)) as u8) << 1;
    }
    let mut block = block.into();
    Des::new(&(*spread).into()).encrypt_block(&mut block);
    block.into()
}

fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    let mut hash = Sha1::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

/// In digits, as MSCHAPv2 writes them: upper case.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| alloc::format!("{octet:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 2759 §9.2, RFC 3079 §3.5.3.
    #[test]
    fn the_published_exchange() {
        let authenticator = *b"\x5B\x5D\x7C\x7D\x7B\x3F\x2F\x3E\x3C\x2C\x60\x21\x32\x26\x26\x28";
        let peer = *b"\x21\x40\x23\x24\x25\x5E\x26\x2A\x28\x29\x5F\x2B\x3A\x33\x7C\x7E";
        let exchange = Exchange::new(&authenticator, &peer, b"User", &Secret::from(&b"clientPass"[..]));
        assert_eq!(hex(&exchange.challenge), "D02E4386BCE91226");
        assert_eq!(hex(&*exchange.hash), "44EBBA8D5312B8D611474411F56989AE");
        let response = exchange.response();
        assert_eq!(hex(&response), "82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF");
        assert_eq!(hex(&exchange.authenticator(&response)), "407A5589115FD0D6209F510FE9C04566932CDA56");
        let msk = exchange.msk(&response);
        // The authenticator's send key.
        assert_eq!(hex(&msk.expose()[16..32]), "8B7CDC149B993A1BA118CB153F56DCCB");
        assert_eq!((msk.len(), &msk.expose()[32..]), (64, &[0; 32][..]));
    }
}
