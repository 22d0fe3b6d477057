//! What was decided for the flows seen lately.

use alloc::boxed::Box;
use alloc::vec;
use core::net::IpAddr;

use ravelin_wire::ip::{Fragment, Header};

use crate::fetch::fetch;
use crate::hash::HashKey;
use crate::limits::{MAX_FLOW_CACHE, MIN_FLOW_CACHE};

/// A flow, and what the packet hides, in a form that is quick to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlowKey {
    V4([u64; 2]),
    V6([u64; 5]),
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
                FlowKey::V4([rest, u64::from(src.to_bits()) << 32 | u64::from(dst.to_bits())])
            }
            (src, dst) => {
                let (src, dst) = (bits(*src), bits(*dst));
                FlowKey::V6([rest, (src >> 64) as u64, src as u64, (dst >> 64) as u64, dst as u64])
            }
        }
    }

    /// The same flow from the other end.
    pub fn swapped(self) -> Self {
        let swap_ports = |rest: u64| {
            let ports = (rest >> 16) as u32;
            rest & !(u64::from(u32::MAX) << 16) | u64::from(ports.rotate_left(16)) << 16
        };
        match self {
            FlowKey::V4([rest, ends]) => FlowKey::V4([swap_ports(rest), ends.rotate_left(32)]),
            FlowKey::V6([rest, a, b, c, d]) => FlowKey::V6([swap_ports(rest), c, d, a, b]),
        }
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Where a flow may be in the table of its family: in its first set, or, when that was full of others, in its second.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    first: usize,
    second: usize,
}

/// The flows of both families. One call forgets them all, whenever policies or SAs change.
pub(crate) struct FlowCache<D> {
    v4: Table<D, 2>,
    v6: Table<D, 5>,
    generation: u32,
    hash: HashKey,
}

impl<D: Copy> FlowCache<D> {
    /// `empty` fills unused slots and is never returned.
    pub fn new(seed: u64, empty: D) -> Self {
        FlowCache {
            v4: Table::new(MIN_FLOW_CACHE, empty),
            v6: Table::new(MIN_FLOW_CACHE, empty),
            generation: 1,
            hash: HashKey::new(seed),
        }
    }

    /// Makes room for `flows` flows of one family; what it knew of that family is forgotten.
    pub fn reserve(&mut self, ipv4: bool, flows: usize) {
        // Four times as many slots: few sets get more flows than they hold.
        let len = (flows * 4).next_power_of_two().min(MAX_FLOW_CACHE);
        if ipv4 { self.v4.grow(len) } else { self.v6.grow(len) }
    }

    /// Forgets everything.
    pub fn forget(&mut self) {
        self.generation = self.generation.checked_add(1).unwrap_or_else(|| {
            self.v4.clear();
            self.v6.clear();
            1
        });
    }

    #[inline]
    pub fn place(&self, key: &FlowKey) -> Place {
        let (hash, sets) = match key {
            FlowKey::V4(words) => (self.hash.two(*words), self.v4.sets.len()),
            FlowKey::V6(words) => (self.hash.five(words), self.v6.sets.len()),
        };
        Place { first: hash as usize & (sets - 1), second: (hash >> 32) as usize & (sets - 1) }
    }

    /// Has the processor fetch the place, for a `get` a little later.
    #[inline]
    pub fn fetch(&self, key: &FlowKey, place: Place) {
        match key {
            FlowKey::V4(_) => fetch(&self.v4.sets[place.first]),
            FlowKey::V6(_) => self.v6.sets[place.first].0.iter().for_each(fetch),
        }
    }

    #[inline]
    pub fn get(&self, place: Place, key: &FlowKey) -> Option<D> {
        match key {
            FlowKey::V4(words) => self.v4.get(place, words, self.generation),
            FlowKey::V6(words) => self.v6.get(place, words, self.generation),
        }
    }

    pub fn put(&mut self, place: Place, key: &FlowKey, decision: D) {
        let generation = self.generation;
        match key {
            FlowKey::V4(words) => self.v4.put(place, Slot { key: *words, generation, decision }),
            FlowKey::V6(words) => self.v6.put(place, Slot { key: *words, generation, decision }),
        }
    }
}

/// Sets of two flows, and two sets to choose from for each flow, so that flows push each other out only when the
/// table is nearly full.
struct Table<D, const WORDS: usize> {
    sets: Box<[Set<D, WORDS>]>,
    empty: D,
}

/// One cache line for IPv4, two for IPv6.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Set<D, const WORDS: usize>([Slot<D, WORDS>; 2]);

#[derive(Clone, Copy)]
struct Slot<D, const WORDS: usize> {
    key: [u64; WORDS],
    /// The decision holds while this is the cache's generation.
    generation: u32,
    decision: D,
}

impl<D: Copy, const WORDS: usize> Table<D, WORDS> {
    fn new(len: usize, empty: D) -> Self {
        debug_assert!(len.is_power_of_two() && len >= 2);
        let slot = Slot { key: [0; WORDS], generation: 0, decision: empty };
        Table { sets: vec![Set([slot; 2]); len / 2].into_boxed_slice(), empty }
    }

    fn grow(&mut self, len: usize) {
        if len > self.sets.len() * 2 {
            *self = Self::new(len, self.empty);
        }
    }

    fn clear(&mut self) {
        self.sets.iter_mut().flat_map(|set| &mut set.0).for_each(|slot| slot.generation = 0);
    }

    #[inline]
    fn get(&self, place: Place, key: &[u64; WORDS], generation: u32) -> Option<D> {
        let fresh = |slot: &&Slot<D, WORDS>| slot.generation == generation && same(&slot.key, key);
        let in_set = |set: usize| self.sets[set].0.iter().find(fresh).map(|slot| slot.decision);
        in_set(place.first).or_else(|| in_set(place.second))
    }

    fn put(&mut self, place: Place, slot: Slot<D, WORDS>) {
        let free = [place.first, place.second].into_iter().find_map(|set| {
            let way = self.sets[set].0.iter().position(|other| other.generation != slot.generation)?;
            Some((set, way))
        });
        // With both sets full, one flow of the first goes; which one is as good as random.
        let (set, way) = free.unwrap_or((place.first, place.second & 1));
        self.sets[set].0[way] = slot;
    }
}

/// Equality without the call that comparing arrays would make.
#[inline]
fn same<const WORDS: usize>(a: &[u64; WORDS], b: &[u64; WORDS]) -> bool {
    a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use ravelin_wire::ip::{v4, v6};

    #[test]
    fn two_sets_of_two_take_four_flows_and_forget_them_at_once() {
        let mut cache = FlowCache::new(7, 0u32);
        let place = Place { first: 0, second: 1 };
        let keys = [1, 2, 3, 4, 5].map(|n| FlowKey::V6([n; 5]));
        assert_eq!(cache.get(place, &FlowKey::V6([0; 5])), None, "an empty slot is no answer");
        for (key, decision) in keys[..4].iter().zip([10, 20, 30, 40]) {
            cache.put(place, key, decision);
        }
        let held = |cache: &FlowCache<u32>| keys.map(|key| cache.get(place, &key));
        assert_eq!(held(&cache), [Some(10), Some(20), Some(30), Some(40), None]);
        cache.put(place, &keys[4], 50);
        assert_eq!(held(&cache), [Some(10), None, Some(30), Some(40), Some(50)]);
        cache.forget();
        assert_eq!(held(&cache), [None; 5]);
        cache.generation = u32::MAX;
        cache.put(place, &keys[0], 10);
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
            assert_eq!(flow, key(1, 2, [3, 4, 5, 6]));
            assert_eq!(flow.swapped(), key(2, 1, [5, 6, 3, 4]));
            for other in
                [key(7, 2, [3, 4, 5, 6]), key(1, 7, [3, 4, 5, 6]), key(1, 2, [3, 7, 5, 6]), key(1, 2, [3, 4, 5, 7])]
            {
                assert_ne!(flow, other);
            }
        }
    }

    #[test]
    fn a_cache_filled_to_a_quarter_keeps_nearly_all() {
        let mut cache = FlowCache::new(7, 0u64);
        cache.reserve(true, 1024);
        let key = |n: u64| FlowKey::V4([17, 0x0a00_0000 + n]);
        for n in 0..1024 {
            cache.put(cache.place(&key(n)), &key(n), n);
        }
        let kept = (0..1024).filter(|&n| cache.get(cache.place(&key(n)), &key(n)) == Some(n)).count();
        assert!(kept >= 1020, "{kept}");
    }
}
