//! What is other in a model than in the one that it was copied from. A copy shares its entries, so this looks at no more than
//! whether they are the same ones.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ravelin_ike::Config;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::interface::Interface;
use ravelin_types::policy::{Domain, PolicyId};

use super::{Model, PolicyEntry};

/// The entries of `own` that `other` does not share, in their order.
pub(super) fn unshared<'a, K: Ord, V>(
    own: &'a BTreeMap<K, Arc<V>>,
    other: &'a BTreeMap<K, Arc<V>>,
) -> impl Iterator<Item = (&'a K, &'a V)> {
    let mut others = other.iter().peekable();
    let mut shares = move |key: &K, entry: &Arc<V>| {
        while others.next_if(|(known, it)| !Arc::ptr_eq(it, entry) && *known < key).is_some() {}
        others.next_if(|(known, it)| Arc::ptr_eq(it, entry) && *known == key).is_some()
    };
    own.iter().filter(move |(key, entry)| !shares(key, entry)).map(|(key, entry)| (key, entry.as_ref()))
}

impl Model {
    /// [`Model::ike_config`] of the remotes that are other than in `before`, or whose policies are; of all where what they prove
    /// themselves with may be. What can never work of it alone cannot work with the rest either, and the rest is as it was.
    pub fn ike_config_since(&self, before: &Model, sources: &BTreeMap<IpAddr, IpAddr>) -> Arc<Config> {
        let same_proofs = Arc::ptr_eq(&self.keyring, &before.keyring)
            && self.database.is_that_of(&before.database)
            && self.found == before.found;
        if !same_proofs {
            return self.ike_config(sources);
        }
        let remotes = unshared(&self.remotes, &before.remotes).map(|((name, _), _)| name.as_str());
        let policies = self.policies.unshared(&before.policies);
        let served = policies.filter_map(|entry| Some(entry.spec.esp.as_ref()?.remote.as_str()));
        let names: BTreeSet<&str> = remotes.chain(served).collect();
        let remotes = names.iter().flat_map(|name| self.versions(name));
        let policies = names.iter().flat_map(|name| self.policies.of_remote(name));
        self.config_of(remotes, policies, sources)
    }

    /// What makes a data plane that holds the policies of `self` hold those of `newer`. Additions come first, so
    /// that no packet slips through in between.
    pub fn difference(&self, newer: &Model) -> Vec<DataPlaneOp> {
        let (interfaces, newer_interfaces) = (self.interfaces(), newer.interfaces());
        let no_interface = interfaces.iter().filter(|(domain, _)| !newer_interfaces.contains_key(*domain));
        // A domain whose interface has another name or place now is another interface.
        let other = |(domain, it): &(&Domain, &Interface)| newer_interfaces.get(*domain).is_some_and(|new| new != *it);
        let replaced = interfaces.iter().filter(other);
        let interface = newer_interfaces.iter().filter(|(domain, it)| interfaces.get(*domain) != Some(*it));
        let gone = |(domain, _): (&Domain, &Interface)| DataPlaneOp::DeleteInterface(*domain);
        let made = |(_, it): (&Domain, &Interface)| DataPlaneOp::AddInterface(it.clone());
        let stands = |id: PolicyId| newer.policies.get(id).is_some_and(PolicyEntry::stands);
        let changed = newer.policies.unshared(&self.policies);
        let changed = changed.filter(|entry| self.policies.get(entry.id) != Some(*entry));
        let added = changed.filter(|entry| entry.stands());
        let removed = self.policies.unshared(&newer.policies).filter(|entry| entry.stands()).map(|entry| entry.id);
        let removed = removed.filter(|id| !stands(*id));
        let keyed = newer.keyed.values().filter(|keyed| !self.keyed.contains_key(&keyed.policy.id));
        let no_longer = self.keyed.keys().copied().filter(|id| !newer.keyed.contains_key(id));
        let policies = added.map(PolicyEntry::spd_policy).chain(keyed.map(|keyed| keyed.policy.clone()));
        replaced
            .map(gone)
            .chain(interface.map(made))
            .chain(policies.map(DataPlaneOp::AddPolicy))
            .chain(removed.chain(no_longer).map(DataPlaneOp::DeletePolicy))
            .chain(no_interface.map(gone))
            .collect()
    }

    /// The numbers of the policies that are not in the model `newer`.
    pub fn gone(&self, newer: &Model) -> Vec<PolicyId> {
        let named = self.policies.unshared(&newer.policies).map(|entry| entry.id);
        let named = named.filter(|id| newer.policies.get(*id).is_none());
        let keyed = self.keyed.keys().copied().filter(|id| !newer.keyed.contains_key(id));
        named.chain(keyed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(u8, &Arc<char>)]) -> BTreeMap<u8, Arc<char>> {
        entries.iter().map(|(key, entry)| (*key, Arc::clone(entry))).collect()
    }

    #[test]
    fn entries_are_shared_where_they_are_the_same_ones_under_the_same_key() {
        let [a, b, c, other_b] = ['a', 'b', 'c', 'b'].map(Arc::new);
        let keys = |own: &BTreeMap<u8, Arc<char>>, other: &BTreeMap<u8, Arc<char>>| -> Vec<u8> {
            unshared(own, other).map(|(key, _)| *key).collect()
        };
        let all = map(&[(1, &a), (3, &b), (5, &c)]);
        assert!(keys(&all, &all).is_empty(), "a copy");
        assert_eq!(keys(&all, &map(&[])), [1, 3, 5], "nothing there");
        assert!(keys(&map(&[]), &all).is_empty(), "nothing here");
        assert_eq!(keys(&all, &map(&[(1, &a), (3, &other_b), (5, &c)])), [3], "another that says the same");
        assert_eq!(keys(&all, &map(&[(1, &a), (5, &c)])), [3], "one that came");
        assert!(keys(&map(&[(1, &a), (5, &c)]), &all).is_empty(), "one that went");
        assert_eq!(keys(&all, &map(&[(0, &b), (2, &b), (4, &a), (5, &c), (6, &a)])), [1, 3], "under other keys");
    }
}
