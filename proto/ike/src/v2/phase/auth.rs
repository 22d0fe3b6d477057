//! IKE_AUTH as initiator.
//!
//! ```text
//!   HDR, SK {IDi, [N(INITIAL_CONTACT)], [CERT], [CERTREQ], IDr, AUTH, [CP], [N(USE_TRANSPORT_MODE)],
//!            SAi2, TSi, TSr}  -->
//!                             <--  HDR, SK {IDr, [CERT], AUTH, [CP], [N(USE_TRANSPORT_MODE)], SAr2, TSi, TSr}
//!                             <--  HDR, SK {IDr, AUTH, N(error)}     the IKE SA without the Child SA
//!                             <--  HDR, SK {N(error)}                nothing
//! ```
//! With EAP there are more of them (`eap.rs`), and with several proofs (`round.rs`).
//! Read RFC 7296 §1.2, §2.15 and §2.21.2 before changing this file.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::ikev2::IkeKeys;
use ravelin_types::policy::PolicyId;
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{Id, Message, Notify, NotifyType, Payload, PuzzleSolution};

use super::Phase;
use super::asking::{self, Step};
use super::eap::{self, Turn};
use super::established::{Established, Origin};
use super::init_exchange::InitExchange;
use crate::auth::{LocalAuth, Now, Proven, RemoteAuth};
use crate::child::offer::{ChildOffer, OfferedKe};
use crate::child::{Agreement, ChildSa};
use crate::config::Remote;
use crate::context::Core;
use crate::error::{Disagreement, Error, Place};
use crate::explain::Part;
use crate::extensions::Ppk;
use crate::gateways;
use crate::ike_sa::{Ends, IkeSa};
use crate::input::Datagram;
use crate::live::Live;
use crate::negotiate::ChildKe;
use crate::output::DownReason;
use crate::retry::{Due, Retry};
use crate::v2::exchange::create_child::keymat;
use crate::v2::exchange::ticket::Ticket;
use crate::v2::feature::cluster::Cluster;
use crate::v2::feature::ppk::Ppking;
use crate::v2::feature::reauthentication::Authenticated;
use crate::v2::feature::redirect::{self, Redirects};
use crate::v2::feature::resumption::{self, Session};
use crate::v2::feature::{
    auth_methods, certificate_wish, childless, configuration, crash_detection, full_transcript, initial_contact,
    mobike, multiple_auth, ppk, window_size,
};
use crate::v2::message::{Payloads, USUAL_PAYLOADS};
use crate::v2::rules;
use crate::v2::window::MessageWindow;
use crate::want::Want;

/// An IKE_AUTH request without its AUTH.
pub(crate) struct Unsigned {
    pub(crate) remote: Arc<Remote>,
    /// What else the IKE SA is for, beside the Child SA in the request.
    pub(crate) wants: Vec<Want>,
    pub(crate) init: Box<InitExchange>,
    /// The Child SA, unless it is to follow or not wanted.
    offer: Option<ChildOffer>,
    /// The post-quantum pre-shared key that is mixed in.
    ppk: Option<Ppk>,
    /// What AUTH would be without it, where the peer may do without.
    without: Option<Vec<u8>>,
    /// Of the puzzle of the responder, if there is one.
    pub(super) solution: Option<PuzzleSolution>,
}

/// We sent an IKE_AUTH request.
pub(crate) struct AuthRequested {
    pub(crate) remote: Arc<Remote>,
    /// What else the IKE SA is for, beside the Child SA in the request.
    pub(crate) wants: Vec<Want>,
    pub(crate) retry: Retry,
    /// What the response shall bring.
    pub(super) turn: Turn,
    pub(crate) init: Box<InitExchange>,
    /// The Child SA in the request, if there is one.
    pub(super) offer: Option<ChildOffer>,
    /// Whether the response brings a proof of the responder.
    pub(super) awaits: bool,
    /// Who the responder last said it is.
    pub(super) peer: Option<Id>,
}

/// Goes on from IKE_SA_INIT.
pub(crate) fn request(
    ends: Ends,
    remote: Arc<Remote>,
    mut wants: Vec<Want>,
    mut init: Box<InitExchange>,
    core: &mut Core,
) -> Option<IkeSa> {
    let left_out = childless::leaves_out(&remote, init.childless, !wants.is_empty());
    // What was mixed into the keys of an IKE SA that is resumed is in them.
    let chosen = if init.resumed.is_some() { Ok(None) } else { ppk::chosen(&remote, &init.ppks) };
    let able = multiple_auth::admit(&remote, init.multiple).and(auth_methods::admit(&remote, &init.accepts));
    let able = able.and(full_transcript::admit(&remote, init.full_transcript));
    let (ppk, left_out) = match able.and(chosen).and_then(|ppk| Ok((ppk, left_out?))) {
        Ok(chosen) => chosen,
        Err(error) => {
            let policy = wants.first().map(|want| want.policy);
            core.failed(error.failure(ends.place(&remote.name, "IKE_AUTH", policy)));
            return None;
        }
    };
    let offer = if left_out { None } else { first_offer(&ends, &remote, &mut wants, core) };
    if offer.is_none() && !left_out {
        // The responder forgets its half by itself.
        return None;
    }
    let remote = closed(&remote, &ends);
    // RFC 8784 §3: a user names it with AUTH, behind EAP.
    let ppk = ppk.filter(|_| !matches!(remote.local_auth, LocalAuth::Eap(_)));
    if let Some(ppk) = &ppk {
        init.mix(ppk.clone());
    }
    Unsigned { remote, wants, init, offer, ppk, without: None, solution: None }.prove(ends, core)
}

/// The remote with nothing open: who the peer is will be known with its answer, and the key must be chosen before.
fn closed(remote: &Arc<Remote>, ends: &Ends) -> Arc<Remote> {
    let expected = remote.asked_for().cloned().unwrap_or_else(|| ends.peer.ip().into());
    remote.for_peer(ends.local.ip(), &expected)
}

/// The first thing wanted that can be asked for; what cannot be is reported.
fn first_offer(ends: &Ends, remote: &Remote, wants: &mut Vec<Want>, core: &mut Core) -> Option<ChildOffer> {
    while !wants.is_empty() {
        let want = wants.remove(0);
        let Some(policy) = core.policy(want.policy) else { continue };
        let inside = core.inside(ends, remote).while_asking(remote);
        match ChildOffer::new(policy, &want, OfferedKe::None, &inside, ends, core) {
            Ok(offer) => return Some(offer.carried(core)),
            Err(error) => core.failed(error.failure(ends.place(&remote.name, "IKE_AUTH", Some(want.policy)))),
        }
    }
    None
}

/// The policy of the Child SA in a request.
fn policy(offer: Option<&ChildOffer>) -> Option<PolicyId> {
    offer.map(|offer| offer.policy.policy.id)
}

/// Its SPI is free again.
fn release(offer: Option<&ChildOffer>, core: &mut Core) {
    if let Some(offer) = offer {
        core.table.release(offer.inbound);
    }
}

/// What was wanted, when nothing comes of it here.
pub(super) fn left_over(offer: Option<ChildOffer>, wants: Vec<Want>, core: &mut Core) -> Vec<Want> {
    release(offer.as_ref(), core);
    offer.and_then(|offer| offer.want).into_iter().chain(wants).collect()
}

impl Unsigned {
    fn id(&self) -> Id {
        Id::new(self.remote.local_id.clone())
    }

    /// Makes AUTH; before it what it would be without the post-quantum pre-shared key, where the peer may do without.
    fn prove(self, ends: Ends, core: &mut Core) -> Option<IkeSa> {
        let id = self.id();
        let mut claim = self.init.initiator(&id);
        if self.init.resumed.is_some() {
            let auth = claim.prove_resumed(self.init.algs.prf);
            return self.send(ends, Proven::by(Some(auth)), core);
        }
        if let Some(plain) = self.plain_first() {
            claim.sk_p = &plain.sk_pi;
        }
        match claim.prove(self.init.algs.prf, &self.remote.local_auth, self.init.asked(), &mut core.last_key) {
            Now::Known(proven) => self.proven(ends, proven, core),
            Now::Ask(question) => Some(asking::ask(ends, question, Step::SignRequest(Box::new(self)), core)),
        }
    }

    /// The keys for what goes into NO_PPK_AUTH, if that is still to be made.
    fn plain_first(&self) -> Option<&IkeKeys> {
        let wanted = self.ppk.is_some() && !ppk::is_a_must(&self.remote) && self.without.is_none();
        self.init.plain.as_ref().filter(|_| wanted)
    }

    /// AUTH, as it was asked for.
    pub(crate) fn proven(mut self, ends: Ends, proven: Proven, core: &mut Core) -> Option<IkeSa> {
        match &proven.auth {
            Some(Payload::Auth(plain)) if self.plain_first().is_some() => {
                self.without = Some(plain.data.clone());
                self.prove(ends, core)
            }
            _ => self.send(ends, proven, core),
        }
    }

    /// Sends the request with this AUTH, once the puzzle of the responder is solved.
    pub(super) fn send(mut self, ends: Ends, proven: Proven, core: &mut Core) -> Option<IkeSa> {
        if let Some(puzzle) = self.init.puzzle.take() {
            return self.solve(ends, puzzle, proven, core);
        }
        let Proven { certificates, auth } = proven;
        let policy = policy(self.offer.as_ref());
        let mut payloads = Vec::with_capacity(USUAL_PAYLOADS);
        payloads.push(Payload::IdI(self.id()));
        let Unsigned { remote, wants, mut init, offer, ppk, without, solution } = self;
        payloads.extend(initial_contact::notify(&remote, core));
        if init.resumed.is_none() {
            payloads.extend(certificates);
            payloads.extend(crate::auth::requests(remote.peer_proofs(), &core.crypto));
            payloads.extend(certificate_wish::lookup(core::iter::once(&*remote)));
            payloads.extend(eap::only(&remote));
            payloads.extend(auth_methods::notify(core::iter::once(&*remote), &core.crypto));
        }
        payloads.extend(remote.asked_for().map(|id| Payload::IdR(Id::new(id.clone()))));
        payloads.extend(multiple_auth::offer(&remote));
        payloads.extend(auth.as_ref().and_then(|_| multiple_auth::announce(&remote)));
        payloads.extend(auth);
        // RFC 6290 §4.2: behind AUTH, and in the first request where EAP follows.
        payloads.extend(crash_detection::give(&remote, ends.spis(), core));
        payloads.extend(resumption::request(&remote));
        payloads.extend(configuration::request(&remote, core));
        if let Some(offer) = &offer {
            payloads.extend(offer.notifies());
            payloads.push(offer.sa());
            payloads.extend(offer.ts());
        }
        payloads.extend(mobike::offer(&remote, init.nat_traversal, &ends, core));
        payloads.extend(window_size::notify(&remote));
        payloads.extend(Cluster::of(&remote).said());
        payloads.extend(ppk.as_ref().map(ppk::identity));
        payloads.extend(without.as_deref().map(ppk::without));
        let header = ends.header(ExchangeType::IKE_AUTH, false, init.next_id);
        // RFC 8019 §7.2.2: outside, to be judged before anything is computed.
        let clear: Vec<Payload> = solution.map(Payload::Ps).into_iter().collect();
        match init.protection.seal_behind(&header, &clear, &payloads, &mut *core.rng) {
            Ok(message) => {
                core.send(ends.way(), &message, 0);
                let retry = Retry::new(message, remote.retransmission, core.now);
                let turn = if init.resumed.is_some() { Turn::Whole } else { Turn::first(&remote) };
                let phase = AuthRequested { remote, wants, retry, turn, init, offer, awaits: true, peer: None };
                Some(Phase::AuthRequested(Box::new(phase)).with(ends))
            }
            Err(unfit) => {
                release(offer.as_ref(), core);
                core.failed(Error::from(unfit).failure(ends.place(&remote.name, "IKE_AUTH", policy)));
                None
            }
        }
    }

    /// We cannot sign; the responder forgets its half by itself.
    pub(crate) fn unsigned(self, ends: &Ends, why: String, core: &mut Core) -> Option<IkeSa> {
        self.abandon(core);
        let place = ends.place(&self.remote.name, "IKE_AUTH", policy(self.offer.as_ref()));
        core.failed(Error::credential(why).failure(place));
        None
    }

    /// It ends before the request was sent.
    pub(crate) fn abandon(&self, core: &mut Core) {
        release(self.offer.as_ref(), core);
    }
}

impl AuthRequested {
    pub(crate) fn handle(
        mut self: Box<Self>,
        ends: Ends,
        message: Message,
        datagram: Datagram<'_>,
        core: &mut Core,
    ) -> Option<IkeSa> {
        let header = message.header;
        let (protected, inner) = match self.init.open_answer(ExchangeType::IKE_AUTH, message, datagram, core) {
            Some(Ok(opened)) => opened,
            Some(Err(error)) => return self.refuse(&ends, &error, true, core),
            None => return Some(self.keep(ends)),
        };
        let Some(whole) = self.init.protection.whole(datagram.data, &header, &protected, inner, core.now) else {
            return Some(self.keep(ends));
        };
        let payloads = whole.payloads();
        let peer = if ends.follows() { datagram.remote } else { ends.peer };
        let ends = Ends { peer, ..ends };
        self.finish(ends, payloads, core)
    }

    pub(crate) fn timer(mut self: Box<Self>, ends: Ends, core: &mut Core) -> Option<IkeSa> {
        match self.retry.due(core.now) {
            Due::Later => {}
            Due::Again(message, sent) => {
                self.init.protection.sent_again(message, sent);
                core.send_again(&ends, message, sent);
            }
            Due::GiveUp => {
                self.abandon(core);
                let (place, first) = (self.place(&ends), self.offer.as_ref().and_then(|offer| offer.want));
                let wants = first.into_iter().chain(self.wants).collect();
                gateways::silent(&self.remote, (place, false), wants, ends.replaces, core);
                return None;
            }
        }
        Some(self.keep(ends))
    }

    /// It ends before the peer answered.
    pub(crate) fn abandon(&self, core: &mut Core) {
        release(self.offer.as_ref(), core);
    }

    pub(super) fn keep(self: Box<Self>, ends: Ends) -> IkeSa {
        Phase::AuthRequested(self).with(ends)
    }

    fn place(&self, ends: &Ends) -> Place {
        ends.place(&self.remote.name, "IKE_AUTH", policy(self.offer.as_ref()))
    }

    /// Whether the responder has our post-quantum pre-shared key, and what follows (RFC 8784 §3).
    pub(super) fn settle_ppk(&mut self, payloads: &Payloads) -> Result<(), Error> {
        if !matches!(self.init.ppks, Ppking::Named(_)) {
            return Ok(());
        }
        let known = payloads.notify(NotifyType::PPK_IDENTITY).is_some();
        if !known && ppk::is_a_must(&self.remote) {
            return Err(ppk::missing(vec!["no post-quantum pre-shared key".into()]));
        }
        self.init.settle(known);
        Ok(())
    }

    fn finish(mut self: Box<Self>, ends: Ends, payloads: Result<Payloads, Error>, core: &mut Core) -> Option<IkeSa> {
        let payloads = match payloads {
            Ok(payloads) => payloads,
            Err(error) => return self.refuse(&ends, &error, true, core),
        };
        // The key of EAP proves the responder, too; a further proof of it says who it is.
        let by_eap = matches!(self.turn, Turn::Proof(_)) && payloads.idr().is_err();
        if !self.awaits || by_eap {
            return self.heard(ends, &payloads, core);
        }
        // Without AUTH it is a refusal of the whole; with it only the Child SA is concerned.
        if payloads.auth().is_err()
            && let Some(refusal) = payloads.refusal()
        {
            let error = self.refused(refusal);
            return self.refuse(&ends, &error, false, core);
        }
        if self.is_turned_away(&payloads) {
            return self.unsaid(ends, eap::TURNED_AWAY.into(), false, core);
        }
        // RFC 5685 §6: a gateway that sends us away has to prove who it is, and does not begin EAP.
        let first = self.peer.is_none();
        let begins = first && matches!(self.turn, Turn::Greeting) && redirect::told(&self.remote, &payloads).is_none();
        if let Some(id) = payloads.idr().ok().filter(|id| !first && self.remote.takes(&id.identity)) {
            self.remote = self.remote.for_peer(ends.local.ip(), &id.identity);
        }
        let rule = if begins { rules::EAP_GREETING } else { rules::AUTH_RESPONSE };
        let required = rules::require(&payloads, rule).and_then(|()| self.settle_ppk(&payloads));
        match required.and_then(|()| self.verify(&payloads, core)) {
            Ok(Now::Known(())) => self.proven(ends, &payloads, core),
            Ok(Now::Ask(question)) => Some(asking::ask(ends, question, Step::JudgeResponse(self, payloads), core)),
            Err(error) => self.refuse(&ends, &error, true, core),
        }
    }

    /// The configuration was replaced while the response was judged.
    pub(crate) fn judge_again(mut self: Box<Self>, ends: Ends, payloads: Payloads, core: &mut Core) -> Option<IkeSa> {
        // Of several proofs each is judged by the entry with which they began.
        if !self.remote.rounds.are_used() {
            let Some(remote) = core.current(&self.remote) else {
                return self.refuse(&ends, &Error::Misuse("the remote was deleted"), true, core);
            };
            self.remote = closed(&remote, &ends);
        }
        self.finish(ends, Ok(payloads), core)
    }

    /// AUTHENTICATION_FAILED is about what we proved.
    pub(super) fn refused(&self, refusal: Error) -> Error {
        match refusal {
            Error::Refused(kind @ NotifyType::AUTHENTICATION_FAILED, _) => Error::not_believed(kind, &self.remote),
            other => other,
        }
    }

    /// The peer's certificate or signature is not accepted.
    pub(crate) fn disproven(self: Box<Self>, ends: Ends, why: String, core: &mut Core) -> Option<IkeSa> {
        let error = Error::unproven([(why, &*self.remote.name)]);
        self.refuse(&ends, &error, true, core)
    }

    pub(super) fn refuse(
        mut self: Box<Self>,
        ends: &Ends,
        error: &Error,
        tell: bool,
        core: &mut Core,
    ) -> Option<IkeSa> {
        self.abandon(core);
        if tell {
            self.tell(ends, error, core);
        }
        if self.init.resumed.is_some()
            && let Some(remote) = core.current(&self.remote)
        {
            // The ticket is spent, and so is what it stood for: all begins with a key exchange.
            core.counters.refused_tickets += 1;
            let first = self.offer.as_ref().and_then(|offer| offer.want);
            let wants = first.into_iter().chain(self.wants).collect();
            gateways::begin(&remote, wants, ends.replaces, core);
            return None;
        }
        let ours = |part| match part {
            Part::Identity => vec![
                alloc::format!("we are {}", self.remote.local_id),
                alloc::format!("the peer shall be {}", self.remote.peer_words()),
            ],
            part => self.offer.as_ref().map_or_else(Vec::new, |offer| offer.lines(part)),
        };
        core.failed(error.failure_with_offer(self.place(ends), ours));
        None
    }

    /// Both sides have proven all that they have to.
    pub(super) fn establish(self: Box<Self>, ends: Ends, payloads: &Payloads, core: &mut Core) -> Option<IkeSa> {
        let elsewhere = redirect::told(&self.remote, payloads);
        configuration::note(&self.remote, payloads, core);
        if let Some(grant) = configuration::granted(&self.remote, payloads, core).filter(|_| elsewhere.is_none()) {
            core.borrow(&ends, &self.remote, grant);
        }
        let child =
            self.offer.as_ref().filter(|_| elsewhere.is_none()).map(|offer| self.child(offer, &ends, payloads, core));
        let peer = self.peer.as_ref().map_or(&self.remote.remote_id, |id| &id.identity);
        let peer = self.remote.proved(peer);
        let AuthRequested { remote, wants, mut init, offer, .. } = *self;
        let resumed = init.resumed.is_some();
        let until = init.resumed.as_ref().and_then(|session| session.until);
        let asked = policy(offer.as_ref());
        let identities = (remote.local_id.clone(), peer);
        let window = MessageWindow::after_initial(init.next_id + 1, 0).agreed(&remote, payloads);
        let mobike = mobike::agreed(&remote, init.nat_traversal, payloads, &ends, core);
        let cluster = Cluster::agreed(&remote, payloads);
        let ends = Ends { if_ids: core.interfaces_of(&remote), ..ends };
        let mut established = Established::new(
            Origin {
                remote,
                identities,
                keying: init.take_keying(),
                algs: init.algs,
                mobike,
                cluster,
                redirect: Some(Redirects::Follows),
            },
            &ends,
            init.protection,
            window,
            core,
        );
        let authenticated = Authenticated::initiator(&established.remote, payloads, init.childless, core);
        established.authenticated = authenticated.not_after(until);
        established.learn(Some(payloads));
        established.announce(&ends, resumed, core);
        established.ticket = if established.remote.extensions.resumption { Ticket::Holds(None) } else { Ticket::None };
        established.take_ticket(payloads, true, &ends, core);
        if let Some(to) = elsewhere {
            let wants = left_over(offer, wants, core);
            let followed = to
                .and_then(|to| redirect::follow(&established.remote, (ends.peer.ip(), to), wants, ends.replaces, core));
            if let Err(error) = followed {
                core.failed(error.failure(ends.place(&established.remote.name, "IKE_AUTH", asked)));
            }
            established.close(DownReason::Redirected);
            return Box::new(established).go_on(ends, core);
        }
        match child.zip(offer) {
            None => {}
            Some((Ok(agreement), _)) => {
                let child = ChildSa::install(agreement, &ends, true, core);
                established.children.add(child, None, core);
            }
            Some((Err(error), offer)) => {
                // RFC 7296 §2.21.2: the IKE SA stands without it. Where the peer has the Child SA, it must go there.
                if payloads.sa().is_ok() {
                    established.delete_unborn(&offer);
                } else {
                    core.table.release(offer.inbound);
                }
                let place = ends.place(&established.remote.name, "IKE_AUTH", asked);
                core.failed(error.failure_with_offer(place, |part| offer.lines(part)));
            }
        }
        for want in wants {
            established.want(want);
        }
        Box::new(established).go_on(ends, core)
    }

    fn verify(&self, payloads: &Payloads, core: &mut Core) -> Result<Now<()>, Error> {
        let id = payloads.idr()?;
        // RFC 7296 §1.2: an initiator that wanted another responder closes the IKE SA.
        if !self.remote.takes(&id.identity) {
            let (theirs, ours) = (id.identity.to_string(), self.remote.peer_words());
            return Err(Error::Authentication(Disagreement::new(Part::Identity, vec![theirs], vec![ours])));
        }
        if let Some(session) = &self.init.resumed {
            return self.verify_resumed(session, id, payloads);
        }
        let trust;
        let expected = match (&self.remote.remote_auth, &self.remote.local_auth, payloads.auth()) {
            // RFC 5998 §3: EAP will show it.
            (RemoteAuth::Eap(_), _, Err(_)) => return Ok(Now::Known(())),
            // RFC 5998 §3: whoever proves itself by AUTH all the same is held to it, by those whom we believe in EAP.
            (RemoteAuth::Eap(_), LocalAuth::Eap(client), Ok(_)) => {
                trust = RemoteAuth::Signature(client.tls.trust.clone().unwrap_or_default());
                &trust
            }
            (expected, ..) => expected,
        };
        let claim = self.init.responder(id);
        let auth = payloads.auth()?;
        let judged = claim.judge(self.init.algs.prf, expected, auth, &payloads.0, &mut core.last_key);
        judged.map_err(|_| expected.unproven(&self.remote.name, &id.identity, auth.method))
    }

    /// Whether the responder is the one of the session.
    fn verify_resumed(&self, session: &Session, id: &Id, payloads: &Payloads) -> Result<Now<()>, Error> {
        let kept = &session.identities.1;
        // RFC 5723 §4.3.3: it is who it was.
        if !id.identity.is(kept) {
            let (theirs, ours) = (vec![id.identity.to_string()], vec![kept.to_string()]);
            return Err(Error::Authentication(Disagreement::new(Part::Identity, theirs, ours)));
        }
        let claim = self.init.responder(id);
        claim.judge_resumed(self.init.algs.prf, payloads.auth()?).map(Now::Known).map_err(|_| {
            let theirs = vec!["AUTH that is not of the keys of the ticket".into()];
            Error::Authentication(Disagreement::new(Part::Protocol, theirs, vec![]))
        })
    }

    /// RFC 7296 §2.21.2: the responder believes that the IKE SA stands; one notify without a retry tells it otherwise.
    fn tell(&mut self, ends: &Ends, error: &Error, core: &mut Core) {
        let kind = match error {
            Error::Authentication(_) => NotifyType::AUTHENTICATION_FAILED,
            _ => NotifyType::INVALID_SYNTAX,
        };
        let header = ends.header(ExchangeType::INFORMATIONAL, false, self.init.next_id + 1);
        let notify = [Payload::Notify(Notify::new(kind, Vec::new()))];
        if let Ok(message) = self.init.protection.seal(&header, &notify, &mut *core.rng) {
            core.send(ends.way(), &message, 0);
        }
    }

    fn child(&self, offer: &ChildOffer, ends: &Ends, payloads: &Payloads, core: &Core) -> Result<Agreement, Error> {
        if let Some(refusal) = payloads.refusal() {
            return Err(configuration::no_family(&self.remote, payloads).unwrap_or(refusal));
        }
        let peer = self.peer.as_ref().map_or(&self.remote.remote_id, |id| &id.identity);
        offer.policy.check_peer(&self.remote.proved(peer))?;
        let inside = self.remote.internal.asks().then(|| core.inside(ends, &self.remote));
        if inside.as_ref().is_some_and(|inside| inside.ours.is_empty()) {
            let ours = vec!["an internal address".into()];
            return Err(Error::NoAddress(Disagreement::new(Part::InternalAddress, vec![], ours)));
        }
        let terms = offer.accept(payloads, ChildKe::None, inside.as_ref(), ends, core)?;
        let init = &self.init;
        let keymat = keymat(core, init.algs.prf, &init.keys.sk_d, &terms.suite, &[], init.nonces())?;
        Ok(Agreement {
            policy: offer.policy.clone(),
            inbound: offer.inbound,
            terms,
            initiator: true,
            keymat,
            replaces: None,
        })
    }
}
