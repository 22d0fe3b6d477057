//! IKE_AUTH while somebody outside signs or judges (`question.rs`).
//!
//! ```text
//!   initiator   IKE_SA_INIT ─► Sign ─► [Solve] ─► AuthRequested ─► Judge ─► Established
//!   responder   InitAnswered ─► Judge ─► Sign ─► Established
//!   with EAP    AuthRequested ◄─► Converse;  InitAnswered ─► Converse ─► Sign ─► EapAnswered ◄─► Converse
//!   in rounds   AuthRequested ◄─► Sign, Judge;  EapAnswered ◄─► Judge, Sign
//! ```
//! The peer's message comes again meanwhile, or not; it changes nothing. Without an answer in
//! [`limits::ANSWER`] the IKE SA ends.

use alloc::boxed::Box;
use alloc::vec::Vec;

use ravelin_types::Instant;
use ravelin_types::proposal::IkeSuite;
use ravelin_wire::ike::v2::EapCode;

use super::Phase;
use super::answer_auth::Request;
use super::answer_eap::EapAnswered;
use super::answer_init::InitAnswered;
use super::answer_round::Reply;
use super::auth::{AuthRequested, Unsigned};
use crate::auth::Proven;
use crate::context::Core;
use crate::error::Error;
use crate::ike_sa::{Ends, IkeSa};
use crate::limits;
use crate::output::OpId;
use crate::question::{Answer, Question};
use crate::v2::message::{Payloads, Protection};
use crate::want::Want;

/// A question is open.
pub(crate) struct Asking {
    op: OpId,
    /// Of the configuration by which it is asked.
    edition: u64,
    expire_at: Instant,
    step: Step,
}

/// What for.
pub(crate) enum Step {
    /// Our AUTH as initiator.
    SignRequest(Box<Unsigned>),
    /// The puzzle of the responder, before the request with this AUTH.
    Solve(Box<Unsigned>, Proven),
    /// The responder's.
    JudgeResponse(Box<AuthRequested>, Payloads),
    /// The initiator's.
    JudgeRequest(Box<InitAnswered>, Request),
    /// Our AUTH as responder.
    SignResponse(Box<InitAnswered>, Request),
    /// Our turn as the user in an EAP conversation, after a message of this kind.
    PeerTurn(Box<AuthRequested>, EapCode),
    /// Our turn as the one who asks.
    ServerTurn(Box<EapAnswered>),
    /// A further proof of the initiator.
    JudgeRound(Box<EapAnswered>),
    /// Our AUTH as responder in an answer that is not the only one.
    SignReply(Box<EapAnswered>, Reply),
    /// A further AUTH of ours as initiator.
    SignRound(Box<AuthRequested>),
}

/// Asks, and waits in this phase for the answer.
pub(crate) fn ask(ends: Ends, question: Question, step: Step, core: &mut Core) -> IkeSa {
    let op = core.ask(ends.our_spi(), question);
    let phase = Asking { op, edition: core.edition, expire_at: core.now + limits::ANSWER, step };
    Phase::Asking(Box::new(phase)).with(ends)
}

impl Asking {
    /// The answer to question `op`.
    pub(crate) fn answered(self: Box<Self>, ends: Ends, op: OpId, answer: Answer, core: &mut Core) -> Option<IkeSa> {
        if op != self.op {
            return Some(Phase::Asking(self).with(ends));
        }
        match (self.step, answer) {
            // The peer is who it has to be by what is configured now.
            (Step::JudgeResponse(phase, payloads), _) if self.edition != core.edition => {
                phase.judge_again(ends, payloads, core)
            }
            (Step::JudgeRequest(phase, request) | Step::SignResponse(phase, request), _)
                if self.edition != core.edition =>
            {
                phase.judge_again(ends, request, core)
            }
            (Step::SignRequest(unsigned), Answer::Signed(proof, certificates)) => {
                unsigned.proven(ends, Proven::signed(proof, certificates), core)
            }
            (Step::SignRequest(unsigned), other) => unsigned.unsigned(&ends, words(other), core),
            (Step::Solve(unsigned, proven), Answer::Solved(solution)) => unsigned.solved(ends, proven, solution, core),
            (Step::Solve(unsigned, _), other) => unsigned.unsigned(&ends, words(other), core),
            (Step::JudgeResponse(phase, payloads), Answer::Proven) => phase.proven(ends, &payloads, core),
            (Step::JudgeResponse(phase, _), other) => phase.disproven(ends, words(other), core),
            (Step::JudgeRequest(phase, request), Answer::Proven) => phase.proven(ends, request, core),
            (Step::JudgeRequest(phase, request), other) => phase.unproven(ends, request, words(other), core),
            (Step::SignResponse(phase, request), Answer::Signed(proof, certificates)) => {
                let head = request.head(Proven::signed(proof, certificates));
                phase.establish(ends, request, head, core)
            }
            (Step::SignResponse(phase, request), other) => {
                phase.refuse(ends, &Error::credential(words(other)), request.at, core)
            }
            (Step::PeerTurn(phase, heard), Answer::Conversed(turned)) => phase.turned(ends, *turned, heard, core),
            (Step::PeerTurn(phase, _), other) => phase.unsaid(ends, words(other), true, core),
            (Step::ServerTurn(phase), Answer::Conversed(turned)) => phase.turned(ends, *turned, core),
            (Step::JudgeRound(phase), Answer::Proven) => phase.round_over(ends, core),
            (Step::JudgeRound(phase), other) => {
                let error = Error::unproven([(words(other), &*phase.request.remote.name)]);
                phase.refuse(ends, &error, None, core)
            }
            (Step::SignReply(phase, reply), Answer::Signed(proof, certificates)) => {
                phase.prove(ends, Proven::signed(proof, certificates), reply, core)
            }
            (Step::ServerTurn(phase) | Step::SignReply(phase, _), other) => {
                phase.refuse(ends, &Error::credential(words(other)), None, core)
            }
            (Step::SignRound(phase), Answer::Signed(proof, certificates)) => {
                phase.prove_round(ends, Proven::signed(proof, certificates), core)
            }
            (Step::SignRound(phase), other) => phase.refuse(&ends, &Error::credential(words(other)), true, core),
        }
    }

    /// A message while nobody has answered: the peer's again.
    pub(crate) fn handle(self: Box<Self>, ends: Ends, core: &mut Core) -> IkeSa {
        core.counters.repeated += 1;
        Phase::Asking(self).with(ends)
    }

    pub(crate) fn timer(self: Box<Self>, ends: Ends, core: &mut Core) -> Option<IkeSa> {
        if core.now < self.expire_at {
            return Some(Phase::Asking(self).with(ends));
        }
        let error = match &self.step {
            Step::PeerTurn(..) | Step::ServerTurn(_) => Error::eap(None, Some("nobody answered in time".into())),
            _ => Error::credential("nobody signed or checked the certificates in time".into()),
        };
        core.failed(error.failure(ends.place(self.remote_name(), "IKE_AUTH", None)));
        self.abandon(core);
        None
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.expire_at
    }

    /// It ends before the answer.
    pub(crate) fn abandon(&self, core: &mut Core) {
        core.withdraw(self.op);
        match &self.step {
            Step::SignRequest(unsigned) | Step::Solve(unsigned, _) => unsigned.abandon(core),
            Step::JudgeResponse(phase, _) | Step::PeerTurn(phase, _) | Step::SignRound(phase) => phase.abandon(core),
            Step::JudgeRequest(..)
            | Step::SignResponse(..)
            | Step::ServerTurn(_)
            | Step::JudgeRound(_)
            | Step::SignReply(..) => {}
        }
    }

    /// Whether the peer has yet to prove who it is.
    pub(crate) fn is_half_open(&self) -> bool {
        matches!(self.step, Step::JudgeRequest(..) | Step::ServerTurn(_) | Step::JudgeRound(_) | Step::SignReply(..))
    }

    pub(crate) fn remote_name(&self) -> &str {
        match &self.step {
            Step::SignRequest(unsigned) | Step::Solve(unsigned, _) => &unsigned.remote.name,
            Step::JudgeResponse(phase, _) | Step::PeerTurn(phase, _) | Step::SignRound(phase) => &phase.remote.name,
            Step::ServerTurn(phase) | Step::JudgeRound(phase) | Step::SignReply(phase, _) => &phase.request.remote.name,
            Step::JudgeRequest(_, request) | Step::SignResponse(_, request) => &request.remote.name,
        }
    }

    pub(crate) fn suite(&self) -> IkeSuite {
        match &self.step {
            Step::SignRequest(unsigned) | Step::Solve(unsigned, _) => unsigned.init.suite,
            Step::JudgeResponse(phase, _) | Step::PeerTurn(phase, _) | Step::SignRound(phase) => phase.init.suite,
            Step::ServerTurn(phase) | Step::JudgeRound(phase) | Step::SignReply(phase, _) => phase.phase.init.suite,
            Step::JudgeRequest(phase, _) | Step::SignResponse(phase, _) => phase.init.suite,
        }
    }

    pub(crate) fn protection(&self) -> &Protection {
        match &self.step {
            Step::SignRequest(unsigned) | Step::Solve(unsigned, _) => &unsigned.init.protection,
            Step::JudgeResponse(phase, _) | Step::PeerTurn(phase, _) | Step::SignRound(phase) => &phase.init.protection,
            Step::ServerTurn(phase) | Step::JudgeRound(phase) | Step::SignReply(phase, _) => {
                &phase.phase.init.protection
            }
            Step::JudgeRequest(phase, _) | Step::SignResponse(phase, _) => &phase.init.protection,
        }
    }

    /// What else the IKE SA is for, when we began it.
    pub(crate) fn wants(&mut self) -> Option<&mut Vec<Want>> {
        match &mut self.step {
            Step::SignRequest(unsigned) | Step::Solve(unsigned, _) => Some(&mut unsigned.wants),
            Step::JudgeResponse(phase, _) | Step::PeerTurn(phase, _) | Step::SignRound(phase) => Some(&mut phase.wants),
            Step::JudgeRequest(..)
            | Step::SignResponse(..)
            | Step::ServerTurn(_)
            | Step::JudgeRound(_)
            | Step::SignReply(..) => None,
        }
    }
}

/// Why not; an answer to another question says nothing.
fn words(answer: Answer) -> alloc::string::String {
    match answer {
        Answer::Refused(why) => why,
        Answer::Signed(..)
        | Answer::Proven
        | Answer::Conversed(..)
        | Answer::Generated(_)
        | Answer::Agreed(_)
        | Answer::Exchanged(_)
        | Answer::Solved(_)
        | Answer::Found(_) => "the answer is to another question".into(),
    }
}
