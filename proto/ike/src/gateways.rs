//! Where a remote is reached: the addresses of one host or of gateways that stand in for each other, in the order in which
//! they are tried (RFC 4301 §4.5.3).
//!
//! A negotiation begins with the first. When that does not answer, the next one has its turn, and the silent one is passed
//! over for [`limits::GATEWAY_SILENCE`]; after that it comes first again. In transport mode only the address that the policy
//! protects will do.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use ravelin_types::{IkeSpi, Instant};

use crate::config::{IkeVersion, Remote};
use crate::context::Core;
use crate::error::{Place, no_answer};
use crate::limits;
use crate::open::Gateway;
use crate::output::Event;
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
    fn through(self: &Arc<Self>, gateways: impl IntoIterator<Item = Gateway>) -> Option<Arc<Remote>> {
        let mut gateways = gateways.into_iter();
        let first = gateways.next()?;
        let mut remote = Remote::clone(self);
        (remote.remote, remote.source) = (first.address, first.source);
        remote.open.alternates = gateways.collect();
        Some(Arc::new(remote))
    }

    /// The same at this address alone, if it is one of them: an SA that is there stays with its gateway.
    pub(crate) fn staying_at(self: &Arc<Self>, address: IpAddr) -> Arc<Remote> {
        if self.open.alternates.is_empty() {
            return self.clone();
        }
        self.through(self.gateways().filter(|gateway| gateway.address == address)).unwrap_or_else(|| self.clone())
    }
}

/// Begins an IKE SA with a remote, at the gateway whose turn it is, in the place of another if need be.
pub(crate) fn begin(remote: &Arc<Remote>, wants: Vec<Want>, replaces: Option<IkeSpi>, core: &mut Core) {
    if remote.open.alternates.is_empty() {
        return attempt(remote.clone(), wants, replaces, core);
    }
    let must = wants.first().and_then(|want| want.peer(&*core.policy(want.policy)?));
    let (silent, others): (Vec<_>, Vec<_>) =
        remote.gateways().partition(|gateway| core.silent.holds(gateway.address, core.now));
    let order = others.into_iter().chain(silent).filter(|gateway| must.is_none_or(|must| must == gateway.address));
    attempt(remote.through(order).unwrap_or_else(|| remote.clone()), wants, replaces, core);
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
    match remote.through(remote.open.alternates.iter().copied()) {
        Some(next) => {
            let (name, silent): (String, IpAddr) = (remote.name.clone(), remote.remote);
            core.event(Event::GatewaySilent { remote: name, silent, next: next.remote });
            attempt(next, wants, replaces, core);
        }
        None if heard => {}
        None => core.failed(no_answer(place)),
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
