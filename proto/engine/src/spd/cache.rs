//! What was decided for the flows seen lately.

use alloc::boxed::Box;
use alloc::vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ravelin_types::dataplane::Flow;
use ravelin_types::policy::Domain;
use ravelin_wire::ip::transport::{Ports, has_ports};
use ravelin_wire::ip::{Fragment, Header, is_extension, v4};

use super::pieces::{DOMAIN_AT, PROTOCOL_AT, SHAPE, SHAPE_AT, halves, last_word, ports_in, shows_no_port, swapped};
use super::{Seen, Words};
use crate::fetch::fetch;
use crate::hash::HashKey;
use crate::limits::{Limits, MIN_FLOW_CACHE};

/// A flow with its domain, and what the packet hides, in a form that is quick to compare: the words that the classifier
/// asks for, with flags of their own in the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlowKey {
    V4([u64; 2]),
    V6([u64; 5]),
}

/// Set in the last word of every key, so that none is all zero.
const IN_USE: u64 = 8 << SHAPE_AT;
/// Set there for a later fragment.
const LATER: u64 = 4 << SHAPE_AT;

const _: () = assert!(SHAPE & (IN_USE | LATER) == 0 && SHAPE_AT + 8 == PROTOCOL_AT);

impl FlowKey {
    /// The flow of a packet with this header and these ports, read without the detour over [`Flow`].
    #[inline]
    pub fn new(header: &Header, ports: Ports, domain: Domain) -> Self {
        let last = last_of(header, ports, domain);
        match (&header.src, &header.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => FlowKey::V4([pair(src.to_bits(), dst.to_bits()), last]),
            (src, dst) => {
                let ([a, b], [c, d]) = (halves(bits(*src)), halves(bits(*dst)));
                FlowKey::V6([a, b, c, d, last])
            }
        }
    }

    /// The same for the packet `packet`, of which the addresses are taken: from a header that was just made they would come
    /// in other pieces than they were written, and be waited for.
    #[inline(always)]
    pub fn of(packet: &[u8], header: &Header, ports: Ports, domain: Domain) -> Self {
        match packet.get(v4::SRC_AT..v4::HEADER_LEN).and_then(|both| both.first_chunk()) {
            Some(both) if header.src.is_ipv4() => {
                FlowKey::V4([u64::from_be_bytes(*both), last_of(header, ports, domain)])
            }
            _ => Self::new(header, ports, domain),
        }
    }

    #[inline]
    fn last(&self) -> u64 {
        let (FlowKey::V4([.., last]) | FlowKey::V6([.., last])) = *self;
        last
    }

    /// What a packet that leaves shows to the selectors, as the key was made with.
    pub fn seen(&self) -> Seen {
        let (src, dst): (IpAddr, IpAddr) = match *self {
            FlowKey::V4([both, _]) => {
                (Ipv4Addr::from_bits((both >> 32) as u32).into(), Ipv4Addr::from_bits(both as u32).into())
            }
            FlowKey::V6([a, b, c, d, _]) => {
                let whole = |high: u64, low: u64| Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low));
                (whole(a, b).into(), whole(c, d).into())
            }
        };
        let (last, Ports { src: src_port, dst: dst_port }) = (self.last(), ports_in(self.last()));
        let (domain, protocol) = (Domain((last >> DOMAIN_AT) as u16), (last >> PROTOCOL_AT) as u8);
        let none = shows_no_port(last);
        let hides_protocol = none && self.is_later_fragment() && is_extension(protocol);
        let hides_ports = hides_protocol || (none && has_ports(protocol));
        Seen { flow: Flow { src, dst, protocol, src_port, dst_port }, domain, hides_ports, hides_protocol }
    }

    /// The words of the classifier, of a packet that shows ports.
    #[inline]
    pub(super) fn words(&self) -> Option<Words> {
        if shows_no_port(self.last()) {
            return None;
        }
        let (mut words, plain) = (*self, !(IN_USE | LATER));
        let (FlowKey::V4([.., last]) | FlowKey::V6([.., last])) = &mut words;
        *last &= plain;
        Some(match words {
            FlowKey::V4(words) => Words::V4(words),
            FlowKey::V6(words) => Words::V6(words),
        })
    }

    /// The packet is a later fragment.
    #[inline]
    pub fn is_later_fragment(&self) -> bool {
        self.last() & LATER != 0
    }

    /// The same flow from the other end.
    pub fn swapped(self) -> Self {
        match self {
            FlowKey::V4([both, last]) => FlowKey::V4([both.rotate_left(32), swapped(last)]),
            FlowKey::V6([a, b, c, d, last]) => FlowKey::V6([c, d, a, b, swapped(last)]),
        }
    }
}

/// The last word. What a packet hides follows from its protocol, its ports and which part of a datagram it is.
#[inline]
fn last_of(header: &Header, ports: Ports, domain: Domain) -> u64 {
    let later = if header.fragment == Fragment::Later { LATER } else { 0 };
    IN_USE | later | last_word(domain, header.protocol, ports)
}

#[inline]
fn pair(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Where a flow may be in the table of its family: in its first set, or, when that was full of others, in its second.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    first: usize,
    second: usize,
}

/// The flows of both families, each with a small number that says what was decided. One call forgets them all,
/// whenever policies or SAs change.
pub(crate) struct FlowCache {
    v4: Table<2, 3>,
    v6: Table<5, 2>,
    /// The flow that was asked for last and what was decided for it, in which generation: packets come in trains.
    last: (FlowKey, u32, u32),
    /// Flows known in an earlier generation are forgotten. Never 0.
    generation: u32,
    hash: HashKey,
    /// The most sets of a family.
    most: usize,
}

impl FlowCache {
    /// Never more sets of each family than the limit, rounded up to a power of two.
    pub fn new(seed: u64, limits: &Limits) -> Self {
        let most = limits.flow_sets.next_power_of_two();
        let sets = most.min(MIN_FLOW_CACHE.max(limits.reserved(limits.sas).next_power_of_two()));
        let last = (FlowKey::V4([0; 2]), 0, 0);
        FlowCache { v4: Table::new(sets), v6: Table::new(sets), last, generation: 1, hash: HashKey::new(seed), most }
    }

    /// Makes room for `flows` flows of one family; what it knew of that family is forgotten.
    pub fn reserve(&mut self, ipv4: bool, flows: usize) {
        let sets = flows.next_power_of_two().min(self.most);
        if ipv4 { self.v4.grow(sets) } else { self.v6.grow(sets) }
    }

    /// Forgets everything.
    pub fn forget(&mut self) {
        self.generation = self.generation.checked_add(1).unwrap_or_else(|| {
            self.v4.clear();
            self.v6.clear();
            self.last.2 = 0;
            1
        });
    }

    /// What was decided for the flow, if it is the one that was asked for last. Without its hash and its set, which every
    /// packet of a train would wait for.
    #[inline]
    pub fn recent(&self, key: &FlowKey) -> Option<u32> {
        let (last, decision, generation) = &self.last;
        let is_last = match (last, key) {
            (FlowKey::V4(a), FlowKey::V4(b)) => same(a, b),
            (FlowKey::V6(a), FlowKey::V6(b)) => same(a, b),
            _ => false,
        };
        (is_last && *generation == self.generation).then_some(*decision)
    }

    /// Changes whenever everything is forgotten.
    #[inline]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    #[inline]
    pub fn place(&self, key: &FlowKey) -> Place {
        let (hash, sets) = match key {
            FlowKey::V4(words) => (self.hash.words(words), self.v4.sets.len()),
            FlowKey::V6(words) => (self.hash.words(words), self.v6.sets.len()),
        };
        Place { first: hash as usize & (sets - 1), second: (hash >> 32) as usize & (sets - 1) }
    }

    /// Has the processor fetch the place, for a `get` a little later.
    #[inline]
    pub fn fetch(&self, key: &FlowKey, place: Place) {
        match key {
            FlowKey::V4(_) => fetch(&self.v4.sets[place.first]),
            FlowKey::V6(_) => {
                let set = &self.v6.sets[place.first];
                set.keys.iter().for_each(fetch);
            }
        }
    }

    #[inline]
    pub fn get(&self, place: Place, key: &FlowKey) -> Option<u32> {
        match key {
            FlowKey::V4(key) => self.v4.get(place, key, self.generation),
            FlowKey::V6(key) => self.v6.get(place, key, self.generation),
        }
    }

    /// [`FlowCache::get`], remembered for [`FlowCache::recent`].
    #[inline]
    pub fn get_recent(&mut self, place: Place, key: &FlowKey) -> Option<u32> {
        let decision = self.get(place, key)?;
        self.last = (*key, decision, self.generation);
        Some(decision)
    }

    /// Remembers what was decided, as the flow that was asked for last.
    pub fn put(&mut self, place: Place, key: &FlowKey, decision: u32) {
        self.last = (*key, decision, self.generation);
        match key {
            FlowKey::V4(key) => self.v4.put(place, key, decision, self.generation),
            FlowKey::V6(key) => self.v6.put(place, key, decision, self.generation),
        }
    }
}

/// Sets of some flows, and two sets to choose from for each flow, so that flows push each other out only when the
/// table is nearly full.
struct Table<const WORDS: usize, const WAYS: usize> {
    sets: Box<[Set<WORDS, WAYS>]>,
}

/// One cache line for IPv4, two for IPv6. Its flows are of one generation, the last in which one was put here.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Set<const WORDS: usize, const WAYS: usize> {
    /// All zero where a place is free.
    keys: [[u64; WORDS]; WAYS],
    decisions: [u32; WAYS],
    /// 0 where none was put yet.
    generation: u32,
}

const _: () = assert!(size_of::<Set<2, 3>>() == 64 && size_of::<Set<5, 2>>() == 128);

impl<const WORDS: usize, const WAYS: usize> Table<WORDS, WAYS> {
    const EMPTY: Set<WORDS, WAYS> = Set { keys: [[0; WORDS]; WAYS], decisions: [0; WAYS], generation: 0 };

    fn new(sets: usize) -> Self {
        debug_assert!(sets.is_power_of_two());
        Table { sets: vec![Self::EMPTY; sets].into_boxed_slice() }
    }

    fn grow(&mut self, sets: usize) {
        if sets > self.sets.len() {
            *self = Self::new(sets);
        }
    }

    fn clear(&mut self) {
        self.sets.fill(Self::EMPTY);
    }

    #[inline]
    fn get(&self, place: Place, key: &[u64; WORDS], generation: u32) -> Option<u32> {
        let in_set = |set: usize| {
            let Set { keys, decisions, generation: of_set } = &self.sets[set];
            let found = keys.iter().zip(decisions).find(|(other, _)| same(other, key));
            found.filter(|_| *of_set == generation).map(|(_, decision)| *decision)
        };
        in_set(place.first).or_else(|| in_set(place.second))
    }

    fn put(&mut self, place: Place, key: &[u64; WORDS], decision: u32, generation: u32) {
        for set in [place.first, place.second] {
            if self.sets[set].generation != generation {
                self.sets[set] = Set { generation, ..Self::EMPTY };
            }
        }
        let free = [place.first, place.second].into_iter().find_map(|set| {
            let way = self.sets[set].keys.iter().position(|key| key[WORDS - 1] == 0)?;
            Some((set, way))
        });
        // With both sets full, one flow of the first goes; which one is as good as random.
        let (set, way) = free.unwrap_or((place.first, place.second % WAYS));
        (self.sets[set].keys[way], self.sets[set].decisions[way]) = (*key, decision);
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
    use ravelin_wire::ip::v6;

    #[test]
    fn two_sets_of_two_take_four_flows_and_forget_them_at_once() {
        let mut cache = FlowCache::new(7, &Limits::default());
        let place = Place { first: 0, second: 1 };
        let keys = [1, 2, 3, 4, 5].map(|n| FlowKey::V6([n; 5]));
        assert_eq!(cache.get(place, &FlowKey::V6([0; 5])), None, "an empty slot is no answer");
        for (key, decision) in keys[..4].iter().zip([10, 20, 30, 40]) {
            cache.put(place, key, decision);
        }
        let held = |cache: &FlowCache| keys.map(|key| cache.get(place, &key));
        assert_eq!(held(&cache), [Some(10), Some(20), Some(30), Some(40), None]);
        cache.put(place, &keys[4], 50);
        assert_eq!(held(&cache), [Some(10), None, Some(30), Some(40), Some(50)]);
        cache.forget();
        assert_eq!(held(&cache), [None; 5]);
        cache.generation = u32::MAX;
        cache.put(place, &keys[0], 10);
        cache.forget();
        assert_eq!(cache.generation, 1);
        assert_eq!(held(&cache), [None; 5], "the generation wraps without waking old entries");
    }

    #[test]
    fn the_last_flow_is_known_until_all_are_forgotten() {
        let mut cache = FlowCache::new(7, &Limits::default());
        let place = Place { first: 0, second: 1 };
        let (four, six) = (FlowKey::V4([1; 2]), FlowKey::V6([1; 5]));
        assert_eq!(cache.recent(&FlowKey::V4([0; 2])), None, "nothing was asked for yet");
        for (key, decision) in [(four, 10), (six, 20)] {
            assert_eq!(cache.get_recent(place, &key), None);
            cache.put(place, &key, decision);
            assert_eq!(cache.recent(&key), Some(decision));
            cache.last.2 = 0;
            assert_eq!(cache.recent(&key), None);
            assert_eq!(cache.get_recent(place, &key), Some(decision));
            assert_eq!(cache.recent(&key), Some(decision));
        }
        assert_eq!(cache.recent(&four), None, "another came after it");
        cache.forget();
        assert_eq!(cache.recent(&six), None);
        cache.put(place, &four, 30);
        cache.get_recent(place, &four);
        let generation = cache.generation;
        cache.generation = u32::MAX;
        cache.forget();
        cache.generation = generation;
        assert_eq!(cache.recent(&four), None, "a generation of the same number is another");
    }

    #[test]
    fn a_key_tells_flows_apart_and_swaps_their_ends() {
        let key_of = |packet: &[u8]| {
            let header = Header::parse(packet).unwrap();
            let key = |domain| FlowKey::new(&header, header.ports(packet), Domain(domain));
            assert_ne!(key(0), key(1), "a domain has flows of its own");
            assert_eq!(FlowKey::of(packet, &header, header.ports(packet), Domain(7)), key(7));
            let seen = key(7).seen();
            let expected = Seen::new(&header, header.ports(packet), Domain(7));
            assert_eq!(seen, expected);
            assert_eq!(key(7).words(), Some(Words::new(&expected)));
            key(0)
        };
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
            key_of(&packet)
        };
        let v6 = |src: u8, dst: u8, ports: [u8; 4]| {
            let mut packet = [0; 48];
            let (src, dst) = ([src; 16].into(), [dst; 16].into());
            v6::Fields { tos: 0, payload_len: 8, next_header: 17, hop_limit: 1, src, dst }
                .emit(packet.first_chunk_mut().unwrap());
            packet[40..44].copy_from_slice(&ports);
            key_of(&packet)
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
    fn a_cache_with_room_for_them_keeps_nearly_all_flows() {
        let count = 3 * MIN_FLOW_CACHE as u32;
        let mut cache = FlowCache::new(7, &Limits::default());
        cache.reserve(true, count as usize);
        let key = |n: u32| FlowKey::V4([0x0a00_0000 + u64::from(n), 1]);
        for n in 0..count {
            cache.put(cache.place(&key(n)), &key(n), n);
        }
        let kept = (0..count).filter(|&n| cache.get(cache.place(&key(n)), &key(n)) == Some(n)).count();
        assert!(kept > count as usize * 99 / 100, "{kept}");
    }
}
