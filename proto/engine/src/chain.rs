//! A packet in pieces, protected and opened where it lies.
//!
//! ```text
//!  pieces   [..|....|.|...........|..|...............|.|.....]
//!  buffer   room | front |        hole: nothing is there        | back | room
//!                 `- copied: headers                              `- copied: trailer and ICV, or to be written
//! ```
//! The buffer has room for the whole packet, but only its ends are copied there. The engine grows, shrinks and judges the
//! packet in the buffer as if it stood there: it looks at headers and trailers only, and all but the cipher is done as for a
//! packet that is set aside for a batch or for hardware ([`accelerator`](crate::accelerator)). The cipher alone goes over the
//! pieces. What nothing of the engine may look at is the hole; wherever something would (headers beyond the front, a
//! compressed payload, an ICMP message that quotes the packet, a cipher that takes one piece), the rest is gathered first,
//! and the packet is one like any other. So there is one way through every protocol.

use core::fmt;
use core::ops::Range;

use ravelin_crypto::{Forged, Pieces, PiecesMut};
use ravelin_types::policy::{Domain, Mode};
use ravelin_wire::ah::FIXED_LEN;
use ravelin_wire::esp::TRAILER_LEN;
use ravelin_wire::ip::{Header, Malformed, checksum, is_extension, v6};

use crate::ah::Ah;
use crate::esp::Esp;
use crate::open::AhPacket;
use crate::packet::{HEADROOM, Mark, PacketBuf, TAILROOM};
use crate::template::{UDP_CHECKSUM, udp_checksum};
use crate::verdict::DropReason;

/// So much of its beginning is copied of every packet. It holds the headers of nearly all: IPv6, AH, ESP header and IV, IPv6
/// again and the longest TCP header, and some bytes of options.
const FRONT: usize = 256;
/// What the engine looks at behind an IP header: the longest TCP header.
const TRANSPORT: usize = 60;
/// Where both stand in an IPv6 header.
const ADDRESSES: Range<usize> = 8..v6::HEADER_LEN;

/// A packet in pieces of any number and any size, and a buffer that it would fit in.
pub struct ChainBuf<'a> {
    /// The packet as if it stood in the buffer.
    pub(crate) pkt: PacketBuf<'a>,
    pieces: &'a mut dyn PiecesMut,
    /// Where in the buffer bytes of the pieces would stand that are not there. Before it moved, the packet began at
    /// [`HEADROOM`].
    hole: Range<usize>,
}

/// Where a packet is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Its beginning, in the buffer.
    pub front: Range<usize>,
    /// What follows, counted in bytes from the beginning of the first piece.
    pub middle: Range<usize>,
    /// Its end, in the buffer.
    pub back: Range<usize>,
}

impl<'a> ChainBuf<'a> {
    /// The packet that stands in `pieces`; `None` when `buffer` has no room for it with [`HEADROOM`] and [`TAILROOM`]. As
    /// long as there is a `ChainBuf` of them, the pieces keep their number and lengths.
    pub fn new(pieces: &'a mut dyn PiecesMut, buffer: &'a mut [u8]) -> Option<Self> {
        let len = (&*pieces as &dyn Pieces).total();
        let end = HEADROOM.checked_add(len).filter(|end| *end <= buffer.len().saturating_sub(TAILROOM))?;
        let pkt = PacketBuf::new(buffer, HEADROOM..end)?;
        let mut this = ChainBuf { pkt, pieces, hole: HEADROOM..end };
        this.fill_front(FRONT);
        Some(this)
    }

    /// The same packet with the mark that the engine left on it earlier.
    #[must_use]
    pub fn with_mark(self, mark: Mark) -> Self {
        ChainBuf { pkt: self.pkt.with_mark(mark), ..self }
    }

    /// The same packet in another domain.
    #[must_use]
    pub fn in_domain(self, domain: Domain) -> Self {
        ChainBuf { pkt: self.pkt.in_domain(domain), ..self }
    }

    /// As [`PacketBuf::mark`].
    pub fn mark(&self) -> Mark {
        self.pkt.mark()
    }

    /// As [`PacketBuf::domain`].
    pub fn domain(&self) -> Domain {
        self.pkt.domain()
    }

    /// Where the packet is now. What is not in `middle` any more of the pieces is no part of it.
    pub fn layout(&self) -> Layout {
        let Range { start, end } = self.pkt.range();
        if self.is_gathered() {
            return Layout { front: start..end, middle: 0..0, back: end..end };
        }
        let clip = |at: usize| at.clamp(start, end);
        let (from, to) = (clip(self.hole.start), clip(self.hole.end));
        Layout { front: start..from, middle: from - HEADROOM..to - HEADROOM, back: to..end }
    }

    /// The packet, in the parts in which it lies.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let Layout { front, middle, back } = self.layout();
        let buffer = self.pkt.buffer();
        let pieces: &dyn Pieces = &*self.pieces;
        let middle = pieces.iter().scan(0, move |at, piece| {
            let from = middle.start.saturating_sub(*at).min(piece.len());
            let to = middle.end.saturating_sub(*at).min(piece.len());
            *at += piece.len();
            Some(&piece[from..to])
        });
        [&buffer[front]].into_iter().chain(middle).chain([&buffer[back]])
    }

    /// The family of its outermost header.
    pub(crate) fn is_ipv6(&self) -> bool {
        self.pkt.packet().first().is_some_and(|first| first >> 4 == 6)
    }

    /// Whether all of it stands in the buffer.
    pub(crate) fn is_gathered(&self) -> bool {
        self.hole.is_empty()
    }

    /// Copies what is not in the buffer yet.
    pub(crate) fn gather(&mut self) {
        self.copy(self.hole.clone());
        self.hole.end = self.hole.start;
    }

    /// The header, once all that it leads to stands in the buffer.
    pub(crate) fn header(&mut self) -> Result<Header, Malformed> {
        match Header::parse(self.pkt.packet()) {
            Ok(header) if self.has_front(header.payload_at + TRANSPORT) => Ok(header),
            // A header in the hole lies beyond the front, and so does what would be read of it.
            _ => {
                self.gather();
                Header::parse(self.pkt.packet())
            }
        }
    }

    /// The packet ends where its header says.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.pkt.truncate(len);
        self.hole.end = self.hole.end.min(self.pkt.range().end);
        self.hole.start = self.hole.start.min(self.hole.end);
    }

    /// Whether a packet of which the headers up to `end` are looked at may stay in pieces.
    fn is_in_pieces(&mut self, end: usize) -> bool {
        if !self.has_front(end) {
            self.gather();
        }
        !self.is_gathered()
    }

    /// Copies so much of the beginning.
    fn fill_front(&mut self, len: usize) {
        let to = self.hole.end.min(self.hole.start + len);
        self.copy(self.hole.start..to);
        self.hole.start = to;
    }

    /// Copies what ends a protected packet.
    pub(crate) fn fill_back(&mut self) {
        let from = self.hole.start.max(self.hole.end.saturating_sub(TAILROOM));
        self.copy(from..self.hole.end);
        self.hole.end = from;
    }

    /// Whether the first `len` bytes stand in the buffer.
    fn has_front(&self, len: usize) -> bool {
        self.is_gathered() || self.pkt.range().start + len <= self.hole.start
    }

    /// Verifies and decrypts the ESP packet at `at` where it lies.
    pub(crate) fn open_esp(&mut self, esp: &Esp, at: usize, sequence: u64, mode: Mode) -> Result<(), Forged> {
        let (head_len, icv_len) = (esp.head_len(), esp.icv_len());
        esp.open_pieces(self.esp(at, head_len, icv_len), sequence)?;
        self.show_text(at + head_len, icv_len, mode);
        Ok(())
    }

    /// Has all in the buffer that the engine looks at of an ESP packet once it is decrypted: text from `text_at` on, and an ICV.
    fn show_text(&mut self, text_at: usize, icv_len: usize, mode: Mode) {
        let text = &self.pkt.packet()[text_at..self.pkt.len() - icv_len];
        let Some((_, &[pad_len, next_header])) = text.split_last_chunk::<TRAILER_LEN>() else { return self.gather() };
        let back = usize::from(pad_len) + TRAILER_LEN + icv_len;
        if self.hole.end + back > self.pkt.range().end {
            self.gather();
        }
        self.show_inside(text_at, next_header, mode);
    }

    /// The same of a payload at `at`.
    fn show_inside(&mut self, at: usize, next_header: u8, mode: Mode) {
        let headers = match (mode, Header::parse(&self.pkt.packet()[at..])) {
            (Mode::Tunnel, Ok(header)) => Some(header.payload_at),
            (Mode::Transport, _) if !is_extension(next_header) => Some(0),
            _ => None,
        };
        if headers.is_none_or(|headers| !self.has_front(at + headers + TRANSPORT)) {
            self.gather();
        }
    }

    /// Writes the checksum of the datagram at `at`, which goes to the packet's end, where the packet is IPv6.
    pub(crate) fn sum_udp(&mut self, at: usize) {
        if !self.is_ipv6() {
            return;
        }
        let addresses = checksum::sum(&self.pkt.packet()[ADDRESSES]);
        let (mut sum, mut before) = (0, 0);
        for part in self.parts() {
            let outside = at.saturating_sub(before).min(part.len());
            let words = checksum::fold(checksum::sum(&part[outside..]));
            // Behind an odd number of bytes the words are made of the other halves (RFC 1071 §2).
            let odd = (before + outside).abs_diff(at) % 2 == 1;
            sum += u64::from(if odd { words.swap_bytes() } else { words });
            before += part.len();
        }
        let sum = udp_checksum(addresses, before - at, sum);
        self.pkt.packet_mut()[at..][UDP_CHECKSUM].copy_from_slice(&sum.to_be_bytes());
    }

    fn copy(&mut self, range: Range<usize>) {
        let mut at = HEADROOM;
        for piece in (&*self.pieces as &dyn Pieces).iter() {
            let part = range.start.max(at)..range.end.min(at + piece.len());
            if !part.is_empty() {
                let bytes = &piece[part.start - at..part.end - at];
                self.pkt.buffer_mut()[part].copy_from_slice(bytes);
            }
            at += piece.len();
        }
    }

    /// The ESP packet at `at`, whose header and IV have `head_len` bytes. It goes to the packet's end.
    pub(crate) fn esp(&mut self, at: usize, head_len: usize, icv_len: usize) -> EspPieces<'_> {
        let (front, text, icv) = self.split(at + head_len, icv_len);
        EspPieces { head: &mut front[at..], text, icv }
    }

    /// The packet with AH at `at`.
    pub(crate) fn ah(&mut self, at: usize, icv_len: usize) -> AhPieces<'_> {
        let (front, rest, _) = self.split(at + FIXED_LEN + icv_len, 0);
        let (before, header) = front.split_at_mut(at);
        let (fixed, icv) = header.split_at_mut(FIXED_LEN);
        AhPieces { before, fixed, icv, rest }
    }

    /// The first bytes, which stand in the buffer, the last, which do too, and what is between them.
    fn split(&mut self, first_len: usize, last_len: usize) -> (&mut [u8], Text<'_>, &mut [u8]) {
        let Range { start, end } = self.pkt.range();
        let Range { start: from, end: to } = self.hole.clone();
        let (front, rest) = self.pkt.buffer_mut()[start..end].split_at_mut(from - start);
        let back = &mut rest[to - from..];
        let (front, first) = front.split_at_mut(first_len);
        let (last, end) = back.split_at_mut(back.len() - last_len);
        let place = |at| place(&*self.pieces, at);
        let (from, to) = (place(from - HEADROOM), place(to - HEADROOM));
        (front, Text { first, pieces: &mut *self.pieces, from, to, last }, end)
    }
}

impl<'a> AhPacket<'a> for ChainBuf<'a> {
    fn buf(&mut self) -> &mut PacketBuf<'a> {
        &mut self.pkt
    }

    fn gather(&mut self) {
        ChainBuf::gather(self);
    }

    fn verify(&mut self, ah: &Ah, at: usize, sequence: u64) -> Result<(), DropReason> {
        match self.is_in_pieces(at + FIXED_LEN + ah.icv_len()) {
            true => ah.verify_pieces(&self.ah(at, ah.icv_len()), sequence),
            false => self.pkt.verify(ah, at, sequence),
        }
    }

    fn open(&mut self, esp: &Esp, at: usize, sequence: u64, mode: Mode) -> Result<(), Forged> {
        match self.is_in_pieces(at + esp.head_len()) {
            true => self.open_esp(esp, at, sequence, mode),
            false => self.pkt.open(esp, at, sequence, mode),
        }
    }

    fn show_payload(&mut self, at: usize, next_header: u8, mode: Mode) {
        self.show_inside(at, next_header, mode);
    }
}

/// Piece and place in it of the byte `at`, or behind the last.
fn place(pieces: &dyn Pieces, mut at: usize) -> (usize, usize) {
    for (n, piece) in pieces.iter().enumerate() {
        if at < piece.len() {
            return (n, at);
        }
        at -= piece.len();
    }
    (pieces.count(), 0)
}

impl fmt::Debug for ChainBuf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainBuf({} bytes, {:?})", self.pkt.len(), self.layout())
    }
}

/// An ESP packet in pieces.
pub(crate) struct EspPieces<'a> {
    /// Header and IV.
    pub head: &'a mut [u8],
    pub text: Text<'a>,
    pub icv: &'a mut [u8],
}

/// A packet with AH in pieces.
pub(crate) struct AhPieces<'a> {
    /// The headers before AH.
    pub before: &'a mut [u8],
    /// AH before the ICV.
    pub fixed: &'a mut [u8],
    pub icv: &'a mut [u8],
    /// What is behind it.
    pub rest: Text<'a>,
}

/// Text of which the ends stand in the buffer.
pub(crate) struct Text<'a> {
    first: &'a mut [u8],
    pieces: &'a mut dyn PiecesMut,
    from: (usize, usize),
    /// Behind the last byte.
    to: (usize, usize),
    last: &'a mut [u8],
}

impl Text<'_> {
    /// How many pieces it has part in.
    fn middle(&self) -> usize {
        self.to.0 - self.from.0 + usize::from(self.to.1 > 0)
    }

    /// What of the piece `n`, with `len` bytes, belongs to it.
    fn part(&self, n: usize, len: usize) -> Range<usize> {
        let start = if n == self.from.0 { self.from.1 } else { 0 };
        let end = if n == self.to.0 { self.to.1 } else { len };
        start..end
    }
}

impl Pieces for Text<'_> {
    fn count(&self) -> usize {
        self.middle() + 2
    }

    fn piece(&self, n: usize) -> &[u8] {
        match n.checked_sub(1) {
            None => self.first,
            Some(n) if n == self.middle() => self.last,
            Some(n) => {
                let n = self.from.0 + n;
                let piece = self.pieces.piece(n);
                &piece[self.part(n, piece.len())]
            }
        }
    }
}

impl PiecesMut for Text<'_> {
    fn piece_mut(&mut self, n: usize) -> &mut [u8] {
        match n.checked_sub(1) {
            None => self.first,
            Some(n) if n == self.middle() => self.last,
            Some(n) => {
                let n = self.from.0 + n;
                let part = self.part(n, self.pieces.piece(n).len());
                &mut self.pieces.piece_mut(n)[part]
            }
        }
    }
}

/// What an ICV covers.
pub(crate) struct Covered<'a, const BEFORE: usize> {
    pub before: [&'a [u8]; BEFORE],
    pub text: &'a dyn Pieces,
    pub behind: &'a [u8],
}

impl<const BEFORE: usize> Pieces for Covered<'_, BEFORE> {
    fn count(&self) -> usize {
        BEFORE + self.text.count() + 1
    }

    fn piece(&self, n: usize) -> &[u8] {
        match n.checked_sub(BEFORE) {
            None => self.before[n],
            Some(n) if n == self.text.count() => self.behind,
            Some(n) => self.text.piece(n),
        }
    }
}
