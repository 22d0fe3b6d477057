//! The headers before ESP, written once per SA and completed per packet.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ravelin_types::policy::Mode;
use ravelin_types::sa::{SaParams, UdpEncap};
use ravelin_wire::ip::{checksum, protocol, v4, v6};
use ravelin_wire::udp_encap::{UDP_HEADER_LEN, emit_header};

/// TTL and hop limit of outer headers in tunnel mode.
const TTL: u8 = 64;

/// The outer headers of an SA.
pub(crate) struct Template {
    pub src: IpAddr,
    pub dst: IpAddr,
    pub encap: Option<UdpEncap>,
    ip: OuterIp,
}

/// The IP header that tunnel mode adds.
enum OuterIp {
    /// Transport mode: the packet brings its own.
    None,
    V4 {
        header: [u8; v4::HEADER_LEN],
        /// The checksum sum of `header`, whose changing fields are zero.
        sum: u64,
    },
    V6([u8; v6::HEADER_LEN]),
}

/// What changes in the outer IP header from packet to packet.
#[derive(Clone, Copy)]
pub(crate) struct PerPacket {
    pub tos: u8,
    pub dont_fragment: bool,
    pub id: u16,
}

impl Template {
    pub fn new(params: &SaParams) -> Self {
        let protocol = if params.encap.is_some() { protocol::UDP } else { protocol::ESP };
        let ip = match (params.mode, params.src, params.dst) {
            (Mode::Tunnel, IpAddr::V4(src), IpAddr::V4(dst)) => v4_template(src, dst, protocol),
            (Mode::Tunnel, IpAddr::V6(src), IpAddr::V6(dst)) => v6_template(src, dst, protocol),
            // The SAD admits no SA whose ends differ in family.
            _ => OuterIp::None,
        };
        Template { src: params.src, dst: params.dst, encap: params.encap, ip }
    }

    /// Length of the outer IP header: 0 in transport mode.
    #[inline]
    pub fn ip_len(&self) -> usize {
        match self.ip {
            OuterIp::None => 0,
            OuterIp::V4 { .. } => v4::HEADER_LEN,
            OuterIp::V6(_) => v6::HEADER_LEN,
        }
    }

    /// Length of the UDP header: 0 without encapsulation.
    #[inline]
    pub fn udp_len(&self) -> usize {
        if self.encap.is_some() { UDP_HEADER_LEN } else { 0 }
    }

    /// Writes the outer IP header of tunnel mode at the start of `packet`, which is the whole packet.
    #[inline]
    pub fn emit_ip(&self, packet: &mut [u8], fields: PerPacket) {
        let len = packet.len();
        match &self.ip {
            OuterIp::None => {}
            OuterIp::V4 { header, sum } => {
                let Some(out) = packet.first_chunk_mut::<{ v4::HEADER_LEN }>() else { return };
                let flags = if fields.dont_fragment { v4::DONT_FRAGMENT } else { 0 };
                *out = *header;
                out[v4::TOS_AT] = fields.tos;
                out[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                out[4..6].copy_from_slice(&fields.id.to_be_bytes());
                out[6..8].copy_from_slice(&flags.to_be_bytes());
                let sum = sum + u64::from(fields.tos) + len as u64 + u64::from(fields.id) + u64::from(flags);
                out[v4::CHECKSUM_AT..12].copy_from_slice(&checksum::finish(sum).to_be_bytes());
            }
            OuterIp::V6(header) => {
                let Some(out) = packet.first_chunk_mut::<{ v6::HEADER_LEN }>() else { return };
                *out = *header;
                out[4..6].copy_from_slice(&((len - v6::HEADER_LEN) as u16).to_be_bytes());
                v6::set_tos(out, fields.tos);
            }
        }
    }

    /// Writes the UDP header, if there is one, at the start of `datagram`, which is all of it, sealed. `src` and
    /// `dst` are those of the IP header before it.
    #[inline]
    pub fn emit_udp(&self, datagram: &mut [u8], src: IpAddr, dst: IpAddr) {
        let Some(encap) = self.encap else { return };
        let len = datagram.len() as u16;
        let Some(header) = datagram.first_chunk_mut() else { return };
        emit_header(header, encap.src_port, encap.dst_port, len);
        if src.is_ipv6() {
            // RFC 8200 §8.1: IPv6 wants the checksum that RFC 3948 §2.1 leaves zero in IPv4.
            let pseudo = checksum::sum_address(src) + checksum::sum_address(dst) + u64::from(len);
            let sum = checksum::finish(pseudo + u64::from(protocol::UDP) + checksum::sum(datagram));
            let sum = if sum == 0 { u16::MAX } else { sum };
            datagram[6..8].copy_from_slice(&sum.to_be_bytes());
        }
    }
}

fn v4_template(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8) -> OuterIp {
    let mut header = [0; v4::HEADER_LEN];
    v4::Fields { tos: 0, total_len: 0, id: 0, dont_fragment: false, ttl: TTL, protocol, src, dst }.emit(&mut header);
    header[v4::CHECKSUM_AT..12].fill(0);
    OuterIp::V4 { header, sum: checksum::sum(&header) }
}

fn v6_template(src: Ipv6Addr, dst: Ipv6Addr, next_header: u8) -> OuterIp {
    let mut header = [0; v6::HEADER_LEN];
    v6::Fields { tos: 0, payload_len: 0, next_header, hop_limit: TTL, src, dst }.emit(&mut header);
    OuterIp::V6(header)
}
