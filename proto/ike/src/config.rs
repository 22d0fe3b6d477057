//! What an operator asked for, typed: the peers to talk to and the policies whose SAs are negotiated with them.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use ravelin_types::policy::{Policy, PolicyId};
use ravelin_types::proposal::Proposal;
use ravelin_types::{Identity, Secret};

/// One configuration, replaced as a whole by [`Command::Configure`](crate::Command::Configure).
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Peers, by unique name.
    pub remotes: Vec<Remote>,
    /// The policies that ask for SAs, by unique [`PolicyId`].
    pub policies: Vec<ChildPolicy>,
}

impl Config {
    /// The peer of this name.
    pub fn remote(&self, name: &str) -> Option<&Remote> {
        self.remotes.iter().find(|remote| remote.name == name)
    }

    /// The policy of this number.
    pub fn policy(&self, id: PolicyId) -> Option<&ChildPolicy> {
        self.policies.iter().find(|child| child.policy.id == id)
    }
}

/// A peer and how IKE SAs with it are made (`ike remote`).
#[derive(Clone, Debug)]
pub struct Remote {
    /// The operator's name for it, local to this host.
    pub name: String,
    /// Our address towards it; `None`: any.
    pub local: Option<IpAddr>,
    /// Its address.
    pub remote: IpAddr,
    /// Who we say we are.
    pub local_id: Identity,
    /// Who it must say it is.
    pub remote_id: Identity,
    /// The pre-shared key (RFC 7296 §2.15).
    pub secret: Secret,
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
    /// Ask whether the peer is alive after this time without an authenticated message or packet; `None`: never.
    pub liveness: Option<Duration>,
}

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
}
