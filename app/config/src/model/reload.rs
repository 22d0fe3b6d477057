//! From one model to another as a whole: what is the same keeps its number, and with it its SAs.

use std::collections::BTreeSet;
use std::ops::Bound;

use ravelin_types::interface::Interface;
use ravelin_types::policy::Domain;
use ravelin_types::selector::TrafficSelector;

use super::keyed::Keyed;
use super::policies::Policies;
use super::shared::Shared;
use super::{Model, ModelError, PolicyEntry};
use crate::spec::PolicySpec;

/// Beyond this many policies nobody asks which of them meet.
const MAX_COMPARED: usize = 1000;

/// Whether two policies differ in nothing that their SAs are made of.
pub(super) fn same(one: &PolicySpec, other: &PolicySpec) -> bool {
    PolicySpec { trap: other.trap, ..one.clone() } == *other
}

/// Whether it matters which of the two is consulted first.
fn meet(one: &PolicyEntry, spec: &PolicySpec, domain: Domain) -> bool {
    let overlap = |a: &[TrafficSelector], b: &[TrafficSelector]| {
        // Selectors that are not known yet may be any.
        a.is_empty() || b.is_empty() || a.iter().any(|a| b.iter().any(|b| a.intersection(b).is_some()))
    };
    one.domain == domain
        && one.spec.priority == spec.priority
        && overlap(&one.spec.local, &spec.local)
        && overlap(&one.spec.remote, &spec.remote)
}

impl Model {
    /// `fresh`, which was made from nothing, with the numbers that its policies have in `self`, as far as they are the
    /// same. Policies of equal priority are consulted in the order of their numbers: one that must come after another and
    /// has a lower number has a new one.
    ///
    /// # Errors
    /// When no number or interface is left.
    pub fn renumbered(&self, fresh: Model) -> Result<Model, ModelError> {
        let domains = self.domains_for(&fresh)?;
        let domain_of = |name: Option<&str>| name.and_then(|name| domains.get(name)).copied().unwrap_or_default();
        let placed = |(name, it): (&String, &Interface)| {
            (name.clone(), Interface { domain: domain_of(Some(name)), ..it.clone() })
        };
        let mut policies = Policies::default();
        fresh.policies.iter().filter(|entry| entry.automatic).for_each(|entry| policies.insert(entry.clone()));
        let mut newer = Model {
            policies: Shared::new(policies),
            keyed: Default::default(),
            setkey: fresh.setkey,
            interfaces: fresh.interfaces.iter().map(placed).collect(),
            next_id: self.next_id,
            next_place: fresh.next_place,
            remotes: fresh.remotes,
            secrets: fresh.secrets,
            keyring: fresh.keyring,
            ppks: fresh.ppks,
            pools: fresh.pools,
            found: fresh.found,
            accounts: fresh.accounts,
            database: fresh.database,
        };
        for PolicyEntry { spec, .. } in fresh.policies.iter().filter(|entry| !entry.automatic).cloned() {
            let known = self.policy(&spec.name).filter(|known| {
                let mut higher = newer.policies.range((Bound::Excluded(known.id), Bound::Unbounded));
                let too_many = higher.clone().nth(MAX_COMPARED).is_some();
                same(&known.spec, &spec) && !too_many && !higher.any(|entry| meet(entry, &spec, known.domain))
            });
            let interface = newer.interface_of(&spec).map(str::to_owned);
            let known = known.filter(|known| {
                self.interface_of(&known.spec) == interface.as_deref()
                    && self.has_interface_of(&newer, interface.as_deref())
            });
            let (id, domain, at) = match known {
                Some(known) => (known.id, known.domain, known.at.clone()),
                None => (newer.new_id()?, domain_of(interface.as_deref()), Vec::new()),
            };
            newer.policies.insert(PolicyEntry { id, spec, domain, automatic: false, at });
        }
        for keyed in fresh.keyed.into_values() {
            let known = self.keyed.values().find(|known| is_keyed_like(known, &keyed));
            match known {
                Some(known) => drop(newer.keyed.insert(known.policy.id, known.clone())),
                None => {
                    let Keyed { mut policy, keying, session, spec, made } = keyed;
                    policy.id = ravelin_types::policy::PolicyId(0);
                    let id = newer.add_keyed(policy, keying, session)?;
                    newer.keyed.entry(id).and_modify(|keyed| (keyed.spec, keyed.made) = (spec, made));
                }
            }
        }
        Ok(newer)
    }

    /// What is different in `newer`, one line each: `+` comes, `-` goes, `~` is another now.
    pub fn changes(&self, newer: &Model) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = |sign: char, kind: &str, name: &str| lines.push(format!("{sign} {kind} {name}"));
        for entry in self.policies.iter() {
            match newer.policy(&entry.spec.name) {
                None => line('-', "policy", &entry.spec.name),
                Some(other) if other.id != entry.id => line('~', "policy", &entry.spec.name),
                Some(other) if other.spec.trap != entry.spec.trap => line('~', "trap of policy", &entry.spec.name),
                Some(_) => {}
            }
        }
        newer.policies.iter().filter(|entry| self.policy(&entry.spec.name).is_none()).for_each(|entry| {
            line('+', "policy", &entry.spec.name);
        });
        for (key, entry) in self.remotes.iter() {
            match newer.remotes.get(key) {
                None => line('-', "remote", &key.0),
                Some(other) if other.spec != entry.spec => line('~', "remote", &key.0),
                Some(_) => {}
            }
        }
        newer.remotes.keys().filter(|key| !self.remotes.contains_key(*key)).for_each(|key| line('+', "remote", &key.0));
        for (name, spec) in &self.pools {
            match newer.pools.get(name) {
                None => line('-', "pool", name),
                Some(other) if other.pool != spec.pool => line('~', "pool", name),
                Some(_) => {}
            }
        }
        newer.pools.keys().filter(|name| !self.pools.contains_key(*name)).for_each(|name| line('+', "pool", name));
        for (name, secret) in self.secrets.iter() {
            match newer.secrets.get(name) {
                None => line('-', "secret", name),
                Some(other) if !other.is(secret) => line('~', "secret", name),
                Some(_) => {}
            }
        }
        newer
            .secrets
            .keys()
            .filter(|name| !self.secrets.contains_key(*name))
            .for_each(|name| line('+', "secret", name));
        for (name, interface) in &self.interfaces {
            match newer.interfaces.get(name) {
                None => line('-', "interface", name),
                Some(other) if other != interface => line('~', "interface", name),
                Some(_) => {}
            }
        }
        let fresh = newer.interfaces.keys().filter(|name| !self.interfaces.contains_key(*name));
        fresh.for_each(|name| line('+', "interface", name));
        let papers = |model: &Model| -> Vec<_> {
            let entries = model.database.entries().iter();
            let entries = entries.map(|entry| (entry.spec.file.display().to_string(), entry.certificates.clone()));
            let loaded = model.database.loaded().certificates().iter();
            entries.chain(loaded.map(|it| (it.subject().to_string(), vec![it.clone()]))).collect()
        };
        let (had, has) = (papers(self), papers(newer));
        had.iter().filter(|paper| !has.contains(paper)).for_each(|(file, _)| line('-', "certificate", file));
        has.iter().filter(|paper| !had.contains(paper)).for_each(|(file, _)| line('+', "certificate", file));
        let keys = |model: &Model| -> BTreeSet<String> { model.database.loaded().keys().map(str::to_owned).collect() };
        let (had, has) = (keys(self), keys(newer));
        had.difference(&has).for_each(|id| line('-', "private key", id));
        has.difference(&had).for_each(|id| line('+', "private key", id));
        let by_hand = |model: &Model, id| model.keyed.contains_key(id);
        self.keyed
            .iter()
            .filter(|(id, _)| !by_hand(newer, id))
            .for_each(|(_, gone)| line('-', "SA", &gone.policy.name));
        newer.keyed.iter().filter(|(id, _)| !by_hand(self, id)).for_each(|(_, new)| line('+', "SA", &new.policy.name));
        lines
    }
}

/// Whether an SA by hand is the one that is there: the same traffic under the same SPIs.
fn is_keyed_like(one: &Keyed, other: &Keyed) -> bool {
    if one.made.is_some() || other.made.is_some() {
        return one.made == other.made;
    }
    let spis = |keyed: &Keyed| {
        let session = keyed.session.as_ref();
        let esp =
            session.and_then(|session| Some((session.esp.as_ref()?.spis.inbound, session.esp.as_ref()?.spis.outbound)));
        let ah =
            session.and_then(|session| Some((session.ah.as_ref()?.spis.inbound, session.ah.as_ref()?.spis.outbound)));
        (esp, ah)
    };
    one.policy.local == other.policy.local
        && one.policy.remote == other.policy.remote
        && one.policy.action == other.policy.action
        && spis(one) == spis(other)
}

#[cfg(test)]
mod tests;
