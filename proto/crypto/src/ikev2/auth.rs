//! What AUTH covers, and AUTH with a pre-shared key (RFC 7296 §2.15).

use alloc::boxed::Box;
use alloc::vec::Vec;

use ravelin_types::Secret;
use subtle::ConstantTimeEq;

use super::schedule::{MAX_OUTPUT, prf_once};
use crate::error::Forged;
use crate::provider::{PrfAlg, PrfKey};

/// What comes before the messages where both are signed: no message begins so, for an SPI of an initiator is not zero.
const ZERO_PREFIX: [u8; 8] = [0; 8];

/// `prf(secret, "Key Pad for IKEv2")` as a key: that of AUTH with a secret that both sides have.
pub fn shared_key(prf: &dyn PrfAlg, secret: &Secret) -> Box<dyn PrfKey> {
    prf.key(prf_once(prf, secret.expose(), &[b"Key Pad for IKEv2"]).expose())
}

/// The octets that one side signs: its first message, the other side's nonce, and its identity keyed with its SK_p.
#[derive(Clone, Debug)]
pub struct SignedOctets<'a> {
    /// Eight octets of zero and the message that the signer received, or nothing.
    received: [&'a [u8]; 2],
    message: &'a [u8],
    nonce: &'a [u8],
    maced_id: Mac,
    intermediate: &'a [u8],
}

/// The output of a prf.
#[derive(Clone, Debug)]
struct Mac {
    octets: [u8; MAX_OUTPUT],
    len: usize,
}

impl Mac {
    /// What `act` writes.
    fn of(prf: &dyn PrfAlg, act: impl FnOnce(&mut [u8])) -> Self {
        let mut mac = Mac { octets: [0; MAX_OUTPUT], len: prf.output_len() };
        act(&mut mac.octets[..mac.len]);
        mac
    }

    fn octets(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

impl<'a> SignedOctets<'a> {
    /// `message` is the signer's whole IKE_SA_INIT message as it was on the wire (the one that was answered: with
    /// the cookie, without the non-ESP marker), `nonce` the *other* side's nonce, `sk_p` the signer's SK_pi or SK_pr,
    /// and `id_body` the signer's ID payload without its generic header: ID type, three reserved octets, data.
    pub fn new(prf: &dyn PrfAlg, message: &'a [u8], nonce: &'a [u8], sk_p: &Secret, id_body: &[u8]) -> Self {
        let maced_id = Mac::of(prf, |out| prf.prf(sk_p.expose(), &[id_body], out));
        SignedOctets { received: [&[]; 2], message, nonce, maced_id, intermediate: &[] }
    }

    /// The same where both sides sign the whole of IKE_SA_INIT: `received` is the message that came from the other side, as it was
    /// on the wire (draft-ietf-ipsecme-ikev2-downgrade-prevention-08).
    #[must_use]
    pub fn with_received(mut self, received: &'a [u8]) -> Self {
        self.received = [&ZERO_PREFIX, received];
        self
    }

    /// The same with what the IKE_INTERMEDIATE exchanges add (RFC 9242 §3.3.2); nothing where there was none.
    #[must_use]
    pub fn with_intermediate(mut self, int_auth: &'a [u8]) -> Self {
        self.intermediate = int_auth;
        self
    }

    /// The octets, in pieces to be concatenated.
    pub fn parts(&self) -> [&[u8]; 6] {
        let [zeros, received] = self.received;
        [zeros, received, self.message, self.nonce, self.maced_id.octets(), self.intermediate]
    }

    /// AUTH data of method 2: `prf(prf(secret, "Key Pad for IKEv2"), octets)`, the key as [`shared_key`] gives it.
    pub fn shared_auth(&self, prf: &dyn PrfAlg, key: &dyn PrfKey) -> Vec<u8> {
        self.shared(prf, key).octets().to_vec()
    }

    fn shared(&self, prf: &dyn PrfAlg, key: &dyn PrfKey) -> Mac {
        Mac::of(prf, |out| key.prf(&self.parts(), out))
    }

    /// AUTH data of a resumed IKE SA: `prf(SK_px, octets)` (RFC 5723 §4.3.3).
    pub fn keyed_auth(&self, prf: &dyn PrfAlg, key: &Secret) -> Vec<u8> {
        self.keyed(prf, key).octets().to_vec()
    }

    fn keyed(&self, prf: &dyn PrfAlg, key: &Secret) -> Mac {
        Mac::of(prf, |out| prf.prf(key.expose(), &self.parts(), out))
    }

    /// Compares the peer's AUTH data with [`SignedOctets::shared_auth`], in constant time.
    ///
    /// # Errors
    /// When they differ.
    pub fn verify_shared_auth(&self, prf: &dyn PrfAlg, key: &dyn PrfKey, auth: &[u8]) -> Result<(), Forged> {
        if bool::from(self.shared(prf, key).octets().ct_eq(auth)) { Ok(()) } else { Err(Forged) }
    }

    /// The same with [`SignedOctets::keyed_auth`].
    ///
    /// # Errors
    /// When they differ.
    pub fn verify_keyed_auth(&self, prf: &dyn PrfAlg, key: &Secret, auth: &[u8]) -> Result<(), Forged> {
        if bool::from(self.keyed(prf, key).octets().ct_eq(auth)) { Ok(()) } else { Err(Forged) }
    }
}
