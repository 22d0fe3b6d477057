//! One packet through one outbound SA (RFC 4303 §3.3, RFC 4302 §3.3).
//!
//! 1. Check lengths, room and sequence number, so that nothing has changed when the packet is refused.
//! 2. Grow to both sides; transport mode moves the IP header to the front.
//! 3. Write padding and trailer of ESP behind the payload, the IP header, ESP header and IV.
//! 4. Encrypt and authenticate in place.
//! 5. Write the UDP header, whose checksum may cover all that.
//! 6. With AH, authenticate all of that.

use ravelin_types::Spi;
use ravelin_wire::ah::Covered;
use ravelin_wire::esp::{EspHeader, emit_trailer};
use ravelin_wire::ip::{Fragment, Header, checksum, protocol, v4, v6};

use crate::ah::Ah;
use crate::esp::{Esp, IvSource};
use crate::extras::Extra;
use crate::packet::PacketBuf;
use crate::sad::OutboundSa;
use crate::suite::{Added, KeyedSuite};
use crate::template::{OuterIp, PerPacket, Template};
use crate::verdict::{DropReason, Outer, Verdict};

/// A packet that was protected.
#[derive(Clone, Copy)]
pub(crate) struct Sealed {
    /// Bytes that were protected, without padding.
    pub payload: usize,
    pub esp_at: usize,
    pub sequence: u64,
    /// All is done but what was to be left.
    pub set_aside: bool,
    protocol: u8,
    tos: u8,
    dont_fragment: bool,
}

impl Sealed {
    /// Makes the verdict, in its place. The addresses are spelled out per family, so that they are not put together
    /// elsewhere first and copied.
    #[inline]
    pub fn write_verdict(self, sa: &OutboundSa, header: &Header, verdict: &mut Verdict) {
        let Sealed { esp_at, protocol, tos, dont_fragment, .. } = self;
        let encap = sa.template.encap();
        *verdict = match sa.template.ip() {
            OuterIp::V4 => {
                let (src, dst) = sa.template.v4_addresses();
                Verdict::Send(Outer { src: src.into(), dst: dst.into(), encap, protocol, esp_at, tos, dont_fragment })
            }
            OuterIp::V6 => {
                let (src, dst) = sa.template.v6_addresses();
                Verdict::Send(Outer { src: src.into(), dst: dst.into(), encap, protocol, esp_at, tos, dont_fragment })
            }
            OuterIp::None => {
                let Header { src, dst, .. } = *header;
                Verdict::Send(Outer { src, dst, encap, protocol, esp_at, tos, dont_fragment })
            }
        };
    }
}

/// What is left for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    Nothing,
    /// The cipher, where nothing is computed over the ciphertext. For SAs with ESP alone.
    Cipher,
    /// All that goes over the payload: the cipher, and the UDP checksum of IPv6 and the ICV of AH over what it makes.
    Payload,
}

/// What an SA does with a packet, of which some is asked again and again on the way.
struct Work<'a> {
    /// The IP header that is added.
    ip: OuterIp,
    ah: Option<&'a Ah>,
    esp: Option<&'a Esp>,
    extra: Extra,
    leave: Leave,
}

/// Protects the packet `pkt` with the header `header`, but for what is to be left.
#[inline]
pub(crate) fn seal(
    sa: &mut OutboundSa,
    ivs: &mut IvSource,
    pkt: &mut PacketBuf<'_>,
    header: &Header,
    extra: Extra,
    leave: Leave,
) -> Result<Sealed, DropReason> {
    let next = sa.next_sequence();
    let OutboundSa { suite, template, sequence, spi, .. } = sa;
    let ip = template.ip();
    let (out, sequences) = ((&*template, Spi(*spi)), (sequence, next));
    // Nearly all packets are of this form, for which the compiler makes code of its own that asks for nothing of it again.
    if let (KeyedSuite::Esp(esp), OuterIp::V4, Extra::NONE, Leave::Nothing) = (&*suite, ip, extra, leave) {
        let work = Work { ip: OuterIp::V4, ah: None, esp: Some(esp), extra: Extra::NONE, leave: Leave::Nothing };
        return work.carry_out(out, sequences, ivs, pkt, header);
    }
    Work { ip, ah: suite.ah(), esp: suite.esp(), extra, leave }.carry_out(out, sequences, ivs, pkt, header)
}

impl Work<'_> {
    /// `next` is the number that the packet gets, if there is one left.
    #[inline(always)]
    fn carry_out(
        self,
        (template, spi): (&Template, Spi),
        (last, next): (&mut u64, Option<u64>),
        ivs: &mut IvSource,
        pkt: &mut PacketBuf<'_>,
        header: &Header,
    ) -> Result<Sealed, DropReason> {
        let Work { ip, ah, esp, extra, leave } = self;
        let tunnel = ip != OuterIp::None;
        // What stays in the clear, before ESP.
        let clear = if tunnel { 0 } else { header.esp_at };
        if !tunnel && header.fragment != Fragment::Whole {
            // RFC 4303 §3.3.4, RFC 4302 §3.3.4: transport mode protects whole datagrams only.
            return Err(DropReason::FragmentInTransport);
        }
        let next_header = self.next_header(header);
        let end = header.total_len + extra.padding;
        let payload = end - clear;
        let (ip_len, udp_len) = (ip.header_len(), template.udp_len());
        let outer_is_ipv6 = if tunnel { ip == OuterIp::V6 } else { header.src.is_ipv6() };
        let added = Added::by(ah, esp, payload, outer_is_ipv6);
        let before = ip_len + udp_len + added.ah + added.esp_head;
        let len = before + end + added.tail + added.icv;
        if len > template.mtu().into() {
            template.check_length(len, header)?;
        }
        let protocol = match (udp_len, ah) {
            (0, None) => protocol::ESP,
            (0, Some(_)) => protocol::AH,
            _ => protocol::UDP,
        };
        if protocol == protocol::AH && !tunnel && Covered::new(&pkt.packet()[..clear]).is_err() {
            return Err(DropReason::UncoverableHeader);
        }
        let sequence = next.ok_or(DropReason::SequenceExhausted)?;
        pkt.truncate(header.total_len);
        if !pkt.grow(before, extra.padding + added.tail + added.icv) {
            return Err(DropReason::NoRoom);
        }
        *last = sequence;
        // What is computed over the ciphertext cannot wait for it: AH, and the UDP checksum of IPv6.
        let has_checksum = udp_len > 0 && outer_is_ipv6;
        let set_aside = match leave {
            Leave::Nothing => false,
            Leave::Cipher => !has_checksum,
            Leave::Payload => true,
        };

        let packet = pkt.packet_mut();
        if !tunnel {
            packet.copy_within(before..before + clear, 0);
        } else if extra.next_header.is_none()
            && header.src.is_ipv4()
            && packet[before + v4::CHECKSUM_AT..].starts_with(&[0; 2])
        {
            // A stack that leaves the checksum to its link may leave it open; nobody can fill it in behind encryption.
            v4::rewrite(&mut packet[before..before + header.payload_at], header.total_len as u16, header.protocol);
        }
        let udp_at = ip_len + clear;
        let esp_at = udp_at + udp_len;
        let (tos, dont_fragment) = template.carry_over(header);
        if esp.is_some() {
            let trailer_at = before + end;
            if extra.padding > 0 {
                packet[trailer_at - extra.padding..trailer_at].fill(0);
            }
            emit_trailer(&mut packet[trailer_at..], added.tail, next_header);
        }
        // Between the trailer and the cipher, which would wait for single bytes that were just written.
        self.write_ip(template, packet, header, (protocol, PerPacket { tos, dont_fragment, id: sequence as u16 }));
        if let Some(esp) = esp {
            let esp_packet = &mut packet[esp_at + added.ah..];
            if let Some(header) = esp_packet.first_chunk_mut() {
                EspHeader { spi, sequence: sequence as u32 }.emit(header);
            }
            if set_aside {
                esp.write_iv(esp_packet, sequence, ivs);
            } else {
                esp.seal(esp_packet, sequence, ivs);
            }
        }

        if udp_len > 0 {
            template.emit_udp(&mut packet[udp_at..]);
        }
        if has_checksum && !set_aside {
            self.sum_udp(template, &mut packet[udp_at..], header);
        }
        if let Some(ah) = ah {
            let next_header = if esp.is_some() { protocol::ESP } else { next_header };
            match set_aside {
                true => ah.write_header(packet, esp_at, next_header, sequence),
                false => ah.seal(packet, esp_at, next_header, sequence),
            }
        }
        Ok(Sealed { payload, esp_at, sequence, set_aside, protocol, tos, dont_fragment })
    }

    /// What the trailer of ESP, or AH, says of the payload.
    #[inline(always)]
    fn next_header(&self, header: &Header) -> u8 {
        let own = match (self.ip, header.src.is_ipv4()) {
            (OuterIp::None, _) => header.esp_protocol,
            (_, true) => protocol::IPV4,
            (_, false) => protocol::IPV6,
        };
        self.extra.next_header.unwrap_or(own)
    }

    /// The IP header at the start, which announces `protocol`.
    #[inline(always)]
    fn write_ip(&self, template: &Template, packet: &mut [u8], header: &Header, (protocol, own): (u8, PerPacket)) {
        // AH covers the identification, and Linux makes another of one that is zero, as it is where DF is set.
        if self.ip != OuterIp::None {
            let id = own.id.max(u16::from(self.ah.is_some()));
            template.emit_ip(self.ip, packet, PerPacket { id, ..own });
        } else {
            if self.ah.is_some() && header.src.is_ipv4() && packet[v4::ID_AT..].starts_with(&[0; 2]) {
                packet[v4::ID_AT + 1] = 1;
            }
            rewrite_header(packet, header, protocol);
        }
    }

    /// The checksum of the UDP header at the start of `udp`, behind which all is protected.
    #[inline(always)]
    fn sum_udp(&self, template: &Template, udp: &mut [u8], header: &Header) {
        let (src, dst) = match self.ip {
            OuterIp::None => (checksum::sum_address(header.src), checksum::sum_address(header.dst)),
            OuterIp::V4 => (0, 0),
            OuterIp::V6 => {
                let (src, dst) = template.v6_addresses();
                (checksum::sum(&src.octets()), checksum::sum(&dst.octets()))
            }
        };
        template.sum_udp(udp, src + dst);
    }
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
