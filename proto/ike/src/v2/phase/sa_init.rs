//! IKE_SA_INIT as initiator, and IKE_SESSION_RESUME in its place where there is a ticket (RFC 5723 §4.3.2).
//!
//! ```text
//!   HDR(A,0), SAi1, KEi, Ni, N(NAT_DETECTION_*)  -->
//!                             <--  HDR(A,0), N(COOKIE)                again with the cookie first
//!                             <--  HDR(A,0), N(COOKIE), N(PUZZLE)     again with cookie and solution (solving.rs)
//!                             <--  HDR(A,0), N(INVALID_KE_PAYLOAD)    again with a value of that group
//!                             <--  HDR(A,0), N(INVALID_MAJOR_VERSION), or an answer in another version   told of
//!                             <--  HDR(A,B), SAr1, KEr, Nr            go on with IKE_AUTH
//!   HDR(A,0), Ni, N(TICKET_OPAQUE), N(NAT_DETECTION_*)  -->
//!                             <--  HDR(A,0), N(TICKET_NACK)           begin with IKE_SA_INIT
//!                             <--  HDR(A,B), Nr                       go on with IKE_AUTH
//! ```
//! Nothing here is authenticated: an answer that makes no sense is told of and dropped, and we go on waiting for a better one.
//! Read RFC 7296 §1.2, §2.6, §2.6.1 and §2.21.1 before changing this file.

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::ikev2::{IkeAlgs, Nonces, Skeyseed};
use ravelin_pki::announce::Accepts;
use ravelin_types::transform::KeMethod;
use ravelin_types::{IkeSpi, Instant};
use ravelin_wire::ike::header::{Header, Version};
use ravelin_wire::ike::v2::{Message, Notify, NotifyType};

use super::Phase;
use super::init_exchange::InitExchange;
use super::init_request::{Challenge, InitRequest, Source};
use super::{intermediate as intermediate_phase, opening};
use crate::config::{LocalAuth, Remote};
use crate::context::Core;
use crate::error::{Disagreement, Error, Place};
use crate::explain::Part;
use crate::gateways;
use crate::ike_sa::{Ends, IkeSa};
use crate::input::Datagram;
use crate::limits;
use crate::nat::NAT_PORT;
use crate::negotiate;
use crate::output::OpId;
use crate::retry::{Due, Retry};
use crate::sealed::Sealed;
use crate::v2::feature::auth_methods::{self, Said};
use crate::v2::feature::fragmentation::Fragments;
use crate::v2::feature::intermediate;
use crate::v2::feature::ppk::Ppking;
use crate::v2::feature::resumption::Tickets;
use crate::v2::feature::{
    certificate_wish, childless, full_transcript, multiple_auth, nat, ppk, puzzle, redirect, signature_hashes,
};
use crate::v2::message::{Payloads, Protection};
use crate::v2::offer;
use crate::v2::rules;
use crate::want::Want;

/// We sent an IKE_SA_INIT request.
pub(crate) struct InitRequested {
    pub(crate) remote: Arc<Remote>,
    /// What the IKE SA is for.
    pub(crate) wants: Vec<Want>,
    pub(crate) retry: Retry,
    pub(super) request: InitRequest,
    restarts: u32,
    /// An error that somebody, perhaps the responder, answered with was reported to all who wait.
    pub(super) reported: bool,
    /// How often somebody was asked to solve a puzzle.
    pub(super) puzzles: u32,
    /// The question that is open, and how long we wait for its answer.
    pub(super) solving: Option<(OpId, Instant)>,
    /// Without an answer in UDP, TCP is tried.
    falls_back: bool,
}

/// Begins an IKE SA with `remote` for what is wanted, in the place of another if need be.
pub(crate) fn begin(remote: Arc<Remote>, wants: Vec<Want>, replaces: Option<IkeSpi>, core: &mut Core) {
    let (to, policy) = (remote.clone(), wants.first().map(|want| want.policy));
    let begun = match remote.extensions.tcp {
        Some(tcp) if tcp.at_once => opening::begin(remote, wants, replaces, core),
        tcp => ends(&remote, &wants, replaces, core).and_then(|ends| request(ends, remote, wants, tcp.is_some(), core)),
    };
    if let Err(error) = begun {
        let place = Place { remote: Some(to.name.clone()), address: to.remote, policy, exchange: "IKE_SA_INIT" };
        core.failed(error.failure(place));
    }
}

/// The ends of an IKE SA that we begin, in UDP.
pub(super) fn ends(remote: &Remote, wants: &[Want], replaces: Option<IkeSpi>, core: &mut Core) -> Result<Ends, Error> {
    let asked = wants.first().and_then(|want| want.source(&*core.policy(want.policy)?));
    let asked = asked.filter(|source| source.is_ipv4() == remote.remote.is_ipv4());
    Ok(Ends { replaces, ..Ends::begin(remote, asked, core)? })
}

/// Sends the first request. `falls_back`: to TCP, when there is no answer.
pub(super) fn request(
    ends: Ends,
    remote: Arc<Remote>,
    wants: Vec<Want>,
    falls_back: bool,
    core: &mut Core,
) -> Result<(), Error> {
    let source = match Tickets::take(&remote, &ends, core) {
        Some(held) => Source::Ticket(held),
        None => match Source::exchange(&remote, core) {
            Err(Error::PutOff) => {
                opening::await_value(ends, remote, wants, falls_back, core);
                return Ok(());
            }
            source => source?,
        },
    };
    request_from(source, ends, remote, wants, falls_back, core)
}

/// Sends the first request for keys from here.
fn request_from(
    source: Source,
    ends: Ends,
    remote: Arc<Remote>,
    wants: Vec<Want>,
    falls_back: bool,
    core: &mut Core,
) -> Result<(), Error> {
    let request = InitRequest { source, nonce: core.nonce(), challenge: Challenge::default() };
    let message = Sealed::whole(request.message(&ends, &remote, core)?);
    core.send(ends.way(), &message, 0);
    let retry = Retry::new(message, remote.retransmission, core.now);
    let phase = InitRequested {
        remote,
        wants,
        retry,
        request,
        restarts: 0,
        reported: false,
        puzzles: 0,
        solving: None,
        falls_back,
    };
    core.table.insert(Phase::InitRequested(Box::new(phase)).with(ends));
    Ok(())
}

impl InitRequested {
    pub(crate) fn handle(
        self: Box<Self>,
        ends: Ends,
        message: Message,
        datagram: Datagram<'_>,
        core: &mut Core,
    ) -> Option<IkeSa> {
        let header = message.header;
        let expected = header.exchange == self.request.source.kind()
            && header.flags.is_response()
            && header.message_id == 0
            && message.protected.is_none()
            && datagram.remote.ip() == ends.peer.ip();
        if !expected {
            core.counters.unexpected += 1;
            return Some(self.keep(ends));
        }
        let payloads = match rules::accept(message.payloads) {
            Ok(payloads) => payloads,
            Err(error) => return Some(self.senseless(ends, &error, core)),
        };
        if let Some(cookie) = payloads.notify(NotifyType::COOKIE) {
            // RFC 7296 §2.6: 1 to 64 octets.
            if (1..=64).contains(&cookie.data.len()) {
                return self.challenged(ends, cookie.data.clone(), &payloads, core);
            }
            core.counters.malformed += 1;
            return Some(self.keep(ends));
        }
        if let Some(notify) =
            payloads.notify(NotifyType::REDIRECT).filter(|_| !self.remote.extensions.redirect.follow.is_empty())
        {
            return self.redirected(ends, notify, core);
        }
        let nack = payloads.notify(NotifyType::TICKET_NACK).is_some() || payloads.refusal().is_some();
        if nack && matches!(self.request.source, Source::Ticket(_)) {
            return self.anew(ends, &header, datagram, core);
        }
        if let Some(Error::Refused(kind, data)) = payloads.refusal() {
            return self.refused(ends, (kind, data), &header, datagram, core);
        }
        match self.accept(&ends, header.responder_spi, &payloads, datagram, core) {
            Ok((ends, exchange)) => intermediate_phase::go_on(ends, self.remote, self.wants, exchange, core),
            Err(Error::PutOff) => Some(self.put_off(ends, &header, datagram, core)),
            Err(error) => Some(self.senseless(ends, &error, core)),
        }
    }

    /// An answer that makes no sense, or cannot be read at all: the operator is told, and a better one may still come.
    pub(crate) fn senseless(mut self: Box<Self>, ends: Ends, error: &Error, core: &mut Core) -> IkeSa {
        core.counters.malformed += 1;
        self.report(&ends, error, core);
        self.keep(ends)
    }

    /// [`IkeSa::join`]
    pub(crate) fn join(&mut self) -> &mut Vec<Want> {
        // Whoever answered once is there without TCP.
        self.falls_back &= !core::mem::take(&mut self.reported);
        &mut self.wants
    }

    /// Tells the operator of the first thing that goes wrong: anybody can send such answers.
    fn report(&mut self, ends: &Ends, error: &Error, core: &mut Core) {
        if !core::mem::replace(&mut self.reported, true) {
            let policy = self.wants.first().map(|want| want.policy);
            let place = ends.place(&self.remote.name, self.request.source.name(), policy);
            core.failed(error.failure_with_offer(place, |part| match part {
                Part::Role => vec![format!("asks in version {} of IKE", Version::V2)],
                _ => self.request.source.lines(),
            }));
        }
    }

    pub(crate) fn timer(mut self: Box<Self>, ends: Ends, core: &mut Core) -> Option<IkeSa> {
        if self.solving.is_some() {
            return self.unsolved(ends, core);
        }
        let answered = self.reported || self.restarts > 0;
        match self.retry.due(core.now) {
            Due::Later => {}
            Due::Again(_, sent) if self.falls_back && sent >= opening::UDP_TRIES && !answered => {
                let InitRequested { remote, wants, request, .. } = *self;
                request.source.unanswered(core);
                let policy = wants.first().map(|want| want.policy);
                let place = ends.place(&remote.name, "IKE_SA_INIT", policy);
                if let Err(error) = opening::begin(remote, wants, ends.replaces, core) {
                    core.failed(error.failure(place));
                }
                return None;
            }
            Due::Again(message, sent) => core.send_again(&ends, message, sent),
            Due::GiveUp => {
                let policy = self.wants.first().map(|want| want.policy);
                let place = ends.place(&self.remote.name, self.request.source.name(), policy);
                self.request.source.unanswered(core);
                gateways::silent(&self.remote, (place, self.reported), self.wants, ends.replaces, core);
                return None;
            }
        }
        Some(self.keep(ends))
    }

    /// The connection is gone, or was never there.
    pub(crate) fn closed(self: Box<Self>, replaces: Option<IkeSpi>, core: &mut Core) {
        let InitRequested { remote, wants, .. } = *self;
        opening::failed(remote, wants, replaces, opening::CLOSED.into(), core);
    }

    pub(super) fn keep(self: Box<Self>, ends: Ends) -> IkeSa {
        Phase::InitRequested(self).with(ends)
    }

    /// The message comes again when its key exchange is done.
    fn put_off(self: Box<Self>, ends: Ends, header: &Header, datagram: Datagram<'_>, core: &mut Core) -> IkeSa {
        core.put_off_message(ends.our_spi(), header, datagram, false);
        self.keep(ends)
    }

    /// The responder wants to see its cookie, and perhaps a puzzle solved.
    fn challenged(
        mut self: Box<Self>,
        ends: Ends,
        cookie: Vec<u8>,
        payloads: &Payloads,
        core: &mut Core,
    ) -> Option<IkeSa> {
        if self.solving.is_some() {
            // The one that we are at is as good.
            core.counters.repeated += 1;
            return Some(self.keep(ends));
        }
        let puzzle = puzzle::given(payloads, &[&cookie]).filter(|puzzle| self.request.source.lists(puzzle.prf));
        self.request.challenge = Challenge { cookie: Some(cookie), solution: None };
        match puzzle {
            Some(puzzle) => self.solve(ends, puzzle, core),
            None => self.restart(ends, core),
        }
    }

    /// The ticket is not taken, or somebody says so in the responder's name: a key exchange does as well.
    fn anew(self: Box<Self>, ends: Ends, header: &Header, datagram: Datagram<'_>, core: &mut Core) -> Option<IkeSa> {
        let source = Source::exchange(&self.remote, core);
        if let Err(Error::PutOff) = source {
            return Some(self.put_off(ends, header, datagram, core));
        }
        core.counters.refused_tickets += 1;
        let InitRequested { remote, wants, falls_back, .. } = *self;
        let policy = wants.first().map(|want| want.policy);
        let place = ends.place(&remote.name, "IKE_SA_INIT", policy);
        let ends = Ends { spi_i: core.ike_spi(), ..ends };
        let begun = source.and_then(|source| request_from(source, ends, remote, wants, falls_back, core));
        if let Err(error) = begun {
            core.failed(error.failure(place));
        }
        None
    }

    /// The method that the responder asks for, where we offered it and sent a value of another.
    fn another(&self, kind: NotifyType, data: &[u8]) -> Option<KeMethod> {
        let (NotifyType::INVALID_KE_PAYLOAD, [high, low]) = (kind, data) else { return None };
        let Source::Exchange { offers, method: used, .. } = &self.request.source else { return None };
        let method = KeMethod(u16::from_be_bytes([*high, *low]));
        (method != *used && negotiate::lists_ke(offers, method)).then_some(method)
    }

    /// The responder says no, or somebody says so in its name.
    fn refused(
        mut self: Box<Self>,
        ends: Ends,
        (kind, data): (NotifyType, Vec<u8>),
        header: &Header,
        datagram: Datagram<'_>,
        core: &mut Core,
    ) -> Option<IkeSa> {
        if let Some(method) = self.another(kind, &data) {
            // Nothing is computed for what will not be sent.
            if self.restarts < limits::INIT_RESTARTS {
                match (core.generate(method), &mut self.request.source) {
                    (Err(Error::PutOff), _) => return Some(self.put_off(ends, header, datagram, core)),
                    (Ok(value), Source::Exchange { ke, method: used, .. }) => (*ke, *used) = (value, method),
                    _ => {}
                }
            }
            // RFC 7296 §1.2: again with the full offer, so that nobody can talk the two into something weaker.
            return self.restart(ends, core);
        }
        Some(self.told_no(ends, &Error::Refused(kind, data), core))
    }

    /// The responder answers in a version that is not ours, or somebody does in its name (RFC 7296 §2.5).
    pub(crate) fn other_version(self: Box<Self>, ends: Ends, version: Version, core: &mut Core) -> IkeSa {
        let theirs = vec![format!("answers in version {version} of IKE")];
        self.told_no(ends, &Disagreement::new(Part::Role, theirs, vec![]).into(), core)
    }

    /// RFC 7296 §2.21.1: the operator is told, but nothing is given up because of a message that anybody can send.
    fn told_no(mut self: Box<Self>, ends: Ends, error: &Error, core: &mut Core) -> IkeSa {
        if !self.reported {
            self.retry.hurry();
        }
        self.report(&ends, error, core);
        self.keep(ends)
    }

    /// `HDR(A,0), N(REDIRECT, gateway, Ni)`
    fn redirected(mut self: Box<Self>, ends: Ends, notify: &Notify, core: &mut Core) -> Option<IkeSa> {
        let followed = match redirect::target(notify, &self.request.nonce) {
            // RFC 5685 §3: without our nonce it is somebody else's.
            Err(Error::Violation(_)) => {
                core.counters.malformed += 1;
                return Some(self.keep(ends));
            }
            Err(error) => Err(error),
            Ok(to) => redirect::follow(&self.remote, (ends.peer.ip(), to), self.wants.clone(), ends.replaces, core),
        };
        let Err(error) = followed else { return None };
        if !self.reported {
            self.reported = true;
            let policy = self.wants.first().map(|want| want.policy);
            core.failed(error.failure(ends.place(&self.remote.name, "IKE_SA_INIT", policy)));
        }
        Some(self.keep(ends))
    }

    pub(super) fn restart(mut self: Box<Self>, ends: Ends, core: &mut Core) -> Option<IkeSa> {
        // RFC 7296 §2.6.1: COOKIE and INVALID_KE_PAYLOAD may take turns, but not for ever.
        if self.restarts >= limits::INIT_RESTARTS {
            core.counters.unexpected += 1;
            self.report(&ends, &Error::Violation("COOKIE and INVALID_KE_PAYLOAD without end"), core);
            return Some(self.keep(ends));
        }
        self.restarts += 1;
        match self.request.message(&ends, &self.remote, core) {
            Ok(message) => {
                let message = Sealed::whole(message);
                core.send(ends.way(), &message, 0);
                self.retry = Retry::new(message, self.remote.retransmission, core.now);
                Some(self.keep(ends))
            }
            Err(error) => {
                core.failed(error.failure(ends.place(&self.remote.name, "IKE_SA_INIT", None)));
                None
            }
        }
    }

    /// `HDR(A,B), SAr1, KEr, Nr, N(NAT_DETECTION_*)`, or `HDR(A,B), Nr, N(NAT_DETECTION_*)`
    fn accept(
        &self,
        ends: &Ends,
        spi_r: IkeSpi,
        payloads: &Payloads,
        datagram: Datagram<'_>,
        core: &mut Core,
    ) -> Result<(Ends, Box<InitExchange>), Error> {
        if spi_r == IkeSpi::ZERO {
            return Err(Error::Violation("the responder's SPI is zero"));
        }
        let missing = Error::NOT_BUILT_IN;
        let nonce_r = payloads.nonce()?.shared();
        let nonces = Nonces { initiator: &self.request.nonce, responder: &nonce_r };
        let (suite, additional, algs, seed) = match &self.request.source {
            Source::Exchange { offers, ke: own, method } => {
                rules::require(payloads, rules::SA_INIT)?;
                let (answer, chosen) = offer::answered(payloads.sa()?, offers)?;
                let more = intermediate::supported(payloads);
                let offered = core::slice::from_ref(&answer.proposal);
                let agreed = negotiate::ike(offered, chosen, Some(*method), more, &core.crypto)?;
                let ke = payloads.ke()?;
                if agreed.ke != Some(*method) || ke.method != *method {
                    return Err(Error::Violation("a key exchange value of another method"));
                }
                let algs = IkeAlgs::find(&core.crypto, &agreed.suite).ok_or(missing)?;
                let shared = core.agree(*method, own, &ke.data)?;
                if let Some(next) = agreed.additional.first() {
                    core.prepare(*next)?;
                }
                (agreed.suite, agreed.additional, algs, Skeyseed::initial(algs.prf, &shared, nonces))
            }
            Source::Ticket(held) => {
                let session = &held.session;
                let algs = IkeAlgs::find(&core.crypto, &session.keying.suite).ok_or(missing)?;
                (session.keying.suite, Vec::new(), algs, Skeyseed::resumed(algs.prf, &session.keying.sk_d, nonces))
            }
        };
        let (keys, messages) = seed.derive(&algs, nonces, ends.spi_i, spi_r);
        let mut protection = Protection::new(messages, &algs, true).map_err(|_| Error::NOT_BUILT_IN)?;
        protection.fragments = Fragments::agreed(payloads, ends);

        let unknown_local = ends.local.ip().is_unspecified();
        let mut ends = Ends { spi_r, local: datagram.local, peer: datagram.remote, ..ends.clone() };
        let detected = nat::detect(&core.crypto, ends.spis(), payloads, datagram.local, datagram.remote);
        ends.nat = detected.unwrap_or_default();
        // Our hash was made over an address we did not know, so the peer takes us for one behind a NAT.
        ends.nat.ours |= detected.is_some() && (unknown_local || self.remote.encap);
        // RFC 4555 §3.3: with MOBIKE at once, so that the ports need not change where a NAT turns up.
        let changes_port = ends.nat.any() || self.remote.extensions.mobike && detected.is_some();
        if changes_port && ends.stream.is_none() {
            // RFC 7296 §2.23: everything after goes to and from port 4500.
            ends.local.set_port(NAT_PORT);
            ends.peer.set_port(NAT_PORT);
        }
        let said = auth_methods::read(payloads)?;
        // RFC 9593 §3.1: for a list alone nobody need begin an exchange, and only who signs has a choice to make by it.
        let signs = self.remote.own_proofs().any(|auth| matches!(auth, LocalAuth::Signature(_)));
        let comes = self.request.source.offers_intermediate(&self.remote) && intermediate::supported(payloads);
        let list_due = matches!(said, Said::Later) && comes && signs;
        let methods = if let Said::List(methods) = said { Some(methods) } else { None };
        let accepts = Accepts { hashes: signature_hashes::read(payloads), methods };
        let messages = (self.retry.message().to_vec(), datagram.data.to_vec());
        let nonces = (self.request.nonce.clone(), nonce_r);
        let exchange = InitExchange {
            // RFC 8019 §7.2.3: of Nr and SPIr.
            puzzle: puzzle::given(payloads, &[&nonces.1, &spi_r.0.to_be_bytes()])
                .filter(|puzzle| self.request.source.lists(puzzle.prf)),
            full_transcript: match &self.request.source {
                Source::Exchange { .. } => full_transcript::agreed(core::iter::once(&*self.remote), payloads),
                Source::Ticket(held) => held.session.keying.full_transcript,
            },
            accepts,
            list_due,
            wish: certificate_wish::read(payloads),
            resumed: match &self.request.source {
                Source::Exchange { .. } => None,
                Source::Ticket(held) => Some(Box::new(held.session.clone())),
            },
            additional,
            ppks: match &self.request.source {
                Source::Exchange { .. } => ppk::agreed(&self.remote, payloads),
                Source::Ticket(_) => Ppking::No,
            },
            childless: childless::supported(payloads),
            multiple: multiple_auth::supported(payloads),
            nat_traversal: detected.is_some(),
            ..InitExchange::new(suite, (algs, keys, protection), nonces, messages)
        };
        Ok((ends, Box::new(exchange)))
    }
}
