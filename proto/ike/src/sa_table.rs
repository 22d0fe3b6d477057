//! Every IKE SA by our SPI, and the other ways to find one: by the request that began it, by remote and peer, by Child SA,
//! by timer. An SA is taken out while it is handled and put back after. Nearly every one comes back and is found as before, so
//! the indexes stay as they are meanwhile, and are followed by those alone that are not out.

use alloc::collections::btree_map::Entry;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use ravelin_types::sa::{Direction, SaId};
use ravelin_types::{Carrier, Identity, IkeSpi, Instant, Spi, Way};

use crate::child::cpis::Cpis;
use crate::child::spis::Spis;
use crate::ike_sa::IkeSa;

/// The request that began an IKE SA at a responder: SPIi and Ni, which no two peers share (RFC 7296 §2.1).
pub(crate) type InitKey = (IkeSpi, Arc<[u8]>);

/// Who the peer proved to be, folded, and our SPI.
type Whose = (Option<Identity>, IkeSpi);

/// How many of something there are, by the address of the peer.
#[derive(Default)]
pub(crate) struct Counts {
    of: BTreeMap<IpAddr, usize>,
    total: usize,
}

impl Counts {
    /// One more.
    pub(crate) fn add(&mut self, address: IpAddr) {
        *self.of.entry(address).or_default() += 1;
        self.total += 1;
    }

    /// One less.
    pub(crate) fn remove(&mut self, address: IpAddr) {
        if let Some(count) = self.of.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.of.remove(&address);
            }
            self.total -= 1;
        }
    }

    /// In all.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// Of this address.
    pub(crate) fn from(&self, address: IpAddr) -> usize {
        self.of.get(&address).copied().unwrap_or(0)
    }
}

/// The place of an IKE SA.
struct Place {
    /// `None` while it is out.
    sa: Option<IkeSa>,
    /// Its time in `timers`.
    deadline: Option<Instant>,
    found: Found,
}

/// By what else an IKE SA is found.
struct Found {
    init: Option<InitKey>,
    remote: Arc<str>,
    peer: Option<Identity>,
}

impl Found {
    fn is_as(&self, sa: &IkeSa) -> bool {
        self.init == sa.ends.init_key && *self.remote == *sa.remote_name() && self.peer.as_ref() == sa.peer()
    }
}

/// The ways to find an IKE SA by its request, and by its remote and peer.
#[derive(Default)]
struct Finder {
    inits: BTreeMap<InitKey, IkeSpi>,
    /// A remote may stand for very many peers: those of one are found without looking at the others.
    /// A name stays when its last IKE SA goes: there are as many as are configured.
    by_remote: BTreeMap<Arc<str>, BTreeSet<Whose>>,
}

impl Finder {
    /// Has an SA found.
    fn find(&mut self, spi: IkeSpi, sa: &IkeSa) -> Found {
        let init = sa.ends.init_key.clone();
        if let Some(key) = &init {
            self.inits.insert(key.clone(), spi);
        }
        let name = sa.remote_name();
        let remote = self.by_remote.get_key_value(name).map_or_else(|| name.into(), |(name, _)| name.clone());
        let peer = sa.peer().cloned();
        let whose = (peer.as_ref().map(Identity::folded), spi);
        self.by_remote.entry(remote.clone()).or_default().insert(whose);
        Found { init, remote, peer }
    }

    /// Has it not found so any more.
    fn lose(&mut self, spi: IkeSpi, found: &Found) {
        if let Some(key) = &found.init
            && self.inits.get(key) == Some(&spi)
        {
            self.inits.remove(key);
        }
        if let Some(with) = self.by_remote.get_mut(&found.remote) {
            with.remove(&(found.peer.as_ref().map(Identity::folded), spi));
        }
    }
}

/// All IKE SAs of an endpoint.
#[derive(Default)]
pub(crate) struct SaTable {
    sas: BTreeMap<IkeSpi, Place>,
    /// Those that are out.
    out: Vec<IkeSpi>,
    timers: BTreeSet<(Instant, IkeSpi)>,
    finder: Finder,
    /// Those that are in connections, which strangers can open and end as they like. What is out is not among them.
    streams: BTreeSet<(Way, IkeSpi)>,
    /// Our SPIs of IKE SAs to come: strangers ask for them. Those of what is out are not among them.
    #[cfg(feature = "ikev2")]
    heirs: BTreeSet<IkeSpi>,
    /// What is out is in none of the counts.
    half_open: Counts,
    /// Of peers that proved nothing of who they are (RFC 7619).
    nobodies: Counts,
    /// Of those that did.
    proven: Counts,
    inbound: Spis,
    outbound: BTreeMap<(IpAddr, Spi), Spi>,
    pub(crate) cpis: Cpis,
}

impl SaTable {
    /// Puts an SA in, or back.
    pub(crate) fn insert(&mut self, sa: IkeSa) {
        let spi = sa.ends.our_spi();
        if sa.is_half_open() {
            self.half_open.add(sa.ends.peer.ip());
        }
        match sa.peer() {
            Some(Identity::Null) => self.nobodies.add(sa.ends.peer.ip()),
            Some(_) => self.proven.add(sa.ends.peer.ip()),
            None => {}
        }
        self.streams.extend(stream_of(&sa).map(|way| (way, spi)));
        #[cfg(feature = "ikev2")]
        self.heirs.extend(sa.heirs());
        let deadline = sa.deadline();
        let before = match self.sas.entry(spi) {
            Entry::Occupied(place) => {
                let place = place.into_mut();
                if !place.found.is_as(&sa) {
                    self.finder.lose(spi, &place.found);
                    place.found = self.finder.find(spi, &sa);
                }
                place.sa = Some(sa);
                // What went out last comes back first: however many ended, they are not looked through.
                if let Some(at) = self.out.iter().rposition(|out| *out == spi) {
                    self.out.swap_remove(at);
                }
                core::mem::replace(&mut place.deadline, deadline)
            }
            Entry::Vacant(place) => {
                let found = self.finder.find(spi, &sa);
                place.insert(Place { sa: Some(sa), deadline, found });
                None
            }
        };
        if before != deadline {
            self.timers.extend(deadline.map(|at| (at, spi)));
            if let Some(at) = before {
                self.timers.remove(&(at, spi));
            }
        }
    }

    /// Takes an SA out; whoever does puts it back or lets it end. [`SaTable::settle`] is to be said behind that.
    pub(crate) fn take(&mut self, spi: IkeSpi) -> Option<IkeSa> {
        let sa = self.sas.get_mut(&spi)?.sa.take()?;
        if sa.is_half_open() {
            self.half_open.remove(sa.ends.peer.ip());
        }
        match sa.peer() {
            Some(Identity::Null) => self.nobodies.remove(sa.ends.peer.ip()),
            Some(_) => self.proven.remove(sa.ends.peer.ip()),
            None => {}
        }
        if let Some(way) = stream_of(&sa) {
            self.streams.remove(&(way, spi));
        }
        #[cfg(feature = "ikev2")]
        for heir in sa.heirs() {
            self.heirs.remove(&heir);
        }
        self.out.push(spi);
        Some(sa)
    }

    /// The input is handled: what is still out has ended.
    pub(crate) fn settle(&mut self) {
        while let Some(spi) = self.out.pop() {
            let Some(place) = self.sas.remove(&spi) else { continue };
            self.finder.lose(spi, &place.found);
            if let Some(at) = place.deadline {
                self.timers.remove(&(at, spi));
            }
        }
    }

    /// A look at one.
    pub(crate) fn get(&self, spi: IkeSpi) -> Option<&IkeSa> {
        self.sas.get(&spi)?.sa.as_ref()
    }

    /// All, in order of SPI.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &IkeSa> {
        self.sas.values().filter_map(|place| place.sa.as_ref())
    }

    /// Whether this is our SPI of an IKE SA that is about to take the place of another.
    #[cfg(feature = "ikev2")]
    pub(crate) fn comes(&self, spi: IkeSpi) -> bool {
        self.heirs.contains(&spi)
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.sas.len() - self.out.len()
    }

    /// The IKE SA that this request began before.
    pub(crate) fn begun_by(&self, key: &InitKey) -> Option<IkeSpi> {
        self.finder.inits.get(key).copied().filter(|spi| self.get(*spi).is_some())
    }

    /// SPIs of the IKE SAs with a remote.
    pub(crate) fn with_remote(&self, name: &str) -> Vec<IkeSpi> {
        self.of_remote(name).collect()
    }

    /// Whether there is an IKE SA with a remote.
    pub(crate) fn has_remote(&self, name: &str) -> bool {
        self.of_remote(name).next().is_some()
    }

    fn of_remote(&self, name: &str) -> impl Iterator<Item = IkeSpi> {
        let with = self.finder.by_remote.get(name).into_iter().flatten();
        with.map(|(_, spi)| *spi).filter(|spi| self.get(*spi).is_some())
    }

    /// The IKE SAs with this peer of a remote, which has proved who it is.
    pub(crate) fn with_peer(&self, name: &str, peer: &Identity) -> impl Iterator<Item = &IkeSa> {
        let peer = Some(peer.folded());
        let (from, to) = ((peer.clone(), IkeSpi::ZERO), (peer, IkeSpi(u64::MAX)));
        let with = self.finder.by_remote.get(name).map(|with| with.range(from..=to));
        with.into_iter().flatten().filter_map(|(_, spi)| self.get(*spi))
    }

    /// SPIs of the IKE SAs in this connection.
    pub(crate) fn in_stream(&self, way: Way) -> impl Iterator<Item = IkeSpi> {
        self.streams.range((way, IkeSpi::ZERO)..=(way, IkeSpi(u64::MAX))).map(|(_, spi)| *spi)
    }

    /// Half-open IKE SAs that peers began.
    pub(crate) fn half_open(&self) -> &Counts {
        &self.half_open
    }

    /// IKE SAs of peers that proved nothing of who they are.
    pub(crate) fn nobodies(&self) -> &Counts {
        &self.nobodies
    }

    /// IKE SAs of peers that proved who they are.
    pub(crate) fn proven(&self) -> &Counts {
        &self.proven
    }

    /// The next timer.
    pub(crate) fn next_timer(&self) -> Option<(Instant, IkeSpi)> {
        self.timers.first().copied()
    }

    /// The SAs whose time has come.
    pub(crate) fn due(&self, now: Instant) -> Vec<IkeSpi> {
        self.timers.iter().take_while(|(at, _)| *at <= now).map(|(_, spi)| *spi).collect()
    }

    /// Reserves an inbound SPI for a Child SA of this IKE SA; false when it is in use, or another would have the same
    /// index in the table of a data plane.
    pub(crate) fn claim(&mut self, spi: Spi, owner: IkeSpi) -> bool {
        self.inbound.claim(spi, owner)
    }

    /// Hands a Child SA to another IKE SA.
    pub(crate) fn pass_on(&mut self, spi: Spi, owner: IkeSpi) {
        self.inbound.pass_on(spi, owner);
    }

    /// Frees an inbound SPI, and the label of compressed packets beside it.
    pub(crate) fn release(&mut self, spi: Spi) {
        self.cpis.release(spi);
        self.inbound.release(spi);
    }

    /// Notes which Child SA an outbound SA belongs to.
    pub(crate) fn note_outbound(&mut self, id: SaId, inbound: Spi) {
        self.outbound.insert((id.dst, id.spi), inbound);
    }

    /// Inbound SPI of the Child SA that sends to this address with this SPI, or will. The SPI is the receiver's choice,
    /// but one address may hide several receivers (NAT), and a data plane can tell their SAs apart by nothing else.
    pub(crate) fn outbound_to(&self, dst: IpAddr, spi: Spi) -> Option<Spi> {
        self.outbound.get(&(dst, spi)).copied()
    }

    /// Forgets an outbound SA, if it still belongs to this Child SA: a peer may give an SPI out anew.
    pub(crate) fn forget_outbound(&mut self, id: SaId, inbound: Spi) {
        if self.outbound.get(&(id.dst, id.spi)) == Some(&inbound) {
            self.outbound.remove(&(id.dst, id.spi));
        }
    }

    /// The IKE SA and the inbound SPI of the Child SA that an SA of the data plane belongs to.
    pub(crate) fn child(&self, id: SaId) -> Option<(IkeSpi, Spi)> {
        let inbound = match id.direction {
            Direction::Inbound => id.spi,
            Direction::Outbound => *self.outbound.get(&(id.dst, id.spi))?,
        };
        Some((self.inbound.owner(inbound)?, inbound))
    }

    /// The IKE SA that holds the Child SA with this inbound SPI.
    pub(crate) fn owner(&self, inbound: Spi) -> Option<IkeSpi> {
        self.inbound.owner(inbound)
    }
}

/// The connection that an IKE SA is in.
fn stream_of(sa: &IkeSa) -> Option<Way> {
    Some(sa.ends.way()).filter(|way| way.carrier == Carrier::Tcp)
}
