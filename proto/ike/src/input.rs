//! What goes into an [`Endpoint`](crate::Endpoint).

use alloc::string::String;
use alloc::sync::Arc;
use core::net::SocketAddr;

use ravelin_types::dataplane::{DataPlaneError, DataPlaneEvent};
use ravelin_types::policy::PolicyId;
use ravelin_types::{IkeSpi, Spi};

use crate::config::Config;
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
    /// The time given by [`Output::Wait`](crate::Output::Wait) has come (early and late calls do no harm).
    Timer,
}

/// A UDP payload without the non-ESP marker of port 4500 (RFC 3948 §2.2).
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Where it arrived; the port tells whether it was the NAT-traversal one.
    pub local: SocketAddr,
    /// Where it came from.
    pub remote: SocketAddr,
    /// The IKE message.
    pub data: &'a [u8],
}

/// What came of one [`OpId`].
#[derive(Debug)]
pub enum Outcome {
    /// What the data plane says.
    Applied(Result<(), DataPlaneError>),
    /// What the answer is.
    Answered(Answer),
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

/// What an operator or the application asks for.
#[derive(Clone, Debug)]
pub enum Command {
    /// Replace the configuration. SAs of policies and remotes that are gone stay until terminated.
    Configure(Arc<Config>),
    /// Negotiate an SA for a policy, and the IKE SA under it if there is none.
    Initiate(PolicyId),
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
    /// Rekey the Child SA with this inbound SPI.
    RekeyChildSa(Spi),
    /// Delete the IKE SA with this SPI of ours, telling the peer.
    TerminateIkeSa(IkeSpi),
    /// Delete the Child SA with this inbound SPI, telling the peer.
    TerminateChildSa(Spi),
    /// Ask now whether the remote is alive.
    CheckLiveness(String),
    /// An authenticated packet arrived on this inbound SA since the last report: the peer is alive.
    Alive(Spi),
}
