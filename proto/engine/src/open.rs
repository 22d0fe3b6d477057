//! One ESP packet through one inbound SA (RFC 4303 §3.4).
//!
//! 1. Length, sequence number, replay check: nothing of the SA changes yet.
//! 2. Verify the ICV and decrypt in place; only then record the sequence number.
//! 3. Padding and next header.
//! 4. Take the outer headers off, or put the IP header back: the packet is whole and clear.
//! 5. Its flow must be in the SA's selectors (RFC 4301 §5.2).

use core::net::IpAddr;

use ravelin_types::policy::Mode;
use ravelin_types::sa::OriginalAddresses;
use ravelin_wire::esp::{EspHeader, Trailer, parse_trailer};
use ravelin_wire::ip::{Fragment, Header, checksum, protocol, transport, v4, v6};

use crate::ecn;
use crate::inbound::OuterMeta;
use crate::packet::PacketBuf;
use crate::replay::Stale;
use crate::sad::InboundSa;
use crate::verdict::DropReason;

/// An ESP packet in its buffer.
#[derive(Clone, Copy)]
pub(crate) struct Arrived<'a> {
    /// Where ESP begins in the packet; it goes to the packet's end.
    pub esp_at: usize,
    pub esp: EspHeader,
    /// What the outer headers say.
    pub meta: &'a OuterMeta,
    /// The outer IP header, if the packet has it.
    pub header: Option<&'a Header>,
}

/// What came out of a packet.
pub(crate) struct Opened {
    /// The packet is the newest of its SA so far, and authentic: its source is where the peer is now.
    pub newest: bool,
    /// The length of the payload, or why the packet is dropped although authentic.
    pub payload: Result<usize, DropReason>,
}

/// Verifies and opens the packet. An error means that it is not known to be authentic, and the SA is as before.
#[inline]
pub(crate) fn open(sa: &mut InboundSa, pkt: &mut PacketBuf<'_>, arrived: Arrived<'_>) -> Result<Opened, DropReason> {
    let Arrived { esp_at, esp, .. } = arrived;
    if !sa.transform.fits(pkt.len() - esp_at) {
        return Err(DropReason::BadEspLength);
    }
    let sequence = if sa.transform.extended { sa.window.infer(esp.sequence) } else { Some(esp.sequence.into()) };
    let Some(sequence) = sequence else {
        sa.dropped.replayed += 1;
        return Err(DropReason::TooOld);
    };
    if let Err(stale) = sa.window.check(sequence) {
        sa.dropped.replayed += 1;
        return Err(match stale {
            Stale::Seen => DropReason::Replayed,
            Stale::TooOld => DropReason::TooOld,
        });
    }
    if sa.transform.open(&mut pkt.packet_mut()[esp_at..], (sequence >> 32) as u32).is_err() {
        sa.dropped.forged += 1;
        return Err(DropReason::Forged);
    }
    let newest = sa.window.accept(sequence);
    Ok(Opened { newest, payload: uncover(sa, pkt, arrived) })
}

/// Makes the clear packet out of the opened one.
#[inline]
fn uncover(sa: &mut InboundSa, pkt: &mut PacketBuf<'_>, arrived: Arrived<'_>) -> Result<usize, DropReason> {
    let text_at = arrived.esp_at + sa.transform.head_len();
    let text_end = pkt.len() - sa.transform.icv_len();
    let trailer = parse_trailer(&pkt.packet()[text_at..text_end], sa.pad_check).ok_or(DropReason::BadPadding)?;
    if trailer.next_header == protocol::NO_NEXT_HEADER {
        return Err(DropReason::Dummy);
    }
    pkt.truncate(text_at + trailer.payload_len);
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
    if !sa.selects(header, pkt.packet()) {
        sa.dropped.bad_selector += 1;
        return Err(DropReason::BadSelector);
    }
    Ok(trailer.payload_len)
}

/// Tunnel mode: the payload is the packet, and `header` its header.
#[inline]
fn leave_tunnel(pkt: &mut PacketBuf<'_>, header: &Header, next_header: u8, outer_tos: u8) -> Result<(), DropReason> {
    match (next_header, header.src.is_ipv4()) {
        (protocol::IPV4, true) | (protocol::IPV6, false) => {}
        (protocol::IPV4 | protocol::IPV6, _) => return Err(DropReason::BadInnerPacket),
        _ => return Err(DropReason::BadNextHeader),
    }
    // RFC 4303 §2.7: what stands behind the inner packet hides its length from others.
    pkt.truncate(header.total_len);
    let tos = ecn::decapsulate(header.tos, outer_tos).ok_or(DropReason::CongestionLost)?;
    if tos != header.tos {
        set_tos(pkt.packet_mut(), tos);
    }
    Ok(())
}

fn set_tos(packet: &mut [u8], tos: u8) {
    match packet[0] >> 4 {
        4 => packet.first_chunk_mut().map(|header| v4::set_tos(header, tos)),
        _ => packet.first_chunk_mut().map(|header| v6::set_tos(header, tos)),
    };
}

/// Transport mode: the IP header, the packet's own or one built from what is known of it, moves up to the payload.
fn restore_header(
    pkt: &mut PacketBuf<'_>,
    text_at: usize,
    trailer: Trailer,
    arrived: Arrived<'_>,
) -> Result<(), DropReason> {
    let meta = arrived.meta;
    // RFC 4303 §3.1.1: these headers stand before ESP. Behind it they would make the packet another than the one
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
