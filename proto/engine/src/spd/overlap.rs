//! Whether any packet may fall under two policies. Where none can, the selectors of an SA say all there is to say about
//! what it carries, and no packet pays for a second look at the SPD.
//!
//! Policies for one pair of hosts, the kind of which there are many, are compared by that pair alone, without protocol
//! and ports; the others one by one, up to [`COMPARED`] of them. Either errs on the side of an overlap.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

use ravelin_types::policy::{Domain, Policy, PolicyId};
use ravelin_types::selector::{ANY_PORTS, ANY_PROTOCOL, TrafficSelector};
use ravelin_wire::ip::transport::has_type;

/// So many policies that are not for one pair of hosts are compared; more count as overlapping.
const COMPARED: usize = 256;

/// The selectors of a policy, local and remote.
struct Sides {
    domain: Domain,
    local: Vec<TrafficSelector>,
    remote: Vec<TrafficSelector>,
}

/// A domain, and one local and one remote address there.
type Hosts = (Domain, IpAddr, IpAddr);

/// What is known of overlaps between the policies of an SPD.
#[derive(Default)]
pub(super) struct Overlaps {
    pairs: BTreeMap<Hosts, u32>,
    wide: BTreeMap<PolicyId, Sides>,
    /// Since the SPD was empty, some policy overlapped another. Deleting one does not end it.
    seen: bool,
}

impl Overlaps {
    /// Whether a packet may fall under two policies.
    #[inline]
    pub fn any(&self) -> bool {
        self.seen
    }

    pub fn add(&mut self, policy: &Policy) {
        match pair(policy.domain, &policy.local, &policy.remote) {
            Some(hosts) => {
                let count = self.pairs.entry(hosts).or_default();
                *count += 1;
                let shared = *count > 1;
                // Looking is what costs, so it ends with the first overlap.
                self.seen = self.seen || shared || self.wide.values().any(|wide| wide.holds(hosts));
            }
            None => {
                let sides = Sides { domain: policy.domain, local: policy.local.clone(), remote: policy.remote.clone() };
                self.seen = self.seen
                    || self.wide.len() >= COMPARED
                    || self.wide.values().any(|wide| wide.meets(&sides))
                    || self.pairs.keys().any(|hosts| sides.holds(*hosts));
                self.wide.insert(policy.id, sides);
            }
        }
    }

    /// The policy with these selectors is gone.
    pub fn remove(&mut self, id: PolicyId, domain: Domain, local: &[TrafficSelector], remote: &[TrafficSelector]) {
        self.wide.remove(&id);
        if let Some(hosts) = pair(domain, local, remote)
            && let Some(count) = self.pairs.get_mut(&hosts)
        {
            *count -= 1;
            if *count == 0 {
                self.pairs.remove(&hosts);
            }
        }
        self.seen &= !(self.pairs.is_empty() && self.wide.is_empty());
    }
}

impl Sides {
    fn holds(&self, (domain, local, remote): Hosts) -> bool {
        let one = |selectors: &[TrafficSelector], address| selectors.iter().any(|s| s.addresses().contains(&address));
        domain == self.domain && one(&self.local, local) && one(&self.remote, remote)
    }

    fn meets(&self, other: &Sides) -> bool {
        let common = |a: &[TrafficSelector], b: &[TrafficSelector]| a.iter().any(|a| b.iter().any(|b| meet(a, b)));
        other.domain == self.domain && common(&self.local, &other.local) && common(&self.remote, &other.remote)
    }
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

/// The two addresses of a policy for one pair of hosts.
fn pair(domain: Domain, local: &[TrafficSelector], remote: &[TrafficSelector]) -> Option<Hosts> {
    let host = |selectors: &[TrafficSelector]| {
        let [selector] = selectors else { return None };
        let (first, last) = selector.addresses().into_inner();
        (first == last).then_some(first)
    };
    Some((domain, host(local)?, host(remote)?))
}
