//! Rounds of IKE_AUTH as initiator: what follows once the proof of one side, or of both, is over (RFC 4739).
//!
//! ```text
//!   a response   the proof of the responder, if it has one to make      proven
//!                then what our request was for                          heard
//!   our proof over, and another is due   HDR, SK {IDi, [CERT], AUTH}  --> , or by EAP HDR, SK {IDi}  -->
//!   only the responder's is due          HDR, SK {}  -->
//!   none                                 established
//! ```
//! The remote is that of the round in which both sides are (`auth/rounds.rs`). Read RFC 4739 §2 before changing this file.

use alloc::boxed::Box;
use alloc::vec;

use ravelin_wire::ike::v2::{Id, NotifyType, Payload};

use super::asking::{self, Step};
use super::auth::AuthRequested;
use super::eap::Turn;
use crate::auth::{LocalAuth, Now, Proven};
use crate::context::Core;
use crate::error::Error;
use crate::ike_sa::{Ends, IkeSa};
use crate::v2::feature::{multiple_auth, redirect};
use crate::v2::message::Payloads;

impl AuthRequested {
    /// The responder is who it should be, in this round.
    pub(crate) fn proven(mut self: Box<Self>, ends: Ends, payloads: &Payloads, core: &mut Core) -> Option<IkeSa> {
        if let Ok(id) = payloads.idr() {
            self.peer = Some(id.clone());
        }
        // Where the method proves both sides, it has no proof of its own.
        if payloads.auth().is_ok()
            && let Err(error) = multiple_auth::settle(&self.remote, payloads)
        {
            return self.refuse(&ends, &error, true, core);
        }
        self.awaits = !self.remote.rounds.peer.is_empty();
        if self.awaits {
            self.remote = self.remote.next_round(false, true);
        }
        self.heard(ends, payloads, core)
    }

    /// What the response says to what our request was for.
    pub(super) fn heard(self: Box<Self>, ends: Ends, payloads: &Payloads, core: &mut Core) -> Option<IkeSa> {
        match self.turn {
            // RFC 5685 §6: in the first response or the last, and only from a gateway that has proven who it is.
            Turn::Greeting => match redirect::told(&self.remote, payloads) {
                Some(to) => self.sent_away(ends, to, core),
                None => self.begin_eap(ends, payloads, core),
            },
            Turn::Talk(_) => self.hear(ends, payloads, core),
            Turn::Proof(_) if payloads.idr().is_err() => self.proof(ends, payloads, core),
            // AUTH is that of the responder's next proof; the one of EAP is still to come.
            Turn::Proof(_) => self.say(ends, &[], core),
            Turn::Whole => self.round_over(ends, payloads, core),
        }
    }

    /// We have proven who we are in this round, or had nothing to prove.
    pub(super) fn round_over(mut self: Box<Self>, ends: Ends, payloads: &Payloads, core: &mut Core) -> Option<IkeSa> {
        let more = !self.remote.rounds.own.is_empty();
        if !more && !self.awaits {
            return match Self::refused_late(payloads) {
                Some(refusal) => self.refuse(&ends, &refusal, false, core),
                None => self.establish(ends, payloads, core),
            };
        }
        if let Some(refusal) = payloads.refusal() {
            let error = self.refused(refusal);
            return self.refuse(&ends, &error, false, core);
        }
        if !more {
            self.turn = Turn::Whole;
            return self.say(ends, &[], core);
        }
        let peer = self.peer.as_ref().map_or_else(|| ends.peer.ip().into(), |id| id.identity.clone());
        self.remote = self.remote.next_round(true, false).for_peer(ends.local.ip(), &peer);
        let own = Id::new(self.remote.local_id.clone());
        if matches!(self.remote.local_auth, LocalAuth::Eap(_)) {
            self.turn = Turn::Greeting;
            return self.say(ends, &[Payload::IdI(own)], core);
        }
        let claim = self.init.initiator(&own);
        match claim.prove(self.init.algs.prf, &self.remote.local_auth, self.init.asked(), &mut core.last_key) {
            Now::Known(proven) => self.prove_round(ends, proven, core),
            Now::Ask(question) => Some(asking::ask(ends, question, Step::SignRound(self), core)),
        }
    }

    /// `HDR, SK {IDi, [CERT], AUTH, [N(ANOTHER_AUTH_FOLLOWS)]}`
    pub(crate) fn prove_round(mut self: Box<Self>, ends: Ends, proven: Proven, core: &mut Core) -> Option<IkeSa> {
        let mut request = vec![Payload::IdI(Id::new(self.remote.local_id.clone()))];
        request.extend(proven.certificates);
        request.extend(proven.auth);
        request.extend(multiple_auth::announce(&self.remote));
        self.turn = Turn::Whole;
        self.say(ends, &request, core)
    }

    /// A refusal of the whole in the last response, where it has no AUTH beside which an error would be about the Child SA.
    fn refused_late(payloads: &Payloads) -> Option<Error> {
        let child = [
            NotifyType::NO_PROPOSAL_CHOSEN,
            NotifyType::SINGLE_PAIR_REQUIRED,
            NotifyType::NO_ADDITIONAL_SAS,
            NotifyType::INTERNAL_ADDRESS_FAILURE,
            NotifyType::FAILED_CP_REQUIRED,
            NotifyType::TS_UNACCEPTABLE,
            NotifyType::INVALID_SELECTORS,
        ];
        let error = payloads.notifies().find(|notify| notify.kind.is_error())?;
        let whole = payloads.auth().is_err() && !child.contains(&error.kind);
        whole.then(|| Error::Refused(error.kind, error.data.clone()))
    }
}
