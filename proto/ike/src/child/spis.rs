//! The inbound SPIs of Child SAs, each with the IKE SA that holds it. We choose them, so that no two have the same index in a
//! table of [`places`]: a data plane that has such a table finds each at the first look, and so does this one.

use alloc::vec;
use alloc::vec::Vec;

use ravelin_types::spi::places;
use ravelin_types::{IkeSpi, Spi};

/// No SA has it (RFC 4303 §2.1).
const FREE: (Spi, IkeSpi) = (Spi(0), IkeSpi::ZERO);

/// Those in use and those that are reserved.
#[derive(Default)]
pub(crate) struct Spis {
    /// By index; none, or a power of two.
    table: Vec<(Spi, IkeSpi)>,
    count: usize,
}

impl Spis {
    /// Reserves one; false when it is in use, or another has its index.
    pub(crate) fn claim(&mut self, spi: Spi, owner: IkeSpi) -> bool {
        let size = places(self.count + 1);
        if size > self.table.len() {
            let before = core::mem::replace(&mut self.table, vec![FREE; size]);
            // Their indexes differ in a larger table, too.
            for place in before.into_iter().filter(|place| *place != FREE) {
                self.table[index(place.0, size)] = place;
            }
        }
        let index = index(spi, self.table.len());
        let is_free = self.table[index] == FREE;
        if is_free {
            self.table[index] = (spi, owner);
            self.count += 1;
        }
        is_free
    }

    /// Another IKE SA holds it from now on.
    pub(crate) fn pass_on(&mut self, spi: Spi, owner: IkeSpi) {
        if let Some(place) = self.place(spi) {
            self.table[place].1 = owner;
        }
    }

    /// It is free again.
    pub(crate) fn release(&mut self, spi: Spi) {
        if let Some(place) = self.place(spi) {
            self.table[place] = FREE;
            self.count -= 1;
        }
    }

    /// The IKE SA that holds it.
    pub(crate) fn owner(&self, spi: Spi) -> Option<IkeSpi> {
        self.place(spi).map(|place| self.table[place].1)
    }

    fn place(&self, spi: Spi) -> Option<usize> {
        let place = index(spi, self.table.len());
        self.table.get(place).is_some_and(|known| known.0 == spi && *known != FREE).then_some(place)
    }
}

/// `size` is a power of two, or 0 for a table without places.
fn index(spi: Spi, size: usize) -> usize {
    spi.0 as usize & size.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_inbound_spis_have_one_index_however_many_there_are() {
        let mut spis = Spis::default();
        assert_eq!((spis.owner(Spi(0)), spis.owner(Spi(300))), (None, None));
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Spi((state >> 32) as u32)
        };
        let mut tries = 0;
        let mut claimed = Vec::new();
        while claimed.len() < 10_000 {
            let spi = random();
            tries += 1;
            if spis.claim(spi, IkeSpi(claimed.len() as u64)) {
                claimed.push(spi);
            }
        }
        assert!(tries < 2 * claimed.len(), "{tries}");
        let size = places(claimed.len());
        let indexes: BTreeSet<usize> = claimed.iter().map(|spi| index(*spi, size)).collect();
        assert_eq!(indexes.len(), claimed.len());
        for (number, spi) in claimed.iter().enumerate() {
            assert_eq!(spis.owner(*spi), Some(IkeSpi(number as u64)));
            assert_eq!(spis.owner(Spi(spi.0 ^ 1 << 31)), None, "another of the same index");
        }
        // The place of what is released is free again, for others, too.
        spis.release(claimed[0]);
        spis.release(claimed[0]);
        assert_eq!((spis.owner(claimed[0]), spis.count), (None, claimed.len() - 1));
        assert!(!spis.claim(claimed[1], IkeSpi(1)) && spis.claim(claimed[0], IkeSpi(1)));
        spis.pass_on(claimed[0], IkeSpi(2));
        assert_eq!(spis.owner(claimed[0]), Some(IkeSpi(2)));
    }
}
