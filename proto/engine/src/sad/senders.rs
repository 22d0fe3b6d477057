//! Which SA sends: the outbound SAs of each policy, by the part of its traffic that they carry.
//!
//! A policy that populates selectors from packets (RFC 4301 §4.4.1.2) may have thousands of SAs. Each is found by the
//! values that its selectors were filled with; whatever is not filled from the packet is the same for all of them. An
//! SA without such values, as all SAs of other policies are, carries any flow that its selectors hold.

use alloc::vec::Vec;
use core::mem;
use core::net::{IpAddr, Ipv4Addr};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use ravelin_types::dataplane::Flow;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::PolicyId;
use ravelin_types::sa::SaParams;
use ravelin_types::selector::ANY_PROTOCOL;

use super::{OutboundSa, Sad, Slot};
use crate::hash::HashKey;
use crate::limits::Limits;

/// What SAs carry that stand for no flow in particular.
pub(crate) const WHOLE: Flow = Flow {
    src: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    dst: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    protocol: ANY_PROTOCOL,
    src_port: None,
    dst_port: None,
};

/// The way from a policy and a flow to an SA.
pub(crate) struct Senders {
    /// The SA added last for each part of a policy's traffic. Each names the one before it.
    newest: HashMap<(PolicyId, Flow), Slot, HashKey>,
    /// Of the policies that fill anything.
    pfp: HashMap<PolicyId, Pfp, HashKey>,
    /// Room in which SAs are put in order.
    sorted: Vec<Slot>,
}

impl Senders {
    pub fn new(seed: u64, limits: &Limits) -> Self {
        let hash = HashKey::new(seed);
        Senders {
            newest: HashMap::with_capacity_and_hasher(limits.hash_room(limits.sas), hash),
            pfp: HashMap::with_capacity_and_hasher(limits.hash_room(limits.policies), hash),
            sorted: Vec::with_capacity(limits.reserved(limits.sas)),
        }
    }

    /// What of a packet tells which SA of the policy it needs.
    pub fn part(&self, policy: PolicyId, flow: &Flow) -> Flow {
        self.pfp(policy).key(flow)
    }

    fn pfp(&self, policy: PolicyId) -> Pfp {
        self.pfp.get(&policy).copied().unwrap_or_default()
    }

    /// The SA added last among those in use that carry the flow.
    pub fn find(&self, policy: PolicyId, flow: &Flow, sad: &Sad<OutboundSa>) -> Option<Slot> {
        let search = |part| {
            let mut next = self.newest.get(&(policy, part)).copied();
            while let Some(slot) = next {
                let sa = sad.get(slot)?;
                if !sa.usage.is_dead() && sa.selects(flow) {
                    return Some(slot);
                }
                next = sa.cold.older;
            }
            None
        };
        let part = self.part(policy, flow);
        let own = if part == WHOLE { None } else { search(part) };
        // A peer that populates selectors from packets may have narrowed an SA to this flow.
        let narrowed = || if part == *flow { None } else { search(*flow) };
        own.or_else(narrowed).or_else(|| search(WHOLE))
    }

    /// Takes in an SA that was just added.
    pub fn add(&mut self, slot: Slot, sad: &mut Sad<OutboundSa>) {
        let Some(sa) = sad.get_mut(slot) else { return };
        let policy = sa.cold.params.policy;
        sa.cold.older = self.newest.insert((policy, filled(self.pfp(policy), &sa.cold.params)), slot);
    }

    /// The part of the policy's traffic that an SA answers for; `None`: more than one.
    pub fn answers(&self, params: &SaParams) -> Option<Flow> {
        let pfp = self.pfp(params.policy);
        pfp.any().then(|| pfp.values(&params.local_ts, &params.remote_ts)).flatten()
    }

    /// Whether the packet must show its ports to find an SA of this policy.
    pub fn asks_for_ports(&self, policy: PolicyId) -> bool {
        self.pfp(policy).fills_ports()
    }

    /// Takes out an SA that was just removed from its slot.
    pub fn remove(&mut self, slot: Slot, sa: &OutboundSa, sad: &mut Sad<OutboundSa>) {
        let policy = sa.cold.params.policy;
        let Entry::Occupied(mut newest) = self.newest.entry((policy, filled(self.pfp(policy), &sa.cold.params))) else {
            return;
        };
        if *newest.get() == slot {
            match sa.cold.older {
                Some(older) => _ = newest.insert(older),
                None => _ = newest.remove(),
            }
            return;
        }
        let mut at = *newest.get();
        while let Some(newer) = sad.get_mut(at) {
            match newer.cold.older {
                Some(older) if older == slot => {
                    newer.cold.older = sa.cold.older;
                    return;
                }
                Some(older) => at = older,
                None => return,
            }
        }
    }

    /// The policy now fills these selectors from packets; its SAs are sorted anew where that is a change.
    pub fn set_policy(&mut self, policy: PolicyId, pfp: Pfp, sad: &mut Sad<OutboundSa>) {
        let old = self.pfp(policy);
        if old == pfp {
            return;
        }
        let mut slots = mem::take(&mut self.sorted);
        slots.extend(sad.iter().filter(|(_, sa)| sa.cold.params.policy == policy).map(|(slot, _)| slot));
        // The order of their age is that of the chains; across chains none is needed.
        slots.sort_unstable_by_key(|&slot| (self.depth(slot, sad), slot));
        for &slot in &slots {
            if let Some(sa) = sad.get(slot) {
                self.newest.remove(&(policy, filled(old, &sa.cold.params)));
            }
        }
        match pfp.any() {
            true => _ = self.pfp.insert(policy, pfp),
            false => _ = self.pfp.remove(&policy),
        }
        for &slot in &slots {
            self.add(slot, sad);
        }
        slots.clear();
        self.sorted = slots;
    }

    /// How many SAs are behind this one in its chain.
    fn depth(&self, slot: Slot, sad: &Sad<OutboundSa>) -> usize {
        core::iter::successors(Some(slot), |&slot| sad.get(slot)?.cold.older).count()
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.newest.is_empty() && self.pfp.is_empty()
    }
}

/// The values that an SA's selectors were filled with, by us or by the peer, or [`WHOLE`].
fn filled(pfp: Pfp, params: &SaParams) -> Flow {
    let values = |pfp: Pfp| pfp.values(&params.local_ts, &params.remote_ts);
    let own = if pfp.any() { values(pfp) } else { None };
    // Without ports of its own the SA may be for a whole protocol between two hosts, whatever its ports: one for all.
    let narrowed = || values(Pfp::ALL).filter(|flow| flow.src_port.is_some());
    own.or_else(narrowed).unwrap_or(WHOLE)
}
