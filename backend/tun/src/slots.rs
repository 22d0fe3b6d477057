//! The buffers in which packets travel, made once.

use std::array;
use std::ops::Range;

use ravelin_engine::{HEADROOM, PacketBuf, TAILROOM};

/// Packets that travel together.
pub(crate) const BATCH: usize = 64;
/// The longest IP packet.
pub(crate) const MAX_PACKET: usize = 65_535;
/// Free bytes in front of each packet, a multiple of the cache line.
pub(crate) const FRONT: usize = HEADROOM.next_multiple_of(64);
/// Distance of two packets. An odd number of cache lines, so that the headers of a batch do not fall into the same
/// set of the cache.
const STRIDE: usize = {
    let lines = (FRONT + MAX_PACKET + TAILROOM).div_ceil(64);
    (lines | 1) * 64
};

/// Room for [`BATCH`] packets of any length, each with head and tail room. The memory is zero pages until a packet
/// touches it.
pub(crate) struct Slots {
    bytes: Box<[u8]>,
}

impl Slots {
    pub(crate) fn new() -> Self {
        Slots { bytes: vec![0; STRIDE * BATCH].into() }
    }

    /// Where a packet of slot `i` is read to: behind the head room, and leaving the tail room.
    pub(crate) fn room(&mut self, i: usize) -> &mut [u8] {
        &mut self.bytes[i * STRIDE + FRONT..][..MAX_PACKET]
    }

    /// Slot `i` with its head and tail room.
    pub(crate) fn slot(&mut self, i: usize) -> &mut [u8] {
        &mut self.bytes[i * STRIDE..][..STRIDE]
    }

    /// The packet at this range of [`Slots::bytes`], and the bytes behind it in its slot.
    pub(crate) fn packet_and_rest(&mut self, at: Range<usize>) -> (&mut [u8], &mut [u8]) {
        let end = (at.start / STRIDE + 1) * STRIDE;
        self.bytes[at.start..end].split_at_mut(at.end - at.start)
    }

    /// All bytes; the position of slot `i` in them is [`Slots::base`].
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where slot `i` begins in [`Slots::bytes`].
    pub(crate) fn base(i: usize) -> usize {
        i * STRIDE
    }

    /// The packets at these ranges of their slots, for the engine. Those beyond the end of `ranges` are empty.
    pub(crate) fn packets(&mut self, ranges: &[Range<usize>]) -> [PacketBuf<'_>; BATCH] {
        let mut slots = self.bytes.chunks_exact_mut(STRIDE);
        array::from_fn(|i| {
            let slot = slots.next().expect("there are BATCH slots");
            let range = ranges.get(i).cloned().unwrap_or(0..0);
            PacketBuf::new(slot, range).expect("ranges are made from lengths that were read into the slot")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_do_not_overlap_and_keep_head_and_tail_room() {
        let mut slots = Slots::new();
        for i in 0..BATCH {
            slots.room(i).fill(i as u8);
        }
        let ranges = vec![FRONT..FRONT + MAX_PACKET; BATCH];
        for (i, packet) in slots.packets(&ranges).iter().enumerate() {
            assert!(packet.packet().iter().all(|&byte| byte == i as u8));
            assert!(packet.headroom() >= HEADROOM && packet.tailroom() >= TAILROOM);
        }
        assert_eq!(slots.bytes()[Slots::base(3) + FRONT], 3);
    }
}
