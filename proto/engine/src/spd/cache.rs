//! What was decided for the flows seen lately.

use alloc::boxed::Box;
use alloc::vec;
use core::hash::BuildHasher;
use core::hint::black_box;
use core::net::IpAddr;

use foldhash::fast::FixedState;

use super::Seen;

/// A flow, and what the packet hides, in a form that is quick to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// A two-way set-associative cache of bounded size. One call forgets everything, whenever policies or SAs change.
pub(crate) struct FlowCache<D> {
    sets: Box<[[Slot<D>; 2]]>,
    generation: u32,
    hasher: FixedState,
    empty: D,
}

impl<D: Copy> FlowCache<D> {
    /// `len` is a power of two; `empty` fills unused slots and is never returned.
    pub fn new(len: usize, seed: u64, empty: D) -> Self {
        FlowCache { sets: sets(len, empty), generation: 1, hasher: FixedState::with_seed(seed), empty }
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

    /// Where the flow would be.
    #[inline]
    pub fn place(&self, key: &FlowKey) -> usize {
        // The upper half: the multiplication at the end of the hash mixes upwards.
        (self.hasher.hash_one(key) >> 32) as usize & (self.sets.len() - 1)
    }

    /// Has the processor fetch the place, for a `get` a little later.
    #[inline]
    pub fn touch(&self, place: usize) {
        black_box(self.sets[place][0].generation);
    }

    #[inline]
    pub fn get(&self, place: usize, key: &FlowKey) -> Option<D> {
        let set = &self.sets[place];
        set.iter().find(|slot| slot.generation == self.generation && slot.key == *key).map(|slot| slot.decision)
    }

    pub fn put(&mut self, place: usize, key: FlowKey, decision: D) {
        let generation = self.generation;
        let [first, second] = &mut self.sets[place];
        // A flow that collides takes the place of the older of the two: new ones enter first, and push the first on.
        if first.generation == generation {
            *second = *first;
        }
        *first = Slot { key, generation, decision };
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
    fn a_set_holds_two_flows_and_forgets_all_at_once() {
        let mut cache = FlowCache::new(2, 7, 0u32);
        let keys = [1, 2, 3].map(|n| FlowKey([n; 5]));
        assert_eq!(cache.get(0, &FlowKey([0; 5])), None, "an empty slot is no answer");
        cache.put(0, keys[0], 10);
        cache.put(0, keys[1], 20);
        assert_eq!((cache.get(0, &keys[0]), cache.get(0, &keys[1])), (Some(10), Some(20)));
        cache.put(0, keys[2], 30);
        assert_eq!((cache.get(0, &keys[0]), cache.get(0, &keys[1])), (None, Some(20)));
        cache.forget();
        assert_eq!(cache.get(0, &keys[2]), None);
        cache.generation = u32::MAX;
        cache.put(0, keys[0], 10);
        cache.forget();
        assert_eq!(cache.get(0, &keys[0]), None, "the generation wraps without waking old entries");
    }
}
