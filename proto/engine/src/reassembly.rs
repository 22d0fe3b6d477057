//! Fragments put together again, for a stack that does not do so before it calls the engine: ESP wants whole packets
//! on arrival (RFC 4303 §3.4.1), and transport mode when they leave (§3.3.4).
//!
//! ```text
//! packet ──► Reassembly::add ──► Whole (not a fragment)     Complete (the last missing one)     Held     Refused
//! ```
//! Fragments come from anybody, so the room is set once and never grows, no source has more than its share of it, and
//! a datagram whose fragments contradict each other is given up as a whole (RFC 5722 §3, for IPv4 too).

use alloc::boxed::Box;
use alloc::vec;
use core::time::Duration;

use ravelin_types::ErrorCode;
use ravelin_types::Instant;
use ravelin_wire::ip::fragment::V6_HEADER_LEN;
use ravelin_wire::ip::{Datagram, Fragment, Header, protocol, v4, v6};

use crate::packet::PacketBuf;

/// How long fragments wait for the rest (RFC 8200 §4.5, RFC 1122 §3.3.2).
pub const TIMEOUT: Duration = Duration::from_secs(60);
/// Fragments of one datagram: 65,535 bytes in packets of 576.
pub const MAX_FRAGMENTS: usize = 128;

/// Room for the headers before the payload.
const HEAD_ROOM: usize = 256;
const MAX_PAYLOAD: usize = u16::MAX as usize;
const ROOM: usize = HEAD_ROOM + MAX_PAYLOAD;

/// What became of a packet.
#[derive(Debug)]
pub enum Added<'a> {
    /// It is not a fragment: nothing was done.
    Whole,
    /// It was the last missing one. The datagram, valid until the next call.
    Complete(PacketBuf<'a>),
    /// More is missing.
    Held,
    /// It is of no use.
    Refused(Refusal),
}

/// Why a fragment was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// Not a whole IP packet.
    Malformed,
    /// It overlaps another, or the fragments do not agree where the datagram ends. All of it is given up.
    Overlap,
    /// The datagram would pass 65,535 bytes.
    TooLong,
    /// No payload, not a multiple of eight bytes before the last one, or a first fragment without the whole header of
    /// its transport (RFC 1858 §3, RFC 7112 §5).
    Tiny,
    /// Too many fragments, or headers too long, or there is no room at all.
    TooMany,
    /// Fragments with and without congestion marks do not go together (RFC 3168 §5.3).
    Congestion,
    /// The datagram was given up before.
    GivenUp,
}

impl Refusal {
    /// The code of document 003 §3.15.
    pub fn code(self) -> ErrorCode {
        match self {
            Refusal::Malformed => ErrorCode::SrcOutOfData,
            Refusal::Tiny | Refusal::GivenUp => ErrorCode::NoData,
            Refusal::TooLong => ErrorCode::DstOutOfSpace,
            Refusal::TooMany => ErrorCode::OutOfPackets,
            Refusal::Overlap | Refusal::Congestion => ErrorCode::BadParam,
        }
    }
}

/// The datagrams that wait for fragments.
pub struct Reassembly {
    slots: Box<[Slot]>,
    room: Box<[u8]>,
    per_source: usize,
    refused: u64,
    expired: u64,
}

struct Slot {
    /// `None`: free.
    key: Option<Datagram>,
    until: Instant,
    given_up: bool,
    /// Length of the headers, which end where the payload begins. 0: the first fragment is missing.
    head: usize,
    /// Length of the payload, once the last fragment was there.
    end: Option<usize>,
    /// Bit n: a fragment had n in its ECN field.
    ecn: u8,
    /// What is there, in order and without overlap.
    pieces: [(u16, u16); MAX_FRAGMENTS],
    count: usize,
}

/// One fragment, as its headers show it.
struct Piece<'a> {
    key: Datagram,
    start: usize,
    more: bool,
    payload: &'a [u8],
    /// The headers as the datagram has them, and where they name its protocol.
    head: &'a [u8],
    protocol_at: usize,
    protocol: u8,
    ecn: u8,
}

impl Reassembly {
    /// Room for as many datagrams at a time, 64 KiB each; no source has more than `per_source` of them, at least one.
    pub fn new(datagrams: usize, per_source: usize) -> Self {
        let free = |_| Slot::FREE;
        Reassembly {
            slots: (0..datagrams).map(free).collect(),
            room: vec![0; datagrams * ROOM].into_boxed_slice(),
            per_source,
            refused: 0,
            expired: 0,
        }
    }

    /// Takes the IP packet in. When all places are taken, or all of its source, the datagram that waited longest in one
    /// of them makes room.
    pub fn add(&mut self, packet: &[u8], now: Instant) -> Added<'_> {
        match self.place(packet, now) {
            Ok(None) => Added::Whole,
            Ok(Some(at)) => match self.complete(at) {
                Ok(Some(range)) => PacketBuf::new(&mut self.room[at * ROOM..(at + 1) * ROOM], range)
                    .map_or(Added::Held, Added::Complete),
                Ok(None) => Added::Held,
                Err(refusal) => self.refuse(refusal),
            },
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// Forgets what waited too long by `now`.
    pub fn tick(&mut self, now: Instant) {
        for slot in self.slots.iter_mut().filter(|slot| slot.key.is_some() && slot.until <= now) {
            self.expired += u64::from(!slot.given_up);
            slot.key = None;
        }
    }

    /// When [`Reassembly::tick`] has something to do next.
    pub fn deadline(&self) -> Option<Instant> {
        self.slots.iter().filter(|slot| slot.key.is_some()).map(|slot| slot.until).min()
    }

    /// Datagrams that wait, those given up among them.
    pub fn len(&self) -> usize {
        self.slots.iter().filter(|slot| slot.key.is_some()).count()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fragments refused, and datagrams that waited too long or had to make room, so far.
    pub fn counters(&self) -> (u64, u64) {
        (self.refused, self.expired)
    }

    fn refuse(&mut self, refusal: Refusal) -> Added<'_> {
        self.refused += 1;
        Added::Refused(refusal)
    }

    /// Puts the fragment where it belongs; the slot, or `None` when it is no fragment.
    fn place(&mut self, packet: &[u8], now: Instant) -> Result<Option<usize>, Refusal> {
        let header = Header::parse(packet).map_err(|_| Refusal::Malformed)?;
        let Some(piece) = Piece::of(packet, &header)? else { return Ok(None) };
        let at = self.slot_for(&piece.key, now)?;
        let slot = &mut self.slots[at];
        if slot.given_up {
            return Err(Refusal::GivenUp);
        }
        let room = &mut self.room[at * ROOM..(at + 1) * ROOM];
        match slot.take(&piece, room) {
            Ok(()) => Ok(Some(at)),
            Err(refusal) => {
                // RFC 5722 §3: nor are the fragments to come of any use; the slot stays to know them.
                slot.given_up = true;
                Err(refusal)
            }
        }
    }

    fn slot_for(&mut self, key: &Datagram, now: Instant) -> Result<usize, Refusal> {
        self.tick(now);
        if let Some(at) = self.slots.iter().position(|slot| slot.key.as_ref() == Some(key)) {
            return Ok(at);
        }
        let of_source = |at: &usize| self.slots[*at].key.is_some_and(|other| other.src == key.src);
        let oldest = |at: &usize| self.slots[*at].until;
        let all = 0..self.slots.len();
        let at = if all.clone().filter(of_source).count() >= self.per_source.max(1) {
            all.filter(of_source).min_by_key(oldest)
        } else {
            self.slots.iter().position(|slot| slot.key.is_none()).or_else(|| all.min_by_key(oldest))
        };
        let at = at.ok_or(Refusal::TooMany)?;
        let slot = &mut self.slots[at];
        self.expired += u64::from(slot.key.is_some() && !slot.given_up);
        *slot = Slot { key: Some(*key), until: now + TIMEOUT, ..Slot::FREE };
        Ok(at)
    }

    /// Where the datagram stands in its room, when nothing of it is missing; its slot is free then.
    fn complete(&mut self, at: usize) -> Result<Option<core::ops::Range<usize>>, Refusal> {
        let slot = &mut self.slots[at];
        let (Some(end), Some(key)) = (slot.end, slot.key) else { return Ok(None) };
        let there: usize = slot.pieces[..slot.count].iter().map(|&(start, end)| usize::from(end - start)).sum();
        if there < end || slot.head == 0 {
            return Ok(None);
        }
        slot.key = None;
        let range = HEAD_ROOM - slot.head..HEAD_ROOM + end;
        let packet = &mut self.room[at * ROOM..][range.clone()];
        let len = packet.len();
        let tos = slot.tos(packet)?;
        if key.src.is_ipv4() {
            let total_len = u16::try_from(len).map_err(|_| Refusal::TooLong)?;
            packet[v4::TOS_AT] = tos;
            packet[v4::FLAGS_AT..v4::FLAGS_AT + 2].fill(0);
            v4::rewrite(&mut packet[..slot.head], total_len, key.protocol);
        } else {
            let payload_len = u16::try_from(len - v6::HEADER_LEN).map_err(|_| Refusal::TooLong)?;
            packet[v6::PAYLOAD_LEN_AT..v6::PAYLOAD_LEN_AT + 2].copy_from_slice(&payload_len.to_be_bytes());
            if let Some(header) = packet.first_chunk_mut() {
                v6::set_tos(header, tos);
            }
        }
        Ok(Some(range))
    }
}

impl Slot {
    const FREE: Slot = Slot {
        key: None,
        until: Instant::ZERO,
        given_up: false,
        head: 0,
        end: None,
        ecn: 0,
        pieces: [(0, 0); MAX_FRAGMENTS],
        count: 0,
    };

    /// Takes the fragment over into `room`.
    fn take(&mut self, piece: &Piece<'_>, room: &mut [u8]) -> Result<(), Refusal> {
        let (start, end) = (piece.start, piece.start + piece.payload.len());
        let (Ok(first), Ok(last)) = (u16::try_from(start), u16::try_from(end)) else { return Err(Refusal::TooLong) };
        let at = self.pieces[..self.count].partition_point(|&(other, _)| other < first);
        let next = self.pieces[..self.count].get(at).copied();
        if next == Some((first, last)) && room[HEAD_ROOM + start..HEAD_ROOM + end] == *piece.payload {
            // RFC 8200 §4.5: the network may repeat one; it is not taken for an overlap.
            return Ok(());
        }
        let before = at.checked_sub(1).map(|at| self.pieces[at]);
        if before.is_some_and(|(_, end)| end > first) || next.is_some_and(|(start, _)| start < last) {
            return Err(Refusal::Overlap);
        }
        let reaches = self.pieces[..self.count].last().map_or(0, |&(_, end)| usize::from(end)).max(end);
        match (piece.more, self.end) {
            (true, Some(known)) if end > known => return Err(Refusal::Overlap),
            (false, Some(known)) if end != known => return Err(Refusal::Overlap),
            (false, None) if reaches > end => return Err(Refusal::Overlap),
            (false, _) => self.end = Some(end),
            _ => {}
        }
        if self.count == MAX_FRAGMENTS {
            return Err(Refusal::TooMany);
        }
        if start == 0 {
            let at = HEAD_ROOM.checked_sub(piece.head.len()).ok_or(Refusal::TooMany)?;
            self.head = piece.head.len();
            let head = &mut room[at..HEAD_ROOM];
            head.copy_from_slice(piece.head);
            head[piece.protocol_at] = piece.protocol;
        }
        self.pieces.copy_within(at..self.count, at + 1);
        self.pieces[at] = (first, last);
        self.count += 1;
        self.ecn |= 1 << piece.ecn;
        room[HEAD_ROOM + start..HEAD_ROOM + end].copy_from_slice(piece.payload);
        Ok(())
    }

    /// TOS byte of the datagram: that of the first fragment, with the congestion mark of any (RFC 3168 §5.3).
    fn tos(&self, packet: &[u8]) -> Result<u8, Refusal> {
        const NOT_ECT: u8 = 1 << 0b00;
        const CE: u8 = 1 << 0b11;
        let tos = match packet[0] >> 4 {
            4 => packet[v4::TOS_AT],
            _ => packet[0] << 4 | packet[1] >> 4,
        };
        match (self.ecn & CE != 0, self.ecn & NOT_ECT != 0) {
            (true, true) => Err(Refusal::Congestion),
            (true, false) => Ok(tos | 0b11),
            (false, true) => Ok(tos & !0b11),
            (false, false) => Ok(tos),
        }
    }
}

impl<'a> Piece<'a> {
    /// `None` when the packet is no fragment.
    fn of(packet: &'a [u8], header: &Header) -> Result<Option<Self>, Refusal> {
        let piece = match header.fragment {
            Fragment::Whole => return Ok(None),
            _ if header.src.is_ipv4() => Self::of_v4(packet, header),
            _ => Self::of_v6(packet, header),
        };
        let piece = piece.ok_or(Refusal::Malformed)?;
        let len = piece.payload.len();
        if len == 0 || piece.more && len % 8 != 0 {
            return Err(Refusal::Tiny);
        }
        // RFC 1858 §3, RFC 7112 §5: what a filter looks at stands in the first fragment.
        if piece.start == 0 && len < header.payload_at - header.esp_at + header_len(header.protocol) {
            return Err(Refusal::Tiny);
        }
        if piece.head.len() + piece.start + len > MAX_PAYLOAD + if header.src.is_ipv4() { 0 } else { v6::HEADER_LEN } {
            return Err(Refusal::TooLong);
        }
        Ok(Some(piece))
    }

    fn of_v4(packet: &'a [u8], header: &Header) -> Option<Self> {
        let flags = u16::from_be_bytes([packet[v4::FLAGS_AT], packet[v4::FLAGS_AT + 1]]);
        let protocol = header.protocol;
        Some(Piece {
            key: header.datagram(packet)?,
            start: usize::from(flags & v4::FRAGMENT_OFFSET) * 8,
            more: flags & v4::MORE_FRAGMENTS != 0,
            payload: &packet[header.payload_at..header.total_len],
            head: &packet[..header.payload_at],
            protocol_at: v4::PROTOCOL_AT,
            protocol,
            ecn: header.tos & 0b11,
        })
    }

    /// The fragment header is the last of those before `esp_at`, as [`v6::parse`] stops there or walks on behind it.
    fn of_v6(packet: &'a [u8], header: &Header) -> Option<Self> {
        let (at, named_at) = v6::fragment_header(packet)?;
        let &[next, _, hi, lo, ..] = packet.get(at..)?.first_chunk::<V6_HEADER_LEN>()?;
        let offset = u16::from_be_bytes([hi, lo]);
        Some(Piece {
            key: header.datagram(packet)?,
            start: usize::from(offset & !7),
            more: offset & 1 != 0,
            payload: packet.get(at + V6_HEADER_LEN..header.total_len)?,
            head: &packet[..at],
            protocol_at: named_at,
            protocol: next,
            ecn: header.tos & 0b11,
        })
    }
}

/// What of a transport header must be in the first fragment.
fn header_len(protocol: u8) -> usize {
    match protocol {
        protocol::TCP => 20,
        protocol::UDP | protocol::ICMP | protocol::ICMPV6 | protocol::ESP | protocol::UDP_LITE => 8,
        protocol::SCTP | protocol::AH | protocol::DCCP => 12,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
