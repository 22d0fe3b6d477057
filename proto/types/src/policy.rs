//! Entries of the Security Policy Database (RFC 4301 §4.4.1).

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::lifetime::Lifetime;
use crate::options::SaOptions;
use crate::pfp::Pfp;
use crate::selector::TrafficSelector;

/// The SPD entry's number: the `spid` column of `ipsec netstat`. Chosen by whoever adds the policy, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId(pub u32);

/// Transport or tunnel (RFC 4301 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// ESP protects the payload of the packet that is already there.
    Transport,
    /// ESP carries a whole packet inside a new outer header.
    Tunnel,
}

/// What happens to a packet that a policy selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Protect outbound; require protection inbound.
    Protect(Protection),
    /// Let pass in the clear, both ways.
    Bypass,
    /// Drop, both ways.
    Discard,
}

/// How a protected packet is protected. The algorithms are agreed by key management and come with the SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protection {
    /// Transport or tunnel.
    pub mode: Mode,
    /// This end of the SA; `None`: the address from which the peer is reached.
    pub local: Option<IpAddr>,
    /// The other end of the SA.
    pub remote: IpAddr,
    /// Which selectors of its SAs are those of the packet that asked for them, not the policy's.
    pub pfp: Pfp,
    /// Lifetime of each SA made for this policy.
    pub lifetime: Lifetime,
    /// Number of packets the anti-replay window covers, up to 4096; 0 switches the check off.
    pub replay_window: u32,
    /// How packets are carried.
    pub options: SaOptions,
}

/// One entry of the SPD. Selectors are given for outbound packets (source is local); the inbound view swaps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Unique number.
    pub id: PolicyId,
    /// The operator's name for it.
    pub name: String,
    /// Lower numbers are consulted first; entries of equal priority in order of `id`.
    pub priority: u32,
    /// A packet matches when its source is in one of these ...
    pub local: Vec<TrafficSelector>,
    /// ... and its destination in one of these.
    pub remote: Vec<TrafficSelector>,
    /// What happens to a packet that matches.
    pub action: Action,
}
