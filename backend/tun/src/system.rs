//! What this data plane sets up in the host's network, from the first rule to the last, and takes out again.

use std::io;

use ravelin_types::record::{Record, Store, SystemChange};

use crate::config::TunConfig;
use crate::error::Error;
use crate::netlink::{Netlink, Route, Rule, everywhere};
use crate::{capture, filter, journal, nft};

/// The longest packet the device takes; what must not be fragmented is limited by its route instead.
const DEVICE_MTU: u32 = 65_535;

/// Packets and super-packets that wait in the device; further ones are dropped, and TCP slows down. What a fast sender
/// of small datagrams sends in the time for which the scheduler may let us wait.
const DEVICE_QUEUE: u32 = 2_000;

/// The changes in force. Dropping the value undoes them without a note in the store, except in a panic.
pub(crate) struct System {
    pub(crate) config: TunConfig,
    netlink: Netlink,
    changes: Vec<SystemChange>,
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
        let mut system = System { config: config.clone(), netlink, changes: Vec::new() };

        let table = &config.filter_table;
        if nft::exists(table)? {
            return Err(Error::Config(format!(
                "the packet filter has a table inet {table} already: another ravelin daemon runs in this network \
                 namespace, or one left it and its journal is lost; then remove it with `nft delete table inet {table}`"
            )));
        }
        // The guards come before the capture, the routes before the rules that lead to them.
        system.note(store, SystemChange::FilterTable(table.clone()))?;
        capture::make(config, "")?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
