//! What `ipsec policy`, a child of a connection, or an account asks for.

use std::net::IpAddr;

use clap::ValueEnum;
use ravelin_ike::config::{DynamicTs, IdPattern};
use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Mode, Ways};
use ravelin_types::proposal::Proposal;
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::IntegId;

use crate::value::host::Host;
use crate::value::priority::Priority;

/// A policy as an operator described it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySpec {
    /// Unique among the policies.
    pub name: String,
    /// A level, or a place between levels.
    pub priority: Priority,
    /// This side of the traffic, with protocol and ports.
    pub local: Vec<TrafficSelector>,
    /// The other side.
    pub remote: Vec<TrafficSelector>,
    /// What happens to it.
    pub action: ActionWord,
    /// Which packets it is about, where it does not protect.
    pub ways: Ways,
    /// Whether the policy is in force by itself. If not, it is with the SAs that it has, and else not at all.
    pub trap: bool,
    /// How it is protected; present exactly when the action is `Secure`.
    pub esp: Option<EspSpec>,
    /// The virtual interface whose traffic the policy is about.
    pub interface: Option<String>,
    /// The connection it was loaded with, whose name its own begins with.
    pub connection: Option<String>,
}

/// How the traffic of a policy is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EspSpec {
    /// Name of the remote.
    pub remote: String,
    /// The remote end of the SA.
    pub endpoint: Host,
    /// The local end; `None`: the address from which the remote end is reached.
    pub local: Option<IpAddr>,
    /// Transport or tunnel.
    pub mode: Mode,
    /// In order of preference.
    pub proposals: Vec<Proposal>,
    /// AH around ESP, with one of these; empty: what the proposals say.
    pub ah: Vec<IntegId>,
    /// Soft and hard limits.
    pub lifetime: Lifetime,
    /// Packets, 0 for no check.
    pub replay_window: u32,
    /// Which selectors of an SA are those of the packet that asked for it.
    pub pfp: Pfp,
    /// When to negotiate.
    pub start: Start,
    /// How packets are carried.
    pub options: SaOptions,
    /// What happens when the peer has deleted the SA.
    pub closed: Afterwards,
    /// What happens when the peer was found dead.
    pub dead: Afterwards,
    /// Whether a negotiation that failed is begun anew until it succeeds.
    pub persistent: bool,
    /// Selectors beside those of the policy, at addresses that the IKE SA will have.
    pub dynamic: DynamicTs,
    /// Peers of the remote that may use the policy; empty: all.
    pub names: Vec<IdPattern>,
    /// What `/bin/sh` runs when an SA came up and when it went down.
    pub updown: Option<String>,
}

/// What happens when an SA has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Afterwards {
    /// Nothing.
    #[default]
    Nothing,
    /// The next packet negotiates.
    Trap,
    /// It is negotiated at once.
    Start,
}

impl PolicySpec {
    /// The number of the one virtual interface that both directions are about, if it is known before there is an SA.
    pub fn if_id(&self) -> Option<u32> {
        self.esp.as_ref()?.options.if_ids.of_one_device()
    }

    /// Its name without that of the connection it was loaded with.
    pub fn child_name(&self) -> &str {
        let connection = self.connection.as_deref();
        let bare = connection.and_then(|connection| self.name.strip_prefix(connection)?.strip_prefix('.'));
        bare.unwrap_or(&self.name)
    }
}

/// What happens to the traffic of a policy, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ActionWord {
    /// Protect it; unprotected packets are dropped
    #[value(alias = "protect")]
    Secure,
    /// Let it pass in the clear
    Bypass,
    /// Drop it
    #[value(alias = "drop")]
    Discard,
}

/// When the first SA of a policy is negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Start {
    /// When the first packet needs it
    OnDemand,
    /// As soon as the policy and its remote are there
    #[value(alias = "at-once")]
    Now,
}
