//! Which Child SAs are those of the virtual link on which a peer has IPv6 prefixes of its own.
//!
//! ```text
//!   IKE_AUTH         CP(INTERNAL_IP6_LINK(IDi), ...)  -->
//!                             <--  CP(INTERNAL_IP6_LINK(IDr, link), INTERNAL_IP6_PREFIX(prefix), ...)
//!   CREATE_CHILD_SA  N(LINK_ID, link), SA, Ni, TSi, TSr  -->
//! ```
//! Dynamic selectors stand for the link's addresses in the first Child SA, and in those that are asked for with the name of the link;
//! in others for what is outside. `address/link.rs` and `address/table.rs` have the link. Read RFC 5739 §4 before changing this file.

use ravelin_wire::ike::v2::{Notify, NotifyType, Payload};

use crate::address::Inside;
use crate::config::{ChildPolicy, Remote};
use crate::context::Core;
use crate::ike_sa::Ends;
use crate::negotiate::ChildKe;
use crate::v2::message::Payloads;

/// `N(LINK_ID)` of a CREATE_CHILD_SA request, where the policy is about the link (RFC 5739 §4.3).
pub(crate) fn notify(policy: &ChildPolicy, ends: &Ends, core: &Core) -> Option<Payload> {
    let dynamic = !policy.dynamic.local.is_empty() || !policy.dynamic.remote.is_empty();
    let link = core.addresses.link(ends.our_spi()).filter(|_| dynamic)?;
    Some(Payload::Notify(Notify::new(NotifyType::LINK_ID, link.id.as_slice())))
}

/// What dynamic selectors stand for in a request of the peer.
pub(crate) fn inside(payloads: &Payloads, exchange: ChildKe, ends: &Ends, remote: &Remote, core: &Core) -> Inside {
    let named = payloads.notify(NotifyType::LINK_ID).map(|notify| notify.data.as_slice());
    let is_meant = match core.addresses.link(ends.our_spi()) {
        Some(link) => exchange == ChildKe::None || named == Some(&link.id),
        None => named.is_none(),
    };
    if is_meant { core.inside(ends, remote) } else { core.outside(ends, remote) }
}
