//! What the core and the event loop need from a data plane. Each data plane is a file here, and a feature of the program.

#[cfg(feature = "kernel")]
pub mod kernel;
#[cfg(feature = "tun")]
pub mod tun;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;

use anyhow::Result;
use clap::ValueEnum;
use ravelin_inbox::{IkeDatagram, Progress};
use ravelin_rtnetlink::InsideConfig;
use ravelin_store::FileStore;
use ravelin_types::dataplane::{DataPlane, DataPlaneError, DataPlaneOp, Settled};
use ravelin_types::interface::InterfaceStatus;
use ravelin_types::policy::PolicyId;
use ravelin_types::transform::Transform;
use ravelin_types::{IkeSpi, Spi, Way};

/// For the core: the operations of [`DataPlane`], with the IKE sockets at its side, which see the same addresses and ports
/// as its packets.
pub trait Plane: DataPlane {
    /// Sends an IKE message.
    fn send_ike(&mut self, way: Way, data: &[u8]) -> io::Result<()>;

    /// Begins to open a TCP connection for IKE and ESP (RFC 9329). Our end of it.
    fn open_stream(&mut self, _local: IpAddr, _remote: SocketAddr) -> io::Result<SocketAddr> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this data plane carries no ESP in TCP: use `--data-plane tun`"))
    }

    /// Closes one.
    fn close_stream(&mut self, _way: Way) {}

    /// Carries out one operation without waiting until the system follows a change of the policies. Where it has to, the number
    /// of the change, of which [`Plane::poll_settled`] tells.
    fn begin(&mut self, op: &DataPlaneOp) -> Result<Option<u64>, DataPlaneError> {
        self.apply(op).map(|()| None)
    }

    /// How far the system has followed what was begun.
    fn poll_settled(&mut self) -> Option<Settled> {
        None
    }

    /// Carries out operations in order; on an error those before its index are in force.
    fn apply_all(&mut self, ops: &[DataPlaneOp]) -> Result<(), (usize, DataPlaneError)>;

    /// Carries out operations on SAs, each whatever becomes of the others. What came of each.
    fn apply_each(&mut self, ops: &[DataPlaneOp]) -> Vec<Result<(), DataPlaneError>> {
        ops.iter().map(|op| self.apply(op)).collect()
    }

    /// The address from which packets to `remote` would leave now.
    fn source_towards(&mut self, remote: IpAddr) -> Option<IpAddr>;

    /// The device by which packets of SAs whose local end is this address come and go in the clear.
    fn device_of(&mut self, _local: IpAddr) -> Option<String> {
        None
    }

    /// The number by which the system's packet filter knows what a policy protects.
    fn reqid(&self, policy: PolicyId) -> u32 {
        policy.0
    }

    /// Whether an address of this host can be sent from now.
    fn is_usable(&self, address: IpAddr) -> bool {
        super::later::is_usable(address)
    }

    /// Everything counted, by name.
    fn counters(&mut self) -> Vec<(String, u64)>;

    /// Whether an SA may have this, so that it can be offered and chosen.
    fn has(&self, _transform: &Transform) -> bool {
        true
    }

    /// To how many processors, from 0 on, it can keep SAs; 0: to none (RFC 9611).
    fn processors(&self) -> u32 {
        0
    }

    /// Whether it compresses packets and expands them (RFC 3173).
    fn ipcomp(&self) -> bool {
        false
    }

    /// Whether it has AGGFRAG payloads (RFC 9347).
    fn aggfrag(&self) -> bool {
        false
    }

    /// What has become of the virtual interfaces, as far as it is known.
    fn interfaces(&mut self) -> Vec<InterfaceStatus> {
        Vec::new()
    }

    /// An IKE SA is so far now.
    fn note_ike(&mut self, _spis: (IkeSpi, IkeSpi), _progress: Progress) {}

    /// Where the system is not as this data plane wants it, a line for each entry.
    fn differences(&mut self) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}

/// For the event loop: what to wait for, and the end.
pub trait Running: Plane {
    /// Readable while [`Running::poll_ike`] has something.
    fn ike_fd(&self) -> BorrowedFd<'_>;

    /// Readable while there are events, SAs for [`Running::poll_alive`] or news of [`Plane::poll_settled`].
    fn event_fd(&self) -> BorrowedFd<'_>;

    /// The next IKE message that arrived.
    fn poll_ike(&mut self) -> Option<IkeDatagram>;

    /// The next inbound SA on which authenticated packets arrived.
    fn poll_alive(&mut self) -> Option<Spi>;

    /// The next TCP connection that is gone.
    fn poll_closed(&mut self) -> Option<Way> {
        None
    }

    /// Where internal addresses go unless the operator says otherwise, and by what mark our own packets are known.
    fn inside(&self) -> InsideConfig;

    /// Everything that the configuration asks for at the start is in force.
    fn settle(&mut self) {}

    /// Undoes all changes to the system.
    fn stop(self, store: &mut FileStore) -> Result<()>;
}

/// What the operator says about the data plane.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What moves packets.
    pub choice: Choice,
    /// Name of the TUN device.
    #[cfg(feature = "tun")]
    pub device: Option<String>,
    /// Threads of it for each direction; `None`: what suits the processors.
    #[cfg(feature = "tun")]
    pub workers: Option<u8>,
    /// How long the kernel's acquires are taken for under way; `None`: as long as it suits IKE.
    #[cfg(feature = "kernel")]
    pub acquire: Option<std::time::Duration>,
    /// The TCP port on which peers are let in that UDP does not reach.
    pub tcp_port: Option<u16>,
}

/// What moves packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// The kernel's own IPsec (XFRM)
    #[cfg_attr(not(feature = "tun"), default)]
    #[cfg(feature = "kernel")]
    Kernel,
    /// Ours in user space, over a TUN device
    #[cfg(feature = "tun")]
    #[default]
    Tun,
    /// The kernel's where it has ESP, else ours
    #[cfg(all(feature = "kernel", feature = "tun"))]
    Auto,
}
