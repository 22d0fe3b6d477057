//! Hosts, each by its address or by its name.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ravelin_types::HostName;

/// A host, as somebody wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// By its address; the unspecified one of a family stands for any host of that family.
    Address(IpAddr),
    /// By its name. Where that leads is found out when it is needed.
    Name(HostName),
}

impl Host {
    /// Its address, where that is what was written.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Host::Address(address) => Some(*address),
            Host::Name(_) => None,
        }
    }

    /// Its name, where that is what was written.
    pub fn name(&self) -> Option<&HostName> {
        match self {
            Host::Address(_) => None,
            Host::Name(name) => Some(name),
        }
    }

    /// Its address, or where only its name is known, the unspecified one of the same family as `like`.
    pub fn or_unspecified(&self, like: Option<IpAddr>) -> IpAddr {
        self.address().unwrap_or_else(|| unspecified(like))
    }

    /// Whether it stands for any host.
    pub fn is_anybody(&self) -> bool {
        self.address().is_some_and(|address| address.is_unspecified())
    }

    /// Whether it cannot be reached from this address of ours: its own is of the other family.
    pub fn is_of_another_family(&self, own: IpAddr) -> bool {
        self.address().is_some_and(|address| address.is_ipv4() != own.is_ipv4())
    }
}

/// A server, as somebody wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it is.
    pub host: Host,
    /// Its UDP port.
    pub port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(address) => SocketAddr::new(*address, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        Host::Address(address)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(address) if address.is_unspecified() => {
                f.write_str(if address.is_ipv4() { "any" } else { "any6" })
            }
            Host::Address(address) => address.fmt(f),
            Host::Name(name) => name.fmt(f),
        }
    }
}

/// The unspecified address of the same family as `like`, for any peer.
pub fn unspecified(like: Option<IpAddr>) -> IpAddr {
    match like {
        Some(IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
        _ => Ipv4Addr::UNSPECIFIED.into(),
    }
}
