//! What comes out of an [`Endpoint`](crate::Endpoint), in order.
//!
//! The order has meaning: an SA is installed before the message that makes the peer rely on it is sent.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::policy::PolicyId;
use ravelin_types::{Carrier, HostName, Identity, IkeSpi, Instant, Spi, Way};

use crate::address::Grant;
use crate::explain::Failure;
use crate::open::Reach;
use crate::question::Question;

/// One decision.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // Taken one by one as they are made, never kept.
pub enum Output {
    /// Hand the operation to the data plane; answer with [`Input::Done`](crate::Input::Done).
    Apply(OpId, Box<DataPlaneOp>),
    /// Answer the question with [`Input::Done`](crate::Input::Done), in any order.
    Ask(OpId, Question),
    /// Send an IKE message.
    Transmit(Transmit),
    /// Open or close a connection (RFC 9329).
    Stream(OpId, StreamOp),
    /// Tell the operator.
    Event(Event),
    /// Nothing more to do until an input comes or the deadline passes.
    Wait(Option<Deadline>),
}

/// Number of an [`Output::Apply`] or [`Output::Ask`], never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// When to call [`Endpoint::handle`](crate::Endpoint::handle) with [`Input::Timer`](crate::Input::Timer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// The time.
    pub at: Instant,
    /// What for.
    pub timer: &'static str,
}

/// What is to become of a connection that carries IKE and ESP (RFC 9329).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamOp {
    /// Begin to open one, without waiting for the peer. To be answered with [`Outcome::Opened`](crate::Outcome::Opened); what
    /// is sent on it before it stands waits for that. When it cannot be, or ends later, that is
    /// [`Input::Closed`](crate::Input::Closed).
    Open {
        /// From; an unspecified address lets the system choose.
        local: IpAddr,
        /// To.
        remote: SocketAddr,
    },
    /// Close it. There is no answer.
    Close(Way),
}

/// A message to send. In UDP from port 4500, and in TCP from any, the sender puts the non-ESP marker in front (RFC 3948
/// §2.2, RFC 9329 §3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// From; an unspecified address lets the system choose.
    pub local: SocketAddr,
    /// To.
    pub remote: SocketAddr,
    /// In what.
    pub carrier: Carrier,
    /// The IKE message.
    pub data: Vec<u8>,
}

impl Transmit {
    /// A message that goes this way.
    pub fn new(way: Way, data: Vec<u8>) -> Self {
        let Way { local, remote, carrier } = way;
        Transmit { local, remote, carrier, data }
    }

    /// The way it goes.
    pub fn way(&self) -> Way {
        Way { local: self.local, remote: self.remote, carrier: self.carrier }
    }
}

/// Something an operator wants to know.
#[derive(Clone, Debug)]
pub enum Event {
    /// An IKE SA is established.
    IkeUp {
        /// The configured peer.
        remote: String,
        /// Initiator's and responder's SPI.
        spis: (IkeSpi, IkeSpi),
        /// Who the peer proved to be.
        peer: Identity,
        /// Whether one that was lost goes on in it, by a ticket (RFC 5723).
        resumed: bool,
    },
    /// An IKE SA replaced another.
    IkeRekeyed {
        /// The configured peer.
        remote: String,
        /// The old initiator's and responder's SPI.
        old: (IkeSpi, IkeSpi),
        /// The new ones.
        new: (IkeSpi, IkeSpi),
    },
    /// Both sides proved anew who they are: an IKE SA made from scratch took the place of another, which goes.
    IkeReauthenticated {
        /// The configured peer.
        remote: String,
        /// The old initiator's and responder's SPI.
        old: (IkeSpi, IkeSpi),
        /// The new ones.
        new: (IkeSpi, IkeSpi),
    },
    /// An IKE SA goes on between other addresses (RFC 4555).
    IkeMoved {
        /// The configured peer.
        remote: String,
        /// Initiator's and responder's SPI.
        spis: (IkeSpi, IkeSpi),
        /// Our end now.
        local: SocketAddr,
        /// The peer's end now.
        peer: SocketAddr,
    },
    /// An IKE SA is gone, and its Child SAs with it.
    IkeDown {
        /// The configured peer.
        remote: String,
        /// Initiator's and responder's SPI.
        spis: (IkeSpi, IkeSpi),
        /// Why.
        reason: DownReason,
    },
    /// The peer gave us internal addresses: they are ours before the first Child SA is.
    Granted {
        /// The configured peer.
        remote: String,
        /// What it gave.
        grant: Grant,
    },
    /// The IKE SA that they came with is gone. Another may have come with the same ones meanwhile.
    GrantEnded {
        /// The configured peer.
        remote: String,
        /// What it gave.
        grant: Grant,
    },
    /// A gateway of a remote does not answer, and the next one is tried.
    GatewaySilent {
        /// The configured peer.
        remote: String,
        /// Which one.
        silent: IpAddr,
        /// The next.
        next: Reach,
    },
    /// The host of a name is at these addresses, and was elsewhere, or nobody knew where.
    HostFound {
        /// The name.
        name: HostName,
        /// Where it is.
        addresses: Vec<IpAddr>,
    },
    /// Nobody can say any more, or yet, where the host of a name is.
    HostNotFound {
        /// The name.
        name: HostName,
        /// Why.
        why: String,
    },
    /// A gateway sends us to another one, where we begin anew.
    Redirected {
        /// The configured peer.
        remote: String,
        /// Who sends us.
        from: IpAddr,
        /// Where.
        to: IpAddr,
    },
    /// A Child SA is installed.
    ChildUp {
        /// The policy it serves.
        policy: PolicyId,
        /// SPI of the inbound SA.
        inbound: Spi,
        /// SPI of the outbound SA.
        outbound: Spi,
    },
    /// A Child SA replaced another.
    ChildRekeyed {
        /// The policy it serves.
        policy: PolicyId,
        /// SPI of the old inbound SA.
        old: Spi,
        /// SPI of the new inbound SA.
        inbound: Spi,
        /// SPI of the new outbound SA.
        outbound: Spi,
    },
    /// A Child SA is gone.
    ChildDown {
        /// The policy it served.
        policy: PolicyId,
        /// SPI of the inbound SA.
        inbound: Spi,
        /// Why.
        reason: DownReason,
    },
    /// A packet of a Child SA was not within its selectors: the peer's, or one of ours, as the peer says. The SA stays.
    OutsideSelectors(Failure),
    /// An exchange failed; what did not meet is in the explanation.
    Failed(Failure),
}

/// Why an SA went down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownReason {
    /// We were told to by the operator.
    Command,
    /// The peer deleted it.
    PeerDeleted,
    /// The peer does not answer.
    PeerDead,
    /// The peer lost its state, and proved it by its token (RFC 6290).
    PeerCrashed,
    /// It reached its hard lifetime.
    Expired,
    /// The peer sent us, or we sent it, to another gateway.
    Redirected,
    /// It carried nothing for longer than its policy allows.
    Idle,
    /// The peer lost its state and said so in a new, authenticated IKE SA (INITIAL_CONTACT).
    InitialContact,
    /// It became redundant after a rekey or a collision.
    Replaced,
    /// The data plane refused it.
    DataPlane,
    /// The peer broke the protocol.
    ProtocolError,
}
