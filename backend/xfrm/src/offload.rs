//! Work for network devices: the cryptography of SAs, or whole packets with the entries of their policy. The kernel finds packets
//! that a device protects by such an entry alone, so the two go together, and an entry names its device while a state may leave it to
//! the route.

use std::net::IpAddr;

use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::options::{Offload, SaOptions};
use ravelin_types::policy::{Action, Policy, Protection};
use ravelin_types::sa::{Direction, SaParams};

use crate::msg::Message;
use crate::msg::attribute::{self, Attribute};

/// The ends between which a device is looked for: ours, where it is known, and the peer's.
pub(crate) type Ends = (Option<IpAddr>, IpAddr);

/// What an operation wants of a device.
pub(crate) fn wanted(op: &DataPlaneOp) -> Offload {
    options(op).map_or(Offload::Off, |options| options.offload)
}

/// The device that takes whole packets of an entry or a state.
pub(crate) fn of_packets(message: &Message) -> Option<i32> {
    message.find(|attribute| match attribute {
        Attribute::Offload(it) if it.flags & attribute::offload::PACKET != 0 => Some(it.interface),
        _ => None,
    })
}

/// Ours first.
pub(crate) fn ends(params: &SaParams) -> Ends {
    match params.direction {
        Direction::Outbound => (Some(params.src), params.dst),
        Direction::Inbound => (Some(params.dst), params.src),
    }
}

/// What a policy protects packets by.
pub(crate) fn protection(policy: &Policy) -> Option<&Protection> {
    if let Action::Protect(protection) = &policy.action { Some(protection) } else { None }
}

fn options(op: &DataPlaneOp) -> Option<&SaOptions> {
    match op {
        DataPlaneOp::AddPolicy(policy) => protection(policy).map(|protection| &protection.options),
        DataPlaneOp::AddSa(params) => Some(&params.options),
        _ => None,
    }
}
