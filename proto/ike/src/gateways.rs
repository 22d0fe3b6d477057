//! Where a remote is reached: the addresses of one host or of gateways that stand in for each other, in the order in which
//! they are tried (RFC 4301 §4.5.3).
//!
//! A negotiation begins with the first. When that does not answer, the next one has its turn, and the silent one is passed
//! over for [`limits::GATEWAY_SILENCE`]; after that it comes first again. In transport mode only the address that the policy
//! protects will do. A name has its turn as an address has, and is looked up then (`host_names.rs`): in its place come the addresses
//! to which it leads.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ravelin_types::policy::PolicyId;
use ravelin_types::{HostName, IkeSpi, Instant};

use crate::config::{IkeVersion, Remote};
use crate::context::Core;
use crate::error::{Disagreement, Error, Place, no_answer};
use crate::explain::{Failure, Part};
use crate::host_names::{self, HostNames, Waiting};
use crate::limits;
use crate::open::{Gateway, Reach};
use crate::output::Event;
#[cfg(feature = "ikev2")]
use crate::v2::feature::redirect;
use crate::want::Want;

/// Who did not answer, and when that was found.
#[derive(Debug, Default)]
pub(crate) struct Silent(BTreeMap<IpAddr, Instant>);

impl Silent {
    fn note(&mut self, address: IpAddr, now: Instant) {
        self.0.retain(|_, since| now.since(*since) < limits::GATEWAY_SILENCE);
        self.0.insert(address, now);
    }

    fn holds(&self, address: IpAddr, now: Instant) -> bool {
        self.0.get(&address).is_some_and(|since| now.since(*since) < limits::GATEWAY_SILENCE)
    }
}

impl Remote {
    /// The same with these in this order; `None`: there are none.
    fn through(self: &Arc<Self>, reach: impl IntoIterator<Item = Reach>) -> Option<Arc<Remote>> {
        let mut reach = reach.into_iter();
        let mut remote = Remote::clone(self);
        match reach.next()? {
            Reach::At(first) => {
                (remote.remote, remote.source) = (first.address, first.source);
                remote.open.alternates = reach.collect();
            }
            named => {
                let like = remote.local.unwrap_or(remote.remote);
                remote.remote = match like {
                    IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                    IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
                };
                remote.source = None;
                remote.open.alternates = core::iter::once(named).chain(reach).collect();
            }
        }
        Some(Arc::new(remote))
    }

    /// The same at this address alone, if it is one of them: an SA that is there, from `own`, stays with its gateway.
    #[cfg(feature = "ikev1")]
    pub(crate) fn staying_at(self: &Arc<Self>, address: IpAddr, own: IpAddr, hosts: &HostNames) -> Arc<Remote> {
        if self.open.alternates.is_empty() {
            return self.clone();
        }
        let here = |gateway: &Gateway| gateway.address == address;
        let known = self.reach().find_map(|reach| match reach {
            Reach::At(gateway) => Some(gateway).filter(here),
            Reach::Named(name) => hosts.at(&name).iter().copied().find(here),
        });
        // A name may lead elsewhere by now, and says nothing of the SA.
        let source = Some(own).filter(|own| !own.is_unspecified());
        let left = self.begins_with_a_name().then_some(Gateway { address, source });
        self.through(known.or(left).map(Reach::At)).unwrap_or_else(|| self.clone())
    }

    /// Whether this is the first address at which it is tried now, or one of the name that comes first.
    #[cfg(feature = "ikev2")]
    pub(crate) fn begins_at(&self, address: IpAddr, hosts: &HostNames) -> bool {
        match self.reach().next() {
            Some(Reach::At(gateway)) => gateway.address == address,
            Some(Reach::Named(name)) => hosts.at(&name).is_empty() || hosts.is_at(&name, address),
            None => true,
        }
    }

    /// Our address towards a peer of that address's family: the one that is configured, else one to which a name of ours leads.
    pub(crate) fn own_towards(&self, peer: IpAddr, hosts: &HostNames) -> Option<IpAddr> {
        let named = self.open.own_names.iter().flat_map(|name| hosts.at(name)).map(|gateway| gateway.address);
        self.local.or_else(|| named.into_iter().find(|own| own.is_ipv4() == peer.is_ipv4()))
    }
}

/// Begins an IKE SA with a remote, at the gateway whose turn it is, in the place of another if need be.
pub(crate) fn begin(remote: &Arc<Remote>, wants: Vec<Want>, replaces: Option<IkeSpi>, core: &mut Core) {
    if remote.open.alternates.is_empty() {
        let found = if remote.remote.is_unspecified() { found(remote, &wants, core) } else { None };
        return go(found.unwrap_or_else(|| remote.clone()), wants, replaces, core);
    }
    let order = order(remote.reach(), &wants, core);
    go(remote.through(order).unwrap_or_else(|| remote.clone()), wants, replaces, core);
}

/// A remote that stands for anybody, at the one to whom the packet is that asked.
fn found(remote: &Arc<Remote>, wants: &[Want], core: &Core) -> Option<Arc<Remote>> {
    let peer = wants.first().and_then(|want| want.peer(&*core.policy(want.policy)?))?;
    let is_host = !peer.is_multicast() && !peer.is_loopback() && peer != IpAddr::V4(Ipv4Addr::BROADCAST);
    (is_host && remote.takes_at(peer)).then(|| Arc::new(Remote { remote: peer, source: None, ..Remote::clone(remote) }))
}

/// Those that did not answer lately come last, and where only one address will do, the others are left out.
fn order(reach: impl Iterator<Item = Reach>, wants: &[Want], core: &Core) -> Vec<Reach> {
    let must = wants.first().and_then(|want| want.peer(&*core.policy(want.policy)?));
    let (silent, others): (Vec<_>, Vec<_>) =
        reach.partition(|reach| matches!(reach, Reach::At(gateway) if core.silent.holds(gateway.address, core.now)));
    let fits = |reach: &Reach| match reach {
        Reach::At(gateway) => must.is_none_or(|must| must == gateway.address),
        Reach::Named(_) => true,
    };
    others.into_iter().chain(silent).filter(fits).collect()
}

/// Tries the first of the gateways, once it is known where that is, and where we are.
fn go(remote: Arc<Remote>, wants: Vec<Want>, replaces: Option<IkeSpi>, core: &mut Core) {
    if let Some(Reach::Named(name)) = remote.open.alternates.first().filter(|_| remote.remote.is_unspecified()) {
        let name = name.clone();
        return host_names::wait(Waiting { name, remote, wants, replaces }, core);
    }
    if remote.local.is_some() || remote.open.own_names.is_empty() {
        return attempt(remote, wants, replaces, core);
    }
    if let Some(own) = remote.own_towards(remote.remote, &core.hosts) {
        let here = Remote { local: Some(own), ..Remote::clone(&remote) };
        return attempt(Arc::new(here), wants, replaces, core);
    }
    let unknown = |name: &&HostName| core.hosts.at(name).is_empty() && core.hosts.why_nowhere(name).is_none();
    match remote.open.own_names.iter().find(unknown).cloned() {
        Some(name) => host_names::wait(Waiting { name, remote, wants, replaces }, core),
        None => {
            let names = remote.open.own_names.clone();
            nowhere(&remote, &names, &wants, core);
        }
    }
}

/// A name was looked up for which a negotiation waited. It goes on with what is configured now, if that is still wanted.
pub(crate) fn looked_up(waiting: Waiting, core: &mut Core) {
    let Waiting { name, remote, wants, replaces } = waiting;
    if core.current(&remote).is_none_or(|current| !current.initiate) {
        return;
    }
    #[cfg(feature = "ikev2")]
    if let Some(from) = remote.extensions.redirect.from {
        return redirect::looked_up(Waiting { name, remote, wants, replaces }, from, core);
    }
    if !remote.begins_with_a_name() {
        return go(remote, wants, replaces, core);
    }
    let family = |gateway: &&Gateway| remote.local.is_none_or(|own| own.is_ipv4() == gateway.address.is_ipv4());
    let rest = remote.open.alternates.iter().skip(1).cloned();
    let is_there = |at: IpAddr| move |reach: &Reach| matches!(reach, Reach::At(other) if other.address == at);
    let other = |gateway: &Gateway| !remote.open.alternates.iter().any(is_there(gateway.address));
    let found = core.hosts.at(&name).iter().filter(family).copied().filter(other).map(Reach::At);
    let order = order(found.chain(rest), &wants, core);
    match remote.through(order) {
        Some(remote) => go(remote, wants, replaces, core),
        None => nowhere(&remote, &[name], &wants, core),
    }
}

/// Nothing begins, for these names lead nowhere.
fn nowhere(remote: &Remote, names: &[HostName], wants: &[Want], core: &mut Core) {
    let line = |name: &HostName| match (core.hosts.why_nowhere(name), core.hosts.at(name)) {
        (Some(why), []) => format!("{name}: {why}"),
        (_, at) => {
            let at: Vec<String> = at.iter().map(|gateway| gateway.address.to_string()).collect();
            format!("{name} is at {}, which does not fit the addresses of this host or of the policy", at.join(", "))
        }
    };
    let lines = names.iter().map(line).collect();
    let place = Place {
        remote: Some(remote.name.clone()),
        address: remote.remote,
        policy: wants.first().map(|want| want.policy),
        exchange: "IKE_SA_INIT",
    };
    core.failed(Error::NoAgreement(Disagreement::new(Part::Name, vec![], lines)).failure(place));
}

/// Nothing begins, for that is left to the peer.
pub(crate) fn accepts_only(remote: &Remote, policy: Option<PolicyId>) -> Failure {
    let place = Place { remote: Some(remote.name.clone()), address: remote.remote, policy, exchange: "IKE_SA_INIT" };
    let ours = vec![String::from("accept only")];
    Error::NoAgreement(Disagreement::new(Part::Role, vec![], ours)).failure(place)
}

/// The gateway of this attempt did not answer: the next one has its turn. `heard`: a failure was reported already.
pub(crate) fn silent(
    remote: &Arc<Remote>,
    (place, heard): (Place, bool),
    wants: Vec<Want>,
    replaces: Option<IkeSpi>,
    core: &mut Core,
) {
    core.silent.note(remote.remote, core.now);
    match (remote.through(remote.open.alternates.iter().cloned()), remote.open.alternates.first()) {
        (Some(next), Some(reach)) => {
            let (name, silent): (String, IpAddr) = (remote.name.clone(), remote.remote);
            core.event(Event::GatewaySilent { remote: name, silent, next: reach.clone() });
            go(next, wants, replaces, core);
        }
        _ if heard => {}
        _ => core.failed(no_answer(place)),
    }
}

/// The peer of an IKE SA that was there does not answer any more: what is wanted begins at another gateway, if there is one.
pub(crate) fn dead(remote: &Arc<Remote>, wants: Vec<Want>, core: &mut Core) {
    core.silent.note(remote.remote, core.now);
    let current = core.current(remote).unwrap_or_else(|| remote.clone());
    if !wants.is_empty() && current.initiate {
        begin(&current, wants, None, core);
    }
}

/// Phase 1 of the version that the remote is for.
fn attempt(remote: Arc<Remote>, wants: Vec<Want>, replaces: Option<IkeSpi>, core: &mut Core) {
    match remote.version {
        #[cfg(feature = "ikev1")]
        IkeVersion::V1(_) => crate::v1::exchange::begin(remote, wants, replaces, core),
        #[cfg(feature = "ikev2")]
        IkeVersion::V2 => crate::v2::phase::sa_init::begin(remote, wants, replaces, core),
        // A mistake in the configuration already.
        #[cfg(not(all(feature = "ikev1", feature = "ikev2")))]
        _ => {}
    }
}
