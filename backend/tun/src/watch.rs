//! Notices when somebody else removes our packet filter, as a reload of the host's firewall does: without it the
//! traffic of every policy would go on in clear.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_NETFILTER;

/// The multicast group of changes to nftables (`NFNLGRP_NFTABLES`).
const GROUP: u32 = 7;
/// `NFT_MSG_DELTABLE` of the nftables subsystem.
const TABLE_REMOVED: u16 = 10 << 8 | 2;
/// Longest notice that is looked at; the type stands at its start.
const NOTICE: usize = 8 << 10;

/// A subscription to changes of the packet filter in the network namespace of the thread that made it.
pub(crate) struct FilterWatch {
    socket: Socket,
}

impl FilterWatch {
    pub(crate) fn new() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.add_membership(GROUP)?;
        socket.set_non_blocking(true)?;
        Ok(FilterWatch { socket })
    }

    /// Whether a table, ours or another, was removed since the last call.
    pub(crate) fn table_removed(&self) -> bool {
        let mut removed = false;
        let mut buffer = Vec::with_capacity(NOTICE);
        loop {
            buffer.clear();
            match self.socket.recv(&mut buffer, 0) {
                Ok(_) => removed |= names_removal(&buffer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return removed,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Notices were lost (ENOBUFS): one of them may have been it.
                Err(_) => return true,
            }
        }
    }
}

impl AsFd for FilterWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Whether one of the netlink messages in `bytes` says that a table was removed. A message cut short ends the search.
fn names_removal(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(&[a, b, c, d, low, high]) = rest.first_chunk() {
        if u16::from_ne_bytes([low, high]) == TABLE_REMOVED {
            return true;
        }
        let length = (u32::from_ne_bytes([a, b, c, d]) as usize).checked_next_multiple_of(4).unwrap_or(usize::MAX);
        rest = rest.get(length.max(16)..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, length: u32) -> Vec<u8> {
        let mut bytes = vec![0; length.next_multiple_of(4) as usize];
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes
    }

    #[test]
    fn finds_the_removal_among_other_notices() {
        let (other, removal) = (message(10 << 8 | 6, 21), message(TABLE_REMOVED, 32));
        assert!(!names_removal(&other) && !names_removal(&[]));
        assert!(names_removal(&[other.clone(), removal.clone()].concat()));
        assert!(names_removal(&[removal, other].concat()));
        let wild = [&[0xff; 4][..], &[0; 60]].concat();
        assert!(!names_removal(&wild), "a wild length ends the search");
    }
}
