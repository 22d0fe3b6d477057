//! Stateless challenges: before keeping state for an IKE_SA_INIT under load, see that its sender can receive.
//!
//! `cookie = generation (1) | bits (1) | second (1) | prf(secret, Ni | SPIi | address | port | bits | second)`; the secret
//! changes every [`limits::COOKIE_SECRET_LIFETIME`], and cookies of the one before are still good. `bits` is how hard the puzzle
//! is that went with it (0: none), `second` when that was, in the life of the secret (RFC 8019 §7.1.1.3).
//! Read RFC 7296 §2.6 and RFC 8019 §10 before changing this file.

use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use ravelin_crypto::{CryptoProvider, SecureRandom};
use ravelin_types::{IkeSpi, Instant, Secret};
use subtle::ConstantTimeEq;

use crate::limits;
use crate::sa_table::Counts;

/// The secrets behind cookies.
pub(crate) struct Cookies {
    generation: u8,
    made: Instant,
    current: Secret,
    /// With the time at which it was made.
    previous: Option<(Secret, Instant)>,
    /// Cookies that are not ours and were answered all the same, since then.
    wrong: (Counts, Instant),
}

/// A cookie that was made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vouched {
    /// How hard the puzzle is that went with it; 0: there was none, or it is too long ago.
    pub(crate) bits: u8,
    /// A number that nobody could choose.
    pub(crate) lot: u8,
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
        Cookies { generation: 0, made: now, current: fresh(rng), previous: None, wrong: (Counts::default(), now) }
    }

    /// The cookie to send, with a puzzle that is so hard.
    pub(crate) fn make(
        &mut self,
        claim: Claim<'_>,
        bits: u8,
        crypto: &CryptoProvider,
        rng: &mut dyn SecureRandom,
        now: Instant,
    ) -> Option<Vec<u8>> {
        self.rotate(rng, now);
        let second = seconds(now, self.made);
        compute([self.generation, bits, second], &self.current, claim, crypto)
    }

    /// What it says if this cookie was made here for this request, lately.
    pub(crate) fn accepts(
        &mut self,
        cookie: &[u8],
        claim: Claim<'_>,
        crypto: &CryptoProvider,
        rng: &mut dyn SecureRandom,
        now: Instant,
    ) -> Option<Vouched> {
        self.rotate(rng, now);
        let head @ [generation, bits, second] = *cookie.first_chunk::<3>()?;
        let (secret, made) = match &self.previous {
            _ if generation == self.generation => (&self.current, self.made),
            Some((secret, made)) if generation.wrapping_add(1) == self.generation => (secret, *made),
            _ => return None,
        };
        let expected = compute(head, secret, claim, crypto)?;
        if !bool::from(expected.as_slice().ct_eq(cookie)) {
            return None;
        }
        let fresh = now.since(made + Duration::from_secs(second.into())) < limits::PUZZLE_TIME;
        Some(Vouched { bits: if fresh { bits } else { 0 }, lot: expected.last().copied().unwrap_or_default() })
    }

    /// Whether a cookie that is not ours is answered with another. It may be of a secret that is gone, or from before a restart
    /// (RFC 7296 §2.6), so honest peers have one now and then. Whoever goes on bringing them would be answered for ever. That is a rate
    /// and about wrong cookies alone: requests without a cookie, and with a good one, are answered whatever others send in the same
    /// name.
    pub(crate) fn may_replace(&mut self, from: IpAddr, now: Instant) -> bool {
        let (counts, since) = &mut self.wrong;
        if now.since(*since) >= Duration::from_secs(1) {
            (*counts, *since) = (Counts::default(), now);
        }
        let may = counts.from(from) < limits::WRONG_COOKIES_PER_ADDRESS && counts.total() < limits::WRONG_COOKIES;
        if may {
            counts.add(from);
        }
        may
    }

    fn rotate(&mut self, rng: &mut dyn SecureRandom, now: Instant) {
        let age = now.since(self.made);
        if age < limits::COOKIE_SECRET_LIFETIME {
            return;
        }
        let last = core::mem::replace(&mut self.current, fresh(rng));
        // A secret that nobody asked for during two lifetimes is too old to be honoured.
        self.previous = (age < limits::COOKIE_SECRET_LIFETIME * 2).then_some((last, self.made));
        self.generation = self.generation.wrapping_add(1);
        self.made = now;
    }
}

/// Whole seconds since then, less than [`limits::COOKIE_SECRET_LIFETIME`].
fn seconds(now: Instant, made: Instant) -> u8 {
    u8::try_from(now.since(made).as_secs()).unwrap_or(u8::MAX)
}

fn fresh(rng: &mut dyn SecureRandom) -> Secret {
    let mut bytes = vec![0; 32];
    rng.fill(&mut bytes);
    Secret::new(bytes)
}

/// `None` only for a provider without any prf, which cannot do IKE at all.
fn compute(head: [u8; 3], secret: &Secret, claim: Claim<'_>, crypto: &CryptoProvider) -> Option<Vec<u8>> {
    let prf = crypto.prf.first()?;
    let (spi, port) = (claim.spi.0.to_be_bytes(), claim.from.port().to_be_bytes());
    let address = match claim.from.ip() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let mut digest = vec![0; prf.output_len()];
    prf.prf(secret.expose(), &[claim.nonce, &spi, &address, &port, &head[1..]], &mut digest);
    // RFC 7296 §2.6: at most 64 octets; 32 are as good.
    digest.truncate(32);
    Some([&head[..], &digest[..]].concat())
}
