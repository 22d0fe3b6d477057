//! IKE_AUTH as responder.
//!
//! 1. Only an IKE_AUTH request with message ID 1 that verifies changes anything; all else is counted and dropped.
//! 2. The identity picks the remote among those at the address; AUTH must prove it by the method of that remote, or of another
//!    that is for the same peers.
//! 3. What fails before that ends the IKE SA; what fails after it, the Child SA, does not.
//!
//! A refusal is kept until the half-open IKE SA would have ended, so that the peer hears it even if it is lost once.
//! Read RFC 7296 §1.2, §2.15, §2.21.2 and §3.5 before changing this file.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

use ravelin_eap::relay::Admission;
use ravelin_types::{Identity, Way};
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{AuthMethod, Id, Message, Payload};

use super::Phase;
use super::answer_eap;
use super::answer_init::InitAnswered;
use super::asking::{self, Step};
use super::established::{Established, Origin};
use super::init_exchange::InitExchange;
use crate::auth::{Now, Proven};
use crate::child::Agreement;
use crate::children::Children;
use crate::config::Remote;
use crate::context::Core;
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::ike_sa::{Ends, IkeSa};
use crate::input::Datagram;
use crate::limits;
use crate::live::Live;
use crate::negotiate::ChildKe;
use crate::v2::answer::ChildAnswer;
use crate::v2::exchange::create_child::keymat;
use crate::v2::exchange::ticket::Ticket;
use crate::v2::feature::auth_methods::{self, Said};
use crate::v2::feature::cluster::Cluster;
use crate::v2::feature::ppk::Ppking;
use crate::v2::feature::reauthentication::{self, Authenticated};
use crate::v2::feature::redirect::{self, Redirects};
use crate::v2::feature::{
    certificate_wish, childless, configuration, crash_detection, full_transcript, initial_contact, mobike,
    multiple_auth, ppk, resumption, window_size,
};
use crate::v2::message::{Payloads, USUAL_PAYLOADS};
use crate::v2::window::MessageWindow;

/// An IKE_AUTH request whose sender is a remote if its AUTH is proven.
pub(crate) struct Request {
    pub(crate) payloads: Payloads,
    pub(crate) remote: Arc<Remote>,
    /// Others for the same peers, under the same identity of ours: it may be of one of them.
    pub(crate) others: Vec<Arc<Remote>>,
    /// Those of which it is not, and why.
    pub(crate) refusals: Vec<(Arc<Remote>, String)>,
    /// The identity under which we answer.
    pub(crate) id: Id,
    /// The one that the peer said last.
    pub(crate) claimed: Id,
    /// To which and from which address it came.
    pub(crate) at: Way,
    /// What a server elsewhere says of the session, once it does.
    pub(crate) admission: Option<Arc<Admission>>,
}

impl Request {
    /// `IDr, [CERT, ...], [AUTH]`
    pub(super) fn head(&self, proven: Proven) -> Vec<Payload> {
        let mut head = Vec::with_capacity(USUAL_PAYLOADS);
        head.push(Payload::IdR(self.id.clone()));
        head.extend(proven.certificates.into_iter().chain(proven.auth));
        head
    }

    /// The next remote that it may be of. `false`: there is none left.
    fn turn(&mut self) -> bool {
        match self.others.is_empty() {
            true => false,
            false => {
                self.remote = self.others.remove(0);
                true
            }
        }
    }
}

/// The remotes behind `first` that are for the same peers. Who proves more than once is of one alone.
fn alternatives<'a>(first: &'a Arc<Remote>, known: &'a [Arc<Remote>]) -> impl Iterator<Item = &'a Arc<Remote>> {
    let behind = known.iter().skip_while(|remote| !Arc::ptr_eq(remote, first)).skip(1);
    let alike = |other: &&Arc<Remote>| other.has_the_peers_of(first);
    let once = |remote: &Remote| !remote.rounds.are_due();
    behind.filter(alike).filter(move |other| once(other) && once(first))
}

impl InitAnswered {
    pub(crate) fn handle(
        mut self: Box<Self>,
        ends: Ends,
        message: Message,
        datagram: Datagram<'_>,
        core: &mut Core,
    ) -> Option<IkeSa> {
        let header = message.header;
        if self.repeats(&message) {
            self.repeat(&message, datagram, core);
            return Some(self.keep(ends));
        }
        let expected =
            self.is_due(header.exchange) && !header.flags.is_response() && header.message_id == self.init.next_id;
        let Some((protected, inner)) = self.init.open(message, expected, datagram, core) else {
            return Some(self.keep(ends));
        };
        self.heard = header.exchange;
        if let Some(refused) = &self.refused {
            core.counters.repeated += 1;
            // RFC 7383 §2.6.1: one answer for all fragments of a request.
            if protected.fragment.is_none_or(|fragment| fragment.number() == 1) {
                core.send(datagram.way(), refused, 0);
            }
            return Some(self.keep(ends));
        }
        let Some(whole) = self.init.protection.whole(datagram.data, &header, &protected, inner, core.now) else {
            return Some(self.keep(ends));
        };
        self.refresh(core);
        // The initiator may have moved to port 4500 since, whether or not there is a NAT (RFC 7296 §2.23).
        let same = datagram.remote.ip() == ends.peer.ip() || ends.follows();
        let peer = if same { datagram.remote } else { ends.peer };
        let now_at = Ends { local: datagram.local, peer, ..ends.clone() };
        let payloads = whole.payloads();
        if header.exchange == ExchangeType::IKE_INTERMEDIATE {
            let exchanged = payloads.and_then(|payloads| self.exchange(&payloads, &now_at, core));
            if let Err(Error::PutOff) = exchanged {
                self.init.protection.put_back(&header, &protected, whole, core.now);
                core.put_off_message(ends.our_spi(), &header, datagram, true);
                return Some(self.keep(ends));
            }
            self.init.absorb_request(&whole);
            let answered = exchanged.and_then(|made| self.answer_intermediate(&now_at, made, datagram, core));
            return match answered {
                Ok(()) => Some(self.keep(now_at)),
                Err(error) => self.refuse(ends, &error, datagram.way(), core),
            };
        }
        if let Ok(payloads) = &payloads {
            self.init.wish = certificate_wish::read(payloads);
        }
        let judged = payloads.and_then(|payloads| match &self.init.resumed {
            Some(session) => self.authenticate_resumed(session, payloads, datagram.way(), core),
            None => self.authenticate(payloads, datagram.way(), core),
        });
        match judged {
            Ok(judged) => self.go_on(now_at, judged, core),
            Err(error) => self.refuse(ends, &error, datagram.way(), core),
        }
    }

    /// The configuration may have changed since: whoever is not in it any more is nobody.
    fn refresh(&mut self, core: &Core) {
        if self.edition != core.edition {
            self.edition = core.edition;
            self.candidates = self.candidates.iter().filter_map(|old| core.current(old)).collect();
        }
    }

    /// What follows on a request that may be of a remote.
    fn go_on(
        self: Box<Self>,
        ends: Ends,
        (request, judged): (Request, Option<Now<()>>),
        core: &mut Core,
    ) -> Option<IkeSa> {
        match judged {
            None => answer_eap::begin(self, ends, request, core),
            Some(Now::Known(())) => self.proven(ends, request, core),
            Some(Now::Ask(question)) => Some(asking::ask(ends, question, Step::JudgeRequest(self, request), core)),
        }
    }

    /// The configuration was replaced while the request was judged, or while we signed.
    pub(crate) fn judge_again(mut self: Box<Self>, ends: Ends, request: Request, core: &mut Core) -> Option<IkeSa> {
        self.refresh(core);
        self.init.unsettle();
        match self.authenticate(request.payloads, request.at, core) {
            Ok(judged) => self.go_on(ends, judged, core),
            Err(error) => self.refuse(ends, &error, request.at, core),
        }
    }

    /// The initiator is who it should be; now it is our turn.
    pub(crate) fn proven(self: Box<Self>, ends: Ends, request: Request, core: &mut Core) -> Option<IkeSa> {
        if request.remote.rounds.are_due() {
            return self.begin_rounds(ends, request, core);
        }
        let claim = self.init.responder(&request.id);
        if self.init.resumed.is_some() {
            // RFC 5723 §4.3.3: without a certificate.
            let head = vec![Payload::IdR(request.id.clone()), claim.prove_resumed(self.init.algs.prf)];
            return self.establish(ends, request, head, core);
        }
        match claim.prove(self.init.algs.prf, &request.remote.local_auth, self.init.asked(), &mut core.last_key) {
            Now::Known(proven) => {
                let head = request.head(proven);
                self.establish(ends, request, head, core)
            }
            Now::Ask(question) => Some(asking::ask(ends, question, Step::SignResponse(self, request), core)),
        }
    }

    fn keep(self: Box<Self>, ends: Ends) -> IkeSa {
        Phase::InitAnswered(self).with(ends)
    }

    /// RFC 9242 §3.2: all key exchanges that were agreed on come before IKE_AUTH. Whoever names no PPK where it could, goes
    /// without.
    fn is_due(&self, exchange: ExchangeType) -> bool {
        let additional = self.init.done < self.init.additional.len();
        match exchange {
            ExchangeType::IKE_INTERMEDIATE => additional || matches!(self.init.ppks, Ppking::Due) || self.init.list_due,
            ExchangeType::IKE_AUTH => !additional,
            _ => false,
        }
    }

    /// Refuses the whole, at the addresses at which the request came.
    pub(crate) fn refuse(self: Box<Self>, ends: Ends, error: &Error, at: Way, core: &mut Core) -> Option<IkeSa> {
        let exchange = if self.heard == ExchangeType::IKE_AUTH { "IKE_AUTH" } else { "IKE_INTERMEDIATE" };
        core.failed(error.failure(ends.place(self.remote_name(), exchange, None)));
        self.refuse_with(ends, Payload::Notify(error.notify()), at, core)
    }

    /// The same with this answer; the operator knows.
    pub(super) fn refuse_with(
        mut self: Box<Self>,
        ends: Ends,
        answer: Payload,
        at: Way,
        core: &mut Core,
    ) -> Option<IkeSa> {
        let header = ends.header(self.heard, true, self.init.next_id);
        let message = self.init.protection.seal(&header, &[answer], &mut *core.rng).ok()?;
        core.send(at, &message, 0);
        self.refused = Some(message);
        Some(self.keep(ends))
    }

    /// The remote that the peer is, once its AUTH is proven; `None`: by EAP, which it wants if it sends no AUTH
    /// (RFC 7296 §2.16).
    fn authenticate(
        &mut self,
        payloads: Payloads,
        at: Way,
        core: &mut Core,
    ) -> Result<(Request, Option<Now<()>>), Error> {
        let left_out = childless::is_left_out(&payloads)?;
        let id = payloads.idi()?;
        let by_eap = payloads.auth().is_err();
        // RFC 7619 §2.4 and §3.3: only for who is expected to prove nothing, and nobody else comes under that entry.
        let by_nobody = payloads.auth().is_ok_and(|auth| auth.method == AuthMethod::NULL);
        let taking = |exact| {
            let fitting = self
                .candidates
                .iter()
                .filter(|remote| answer_eap::expected(remote) == by_eap && remote.is_nobody() == by_nobody)
                .filter(|remote| multiple_auth::fits(remote, &payloads, by_eap));
            let taking = fitting.filter(|remote| remote.takes(&id.identity));
            taking.filter(move |remote| remote.asked_for().is_some() == exact)
        };
        let closed = |remote: &Arc<Remote>| remote.for_peer(at.local.ip(), &id.identity);
        let known: Vec<Arc<Remote>> = taking(true).chain(taking(false)).map(closed).collect();
        let asked = payloads.idr().ok().map(|id| &id.identity);
        // RFC 7296 §1.2: the initiator may say whom it wants; we answer as somebody else if we must.
        let wanted = known.iter().find(|remote| asked.is_some_and(|asked| asked.is(&remote.local_id)));
        let Some(remote) = wanted.or(known.first()) else {
            // It is somebody that we know, and wants to prove more or less than we do of it.
            let taken =
                self.candidates.iter().find(|remote| remote.takes(&id.identity) && remote.is_nobody() == by_nobody);
            if let Some(remote) = taken.filter(|remote| !multiple_auth::fits(remote, &payloads, by_eap)) {
                return Err(multiple_auth::unlike(remote, "another number of proofs (RFC 4739)"));
            }
            let refusal = if taken.is_some() || by_nobody {
                let how = payloads.auth().map_or_else(|_| "EAP".into(), |auth| auth.method.to_string());
                let theirs = alloc::format!("{} by {how}", id.identity);
                let ours = self.candidates.iter().map(|remote| remote.remote_auth.words(&remote.name)).collect();
                Disagreement::new(Part::Method, vec![theirs], ours)
            } else {
                let ours = self.candidates.iter().map(|remote| remote.peer_words()).collect();
                Disagreement::new(Part::Identity, vec![id.identity.to_string()], ours)
            };
            return Err(Error::Authentication(refusal));
        };
        if let Said::List(methods) = auth_methods::read(&payloads)? {
            self.init.accepts.methods = Some(methods);
        }
        let init = &self.init;
        let admit = |remote: &Remote| {
            childless::admit(remote, left_out)?;
            full_transcript::admit(remote, init.full_transcript)?;
            auth_methods::admit(remote, &init.accepts)?;
            if by_eap { ppk::admit_eap(remote, &init.ppks) } else { Ok(()) }
        };
        admit(remote)?;
        let others = alternatives(remote, &known).filter(|other| admit(other).is_ok());
        let others = others.take(limits::ALTERNATIVES).cloned().collect();
        let (remote, id, claimed) = (remote.clone(), Id::new(remote.local_id.clone()), id.clone());
        let request = Request { payloads, remote, others, refusals: Vec::new(), id, claimed, at, admission: None };
        if by_eap {
            return Ok((request, None));
        }
        self.judge(request, core).map(|(request, judged)| (request, Some(judged)))
    }

    /// Judges AUTH by what the remote says, else by what the next one for the same peers says. What stands open is asked.
    fn judge(&mut self, mut request: Request, core: &mut Core) -> Result<(Request, Now<()>), Error> {
        loop {
            match self.judge_by(&mut request, core) {
                Ok(judged) => return Ok((request, judged)),
                Err(Error::Authentication(_)) if request.turn() => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn judge_by(&mut self, request: &mut Request, core: &mut Core) -> Result<Now<()>, Error> {
        let remote = request.remote.clone();
        let auth = request.payloads.auth()?;
        let judged = ppk::judge(&remote, &self.init.ppks, auth, &request.payloads)?;
        if matches!(judged, ppk::Judged::Mixed(_)) {
            // The keys are those of this remote from here on.
            request.others.clear();
        }
        let auth = self.init.take_up(judged, auth);
        let claim = self.init.initiator(&request.claimed);
        let judged =
            claim.judge(self.init.algs.prf, &remote.remote_auth, &auth, &request.payloads.0, &mut core.last_key);
        judged.map_err(|_| remote.remote_auth.unproven(&remote.name, &request.claimed.identity, auth.method))
    }

    /// What the initiator brought does not prove what the remote asks for; the next one may ask for less.
    pub(crate) fn unproven(
        mut self: Box<Self>,
        ends: Ends,
        mut request: Request,
        why: String,
        core: &mut Core,
    ) -> Option<IkeSa> {
        let at = request.at;
        request.refusals.push((request.remote.clone(), why));
        if request.turn() {
            return match self.judge(request, core) {
                Ok((request, judged)) => self.go_on(ends, (request, Some(judged)), core),
                Err(error) => self.refuse(ends, &error, at, core),
            };
        }
        // Which of the remotes was meant is not ours to say.
        let error = Error::unproven(request.refusals.iter().map(|(remote, why)| (why.clone(), &*remote.name)));
        self.refuse(ends, &error, at, core)
    }

    /// Answers with AUTH, which ends `answer`, and the rest.
    pub(crate) fn establish(
        self: Box<Self>,
        ends: Ends,
        request: Request,
        mut answer: Vec<Payload>,
        core: &mut Core,
    ) -> Option<IkeSa> {
        let Request { payloads, remote, claimed, at, admission, .. } = request;
        let identities = (remote.local_id.clone(), remote.remote_id.clone());
        if let Err(error) = admit(&self.init, &ends, (&payloads, &remote, &identities), core) {
            return self.refuse(ends, &error, at, core);
        }
        let mut init = self.init;
        // RFC 5685 §6: instead of a Child SA, now that it is known who asks.
        let elsewhere = redirect::elsewhere(&remote, at.local.ip()).filter(|_| init.redirects).cloned();
        answer.extend(crash_detection::give(&remote, ends.spis(), core));
        let agreement = match &elsewhere {
            Some(gateway) => {
                answer.push(redirect::notify(gateway));
                None
            }
            None => {
                let chosen = admission.as_deref().map_or(&[][..], |it| &it.authorization.addresses);
                first_child(&init, (&payloads, &remote, &identities.1), chosen, &ends, &mut answer, core)
            }
        };
        answer.extend(init.ppks.said());
        answer.extend(window_size::notify(&remote));
        // RFC 6311 §5: not unless the initiator said it.
        let cluster = Cluster::agreed(&remote, &payloads);
        answer.extend(cluster.said());
        let until = init.resumed.as_ref().and_then(|session| session.until);
        let authenticated = Authenticated::responder(&remote, core).not_after(until);
        answer.extend(reauthentication::notify(&authenticated, core.now));
        let claimed = claimed.identity;
        let keying = init.take_keying();
        let session = resumption::Origin {
            remote: &remote,
            identities: &identities,
            claimed: &claimed,
            keying: &keying,
            until: authenticated.until,
            ends: &ends,
        };
        let (ticket, number) = resumption::answer(&payloads, &session, core);
        answer.extend(ticket);
        let mobike = mobike::agreed(&remote, init.nat_traversal, &payloads, &ends, core);
        if mobike.is_some() {
            answer.extend(mobike::offer(&remote, init.nat_traversal, &ends, core));
        }
        let header = ends.header(ExchangeType::IKE_AUTH, true, init.next_id);
        let response = match init.protection.seal(&header, &answer, &mut *core.rng) {
            Ok(response) => response,
            Err(unfit) => {
                core.failed(Error::from(unfit).failure(ends.place(&remote.name, "IKE_AUTH", None)));
                core.give_back(&ends, &remote.name);
                return None;
            }
        };
        let window = MessageWindow::after_initial(0, init.next_id + 1).agreed(&remote, &payloads);
        let ends = Ends { if_ids: core.interfaces_of(&remote), ..ends };
        let mut established = Established::new(
            Origin {
                remote,
                identities,
                keying,
                algs: init.algs,
                mobike,
                cluster,
                redirect: init.redirects.then_some(Redirects::Sends),
            },
            &ends,
            init.protection,
            window,
            core,
        );
        established.authenticated = authenticated;
        established.admission = admission;
        established.ticket = Ticket::Gives(Box::new((claimed, number)));
        established.learn(Some(&payloads));
        established.announce(&ends, init.resumed.is_some(), core);
        if elsewhere.is_some() {
            established.sent_away(core);
        }
        // RFC 7296 §2.8: ready to receive before the answer goes out.
        if let Some(agreement) = agreement {
            reauthentication::answered(agreement, &mut established, &ends, core);
        }
        core.send(at, &response, 0);
        established.window.answered(response);
        if elsewhere.is_none() {
            initial_contact::replace(&ends, &established.remote, &established.identities, core);
        }
        Box::new(established).go_on(ends, core)
    }
}

/// Whether the initiator, who is who it should be, may have an IKE SA beside those that there are.
fn admit(
    init: &InitExchange,
    ends: &Ends,
    (payloads, remote, identities): (&Payloads, &Remote, &(Identity, Identity)),
    core: &mut Core,
) -> Result<(), Error> {
    if !init.resumed.as_ref().is_none_or(|session| resumption::accept(session, core)) {
        return Err(Error::Ticket);
    }
    initial_contact::admit(ends, remote, identities, payloads, core)
}

/// The Child SA that the request asks for, if it does and can have it, said in `answer` behind what it has with the CFG payload:
/// of our addresses those `chosen` by a server elsewhere, if any.
fn first_child(
    init: &InitExchange,
    (payloads, remote, peer): (&Payloads, &Remote, &Identity),
    chosen: &[IpAddr],
    ends: &Ends,
    answer: &mut Vec<Payload>,
    core: &mut Core,
) -> Option<Agreement> {
    let configured = configuration::answer(payloads, ends, remote, (peer, chosen), core);
    answer.extend(configuration::families(payloads, remote, core));
    let mut policy = None;
    let child = configured.and_then(|reply| {
        answer.extend(reply);
        // RFC 6023 §5: not with IKE_AUTH.
        if payloads.sa().is_err() {
            return Ok(None);
        }
        let child = ChildAnswer::to(payloads, (remote, peer), None, ChildKe::None, ends, core, &mut policy)?;
        let child = child.beside(&Children::default(), payloads, core)?;
        let keymat = keymat(core, init.algs.prf, &init.keys.sk_d, &child.terms.suite, &[], init.nonces())?;
        Ok(Some((child, keymat)))
    });
    match child {
        Ok(None) => None,
        Ok(Some((mut child, keymat))) => {
            let (inbound, head) = child.head(ends, core);
            answer.extend(head);
            answer.extend(child.ts());
            let ChildAnswer { policy, terms, .. } = child;
            Some(Agreement { policy, inbound, terms, initiator: false, keymat, replaces: None })
        }
        Err(error) => {
            // RFC 7296 §2.21.2: the IKE SA stands without it.
            answer.push(Payload::Notify(error.notify()));
            core.failed(error.failure(ends.place(&remote.name, "IKE_AUTH", policy)));
            None
        }
    }
}
