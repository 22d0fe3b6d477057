//! SA_RESOURCE_INFO and TS_MAX_QUEUE: several Child SAs with the same selectors, each for one processor (RFC 9611).
//!
//! The first is for all processors. The others come one by one, beside it and like it, when packets of a processor want one of
//! its own; until then, and where the peer takes no more of them, these go over the first. Each side says for itself which of
//! its processors sends on which, and tells nothing of it: the notify has no identifier, since RFC 9611 §7 warns of what it
//! would give away and the peer has no use for it but debugging.

use alloc::boxed::Box;
use alloc::vec::Vec;

use ravelin_types::options::Processors;
use ravelin_types::policy::Action;
use ravelin_wire::ike::v2::{Notify, NotifyType, Payload};

use crate::child::{ChildSa, ChildState, Terms};
use crate::children::Children;
use crate::config::ChildPolicy;
use crate::context::Core;
use crate::error::Error;
use crate::limits;
use crate::v2::message::Payloads;

/// `N(SA_RESOURCE_INFO)`
pub(crate) fn notify() -> Payload {
    Payload::Notify(Notify::new(NotifyType::SA_RESOURCE_INFO, Vec::new()))
}

/// Whether the peer said it, with whatever identifier.
pub(crate) fn is_said(payloads: &Payloads) -> bool {
    payloads.notify(NotifyType::SA_RESOURCE_INFO).is_some()
}

/// Whether the policy has a Child SA for each processor.
pub(crate) fn wanted(policy: &ChildPolicy) -> bool {
    matches!(&policy.policy.action, Action::Protect(protection) if protection.options.processors == Processors::Each)
}

/// As responder, who has been told: which of our processors sends on a further Child SA of these terms.
pub(crate) fn assigned(
    policy: &ChildPolicy,
    terms: &Terms,
    children: &Children,
    core: &Core,
) -> Result<Processors, Error> {
    let Some(last) = core.processors.checked_sub(1).filter(|_| wanted(policy)) else {
        return Ok(Processors::All);
    };
    let same = |child: &&ChildSa| {
        child.policy.policy.id == policy.policy.id
            && child.terms.processors != Processors::All
            && child.terms.serves_the_same(terms)
    };
    let siblings = || children.values().map(Box::as_ref).filter(same);
    if siblings().count() >= limits::RESOURCES {
        return Err(Error::FullOfResources);
    }
    let stays = |child: &&ChildSa| matches!(child.state, ChildState::Installed | ChildState::Rekeying);
    let of = |processors: Processors| siblings().filter(stays).filter(|it| it.terms.processors == processors).count();
    if of(Processors::Each) == 0 {
        return Ok(Processors::Each);
    }
    // RFC 9611 §4: the one with the fewest. Of several the last: what is sent from here often comes from the first.
    Ok((0..=last).rev().map(Processors::One).min_by_key(|one| of(*one)).unwrap_or(Processors::Each))
}
