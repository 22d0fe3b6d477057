//! The inbound half.

use alloc::vec::Vec;
use core::net::IpAddr;

use ravelin_crypto::CryptoProvider;
use ravelin_types::Instant;
use ravelin_types::dataplane::{DataPlaneError, DataPlaneEvent, DataPlaneOp, SaStatus};

use crate::engine::EngineConfig;
use crate::packet::PacketBuf;
use crate::verdict::{Counters, DropReason, Verdict};

/// What the outer IP (and UDP) header said, for ESP that arrives without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OuterMeta {
    /// Source address.
    pub src: IpAddr,
    /// Destination address; of the same family.
    pub dst: IpAddr,
    /// Source port, when the packet came in UDP.
    pub src_port: Option<u16>,
    /// DSCP and ECN. Pass 0 when unknown: a congestion mark set on the way is lost then.
    pub tos: u8,
    /// TTL or hop limit, which a transport-mode packet is delivered with. Pass 64 when unknown.
    pub ttl: u8,
}

/// Opens and checks packets that arrive.
pub struct Inbound {
    counters: Counters,
}

impl Inbound {
    pub(crate) fn new(_: EngineConfig, _: CryptoProvider, _seed: u64) -> Self {
        Inbound { counters: Counters::default() }
    }

    /// Decides about the IP packet in `pkt`. ESP (protocol 50, or in UDP to port 4500) is opened and
    /// delivered; anything else is clear and checked against the SPD.
    pub fn process(&mut self, _pkt: &mut PacketBuf<'_>, _now: Instant) -> Verdict {
        self.counters.count(Verdict::Drop(DropReason::NoPolicy))
    }

    /// Opens an ESP packet that comes without its outer headers, as raw IPv6 and UDP sockets give it. For transport
    /// mode an IP header without options is built from `meta`, for which `pkt` needs 40 bytes of headroom.
    pub fn process_esp(&mut self, _pkt: &mut PacketBuf<'_>, _meta: &OuterMeta, _now: Instant) -> Verdict {
        self.counters.count(Verdict::Drop(DropReason::UnknownSpi))
    }

    /// [`Inbound::process`] for many packets at once, which is faster with many SAs. Each verdict goes to the same
    /// place in `verdicts`; when that is shorter, the packets beyond its end are left alone.
    pub fn process_batch(&mut self, packets: &mut [PacketBuf<'_>], now: Instant, verdicts: &mut [Verdict]) {
        for (pkt, verdict) in packets.iter_mut().zip(verdicts) {
            *verdict = self.process(pkt, now);
        }
    }

    /// [`Inbound::process_esp`] for many packets at once; the shortest of the three slices says how many.
    pub fn process_esp_batch(
        &mut self,
        packets: &mut [PacketBuf<'_>],
        metas: &[OuterMeta],
        now: Instant,
        verdicts: &mut [Verdict],
    ) {
        for ((pkt, meta), verdict) in packets.iter_mut().zip(metas).zip(verdicts) {
            *verdict = self.process_esp(pkt, meta, now);
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

    /// When [`Inbound::tick`] has something to do next.
    pub fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The inbound SAs.
    pub fn list(&self) -> Vec<SaStatus> {
        Vec::new()
    }

    /// What became of the packets so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}
