//! Policies.

use std::ffi::c_char;
use std::fmt::Write;

use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Domain, Policy, PolicyId, Protection, Ways};

use crate::engine::{Engine, blank_policy, instant};
use crate::handle::{self, RvlHandle, call};
use crate::options::{RVL_FIRST_LINE_POLICY, RvlOptions};
use crate::protection::{RvlLifetime, mode};
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
    let mut out = blank_policy();
    // SAFETY: the caller's promise.
    unsafe { fill(&mut out, policy)? };
    Ok(out)
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
