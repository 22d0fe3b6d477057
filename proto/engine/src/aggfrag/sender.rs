//! What waits to leave on an SA, and when it does.

use core::time::Duration;

use ravelin_types::Instant;
use ravelin_types::options::AggFrag;
use ravelin_wire::aggfrag::{Block, HEADER_LEN, emit_header};

use super::queue::Queue;
use crate::limits::{AGGFRAG_BEHIND, AGGFRAG_GAP};

/// The queue of an SA and its pace.
pub(crate) struct Sender {
    queue: Queue,
    /// Bytes of the packet at the head of the queue that have still to go, where others of it have gone.
    rest: usize,
    options: AggFrag,
    /// At a rate: when the next payload is due.
    due: Instant,
    /// Packets that cannot go whole, as they must, and that nobody was told of yet.
    too_big: u64,
}

impl Sender {
    pub fn new(options: AggFrag, now: Instant) -> Self {
        Sender { queue: Queue::new(), rest: 0, options, due: now, too_big: 0 }
    }

    /// Whether payloads go at a rate, whatever there is to send.
    pub fn is_constant(&self) -> bool {
        self.options.rate.is_some()
    }

    /// Whether packets may go in pieces.
    pub fn cuts(&self) -> bool {
        self.options.fragments
    }

    pub fn is_empty(&self) -> bool {
        self.queue.whole().is_empty()
    }

    /// When the next payload is due.
    pub fn due(&self) -> Option<Instant> {
        match self.is_constant() {
            true => Some(self.due),
            false => (!self.is_empty()).then_some(Instant::ZERO),
        }
    }

    /// A payload in a packet of `len` bytes goes now: at a rate, the next is due so much later.
    pub fn passed(&mut self, len: usize, now: Instant) {
        let Some(rate) = self.options.rate else { return };
        let nanos = (len as u64 * 8).saturating_mul(1_000_000_000) / rate;
        self.due = self.due + Duration::from_nanos(nanos).max(AGGFRAG_GAP);
        // Who was held up does not send all at once what it has missed.
        if self.due + AGGFRAG_BEHIND < now {
            self.due = now;
        }
    }

    /// Takes a packet. False when too much waits.
    pub fn push(&mut self, packet: &[u8]) -> bool {
        let added = self.queue.add(packet);
        if added {
            self.queue.complete();
        }
        added
    }

    /// Writes the next payload at the start of `out`: its length, and how much of it are packets. What is left of `out` is for
    /// padding.
    pub fn fill(&mut self, out: &mut [u8]) -> (usize, usize) {
        let Some((header, blocks)) = out.split_first_chunk_mut::<HEADER_LEN>() else { return (0, 0) };
        // RFC 9347 §2.2.3: as long as the packet tells that it is.
        emit_header(header, self.rest as u16);
        while !self.options.fragments && self.queue.first_len().is_some_and(|len| len > blocks.len()) {
            // The path has become narrower since it was taken.
            self.queue.take(self.queue.first_len().unwrap_or_default());
            self.too_big += 1;
        }
        let waiting = self.queue.whole();
        let most = blocks.len().min(waiting.len());
        let len = if self.cuts() { most } else { whole_within(waiting, most) };
        blocks[..len].copy_from_slice(&waiting[..len]);
        self.rest = behind(waiting, self.rest, len);
        self.queue.take(len);
        // RFC 9347 §2.2.4: a payload without any block is not for SAs that IKE has made.
        let padded = if len == 0 { blocks.len().min(1) } else { len };
        blocks[len..].fill(0);
        (HEADER_LEN + padded, len)
    }

    /// How many packets could not go whole since this was asked the last time.
    pub fn take_too_big(&mut self) -> u64 {
        core::mem::take(&mut self.too_big)
    }

    /// Takes out the first packet that can go on another SA: of one that went in part nothing does (RFC 9347 §2.2.3).
    pub fn take_whole<'a>(&mut self, out: &'a mut [u8]) -> Option<&'a [u8]> {
        self.queue.take(core::mem::take(&mut self.rest));
        let len = self.queue.first_len()?;
        let packet = out.get_mut(..len)?;
        packet.copy_from_slice(self.queue.whole().get(..len)?);
        self.queue.take(len);
        Some(packet)
    }
}

/// How much of the first bytes are whole packets.
fn whole_within(packets: &[u8], most: usize) -> usize {
    let mut at = 0;
    while let Some(Block::Packet(len)) = packets.get(at..).and_then(Block::parse)
        && at + len <= most
    {
        at += len;
    }
    at
}

/// Of what is in work after `taken` bytes, where `rest` bytes of what is in work come first: how much is left.
fn behind(packets: &[u8], rest: usize, taken: usize) -> usize {
    let mut end = rest;
    while end < taken
        && let Some(Block::Packet(len)) = packets.get(end..).and_then(Block::parse)
    {
        end += len;
    }
    end.saturating_sub(taken)
}
