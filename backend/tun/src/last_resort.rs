//! Routes to the remote sides of policies, behind all others of the host.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use ravelin_types::policy::{Action, Mode, Policy};
use ravelin_types::selector::TrafficSelector;

use crate::config::TunConfig;
use crate::error::Error;
use crate::netlink::{Netlink, Route};

/// A range of addresses that splits into more prefixes than this gets no route of last resort.
const MAX_PREFIXES: usize = 64;

/// The routes in force. The kernel removes them with the device.
pub(crate) struct LastResort {
    netlink: Netlink,
    /// Index of the first device, to which they lead.
    index: u32,
    table: u32,
    mtu: u32,
    routes: BTreeSet<Route>,
    /// IPv4 and IPv6: the operator knows that this host does not forward.
    warned: (bool, bool),
}

impl LastResort {
    /// None yet.
    pub(crate) fn new(config: &TunConfig) -> Result<Self, Error> {
        let netlink = Netlink::open().map_err(|e| Error::system("talk to the kernel's routing", e))?;
        let found = netlink.index(&config.device);
        let index = found.map_err(|e| Error::system(format!("find the device {}", config.device), e))?;
        let (table, mtu) = (config.fallback_table(), u32::from(config.mtu));
        Ok(LastResort { netlink, index, table, mtu, routes: BTreeSet::new(), warned: (false, false) })
    }

    /// Lets them follow the policies, given in the order of the SPD.
    pub(crate) fn follow<'a>(&mut self, policies: impl Iterator<Item = &'a Policy> + Clone) {
        self.check_forwarding(policies.clone());
        if let Err(error) = self.set(policies) {
            // Without these routes only hosts that have no route to the remote side miss something.
            tracing::warn!("cannot set the routes of last resort: {error}");
        }
    }

    fn set<'a>(&mut self, policies: impl Iterator<Item = &'a Policy>) -> io::Result<()> {
        let addresses = self.netlink.addresses()?;
        let wanted = routes(policies, &addresses, self.table, self.mtu);
        for route in self.routes.difference(&wanted) {
            self.netlink.delete_route(self.index, route)?;
        }
        for route in wanted.difference(&self.routes) {
            self.netlink.set_route(self.index, route)?;
        }
        self.routes = wanted;
        Ok(())
    }

    /// Says once for each family when a gateway is not set up to forward: its tunnels would carry nothing.
    fn check_forwarding<'a>(&mut self, policies: impl Iterator<Item = &'a Policy>) {
        let for_others = |policy: &Policy| match &policy.action {
            Action::Protect(protection) => {
                protection.mode == Mode::Tunnel
                    && policy.local.iter().all(|local| local.addresses().start() != local.addresses().end())
            }
            Action::Bypass | Action::Discard => false,
        };
        for local in policies.filter(|policy| for_others(policy)).flat_map(|policy| &policy.local) {
            let (name, warned) = match local.is_ipv4() {
                true => ("net.ipv4.ip_forward", &mut self.warned.0),
                false => ("net.ipv6.conf.all.forwarding", &mut self.warned.1),
            };
            let value = std::fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/")));
            if !*warned && value.is_ok_and(|value| value.trim() == "0") {
                tracing::warn!("this host forwards no packets for the networks behind it: `sysctl -w {name}=1`");
                *warned = true;
            }
        }
    }
}

/// Routes to the remote sides of protect policies. Where the host has no route of its own, the stack refuses a packet
/// before it can be captured; these let it pass. The source is an address of ours that the policy names.
fn routes<'a>(
    policies: impl Iterator<Item = &'a Policy>,
    addresses: &[IpAddr],
    table: u32,
    mtu: u32,
) -> BTreeSet<Route> {
    let mut routes: BTreeMap<(IpAddr, u8), Route> = BTreeMap::new();
    for policy in policies.filter(|policy| matches!(policy.action, Action::Protect(_))) {
        for remote in &policy.remote {
            let named = |address: &&IpAddr| {
                address.is_ipv4() == remote.is_ipv4()
                    && policy.local.iter().any(|local: &TrafficSelector| local.addresses().contains(*address))
            };
            let source = addresses.iter().filter(|address| is_routable(**address)).find(named).copied();
            let prefixes = remote.prefixes();
            if prefixes.len() > MAX_PREFIXES {
                continue;
            }
            for destination in prefixes {
                // The first policy of the SPD that has this destination gives the source.
                routes.entry(destination).or_insert(Route { table, destination, source, mtu: Some(mtu) });
            }
        }
    }
    routes.into_values().collect()
}

/// Whether packets to other links may have this source.
fn is_routable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ravelin_types::lifetime::Lifetime;
    use ravelin_types::options::SaOptions;
    use ravelin_types::pfp::Pfp;
    use ravelin_types::policy::{Domain, PolicyId, Protection, Ways};

    fn policy(id: u32, local: TrafficSelector, remote: TrafficSelector) -> Policy {
        let protection = Protection {
            mode: Mode::Tunnel,
            local: None,
            remote: "192.0.2.2".parse().unwrap(),
            pfp: Pfp::NONE,
            lifetime: Lifetime::default(),
            replay_window: 64,
            options: SaOptions::default(),
        };
        let action = Action::Protect(protection);
        Policy {
            id: PolicyId(id),
            name: String::new(),
            domain: Domain::default(),
            priority: 1,
            local: vec![local],
            remote: vec![remote],
            action,
            ways: Ways::default(),
        }
    }

    fn prefix(address: &str, length: u8) -> TrafficSelector {
        TrafficSelector::prefix(address.parse().unwrap(), length).unwrap()
    }

    #[test]
    fn routes_of_last_resort_lead_to_the_remote_side_from_an_address_of_ours() {
        let ours: Vec<IpAddr> = ["fd00::1", "192.0.2.1", "10.1.0.1", "10.1.0.2"].map(|a| a.parse().unwrap()).into();
        let policies = [
            policy(1, prefix("10.1.0.0", 24), prefix("10.2.0.0", 24)),
            policy(2, prefix("10.9.0.0", 24), prefix("10.2.0.0", 24)),
            policy(3, prefix("10.9.0.0", 24), prefix("10.3.0.0", 24)),
            policy(4, prefix("fd00::", 64), prefix("fd01::", 64)),
        ];
        let routes = super::routes(policies.iter(), &ours, 7, 1400);
        let found: Vec<(String, Option<String>)> = routes
            .iter()
            .map(|r| (format!("{}/{}", r.destination.0, r.destination.1), r.source.map(|s| s.to_string())))
            .collect();
        let expected = [("10.2.0.0/24", Some("10.1.0.1")), ("10.3.0.0/24", None), ("fd01::/64", Some("fd00::1"))];
        assert_eq!(found, expected.map(|(to, from)| (to.to_owned(), from.map(str::to_owned))));
        assert!(routes.iter().all(|route| route.table == 7 && route.mtu == Some(1400)));
    }

    #[test]
    fn routes_for_everything_lead_from_an_address_that_others_can_answer() {
        let ours: Vec<IpAddr> =
            ["127.0.0.1", "::1", "169.254.0.1", "fe80::1", "192.0.2.1", "fd00::1"].map(|a| a.parse().unwrap()).into();
        let policies =
            [policy(1, prefix("0.0.0.0", 0), prefix("0.0.0.0", 0)), policy(2, prefix("::", 0), prefix("::", 0))];
        let sources: Vec<Option<IpAddr>> =
            routes(policies.iter(), &ours, 7, 1400).iter().map(|route| route.source).collect();
        assert_eq!(sources, [Some(ours[4]), Some(ours[5])]);
    }

    #[test]
    fn policies_that_protect_nothing_and_ranges_of_many_prefixes_get_no_route() {
        let bypass = Policy { action: Action::Bypass, ..policy(1, prefix("10.0.0.0", 8), prefix("10.2.0.0", 24)) };
        let (first, last) = ("::1".parse().unwrap(), "ffff::".parse().unwrap());
        let wide = TrafficSelector::new(first..=last, 0, 0..=u16::MAX).unwrap();
        let policies = [bypass, policy(2, prefix("::", 0), wide)];
        assert!(routes(policies.iter(), &[], 7, 1400).is_empty());
    }
}
