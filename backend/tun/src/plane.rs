//! The data plane as the daemon sees it.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ravelin_crypto::{CryptoProvider, SecureRandom};
use ravelin_types::Spi;
use ravelin_types::dataplane::{DataPlane, DataPlaneError, DataPlaneEvent, DataPlaneOp, SaStatus};
use ravelin_types::record::Store;

use crate::config::TunConfig;
use crate::error::Error;

/// A UDP payload of IKE without the non-ESP marker (RFC 3948 §2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IkeDatagram {
    /// Our address; the port tells whether it is the NAT-traversal one. When sending, an unspecified address lets
    /// the system choose.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
    /// The IKE message.
    pub data: Vec<u8>,
}

/// Counters of the data plane as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaneCounters {
    /// Name and value, in the order they are best shown: drop reasons of the engine, then those of this crate.
    pub values: Vec<(String, u64)>,
}

/// A running data plane: the device, the sockets, two threads, and the rules in the kernel.
pub struct TunDataPlane {
    ike_ready: OwnedFd,
    event_ready: OwnedFd,
}

impl TunDataPlane {
    /// Makes the device, the sockets, the routing rules and the packet filter in the network namespace of the calling
    /// thread, and starts the threads.
    ///
    /// # Errors
    /// What failed and what mends it; everything done until then is undone.
    pub fn start(
        config: TunConfig,
        crypto: CryptoProvider,
        rng: Box<dyn SecureRandom>,
        store: &mut dyn Store,
    ) -> Result<Self, Error> {
        let _ = (config, crypto, rng, store);
        Err(Error::Config("the TUN data plane is not complete".into()))
    }

    /// Stops the threads and undoes every change to the system. Dropping the value does the same, only without
    /// noting it in the store.
    ///
    /// # Errors
    /// The first change that could not be undone; the others are undone nevertheless.
    pub fn stop(self, store: &mut dyn Store) -> Result<(), Error> {
        let _ = store;
        Ok(())
    }

    /// Readable while [`TunDataPlane::poll_ike`] has something.
    pub fn ike_fd(&self) -> BorrowedFd<'_> {
        self.ike_ready.as_fd()
    }

    /// Readable while `poll_event` or [`TunDataPlane::poll_alive`] has something.
    pub fn event_fd(&self) -> BorrowedFd<'_> {
        self.event_ready.as_fd()
    }

    /// The next IKE datagram that arrived, oldest first.
    pub fn poll_ike(&mut self) -> Option<IkeDatagram> {
        None
    }

    /// The SPI of the next inbound SA on which authenticated packets arrived, reported at most once a second.
    pub fn poll_alive(&mut self) -> Option<Spi> {
        None
    }

    /// Sends an IKE message from the port `local` names, with the non-ESP marker where that is the NAT-traversal port.
    ///
    /// # Errors
    /// The system's answer: no route, an address that is not ours, a full buffer.
    pub fn send_ike(&mut self, local: SocketAddr, remote: SocketAddr, data: &[u8]) -> std::io::Result<()> {
        let _ = (local, remote, data);
        Ok(())
    }

    /// Carries out several operations with one change of the packet filter; stops at the first that fails and says
    /// which one.
    ///
    /// # Errors
    /// The index of the operation that failed, and why. The ones before it are in force.
    pub fn apply_all(&mut self, ops: &[DataPlaneOp]) -> Result<(), (usize, DataPlaneError)> {
        let _ = ops;
        Ok(())
    }

    /// Everything that was counted.
    pub fn counters(&mut self) -> PlaneCounters {
        PlaneCounters::default()
    }
}

impl DataPlane for TunDataPlane {
    fn apply(&mut self, op: &DataPlaneOp) -> Result<(), DataPlaneError> {
        self.apply_all(std::slice::from_ref(op)).map_err(|(_, error)| error)
    }

    fn poll_event(&mut self) -> Option<DataPlaneEvent> {
        None
    }

    fn list(&mut self) -> Vec<SaStatus> {
        Vec::new()
    }
}
