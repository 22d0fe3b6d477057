//! What SAs are made of besides their place in the SAD: made at the start and used again by an engine that asks for no
//! memory later ([`Limits::suites`]). Each pool takes back as many as it was made with; those of other engines are empty,
//! so that what an SA needs is made for it and goes with it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use ravelin_crypto::CryptoProvider;
use ravelin_types::dataplane::DataPlaneError;
use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::proposal::{EspSuite, Suite};
use ravelin_types::sa::{Direction, SaKeys, SaLookup, SaParams};
use ravelin_types::selector::Side;
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_types::{Instant, Secret, Spi};

use super::Cold;
use crate::limits::Limits;
use crate::replay::ReplayWindow;
use crate::suite::KeyedSuite;

/// Keys no longer than this find room in what was made at the start.
const KEY_ROOM: usize = 64;

/// What an SA is taken apart into.
pub(crate) struct Parts {
    pub suite: KeyedSuite,
    pub cold: Box<Cold>,
    /// Inbound.
    pub window: Option<ReplayWindow>,
}

/// Parts without an SA.
pub(crate) struct Spares {
    crypto: CryptoProvider,
    suites: Vec<OfSuite>,
    #[expect(clippy::vec_box, reason = "an SA takes the box as it is")]
    colds: Vec<Box<Cold>>,
    windows: Vec<ReplayWindow>,
}

/// Those with the algorithms of one suite.
struct OfSuite {
    suite: Suite,
    /// Zeros of the lengths of its keys.
    blank: SaKeys,
    ready: Vec<KeyedSuite>,
}

impl Spares {
    pub fn new(limits: &Limits, direction: Direction, crypto: &CryptoProvider) -> Self {
        let count = limits.reserved(limits.sas);
        let windows = if direction == Direction::Inbound { count } else { 0 };
        let mut spares = Spares {
            crypto: *crypto,
            suites: Vec::new(),
            colds: filled(count, || Box::new(Cold::new(blank(limits), Instant::ZERO))),
            windows: filled(windows, || ReplayWindow::new(limits.replay_window)),
        };
        for suite in limits.suites {
            let suite = suite.labelled(Spi::default());
            let Some(blank_keys) = blank_keys(&suite, crypto) else { continue };
            let replay_window = limits.replay_window;
            let params = SaParams { direction, suite, keys: blank_keys, replay_window, ..blank(limits) };
            // A suite that no SA can have reserves nothing; who adds one is told why.
            if spares.of(&params).is_none()
                && KeyedSuite::check(&params).and_then(|()| KeyedSuite::new(&params, crypto)).is_ok()
            {
                let keyed = || KeyedSuite::new(&params, crypto).ok();
                let mut ready = Vec::with_capacity(count);
                ready.extend((0..count).filter_map(|_| keyed()));
                spares.suites.push(OfSuite { suite, blank: params.keys, ready });
            }
        }
        spares
    }

    /// The keys of an SA in place.
    pub fn keys(&mut self, params: &SaParams) -> Result<KeyedSuite, DataPlaneError> {
        KeyedSuite::check(params)?;
        let Some(mut suite) = self.of(params).and_then(|of| of.ready.pop()) else {
            return KeyedSuite::new(params, &self.crypto);
        };
        let readied = suite.renew(params, &self.crypto);
        readied.map(|()| suite).map_err(|bad| DataPlaneError::algorithm(format_args!("the keys of an SA: {bad}")))
    }

    /// What packets do not need, of an SA that is added now.
    pub fn cold(&mut self, params: &SaParams, now: Instant) -> Box<Cold> {
        match self.colds.pop() {
            Some(mut cold) => {
                let mut own = cold.params;
                own.copy_from(params);
                *cold = Cold::new(own, now);
                cold
            }
            None => Box::new(Cold::new(params.clone(), now)),
        }
    }

    pub fn window(&mut self, size: u32) -> ReplayWindow {
        match self.windows.pop() {
            Some(mut window) => {
                window.renew(size);
                window
            }
            None => ReplayWindow::new(size),
        }
    }

    /// Takes back what an SA was made of, without its keys.
    pub fn put(&mut self, parts: Parts) {
        let Parts { mut suite, mut cold, window } = parts;
        if let Some(of) = self.of(&cold.params)
            && suite.replace(&of.blank).is_ok()
        {
            put(&mut of.ready, suite);
        }
        cold.params.keys.copy_from(&SaKeys::default());
        (cold.sender, cold.receiver) = (None, None);
        put(&mut self.colds, cold);
        if let Some(window) = window {
            put(&mut self.windows, window);
        }
    }

    /// Those that an SA with these parameters may have been made of.
    fn of(&mut self, params: &SaParams) -> Option<&mut OfSuite> {
        let lengths = |keys: &SaKeys| [keys.encr.len(), keys.integ.len(), keys.ah.len()];
        let suite = params.suite.labelled(Spi::default());
        let same = |of: &&mut OfSuite| of.suite == suite && lengths(&of.blank) == lengths(&params.keys);
        self.suites.iter_mut().find(same)
    }
}

fn filled<T>(count: usize, make: impl FnMut() -> T) -> Vec<T> {
    let mut pool = Vec::with_capacity(count);
    pool.resize_with(count, make);
    pool
}

fn put<T>(pool: &mut Vec<T>, part: T) {
    if pool.len() < pool.capacity() {
        pool.push(part);
    }
}

/// `None` when the provider lacks an algorithm.
fn blank_keys(suite: &Suite, crypto: &CryptoProvider) -> Option<SaKeys> {
    let zeros = |len: usize| Secret::new(alloc::vec![0; len]);
    let mut keys = SaKeys::default();
    if let Some(esp) = suite.esp() {
        keys.encr = zeros(usize::from(esp.encr_key_bits) / 8 + crypto.encr(esp.encr)?.salt_len());
        keys.integ = zeros(crypto.integ(esp.integ).map_or(0, |alg| alg.key_len()));
    }
    if let Some(ah) = suite.ah() {
        keys.ah = zeros(crypto.integ(ah.integ)?.key_len());
    }
    Some(keys)
}

/// Parameters of no SA, with room for those of any.
fn blank(limits: &Limits) -> SaParams {
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let key = || Secret::with_capacity(KEY_ROOM);
    SaParams {
        direction: Direction::Outbound,
        spi: Spi::default(),
        pair: Spi::default(),
        lookup: SaLookup::Spi,
        src: any,
        dst: any,
        mode: Mode::Tunnel,
        encap: None,
        original: None,
        suite: Suite::Esp(EspSuite {
            encr: EncrId::NULL,
            encr_key_bits: 0,
            integ: IntegId::NONE,
            sn: SnId::SEQUENTIAL_32,
        }),
        keys: SaKeys { encr: key(), integ: key(), ah: key() },
        policy: PolicyId(0),
        local_ts: Side::with_capacity(limits.selectors),
        remote_ts: Side::with_capacity(limits.selectors),
        lifetime: Lifetime::default(),
        replay_window: 0,
        options: SaOptions::default(),
    }
}
