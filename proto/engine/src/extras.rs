//! What few SAs do with a packet before it is protected, or behind: TFC padding (RFC 4303 §2.7), and lower segment sizes
//! in TCP handshakes.

use alloc::boxed::Box;

use ravelin_types::options::Mss;
use ravelin_types::policy::Mode;
use ravelin_wire::aggfrag;
use ravelin_wire::ip::transport::UDP_HEADER_LEN;
use ravelin_wire::ip::{Fragment, Header, protocol, tcp};

use crate::esp::IvSource;
use crate::ipcomp::{Compressor, shorten};
use crate::limits::MIN_MTU_V6;
use crate::packet::PacketBuf;
use crate::sad::{Cold, InboundSa, OutboundSa};
use crate::suite::{Added, KeyedSuite};
use crate::template::OuterIp;

/// What is protected besides the packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extra {
    /// Bytes of TFC padding.
    pub padding: usize,
    /// What ESP announces in place of the packet: IPComp, nothing (a dummy packet), or an AGGFRAG payload.
    pub next_header: Option<u8>,
}

impl Extra {
    pub const NONE: Extra = Extra { padding: 0, next_header: None };

    /// Made by the engine, or made into something else.
    pub fn announced(next_header: u8) -> Self {
        Extra { padding: 0, next_header: Some(next_header) }
    }
}

/// What an embedder's own choice of TFC padding is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TfcRequest {
    /// The option of the SA: fewer bytes than this.
    pub max: u16,
    /// Length of the clear packet.
    pub packet_len: usize,
    /// Unpredictable.
    pub random: u32,
}

/// How many bytes of TFC padding a packet gets; it goes without when so many do not fit.
pub type TfcPadding = fn(TfcRequest) -> usize;

/// Any number below the option's, each as likely.
pub fn random_padding(request: TfcRequest) -> usize {
    below(request.random, request.max.into()) as usize
}

/// A number below `bound` for a random one.
pub(crate) fn below(random: u32, bound: u64) -> u64 {
    ((u128::from(random) * u128::from(bound)) >> 32) as u64
}

/// What the options of the SA want done with the packet: the handshake in it is changed, its payload is compressed, the padding
/// is for [`seal`](crate::seal::seal), and so is the header, where it is another now.
#[cold]
pub(crate) fn prepare(
    sa: &mut OutboundSa,
    (ivs, compressor): (&mut IvSource, &mut Option<Box<Compressor>>),
    pkt: &mut PacketBuf<'_>,
    header: &Header,
    choose: TfcPadding,
) -> (Extra, Option<Header>) {
    let udp_len = sa.template.udp_len();
    clamp(&sa.cold, &sa.suite, udp_len, pkt.packet_mut(), header);
    match shorten(sa, compressor, pkt, header) {
        None => (Extra { padding: padding(sa, ivs, pkt, header, choose), ..Extra::NONE }, None),
        // Its length tells already what padding would hide.
        shorter => (Extra::announced(protocol::IPCOMP), shorter),
    }
}

/// Lowers the segment size of a handshake that arrived in the SA.
#[cold]
pub(crate) fn clamp_arrived(sa: &InboundSa, pkt: &mut PacketBuf<'_>, header: &Header) {
    let udp_len = if sa.cold.params.encap.is_some() { UDP_HEADER_LEN } else { 0 };
    clamp(&sa.cold, &sa.suite, udp_len, pkt.packet_mut(), header);
}

pub(crate) fn clamp(cold: &Cold, suite: &KeyedSuite, udp_len: usize, packet: &mut [u8], header: &Header) {
    let most = match (cold.params.options.mss, cold.mtu) {
        (Mss::Set(most), _) => most,
        (Mss::Path, Some(mtu)) => tcp::segment_size(inner_mtu(cold, suite, udp_len, mtu, header), header.src.is_ipv4()),
        (Mss::Off, _) | (Mss::Path, None) => return,
    };
    tcp::clamp_segment_size(packet, header, most);
}

/// The longest clear packet like that with `header` that makes no protected packet longer than `mtu`.
pub(crate) fn inner_mtu(cold: &Cold, suite: &KeyedSuite, udp_len: usize, mtu: u16, header: &Header) -> u16 {
    let (ip_len, clear, ipv6) = match (cold.params.mode, cold.params.dst.is_ipv6()) {
        (Mode::Tunnel, true) => (40, 0, true),
        (Mode::Tunnel, false) => (20, 0, false),
        (Mode::Transport, ipv6) => (0, header.esp_at, ipv6),
    };
    let room = usize::from(mtu).saturating_sub(ip_len + clear + udp_len);
    let shared = if cold.params.options.aggfrag.is_some() { aggfrag::HEADER_LEN } else { 0 };
    (clear + suite.largest_payload(room, ipv6).saturating_sub(shared)) as u16
}

fn padding(sa: &OutboundSa, ivs: &mut IvSource, pkt: &PacketBuf<'_>, header: &Header, choose: TfcPadding) -> usize {
    let max = sa.cold.params.options.tfc;
    let tunnel = sa.template.ip() != OuterIp::None;
    // RFC 4303 §2.7: only where what is inside tells its own length. ICMP does not.
    let tells_length = tunnel || matches!(header.esp_protocol, protocol::UDP | protocol::IPV4 | protocol::IPV6);
    if max < 2 || !tells_length || sa.suite.esp().is_none() || !tunnel && header.fragment != Fragment::Whole {
        return 0;
    }
    let mut random = [0; 4];
    ivs.fill(&mut random);
    let random = u32::from_ne_bytes(random);
    let padding = choose(TfcRequest { max, packet_len: header.total_len, random }).min(usize::from(max) - 1);
    let clear = if tunnel { 0 } else { header.esp_at };
    let outer_is_ipv6 = match sa.template.ip() {
        OuterIp::None => header.src.is_ipv6(),
        ip => ip == OuterIp::V6,
    };
    let end = header.total_len + padding;
    let Added { ah, esp_head, tail, icv } = sa.suite.added(end - clear, outer_is_ipv6);
    let len = sa.template.ip().header_len() + sa.template.udp_len() + ah + esp_head + end + tail + icv;
    // Of a path that is not known only that is sure what every path of IPv6 takes.
    let path = sa.cold.mtu.unwrap_or(MIN_MTU_V6);
    let behind = pkt.tailroom() + (pkt.len() - header.total_len);
    if len > path.into() || padding + tail + icv > behind { 0 } else { padding }
}
