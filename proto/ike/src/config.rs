//! What an operator asked for, typed: the peers to talk to and the policies whose SAs are negotiated with them.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use ravelin_crypto::CryptoProvider;
use ravelin_eap::Accounts;
use ravelin_types::if_id::IfIds;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
use ravelin_types::options::AggFrag;
use ravelin_types::policy::{Action, Policy, PolicyId};
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
use ravelin_types::policy::{Mode, Protection};
use ravelin_types::proposal::{Proposal, ProtocolId};
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
use crate::negotiate;
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

    /// Everything in it that can never work with this provider. An endpoint takes such a configuration all the same:
    /// the entries concerned fail when they are used.
    pub fn mistakes(&self, crypto: &CryptoProvider) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        for (i, remote) in self.remotes.iter().enumerate() {
            let name = || remote.name.clone();
            if !remote.version.is_built_in() {
                mistakes.push(Mistake::NoVersion(name()));
                continue;
            }
            let before = || self.remotes.iter().take(i).filter(|other| other.name == remote.name);
            if before().any(|other| other.version.number() == remote.version.number()) {
                mistakes.push(Mistake::DuplicateRemote(name()));
            } else if remote.initiate && before().any(|other| other.initiate) {
                mistakes.push(Mistake::TwoInitiate(name()));
            }
            // Keys of a keyring may come later.
            let (ours, theirs) = remote.proves();
            let can = (!ours || remote.own_proofs().all(LocalAuth::is_usable))
                && (!theirs || remote.peer_proofs().all(RemoteAuth::is_usable));
            if remote.open.keys.is_none() && !can {
                mistakes.push(Mistake::NoSecret(name()));
            }
            if let Some(why) = remote.auth_mistake() {
                mistakes.push(Mistake::Authentication(name(), why));
            }
            if remote.local.is_some_and(|local| local.is_ipv4() != remote.remote.is_ipv4()) {
                mistakes.push(Mistake::Families(name()));
            }
            let has_proposal = match remote.version {
                #[cfg(feature = "ikev1")]
                IkeVersion::V1(_) => crate::v1::offer::usable(&remote.proposals, crypto),
                #[cfg(not(feature = "ikev1"))]
                IkeVersion::V1(_) => false,
                IkeVersion::V2 => usable(&remote.proposals, ProtocolId::IKE, crypto),
            };
            if !has_proposal {
                mistakes.push(Mistake::NoIkeProposal(name()));
            }
        }
        for (i, child) in self.policies.iter().enumerate() {
            let (id, name) = (child.policy.id, || child.policy.name.clone());
            if self.policies.iter().take(i).any(|other| other.policy.id == id) {
                mistakes.push(Mistake::DuplicatePolicy(id));
            }
            if self.remote(&child.remote).is_none() {
                mistakes.push(Mistake::NoRemote(name(), child.remote.clone()));
            }
            let Action::Protect(protection) = &child.policy.action else {
                mistakes.push(Mistake::NotProtected(name()));
                continue;
            };
            if protection.local.is_some_and(|l| l.is_ipv4() != protection.remote.is_ipv4()) {
                mistakes.push(Mistake::PolicyFamilies(name()));
            }
            let protocol = child.proposals.first().map_or(ProtocolId::ESP, |proposal| proposal.protocol);
            let known = [ProtocolId::ESP, ProtocolId::AH].contains(&protocol);
            if !known || !usable(&child.proposals, protocol, crypto) {
                mistakes.push(Mistake::NoChildProposal(name()));
            }
            if !child.ah.is_empty() {
                let mut remotes = self.remotes.iter().filter(|remote| remote.name == child.remote);
                if remotes.any(|remote| matches!(remote.version, IkeVersion::V2)) {
                    mistakes.push(Mistake::AhAndEsp(name(), child.remote.clone()));
                }
                if protocol != ProtocolId::ESP || !child.ah.iter().any(|ah| crypto.integ(*ah).is_some()) {
                    mistakes.push(Mistake::NoChildProposal(name()));
                }
            }
        }
        mistakes
    }
}

fn usable(proposals: &[Proposal], protocol: ProtocolId, crypto: &CryptoProvider) -> bool {
    proposals.iter().all(|proposal| proposal.protocol == protocol)
        && !negotiate::offer(proposals, true, crypto).is_empty()
}

/// Said where a version of IKE is wanted of a program that was built without it.
pub(crate) const NO_VERSION: &str = if cfg!(feature = "ikev1") {
    "this program was built without IKEv2; use IKEv1, or build with ikev2"
} else if cfg!(feature = "ikev2") {
    "this program was built without IKEv1; use IKEv2, or build with ikev1"
} else {
    "this program was built without IKE; key the policy by hand, or build with ikev1 or ikev2"
};

/// Something in a configuration that can never work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Two remotes have this name and version.
    DuplicateRemote(String),
    /// The remote wants a version of IKE that was not built in.
    NoVersion(String),
    /// Both versions of the remote are to be initiated.
    TwoInitiate(String),
    /// Two policies have this number.
    DuplicatePolicy(PolicyId),
    /// The remote has no pre-shared key, or nobody whose certificate would be trusted.
    NoSecret(String),
    /// The two sides cannot authenticate so.
    Authentication(String, &'static str),
    /// The two addresses of the remote are not of one family.
    Families(String),
    /// The two ends of the policy are not of one family.
    PolicyFamilies(String),
    /// None of the remote's proposals is complete and known to the crypto provider.
    NoIkeProposal(String),
    /// None of the policy's proposals is complete and known to the crypto provider.
    NoChildProposal(String),
    /// The policy wants AH around ESP, and the remote is of IKEv2.
    AhAndEsp(String, String),
    /// The policy names a remote that is not there.
    NoRemote(String, String),
    /// The policy does not ask for protection, so there is nothing to negotiate.
    NotProtected(String),
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mistake::DuplicateRemote(name) => write!(f, "there are two remotes with the name {name}"),
            Mistake::NoVersion(name) => write!(f, "remote {name} has no use: {NO_VERSION}"),
            Mistake::TwoInitiate(name) => {
                write!(f, "remote {name} is to be initiated with both versions of IKE; only one can")
            }
            Mistake::DuplicatePolicy(id) => write!(f, "there are two policies with the number {}", id.0),
            Mistake::NoSecret(name) => {
                write!(f, "remote {name} has no pre-shared key, and no authority, certificate or key to trust")
            }
            Mistake::Authentication(name, why) => write!(f, "remote {name}: {why}"),
            Mistake::Families(name) => write!(f, "remote {name} has an IPv4 and an IPv6 address"),
            Mistake::PolicyFamilies(policy) => write!(f, "policy {policy} has an IPv4 and an IPv6 end"),
            Mistake::NoIkeProposal(name) => write!(
                f,
                "remote {name} has no usable IKE proposal: it takes a cipher, an integrity algorithm unless the cipher \
                 authenticates, a pseudorandom function and a key exchange method that are built in"
            ),
            Mistake::NoChildProposal(policy) => write!(
                f,
                "policy {policy} has no usable proposal: ESP takes a cipher, and an integrity algorithm unless the cipher \
                 authenticates, AH an integrity algorithm, that are built in"
            ),
            Mistake::AhAndEsp(policy, name) => write!(
                f,
                "policy {policy} wants AH and ESP together, and remote {name} is of IKEv2, which negotiates one protocol for an \
                 SA (RFC 7296 §3.3): use ESP, or IKEv1 (-z 1), or keys by hand (ipsec addsa)"
            ),
            Mistake::NoRemote(policy, name) => write!(f, "policy {policy} names the remote {name}, which is not there"),
            Mistake::NotProtected(policy) => write!(f, "policy {policy} does not ask for protection"),
        }
    }
}

impl core::error::Error for Mistake {}

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

    /// Whether we and the peer prove something before a login: in hybrid mode the user does not.
    fn proves(&self) -> (bool, bool) {
        match &self.version {
            IkeVersion::V1(V1 { hybrid: true, xauth, .. }) => {
                let user = matches!(xauth, Some(Xauth::Login { .. }));
                (!user, user)
            }
            _ => (true, true),
        }
    }
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
