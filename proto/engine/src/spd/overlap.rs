//! Whether any packet may fall under two policies. Where none can, the selectors of an SA say all there is to say about
//! what it carries, and no packet pays for a second look at the SPD.
//!
//! Policies for one pair of hosts, the kind of which there are many, are compared by that pair alone, without protocol
//! and ports; the others one by one, up to [`COMPARED`] of them. Either errs on the side of an overlap.

use core::net::IpAddr;

use hashbrown::{HashMap, HashSet};
use ravelin_types::policy::Domain;
use ravelin_types::selector::{ANY_PORTS, ANY_PROTOCOL, TrafficSelector};
use ravelin_wire::ip::transport::has_type;

use super::Entry;
use crate::hash::HashKey;
use crate::limits::Limits;

/// So many policies that are not for one pair of hosts are compared; more count as overlapping.
const COMPARED: usize = 256;

/// A domain, and one local and one remote address there.
type Hosts = (Domain, IpAddr, IpAddr);

/// What is known of overlaps between the policies of an SPD.
pub(super) struct Overlaps {
    pairs: HashMap<Hosts, u32, HashKey>,
    /// The places of the other entries.
    wide: HashSet<u32, HashKey>,
    /// Since the SPD was empty, some policy overlapped another. Deleting one does not end it.
    seen: bool,
}

impl Overlaps {
    pub fn new(seed: u64, limits: &Limits) -> Self {
        let (hash, room) = (HashKey::new(seed), limits.hash_room(limits.policies));
        Overlaps {
            pairs: HashMap::with_capacity_and_hasher(room, hash),
            wide: HashSet::with_capacity_and_hasher(room, hash),
            seen: false,
        }
    }

    /// Whether a packet may fall under two policies.
    #[inline]
    pub fn any(&self) -> bool {
        self.seen
    }

    /// Takes in an entry that is to stand at `place` among `entries`.
    pub fn add(&mut self, entry: &Entry, place: u32, entries: &[Option<Entry>]) {
        // Looking is what costs, so it ends with the first overlap.
        match pair(entry) {
            Some(hosts) => {
                let count = self.pairs.entry(hosts).or_default();
                *count += 1;
                let shared = *count > 1;
                self.seen = self.seen || shared || self.wide(entries).any(|wide| holds(wide, hosts));
            }
            None => {
                self.seen = self.seen
                    || self.wide.len() >= COMPARED
                    || self.wide(entries).any(|wide| may_share(wide, entry))
                    || self.pairs.keys().any(|hosts| holds(entry, *hosts));
                self.wide.insert(place);
            }
        }
    }

    /// The entry goes from its place.
    pub fn remove(&mut self, entry: &Entry, place: u32) {
        match pair(entry) {
            Some(hosts) => {
                if let Some(count) = self.pairs.get_mut(&hosts) {
                    *count -= 1;
                    if *count == 0 {
                        self.pairs.remove(&hosts);
                    }
                }
            }
            None => _ = self.wide.remove(&place),
        }
        self.seen &= !(self.pairs.is_empty() && self.wide.is_empty());
    }

    fn wide<'a>(&'a self, entries: &'a [Option<Entry>]) -> impl Iterator<Item = &'a Entry> {
        self.wide.iter().filter_map(|place| entries[*place as usize].as_ref())
    }
}

fn holds(entry: &Entry, (domain, local, remote): Hosts) -> bool {
    let one = |selectors: &[TrafficSelector], address| selectors.iter().any(|s| s.addresses().contains(&address));
    domain == entry.domain && one(&entry.local, local) && one(&entry.remote, remote)
}

fn may_share(one: &Entry, other: &Entry) -> bool {
    let common = |a: &[TrafficSelector], b: &[TrafficSelector]| a.iter().any(|a| b.iter().any(|b| meet(a, b)));
    one.domain == other.domain && common(&one.local, &other.local) && common(&one.remote, &other.remote)
}

/// Whether a packet's end may fall under both. Of a type instead of ports only the sender's side is asked, and this may
/// be either side.
fn meet(a: &TrafficSelector, b: &TrafficSelector) -> bool {
    let bare = |selector: &TrafficSelector| match selector.protocol() {
        protocol if protocol == ANY_PROTOCOL || has_type(protocol) => selector.with(protocol, ANY_PORTS),
        _ => Ok(*selector),
    };
    matches!((bare(a), bare(b)), (Ok(a), Ok(b)) if a.intersection(&b).is_some())
}

/// The two addresses of an entry for one pair of hosts.
fn pair(entry: &Entry) -> Option<Hosts> {
    let host = |selectors: &[TrafficSelector]| {
        let [selector] = selectors else { return None };
        let (first, last) = selector.addresses().into_inner();
        (first == last).then_some(first)
    };
    Some((entry.domain, host(&entry.local)?, host(&entry.remote)?))
}
