//! From the SPI of a packet to its SA, in one cache line that can be fetched ahead.
//!
//! The low bits of an SPI are its index here, as many as the table has now. SPIs are random all over, so an index says
//! nothing about the next; and whoever chooses them can see to it that no two have the same index, which holds for ever
//! then, since two numbers that differ in their low bits differ in more of them too. Others may be at the next free
//! place.

use alloc::boxed::Box;
use alloc::vec;

use ravelin_types::spi::places;

use super::Slot;
use crate::fetch::fetch;

/// Open addressing with linear probing, never more than half full ([`ravelin_types::spi::places`]).
pub(crate) struct SpiTable {
    places: Box<[Place]>,
    used: usize,
}

#[derive(Clone, Copy)]
struct Place {
    spi: u32,
    /// [`FREE`] where there is no SA.
    slot: Slot,
}

const FREE: Slot = Slot::MAX;

impl SpiTable {
    /// With room for so many SPIs, and more when they come.
    pub fn new(room: usize) -> Self {
        SpiTable { places: free(places(room)), used: 0 }
    }

    /// Has the processor fetch the place of an SPI ahead of its use.
    #[inline]
    pub fn fetch(&self, spi: u32) {
        fetch(&self.places[self.home(spi)]);
    }

    #[inline]
    pub fn get(&self, spi: u32) -> Option<Slot> {
        let place = self.places[self.find(spi)];
        (place.slot != FREE).then_some(place.slot)
    }

    /// Adds an SPI that is not there yet.
    pub fn insert(&mut self, spi: u32, slot: Slot) {
        if places(self.used + 1) > self.places.len() {
            let wider = free(places(self.used + 1));
            let old = core::mem::replace(&mut self.places, wider);
            for place in old.iter().filter(|place| place.slot != FREE) {
                let at = self.find(place.spi);
                self.places[at] = *place;
            }
        }
        let at = self.find(spi);
        self.places[at] = Place { spi, slot };
        self.used += 1;
    }

    pub fn remove(&mut self, spi: u32) {
        let mut hole = self.find(spi);
        if self.places[hole].slot == FREE {
            return;
        }
        self.used -= 1;
        // What follows without a gap moves up, unless it would pass its own home.
        let mut at = hole;
        loop {
            self.places[hole].slot = FREE;
            loop {
                at = self.next(at);
                let place = self.places[at];
                if place.slot == FREE {
                    return;
                }
                let from_home = |to: usize| to.wrapping_sub(self.home(place.spi)) & (self.places.len() - 1);
                if from_home(hole) < from_home(at) {
                    self.places[hole] = place;
                    hole = at;
                    break;
                }
            }
        }
    }

    /// Where the SPI is, or would be. Half of the places are free, so the search ends.
    #[inline]
    fn find(&self, spi: u32) -> usize {
        let mut at = self.home(spi);
        while self.places[at].slot != FREE && self.places[at].spi != spi {
            at = self.next(at);
        }
        at
    }

    #[inline]
    fn home(&self, spi: u32) -> usize {
        spi as usize & (self.places.len() - 1)
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.places.len() - 1)
    }
}

fn free(len: usize) -> Box<[Place]> {
    vec![Place { spi: 0, slot: FREE }; len].into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn agrees_with_a_map() {
        let mut table = SpiTable::new(0);
        let mut map = BTreeMap::new();
        let mut state = 1u64;
        for step in 0..50_000u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let spi = (state >> 52) as u32 % 700;
            match map.remove(&spi) {
                None => {
                    table.insert(spi, step);
                    map.insert(spi, step);
                }
                Some(_) => table.remove(spi),
            }
            assert_eq!(table.used, map.len());
            if step % 97 == 0 {
                assert!((0..700).all(|spi| table.get(spi) == map.get(&spi).copied()), "step {step}");
            }
        }
        table.remove(9999);
        assert_eq!(table.used, map.len());
        assert!(table.places.len() <= 2048, "{}", table.places.len());
    }
}
