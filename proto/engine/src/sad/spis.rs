//! Which SA a packet with an SPI belongs to (RFC 4301 §4.1): the longest match of SPI, destination and source that an
//! SA asks for.

use core::net::IpAddr;

use hashbrown::HashMap;
use ravelin_types::Spi;
use ravelin_types::sa::{SaLookup, SaParams};

use super::Slot;
use super::spi_table::SpiTable;
use crate::hash::HashKey;
use crate::inbound::OuterMeta;
use crate::limits::Limits;

/// The inbound SAs by what names them.
pub(crate) struct Spis {
    /// Unicast: the SPIs are ours to choose, so they name an SA alone (RFC 4303 §2.1).
    unicast: SpiTable,
    /// Multicast: SPI and destination, and the source for an SA that asks for it.
    groups: HashMap<Group, Slot, HashKey>,
}

type Group = (Spi, IpAddr, Option<IpAddr>);

impl Spis {
    pub fn new(seed: u64, limits: &Limits) -> Self {
        let groups = 2 * limits.reserved(limits.sas);
        Spis {
            unicast: SpiTable::new(limits.room(limits.sas)),
            groups: HashMap::with_capacity_and_hasher(groups, HashKey::new(seed)),
        }
    }

    /// The SA of a packet with these outer headers.
    #[inline]
    pub fn find(&self, spi: Spi, meta: &OuterMeta) -> Option<Slot> {
        if !self.groups.is_empty()
            && let Some(slot) = self.find_group(spi, meta)
        {
            return Some(slot);
        }
        self.unicast.get(spi.0)
    }

    #[cold]
    fn find_group(&self, spi: Spi, meta: &OuterMeta) -> Option<Slot> {
        let find = |src| self.groups.get(&(spi, meta.dst, src)).copied();
        find(Some(meta.src)).or_else(|| find(None))
    }

    /// The SA of every packet with this SPI, whatever its addresses; `None` where these may matter.
    #[inline]
    pub fn alone(&self, spi: Spi) -> Option<Slot> {
        if self.groups.is_empty() { self.unicast.get(spi.0) } else { None }
    }

    /// The SA that a packet with this SPI probably belongs to.
    #[inline]
    pub fn likely(&self, spi: u32) -> Option<Slot> {
        self.unicast.get(spi)
    }

    /// Has the processor fetch the place of an SPI ahead of its use.
    #[inline]
    pub fn fetch(&self, spi: u32) {
        self.unicast.fetch(spi);
    }

    /// The SA that packets for this one would go to.
    pub fn taken(&self, params: &SaParams) -> Option<Slot> {
        match group(params) {
            Some(group) => self.groups.get(&group).copied(),
            None => self.unicast.get(params.spi.0),
        }
    }

    /// Takes in an SA whose place is not [`Spis::taken`].
    pub fn insert(&mut self, params: &SaParams, slot: Slot) {
        match group(params) {
            Some(group) => _ = self.groups.insert(group, slot),
            None => self.unicast.insert(params.spi.0, slot),
        }
    }

    pub fn remove(&mut self, params: &SaParams) {
        match group(params) {
            Some(group) => _ = self.groups.remove(&group),
            None => self.unicast.remove(params.spi.0),
        }
    }
}

fn group(params: &SaParams) -> Option<Group> {
    match params.lookup {
        SaLookup::Spi => None,
        SaLookup::Destination => Some((params.spi, params.dst, None)),
        SaLookup::Source => Some((params.spi, params.dst, Some(params.src))),
    }
}
