//! The packet as the engine sees it: bytes somewhere inside a larger buffer.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use ravelin_types::policy::{Domain, Mode};

/// Room before a packet that protecting it can take: an outer IPv6 header, AH with the longest ICV (or a UDP header, which
/// is shorter), ESP header and IV.
pub const HEADROOM: usize = 40 + 48 + 8 + 16;
/// Room behind a packet that protecting it can take: padding to 16 bytes, trailer and the longest ICV.
pub const TAILROOM: usize = 15 + 2 + 32;

/// A packet in pieces of any number and any size, as many stacks keep it. Its headers may lie across pieces.
pub trait Chain {
    /// The pieces in order.
    fn pieces(&self) -> impl Iterator<Item = &[u8]>;
}

impl<T: AsRef<[u8]>> Chain for Vec<T> {
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.iter().map(AsRef::as_ref)
    }
}

/// What the engine has done with a packet. A stack keeps it with the packet, so that no packet is protected or judged
/// twice when it comes by again: after fragmentation, or when a hook sees what the engine itself sent or delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mark {
    /// Nothing yet, or nothing that matters any more.
    #[default]
    None,
    /// It was protected on its way out: [`Outbound`](crate::Outbound) lets it pass. A stack that wants a second layer
    /// around it takes the mark off.
    Sealed(Mode),
    /// It was opened on its way in: [`Inbound`](crate::Inbound) lets it pass in the clear, and opens what more
    /// protection it has. On its way out again it is a packet like any other (a gateway's way from tunnel to tunnel).
    Opened(Mode),
}

/// A packet in a contiguous buffer of the caller, with room at both ends. The engine grows and shrinks the packet in
/// place; it never moves the payload.
pub struct PacketBuf<'a> {
    buf: &'a mut [u8],
    start: usize,
    end: usize,
    mark: Mark,
    domain: Domain,
}

impl<'a> PacketBuf<'a> {
    /// The packet that stands at `packet` in `buf`, in the default domain; `None` when that is not inside `buf`. Give
    /// outbound packets [`HEADROOM`] and [`TAILROOM`]; inbound ones need none, but where SAs have compression room for the longest
    /// packet that may come out, behind.
    pub fn new(buf: &'a mut [u8], packet: Range<usize>) -> Option<Self> {
        (packet.start <= packet.end && packet.end <= buf.len()).then_some(PacketBuf {
            buf,
            start: packet.start,
            end: packet.end,
            mark: Mark::None,
            domain: Domain::default(),
        })
    }

    /// Copies a packet that stands in pieces, of any number and any size, into `buffer`, behind [`HEADROOM`]. `None` when
    /// it and [`TAILROOM`] do not fit.
    pub fn gather<'p>(pieces: impl IntoIterator<Item = &'p [u8]>, buffer: &'a mut [u8]) -> Option<Self> {
        let mut end = HEADROOM;
        for piece in pieces {
            buffer.get_mut(end..end + piece.len())?.copy_from_slice(piece);
            end += piece.len();
        }
        if end + TAILROOM > buffer.len() { None } else { Self::new(buffer, HEADROOM..end) }
    }

    /// The same packet with the mark that the engine left on it earlier.
    #[must_use]
    pub fn with_mark(self, mark: Mark) -> Self {
        PacketBuf { mark, ..self }
    }

    /// What the engine has done with the packet.
    #[inline]
    pub fn mark(&self) -> Mark {
        self.mark
    }

    #[inline]
    pub(crate) fn set_mark(&mut self, mark: Mark) {
        self.mark = mark;
    }

    /// The same packet in another domain.
    #[must_use]
    pub fn in_domain(mut self, domain: Domain) -> Self {
        self.domain = domain;
        self
    }

    /// Whose SPD decides about the packet. What was opened is in the domain of its SA's policy, whatever the domain in
    /// which it arrived.
    #[inline]
    pub fn domain(&self) -> Domain {
        self.domain
    }

    pub(crate) fn set_domain(&mut self, domain: Domain) {
        self.domain = domain;
    }

    /// The packet.
    #[inline]
    pub fn packet(&self) -> &[u8] {
        &self.buf[self.start..self.end]
    }

    /// The packet, to be changed.
    #[inline]
    pub fn packet_mut(&mut self) -> &mut [u8] {
        &mut self.buf[self.start..self.end]
    }

    /// Where the packet stands in the caller's buffer now.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// The caller's whole buffer.
    pub(crate) fn buffer(&self) -> &[u8] {
        self.buf
    }

    /// The caller's whole buffer, to be changed.
    pub(crate) fn buffer_mut(&mut self) -> &mut [u8] {
        self.buf
    }

    /// Length of the packet.
    #[inline]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether the packet has no bytes.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Free bytes before the packet.
    #[inline]
    pub fn headroom(&self) -> usize {
        self.start
    }

    /// Free bytes behind the packet.
    #[inline]
    pub fn tailroom(&self) -> usize {
        self.buf.len() - self.end
    }

    /// Lets the packet begin `len` bytes earlier; the bytes there are whatever the buffer held. False, and nothing
    /// changed, when there is no such room.
    #[inline]
    #[must_use]
    pub fn grow_front(&mut self, len: usize) -> bool {
        let fits = len <= self.headroom();
        if fits {
            self.start -= len;
        }
        fits
    }

    /// Lets the packet end `len` bytes later, like [`PacketBuf::grow_front`].
    #[inline]
    #[must_use]
    pub fn grow_back(&mut self, len: usize) -> bool {
        let fits = len <= self.tailroom();
        if fits {
            self.end += len;
        }
        fits
    }

    /// Both at once, or neither.
    #[inline]
    pub(crate) fn grow(&mut self, front: usize, back: usize) -> bool {
        let fits = front <= self.headroom() && back <= self.tailroom();
        if fits {
            self.start -= front;
            self.end += back;
        }
        fits
    }

    /// Takes `len` bytes, at most all, off the front.
    #[inline]
    pub fn trim_front(&mut self, len: usize) {
        self.start += len.min(self.len());
    }

    /// Keeps the first `len` bytes, at most all.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.end = self.start + len.min(self.len());
    }
}

impl fmt::Debug for PacketBuf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PacketBuf({} bytes, room {} and {})", self.len(), self.headroom(), self.tailroom())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_only_into_its_room() {
        let mut buf = [0; 10];
        let mut pkt = PacketBuf::new(&mut buf, 3..6).unwrap();
        assert!(!pkt.grow_front(4) && !pkt.grow_back(5));
        assert!(pkt.grow_front(3) && pkt.grow_back(4));
        assert_eq!(pkt.range(), 0..10);
        pkt.trim_front(20);
        assert!(pkt.is_empty());
        assert!(PacketBuf::new(&mut buf, 5..11).is_none());
        let reversed = Range { start: 6, end: 5 };
        assert!(PacketBuf::new(&mut buf, reversed).is_none());
    }
}
