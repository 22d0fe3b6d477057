//! How far an SA of IKEv1 is.

use alloc::boxed::Box;
use alloc::vec::Vec;

use ravelin_types::Instant;
use ravelin_types::proposal::IkeSuite;
use ravelin_wire::ike::v1::Message;

use super::exchange::Opening;
use super::session::Session;
use crate::context::Core;
use crate::ike_sa::{self, Ends, IkeSa};
use crate::input::Datagram;
use crate::live::Live;
use crate::output::{DownReason, OpId};
use crate::question::Answer;
use crate::secrets::IkeSecrets;
use crate::want::Want;

/// The two phases.
pub(crate) enum Phase {
    /// Phase 1 is under way.
    Opening(Box<Opening>),
    /// Phase 1 is over.
    Session(Box<Session>),
}

impl Phase {
    /// As the table holds it.
    pub(crate) fn with(self, ends: Ends) -> IkeSa {
        IkeSa { ends, phase: ike_sa::Phase::V1(self) }
    }

    pub(crate) fn handle(self, ends: Ends, message: Message, datagram: Datagram<'_>, core: &mut Core) -> Option<IkeSa> {
        match self {
            Phase::Opening(opening) => opening.handle(ends, message, datagram, core),
            Phase::Session(session) => session.handle(ends, message, datagram, core),
        }
    }

    pub(crate) fn timer(self, ends: Ends, core: &mut Core) -> Option<IkeSa> {
        match self {
            Phase::Opening(opening) => opening.timer(ends, core),
            Phase::Session(session) => session.timer(ends, core),
        }
    }

    pub(crate) fn answered(self, ends: Ends, op: OpId, answer: Answer, core: &mut Core) -> Option<IkeSa> {
        match self {
            Phase::Opening(opening) => opening.answered(ends, op, answer, core),
            Phase::Session(session) => Some(Phase::Session(session).with(ends)),
        }
    }

    /// The step of a key exchange was taken that it waited for to go on by itself. `None`: the SA is gone, or has gone on.
    pub(crate) fn take_up(self, ends: Ends, core: &mut Core) -> Option<IkeSa> {
        match self {
            Phase::Opening(opening) => opening.take_up(ends, core),
            Phase::Session(session) => session.go_on(ends, core),
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Phase::Opening(opening) => Some(opening.deadline()),
            Phase::Session(session) => session.deadline(),
        }
    }

    /// Whether the peer has yet to prove who it is, where it began.
    pub(crate) fn is_half_open(&self) -> bool {
        self.established().is_none()
    }

    /// [`IkeSa::join`](crate::ike_sa::IkeSa::join)
    pub(crate) fn join(&mut self) -> Option<&mut Vec<Want>> {
        match self {
            Phase::Opening(opening) if opening.is_ours() => Some(opening.join()),
            _ => None,
        }
    }

    /// What is after phase 1, if that is over.
    pub(crate) fn established(&self) -> Option<&Session> {
        match self {
            Phase::Opening(_) => None,
            Phase::Session(session) => Some(session),
        }
    }

    pub(crate) fn remote_name(&self) -> &str {
        match self {
            Phase::Opening(opening) => opening.remote_name(),
            Phase::Session(session) => &session.remote.name,
        }
    }

    pub(crate) fn state_name(&self) -> &'static str {
        match self {
            Phase::Opening(opening) => opening.state_name(),
            Phase::Session(session) => session.state_name(),
        }
    }

    pub(crate) fn suite(&self) -> Option<IkeSuite> {
        match self {
            Phase::Opening(opening) => opening.suite(),
            Phase::Session(session) => Some(session.secured.suite),
        }
    }

    /// What opens the messages, once there are keys.
    pub(crate) fn secrets(&self, ends: &Ends) -> Option<IkeSecrets> {
        let (secured, last) = match self {
            Phase::Opening(opening) => (opening.secured()?, None),
            Phase::Session(session) => (&session.secured, Some(session.secured.iv.as_bytes().to_vec())),
        };
        let key = secured.keys.cipher_key(&secured.algs);
        Some(IkeSecrets::V1 { cookies: ends.spis(), suite: secured.suite, key, last })
    }

    pub(crate) fn drop_silently(self, ends: &Ends, reason: DownReason, core: &mut Core) {
        match self {
            Phase::Opening(opening) => opening.abandon(core),
            Phase::Session(session) => session.end(ends, reason, core),
        }
    }
}
