//! The outbound half.

use alloc::boxed::Box;
use alloc::vec::Vec;

use ravelin_crypto::{CryptoProvider, SecureRandom};
use ravelin_types::Instant;
use ravelin_types::dataplane::{DataPlaneError, DataPlaneEvent, DataPlaneOp, SaStatus};

use crate::engine::EngineConfig;
use crate::packet::PacketBuf;
use crate::verdict::{Counters, DropReason, Verdict};

/// Decides what happens to packets that leave, and protects them.
pub struct Outbound {
    counters: Counters,
}

impl Outbound {
    pub(crate) fn new(_: EngineConfig, _: CryptoProvider, _seed: u64, _: Box<dyn SecureRandom>) -> Self {
        Outbound { counters: Counters::default() }
    }

    /// Decides about the IP packet in `pkt`, and protects it where its policy says so. Give the packet
    /// [`HEADROOM`](crate::HEADROOM) and [`TAILROOM`](crate::TAILROOM).
    pub fn process(&mut self, _pkt: &mut PacketBuf<'_>, _now: Instant) -> Verdict {
        self.counters.count(Verdict::Drop(DropReason::NoPolicy))
    }

    /// [`Outbound::process`] for many packets at once, which is faster with many SAs. Each verdict goes to the same
    /// place in `verdicts`; when that is shorter, the packets beyond its end are left alone.
    pub fn process_batch(&mut self, packets: &mut [PacketBuf<'_>], now: Instant, verdicts: &mut [Verdict]) {
        for (pkt, verdict) in packets.iter_mut().zip(verdicts) {
            *verdict = self.process(pkt, now);
        }
    }

    /// Carries out an operation as far as it concerns this half; other operations are accepted and do nothing.
    ///
    /// # Errors
    /// Every [`DataPlaneError`] says which precondition failed; nothing has changed then.
    pub fn apply(&mut self, _op: &DataPlaneOp, _now: Instant) -> Result<(), DataPlaneError> {
        Ok(())
    }

    /// The next event, oldest first, or `None`.
    pub fn poll_event(&mut self) -> Option<DataPlaneEvent> {
        None
    }

    /// Ends what has outlived its time by `now`.
    pub fn tick(&mut self, _now: Instant) {}

    /// When [`Outbound::tick`] has something to do next.
    pub fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The outbound SAs.
    pub fn list(&self) -> Vec<SaStatus> {
        Vec::new()
    }

    /// What became of the packets so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}
