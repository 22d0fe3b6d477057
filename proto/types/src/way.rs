//! Between which ends, and in what, IKE and ESP travel when they share a port.

use core::fmt;
use core::net::SocketAddr;

/// What carries IKE messages, and ESP packets beside them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carrier {
    /// Datagrams (RFC 7296 §2, RFC 3948).
    #[default]
    Udp,
    /// A stream (RFC 9329).
    Tcp,
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Carrier::Udp => "UDP",
            Carrier::Tcp => "TCP",
        })
    }
}

/// Two ends and what carries messages between them. With [`Carrier::Tcp`] it names a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Way {
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// What is between them.
    pub carrier: Carrier,
}

impl Way {
    /// By datagrams.
    pub fn udp(local: SocketAddr, remote: SocketAddr) -> Self {
        Way { local, remote, carrier: Carrier::Udp }
    }

    /// By a stream.
    pub fn tcp(local: SocketAddr, remote: SocketAddr) -> Self {
        Way { local, remote, carrier: Carrier::Tcp }
    }
}
