//! Snapshots for listings (`ike netstat`, `ipsec netstat`).

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use ravelin_eap::relay::Admission;
use ravelin_types::if_id::IfIds;
use ravelin_types::mark::Marks;
use ravelin_types::options::{AggFrag, Processors};
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::proposal::{IkeSuite, Suite};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::KeMethod;
use ravelin_types::{Carrier, Cpi, HostName, Identity, IkeSpi, Instant, Spi};

/// A name of a host in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostNameView {
    /// The name.
    pub name: HostName,
    /// Where the host is, by the last answer that said so.
    pub addresses: Vec<IpAddr>,
    /// Since when there is no such answer, and why.
    pub failed: Option<(Instant, String)>,
    /// Whether it is being looked up now.
    pub is_asked: bool,
    /// When it is looked up again, if nobody wants to know before.
    pub next: Instant,
}

use crate::address::link::Prefix;

/// One IKE SA.
#[derive(Clone, Debug)]
pub struct IkeSaView {
    /// A number that no other IKE SA here has or had.
    pub serial: u64,
    /// The configured peer.
    pub remote: String,
    /// The version of IKE: 1 or 2.
    pub version: u8,
    /// Initiator's and responder's SPI; the cookies of IKEv1.
    pub spis: (IkeSpi, IkeSpi),
    /// Whether we are the original initiator.
    pub initiator: bool,
    /// `IKE_SA_INIT`, `IKE_INTERMEDIATE`, `IKE_AUTH`, or with IKEv1 `MAIN_MODE`, `AGGRESSIVE`; `ESTABLISHED`, `REKEYED`,
    /// `DELETING`.
    pub state: &'static str,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub peer: SocketAddr,
    /// What carries its messages.
    pub carrier: Carrier,
    /// Who we are and who the peer proved to be.
    pub identities: Option<(Identity, Identity)>,
    /// Algorithms, once agreed.
    pub suite: Option<IkeSuite>,
    /// The additional key exchanges behind its keys (RFC 9370).
    pub additional: Vec<KeMethod>,
    /// Whether a post-quantum pre-shared key is behind its keys (RFC 8784).
    pub ppk: bool,
    /// Whether both sides proved the whole of IKE_SA_INIT (draft-ietf-ipsecme-ikev2-downgrade-prevention-08).
    pub full_transcript: bool,
    /// Whether it goes on when an address of either side changes (RFC 4555).
    pub mobike: bool,
    /// Whether its peer follows to another gateway (RFC 5685).
    pub follows: bool,
    /// Where else the peer says that it can be reached.
    pub peer_addresses: Vec<IpAddr>,
    /// Whether a NAT was found in front of us, in front of the peer. While there is one in front of us, whoever owns
    /// the socket sends NAT-keepalives from `local` to `peer` (RFC 3948 §4).
    pub nat: (bool, bool),
    /// Internal addresses that the peer gave to us, and that we gave to the peer.
    pub inside: (Vec<IpAddr>, Vec<IpAddr>),
    /// IPv6 prefixes that the peer gave to us, and that we gave to the peer (RFC 5739).
    pub prefixes: (Vec<Prefix>, Vec<Prefix>),
    /// The numbers of virtual interfaces that its Child SAs have, unless they have their own.
    pub if_ids: IfIds,
    /// What a RADIUS server says of the session, where one let it begin.
    pub admission: Option<Arc<Admission>>,
    /// When it was begun.
    pub created: Instant,
    /// When it will be rekeyed.
    pub rekey_at: Option<Instant>,
    /// When both sides prove anew who they are: when we begin that, or at the latest the peer has to.
    pub reauth_at: Option<Instant>,
    /// Its Child SAs.
    pub children: Vec<ChildSaView>,
}

/// One Child SA: an inbound and an outbound SA.
#[derive(Clone, Debug)]
pub struct ChildSaView {
    /// The policy it serves.
    pub policy: PolicyId,
    /// SPI of the inbound SA.
    pub inbound: Spi,
    /// SPI of the outbound SA.
    pub outbound: Spi,
    /// `INSTALLED`, `REKEYING`, `REKEYED`, `DELETING`.
    pub state: &'static str,
    /// Transport or tunnel.
    pub mode: Mode,
    /// Algorithms.
    pub suite: Suite,
    /// Local side of the agreed selectors.
    pub local_ts: Vec<TrafficSelector>,
    /// Remote side.
    pub remote_ts: Vec<TrafficSelector>,
    /// The numbers of its virtual interfaces.
    pub if_ids: IfIds,
    /// The marks of its packets.
    pub marks: Marks,
    /// Which processors of this host send on it.
    pub processors: Processors,
    /// The labels of compressed packets (RFC 3173), where there may be such.
    pub ipcomp: Option<Labels>,
    /// AGGFRAG payloads (RFC 9347), where both sides have them.
    pub aggfrag: Option<AggFrag>,
    /// When it was installed.
    pub created: Instant,
}

/// The labels of compressed packets (RFC 3173) of a Child SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Labels {
    /// By which we receive.
    pub inbound: Cpi,
    /// By which the peer does. `None`: we send without compression, since another Child SA to its address has that label.
    pub outbound: Option<Cpi>,
}

/// What was dropped, and why, since the endpoint began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams that are no IKEv2 message, or none that could be in this place.
    pub malformed: u64,
    /// Messages of another major version.
    pub version: u64,
    /// Messages whose SPIs belong to no IKE SA here.
    pub unknown_spi: u64,
    /// Protected messages that do not verify, and unprotected ones where a protected one is due.
    pub forged: u64,
    /// Messages that the state of their IKE SA has no use for.
    pub unexpected: u64,
    /// Requests outside the window, and responses to no open request.
    pub outside_window: u64,
    /// Requests that came again and were answered from the cache.
    pub repeated: u64,
    /// IKE_SA_INIT requests dropped because a bound on IKE SAs is reached.
    pub refused_half_open: u64,
    /// Tickets that we refused, and those of ours that were (RFC 5723).
    pub refused_tickets: u64,
    /// Tokens that were not those of the peer (RFC 6290).
    pub refused_tokens: u64,
    /// Child SAs for single processors of which the peer wanted no more (RFC 9611 §5.2).
    pub refused_resources: u64,
    /// Cookies sent.
    pub cookies: u64,
    /// Those with a puzzle (RFC 8019).
    pub puzzles: u64,
    /// Reactions to unprotected messages that were left out to keep their rate.
    pub rate_limited: u64,
}
