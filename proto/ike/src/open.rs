//! What a remote leaves open, when it stands for several peers: their addresses, their identities, their keys.
//!
//! ```text
//! IKE_SA_INIT: Remote::answers(our address, the peer's)?     IKE_AUTH: Remote::takes(the peer's identity)?
//!                                                                └─► Remote::for_peer: a remote with nothing open
//! ```

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::ops::RangeInclusive;

use ravelin_types::identity::IdType;
use ravelin_types::{Dn, HostName, Identity, Secret};
#[cfg(feature = "ikev1")]
use subtle::ConstantTimeEq;

use crate::auth::{LocalAuth, RemoteAuth};
use crate::config::Remote;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
use crate::host_names::HostNames;

/// What is open; by default nothing.
#[derive(Clone, Debug, Default)]
pub struct Open {
    /// Addresses from which peers are answered, in place of [`Remote::remote`], to which we initiate.
    pub from: Vec<RangeInclusive<IpAddr>>,
    /// Where else it, or another gateway in its place, is reached: tried in this order when there is no answer.
    pub alternates: Vec<Reach>,
    /// Addresses of ours at which they are answered, in place of [`Remote::local`].
    pub at: Vec<RangeInclusive<IpAddr>>,
    /// Names of this host: what they lead to is beside `at`, and where [`Remote::local`] is open, we begin from there.
    pub own_names: Vec<HostName>,
    /// Whom we take for the peer, in place of [`Remote::remote_id`].
    pub peers: Option<IdPattern>,
    /// We say that we are the address at which the peer reaches us, not [`Remote::local_id`].
    pub own_address: bool,
    /// Pre-shared keys by whom they belong to, in place of the one of [`Remote::local_auth`] and [`Remote::remote_auth`].
    pub keys: Option<Arc<[OwnedKey]>>,
}

/// Where a peer, or another in its place, is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// At this address.
    At(Gateway),
    /// Where this name leads when it is tried.
    Named(HostName),
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reach::At(gateway) => gateway.address.fmt(f),
            Reach::Named(name) => name.fmt(f),
        }
    }
}

/// An address at which the peer, or another in its place, is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Its address.
    pub address: IpAddr,
    /// As [`Remote::source`].
    pub source: Option<IpAddr>,
}

/// Identities that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdPattern {
    /// Every one that names somebody.
    Any,
    /// This one.
    Exactly(Identity),
    /// Those of this type that end so: `*@example.org`, `*.example.org`.
    Ending(IdType, String),
    /// Distinguished names in this sub-tree: those that begin with it (RFC 4301 §4.4.3.1).
    Within(Dn),
    /// Distinguished names with the same parts, where `*` stands for any value of its part.
    Like(Dn),
    /// Addresses of this range (RFC 4301 §4.4.3.1).
    Range(RangeInclusive<IpAddr>),
}

/// A pre-shared key and whom it belongs to; without owners, to everybody.
#[derive(Clone, Debug)]
pub struct OwnedKey {
    /// Both ends may be among them.
    pub owners: Vec<IdPattern>,
    /// The key.
    pub secret: Secret,
}

impl IdPattern {
    /// Whether the identity is one of them.
    pub fn takes(&self, id: &Identity) -> bool {
        match self {
            // ID_NULL names nobody (RFC 7619 §2.2).
            IdPattern::Any => *id != Identity::Null,
            IdPattern::Exactly(one) => one.is(id),
            IdPattern::Within(base) => matches!(id, Identity::Dn(dn) if dn.is_within(base)),
            IdPattern::Like(pattern) => matches!(id, Identity::Dn(dn) if dn.is_like(pattern)),
            IdPattern::Range(range) => {
                let address = match id {
                    Identity::Ipv4(address) => IpAddr::V4(*address),
                    Identity::Ipv6(address) => IpAddr::V6(*address),
                    _ => return false,
                };
                address.is_ipv4() == range.start().is_ipv4() && range.contains(&address)
            }
            IdPattern::Ending(kind, end) => {
                let data = id.data();
                let tail = data.len().checked_sub(end.len()).and_then(|at| data.get(at..));
                id.kind() == *kind && tail.is_some_and(|tail| tail.eq_ignore_ascii_case(end.as_bytes()))
            }
        }
    }
}

impl fmt::Display for IdPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdPattern::Any => f.write_str("%any"),
            IdPattern::Exactly(id) => id.fmt(f),
            IdPattern::Ending(_, end) => write!(f, "*{}", end.escape_debug()),
            IdPattern::Within(base) => write!(f, "{base}, *"),
            IdPattern::Like(pattern) => write!(f, "{pattern}"),
            IdPattern::Range(range) => write!(f, "{}-{}", range.start(), range.end()),
        }
    }
}

impl OwnedKey {
    /// How much it belongs to somebody: most where an owner is that one alone, else the more the fewer it is one of, and 0 where that
    /// is everybody, or somebody else.
    fn belongs(&self, to: &Identity) -> u8 {
        let rank = |owner: &IdPattern| match owner {
            IdPattern::Exactly(_) => u8::MAX,
            IdPattern::Range(range) => common_bits(range),
            IdPattern::Ending(..) | IdPattern::Within(_) | IdPattern::Like(_) => 1,
            IdPattern::Any => 0,
        };
        self.owners.iter().filter(|owner| owner.takes(to)).map(rank).max().unwrap_or(0)
    }

    /// How well it fits two ends, the peer before us; `None`: not at all.
    fn fit(&self, own: &Identity, peer: &Identity) -> Option<(u8, u8)> {
        let fits = |owner: &IdPattern| *owner == IdPattern::Any || owner.takes(peer) || owner.takes(own);
        (self.owners.is_empty() || self.owners.iter().any(fits)).then(|| (self.belongs(peer), self.belongs(own)))
    }
}

/// The length of the prefix of a network that is as large; of a range that is none, that of the next larger one.
fn common_bits(range: &RangeInclusive<IpAddr>) -> u8 {
    let bits = match (range.start(), range.end()) {
        (IpAddr::V4(start), IpAddr::V4(end)) => end.to_bits().saturating_sub(start.to_bits()).leading_zeros(),
        (IpAddr::V6(start), IpAddr::V6(end)) => end.to_bits().saturating_sub(start.to_bits()).leading_zeros(),
        _ => 0,
    };
    bits as u8
}

/// The key for two ends: the one whose owners fit best, of several the first.
pub fn key_for<'a>(keys: &'a [OwnedKey], own: &Identity, peer: &Identity) -> Option<&'a Secret> {
    let fitting = keys.iter().rev().filter_map(|key| Some((key.fit(own, peer)?, &key.secret)));
    fitting.max_by_key(|(fit, _)| *fit).map(|(_, secret)| secret)
}

#[cfg(any(feature = "ikev1", feature = "ikev2"))]
fn holds(ranges: &[RangeInclusive<IpAddr>], address: IpAddr) -> bool {
    let same = |range: &&RangeInclusive<IpAddr>| range.start().is_ipv4() == address.is_ipv4();
    ranges.iter().filter(same).any(|range| range.contains(&address))
}

impl Remote {
    /// Where it is reached, in the order in which that is tried.
    pub(crate) fn reach(&self) -> impl Iterator<Item = Reach> {
        let first = Reach::At(Gateway { address: self.remote, source: self.source });
        let first = Some(first).filter(|_| !self.begins_with_a_name());
        first.into_iter().chain(self.open.alternates.iter().cloned())
    }

    /// Whether a name comes first, and [`Remote::remote`] says nothing.
    pub(crate) fn begins_with_a_name(&self) -> bool {
        self.remote.is_unspecified() && matches!(self.open.alternates.first(), Some(Reach::Named(_)))
    }

    /// The names in it, of the peer, of this host and of the servers that know its users.
    pub(crate) fn names(&self) -> impl Iterator<Item = &HostName> {
        let named = self.open.alternates.iter().filter_map(|reach| match reach {
            Reach::At(_) => None,
            Reach::Named(name) => Some(name),
        });
        let rounds = self.rounds.peer.iter().map(|round| &round.auth);
        let servers = core::iter::once(&self.remote_auth).chain(rounds).flat_map(RemoteAuth::server_names);
        named.chain(&self.open.own_names).chain(servers)
    }

    /// Whether it is reached at this address.
    #[cfg(any(feature = "ikev1", feature = "ikev2"))]
    pub(crate) fn is_at(&self, address: IpAddr, hosts: &HostNames) -> bool {
        self.reach().any(|reach| match reach {
            Reach::At(gateway) => gateway.address == address,
            Reach::Named(name) => hosts.is_at(&name, address),
        })
    }

    /// Whether it answers a peer at this address; `true` inside when it is meant for that address alone.
    #[cfg(any(feature = "ikev1", feature = "ikev2"))]
    pub(crate) fn answers(&self, own: IpAddr, peer: IpAddr, hosts: &HostNames) -> Option<bool> {
        let at_own = match (self.open.at.as_slice(), self.open.own_names.as_slice()) {
            ([], []) => self.local.is_none_or(|local| local == own),
            (ranges, names) => holds(ranges, own) || names.iter().any(|name| hosts.is_at(name, own)),
        };
        if !self.accept || !at_own {
            return None;
        }
        let exact = self.is_at(peer, hosts);
        (exact || self.takes_at(peer)).then_some(exact)
    }

    /// Whether it stands for anybody at this address.
    #[cfg(any(feature = "ikev1", feature = "ikev2"))]
    pub(crate) fn takes_at(&self, peer: IpAddr) -> bool {
        let anybody = self.remote.is_unspecified() && !self.begins_with_a_name();
        match self.open.from.as_slice() {
            [] => anybody && self.remote.is_ipv4() == peer.is_ipv4(),
            ranges => holds(ranges, peer),
        }
    }

    /// Whether it is for the same peers as `first`, so that an identity which both take says no more of which it is than that.
    /// Who is named by an entry gives way to none that names many (RFC 4301 §4.4.3.1).
    #[cfg(any(feature = "ikev1", feature = "ikev2"))]
    pub(crate) fn has_the_peers_of(&self, first: &Remote) -> bool {
        self.open.peers == first.open.peers && self.local_id == first.local_id
    }

    /// Whether this identity is one that it takes for the peer.
    pub(crate) fn takes(&self, id: &Identity) -> bool {
        // RFC 7619 §2.2: what nobody has proved says nothing.
        self.is_nobody() || self.open.peers.as_ref().map_or_else(|| self.remote_id.is(id), |pattern| pattern.takes(id))
    }

    /// Whom it takes for the peer, for a report.
    pub(crate) fn peer_words(&self) -> String {
        self.open.peers.as_ref().map_or_else(|| alloc::format!("{}", self.remote_id), |open| alloc::format!("{open}"))
    }

    /// Whether a pre-shared key that was found before the peer said who it is can prove that it is `peer`: not where that one has
    /// a key of its own, which is another.
    #[cfg(feature = "ikev1")]
    pub(crate) fn is_keyed_by(&self, used: &Remote, peer: &Identity) -> bool {
        let RemoteAuth::Psk(used) = &used.remote_auth else { return true };
        let keys = self.open.keys.as_deref().unwrap_or_default();
        let most = keys.iter().map(|key| key.belongs(peer)).max().unwrap_or(0);
        let mut its = keys.iter().filter(|key| key.belongs(peer) == most).map(|key| &key.secret);
        most == 0 || its.any(|key| key.expose().ct_eq(used.expose()).into())
    }

    /// Whether the peer proves nothing of who it is (RFC 7619).
    pub(crate) fn is_nobody(&self) -> bool {
        matches!(self.remote_auth, RemoteAuth::Null)
    }

    /// Who the peer has proved to be that says so: in the words of this entry where it names one, since a distinguished name can be
    /// written in many ways, and is one peer.
    pub(crate) fn proved(&self, said: &Identity) -> Identity {
        if self.is_nobody() {
            return Identity::Null;
        }
        let named = match &self.open.peers {
            None => Some(&self.remote_id),
            Some(IdPattern::Exactly(one)) => Some(one),
            Some(_) => None,
        };
        named.filter(|one| one.is(said)).unwrap_or(said).clone()
    }

    /// The identity of the peer that we ask for, if there is only one.
    pub(crate) fn asked_for(&self) -> Option<&Identity> {
        (self.open.peers.is_none() && !self.is_nobody()).then_some(&self.remote_id)
    }

    /// The same with nothing open, for this peer, which reaches us at `own`.
    pub(crate) fn for_peer(self: &Arc<Self>, own: IpAddr, peer: &Identity) -> Arc<Remote> {
        let open = &self.open;
        if open.peers.is_none() && !open.own_address && open.keys.is_none() && !self.is_nobody() {
            return self.clone();
        }
        let mut closed = Remote::clone(self);
        closed.remote_id = self.proved(peer);
        if open.own_address {
            closed.local_id = own.into();
        }
        if let Some(keys) = &open.keys {
            // Without a key there is an empty one, which proves nothing.
            let secret = key_for(keys, &closed.local_id, peer).cloned().unwrap_or_default();
            if let LocalAuth::Psk(own) = &mut closed.local_auth {
                *own = secret.clone();
            }
            if let RemoteAuth::Psk(theirs) = &mut closed.remote_auth {
                *theirs = secret;
            }
        }
        Arc::new(closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    fn fqdn(name: &str) -> Identity {
        Identity::Fqdn(name.to_string())
    }

    #[test]
    fn patterns_take_what_ends_like_them() {
        let mail = IdPattern::Ending(IdType::RFC822_ADDR, "@example.org".into());
        assert!(mail.takes(&Identity::Rfc822("joe@Example.org".into())));
        assert!(!mail.takes(&Identity::Rfc822("joe@example.org.evil".into())));
        assert!(!mail.takes(&fqdn("joe@example.org")));
        assert!(IdPattern::Any.takes(&fqdn("x")));
        let name = |text: &str| Identity::Dn(text.parse().unwrap());
        let one = IdPattern::Exactly(name("O=Example, CN=gw"));
        assert!(one.takes(&name("O=example, CN=GW")) && !one.takes(&name("CN=gw, O=Example")));
        assert!(
            IdPattern::Exactly(fqdn("gw")).takes(&fqdn("GW")) && !IdPattern::Exactly(fqdn("gw")).takes(&fqdn("gx"))
        );
        assert_eq!(mail.to_string(), "*@example.org");
    }

    // As strongSwan has them: a network, a range or a domain may own a key, and who is named himself has another.
    #[test]
    fn a_key_may_belong_to_many() {
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let key = |owners: Vec<IdPattern>, secret: &[u8]| OwnedKey { owners, secret: Secret::new(secret.to_vec()) };
        let name = |text: &str| Identity::Dn(text.parse().unwrap());
        let net = IdPattern::Range(at("10.1.0.0")..=at("10.1.255.255"));
        let gateway = IdPattern::Exactly(fqdn("gw"));
        let keys = [
            key(vec![IdPattern::Any], b"all"),
            key(vec![gateway.clone(), IdPattern::Any], b"ours"),
            key(vec![net, gateway], b"net"),
            key(vec![IdPattern::Range(at("0.0.0.0")..=at("255.255.255.255"))], b"v4"),
            key(vec![IdPattern::Range(at("192.0.2.0")..=at("192.0.2.200"))], b"range"),
            key(vec![IdPattern::Ending(IdType::RFC822_ADDR, "@example.org".into())], b"domain"),
            key(vec![IdPattern::Exactly(at("10.1.0.9").into())], b"one"),
            key(vec![IdPattern::Exactly(name("O=Example, CN=joe"))], b"joe"),
        ];
        let found = |own: &str, peer: Identity| {
            let own = own.parse().map_or_else(|_| fqdn(own), |address: IpAddr| address.into());
            key_for(&keys, &own, &peer)
                .map(|secret| alloc::string::String::from_utf8_lossy(secret.expose()).into_owned())
        };
        for (own, peer, expected) in [
            ("gw", at("10.1.2.3").into(), "net"),
            ("other", at("10.1.2.3").into(), "net"),
            ("gw", at("10.1.0.9").into(), "one"),
            ("gw", at("10.2.0.1").into(), "ours"),
            ("192.0.2.1", at("10.1.2.3").into(), "net"),
            ("198.51.100.1", at("192.0.2.9").into(), "range"),
            ("192.0.2.1", at("10.2.0.1").into(), "range"),
            ("gw", at("2001:db8::1").into(), "ours"),
            ("gw", Identity::Rfc822("joe@example.org".into()), "domain"),
            ("other", fqdn("joe@example.org"), "all"),
            ("other", name("O=EXAMPLE, CN=Joe"), "joe"),
            ("other", name("O=Example, CN=joe, CN=x"), "all"),
        ] {
            assert_eq!(found(own, peer).as_deref(), Some(expected));
        }
        assert!(key_for(&keys[2..], &fqdn("other"), &fqdn("x")).is_none());
    }

    #[test]
    fn the_key_is_that_of_the_peer_before_ours_before_everybodys() {
        let key = |owners: &[&str], secret: &[u8]| OwnedKey {
            owners: owners.iter().map(|name| IdPattern::Exactly(fqdn(name))).collect(),
            secret: Secret::new(secret.to_vec()),
        };
        let keys =
            vec![key(&[], b"all"), key(&["gw"], b"own"), key(&["carol"], b"carol"), key(&["gw", "dave"], b"both")];
        let found = |peer: &str| key_for(&keys, &fqdn("gw"), &fqdn(peer)).map(|secret| secret.expose().to_vec());
        assert_eq!(found("carol"), Some(b"carol".to_vec()));
        assert_eq!(found("dave"), Some(b"both".to_vec()));
        // Two fit by our own name alone; the first is taken.
        assert_eq!(found("eve"), Some(b"own".to_vec()));
        assert!(key_for(&keys[2..3], &fqdn("gw"), &fqdn("eve")).is_none());
        assert_eq!(key_for(&keys[..1], &fqdn("gw"), &fqdn("eve")).map(|s| s.expose().to_vec()), Some(b"all".to_vec()));
    }
}
