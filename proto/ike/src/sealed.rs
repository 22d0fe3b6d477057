//! Messages as they leave, in fragments of two sizes where the peer takes fragments: those of RFC 7383 with IKEv2, the
//! IKE fragmentation of others with IKEv1.

use alloc::vec;
use alloc::vec::Vec;

/// RFC 7383 §2.5.1: IP datagrams of 1280 octets pass nearly everywhere, and everywhere with IPv6. Less an IPv6 header, a
/// UDP header and the non-ESP marker.
pub(crate) const LARGE: usize = 1280 - 40 - 8 - 4;
/// The same for 576 octets and IPv4, which RFC 7383 §2.5.1 recommends there.
pub(crate) const SMALL: usize = 576 - 20 - 8 - 4;
/// How often [`LARGE`] is tried.
const TRIES_OF_LARGE: u32 = 2;

/// A message as it goes out: one datagram, or the fragments of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    large: Vec<Vec<u8>>,
    /// Empty where it would be the same.
    small: Vec<Vec<u8>>,
}

impl Sealed {
    /// One datagram, whatever its length.
    pub(crate) fn whole(message: Vec<u8>) -> Self {
        Sealed { large: vec![message], small: Vec::new() }
    }

    /// In two sizes.
    pub(crate) fn fragments(large: Vec<Vec<u8>>, small: Vec<Vec<u8>>) -> Self {
        // RFC 7383 §2.5.2: the sets are told apart by their numbers of fragments, and the later one has more.
        let small = if small.len() > large.len() { small } else { Vec::new() };
        Sealed { large, small }
    }

    /// The datagrams of the transmission after `sent` others.
    pub(crate) fn datagrams(&self, sent: u32) -> &[Vec<u8>] {
        if sent >= TRIES_OF_LARGE && !self.small.is_empty() { &self.small } else { &self.large }
    }

    /// The first datagram: all of a message that was not fragmented.
    pub(crate) fn first(&self) -> &[u8] {
        self.large.first().map_or(&[], Vec::as_slice)
    }
}
