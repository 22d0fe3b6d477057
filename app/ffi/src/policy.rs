//! Policies.

use std::ffi::c_char;
use std::fmt::Write;
use std::time::Duration;

use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::lifetime::{Lifetime, Limits};
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Domain, Mode, Policy, PolicyId, Protection, Ways};

use crate::engine::{Engine, instant};
use crate::handle::{self, RvlHandle, call};
use crate::lines::RVL_FIRST_LINE_POLICY;
use crate::options::RvlOptions;
use crate::{RvlStatus, sys, text};

/// Protect outbound, require protection inbound.
pub const RVL_PROTECT: u32 = 0;
/// Let pass in the clear.
pub const RVL_BYPASS: u32 = 1;
/// Drop.
pub const RVL_DISCARD: u32 = 2;

/// The policy is about packets that leave and packets that arrive.
pub const RVL_BOTH_WAYS: u32 = 0;
/// It is about packets that leave: SPD-O of RFC 4301 §4.4.1.
pub const RVL_OUTBOUND_ONLY: u32 = 1;
/// It is about packets that arrive: SPD-I.
pub const RVL_INBOUND_ONLY: u32 = 2;

/// ESP around a whole packet, in a new IP header.
pub const RVL_TUNNEL: u32 = 0;
/// ESP behind the IP header of the packet.
pub const RVL_TRANSPORT: u32 = 1;

/// When an SA is to be replaced and when it goes out of use. 0 is no limit.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RvlLifetime {
    /// Replace after this many seconds.
    pub soft_seconds: u64,
    /// Replace after this many bytes of payload.
    pub soft_bytes: u64,
    /// Replace after this many packets.
    pub soft_packets: u64,
    /// End after this many seconds.
    pub hard_seconds: u64,
    /// End after this many bytes of payload.
    pub hard_bytes: u64,
    /// End after this many packets.
    pub hard_packets: u64,
}

/// One entry of the SPD. Selectors are given as for outbound packets.
#[repr(C)]
pub struct RvlPolicy {
    /// Chosen by the caller, unique, below `RVL_FIRST_LINE_POLICY`.
    pub id: u32,
    /// The SPD it stands in, 0 where there is only one.
    pub domain: u16,
    /// Lower numbers are consulted first, then lower ids.
    pub priority: u32,
    /// `RVL_PROTECT`, `RVL_BYPASS` or `RVL_DISCARD`.
    pub action: u32,
    /// Next layer protocol, 0 for any.
    pub protocol: u8,
    /// Identity string of the source: `any`, `any6`, `10.0.0.1`, `10.0.0.0/24`, `10.0.0.0/255.255.255.0`,
    /// `10.0.0.4-10.0.0.9`, `2001:db8::/32`, each with `,port` or `,first-last` behind.
    pub source: *const c_char,
    /// Identity string of the destination, of the same address family.
    pub destination: *const c_char,
    /// With `RVL_BYPASS` and `RVL_DISCARD`: `RVL_BOTH_WAYS`, `RVL_OUTBOUND_ONLY` or `RVL_INBOUND_ONLY`.
    pub ways: u32,
    /// `RVL_TUNNEL` or `RVL_TRANSPORT`. This and what follows only with `RVL_PROTECT`.
    pub mode: u32,
    /// The other end of the SAs: an address.
    pub endpoint: *const c_char,
    /// Number of packets the anti-replay window covers, 0 for no check.
    pub replay_window: u32,
    /// For SAs that IKE makes.
    pub lifetime: RvlLifetime,
    /// What else is wanted.
    pub options: RvlOptions,
}

/// Adds a policy, or replaces the one with the same number.
///
/// # Safety
/// `policy` is null or points to such a struct, whose strings are null or end with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_add_policy(engine: RvlHandle, policy: *const RvlPolicy) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let policy = unsafe { sys::read(policy)? };
        // SAFETY: the caller's promise.
        handle::with(engine, |engine: &mut Engine| engine.add_policy(|out| unsafe { fill(out, policy) }))
    })
}

/// Removes a policy. SAs that serve it stay.
#[unsafe(no_mangle)]
pub extern "C" fn rvl_delete_policy(engine: RvlHandle, id: u32) -> RvlStatus {
    call(|| {
        handle::with(engine, |engine: &mut Engine| {
            Ok(engine.apply(&DataPlaneOp::DeletePolicy(PolicyId(id)), instant(0))?)
        })
    })
}

/// # Safety
/// As [`fill`].
pub(crate) unsafe fn parse(policy: &RvlPolicy) -> Result<Policy, RvlStatus> {
    let mut out = blank();
    // SAFETY: the caller's promise.
    unsafe { fill(&mut out, policy)? };
    Ok(out)
}

/// No policy, with room for any.
pub(crate) fn blank() -> Policy {
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

/// # Safety
/// The strings are null or end with a zero byte.
unsafe fn fill(out: &mut Policy, policy: &RvlPolicy) -> Result<(), RvlStatus> {
    // SAFETY: the caller's promise.
    let (source, destination, endpoint) =
        unsafe { (sys::text(policy.source)?, sys::text(policy.destination)?, sys::text(policy.endpoint)?) };
    if policy.id >= RVL_FIRST_LINE_POLICY {
        return Err(RvlStatus::BadParam);
    }
    let selector = |id: Option<&str>| text::selector(id.ok_or(RvlStatus::Null)?, policy.protocol);
    let action = match policy.action {
        RVL_PROTECT => Action::Protect(Protection {
            mode: mode(policy.mode)?,
            local: None,
            remote: text::address(endpoint.ok_or(RvlStatus::Null)?)?,
            pfp: Pfp::NONE,
            lifetime: policy.lifetime.into(),
            replay_window: policy.replay_window,
            options: policy.options.try_into()?,
        }),
        RVL_BYPASS => Action::Bypass,
        RVL_DISCARD => Action::Discard,
        _ => return Err(RvlStatus::BadParam),
    };
    let ways = match policy.ways {
        RVL_BOTH_WAYS => Ways::Both,
        RVL_OUTBOUND_ONLY => Ways::Outbound,
        RVL_INBOUND_ONLY => Ways::Inbound,
        _ => return Err(RvlStatus::BadParam),
    };
    out.name.clear();
    write!(out.name, "{}", policy.id).map_err(|_| RvlStatus::Internal)?;
    out.local.clear();
    out.local.push(selector(source)?);
    out.remote.clear();
    out.remote.push(selector(destination)?);
    if out.local[0].is_ipv4() != out.remote[0].is_ipv4() {
        return Err(RvlStatus::BadAddrRange);
    }
    (out.id, out.domain, out.priority) = (PolicyId(policy.id), Domain(policy.domain), policy.priority);
    (out.action, out.ways) = (action, ways);
    Ok(())
}

pub(crate) fn mode(number: u32) -> Result<Mode, RvlStatus> {
    match number {
        RVL_TUNNEL => Ok(Mode::Tunnel),
        RVL_TRANSPORT => Ok(Mode::Transport),
        _ => Err(RvlStatus::BadParam),
    }
}

impl From<RvlLifetime> for Lifetime {
    fn from(given: RvlLifetime) -> Self {
        let some = |limit: u64| (limit > 0).then_some(limit);
        let limits = |seconds, bytes, packets| Limits {
            time: some(seconds).map(Duration::from_secs),
            bytes: some(bytes),
            packets: some(packets),
        };
        Lifetime {
            soft: limits(given.soft_seconds, given.soft_bytes, given.soft_packets),
            hard: limits(given.hard_seconds, given.hard_bytes, given.hard_packets),
            idle: None,
        }
    }
}
