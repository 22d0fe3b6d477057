//! An outbound SA, ready to seal.

use ravelin_crypto::CryptoProvider;
use ravelin_types::Instant;
use ravelin_types::dataplane::{DataPlaneError, Flow};
use ravelin_types::policy::Mode;
use ravelin_types::sa::{SaCounters, SaParams};
use ravelin_types::selector::TrafficSelector;

use super::{Sa, SaState};
use crate::esp::Transform;
use crate::template::Template;

pub(crate) struct OutboundSa {
    pub transform: Transform,
    pub template: Template,
    pub spi: u32,
    pub mode: Mode,
    /// The last sequence number sent.
    pub sequence: u64,
    /// The last one that may be sent: sequence numbers must not cycle (RFC 4303 §3.3.3).
    pub last_sequence: u64,
    pub state: SaState,
}

impl OutboundSa {
    pub fn new(params: &SaParams, crypto: &CryptoProvider, now: Instant) -> Result<Self, DataPlaneError> {
        let transform = Transform::new(params, crypto)?;
        let last_sequence = if transform.extended { u64::MAX } else { u64::from(u32::MAX) };
        let mut state = SaState::new(params, now);
        // A rekey is due before the numbers run out, whatever the lifetime.
        state.usage.limit_soft_packets(last_sequence / 8 * 7);
        Ok(OutboundSa {
            transform,
            template: Template::new(params),
            spi: params.spi.0,
            mode: params.mode,
            sequence: 0,
            last_sequence,
            state,
        })
    }

    /// Whether the SA carries the flow.
    pub fn selects(&self, flow: &Flow) -> bool {
        let side = |selectors: &[TrafficSelector], address, port| {
            selectors.iter().any(|selector| selector.matches(address, flow.protocol, port))
        };
        let params = &self.state.params;
        side(&params.remote_ts, flow.dst, flow.dst_port) && side(&params.local_ts, flow.src, flow.src_port)
    }
}

impl Sa for OutboundSa {
    fn state(&self) -> &SaState {
        &self.state
    }

    fn state_mut(&mut self) -> &mut SaState {
        &mut self.state
    }

    fn counters(&self) -> SaCounters {
        let usage = &self.state.usage;
        SaCounters { packets: usage.packets, bytes: usage.bytes, sequence: self.sequence, ..SaCounters::default() }
    }
}
