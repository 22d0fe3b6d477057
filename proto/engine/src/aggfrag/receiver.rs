//! Payloads that arrived on an SA: put into the order of their numbers as far as that is worth the wait, and taken apart.

use alloc::boxed::Box;
use alloc::vec;
use core::mem;

use ravelin_types::Instant;
use ravelin_wire::aggfrag::{AggFrag, Block};
use ravelin_wire::ip::Header;

use super::queue::Queue;
use crate::ecn::{self, CE};
use crate::limits::{AGGFRAG_REORDER, AGGFRAG_WAIT, MAX_PAYLOAD};
use crate::packet::PacketBuf;
use crate::verdict::DropReason;

/// What came out of the payloads of an SA, and what may become something.
pub(crate) struct Receiver {
    queue: Queue,
    /// Bytes of a packet that will go on in the next payload stand behind the queue.
    open: bool,
    /// DSCP and ECN of the outer headers that brought them.
    tos: u8,
    /// The number that comes next. It is the first of the SA at the start (RFC 4303 §3.3.3).
    next: u64,
    /// Payloads that came before it, each at the place of its number.
    early: [Early; AGGFRAG_REORDER],
    /// Until when the next number is waited for.
    until: Option<Instant>,
    /// Packets of which a part was lost, or that were no packets, or for which there was no room, and that nobody was told of yet.
    lost: u64,
}

/// A payload that came before its turn.
struct Early {
    sequence: Option<u64>,
    tos: u8,
    len: usize,
    bytes: Box<[u8]>,
}

/// What a payload was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// One with packets in it.
    Packets,
    /// Padding alone, and nothing is wrong.
    Padding,
}

impl Receiver {
    pub fn new() -> Self {
        let early = || Early { sequence: None, tos: 0, len: 0, bytes: vec![0; MAX_PAYLOAD].into() };
        Receiver {
            queue: Queue::new(),
            open: false,
            tos: 0,
            next: 1,
            early: core::array::from_fn(|_| early()),
            until: None,
            lost: 0,
        }
    }

    /// Takes the payload of an authentic packet of this number, whose outer header has this DSCP and ECN. It may be of any length and
    /// come at any time (RFC 9347 §2).
    pub fn take(&mut self, sequence: u64, payload: &[u8], tos: u8) -> Result<Taken, DropReason> {
        let parsed = AggFrag::parse(payload).ok_or(DropReason::BadAggFrag)?;
        // RFC 9347 §2.2.3: a newer one moves the window, and what it has passed by is lost.
        self.go_on_to(sequence.saturating_sub(AGGFRAG_REORDER as u64));
        if sequence < self.next {
            return Err(DropReason::TooLate);
        }
        if sequence == self.next {
            self.consume(&parsed, tos);
            self.next = self.next.saturating_add(1);
            self.consume_early();
        } else {
            let early = &mut self.early[place(sequence)];
            let room = early.bytes.get_mut(..payload.len()).ok_or(DropReason::BadAggFrag)?;
            room.copy_from_slice(payload);
            (early.sequence, early.tos, early.len) = (Some(sequence), tos, payload.len());
        }
        Ok(if parsed.is_all_pad() { Taken::Padding } else { Taken::Packets })
    }

    /// By `now`, what is still awaited is not any more.
    pub fn on_time(&mut self, now: Instant) {
        let first = self.early.iter().filter_map(|early| early.sequence).min();
        match (first, self.until) {
            (None, _) => self.until = None,
            (Some(_), None) => self.until = Some(now + AGGFRAG_WAIT),
            (Some(first), Some(until)) if until <= now => {
                self.go_on_to(first);
                self.until = self.is_waiting().then(|| now + AGGFRAG_WAIT);
            }
            (Some(_), Some(_)) => {}
        }
    }

    /// When something is to be done without another payload.
    pub fn deadline(&self) -> Option<Instant> {
        self.until
    }

    /// Copies the next packet into the room of `pkt`. An error says that it has none there, and the packet is gone.
    pub fn next_packet(&mut self, pkt: &mut PacketBuf<'_>) -> Option<Result<(), DropReason>> {
        let len = self.queue.first_len()?;
        pkt.truncate(0);
        let fits = pkt.grow_back(len);
        if fits && let Some(packet) = self.queue.whole().get(..len) {
            pkt.packet_mut().copy_from_slice(packet);
        }
        self.queue.take(len);
        Some(if fits { Ok(()) } else { Err(DropReason::NoRoom) })
    }

    /// Whether a packet has come out.
    pub fn has_packet(&self) -> bool {
        !self.queue.whole().is_empty()
    }

    /// How many packets were lost since this was asked the last time.
    pub fn take_lost(&mut self) -> u64 {
        mem::take(&mut self.lost)
    }

    fn is_waiting(&self) -> bool {
        self.early.iter().any(|early| early.sequence.is_some())
    }

    /// Waits for no number below this one any more.
    fn go_on_to(&mut self, sequence: u64) {
        while self.next < sequence {
            let first = self.early.iter().filter_map(|early| early.sequence).min();
            // What was open goes on in a payload that does not come.
            let next = first.filter(|first| *first < sequence).unwrap_or(sequence);
            if next > self.next {
                self.give_up();
            }
            self.next = next;
            self.consume_early();
        }
        self.consume_early();
    }

    /// Consumes what came before its turn and has it now.
    fn consume_early(&mut self) {
        while self.early[place(self.next)].sequence == Some(self.next) {
            let early = &mut self.early[place(self.next)];
            early.sequence = None;
            let (tos, len, bytes) = (early.tos, early.len, mem::take(&mut early.bytes));
            if let Some(payload) = bytes.get(..len).and_then(AggFrag::parse) {
                self.consume(&payload, tos);
            }
            self.early[place(self.next)].bytes = bytes;
            self.next = self.next.saturating_add(1);
            // Others wait for another number than before.
            self.until = None;
        }
    }

    /// What an open packet has of pieces is of no use.
    fn give_up(&mut self) {
        if mem::take(&mut self.open) {
            self.lost += 1;
        }
        self.queue.drop_pieces();
    }

    /// Takes a payload apart whose turn it is.
    fn consume(&mut self, payload: &AggFrag<'_>, tos: u8) {
        let AggFrag { offset, blocks } = *payload;
        // RFC 9347 §2.2.3: such a payload may come between two that share a packet.
        if payload.is_all_pad() {
            return;
        }
        if self.open && !self.go_on_with(offset, blocks, tos) {
            self.give_up();
        }
        // RFC 9347 §2.2: where the packet before is not known, the next one still is.
        let Some(mut rest) = blocks.get(offset..) else { return };
        while !rest.is_empty() {
            match Block::parse(rest) {
                Some(Block::Pad) => return,
                Some(Block::Packet(len)) if let Some((packet, others)) = rest.split_at_checked(len) => {
                    self.tos = tos;
                    if self.queue.add(packet) {
                        self.close()
                    } else {
                        self.lost += 1
                    }
                    rest = others;
                }
                Some(Block::Packet(_) | Block::Stump) => {
                    (self.open, self.tos) = (self.queue.add(rest), tos);
                    self.lost += u64::from(!self.open);
                    return;
                }
                None => return self.lost += 1,
            }
        }
    }

    /// Adds to the open packet what the payload has of it. False: the two do not agree, so that it is nothing (RFC 9347 §2.5).
    fn go_on_with(&mut self, offset: usize, blocks: &[u8], tos: u8) -> bool {
        let here = offset.min(blocks.len());
        let ends = offset <= blocks.len();
        if offset == 0 || !self.queue.add(&blocks[..here]) {
            return false;
        }
        // One mark is enough (RFC 9347 §3.1).
        self.tos = if self.tos & CE == CE { self.tos } else { tos };
        let have = self.queue.pieces().len();
        match Block::parse(self.queue.pieces()) {
            Some(Block::Packet(len)) if ends && have == len => {
                self.open = false;
                self.close();
                true
            }
            Some(Block::Packet(len)) => !ends && have + (offset - here) == len,
            Some(Block::Stump) => !ends,
            Some(Block::Pad) | None => false,
        }
    }

    /// The pieces are whole: a packet, if they are one, with the congestion that the outer headers reported.
    fn close(&mut self) {
        let tos = self.tos;
        let packet = self.queue.pieces();
        let marked =
            Header::parse(packet).ok().and_then(|header| Some((header.tos, ecn::decapsulate(header.tos, tos)?)));
        match marked {
            Some((inner, tos)) => {
                if inner != tos {
                    ecn::set_tos(packet, tos);
                }
                self.queue.complete();
            }
            None => {
                self.queue.drop_pieces();
                self.lost += 1;
            }
        }
    }
}

/// Where a payload of this number waits.
fn place(sequence: u64) -> usize {
    (sequence % AGGFRAG_REORDER as u64) as usize
}
