//! An inbound SA, ready to open.

use alloc::boxed::Box;
use core::net::IpAddr;

use ravelin_crypto::CryptoProvider;
use ravelin_types::Instant;
use ravelin_types::dataplane::{DataPlaneError, Flow};
use ravelin_types::policy::Mode;
use ravelin_types::sa::{SaCounters, SaParams};
use ravelin_types::selector::TrafficSelector;

use super::{Cold, Sa, Usage};
use crate::esp::Transform;
use crate::fetch::fetch;
use crate::replay::ReplayWindow;

/// In this order, so that the first cache line leads to whatever else a packet needs.
#[repr(C, align(64))]
pub(crate) struct InboundSa {
    pub transform: Transform,
    pub window: ReplayWindow,
    pub cold: Box<Cold>,
    pub usage: Usage,
    pub mode: Mode,
    /// Transport mode across a NAT: transport checksums are to be mended.
    pub mends: bool,
    /// Where the peer's packets came from last, when they travel in UDP.
    pub peer: Option<(IpAddr, u16)>,
    selectors: Selectors,
    /// What was dropped; `packets`, `bytes` and `sequence` are kept elsewhere.
    pub dropped: Box<SaCounters>,
}

/// Most SAs have one selector on each side; those are kept where the packet path finds them at once.
enum Selectors {
    One { local: TrafficSelector, remote: TrafficSelector },
    Many,
}

impl InboundSa {
    pub fn new(params: &SaParams, crypto: &CryptoProvider, now: Instant) -> Result<Self, DataPlaneError> {
        let transform = Transform::new(params, crypto)?;
        if transform.extended && params.replay_window == 0 {
            // RFC 4303 §3.4.3 and Appendix A: the high half is inferred from the window.
            return Err(DataPlaneError::Algorithm("extended sequence numbers need an anti-replay window".into()));
        }
        let cold = Cold::new(params, now);
        Ok(InboundSa {
            transform,
            usage: Usage::new(&cold.bounds),
            window: ReplayWindow::new(params.replay_window),
            mode: params.mode,
            mends: params.mode == Mode::Transport && params.original.is_some(),
            peer: params.encap.map(|encap| (params.src, encap.src_port)),
            selectors: match (params.local_ts.as_slice(), params.remote_ts.as_slice()) {
                (&[local], &[remote]) => Selectors::One { local, remote },
                _ => Selectors::Many,
            },
            cold,
            dropped: Box::default(),
        })
    }

    /// Has the processor fetch what a packet needs besides the SA's start, which is there already.
    #[inline]
    pub fn fetch(&self) {
        fetch(&self.usage);
        fetch(&self.selectors);
        fetch(&self.dropped);
        self.window.fetch();
        self.transform.fetch();
    }

    /// Whether the SA carries the flow: the ends are those of a packet that arrives.
    #[inline]
    pub fn selects(&self, flow: &Flow) -> bool {
        let side = |selectors: &[TrafficSelector], address, port| {
            selectors.iter().any(|selector| selector.matches(address, flow.protocol, port))
        };
        let (local, remote) = match &self.selectors {
            Selectors::One { local, remote } => (core::slice::from_ref(local), core::slice::from_ref(remote)),
            Selectors::Many => (self.cold.params.local_ts.as_slice(), self.cold.params.remote_ts.as_slice()),
        };
        side(remote, flow.src, flow.src_port) && side(local, flow.dst, flow.dst_port)
    }
}

impl Sa for InboundSa {
    fn cold(&self) -> &Cold {
        &self.cold
    }

    fn parts(&mut self) -> (&mut Usage, &mut Cold) {
        (&mut self.usage, &mut self.cold)
    }

    fn counters(&self) -> SaCounters {
        let Usage { packets, bytes, .. } = self.usage;
        SaCounters { packets, bytes, sequence: self.window.top(), ..*self.dropped }
    }
}

// An SA that grows past its four lines costs every packet another one.
const _: () = assert!(size_of::<Option<InboundSa>>() == 256);
