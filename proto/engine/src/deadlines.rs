//! What is due when: for each of some slots one instant, and which of them is next.
//!
//! A heap in one piece of memory, and where in it each slot stands, so that an instant is set, changed and taken out in
//! O(log n). Both grow to as many places as were ever needed at a time.

use alloc::vec::Vec;

use ravelin_types::Instant;

use crate::sad::Slot;

/// The instants of slots, at most one for each.
pub(crate) struct Deadlines {
    /// Each is no later than the two at twice its place.
    heap: Vec<(Instant, Slot)>,
    /// The place of each slot in the heap, or [`NONE`].
    places: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Deadlines {
    /// With room for the slots up to that number, and more when they come.
    pub fn with_room(slots: usize) -> Self {
        Deadlines { heap: Vec::with_capacity(slots), places: Vec::with_capacity(slots) }
    }

    /// The instant that comes first.
    pub fn first(&self) -> Option<Instant> {
        self.heap.first().map(|first| first.0)
    }

    /// The instant of the slot is `at`, or there is none.
    pub fn set(&mut self, slot: Slot, at: Option<Instant>) {
        match (self.place(slot), at) {
            (Some(place), Some(at)) => {
                self.heap[place].0 = at;
                self.settle(place);
            }
            (None, Some(at)) => {
                if self.places.len() <= slot as usize {
                    self.places.resize(slot as usize + 1, NONE);
                }
                self.heap.push((at, slot));
                self.settle(self.heap.len() - 1);
            }
            (Some(place), None) => {
                self.heap.swap_remove(place);
                self.places[slot as usize] = NONE;
                if place < self.heap.len() {
                    self.settle(place);
                }
            }
            (None, None) => {}
        }
    }

    /// Takes out a slot whose instant is not after `now`: that with the first, and of equal ones the lowest.
    pub fn take_due(&mut self, now: Instant) -> Option<Slot> {
        let &(at, slot) = self.heap.first()?;
        (at <= now).then(|| self.set(slot, None))?;
        Some(slot)
    }

    fn place(&self, slot: Slot) -> Option<usize> {
        self.places.get(slot as usize).filter(|place| **place != NONE).map(|place| *place as usize)
    }

    /// Moves what stands at `place` to where it belongs.
    fn settle(&mut self, mut place: usize) {
        while let Some(above) = place.checked_sub(1).map(|below| below / 2)
            && self.heap[place] < self.heap[above]
        {
            self.heap.swap(place, above);
            self.note(place);
            place = above;
        }
        while let Some(below) = (2 * place + 1..self.heap.len()).take(2).min_by_key(|&below| self.heap[below])
            && self.heap[below] < self.heap[place]
        {
            self.heap.swap(place, below);
            self.note(place);
            place = below;
        }
        self.note(place);
    }

    fn note(&mut self, place: usize) {
        self.places[self.heap[place].1 as usize] = place as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use std::collections::BTreeMap;

    #[test]
    fn agrees_with_a_sorted_list() {
        let mut deadlines = Deadlines::with_room(0);
        let mut expected: BTreeMap<Slot, Instant> = BTreeMap::new();
        let first = |expected: &BTreeMap<Slot, Instant>| expected.iter().map(|(slot, at)| (*at, *slot)).min();
        let mut state = 1u64;
        for step in 0..50_000u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (slot, after) = ((state >> 33) as Slot % 100, Duration::from_secs(state >> 60));
            let now = Instant::ZERO + Duration::from_secs(step / 100);
            match state >> 40 & 7 {
                0 => {
                    deadlines.set(slot, None);
                    expected.remove(&slot);
                }
                1 => {
                    let due = first(&expected).filter(|(at, _)| *at <= now).map(|(_, slot)| slot);
                    assert_eq!(deadlines.take_due(now), due);
                    due.map(|slot| expected.remove(&slot));
                }
                _ => {
                    deadlines.set(slot, Some(now + after));
                    expected.insert(slot, now + after);
                }
            }
            assert_eq!(deadlines.first(), first(&expected).map(|(at, _)| at));
        }
        assert!(deadlines.places.len() <= 100);
    }
}
