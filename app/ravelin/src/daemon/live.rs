//! Policies that are in force only while an SA of theirs is, with the selectors of those SAs: children of a connection
//! without a trap. Their traffic is nobody's business before, as with strongSwan.

use std::collections::BTreeMap;

use ravelin_types::Spi;
use ravelin_types::policy::{Action, Policy, PolicyId};
use ravelin_types::sa::{Direction, SaId, SaParams};
use ravelin_types::selector::TrafficSelector;

/// One policy, as it was when its first SA came, and the inbound SAs.
#[derive(Debug)]
struct Live {
    base: Policy,
    sas: BTreeMap<Spi, SaParams>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct LivePolicies(BTreeMap<PolicyId, Live>);

/// What a change of SAs makes of a policy.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every one is an addition, and none is kept")]
pub enum Change {
    /// It shall be in force like this.
    Add(Policy),
    /// It shall go.
    Delete(PolicyId),
}

impl LivePolicies {
    /// An SA is about to be installed for a policy that does not stand by itself.
    pub fn add(&mut self, base: &Policy, params: &SaParams) -> Option<Change> {
        if params.direction != Direction::Inbound {
            return None;
        }
        let live = self.0.entry(base.id).or_insert_with(|| Live { base: base.clone(), sas: BTreeMap::new() });
        let before = live.policy();
        live.sas.insert(params.spi, SaParams { keys: Default::default(), ..params.clone() });
        let after = live.policy();
        after.filter(|after| Some(after) != before.as_ref()).map(Change::Add)
    }

    /// An SA was removed.
    pub fn remove(&mut self, sa: SaId) -> Option<Change> {
        if sa.direction != Direction::Inbound {
            return None;
        }
        let (id, live) = self.0.iter_mut().find(|(_, live)| live.sas.contains_key(&sa.spi))?;
        let id = *id;
        let before = live.policy();
        live.sas.remove(&sa.spi);
        match live.policy() {
            None => {
                self.0.remove(&id);
                Some(Change::Delete(id))
            }
            after if after == before => None,
            after => after.map(Change::Add),
        }
    }

    /// The policy as its SAs make it; `None`: it has none.
    pub fn policy(&self, id: PolicyId) -> Option<Policy> {
        self.0.get(&id)?.policy()
    }
}

impl Live {
    fn policy(&self) -> Option<Policy> {
        let first = self.sas.values().next()?;
        let mut policy = Policy { local: Vec::new(), remote: Vec::new(), ..self.base.clone() };
        let add = |to: &mut Vec<TrafficSelector>, from: &[TrafficSelector]| {
            for selector in from {
                if !to.contains(selector) {
                    to.push(*selector);
                }
            }
        };
        for sa in self.sas.values() {
            add(&mut policy.local, &sa.local_ts);
            add(&mut policy.remote, &sa.remote_ts);
        }
        let one_peer = self.sas.values().all(|sa| sa.src == first.src);
        if let (Action::Protect(protection), true) = (&mut policy.action, one_peer) {
            protection.remote = first.src;
            protection.mode = first.mode;
        }
        Some(policy)
    }
}

#[cfg(test)]
mod tests;
