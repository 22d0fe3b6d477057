//! IP packets behind each other in memory of one size. Each tells its own length, so nothing else is kept of them.

use alloc::boxed::Box;
use alloc::vec;

use ravelin_wire::aggfrag::Block;

use crate::limits::AGGFRAG_QUEUE;

/// Whole packets, and behind them the pieces of one that is not whole yet.
pub(super) struct Queue {
    bytes: Box<[u8]>,
    /// Where the first packet begins, or what is left of it.
    start: usize,
    /// Where the last whole packet ends.
    whole: usize,
    /// Where the pieces end.
    end: usize,
}

impl Queue {
    pub fn new() -> Self {
        Queue { bytes: vec![0; AGGFRAG_QUEUE].into(), start: 0, whole: 0, end: 0 }
    }

    /// The whole packets.
    pub fn whole(&self) -> &[u8] {
        &self.bytes[self.start..self.whole]
    }

    /// What there is of the packet that is not whole.
    pub fn pieces(&mut self) -> &mut [u8] {
        &mut self.bytes[self.whole..self.end]
    }

    /// The length of the first packet, if there is one.
    pub fn first_len(&self) -> Option<usize> {
        match Block::parse(self.whole()) {
            Some(Block::Packet(len)) => Some(len),
            _ => None,
        }
    }

    /// Adds a piece. False, and nothing changed, when there is no room.
    pub fn add(&mut self, piece: &[u8]) -> bool {
        if self.bytes.len() - self.end < piece.len() {
            // Only over what is free, so that each byte is moved about once, however full it is.
            if self.start < self.bytes.len() / 2 {
                return false;
            }
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.whole, self.end) = (0, self.whole - self.start, self.end - self.start);
        }
        let room = self.bytes.get_mut(self.end..self.end + piece.len());
        room.map(|room| room.copy_from_slice(piece)).is_some_and(|()| {
            self.end += piece.len();
            true
        })
    }

    /// The pieces are a packet.
    pub fn complete(&mut self) {
        self.whole = self.end;
    }

    /// The pieces are none.
    pub fn drop_pieces(&mut self) {
        self.end = self.whole;
    }

    /// Takes out the first bytes of the whole packets.
    pub fn take(&mut self, len: usize) {
        self.start += len.min(self.whole - self.start);
        if self.start == self.end {
            (self.start, self.whole, self.end) = (0, 0, 0);
        }
    }
}
