//! The headers before ESP or AH, written once per SA and completed per packet.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ravelin_types::options::{Df, Dscp, SaOptions};
use ravelin_types::policy::Mode;
use ravelin_types::sa::{SaParams, UdpEncap};
use ravelin_wire::ip::{Header, checksum, protocol, v4, v6};
use ravelin_wire::udp_encap::{UDP_HEADER_LEN, emit_header};

/// The outer headers of an SA. Kept small: it is read for every packet.
pub(crate) struct Template {
    /// The IP header, whose changing fields are zero, in the first bytes.
    header: [u8; v6::HEADER_LEN],
    /// The checksum sum of an IPv4 header.
    sum: u16,
    ip: OuterIp,
    encap: Option<UdpEncap>,
    tos: OuterTos,
    df: Df,
}

/// DSCP and ECN of outer headers, made from those of the inner one: the bits of `copied` are its, the others `set`.
#[derive(Clone, Copy)]
struct OuterTos {
    copied: u8,
    set: u8,
}

impl OuterTos {
    const ECN: u8 = 0b11;

    fn new(options: &SaOptions) -> Self {
        // RFC 6040 §4.1: compatibility mode sends Not-ECT, which is zero.
        let ecn = if options.full_ecn { Self::ECN } else { 0 };
        match options.dscp {
            Dscp::Copy => OuterTos { copied: !Self::ECN | ecn, set: 0 },
            Dscp::Set(dscp) => OuterTos { copied: ecn, set: dscp << 2 },
        }
    }
}

/// The IP header that tunnel mode adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OuterIp {
    /// Transport mode: the packet brings its own.
    None,
    V4,
    V6,
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
        let protocol = match (params.encap, params.suite.ah()) {
            (Some(_), _) => protocol::UDP,
            (None, Some(_)) => protocol::AH,
            (None, None) => protocol::ESP,
        };
        let options = &params.options;
        let mut template = Template {
            header: [0; 40],
            sum: 0,
            ip: OuterIp::None,
            encap: params.encap,
            tos: OuterTos::new(options),
            df: options.df,
        };
        match (params.mode, params.src, params.dst) {
            (Mode::Tunnel, IpAddr::V4(src), IpAddr::V4(dst)) => template.set_v4(src, dst, protocol, options.hop_limit),
            (Mode::Tunnel, IpAddr::V6(src), IpAddr::V6(dst)) => template.set_v6(src, dst, protocol, options.hop_limit),
            // The SAD admits no SA whose ends differ in family.
            _ => {}
        }
        template
    }

    fn set_v4(&mut self, src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, ttl: u8) {
        let mut header = [0; v4::HEADER_LEN];
        v4::Fields { tos: 0, total_len: 0, id: 0, dont_fragment: false, ttl, protocol, src, dst }.emit(&mut header);
        header[v4::CHECKSUM_AT..12].fill(0);
        self.sum = checksum::fold(checksum::sum(&header));
        self.header[..v4::HEADER_LEN].copy_from_slice(&header);
        self.ip = OuterIp::V4;
    }

    fn set_v6(&mut self, src: Ipv6Addr, dst: Ipv6Addr, next_header: u8, hop_limit: u8) {
        v6::Fields { tos: 0, payload_len: 0, next_header, hop_limit, src, dst }.emit(&mut self.header);
        self.ip = OuterIp::V6;
    }

    /// The IP header that is added.
    #[inline]
    pub fn ip(&self) -> OuterIp {
        self.ip
    }

    /// The mode of the SA.
    #[inline]
    pub fn mode(&self) -> Mode {
        if self.ip == OuterIp::None { Mode::Transport } else { Mode::Tunnel }
    }

    /// The ports, when ESP travels in UDP.
    #[inline]
    pub fn encap(&self) -> Option<UdpEncap> {
        self.encap
    }

    /// DSCP and ECN of the packet that carries one with `header`, and whether nobody may fragment it on the way.
    /// Transport mode leaves the packet what it has.
    #[inline]
    pub fn carry_over(&self, header: &Header) -> (u8, bool) {
        if self.ip == OuterIp::None {
            return (header.tos, header.dont_fragment);
        }
        let dont_fragment = match self.df {
            _ if self.ip == OuterIp::V6 => true,
            Df::Copy => header.dont_fragment,
            Df::Set => true,
            Df::Clear => false,
        };
        (header.tos & self.tos.copied | self.tos.set, dont_fragment)
    }

    /// Length of the outer IP header: 0 in transport mode.
    #[inline]
    pub fn ip_len(&self) -> usize {
        match self.ip {
            OuterIp::None => 0,
            OuterIp::V4 => v4::HEADER_LEN,
            OuterIp::V6 => v6::HEADER_LEN,
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
        if self.ip == OuterIp::V4 {
            if let (Some(out), Some(header)) = (packet.first_chunk_mut(), self.header.first_chunk()) {
                self.complete_v4(out, header, len as u16, fields);
            }
        } else if let Some(out) = packet.first_chunk_mut::<{ v6::HEADER_LEN }>() {
            *out = self.header;
            out[v6::PAYLOAD_LEN_AT..6].copy_from_slice(&((len - v6::HEADER_LEN) as u16).to_be_bytes());
            v6::set_tos(out, fields.tos);
        }
    }

    /// Source and destination of an IPv4 header.
    #[inline]
    pub fn v4_addresses(&self) -> (Ipv4Addr, Ipv4Addr) {
        let [.., a, b, c, d, e, f, g, h] = *self.header.first_chunk::<{ v4::HEADER_LEN }>().unwrap_or(&[0; 20]);
        (Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h))
    }

    /// Source and destination of an IPv6 header.
    #[inline]
    pub fn v6_addresses(&self) -> (Ipv6Addr, Ipv6Addr) {
        let at = |at: usize| {
            let mut octets = [0; 16];
            octets.copy_from_slice(&self.header[at..at + 16]);
            Ipv6Addr::from(octets)
        };
        (at(8), at(24))
    }

    #[inline]
    fn complete_v4(&self, out: &mut [u8; v4::HEADER_LEN], header: &[u8; v4::HEADER_LEN], len: u16, fields: PerPacket) {
        let flags = if fields.dont_fragment { v4::DONT_FRAGMENT } else { 0 };
        *out = *header;
        out[v4::TOS_AT] = fields.tos;
        out[2..4].copy_from_slice(&len.to_be_bytes());
        out[4..6].copy_from_slice(&fields.id.to_be_bytes());
        out[6..8].copy_from_slice(&flags.to_be_bytes());
        let changing = [self.sum, fields.tos.into(), len, fields.id, flags];
        let sum = changing.into_iter().map(u64::from).sum();
        out[v4::CHECKSUM_AT..12].copy_from_slice(&checksum::finish(sum).to_be_bytes());
    }

    /// Writes the UDP header, if there is one, at the start of `datagram`, which is all of it, sealed. In IPv6
    /// `addresses` is the checksum sum of the addresses of the IP header before it.
    #[inline]
    pub fn emit_udp(&self, datagram: &mut [u8], addresses: Option<u64>) {
        let Some(encap) = self.encap else { return };
        let len = datagram.len() as u16;
        let Some(header) = datagram.first_chunk_mut() else { return };
        emit_header(header, encap.src_port, encap.dst_port, len);
        if let Some(addresses) = addresses {
            // RFC 8200 §8.1: IPv6 wants the checksum that RFC 3948 §2.1 leaves zero in IPv4.
            let pseudo = addresses + u64::from(len) + u64::from(protocol::UDP);
            let sum = checksum::finish(pseudo + checksum::sum(datagram));
            let sum = if sum == 0 { u16::MAX } else { sum };
            datagram[6..8].copy_from_slice(&sum.to_be_bytes());
        }
    }
}
