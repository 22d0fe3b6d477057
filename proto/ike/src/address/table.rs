//! Which IKE SA has which internal addresses.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

use ravelin_types::selector::TrafficSelector;
use ravelin_types::{Identity, IkeSpi};

use super::pool::{Attribute, Pool, PoolView, Pools};
use super::{Grant, Wishes};
use crate::config::Remote;
use crate::context::Core;
use crate::ike_sa::Ends;
use crate::output::Event;

/// What the IKE SAs have, by our SPI.
#[derive(Default)]
pub(crate) struct Addresses {
    pools: Pools,
    held: BTreeMap<IkeSpi, Held>,
}

#[derive(Default)]
struct Held {
    /// What the peer gave us.
    borrowed: Option<Grant>,
    /// Pools and addresses that we gave to the peer.
    lent: Vec<(String, IpAddr)>,
}

/// The addresses that dynamic selectors stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inside {
    pub(crate) ours: Vec<TrafficSelector>,
    pub(crate) theirs: Vec<TrafficSelector>,
    /// The peer proves nothing of who it is, so `theirs` is all that it can have.
    pub(crate) nobody: bool,
}

impl Addresses {
    /// Takes other pools.
    pub(crate) fn configure(&mut self, pools: &[Pool]) {
        self.pools.configure(pools);
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
        (ours.collect(), held.lent.iter().map(|(_, address)| *address).collect())
    }

    /// What the pools have to tell a peer with addresses of theirs, beside the addresses.
    pub(crate) fn attributes(&self, owner: IkeSpi) -> Vec<Attribute> {
        let mut attributes: Vec<Attribute> = Vec::new();
        for (pool, _) in self.held.get(&owner).iter().flat_map(|held| &held.lent) {
            for attribute in self.pools.attributes(pool) {
                if !attributes.contains(attribute) {
                    attributes.push(attribute.clone());
                }
            }
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
        for (v4, like) in &wishes.addresses {
            let Addresses { pools, held } = &mut self.addresses;
            let fitting = remote.internal.pools.iter().filter(|pool| pools.has_family(pool, *v4));
            let fitting: Vec<&String> = fitting.collect();
            let leased = match chosen.iter().find(|chosen| chosen.is_ipv4() == *v4) {
                Some(chosen) => {
                    fitting.first().filter(|pool| pools.assign(pool, identity, *chosen)).map(|it| (*it, *chosen))
                }
                None => fitting.into_iter().find_map(|pool| Some((pool, pools.lease(pool, identity, *like)?))),
            };
            if let Some((pool, address)) = leased {
                held.entry(owner).or_default().lent.push((pool.clone(), address));
            }
        }
        let (_, addresses) = self.addresses.of(owner);
        let mut attributes = self.addresses.attributes(owner);
        wishes.answered(&mut attributes);
        Grant { addresses, attributes }
    }

    /// Takes what the peer gives us.
    pub(crate) fn borrow(&mut self, ends: &Ends, remote: &Remote, grant: Grant) {
        self.event(Event::Granted { remote: remote.name.clone(), grant: grant.clone() });
        self.addresses.held.entry(ends.our_spi()).or_default().borrowed = Some(grant);
    }

    /// Gives back what an IKE SA held.
    pub(crate) fn give_back(&mut self, ends: &Ends, remote: &str) {
        let Some(Held { borrowed, lent }) = self.addresses.held.remove(&ends.our_spi()) else { return };
        for (pool, address) in lent {
            self.addresses.pools.release(&pool, address);
        }
        if let Some(grant) = borrowed {
            self.event(Event::GrantEnded { remote: remote.into(), grant });
        }
    }

    /// What dynamic selectors of an IKE SA stand for. Nothing on our side while the peer gave no address and we need one.
    pub(crate) fn inside(&self, ends: &Ends, remote: &Remote) -> Inside {
        let (ours, theirs) = self.addresses.of(ends.our_spi());
        let hosts = |addresses: Vec<IpAddr>| addresses.into_iter().map(TrafficSelector::host).collect::<Vec<_>>();
        let outer = |address: IpAddr| vec![TrafficSelector::host(address)];
        Inside {
            ours: match ours.is_empty() && remote.internal.ask.is_empty() {
                true => outer(ends.local.ip()),
                false => hosts(ours),
            },
            nobody: remote.is_nobody(),
            theirs: if theirs.is_empty() { outer(ends.peer.ip()) } else { hosts(theirs) },
        }
    }
}

impl Inside {
    /// The same while we ask for our addresses: any of their families (RFC 7296 §2.19).
    pub(crate) fn while_asking(self, remote: &Remote) -> Inside {
        let ask = &remote.internal.ask;
        let of = |v4: bool| ask.iter().any(|address| address.is_ipv4() == v4);
        let any = [(true, TrafficSelector::any_v4()), (false, TrafficSelector::any_v6())];
        let ours: Vec<TrafficSelector> = any.into_iter().filter(|(v4, _)| of(*v4)).map(|(_, all)| all).collect();
        if ours.is_empty() { self } else { Inside { ours, ..self } }
    }
}
