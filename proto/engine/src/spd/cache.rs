//! What was decided for the flows seen lately.

use alloc::boxed::Box;
use alloc::vec;
use core::net::IpAddr;

use super::Seen;
use crate::fetch::fetch;
use crate::hash::HashKey;

/// A flow, and what the packet hides, in a form that is quick to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlowKey([u64; 5]);

impl From<&Seen> for FlowKey {
    #[inline]
    fn from(seen: &Seen) -> Self {
        let flow = &seen.flow;
        let flags = u64::from(flow.src_port.is_some())
            | u64::from(flow.src.is_ipv4()) << 1
            | u64::from(seen.hides_ports) << 2
            | u64::from(seen.hides_protocol) << 3;
        let rest = flags
            | u64::from(flow.protocol) << 8
            | u64::from(flow.src_port.unwrap_or(0)) << 16
            | u64::from(flow.dst_port.unwrap_or(0)) << 32;
        match (flow.src, flow.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                FlowKey([rest, u64::from(src.to_bits()) << 32 | u64::from(dst.to_bits()), 0, 0, 0])
            }
            (src, dst) => {
                let (src, dst) = (bits(src), bits(dst));
                FlowKey([rest, (src >> 64) as u64, src as u64, (dst >> 64) as u64, dst as u64])
            }
        }
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// One cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Slot<D> {
    key: FlowKey,
    /// The decision holds while this is the cache's generation.
    generation: u32,
    decision: D,
}

/// Where a flow may be: in its first set, or, when that was full of others, in its second.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    first: usize,
    second: usize,
}

/// A cache of bounded size: sets of two flows, and two sets to choose from for each flow, so that flows push each
/// other out only when the cache is nearly full. One call forgets everything, whenever policies or SAs change.
pub(crate) struct FlowCache<D> {
    sets: Box<[[Slot<D>; 2]]>,
    generation: u32,
    hash: HashKey,
    empty: D,
}

impl<D: Copy> FlowCache<D> {
    /// `len` is a power of two; `empty` fills unused slots and is never returned.
    pub fn new(len: usize, seed: u64, empty: D) -> Self {
        FlowCache { sets: sets(len, empty), generation: 1, hash: HashKey::new(seed), empty }
    }

    pub fn len(&self) -> usize {
        self.sets.len() * 2
    }

    /// Forgets everything and takes a new size, a power of two.
    pub fn resize(&mut self, len: usize) {
        self.sets = sets(len, self.empty);
        self.generation = 1;
    }

    /// Forgets everything.
    pub fn forget(&mut self) {
        match self.generation.checked_add(1) {
            Some(next) => self.generation = next,
            None => self.resize(self.len()),
        }
    }

    #[inline]
    pub fn place(&self, key: &FlowKey) -> Place {
        let hash = self.hash.words(&key.0);
        let mask = self.sets.len() - 1;
        Place { first: hash as usize & mask, second: (hash >> 32) as usize & mask }
    }

    /// Has the processor fetch the place, for a `get` a little later.
    #[inline]
    pub fn fetch(&self, place: Place) {
        self.sets[place.first].iter().for_each(fetch);
    }

    #[inline]
    pub fn get(&self, place: Place, key: &FlowKey) -> Option<D> {
        let fresh = |slot: &&Slot<D>| slot.generation == self.generation && slot.key == *key;
        let in_set = |set: usize| self.sets[set].iter().find(fresh).map(|slot| slot.decision);
        in_set(place.first).or_else(|| in_set(place.second))
    }

    pub fn put(&mut self, place: Place, key: FlowKey, decision: D) {
        let generation = self.generation;
        let free = [place.first, place.second].into_iter().find_map(|set| {
            let way = self.sets[set].iter().position(|slot| slot.generation != generation)?;
            Some((set, way))
        });
        // With both sets full, one of the four goes: which one, the generation's flows decide by their own hash.
        let (set, way) = free.unwrap_or((place.first, place.second & 1));
        self.sets[set][way] = Slot { key, generation, decision };
    }
}

fn sets<D: Copy>(len: usize, empty: D) -> Box<[[Slot<D>; 2]]> {
    debug_assert!(len.is_power_of_two() && len >= 2);
    let slot = Slot { key: FlowKey([0; 5]), generation: 0, decision: empty };
    vec![[slot; 2]; len / 2].into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sets_of_two_take_four_flows_and_forget_them_at_once() {
        let mut cache = FlowCache::new(4, 7, 0u32);
        let place = Place { first: 0, second: 1 };
        let keys = [1, 2, 3, 4, 5].map(|n| FlowKey([n; 5]));
        assert_eq!(cache.get(place, &FlowKey([0; 5])), None, "an empty slot is no answer");
        for (key, decision) in keys[..4].iter().zip([10, 20, 30, 40]) {
            cache.put(place, *key, decision);
        }
        let held = |cache: &FlowCache<u32>| keys.map(|key| cache.get(place, &key));
        assert_eq!(held(&cache), [Some(10), Some(20), Some(30), Some(40), None]);
        cache.put(place, keys[4], 50);
        assert_eq!(held(&cache), [Some(10), None, Some(30), Some(40), Some(50)]);
        cache.forget();
        assert_eq!(held(&cache), [None; 5]);
        cache.generation = u32::MAX;
        cache.put(place, keys[0], 10);
        cache.forget();
        assert_eq!(cache.get(place, &keys[0]), None, "the generation wraps without waking old entries");
    }

    #[test]
    fn a_cache_filled_to_a_quarter_keeps_nearly_all() {
        let mut cache = FlowCache::new(1 << 12, 7, 0u64);
        let key = |n: u64| FlowKey([17, 0x0a00_0000 + n, 0, 0, 0]);
        for n in 0..1024 {
            cache.put(cache.place(&key(n)), key(n), n);
        }
        let kept = (0..1024).filter(|&n| cache.get(cache.place(&key(n)), &key(n)) == Some(n)).count();
        assert!(kept >= 1020, "{kept}");
    }
}
