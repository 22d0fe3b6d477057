//! What an operator asked for, typed: the peers to talk to and the policies whose SAs are negotiated with them.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use ravelin_eap::Accounts;
use ravelin_types::if_id::IfIds;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
use ravelin_types::options::AggFrag;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
use ravelin_types::policy::{Action, Mode, Protection};
use ravelin_types::policy::{Policy, PolicyId};
use ravelin_types::proposal::Proposal;
use ravelin_types::selector::TrafficSelector;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
use ravelin_types::selector::{Side, narrow};
use ravelin_types::transform::IntegId;
use ravelin_types::{Identity, Secret};
use subtle::ConstantTimeEq;

#[cfg(any(feature = "ikev1", feature = "ikev2"))]
use crate::address::Inside;
pub use crate::address::pool::Pool;
pub use crate::auth::{EapServer, LocalAuth, OwnRound, PeerRound, RemoteAuth, Rounds};
use crate::extensions::Extensions;
pub use crate::open::{Gateway, IdPattern, Open, OwnedKey, Reach};

/// One configuration, replaced as a whole by [`Command::Configure`](crate::Command::Configure).
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Peers, by unique name.
    pub remotes: Vec<Remote>,
    /// The policies that ask for SAs, by unique [`PolicyId`].
    pub policies: Vec<ChildPolicy>,
    /// Internal addresses for peers, by unique name.
    pub pools: Vec<Pool>,
    /// Processors of this host to each of which the data plane can keep SAs, numbered from 0; 0: it cannot.
    pub processors: u32,
    /// The data plane compresses packets and expands them (RFC 3173).
    pub ipcomp: bool,
    /// The data plane has AGGFRAG payloads (RFC 9347).
    pub aggfrag: bool,
}

impl Config {
    /// The peer of this name; the entry that initiates, where it has one for each version.
    pub fn remote(&self, name: &str) -> Option<&Remote> {
        let named = || self.remotes.iter().filter(|remote| remote.name == name);
        named().find(|remote| remote.initiate).or_else(|| named().next())
    }

    /// The policy of this number.
    pub fn policy(&self, id: PolicyId) -> Option<&ChildPolicy> {
        self.policies.iter().find(|child| child.policy.id == id)
    }
}

/// A peer and how IKE SAs with it are made (`ike remote`).
#[derive(Clone, Debug)]
pub struct Remote {
    /// The operator's name for it, local to this host. Where both versions of IKE are accepted, there are two entries of
    /// one name.
    pub name: String,
    /// The version of IKE that this entry is for (`-z`).
    pub version: IkeVersion,
    /// Our address towards it; `None`: any.
    pub local: Option<IpAddr>,
    /// The address from which it is reached, looked up by the application where `local` is open. It is used to
    /// initiate: without one, NAT detection cannot tell our address, and ESP travels in UDP.
    pub source: Option<IpAddr>,
    /// Its address. The unspecified address of a family stands for any peer of that family, for answering alone; and where
    /// [`Open::alternates`] begin with a name, for nobody: that comes first.
    pub remote: IpAddr,
    /// Who we say we are.
    pub local_id: Identity,
    /// Who it must say it is.
    pub remote_id: Identity,
    /// How we prove it.
    pub local_auth: LocalAuth,
    /// How it must prove it. Each side's method is its own (RFC 7296 §2.15).
    pub remote_auth: RemoteAuth,
    /// What they prove after that.
    pub rounds: Rounds,
    /// IKE proposals in order of preference.
    pub proposals: Vec<Proposal>,
    /// Whether we may start an IKE SA (`-w`).
    pub initiate: bool,
    /// Whether we answer when the peer starts one (`-u`).
    pub accept: bool,
    /// Age at which the IKE SA is rekeyed; it is deleted at 11/10 of it if that failed.
    pub lifetime: Duration,
    /// How requests are repeated.
    pub retransmission: Retransmission,
    /// When it is asked whether it is alive.
    pub liveness: Liveness,
    /// How long a user may take to log in by EAP or XAuth where we ask: so long the half-open IKE SA is kept, and the SPIs
    /// that it has allocated.
    pub login_time: Duration,
    /// ESP travels in UDP even where there is no NAT: we pose as the end behind one.
    pub encap: bool,
    /// What is left open, for a remote that stands for several peers.
    pub open: Open,
    /// Addresses inside.
    pub internal: Internal,
    /// The numbers of virtual interfaces that its Child SAs have, unless their policies say others.
    pub if_ids: IfIds,
    /// What it does beyond RFC 7296.
    pub extensions: Extensions,
}

/// When a peer is asked whether it is alive: after some time without an authenticated message or packet of it. What it does
/// not answer, repeated as any request, ends its SAs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Liveness {
    /// Never.
    #[default]
    Off,
    /// Once something is sent to it after that time (RFC 3706 §5.5; RFC 7296 §2.4: it is about packets for a dead peer). A
    /// peer for which there is nothing is left alone.
    WhenSending(Duration),
    /// After each such time.
    Regular(Duration),
}

impl Liveness {
    /// The time, or none.
    pub fn after(self) -> Option<Duration> {
        match self {
            Liveness::Off => None,
            Liveness::WhenSending(after) | Liveness::Regular(after) => Some(after),
        }
    }
}

impl Remote {
    /// The login time of a remote that says nothing else: somebody may be typing a password, over a link that loses packets.
    pub const LOGIN_TIME: Duration = Duration::from_secs(120);
}

/// Internal addresses that one side gives to the other (RFC 7296 §2.19).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Internal {
    /// What we ask the peer for when we initiate; an unspecified address: any of its family.
    pub ask: Vec<IpAddr>,
    /// Whether we ask it for IPv6 prefixes of our own (RFC 5739); with IPv6 addresses beside it, for whichever it has.
    pub prefixes: bool,
    /// The domains that the DNS servers of the peer may be for, with all in them (RFC 8598 §5); empty: those that it says.
    pub domains: Vec<String>,
    /// The domains of which it may give DNSSEC trust anchors, with all in them (RFC 8598 §6).
    pub anchored: Vec<String>,
    /// The pools from which a peer gets what it asks for, in this order. With any, it must ask.
    pub pools: Vec<String>,
}

impl Internal {
    /// Whether we ask for anything.
    pub fn asks(&self) -> bool {
        self.prefixes || !self.ask.is_empty()
    }
}

/// A version of IKE, with what only that version has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IkeVersion {
    /// IKEv1 (RFC 2409).
    V1(V1),
    /// IKEv2 (RFC 7296).
    V2,
}

impl IkeVersion {
    /// Whether the program has it.
    pub(crate) fn is_built_in(&self) -> bool {
        match self {
            IkeVersion::V1(_) => cfg!(feature = "ikev1"),
            IkeVersion::V2 => cfg!(feature = "ikev2"),
        }
    }

    /// 1 or 2.
    pub fn number(&self) -> u8 {
        match self {
            IkeVersion::V1(_) => 1,
            IkeVersion::V2 => 2,
        }
    }
}

/// What only IKEv1 has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct V1 {
    /// Aggressive mode in place of main mode, both ways. With a pre-shared key whoever sees or asks for the second message
    /// can try keys against it at leisure, so this is never the default.
    pub aggressive: bool,
    /// One side logs in by name and password after phase 1.
    pub xauth: Option<Xauth>,
    /// The side that logs in proves nothing in phase 1, and the other proves itself by a certificate
    /// (draft-ietf-ipsec-isakmp-hybrid-auth-05).
    pub hybrid: bool,
    /// Addresses inside are given without having been asked for (push), not asked for (pull).
    pub push: bool,
}

/// A login after phase 1 (draft-beaulieu-ike-xauth-02).
#[derive(Clone, Debug)]
pub enum Xauth {
    /// The peer is asked, and must be one of these users.
    Ask(Accounts),
    /// We log in.
    Login {
        /// As this user.
        user: String,
        /// With this password.
        password: Secret,
    },
}

impl PartialEq for Xauth {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Xauth::Ask(ours), Xauth::Ask(theirs)) => Arc::ptr_eq(&ours.0, &theirs.0),
            (Xauth::Login { user, password }, Xauth::Login { user: other, password: theirs }) => {
                user == other && bool::from(password.expose().ct_eq(theirs.expose()))
            }
            _ => false,
        }
    }
}

impl Eq for Xauth {}

/// Repetition of requests that get no answer (RFC 7296 §2.1, §2.4): waits of `initial`, then each twice the last up
/// to `max_interval`, `tries` transmissions in all; then the peer is taken for dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retransmission {
    /// Wait after the first transmission.
    pub initial: Duration,
    /// The longest wait.
    pub max_interval: Duration,
    /// Number of transmissions, the first included.
    pub tries: u32,
}

impl Default for Retransmission {
    /// 1 s, 2 s, 4 s, 8 s, 16 s, 16 s, 16 s: about a minute.
    fn default() -> Self {
        Retransmission { initial: Duration::from_secs(1), max_interval: Duration::from_secs(16), tries: 7 }
    }
}

/// A policy whose SAs IKE negotiates (`ipsec policy -g NAME`).
#[derive(Clone, Debug)]
pub struct ChildPolicy {
    /// The SPD entry; its action is `Protect`.
    pub policy: Policy,
    /// Name of the [`Remote`] to negotiate with.
    pub remote: String,
    /// ESP proposals in order of preference; KE transforms in them ask for PFS when the SA is made or rekeyed by
    /// CREATE_CHILD_SA (RFC 7296 §1.3.1).
    pub proposals: Vec<Proposal>,
    /// AH around ESP, with one of these algorithms, both as one SA (RFC 4301 §4.1 has no such bundle any more, and IKEv2 no
    /// proposal for it: IKEv1 alone). Empty: what `proposals` say.
    pub ah: Vec<IntegId>,
    /// Selectors beside those of the policy whose addresses are those of the IKE SA, found when it is negotiated.
    pub dynamic: DynamicTs,
    /// The name of the SPD entry (RFC 4301 §4.4.1.1): peers that proved to be one of these may use the policy, and no
    /// others. Empty: every peer of the remote.
    pub names: Vec<IdPattern>,
}

/// Selectors of which only protocol and ports are known before there is an IKE SA; their addresses mean nothing. They are
/// those that one side gave to the other, else those of the IKE SA.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DynamicTs {
    /// At our address.
    pub local: Vec<TrafficSelector>,
    /// At the peer's.
    pub remote: Vec<TrafficSelector>,
}

impl ChildPolicy {
    /// The AGGFRAG payloads that it asks for (RFC 9347); only tunnel mode has them.
    #[cfg(any(feature = "ikev1", feature = "ikev2"))]
    pub(crate) fn aggfrag(&self) -> Option<AggFrag> {
        match &self.policy.action {
            Action::Protect(Protection { mode: Mode::Tunnel, options, .. }) => options.aggfrag,
            _ => None,
        }
    }

    /// Our selectors and the peer's, for an IKE SA with these addresses.
    #[cfg(any(feature = "ikev1", feature = "ikev2"))]
    pub(crate) fn selectors(&self, inside: &Inside) -> (Side, Side) {
        // RFC 7619 §2.5: who proves nothing has no traffic but his own.
        let reachable = inside.nobody.then(|| narrow(&self.policy.remote, &inside.theirs));
        let at = |fixed: &[TrafficSelector], dynamic: &[TrafficSelector], addresses: &[TrafficSelector]| {
            let of = |address: &TrafficSelector| {
                let address = *address;
                dynamic.iter().filter_map(move |ts| address.with(ts.protocol(), ts.ports()).ok())
            };
            fixed.iter().copied().chain(addresses.iter().flat_map(of)).collect()
        };
        let policy = &self.policy;
        (
            at(&policy.local, &self.dynamic.local, &inside.ours),
            at(reachable.as_deref().unwrap_or(&policy.remote), &self.dynamic.remote, &inside.theirs),
        )
    }
}
