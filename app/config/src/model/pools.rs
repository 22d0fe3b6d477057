//! The pools of internal addresses.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ravelin_ike::address::pool::Pool;
use ravelin_types::selector::TrafficSelector;

use super::{Model, ModelError, PolicyEntry};
use crate::spec::{PoolSpec, Which};
use crate::value::among;

impl Model {
    /// Every pool, in the order of names.
    pub fn pools(&self) -> impl Iterator<Item = &PoolSpec> {
        self.pools.values()
    }

    /// The pool of this name.
    pub fn pool(&self, name: &str) -> Option<&PoolSpec> {
        self.pools.get(name)
    }

    /// Adds a pool of the command line.
    ///
    /// # Errors
    /// When there is one of this name, or it has addresses of another.
    pub fn add_pool(&mut self, spec: PoolSpec) -> Result<(), ModelError> {
        let name = &spec.pool.name;
        if self.pools.contains_key(name) {
            return Err(ModelError::PoolExists(name.clone()));
        }
        self.put_pool(spec)
    }

    /// Loads a pool, in the place of one of the same name.
    ///
    /// # Errors
    /// When the name is that of a pool of the command line, or it has addresses of another.
    pub fn load_pool(&mut self, spec: PoolSpec) -> Result<(), ModelError> {
        if self.pools.get(&spec.pool.name).is_some_and(|pool| !pool.loaded) {
            return Err(ModelError::PoolExists(spec.pool.name));
        }
        self.put_pool(spec)
    }

    /// One address is never in two pools: it would be given to two peers.
    fn put_pool(&mut self, spec: PoolSpec) -> Result<(), ModelError> {
        let others = self.pools.values().map(|other| &other.pool).filter(|other| other.name != spec.pool.name);
        if let Some(other) = others.into_iter().find(|other| overlap(other, &spec.pool)) {
            return Err(ModelError::PoolsOverlap(spec.pool.name.clone(), other.name.clone()));
        }
        self.pools.insert(spec.pool.name.clone(), spec);
        Ok(())
    }

    /// Removes one pool, or all; peers keep what they have.
    ///
    /// # Errors
    /// When there is no such pool.
    pub fn delete_pools(&mut self, which: &Which) -> Result<(), ModelError> {
        match which {
            Which::All => self.pools.clear(),
            Which::Named(name) => {
                self.pools.remove(name).ok_or_else(|| self.no_pool(name))?;
            }
        }
        Ok(())
    }

    /// That there is no such pool.
    pub fn no_pool(&self, name: &str) -> ModelError {
        ModelError::NoSuchPool(name.to_owned(), among(name, self.pools.keys().map(String::as_str)))
    }

    /// The pools from which the dynamic addresses of a policy's remote side come, with its protocols and ports.
    pub fn pooled(&self, entry: &PolicyEntry) -> Vec<TrafficSelector> {
        let Some(esp) = &entry.spec.esp else { return Vec::new() };
        let names = self.versions(&esp.remote).flat_map(|remote| &remote.spec.internal.pools);
        let ranges = names.filter_map(|name| Some(self.pools.get(name)?.pool.addresses.clone()));
        let of = |range: RangeInclusive<IpAddr>| {
            let dynamic = esp.dynamic.remote.iter();
            dynamic.filter_map(move |ts| TrafficSelector::new(range.clone(), ts.protocol(), ts.ports()).ok())
        };
        ranges.flat_map(of).collect()
    }

    /// What IKE works with.
    pub(super) fn ike_pools(&self) -> Vec<Pool> {
        self.pools.values().map(|spec| spec.pool.clone()).collect()
    }
}

fn overlap(one: &Pool, other: &Pool) -> bool {
    let (a, b) = (&one.addresses, &other.addresses);
    let same = a.start().is_ipv4() == b.start().is_ipv4();
    let fixed = |one: &Pool, other: &Pool| {
        one.fixed.iter().any(|(_, address)| {
            other.addresses.start().is_ipv4() == address.is_ipv4() && other.addresses.contains(address)
                || other.fixed.iter().any(|(_, fixed)| fixed == address)
        })
    };
    same && a.start() <= b.end() && b.start() <= a.end() || fixed(one, other) || fixed(other, one)
}
