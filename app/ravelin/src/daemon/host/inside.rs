//! Internal addresses that peers gave to this host: the core says what there shall be, [`Host`] puts it into the system.

use std::net::IpAddr;

use ravelin_ike::Event;
use ravelin_ike::address::Grant;
use ravelin_ike::view::IkeSaView;
use ravelin_rtnetlink::{Inside, InsideConfig, InsideRoute, Keeper};
use ravelin_store::FileStore;
use ravelin_types::selector::TrafficSelector;

use super::resolver::{Names, Resolver};
use crate::daemon::core::Core;
use crate::daemon::plane::Plane;

/// The grants in force.
#[derive(Debug, Default)]
pub(in crate::daemon) struct Grants {
    all: Vec<(String, Grant)>,
    changed: bool,
}

impl Grants {
    /// Whether a peer gave us this address.
    pub(in crate::daemon) fn hold(&self, address: IpAddr) -> bool {
        self.all.iter().any(|(_, grant)| grant.addresses.contains(&address))
    }

    /// What a remote says about names, which has these IKE SAs among others.
    pub(in crate::daemon) fn names_of(&self, remote: &str, sas: &[IkeSaView]) -> Names {
        let mut names = Names::default();
        let all_traffic = has_all_traffic(remote, sas);
        self.all.iter().filter(|(name, _)| name == remote).for_each(|(_, grant)| names.add(grant, all_traffic));
        names
    }
}

/// Whether all traffic of a family goes to this remote.
fn has_all_traffic(remote: &str, sas: &[IkeSaView]) -> bool {
    let children = sas.iter().filter(|view| view.remote == remote).flat_map(|view| &view.children);
    children
        .flat_map(|child| &child.remote_ts)
        .any(|ts| [TrafficSelector::any_v4(), TrafficSelector::any_v6()].contains(ts))
}

/// What there shall be in the system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Addresses and routes.
    pub inside: Inside,
    /// What peers say about names.
    pub names: Names,
}

impl<P: Plane> Core<P> {
    /// Addresses come and go with grants, routes with the SAs that carry their traffic.
    pub(in crate::daemon) fn note_inside(&mut self, event: &Event) {
        let grants = &mut self.grants;
        match event {
            Event::Granted { remote, grant } => grants.all.push((remote.clone(), grant.clone())),
            Event::GrantEnded { remote, grant } => {
                if let Some(at) = grants.all.iter().position(|(name, known)| (name, known) == (remote, grant)) {
                    grants.all.remove(at);
                }
            }
            Event::ChildUp { .. } | Event::ChildRekeyed { .. } | Event::ChildDown { .. } if !grants.all.is_empty() => {}
            _ => return,
        }
        grants.changed = true;
    }

    /// What there shall be in the system now, if that may be something else than before.
    pub fn inside(&mut self) -> Option<Wanted> {
        if !std::mem::take(&mut self.grants.changed) {
            return None;
        }
        let mut wanted = Wanted::default();
        let sas = self.endpoint.ike_sas();
        for (remote, grant) in &self.grants.all {
            wanted.inside.addresses.extend(&grant.addresses);
            wanted.names.add(grant, has_all_traffic(remote, &sas));
        }
        for view in sas.iter().filter(|view| !view.inside.0.is_empty()) {
            for child in &view.children {
                let ours =
                    |address: &&IpAddr| child.local_ts.iter().any(|ts| ts.matches(**address, ts.protocol(), None));
                for source in view.inside.0.iter().filter(ours) {
                    let there = child.remote_ts.iter().filter(|ts| ts.is_ipv4() == source.is_ipv4());
                    let routes = there.flat_map(|ts| ts.prefixes());
                    let route = |destination| InsideRoute { destination, source: *source, peer: view.peer.ip() };
                    wanted.inside.routes.extend(routes.map(route));
                }
            }
        }
        Some(wanted)
    }
}

/// The system's side of it.
pub struct Host {
    keeper: Keeper,
    resolver: Option<Resolver>,
    /// The journal of changes.
    pub store: FileStore,
}

impl Host {
    /// Nothing is there yet; what a killed daemon left is undone.
    ///
    /// # Errors
    /// When that cannot be; the journal is given back.
    pub fn start(
        config: InsideConfig,
        resolver: Option<Resolver>,
        mut store: FileStore,
    ) -> Result<Self, (anyhow::Error, FileStore)> {
        match ravelin_rtnetlink::undo_leftovers(&mut store) {
            Ok(undone) => undone.iter().for_each(|undone| {
                tracing::warn!("a daemon before this one was killed; undone: {undone}");
            }),
            Err(error) => return Err((error.into(), store)),
        }
        let mut host = Host { keeper: Keeper::new(config), resolver, store };
        host.names(&Names::default());
        Ok(host)
    }

    /// Makes it so; what fails is logged.
    pub fn set(&mut self, wanted: &Wanted) {
        for failed in self.keeper.set(&wanted.inside, &mut self.store) {
            tracing::warn!("{failed}");
        }
        self.names(&wanted.names);
    }

    fn names(&mut self, names: &Names) {
        let Some(resolver) = &mut self.resolver else { return };
        if let Err(why) = resolver.set(self.keeper.device(), names) {
            tracing::warn!("the DNS servers of peers are not used: {why}");
        }
    }
}
