//! Messages as they leave, in fragments of two sizes where the peer takes fragments: those of RFC 7383 with IKEv2, the
//! IKE fragmentation of others with IKEv1.

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
    /// All of a message that was not fragmented.
    first: Vec<u8>,
    /// The fragments behind it.
    rest: Vec<Vec<u8>>,
    /// Empty where it would be the same.
    small: Vec<Vec<u8>>,
}

impl Sealed {
    /// One datagram, whatever its length.
    pub(crate) fn whole(message: Vec<u8>) -> Self {
        Sealed { first: message, rest: Vec::new(), small: Vec::new() }
    }

    /// Fragments.
    pub(crate) fn fragments(mut large: Vec<Vec<u8>>) -> Self {
        let rest = large.split_off(large.len().min(1));
        Sealed { first: large.pop().unwrap_or_default(), rest, small: Vec::new() }
    }

    /// The same with smaller fragments, for when it does not arrive.
    pub(crate) fn or(mut self, small: Vec<Vec<u8>>) -> Self {
        // RFC 7383 §2.5.2: the sets are told apart by their numbers of fragments, and the later one has more.
        if small.len() > 1 + self.rest.len() {
            self.small = small;
        }
        self
    }

    /// Whether the transmission after `sent` others is in smaller fragments than the first.
    pub(crate) fn is_smaller(&self, sent: u32) -> bool {
        sent >= TRIES_OF_LARGE && !self.small.is_empty()
    }

    /// The datagrams of the transmission after `sent` others.
    pub(crate) fn datagrams(&self, sent: u32) -> impl Iterator<Item = &Vec<u8>> {
        let small = if self.is_smaller(sent) { self.small.split_first() } else { None };
        let (first, rest) = small.unwrap_or((&self.first, &self.rest));
        core::iter::once(first).chain(rest)
    }

    /// The first datagram: all of a message that was not fragmented.
    pub(crate) fn first(&self) -> &[u8] {
        &self.first
    }
}
