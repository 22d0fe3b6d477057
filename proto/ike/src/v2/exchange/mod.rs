//! The exchanges of an established IKE SA, one file each, and the queue in which ours wait for the window.
//!
//! ```text
//!   create_child.rs    CREATE_CHILD_SA for a Child SA, new or in place of another (with rekey_child.rs)
//!   rekey_ike.rs       CREATE_CHILD_SA for the IKE SA itself
//!   follow_up.rs       IKE_FOLLOWUP_KE: additional key exchanges of either
//!   informational.rs   INFORMATIONAL: delete, liveness, errors
//!   mobike.rs          INFORMATIONAL: where the two sides are
//!   redirect.rs        INFORMATIONAL: go to another gateway
//!   ticket.rs          INFORMATIONAL: a ticket with which the IKE SA can be resumed
//!   task.rs            what is to be done
//!   queue.rs           when, and what happens when it is due
//! ```
//! A task becomes an [`Exchange`] when its request goes out; the exchange is consumed by the response.
//! Read RFC 7296 §1.3, §1.4, §2.8 and §2.25 before changing this folder.

pub(crate) mod create_child;
pub(crate) mod follow_up;
pub(crate) mod informational;
pub(crate) mod mobike;
mod queue;
pub(crate) mod redirect;
pub(crate) mod rekey_child;
pub(crate) mod rekey_ike;
mod task;
pub(crate) mod ticket;

use alloc::boxed::Box;
use alloc::vec::Vec;

use ravelin_types::Spi;
use ravelin_types::proposal::ProtocolId;
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::Payload;

use super::message::Payloads;
use super::phase::established::Established;
use crate::context::Core;
use crate::error::{Error, Place};
use crate::ike_sa::Ends;
use crate::input::Datagram;
use crate::output::DownReason;
use crate::retry::Retry;
use create_child::CreateChild;
pub(crate) use informational::Close;
use informational::DeleteChild;
use mobike::Addresses;
use rekey_ike::RekeyIke;
pub(crate) use task::{Task, What};

/// A request of ours without a response.
pub(crate) struct Open {
    pub(crate) exchange: Exchange,
    pub(crate) request: Request,
}

/// How far it is.
pub(crate) enum Request {
    /// It goes on where another exchange ended, and waits for room in the window.
    Waits(Vec<Payload>),
    /// On the wire under this message ID.
    Sent(u32, Retry),
}

impl Open {
    /// Its message ID, once it has one.
    pub(crate) fn id(&self) -> Option<u32> {
        self.retry().map(|(id, _)| id)
    }

    fn retry(&self) -> Option<(u32, &Retry)> {
        match &self.request {
            Request::Sent(id, retry) => Some((*id, retry)),
            Request::Waits(_) => None,
        }
    }

    pub(crate) fn retry_mut(&mut self) -> Option<&mut Retry> {
        match &mut self.request {
            Request::Sent(_, retry) => Some(retry),
            Request::Waits(_) => None,
        }
    }
}

/// What the request was for.
pub(crate) enum Exchange {
    /// A Child SA.
    CreateChild(Box<CreateChild>),
    /// A new IKE SA in place of this one.
    RekeyIke(Box<RekeyIke>),
    /// The end of a Child SA.
    DeleteChild(DeleteChild),
    /// The end of the IKE SA.
    Close(Close),
    /// The peer shall go to another gateway.
    Redirect,
    /// A ticket.
    Ticket,
    /// The token that shows that we crashed.
    CrashToken,
    /// A packet was not within the selectors of its Child SA.
    InvalidSelectors,
    /// A sign of life.
    Liveness,
    /// How many requests we take at once.
    Window,
    /// Where the two sides are.
    Addresses(Addresses),
}

impl Exchange {
    /// The type in the header.
    pub(crate) fn kind(&self) -> ExchangeType {
        match self {
            Exchange::CreateChild(exchange) => exchange.kind(),
            Exchange::RekeyIke(exchange) => exchange.kind(),
            Exchange::DeleteChild(_)
            | Exchange::Close(_)
            | Exchange::Redirect
            | Exchange::Ticket
            | Exchange::CrashToken
            | Exchange::InvalidSelectors
            | Exchange::Liveness
            | Exchange::Window
            | Exchange::Addresses(_) => ExchangeType::INFORMATIONAL,
        }
    }

    /// Whether it is about the IKE SA as a whole: nothing else of ours is under way then.
    pub(crate) fn is_alone(&self) -> bool {
        match self {
            Exchange::RekeyIke(_) | Exchange::Close(_) | Exchange::Redirect | Exchange::Addresses(_) => true,
            Exchange::CreateChild(_)
            | Exchange::DeleteChild(_)
            | Exchange::Ticket
            | Exchange::CrashToken
            | Exchange::InvalidSelectors
            | Exchange::Liveness
            | Exchange::Window => false,
        }
    }

    /// The Child SA that it ends or replaces.
    pub(crate) fn ends(&self) -> Option<Spi> {
        match self {
            Exchange::CreateChild(exchange) => exchange.offer.replaces,
            Exchange::DeleteChild(exchange) => Some(exchange.inbound),
            _ => None,
        }
    }
}

/// What becomes of the IKE SA after a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It stays.
    Stay,
    /// It is gone, once the response is sent.
    End(DownReason),
}

/// The answer to a request, and what comes after it.
pub(crate) type Answer = (Vec<Payload>, After);

/// The peer asks.
pub(crate) fn respond(
    kind: ExchangeType,
    sa: &mut Established,
    ends: &mut Ends,
    payloads: &Payloads,
    datagram: Datagram<'_>,
    place: &mut Place,
    core: &mut Core,
) -> Result<Answer, Error> {
    match kind {
        ExchangeType::INFORMATIONAL => informational::respond(sa, ends, payloads, datagram, core),
        ExchangeType::CREATE_CHILD_SA => {
            let ike = payloads.sa()?.0.iter().any(|offered| offered.proposal.protocol == ProtocolId::IKE);
            let answer = match ike {
                true => rekey_ike::respond(sa, ends, payloads, core),
                false => create_child::respond(sa, ends, payloads, place, core),
            };
            answer.map(|answer| (answer, After::Stay))
        }
        ExchangeType::IKE_FOLLOWUP_KE => {
            follow_up::respond(sa, ends, payloads, core).map(|answer| (answer, After::Stay))
        }
        // The initial exchanges are over, and no other is agreed on.
        _ => Err(Error::Violation("an exchange that has no place in an established IKE SA")),
    }
}

/// The peer answers. `Err`: what it takes to go on is being computed, and nothing has changed.
pub(crate) fn response(
    exchange: Exchange,
    sa: &mut Established,
    ends: &mut Ends,
    payloads: Result<Payloads, Error>,
    core: &mut Core,
) -> Result<After, Box<Exchange>> {
    let refusal = payloads.as_ref().ok().and_then(Payloads::refusal);
    if let Some(error) = refusal.filter(|error| error.is_fatal() && !matches!(exchange, Exchange::Close(_))) {
        // RFC 7296 §2.21.3: the peer has ended the IKE SA, and says so in no other way.
        core.failed(error.failure(sa.place(ends, name(exchange.kind()))));
        abandon(exchange, sa, ends, core);
        return Ok(After::End(DownReason::ProtocolError));
    }
    let kind = exchange.kind();
    if let (ExchangeType::INFORMATIONAL, Err(error)) = (kind, &payloads) {
        // It is an answer all the same: the peer lives, and has done what it was told.
        core.failed(error.failure(sa.place(ends, name(kind))));
    }
    Ok(match exchange {
        Exchange::CreateChild(exchange) => return exchange.response(sa, ends, payloads, core),
        Exchange::RekeyIke(exchange) => return exchange.response(sa, ends, payloads, core),
        Exchange::DeleteChild(exchange) => exchange.response(sa, core),
        Exchange::Close(Close(reason)) => After::End(reason),
        Exchange::Redirect => {
            sa.sent_away(core);
            After::Stay
        }
        Exchange::Ticket => {
            if let Ok(payloads) = &payloads {
                sa.take_ticket(payloads, false, ends, core);
            }
            After::Stay
        }
        Exchange::CrashToken | Exchange::InvalidSelectors | Exchange::Liveness | Exchange::Window => After::Stay,
        Exchange::Addresses(exchange) => exchange.response(sa, ends, payloads, core),
    })
}

/// The IKE SA ends before the peer answered.
pub(crate) fn abandon(exchange: Exchange, sa: &mut Established, ends: &Ends, core: &mut Core) {
    match exchange {
        Exchange::CreateChild(exchange) => core.table.release(exchange.offer.inbound),
        // RFC 7296 §2.8.2: the peer finished its own rekey and deletes the old IKE SA.
        Exchange::RekeyIke(exchange) => exchange.yield_to_peer(sa, ends, core),
        Exchange::DeleteChild(exchange) => exchange.abandon(sa, core),
        Exchange::Close(_)
        | Exchange::Redirect
        | Exchange::Ticket
        | Exchange::CrashToken
        | Exchange::InvalidSelectors
        | Exchange::Liveness
        | Exchange::Window
        | Exchange::Addresses(_) => {}
    }
}

/// For reports.
pub(crate) fn name(kind: ExchangeType) -> &'static str {
    match kind {
        ExchangeType::CREATE_CHILD_SA => "CREATE_CHILD_SA",
        ExchangeType::IKE_FOLLOWUP_KE => "IKE_FOLLOWUP_KE",
        ExchangeType::INFORMATIONAL => "INFORMATIONAL",
        _ => "unknown exchange",
    }
}
