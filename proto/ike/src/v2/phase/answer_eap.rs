//! EAP inside IKE_AUTH as responder: from a request without AUTH to one with it.
//!
//! ```text
//!   InitAnswered ─ HDR, SK {IDi, SA, TSi, TSr} ─► Asking: begin ─► Asking: sign ─► EapAnswered
//!                             <--  HDR, SK {IDr, [CERT], AUTH, EAP}
//!   EapAnswered ─ HDR, SK {EAP} ─► Asking ─► EapAnswered, until the method is done
//!                             <--  HDR, SK {EAP}
//!   EapAnswered ─ HDR, SK {AUTH} ─► Established
//!                             <--  HDR, SK {AUTH, SAr2, TSi, TSr}
//! ```
//! The peer is from then on who the method proved, whatever it said in IDi: that was a claim (RFC 7296 §2.16). A refusal is
//! kept as that of IKE_AUTH without EAP.
//! Read RFC 7296 §2.16, RFC 5998 and RFC 3748 §7 before changing this file.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use ravelin_eap::{Conversation, Proven, Step as Turned};
use ravelin_types::{Identity, Instant};
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{Eap, Message, NotifyType, Payload};

use super::Phase;
use super::answer_auth::Request;
use super::answer_init::InitAnswered;
use super::answer_round::{Heard, Reply};
use super::asking::{self, Step};
use crate::auth::{self, LocalAuth, RemoteAuth};
use crate::config::Remote;
use crate::context::Core;
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::ike_sa::{Ends, IkeSa};
use crate::input::Datagram;
use crate::question::Question;
use crate::sealed::Sealed;
use crate::v2::feature::ppk::Ppking;
use crate::v2::feature::{multiple_auth, ppk};
use crate::v2::message::Payloads;

/// IKE_AUTH goes on: in an EAP conversation, or with another proof (`answer_round.rs`).
pub(crate) struct EapAnswered {
    pub(crate) phase: Box<InitAnswered>,
    /// The request that began it, with what it wants.
    pub(crate) request: Request,
    /// Away while somebody works on it.
    conversation: Option<Conversation>,
    /// Whether the user has said anything in one.
    heard: bool,
    /// What came of it.
    pub(super) proven: Option<Proven>,
    /// Whether our next answer proves who we are.
    pub(super) owes: bool,
    /// Whether the peer has something left to prove.
    pub(super) awaits: bool,
    /// Of the configuration with which it began.
    edition: u64,
    /// The remote before its first round.
    entry: Arc<Remote>,
    /// Our last answer.
    response: Option<Sealed>,
    /// How often its request came again.
    repeated: u32,
    pub(crate) expire_at: Instant,
}

/// Whether this remote is one that proves itself by EAP.
pub(super) fn expected(remote: &Remote) -> bool {
    matches!(remote.remote_auth, RemoteAuth::Eap(_))
}

/// Begins a conversation about this request.
pub(super) fn begin(phase: Box<InitAnswered>, ends: Ends, request: Request, core: &mut Core) -> Option<IkeSa> {
    let RemoteAuth::Eap(eap) = &request.remote.remote_auth else { return None };
    let only = request.payloads.notify(NotifyType::EAP_ONLY_AUTHENTICATION).is_some();
    if matches!(request.remote.local_auth, LocalAuth::Eap(_)) && !only {
        // RFC 5998 §3: only whoever said that it takes it gets no other proof.
        let theirs = vec![String::from("wants a proof beside EAP")];
        let ours = vec![String::from("EAP alone")];
        let error = Error::Authentication(Disagreement::new(Part::Eap, theirs, ours));
        let at = request.at;
        return phase.refuse(ends, &error, at, core);
    }
    let user = request.payloads.idi().map_or_else(|_| request.remote.remote_id.clone(), |id| id.identity.clone());
    let conversation = Conversation::with(&eap.server, &user, ends.our_spi().0);
    let time = request.remote.login_time;
    let phase = EapAnswered::new(phase, request, time, core);
    let question = Question::Converse { conversation: Box::new(conversation), heard: None };
    Some(asking::ask(ends, question, Step::ServerTurn(Box::new(phase)), core))
}

fn unless_changed(stands: bool) -> Result<(), Error> {
    stands.then_some(()).ok_or(Error::Misuse("the remote was changed while its peer proved who it is"))
}

impl EapAnswered {
    /// Before our first answer.
    pub(super) fn new(phase: Box<InitAnswered>, request: Request, time: Duration, core: &Core) -> Self {
        EapAnswered {
            phase,
            entry: request.remote.clone(),
            request,
            conversation: None,
            heard: false,
            proven: None,
            owes: true,
            awaits: true,
            edition: core.edition,
            response: None,
            repeated: 0,
            expire_at: core.now + time,
        }
    }

    pub(crate) fn handle(
        mut self: Box<Self>,
        ends: Ends,
        message: Message,
        datagram: Datagram<'_>,
        core: &mut Core,
    ) -> Option<IkeSa> {
        let header = message.header;
        let init = &mut self.phase.init;
        let hung_up = header.exchange == ExchangeType::INFORMATIONAL && header.message_id == init.next_id;
        let asked = (header.exchange == ExchangeType::IKE_AUTH || hung_up) && !header.flags.is_response();
        let again = header.message_id.checked_add(1) == Some(init.next_id);
        let expected = asked && (again || header.message_id == init.next_id);
        let Some((protected, inner)) = init.open(message, expected, datagram, core) else {
            return Some(self.keep(ends));
        };
        if again {
            core.counters.repeated += 1;
            // RFC 7383 §2.6.1: one answer for all fragments of a request.
            let first = protected.fragment.is_none_or(|fragment| fragment.number() == 1);
            if let Some(response) = self.response.as_ref().filter(|_| first) {
                self.repeated = self.repeated.saturating_add(1);
                init.protection.sent_again(response, self.repeated);
                core.send(datagram.way(), response, self.repeated);
            }
            return Some(self.keep(ends));
        }
        let Some(whole) = init.protection.whole(datagram.data, &header, &protected, inner, core.now) else {
            return Some(self.keep(ends));
        };
        self.request.at = datagram.way();
        let payloads = whole.payloads();
        if hung_up {
            return self.hung_up(ends, payloads.ok(), core);
        }
        // Whoever is not in the configuration any more is nobody.
        if core.current(&self.request.remote).is_none() {
            return self.refuse(ends, &Error::Misuse("the remote was deleted"), None, core);
        }
        match payloads.and_then(|payloads| self.next(&payloads, &ends, core)) {
            Ok(Heard::Turn(question)) => Some(asking::ask(ends, question, Step::ServerTurn(self), core)),
            Ok(Heard::Proof(question)) => Some(asking::ask(ends, question, Step::JudgeRound(self), core)),
            Ok(Heard::Over) => self.round_over(ends, core),
            Err(error) => self.refuse(ends, &error, None, core),
        }
    }

    /// RFC 7296 §2.21.2: the user does not go on, and says so.
    fn hung_up(mut self: Box<Self>, ends: Ends, payloads: Option<Payloads>, core: &mut Core) -> Option<IkeSa> {
        let failed = payloads.and_then(|payloads| Some(payloads.notify(NotifyType::AUTHENTICATION_FAILED)?.kind));
        let verdict = self.conversation.as_ref().and_then(Conversation::verdict);
        let error = match (failed, verdict) {
            // Before a word of EAP it is about our own proof.
            (Some(kind), None) if !self.heard => Error::not_believed(kind, &self.request.remote),
            (_, verdict) => Error::eap(Some(verdict.unwrap_or_else(|| "the user gave up".into())), None),
        };
        core.failed(error.failure(ends.place(&self.request.remote.name, "IKE_AUTH", None)));
        let init = &mut self.phase.init;
        let header = ends.header(ExchangeType::INFORMATIONAL, true, init.next_id);
        if let Ok(answer) = init.protection.seal(&header, &[], &mut *core.rng) {
            core.send(self.request.at, &answer, 0);
        }
        None
    }

    pub(crate) fn timer(self: Box<Self>, ends: Ends, core: &mut Core) -> Option<IkeSa> {
        if core.now < self.expire_at {
            return Some(self.keep(ends));
        }
        let error = Error::eap(Some("the user did not go on".into()), None);
        core.failed(error.failure(ends.place(&self.request.remote.name, "IKE_AUTH", None)));
        None
    }

    /// What the peer's message comes to.
    fn next(&mut self, payloads: &Payloads, ends: &Ends, core: &mut Core) -> Result<Heard, Error> {
        if let Some(proven) = &self.proven {
            let auth = payloads.auth()?;
            let init = &mut self.phase.init;
            // On which the two settled with an earlier proof, that stays.
            let judged = match init.ppks {
                Ppking::InAuth => ppk::judge(&self.request.remote, &init.ppks, auth, payloads)?,
                _ => ppk::Judged::Plain,
            };
            let auth = init.take_up(judged, auth);
            let claim = init.initiator(&self.request.claimed);
            claim.judge_shared(init.algs.prf, claim.after_eap(&proven.msk), &auth).map_err(|_| {
                let theirs = alloc::format!("AUTH by {} that is not of the key of {}", auth.method, proven.method);
                Error::eap(Some(theirs), None)
            })?;
            return multiple_auth::settle(&self.request.remote, payloads).map(|()| Heard::Over);
        }
        match self.conversation.take() {
            Some(conversation) => {
                let heard = Some(payloads.eap()?.clone());
                self.heard = true;
                let conversation = self.chosen(conversation, heard.as_ref(), ends, core);
                Ok(Heard::Turn(Question::Converse { conversation: Box::new(conversation), heard }))
            }
            None => self.begin_round(payloads, ends, core),
        }
    }

    /// The conversation as it goes on: who says in EAP who he is, and is none of the users of the remote, is asked by another for
    /// the same peers which has him among its users. What he says is a claim until the method has proved it to that one.
    fn chosen(&mut self, asking: Conversation, heard: Option<&Eap>, ends: &Ends, core: &Core) -> Conversation {
        let RemoteAuth::Eap(asked) = &self.request.remote.remote_auth else { return asking };
        let Some(user) = heard.and_then(|heard| asking.named(heard)).filter(|user| !asked.users.takes(user)) else {
            return asking;
        };
        let theirs = |other: &&Arc<Remote>| match &other.remote_auth {
            RemoteAuth::Eap(eap) => eap.server.ask_identity && eap.users.takes(&user),
            RemoteAuth::Psk(_) | RemoteAuth::Signature(_) | RemoteAuth::Null => false,
        };
        let mut others = self.request.others.iter().filter(|other| core.current(other).is_some());
        let Some(other) = others.find(theirs).cloned() else { return asking };
        let RemoteAuth::Eap(eap) = &other.remote_auth else { return asking };
        match asking.with_other(&eap.server, &user, ends.our_spi().0) {
            Some(conversation) => {
                self.request.remote = other;
                conversation
            }
            None => asking,
        }
    }

    /// What comes of our turn.
    pub(crate) fn turned(
        mut self: Box<Self>,
        ends: Ends,
        (conversation, turned): (Conversation, Turned),
        core: &mut Core,
    ) -> Option<IkeSa> {
        match turned {
            Turned::Say(eap) => {
                self.conversation = Some(conversation);
                self.reply(ends, Reply::Eap(Some(eap)), core)
            }
            Turned::Done { last, outcome: Ok(proven) } => match self.admits(&proven, core) {
                Ok(()) => {
                    self.proven = Some(proven);
                    self.reply(ends, Reply::Eap(last), core)
                }
                Err(error) => self.refuse(ends, &error, None, core),
            },
            Turned::Done { last, outcome: Err(why) } => self.refuse(ends, &Error::eap(Some(why), None), last, core),
        }
    }

    /// Whether the remote is for this user; if not, another for the same peers may be that would have asked the same.
    fn admits(&mut self, proven: &Proven, core: &Core) -> Result<(), Error> {
        let RemoteAuth::Eap(asked) = &self.request.remote.remote_auth else { return Ok(()) };
        let Err(refusal) = asked.admits(proven) else { return Ok(()) };
        let fits = |other: &Arc<Remote>| match &other.remote_auth {
            RemoteAuth::Eap(eap) => eap.asks_like(asked, proven) && eap.admits(proven).is_ok(),
            RemoteAuth::Psk(_) | RemoteAuth::Signature(_) | RemoteAuth::Null => false,
        };
        let mut others = self.request.others.iter().filter(|other| core.current(other).is_some());
        match others.find(|other| fits(other)).cloned() {
            Some(other) => {
                self.request.remote = other;
                Ok(())
            }
            None => Err(Error::Authentication(refusal)),
        }
    }

    /// Whether what the user proved is good for what is configured now, where that was replaced meanwhile.
    pub(super) fn stands(&self, user: &Proven, core: &Core) -> Result<(), Error> {
        let old = &self.request.remote;
        let now = self.now(old, &self.request.claimed.identity, core)?;
        unless_changed(self.edition == core.edition || now.takes_over(old, user, &core.crypto))
    }

    /// The same of several proofs, of which no earlier one is asked for again: the entry must have stayed what it was.
    pub(super) fn all_stand(&self, user: &Identity, core: &Core) -> Result<(), Error> {
        let now = self.now(&self.entry, &self.entry.remote_id, core)?;
        unless_changed(self.edition == core.edition || auth::alike(&now, &self.entry, user, &core.crypto))
    }

    /// What is configured now in the place of this remote, with nothing open.
    fn now(&self, old: &Remote, peer: &Identity, core: &Core) -> Result<Arc<Remote>, Error> {
        let now = core.current(old).ok_or(Error::Misuse("the remote was deleted"))?;
        Ok(now.for_peer(self.request.at.local.ip(), peer))
    }

    pub(super) fn say(mut self: Box<Self>, ends: Ends, mut payloads: Vec<Payload>, core: &mut Core) -> Option<IkeSa> {
        let init = &mut self.phase.init;
        payloads.extend(init.ppks.said());
        let header = ends.header(ExchangeType::IKE_AUTH, true, init.next_id);
        match init.protection.seal(&header, &payloads, &mut *core.rng) {
            Ok(response) => {
                init.next_round();
                let at = self.request.at;
                core.send(at, &response, 0);
                (self.response, self.repeated) = (Some(response), 0);
                Some(self.keep(ends))
            }
            Err(unfit) => {
                let name = &self.request.remote.name;
                core.failed(Error::from(unfit).failure(ends.place(name, "IKE_AUTH", None)));
                None
            }
        }
    }

    /// Refuses the whole, with an EAP message where there is one.
    pub(crate) fn refuse(
        self: Box<Self>,
        ends: Ends,
        error: &Error,
        last: Option<Eap>,
        core: &mut Core,
    ) -> Option<IkeSa> {
        let answer = last.map_or_else(|| Payload::Notify(error.notify()), Payload::Eap);
        let EapAnswered { phase, request, .. } = *self;
        core.failed(error.failure(ends.place(&request.remote.name, "IKE_AUTH", None)));
        phase.refuse_with(ends, answer, request.at, core)
    }

    fn keep(self: Box<Self>, ends: Ends) -> IkeSa {
        Phase::EapAnswered(self).with(ends)
    }
}
