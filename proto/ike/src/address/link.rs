//! Virtual links (RFC 5739): a peer has IPv6 prefixes of its own, and the addresses in them are its own business.

use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv6Addr;

use ravelin_types::selector::TrafficSelector;

/// An IPv6 prefix: from one address for a whole network, up to two addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    first: Ipv6Addr,
    length: u8,
}

impl Prefix {
    /// The prefix of 1 to 127 bits that an address is in.
    pub fn of(address: Ipv6Addr, length: u8) -> Option<Self> {
        let prefix = Prefix { first: Ipv6Addr::from_bits(address.to_bits() & !hosts(length)), length };
        (1..=127).contains(&length).then_some(prefix)
    }

    /// Its first address.
    pub fn first(self) -> Ipv6Addr {
        self.first
    }

    /// How many bits all its addresses have in common.
    pub fn length(self) -> u8 {
        self.length
    }

    /// The address of an interface in it; of the interface ID, as much as there is room for.
    pub fn host(self, interface: u64) -> Ipv6Addr {
        let host = u128::from(interface) & hosts(self.length);
        // The first one is that of all routers (RFC 4291 §2.6.1).
        Ipv6Addr::from_bits(self.first.to_bits() | host.max(1))
    }

    /// Everything in it.
    pub fn selector(self) -> TrafficSelector {
        TrafficSelector::prefix(self.first.into(), self.length).unwrap_or(TrafficSelector::host(self.first.into()))
    }

    pub(crate) fn contains(self, address: Ipv6Addr) -> bool {
        address.to_bits() & !hosts(self.length) == self.first.to_bits()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.length)
    }
}

/// The bits behind a prefix.
pub(super) fn hosts(length: u8) -> u128 {
    u128::MAX.checked_shr(length.into()).unwrap_or(0)
}

/// A virtual link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The interface ID of our end.
    pub own: u64,
    /// That of the peer's.
    pub peer: u64,
    /// By which name the gateway knows it.
    pub id: Vec<u8>,
}

/// What an initiator says of a link that it wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkWish {
    /// Its interface ID.
    pub(crate) interface: u64,
    /// The link that it had; empty for none.
    pub(crate) id: Vec<u8>,
}

/// The link-local address of an interface.
pub(crate) fn link_local(interface: u64) -> TrafficSelector {
    TrafficSelector::host(Ipv6Addr::from_bits(0xfe80 << 112 | u128::from(interface)).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_prefix_has_the_addresses_of_its_interfaces() {
        let prefix = Prefix::of("2001:db8:1:2:3::9".parse().unwrap(), 64).unwrap();
        assert_eq!(
            (prefix.to_string(), prefix.selector().to_string()),
            ("2001:db8:1:2::/64".into(), "2001:db8:1:2::/64".into())
        );
        assert_eq!(prefix.host(0x1234).to_string(), "2001:db8:1:2::1234");
        assert_eq!(prefix.host(0).to_string(), "2001:db8:1:2::1");
        assert!(prefix.contains(prefix.host(u64::MAX)) && !prefix.contains("2001:db8:1:3::".parse().unwrap()));
        let small = Prefix::of("2001:db8::ff".parse().unwrap(), 126).unwrap();
        assert_eq!((small.to_string(), small.host(7).to_string()), ("2001:db8::fc/126".into(), "2001:db8::ff".into()));
        assert!([0, 128, 200].iter().all(|length| Prefix::of(Ipv6Addr::LOCALHOST, *length).is_none()));
        assert_eq!(link_local(0x1234).to_string(), "fe80::1234");
    }
}
