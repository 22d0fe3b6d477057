//! Phase 1 from the keys on: each side proves who it is. Who signs or judges may be somebody outside (`question.rs`).
//!
//! ```text
//!   main mode        initiator   4 came: sign, send 5            6 came: judge; it stands
//!                    responder   5 came: judge, sign, send 6; it stands
//!   aggressive mode  responder   1 came: sign, send 2            3 came: judge; it stands
//!                    initiator   2 came: judge, sign, send 3; it stands
//! ```
//! A message that comes again meanwhile changes nothing, and the first of what follows phase 1 waits. Without an answer in
//! [`limits::ANSWER`] the SA ends.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use ravelin_types::identity::Identity;
use ravelin_types::{Carrier, Instant};
use ravelin_wire::ike::header::Header;
use ravelin_wire::ike::v1::{Message, NotifyType, Opaque, Payload};

use super::proof::Material;
use super::{Opening, Step, aggressive, id_payload, informational, main_mode, tell};
use crate::auth::Now;
use crate::config::Remote;
use crate::context::Core;
use crate::error::Error;
use crate::ike_sa::{self, Ends, IkeSa};
use crate::input::Datagram;
use crate::limits;
use crate::live::Live;
use crate::output::OpId;
use crate::question::{Answer, Question};
use crate::v1::message::{Payloads, Secured};
use crate::v1::session::{Origin, Session};

/// A question is open.
pub(super) struct Asking {
    op: OpId,
    /// Whether the peer is judged; else we sign.
    judging: bool,
    pub(super) expire_at: Instant,
    pub(super) turn: Turn,
    pub(super) keyed: Keyed,
    /// What the peer sent next, taking the SA to stand: our end, its end, and the message.
    early: Option<(SocketAddr, SocketAddr, Vec<u8>)>,
}

/// Which message is being dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// We shall send message 5 of main mode.
    Main5,
    /// Message 5 came.
    Main5Came,
    /// Message 6 came.
    Main6Came,
    /// We shall send message 2 of aggressive mode.
    Aggressive2,
    /// Message 2 came.
    Aggressive2Came,
    /// Message 3 came.
    Aggressive3Came,
}

impl Turn {
    pub(super) fn is_aggressive(self) -> bool {
        matches!(self, Turn::Aggressive2 | Turn::Aggressive2Came | Turn::Aggressive3Came)
    }

    /// Whether the peer takes the SA to stand already.
    fn is_last(self) -> bool {
        matches!(self, Turn::Main6Came | Turn::Aggressive3Came)
    }
}

/// Phase 1 with its keys.
pub(super) struct Keyed {
    /// With nothing open, where the peer has said who it is.
    pub(super) remote: Arc<Remote>,
    pub(super) secured: Secured,
    pub(super) material: Material,
    /// The message of the peer that is dealt with.
    pub(super) received: Vec<u8>,
    /// Who it says it is, and what else the message holds.
    pub(super) peer: Option<(Identity, Payloads)>,
    /// The remotes that did not believe it, and why.
    pub(super) refusals: Vec<(Arc<Remote>, String)>,
}

impl Keyed {
    /// With the message that came, and nobody who did not believe it.
    pub(super) fn new(
        remote: Arc<Remote>,
        secured: Secured,
        material: Material,
        received: &[u8],
        peer: Option<(Identity, Payloads)>,
    ) -> Self {
        Keyed { remote, secured, material, received: received.to_vec(), peer, refusals: Vec::new() }
    }
}

/// Goes on once it is known, or asked, whether the peer is who it says it is.
pub(super) fn judged(
    opening: Box<Opening>,
    ends: Ends,
    now: Now<()>,
    turn: Turn,
    keyed: Keyed,
    core: &mut Core,
) -> Option<IkeSa> {
    match now {
        Now::Known(()) => proven(opening, ends, turn, keyed, core),
        Now::Ask(question) => Some(ask(opening, ends, (true, question), turn, keyed, core)),
    }
}

/// The peer is who it says it is, or has not said it yet.
pub(super) fn proven(opening: Box<Opening>, ends: Ends, turn: Turn, keyed: Keyed, core: &mut Core) -> Option<IkeSa> {
    if turn.is_last() {
        return stand(opening, ends, turn, keyed, None, core);
    }
    let id = id_payload(&keyed.remote.local_id).body();
    match keyed.material.prove(&keyed.secured, &keyed.remote, ends.initiator, &id) {
        Now::Known(proof) => send(opening, ends, turn, keyed, proof, core),
        Now::Ask(question) => Some(ask(opening, ends, (false, question), turn, keyed, core)),
    }
}

fn ask(
    mut opening: Box<Opening>,
    ends: Ends,
    (judging, question): (bool, Question),
    turn: Turn,
    keyed: Keyed,
    core: &mut Core,
) -> IkeSa {
    let op = core.ask(ends.our_spi(), question);
    opening.step =
        Step::Asking(Box::new(Asking { op, judging, expire_at: core.now + limits::ANSWER, turn, keyed, early: None }));
    opening.keep(ends)
}

/// Sends our proof.
fn send(opening: Box<Opening>, ends: Ends, turn: Turn, keyed: Keyed, proof: Payload, core: &mut Core) -> Option<IkeSa> {
    let (name, policy) = (keyed.remote.name.clone(), opening.wants.first().map(|want| want.policy));
    let place = ends.place(&name, opening.exchange_name(), policy);
    let sent = match turn {
        Turn::Main5 => main_mode::send_5(opening, ends, keyed, proof, core).map(Some),
        Turn::Aggressive2 => aggressive::send_2(opening, ends, keyed, proof, core).map(Some),
        Turn::Main5Came | Turn::Main6Came => main_mode::message_6(&ends, keyed, proof)
            .map(|(keyed, message)| stand(opening, ends, turn, keyed, Some(message), core)),
        Turn::Aggressive2Came | Turn::Aggressive3Came => {
            aggressive::message_3(opening.abilities, &ends, keyed, proof, core)
                .map(|(keyed, message)| stand(opening, ends, turn, keyed, Some(message), core))
        }
    };
    sent.unwrap_or_else(|error| {
        core.failed(error.failure(place));
        None
    })
}

/// The SA stands; `message` is our last one.
fn stand(
    opening: Box<Opening>,
    ends: Ends,
    turn: Turn,
    keyed: Keyed,
    message: Option<Vec<u8>>,
    core: &mut Core,
) -> Option<IkeSa> {
    // The configuration may have changed while its proof was judged: whoever is not in it any more is nobody.
    if !ends.initiator && core.current(&keyed.remote).is_none() {
        refuse(&opening, &ends, turn, (true, &keyed), "the remote was deleted".into(), core);
        return None;
    }
    let Opening { wants, abilities, replaces, .. } = *opening;
    let Keyed { remote, secured, material, received, peer, .. } = keyed;
    let (identity, payloads) = peer?;
    let origin = Origin {
        identities: (remote.local_id.clone(), identity),
        remote,
        secured,
        abilities,
        lifetime: material.agreed.lifetime,
        replaces,
    };
    let ends = Ends { if_ids: core.interfaces_of(&origin.remote), ..ends };
    let mut session = Session::new(origin, &ends, &payloads, core);
    if let Some(message) = &message {
        core.transmit_v1((ends.local, ends.peer), message.clone(), abilities, 0);
        session.unconfirmed = Some(message.clone()).filter(|_| turn == Turn::Aggressive2Came);
    }
    let mut session = session.with_last(&received, message);
    wants.into_iter().for_each(|want| session.want(want));
    session.go_on(ends, core)
}

/// The answer to question `op`.
pub(super) fn answered(
    mut opening: Box<Opening>,
    ends: Ends,
    op: OpId,
    answer: Answer,
    core: &mut Core,
) -> Option<IkeSa> {
    let asking = match core::mem::replace(&mut opening.step, Step::Handled) {
        Step::Asking(asking) if asking.op == op => asking,
        step => {
            opening.step = step;
            return Some(opening.keep(ends));
        }
    };
    let Asking { judging, turn, mut keyed, early, .. } = *asking;
    let why = match answer {
        Answer::Proven if judging => {
            let sa = proven(opening, ends, turn, keyed, core)?;
            return match early {
                Some((local, remote, data)) => {
                    handle_early(sa, Datagram { local, remote, carrier: Carrier::Udp, data: &data }, core)
                }
                None => Some(sa),
            };
        }
        Answer::Signed(proof, _) if !judging => {
            return send(opening, ends, turn, keyed, Payload::Sig(Opaque(proof.data)), core);
        }
        Answer::Refused(why) => match judging.then(|| main_mode::next(&opening, &ends, turn, &keyed)).flatten() {
            Some((remote, now)) => {
                keyed.refusals.push((core::mem::replace(&mut keyed.remote, remote), why));
                return judged(opening, ends, now, turn, keyed, core);
            }
            None => why,
        },
        Answer::Proven
        | Answer::Signed(..)
        | Answer::Conversed(_)
        | Answer::Generated(_)
        | Answer::Agreed(_)
        | Answer::Exchanged(_)
        | Answer::Solved(_)
        | Answer::Found(_) => "the answer is to another question".into(),
    };
    refuse(&opening, &ends, turn, (judging, &keyed), why, core);
    None
}

/// What waited for the SA to stand.
fn handle_early(sa: IkeSa, datagram: Datagram<'_>, core: &mut Core) -> Option<IkeSa> {
    let IkeSa { ends, phase } = sa;
    match (phase, Message::parse(datagram.data)) {
        (ike_sa::Phase::V1(phase), Ok(message)) => phase.handle(ends, message, datagram, core),
        (phase, _) => Some(IkeSa { ends, phase }),
    }
}

/// We cannot sign, or the peer is not who it says it is.
fn refuse(opening: &Opening, ends: &Ends, turn: Turn, (theirs, keyed): (bool, &Keyed), why: String, core: &mut Core) {
    let error = if theirs {
        let before = keyed.refusals.iter().map(|(remote, why)| (why.clone(), &*remote.name));
        Error::unproven(before.chain([(why, &*keyed.remote.name)]))
    } else {
        Error::credential(why)
    };
    let policy = opening.wants.first().map(|want| want.policy);
    core.failed(error.failure(ends.place(&keyed.remote.name, opening.exchange_name(), policy)));
    if turn.is_last() {
        // The peer believes that the SA stands.
        informational::farewell(&keyed.secured, ends, error.notify_v1(), core);
    } else if let Ok((header, _)) = Header::parse(&keyed.received)
        && theirs
        && core.may_react()
    {
        let datagram = Datagram { local: ends.local, remote: ends.peer, carrier: Carrier::Udp, data: &keyed.received };
        tell(header, error.notify_v1(), datagram, core);
    }
}

impl Asking {
    /// Takes a message that comes before the answer.
    pub(super) fn wait(&mut self, header: Header, datagram: Datagram<'_>, core: &mut Core) {
        if self.turn.is_last() && header.message_id != 0 && self.early.is_none() {
            self.early = Some((datagram.local, datagram.remote, datagram.data.to_vec()));
        } else {
            core.counters.repeated += 1;
        }
    }

    /// Nobody answered in time.
    pub(super) fn overdue(&self, opening: &Opening, ends: &Ends, core: &mut Core) {
        let error = Error::credential("nobody signed or checked the certificates in time".into());
        let policy = opening.wants.first().map(|want| want.policy);
        core.failed(error.failure(ends.place(&self.keyed.remote.name, opening.exchange_name(), policy)));
        self.withdraw(core);
    }

    /// It ends before the answer.
    pub(super) fn withdraw(&self, core: &mut Core) {
        core.withdraw(self.op);
    }
}

/// What the peer says in a notify, where that may be about what we proved (RFC 2408 §3.14.1).
pub(super) fn refusal(remote: &Remote, kind: NotifyType) -> Error {
    match kind {
        NotifyType::AUTHENTICATION_FAILED
        | NotifyType::INVALID_HASH_INFORMATION
        | NotifyType::INVALID_SIGNATURE
        | NotifyType::INVALID_CERTIFICATE
        | NotifyType::INVALID_CERT_AUTHORITY => Error::not_believed(kind, remote),
        other => Error::RefusedV1(other),
    }
}
