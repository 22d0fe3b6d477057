//! The initial exchanges, one struct per phase, and the phase they lead to.
//!
//! ```text
//!   opening.rs   a connection, where IKE goes in TCP, and a value that takes long to make      Opening
//!   sa_init.rs   HDR, SAi1, KEi, Ni  -->              InitRequested
//!                <--  HDR, SAr1, KEr, Nr              InitAnswered; solving.rs: where the responder wants work done
//!                                                  first
//!   init_request.rs   what the first request is made of, with a key exchange or a ticket
//!   answer_resume.rs  HDR, Ni, N(TICKET_OPAQUE)  -->        the same two, where an IKE SA was lost
//!                <--  HDR, Nr
//!   intermediate.rs  HDR, SK {KEi(n)}  -->               IntermediateRequested, once for each that was agreed on
//!                <--  HDR, SK {KEr(n)}
//!   init_exchange.rs  what these leave for the rest
//!   auth.rs      HDR, SK {IDi, AUTH, SAi2, TSi, TSr}  -->      AuthRequested
//!                <--  HDR, SK {IDr, AUTH, SAr2, TSi, TSr}
//!   eap.rs       between the two, HDR, SK {EAP} both ways      AuthRequested; answer_eap.rs: EapAnswered
//!   round.rs     and where one proof of a side is not all      the same two; answer_round.rs
//!   asking.rs    between the two, where somebody outside signs or judges
//!   established.rs   everything after, by exchange/
//! ```
//! Read RFC 7296 §1 and §1.2, §2.1, §2.6, §2.15 and §2.21 before changing this folder.

pub(crate) mod answer_auth;
pub(crate) mod answer_eap;
pub(crate) mod answer_init;
pub(crate) mod answer_resume;
pub(crate) mod answer_round;
pub(crate) mod asking;
pub(crate) mod auth;
pub(crate) mod eap;
pub(crate) mod established;
pub(crate) mod init_exchange;
mod init_request;
pub(crate) mod intermediate;
pub(crate) mod opening;
pub(crate) mod round;
pub(crate) mod sa_init;
pub(crate) mod solving;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use ravelin_types::Instant;
use ravelin_types::proposal::IkeSuite;
use ravelin_wire::ike::v2::Message;

use self::answer_eap::EapAnswered;
use self::answer_init::InitAnswered;
use self::asking::Asking;
use self::auth::AuthRequested;
use self::established::Established;
use self::intermediate::IntermediateRequested;
use self::opening::Opening;
use self::sa_init::InitRequested;
use crate::context::Core;
use crate::error::Error;
use crate::ike_sa::{self, Ends, IkeSa};
use crate::input::Datagram;
use crate::live::Live;
use crate::output::{DownReason, OpId};
use crate::question::Answer;
use crate::secrets::IkeSecrets;
use crate::want::Want;

/// How far an IKE SA of IKEv2 is.
pub(crate) enum Phase {
    /// Nothing is sent yet.
    Opening(Box<Opening>),
    /// We sent an IKE_SA_INIT request.
    InitRequested(Box<InitRequested>),
    /// We answered one.
    InitAnswered(Box<InitAnswered>),
    /// We sent an IKE_INTERMEDIATE request.
    IntermediateRequested(Box<IntermediateRequested>),
    /// We sent an IKE_AUTH request.
    AuthRequested(Box<AuthRequested>),
    /// We asked who the peer is, by EAP.
    EapAnswered(Box<EapAnswered>),
    /// Somebody outside signs or judges.
    Asking(Box<Asking>),
    /// Both sides are authenticated.
    Established(Box<Established>),
}

impl Phase {
    /// As the table holds it.
    pub(crate) fn with(self, ends: Ends) -> IkeSa {
        IkeSa { ends, phase: ike_sa::Phase::V2(self) }
    }

    pub(crate) fn handle(self, ends: Ends, message: Message, datagram: Datagram<'_>, core: &mut Core) -> Option<IkeSa> {
        match self {
            Phase::Opening(phase) => {
                core.counters.unexpected += 1;
                Some(Phase::Opening(phase).with(ends))
            }
            Phase::InitRequested(phase) => phase.handle(ends, message, datagram, core),
            Phase::InitAnswered(phase) => phase.handle(ends, message, datagram, core),
            Phase::IntermediateRequested(phase) => phase.handle(ends, message, datagram, core),
            Phase::AuthRequested(phase) => phase.handle(ends, message, datagram, core),
            Phase::EapAnswered(phase) => phase.handle(ends, message, datagram, core),
            Phase::Asking(phase) => Some(phase.handle(ends, core)),
            Phase::Established(phase) => phase.handle(ends, message, datagram, core),
        }
    }

    pub(crate) fn timer(self, ends: Ends, core: &mut Core) -> Option<IkeSa> {
        match self {
            Phase::Opening(phase) => phase.timer(ends, core),
            Phase::InitRequested(phase) => phase.timer(ends, core),
            Phase::InitAnswered(phase) => phase.timer(ends, core),
            Phase::IntermediateRequested(phase) => phase.timer(ends, core),
            Phase::AuthRequested(phase) => phase.timer(ends, core),
            Phase::EapAnswered(phase) => phase.timer(ends, core),
            Phase::Asking(phase) => phase.timer(ends, core),
            Phase::Established(phase) => phase.timer(ends, core),
        }
    }

    pub(crate) fn answered(self, ends: Ends, op: OpId, answer: Answer, core: &mut Core) -> Option<IkeSa> {
        match self {
            Phase::Asking(phase) => phase.answered(ends, op, answer, core),
            Phase::InitRequested(phase) => phase.answered(ends, op, answer, core),
            phase => Some(phase.with(ends)),
        }
    }

    /// The step of a key exchange was taken that it waited for to go on by itself. `None`: the SA is gone, or has gone on.
    pub(crate) fn take_up(self, ends: Ends, core: &mut Core) -> Option<IkeSa> {
        match self {
            Phase::Opening(phase) => {
                phase.take_up(ends, core);
                None
            }
            Phase::Established(phase) => phase.take_up(ends, core),
            phase => Some(phase.with(ends)),
        }
    }

    /// The connection that it goes over is gone. `None`: the SA is, too.
    pub(crate) fn closed(self, mut ends: Ends, core: &mut Core) -> Option<IkeSa> {
        match self {
            Phase::Opening(phase) => {
                phase.closed(ends.replaces, core);
                None
            }
            Phase::InitRequested(phase) => {
                phase.closed(ends.replaces, core);
                None
            }
            Phase::Established(mut phase) => {
                phase.stream_closed(&mut ends);
                phase.go_on(ends, core)
            }
            // Who opens another will be followed to it; what we have not authenticated by then expires.
            phase if ends.stream.is_some_and(|stream| !stream.is_ours) => Some(phase.with(ends)),
            phase => {
                let place = ends.place(phase.remote_name(), "IKE_AUTH", None);
                core.failed(Error::NoStream("the connection to the peer broke".into()).failure(place));
                phase.drop_silently(&ends, DownReason::PeerDead, core);
                None
            }
        }
    }

    /// The connection that it asked for is on its way from `local`, or cannot be. `None`: the SA is gone, or has gone on.
    pub(crate) fn opened(self, mut ends: Ends, local: Result<SocketAddr, String>, core: &mut Core) -> Option<IkeSa> {
        match self {
            Phase::Opening(phase) => {
                phase.opened(ends, local, core);
                None
            }
            Phase::Established(mut phase) => {
                phase.stream_opened(&mut ends, local, core);
                phase.go_on(ends, core)
            }
            phase => Some(phase.with(ends)),
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Phase::Opening(phase) => Some(phase.expire_at),
            Phase::InitRequested(phase) => Some(phase.deadline()),
            Phase::InitAnswered(phase) => Some(phase.expire_at),
            Phase::IntermediateRequested(phase) => Some(phase.retry.at()),
            Phase::AuthRequested(phase) => Some(phase.retry.at()),
            Phase::EapAnswered(phase) => Some(phase.expire_at),
            Phase::Asking(phase) => Some(phase.deadline()),
            Phase::Established(phase) => phase.deadline(),
        }
    }

    /// Whether a peer began it and has yet to prove who it is.
    pub(crate) fn is_half_open(&self) -> bool {
        match self {
            Phase::InitAnswered(_) | Phase::EapAnswered(_) => true,
            Phase::Asking(phase) => phase.is_half_open(),
            Phase::Opening(_)
            | Phase::InitRequested(_)
            | Phase::IntermediateRequested(_)
            | Phase::AuthRequested(_)
            | Phase::Established(_) => false,
        }
    }

    /// [`IkeSa::join`]
    pub(crate) fn join(&mut self) -> Option<&mut Vec<Want>> {
        match self {
            Phase::Opening(phase) => Some(&mut phase.wants),
            Phase::InitRequested(phase) => Some(phase.join()),
            Phase::IntermediateRequested(phase) => Some(&mut phase.wants),
            Phase::AuthRequested(phase) => Some(&mut phase.wants),
            Phase::Asking(phase) => phase.wants(),
            Phase::InitAnswered(_) | Phase::EapAnswered(_) | Phase::Established(_) => None,
        }
    }

    /// What is after the initial exchanges, if they are over.
    pub(crate) fn established(&self) -> Option<&Established> {
        match self {
            Phase::Established(phase) => Some(phase),
            _ => None,
        }
    }

    pub(crate) fn remote_name(&self) -> &str {
        match self {
            Phase::Opening(phase) => &phase.remote.name,
            Phase::InitRequested(phase) => &phase.remote.name,
            Phase::InitAnswered(phase) => phase.remote_name(),
            Phase::IntermediateRequested(phase) => &phase.remote.name,
            Phase::AuthRequested(phase) => &phase.remote.name,
            Phase::EapAnswered(phase) => &phase.request.remote.name,
            Phase::Asking(phase) => phase.remote_name(),
            Phase::Established(phase) => &phase.remote.name,
        }
    }

    pub(crate) fn state_name(&self) -> &'static str {
        match self {
            Phase::Opening(_) | Phase::InitRequested(_) | Phase::InitAnswered(_) => "IKE_SA_INIT",
            Phase::IntermediateRequested(_) => "IKE_INTERMEDIATE",
            Phase::AuthRequested(_) | Phase::EapAnswered(_) | Phase::Asking(_) => "IKE_AUTH",
            Phase::Established(phase) => phase.state_name(),
        }
    }

    pub(crate) fn suite(&self) -> Option<IkeSuite> {
        match self {
            Phase::Opening(_) | Phase::InitRequested(_) => None,
            Phase::InitAnswered(phase) => Some(phase.init.suite),
            Phase::IntermediateRequested(phase) => Some(phase.init.suite),
            Phase::AuthRequested(phase) => Some(phase.init.suite),
            Phase::EapAnswered(phase) => Some(phase.phase.init.suite),
            Phase::Asking(phase) => Some(phase.suite()),
            Phase::Established(phase) => Some(phase.keying.suite),
        }
    }

    /// What opens the messages, once there are keys.
    pub(crate) fn secrets(&self, ends: &Ends) -> Option<IkeSecrets> {
        let protection = match self {
            Phase::Opening(_) | Phase::InitRequested(_) => return None,
            Phase::InitAnswered(phase) => &phase.init.protection,
            Phase::IntermediateRequested(phase) => &phase.init.protection,
            Phase::AuthRequested(phase) => &phase.init.protection,
            Phase::EapAnswered(phase) => &phase.phase.init.protection,
            Phase::Asking(phase) => phase.protection(),
            Phase::Established(phase) => &phase.protection,
        };
        Some(protection.secrets(ends.spis(), self.suite()?))
    }

    pub(crate) fn drop_silently(self, ends: &Ends, reason: DownReason, core: &mut Core) {
        match self {
            Phase::Established(phase) => phase.end(ends, reason, core),
            Phase::AuthRequested(phase) => phase.abandon(core),
            Phase::Asking(phase) => phase.abandon(core),
            Phase::Opening(_)
            | Phase::InitRequested(_)
            | Phase::InitAnswered(_)
            | Phase::IntermediateRequested(_)
            | Phase::EapAnswered(_) => {}
        }
    }
}

impl IkeSa {
    /// The established phase of IKEv2, if it is there.
    pub(crate) fn established(&mut self) -> Option<&mut Established> {
        match &mut self.phase {
            ike_sa::Phase::V2(Phase::Established(phase)) => Some(phase),
            _ => None,
        }
    }
}
