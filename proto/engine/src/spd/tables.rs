//! Finds the first entry that matches a packet, at a cost that does not grow with the number of entries.
//!
//! Tuple space search (Srinivasan, Suri, Varghese: Packet Classification using Tuple Space Search, SIGCOMM 1999) with
//! tuples merged (Daly et al.: TupleMerge, IEEE/ACM Transactions on Networking 27, 2019), in order of the best entry
//! that each holds. A tuple is a mask and a hash table from the masked words of a packet to the areas there. An area
//! stands in the coarsest tuple where it shares its place with few others: under the longer of its addresses alone,
//! else under both addresses, else under its own mask. A lookup masks the words of the packet for one tuple after the
//! other, and ends at the first tuple whose best entry comes after what is found already.
//!
//! ```text
//! words of the packet ──► & mask of tuple 1 ──► hash ──► areas there, in order     best of all, and the search ends
//!                     ──► & mask of tuple 2 ──► hash ──► areas there, in order     where a tuple holds nothing better
//! ```
//! Cost, for n entries in t tuples:
//! - A lookup asks at most t tables, each in O(1), and allocates nothing. t follows from how many different shapes of
//!   selectors there are (tunnels between hosts have one shape, whether ten or 100,000), not from how many entries; most
//!   shapes need no table of their own. In a table it looks at one area, or at most [`SHARED`] where some share a place.
//!   Entries with several ranges, or with very many selectors, may have the very same area without deciding for all of
//!   it, and are then looked at in turn.
//! - An entry has up to 64 areas for each view, or 16 for each pair of its selectors, of which there are at most 256
//!   (or one for each remote selector and family).
//! - Adding or taking out an entry costs its areas, each O(log n + t), and as many moves in memory as other entries
//!   have the very same area. No other entry is touched, but for a table that has to grow, which moves the areas of
//!   one tuple: amortised O(1) for each area.
//!
//! The hash has a secret seed: who sends packets, or chooses selectors, cannot have them meet in one place of a table.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::buckets::Buckets;
use super::mask::{Extent, coarser};
use super::pieces::{Area, PortRanges, View, shows_no_port};
use super::{Entry, Fit, Match, Order, Rule, Seen};
use crate::hash::HashKey;

/// The areas of one family. `WORDS` words hold what selectors ask of a packet.
pub(super) struct AreaTables<const WORDS: usize> {
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

/// So many areas may share a place in a table that is coarser than they are.
const SHARED: usize = 4;

/// The areas that were put under one mask.
struct Tuple<const WORDS: usize> {
    best: Order,
    mask: [u64; WORDS],
    buckets: Buckets<Bucket<WORDS>>,
    hash: HashKey,
    /// The entries with areas here, and how many each has.
    orders: BTreeMap<Order, u32>,
}

/// The areas in one place, in the order of their entries. One cache line for IPv4.
#[repr(align(64))]
struct Bucket<const WORDS: usize> {
    first: Item<WORDS>,
    others: Vec<Item<WORDS>>,
}

const _: () = assert!(size_of::<Option<Bucket<2>>>() == 64 && size_of::<Option<Bucket<5>>>() == 128);

/// An area of an entry.
#[derive(Clone, Copy)]
struct Item<const WORDS: usize> {
    key: [u64; WORDS],
    order: Order,
    place: u32,
    extent: Extent,
    /// What the entry says about every packet that shows itself and falls here; `None` where that is to be asked.
    answer: Option<Rule>,
    ports: PortRanges,
}

impl<const WORDS: usize> Item<WORDS> {
    fn new(area: &Area<WORDS>, entry: &Entry, place: u32, exact: bool) -> Self {
        let (key, ports, extent) = (area.key, area.ports, Extent::of(&area.mask));
        Item { key, order: entry.order, place, extent, answer: exact.then_some(entry.rule), ports }
    }

    /// Whether this is such an area of the entry with that place in the order.
    fn is(&self, area: &Area<WORDS>, order: Order) -> bool {
        self.order == order && self.key == area.key && self.ports == area.ports && self.extent == Extent::of(&area.mask)
    }

    /// Whether the area holds a packet with these words, but for its ports.
    #[inline]
    fn holds(&self, words: &[u64; WORDS]) -> bool {
        let mask = self.extent.mask::<WORDS>();
        let mut differ = 0;
        for ((word, key), mask) in words.iter().zip(&self.key).zip(&mask) {
            differ |= (word ^ key) & mask;
        }
        differ == 0
    }

    /// Whether the ports in these words are among the area's. What does not show them is not held where they matter.
    #[inline]
    fn has_ports_of(&self, words: &[u64; WORDS]) -> bool {
        let ports = words[WORDS - 1] as u32;
        let within = |(first, last), port: u16| (first..=last).contains(&port);
        within(self.ports[0], (ports >> 16) as u16) & within(self.ports[1], ports as u16)
    }

    #[inline]
    fn decides(&self, words: &[u64; WORDS], seen: &impl Fn() -> Seen, entries: &[Option<Entry>]) -> Option<Match> {
        match self.answer {
            Some(rule) => self.has_ports_of(words).then(|| rule.answer(self.order.1)),
            None => entries[self.place as usize].as_ref()?.decides(&seen()),
        }
    }

    /// The same where only selectors on OPAQUE ports count.
    fn decides_opaque(&self, seen: &Seen, entries: &[Option<Entry>]) -> Option<Match> {
        let entry = entries[self.place as usize].as_ref()?;
        (self.answer.is_some() || entry.fits(seen) == Fit::Opaque).then(|| entry.rule.answer(self.order.1))
    }
}

impl<const WORDS: usize> AreaTables<WORDS> {
    pub fn new(hash: HashKey) -> Self {
        let (shown, opaque, hides_ports, hides_protocol) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        AreaTables { shown, opaque, hides_ports, hides_protocol, hash }
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
    pub fn insert(&mut self, view: View, area: &Area<WORDS>, entry: &Entry, place: u32) {
        let hash = self.hash;
        // What hides something is not known to be selected by anything.
        let exact = area.exact && matches!(view, View::Shown | View::Opaque);
        let item = Item::new(area, entry, place, exact);
        let tuples = self.tuples(view);
        for mask in coarser(&area.mask) {
            let at = tuples.iter().position(|tuple| tuple.mask == mask).unwrap_or_else(|| {
                let (buckets, orders) = (Buckets::new(), BTreeMap::new());
                tuples.push(Tuple { best: entry.order, mask, buckets, hash, orders });
                tuples.len() - 1
            });
            let most = if mask == area.mask { usize::MAX } else { SHARED };
            match tuples[at].insert(area, item, most) {
                Inserted::New => return settle(tuples, at),
                Inserted::Known => return,
                Inserted::NoRoom => {}
            }
        }
    }

    /// Takes out an area of the entry with that place in the order.
    pub fn remove(&mut self, view: View, area: &Area<WORDS>, order: Order) {
        let tuples = self.tuples(view);
        for mask in coarser(&area.mask) {
            let Some(at) = tuples.iter().position(|tuple| tuple.mask == mask) else { continue };
            if tuples[at].remove(area, order) {
                if tuples[at].orders.is_empty() {
                    tuples.remove(at);
                } else {
                    settle(tuples, at);
                }
                return;
            }
        }
    }

    /// What the first entry that decides about a packet with these words says.
    /// Of the tables for packets that show themselves only `tables` are asked.
    #[inline]
    pub fn first(
        &self,
        words: &[u64; WORDS],
        seen: &impl Fn() -> Seen,
        entries: &[Option<Entry>],
        tables: Tables,
    ) -> Match {
        let mut found = None;
        search(&self.shown, tables, words, |item| item.decides(words, seen, entries), &mut found);
        if shows_no_port(words[WORDS - 1]) {
            self.first_without_ports(words, &seen(), entries, &mut found);
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
            search(&self.hides_protocol, ALL_TABLES, words, |item| item.decides(words, &|| *seen, entries), found);
        } else if seen.hides_ports {
            search(&self.hides_ports, ALL_TABLES, words, |item| item.decides(words, &|| *seen, entries), found);
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

    /// Has the processor fetch what [`AreaTables::first`] will look at for a packet that shows itself, and tells in which
    /// tables that is: the others hold nothing for it.
    #[inline]
    pub fn fetch(&self, words: &[u64; WORDS]) -> Tables {
        let mut tables = ALL_TABLES << MAX_FETCHED;
        for (n, tuple) in (0..MAX_FETCHED).zip(&self.shown) {
            tables |= Tables::from(tuple.buckets.fetch(tuple.hash.words(&tuple.key(words)))) << n;
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
    decides: impl Fn(&Item<WORDS>) -> Option<Match>,
    found: &mut Option<(Order, Match)>,
) {
    for (n, tuple) in tuples.iter().enumerate() {
        if found.is_some_and(|(order, _)| order <= tuple.best) {
            return;
        }
        if n < MAX_FETCHED as usize && tables >> n & 1 == 0 {
            continue;
        }
        let Some(bucket) = tuple.find(words).and_then(|at| tuple.buckets.get(at)) else { continue };
        for item in bucket.items() {
            if found.is_some_and(|(order, _)| order <= item.order) {
                break;
            }
            if item.holds(words)
                && let Some(decided) = decides(item)
            {
                *found = Some((item.order, decided));
                break;
            }
        }
    }
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

/// What became of an area that was to be added.
enum Inserted {
    New,
    /// The entry has it already.
    Known,
    /// Too many share its place.
    NoRoom,
}

impl<const WORDS: usize> Tuple<WORDS> {
    /// The words of a packet as far as they count here.
    #[inline]
    fn key(&self, words: &[u64; WORDS]) -> [u64; WORDS] {
        masked(words, &self.mask)
    }

    /// The place of what is held for these words.
    #[inline]
    fn find(&self, words: &[u64; WORDS]) -> Option<usize> {
        let key = self.key(words);
        self.buckets.find(self.hash.words(&key), |bucket| self.key(&bucket.first.key) == key)
    }

    /// Adds an area where fewer than `most` share its place.
    fn insert(&mut self, area: &Area<WORDS>, item: Item<WORDS>, most: usize) -> Inserted {
        match self.find(&area.key).and_then(|at| self.buckets.get_mut(at)) {
            Some(bucket) => {
                if let Some(known) = bucket.items_mut().find(|known| known.is(area, item.order)) {
                    known.answer = known.answer.or(item.answer);
                    return Inserted::Known;
                }
                if bucket.others.len() + 1 >= most {
                    return Inserted::NoRoom;
                }
                bucket.insert(item);
            }
            None => {
                let (hash, mask) = (self.hash, self.mask);
                let hash_of = |key: &[u64; WORDS]| hash.words(&masked(key, &mask));
                let bucket = Bucket { first: item, others: Vec::new() };
                self.buckets.insert(hash_of(&item.key), bucket, |bucket| hash_of(&bucket.first.key));
            }
        }
        *self.orders.entry(item.order).or_default() += 1;
        Inserted::New
    }

    /// Whether the entry had such an area.
    fn remove(&mut self, area: &Area<WORDS>, order: Order) -> bool {
        let Some(at) = self.find(&area.key) else { return false };
        let Some(bucket) = self.buckets.get_mut(at) else { return false };
        let Some(which) = bucket.items().position(|item| item.is(area, order)) else { return false };
        match which.checked_sub(1) {
            Some(other) => _ = bucket.others.remove(other),
            None if bucket.others.is_empty() => {
                _ = self.buckets.remove(self.hash.words(&self.key(&area.key)), at);
            }
            None => bucket.first = bucket.others.remove(0),
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

#[inline]
fn masked<const WORDS: usize>(words: &[u64; WORDS], mask: &[u64; WORDS]) -> [u64; WORDS] {
    let mut key = *words;
    key.iter_mut().zip(mask).for_each(|(word, mask)| *word &= mask);
    key
}

impl<const WORDS: usize> Bucket<WORDS> {
    #[inline]
    fn items(&self) -> impl Iterator<Item = &Item<WORDS>> {
        core::iter::once(&self.first).chain(&self.others)
    }

    fn items_mut(&mut self) -> impl Iterator<Item = &mut Item<WORDS>> {
        core::iter::once(&mut self.first).chain(&mut self.others)
    }

    /// Puts the item behind those of entries before its own.
    fn insert(&mut self, item: Item<WORDS>) {
        if item.order < self.first.order {
            let second = core::mem::replace(&mut self.first, item);
            self.others.insert(0, second);
        } else {
            let at = self.others.partition_point(|other| other.order <= item.order);
            self.others.insert(at, item);
        }
    }
}
