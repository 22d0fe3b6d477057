//! An inbound SA, ready to open.

use core::net::IpAddr;

use ravelin_crypto::CryptoProvider;
use ravelin_types::Instant;
use ravelin_types::dataplane::{DataPlaneError, Flow};
use ravelin_types::policy::Mode;
use ravelin_types::sa::{SaCounters, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_wire::ip::checksum;

use super::{Sa, SaState};
use crate::esp::Transform;
use crate::replay::ReplayWindow;

pub(crate) struct InboundSa {
    pub transform: Transform,
    pub window: ReplayWindow,
    pub mode: Mode,
    /// Where the peer's packets came from last, when they travel in UDP.
    pub peer: Option<(IpAddr, u16)>,
    /// Transport mode across a NAT: the checksum part of the addresses as the peer wrote them.
    pub original_sum: Option<u64>,
    selectors: Selectors,
    pub state: SaState,
    /// `packets`, `bytes` and `sequence` are kept elsewhere.
    pub dropped: SaCounters,
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
        let mended = params.original.filter(|_| params.mode == Mode::Transport);
        Ok(InboundSa {
            transform,
            window: ReplayWindow::new(params.replay_window),
            mode: params.mode,
            peer: params.encap.map(|encap| (params.src, encap.src_port)),
            original_sum: mended.map(|o| checksum::sum_address(o.src) + checksum::sum_address(o.dst)),
            selectors: match (params.local_ts.as_slice(), params.remote_ts.as_slice()) {
                (&[local], &[remote]) => Selectors::One { local, remote },
                _ => Selectors::Many,
            },
            state: SaState::new(params, now),
            dropped: SaCounters::default(),
        })
    }

    /// Whether the SA carries the flow: the ends are those of a packet that arrives.
    #[inline]
    pub fn selects(&self, flow: &Flow) -> bool {
        let side = |selectors: &[TrafficSelector], address, port| {
            selectors.iter().any(|selector| selector.matches(address, flow.protocol, port))
        };
        let (local, remote) = match &self.selectors {
            Selectors::One { local, remote } => (core::slice::from_ref(local), core::slice::from_ref(remote)),
            Selectors::Many => (self.state.params.local_ts.as_slice(), self.state.params.remote_ts.as_slice()),
        };
        side(remote, flow.src, flow.src_port) && side(local, flow.dst, flow.dst_port)
    }
}

impl Sa for InboundSa {
    fn state(&self) -> &SaState {
        &self.state
    }

    fn state_mut(&mut self) -> &mut SaState {
        &mut self.state
    }

    fn counters(&self) -> SaCounters {
        let usage = &self.state.usage;
        SaCounters { packets: usage.packets, bytes: usage.bytes, sequence: self.window.top(), ..self.dropped }
    }
}
