//! What should be in the kernel and what is: found at the start, brought together whenever somebody else changes
//! policies, shown to whoever asks. Entries that are not ours are never looked at twice.

use std::collections::{BTreeMap, BTreeSet};

use ravelin_types::Spi;
use ravelin_types::dataplane::{DataPlaneEvent, Flow};
use ravelin_types::policy::{Action, PolicyId};
use ravelin_types::sa::Direction;

use crate::book::{Book, Found};
use crate::error::Error;
use crate::losses::{self, Condition};
use crate::msg::attribute::Attribute;
use crate::msg::bytes::Port;
use crate::msg::parts::{INET6, Limits, Selector};
use crate::msg::policy::{PolicyInfo, action, direction};
use crate::msg::{Body, Message, kind};
use crate::netlink::{Netlink, Notice, Refusal, Request};
use crate::plane::XfrmDataPlane;
use crate::policies::{self, Key};
use crate::states::{self, Name};
use crate::{notes, own, text};

/// Router and neighbour discovery (RFC 4861): ICMPv6 types 133 to 137.
const NEIGHBOURS: std::ops::RangeInclusive<u16> = 133..=137;
const ICMP6: u8 = 58;

/// What of ours is in the kernel.
pub(crate) fn find(netlink: &mut Netlink) -> Result<Found, Refusal> {
    let mut met = BTreeSet::new();
    let policies = netlink.dump(&Message::new(kind::GET_POLICY, Body::Empty), |message| {
        let Body::Policy(policy) = &message.body else { return None };
        let id = own::policy(policy.selector.user)?;
        if policy.used.used != 0 {
            met.insert(id);
        }
        Some((policies::key(&message), message))
    })?;
    let states = netlink.dump(&Message::new(kind::GET_SA, Body::Empty), |message| {
        let Body::State(state) = &message.body else { return None };
        own::policy(state.reqid)?;
        let name = states::name(state).filter(|_| state.id.spi != Spi(0))?;
        Some((name, message))
    })?;
    Ok(Found { policies: policies.into_iter().collect(), states: states.into_iter().collect(), met })
}

/// What should be there.
fn wanted(book: &Book) -> BTreeMap<Key, Message> {
    let ordered = book.policies().flat_map(|entry| entry.messages.iter().cloned());
    ordered.chain(neighbours()).map(|message| (policies::key(&message), message)).collect()
}

/// One difference.
enum Drift {
    Missing(Message),
    Changed(Message),
    Surplus(Message),
}

fn drift(book: &Book, found: &BTreeMap<Key, Message>) -> Vec<Drift> {
    let wanted = wanted(book);
    let missing = wanted.iter().filter_map(|(key, message)| match found.get(key) {
        None => Some(Drift::Missing(message.clone())),
        Some(there) if !policies::same(there, message) => Some(Drift::Changed(message.clone())),
        Some(_) => None,
    });
    let surplus = found.iter().filter(|(key, _)| !wanted.contains_key(*key));
    missing.chain(surplus.map(|(_, message)| Drift::Surplus(message.clone()))).collect()
}

/// Puts policies back that somebody else has removed or changed.
pub(crate) fn watch(plane: &mut XfrmDataPlane) {
    let mut changed = false;
    while let Some(notices) = plane.policy_events.poll() {
        let book = &plane.book;
        changed |= notices.iter().any(|notice| match notice {
            Notice::Lost => true,
            Notice::Message(message) => matters(message, book),
        });
    }
    if !changed {
        return;
    }
    let found = match find(&mut plane.netlink) {
        Ok(found) => found,
        Err(refusal) => return tracing::error!("the kernel's policies cannot be listed: {refusal}"),
    };
    let mut requests = Vec::new();
    for difference in drift(&plane.book, &found.policies) {
        let (what, message) = match difference {
            Drift::Missing(message) => ("somebody removed a policy; it is put back", policies::update(&message)),
            Drift::Changed(message) => ("somebody changed a policy; it is put back", policies::update(&message)),
            Drift::Surplus(message) => ("a policy that has no reason any more is removed", policies::removal(&message)),
        };
        tracing::warn!("{what}: `{}`", text::command(&message));
        requests.push(Request::from(message));
    }
    for (index, refusal) in plane.netlink.requests(&requests) {
        let line = text::command(&requests[index].message);
        tracing::error!("a policy cannot be brought in order: {refusal}; by hand: `{line}`");
    }
}

/// Whether a change of policies is about ours and not as we want it.
fn matters(message: &Message, book: &Book) -> bool {
    match (&message.body, message.kind) {
        (_, kind::FLUSH_POLICY) => true,
        (Body::PolicyId(_), kind::DEL_POLICY) => {
            let policy = message.find(|a| if let Attribute::Policy(policy) = a { Some(policy) } else { None });
            let user = policy.map_or(0, |policy| policy.selector.user);
            let Some(id) = own::policy(user) else { return false };
            // Of what we removed ourselves, the book has nothing; and a shape that changed has other keys.
            book.policy(id).is_some() || user == own::NEIGHBOURS
        }
        (Body::Policy(policy), _) => {
            let Some(id) = own::policy(policy.selector.user) else { return false };
            let key = policies::key(message);
            let mut known = book.policies().filter(|entry| entry.policy.id == id).flat_map(|entry| &entry.messages);
            !known.any(|known| policies::key(known) == key && policies::same(known, message))
        }
        _ => false,
    }
}

/// Removes what an earlier daemon left and nobody asked for, and has new SAs negotiated for the policies that had some: the peer
/// may still send on those, also where somebody has removed them here. Lines that say what was done.
pub(crate) fn settle(plane: &mut XfrmDataPlane) -> Vec<String> {
    let mut lines = Vec::new();
    let neighbours: BTreeSet<Key> = neighbours().iter().map(policies::key).collect();
    let left: Vec<Message> = std::mem::take(&mut plane.book.found.policies)
        .into_iter()
        .filter(|(key, _)| !neighbours.contains(key))
        .map(|(_, m)| m)
        .collect();
    if !left.is_empty() {
        lines.push(format!("{} policies of an earlier daemon are removed", left.len()));
    }
    let requests: Vec<Request> = left.iter().map(|message| policies::removal(message).into()).collect();
    plane.netlink.requests(&requests);

    let reqid =
        |message: &Message| if let Body::State(state) = &message.body { own::policy(state.reqid) } else { None };
    let all: Vec<(Name, Message)> =
        plane.book.found.states.iter().map(|(name, message)| (*name, message.clone())).collect();
    let mut kept = BTreeSet::new();
    let mut gone = Vec::new();
    for (name, message) in all {
        match reqid(&message).filter(|id| plane.book.policy(*id).is_some()) {
            Some(id) => drop(kept.insert(id)),
            None => {
                plane.book.found.states.remove(&name);
                gone.push(Request::from(states::removal_of(name, &message)));
            }
        }
    }
    if !gone.is_empty() {
        lines.push(format!("{} SAs of an earlier daemon without a policy are removed", gone.len()));
    }
    plane.netlink.requests(&gone);
    let keyed: BTreeSet<PolicyId> = plane.book.sas().map(|(_, sa)| sa.policy).collect();
    let met = std::mem::take(&mut plane.book.found.met);
    for id in met.union(&kept).filter(|id| !keyed.contains(id)) {
        let Some(policy) = plane.book.policy(*id).filter(|it| matches!(it.action, Action::Protect(_))) else {
            continue;
        };
        let what = if kept.contains(id) {
            "the SAs of an earlier daemon go on until new ones are negotiated"
        } else {
            "packets have met it, and no SA of an earlier daemon is there: new ones are negotiated"
        };
        lines.push(format!("policy {}: {what}", policy.name));
        if let (Some(local), Some(remote)) = (policy.local.first(), policy.remote.first()) {
            let (src, dst) = (*local.addresses().start(), *remote.addresses().start());
            let flow = Flow { src, dst, protocol: local.protocol(), src_port: None, dst_port: None };
            plane.queue.push_back(DataPlaneEvent::Acquire { policy: *id, flow, processor: None });
        }
    }
    lines
}

/// The SAs of an earlier daemon have done their part: a policy has new ones.
pub(crate) fn relieve(plane: &mut XfrmDataPlane, policy: PolicyId) {
    let of_policy =
        |message: &Message| matches!(&message.body, Body::State(state) if own::policy(state.reqid) == Some(policy));
    let states = &plane.book.found.states;
    let old: Vec<Name> = states.iter().filter(|(_, message)| of_policy(message)).map(|(name, _)| *name).collect();
    if old.is_empty() {
        return;
    }
    let gone = old.into_iter().filter_map(|name| Some((name, plane.book.found.states.remove(&name)?)));
    let requests: Vec<Request> = gone.map(|(name, state)| states::removal_of(name, &state).into()).collect();
    plane.netlink.requests(&requests);
}

/// Removes everything of ours from the kernel in this network namespace.
///
/// # Errors
/// When the kernel's entries cannot be listed or one cannot be removed.
pub(crate) fn remove_ours(netlink: &mut Netlink) -> Result<usize, Error> {
    let found = find(netlink).map_err(|refusal| Error::refused("list what is in the kernel", &refusal))?;
    // SAs first: without them nothing passes, without policies everything would.
    let states = found.states.iter().map(|(name, state)| Request::from(states::removal_of(*name, state)));
    let policies = found.policies.values().map(|message| Request::from(policies::removal(message)));
    let requests: Vec<Request> = states.chain(policies).collect();
    let refusals = netlink.requests(&requests);
    // Last, when no policy asks for more.
    notes::release_all(netlink).map_err(|refusal| Error::refused("list what is in the kernel", &refusal))?;
    match refusals.iter().find(|(_, refusal)| !matches!(refusal.errno, libc::ESRCH | libc::ENOENT)) {
        Some((index, refusal)) => {
            let line = text::command(&requests[*index].message);
            Err(Error::refused(&format!("carry out `{line}`"), refusal))
        }
        None => Ok(requests.len()),
    }
}

/// Removes what a daemon that was killed has left in the kernel in the network namespace of the calling thread, for one
/// that does not use the kernel's IPsec. How many entries there were.
///
/// # Errors
/// When the kernel's entries cannot be listed or one cannot be removed.
pub fn remove_leftovers() -> Result<usize, Error> {
    match Netlink::open() {
        Ok(mut netlink) => remove_ours(&mut netlink),
        // A kernel without XFRM has nothing of it.
        Err(_) => Ok(0),
    }
}

impl XfrmDataPlane {
    /// Where the kernel is not as it should be: a line of `ip xfrm` for each entry that is missing (`+`), is not as it
    /// should be (`~`) or should not be there (`-`).
    ///
    /// # Errors
    /// When the kernel's entries cannot be listed.
    pub fn differences(&mut self) -> Result<Vec<String>, Error> {
        let found =
            find(&mut self.netlink).map_err(|refusal| Error::refused("list what is in the kernel", &refusal))?;
        let mut lines: Vec<String> = drift(&self.book, &found.policies)
            .into_iter()
            .map(|difference| match difference {
                Drift::Missing(message) => format!("+ {}", text::command(&message)),
                Drift::Changed(message) => format!("~ {}", text::command(&policies::update(&message))),
                Drift::Surplus(message) => format!("- {}", text::command(&policies::removal(&message))),
            })
            .collect();
        for (id, params) in self.book.sas() {
            let way = if id.direction == Direction::Inbound { "in" } else { "out" };
            let named = format!("the SA with SPI {} to {} ({way})", id.spi, id.dst);
            match losses::condition(&self.book, params, &found.states) {
                Condition::AsWanted => {}
                Condition::Changed(_) => lines.push(format!("~ {named} has other limits, ports, marks or interface")),
                Condition::Gone => lines.push(format!("+ {named} is gone")),
                Condition::Replaced => lines.push(format!("~ {named} is not the one that was installed")),
            }
        }
        for (name, state) in found.states.iter().filter(|(name, _)| self.book.named(**name).is_none()) {
            let kept = if self.book.found.states.contains_key(name) {
                " (of an earlier daemon, until there is a new one)"
            } else {
                ""
            };
            lines.push(format!("- {}{kept}", text::command(&states::removal_of(*name, state))));
        }
        Ok(lines)
    }
}

/// IPv6 finds its neighbours in the clear (RFC 4861), as on every data plane of ours, before anything else is looked at.
pub(crate) fn neighbours() -> Vec<Message> {
    let mut all = Vec::new();
    for direction in [direction::OUT, direction::IN] {
        for kind in NEIGHBOURS {
            let selector = Selector {
                family: INET6,
                protocol: ICMP6,
                src_port: Port(kind),
                src_port_mask: Port(0xffff),
                user: own::NEIGHBOURS,
                ..Selector::default()
            };
            let info = PolicyInfo {
                selector,
                limits: Limits::none(),
                direction,
                action: action::ALLOW,
                ..PolicyInfo::default()
            };
            all.push(Message::new(kind::NEW_POLICY, Body::Policy(info)));
        }
    }
    all
}
