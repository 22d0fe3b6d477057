//! What would become of a packet, asked without doing it: `PacketGetPolicy` of document 003 §3.12.

use ravelin_types::policy::{Domain, Mode, PolicyId};
use ravelin_wire::ip::Header;

use crate::engine::NoMatch;
use crate::inbound::Inbound;
use crate::outbound::Outbound;
use crate::spd::{Seen, Spd};
use crate::verdict::DropReason;

/// What the SPD says about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disposition {
    /// The policy that decides; `None` where none does.
    pub policy: Option<PolicyId>,
    /// What becomes of the packet.
    pub action: Disposal,
}

/// The processing choices of RFC 4301 §4.4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposal {
    /// It must be protected, in this mode.
    Protect(Mode),
    /// It passes in the clear.
    Bypass,
    /// It is dropped.
    Discard(DropReason),
}

impl Outbound {
    /// What the SPD of `domain` says about the clear IP packet `packet` that is to leave. Nothing is counted,
    /// remembered or asked for; a later fragment is taken by itself, without what its first one showed.
    pub fn lookup(&self, packet: &[u8], domain: Domain) -> Disposition {
        let (spd, no_match) = self.spd();
        disposition(spd, no_match, packet, domain, |seen| seen)
    }
}

impl Inbound {
    /// [`Outbound::lookup`] for a packet that arrives, in the clear or out of an SA.
    pub fn lookup(&self, packet: &[u8], domain: Domain) -> Disposition {
        let (spd, no_match) = self.spd();
        disposition(spd, no_match, packet, domain, Seen::swapped)
    }
}

fn disposition(
    spd: &Spd,
    no_match: NoMatch,
    packet: &[u8],
    domain: Domain,
    from_outbound: impl Fn(Seen) -> Seen,
) -> Disposition {
    let Ok(header) = Header::parse(packet) else {
        return Disposition { policy: None, action: Disposal::Discard(DropReason::BadIpHeader) };
    };
    let found = spd.lookup(&from_outbound(Seen::new(&header, header.ports(packet), domain)));
    let action = match found.decide(no_match) {
        Ok(Some(policy)) => spd.mode(policy).map_or(Disposal::Discard(DropReason::NoPolicy), Disposal::Protect),
        Ok(None) => Disposal::Bypass,
        Err(reason) => Disposal::Discard(reason),
    };
    Disposition { policy: found.policy(), action }
}
