//! Packets of a Child SA that are compressed before they are protected (RFC 3173), for both versions: RFC 7296 §2.22, and the
//! protection suites of RFC 2408 §4.2. Each side tells the label by which it receives; DEFLATE is the one algorithm that anybody has.

use ravelin_types::options::IpComp;
use ravelin_types::policy::{Action, Protection};
use ravelin_types::{Cpi, Spi};

use crate::config::ChildPolicy;
use crate::context::Core;
use crate::limits;

/// Whether packets of the policy shall be compressed, and can be.
pub(crate) fn wanted(policy: &ChildPolicy, core: &Core) -> bool {
    let asks = |protection: &Protection| protection.options.ipcomp != IpComp::Off;
    core.ipcomp && matches!(&policy.policy.action, Action::Protect(protection) if asks(protection))
}

/// A label of ours for packets of the Child SA with this inbound SPI, with which it goes. `None`: nearly all are in use.
pub(crate) fn label(inbound: Spi, core: &mut Core) -> Option<Cpi> {
    (0..limits::CPI_TRIES).find_map(|_| {
        let mut bytes = [0; 2];
        core.rng.fill(&mut bytes);
        let cpi = Cpi(u16::from_be_bytes(bytes));
        (Cpi::NEGOTIATED.contains(&cpi.0) && core.table.cpis.claim(cpi, inbound)).then_some(cpi)
    })
}
