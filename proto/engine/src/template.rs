//! The headers before ESP or AH, written once per SA and completed per packet.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::Range;

use ravelin_types::Carrier;
use ravelin_types::options::{Df, Dscp, Fragmentation, Mss, SaOptions};
use ravelin_types::policy::Mode;
use ravelin_types::sa::{Encap, SaParams};
use ravelin_types::selector::{ANY_PORTS, TrafficSelector};
use ravelin_wire::ip::{Header, checksum, protocol, v4, v6};
use ravelin_wire::udp_encap::{UDP_HEADER_LEN, emit_header};

use crate::limits::MIN_MTU_V6;
use crate::verdict::DropReason;

/// The outer headers of an SA. Kept small: it is read for every packet.
pub(crate) struct Template {
    /// The IP header, whose changing fields are zero, in the first bytes.
    header: [u8; v6::HEADER_LEN],
    /// The checksum sum of an IPv4 header.
    sum: u16,
    ip: OuterIp,
    flags: Flags,
    /// The UDP ports, with [`Flags::UDP`].
    ports: (u16, u16),
    tos: OuterTos,
    /// The longest packet that the path takes; `u16::MAX` where that is not known.
    mtu: u16,
}

/// The options of an SA that are yes or no, as the packet path asks for them.
#[derive(Clone, Copy)]
struct Flags(u8);

impl Flags {
    const UDP: u8 = 1;
    const COPY_DF: u8 = 1 << 1;
    const SET_DF: u8 = 1 << 2;
    /// Packets that are too long are cut before they are protected, where that is allowed.
    const CUT_FIRST: u8 = 1 << 3;
    /// There is more to do with a packet than to protect it: [`extras`](crate::extras).
    const EXTRAS: u8 = 1 << 4;
    const ZERO_CHECKSUM: u8 = 1 << 5;
    /// Packets that are too long are cut once they are protected, whatever their headers say.
    const AFTER: u8 = 1 << 6;
    /// What [`Flags::UDP`] says is TCP.
    const TCP: u8 = 1 << 7;

    fn new(params: &SaParams) -> Self {
        let options = &params.options;
        let tunnel = params.mode == Mode::Tunnel;
        // RFC 4301 §7: the SA's ports are in the first piece alone.
        let portless = |selector: &TrafficSelector| selector.ports() == ANY_PORTS;
        let all_ports = params.local_ts.iter().chain(&params.remote_ts).all(portless);
        let flags = [
            (params.encap.is_some(), Self::UDP),
            (options.df == Df::Copy, Self::COPY_DF),
            (options.df == Df::Set, Self::SET_DF),
            (options.fragmentation == Fragmentation::Before && tunnel && all_ports, Self::CUT_FIRST),
            (
                options.mss != Mss::Off
                    || options.tfc > 1
                    || options.ipcomp.cpi().is_some()
                    || options.aggfrag.is_some(),
                Self::EXTRAS,
            ),
            (options.zero_checksum, Self::ZERO_CHECKSUM),
            (options.fragmentation == Fragmentation::After, Self::AFTER),
            (params.encap.is_some_and(|encap| encap.carrier == Carrier::Tcp), Self::TCP),
        ];
        Flags(flags.iter().filter(|(on, _)| *on).map(|(_, flag)| flag).sum())
    }

    #[inline]
    fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }
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

impl OuterIp {
    /// Length of the header: 0 in transport mode.
    #[inline]
    pub fn header_len(self) -> usize {
        match self {
            OuterIp::None => 0,
            OuterIp::V4 => v4::HEADER_LEN,
            OuterIp::V6 => v6::HEADER_LEN,
        }
    }
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
            flags: Flags::new(params),
            ports: params.encap.map_or((0, 0), |encap| (encap.src_port, encap.dst_port)),
            tos: OuterTos::new(options),
            mtu: options.mtu.unwrap_or(u16::MAX),
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

    /// The ports, when ESP travels in UDP or TCP.
    #[inline]
    pub fn encap(&self) -> Option<Encap> {
        let (src_port, dst_port) = self.ports;
        let carrier = if self.flags.has(Flags::TCP) { Carrier::Tcp } else { Carrier::Udp };
        self.flags.has(Flags::UDP).then_some(Encap { carrier, src_port, dst_port })
    }

    /// The longest packet that the path takes; `u16::MAX` where that is not known.
    #[inline]
    pub fn mtu(&self) -> u16 {
        self.mtu
    }

    /// The path takes another length now.
    pub fn set_mtu(&mut self, mtu: Option<u16>) {
        self.mtu = mtu.unwrap_or(u16::MAX);
    }

    /// Whether there is more to do with a packet than to protect it.
    #[inline]
    pub fn has_extras(&self) -> bool {
        self.flags.has(Flags::EXTRAS)
    }

    /// Whether the packet with `header` is cut before it is protected when it is too long.
    pub fn cuts(&self, header: &Header) -> bool {
        self.flags.has(Flags::CUT_FIRST) && !header.dont_fragment
    }

    /// What happens to a protected packet of `len` bytes, longer than [`Template::mtu`], around the one with `header`:
    /// it may go all the same where the stack below cuts it.
    #[cold]
    pub fn check_length(&self, len: usize, header: &Header) -> Result<(), DropReason> {
        let outer_is_ipv6 = match self.ip {
            OuterIp::None => header.src.is_ipv6(),
            ip => ip == OuterIp::V6,
        };
        if len > usize::from(u16::MAX) + if outer_is_ipv6 { v6::HEADER_LEN } else { 0 } {
            return Err(DropReason::TooLong);
        }
        if self.mtu == u16::MAX {
            return Ok(());
        }
        let (_, dont_fragment) = self.carry_over(header);
        if dont_fragment && !outer_is_ipv6 {
            return Err(DropReason::TooBig);
        }
        let cut_behind = self.flags.has(Flags::AFTER)
            // RFC 4301 §8.2.1: what the sender forbids inside is not done outside.
            || header.dont_fragment && is_least(header)
            || !header.dont_fragment && !self.cuts(header);
        if cut_behind { Ok(()) } else { Err(DropReason::TooBig) }
    }

    /// DSCP and ECN of the packet that carries one with `header`, and whether nobody may fragment it on the way.
    /// Transport mode leaves the packet what it has.
    #[inline]
    pub fn carry_over(&self, header: &Header) -> (u8, bool) {
        if self.ip == OuterIp::None {
            return (header.tos, header.dont_fragment);
        }
        let dont_fragment = self.ip == OuterIp::V6
            || self.flags.has(Flags::SET_DF)
            || self.flags.has(Flags::COPY_DF) && header.dont_fragment && !is_least(header);
        (header.tos & self.tos.copied | self.tos.set, dont_fragment)
    }

    /// Length of the UDP header: 0 without encapsulation.
    #[inline]
    pub fn udp_len(&self) -> usize {
        if self.flags.has(Flags::UDP) { UDP_HEADER_LEN } else { 0 }
    }

    /// Writes the outer IP header of tunnel mode, `ip`, at the start of `packet`, which is the whole packet.
    #[inline]
    pub fn emit_ip(&self, ip: OuterIp, packet: &mut [u8], fields: PerPacket) {
        let len = packet.len();
        if ip == OuterIp::V4 {
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
        let PerPacket { tos, id, .. } = fields;
        let sum = u64::from(self.sum) + u64::from(tos) + u64::from(len) + u64::from(id) + u64::from(flags);
        // Words with what changes, which is zero in the header, and not field by field: few writes.
        let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let first = word(0) | u32::from(tos) << 16 | u32::from(len);
        let second = u32::from(id) << 16 | u32::from(flags);
        let third = word(8) | u32::from(checksum::finish(sum));
        *out = *header;
        out[..8].copy_from_slice(&(u64::from(first) << 32 | u64::from(second)).to_be_bytes());
        out[8..12].copy_from_slice(&third.to_be_bytes());
    }

    /// Writes the UDP header at the start of `datagram`, which is all of it, without a checksum.
    #[inline]
    pub fn emit_udp(&self, datagram: &mut [u8]) {
        let (src_port, dst_port) = self.ports;
        let len = datagram.len() as u16;
        let Some(header) = datagram.first_chunk_mut() else { return };
        emit_header(header, src_port, dst_port, len);
    }

    /// Writes the checksum that the UDP header at the start of `datagram` has in IPv6. The datagram is sealed, and
    /// `addresses` is the sum of the addresses of the IP header before it.
    #[inline]
    pub fn sum_udp(&self, datagram: &mut [u8], addresses: u64) {
        if self.has_udp_checksum() {
            let sum = udp_checksum(addresses, datagram.len(), checksum::sum(datagram));
            datagram[UDP_CHECKSUM].copy_from_slice(&sum.to_be_bytes());
        }
    }

    /// Whether there is one.
    #[inline]
    pub fn has_udp_checksum(&self) -> bool {
        !self.flags.has(Flags::ZERO_CHECKSUM)
    }
}

/// Where the checksum stands in a UDP header.
pub(crate) const UDP_CHECKSUM: Range<usize> = 6..8;

/// The UDP checksum, over IPv6, of a datagram of `len` bytes with the sum `sum`.
#[inline]
pub(crate) fn udp_checksum(addresses: u64, len: usize, sum: u64) -> u16 {
    // RFC 8200 §8.1: IPv6 wants the checksum that RFC 3948 §2.1 leaves zero in IPv4; RFC 6935 §5 lets a tunnel go without.
    let pseudo = addresses + len as u64 + u64::from(protocol::UDP);
    let sum = checksum::finish(pseudo + sum);
    if sum == 0 { u16::MAX } else { sum }
}

/// RFC 4213 §3.2.2: what every path of IPv6 takes goes through IPv4 too, if need be in fragments.
#[inline]
fn is_least(header: &Header) -> bool {
    header.src.is_ipv6() && header.total_len <= usize::from(MIN_MTU_V6)
}
