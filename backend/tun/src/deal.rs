//! Which worker has which SAs (ADR 0022). An SA belongs to one worker of its direction: its sequence numbers are given out in
//! the order in which packets leave, and its window is moved by whoever opens.

use ravelin_types::Spi;
use ravelin_types::policy::{Domain, PolicyId};
use ravelin_types::sa::SaParams;

/// How policies and SPIs are dealt out among so many workers for each direction.
#[derive(Clone, Copy)]
pub(crate) struct Deal(usize);

impl Deal {
    pub(crate) fn new(workers: usize) -> Self {
        Deal(workers.max(1))
    }

    pub(crate) fn workers(self) -> usize {
        self.0
    }

    /// Who seals for this policy. A virtual interface is one device, which one worker reads.
    pub(crate) fn policy(self, policy: PolicyId, domain: Domain) -> usize {
        if domain == Domain::default() { policy.0 as usize % self.0 } else { self.interface(domain) }
    }

    /// Who reads the virtual interface of this domain.
    pub(crate) fn interface(self, domain: Domain) -> usize {
        domain.0 as usize % self.0
    }

    /// Who opens ESP packets with this SPI. The raw sockets' filters say the same.
    pub(crate) fn spi(self, spi: Spi) -> usize {
        spi.0 as usize % self.0
    }

    /// Who opens the packets of this inbound SA. What has AH comes by one socket, and there is little of it.
    pub(crate) fn inbound(self, sa: &SaParams) -> usize {
        if sa.suite.ah().is_some() { SINGLE } else { self.spi(sa.spi) }
    }
}

/// Who has the sockets of which there is one: AH, IKE, and connections in TCP.
pub(crate) const SINGLE: usize = 0;
