//! Errors that the peer reports of a quick mode, in an exchange of their own (RFC 2409 §5.7).
//!
//! Our third message has no answer. When the peer cannot read it, it has no Child SA where we have one, and such an error is all that
//! we hear of it. But it may mean less: of a copy of a message that it has handled before, strongSwan says the same. So a Child SA
//! on which a packet arrives is left alone, another takes the place of one on which none does, and what we have asked for is not given
//! up before it stays without an answer.

use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;

use ravelin_types::Spi;
use ravelin_wire::ike::v1::{Notify, NotifyType};

use super::{Exchange, Later, State, Told, initiator};
use crate::child::{ChildState, Proof};
use crate::context::Core;
use crate::error::Error;
use crate::ike_sa::Ends;
use crate::limits;
use crate::live::Live;
use crate::output::DownReason;
use crate::v1::session::Session;
use crate::v1::task::Task;

/// What the peer says of a message that it cannot read, whatever that was about.
const UNREAD: [NotifyType; 5] = [
    NotifyType::INVALID_PAYLOAD_TYPE,
    NotifyType::INVALID_EXCHANGE_TYPE,
    NotifyType::INVALID_MESSAGE_ID,
    NotifyType::PAYLOAD_MALFORMED,
    NotifyType::INVALID_HASH_INFORMATION,
];

/// The peer refuses something of ours: what its SPI names, which we chose; many leave that out.
pub(crate) fn refused(session: &mut Session, ends: &Ends, notify: &Notify, core: &mut Core) {
    let named = notify.spi.child().and_then(|spi| {
        let is = |exchange: &Exchange| exchange.inbound() == spi;
        session.exchanges.iter().find(|(_, exchange)| is(exchange)).map(|(id, _)| *id)
    });
    let unread = UNREAD.contains(&notify.kind);
    let ids = match named {
        Some(id) => vec![id],
        None => meant(session, unread),
    };
    for id in ids {
        let Some(exchange) = session.exchanges.get_mut(&id) else { continue };
        match &mut exchange.state {
            State::Told(told) => {
                let (told, then) = (*told, core.now + limits::V1_PROOF);
                let waits = |later: &Later| matches!(later, Later::Doubt(_, other) if *other == told);
                session.with_holder(ends, core, |holder, _, _| {
                    if !holder.later.iter().any(|(.., later)| waits(later)) {
                        holder.later.push((then, told.inbound, Later::Doubt(notify.kind, told)));
                    }
                });
            }
            State::Asked(asked) if unread && named.is_none() => {
                asked.refused = Some(notify.kind);
                exchange.retry.iter_mut().for_each(|retry| retry.hurry());
            }
            State::Asked(_) | State::Answered(_) => give_up(session, ends, id, notify.kind, core),
            State::Done(_) => {}
        }
    }
}

/// The exchanges that an error may be about which names none: if it says no more than that something cannot be read, those that we ended
/// last and what we have asked for; else the one thing that we asked for, or our one answer, or with nothing under way those that we
/// ended last.
fn meant(session: &Session, unread: bool) -> Vec<u32> {
    let (mut asked, mut answered, mut told) = (Vec::new(), Vec::new(), Vec::new());
    for (id, exchange) in &session.exchanges {
        match &exchange.state {
            State::Asked(_) => asked.push(*id),
            State::Answered(_) => answered.push(*id),
            State::Told(_) => told.push((Reverse(exchange.until), *id)),
            State::Done(_) => {}
        }
    }
    told.sort_unstable();
    let told = told.into_iter().map(|(_, id)| id).take(limits::V1_DOUBTED);
    match (&asked[..], &answered[..]) {
        ([], []) => told.collect(),
        (asked, _) if unread && !asked.is_empty() => told.chain(asked.iter().copied()).collect(),
        ([only], _) | ([], [only]) => vec![*only],
        _ => Vec::new(),
    }
}

/// What was asked for, or answered, is not to be.
fn give_up(session: &mut Session, ends: &Ends, id: u32, kind: NotifyType, core: &mut Core) {
    let error = Error::RefusedV1(kind);
    match session.exchanges.remove(&id).map(|exchange| exchange.state) {
        Some(State::Asked(asked)) => initiator::failed(session, ends, &asked, &error, core),
        Some(State::Answered(answered)) => {
            let policy = answered.child.policy.policy.id;
            core.failed(error.failure(session.place_of(ends, "Quick Mode", Some(policy))));
            answered.child.remove(DownReason::PeerDeleted, core);
        }
        Some(State::Told(_) | State::Done(_)) | None => {}
    }
}

/// No packet has arrived on the Child SA, which the peer may not have: another takes its place, before all that waits. In place of one
/// that itself took the place of such a one, no more is made: both go, and the next packet asks.
pub(super) fn doubt(session: &mut Session, ends: &Ends, told: Told, kind: NotifyType, core: &mut Core) {
    let Told { inbound, again } = told;
    let Some(child) = session.children.get_mut(&inbound).filter(|child| child.proof == Proof::Open) else { return };
    if !matches!(child.state, ChildState::Installed | ChildState::Rekeying) {
        return;
    }
    child.proof = Proof::Missing;
    let policy = child.policy.policy.id;
    let (settled, replaced) = (child.is_settled(), child.replaces);
    if again {
        let gone = replaced.into_iter().chain([inbound]);
        gone.for_each(|spi: Spi| session.delete_child(spi, DownReason::ProtocolError));
    } else if settled {
        session.tasks.push_front(Task::RekeyChild(inbound));
    }
    let error = Error::Untold { kind, inbound, again };
    core.failed(error.failure(session.place_of(ends, "Quick Mode", Some(policy))));
}
