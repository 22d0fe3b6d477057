//! What the host says of its own addresses: those at which others can reach it, and that something about them, their links
//! or its routes has changed; and of its devices. It never changes anything. [`AddressWatch`] tells of all addresses, [`device_of`] of
//! one, and [`device`] by which device packets leave and what it can do.
#![forbid(unsafe_code)]

pub mod device;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use ravelin_rtnetlink::Socket;

/// The multicast groups of changes to links, addresses and routes (`RTNLGRP_LINK`, `RTNLGRP_IPV4_IFADDR`,
/// `RTNLGRP_IPV4_ROUTE`, `RTNLGRP_IPV6_IFADDR`, `RTNLGRP_IPV6_ROUTE`).
const GROUPS: [u32; 5] = [1, 5, 7, 9, 11];
/// Longest notice.
const ANSWER: usize = 64 << 10;

/// The addresses in the network namespace of the thread that opened it.
pub struct AddressWatch {
    changes: netlink_sys::Socket,
    questions: Socket,
}

impl AddressWatch {
    /// Begins to watch.
    ///
    /// # Errors
    /// When the kernel gives no netlink socket.
    pub fn open() -> io::Result<Self> {
        let mut changes = netlink_sys::Socket::new(NETLINK_ROUTE)?;
        changes.bind_auto()?;
        for group in GROUPS {
            changes.add_membership(group)?;
        }
        changes.set_non_blocking(true)?;
        Ok(AddressWatch { changes, questions: Socket::open()? })
    }

    /// Whether anything has changed since the last call.
    pub fn changed(&mut self) -> bool {
        let mut changed = false;
        let mut buffer = Vec::with_capacity(ANSWER);
        loop {
            buffer.clear();
            match self.changes.recv(&mut buffer, 0) {
                Ok(_) => changed = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return changed,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Notices were lost (ENOBUFS).
                Err(_) => return true,
            }
        }
    }

    /// The addresses, in the order of the kernel, that others can reach: neither of a link that is down, nor valid on their
    /// link or this host alone, nor still being tried out.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn addresses(&mut self) -> io::Result<Vec<IpAddr>> {
        let up = self.questions.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()), |message| {
            let RouteNetlinkMessage::NewLink(link) = message else { return None };
            let is_up = link.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp);
            is_up.then_some(link.header.index)
        })?;
        let up: BTreeSet<u32> = up.into_iter().collect();
        self.questions.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()), |message| {
            let RouteNetlinkMessage::NewAddress(message) = message else { return None };
            own(&message).filter(|_| up.contains(&message.header.index) && is_reachable(&message))
        })
    }
}

/// The device that has an address; `None`: no device has it.
///
/// # Errors
/// When the kernel gives no netlink socket, or does not answer.
pub fn device_of(address: IpAddr) -> io::Result<Option<String>> {
    let mut socket = Socket::open()?;
    let indices = socket.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()), |message| match message {
        RouteNetlinkMessage::NewAddress(message) if own(&message) == Some(address) => Some(message.header.index),
        _ => None,
    })?;
    let Some(index) = indices.last().copied() else { return Ok(None) };
    let names = socket.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()), |message| match message {
        RouteNetlinkMessage::NewLink(link) if link.header.index == index => {
            link.attributes.into_iter().find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some(name),
                _ => None,
            })
        }
        _ => None,
    })?;
    Ok(names.into_iter().next_back())
}

impl AsFd for AddressWatch {
    /// Readable when [`AddressWatch::changed`] has something to say.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }
}

fn is_reachable(message: &AddressMessage) -> bool {
    let flags = message.header.flags;
    let trial = flags.intersects(AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed);
    !trial && matches!(message.header.scope, AddressScope::Universe | AddressScope::Site)
}

/// On a point-to-point link the address is the peer's and the local one is ours.
fn own(message: &AddressMessage) -> Option<IpAddr> {
    let find = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(wanted);
    let local = find(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    local.or_else(|| {
        find(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_of_an_address_has_its_name() {
        assert_eq!(device_of([127, 0, 0, 1].into()).unwrap().as_deref(), Some("lo"));
        assert_eq!(device_of([192, 0, 2, 77].into()).unwrap(), None);
    }

    #[test]
    fn only_what_others_can_reach_is_an_address() {
        let mut message = AddressMessage::default();
        message.attributes = vec![AddressAttribute::Address([192, 0, 2, 1].into())];
        assert!(is_reachable(&message));
        assert_eq!(own(&message), Some([192, 0, 2, 1].into()));
        message.attributes.push(AddressAttribute::Local([192, 0, 2, 2].into()));
        assert_eq!(own(&message), Some([192, 0, 2, 2].into()));
        message.header.scope = AddressScope::Link;
        assert!(!is_reachable(&message));
        message.header.scope = AddressScope::Universe;
        message.header.flags = AddressHeaderFlags::Tentative;
        assert!(!is_reachable(&message));
    }

    #[test]
    fn the_host_answers_and_loopback_is_left_out() {
        let mut watch = AddressWatch::open().unwrap();
        let addresses = watch.addresses().unwrap();
        assert!(addresses.iter().all(|address| !address.is_loopback()), "{addresses:?}");
        assert!(!watch.changed());
    }
}
