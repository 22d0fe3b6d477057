//! What finds the entry of a packet: tables for each family, or another classifier in their place.

use alloc::boxed::Box;

use super::pieces::{self, Piece};
use super::tables::{ALL_TABLES, AreaTables, Tables};
use super::{Entry, Match, Seen, Words};
use crate::classifier::Classifier;
use crate::hash::HashKey;

#[allow(clippy::large_enum_variant)] // there are two of them, and a box would be one more step to the tables
pub(super) enum Finder {
    Tables(Families),
    Other(Box<dyn Classifier>),
}

/// The tables of both families.
pub(super) struct Families {
    v4: AreaTables<2>,
    v6: AreaTables<5>,
}

impl Finder {
    pub fn new(seed: u64, other: Option<Box<dyn Classifier>>) -> Self {
        let hash = HashKey::new(seed);
        let tables = || Finder::Tables(Families { v4: AreaTables::new(hash), v6: AreaTables::new(hash) });
        other.map_or_else(tables, Finder::Other)
    }

    /// Puts the entry at `place` into the tables.
    pub fn insert(&mut self, entry: &Entry, place: u32) {
        let Finder::Tables(Families { v4, v6 }) = self else { return };
        pieces::each(entry, |piece| match piece {
            Piece::V4(view, area) => v4.insert(view, &area, entry, place),
            Piece::V6(view, area) => v6.insert(view, &area, entry, place),
        });
    }

    /// Takes out of the tables what the entry put there.
    pub fn remove(&mut self, entry: &Entry) {
        let Finder::Tables(Families { v4, v6 }) = self else { return };
        pieces::each(entry, |piece| match piece {
            Piece::V4(view, area) => v4.remove(view, &area, entry.order),
            Piece::V6(view, area) => v6.remove(view, &area, entry.order),
        });
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
