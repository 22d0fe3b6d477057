//! Finds the first entry that matches a packet, at a cost that does not grow with the number of entries.
//!
//! Tuple space search (Srinivasan, Suri, Varghese: Packet Classification using Tuple Space Search, SIGCOMM 1999) with
//! the tuples in order of the best entry that each holds. Areas with the same mask, which is the same prefix lengths
//! of addresses and ports and the same question about the protocol, make a tuple: a hash table from the masked words
//! of a packet to the entries there, in order. A lookup masks the words of the packet for one tuple after the other,
//! and ends at the first tuple whose best entry comes after what is found already.
//!
//! ```text
//! words of the packet ──► & mask of tuple 1 ──► hash ──► first entry there     best of all, and the search ends where
//!                     ──► & mask of tuple 2 ──► hash ──► first entry there     a tuple holds nothing better
//! ```
//! Cost, for n entries in t tuples:
//! - A lookup asks at most t tables, each in O(1), and allocates nothing. t is how many different shapes of selectors
//!   there are (tunnels between hosts have one shape, whether ten or 100,000), not how many entries. In a table it
//!   looks at one entry where areas are exact, as those of prefixes and single ports always are, and those of a range
//!   nearly always. Entries with several ranges, or with very many selectors, may share an area without deciding for
//!   all of it, and are then looked at in turn.
//! - An entry has up to 64 areas for each view, or 16 for each pair of its selectors, of which there are at most 256
//!   (or one for each remote selector and family).
//! - Adding or taking out an entry costs its areas, each O(log n + t), and as many moves in memory as other entries
//!   have the very same area. No other entry is touched, but for a table that has to grow, which moves the areas of
//!   one tuple: amortised O(1) for each area.
//!
//! The hash has a secret seed: who sends packets, or chooses selectors, cannot have them meet in one place of a table.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hasher};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry::{Occupied, Vacant};

use super::pieces::{ANY_RANGES, Area, PortRanges, View};
use super::{Entry, Fit, Match, Order, Rule, Seen};
use crate::fetch::fetch;
use crate::hash::HashKey;

/// The areas of one family. `WORDS` words hold what selectors ask of a packet.
pub(super) struct Classifier<const WORDS: usize> {
    shown: Tuples<WORDS>,
    /// Further areas for packets that show no port.
    opaque: Tuples<WORDS>,
    /// Further areas for packets that hide their ports, and for those that hide their protocol too.
    hides_ports: Tuples<WORDS>,
    hides_protocol: Tuples<WORDS>,
    hash: HashKey,
}

/// In order of the best entry of each.
type Tuples<const WORDS: usize> = Vec<Tuple<WORDS>>;

/// So many tables of a packet are fetched ahead.
const MAX_FETCHED: u32 = 16;

/// Which tables may hold something for a packet: a bit for each of the first, and all others may.
pub(crate) type Tables = u32;
/// Any may.
pub(crate) const ALL_TABLES: Tables = u32::MAX;

/// The areas with one mask.
struct Tuple<const WORDS: usize> {
    best: Order,
    mask: [u64; WORDS],
    table: HashTable<Bucket<WORDS>>,
    hash: HashKey,
    /// The entries with areas here, and how many each has.
    orders: BTreeMap<Order, u32>,
}

/// The entries of one area, in order. One cache line for IPv4.
#[repr(align(64))]
struct Bucket<const WORDS: usize> {
    key: [u64; WORDS],
    first: Item,
    others: Vec<Item>,
}

#[derive(Clone, Copy)]
struct Item {
    order: Order,
    place: u32,
    /// What the entry says about every packet that shows itself and falls here with such ports; `None` where that is to
    /// be asked.
    answer: Option<Rule>,
    ports: PortRanges,
}

impl Item {
    fn new(entry: &Entry, place: u32, exact: bool, ports: PortRanges) -> Self {
        Item { order: entry.order, place, answer: exact.then_some(entry.rule), ports }
    }

    /// Another pair of selectors of the same entry has this area.
    fn merge(&mut self, other: Item) {
        let says_enough = |item: &Item| item.answer.is_some() && item.ports == ANY_RANGES;
        if says_enough(&other) {
            *self = other;
        } else if !says_enough(self) && (self.answer, self.ports) != (other.answer, other.ports) {
            self.answer = None;
        }
    }

    #[inline]
    fn has_ports_of(&self, seen: &Seen) -> bool {
        let within = |(first, last), port: Option<u16>| port.is_none_or(|port| (first..=last).contains(&port));
        within(self.ports[0], seen.flow.src_port) && within(self.ports[1], seen.flow.dst_port)
    }

    #[inline]
    fn decides(&self, seen: &Seen, entries: &[Option<Entry>]) -> Option<Match> {
        match self.answer {
            Some(rule) => self.has_ports_of(seen).then(|| rule.answer(self.order.1)),
            None => entries[self.place as usize].as_ref()?.decides(seen),
        }
    }

    /// The same where only selectors on OPAQUE ports count.
    fn decides_opaque(&self, seen: &Seen, entries: &[Option<Entry>]) -> Option<Match> {
        let entry = entries[self.place as usize].as_ref()?;
        (self.answer.is_some() || entry.fits(seen) == Fit::Opaque).then(|| entry.rule.answer(self.order.1))
    }
}

impl<const WORDS: usize> Classifier<WORDS> {
    pub fn new(hash: HashKey) -> Self {
        let (shown, opaque, hides_ports, hides_protocol) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Classifier { shown, opaque, hides_ports, hides_protocol, hash }
    }

    fn tuples(&mut self, view: View) -> &mut Tuples<WORDS> {
        match view {
            View::Shown => &mut self.shown,
            View::Opaque => &mut self.opaque,
            View::HidesPorts => &mut self.hides_ports,
            View::HidesProtocol => &mut self.hides_protocol,
        }
    }

    /// Adds an area of the entry at `place`.
    pub fn insert(&mut self, view: View, area: Area<WORDS>, entry: &Entry, place: u32) {
        let hash = self.hash;
        // What hides something is not known to be selected by anything.
        let item = Item::new(entry, place, area.exact && matches!(view, View::Shown | View::Opaque), area.ports);
        let tuples = self.tuples(view);
        let at = tuples.iter().position(|tuple| tuple.mask == area.mask).unwrap_or_else(|| {
            let (table, orders) = (HashTable::new(), BTreeMap::new());
            tuples.push(Tuple { best: entry.order, mask: area.mask, table, hash, orders });
            tuples.len() - 1
        });
        if tuples[at].insert(area.key, item) {
            settle(tuples, at);
        }
    }

    /// Takes out an area of the entry with that place in the order.
    pub fn remove(&mut self, view: View, area: &Area<WORDS>, order: Order) {
        let tuples = self.tuples(view);
        let Some(at) = tuples.iter().position(|tuple| tuple.mask == area.mask) else { return };
        if tuples[at].remove(area.key, order) {
            if tuples[at].orders.is_empty() {
                tuples.remove(at);
            } else {
                settle(tuples, at);
            }
        }
    }

    /// What the first entry that decides about a packet with these words says.
    /// Of the tables for packets that show themselves only `tables` are asked.
    pub fn first(&self, words: &[u64; WORDS], seen: &Seen, entries: &[Option<Entry>], tables: Tables) -> Match {
        let mut found = None;
        search(&self.shown, tables, words, |item| item.decides(seen, entries), &mut found);
        if seen.shows_no_port() {
            self.first_without_ports(words, seen, entries, &mut found);
        }
        found.map_or(Match::None, |(_, decided)| decided)
    }

    /// Goes on with what concerns only packets that show no port.
    #[cold]
    fn first_without_ports(
        &self,
        words: &[u64; WORDS],
        seen: &Seen,
        entries: &[Option<Entry>],
        found: &mut Option<(Order, Match)>,
    ) {
        if seen.hides_protocol {
            search(&self.hides_protocol, ALL_TABLES, words, |item| item.decides(seen, entries), found);
        } else if seen.hides_ports {
            search(&self.hides_ports, ALL_TABLES, words, |item| item.decides(seen, entries), found);
        }
        let mut opaque = None;
        search(&self.opaque, ALL_TABLES, words, |item| item.decides_opaque(seen, entries), &mut opaque);
        match (&found, opaque) {
            // RFC 4301 §7.2: an entry on OPAQUE ports is there for just these packets.
            (Some((_, Match::Hidden)) | None, Some(_)) => *found = opaque,
            (Some((order, _)), Some((other, _))) if other < *order => *found = opaque,
            _ => {}
        }
    }

    /// Has the processor fetch what [`Classifier::first`] will look at for a packet that shows itself, and tells in which
    /// tables that is: the others hold nothing for it.
    pub fn fetch(&self, words: &[u64; WORDS]) -> Tables {
        let mut tables = ALL_TABLES << MAX_FETCHED;
        for (n, tuple) in (0..MAX_FETCHED).zip(&self.shown) {
            // The table compares some bits of the hash that it keeps together; nothing of a bucket is read here.
            tuple.table.find(hashed(tuple.hash, &tuple.key(words)), |bucket| {
                tables |= 1 << n;
                fetch(bucket);
                false
            });
        }
        tables
    }

    /// How many tables there are.
    #[cfg(test)]
    pub fn tuples_held(&self) -> usize {
        self.shown.len() + self.opaque.len() + self.hides_ports.len() + self.hides_protocol.len()
    }

    /// No area is left.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.tuples_held() == 0
    }
}

#[inline]
fn search<const WORDS: usize>(
    tuples: &[Tuple<WORDS>],
    tables: Tables,
    words: &[u64; WORDS],
    decides: impl Fn(&Item) -> Option<Match>,
    found: &mut Option<(Order, Match)>,
) {
    for (n, tuple) in tuples.iter().enumerate() {
        if found.is_some_and(|(order, _)| order <= tuple.best) {
            return;
        }
        if n < MAX_FETCHED as usize && tables >> n & 1 == 0 {
            continue;
        }
        let key = tuple.key(words);
        let Some(bucket) = tuple.table.find(hashed(tuple.hash, &key), |bucket| bucket.key == key) else { continue };
        for item in core::iter::once(&bucket.first).chain(&bucket.others) {
            if found.is_some_and(|(order, _)| order <= item.order) {
                break;
            }
            if let Some(decided) = decides(item) {
                *found = Some((item.order, decided));
                break;
            }
        }
    }
}

#[inline]
fn hashed<const WORDS: usize>(hash: HashKey, key: &[u64; WORDS]) -> u64 {
    let mut hasher = hash.build_hasher();
    key.iter().for_each(|word| hasher.write_u64(*word));
    hasher.finish()
}

/// Moves a tuple to where its best entry has it.
fn settle<const WORDS: usize>(tuples: &mut [Tuple<WORDS>], mut at: usize) {
    let Some((&best, _)) = tuples[at].orders.first_key_value() else { return };
    tuples[at].best = best;
    while at > 0 && tuples[at - 1].best > best {
        tuples.swap(at - 1, at);
        at -= 1;
    }
    while at + 1 < tuples.len() && tuples[at + 1].best < best {
        tuples.swap(at, at + 1);
        at += 1;
    }
}

impl<const WORDS: usize> Tuple<WORDS> {
    /// The words of a packet as far as they count here.
    #[inline]
    fn key(&self, words: &[u64; WORDS]) -> [u64; WORDS] {
        let mut key = *words;
        key.iter_mut().zip(&self.mask).for_each(|(word, mask)| *word &= mask);
        key
    }

    /// Whether the entry had no such area yet.
    fn insert(&mut self, key: [u64; WORDS], item: Item) -> bool {
        let hash = self.hash;
        let entry = self.table.entry(hashed(hash, &key), |other| other.key == key, |other| hashed(hash, &other.key));
        let known = match entry {
            Vacant(vacant) => {
                vacant.insert(Bucket { key, first: item, others: Vec::new() });
                None
            }
            Occupied(bucket) => bucket.into_mut().insert(item),
        };
        if let Some(known) = known {
            known.merge(item);
            return false;
        }
        *self.orders.entry(item.order).or_default() += 1;
        true
    }

    /// Whether the entry had such an area.
    fn remove(&mut self, key: [u64; WORDS], order: Order) -> bool {
        let Ok(mut found) = self.table.find_entry(hashed(self.hash, &key), |bucket| bucket.key == key) else {
            return false;
        };
        let bucket = found.get_mut();
        if bucket.first.order == order {
            if bucket.others.is_empty() {
                found.remove();
            } else {
                bucket.first = bucket.others.remove(0);
            }
        } else if let Ok(at) = bucket.others.binary_search_by_key(&order, |item| item.order) {
            bucket.others.remove(at);
        } else {
            return false;
        }
        if let Some(count) = self.orders.get_mut(&order) {
            *count -= 1;
            if *count == 0 {
                self.orders.remove(&order);
            }
        }
        true
    }
}

impl<const WORDS: usize> Bucket<WORDS> {
    /// The item of the same entry that is there already.
    fn insert(&mut self, item: Item) -> Option<&mut Item> {
        if item.order == self.first.order {
            return Some(&mut self.first);
        }
        if item.order < self.first.order {
            let second = core::mem::replace(&mut self.first, item);
            self.others.insert(0, second);
            return None;
        }
        match self.others.binary_search_by_key(&item.order, |item| item.order) {
            Ok(at) => Some(&mut self.others[at]),
            Err(at) => {
                self.others.insert(at, item);
                None
            }
        }
    }
}
