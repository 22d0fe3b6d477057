//! What was decided for the flows seen lately.

use alloc::boxed::Box;
use alloc::vec;
use core::net::IpAddr;

use ravelin_wire::ip::{Fragment, Header};

use crate::fetch::fetch;
use crate::hash::HashKey;

/// A flow, and what the packet hides, in a form that is quick to compare.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlowKey([u64; 5]);

impl FlowKey {
    /// Equality without the call that comparing arrays would make.
    #[inline]
    fn is(&self, other: &FlowKey) -> bool {
        self.0.iter().zip(&other.0).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }
}

impl FlowKey {
    /// The flow of the packet `packet` with this header, read without the detour over [`Flow`].
    ///
    /// [`Flow`]: ravelin_types::dataplane::Flow
    #[inline]
    pub fn new(header: &Header, packet: &[u8]) -> Self {
        let ports = header.ports(packet);
        let (src_port, dst_port) = ports.unwrap_or_default();
        // What a packet hides follows from its protocol, its ports and which part of a datagram it is.
        let rest = u64::from(ports.is_some())
            | u64::from(header.fragment == Fragment::Later) << 1
            | u64::from(header.protocol) << 8
            | u64::from(src_port) << 16
            | u64::from(dst_port) << 32;
        match (&header.src, &header.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                FlowKey([rest | IS_V4, u64::from(src.to_bits()) << 32 | u64::from(dst.to_bits()), 0, 0, 0])
            }
            (src, dst) => {
                let (src, dst) = (bits(*src), bits(*dst));
                FlowKey([rest, (src >> 64) as u64, src as u64, (dst >> 64) as u64, dst as u64])
            }
        }
    }

    /// The same flow from the other end.
    pub fn swapped(self) -> Self {
        let FlowKey([rest, a, b, c, d]) = self;
        let ports = rest >> 16 & 0xffff_ffff;
        let rest = rest & !(0xffff_ffff << 16) | u64::from((ports as u32).rotate_left(16)) << 16;
        if rest & IS_V4 != 0 { FlowKey([rest, a.rotate_left(32), 0, 0, 0]) } else { FlowKey([rest, c, d, a, b]) }
    }

    #[inline]
    fn hash(&self, key: &HashKey) -> u64 {
        if self.0[0] & IS_V4 != 0 { key.two([self.0[0], self.0[1]]) } else { key.five(&self.0) }
    }
}

const IS_V4: u64 = 1 << 2;

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
        let hash = key.hash(&self.hash);
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
        let fresh = |slot: &&Slot<D>| slot.generation == self.generation && slot.key.is(key);
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
    use ravelin_wire::ip::{v4, v6};

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
    fn a_key_tells_flows_apart_and_swaps_their_ends() {
        let v4 = |src: u8, dst: u8, ports: [u8; 4]| {
            let fields = v4::Fields {
                tos: 0,
                total_len: 28,
                id: 0,
                dont_fragment: true,
                ttl: 1,
                protocol: 17,
                src: [10, 0, 0, src].into(),
                dst: [10, 0, 0, dst].into(),
            };
            let mut packet = [0; 28];
            fields.emit(packet.first_chunk_mut().unwrap());
            packet[20..24].copy_from_slice(&ports);
            FlowKey::new(&Header::parse(&packet).unwrap(), &packet)
        };
        let v6 = |src: u8, dst: u8, ports: [u8; 4]| {
            let mut packet = [0; 48];
            let (src, dst) = ([src; 16].into(), [dst; 16].into());
            v6::Fields { tos: 0, payload_len: 8, next_header: 17, hop_limit: 1, src, dst }
                .emit(packet.first_chunk_mut().unwrap());
            packet[40..44].copy_from_slice(&ports);
            FlowKey::new(&Header::parse(&packet).unwrap(), &packet)
        };
        for key in [&v4 as &dyn Fn(u8, u8, [u8; 4]) -> FlowKey, &v6] {
            let flow = key(1, 2, [3, 4, 5, 6]);
            assert!(flow.is(&key(1, 2, [3, 4, 5, 6])));
            assert!(flow.swapped().is(&key(2, 1, [5, 6, 3, 4])));
            for other in
                [key(7, 2, [3, 4, 5, 6]), key(1, 7, [3, 4, 5, 6]), key(1, 2, [3, 7, 5, 6]), key(1, 2, [3, 4, 5, 7])]
            {
                assert!(!flow.is(&other));
            }
        }
    }

    #[test]
    fn a_cache_filled_to_a_quarter_keeps_nearly_all() {
        let mut cache = FlowCache::new(1 << 12, 7, 0u64);
        let key = |n: u64| FlowKey([IS_V4, 0x0a00_0000 + n, 0, 0, 0]);
        for n in 0..1024 {
            cache.put(cache.place(&key(n)), key(n), n);
        }
        let kept = (0..1024).filter(|&n| cache.get(cache.place(&key(n)), &key(n)) == Some(n)).count();
        assert!(kept >= 1020, "{kept}");
    }
}
