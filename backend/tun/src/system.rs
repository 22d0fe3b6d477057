//! What this data plane sets up in the host's network, from the first rule to the last, and takes out again.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use ravelin_types::policy::{Action, Policy};
use ravelin_types::record::{Record, Store, SystemChange};
use ravelin_types::selector::TrafficSelector;

use crate::config::TunConfig;
use crate::error::Error;
use crate::netlink::{Netlink, Route, Rule, everywhere};
use crate::{filter, journal, nft};

/// The longest packet the device takes; what must not be fragmented is limited by its route instead.
const DEVICE_MTU: u32 = 65_535;

/// A range of addresses that splits into more prefixes than this gets no route of last resort.
const MAX_PREFIXES: usize = 64;

/// The changes in force. Dropping the value undoes them without a note in the store.
pub(crate) struct System {
    config: TunConfig,
    netlink: Netlink,
    /// Index of the device.
    index: u32,
    changes: Vec<SystemChange>,
    last_resort: BTreeSet<Route>,
}

impl System {
    /// Takes the device up and installs rules, routes and the packet filter without policies.
    pub(crate) fn install(config: &TunConfig, v6: bool, store: &mut dyn Store) -> Result<Self, Error> {
        let name = &config.device;
        let netlink = Netlink::open().map_err(|e| Error::system("talk to the kernel's routing", e))?;
        let index = netlink.index(name).map_err(|e| Error::system(format!("find the device {name}"), e))?;
        let changes = Vec::new();
        let mut system = System { config: config.clone(), netlink, index, changes, last_resort: BTreeSet::new() };

        system
            .netlink
            .configure_link(index, DEVICE_MTU, v6)
            .map_err(|e| Error::system(format!("configure the device {name}"), e))?;
        let families: &[bool] = if v6 { &[true, false] } else { &[true] };
        // The guards come before the capture, the routes before the rules that lead to them.
        system.note(store, SystemChange::FilterTable(config.filter_table.clone()))?;
        nft::run(&filter::create(config))?;
        for &v4 in families {
            for (table, mtu) in [(config.table, None), (config.table + 1, Some(u32::from(config.mtu)))] {
                let route = Route { table, destination: everywhere(v4), source: None, mtu };
                system
                    .netlink
                    .set_route(index, &route)
                    .map_err(|e| Error::system(format!("add the route through {name} in table {table}"), e))?;
            }
        }
        for rule in rules(config) {
            let Rule { priority, table, .. } = rule;
            system.note(store, SystemChange::RoutingRules { priority, table })?;
            for &v4 in families {
                system
                    .netlink
                    .add_rule(v4, rule)
                    .map_err(|e| Error::system(format!("add the routing rule {priority} to table {table}"), e))?;
            }
        }
        Ok(system)
    }

    /// Lets capture and guards follow these policies, given in the order of the SPD. On an error the ones before hold.
    pub(crate) fn follow<'a>(&mut self, policies: impl Iterator<Item = &'a Policy> + Clone) -> Result<(), Error> {
        let script = filter::policies(&self.config, policies.clone()).map_err(Error::Filter)?;
        nft::run(&script)?;
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
        if let Err(error) = self.remove(None) {
            tracing::error!("{error}");
        }
    }
}

fn rules(config: &TunConfig) -> [Rule; 3] {
    let TunConfig { table, capture_priority, .. } = *config;
    let limited = config.capture_mark | config.limit_mark;
    [
        Rule { priority: capture_priority, mark: limited, inverted: false, table: table + 1 },
        Rule { priority: capture_priority + 1, mark: config.capture_mark, inverted: false, table },
        // Our own packets never take the routes of last resort: an ESP packet would come back to us.
        Rule {
            priority: config.fallback_priority,
            mark: config.own_mark,
            inverted: true,
            table: config.fallback_table(),
        },
    ]
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
            let source = addresses.iter().find(named).copied();
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
