//! What opens the encrypted messages of IKEv1: the cipher, and the IVs that run from message to message.
//!
//! ```text
//!   phase 1   first IV: hash(g^xi | g^xr), cut to a block; then the last block of the message before
//!   later     first IV of an exchange: hash(last block of phase 1 | message ID); then as in phase 1
//! ```
//! Read RFC 2409 appendix B before changing this file.

use std::collections::BTreeMap;

use md5::Md5;
use ravelin_types::Secret;
use ravelin_types::transform::{EncrId, PrfId};
use ravelin_wire::ike::v1::{AuthMethod, Content, HashId, IkeAttribute, IkeEncr, Message, Payload, Payloads};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::numbers::Numbers;
use super::proof::{Proof, Verdict};
use crate::keys::provider;

/// The exchanges of phase 1.
const MAIN_MODE: u8 = 2;
const AGGRESSIVE: u8 = 4;
/// Exchanges of one ISAKMP SA of which the next IV is known, and messages that were seen.
const MAX_KNOWN: usize = 4096;

/// What a capture has shown of one ISAKMP SA.
#[derive(Default)]
pub(crate) struct Phase1 {
    encr: Option<EncrId>,
    hash: Option<HashId>,
    method: Option<AuthMethod>,
    proof: Proof,
    /// The public values in the order of their appearance: the initiator's comes first.
    publics: Vec<Vec<u8>>,
    /// The last block of the last message of phase 1.
    last: Vec<u8>,
    /// Next IV of the other exchanges, by message ID.
    ivs: BTreeMap<u32, Vec<u8>>,
    /// IVs of messages that were seen, by message ID and the first bytes of ciphertext, for those sent again.
    seen: BTreeMap<(u32, Vec<u8>), Vec<u8>>,
}

impl Phase1 {
    /// Looks at a message in the clear for what was chosen, and for public values.
    pub(super) fn learn(&mut self, message: &[u8]) {
        let Ok(Message { content: Content::Clear(payloads), .. }) = Message::parse(message) else { return };
        for payload in payloads.all() {
            match payload {
                Payload::Sa(sa) => {
                    // The last one that is seen in the clear is what the responder chose.
                    let transform = sa.0.first().and_then(|proposal| proposal.transforms.first());
                    for attribute in transform.into_iter().flat_map(|transform| &transform.attributes) {
                        let number = attribute.as_number().unwrap_or_default() as u16;
                        match IkeAttribute(attribute.kind) {
                            IkeAttribute::ENCRYPTION => self.encr = cipher(IkeEncr(number)),
                            IkeAttribute::HASH => self.hash = Some(HashId(number)),
                            IkeAttribute::AUTHENTICATION_METHOD => self.method = Some(AuthMethod(number)),
                            _ => {}
                        }
                    }
                }
                Payload::Ke(public) if self.publics.len() < 2 && !self.publics.contains(&public.0) => {
                    self.publics.push(public.0.clone());
                }
                _ => {}
            }
        }
    }

    /// Looks at payloads of phase 1, read from `bytes`: what these keys say of the hash among them, if there is one that is about a
    /// pre-shared key, and all that it covers was seen.
    pub(super) fn judge(
        &mut self,
        numbers: &Numbers,
        payloads: &Payloads,
        bytes: &[u8],
        psks: &[Secret],
    ) -> Option<Verdict> {
        if psks.is_empty() || numbers.message_id != 0 || ![MAIN_MODE, AGGRESSIVE].contains(&numbers.exchange) {
            return None;
        }
        self.proof.learn(payloads, bytes);
        let with_key =
            [AuthMethod::PRE_SHARED_KEY, AuthMethod::XAUTH_INIT_PRE_SHARED, AuthMethod::XAUTH_RESP_PRE_SHARED];
        let hash = payloads.all().iter().find_map(|payload| match payload {
            Payload::Hash(hash) => Some(&hash.0),
            _ => None,
        });
        let hash = hash.filter(|_| self.method.is_some_and(|method| with_key.contains(&method)))?;
        self.proof.judge(hash, (numbers.initiator, numbers.responder), self.hash?, psks)
    }

    /// Takes an end of phase 1, where no part of it was seen.
    pub(crate) fn assume(&mut self, encr: EncrId, prf: PrfId, last: &[u8]) {
        if self.last.is_empty() && self.publics.is_empty() {
            self.encr = Some(encr);
            self.hash = match prf {
                PrfId::HMAC_MD5 => Some(HashId::MD5),
                PrfId::HMAC_SHA1 => Some(HashId::SHA1),
                PrfId::HMAC_SHA2_256 => Some(HashId::SHA2_256),
                PrfId::HMAC_SHA2_384 => Some(HashId::SHA2_384),
                PrfId::HMAC_SHA2_512 => Some(HashId::SHA2_512),
                _ => None,
            };
            self.last = last.to_vec();
        }
    }

    /// Decrypts the body of a message.
    pub(super) fn open(&mut self, numbers: &Numbers, key: &Secret, body: &[u8]) -> Result<Vec<u8>, String> {
        let id = self.encr.ok_or("the capture does not show which cipher was chosen")?;
        let encr = provider().encr(id).ok_or_else(|| format!("{id} is not built in"))?;
        let block = encr.block_len();
        if !body.len().is_multiple_of(block) {
            return Err(format!("{} bytes are no multiple of the block of {id}, {block}", body.len()));
        }
        let known = (numbers.message_id, body[..block].to_vec());
        let iv = match self.seen.get(&known) {
            Some(iv) => iv.clone(),
            None => self.iv(numbers.message_id, block)?,
        };
        let ready = encr.key(key.expose()).map_err(|_| format!("the key does not fit {id}"))?;
        let mut plain = body.to_vec();
        ready.open(&iv, &[], &mut plain, &[]).map_err(|_| "it cannot be decrypted".to_owned())?;
        if self.seen.len() < MAX_KNOWN && self.ivs.len() < MAX_KNOWN && !self.seen.contains_key(&known) {
            self.seen.insert(known, iv);
            let next = body[body.len() - block..].to_vec();
            if numbers.message_id == 0 {
                self.last = next;
            } else {
                self.ivs.insert(numbers.message_id, next);
            }
        }
        Ok(plain)
    }

    fn iv(&self, message_id: u32, block: usize) -> Result<Vec<u8>, String> {
        let hash = self.hash.ok_or("the capture does not show which hash was chosen")?;
        let made = match (message_id, self.last.is_empty()) {
            (0, true) => match self.publics.as_slice() {
                [initiator, responder] => digest(hash, &[initiator, responder])?,
                _ => return Err("the capture does not show both public values, from which the first IV is made".into()),
            },
            (0, false) => self.last.clone(),
            (_, true) => return Err("the capture does not show the end of phase 1, from which its IV is made".into()),
            (id, false) => match self.ivs.get(&id) {
                Some(iv) => iv.clone(),
                None => digest(hash, &[&self.last, &id.to_be_bytes()])?,
            },
        };
        made.get(..block).map(<[u8]>::to_vec).ok_or_else(|| "the hash is shorter than a block".into())
    }
}

fn cipher(id: IkeEncr) -> Option<EncrId> {
    Some(match id {
        IkeEncr::DES => EncrId::DES,
        IkeEncr::DES3 => EncrId::DES3,
        IkeEncr::AES => EncrId::AES_CBC,
        IkeEncr::CAMELLIA => EncrId::CAMELLIA_CBC,
        _ => return None,
    })
}

fn digest(hash: HashId, parts: &[&[u8]]) -> Result<Vec<u8>, String> {
    fn over<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
        parts.iter().fold(D::new(), |hash, part| hash.chain_update(part)).finalize().to_vec()
    }
    Ok(match hash {
        HashId::MD5 => over::<Md5>(parts),
        HashId::SHA1 => over::<Sha1>(parts),
        HashId::SHA2_256 => over::<Sha256>(parts),
        HashId::SHA2_384 => over::<Sha384>(parts),
        HashId::SHA2_512 => over::<Sha512>(parts),
        other => return Err(format!("the hash {other} is not built in")),
    })
}

/// Vendor IDs whose bytes are a hash of a text, by that text.
const HASHED: &[&str] = &[
    "RFC 3947",
    "draft-ietf-ipsec-nat-t-ike-00",
    "draft-ietf-ipsec-nat-t-ike-02",
    "draft-ietf-ipsec-nat-t-ike-02\n",
    "draft-ietf-ipsec-nat-t-ike-03",
    "FRAGMENTATION",
    "strongSwan",
];

/// Vendor IDs that are bytes without a text.
const PLAIN: &[(&[u8], &str)] = &[
    (&[0xaf, 0xca, 0xd7, 0x13, 0x68, 0xa1, 0xf1, 0xc9, 0x6b, 0x86, 0x96, 0xfc, 0x77, 0x57], "DPD (RFC 3706)"),
    (&[0x09, 0x00, 0x26, 0x89, 0xdf, 0xd6, 0xb7, 0x12], "XAUTH"),
    (&[0x12, 0xf5, 0xf2, 0x8c, 0x45, 0x71, 0x68, 0xa9, 0x70, 0x2d, 0x9f, 0xe2, 0x74, 0xcc], "Cisco Unity"),
];

/// What a vendor ID is, as far as it is known.
pub(super) fn vendor_name(bytes: &[u8]) -> String {
    if let Some((_, name)) = PLAIN.iter().find(|(known, _)| bytes.starts_with(known)) {
        return (*name).into();
    }
    // Some append flags to the hash.
    if let Some(text) = HASHED.iter().find(|text| bytes.starts_with(&Md5::digest(text.as_bytes()))) {
        return text.trim_end().into();
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && text.chars().all(|c| !c.is_control()) => format!("\"{text}\""),
        _ => "not known".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendors() {
        let known = [0x4a, 0x13, 0x1c, 0x81, 0x07, 0x03, 0x58, 0x45, 0x5c, 0x57, 0x28, 0xf2, 0x0e, 0x95, 0x45, 0x2f];
        assert_eq!(vendor_name(&known), "RFC 3947");
        assert_eq!(vendor_name(b"some text"), "\"some text\"");
        assert_eq!(vendor_name(&[0, 1, 2]), "not known");
    }
}
