//! The Security Policy Database (RFC 4301 §4.4.1): which packets are protected, bypassed or discarded.
//!
//! ```text
//! Seen (flow, what it hides) ──► FlowCache ──► known decision
//!                                   │ unknown
//!                                   └─► Spd::lookup: host pairs by hash, wider selectors in order ──► Match
//! ```
//! Lookups are from the outbound view; for inbound packets the caller swaps the ends of the flow.

mod cache;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;
use core::iter::Peekable;
use core::net::IpAddr;

use hashbrown::HashMap;
use ravelin_types::dataplane::{DataPlaneError, Flow};
use ravelin_types::policy::{Action, Policy, PolicyId};
use ravelin_types::selector::{ANY_PROTOCOL, TrafficSelector};
use ravelin_wire::ip::{Fragment, Header, is_extension, transport};

use crate::hash::HashKey;
use crate::limits::{MAX_POLICIES, MAX_SELECTORS};

pub(crate) use cache::{FlowCache, FlowKey, Place};

/// What a packet shows of itself to the selectors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub flow: Flow,
    /// The protocol has ports, but this packet does not show them.
    pub hides_ports: bool,
    /// Not even the protocol is shown: a later IPv6 fragment whose first part held further extension headers.
    pub hides_protocol: bool,
}

impl Seen {
    #[inline]
    pub fn new(header: &Header, packet: &[u8]) -> Self {
        let flow = header.flow(packet);
        let hides_protocol = header.fragment == Fragment::Later && is_extension(header.protocol);
        let hides_ports = hides_protocol || (flow.src_port.is_none() && transport::has_ports(flow.protocol));
        Seen { flow, hides_ports, hides_protocol }
    }

    /// The same packet from the other end.
    pub fn swapped(self) -> Self {
        let Flow { src, dst, protocol, src_port, dst_port } = self.flow;
        Seen { flow: Flow { src: dst, dst: src, protocol, src_port: dst_port, dst_port: src_port }, ..self }
    }
}

/// What the SPD says about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    Protect(PolicyId),
    Bypass,
    Discard,
    /// The packet hides what would tell whether it is to be protected or discarded.
    Hidden,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Protect,
    Bypass,
    Discard,
}

#[derive(Debug)]
struct Entry {
    local: Vec<TrafficSelector>,
    remote: Vec<TrafficSelector>,
    rule: Rule,
}

/// Priority, then number: entries of equal priority are consulted in order of `id`.
type Order = (u32, PolicyId);
type HostPair = (IpAddr, IpAddr);
type Entries = BTreeMap<Order, Entry>;

/// The ordered entries. Those between two single addresses are found by hash, so that very many of them cost no more
/// than one; the others are scanned in order.
pub(crate) struct Spd {
    wide: Entries,
    hosts: HashMap<HostPair, Entries, HashKey>,
    places: BTreeMap<PolicyId, (Order, Option<HostPair>)>,
}

impl Spd {
    pub fn new(seed: u64) -> Self {
        Spd { wide: BTreeMap::new(), hosts: HashMap::with_hasher(HashKey::new(seed)), places: BTreeMap::new() }
    }

    /// Adds a policy, or replaces the one with the same number.
    pub fn add(&mut self, policy: &Policy) -> Result<(), DataPlaneError> {
        if self.places.len() >= MAX_POLICIES && !self.places.contains_key(&policy.id) {
            return Err(DataPlaneError::Full(format!("{MAX_POLICIES} policies")));
        }
        if policy.local.len() > MAX_SELECTORS || policy.remote.len() > MAX_SELECTORS {
            return Err(DataPlaneError::Full(format!("{MAX_SELECTORS} selectors on one side of a policy")));
        }
        self.take(policy.id);
        let order = (policy.priority, policy.id);
        let pair = host_pair(policy);
        let entry = Entry {
            local: policy.local.clone(),
            remote: policy.remote.clone(),
            rule: match policy.action {
                Action::Protect(_) => Rule::Protect,
                Action::Bypass => Rule::Bypass,
                Action::Discard => Rule::Discard,
            },
        };
        match pair {
            Some(pair) => self.hosts.entry(pair).or_default().insert(order, entry),
            None => self.wide.insert(order, entry),
        };
        self.places.insert(policy.id, (order, pair));
        Ok(())
    }

    pub fn delete(&mut self, id: PolicyId) -> Result<(), DataPlaneError> {
        if self.take(id) { Ok(()) } else { Err(DataPlaneError::NoSuchPolicy(id)) }
    }

    fn take(&mut self, id: PolicyId) -> bool {
        let Some((order, pair)) = self.places.remove(&id) else { return false };
        match pair {
            None => {
                self.wide.remove(&order);
            }
            Some(pair) => {
                if let Some(entries) = self.hosts.get_mut(&pair) {
                    entries.remove(&order);
                    if entries.is_empty() {
                        self.hosts.remove(&pair);
                    }
                }
            }
        }
        true
    }

    /// What the first entry that matches says.
    pub fn lookup(&self, seen: &Seen) -> Match {
        let hosts = self.hosts.get(&(seen.flow.src, seen.flow.dst));
        for (&(_, id), entry) in in_order(hosts.into_iter().flatten().peekable(), self.wide.iter().peekable()) {
            match (entry.fits(seen), entry.rule) {
                (Fit::No, _) => {}
                (Fit::Yes, Rule::Protect) => return Match::Protect(id),
                (Fit::Yes, Rule::Bypass) => return Match::Bypass,
                (Fit::Yes, Rule::Discard) => return Match::Discard,
                // RFC 4301 §7: a fragment must not slip past the policy that its whole datagram falls under.
                (Fit::Perhaps, Rule::Protect | Rule::Discard) => return Match::Hidden,
                // The stricter reading: what a later entry says, not this permission.
                (Fit::Perhaps, Rule::Bypass) => {}
            }
        }
        Match::None
    }
}

fn in_order<'a>(
    mut a: Peekable<impl Iterator<Item = (&'a Order, &'a Entry)>>,
    mut b: Peekable<impl Iterator<Item = (&'a Order, &'a Entry)>>,
) -> impl Iterator<Item = (&'a Order, &'a Entry)> {
    core::iter::from_fn(move || match (a.peek(), b.peek()) {
        (Some(x), Some(y)) if x.0 < y.0 => a.next(),
        (Some(_), None) => a.next(),
        _ => b.next(),
    })
}

/// The two addresses of a policy that has exactly one of each.
fn host_pair(policy: &Policy) -> Option<HostPair> {
    let single = |selectors: &[TrafficSelector]| match selectors {
        [one] => (one.addresses().start() == one.addresses().end()).then(|| *one.addresses().start()),
        _ => None,
    };
    Some((single(&policy.local)?, single(&policy.remote)?))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    No,
    Perhaps,
    Yes,
}

impl Entry {
    fn fits(&self, seen: &Seen) -> Fit {
        let Flow { src, dst, src_port, dst_port, .. } = seen.flow;
        let best = |selectors: &[TrafficSelector], address, port| {
            selectors.iter().map(|selector| fit(selector, seen, address, port)).max().unwrap_or(Fit::No)
        };
        match best(&self.remote, dst, dst_port) {
            Fit::No => Fit::No,
            remote => remote.min(best(&self.local, src, src_port)),
        }
    }
}

fn fit(selector: &TrafficSelector, seen: &Seen, address: IpAddr, port: Option<u16>) -> Fit {
    let protocol = selector.protocol();
    if !seen.hides_protocol && selector.matches(address, seen.flow.protocol, port) {
        return Fit::Yes;
    }
    let any_protocol = protocol == ANY_PROTOCOL;
    if seen.hides_protocol && any_protocol && selector.any_port() && selector.addresses().contains(&address) {
        return Fit::Yes;
    }
    let may = seen.hides_protocol || (seen.hides_ports && (any_protocol || protocol == seen.flow.protocol));
    if may && selector.addresses().contains(&address) { Fit::Perhaps } else { Fit::No }
}

#[cfg(test)]
mod tests;
