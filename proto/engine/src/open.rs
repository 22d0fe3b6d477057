//! One packet through one inbound SA (RFC 4303 §3.4, RFC 4302 §3.4).
//!
//! 1. Length, sequence number, replay check: nothing of the SA changes yet.
//! 2. Verify the ICV and decrypt in place; only then record the sequence number.
//! 3. Padding and next header; behind AH, the same again for ESP where the SA has both.
//! 4. Take the outer headers off, or put the IP header back: the packet is whole and clear.
//! 5. Its flow must be in the SA's selectors (RFC 4301 §5.2).

use alloc::boxed::Box;
use core::net::IpAddr;

use ravelin_crypto::Forged;
use ravelin_types::policy::Mode;
use ravelin_types::sa::OriginalAddresses;
use ravelin_wire::ah::AhHeader;
use ravelin_wire::esp::{EspHeader, Trailer, parse_trailer};
use ravelin_wire::ip::{Fragment, Header, checksum, protocol, transport, v4, v6};

use crate::aggfrag::Taken;
use crate::ah::Ah;
use crate::ecn;
use crate::esp::Esp;
use crate::extras::clamp_arrived;
use crate::fragments::overwrites_header;
use crate::inbound::OuterMeta;
use crate::ipcomp::{Expander, expand};
use crate::packet::PacketBuf;
use crate::replay::{ReplayWindow, Stale};
use crate::sad::InboundSa;
use crate::suite::KeyedSuite;
use crate::verdict::DropReason;

/// A protected packet in its buffer.
#[derive(Clone, Copy)]
pub(crate) struct Arrived<'a> {
    /// Where ESP or AH begins in the packet; it goes to the packet's end.
    pub at: usize,
    /// What the outer headers say.
    pub meta: &'a OuterMeta,
    /// The outer IP header, if the packet has it.
    pub header: Option<&'a Header>,
}

/// What came out of a packet. Made of parts that fit registers: as a `Result` with the length inside it would be copied in
/// pieces, and each copy wait for the one before.
#[derive(Clone, Copy)]
pub(crate) struct Opened {
    /// Length of the payload.
    pub payload: usize,
    /// The packet is the newest of its SA so far, and authentic: its source is where the peer is now.
    pub newest: bool,
    /// Why the packet is dropped although authentic.
    pub refused: Option<DropReason>,
}

impl Opened {
    pub fn new(newest: bool, payload: Result<usize, DropReason>) -> Self {
        Opened { payload: payload.unwrap_or_default(), newest, refused: payload.err() }
    }
}

/// The payload of an authentic packet: it stands at `at`, and `Trailer` says how much of it there is.
#[derive(Clone, Copy)]
struct Payload {
    at: usize,
    trailer: Trailer,
}

/// Verifies and opens the packet with the ESP header `header`. An error means that it is not known to be authentic, and
/// the SA is as before.
#[inline]
pub(crate) fn open(
    sa: &mut InboundSa,
    expander: &mut Option<Box<Expander>>,
    pkt: &mut PacketBuf<'_>,
    header: EspHeader,
    arrived: Arrived<'_>,
) -> Result<Opened, DropReason> {
    let KeyedSuite::Esp(esp) = &sa.suite else { return Err(DropReason::ExpectedAh) };
    let packet = &mut pkt.packet_mut()[arrived.at..];
    let newest = open_esp(esp, &mut sa.window, packet.len(), header, |sequence| esp.open(packet, sequence))?;
    Ok(opened(sa, expander, pkt, newest, arrived))
}

/// The sequence number of an ESP packet that [`open`] would go on to decrypt; nothing is counted.
pub(crate) fn openable(sa: &InboundSa, packet: &[u8], header: EspHeader) -> Option<u64> {
    let KeyedSuite::Esp(esp) = &sa.suite else { return None };
    if esp.fits(packet.len()) { renew(sa, header.sequence) } else { None }
}

/// The rest of [`open`] for a packet that was [`openable`], once it is decrypted, or found `forged`. Others of the SA may
/// have been opened since.
pub(crate) fn open_decrypted(
    sa: &mut InboundSa,
    expander: &mut Option<Box<Expander>>,
    pkt: &mut PacketBuf<'_>,
    sequence: u64,
    forged: bool,
    arrived: Arrived<'_>,
) -> Result<Opened, DropReason> {
    sa.window.check(sequence).map_err(replayed)?;
    if forged {
        return Err(DropReason::Forged);
    }
    let newest = sa.window.accept(sequence);
    Ok(opened(sa, expander, pkt, newest, arrived))
}

/// What an authentic ESP packet turns out to be.
#[inline]
fn opened(
    sa: &mut InboundSa,
    expander: &mut Option<Box<Expander>>,
    pkt: &mut PacketBuf<'_>,
    newest: bool,
    arrived: Arrived<'_>,
) -> Opened {
    let inside = match &sa.suite {
        KeyedSuite::Esp(esp) => inside_esp(esp, pkt, arrived.at, sa.mode, sa.pad_check),
        _ => Err(DropReason::ExpectedAh),
    };
    match inside {
        Ok(inside) if sa.aggfrag => absorb(sa, pkt, inside, newest, arrived),
        Ok(inside) => {
            let refused = uncover(sa, expander, pkt, inside, arrived).err();
            Opened { payload: inside.trailer.payload_len, newest, refused }
        }
        Err(reason) => Opened { payload: 0, newest, refused: Some(reason) },
    }
}

/// The SA's receiver takes the payload, from which packets come later.
#[cold]
fn absorb(sa: &mut InboundSa, pkt: &PacketBuf<'_>, inside: Payload, newest: bool, arrived: Arrived<'_>) -> Opened {
    let Payload { at, trailer } = inside;
    let sequence = EspHeader::parse(&pkt.packet()[arrived.at..]).map(|header| sa.window.accepted(header.sequence));
    let taken = match (trailer.next_header, sequence, sa.cold.receiver.as_deref_mut()) {
        (protocol::AGGFRAG, Some(sequence), Some(receiver)) => {
            receiver.take(sequence, &pkt.packet()[at..at + trailer.payload_len], arrived.meta.tos)
        }
        // RFC 9347 §2.3: nothing else goes over such an SA.
        _ => Err(DropReason::BadNextHeader),
    };
    let refused = match taken {
        Ok(Taken::Packets) => None,
        Ok(Taken::Padding) => Some(DropReason::Dummy),
        Err(reason) => Some(reason),
    };
    Opened { payload: trailer.payload_len, newest, refused }
}

/// A packet with AH, in one piece or many ([`ChainBuf`](crate::chain::ChainBuf)).
pub(crate) trait AhPacket<'a> {
    /// The packet as it is seen.
    fn buf(&mut self) -> &mut PacketBuf<'a>;
    /// All of it is there from now on.
    fn gather(&mut self);
    /// [`Ah::verify`].
    fn verify(&mut self, ah: &Ah, at: usize, sequence: u64) -> Result<(), DropReason>;
    /// [`Esp::open`], of what is at `at`; what is then to be seen of it is.
    fn open(&mut self, esp: &Esp, at: usize, sequence: u64, mode: Mode) -> Result<(), Forged>;
    /// What is to be seen of a payload at `at` is there.
    fn show_payload(&mut self, at: usize, next_header: u8, mode: Mode);
}

impl<'a> AhPacket<'a> for PacketBuf<'a> {
    fn buf(&mut self) -> &mut PacketBuf<'a> {
        self
    }

    fn gather(&mut self) {}

    fn verify(&mut self, ah: &Ah, at: usize, sequence: u64) -> Result<(), DropReason> {
        ah.verify(self.packet(), at, sequence)
    }

    fn open(&mut self, esp: &Esp, at: usize, sequence: u64, _: Mode) -> Result<(), Forged> {
        esp.open(&mut self.packet_mut()[at..], sequence)
    }

    fn show_payload(&mut self, _: usize, _: u8, _: Mode) {}
}

/// [`open`] for AH.
#[cold]
pub(crate) fn open_ah<'a>(
    sa: &mut InboundSa,
    expander: &mut Option<Box<Expander>>,
    packet: &mut impl AhPacket<'a>,
    header: AhHeader,
    arrived: Arrived<'_>,
) -> Result<Opened, DropReason> {
    let Some(ah) = sa.suite.ah() else { return Err(DropReason::ExpectedEsp) };
    if !ah.takes_len(header.len, arrived.meta.dst.is_ipv6()) {
        return Err(DropReason::BadAhLength);
    }
    let sequence = fresh(&sa.window, header.sequence, ah.extended).map_err(replayed)?;
    if !sa.suite.takes_pieces() || sa.cold.params.options.ipcomp.cpi().is_some() {
        packet.gather();
    }
    packet.verify(ah, arrived.at, sequence)?;
    let newest = sa.window.accept(sequence);
    let at = arrived.at + header.len;
    let payload = match &mut sa.suite {
        KeyedSuite::AhEsp(both) if header.next_header == protocol::ESP => {
            let esp_packet = &packet.buf().packet()[at..];
            let (esp_header, len) = (EspHeader::parse(esp_packet), esp_packet.len());
            match esp_header {
                Some(esp_header) if esp_header.spi == sa.cold.params.spi => {
                    let open = |sequence| packet.open(&both.esp, at, sequence, sa.mode);
                    open_esp(&both.esp, &mut both.esp_window, len, esp_header, open)
                        .and_then(|_| inside_esp(&both.esp, packet.buf(), at, sa.mode, sa.pad_check))
                }
                Some(_) => Err(DropReason::UnknownSpi),
                None => Err(DropReason::BadEspLength),
            }
        }
        KeyedSuite::AhEsp(_) => Err(DropReason::ExpectedEsp),
        _ => {
            packet.show_payload(at, header.next_header, sa.mode);
            let trailer = Trailer { payload_len: packet.buf().len() - at, next_header: header.next_header };
            Ok(Payload { at, trailer })
        }
    };
    let uncovered = payload.and_then(|payload| {
        uncover(sa, expander, packet.buf(), payload, arrived).map(|()| payload.trailer.payload_len)
    });
    Ok(Opened::new(newest, uncovered))
}

/// Has `open` verify and decrypt an ESP packet of `len` bytes in place, and records its number. True when that is the
/// highest so far.
#[inline]
fn open_esp(
    esp: &Esp,
    window: &mut ReplayWindow,
    len: usize,
    header: EspHeader,
    open: impl FnOnce(u64) -> Result<(), Forged>,
) -> Result<bool, DropReason> {
    if !esp.fits(len) {
        return Err(DropReason::BadEspLength);
    }
    let sequence = fresh(window, header.sequence, esp.extended).map_err(replayed)?;
    open(sequence).map_err(|_| DropReason::Forged)?;
    Ok(window.accept(sequence))
}

/// The whole sequence number that a packet of an ESP SA with `low` may have, if it may be fresh.
pub(crate) fn renew(sa: &InboundSa, low: u32) -> Option<u64> {
    let KeyedSuite::Esp(esp) = &sa.suite else { return None };
    fresh(&sa.window, low, esp.extended).ok()
}

/// The whole sequence number of which a packet carries `low`, if it was not seen before.
#[inline]
fn fresh(window: &ReplayWindow, low: u32, extended: bool) -> Result<u64, Stale> {
    let sequence = if extended { window.infer(low).ok_or(Stale::TooOld)? } else { low.into() };
    window.check(sequence).map(|()| sequence)
}

fn replayed(stale: Stale) -> DropReason {
    match stale {
        Stale::Seen => DropReason::Replayed,
        Stale::TooOld => DropReason::TooOld,
    }
}

/// What an opened ESP packet at `at` holds.
#[inline(always)]
fn inside_esp(
    esp: &Esp,
    pkt: &mut PacketBuf<'_>,
    at: usize,
    mode: Mode,
    pad_check: bool,
) -> Result<Payload, DropReason> {
    let (packet, at) = (pkt.packet(), at + esp.head_len());
    let mut trailer =
        parse_trailer(&packet[at..packet.len() - esp.icv_len()], pad_check).ok_or(DropReason::BadPadding)?;
    if trailer.next_header == protocol::NO_NEXT_HEADER {
        // What is inside stays, for whoever wants to look at it.
        pkt.truncate(at + trailer.payload_len);
        pkt.trim_front(at);
        return Err(DropReason::Dummy);
    }
    if mode == Mode::Transport {
        trailer.payload_len = own_len(trailer.next_header, &packet[at..at + trailer.payload_len]);
    }
    Ok(Payload { at, trailer })
}

/// RFC 4303 §2.7: what stands behind a payload that tells its own length is TFC padding. One that tells nonsense is left
/// to the stack.
fn own_len(protocol: u8, payload: &[u8]) -> usize {
    let word =
        |at: usize| payload.get(at..at + 2).map_or(0, |bytes| usize::from(bytes[0]) << 8 | usize::from(bytes[1]));
    let (least, told) = match protocol {
        protocol::UDP => (transport::UDP_HEADER_LEN, word(4)),
        protocol::IPV4 => (v4::HEADER_LEN, word(2)),
        protocol::IPV6 => (v6::HEADER_LEN + 1, v6::HEADER_LEN + word(4)),
        _ => return payload.len(),
    };
    if (least..=payload.len()).contains(&told) { told } else { payload.len() }
}

/// Makes the clear packet out of the opened one.
#[inline]
fn uncover(
    sa: &mut InboundSa,
    expander: &mut Option<Box<Expander>>,
    pkt: &mut PacketBuf<'_>,
    payload: Payload,
    arrived: Arrived<'_>,
) -> Result<(), DropReason> {
    let Payload { at: text_at, mut trailer } = payload;
    pkt.truncate(text_at + trailer.payload_len);
    // RFC 3173 §2: whether or not it is compressed, packet by packet.
    if trailer.next_header == protocol::IPCOMP
        && let Some(cpi) = sa.cold.params.options.ipcomp.cpi()
    {
        trailer.next_header = expand(cpi, expander, pkt, text_at)?;
        trailer.payload_len = pkt.len() - text_at;
    }
    match sa.mode {
        Mode::Tunnel => pkt.trim_front(text_at),
        Mode::Transport => restore_header(pkt, text_at, trailer, arrived)?,
    }
    let parsed = Header::parse(pkt.packet());
    let Ok(header) = &parsed else { return Err(DropReason::BadInnerPacket) };
    match sa.mode {
        Mode::Tunnel => leave_tunnel(pkt, header, trailer.next_header, arrived.meta.tos)?,
        // Extension headers behind ESP (destination options) may lead to what must not be there.
        Mode::Transport if header.fragment != Fragment::Whole => return Err(DropReason::BadInnerPacket),
        Mode::Transport => {}
    }
    if sa.mends
        && let Some(original) = sa.cold.params.original
    {
        mend_checksum(pkt.packet_mut(), header, original);
    }
    judge(sa, pkt, header)
}

/// What came out of AGGFRAG payloads is a packet of the SA.
#[cold]
pub(crate) fn uncover_packet(sa: &InboundSa, pkt: &mut PacketBuf<'_>) -> Result<(), DropReason> {
    let Ok(header) = Header::parse(pkt.packet()) else { return Err(DropReason::BadInnerPacket) };
    if overwrites_header(&header, pkt.packet()) {
        return Err(DropReason::OverlappingFragment);
    }
    judge(sa, pkt, &header)
}

/// The last of what there is to do with a clear packet, and whether it is within the selectors.
#[inline]
fn judge(sa: &InboundSa, pkt: &mut PacketBuf<'_>, header: &Header) -> Result<(), DropReason> {
    if sa.clamps {
        clamp_arrived(sa, pkt, header);
    }
    // Where later fragments were agreed on, the first one of theirs says: see `Inbound::admit`.
    let first_decides = sa.later_fragments && header.fragment == Fragment::Later;
    if !first_decides && !sa.selects(header, pkt.packet()) {
        return Err(DropReason::BadSelector);
    }
    Ok(())
}

/// Tunnel mode: the payload is the packet, and `header` its header.
#[inline]
fn leave_tunnel(pkt: &mut PacketBuf<'_>, header: &Header, next_header: u8, outer_tos: u8) -> Result<(), DropReason> {
    match (next_header, header.src.is_ipv4()) {
        (protocol::IPV4, true) | (protocol::IPV6, false) => {}
        (protocol::IPV4 | protocol::IPV6, _) => return Err(DropReason::BadInnerPacket),
        _ => return Err(DropReason::BadNextHeader),
    }
    if overwrites_header(header, pkt.packet()) {
        return Err(DropReason::OverlappingFragment);
    }
    // RFC 4303 §2.7: what stands behind the inner packet hides its length from others.
    pkt.truncate(header.total_len);
    let tos = ecn::decapsulate(header.tos, outer_tos).ok_or(DropReason::CongestionLost)?;
    if tos != header.tos {
        ecn::set_tos(pkt.packet_mut(), tos);
    }
    Ok(())
}

/// Transport mode: the IP header, the packet's own or one built from what is known of it, moves up to the payload.
fn restore_header(
    pkt: &mut PacketBuf<'_>,
    text_at: usize,
    trailer: Trailer,
    arrived: Arrived<'_>,
) -> Result<(), DropReason> {
    let meta = arrived.meta;
    // RFC 4303 §3.1.1, RFC 4302 §3.1.1: these headers stand before ESP and AH. Behind it they would make the packet another than the one
    // that was checked, and a fragment is nothing for transport mode (§3.3.4).
    let misplaced = matches!(trailer.next_header, protocol::HOP_BY_HOP | protocol::ROUTING | protocol::FRAGMENT);
    if misplaced && meta.src.is_ipv6() {
        return Err(DropReason::BadInnerPacket);
    }
    match arrived.header {
        Some(header) => move_header(pkt, text_at, trailer, header),
        None => build_header(pkt, text_at, trailer, meta)?,
    }
    Ok(())
}

fn move_header(pkt: &mut PacketBuf<'_>, text_at: usize, trailer: Trailer, header: &Header) {
    let header_len = header.payload_at;
    let start = text_at - header_len;
    pkt.packet_mut().copy_within(..header_len, start);
    pkt.trim_front(start);
    let packet = pkt.packet_mut();
    let len = packet.len();
    if header.src.is_ipv4() {
        v4::rewrite(&mut packet[..header_len], len as u16, trailer.next_header);
    } else {
        packet[v6::PAYLOAD_LEN_AT..6].copy_from_slice(&((len - v6::HEADER_LEN) as u16).to_be_bytes());
        packet[header.protocol_at] = trailer.next_header;
    }
}

fn build_header(pkt: &mut PacketBuf<'_>, text_at: usize, trailer: Trailer, meta: &OuterMeta) -> Result<(), DropReason> {
    pkt.trim_front(text_at);
    let payload_len = pkt.len();
    match (meta.src, meta.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let total_len = u16::try_from(v4::HEADER_LEN + payload_len).map_err(|_| DropReason::BadInnerPacket)?;
            let out = grown::<{ v4::HEADER_LEN }>(pkt)?;
            let (tos, ttl, protocol) = (meta.tos, meta.ttl, trailer.next_header);
            v4::Fields { tos, total_len, id: 0, dont_fragment: true, ttl, protocol, src, dst }.emit(out);
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let payload_len = u16::try_from(payload_len).map_err(|_| DropReason::BadInnerPacket)?;
            let out = grown::<{ v6::HEADER_LEN }>(pkt)?;
            let (tos, hop_limit, next_header) = (meta.tos, meta.ttl, trailer.next_header);
            v6::Fields { tos, payload_len, next_header, hop_limit, src, dst }.emit(out);
        }
        _ => return Err(DropReason::BadIpHeader),
    }
    Ok(())
}

fn grown<'a, const N: usize>(pkt: &'a mut PacketBuf<'_>) -> Result<&'a mut [u8; N], DropReason> {
    if !pkt.grow_front(N) {
        return Err(DropReason::NoRoom);
    }
    pkt.packet_mut().first_chunk_mut().ok_or(DropReason::NoRoom)
}

/// RFC 3948 §3.1.2: the sender computed the checksum over the addresses it knew ; the stack will check it
/// over those that the packet has now.
fn mend_checksum(packet: &mut [u8], header: &Header, original: OriginalAddresses) {
    let Some(place) = transport::pseudo_header_checksum(header.protocol) else { return };
    let at = header.payload_at + place.at;
    let Some(field) = packet.get_mut(at..at + 2) else { return };
    let old = u16::from_be_bytes([field[0], field[1]]);
    if place.zero_is_none && old == 0 && header.src.is_ipv4() {
        return;
    }
    let then = checksum::sum_address(original.src) + checksum::sum_address(original.dst);
    let now = checksum::sum_address(header.src) + checksum::sum_address(header.dst);
    let mended = checksum::update_sums(old, then, now);
    // RFC 768: a computed zero is sent as ones, since zero means none.
    let mended = if mended == 0 && place.zero_is_none { u16::MAX } else { mended };
    field.copy_from_slice(&mended.to_be_bytes());
}
