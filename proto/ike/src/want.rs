//! What somebody waits for.

use alloc::vec::Vec;
use core::net::IpAddr;

use ravelin_types::dataplane::Flow;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Mode, PolicyId};

use crate::config::{ChildPolicy, Remote};
use crate::limits;

/// A Child SA that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) policy: PolicyId,
    /// The packet that asked.
    pub(crate) flow: Option<Flow>,
    /// Which selectors of the Child SA are those of the packet.
    pub(crate) pfp: Pfp,
    /// The processor that wants one of its own, beside the one for all (RFC 9611).
    pub(crate) processor: Option<u32>,
}

impl Want {
    /// What the policy asks for, because of the packet.
    pub(crate) fn new(policy: &ChildPolicy, flow: Option<Flow>) -> Self {
        Want { policy: policy.policy.id, flow, pfp: pfp(policy), processor: None }
    }

    /// Whether one Child SA will do for both. It serves all flows of a policy, unless the policy fills its selectors
    /// from the packet or the peer narrows it: the next packet asks again then.
    pub(crate) fn is_served_with(&self, other: &Want) -> bool {
        let part = |want: &Want| want.flow.filter(|_| want.pfp.any()).map(|flow| want.pfp.key(&flow));
        (self.policy, self.processor) == (other.policy, other.processor) && part(self) == part(other)
    }

    /// Whether an IKE SA between these addresses can serve it. In transport mode they are those of the packet (RFC 4301
    /// §4.1), which tells one IKE SA from another where the remote leaves an address open.
    pub(crate) fn fits(&self, policy: &ChildPolicy, remote: &Remote, own: IpAddr, peer: IpAddr) -> bool {
        let Some(flow) = self.flow.filter(|_| is_transport(policy)) else { return true };
        let ours = remote.local.is_some() || own.is_unspecified() || own == flow.src;
        let one = remote.open.from.is_empty() && remote.open.alternates.is_empty();
        let theirs = !remote.remote.is_unspecified() && one || peer == flow.dst;
        ours && theirs
    }

    /// The address of ours from which the packet that asked goes, where it must be that of the IKE SA.
    pub(crate) fn source(&self, policy: &ChildPolicy) -> Option<IpAddr> {
        self.flow.filter(|_| is_transport(policy)).map(|flow| flow.src)
    }

    /// The address of the peer, where only one will do: in transport mode that of the packet, or of the policy.
    pub(crate) fn peer(&self, policy: &ChildPolicy) -> Option<IpAddr> {
        match &policy.policy.action {
            Action::Protect(protection) if protection.mode == Mode::Transport => {
                // A policy with a peer of a name has no address.
                self.flow.map(|flow| flow.dst).or(Some(protection.remote).filter(|remote| !remote.is_unspecified()))
            }
            _ => None,
        }
    }

    /// The one for all processors, with which every IKE SA begins.
    pub(crate) fn for_all(self) -> Self {
        Want { processor: None, ..self }
    }

    /// Adds it to what a new IKE SA is for, unless what will serve it is there, or too many wait.
    pub(crate) fn add_to(self, wants: &mut Vec<Want>) {
        let want = self.for_all();
        if wants.len() < limits::WANTS && !wants.iter().any(|other| other.is_served_with(&want)) {
            wants.push(want);
        }
    }
}

fn is_transport(policy: &ChildPolicy) -> bool {
    matches!(&policy.policy.action, Action::Protect(protection) if protection.mode == Mode::Transport)
}

/// Which selectors of its Child SAs the policy fills from packets.
pub(crate) fn pfp(policy: &ChildPolicy) -> Pfp {
    match &policy.policy.action {
        Action::Protect(protection) => protection.pfp,
        Action::Bypass | Action::Discard => Pfp::NONE,
    }
}
