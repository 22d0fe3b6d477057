//! What goes into an [`Endpoint`](crate::Endpoint).

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use ravelin_types::dataplane::{DataPlaneError, DataPlaneEvent};
use ravelin_types::policy::PolicyId;
use ravelin_types::{Carrier, IkeSpi, Spi, Way};

use crate::config::Config;
use crate::extensions::NewGateway;
use crate::output::OpId;
use crate::question::Answer;

/// One thing that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// An IKE message arrived.
    Datagram(Datagram<'a>),
    /// The operator or the application wants something.
    Command(Command),
    /// The data plane reports.
    DataPlane(DataPlaneEvent),
    /// The data plane has carried out an [`Output::Apply`](crate::Output::Apply), or refused it; or the answer to an
    /// [`Output::Ask`](crate::Output::Ask).
    Done(OpId, Outcome),
    /// A connection is gone, or could not be opened (RFC 9329). Not said of one that was closed by
    /// [`StreamOp::Close`](crate::StreamOp::Close).
    Closed(Way),
    /// The time given by [`Output::Wait`](crate::Output::Wait) has come (early and late calls do no harm).
    Timer,
}

/// A message as it came out of UDP or TCP, without the non-ESP marker (RFC 3948 §2.2, RFC 9329 §3.1).
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Where it arrived; the port tells whether it was the NAT-traversal one.
    pub local: SocketAddr,
    /// Where it came from.
    pub remote: SocketAddr,
    /// In what.
    pub carrier: Carrier,
    /// The IKE message.
    pub data: &'a [u8],
}

impl Datagram<'_> {
    /// The way that an answer goes.
    pub fn way(&self) -> Way {
        Way { local: self.local, remote: self.remote, carrier: self.carrier }
    }
}

/// What came of one [`OpId`].
#[derive(Debug)]
pub enum Outcome {
    /// What the data plane says.
    Applied(Result<(), DataPlaneError>),
    /// What the answer is.
    Answered(Answer),
    /// A connection is being opened from this end, or why none can be.
    Opened(Result<SocketAddr, String>),
}

impl From<Result<(), DataPlaneError>> for Outcome {
    fn from(result: Result<(), DataPlaneError>) -> Self {
        Outcome::Applied(result)
    }
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        Outcome::Answered(answer)
    }
}

/// The addresses of a host, as MOBIKE needs them (RFC 4555).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostAddresses {
    /// Those at which others can reach it.
    pub addresses: Vec<IpAddr>,
    /// From which of them it reaches the peers of its IKE SAs, by [`IkeSaView::peer`](crate::view::IkeSaView::peer) and
    /// [`IkeSaView::peer_addresses`](crate::view::IkeSaView::peer_addresses); without an entry there is no way.
    pub sources: BTreeMap<IpAddr, IpAddr>,
}

/// What an operator or the application asks for.
#[derive(Clone, Debug)]
pub enum Command {
    /// Replace the configuration. SAs of policies and remotes that are gone stay until terminated; those of a policy that has
    /// narrower selectors now are to be terminated too, since a rekey would not narrow them (RFC 7296 §2.9.2).
    Configure(Arc<Config>),
    /// Negotiate an SA for a policy, and the IKE SA under it if there is none.
    Initiate(PolicyId),
    /// Negotiate an IKE SA with this remote and no Child SA, if there is none (RFC 6023).
    InitiateIke(String),
    /// Rekey every IKE SA with this remote.
    RekeyIke(String),
    /// Rekey every Child SA of this policy.
    RekeyChild(PolicyId),
    /// Delete every IKE SA, with this remote or with all, telling the peers.
    TerminateIke(Option<String>),
    /// Delete the Child SAs of this policy, or all, telling the peers.
    TerminateChild(Option<PolicyId>),
    /// Rekey the IKE SA with this SPI of ours.
    RekeyIkeSa(IkeSpi),
    /// Have both sides of the IKE SA with this SPI of ours prove anew who they are.
    ReauthenticateIkeSa(IkeSpi),
    /// Rekey the Child SA with this inbound SPI.
    RekeyChildSa(Spi),
    /// Delete the IKE SA with this SPI of ours, telling the peer.
    TerminateIkeSa(IkeSpi),
    /// Delete the Child SA with this inbound SPI, telling the peer.
    TerminateChildSa(Spi),
    /// Send the peer of the IKE SA with this SPI of ours to another gateway, if it began the IKE SA and follows.
    Redirect(IkeSpi, NewGateway),
    /// Ask now whether the remote is alive.
    CheckLiveness(String),
    /// Where this host can be reached now; to be told whenever that changes. Without it nothing is known of it.
    Addresses(HostAddresses),
    /// An authenticated packet arrived on this inbound SA since the last report: the peer is alive.
    Alive(Spi),
}
