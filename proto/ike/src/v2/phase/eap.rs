//! EAP inside IKE_AUTH as initiator: between the first request and the last.
//!
//! ```text
//!   HDR, SK {IDi, [CERTREQ], IDr, SAi2, TSi, TSr}  -->                       Greeting
//!                             <--  HDR, SK {IDr, [CERT], AUTH, EAP}          who the responder is, comes before all
//!   HDR, SK {EAP}  -->                                                       Talk, as often as the method wants
//!                             <--  HDR, SK {EAP}
//!   HDR, SK {AUTH}  -->                                                      Proof: both by what the method made
//!                             <--  HDR, SK {AUTH, SAr2, TSi, TSr}
//! ```
//! Read RFC 7296 §2.16 and RFC 5998 before changing this file.

use crate::extensions::NewGateway;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_eap::{Conversation, Peer, Proven, Step as Turned};
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{EapCode, Id, Notify, NotifyType, Payload};

use super::Phase;
use super::asking::{self, Step};
use super::auth::{self, AuthRequested};
use super::init_exchange::InitExchange;
use crate::auth::{LocalAuth, RemoteAuth};
use crate::config::Remote;
use crate::context::Core;
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::ike_sa::{Ends, IkeSa};
use crate::question::Question;
use crate::retry::Retry;
use crate::v2::feature::{multiple_auth, ppk, redirect};
use crate::v2::message::Payloads;

/// What the response to our IKE_AUTH request shall bring.
pub(crate) enum Turn {
    /// The peer's proof, and what becomes of the Child SA.
    Whole,
    /// The peer's proof, and the first EAP request.
    Greeting,
    /// An EAP message. The conversation is away while somebody works on it.
    Talk(Option<Conversation>),
    /// The peer's proof by what EAP made, and what becomes of the Child SA.
    Proof(Proven),
}

impl Turn {
    /// What the first response shall bring.
    pub(super) fn first(remote: &Remote) -> Turn {
        match remote.local_auth {
            LocalAuth::Eap(_) => Turn::Greeting,
            LocalAuth::Psk(_) | LocalAuth::Signature(_) | LocalAuth::Null => Turn::Whole,
        }
    }
}

/// `N(EAP_ONLY_AUTHENTICATION)`, where the method is to prove both sides (RFC 5998 §3).
pub(super) fn only(remote: &Remote) -> Option<Payload> {
    matches!((&remote.local_auth, &remote.remote_auth), (LocalAuth::Eap(_), RemoteAuth::Eap(_)))
        .then(|| Payload::Notify(Notify::new(NotifyType::EAP_ONLY_AUTHENTICATION, Vec::new())))
}

/// What a user is told whom the responder asks nothing.
pub(super) const TURNED_AWAY: &str =
    "the authenticator ended EAP before it asked for anything: it may not have the method that it is configured for";

impl AuthRequested {
    /// Whether the responder, which proves nothing of itself, says failure in the place of a first question.
    pub(super) fn is_turned_away(&self, payloads: &Payloads) -> bool {
        let fails = payloads.eap().is_ok_and(|eap| eap.code == EapCode::FAILURE);
        fails && payloads.auth().is_err() && matches!(self.turn, Turn::Greeting)
    }

    /// The responder is who it should be, or EAP will show that: the conversation begins.
    pub(super) fn begin_eap(mut self: Box<Self>, ends: Ends, payloads: &Payloads, core: &mut Core) -> Option<IkeSa> {
        let LocalAuth::Eap(client) = &self.remote.local_auth else {
            return self.refuse(&ends, &Error::Misuse("EAP without a user"), true, core);
        };
        self.turn = Turn::Talk(Some(Conversation::Peer(Peer::new((**client).clone()))));
        self.hear(ends, payloads, core)
    }

    /// The responder, which is who it should be, sends us to another gateway before anybody logs in (RFC 5685 §6): there is
    /// no IKE SA yet that would have to be deleted.
    pub(super) fn sent_away(
        self: Box<Self>,
        ends: Ends,
        to: Result<NewGateway, Error>,
        core: &mut Core,
    ) -> Option<IkeSa> {
        let AuthRequested { remote, wants, offer, .. } = *self;
        let place = ends.place(&remote.name, "IKE_AUTH", wants.first().map(|want| want.policy));
        let wants = auth::left_over(offer, wants, core);
        let followed = to.and_then(|to| redirect::follow(&remote, (ends.peer.ip(), to), wants, ends.replaces, core));
        if let Err(error) = followed {
            core.failed(error.failure(place));
        }
        None
    }

    /// `HDR, SK {EAP}`
    pub(super) fn hear(mut self: Box<Self>, ends: Ends, payloads: &Payloads, core: &mut Core) -> Option<IkeSa> {
        let heard = match payloads.eap() {
            Ok(heard) => heard.clone(),
            Err(error) => {
                let error = payloads.refusal().map_or(error, |refusal| self.refused(refusal));
                return self.refuse(&ends, &error, false, core);
            }
        };
        let code = heard.code;
        let Turn::Talk(conversation) = &mut self.turn else {
            return self.refuse(&ends, &Error::Violation("an EAP message out of turn"), true, core);
        };
        let Some(conversation) = conversation.take() else { return Some(self.keep(ends)) };
        let question = Question::Converse { conversation: Box::new(conversation), heard: Some(heard) };
        Some(asking::ask(ends, question, Step::PeerTurn(self, code), core))
    }

    /// What comes of our turn, after a message of this kind.
    pub(crate) fn turned(
        mut self: Box<Self>,
        ends: Ends,
        (conversation, turned): (Conversation, Turned),
        heard: EapCode,
        core: &mut Core,
    ) -> Option<IkeSa> {
        match turned {
            Turned::Say(eap) => {
                self.turn = Turn::Talk(Some(conversation));
                self.say(ends, &[Payload::Eap(eap)], core)
            }
            Turned::Done { outcome: Ok(proven), .. } => match self.own_proof(&proven) {
                Ok(mut last) => {
                    self.turn = Turn::Proof(proven);
                    last.extend(multiple_auth::announce(&self.remote));
                    self.say(ends, &last, core)
                }
                Err(error) => self.refuse(&ends, &error, true, core),
            },
            // Whoever said failure knows it.
            Turned::Done { outcome: Err(why), .. } => self.unsaid(ends, why, heard != EapCode::FAILURE, core),
        }
    }

    /// `AUTH` by the key of the method, `[N(PPK_IDENTITY, PPK_ID), [N(NO_PPK_AUTH)]]` (RFC 8784 §3).
    fn own_proof(&mut self, proven: &Proven) -> Result<Vec<Payload>, Error> {
        let own = Id::new(self.remote.local_id.clone());
        let prove = |init: &InitExchange| {
            let claim = init.initiator(&own);
            claim.prove_shared(init.algs.prf, claim.after_eap(&proven.msk))
        };
        let plain = prove(&self.init);
        // On which the two settled with an earlier proof, that stays.
        let Some(chosen) = ppk::chosen(&self.remote, &self.init.ppks)? else { return Ok(vec![plain]) };
        let identity = ppk::identity(&chosen);
        self.init.mix(chosen);
        let mut last = vec![prove(&self.init), identity];
        if let (Payload::Auth(plain), false) = (plain, ppk::is_a_must(&self.remote)) {
            last.push(ppk::without(&plain.data));
        }
        Ok(last)
    }

    /// The conversation ends without success; the responder is told unless it was the one who said so.
    pub(crate) fn unsaid(self: Box<Self>, ends: Ends, why: String, tell: bool, core: &mut Core) -> Option<IkeSa> {
        let user = match &self.remote.local_auth {
            LocalAuth::Eap(client) => Some(alloc::format!("user {}", client.user)),
            LocalAuth::Psk(_) | LocalAuth::Signature(_) | LocalAuth::Null => None,
        };
        self.refuse(&ends, &Error::eap(Some(why), user), tell, core)
    }

    /// The last response.
    pub(super) fn proof(mut self: Box<Self>, ends: Ends, payloads: &Payloads, core: &mut Core) -> Option<IkeSa> {
        let settled = payloads.auth().map(drop).and_then(|()| self.settle_ppk(payloads));
        let judged = match (&self.turn, &self.peer) {
            _ if settled.is_err() => settled,
            (Turn::Proof(proven), Some(id)) => payloads.auth().and_then(|auth| {
                let claim = self.init.responder(id);
                claim.judge_shared(self.init.algs.prf, claim.after_eap(&proven.msk), auth).map_err(|_| {
                    let theirs = alloc::format!("AUTH by {} that is not of the key of {}", auth.method, proven.method);
                    Error::Authentication(Disagreement::new(Part::Eap, vec![theirs], vec![]))
                })
            }),
            _ => Err(Error::Violation("AUTH out of turn")),
        };
        match judged {
            Ok(()) => self.round_over(ends, payloads, core),
            Err(error) => {
                let refusal = payloads.refusal().filter(|_| payloads.auth().is_err());
                let tell = refusal.is_none();
                let error = refusal.map_or(error, |refusal| self.refused(refusal));
                self.refuse(&ends, &error, tell, core)
            }
        }
    }

    /// Sends the next IKE_AUTH request.
    pub(super) fn say(mut self: Box<Self>, ends: Ends, payloads: &[Payload], core: &mut Core) -> Option<IkeSa> {
        self.init.next_round();
        let header = ends.header(ExchangeType::IKE_AUTH, false, self.init.next_id);
        match self.init.protection.seal(&header, payloads, &mut *core.rng) {
            Ok(message) => {
                core.send(ends.way(), &message, 0);
                self.retry = Retry::new(message, self.remote.retransmission, core.now);
                Some(Phase::AuthRequested(self).with(ends))
            }
            Err(unfit) => self.refuse(&ends, &Error::from(unfit), false, core),
        }
    }
}
