//! The initial exchanges as initiator while somebody outside solves a puzzle for us: in IKE_SA_INIT (RFC 8019 §7.1.2), and before
//! IKE_AUTH (RFC 8019 §7.2.2).
//!
//! The old request is not repeated meanwhile, since each time would bring another puzzle. Whoever can speak for the responder, or
//! stand in its way, may have us compute in vain: how hard, how often and how much at once is bounded. Where we do not solve a
//! puzzle the cookie alone goes back: perhaps that is enough.

use alloc::boxed::Box;
use alloc::vec;

use ravelin_types::Instant;
use ravelin_wire::ike::v2::PuzzleSolution;

use super::asking::{self, Step};
use super::auth::Unsigned;
use super::sa_init::InitRequested;
use crate::auth::Proven;
use crate::context::Core;
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::ike_sa::{Ends, IkeSa};
use crate::limits;
use crate::output::OpId;
use crate::puzzle::Puzzle;
use crate::question::{Answer, Question};

/// The peer is under attack, and asks too much of us.
fn too_hard(puzzle: &Puzzle) -> Error {
    let theirs = vec![alloc::format!("wants a puzzle of {} bits solved", puzzle.bits)];
    let ours = vec![alloc::format!("puzzles of up to {} bits", limits::PUZZLE_BITS)];
    Error::NoAgreement(Disagreement::new(Part::Limit, theirs, ours))
}

impl InitRequested {
    /// Has it solved, unless that is too much.
    pub(super) fn solve(mut self: Box<Self>, ends: Ends, puzzle: Puzzle, core: &mut Core) -> Option<IkeSa> {
        let too_much = puzzle.bits > limits::PUZZLE_BITS;
        if too_much && !self.reported {
            // RFC 8019 §9: an operator wants to know.
            self.reported = true;
            let policy = self.wants.first().map(|want| want.policy);
            core.failed(too_hard(&puzzle).failure(ends.place(&self.remote.name, "IKE_SA_INIT", policy)));
        }
        let now = core.now;
        core.solving.retain(|_, until| now < *until);
        if too_much || self.puzzles >= limits::PUZZLES_PER_INIT || core.solving.len() >= limits::PUZZLES_AT_ONCE {
            return self.restart(ends, core);
        }
        self.puzzles += 1;
        let op = core.ask(ends.our_spi(), Question::Solve(puzzle));
        // Who works on it does so a while longer than we wait.
        core.solving.insert(op, now + 2 * limits::ANSWER);
        self.solving = Some((op, now + limits::ANSWER));
        Some(self.keep(ends))
    }

    /// The answer to a question.
    pub(crate) fn answered(
        mut self: Box<Self>,
        ends: Ends,
        op: OpId,
        answer: Answer,
        core: &mut Core,
    ) -> Option<IkeSa> {
        if self.solving.is_none_or(|(open, _)| open != op) {
            return Some(self.keep(ends));
        }
        self.solving = None;
        if let Answer::Solved(solution) = answer {
            self.request.challenge.solution = Some(solution);
        }
        self.restart(ends, core)
    }

    /// Nobody has solved it in time, if that is over.
    pub(super) fn unsolved(mut self: Box<Self>, ends: Ends, core: &mut Core) -> Option<IkeSa> {
        match self.solving {
            Some((op, until)) if until <= core.now => {
                core.withdraw(op);
                self.solving = None;
                self.restart(ends, core)
            }
            _ => Some(self.keep(ends)),
        }
    }

    /// When there is something to do.
    pub(crate) fn deadline(&self) -> Instant {
        self.solving.map_or_else(|| self.retry.at(), |(_, until)| until)
    }
}

impl Unsigned {
    /// Has the puzzle of the responder solved, before the request with this AUTH. Without that there will be no answer.
    pub(super) fn solve(self, ends: Ends, puzzle: Puzzle, proven: Proven, core: &mut Core) -> Option<IkeSa> {
        if puzzle.bits > limits::PUZZLE_BITS {
            self.abandon(core);
            core.failed(too_hard(&puzzle).failure(ends.place(&self.remote.name, "IKE_AUTH", None)));
            return None;
        }
        Some(asking::ask(ends, Question::Solve(puzzle), Step::Solve(Box::new(self), proven), core))
    }

    /// Somebody did.
    pub(crate) fn solved(
        mut self,
        ends: Ends,
        proven: Proven,
        solution: PuzzleSolution,
        core: &mut Core,
    ) -> Option<IkeSa> {
        self.solution = Some(solution);
        self.send(ends, proven, core)
    }
}
