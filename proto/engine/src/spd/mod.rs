//! The Security Policy Database (RFC 4301 §4.4.1): which packets are protected, bypassed or discarded.
//!
//! ```text
//! Seen (flow, what it hides) ──► FlowCache ──► known decision
//!                                   │ unknown
//!                                   └─► Spd::lookup ──► Finder: tables of the family ──► Match
//! ```
//! How tables find the first entry, and what that costs, is in `tables`; how selectors become the areas that are kept
//! there is in `pieces`. Another classifier may take their place ([`Classifier`]), and in an engine that asks for no memory
//! after its start the entries are read in their order instead.
//!
//! Lookups are from the outbound view; for inbound packets the caller swaps the ends of the flow. Entries of all domains
//! stand in one database: a domain is one more thing that each entry asks for.
//!
//! Which entry decides about a packet that shows its ports: the first that matches. About one that hides them, as later
//! fragments do (RFC 4301 §7): the first whose ports are ANY or OPAQUE, unless one before it, which protects or
//! discards, might be meant. Then only an entry on OPAQUE ports can tell, for that is what such an entry is there for
//! (RFC 4301 §7.2); where there is none, the packet is dropped.

mod buckets;
mod cache;
mod finder;
mod mask;
mod overlap;
mod pieces;
mod tables;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;

use hashbrown::HashMap;
use ravelin_types::dataplane::{DataPlaneError, Flow, Table};
use ravelin_types::policy::{Action, Domain, Mode, Policy, PolicyId};
use ravelin_types::sa::Direction;
use ravelin_types::selector::{ANY_PROTOCOL, TrafficSelector};
use ravelin_wire::ip::transport::{self, Ports};
use ravelin_wire::ip::{Fragment, Header, is_extension};

use crate::classifier::{Classifier, Found};
use crate::engine::NoMatch;
use crate::hash::HashKey;
use crate::limits::Limits;
use crate::verdict::DropReason;

pub(crate) use cache::{FlowCache, FlowKey, Place};
use finder::Finder;
use overlap::Overlaps;
pub(crate) use tables::{ALL_TABLES, Tables};

/// What a packet shows of itself to the selectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// From the view of what leaves: its source is the local end.
    pub flow: Flow,
    /// Whose entries are asked.
    pub domain: Domain,
    /// The protocol has ports, but this packet does not show them.
    pub hides_ports: bool,
    /// Not even the protocol is shown: a later IPv6 fragment whose first part held further extension headers.
    pub hides_protocol: bool,
}

impl Seen {
    /// A packet with this header, of which these ports are known.
    #[inline]
    pub(crate) fn new(header: &Header, ports: Ports, domain: Domain) -> Self {
        let Header { src, dst, protocol, .. } = *header;
        let flow = Flow { src, dst, protocol, src_port: ports.src, dst_port: ports.dst };
        let hides_protocol = ports.is_none() && header.fragment == Fragment::Later && is_extension(protocol);
        let hides_ports = hides_protocol || (ports.is_none() && transport::has_ports(protocol));
        Seen { flow, domain, hides_ports, hides_protocol }
    }

    /// The same packet from the other end.
    pub(crate) fn swapped(self) -> Self {
        let Flow { src, dst, protocol, src_port, dst_port } = self.flow;
        Seen { flow: Flow { src: dst, dst: src, protocol, src_port: dst_port, dst_port: src_port }, ..self }
    }
}

/// What the SPD says about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    Protect(PolicyId),
    Bypass(PolicyId),
    Discard(PolicyId),
    /// The packet hides what would tell whether it is to be protected or discarded.
    Hidden,
    None,
}

impl Match {
    /// Which policy says so.
    pub fn policy(self) -> Option<PolicyId> {
        match self {
            Match::Protect(id) | Match::Bypass(id) | Match::Discard(id) => Some(id),
            Match::Hidden | Match::None => None,
        }
    }

    /// What becomes of the packet: the policy that protects it, or `None` where it passes in the clear.
    ///
    /// # Errors
    /// Why it is dropped.
    pub fn decide(self, no_match: NoMatch) -> Result<Option<PolicyId>, DropReason> {
        match (self, no_match) {
            (Match::Protect(id), _) => Ok(Some(id)),
            (Match::Bypass(_), _) | (Match::None, NoMatch::Bypass) => Ok(None),
            (Match::Discard(_), _) => Err(DropReason::PolicyDiscard),
            (Match::Hidden, _) => Err(DropReason::HiddenPorts),
            (Match::None, NoMatch::Discard) => Err(DropReason::NoPolicy),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Protect,
    Bypass,
    Discard,
}

impl Rule {
    /// What an entry with this rule says about the packets that it selects.
    fn answer(self, id: PolicyId) -> Match {
        match self {
            Rule::Protect => Match::Protect(id),
            Rule::Bypass => Match::Bypass(id),
            Rule::Discard => Match::Discard(id),
        }
    }
}

#[derive(Debug)]
struct Entry {
    order: Order,
    domain: Domain,
    local: Vec<TrafficSelector>,
    remote: Vec<TrafficSelector>,
    rule: Rule,
    /// Whether it is about packets of this half's direction; if not, it has no areas.
    here: bool,
    /// Where it asks for protection: the mode, and who the other end of its SAs is.
    protection: Option<(Mode, IpAddr)>,
}

/// Priority, then number: entries of equal priority are consulted in order of `id`.
type Order = (u32, PolicyId);

/// The ordered entries, and what finds the first of them that matches.
pub(crate) struct Spd {
    entries: Vec<Option<Entry>>,
    /// Places in `entries` to use again.
    free: Vec<u32>,
    /// Room for selectors, of an SPD that asks for no memory after its start.
    sides: Vec<Vec<TrafficSelector>>,
    places: HashMap<PolicyId, u32, HashKey>,
    finder: Finder,
    overlaps: Overlaps,
    /// How the packets travel about which it is asked.
    direction: Direction,
    limits: Limits,
}

impl Spd {
    /// With tables of its own to find entries in, or `other` instead.
    pub fn new(seed: u64, direction: Direction, limits: Limits, other: Option<Box<dyn Classifier>>) -> Self {
        let room = limits.room(limits.policies);
        Spd {
            entries: Vec::with_capacity(room),
            free: Vec::with_capacity(room),
            sides: (0..2 * limits.reserved(limits.policies)).map(|_| Vec::with_capacity(limits.selectors)).collect(),
            places: HashMap::with_capacity_and_hasher(limits.hash_room(limits.policies), HashKey::new(seed)),
            finder: Finder::new(seed, &limits, other),
            overlaps: Overlaps::new(seed, &limits),
            direction,
            limits,
        }
    }

    /// Adds a policy, or replaces the one with the same number.
    pub fn add(&mut self, policy: &Policy) -> Result<(), DataPlaneError> {
        let Limits { policies, selectors, .. } = self.limits;
        if self.places.len() >= policies && !self.places.contains_key(&policy.id) {
            return Err(DataPlaneError::Full(Table::Policies, policies));
        }
        if policy.local.len() > selectors || policy.remote.len() > selectors {
            return Err(DataPlaneError::invalid(format_args!(
                "more than {selectors} selectors on one side of a policy"
            )));
        }
        // Which device a packet leaves or came by is not known here: stacks that know select an SPD by it (Domain).
        let here = policy.is_about(self.direction) && policy.device().is_none();
        if let Finder::Other(other) = &mut self.finder
            && here
        {
            other.add(policy)?;
        }
        let was_here = self.take(policy.id).unwrap_or(false);
        if let Finder::Other(other) = &mut self.finder
            && was_here
            && !here
        {
            other.delete(policy.id);
        }
        let entry = Entry {
            order: (policy.priority, policy.id),
            domain: policy.domain,
            local: self.side(&policy.local),
            remote: self.side(&policy.remote),
            here,
            rule: match policy.action {
                Action::Protect(_) => Rule::Protect,
                Action::Bypass => Rule::Bypass,
                Action::Discard => Rule::Discard,
            },
            protection: match &policy.action {
                Action::Protect(protection) => Some((protection.mode, protection.remote)),
                Action::Bypass | Action::Discard => None,
            },
        };
        let place = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() as u32 - 1
        });
        if here {
            self.finder.insert(&entry, place, &self.entries);
            self.overlaps.add(&entry, place, &self.entries);
        }
        self.entries[place as usize] = Some(entry);
        self.places.insert(policy.id, place);
        Ok(())
    }

    pub fn delete(&mut self, id: PolicyId) -> Result<(), DataPlaneError> {
        let was_here = self.take(id).ok_or(DataPlaneError::NoSuchPolicy(id))?;
        if let Finder::Other(other) = &mut self.finder
            && was_here
        {
            other.delete(id);
        }
        Ok(())
    }

    /// A copy of selectors, where there is room for them.
    fn side(&mut self, selectors: &[TrafficSelector]) -> Vec<TrafficSelector> {
        let mut side = self.sides.pop().unwrap_or_default();
        side.reserve_exact(selectors.len());
        side.extend_from_slice(selectors);
        side
    }

    /// Takes out an entry, and what it put into tables: its selectors say where that is. Whether it was about packets of
    /// this direction.
    fn take(&mut self, id: PolicyId) -> Option<bool> {
        let place = self.places.remove(&id)?;
        if let Some(entry) = self.entries[place as usize].as_ref().filter(|entry| entry.here) {
            self.finder.remove(entry, &self.entries);
            self.overlaps.remove(entry, place);
        }
        let Entry { local, remote, here, .. } = self.entries[place as usize].take()?;
        self.free.push(place);
        for mut side in [local, remote] {
            if self.sides.len() < self.sides.capacity() {
                side.clear();
                self.sides.push(side);
            }
        }
        Some(here)
    }

    /// The number of policies.
    #[inline]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether an SA's selectors do not tell all about what may arrive on it: a packet may fall under two policies.
    #[inline]
    pub fn has_overlaps(&self) -> bool {
        self.overlaps.any()
    }

    /// Where a policy stands.
    pub fn domain(&self, id: PolicyId) -> Option<Domain> {
        Some(self.entry(id)?.domain)
    }

    /// Whether a packet that arrived on an SA of `policy` with `peer` may have done so: the first entry that matches
    /// asks for protection by an SA with the same peer. A packet that none matches, or that does not show which, has
    /// the SA's selectors to answer to.
    pub fn admits(&self, seen: &Seen, policy: PolicyId, peer: IpAddr) -> Result<(), DropReason> {
        match self.lookup(seen) {
            Match::Protect(id) if id == policy || self.peer(id) == self.peer(policy).or(Some(peer)) => Ok(()),
            Match::Protect(_) => Err(DropReason::PolicyMismatch),
            Match::Bypass(_) | Match::Discard(_) => Err(DropReason::UnexpectedProtection),
            Match::Hidden | Match::None => Ok(()),
        }
    }

    fn peer(&self, id: PolicyId) -> Option<IpAddr> {
        self.entry(id)?.protection.map(|(_, peer)| peer)
    }

    /// The mode in which a policy protects.
    pub fn mode(&self, id: PolicyId) -> Option<Mode> {
        self.entry(id)?.protection.map(|(mode, _)| mode)
    }

    fn entry(&self, id: PolicyId) -> Option<&Entry> {
        self.entries[*self.places.get(&id)? as usize].as_ref()
    }

    /// What the first entry that matches says.
    pub fn lookup(&self, seen: &Seen) -> Match {
        match &self.finder {
            Finder::Tables(both) => both.first(Words::new(seen), &|| *seen, &self.entries, ALL_TABLES),
            Finder::Ordered(ordered) => ordered.first(seen, &self.entries),
            Finder::Other(other) => self.answer(other.find(seen)),
        }
    }

    /// The same for a packet that leaves, in the tables that `fetch` told; nothing may have changed in between.
    #[inline]
    pub fn lookup_in(&self, flow: &FlowKey, tables: Tables) -> Match {
        match (&self.finder, flow.words()) {
            (Finder::Tables(both), Some(words)) => both.first(words, &|| flow.seen(), &self.entries, tables),
            _ => self.lookup(&flow.seen()),
        }
    }

    /// What an entry says that another classifier found. One that there is none of lets nothing pass.
    fn answer(&self, found: Found) -> Match {
        match found {
            Found::Policy(id) => self.entry(id).map_or(Match::Discard(id), |entry| entry.rule.answer(id)),
            Found::Hidden => Match::Hidden,
            Found::Nothing => Match::None,
        }
    }

    /// Has the processor fetch what a `lookup_in` a little later looks at.
    #[inline]
    pub fn fetch(&self, flow: &FlowKey) -> Tables {
        match (&self.finder, flow.words()) {
            (Finder::Tables(both), Some(words)) => both.fetch(words),
            _ => ALL_TABLES,
        }
    }
}

/// What selectors ask of a packet, as the classifier of its family wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Words {
    V4([u64; 2]),
    V6([u64; 5]),
    /// The ends are of different families.
    Neither,
}

impl Words {
    fn new(seen: &Seen) -> Self {
        let Flow { src, dst, protocol, src_port, dst_port } = seen.flow;
        let protocol = if seen.hides_protocol { ANY_PROTOCOL } else { protocol };
        let rest = pieces::last_word(seen.domain, protocol, Ports { src: src_port, dst: dst_port });
        match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                Words::V4([u64::from(src.to_bits()) << 32 | u64::from(dst.to_bits()), rest])
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let ([a, b], [c, d]) = (pieces::halves(src.to_bits()), pieces::halves(dst.to_bits()));
                Words::V6([a, b, c, d, rest])
            }
            _ => Words::Neither,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    No,
    Perhaps,
    Yes,
    /// Yes, by a selector on OPAQUE ports.
    Opaque,
}

impl Entry {
    /// What this entry says about a packet, when it decides.
    fn decides(&self, seen: &Seen) -> Option<Match> {
        match (self.fits(seen), self.rule) {
            (Fit::No, _) => None,
            (Fit::Yes | Fit::Opaque, rule) => Some(rule.answer(self.order.1)),
            // RFC 4301 §7: a fragment must not slip past the policy that its whole datagram falls under.
            (Fit::Perhaps, Rule::Protect | Rule::Discard) => Some(Match::Hidden),
            // The stricter reading: what a later entry says, not this permission.
            (Fit::Perhaps, Rule::Bypass) => None,
        }
    }

    fn fits(&self, seen: &Seen) -> Fit {
        if seen.domain != self.domain {
            return Fit::No;
        }
        let Flow { src, dst, src_port, dst_port, .. } = seen.flow;
        let best = |selectors: &[TrafficSelector], address, port, other| {
            selectors.iter().map(|selector| fit(selector, seen, address, port, other)).max().unwrap_or(Fit::No)
        };
        let remote = best(&self.remote, dst, dst_port, src_port);
        if remote == Fit::No {
            return Fit::No;
        }
        let local = best(&self.local, src, src_port, dst_port);
        if local.min(remote) >= Fit::Yes { local.max(remote) } else { local.min(remote) }
    }
}

/// `port` is what the packet shows at the selector's side, `other` at the other.
fn fit(selector: &TrafficSelector, seen: &Seen, address: IpAddr, port: Option<u16>, other: Option<u16>) -> Fit {
    let protocol = selector.protocol();
    if !selector.addresses().contains(&address) {
        return Fit::No;
    }
    if protocol != ANY_PROTOCOL && seen.hides_protocol {
        return Fit::Perhaps;
    }
    if protocol != ANY_PROTOCOL && protocol != seen.flow.protocol {
        return Fit::No;
    }
    match (port, other) {
        (Some(port), _) if selector.ports().contains(&port) => Fit::Yes,
        (Some(_), _) => Fit::No,
        (None, Some(_)) => Fit::Yes,
        (None, None) if selector.any_port() => Fit::Yes,
        (None, None) if selector.is_opaque() => Fit::Opaque,
        (None, None) if seen.hides_ports => Fit::Perhaps,
        (None, None) => Fit::No,
    }
}

#[cfg(test)]
mod tests;
