//! NAT keepalives (RFC 3948 §4): a byte now and then, so that a NAT between the peers keeps its mapping.
//!
//! They are sent to the peer of every SA inside UDP, also when other packets flow, which costs one packet each time
//! and saves a look at every packet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ravelin_types::Instant;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::sa::{Direction, SaId, UdpEncap};

/// One direction of a path: source, destination, destination port.
pub(crate) type Path = (IpAddr, IpAddr, u16);

/// The paths that are kept open.
pub(crate) struct Keepalives {
    period: Option<Duration>,
    paths: BTreeMap<SaId, Path>,
    due: Instant,
}

impl Keepalives {
    pub(crate) fn new(period: Option<Duration>) -> Self {
        Keepalives { period, paths: BTreeMap::new(), due: Instant::ZERO }
    }

    /// Follows an operation that the engine has carried out.
    pub(crate) fn follow(&mut self, op: &DataPlaneOp, now: Instant) {
        let Some(period) = self.period else { return };
        let idle = self.paths.is_empty();
        match op {
            DataPlaneOp::AddSa(params) if params.direction == Direction::Outbound => {
                if let Some(UdpEncap { dst_port, .. }) = params.encap {
                    self.paths.insert(params.id(), (params.src, params.dst, dst_port));
                }
            }
            DataPlaneOp::DeleteSa(id) => {
                self.paths.remove(id);
            }
            DataPlaneOp::MoveSa { id, dst, encap } => {
                if let Some((src, ..)) = self.paths.remove(id)
                    && let Some(UdpEncap { dst_port, .. }) = encap
                {
                    self.paths.insert(SaId { dst: *dst, ..*id }, (src, *dst, *dst_port));
                }
            }
            _ => {}
        }
        if idle {
            self.due = now + period;
        }
    }

    /// When [`Keepalives::due`] has something to send.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        (self.period.is_some() && !self.paths.is_empty()).then_some(self.due)
    }

    /// The paths to send on now, each once.
    pub(crate) fn due(&mut self, now: Instant) -> BTreeSet<Path> {
        match (self.deadline(), self.period) {
            (Some(due), Some(period)) if due <= now => {
                self.due = now + period;
                self.paths.values().copied().collect()
            }
            _ => BTreeSet::new(),
        }
    }
}
