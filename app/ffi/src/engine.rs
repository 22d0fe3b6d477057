//! Engines: their life, their time, their counters.

use std::ffi::{c_char, c_void};
use std::net::Ipv4Addr;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ravelin_engine::{EngineConfig, Limits, NoMatch, Requests};
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::policy::{Action, Domain, Mode, Policy, PolicyId, Ways};
use ravelin_types::proposal::{EspSuite, Suite};
use ravelin_types::sa::{Direction, SaKeys, SaLookup, SaParams};
use ravelin_types::selector::Side;
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_types::{Instant, Secret, Spi};

use crate::RvlStatus;
use crate::accelerator::{Calls, Hardware, RvlAccelerator};
use crate::handle::{self, RvlHandle, call};
use crate::sys::{self, Buffer, Out, Pieces, Random, RvlRandom};
use crate::{crypto, traffic};

/// What stands behind the handle of an engine.
pub(crate) struct Engine {
    requests: Requests<Pieces, Buffer, Hardware>,
    /// Where what C says of an SA or a policy becomes an operation, in the same memory each time.
    sa: Option<SaParams>,
    policy: Option<Policy>,
}

impl Deref for Engine {
    type Target = Requests<Pieces, Buffer, Hardware>;

    fn deref(&self) -> &Self::Target {
        &self.requests
    }
}

impl DerefMut for Engine {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.requests
    }
}

impl Engine {
    /// Adds the SA that `fill` describes.
    pub fn add_sa(
        &mut self,
        fill: impl FnOnce(&mut SaParams) -> Result<(), RvlStatus>,
        now: Instant,
    ) -> Result<(), RvlStatus> {
        let mut params = self.sa.take().unwrap_or_else(blank_sa);
        let filled = fill(&mut params);
        let op = DataPlaneOp::AddSa(params);
        let done = filled.and_then(|()| Ok(self.requests.apply(&op, now)?));
        if let DataPlaneOp::AddSa(mut params) = op {
            params.keys.copy_from(&SaKeys::default());
            self.sa = Some(params);
        }
        done
    }

    /// Adds the policy that `fill` describes.
    pub fn add_policy(&mut self, fill: impl FnOnce(&mut Policy) -> Result<(), RvlStatus>) -> Result<(), RvlStatus> {
        let mut policy = self.policy.take().unwrap_or_else(blank_policy);
        let filled = fill(&mut policy);
        let op = DataPlaneOp::AddPolicy(policy);
        let done = filled.and_then(|()| Ok(self.requests.apply(&op, instant(0))?));
        if let DataPlaneOp::AddPolicy(policy) = op {
            self.policy = Some(policy);
        }
        done
    }
}

/// No SA, with room for any.
fn blank_sa() -> SaParams {
    const KEY_ROOM: usize = 64;
    let none = EspSuite { encr: EncrId::NULL, encr_key_bits: 0, integ: IntegId::NONE, sn: SnId::SEQUENTIAL_32 };
    let key = || Secret::with_capacity(KEY_ROOM);
    SaParams {
        direction: Direction::Outbound,
        spi: Spi(0),
        pair: Spi(0),
        lookup: SaLookup::Spi,
        src: Ipv4Addr::UNSPECIFIED.into(),
        dst: Ipv4Addr::UNSPECIFIED.into(),
        mode: Mode::Tunnel,
        encap: None,
        original: None,
        suite: none.into(),
        keys: SaKeys { encr: key(), integ: key(), ah: Secret::default() },
        policy: PolicyId(0),
        local_ts: Side::with_capacity(2),
        remote_ts: Side::with_capacity(2),
        lifetime: Lifetime::default(),
        replay_window: 0,
        options: SaOptions::default(),
    }
}

/// No policy, with room for any.
pub(crate) fn blank_policy() -> Policy {
    /// The digits of a number.
    const NAME_ROOM: usize = 10;
    Policy {
        id: PolicyId(0),
        name: String::with_capacity(NAME_ROOM),
        domain: Domain(0),
        priority: 0,
        local: Vec::with_capacity(1),
        remote: Vec::with_capacity(1),
        action: Action::Discard,
        ways: Ways::Both,
    }
}

/// A packet without a policy passes in the clear.
pub const RVL_NO_MATCH_BYPASS: u32 = 0;
/// A packet without a policy is dropped.
pub const RVL_NO_MATCH_DISCARD: u32 = 1;

/// How an engine behaves.
#[repr(C)]
pub struct RvlEngineConfig {
    /// `RVL_NO_MATCH_...`
    pub no_match: u32,
    /// Fills IVs and seeds hash tables. Called from within other calls, on their threads.
    pub random: RvlRandom,
    /// Handed to `random`.
    pub random_context: *mut c_void,
    /// How many packets may be submitted and not yet completed.
    pub max_requests: u32,
    /// The most policies; 0: a million.
    pub max_policies: u32,
    /// The most SAs in each direction; 0: a million.
    pub max_sas: u32,
    /// The most events that wait in each direction, and acquires that wait for an SA; 0: many.
    pub max_events: u32,
    /// Sets of two or three flows that are remembered for each family and direction; 0: as many as there are SAs.
    pub flow_sets: u32,
    /// Hardware for packets that are submitted; null: there is none.
    pub accelerator: *const RvlAccelerator,
    /// The most selectors on one side of a policy or SA; 0: many. The structs here have one, or two for `any`.
    pub max_selectors: u32,
    /// The largest anti-replay window; 0: 4096.
    pub max_replay_window: u32,
    /// The suites of the SAs, for an engine that asks for no memory once it is made: all that the limits allow is taken then,
    /// so the most of policies, SAs, events and selectors must be given. No function of this header whose object is the engine
    /// asks for memory or gives some back from then on, but for SAs of other suites and for strings that are wrong. (The cipher
    /// library takes a little for each thread that meets its first forged packet.) Null: memory is taken when it is needed.
    pub suites: *const RvlSuite,
    /// How many.
    pub suite_count: usize,
}

/// The algorithms of ESP SAs.
#[repr(C)]
pub struct RvlSuite {
    /// As in `RvlSa`.
    pub encryption: *const c_char,
    /// As in `RvlSa`.
    pub integrity: *const c_char,
    /// As in `RvlSa`.
    pub extended_sequence: u8,
}

const MOST_REQUESTS: u32 = 1 << 16;

/// Makes an engine without policies and SAs, and its handle. The first call of all.
///
/// # Safety
/// `config` and `handle` point to what they say or are null; `random` and the callbacks of `accelerator` keep their promise
/// until the handle is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_engine_new(config: *const RvlEngineConfig, handle: *mut RvlHandle) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let (config, handle) = unsafe { (sys::read(config)?, Out::new(handle)?) };
        handle.set(0);
        let no_match = match config.no_match {
            RVL_NO_MATCH_BYPASS => NoMatch::Bypass,
            RVL_NO_MATCH_DISCARD => NoMatch::Discard,
            _ => return Err(RvlStatus::BadParam),
        };
        let capacity = config.max_requests.min(MOST_REQUESTS) as usize;
        // SAFETY: the caller's promise.
        let random = unsafe { Random::new(config.random, config.random_context)? };
        let calls = match config.accelerator.is_null() {
            true => None,
            // SAFETY: the caller's promise.
            false => Some(unsafe { Calls::new(sys::read(config.accelerator)?)? }),
        };
        // SAFETY: the caller's promise.
        let suites = unsafe { suites(config)? };
        // What is left open is a million, and would be taken now.
        let open = [config.max_policies, config.max_sas, config.max_events, config.max_selectors].contains(&0);
        if !suites.is_empty() && open {
            return Err(RvlStatus::BadParam);
        }
        let config = EngineConfig { no_match, limits: limits(config, suites), ..EngineConfig::default() };
        let engine = ravelin_engine::Engine::new(config, crypto::provider(), Box::new(random));
        let requests = Requests::new(engine, Hardware::new(calls, capacity), capacity);
        let engine = Engine { requests, sa: Some(blank_sa()), policy: Some(blank_policy()) };
        handle.set(handle::keep(Box::new(engine))?);
        Ok(())
    })
}

/// The suites of an engine. The list lives as long as the program, and there is one of each content.
///
/// # Safety
/// `suites` points to as many as it says, or is null; the strings in them are null or end with a zero byte.
unsafe fn suites(config: &RvlEngineConfig) -> Result<&'static [Suite], RvlStatus> {
    static LISTS: Mutex<Vec<&'static [Suite]>> = Mutex::new(Vec::new());
    if config.suites.is_null() {
        return Ok(&[]);
    }
    let mut list = Vec::new();
    // SAFETY: the caller's promise.
    let named = unsafe { sys::slice(config.suites, config.suite_count)? };
    for RvlSuite { encryption, integrity, extended_sequence } in named {
        // SAFETY: the caller's promise.
        let (encryption, integrity) = unsafe { (sys::text(*encryption)?, sys::text(*integrity)?) };
        let suite = crypto::suite(encryption.ok_or(RvlStatus::Null)?, integrity, *extended_sequence)?;
        list.push(Suite::Esp(suite));
    }
    let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = lists.iter().find(|known| **known == list) {
        return Ok(known);
    }
    lists.push(Vec::leak(list));
    Ok(lists.last().copied().unwrap_or_default())
}

fn limits(config: &RvlEngineConfig, suites: &'static [Suite]) -> Limits {
    let most = |given: u32, default: usize| if given == 0 { default } else { default.min(given as usize) };
    let Limits { policies, sas, selectors, replay_window, events, acquires, flow_sets, .. } = Limits::default();
    Limits {
        policies: most(config.max_policies, policies),
        sas: most(config.max_sas, sas),
        events: most(config.max_events, events),
        acquires: most(config.max_events, acquires),
        flow_sets: most(config.flow_sets, flow_sets),
        selectors: most(config.max_selectors, selectors),
        replay_window: if config.max_replay_window == 0 { replay_window } else { config.max_replay_window },
        suites,
        ..Limits::default()
    }
}

/// Ends an engine and wipes its keys. The handle is no handle any more.
#[unsafe(no_mangle)]
pub extern "C" fn rvl_engine_free(engine: RvlHandle) -> RvlStatus {
    call(|| handle::free::<Engine>(engine))
}

/// Ends what has outlived its time by `now`, and writes to `next` when to call again: `UINT64_MAX` for not before an SA
/// is added. `next` may be null. All times are nanoseconds of one monotonic clock of the caller.
///
/// # Safety
/// `next` is null or points to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_engine_tick(engine: RvlHandle, now: u64, next: *mut u64) -> RvlStatus {
    call(|| {
        let deadline = handle::with(engine, |engine: &mut Engine| {
            engine.tick(instant(now));
            Ok(engine.deadline())
        })?;
        if !next.is_null() {
            // SAFETY: the caller's promise.
            unsafe { Out::new(next)? }.set(deadline.map_or(u64::MAX, nanoseconds));
        }
        Ok(())
    })
}

/// What became of the packets of one direction so far.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct RvlCounters {
    /// Protected on the way out, opened on the way in.
    pub protected_packets: u64,
    /// Passed in the clear.
    pub bypassed: u64,
    /// Put on hold for want of an SA.
    pub held: u64,
    /// Dropped, for whatever reason.
    pub dropped: u64,
}

/// Reads the counters of one direction.
///
/// # Safety
/// `counters` is null or points to such a struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_counters(engine: RvlHandle, direction: u32, counters: *mut RvlCounters) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(counters)? };
        let direction = traffic::direction(direction)?;
        let counters = handle::with(engine, |engine: &mut Engine| {
            Ok(match direction {
                Direction::Outbound => engine.engine().outbound.counters(),
                Direction::Inbound => engine.engine().inbound.counters(),
            })
        })?;
        out.set(RvlCounters {
            protected_packets: counters.protected,
            bypassed: counters.bypassed,
            held: counters.held,
            dropped: counters.all_dropped(),
        });
        Ok(())
    })
}

/// The caller's time as ours.
pub(crate) fn instant(nanoseconds: u64) -> Instant {
    Instant::from_duration(Duration::from_nanos(nanoseconds))
}

/// Our time as the caller's.
pub(crate) fn nanoseconds(at: Instant) -> u64 {
    u64::try_from(at.since_origin().as_nanos()).unwrap_or(u64::MAX)
}
