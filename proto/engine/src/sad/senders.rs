//! Which SA sends: the outbound SAs of each policy, by the part of its traffic that they carry.
//!
//! A policy that populates selectors from packets (RFC 4301 §4.4.1.2) may have thousands of SAs. Each is found by the
//! values that its selectors were filled with; whatever is not filled from the packet is the same for all of them. An
//! SA without such values, as all SAs of other policies are, carries any flow that its selectors hold.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use core::ops::RangeInclusive;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use ravelin_types::dataplane::Flow;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::PolicyId;
use ravelin_types::sa::SaParams;
use ravelin_types::selector::{ANY_PROTOCOL, TrafficSelector};

use super::{OutboundSa, Sad, Slot};
use crate::hash::HashKey;

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
    pfp: BTreeMap<PolicyId, Pfp>,
}

impl Senders {
    pub fn new(seed: u64) -> Self {
        Senders { newest: HashMap::with_hasher(HashKey::new(seed)), pfp: BTreeMap::new() }
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
        search(part).or_else(|| if part == WHOLE { None } else { search(WHOLE) })
    }

    /// Takes in an SA that was just added. Returns the part of the traffic that it carries; [`None`]: all that its
    /// selectors hold.
    pub fn add(&mut self, slot: Slot, sad: &mut Sad<OutboundSa>) -> Option<Flow> {
        let sa = sad.get_mut(slot)?;
        let policy = sa.cold.params.policy;
        let part = filled(self.pfp(policy), &sa.cold.params);
        sa.cold.older = self.newest.insert((policy, part), slot);
        (part != WHOLE).then_some(part)
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
        let mut slots: Vec<Slot> = sad.slots_where(|sa| sa.cold.params.policy == policy);
        // The order of their age is that of the chains; across chains none is needed.
        slots.sort_by_key(|&slot| self.depth(slot, sad));
        for &slot in &slots {
            if let Some(sa) = sad.get(slot) {
                self.newest.remove(&(policy, filled(old, &sa.cold.params)));
            }
        }
        match pfp.any() {
            true => _ = self.pfp.insert(policy, pfp),
            false => _ = self.pfp.remove(&policy),
        }
        for slot in slots {
            self.add(slot, sad);
        }
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

/// The values that an SA's selectors were filled with, or [`WHOLE`].
fn filled(pfp: Pfp, params: &SaParams) -> Flow {
    values(pfp, &params.local_ts, &params.remote_ts).map_or(WHOLE, |flow| pfp.key(&flow))
}

fn values(pfp: Pfp, local: &[TrafficSelector], remote: &[TrafficSelector]) -> Option<Flow> {
    let address = |filled: bool, side: &[TrafficSelector]| {
        if !filled {
            return Some(WHOLE.src);
        }
        let (start, end) = all_equal(side.iter().map(TrafficSelector::addresses))?.into_inner();
        (start == end).then_some(start)
    };
    let port = |filled: bool, side: &[TrafficSelector]| {
        if !filled {
            return Some(None);
        }
        let ports: RangeInclusive<u16> = all_equal(side.iter().map(TrafficSelector::ports))?;
        match ports.into_inner() {
            // For packets that show no port.
            (0, u16::MAX) => Some(None),
            (start, end) => (start == end).then_some(Some(start)),
        }
    };
    let protocol = || all_equal(local.iter().chain(remote).map(TrafficSelector::protocol));
    let protocol = if pfp.protocol || pfp.local_port || pfp.remote_port { protocol()? } else { ANY_PROTOCOL };
    Some(Flow {
        src: address(pfp.local, local)?,
        dst: address(pfp.remote, remote)?,
        protocol,
        src_port: port(pfp.local_port, local)?,
        dst_port: port(pfp.remote_port, remote)?,
    })
}

fn all_equal<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}
