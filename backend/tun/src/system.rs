//! What this data plane sets up in the host's network, from the first rule to the last, and takes out again.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use ravelin_types::policy::{Action, Mode, Policy};
use ravelin_types::record::{Record, Store, SystemChange};
use ravelin_types::selector::TrafficSelector;

use crate::config::TunConfig;
use crate::error::Error;
use crate::netlink::{Netlink, Route, Rule, everywhere};
use crate::{filter, journal, nft};

/// The longest packet the device takes; what must not be fragmented is limited by its route instead.
const DEVICE_MTU: u32 = 65_535;

/// Packets and super-packets that wait in the device; further ones are dropped, and TCP slows down. What a fast sender
/// of small datagrams sends in the time for which the scheduler may let us wait.
const DEVICE_QUEUE: u32 = 2_000;

/// A range of addresses that splits into more prefixes than this gets no route of last resort.
const MAX_PREFIXES: usize = 64;

/// The changes in force. Dropping the value undoes them without a note in the store, except in a panic.
pub(crate) struct System {
    pub(crate) config: TunConfig,
    netlink: Netlink,
    /// Index of the first device.
    index: u32,
    changes: Vec<SystemChange>,
    last_resort: BTreeSet<Route>,
    /// IPv4 and IPv6: the operator knows that this host does not forward.
    warned: (bool, bool),
}

impl System {
    /// Takes the device up and installs rules, routes and the packet filter without policies.
    pub(crate) fn install(config: &TunConfig, v6: bool, store: &mut dyn Store) -> Result<Self, Error> {
        let mut netlink = Netlink::open().map_err(|e| Error::system("talk to the kernel's routing", e))?;
        let mut indexes = Vec::new();
        for name in (0..config.workers).map(|worker| config.device_of(worker)) {
            let index = netlink.index(&name).map_err(|e| Error::system(format!("find the device {name}"), e))?;
            netlink
                .configure_link(index, DEVICE_MTU, DEVICE_QUEUE, v6)
                .map_err(|e| Error::system(format!("configure the device {name}"), e))?;
            indexes.push(index);
        }
        let index = indexes[0];
        let changes = Vec::new();
        let last_resort = BTreeSet::new();
        let mut system =
            System { config: config.clone(), netlink, index, changes, last_resort, warned: (false, false) };

        let table = &config.filter_table;
        if nft::exists(table)? {
            return Err(Error::Config(format!(
                "the packet filter has a table inet {table} already: another ravelin daemon runs in this network \
                 namespace, or one left it and its journal is lost; then remove it with `nft delete table inet {table}`"
            )));
        }
        // The guards come before the capture, the routes before the rules that lead to them.
        system.note(store, SystemChange::FilterTable(table.clone()))?;
        system.make_filter()?;
        system.default_routes(&indexes, true)?;
        let mut families = vec![true];
        match v6.then(|| system.default_routes(&indexes, false)) {
            Some(Ok(())) => families.push(false),
            // The kernel's answer for a device on which IPv6 is switched off.
            Some(Err(Error::System { source, .. })) if source.kind() == io::ErrorKind::PermissionDenied => {
                tracing::warn!(
                    "IPv6 is switched off on new devices (net.ipv6.conf.default.disable_ipv6): only IPv4 is protected"
                );
            }
            Some(other) => other?,
            None => {}
        }
        for rule in rules(config) {
            let Rule { priority, table, .. } = rule;
            system.note(store, SystemChange::RoutingRules { priority, table })?;
            for &v4 in &families {
                system
                    .netlink
                    .add_rule(v4, rule)
                    .map_err(|e| Error::system(format!("add the routing rule {priority} to table {table}"), e))?;
            }
        }
        Ok(system)
    }

    /// Takes a virtual interface up.
    pub(crate) fn take_up(&mut self, name: &str, v6: bool) -> Result<(), Error> {
        let index = self.netlink.index(name).map_err(|e| Error::system(format!("find the device {name}"), e))?;
        let mtu = u32::from(self.config.mtu);
        let done = self.netlink.configure_link(index, mtu, DEVICE_QUEUE, v6);
        done.map_err(|e| Error::system(format!("configure the device {name}"), e))
    }

    /// Routes everything in the capture tables of each worker to its device.
    fn default_routes(&mut self, indexes: &[u32], v4: bool) -> Result<(), Error> {
        for (worker, index) in indexes.iter().enumerate() {
            let (whole, limited) = self.config.tables(worker);
            for (table, mtu) in [(whole, None), (limited, Some(u32::from(self.config.mtu)))] {
                let route = Route { table, destination: everywhere(v4), source: None, mtu };
                self.netlink.set_route(*index, &route).map_err(|e| {
                    let device = self.config.device_of(worker);
                    Error::system(format!("add the route through {device} in table {table}"), e)
                })?;
            }
        }
        Ok(())
    }

    /// Makes the filter table again when it is gone, still without policies. Says whether it was gone.
    pub(crate) fn restore_filter(&mut self) -> Result<bool, Error> {
        if nft::exists(&self.config.filter_table)? {
            return Ok(false);
        }
        self.make_filter().map(|()| true)
    }

    fn make_filter(&self) -> Result<(), Error> {
        nft::run(&filter::create(&self.config))?;
        if let Err(error) = nft::run(&filter::streams(&self.config)) {
            tracing::warn!(
                "IKE in TCP is not told from clear packets where a policy is about the peer itself: {error}"
            );
        }
        Ok(())
    }

    /// Lets capture and guards follow these policies, given in the order of the SPD, and these virtual interfaces. On an
    /// error the ones before hold.
    pub(crate) fn follow<'a>(
        &mut self,
        policies: impl Iterator<Item = &'a Policy> + Clone,
        interfaces: &[String],
    ) -> Result<(), Error> {
        let script = filter::policies(&self.config, policies.clone(), interfaces).map_err(Error::Filter)?;
        nft::run(&script)?;
        self.check_forwarding(policies.clone());
        if let Err(error) = self.follow_routes(policies) {
            // Without these routes only hosts that have no route to the remote side miss something.
            tracing::warn!("cannot set the routes of last resort: {error}");
        }
        Ok(())
    }

    fn follow_routes<'a>(&mut self, policies: impl Iterator<Item = &'a Policy>) -> io::Result<()> {
        let addresses = self.netlink.addresses()?;
        let wanted = last_resort(policies, &addresses, self.config.fallback_table(), u32::from(self.config.mtu));
        for route in self.last_resort.difference(&wanted) {
            self.netlink.delete_route(self.index, route)?;
        }
        for route in wanted.difference(&self.last_resort) {
            self.netlink.set_route(self.index, route)?;
        }
        self.last_resort = wanted;
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

    /// Packets counted by the filter: what, and how many.
    pub(crate) fn counters(&self) -> Result<Vec<(&'static str, u64)>, Error> {
        let values = nft::counters(&self.config.filter_table)?;
        Ok(filter::COUNTERS.iter().zip(values).map(|((_, text), value)| (*text, value)).collect())
    }

    /// Undoes every change, and notes it where there is a store. The first failure is returned, the others are undone
    /// nevertheless.
    pub(crate) fn remove(&mut self, mut store: Option<&mut dyn Store>) -> Result<(), Error> {
        let mut result = Ok(());
        for change in self.changes.drain(..).rev() {
            let undone = journal::undo(&change).and_then(|_| match &mut store {
                Some(store) => store.append(&Record::Undone(change)).map_err(Error::Store),
                None => Ok(()),
            });
            result = result.and(undone);
        }
        result
    }

    fn note(&mut self, store: &mut dyn Store, change: SystemChange) -> Result<(), Error> {
        store.append(&Record::Changing(change.clone()))?;
        self.changes.push(change);
        Ok(())
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // A crash must not open what the policies close. As after a kill, the next start undoes it.
        if std::thread::panicking() {
            tracing::error!("the guards stay: what a policy protects is dropped until the next start of the daemon");
            return;
        }
        if let Err(error) = self.remove(None) {
            tracing::error!("{error}");
        }
    }
}

fn rules(config: &TunConfig) -> Vec<Rule> {
    let priority = config.capture_priority;
    let of_worker = |worker| {
        let ((capture, limited, bits), (whole_table, limited_table)) = (config.marks(worker), config.tables(worker));
        [
            Rule { priority, mark: limited, mask: limited | bits, inverted: false, table: limited_table },
            Rule { priority: priority + 1, mark: capture, mask: capture | bits, inverted: false, table: whole_table },
        ]
    };
    let mut rules: Vec<Rule> = (0..config.workers).flat_map(of_worker).collect();
    // Our own packets never take the routes of last resort: an ESP packet would come back to us.
    let (mark, table) = (config.own_mark, config.fallback_table());
    rules.push(Rule { priority: config.fallback_priority, mark, mask: mark, inverted: true, table });
    rules
}

/// Routes to the remote sides of protect policies. Where the host has no route of its own, the stack refuses a packet
/// before it can be captured; these let it pass. The source is an address of ours that the policy names.
fn last_resort<'a>(
    policies: impl Iterator<Item = &'a Policy>,
    addresses: &[IpAddr],
    table: u32,
    mtu: u32,
) -> BTreeSet<Route> {
    let mut routes: BTreeSet<Route> = BTreeSet::new();
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
                if !routes.iter().any(|route| route.destination == destination) {
                    routes.insert(Route { table, destination, source, mtu: Some(mtu) });
                }
            }
        }
    }
    routes
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
        let routes = last_resort(policies.iter(), &ours, 7, 1400);
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
            last_resort(policies.iter(), &ours, 7, 1400).iter().map(|route| route.source).collect();
        assert_eq!(sources, [Some(ours[4]), Some(ours[5])]);
    }

    #[test]
    fn policies_that_protect_nothing_and_ranges_of_many_prefixes_get_no_route() {
        let bypass = Policy { action: Action::Bypass, ..policy(1, prefix("10.0.0.0", 8), prefix("10.2.0.0", 24)) };
        let (first, last) = ("::1".parse().unwrap(), "ffff::".parse().unwrap());
        let wide = TrafficSelector::new(first..=last, 0, 0..=u16::MAX).unwrap();
        let policies = [bypass, policy(2, prefix("::", 0), wide)];
        assert!(last_resort(policies.iter(), &[], 7, 1400).is_empty());
    }

    #[test]
    fn our_own_packets_take_no_route_of_last_resort() {
        let config = TunConfig::default();
        let rules = rules(&config);
        let fallback = rules.iter().find(|rule| rule.table == config.fallback_table()).unwrap();
        assert!(fallback.inverted && fallback.mark == config.own_mark);
        // What may not be fragmented is looked at first, since it carries both marks.
        assert!(rules[0].priority < rules[1].priority && rules[0].mark & rules[1].mark == rules[1].mark);
    }
}
