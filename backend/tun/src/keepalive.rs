//! NAT keepalives (RFC 3948 §4): a byte now and then, so that a NAT between the peers keeps its mapping.
//!
//! They are sent to the peer of every SA inside UDP (RFC 9329 §6.6: not inside TCP), also when other packets flow, which costs
//! one packet each time and saves a look at every packet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ravelin_types::Carrier;
use ravelin_types::Instant;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::sa::{Direction, Encap, SaId};

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
                if let Some(Encap { carrier: Carrier::Udp, dst_port, .. }) = params.encap {
                    self.paths.insert(params.id(), (params.src, params.dst, dst_port));
                }
            }
            DataPlaneOp::DeleteSa(id) => {
                self.paths.remove(id);
            }
            DataPlaneOp::MoveSa { id, src, dst, encap } if id.direction == Direction::Outbound => {
                self.paths.remove(id);
                if let Some(Encap { carrier: Carrier::Udp, dst_port, .. }) = encap {
                    self.paths.insert(SaId { dst: *dst, ..*id }, (*src, *dst, *dst_port));
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

#[cfg(test)]
mod tests {
    use super::*;
    use ravelin_types::Spi;
    use ravelin_types::lifetime::Lifetime;
    use ravelin_types::options::SaOptions;
    use ravelin_types::policy::{Mode, PolicyId};
    use ravelin_types::proposal::EspSuite;
    use ravelin_types::sa::{SaKeys, SaLookup, SaParams};
    use ravelin_types::selector::Side;
    use ravelin_types::transform::{EncrId, IntegId, SnId};

    const PERIOD: Duration = Duration::from_secs(20);

    fn sa(spi: u32, direction: Direction, encap: Option<Encap>) -> SaParams {
        SaParams {
            direction,
            spi: Spi(spi),
            pair: Spi(0),
            lookup: SaLookup::Spi,
            src: "192.0.2.1".parse().unwrap(),
            dst: "192.0.2.2".parse().unwrap(),
            mode: Mode::Tunnel,
            encap,
            original: None,
            suite: EspSuite {
                encr: EncrId::AES_GCM_16,
                encr_key_bits: 128,
                integ: IntegId::NONE,
                sn: SnId::SEQUENTIAL_32,
            }
            .into(),
            keys: SaKeys::default(),
            policy: PolicyId(1),
            local_ts: Side::new(),
            remote_ts: Side::new(),
            lifetime: Lifetime::default(),
            replay_window: 64,
            options: SaOptions::default(),
        }
    }

    #[test]
    fn one_keepalive_goes_to_each_peer_as_long_as_there_is_an_sa_in_udp() {
        let encap = |dst_port| Some(Encap::udp(4500, dst_port));
        let mut keepalives = Keepalives::new(Some(PERIOD));
        let start = Instant::ZERO + Duration::from_secs(100);
        for params in [
            sa(1, Direction::Outbound, None),
            sa(2, Direction::Inbound, encap(4500)),
            sa(3, Direction::Outbound, encap(4500)),
            sa(4, Direction::Outbound, encap(4500)),
            sa(5, Direction::Outbound, encap(7777)),
        ] {
            keepalives.follow(&DataPlaneOp::AddSa(params), start);
        }
        // RFC 9329 §6.6: one in TCP needs none.
        let tcp = Encap { carrier: Carrier::Tcp, src_port: 40_000, dst_port: 4500 };
        keepalives.follow(&DataPlaneOp::AddSa(sa(6, Direction::Outbound, Some(tcp))), start);
        assert_eq!(keepalives.deadline(), Some(start + PERIOD));
        assert!(keepalives.due(start).is_empty());
        let ports = |paths: BTreeSet<Path>| paths.into_iter().map(|(_, _, port)| port).collect::<Vec<_>>();
        assert_eq!(ports(keepalives.due(start + PERIOD)), [4500, 7777]);
        assert_eq!(keepalives.deadline(), Some(start + PERIOD + PERIOD));

        // The NAT gave one peer another port; the SAs of the other go.
        let id = |spi| sa(spi, Direction::Outbound, None).id();
        let SaParams { src, dst, .. } = sa(5, Direction::Outbound, None);
        keepalives.follow(&DataPlaneOp::MoveSa { id: id(5), src, dst, encap: encap(8888) }, start);
        keepalives.follow(&DataPlaneOp::DeleteSa(id(3)), start);
        keepalives.follow(&DataPlaneOp::DeleteSa(id(4)), start);
        assert_eq!(ports(keepalives.due(start + PERIOD + PERIOD)), [8888]);
        keepalives.follow(&DataPlaneOp::DeleteSa(id(5)), start);
        assert_eq!(keepalives.deadline(), None);
    }
}
