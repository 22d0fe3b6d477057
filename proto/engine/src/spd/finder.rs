//! What finds the entry of a packet: tables for each family; another classifier in their place; or, where no memory is
//! asked for after the start, the entries themselves, one after the other.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::pieces::{self, Piece};
use super::tables::{ALL_TABLES, AreaTables, Tables};
use super::{Entry, Fit, Match, Order, Rule, Seen, Words};
use crate::classifier::Classifier;
use crate::hash::HashKey;
use crate::limits::Limits;

#[allow(clippy::large_enum_variant)] // there are two finders, and a box would be one more step to the tables
pub(super) enum Finder {
    Tables(Families),
    Ordered(Ordered),
    Other(Box<dyn Classifier>),
}

/// The tables of both families.
pub(super) struct Families {
    v4: AreaTables<2>,
    v6: AreaTables<5>,
}

impl Finder {
    pub fn new(seed: u64, limits: &Limits, other: Option<Box<dyn Classifier>>) -> Self {
        let hash = HashKey::new(seed);
        match (other, limits.reserved(limits.policies)) {
            (Some(other), _) => Finder::Other(other),
            // What one policy needs in tables is little or very much, so for the worst there cannot be room from the start.
            (None, room @ 1..) => Finder::Ordered(Ordered { places: Vec::with_capacity(room) }),
            (None, 0) => Finder::Tables(Families { v4: AreaTables::new(hash), v6: AreaTables::new(hash) }),
        }
    }

    /// Puts the entry, which is to stand at `place` among `entries`, into the tables or the list.
    pub fn insert(&mut self, entry: &Entry, place: u32, entries: &[Option<Entry>]) {
        match self {
            Finder::Tables(Families { v4, v6 }) => pieces::each(entry, |piece| match piece {
                Piece::V4(view, area) => v4.insert(view, &area, entry, place),
                Piece::V6(view, area) => v6.insert(view, &area, entry, place),
            }),
            Finder::Ordered(ordered) => {
                let at = ordered.before(entry.order, entries);
                ordered.places.insert(at, place);
            }
            Finder::Other(_) => {}
        }
    }

    /// Takes out of the tables or the list what the entry, which still stands among `entries`, put there.
    pub fn remove(&mut self, entry: &Entry, entries: &[Option<Entry>]) {
        match self {
            Finder::Tables(Families { v4, v6 }) => pieces::each(entry, |piece| match piece {
                Piece::V4(view, area) => v4.remove(view, &area, entry.order),
                Piece::V6(view, area) => v6.remove(view, &area, entry.order),
            }),
            Finder::Ordered(ordered) => {
                let at = ordered.before(entry.order, entries);
                ordered.places.remove(at);
            }
            Finder::Other(_) => {}
        }
    }
}

/// The places of the entries in their order.
pub(super) struct Ordered {
    places: Vec<u32>,
}

impl Ordered {
    /// How many entries come before one with that place in the order.
    fn before(&self, order: Order, entries: &[Option<Entry>]) -> usize {
        let earlier = |place: &u32| entries[*place as usize].as_ref().is_some_and(|entry| entry.order < order);
        self.places.partition_point(earlier)
    }

    /// What the first entry that decides says, read as RFC 4301 §4.4.1 and §7 have it.
    pub fn first(&self, seen: &Seen, entries: &[Option<Entry>]) -> Match {
        let mut hidden = false;
        for entry in self.places.iter().filter_map(|place| entries[*place as usize].as_ref()) {
            match (entry.fits(seen), entry.rule) {
                // A permission that the packet may not have is passed over.
                (Fit::No, _) | (Fit::Perhaps, Rule::Bypass) => {}
                (Fit::Perhaps, Rule::Protect | Rule::Discard) => hidden = true,
                // RFC 4301 §7.2: behind an entry that might be meant, only one on OPAQUE ports decides.
                (Fit::Yes, _) if hidden => {}
                (Fit::Yes | Fit::Opaque, rule) => return rule.answer(entry.order.1),
            }
        }
        if hidden { Match::Hidden } else { Match::None }
    }
}

impl Families {
    #[inline]
    pub fn first(&self, words: Words, seen: &impl Fn() -> Seen, entries: &[Option<Entry>], tables: Tables) -> Match {
        match words {
            Words::V4(words) => self.v4.first(&words, seen, entries, tables),
            Words::V6(words) => self.v6.first(&words, seen, entries, tables),
            Words::Neither => Match::None,
        }
    }

    #[inline]
    pub fn fetch(&self, words: Words) -> Tables {
        match words {
            Words::V4(words) => self.v4.fetch(&words),
            Words::V6(words) => self.v6.fetch(&words),
            Words::Neither => ALL_TABLES,
        }
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    #[cfg(test)]
    pub fn v4_tables_held(&self) -> usize {
        self.v4.tuples_held()
    }
}
