//! The engine as a whole: two halves and the operations they share.
//!
//! ```text
//!  clear packet ──► Outbound::process ──► Send(outer)       ESP packet ──► Inbound::process ──► Deliver
//!                      │  flow cache ─► SPD ─► SAD              │  SPI ─► SAD ─► replay ─► open ─► selectors
//!                      └─ seal                                  └─ clear packet: SPD, protection required?
//!  DataPlaneOp ──► apply (policies to both, an SA to its half)      poll_event ──► Acquire, *Expire, PeerMoved
//! ```
//! Read RFC 4301 §5 and RFC 4303 §3 before changing what a half does with a packet.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use ravelin_crypto::{CryptoProvider, SecureRandom};
use ravelin_types::Instant;
use ravelin_types::dataplane::{DataPlaneError, DataPlaneEvent, DataPlaneOp, SaStatus};
use ravelin_types::sa::{Direction, SaCounters, SaParams};

use crate::classifier::Classifier;
use crate::extras::{TfcPadding, random_padding};
use crate::inbound::Inbound;
use crate::limits::{self, Limits};
use crate::outbound::Outbound;
use crate::spd::Spd;

/// What happens to a packet that no policy selects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoMatch {
    /// It is dropped (RFC 4301 §4.4.1 and §5).
    #[default]
    Discard,
    /// It passes in the clear: for a data plane that sees only part of a host's traffic.
    Bypass,
}

/// How an engine behaves.
#[derive(Clone, Copy, Debug)]
pub struct EngineConfig {
    /// For packets without a policy.
    pub no_match: NoMatch,
    /// An acquire without an answer is raised again after this.
    pub acquire_timeout: Duration,
    /// How much TFC padding a packet gets, of SAs that want it ([`SaOptions::tfc`]).
    ///
    /// [`SaOptions::tfc`]: ravelin_types::options::SaOptions::tfc
    pub tfc_padding: TfcPadding,
    /// How much it keeps.
    pub limits: Limits,
}

impl Default for EngineConfig {
    fn default() -> Self {
        EngineConfig {
            no_match: NoMatch::default(),
            acquire_timeout: limits::ACQUIRE_TIMEOUT,
            tfc_padding: random_padding,
            limits: Limits::default(),
        }
    }
}

/// Both halves together.
pub struct Engine {
    /// Protects packets that leave.
    pub outbound: Outbound,
    /// Opens and checks packets that arrive.
    pub inbound: Inbound,
}

impl Engine {
    /// An engine with no policy and no SA. `rng` seeds the hash tables and makes the IVs of CBC ciphers.
    pub fn new(config: EngineConfig, crypto: CryptoProvider, rng: Box<dyn SecureRandom>) -> Self {
        Self::build(config, crypto, rng, [None, None])
    }

    /// [`Engine::new`] with other classifiers than the tables in memory. `outbound` finds the policies of packets that leave,
    /// `inbound` those of packets that arrive.
    pub fn with_classifiers(
        config: EngineConfig,
        crypto: CryptoProvider,
        rng: Box<dyn SecureRandom>,
        outbound: Box<dyn Classifier>,
        inbound: Box<dyn Classifier>,
    ) -> Self {
        Self::build(config, crypto, rng, [Some(outbound), Some(inbound)])
    }

    fn build(
        config: EngineConfig,
        crypto: CryptoProvider,
        mut rng: Box<dyn SecureRandom>,
        [outbound, inbound]: [Option<Box<dyn Classifier>>; 2],
    ) -> Self {
        let limits = config.limits;
        let inbound_seed = seed(&mut *rng);
        let spd = Spd::new(inbound_seed, Direction::Inbound, limits, inbound);
        let inbound = Inbound::new(config, crypto, inbound_seed, spd);
        let outbound_seed = seed(&mut *rng);
        let spd = Spd::new(outbound_seed, Direction::Outbound, limits, outbound);
        Engine { outbound: Outbound::new(config, crypto, outbound_seed, spd, rng), inbound }
    }

    /// The halves, each to be moved to its own thread.
    pub fn split(self) -> (Outbound, Inbound) {
        (self.outbound, self.inbound)
    }

    /// Carries out one operation in the half or halves it concerns. `now` starts the lifetime of an SA.
    ///
    /// # Errors
    /// Every [`DataPlaneError`] says which precondition failed; nothing has changed then. (With [`Engine::with_classifiers`]
    /// the inbound classifier may refuse a policy that the outbound one took; delete it then.)
    pub fn apply(&mut self, op: &DataPlaneOp, now: Instant) -> Result<(), DataPlaneError> {
        self.outbound.apply(op, now)?;
        self.inbound.apply(op, now)
    }

    /// The next event of either half, or `None`.
    pub fn poll_event(&mut self) -> Option<DataPlaneEvent> {
        self.outbound.poll_event().or_else(|| self.inbound.poll_event())
    }

    /// Ends what has outlived its time by `now`.
    pub fn tick(&mut self, now: Instant) {
        self.outbound.tick(now);
        self.inbound.tick(now);
    }

    /// When [`Engine::tick`] has something to do next.
    pub fn deadline(&self) -> Option<Instant> {
        match (self.outbound.deadline(), self.inbound.deadline()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The SAs in force: outbound, then inbound.
    pub fn list(&self) -> Vec<SaStatus> {
        self.sas().map(copied).collect()
    }

    /// The SAs in force as [`Engine::list`] has them, without a copy of them.
    pub fn sas(&self) -> impl Iterator<Item = (&SaParams, SaCounters)> {
        self.outbound.sas().chain(self.inbound.sas())
    }
}

/// What a caller keeps of an SA.
pub(crate) fn copied((params, counters): (&SaParams, SaCounters)) -> SaStatus {
    SaStatus { params: params.clone(), counters }
}

fn seed(rng: &mut dyn SecureRandom) -> u64 {
    let mut bytes = [0; 8];
    rng.fill(&mut bytes);
    u64::from_ne_bytes(bytes)
}
