//! The initial exchanges, one struct per phase, and the phase they lead to.
//!
//! ```text
//!   sa_init.rs   HDR, SAi1, KEi, Ni  -->              InitRequested
//!                <--  HDR, SAr1, KEr, Nr              InitAnswered
//!   auth.rs      HDR, SK {IDi, AUTH, SAi2, TSi, TSr}  -->      AuthRequested
//!                <--  HDR, SK {IDr, AUTH, SAr2, TSi, TSr}
//!   asking.rs    between the two, where somebody outside signs or judges
//!   established.rs   everything after, by exchange/
//! ```
//! Read RFC 7296 §1.2, §2.1, §2.6, §2.15 and §2.21 before changing this folder.

pub(crate) mod answer_auth;
pub(crate) mod answer_init;
pub(crate) mod asking;
pub(crate) mod auth;
pub(crate) mod established;
pub(crate) mod sa_init;

use alloc::vec::Vec;

use ravelin_types::dataplane::Flow;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, PolicyId};

use crate::config::ChildPolicy;
use crate::limits;

/// A Child SA that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) policy: PolicyId,
    /// The packet that asked.
    pub(crate) flow: Option<Flow>,
    /// Which selectors of the Child SA are those of the packet.
    pub(crate) pfp: Pfp,
}

impl Want {
    /// What the policy asks for, because of the packet.
    pub(crate) fn new(policy: &ChildPolicy, flow: Option<Flow>) -> Self {
        Want { policy: policy.policy.id, flow, pfp: pfp(policy) }
    }

    /// Whether one Child SA will do for both. It serves all flows of a policy, unless the policy fills its selectors
    /// from the packet or the peer narrows it: the next packet asks again then.
    pub(crate) fn is_served_with(&self, other: &Want) -> bool {
        let part = |want: &Want| want.flow.filter(|_| want.pfp.any()).map(|flow| want.pfp.key(&flow));
        self.policy == other.policy && part(self) == part(other)
    }

    /// Adds it unless what will serve it is there, or too many wait.
    pub(crate) fn add_to(self, wants: &mut Vec<Want>) {
        if wants.len() < limits::WANTS && !wants.iter().any(|want| want.is_served_with(&self)) {
            wants.push(self);
        }
    }
}

/// Which selectors of its Child SAs the policy fills from packets.
pub(crate) fn pfp(policy: &ChildPolicy) -> Pfp {
    match &policy.policy.action {
        Action::Protect(protection) => protection.pfp,
        Action::Bypass | Action::Discard => Pfp::NONE,
    }
}
