//! The policies of the model, found by number, by name, by the remote that serves them, and by the connection that they came with. A
//! copy shares the entries.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeBounds;
use std::sync::Arc;

use ravelin_types::policy::PolicyId;

use super::PolicyEntry;
use super::since::unshared;

/// Names, each with the policies that it stands for.
type Index = BTreeSet<(Arc<str>, PolicyId)>;

/// All of them, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Policies {
    all: BTreeMap<PolicyId, Arc<PolicyEntry>>,
    names: BTreeMap<Arc<str>, PolicyId>,
    remotes: Index,
    connections: Index,
}

impl Policies {
    /// Every policy, in the order of numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = &PolicyEntry> + Clone {
        self.all.values().map(AsRef::as_ref)
    }

    /// Those of these numbers.
    pub(super) fn range(&self, ids: impl RangeBounds<PolicyId>) -> impl Iterator<Item = &PolicyEntry> + Clone {
        self.all.range(ids).map(|(_, entry)| entry.as_ref())
    }

    pub(super) fn get(&self, id: PolicyId) -> Option<&PolicyEntry> {
        self.all.get(&id).map(AsRef::as_ref)
    }

    pub(super) fn named(&self, name: &str) -> Option<&PolicyEntry> {
        self.get(*self.names.get(name)?)
    }

    /// Those that SAs with this remote serve.
    pub(super) fn of_remote(&self, name: &str) -> impl Iterator<Item = &PolicyEntry> {
        self.found(&self.remotes, name)
    }

    /// Those that came with this connection.
    pub(super) fn of_connection(&self, name: &str) -> impl Iterator<Item = &PolicyEntry> {
        self.found(&self.connections, name)
    }

    fn found<'a>(&'a self, index: &'a Index, name: &str) -> impl Iterator<Item = &'a PolicyEntry> {
        let name: Arc<str> = name.into();
        index.range((name.clone(), PolicyId(0))..=(name, PolicyId(u32::MAX))).filter_map(|(_, id)| self.get(*id))
    }

    /// Those that the other does not share.
    pub(super) fn unshared<'a>(&'a self, other: &'a Policies) -> impl Iterator<Item = &'a PolicyEntry> {
        unshared(&self.all, &other.all).map(|(_, entry)| entry)
    }

    /// Adds a policy, in the place of one with this number.
    pub(super) fn insert(&mut self, entry: PolicyEntry) {
        self.remove(entry.id);
        let names = Names::of(&entry);
        self.names.insert(entry.spec.name.as_str().into(), entry.id);
        self.remotes.extend(names.remote);
        self.connections.extend(names.connection);
        self.all.insert(entry.id, Arc::new(entry));
    }

    pub(super) fn remove(&mut self, id: PolicyId) {
        let Some(entry) = self.all.remove(&id) else { return };
        let names = Names::of(&entry);
        self.names.remove(entry.spec.name.as_str());
        names.remote.inspect(|name| _ = self.remotes.remove(name));
        names.connection.inspect(|name| _ = self.connections.remove(name));
    }

    /// Changes whether a policy stands without an SA.
    pub(super) fn set_trap(&mut self, id: PolicyId, trap: bool) {
        if let Some(entry) = self.all.get_mut(&id).filter(|entry| entry.spec.trap != trap) {
            Arc::make_mut(entry).spec.trap = trap;
        }
    }

    /// Changes where the remote ends of policies are: `find` gives it for each that is concerned. Whether any is elsewhere now.
    pub(super) fn place(&mut self, find: impl Fn(&PolicyEntry) -> Option<Vec<IpAddr>>) -> bool {
        let mut changed = false;
        for entry in self.all.values_mut() {
            if let Some(at) = find(entry).filter(|at| *at != entry.at) {
                changed = true;
                Arc::make_mut(entry).at = at;
            }
        }
        changed
    }
}

/// By what a policy is found beside its own name.
struct Names {
    remote: Option<(Arc<str>, PolicyId)>,
    connection: Option<(Arc<str>, PolicyId)>,
}

impl Names {
    fn of(entry: &PolicyEntry) -> Self {
        let key = |name: &str| (name.into(), entry.id);
        let (esp, connection) = (entry.spec.esp.as_ref(), entry.spec.connection.as_deref());
        Names { remote: esp.map(|esp| key(&esp.remote)), connection: connection.map(key) }
    }
}
