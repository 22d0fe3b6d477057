//! Which IKE SA has which internal addresses.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use ravelin_types::selector::{Side, TrafficSelector};
use ravelin_types::{Identity, IkeSpi};

use super::link::{Link, LinkWish, Prefix, link_local};
use super::pool::{Attribute, Pool, PoolView, Pools, Who};
use super::{Grant, Wishes, names};
use crate::config::{Internal, Remote};
use crate::context::Core;
use crate::ike_sa::Ends;
use crate::output::Event;
use crate::remotes::Remotes;

/// What the IKE SAs have, by our SPI.
#[derive(Default)]
pub(crate) struct Addresses {
    pools: Pools,
    held: BTreeMap<IkeSpi, Held>,
    /// The links that we have, or had, by remote.
    wishes: BTreeMap<String, LinkWish>,
}

#[derive(Default)]
struct Held {
    /// What the peer gave us.
    borrowed: Option<Grant>,
    /// What we gave to the peer.
    lent: Vec<Lent>,
    /// The link that is for, and whose it is.
    link: Option<(Link, Identity)>,
}

struct Lent {
    pool: String,
    address: IpAddr,
    /// The prefix that begins with the address, where it is one.
    prefix: Option<Prefix>,
}

/// The addresses that dynamic selectors stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inside {
    pub(crate) ours: Side,
    pub(crate) theirs: Side,
    /// The peer proves nothing of who it is, so `theirs` is all that it can have.
    pub(crate) nobody: bool,
}

impl Addresses {
    /// Takes other pools.
    pub(crate) fn configure(&mut self, pools: &[Pool]) {
        self.pools.configure(pools);
    }

    /// Forgets the links with remotes that are there no more.
    pub(crate) fn forget_links(&mut self, remotes: &Remotes) {
        self.wishes.retain(|name, _| !remotes.named(name).is_empty());
    }

    /// Another IKE SA has taken over.
    pub(crate) fn pass_on(&mut self, old: IkeSpi, new: IkeSpi) {
        if let Some(held) = self.held.remove(&old) {
            self.held.insert(new, held);
        }
    }

    /// Ours and the peer's addresses inside an IKE SA.
    pub(crate) fn of(&self, owner: IkeSpi) -> (Vec<IpAddr>, Vec<IpAddr>) {
        let Some(held) = self.held.get(&owner) else { return Default::default() };
        let ours = held.borrowed.iter().flat_map(|grant| grant.addresses.iter().copied());
        let theirs = held.lent.iter().filter(|lent| lent.prefix.is_none());
        (ours.collect(), theirs.map(|lent| lent.address).collect())
    }

    /// Ours and the peer's prefixes inside an IKE SA.
    pub(crate) fn prefixes(&self, owner: IkeSpi) -> (Vec<Prefix>, Vec<Prefix>) {
        let Some(held) = self.held.get(&owner) else { return Default::default() };
        let ours = held.borrowed.iter().flat_map(|grant| grant.prefixes.iter().copied());
        (ours.collect(), held.lent.iter().filter_map(|lent| lent.prefix).collect())
    }

    /// The virtual link of an IKE SA.
    pub(crate) fn link(&self, owner: IkeSpi) -> Option<&Link> {
        let held = self.held.get(&owner)?;
        held.borrowed.as_ref().and_then(|grant| grant.link.as_ref()).or(held.link.as_ref().map(|(link, _)| link))
    }

    /// Under which interface ID we asked the remote for a link.
    pub(crate) fn interface(&self, remote: &str) -> Option<u64> {
        self.wishes.get(remote).map(|wish| wish.interface)
    }

    /// What the pools have to tell a peer with addresses of theirs, beside the addresses.
    pub(crate) fn attributes(&self, owner: IkeSpi) -> Vec<Attribute> {
        let mut attributes: Vec<Attribute> = Vec::new();
        for lent in self.held.get(&owner).iter().flat_map(|held| &held.lent) {
            names::join(&mut attributes, self.pools.attributes(&lent.pool));
        }
        attributes
    }

    /// Whether one of these pools has addresses of this family.
    pub(crate) fn has_family(&self, pools: &[String], v4: bool) -> bool {
        pools.iter().any(|pool| self.pools.has_family(pool, v4))
    }

    /// For listings.
    pub(crate) fn pools(&self) -> Vec<PoolView> {
        self.pools.view()
    }
}

impl Core {
    /// Gives a peer that has proven its identity what it wishes, as far as the pools of its remote have it. Where a server
    /// elsewhere has `chosen` an address, it is that one or none, of the range or not, and the first pool of its family tells
    /// the rest. Without an address in the grant, there was none.
    pub(crate) fn lend(
        &mut self,
        ends: &Ends,
        remote: &Remote,
        (identity, chosen): (&Identity, &[IpAddr]),
        wishes: &Wishes,
    ) -> Grant {
        let owner = ends.our_spi();
        let who = Who { identity, remote: &remote.name };
        let has_prefixes = |pool: &String| self.addresses.pools.prefix(pool).is_some();
        let link = wishes.link.as_ref().filter(|_| remote.internal.pools.iter().any(has_prefixes));
        if let Some(wish) = link {
            self.lend_link(owner, remote, identity, wish);
        }
        // RFC 5739 §4.1: who gets prefixes gets no IPv6 address.
        for (v4, like) in wishes.addresses.iter().filter(|(v4, _)| *v4 || link.is_none()) {
            let Addresses { pools, held, .. } = &mut self.addresses;
            let fits = |pool: &&String| pools.has_family(pool, *v4) && pools.prefix(pool).is_none();
            let fitting: Vec<&String> = remote.internal.pools.iter().filter(fits).collect();
            let leased = match chosen.iter().find(|chosen| chosen.is_ipv4() == *v4) {
                Some(chosen) => {
                    fitting.first().filter(|pool| pools.assign(pool, who, *chosen)).map(|it| (*it, *chosen))
                }
                None => fitting.into_iter().find_map(|pool| Some((pool, pools.lease(pool, who, *like)?))),
            };
            if let Some((pool, address)) = leased {
                held.entry(owner).or_default().lent.push(Lent { pool: pool.clone(), address, prefix: None });
            }
        }
        let (_, addresses) = self.addresses.of(owner);
        let (_, prefixes) = self.addresses.prefixes(owner);
        let mut attributes = self.addresses.attributes(owner);
        wishes.answered(&mut attributes);
        Grant { addresses, prefixes, link: self.addresses.link(owner).cloned(), attributes }
    }

    /// Gives a peer a prefix of each pool that has such, on the link that it had or on another (RFC 5739 §4.1, RFC 5739 §4.2).
    fn lend_link(&mut self, owner: IkeSpi, remote: &Remote, identity: &Identity, wish: &LinkWish) {
        // It may have any interface ID but the one of all routers.
        if wish.interface == 0 {
            return;
        }
        // Nobody is the same as another nobody.
        let his = |held: &&Held| {
            let same = |(link, whose): &(Link, Identity)| {
                link.id == wish.id && whose.is(identity) && *identity != Identity::Null && link.own != wish.interface
            };
            held.link.as_ref().is_some_and(same)
        };
        let before = self.addresses.held.values().find(his);
        let had: Vec<IpAddr> = before.iter().flat_map(|held| held.lent.iter().map(|lent| lent.address)).collect();
        let before = before.and_then(|held| held.link.as_ref()).map(|(link, _)| (link.own, link.id.clone()));
        let (own, id) = before.unwrap_or_else(|| {
            let [own, id] = [self.interface_id(), self.interface_id()];
            (if own == wish.interface { own ^ 1 } else { own }, id.to_be_bytes().into())
        });
        let Addresses { pools, held, .. } = &mut self.addresses;
        let who = Who { identity, remote: &remote.name };
        let mut lent = Vec::new();
        for pool in &remote.internal.pools {
            let Some(length) = pools.prefix(pool) else { continue };
            let like = had.iter().copied().find(|address| pools.is_of(pool, *address));
            let Some(IpAddr::V6(first)) = pools.lease(pool, who, like) else { continue };
            lent.push(Lent { pool: pool.clone(), address: first.into(), prefix: Prefix::of(first, length) });
        }
        if !lent.is_empty() {
            let mine = held.entry(owner).or_default();
            mine.lent.extend(lent);
            mine.link = Some((Link { own, peer: wish.interface, id }, identity.clone()));
        }
    }

    /// A number that is neither zero nor one, so that its neighbour is not zero either.
    fn interface_id(&mut self) -> u64 {
        self.ike_spi().0 | 2
    }

    /// What we say of the link that we want of a remote: the one that we had, or had asked for.
    pub(crate) fn link_wish(&mut self, remote: &str) -> LinkWish {
        if let Some(known) = self.addresses.wishes.get(remote) {
            return known.clone();
        }
        let wish = LinkWish { interface: self.interface_id(), id: Vec::new() };
        self.addresses.wishes.insert(remote.into(), wish.clone());
        wish
    }

    /// Takes what the peer gives us.
    pub(crate) fn borrow(&mut self, ends: &Ends, remote: &Remote, grant: Grant) {
        if let (Some(link), Some(wish)) = (&grant.link, self.addresses.wishes.get_mut(&remote.name)) {
            wish.id.clone_from(&link.id);
        }
        self.event(Event::Granted { remote: remote.name.clone(), grant: grant.clone() });
        self.addresses.held.entry(ends.our_spi()).or_default().borrowed = Some(grant);
    }

    /// Gives back what an IKE SA held.
    pub(crate) fn give_back(&mut self, ends: &Ends, remote: &str) {
        let Some(Held { borrowed, lent, .. }) = self.addresses.held.remove(&ends.our_spi()) else { return };
        for Lent { pool, address, .. } in lent {
            self.addresses.pools.release(&pool, address);
        }
        if let Some(grant) = borrowed {
            self.event(Event::GrantEnded { remote: remote.into(), grant });
        }
    }

    /// What dynamic selectors of an IKE SA stand for. Nothing on our side while the peer gave no address and we need one.
    pub(crate) fn inside(&self, ends: &Ends, remote: &Remote) -> Inside {
        let owner = ends.our_spi();
        let (addresses, prefixes) = (self.addresses.of(owner), self.addresses.prefixes(owner));
        let link = self.addresses.link(owner);
        let ours = selectors(&addresses.0, &prefixes.0, link.map(|link| link.own));
        let theirs = selectors(&addresses.1, &prefixes.1, link.map(|link| link.peer));
        Inside {
            ours: if ours.is_empty() && !remote.internal.asks() { host(ends.local) } else { ours },
            theirs: if theirs.is_empty() { host(ends.peer) } else { theirs },
            nobody: remote.is_nobody(),
        }
    }

    /// The same for what has nothing to do with internal addresses.
    pub(crate) fn outside(&self, ends: &Ends, remote: &Remote) -> Inside {
        Inside { ours: host(ends.local), theirs: host(ends.peer), nobody: remote.is_nobody() }
    }
}

/// One end by itself.
fn host(end: SocketAddr) -> Side {
    Side::from([TrafficSelector::host(end.ip())])
}

/// The link-local address, the prefixes and the addresses in none of them (RFC 5739 §4.1).
fn selectors(addresses: &[IpAddr], prefixes: &[Prefix], interface: Option<u64>) -> Side {
    let within = |address: &IpAddr| match address {
        IpAddr::V6(address) => prefixes.iter().any(|prefix| prefix.contains(*address)),
        IpAddr::V4(_) => false,
    };
    let own = interface.filter(|_| !prefixes.is_empty()).map(link_local);
    let hosts = addresses.iter().filter(|address| !within(address)).map(|address| TrafficSelector::host(*address));
    own.into_iter().chain(prefixes.iter().map(|prefix| prefix.selector())).chain(hosts).collect()
}

impl Inside {
    /// The same while we ask for our addresses: any of their families (RFC 7296 §2.19).
    pub(crate) fn while_asking(self, remote: &Remote) -> Inside {
        let Internal { ask, prefixes, .. } = &remote.internal;
        let of = |v4: bool| ask.iter().any(|address| address.is_ipv4() == v4) || !v4 && *prefixes;
        let any = [(true, TrafficSelector::any_v4()), (false, TrafficSelector::any_v6())];
        let ours: Side = any.into_iter().filter(|(v4, _)| of(*v4)).map(|(_, all)| all).collect();
        if ours.is_empty() { self } else { Inside { ours, ..self } }
    }
}
