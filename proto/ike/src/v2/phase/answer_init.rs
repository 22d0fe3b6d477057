//! IKE_SA_INIT as responder.
//!
//! 1. The same request again: the same answer again (RFC 7296 §2.1).
//! 2. Nobody configured at this address: NO_PROPOSAL_CHOSEN, told to the operator, both at a limited rate.
//! 3. Bounds on half-open IKE SAs; above a threshold a cookie first, and nothing is kept before it comes back; above another a
//!    puzzle for strangers (`feature/puzzle.rs`).
//! 4. Proposal and key exchange, which may be put off (`exchanging.rs`), then the answer. Where it would be longer than the request, a cookie first as well:
//!    nobody gets more sent to a forged address than it sent itself.
//!
//! Read RFC 7296 §1.2, §2.1, §2.6 and §2.21.1 before changing this file.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

use ravelin_crypto::ikev2::{IkeAlgs, Nonces, Skeyseed};
use ravelin_pki::announce::Accepts;
use ravelin_types::proposal::{IkeSuite, Proposal, ProtocolId};
use ravelin_types::transform::{PrfId, Transform};
use ravelin_types::{Carrier, IkeSpi, Instant};
use ravelin_wire::ike::header::{ExchangeType, Flags, Header, Version};
use ravelin_wire::ike::v2::{
    AnySpi, Chain, Ke, Message, Nonce, Notify, NotifyType, OfferedProposal, Payload, Sa, emit,
};

use super::Phase;
use super::answer_resume;
use super::init_exchange::InitExchange;
use super::intermediate::Answered;
use crate::config::{IkeVersion, Remote, RemoteAuth};
use crate::context::Core;
use crate::error::{Disagreement, Error, Place};
use crate::explain::Part;
use crate::host_names;
use crate::ike_sa::{self, Ends, IkeSa, Stream};
use crate::input::Datagram;
use crate::limits;
use crate::nat::Nat;
use crate::negotiate::{self, Agreed};
use crate::sa_table::InitKey;
use crate::sealed::{LARGE, Sealed};
use crate::v2::feature::cookie::Claim;
use crate::v2::feature::fragmentation;
use crate::v2::feature::intermediate;
use crate::v2::feature::ppk::Ppking;
use crate::v2::feature::{
    auth_methods, certificate_wish, childless, full_transcript, multiple_auth, nat, ppk, puzzle, redirect,
    signature_hashes,
};
use crate::v2::message::{Payloads, Protection, USUAL_PAYLOADS};
use crate::v2::rules;

/// We answered an IKE_SA_INIT request.
pub(crate) struct InitAnswered {
    /// The remotes that the peer may turn out to be, likeliest first; never empty.
    pub(crate) candidates: Vec<Arc<Remote>>,
    /// Of the configuration that they are of.
    pub(crate) edition: u64,
    pub(crate) expire_at: Instant,
    pub(crate) init: Box<InitExchange>,
    /// The exchange of its last request that verifies.
    pub(crate) heard: ExchangeType,
    /// The answer to a request that failed, kept in case it is lost.
    pub(crate) refused: Option<Sealed>,
    /// The last IKE_INTERMEDIATE request that was answered.
    pub(crate) answered: Option<Answered>,
}

impl InitAnswered {
    /// Name of the likeliest remote.
    pub(crate) fn remote_name(&self) -> &str {
        self.candidates.first().map_or("", |remote| &remote.name)
    }

    pub(crate) fn timer(self: Box<Self>, ends: Ends, core: &mut Core) -> Option<IkeSa> {
        (core.now < self.expire_at).then_some(Phase::InitAnswered(self).with(ends))
    }
}

/// Takes an IKE_SA_INIT request that belongs to no IKE SA.
pub(crate) fn respond(message: Message, datagram: Datagram<'_>, core: &mut Core) {
    let header = message.header;
    let wrong = header.message_id != 0 || header.initiator_spi == IkeSpi::ZERO || message.protected.is_some();
    if wrong {
        core.counters.malformed += 1;
        return;
    }
    let (rule, exchange) = match header.exchange {
        ExchangeType::IKE_SESSION_RESUME => (rules::SESSION_RESUME, "IKE_SESSION_RESUME"),
        _ => (rules::SA_INIT, "IKE_SA_INIT"),
    };
    let answered = rules::accept(message.payloads).and_then(|payloads| {
        rules::require(&payloads, rule)?;
        answer(&header, &payloads, datagram, core)
    });
    if let Err(error) = answered {
        // RFC 7296 §2.21.1: help the peer, but not at any rate; INVALID_KE_PAYLOAD and TICKET_NACK are part of a normal
        // exchange, and no longer than any request that asks for them.
        let expected = matches!(error, Error::WrongKe(_) | Error::Ticket);
        core.counters.refused_tickets += u64::from(error == Error::Ticket);
        if expected || core.may_react() {
            reply(&header, error.notify(), datagram, core);
            if !expected {
                let address = datagram.remote.ip();
                let place = Place { remote: core.remote_name(address), address, policy: None, exchange };
                core.failed(error.failure(place));
            }
        }
    }
}

fn answer(header: &Header, payloads: &Payloads, datagram: Datagram<'_>, core: &mut Core) -> Result<(), Error> {
    let spi_i = header.initiator_spi;
    let nonce_i = payloads.nonce()?.as_bytes();
    let key: InitKey = (spi_i, payloads.nonce()?.shared());
    if let Some(spi) = core.table.begun_by(&key) {
        repeat(spi, datagram, core);
        return Ok(());
    }
    if core.exchanging.has(&key) {
        core.counters.repeated += 1;
        return Ok(());
    }
    let candidates = candidates(datagram, core);
    if candidates.is_empty() && host_names::hint(core) {
        // The peer asks again, and then it is known whether it is one of ours.
        return Ok(());
    }
    if candidates.is_empty() {
        return Err(nobody(payloads, datagram.remote.ip(), core).into());
    }
    let from = datagram.remote.ip();
    let half_open = core.table.half_open().total() + core.exchanging.strangers().total();
    // RFC 8019 §4.5: whoever was here before is served first. Nothing is kept for a ticket that is none.
    let known = header.exchange == ExchangeType::IKE_SESSION_RESUME || core.table.proven().from(from) > 0;
    let most = if known { limits::HALF_OPEN } else { limits::HALF_OPEN - limits::HALF_OPEN_RESERVE };
    let full = half_open >= most || core.table.len() >= limits::IKE_SAS;
    if full
        || core.table.half_open().from(from) + core.exchanging.strangers().from(from) >= limits::HALF_OPEN_PER_ADDRESS
    {
        core.counters.refused_half_open += 1;
        return Ok(());
    }
    let claim = Claim { nonce: nonce_i, spi: spi_i, from: datagram.remote };
    // RFC 7296 §2.6: a cookie that is not ours counts as none.
    let brought = payloads.notify(NotifyType::COOKIE).map(|notify| notify.data.as_slice());
    let cookie = brought.and_then(|cookie| {
        Some((cookie, core.cookies.accepts(cookie, claim, &core.crypto, &mut *core.rng, core.now)?))
    });
    // RFC 9329 §6.3: who has opened a connection can receive.
    let vouched = cookie.is_some() || datagram.carrier == Carrier::Tcp;
    let wrong = brought.is_some() && cookie.is_none();
    let first = !core.exchanging.is_again();
    let puzzle = if first && !known { puzzle::due(payloads, cookie, half_open, core) } else { None };
    if puzzle.is_some() || !vouched && first && half_open >= limits::COOKIE_THRESHOLD {
        challenge(header, (claim, wrong), puzzle, datagram, core);
        return Ok(());
    }

    if let Some(elsewhere) = redirect::at_once(&candidates, datagram.local.ip(), payloads, nonce_i) {
        // RFC 5685 §3: nothing is kept.
        reply(header, elsewhere, datagram, core);
        return Ok(());
    }
    let built = match header.exchange {
        ExchangeType::IKE_SESSION_RESUME => answer_resume::build(spi_i, payloads, datagram, core)?,
        _ => {
            let (agreed, candidates) = agree(payloads, candidates, core)?;
            let ke = payloads.ke()?;
            if agreed.ke != Some(ke.method) {
                return Err(Error::WrongKe(agreed.suite.ke));
            }
            match build(spi_i, payloads, agreed, candidates, datagram, core) {
                Err(Error::PutOff) => {
                    core.put_off_first(key, datagram);
                    return Ok(());
                }
                built => built?,
            }
        }
    };
    if !vouched && built.init.response.len() > datagram.data.len() {
        challenge(header, (claim, wrong), None, datagram, core);
        return Ok(());
    }
    let Built { ends, init, candidates } = built;
    core.transmit(datagram.way(), init.response.clone());
    let phase = InitAnswered {
        candidates,
        edition: core.edition,
        expire_at: core.now + limits::HALF_OPEN_LIFETIME,
        init,
        heard: header.exchange,
        refused: None,
        answered: None,
    };
    let ends = Ends { init_key: Some(key), ..ends };
    core.table.insert(Phase::InitAnswered(Box::new(phase)).with(ends));
    Ok(())
}

/// Why there is no remote for a peer at this address.
fn nobody(payloads: &Payloads, from: IpAddr, core: &Core) -> Disagreement {
    let theirs = payloads.sa().map(|offered| negotiate::lines(&offered.0)).unwrap_or_default();
    if core.remote_name(from).is_none() {
        return Disagreement::new(Part::NoRemote, theirs, known(core));
    }
    let mut here = core.remotes.near(from).filter(|remote| remote.is_at(from, &core.hosts));
    let ours = if here.all(|remote| remote.version.number() != 2) { "IKEv1 only" } else { "initiate only" };
    Disagreement::new(Part::Role, theirs, vec![ours.into()])
}

/// The request came again. Until IKE_AUTH the answer is repeated, after it there is nobody to answer.
fn repeat(spi: IkeSpi, datagram: Datagram<'_>, core: &mut Core) {
    let response = core.table.get(spi).and_then(|sa| match &sa.phase {
        // The same SPI and nonce in another message are not a retransmission.
        ike_sa::Phase::V2(Phase::InitAnswered(phase)) if phase.init.request == datagram.data => {
            Some(phase.init.response.clone())
        }
        _ => None,
    });
    match response {
        Some(response) => {
            core.counters.repeated += 1;
            core.transmit(datagram.way(), response);
        }
        None => core.counters.unexpected += 1,
    }
}

/// The remotes at this address that we answer, the exact ones before those for any address.
fn candidates(datagram: Datagram<'_>, core: &Core) -> Vec<Arc<Remote>> {
    let (local, from) = (datagram.local.ip(), datagram.remote.ip());
    let answers = |exact| {
        let all = core.remotes.near(from).filter(|remote| remote.version == IkeVersion::V2);
        all.filter(move |remote| remote.answers(local, from, &core.hosts) == Some(exact))
    };
    answers(true).chain(answers(false)).cloned().collect()
}

/// The first candidate's suite, and all candidates that it suits.
fn agree(
    payloads: &Payloads,
    mut candidates: Vec<Arc<Remote>>,
    core: &Core,
) -> Result<(Agreed<IkeSuite>, Vec<Arc<Remote>>), Error> {
    let offered = &payloads.sa()?.0;
    let sent = Some(payloads.ke()?.method);
    let more = intermediate::supported(payloads);
    let judge =
        |remote: &Arc<Remote>| negotiate::ike(offered, &core.offer(&remote.proposals, true), sent, more, &core.crypto);
    let mut refusal = None;
    let mut agreed: Option<Agreed<IkeSuite>> = None;
    candidates.retain(|remote| match (judge(remote), &agreed) {
        (Ok(first), None) => {
            agreed = Some(first);
            true
        }
        (Ok(other), Some(first)) => (other.suite, &other.additional) == (first.suite, &first.additional),
        (Err(error), _) => {
            refusal.get_or_insert(error);
            false
        }
    });
    match (agreed, refusal) {
        (Some(agreed), _) => Ok((agreed, candidates)),
        (None, Some(refusal)) => Err(refusal.into()),
        (None, None) => Err(Error::Misuse("no remote is configured")),
    }
}

/// What a first message led to.
pub(super) struct Built {
    pub(super) ends: Ends,
    pub(super) init: Box<InitExchange>,
    pub(super) candidates: Vec<Arc<Remote>>,
}

/// The ends of an IKE SA that a peer begins, and whether both sides do NAT traversal; `encap`: we pose as behind a NAT.
pub(super) fn ends(
    spi_i: IkeSpi,
    payloads: &Payloads,
    encap: bool,
    datagram: Datagram<'_>,
    core: &mut Core,
) -> (Ends, bool) {
    let detected = nat::detect(&core.crypto, (spi_i, IkeSpi::ZERO), payloads, datagram.local, datagram.remote);
    let nat = detected.map(|nat| Nat { ours: nat.ours || encap, ..nat });
    let ends = Ends {
        nat: nat.unwrap_or_default(),
        stream: (datagram.carrier == Carrier::Tcp).then_some(Stream { is_ours: false, is_lost: false }),
        ..Ends::answer(spi_i, datagram, core)
    };
    (ends, detected.is_some())
}

/// `HDR(A,B), SAr1, KEr, Nr, N(NAT_DETECTION_SOURCE_IP), N(NAT_DETECTION_DESTINATION_IP)` and the keys.
fn build(
    spi_i: IkeSpi,
    payloads: &Payloads,
    agreed: Agreed<IkeSuite>,
    candidates: Vec<Arc<Remote>>,
    datagram: Datagram<'_>,
    core: &mut Core,
) -> Result<Built, Error> {
    // Who of them it is will be known with the identity; ESP in UDP serves the others too.
    let encap = candidates.iter().any(|remote| remote.encap);
    let missing = Error::NOT_BUILT_IN;
    let algs = IkeAlgs::find(&core.crypto, &agreed.suite).ok_or(missing.clone())?;
    let (public, shared) = core.respond(agreed.suite.ke, &payloads.ke()?.data)?;
    let nonce_i = payloads.nonce()?.shared();
    let nonce_r = core.nonce();
    let (ends, traverses) = ends(spi_i, payloads, encap, datagram, core);
    let nonces = Nonces { initiator: &nonce_i, responder: &nonce_r };
    let seed = Skeyseed::initial(algs.prf, &shared, nonces);
    let (keys, messages) = seed.derive(&algs, nonces, ends.spi_i, ends.spi_r);
    let mut protection = Protection::new(messages, &algs, false).map_err(|_| missing)?;
    protection.fragments = fragmentation::Fragments::agreed(payloads, &ends);

    let number = payloads.sa()?.0.get(agreed.index).map_or(1, |offered| offered.number);
    let additional = agreed.transforms.iter().any(|transform| matches!(transform, Transform::AddKe(..)));
    let proposal = Proposal { protocol: ProtocolId::IKE, transforms: agreed.transforms };
    let mut answer = Vec::with_capacity(USUAL_PAYLOADS);
    answer.push(Payload::Sa(Sa(vec![OfferedProposal { number, spi: AnySpi::None, proposal }])));
    answer.push(Payload::Ke(Ke { method: agreed.suite.ke, data: public }));
    answer.extend(Nonce::new(nonce_r.clone()).map(Payload::Nonce));
    // RFC 7296 §2.23: only a peer that sent the notifies knows what they mean.
    if traverses {
        answer.extend(nat::notifies(&core.crypto, ends.spis(), ends.local, ends.peer, encap));
    }
    if protection.fragments.any() {
        answer.push(fragmentation::notify());
    }
    let remotes = || candidates.iter().map(|remote| &**remote);
    let hashes = signature_hashes::read(payloads);
    // RFC 7427 §4: an initiator that verifies no signature says nothing itself, and may sign all the same.
    let may_sign =
        candidates.iter().any(|remote| remote.peer_proofs().any(|auth| matches!(auth, RemoteAuth::Signature(_))));
    if hashes.is_some() || may_sign {
        answer.extend(signature_hashes::notify(remotes()));
    }
    answer.extend(full_transcript::notify(remotes()));
    let full_transcript = full_transcript::agreed(remotes(), payloads);
    let (ppks, notify) = ppk::answer(payloads, &candidates);
    answer.extend(notify);
    // RFC 9370 §2.2.1: without it the initiator must not understand the types in our answer; RFC 9867 §3.1: nor a PPK.
    if additional || matches!(ppks, Ppking::Due) {
        answer.push(intermediate::notify());
    }
    answer.extend(childless::answer(&candidates));
    answer.extend(multiple_auth::answer(&candidates));
    // RFC 7296 §3.7: authorities of all: who it is comes with IKE_AUTH.
    answer.extend(crate::auth::requests(remotes().flat_map(Remote::peer_proofs), &core.crypto));
    answer.extend(certificate_wish::lookup(remotes()));
    let list = auth_methods::notify(remotes(), &core.crypto);
    let list_due = put_list(list, &mut answer, intermediate::supported(payloads))?;
    let response = emit(&ends.header(ExchangeType::IKE_SA_INIT, true, 0), &Chain::new(&answer)?);
    let messages = (datagram.data.to_vec(), response);
    let init = InitExchange {
        full_transcript,
        accepts: Accepts { hashes, methods: None },
        list_due,
        additional: agreed.additional,
        ppks,
        redirects: redirect::announced(payloads),
        nat_traversal: traverses,
        ..InitExchange::new(agreed.suite, (algs, keys, protection), (nonce_i, nonce_r), messages)
    };
    Ok(Built { ends, init: Box::new(init), candidates })
}

/// Adds the list of methods by which the peer may prove itself. Where the message would not be one that passes everywhere, that
/// it comes in IKE_INTERMEDIATE, if both do that (RFC 9593 §3.1): whether it does.
fn put_list(list: Option<Payload>, answer: &mut Vec<Payload>, intermediate: bool) -> Result<bool, Error> {
    let Some(list) = list else { return Ok(false) };
    answer.push(list);
    if !intermediate || Header::LEN + Chain::new(&*answer)?.bytes().len() <= LARGE {
        return Ok(false);
    }
    answer.pop();
    answer.push(auth_methods::later());
    let said = NotifyType::INTERMEDIATE_EXCHANGE_SUPPORTED;
    if !answer.iter().any(|payload| matches!(payload, Payload::Notify(notify) if notify.kind == said)) {
        answer.push(intermediate::notify());
    }
    Ok(true)
}

/// `HDR(A,0), N(COOKIE), [N(PUZZLE)]`; `wrong`: to a request with another cookie.
fn challenge(
    header: &Header,
    (claim, wrong): (Claim<'_>, bool),
    puzzle: Option<(PrfId, u8)>,
    datagram: Datagram<'_>,
    core: &mut Core,
) {
    if wrong && !core.cookies.may_replace(datagram.remote.ip(), core.now) {
        core.counters.rate_limited += 1;
        return;
    }
    let bits = puzzle.map_or(0, |(_, bits)| bits);
    let Some(cookie) = core.cookies.make(claim, bits, &core.crypto, &mut *core.rng, core.now) else { return };
    core.counters.cookies += 1;
    core.counters.puzzles += u64::from(puzzle.is_some());
    let cookie = Notify::new(NotifyType::COOKIE, cookie);
    // RFC 8019 §7.1.1: never without the cookie.
    reply_with(header, [cookie].into_iter().chain(puzzle.map(puzzle::notify)), datagram, core);
}

/// `HDR(A,0), N(...)`, unless it is longer than the request.
fn reply(to: &Header, notify: Notify, datagram: Datagram<'_>, core: &mut Core) {
    reply_with(to, [notify], datagram, core);
}

/// The same with several.
fn reply_with(to: &Header, notifies: impl IntoIterator<Item = Notify>, datagram: Datagram<'_>, core: &mut Core) {
    let header = Header { version: Version::V2, flags: Flags::RESPONSE, ..*to };
    let payloads: Vec<Payload> = notifies.into_iter().map(Payload::Notify).collect();
    if let Ok(chain) = Chain::new(&payloads) {
        let message = emit(&header, &chain);
        if message.len() <= datagram.data.len() {
            core.transmit(datagram.way(), message);
        }
    }
}

fn known(core: &Core) -> Vec<alloc::string::String> {
    let remotes = core.remotes.all().iter().filter(|remote| remote.version == IkeVersion::V2 && remote.accept);
    let at = |remote: &Remote| remote.reach().next().map_or_else(alloc::string::String::new, |reach| reach.to_string());
    remotes.take(limits::REPORT_LINES).map(|remote| alloc::format!("{} at {}", remote.name, at(remote))).collect()
}
