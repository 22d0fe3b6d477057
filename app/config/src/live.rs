//! Policies that are in force only while an SA of theirs is, with the selectors of those SAs: children of a connection
//! without a trap. Their traffic is nobody's business before, as with strongSwan.
//!
//! Addresses that come from pools are selected by the pool as a whole: what a policy costs does not grow with the road
//! warriors that share it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ravelin_types::Spi;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::policy::{Action, Mode, Policy, PolicyId};
use ravelin_types::sa::{Direction, SaId, SaParams};
use ravelin_types::selector::TrafficSelector;

use crate::model::{Model, PolicyEntry};

/// One policy, as it was when its first SA came, and what its inbound SAs ask for.
#[derive(Debug)]
struct Live {
    base: Policy,
    sas: BTreeMap<Spi, Part>,
    local: Counted<TrafficSelector>,
    remote: Counted<TrafficSelector>,
    peers: Counted<(IpAddr, bool)>,
}

/// What one SA asks for.
#[derive(Debug)]
struct Part {
    local: Vec<TrafficSelector>,
    remote: Vec<TrafficSelector>,
    peer: (IpAddr, bool),
}

/// Values, and how many SAs ask for each.
#[derive(Debug)]
struct Counted<T>(BTreeMap<T, usize>);

impl<T> Default for Counted<T> {
    fn default() -> Self {
        Counted(BTreeMap::new())
    }
}

impl<T: Ord + Copy> Counted<T> {
    /// Whether it is new.
    fn add(&mut self, value: T) -> bool {
        let count = self.0.entry(value).or_default();
        *count += 1;
        *count == 1
    }

    /// Whether it was the last.
    fn remove(&mut self, value: T) -> bool {
        let Some(count) = self.0.get_mut(&value) else { return false };
        *count -= 1;
        let last = *count == 0;
        if last {
            self.0.remove(&value);
        }
        last
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct LivePolicies {
    policies: BTreeMap<PolicyId, Live>,
    owners: BTreeMap<Spi, PolicyId>,
}

/// What a change of SAs makes of a policy.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every one is an addition, and none is kept")]
pub enum Change {
    /// It shall be in force like this.
    Add(Policy),
    /// It shall go.
    Delete(PolicyId),
}

impl From<Change> for DataPlaneOp {
    fn from(change: Change) -> Self {
        match change {
            Change::Add(policy) => DataPlaneOp::AddPolicy(policy),
            Change::Delete(id) => DataPlaneOp::DeletePolicy(id),
        }
    }
}

impl LivePolicies {
    /// What is to change before this is carried out: a policy that does not stand by itself is in force before its SA is.
    pub fn before(&mut self, op: &DataPlaneOp, model: &Model) -> Option<Change> {
        let DataPlaneOp::AddSa(params) = op else { return None };
        let entry = model.policy_by_id(params.policy).filter(|entry| entry.spec.esp.is_some())?;
        // It may cease to stand while the SA is there.
        let change = self.add(&entry.spd_policy(), params, &model.pooled(entry));
        change.filter(|_| !entry.stands())
    }

    /// What is to change after this was `done`, or was not: a policy goes with the last of its SAs.
    pub fn after(&mut self, op: &DataPlaneOp, done: bool, model: &Model) -> Option<Change> {
        let gone = match op {
            DataPlaneOp::DeleteSa(id) => *id,
            DataPlaneOp::AddSa(params) if !done => params.id(),
            _ => return None,
        };
        let change = self.remove(gone)?;
        let id = match &change {
            Change::Add(policy) => policy.id,
            Change::Delete(id) => *id,
        };
        (!model.policy_by_id(id).is_some_and(PolicyEntry::stands)).then_some(change)
    }

    /// An SA is about to be installed for a policy that does not stand by itself. Selectors of the peer's that are within
    /// one of `pools` are taken for that.
    fn add(&mut self, base: &Policy, params: &SaParams, pools: &[TrafficSelector]) -> Option<Change> {
        if params.direction != Direction::Inbound {
            return None;
        }
        let live = self.policies.entry(base.id).or_insert_with(|| Live::new(base));
        let wide = |selector: &TrafficSelector| *pools.iter().find(|pool| pool.covers(selector)).unwrap_or(selector);
        let part = Part {
            local: params.local_ts.to_vec(),
            remote: params.remote_ts.iter().map(wide).collect(),
            peer: (params.src, params.mode == Mode::Transport),
        };
        self.owners.insert(params.spi, base.id);
        live.add(params.spi, part).then(|| live.policy()).flatten().map(Change::Add)
    }

    /// An SA was removed.
    fn remove(&mut self, sa: SaId) -> Option<Change> {
        if sa.direction != Direction::Inbound {
            return None;
        }
        let id = self.owners.remove(&sa.spi)?;
        let live = self.policies.get_mut(&id)?;
        let changed = live.remove(sa.spi);
        if live.sas.is_empty() {
            self.policies.remove(&id);
            return Some(Change::Delete(id));
        }
        changed.then(|| live.policy()).flatten().map(Change::Add)
    }

    /// The policy as its SAs make it; `None`: it has none.
    pub fn policy(&self, id: PolicyId) -> Option<Policy> {
        self.policies.get(&id)?.policy()
    }
}

impl Live {
    fn new(base: &Policy) -> Self {
        Live {
            base: base.clone(),
            sas: BTreeMap::new(),
            local: Counted::default(),
            remote: Counted::default(),
            peers: Counted::default(),
        }
    }

    /// Whether the policy is another now: by its selectors, or because its peer is the only one, or no longer.
    fn add(&mut self, spi: Spi, part: Part) -> bool {
        let before = self.peers.0.len();
        self.peers.add(part.peer);
        let mut changed = before != self.peers.0.len() && before < 2;
        part.local.iter().for_each(|selector| changed |= self.local.add(*selector));
        part.remote.iter().for_each(|selector| changed |= self.remote.add(*selector));
        self.sas.insert(spi, part);
        changed
    }

    fn remove(&mut self, spi: Spi) -> bool {
        let Some(part) = self.sas.remove(&spi) else { return false };
        let before = self.peers.0.len();
        self.peers.remove(part.peer);
        let mut changed = before != self.peers.0.len() && before == 2;
        part.local.iter().for_each(|selector| changed |= self.local.remove(*selector));
        part.remote.iter().for_each(|selector| changed |= self.remote.remove(*selector));
        changed
    }

    fn policy(&self) -> Option<Policy> {
        let (first, transport) = *self.peers.0.keys().next()?;
        let (local, remote) = (self.local.0.keys().copied().collect(), self.remote.0.keys().copied().collect());
        let mut policy = Policy { local, remote, ..self.base.clone() };
        if let (Action::Protect(protection), 1) = (&mut policy.action, self.peers.0.len()) {
            protection.remote = first;
            protection.mode = if transport { Mode::Transport } else { Mode::Tunnel };
        }
        Some(policy)
    }
}

#[cfg(test)]
mod tests;
