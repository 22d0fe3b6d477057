//! INFORMATIONAL in which the side that began asks for a ticket, and what becomes of the ticket of an IKE SA.
//!
//! ```text
//!   HDR, SK {N(TICKET_REQUEST)}  -->
//!                             <--  HDR, SK {N(TICKET_LT_OPAQUE, lifetime, ticket)}    or N(TICKET_NACK)
//! ```
//! The ticket of an IKE SA is asked for with IKE_AUTH, after each rekey, and before it expires. It is good once the peer falls
//! silent, and revoked however else the IKE SA ends. Read RFC 5723 §4.1 and §6.2 before changing this file.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_types::{Identity, Instant};
use ravelin_wire::ike::v2::{NotifyType, Payload};

use super::{Exchange, Task, What};
use crate::context::Core;
use crate::ike_sa::Ends;
use crate::output::DownReason;
use crate::v2::feature::resumption::{self, Held, Origin};
use crate::v2::message::Payloads;
use crate::v2::phase::established::{Established, Stage};

/// What an IKE SA has to do with tickets.
#[derive(Default)]
pub(crate) enum Ticket {
    /// Nothing.
    #[default]
    None,
    /// We began, and hold the one that the gateway gave.
    Holds(Option<Box<Held>>),
    /// The peer began, with this IDi, and may have the one with this number.
    Gives(Box<(Identity, Option<u64>)>),
}

/// Asks for one.
pub(crate) fn request() -> (Exchange, Vec<Payload>) {
    let request = ravelin_wire::ike::v2::Notify::new(NotifyType::TICKET_REQUEST, Vec::new());
    (Exchange::Ticket, vec![Payload::Notify(request)])
}

impl Established {
    /// Whom the session is with.
    fn session<'a>(&'a self, claimed: &'a Identity, ends: &'a Ends) -> Origin<'a> {
        Origin {
            remote: &self.remote,
            identities: &self.identities,
            claimed,
            keying: &self.keying,
            until: self.authenticated.until,
            ends,
        }
    }

    /// The gateway answers our request; one that puts us off is asked once more where `again` says so.
    pub(crate) fn take_ticket(&mut self, payloads: &Payloads, again: bool, ends: &Ends, core: &mut Core) {
        if !matches!(self.ticket, Ticket::Holds(_)) {
            return;
        }
        if let Some(given) = payloads.notify(NotifyType::TICKET_LT_OPAQUE) {
            let held = Held::new(given, &self.session(&self.identities.0, ends), core);
            self.ticket = Ticket::Holds(held);
        } else if again && payloads.notify(NotifyType::TICKET_ACK).is_some() {
            self.add_task(Task::new(What::Ticket));
        }
    }

    /// The peer asks for a ticket.
    pub(crate) fn answer_ticket(&mut self, payloads: &Payloads, ends: &Ends, core: &mut Core) -> Option<Payload> {
        let Ticket::Gives(given) = &self.ticket else {
            // RFC 5723 §4.1: it is the client who asks.
            let asked = payloads.notify(NotifyType::TICKET_REQUEST).is_some();
            return asked.then(|| resumption::put_off(false));
        };
        let (claimed, before) = (given.0.clone(), given.1);
        let (answer, number) = resumption::answer(payloads, &self.session(&claimed, ends), core);
        if number.is_some() {
            before.into_iter().for_each(|before| core.tickets.revoke(before));
            self.ticket = Ticket::Gives(Box::new((claimed, number)));
        }
        answer
    }

    /// The peer asks for the ticket of the IKE SA that is to come: it has to ask there.
    pub(crate) fn put_off_ticket(&self, payloads: &Payloads) -> Option<Payload> {
        let grants = self.remote.extensions.resumption && matches!(self.ticket, Ticket::Gives(_));
        payloads.notify(NotifyType::TICKET_REQUEST).map(|_| resumption::put_off(grants))
    }

    /// Another IKE SA takes the place of this one: it has a ticket of its own (RFC 5723 §6.2).
    pub(crate) fn pass_on_ticket(&mut self, heir: &mut Established, core: &mut Core) {
        heir.ticket = match core::mem::take(&mut self.ticket) {
            Ticket::None => Ticket::None,
            Ticket::Holds(_) => {
                heir.add_task(Task::new(What::Ticket));
                Ticket::Holds(None)
            }
            Ticket::Gives(given) => {
                let (claimed, number) = *given;
                number.into_iter().for_each(|number| core.tickets.revoke(number));
                Ticket::Gives(Box::new((claimed, None)))
            }
        };
    }

    /// The IKE SA is gone.
    pub(crate) fn end_ticket(&mut self, reason: DownReason, core: &mut Core) {
        // RFC 6290 §7: one that crashed may know its tickets all the same.
        let lost = matches!(reason, DownReason::PeerDead | DownReason::PeerCrashed);
        match core::mem::take(&mut self.ticket) {
            Ticket::Holds(Some(held)) if lost => core.tickets.keep(held),
            Ticket::None | Ticket::Holds(_) => {}
            Ticket::Gives(_) if lost => {}
            Ticket::Gives(given) => given.1.into_iter().for_each(|number| core.tickets.revoke(number)),
        }
    }

    /// When the next ticket is to be asked for.
    pub(crate) fn ticket_at(&self) -> Option<Instant> {
        match &self.ticket {
            Ticket::Holds(Some(held)) if self.stage == Stage::Active => held.renew,
            Ticket::None | Ticket::Holds(_) | Ticket::Gives(_) => None,
        }
    }

    /// Asks for the next one, if it is time.
    pub(crate) fn renew_ticket(&mut self, now: Instant) {
        if self.ticket_at().is_none_or(|at| now < at) {
            return;
        }
        if let Ticket::Holds(Some(held)) = &mut self.ticket {
            held.renew = None;
        }
        self.add_task(Task::new(What::Ticket));
    }
}
