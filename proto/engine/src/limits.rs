//! The bounds of the engine.

use core::time::Duration;

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
