//! What is particular to CREATE_CHILD_SA in place of a Child SA.
//!
//! Alone: the initiator installs both halves, sends on the new one and deletes the old one. The responder installs the
//! inbound half, and the outbound half when the old one is deleted.
//!
//! Both at once (RFC 7296 §2.8.1), seen from A; `low` is the lowest of the four nonces:
//! ```text
//!   A  req1  -->              <--  req2  B      both rekey the same Child SA
//!   A  resp2 -->              <--  resp1 B      both answer as usual and note the collision
//!   low in req1, resp1:  A lost.  It deletes the SA it made; B deletes the old one.
//!   low in req2, resp2:  A won.   It deletes the old one; B deletes the SA that B made.
//! ```
//! The loser never sends on the SA it made. Where only one side notices, the other finds the old one gone and says
//! CHILD_SA_NOT_FOUND or TEMPORARY_FAILURE, which the first may ignore.
//! Read RFC 7296 §1.3.3, §2.8, §2.8.1 and §2.25.1 before changing this file.

use alloc::vec::Vec;

use ravelin_types::Spi;
use ravelin_wire::ike::v2::{AnySpi, Notify, NotifyType, Payload};

use super::{Exchange, What};
use crate::child::{Agreement, ChildSa, ChildState};
use crate::context::Core;
use crate::error::Error;
use crate::ike_sa::Ends;
use crate::live::Live;
use crate::output::DownReason;
use crate::v2::message::Payloads;
use crate::v2::phase::established::Established;
use crate::want::{Want, pfp};

/// The peer's rekey of the Child SA that we are rekeying.
pub(crate) struct Collision {
    /// The lower nonce of its exchange.
    pub(crate) lowest: Vec<u8>,
    /// Inbound SPI of the Child SA that it made, or will with additional key exchanges.
    pub(crate) made: Spi,
}

/// `N(REKEY_SA)`: names the old Child SA by the SPI on which we receive.
pub(crate) fn notify(old: &ChildSa) -> Payload {
    Payload::Notify(Notify::about(old.terms.suite.protocol(), old.inbound, NotifyType::REKEY_SA))
}

/// The Child SA that the peer wants to rekey, if it does.
pub(crate) fn asked(sa: &Established, payloads: &Payloads) -> Result<Option<Spi>, Error> {
    let Some(notify) = payloads.notify(NotifyType::REKEY_SA) else { return Ok(None) };
    let AnySpi::Child(spi) = notify.spi else {
        return Err(Error::Violation("REKEY_SA without an SPI of four octets"));
    };
    // The SPI is the one on which the peer receives.
    let old = sa.children.to(spi).filter(|old| notify.protocol == old.terms.suite.protocol());
    let Some(old) = old else {
        // RFC 7296 §2.25: the peer may have made it in answer to our open request, an answer that is still on its way.
        // After CHILD_SA_NOT_FOUND it would forget an SA that we are about to install.
        let may_come = sa.exchanges().any(|open| matches!(open, Exchange::CreateChild(_)));
        return Err(if may_come { Error::Temporary } else { Error::NoSuchChild(notify.protocol, spi) });
    };
    // RFC 7296 §2.25.1: not when we are trying to close it. RFC 9370 §2.2.4: nor when our own rekey of it has got as far as
    // the additional key exchanges, or the peer's has.
    let ours = sa.exchanges().any(|open| match open {
        Exchange::CreateChild(open) => open.is_followed_up() && open.offer.replaces == Some(old.inbound),
        _ => false,
    });
    let theirs = sa.promises.iter().any(|promise| promise.holds(&What::RekeyChild(old.inbound)));
    if is_replaceable(old) && !ours && !theirs { Ok(Some(old.inbound)) } else { Err(Error::Temporary) }
}

/// Whether nothing has taken its place yet, nor is it being closed.
pub(crate) fn is_replaceable(old: &ChildSa) -> bool {
    match old.state {
        ChildState::Installed | ChildState::Rekeying => true,
        ChildState::Replaced | ChildState::Redundant | ChildState::Deleting => false,
    }
}

/// We answered the peer's rekey of `old`; it made `new`.
pub(crate) fn answered(old: Spi, new: Spi, lowest: &[u8], sa: &mut Established) {
    if note_collision(old, new, lowest, sa) {
        return;
    }
    if let Some(child) = sa.children.get_mut(&old) {
        child.state = ChildState::Replaced;
    }
}

/// RFC 7296 §2.8.1: if we are rekeying `old` too, notes the situation; who keeps what is decided when our response
/// arrives.
pub(crate) fn note_collision(old: Spi, new: Spi, lowest: &[u8], sa: &mut Established) -> bool {
    let ours = sa.exchanges_mut().find_map(|open| match open {
        Exchange::CreateChild(open) if open.offer.replaces == Some(old) => Some(open),
        _ => None,
    });
    if let Some(open) = ours {
        open.collision = Some(Collision { lowest: lowest.to_vec(), made: new });
        return true;
    }
    false
}

/// Our rekey of `old` came to nothing because of the peer's, which made `made` or is still about to.
pub(crate) fn leave_to_peer(old: Spi, made: Spi, sa: &mut Established, core: &Core) {
    let there = sa.children.contains_key(&made);
    if let Some(child) = sa.children.get_mut(&old).filter(|child| child.state == ChildState::Rekeying) {
        child.state = if there { ChildState::Replaced } else { ChildState::Installed };
    }
    if !there {
        // In case the peer never gets to it.
        sa.retry_rekey(What::RekeyChild(old), core);
    }
}

/// The peer answered our rekey of `old`.
pub(crate) fn finish(
    old: Spi,
    collision: Option<Collision>,
    agreement: Agreement,
    lowest: &[u8],
    sa: &mut Established,
    ends: &Ends,
    core: &mut Core,
) {
    let new = agreement.inbound;
    // RFC 7296 §2.8.1: octet by octet, and a prefix is the lower one: the order of slices.
    let lost = collision.as_ref().is_some_and(|collision| lowest < collision.lowest.as_slice());
    let child = ChildSa::install(agreement, ends, !lost, core);
    sa.children.add(child, Some(old), core);
    if lost {
        if let Some(old) = sa.children.get_mut(&old) {
            old.state = ChildState::Replaced;
        }
        sa.delete_child(new, DownReason::Replaced);
        return;
    }
    if let Some(redundant) = collision.and_then(|collision| sa.children.get_mut(&collision.made)) {
        redundant.state = ChildState::Redundant;
    }
    sa.delete_child(old, DownReason::Replaced);
}

/// The peer does not have the Child SA that we wanted to rekey: drop it and make one from scratch (RFC 7296 §2.25).
pub(crate) fn not_found(old: Spi, sa: &mut Established, core: &mut Core) {
    let Some(child) = sa.children.get(&old) else { return };
    let policy = core.policy(child.policy.policy.id).unwrap_or_else(|| child.policy.clone());
    // The new one is for the same flow, where the policy fills selectors from one.
    let pfp = pfp(&policy);
    let flow = pfp.any().then(|| pfp.values(&child.terms.local_ts, &child.terms.remote_ts)).flatten();
    let processors = child.terms.processors;
    sa.children.take_down(old, DownReason::PeerDeleted, core);
    sa.want(Want { processor: processors.one(), ..Want::new(&policy, flow) });
}
