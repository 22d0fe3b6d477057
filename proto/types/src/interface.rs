//! Virtual interfaces: route-based IPsec, where the host's routes say what is protected.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::policy::Domain;

/// A virtual interface, as it shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// The SPD behind it; not the default domain, which is that of all other traffic.
    pub domain: Domain,
    /// Its name on the host.
    pub name: String,
    /// Its addresses, each with the bits of its network's prefix.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Bytes of the longest packet that it takes; `None`: what the system gives such an interface.
    pub mtu: Option<u32>,
    /// The device of the VRF that its packets are routed in; `None`: the host's own tables.
    pub vrf: Option<String>,
    /// The network namespace, by its name, that it is in; the packets that protect travel in that of the data plane.
    /// `None`: the same.
    pub namespace: Option<String>,
    /// As a VTI of the kernel, which is tied to its SAs by a mark; `None`: the data plane's own way.
    pub vti: Option<Vti>,
    /// The number by which policies with an `if_id` know it; `None`: the data plane's own.
    pub if_id: Option<u32>,
}

/// What a VTI needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vti {
    /// The mark that ties its packets to policies and SAs, both ways; not 0.
    pub key: u32,
    /// The tunnel's end here; `None`: any.
    pub local: Option<IpAddr>,
    /// The tunnel's other end.
    pub remote: IpAddr,
}

/// What has become of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceStatus {
    /// Its domain.
    pub domain: Domain,
    /// Its number on the host.
    pub index: u32,
    /// Whether it is up.
    pub up: bool,
    /// Bytes of the longest packet.
    pub mtu: u32,
    /// Packets and bytes that came out of it.
    pub received: (u64, u64),
    /// Packets and bytes that went into it.
    pub sent: (u64, u64),
}
