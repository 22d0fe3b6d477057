//! The structures that states and policies share.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ravelin_types::Spi;

use super::Malformed;
use super::bytes::{Field, Port, Reader, structure};

/// `AF_INET` and `AF_INET6`, as far as this codec has to know them.
pub const INET: u16 = 2;
/// See [`INET`].
pub const INET6: u16 = 10;

/// The family of an address.
pub fn family(address: IpAddr) -> u16 {
    if address.is_ipv4() { INET } else { INET6 }
}

/// An address of either family, `xfrm_address_t`: IPv4 in the first four bytes. Which it is, says another field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(pub [u8; 16]);

impl Address {
    /// The address, if the family is one of the two.
    pub fn ip(self, family: u16) -> Option<IpAddr> {
        let [a, b, c, d, ..] = self.0;
        match family {
            INET => Some(Ipv4Addr::new(a, b, c, d).into()),
            INET6 => Some(Ipv6Addr::from(self.0).into()),
            _ => None,
        }
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                Address([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
            }
            IpAddr::V6(address) => Address(address.octets()),
        }
    }
}

impl Field for Address {
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Address(from.array()?))
    }

    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.0);
    }
}

structure! {
    /// Which packets: `xfrm_selector`. With family 0 all of them.
    pub struct Selector {
        /// Destination.
        dst: Address,
        /// Source.
        src: Address,
        /// Destination port; ICMP: code.
        dst_port: Port,
        /// Which of its bits count.
        dst_port_mask: Port,
        /// Source port; ICMP: type.
        src_port: Port,
        /// Which of its bits count.
        src_port_mask: Port,
        /// Of the two addresses.
        family: u16,
        /// Bits of `dst` that count.
        dst_prefix: u8,
        /// Bits of `src` that count.
        src_prefix: u8,
        /// Next layer protocol, 0: any.
        protocol: u8 [3],
        /// Only packets of this interface; 0: any.
        interface: i32,
        /// A user's; not looked at by the kernel.
        user: u32,
    }
}

structure! {
    /// What names a state on the wire: `xfrm_id`.
    pub struct Id {
        /// The receiver.
        dst: Address,
        /// The label.
        spi: Spi,
        /// 50 ESP, 51 AH, 108 IPComp.
        protocol: u8 [3],
    }
}

structure! {
    /// Limits of states and policies: `xfrm_lifetime_cfg`. [`u64::MAX`] is none for bytes and packets, 0 for seconds.
    pub struct Limits {
        /// Bytes.
        soft_bytes: u64,
        /// Bytes.
        hard_bytes: u64,
        /// Packets.
        soft_packets: u64,
        /// Packets.
        hard_packets: u64,
        /// Seconds since it was added.
        soft_age: u64,
        /// Seconds since it was added.
        hard_age: u64,
        /// Seconds since it was used first.
        soft_use: u64,
        /// Seconds since it was used first.
        hard_use: u64,
    }
}

impl Limits {
    /// Nothing is limited.
    pub fn none() -> Self {
        Limits {
            soft_bytes: u64::MAX,
            hard_bytes: u64::MAX,
            soft_packets: u64::MAX,
            hard_packets: u64::MAX,
            ..Limits::default()
        }
    }
}

structure! {
    /// What was used up: `xfrm_lifetime_cur`.
    pub struct Used {
        /// Bytes.
        bytes: u64,
        /// Packets.
        packets: u64,
        /// When it was added, seconds of the wall clock.
        added: u64,
        /// When it was used first, seconds of the wall clock; 0: not yet.
        used: u64,
    }
}

structure! {
    /// Packets that an inbound state dropped: `xfrm_stats`.
    pub struct Drops {
        /// Left of the window.
        too_old: u32,
        /// Seen before.
        replayed: u32,
        /// The ICV did not verify.
        forged: u32,
    }
}

structure! {
    /// A mark and which of its bits count: `xfrm_mark`.
    pub struct Mark {
        /// The value.
        value: u32,
        /// The bits.
        mask: u32,
    }
}

impl From<ravelin_types::options::Mark> for Mark {
    fn from(mark: ravelin_types::options::Mark) -> Self {
        Mark { value: mark.value, mask: mark.mask }
    }
}
