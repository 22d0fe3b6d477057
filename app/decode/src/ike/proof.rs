//! Whether the two sides of an ISAKMP SA have a pre-shared key that is at hand (RFC 2409 §5, §5.4).
//!
//! ```text
//!   SKEYID = prf(pre-shared key, Ni_b | Nr_b)
//!   HASH_I = prf(SKEYID, g^xi | g^xr | CKY-I | CKY-R | SAi_b | IDii_b)
//!   HASH_R = prf(SKEYID, g^xr | g^xi | CKY-R | CKY-I | SAi_b | IDir_b)
//! ```
//! All of it but the key is on the wire: in the clear in aggressive mode, and in main mode but for identities and hashes, which the
//! key of the cipher opens. A pre-shared key alone opens nothing: keys of ciphers are made from the Diffie-Hellman secret, too.
//!
//! Of IKEv2 nothing can be said: AUTH covers SK_pi and SK_pr, which no table of keys has.

use ravelin_types::transform::PrfId;
use ravelin_types::{IkeSpi, Secret};
use ravelin_wire::ike::v1::{HashId, Payload, Payloads};

use crate::keys::provider;

/// What the messages of phase 1 have shown, as it was sent.
#[derive(Default)]
pub(super) struct Proof {
    /// The body of the initiator's SA payload.
    sa: Vec<u8>,
    /// g^xi and g^xr.
    publics: Vec<Vec<u8>>,
    nonces: Vec<Vec<u8>>,
    /// The bodies of IDii and IDir.
    ids: Vec<Vec<u8>>,
}

/// What a key says of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is HASH_I of a key given.
    Initiator,
    /// It is HASH_R of a key given.
    Responder,
    /// It is of another key.
    Neither,
}

impl Proof {
    /// Takes what these payloads of phase 1, read from `bytes`, add. A repetition adds nothing.
    pub(super) fn learn(&mut self, payloads: &Payloads, bytes: &[u8]) {
        for (index, payload) in payloads.all().iter().enumerate() {
            let body = payloads.body(index).and_then(|range| bytes.get(range)).unwrap_or_default();
            let list = match payload {
                Payload::Sa(_) if self.sa.is_empty() => {
                    self.sa = body.to_vec();
                    continue;
                }
                Payload::Ke(_) => &mut self.publics,
                Payload::Nonce(_) => &mut self.nonces,
                Payload::Id(_) => &mut self.ids,
                _ => continue,
            };
            if list.len() < 2 && !list.iter().any(|known| known == body) {
                list.push(body.to_vec());
            }
        }
    }

    /// Compares a hash with what each of the keys gives. `None`: not all that it covers was seen.
    pub(super) fn judge(
        &self,
        hash: &[u8],
        cookies: (IkeSpi, IkeSpi),
        kind: HashId,
        psks: &[Secret],
    ) -> Option<Verdict> {
        let ([initiator, responder], [ni, nr]) = (self.publics.as_slice(), self.nonces.as_slice()) else { return None };
        let prf = provider().prf(prf(kind)?)?;
        let of = |key: &[u8], parts: &[&[u8]]| {
            let mut out = vec![0; prf.output_len()];
            prf.prf(key, parts, &mut out);
            Secret::new(out)
        };
        let (cky_i, cky_r) = (cookies.0.0.to_be_bytes(), cookies.1.0.to_be_bytes());
        for psk in psks {
            let skeyid = of(psk.expose(), &[ni, nr]);
            let forth = |id: &[u8]| of(skeyid.expose(), &[initiator, responder, &cky_i, &cky_r, &self.sa, id]);
            let back = |id: &[u8]| of(skeyid.expose(), &[responder, initiator, &cky_r, &cky_i, &self.sa, id]);
            if self.ids.first().is_some_and(|id| forth(id).expose() == hash) {
                return Some(Verdict::Initiator);
            }
            if self.ids.last().is_some_and(|id| back(id).expose() == hash) {
                return Some(Verdict::Responder);
            }
        }
        (!self.ids.is_empty() && !psks.is_empty()).then_some(Verdict::Neither)
    }
}

fn prf(hash: HashId) -> Option<PrfId> {
    Some(match hash {
        HashId::MD5 => PrfId::HMAC_MD5,
        HashId::SHA1 => PrfId::HMAC_SHA1,
        HashId::SHA2_256 => PrfId::HMAC_SHA2_256,
        HashId::SHA2_384 => PrfId::HMAC_SHA2_384,
        HashId::SHA2_512 => PrfId::HMAC_SHA2_512,
        _ => return None,
    })
}
