//! The endpoint of a program that was built without any version of IKE: the same doors, and nobody behind them. SAs are
//! keyed by hand or by an external program there.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

use ravelin_crypto::{CryptoProvider, SecureRandom};
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::policy::PolicyId;
use ravelin_types::{IkeSpi, Instant, Secret, Spi};
use ravelin_wire::ike::header::Header;

use crate::address::pool::PoolView;
use crate::config::Config;
use crate::explain::{Failure, Part};
use crate::input::{Command, Input};
use crate::mistakes::NO_VERSION;
use crate::output::{Event, OpId, Output};
use crate::secrets::IkeSecrets;
use crate::view::{Counters, HostNameView, IkeSaView};

/// An endpoint that has no IKE SA and makes none.
#[derive(Debug, Default)]
pub struct Endpoint {
    refused: Vec<Event>,
    counters: Counters,
}

impl Endpoint {
    /// An endpoint. A configuration with remotes in it is a [`Mistake`](crate::Mistake) already.
    pub fn new(_: Arc<Config>, _: CryptoProvider, _: Box<dyn SecureRandom>, _: Instant) -> Self {
        Endpoint::default()
    }

    /// Counts datagrams, and fails what somebody wants to have negotiated.
    pub fn handle(&mut self, input: Input<'_>, _: Instant) {
        match input {
            Input::Datagram(_) => self.counters.version += 1,
            Input::Command(Command::Initiate(policy)) => self.refused.push(Event::Failed(no_version(policy))),
            Input::Command(_) | Input::DataPlane(_) | Input::Done(..) | Input::Closed(_) | Input::Timer => {}
        }
    }

    /// The endpoint: there are no tokens without IKE SAs.
    #[must_use]
    pub fn with_crash_secret(self, _: Secret) -> Self {
        self
    }

    /// The endpoint: nobody solves puzzles for nothing.
    #[must_use]
    pub fn with_puzzles(self, _: u8) -> Self {
        self
    }

    /// The next decision; call until it says [`Output::Wait`].
    pub fn poll(&mut self) -> Output {
        self.refused.pop().map_or(Output::Wait(None), Output::Event)
    }

    /// None.
    pub fn poll_apply(&mut self) -> Option<(OpId, Box<DataPlaneOp>)> {
        None
    }

    /// None.
    pub fn ike_sas(&self) -> Vec<IkeSaView> {
        Vec::new()
    }

    /// None.
    pub fn ike_sas_of(&self, _: &str) -> Vec<IkeSaView> {
        Vec::new()
    }

    /// There is none.
    pub fn has_ike_sa(&self, _: Option<&str>) -> bool {
        false
    }

    /// None.
    pub fn ike_sa(&self, _: IkeSpi) -> Option<IkeSaView> {
        None
    }

    /// None.
    pub fn ike_sa_of(&self, _: Spi) -> Option<IkeSaView> {
        None
    }

    /// None.
    pub fn remote_of(&self, _: IkeSpi) -> Option<(&str, u64)> {
        None
    }

    /// None.
    pub fn own_spi(&self, _: &Header) -> Option<IkeSpi> {
        None
    }

    /// None.
    pub fn secrets(&self, _: IkeSpi) -> Option<IkeSecrets> {
        None
    }

    /// None.
    pub fn pools(&self) -> Vec<PoolView> {
        Vec::new()
    }

    /// None: nobody goes anywhere.
    pub fn host_names(&self) -> Vec<HostNameView> {
        Vec::new()
    }

    /// What was dropped.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}

fn no_version(policy: PolicyId) -> Failure {
    Failure {
        remote: None,
        address: IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED),
        policy: Some(policy),
        exchange: "IKE",
        part: Part::Configuration,
        theirs: vec![],
        ours: vec![String::from(NO_VERSION)],
        gaps: vec![],
        advice: String::new(),
    }
}
