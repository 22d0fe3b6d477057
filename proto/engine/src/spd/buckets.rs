//! A hash table that can be looked into ahead of its use: whether it may hold something for a hash is told from one
//! word of a small array, without a branch, and the one cache line of what it holds is fetched meanwhile.
//!
//! Places are in groups of fifteen. A word of 16 bytes has some bits of the hash of each, and how many values went past
//! the full group to the next, so that a search knows when to end and nothing marks the places of what was taken out.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::fetch::fetch;

/// Values of type `T`, which is best one cache line.
pub(super) struct Buckets<T> {
    /// As many as a power of two.
    groups: Box<[Group]>,
    places: Vec<Option<T>>,
    used: usize,
}

/// From the lowest byte: the tags of fifteen places, 0 for a free one, and how many values passed.
#[derive(Clone, Copy, Default)]
struct Group(u128);

const PLACES: usize = 15;
/// A table is made wider when its groups have more than this on average: then some 5 % are full.
const MANY: usize = 12;
/// From here on it is no longer counted, and the group counts as passed until the table is made wider.
const PASSED_MOST: u8 = u8::MAX;
const EACH: u64 = u64::MAX / 255;
const LOW: u64 = EACH * 0x7f;
const PASSED_AT: u32 = 120;
const TAGS: u128 = (1 << PASSED_AT) - 1;

impl Group {
    /// The highest bit of each byte that is `tag`, of those of places.
    #[inline]
    fn with(self, tag: u8) -> u128 {
        let all = EACH * u64::from(tag);
        let equal = |bytes: u64| {
            let differ = bytes ^ all;
            let not_zero = (differ & LOW) + LOW;
            !(not_zero | differ | LOW)
        };
        u128::from(equal((self.0 >> 64) as u64)) << 64 & TAGS | u128::from(equal(self.0 as u64))
    }

    #[inline]
    fn passed(self) -> u8 {
        (self.0 >> PASSED_AT) as u8
    }

    fn set_passed(&mut self, count: u8) {
        self.0 = self.0 & TAGS | u128::from(count) << PASSED_AT;
    }

    fn set(&mut self, place: usize, tag: u8) {
        let at = place as u32 * 8;
        self.0 = self.0 & !(0xff << at) | u128::from(tag) << at;
    }
}

#[inline]
fn tag_of(hash: u64) -> u8 {
    ((hash >> 56) as u8).max(1)
}

/// The place in its group of the first hit.
#[inline]
fn first(hits: u128) -> usize {
    hits.trailing_zeros() as usize / 8
}

impl<T> Buckets<T> {
    pub fn new() -> Self {
        Self::with_groups(1)
    }

    fn with_groups(count: usize) -> Self {
        let mut places = Vec::new();
        places.resize_with(count * PLACES, || None);
        Buckets { groups: vec![Group::default(); count].into_boxed_slice(), places, used: 0 }
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        hash as usize & (self.groups.len() - 1)
    }

    #[inline]
    fn next(&self, group: usize) -> usize {
        (group + 1) & (self.groups.len() - 1)
    }

    /// Whether there may be a value with this hash. If so, the processor fetches what probably is it.
    #[inline]
    pub fn fetch(&self, hash: u64) -> bool {
        let group = self.home(hash);
        let Group(word) = self.groups[group];
        let hits = Group(word).with(tag_of(hash));
        // Without a hit, one that is always there, so that there is no branch to be guessed.
        let at = if hits == 0 { 0 } else { group * PLACES + first(hits) };
        fetch(&self.places[at]);
        hits != 0 || Group(word).passed() > 0
    }

    /// The place of the value with this hash that is `wanted`.
    #[inline]
    pub fn find(&self, hash: u64, wanted: impl Fn(&T) -> bool) -> Option<usize> {
        let tag = tag_of(hash);
        let mut group = self.home(hash);
        for _ in 0..self.groups.len() {
            let tags = self.groups[group];
            let mut hits = tags.with(tag);
            while hits != 0 {
                let at = group * PLACES + first(hits);
                if self.places[at].as_ref().is_some_and(&wanted) {
                    return Some(at);
                }
                hits &= hits - 1;
            }
            if tags.passed() == 0 {
                return None;
            }
            group = self.next(group);
        }
        None
    }

    #[inline]
    pub fn get(&self, place: usize) -> Option<&T> {
        self.places.get(place)?.as_ref()
    }

    pub fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.places.get_mut(place)?.as_mut()
    }

    /// Adds a value that is not there yet. `hash_of` gives the hash of those that are.
    pub fn insert(&mut self, hash: u64, value: T, hash_of: impl Fn(&T) -> u64) {
        if self.used >= self.groups.len() * MANY {
            let wider = Self::with_groups(self.groups.len() * 2);
            let old = core::mem::replace(self, wider);
            for value in old.places.into_iter().flatten() {
                self.put(hash_of(&value), value);
            }
        }
        self.put(hash, value);
    }

    /// There is room, so the search for it ends.
    fn put(&mut self, hash: u64, value: T) {
        let mut group = self.home(hash);
        loop {
            let tags = &mut self.groups[group];
            match first(tags.with(0)) {
                place @ ..PLACES => {
                    tags.set(place, tag_of(hash));
                    self.places[group * PLACES + place] = Some(value);
                    self.used += 1;
                    return;
                }
                _ => tags.set_passed(tags.passed().saturating_add(1)),
            }
            group = self.next(group);
        }
    }

    /// Takes out the value with this hash from its place.
    pub fn remove(&mut self, hash: u64, place: usize) -> Option<T> {
        let value = self.places.get_mut(place)?.take()?;
        let mut group = self.home(hash);
        while group != place / PLACES {
            let tags = &mut self.groups[group];
            if tags.passed() < PASSED_MOST {
                tags.set_passed(tags.passed() - 1);
            }
            group = self.next(group);
        }
        self.groups[group].set(place % PLACES, 0);
        self.used -= 1;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Few hashes for many values, so that groups are full and values go past them.
    fn hash_of(value: &u32) -> u64 {
        let spread = u64::from(*value % 61).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        spread >> 32 & 7 | spread & 3 << 56
    }

    #[test]
    fn agrees_with_a_map() {
        let (mut buckets, mut map) = (Buckets::new(), BTreeMap::new());
        let mut state = 1u64;
        for step in 0..60_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Sometimes many, sometimes few.
            let value = (state >> 40) as u32 % if step / 5000 % 2 == 0 { 900 } else { 20 };
            let hash = hash_of(&value);
            match buckets.find(hash, |other| *other == value) {
                Some(place) => {
                    assert!(buckets.fetch(hash));
                    assert_eq!(map.remove(&value), Some(()));
                    assert_eq!(buckets.remove(hash, place), Some(value));
                }
                None => {
                    assert_eq!(map.insert(value, ()), None);
                    buckets.insert(hash, value, hash_of);
                }
            }
            assert_eq!(buckets.used, map.len());
            if step % 499 == 0 {
                let held = |value: &u32| buckets.find(hash_of(value), |other| other == value).is_some();
                assert!((0..900).all(|value| held(&value) == map.contains_key(&value)), "step {step}");
            }
        }
    }

    #[test]
    fn a_table_that_is_empty_again_says_so_at_once() {
        let mut buckets = Buckets::new();
        (0..900).for_each(|value| buckets.insert(hash_of(&value), value, hash_of));
        for value in 0..900 {
            let hash = hash_of(&value);
            let place = buckets.find(hash, |other| *other == value).unwrap();
            buckets.remove(hash, place);
        }
        let counted = buckets.groups.iter().all(|group| group.passed() < PASSED_MOST);
        assert!(!counted || (0..900).all(|value| !buckets.fetch(hash_of(&value))));
        assert!(buckets.groups.iter().all(|group| group.0 & TAGS == 0));
    }
}
