//! An inbound SA, ready to open.

use alloc::boxed::Box;
use core::net::IpAddr;

use ravelin_types::Instant;
use ravelin_types::dataplane::{DataPlaneError, Flow};
use ravelin_types::options::Mss;
use ravelin_types::policy::Mode;
use ravelin_types::sa::SaParams;
use ravelin_types::selector::{ANY_PORTS, ANY_PROTOCOL, OPAQUE_PORTS, TrafficSelector, select};
use ravelin_types::transform::SnId;
use ravelin_wire::ip::Header;
use ravelin_wire::ip::transport::Ports;

use super::{Cold, Parts, Sa, Spares, Usage};
use crate::aggfrag::Receiver;
use crate::fetch::fetch;
use crate::replay::ReplayWindow;
use crate::suite::KeyedSuite;

/// In this order, so that the first cache line leads to whatever else a packet needs.
#[repr(C, align(64))]
pub(crate) struct InboundSa {
    pub suite: KeyedSuite,
    /// Of the outer protocol, where there are two.
    pub window: ReplayWindow,
    pub cold: Box<Cold>,
    pub usage: Usage,
    pub mode: Mode,
    /// Transport mode across a NAT: transport checksums are to be mended.
    pub mends: bool,
    /// The bytes of padding are looked at.
    pub pad_check: bool,
    /// Segment sizes in TCP handshakes are lowered.
    pub clamps: bool,
    /// Later fragments are within the selectors if the first one of their datagram was.
    pub later_fragments: bool,
    /// Packets come in AGGFRAG payloads.
    pub aggfrag: bool,
    /// Where the peer's packets came from last, when they travel in UDP.
    pub peer: Option<(IpAddr, u16)>,
    selectors: Selectors,
}

/// Most SAs have one IPv4 selector on each side; those are kept where the packet path finds them at once. For others
/// it asks the parameters.
enum Selectors {
    V4 { local: V4Selector, remote: V4Selector },
    Other,
}

#[derive(Clone, Copy)]
struct V4Selector {
    start: u32,
    end: u32,
    start_port: u16,
    end_port: u16,
    protocol: u8,
}

impl V4Selector {
    fn new(selector: &TrafficSelector) -> Option<Self> {
        let (IpAddr::V4(start), IpAddr::V4(end)) = selector.addresses().into_inner() else { return None };
        let (start_port, end_port) = selector.ports().into_inner();
        let (start, end) = (start.to_bits(), end.to_bits());
        Some(V4Selector { start, end, start_port, end_port, protocol: selector.protocol() })
    }

    /// As [`select`] asks one side, with the port there and the other one.
    #[inline]
    fn matches(&self, address: u32, protocol: u8, port: Option<u16>, other: Option<u16>) -> bool {
        let ports = self.start_port..=self.end_port;
        (self.protocol == ANY_PROTOCOL || self.protocol == protocol)
            && (self.start..=self.end).contains(&address)
            && match port {
                Some(port) => ports.contains(&port),
                None => other.is_some() || ports == ANY_PORTS || ports == OPAQUE_PORTS,
            }
    }
}

impl InboundSa {
    pub fn new(params: &SaParams, spares: &mut Spares, now: Instant) -> Result<Self, DataPlaneError> {
        let esp = params.suite.esp().map(|esp| esp.sn);
        let extended = params.suite.ah().map(|ah| ah.sn).or(esp) == Some(SnId::PARTIAL_64);
        if extended && params.replay_window == 0 {
            // RFC 4303 §3.4.3 and Appendix A: the high half is inferred from the window.
            return Err(DataPlaneError::Algorithm("extended sequence numbers need an anti-replay window".into()));
        }
        let suite = spares.keys(params)?;
        let mut cold = spares.cold(params, now);
        cold.receiver = params.options.aggfrag.map(|_| Box::new(Receiver::new()));
        Ok(InboundSa {
            suite,
            usage: Usage::new(&cold.bounds),
            window: spares.window(params.replay_window),
            mode: params.mode,
            mends: params.mode == Mode::Transport && params.original.is_some(),
            pad_check: params.options.pad_check,
            clamps: params.options.mss != Mss::Off,
            later_fragments: params.options.later_fragments && params.mode == Mode::Tunnel,
            aggfrag: params.options.aggfrag.is_some(),
            peer: params.encap.map(|encap| (params.src, encap.src_port)),
            selectors: match (params.local_ts.as_slice(), params.remote_ts.as_slice()) {
                ([local], [remote]) => match (V4Selector::new(local), V4Selector::new(remote)) {
                    (Some(local), Some(remote)) => Selectors::V4 { local, remote },
                    _ => Selectors::Other,
                },
                _ => Selectors::Other,
            },
            cold,
        })
    }

    /// Has the processor fetch what a packet needs besides the SA's start, which is there already, but for the keys, of
    /// which it is told where they begin: what takes longest is to find out where memory is.
    #[inline]
    pub fn fetch(&self) {
        fetch(&self.usage);
        fetch(&self.selectors);
        self.window.fetch();
        self.suite.fetch(0);
    }

    /// Whether the SA carries the packet `packet` with this header, as it arrives.
    #[inline]
    pub fn selects(&self, header: &Header, packet: &[u8]) -> bool {
        self.selects_with(header, header.ports(packet))
    }

    /// [`InboundSa::selects`] for a packet that shows these ports, or belongs to one that did.
    #[inline]
    pub fn selects_with(&self, header: &Header, ports: Ports) -> bool {
        let Ports { src: src_port, dst: dst_port } = ports;
        match (&self.selectors, &header.src, &header.dst) {
            (Selectors::V4 { local, remote }, IpAddr::V4(src), IpAddr::V4(dst)) => {
                remote.matches(src.to_bits(), header.protocol, src_port, dst_port)
                    && local.matches(dst.to_bits(), header.protocol, dst_port, src_port)
            }
            (Selectors::V4 { .. }, ..) => false,
            (Selectors::Other, src, dst) => {
                let SaParams { local_ts, remote_ts, .. } = &self.cold.params;
                let flow =
                    Flow { src: *dst, dst: *src, protocol: header.protocol, src_port: dst_port, dst_port: src_port };
                select(local_ts, remote_ts, &flow)
            }
        }
    }
}

impl Sa for InboundSa {
    fn cold(&self) -> &Cold {
        &self.cold
    }

    fn parts(&mut self) -> (&mut Usage, &mut Cold) {
        (&mut self.usage, &mut self.cold)
    }

    fn usage(&self) -> &Usage {
        &self.usage
    }

    fn sequence(&self) -> u64 {
        self.window.top()
    }

    fn into_parts(self) -> Parts {
        Parts { suite: self.suite, cold: self.cold, window: Some(self.window) }
    }
}

// An SA that grows past its three lines costs every packet another one.
const _: () = assert!(size_of::<Option<InboundSa>>() == 192);
