//! What a responder says in an IKE_AUTH exchange that is not the only one, and rounds after the first (RFC 4739).
//!
//! ```text
//!   the peer     its proof, or a turn of EAP  ─► EapAnswered::next ─► round_over, or turned
//!   we           IDr, [CERT], AUTH, [N(ANOTHER_AUTH_FOLLOWS)]   while we have something to prove
//!                EAP                                            while the conversation goes on
//!                AUTH by the key of EAP                          at its end
//!                SAr2, TSi, TSr                                  when nobody has anything left to prove
//! ```
//! The remote is that of the round in which both sides are (`auth/rounds.rs`). Read RFC 4739 §2 before changing this file.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_eap::Conversation;
use ravelin_wire::ike::v2::{Auth, Eap, Id, Payload};

use super::answer_auth::Request;
use super::answer_eap::EapAnswered;
use super::answer_init::InitAnswered;
use super::asking::{self, Step};
use crate::auth::{Now, Proven, RemoteAuth};
use crate::config::Remote;
use crate::context::Core;
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::ike_sa::{Ends, IkeSa};
use crate::limits;
use crate::question::Question;
use crate::v2::feature::multiple_auth;
use crate::v2::message::Payloads;

/// What an answer holds beside our proof.
pub(crate) enum Reply {
    /// The conversation, which goes on.
    Eap(Option<Eap>),
    /// The peer has proven itself in this round, or has nothing left to prove; by EAP, here is AUTH by its key.
    Over(Option<Payload>),
}

/// What a message of the peer comes to.
pub(super) enum Heard {
    /// Somebody must work on it: the conversation.
    Turn(Question),
    /// Or the proof.
    Proof(Question),
    /// Its part in this exchange is over.
    Over,
}

impl InitAnswered {
    /// The initiator has proven itself for the first time, and it is not all.
    pub(super) fn begin_rounds(self: Box<Self>, ends: Ends, request: Request, core: &mut Core) -> Option<IkeSa> {
        let users = request.remote.peer_proofs().any(|auth| matches!(auth, RemoteAuth::Eap(_)));
        let time = if users { request.remote.login_time } else { limits::HALF_OPEN_LIFETIME };
        Box::new(EapAnswered::new(self, request, time, core)).round_over(ends, core)
    }
}

impl EapAnswered {
    /// The next proof of the peer begins, if it has one.
    pub(super) fn begin_round(&mut self, payloads: &Payloads, ends: &Ends, core: &mut Core) -> Result<Heard, Error> {
        if !self.awaits {
            return Ok(Heard::Over);
        }
        let id = payloads.idi()?;
        let remote = &self.request.remote;
        if !remote.takes(&id.identity) {
            let (theirs, ours) = (vec![id.identity.to_string()], vec![remote.peer_words()]);
            return Err(Error::Authentication(Disagreement::new(Part::Identity, theirs, ours)));
        }
        let remote = remote.for_peer(self.request.at.local.ip(), &id.identity);
        self.request.claimed = id.clone();
        self.request.remote = remote.clone();
        let unproven = |auth: &Auth| remote.remote_auth.unproven(&remote.name, &id.identity, auth.method);
        let auth = payloads.auth();
        if let RemoteAuth::Eap(eap) = &remote.remote_auth {
            return match auth {
                Ok(auth) => Err(unproven(auth)),
                Err(_) => {
                    let session = ends.our_spi().0;
                    let conversation = Box::new(Conversation::with(&eap.server, &id.identity, session));
                    Ok(Heard::Turn(Question::Converse { conversation, heard: None }))
                }
            };
        }
        let auth = auth?;
        multiple_auth::settle(&remote, payloads)?;
        let init = &self.phase.init;
        let judged =
            init.initiator(id).judge(init.algs.prf, &remote.remote_auth, auth, &payloads.0, &mut core.last_key);
        match judged.map_err(|_| unproven(auth))? {
            Now::Known(()) => Ok(Heard::Over),
            Now::Ask(question) => Ok(Heard::Proof(question)),
        }
    }

    /// The peer has proven itself in this round, or had nothing to prove.
    pub(crate) fn round_over(mut self: Box<Self>, ends: Ends, core: &mut Core) -> Option<IkeSa> {
        let mut auth = None;
        if let Some(proven) = self.proven.take() {
            // Of several proofs, all are looked at when the last is there.
            let several = self.request.remote.rounds.are_used();
            if !several && let Err(error) = self.stands(&proven, core) {
                return self.refuse(ends, &error, None, core);
            }
            let claim = self.phase.init.responder(&self.request.id);
            auth = Some(claim.prove_shared(self.phase.init.algs.prf, claim.after_eap(&proven.msk)));
            let mut remote = Remote::clone(&self.request.remote);
            remote.remote_id = ravelin_eap::identity(&proven.user);
            self.request.remote = Arc::new(remote);
            self.request.admission = proven.admission.or(self.request.admission.take());
        }
        self.awaits = !self.request.remote.rounds.peer.is_empty();
        if self.awaits {
            self.request.remote = self.request.remote.next_round(false, true);
        }
        self.reply(ends, Reply::Over(auth), core)
    }

    /// Answers, with our proof first where one is due.
    pub(super) fn reply(mut self: Box<Self>, ends: Ends, reply: Reply, core: &mut Core) -> Option<IkeSa> {
        // One AUTH in a message: that of EAP comes first.
        if !self.owes || matches!(reply, Reply::Over(Some(_))) {
            return self.compose(ends, Vec::new(), reply, core);
        }
        self.request.id = Id::new(self.request.remote.local_id.clone());
        let init = &self.phase.init;
        let claim = init.responder(&self.request.id);
        match claim.prove(init.algs.prf, &self.request.remote.local_auth, init.asked(), &mut core.last_key) {
            Now::Known(proven) => self.prove(ends, proven, reply, core),
            Now::Ask(question) => Some(asking::ask(ends, question, Step::SignReply(self, reply), core)),
        }
    }

    /// Answers with this proof.
    pub(crate) fn prove(
        mut self: Box<Self>,
        ends: Ends,
        proven: Proven,
        reply: Reply,
        core: &mut Core,
    ) -> Option<IkeSa> {
        let mut head = self.request.head(proven);
        head.extend(multiple_auth::announce(&self.request.remote));
        self.owes = !self.request.remote.rounds.own.is_empty();
        if self.owes {
            self.request.remote = self.request.remote.next_round(true, false);
        }
        self.compose(ends, head, reply, core)
    }

    fn compose(self: Box<Self>, ends: Ends, mut answer: Vec<Payload>, reply: Reply, core: &mut Core) -> Option<IkeSa> {
        match reply {
            Reply::Eap(eap) => answer.extend(eap.map(Payload::Eap)),
            Reply::Over(auth) => {
                answer.extend(auth);
                if !self.owes && !self.awaits {
                    return self.establish(ends, answer, core);
                }
            }
        }
        self.say(ends, answer, core)
    }

    /// Both sides have proven all; the rest is as with one proof of each.
    fn establish(self: Box<Self>, ends: Ends, answer: Vec<Payload>, core: &mut Core) -> Option<IkeSa> {
        let remote = &self.request.remote;
        let user = remote.rounds.user.as_ref().unwrap_or(&remote.remote_id);
        if remote.rounds.are_used()
            && let Err(error) = self.all_stand(user, core)
        {
            return self.refuse(ends, &error, None, core);
        }
        let EapAnswered { phase, mut request, .. } = *self;
        let by_eap = matches!(request.remote.remote_auth, RemoteAuth::Eap(_));
        // The user is who counts, whatever machine he sits at.
        if let Some(user) = request.remote.rounds.user.clone().filter(|_| !by_eap) {
            let mut remote = Remote::clone(&request.remote);
            remote.remote_id = user;
            request.remote = Arc::new(remote);
        }
        phase.establish(ends, request, answer, core)
    }
}
