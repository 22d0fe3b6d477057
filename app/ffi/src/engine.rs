//! Engines: their life, their time, their counters.

use std::ffi::c_void;
use std::time::Duration;

use ravelin_engine::{EngineConfig, Limits, NoMatch, Requests};
use ravelin_types::Instant;
use ravelin_types::sa::Direction;

use crate::RvlStatus;
use crate::accelerator::{Hardware, RvlAccelerator};
use crate::handle::{self, RvlHandle, call};
use crate::requests::{Buffer, Pieces};
use crate::sys::{self, Calls, Out, Random, RvlRandom};

/// What stands behind the handle of an engine.
pub(crate) type Engine = Requests<Pieces, Buffer, Hardware>;

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
        let config = EngineConfig { no_match, limits: limits(config), ..EngineConfig::default() };
        let engine = ravelin_engine::Engine::new(config, ravelin_crypto_aws_lc::provider(), Box::new(random));
        handle.set(handle::keep(Box::new(Engine::new(engine, Hardware::new(calls, capacity), capacity)))?);
        Ok(())
    })
}

fn limits(config: &RvlEngineConfig) -> Limits {
    let most = |given: u32, default: usize| if given == 0 { default } else { default.min(given as usize) };
    let Limits { policies, sas, events, acquires, flow_sets, .. } = Limits::default();
    Limits {
        policies: most(config.max_policies, policies),
        sas: most(config.max_sas, sas),
        events: most(config.max_events, events),
        acquires: most(config.max_events, acquires),
        flow_sets: most(config.flow_sets, flow_sets),
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
        let direction = crate::sa::direction(direction)?;
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
