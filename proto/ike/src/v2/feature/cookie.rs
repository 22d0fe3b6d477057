//! Stateless challenges: before keeping state for an IKE_SA_INIT under load, see that its sender can receive.
//!
//! `cookie = generation (1) | prf(secret, Ni | SPIi | address | port)`; the secret changes every
//! [`limits::COOKIE_SECRET_LIFETIME`], and cookies of the one before are still good.
//! Read RFC 7296 §2.6 before changing this file.

use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use ravelin_crypto::{CryptoProvider, SecureRandom};
use ravelin_types::{IkeSpi, Instant, Secret};
use subtle::ConstantTimeEq;

use crate::limits;

/// The secrets behind cookies.
pub(crate) struct Cookies {
    generation: u8,
    made: Instant,
    current: Secret,
    previous: Option<Secret>,
}

/// What a cookie vouches for.
#[derive(Clone, Copy)]
pub(crate) struct Claim<'a> {
    /// Ni.
    pub(crate) nonce: &'a [u8],
    /// SPIi.
    pub(crate) spi: IkeSpi,
    /// Where the request came from.
    pub(crate) from: SocketAddr,
}

impl Cookies {
    /// With a first secret.
    pub(crate) fn new(rng: &mut dyn SecureRandom, now: Instant) -> Self {
        Cookies { generation: 0, made: now, current: fresh(rng), previous: None }
    }

    /// The cookie to send.
    pub(crate) fn make(
        &mut self,
        claim: Claim<'_>,
        crypto: &CryptoProvider,
        rng: &mut dyn SecureRandom,
        now: Instant,
    ) -> Option<Vec<u8>> {
        self.rotate(rng, now);
        compute(self.generation, &self.current, claim, crypto)
    }

    /// Whether this cookie was made here for this request, lately.
    pub(crate) fn accepts(
        &mut self,
        cookie: &[u8],
        claim: Claim<'_>,
        crypto: &CryptoProvider,
        rng: &mut dyn SecureRandom,
        now: Instant,
    ) -> bool {
        self.rotate(rng, now);
        let secret = match cookie.first() {
            Some(generation) if *generation == self.generation => Some(&self.current),
            Some(generation) if generation.wrapping_add(1) == self.generation => self.previous.as_ref(),
            _ => None,
        };
        match (secret, cookie.first()) {
            (Some(secret), Some(generation)) => compute(*generation, secret, claim, crypto)
                .is_some_and(|expected| bool::from(expected.as_slice().ct_eq(cookie))),
            _ => false,
        }
    }

    fn rotate(&mut self, rng: &mut dyn SecureRandom, now: Instant) {
        let age = now.since(self.made);
        if age < limits::COOKIE_SECRET_LIFETIME {
            return;
        }
        let last = core::mem::replace(&mut self.current, fresh(rng));
        // A secret that nobody asked for during two lifetimes is too old to be honoured.
        self.previous = (age < limits::COOKIE_SECRET_LIFETIME * 2).then_some(last);
        self.generation = self.generation.wrapping_add(1);
        self.made = now;
    }
}

fn fresh(rng: &mut dyn SecureRandom) -> Secret {
    let mut bytes = vec![0; 32];
    rng.fill(&mut bytes);
    Secret::new(bytes)
}

/// `None` only for a provider without any prf, which cannot do IKE at all.
fn compute(generation: u8, secret: &Secret, claim: Claim<'_>, crypto: &CryptoProvider) -> Option<Vec<u8>> {
    let prf = crypto.prf.first()?;
    let (spi, port) = (claim.spi.0.to_be_bytes(), claim.from.port().to_be_bytes());
    let address = match claim.from.ip() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let mut digest = vec![0; prf.output_len()];
    prf.prf(secret.expose(), &[claim.nonce, &spi, &address, &port], &mut digest);
    // RFC 7296 §2.6: at most 64 octets; 32 are as good.
    digest.truncate(32);
    let mut cookie = vec![generation];
    cookie.extend(digest);
    Some(cookie)
}
