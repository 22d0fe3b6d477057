//! The bounds of the engine: those that never change, and [`Limits`] for what a system with little memory sets lower.

use core::time::Duration;

use ravelin_types::proposal::Suite;

/// SAs in each direction.
pub const MAX_SAS: usize = 1 << 20;
/// Policies.
pub const MAX_POLICIES: usize = 1 << 20;
/// Selectors on one side of one policy or SA.
pub const MAX_SELECTORS: usize = 256;
/// The largest anti-replay window in packets.
pub const MAX_REPLAY_WINDOW: u32 = 4096;
/// What every path of IPv6 takes (RFC 8200 §5): no MTU below it is believed.
pub const MIN_MTU_V6: u16 = 1280;
/// The same for IPv4, which has no such promise: below are mistakes and attacks rather than links (RFC 791 §3.2 has hosts
/// take 576 bytes).
pub const MIN_MTU_V4: u16 = 576;
/// How long is believed what a router told of the path (RFC 1191 §6.3, RFC 8201 §4).
pub const LEARNED_MTU_LIFE: Duration = Duration::from_secs(600);
/// ICMP errors in a row, and the time after which there may be one more (RFC 4443 §2.4 (f)).
pub const ERROR_BURST: u32 = 50;
/// See [`ERROR_BURST`].
pub const ERROR_PERIOD: Duration = Duration::from_millis(10);
/// Dummy packets of one SA are never closer than this.
pub const MIN_DUMMY_GAP: Duration = Duration::from_millis(1);
/// Bytes of packets that wait in one SA with AGGFRAG payloads: to leave, or for whoever takes what arrived.
pub const AGGFRAG_QUEUE: usize = 1 << 18;
/// How many payloads of such an SA may come before their turn (RFC 9347 §2.2.3).
pub const AGGFRAG_REORDER: usize = 3;
/// How long the one whose turn it is is waited for then.
pub const AGGFRAG_WAIT: Duration = Duration::from_millis(100);
/// The longest packet with such a payload, where it is not known what the path takes: what nearly every link does.
pub const AGGFRAG_PATH: u16 = 1500;
/// At a rate, such packets are never closer than this,
pub const AGGFRAG_GAP: Duration = Duration::from_micros(1);
/// and those that are due for longer than this are left out.
pub const AGGFRAG_BEHIND: Duration = Duration::from_millis(20);
/// The longest payload.
pub(crate) const MAX_PAYLOAD: usize = 65_535;
/// Of packets outside of its selectors, an SA reports one in this time (RFC 4301 §5.2 has such reports limited): whoever sends them
/// for long is told again, and however many there are they cost the two sides next to nothing.
pub const OUTSIDE_SELECTORS_PERIOD: Duration = Duration::from_secs(30);
/// Events waiting to be polled from one half.
pub const MAX_EVENTS: usize = 1024;
/// Acquires of one policy that wait for an SA: flows, where it has an SA for each.
pub const MAX_ACQUIRES_PER_POLICY: usize = 256;
/// Acquires of all policies.
pub const MAX_ACQUIRES: usize = 1 << 16;
/// How long an acquire stays open when no SA comes.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// Sets of flows of each family that are remembered with what was decided for them, while there are few SAs; the cache
/// grows with the SAs.
pub const MIN_FLOW_CACHE: usize = 1 << 11;
/// The cache's largest size.
pub const MAX_FLOW_CACHE: usize = 1 << 20;
/// Places for what first fragments showed, in each direction; a source has one.
pub const FRAGMENT_SETS: usize = 256;
/// Datagrams in such a place.
pub const FRAGMENT_WAYS: usize = 8;
/// How long after its first fragment a later one may come (RFC 8200 §4.5 and RFC 1122 §3.3.2 have 60 seconds and more;
/// less keeps identifications that are used again apart).
pub const FRAGMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// So few SAs stay in the processor's caches by themselves; with more, a batch has memory fetched ahead of its use.
pub const CACHED_SAS: usize = 256;
/// So few policies stay there too.
pub const CACHED_POLICIES: usize = 4096;
/// How many packets ahead.
pub const AHEAD: usize = 8;
/// A table that may have no more entries than this has room for all of them from the start.
const AT_START: usize = 4096;

/// The most that an engine keeps. Beyond it an operation is refused ([`DataPlaneError::Full`]) or an event waits, and
/// nothing that was there is lost.
///
/// [`DataPlaneError::Full`]: ravelin_types::dataplane::DataPlaneError::Full
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Policies.
    pub policies: usize,
    /// SAs in each direction.
    pub sas: usize,
    /// Selectors on one side of one policy or SA.
    pub selectors: usize,
    /// The largest anti-replay window of an SA in packets, at most [`MAX_REPLAY_WINDOW`].
    pub replay_window: u32,
    /// Events waiting to be polled from one half.
    pub events: usize,
    /// Acquires that wait for an SA.
    pub acquires: usize,
    /// Sets of flows of each family that are remembered in each direction, at least 1; three flows of IPv4 or two of IPv6
    /// are a set.
    pub flow_sets: usize,
    /// The suites of the SAs of an engine that asks for no memory after its start: room for all that these limits allow is
    /// taken at the start then, and for each of these suites the keys of as many SAs as there may be. Empty: memory is
    /// taken when it is needed. The SPI in a suite does not matter, nor does
    /// [`short_icv`](ravelin_types::options::SaOptions::short_icv). An SA of another suite asks for memory for its keys, and
    /// gives it back.
    pub suites: &'static [Suite],
    /// What compresses packets and expands them (RFC 3173), some 450 KiB, is there from the start; else it comes with the first SA
    /// that has a label for that, and stays.
    pub ipcomp: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            policies: MAX_POLICIES,
            sas: MAX_SAS,
            selectors: MAX_SELECTORS,
            replay_window: MAX_REPLAY_WINDOW,
            events: MAX_EVENTS,
            acquires: MAX_ACQUIRES,
            flow_sets: MAX_FLOW_CACHE,
            suites: &[],
            ipcomp: false,
        }
    }
}

impl Limits {
    /// For how many entries a table with the bound `limit` has room from the start.
    pub(crate) fn room(&self, limit: usize) -> usize {
        self.reserved(limit).max(if limit <= AT_START { limit } else { 0 })
    }

    /// [`Limits::room`] of what takes more of it: none where memory is taken when it is needed.
    pub(crate) fn reserved(&self, limit: usize) -> usize {
        if self.suites.is_empty() { 0 } else { limit }
    }

    /// The room from the start of a hash table with the bound `limit`: twice that, since with less it would move to new
    /// memory to get rid of the traces of what was taken out.
    pub(crate) fn hash_room(&self, limit: usize) -> usize {
        2 * self.room(limit)
    }
}
