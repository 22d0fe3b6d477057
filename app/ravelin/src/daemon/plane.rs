//! What the core needs from the data plane: the operations of [`DataPlane`], and a way to send IKE messages.

use std::io;
use std::net::{IpAddr, SocketAddr};

use ravelin_tun::TunDataPlane;
use ravelin_types::dataplane::{DataPlane, DataPlaneError, DataPlaneOp};

/// A data plane with the IKE sockets at its side, which see the same addresses and ports as its packets.
pub trait Plane: DataPlane {
    /// Sends an IKE message.
    fn send_ike(&mut self, local: SocketAddr, remote: SocketAddr, data: &[u8]) -> io::Result<()>;

    /// Carries out operations in order; on an error those before its index are in force.
    fn apply_all(&mut self, ops: &[DataPlaneOp]) -> Result<(), (usize, DataPlaneError)>;

    /// The address from which packets to `remote` would leave now.
    fn source_towards(&mut self, remote: IpAddr) -> Option<IpAddr>;

    /// Everything counted, by name.
    fn counters(&mut self) -> Vec<(String, u64)>;
}

impl Plane for TunDataPlane {
    fn send_ike(&mut self, local: SocketAddr, remote: SocketAddr, data: &[u8]) -> io::Result<()> {
        TunDataPlane::send_ike(self, local, remote, data)
    }

    fn apply_all(&mut self, ops: &[DataPlaneOp]) -> Result<(), (usize, DataPlaneError)> {
        TunDataPlane::apply_all(self, ops)
    }

    fn source_towards(&mut self, remote: IpAddr) -> Option<IpAddr> {
        TunDataPlane::source_towards(self, remote)
    }

    fn counters(&mut self) -> Vec<(String, u64)> {
        let counters = TunDataPlane::counters(self);
        let (sealed, opened) = counters.protected;
        let protected = [("packets-sealed".to_owned(), sealed), ("packets-opened".to_owned(), opened)];
        protected
            .into_iter()
            .chain(counters.drops.into_iter().map(|(why, count)| (format!("dropped: {why}"), count)))
            .collect()
    }
}
