//! MOBIKE: an IKE SA and its tunnels go on when an address of either side changes.
//!
//! 1. Both sides say in IKE_AUTH that they can, and where else they can be reached.
//! 2. The side that began the first of the IKE SAs, the leader, decides on the pair of addresses and tells it with
//!    UPDATE_SA_ADDRESSES. The other takes the addresses that it sees in the IP header.
//! 3. A side whose set of addresses changes tells the other; so the leader learns where its peer went.
//!
//! The exchanges are in `exchange/mobike.rs`. Without NAT traversal on both sides MOBIKE is not agreed on, so nobody has
//! to forbid NATs, and ports never change (RFC 4555 §3.3). Transport mode is bound to its addresses: an IKE SA with such a
//! Child SA stays where it is.
//! Read RFC 4555 §3.2 to §3.9 before changing this file.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::ops::RangeInclusive;

use ravelin_types::policy::Mode;
use ravelin_types::selector::TrafficSelector;
use ravelin_wire::ike::v2::{Notify, NotifyType, Payload};

use crate::config::Remote;
use crate::context::Core;
use crate::ike_sa::Ends;
use crate::limits;
use crate::nat::NAT_PORT;
use crate::output::Event;
use crate::v2::exchange::{Task, What};
use crate::v2::message::Payloads;
use crate::v2::phase::established::{Established, Stage};

/// Of an IKE SA on which it was agreed.
#[derive(Clone, Debug)]
pub(crate) struct Mobike {
    /// Whether we began the first of the IKE SAs: a rekey does not change that (RFC 4555 §1.3).
    pub(crate) leads: bool,
    /// Where else the peer says that it can be reached.
    pub(crate) theirs: Vec<IpAddr>,
    /// What we said of ourselves.
    pub(crate) told: Vec<IpAddr>,
    /// How the peer saw us last, hashed (RFC 4555 §3.8).
    pub(crate) seen: Option<Vec<u8>>,
    /// How many of `theirs` were tried since the peer was last heard.
    tried: usize,
    /// We went to other addresses, and the peer was not heard since.
    pub(crate) moving: bool,
}

/// Whether we take part. Not where the peer's address is all that is known of it: it would take along what is for that
/// address (RFC 7619 §2.5).
fn may(remote: &Remote, nat_traversal: bool) -> bool {
    remote.extensions.mobike && nat_traversal && !remote.is_nobody()
}

/// `N(MOBIKE_SUPPORTED), N(ADDITIONAL_*_ADDRESS)+` of an IKE_AUTH message.
pub(crate) fn offer(remote: &Remote, nat_traversal: bool, ends: &Ends, core: &Core) -> Vec<Payload> {
    if !may(remote, nat_traversal) {
        return Vec::new();
    }
    let supported = Payload::Notify(Notify::new(NotifyType::MOBIKE_SUPPORTED, Vec::new()));
    core::iter::once(supported).chain(own(remote, ends, core).iter().map(additional)).collect()
}

/// What the peer's IKE_AUTH message makes of it.
pub(crate) fn agreed(
    remote: &Remote,
    nat_traversal: bool,
    payloads: &Payloads,
    ends: &Ends,
    core: &Core,
) -> Option<Mobike> {
    let agreed = may(remote, nat_traversal) && payloads.notify(NotifyType::MOBIKE_SUPPORTED).is_some();
    agreed.then(|| Mobike {
        leads: ends.initiator,
        theirs: told(payloads),
        told: own(remote, ends, core),
        seen: None,
        tried: 0,
        moving: false,
    })
}

/// Whether a remote lets us be at this address.
fn lets(remote: &Remote, own: IpAddr) -> bool {
    match remote.open.at.as_slice() {
        [] => remote.local.is_none_or(|local| local == own),
        ranges => ranges.iter().any(|range| range.contains(&own)),
    }
}

/// Where else we can be reached. Not inside the networks that we protect for the peer: its way there is the tunnel, so at such
/// an address it would lose us. What counts is what policies say and not what Child SAs have, which come and go. A
/// selector of everything names no network, and a policy that selects the outer address in use is for this host itself.
pub(crate) fn own(remote: &Remote, ends: &Ends, core: &Core) -> Vec<IpAddr> {
    let local = ends.local.ip();
    let inside = core.inside(ends, remote);
    let networks = core.policies_of(&remote.name).iter().map(|child| child.selectors(&inside).0);
    let networks = networks.filter(|selectors| selectors.iter().all(|ts| ts.addresses() != (local..=local)));
    let networks: Vec<_> = networks.flatten().map(|ts| ts.addresses()).filter(|network| !is_all(network)).collect();
    let is_outside = |own: &IpAddr| !networks.iter().any(|network| network.contains(own));
    let others = core.host.addresses.iter().filter(|own| **own != local && lets(remote, **own) && is_outside(own));
    others.copied().take(limits::ADDITIONAL_ADDRESSES).collect()
}

/// Whether these are all addresses of a family.
fn is_all(addresses: &RangeInclusive<IpAddr>) -> bool {
    [TrafficSelector::any_v4(), TrafficSelector::any_v6()].iter().any(|all| all.addresses() == *addresses)
}

/// `N(ADDITIONAL_*_ADDRESS)`.
pub(crate) fn additional(address: &IpAddr) -> Payload {
    Payload::Notify(match address {
        IpAddr::V4(v4) => Notify::new(NotifyType::ADDITIONAL_IP4_ADDRESS, v4.octets()),
        IpAddr::V6(v6) => Notify::new(NotifyType::ADDITIONAL_IP6_ADDRESS, v6.octets()),
    })
}

/// The addresses in a message, but for those that cannot be a host's.
pub(crate) fn told(payloads: &Payloads) -> Vec<IpAddr> {
    let address = |notify: &Notify| -> Option<IpAddr> {
        match notify.kind {
            NotifyType::ADDITIONAL_IP4_ADDRESS => Some(<[u8; 4]>::try_from(notify.data.as_slice()).ok()?.into()),
            NotifyType::ADDITIONAL_IP6_ADDRESS => Some(<[u8; 16]>::try_from(notify.data.as_slice()).ok()?.into()),
            _ => None,
        }
    };
    payloads.notifies().filter_map(address).filter(is_host).take(limits::ADDITIONAL_ADDRESSES).collect()
}

/// Whether a host can have the address, and be reached at it from elsewhere.
fn is_host(address: &IpAddr) -> bool {
    !(address.is_unspecified() || address.is_multicast() || address.is_loopback())
}

impl Established {
    /// Whether the peer may take us from one address to another.
    pub(crate) fn is_mobile(&self) -> bool {
        self.stage == Stage::Active && self.children.values().all(|child| child.terms.mode == Mode::Tunnel)
    }

    /// Whether a peer that says it is at `from` is taken at its word.
    pub(crate) fn may_be_at(&self, from: IpAddr, core: &Core) -> bool {
        let ranges = &self.remote.open.from;
        let known = ranges.is_empty() || ranges.iter().any(|range| range.contains(&from));
        known && is_host(&from) && self.is_mobile() && self.children.may_go_to(from, core)
    }

    /// The addresses of this host, or the ways to its peers, are others.
    pub(crate) fn host_changed(&mut self, ends: &mut Ends, core: &mut Core) {
        let Some(mobike) = self.mobike.as_ref().filter(|_| self.is_mobile()) else { return };
        if core.host.addresses.contains(&ends.local.ip()) {
            if own(&self.remote, ends, core) != mobike.told {
                self.add_task(Task::new(What::TellAddresses));
            }
            return;
        }
        let peers = core::iter::once(ends.peer.ip()).chain(mobike.theirs.iter().copied());
        let way = |peer| Some((*core.host.sources.get(&peer).filter(|own| lets(&self.remote, **own))?, peer));
        if let Some((own, peer)) = peers.clone().find_map(way) {
            self.go_to(own, peer, ends, core);
        }
    }

    /// The peer does not answer. True: there is another address of it, at which we ask now.
    pub(crate) fn try_elsewhere(&mut self, ends: &mut Ends, core: &mut Core) -> bool {
        let mobile = self.is_mobile();
        let Some(mobike) = self.mobike.as_mut().filter(|mobike| mobike.leads && mobile) else { return false };
        while let Some(peer) = mobike.theirs.get(mobike.tried).copied() {
            mobike.tried += 1;
            let same = Some(ends.local.ip()).filter(|own| own.is_ipv4() == peer.is_ipv4());
            let own = core.host.sources.get(&peer).copied().filter(|own| lets(&self.remote, *own)).or(same);
            if let Some(own) = own.filter(|_| peer != ends.peer.ip()) {
                self.go_to(own, peer, ends, core);
                return true;
            }
        }
        false
    }

    /// The peer was heard.
    pub(crate) fn found(&mut self) {
        if let Some(mobike) = &mut self.mobike {
            mobike.tried = 0;
            mobike.moving = false;
        }
    }

    /// Goes on between these addresses, and tells the peer.
    pub(crate) fn go_to(&mut self, own: IpAddr, peer: IpAddr, ends: &mut Ends, core: &mut Core) {
        let Some(mobike) = self.mobike.as_mut().filter(|_| self.children.may_go_to(peer, core)) else { return };
        mobike.moving = true;
        let (leads, same_peer) = (mobike.leads, peer == ends.peer.ip());
        if self.leaves_stream(ends) {
            // RFC 9329 §7.1: another network is asked in UDP first.
            (ends.local, ends.peer) = (SocketAddr::new(own, NAT_PORT), SocketAddr::new(peer, NAT_PORT));
            self.go_by_udp(ends);
            self.add_task_first(What::when_moved(leads));
            self.ask_again(ends, core);
            self.say_moved(ends, core);
            return;
        }
        if let Some(stream) = &mut ends.stream {
            // Of a connection both ends are fixed. Its other side waits for whoever opens it.
            if stream.is_ours {
                stream.is_lost = true;
                ends.local = SocketAddr::new(own, 0);
                ends.peer.set_ip(peer);
                core.open_stream(ends);
            }
            return;
        }
        ends.local.set_ip(own);
        if !same_peer {
            ends.peer = SocketAddr::new(peer, NAT_PORT);
        }
        // RFC 4555 §3.7: packets go to another address of the peer when it has answered there.
        if same_peer {
            self.children.follow(ends, core);
        }
        self.add_task_first(What::when_moved(leads));
        self.ask_again(ends, core);
        self.say_moved(ends, core);
    }

    /// Tells the operator where the IKE SA is now.
    pub(crate) fn say_moved(&self, ends: &Ends, core: &mut Core) {
        let (local, peer) = (ends.local, ends.peer);
        core.event(Event::IkeMoved { remote: self.remote.name.clone(), spis: ends.spis(), local, peer });
    }

    pub(crate) fn add_task_first(&mut self, what: What) {
        self.tasks.retain(|task| task.what != what);
        self.tasks.push_front(Task::new(what));
    }
}

impl What {
    /// What the peer hears when we moved: the leader decides, the other says where it is (RFC 4555 §3.5, §3.6).
    fn when_moved(leads: bool) -> Self {
        if leads { What::UpdateAddresses } else { What::TellAddresses }
    }
}
