//! One packet through one outbound SA (RFC 4303 §3.3).
//!
//! 1. Check lengths, room and sequence number, so that nothing has changed when the packet is refused.
//! 2. Write padding and trailer behind the payload.
//! 3. Grow to the front; transport mode moves the IP header there. Write ESP header and IV.
//! 4. Encrypt and authenticate in place.
//! 5. Write the outer headers, whose fields depend on the final length.

use ravelin_crypto::IvKind;
use ravelin_types::Spi;
use ravelin_wire::esp::{EspHeader, HEADER_LEN, TRAILER_LEN, emit_trailer, padding};
use ravelin_wire::ip::{Fragment, Header, checksum, protocol, v4, v6};

use crate::esp::IvSource;
use crate::packet::PacketBuf;
use crate::sad::OutboundSa;
use crate::template::{OuterIp, PerPacket};
use crate::verdict::{DropReason, Outer, Verdict};

/// A packet that was protected.
#[derive(Clone, Copy)]
pub(crate) struct Sealed {
    /// Bytes that were encrypted, without padding.
    pub payload: usize,
    esp_at: usize,
}

impl Sealed {
    /// Makes the verdict, in its place. The addresses are spelled out per family, so that they are not put together
    /// elsewhere first and copied.
    #[inline]
    pub fn write_verdict(self, sa: &OutboundSa, header: &Header, verdict: &mut Verdict) {
        let esp_at = self.esp_at;
        let encap = sa.template.encap();
        let (tos, dont_fragment) = sa.template.carry_over(header);
        *verdict = match sa.template.ip() {
            OuterIp::V4 => {
                let (src, dst) = sa.template.v4_addresses();
                Verdict::Send(Outer { src: src.into(), dst: dst.into(), encap, esp_at, tos, dont_fragment })
            }
            OuterIp::V6 => {
                let (src, dst) = sa.template.v6_addresses();
                Verdict::Send(Outer { src: src.into(), dst: dst.into(), encap, esp_at, tos, dont_fragment })
            }
            OuterIp::None => {
                let Header { src, dst, .. } = *header;
                Verdict::Send(Outer { src, dst, encap, esp_at, tos, dont_fragment })
            }
        };
    }
}

/// Protects the packet `pkt` with the header `header`.
#[inline]
pub(crate) fn seal(
    sa: &mut OutboundSa,
    ivs: &mut IvSource,
    pkt: &mut PacketBuf<'_>,
    header: &Header,
) -> Result<Sealed, DropReason> {
    let tunnel = sa.template.ip() != OuterIp::None;
    // What stays in the clear, before ESP.
    let clear = if tunnel { 0 } else { header.esp_at };
    if !tunnel && header.fragment != Fragment::Whole {
        // RFC 4303 §3.3.4: transport mode protects whole datagrams only.
        return Err(DropReason::FragmentInTransport);
    }
    let next_header = match (tunnel, header.src.is_ipv4()) {
        (true, true) => protocol::IPV4,
        (true, false) => protocol::IPV6,
        (false, _) => header.esp_protocol,
    };
    let transform = &sa.transform;
    let payload = header.total_len - clear;
    let tail = padding(payload, transform.block_len()) + TRAILER_LEN;
    let (ip_len, udp_len) = (sa.template.ip_len(), sa.template.udp_len());
    let before = ip_len + udp_len + transform.head_len();
    let len = before + header.total_len + tail + transform.icv_len();
    let outer_is_ipv6 = match sa.template.ip() {
        OuterIp::None => header.src.is_ipv6(),
        outer => outer == OuterIp::V6,
    };
    let largest = usize::from(u16::MAX) + if outer_is_ipv6 { v6::HEADER_LEN } else { 0 };
    if len > largest {
        return Err(DropReason::TooLong);
    }
    let sequence = sa.next_sequence().ok_or(DropReason::SequenceExhausted)?;
    pkt.truncate(header.total_len);
    if pkt.headroom() < before || !pkt.grow_back(tail + transform.icv_len()) || !pkt.grow_front(before) {
        return Err(DropReason::NoRoom);
    }
    sa.sequence = sequence;

    let packet = pkt.packet_mut();
    let trailer_at = before + header.total_len;
    emit_trailer(&mut packet[trailer_at..trailer_at + tail], next_header);
    if !tunnel {
        packet.copy_within(before..before + clear, 0);
    }
    let udp_at = ip_len + clear;
    let esp_at = udp_at + udp_len;
    seal_esp(sa, ivs, &mut packet[esp_at..]);

    if tunnel {
        let (tos, dont_fragment) = sa.template.carry_over(header);
        sa.template.emit_ip(packet, PerPacket { tos, dont_fragment, id: sequence as u16 });
    } else {
        let protocol = if sa.template.encap().is_some() { protocol::UDP } else { protocol::ESP };
        rewrite_header(packet, header, protocol);
    }
    if udp_len > 0 {
        let (src, dst) = match sa.template.ip() {
            OuterIp::None => (checksum::sum_address(header.src), checksum::sum_address(header.dst)),
            OuterIp::V4 => (0, 0),
            OuterIp::V6 => {
                let (src, dst) = sa.template.v6_addresses();
                (checksum::sum(&src.octets()), checksum::sum(&dst.octets()))
            }
        };
        sa.template.emit_udp(&mut packet[udp_at..], outer_is_ipv6.then_some(src + dst));
    }
    Ok(Sealed { payload, esp_at })
}

#[inline]
fn seal_esp(sa: &OutboundSa, ivs: &mut IvSource, esp: &mut [u8]) {
    let transform = &sa.transform;
    let (head, _) = esp.split_at_mut(transform.head_len());
    let (header, iv) = head.split_at_mut(HEADER_LEN);
    if let Some(header) = header.first_chunk_mut() {
        EspHeader { spi: Spi(sa.spi), sequence: sa.sequence as u32 }.emit(header);
    }
    match iv.first_chunk_mut::<8>() {
        // RFC 4106 §3.1, RFC 7634 §2: any value that the key sees once; the sequence number is one.
        Some(counter) if transform.iv_kind == IvKind::Unique => {
            *counter = sa.sequence.to_be_bytes();
            iv[8..].fill(0);
        }
        _ => ivs.fill(iv),
    }
    transform.seal(esp, (sa.sequence >> 32) as u32);
}

/// Makes the IP header at the start of `packet` announce `protocol` and the packet's length. (Transport mode.)
fn rewrite_header(packet: &mut [u8], header: &Header, protocol: u8) {
    let len = packet.len();
    if header.src.is_ipv4() {
        v4::rewrite(&mut packet[..header.esp_at], len as u16, protocol);
    } else {
        packet[v6::PAYLOAD_LEN_AT..6].copy_from_slice(&((len - v6::HEADER_LEN) as u16).to_be_bytes());
        packet[header.esp_protocol_at] = protocol;
    }
}
