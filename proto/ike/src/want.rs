//! What somebody waits for.

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
