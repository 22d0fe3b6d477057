//! The remotes of a configuration, and the ways to find one: by name, and by the address of a peer. There may be very many, and
//! who is about one peer looks at no others.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

#[cfg(feature = "ikev1")]
use crate::config::IkeVersion;
use crate::config::Remote;
use crate::context::Core;
use crate::open::Reach;

/// All of them, each shared with the SAs that are made of it.
#[derive(Default)]
pub(crate) struct Remotes {
    /// In the order of the configuration.
    all: Vec<Arc<Remote>>,
    by_name: BTreeMap<String, Vec<Arc<Remote>>>,
    /// Places in `all`, ascending, of those whose peers are at these addresses alone.
    by_address: BTreeMap<IpAddr, Vec<usize>>,
    /// Those of the others.
    elsewhere: Vec<usize>,
    #[cfg(feature = "ikev1")]
    answers_v1: bool,
}

impl Remotes {
    /// Those of a configuration.
    pub(crate) fn of(remotes: Vec<Remote>) -> Self {
        let mut remotes = Remotes { all: remotes.into_iter().map(Arc::new).collect(), ..Remotes::default() };
        for (place, remote) in remotes.all.iter().enumerate() {
            remotes.by_name.entry(remote.name.clone()).or_default().push(remote.clone());
            match addresses(remote) {
                Some(addresses) => {
                    addresses.into_iter().for_each(|at| remotes.by_address.entry(at).or_default().push(place));
                }
                None => remotes.elsewhere.push(place),
            }
        }
        #[cfg(feature = "ikev1")]
        {
            remotes.answers_v1 = remotes.all.iter().any(|remote| remote.accept && remote.version != IkeVersion::V2);
        }
        remotes
    }

    /// All, in the order of the configuration.
    pub(crate) fn all(&self) -> &[Arc<Remote>] {
        &self.all
    }

    /// Those of this name, in their order: one for each version of IKE.
    pub(crate) fn named(&self, name: &str) -> &[Arc<Remote>] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// Those that may be about a peer at this address, in their order: all for which [`Remote::is_at`] or [`Remote::answers`]
    /// says so are among them.
    pub(crate) fn near(&self, address: IpAddr) -> impl Iterator<Item = &Arc<Remote>> {
        let mut here = self.by_address.get(&address).into_iter().flatten().peekable();
        let mut elsewhere = self.elsewhere.iter().peekable();
        core::iter::from_fn(move || {
            let is_next = here.peek().is_some_and(|here| elsewhere.peek().is_none_or(|other| here < other));
            let place = if is_next { here.next() } else { elsewhere.next() };
            place.and_then(|place| self.all.get(*place))
        })
    }

    /// Whether peers may begin with IKEv1.
    #[cfg(feature = "ikev1")]
    pub(crate) fn answers_v1(&self) -> bool {
        self.answers_v1
    }
}

/// The addresses of all its peers; `None`: names lead to them, or there are too many to tell.
fn addresses(remote: &Remote) -> Option<BTreeSet<IpAddr>> {
    let from = &remote.open.from;
    // `Remote::takes_at`: it stands for anybody.
    if remote.remote.is_unspecified() && from.is_empty() {
        return None;
    }
    let reached = remote.reach().map(|reach| match reach {
        Reach::At(gateway) => Some(gateway.address),
        Reach::Named(_) => None,
    });
    let heard = from.iter().map(|range| (range.start() == range.end()).then_some(*range.start()));
    reached.chain(heard).collect()
}

impl Core {
    /// The remote of this name; the entry that initiates, where it has one for each version.
    pub(crate) fn remote(&self, name: &str) -> Option<Arc<Remote>> {
        let all = self.remotes.named(name);
        all.iter().find(|remote| remote.initiate).or(all.first()).cloned()
    }

    /// What the configuration has now in the place of a remote.
    pub(crate) fn current(&self, old: &Remote) -> Option<Arc<Remote>> {
        let same = |remote: &&Arc<Remote>| remote.version.number() == old.version.number();
        self.remotes.named(&old.name).iter().find(same).cloned()
    }

    /// The name of the remote configured for an address, for reports.
    pub(crate) fn remote_name(&self, address: IpAddr) -> Option<String> {
        self.remotes.near(address).find(|remote| remote.is_at(address, &self.hosts)).map(|remote| remote.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use core::time::Duration;

    use ravelin_types::{HostName, Identity};

    use super::*;
    use crate::config::{IkeVersion, Liveness, LocalAuth, RemoteAuth, Retransmission, Rounds};
    use crate::host_names::HostNames;
    use crate::open::{Gateway, Open};

    fn remote(peer: IpAddr, accept: bool, open: Open) -> Remote {
        Remote {
            name: "peer".into(),
            version: IkeVersion::V2,
            local: None,
            source: None,
            remote: peer,
            local_id: Identity::Fqdn("us".into()),
            remote_id: Identity::Fqdn("peer".into()),
            local_auth: LocalAuth::Null,
            remote_auth: RemoteAuth::Null,
            rounds: Rounds::default(),
            proposals: vec![],
            initiate: true,
            accept,
            lifetime: Duration::from_secs(3600),
            retransmission: Retransmission::default(),
            liveness: Liveness::Off,
            login_time: Remote::LOGIN_TIME,
            encap: false,
            open,
            internal: Default::default(),
            if_ids: Default::default(),
            extensions: Default::default(),
        }
    }

    /// A few addresses of both families, so that many remotes share them; 0 stands for any.
    fn address(number: u32) -> IpAddr {
        match number % 8 {
            0 => IpAddr::from([0; 4]),
            1 => IpAddr::from([0; 16]),
            v4 @ 2..5 => IpAddr::from([192, 0, 2, v4 as u8]),
            v6 => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, v6 as u16]),
        }
    }

    #[test]
    fn near_an_address_are_all_that_may_be_about_a_peer_there() {
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32
        };
        let names: Vec<HostName> = ["a.example", "b.example"].map(|name| HostName::new(name).unwrap()).into();
        let mut passed = 0;
        for _ in 0..2000 {
            let known = names.iter().map(|name| (name.clone(), address(2 + random() % 6)));
            let hosts = HostNames::found_at(known);
            let remotes = (0..random() % 12).map(|_| {
                let reach = |number: u32| match number % 4 {
                    0 => Reach::Named(names[number as usize / 4 % 2].clone()),
                    _ => Reach::At(Gateway { address: address(number / 4), source: None }),
                };
                let alternates = (0..(random() % 5).saturating_sub(2)).map(|_| reach(random())).collect();
                let range = |number: u32| address(number)..=address(number + number / 8 % 2);
                let from = (0..(random() % 5).saturating_sub(2)).map(|_| range(random())).collect();
                let open = Open { alternates, from, ..Open::default() };
                remote(address(random()), random() % 4 > 0, open)
            });
            let remotes = Remotes::of(remotes.collect());
            for peer in (0..8).map(address) {
                let own = IpAddr::from([198, 51, 100, 1]);
                let is_about =
                    |remote: &&Arc<Remote>| remote.is_at(peer, &hosts) || remote.answers(own, peer, &hosts).is_some();
                let places = |found: Vec<&Arc<Remote>>| found.into_iter().map(Arc::as_ptr).collect::<Vec<_>>();
                let near: Vec<&Arc<Remote>> = remotes.near(peer).collect();
                passed += remotes.all().len() - near.len();
                let found = near.into_iter().filter(is_about).collect();
                assert_eq!(places(found), places(remotes.all().iter().filter(is_about).collect()));
            }
        }
        assert!(passed > 0, "all were looked at");
    }

    // A configuration file says the addresses from which a peer is heard beside that to which we go.
    #[test]
    fn who_has_one_address_is_not_looked_at_for_another() {
        let one = address(2);
        let heard = Open { from: vec![one..=one], ..Open::default() };
        let remotes = Remotes::of(vec![remote(one, true, heard), remote(one, true, Open::default())]);
        assert_eq!(remotes.near(one).count(), 2);
        assert_eq!(remotes.near(address(3)).count(), 0);
    }
}
