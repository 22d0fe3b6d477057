//! Decisions that wait until the system has the policies that they rely on.
//!
//! A policy that comes with its SA is in force in the engine at once, and in the packet filter a little later (ADR 0006). Until
//! then packets of this host that it selects would leave in the clear. So its SA waits, what the peer is told behind it, and the
//! news that it is up. Other peers do not wait; news do, for they are told in their order.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ravelin_ike::{Event, Output, Transmit};
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::policy::PolicyId;
use ravelin_types::sa::{Direction, SaId, SaParams};

/// The most that waits. Beyond, messages are lost, which the peer or we send again, and failures are told before their turn; all else
/// is as bounded as the SAs are.
const MAX_HELD: usize = 4096;

/// What waits, each for the change of a number.
#[derive(Default)]
pub(super) struct Behind {
    /// Policies with a change that is not in force yet.
    policies: BTreeMap<PolicyId, u64>,
    /// In the order in which they were decided.
    held: Vec<(u64, Output)>,
    /// The last change that something there waits for.
    last: Option<u64>,
    /// Peers with an SA that waits.
    peers: BTreeMap<IpAddr, u64>,
    /// The SAs that wait.
    sas: BTreeMap<SaId, u64>,
}

impl Behind {
    /// A policy was changed; from now on its SAs wait for that.
    pub(super) fn changed(&mut self, policy: PolicyId, change: u64) {
        self.policies.insert(policy, change);
    }

    /// Keeps what has to wait, and gives back what has not.
    pub(super) fn hold(&mut self, output: Output) -> Option<Output> {
        if self.policies.is_empty() && self.held.is_empty() {
            return Some(output);
        }
        let change = match &output {
            Output::Apply(_, op) => self.change_before(op),
            Output::Transmit(Transmit { remote, .. }) => self.peers.get(&remote.ip()).copied(),
            Output::Event(_) => self.last,
            _ => None,
        };
        let Some(change) = change else { return Some(output) };
        match output {
            Output::Transmit(_) if self.held.len() >= MAX_HELD => None,
            Output::Event(Event::Failed(_)) if self.held.len() >= MAX_HELD => Some(output),
            output => {
                self.last = self.last.max(Some(change));
                self.held.push((change, output));
                None
            }
        }
    }

    /// The change that an operation has to wait for, if any.
    fn change_before(&mut self, op: &DataPlaneOp) -> Option<u64> {
        match op {
            DataPlaneOp::AddSa(params) => {
                let peer = peer_of(params);
                let change = self.policies.get(&params.policy).max(self.peers.get(&peer)).copied()?;
                self.peers.insert(peer, change);
                self.sas.insert(params.id(), change);
                Some(change)
            }
            DataPlaneOp::DeleteSa(id)
            | DataPlaneOp::MoveSa { id, .. }
            | DataPlaneOp::SetMtu { id, .. }
            | DataPlaneOp::SkipNumbers { id, .. }
            | DataPlaneOp::TellUse(id) => self.sas.get(id).copied(),
            _ => None,
        }
    }

    /// All changes up to this number are settled: what waited for them.
    pub(super) fn settled(&mut self, change: u64) -> Vec<Output> {
        self.policies.retain(|_, awaited| *awaited > change);
        self.peers.retain(|_, awaited| *awaited > change);
        self.sas.retain(|_, awaited| *awaited > change);
        let (due, held) = std::mem::take(&mut self.held).into_iter().partition(|(awaited, _)| *awaited <= change);
        self.held = held;
        self.last = self.held.iter().map(|(change, _)| *change).max();
        due.into_iter().map(|(_, output)| output).collect()
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

fn peer_of(params: &SaParams) -> IpAddr {
    match params.direction {
        Direction::Inbound => params.src,
        Direction::Outbound => params.dst,
    }
}
