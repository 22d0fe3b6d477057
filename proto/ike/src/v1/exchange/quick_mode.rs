//! Quick mode: Child SAs (RFC 2409 §5.5).
//!
//! ```text
//!   HDR*, HASH(1), SA, Ni [, KE], IDci, IDcr  -->
//!                          <--  HDR*, HASH(2), SA, Nr [, KE], IDci, IDcr     inbound half installed by the sender
//!   HDR*, HASH(3)  -->                                                       both halves installed by the sender
//! ```
//! The responder sends on what it installed when the third message shows that the initiator has it. IKEv1 has no
//! rekeying: another quick mode for the same traffic takes the place of the one before, and whoever began it deletes
//! that a little later.
//! Read RFC 2409 §5.5 and RFC 2407 §4.5 before changing this file.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use ravelin_crypto::KePrivate;
use ravelin_crypto::ikev1::keymat;
use ravelin_crypto::ikev2::{ChildAlgs, KeyMat, Nonces};
use ravelin_types::policy::{Action, Mode};
use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::sa::OriginalAddresses;
use ravelin_types::transform::KeMethod;
use ravelin_types::{Instant, Secret, Spi};
use ravelin_wire::ike::header::{ExchangeType, Flags, Header, PayloadType};
use ravelin_wire::ike::v1::{
    AnySpi, Attribute, Doi, IpsecAttribute, LifeType, NatOa, Nonce, Notify, NotifyType, OfferedProposal, Opaque,
    Payload, Sa,
};

use super::informational;
use crate::child::{Agreement, ChildSa, ChildState, Terms};
use crate::config::ChildPolicy;
use crate::context::Core;
use crate::error::{Disagreement, Error, Place};
use crate::explain::Part;
use crate::ike_sa::{self, Ends};
use crate::input::Datagram;
use crate::limits;
use crate::nat;
use crate::negotiate::{self, ChildKe, Selectors};
use crate::output::DownReason;
use crate::retry::{Due, Retry};
use crate::v1::ipsec::{self, Common, Offered};
use crate::v1::message::Payloads;
use crate::v1::rules;
use crate::v1::session::{Session, Stage};
use crate::v1::vendor::NatT;
use crate::v2::answer::{Wanted, candidates, find};
use crate::v2::feature::fragmentation::Sealed;
use crate::v2::offer::{AH_THROUGH_NAT, ChildOffer, mode_name};
use crate::want::Want;

/// Ni and Nr.
type NoncePair = (Vec<u8>, Vec<u8>);

/// One quick mode.
pub(crate) struct Exchange {
    iv: ravelin_crypto::ikev1::Iv,
    /// The message of the peer that was handled last.
    received: Vec<u8>,
    /// Our last message.
    sent: Vec<u8>,
    retry: Option<Retry>,
    until: Instant,
    state: State,
}

enum State {
    /// We sent the first message.
    Asked(Box<Asked>),
    /// We sent the second.
    Answered(Box<Answered>),
    /// It is over, and kept for repetitions; the Child SA with this inbound SPI came of it.
    Done(Option<Spi>),
}

struct Asked {
    offer: ChildOffer,
    want: Option<Want>,
    nonce: Vec<u8>,
    ke: Option<(KeMethod, Box<dyn KePrivate>)>,
}

struct Answered {
    nonces: NoncePair,
    child: ChildSa,
    replaces: Option<Spi>,
}

impl Exchange {
    pub(crate) fn deadline(&self) -> Instant {
        self.retry.as_ref().map_or(self.until, Retry::at)
    }

    /// What it is to bring.
    pub(crate) fn want(&self) -> Option<Want> {
        match &self.state {
            State::Asked(asked) => asked.want,
            _ => None,
        }
    }

    /// Gives up what it holds.
    pub(crate) fn abandon(self, core: &mut Core) {
        match self.state {
            State::Asked(asked) => core.table.release(asked.offer.inbound),
            State::Answered(answered) => answered.child.remove(DownReason::ProtocolError, core),
            State::Done(_) => {}
        }
    }
}

/// A message ID of ours that no exchange has.
pub(crate) fn message_id(session: &Session, core: &mut Core) -> u32 {
    loop {
        let mut bytes = [0; 4];
        core.rng.fill(&mut bytes);
        let id = u32::from_be_bytes(bytes);
        if id != 0 && !session.exchanges.contains_key(&id) {
            return id;
        }
    }
}

/// Asks for a Child SA.
pub(crate) fn create(session: &mut Session, ends: &Ends, want: Want, core: &mut Core) {
    let Some(policy) = core.policy(want.policy) else { return };
    // Without a flow of its own the Child SA is for all that the policy selects.
    let whole = Want { flow: want.flow.filter(|_| want.pfp.any()), ..want };
    let begun = room(session, core)
        .and_then(|()| {
            let inside = core.inside(ends, &session.remote);
            ChildOffer::new(policy, &whole, true, &inside, ends, core)
        })
        .and_then(|offer| ask(session, ends, offer.for_flow(want.flow), Some(want), core));
    if let Err(error) = begun {
        core.failed(error.failure(session.place_of(ends, "Quick Mode", Some(want.policy))));
    }
}

/// Asks for a Child SA in place of another.
pub(crate) fn rekey(session: &mut Session, ends: &Ends, old: Spi, core: &mut Core) {
    let Some(child) = session.children.get_mut(&old).filter(|child| child.is_settled()) else { return };
    let policy = child.policy.policy.id;
    let begun = ChildOffer::replacing(child, ends, core);
    child.state = ChildState::Rekeying;
    if let Err(error) = begun.and_then(|offer| ask(session, ends, offer, None, core)) {
        core.failed(error.failure(session.place_of(ends, "Quick Mode", Some(policy))));
        settle(session, Some(old));
    }
}

/// A Child SA whose replacement failed is in use again.
fn settle(session: &mut Session, old: Option<Spi>) {
    if let Some(old) = old.and_then(|old| session.children.get_mut(&old))
        && old.state == ChildState::Rekeying
    {
        old.state = ChildState::Installed;
    }
}

/// Whether there may be one more.
fn room(session: &Session, core: &Core) -> Result<(), Error> {
    ike_sa::room(session.children.len(), &session.remote.name, &session.identities.1, core)?;
    let open = session.exchanges.values().filter(|exchange| !matches!(exchange.state, State::Done(_))).count();
    if open >= limits::V1_QUICK_MODES { Err(Error::Full) } else { Ok(()) }
}

/// Sends the first message; the offer is given up when that fails.
fn ask(
    session: &mut Session,
    ends: &Ends,
    offer: ChildOffer,
    want: Option<Want>,
    core: &mut Core,
) -> Result<(), Error> {
    let inbound = offer.inbound;
    let may = offer.policy.check_peer(&session.identities.1);
    let asked = may.and_then(|()| first_message(session, ends, offer, want, core));
    if asked.is_err() {
        core.table.release(inbound);
    }
    asked
}

fn first_message(
    session: &mut Session,
    ends: &Ends,
    offer: ChildOffer,
    want: Option<Want>,
    core: &mut Core,
) -> Result<(), Error> {
    let group = offer.first_ke();
    let ke = match group {
        None => None,
        Some(method) => {
            let alg = core.crypto.ke(method).ok_or(Error::Misuse("an algorithm is not built in"))?;
            Some((method, alg.generate(&mut *core.rng)))
        }
    };
    let nonce = core.nonce();
    let common = Common { mode: offer.mode(), udp: udp(session, ends), lifetime: lifetime(&offer.policy), group };
    let sa = ipsec::sa(offer.proposals(), offer.inbound, common, &core.crypto);
    if sa.0.iter().all(|proposal| proposal.transforms.is_empty()) {
        return Err(Error::Misuse("nothing of the policy's proposal has a number in IKEv1"));
    }
    let mut payloads = vec![Payload::Sa(sa)];
    payloads.extend(Nonce::new(nonce.as_slice()).map(Payload::Nonce));
    payloads.extend(ke.as_ref().map(|(_, private)| Payload::Ke(Opaque(private.public().to_vec()))));
    payloads.extend(ids(offer.selectors())?);
    payloads.extend(original_payloads(session, ends, offer.mode(), (ends.local.ip(), ends.peer.ip())));

    let id = message_id(session, core);
    let iv = session.secured.exchange_iv(id);
    let header = ends.header_v1(ExchangeType::QUICK_MODE, id);
    let (message, iv) = session.secured.seal_hashed(&iv, header, &[], payloads)?;
    let retry = Retry::new(Sealed::whole(message.clone()), session.remote.retransmission, core.now);
    core.transmit_v1((ends.local, ends.peer), message.clone(), session.abilities, 0);
    let state = State::Asked(Box::new(Asked { offer, want, nonce, ke }));
    let exchange = Exchange { iv, received: Vec::new(), sent: message, retry: Some(retry), until: core.now, state };
    session.exchanges.insert(id, exchange);
    Ok(())
}

/// `IDci, IDcr`
fn ids(selectors: &Selectors) -> Result<Vec<Payload>, Error> {
    let ([initiator, ..], [responder, ..]) = (selectors.initiator.as_slice(), selectors.responder.as_slice()) else {
        return Err(Error::Misuse("the policy selects nothing"));
    };
    Ok(vec![Payload::Id(ipsec::id(initiator)?), Payload::Id(ipsec::id(responder)?)])
}

/// How ESP in UDP is numbered, where it travels so.
fn udp(session: &Session, ends: &Ends) -> Option<NatT> {
    ends.nat.any().then(|| session.abilities.nat_t.unwrap_or(NatT::Rfc))
}

/// `NAT-OAi, NAT-OAr`: the initiator's and the responder's address as we know them (RFC 3947 §5.2).
fn original_payloads(
    session: &Session,
    ends: &Ends,
    mode: Mode,
    (initiator, responder): (core::net::IpAddr, core::net::IpAddr),
) -> Vec<Payload> {
    match udp(session, ends).filter(|_| mode == Mode::Transport) {
        None => Vec::new(),
        Some(NatT::Rfc) => vec![Payload::NatOa(NatOa(initiator)), Payload::NatOa(NatOa(responder))],
        Some(NatT::Draft) => vec![Payload::NatOaDraft(NatOa(initiator)), Payload::NatOaDraft(NatOa(responder))],
    }
}

/// The addresses of the sender's packets before a NAT changed them; `sender_initiates` says which of the two is its.
fn originals(payloads: &Payloads, sender_initiates: bool) -> Option<OriginalAddresses> {
    let mut found = payloads.all().iter().filter_map(|payload| match payload {
        Payload::NatOa(NatOa(address)) | Payload::NatOaDraft(NatOa(address)) => Some(*address),
        _ => None,
    });
    let (initiator, responder) = (found.next()?, found.next()?);
    Some(match sender_initiates {
        true => OriginalAddresses { src: initiator, dst: responder },
        false => OriginalAddresses { src: responder, dst: initiator },
    })
}

/// After how long the SAs of a policy end.
fn lifetime(policy: &ChildPolicy) -> Option<Duration> {
    match &policy.policy.action {
        Action::Protect(protection) => protection.lifetime.hard.time,
        Action::Bypass | Action::Discard => None,
    }
}

/// Takes a message of a quick mode.
pub(crate) fn handle(
    session: &mut Session,
    ends: &mut Ends,
    header: Header,
    first: PayloadType,
    datagram: Datagram<'_>,
    core: &mut Core,
) {
    let Some(exchange) = session.exchanges.remove(&header.message_id) else {
        return begun(session, ends, header, first, datagram, core);
    };
    if exchange.received == datagram.data {
        core.counters.repeated += 1;
        core.transmit_v1(
            (datagram.local, datagram.remote),
            exchange.sent.clone(),
            session.abilities,
            limits::V1_REPEAT,
        );
        session.exchanges.insert(header.message_id, exchange);
        return;
    }
    let Exchange { iv, received, sent, retry, until, state } = exchange;
    let next = match state {
        State::Asked(asked) => answered(session, ends, header, first, datagram, (iv, sent, retry, asked), core),
        State::Answered(reply) => {
            confirmed(session, ends, header, first, datagram, (iv, received, sent, retry, until, reply), core)
        }
        state @ State::Done(_) => {
            core.counters.unexpected += 1;
            Some(Exchange { iv, received, sent, retry, until, state })
        }
    };
    if let Some(next) = next {
        session.exchanges.insert(header.message_id, next);
    }
}

/// The peer asks for a Child SA.
fn begun(
    session: &mut Session,
    ends: &mut Ends,
    header: Header,
    first: PayloadType,
    datagram: Datagram<'_>,
    core: &mut Core,
) {
    let id = header.message_id;
    let iv = session.secured.exchange_iv(id);
    let Some((payloads, iv)) = session.secured.open_hashed(&iv, first, id, &[], datagram.data) else {
        core.counters.forged += 1;
        return;
    };
    if !session.fresh(id) {
        core.counters.repeated += 1;
        return;
    }
    session.hear(ends, datagram, core);
    let mut place = session.place_of(ends, "Quick Mode", None);
    match answer(session, ends, &payloads, &mut place, core) {
        Ok((reply, nonces, child, replaces)) => {
            let header = ends.header_v1(ExchangeType::QUICK_MODE, id);
            let sealed = session.secured.seal_hashed(&iv, header, &[&nonces.0], reply);
            let (message, iv) = match sealed {
                Ok(sealed) => sealed,
                Err(unfit) => {
                    child.remove(DownReason::ProtocolError, core);
                    core.failed(Error::from(unfit).failure(place));
                    return;
                }
            };
            let retry = Retry::new(Sealed::whole(message.clone()), session.remote.retransmission, core.now);
            core.transmit_v1((datagram.local, datagram.remote), message.clone(), session.abilities, 0);
            let state = State::Answered(Box::new(Answered { nonces, child, replaces }));
            let exchange = Exchange {
                iv,
                received: datagram.data.to_vec(),
                sent: message,
                retry: Some(retry),
                until: core.now,
                state,
            };
            session.exchanges.insert(id, exchange);
        }
        Err(error) => {
            let kind = error.notify_v1();
            core.failed(error.failure(place));
            let spi =
                payloads.sa().ok().and_then(|sa| sa.0.first()).map_or(AnySpi::None, |offered| offered.spi.clone());
            let protocol = payloads.sa().ok().and_then(|sa| sa.0.first()).map_or(ProtocolId::ESP, |p| p.protocol);
            // RFC 2409 §5.7: in an exchange of its own.
            let notify = Notify { doi: Doi::IPSEC, protocol, spi, kind, data: Vec::new() };
            informational::send(session, ends, vec![Payload::Notify(notify)], core);
        }
    }
}

type Reply = (Vec<Payload>, NoncePair, ChildSa, Option<Spi>);

/// What we answer, with the inbound half installed.
fn answer(
    session: &mut Session,
    ends: &Ends,
    payloads: &Payloads,
    place: &mut Place,
    core: &mut Core,
) -> Result<Reply, Error> {
    rules::require(payloads, rules::QUICK)?;
    if matches!(session.stage, Stage::Closing(_)) {
        return Err(Error::Temporary);
    }
    room(session, core)?;
    let sa = payloads.sa()?;
    let all = ipsec::offered(sa, ends.nat.any(), &core.crypto);
    let sent = match payloads.ids().collect::<Vec<_>>().as_slice() {
        [initiator, responder] => {
            Selectors { initiator: vec![ipsec::selector(initiator)?], responder: vec![ipsec::selector(responder)?] }
        }
        // RFC 2409 §5.5: without identities the two ends themselves are meant.
        _ => Selectors {
            initiator: vec![ravelin_types::selector::TrafficSelector::host(ends.peer.ip())],
            responder: vec![ravelin_types::selector::TrafficSelector::host(ends.local.ip())],
        },
    };
    let Some(mode) = all.first().map(|offered| offered.mode) else {
        let theirs = sa.0.iter().map(|offered| alloc::format!("{} proposal", offered.protocol)).collect();
        return Err(Disagreement::new(Part::ChildProposal, theirs, vec![]).into());
    };
    let wanted = Wanted::of(mode == Mode::Transport, sent, originals(payloads, true), false, ends);
    let theirs = candidates(core.policies(), (&session.remote.name, &session.identities.1));
    let found = find(&theirs, &wanted, &core.inside(ends, &session.remote), ends)?;
    place.policy = Some(found.policy.policy.id);
    let words = |mode| vec![mode_name(mode).to_string()];
    if found.mode != mode {
        return Err(Disagreement::new(Part::Mode, words(mode), words(found.mode)).into());
    }
    // RFC 2409 §5.5 has no narrowing: what is asked for is granted or not.
    let asked = wanted.in_mode(mode);
    if !asked.within(&found.selectors) {
        return Err(Disagreement::new(Part::TrafficSelectors, asked.lines(), found.selectors.lines()).into());
    }
    let ours = negotiate::offer(&found.policy.proposals, true, &core.crypto);
    let usable: Vec<&Offered> = all.iter().filter(|offered| offered.mode == mode).collect();
    let suites: Vec<Proposal> = usable.iter().map(|offered| offered.suite.clone()).collect();
    let group = payloads.ke().is_ok();
    let sent_group = suites.first().and_then(|suite| negotiate::first_ke(core::slice::from_ref(suite)));
    let agreed = negotiate::child(&suites, &ours, ChildKe::Fresh(sent_group), &core.crypto)?;
    let chosen = usable.get(agreed.index).ok_or(Error::Violation("an SA payload without proposals"))?;
    if agreed.ke.is_some() != group {
        return Err(Error::Violation("a group without a KE payload, or a KE payload without a group"));
    }
    if ends.nat.any() && agreed.suite.protocol() == ProtocolId::AH {
        return Err(AH_THROUGH_NAT);
    }
    let proposal = sa.0.get(chosen.proposal).ok_or(Error::Violation("an SA payload without proposals"))?;
    let transform = proposal.transforms.get(chosen.transform).ok_or(Error::Violation("no transform"))?;
    let outbound = proposal.spi.child().filter(|spi| spi.is_usable());
    let outbound = outbound.ok_or(Error::Violation("the chosen proposal has no usable SPI"))?;
    if core.table.outbound_to(ends.peer.ip(), outbound).is_some() {
        return Err(Error::Temporary);
    }
    let exchanged = match agreed.ke {
        None => None,
        Some(method) => {
            let alg = core.crypto.ke(method).ok_or(Error::Misuse("an algorithm is not built in"))?;
            Some(alg.respond(&payloads.ke()?.0, &mut *core.rng).map_err(|_| Error::BadPublicValue)?)
        }
    };
    let configured = lifetime(&found.policy);
    let agreed_lifetime = [configured, chosen.lifetime].into_iter().flatten().min();
    let terms = Terms {
        outbound,
        suite: agreed.suite,
        ke: agreed.ke,
        mode,
        local_ts: asked.responder.clone(),
        remote_ts: asked.initiator.clone(),
        original: wanted.original.filter(|_| mode == Mode::Transport),
        mode_declined: false,
        tfc_declined: false,
        later_fragments: false,
        lifetime: agreed_lifetime,
    };
    let nonces = (payloads.nonce()?.as_bytes().to_vec(), core.nonce());
    let inbound = core.child_spi(ends.our_spi());
    let keymat = keys(session, &terms, inbound, exchanged.as_ref().map(|(_, shared)| shared), &nonces, false, core);
    let keymat = keymat.inspect_err(|_| core.table.release(inbound))?;

    let answer = OfferedProposal {
        number: proposal.number,
        protocol: proposal.protocol,
        spi: inbound.into(),
        transforms: vec![transform.clone()],
    };
    let mut reply = vec![Payload::Sa(Sa(vec![answer]))];
    reply.extend(Nonce::new(nonces.1.as_slice()).map(Payload::Nonce));
    reply.extend(exchanged.map(|(public, _)| Payload::Ke(Opaque(public))));
    reply.extend(payloads.ids().map(|id| Payload::Id(id.clone())));
    reply.extend(original_payloads(session, ends, mode, (ends.peer.ip(), ends.local.ip())));
    // RFC 2407 §4.6.3.1: a shorter lifetime than the one asked for is announced.
    if let Some(seconds) = agreed_lifetime.filter(|agreed| chosen.lifetime.is_none_or(|asked| *agreed < asked)) {
        reply.push(responder_lifetime(proposal.protocol, inbound, seconds));
    }
    let replaces = replaced(session, &found.policy, &terms);
    let agreement = Agreement { policy: found.policy, inbound, terms, initiator: false, keymat, replaces };
    Ok((reply, nonces, ChildSa::install(agreement, ends, false, core), replaces))
}

/// The Child SA for the same traffic that is in use.
fn replaced(session: &Session, policy: &Arc<ChildPolicy>, terms: &Terms) -> Option<Spi> {
    let same = |child: &&ChildSa| {
        child.policy.policy.id == policy.policy.id
            && child.terms.serves_the_same(terms)
            && matches!(child.state, ChildState::Installed | ChildState::Rekeying)
    };
    session.children.values().map(Box::as_ref).find(same).map(|child| child.inbound)
}

/// `N(RESPONDER-LIFETIME)`
fn responder_lifetime(protocol: ProtocolId, inbound: Spi, lifetime: Duration) -> Payload {
    let seconds = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
    let mut data = Vec::new();
    for (kind, value) in
        [(IpsecAttribute::LIFE_TYPE, u32::from(LifeType::SECONDS.0)), (IpsecAttribute::LIFE_DURATION, seconds)]
    {
        Attribute::number(kind.0, value).emit(&mut data);
    }
    Payload::Notify(Notify {
        doi: Doi::IPSEC,
        protocol,
        spi: inbound.into(),
        kind: NotifyType::RESPONDER_LIFETIME,
        data,
    })
}

/// Keys of a Child SA. Each direction is keyed with the SPI of its receiver.
fn keys(
    session: &Session,
    terms: &Terms,
    inbound: Spi,
    shared: Option<&Secret>,
    (nonce_i, nonce_r): &NoncePair,
    initiator: bool,
    core: &Core,
) -> Result<KeyMat, Error> {
    let algs = ChildAlgs::find(&core.crypto, &terms.suite).ok_or(Error::Misuse("an algorithm is not built in"))?;
    let nonces = Nonces { initiator: nonce_i, responder: nonce_r };
    let protocol = terms.suite.protocol();
    let of = |spi| keymat(&session.secured.keys, protocol, spi, &algs, shared, nonces);
    let (outbound, inbound) = (of(terms.outbound), of(inbound));
    Ok(match initiator {
        true => KeyMat { initiator: outbound, responder: inbound },
        false => KeyMat { initiator: inbound, responder: outbound },
    })
}

type AskedParts = (ravelin_crypto::ikev1::Iv, Vec<u8>, Option<Retry>, Box<Asked>);

/// Takes the second message and sends the third.
fn answered(
    session: &mut Session,
    ends: &mut Ends,
    header: Header,
    first: PayloadType,
    datagram: Datagram<'_>,
    (iv, sent, retry, asked): AskedParts,
    core: &mut Core,
) -> Option<Exchange> {
    let id = header.message_id;
    let opened = session.secured.open_hashed(&iv, first, id, &[&asked.nonce], datagram.data);
    let Some((payloads, next)) = opened else {
        core.counters.forged += 1;
        let (received, until, state) = (Vec::new(), core.now, State::Asked(asked));
        return Some(Exchange { iv, received, sent, retry, until, state });
    };
    session.hear(ends, datagram, core);
    let accepted = accept(session, ends, &asked, &payloads, core);
    let (agreement, nonces) = match accepted {
        Ok(accepted) => accepted,
        Err(error) => {
            failed(session, ends, &asked, &error, core);
            return None;
        }
    };
    let hash = session.secured.keys.hash_3(id, Nonces { initiator: &nonces.0, responder: &nonces.1 });
    let header_3 = ends.header_v1(ExchangeType::QUICK_MODE, id);
    let sealed = session.secured.seal(&next, header_3, &[Payload::Hash(Opaque(hash))]);
    let Ok((message, iv)) = sealed else {
        failed(session, ends, &asked, &Error::Misuse("the configuration does not fit into a message"), core);
        return None;
    };
    let (inbound, replaces) = (agreement.inbound, agreement.replaces);
    // RFC 2408 §3.1: with the commit bit the peer says when it is ready.
    let ready = !header.flags.contains(Flags::V1_COMMIT);
    let child = ChildSa::install(agreement, ends, ready, core);
    core.transmit_v1((ends.local, ends.peer), message.clone(), session.abilities, 0);
    take_over(session, child, replaces, true, core);
    Some(Exchange {
        iv,
        received: datagram.data.to_vec(),
        sent: message,
        retry: None,
        until: core.now + limits::V1_LINGER,
        state: State::Done(Some(inbound)),
    })
}

/// What the answer comes to.
fn accept(
    session: &Session,
    ends: &Ends,
    asked: &Asked,
    payloads: &Payloads,
    core: &mut Core,
) -> Result<(Agreement, NoncePair), Error> {
    rules::require(payloads, rules::QUICK)?;
    let offer = &asked.offer;
    let sa = payloads.sa()?;
    let [OfferedProposal { spi, transforms, .. }] = sa.0.as_slice() else {
        return Err(Error::Violation("an answer with more than one proposal"));
    };
    if transforms.len() != 1 {
        return Err(Error::Violation("an answer with more than one transform"));
    }
    let outbound = spi.child().filter(|spi| spi.is_usable());
    let outbound = outbound.ok_or(Error::Violation("the chosen proposal has no usable SPI"))?;
    if core.table.outbound_to(ends.peer.ip(), outbound).is_some() {
        return Err(Error::Violation("the SPI of another Child SA"));
    }
    let not_offered = Error::Violation("the chosen proposal was not offered");
    let all = ipsec::offered(sa, ends.nat.any(), &core.crypto);
    let chosen = all.first().ok_or(not_offered.clone())?;
    if chosen.mode != offer.mode() {
        let words = |mode| vec![mode_name(mode).to_string()];
        return Err(Disagreement::new(Part::Mode, words(chosen.mode), words(offer.mode())).into());
    }
    let sent = asked.ke.as_ref().map(|(method, _)| *method);
    let suites = core::slice::from_ref(&chosen.suite);
    let agreed = negotiate::child(suites, offer.proposals(), ChildKe::Fresh(sent), &core.crypto);
    let agreed = agreed.map_err(|_| not_offered)?;
    let shared = match (&asked.ke, agreed.ke) {
        (None, None) => None,
        (Some((method, private)), Some(chosen)) if *method == chosen => {
            Some(private.agree(&payloads.ke()?.0).map_err(|_| Error::BadPublicValue)?)
        }
        _ => return Err(Error::Violation("a key exchange method without our value of it")),
    };
    let ours = Selectors {
        initiator: offer.selectors().initiator.iter().take(1).copied().collect(),
        responder: offer.selectors().responder.iter().take(1).copied().collect(),
    };
    let answer = match payloads.ids().collect::<Vec<_>>().as_slice() {
        [initiator, responder] => {
            Selectors { initiator: vec![ipsec::selector(initiator)?], responder: vec![ipsec::selector(responder)?] }
        }
        _ => ours.clone(),
    };
    let mut kept = answer.clone();
    let mut original = None;
    if offer.mode() == Mode::Transport && ends.nat.any() {
        original = originals(payloads, false).or_else(|| nat::original(&answer.responder, &answer.initiator));
        if ends.nat.theirs {
            kept.responder = nat::substitute(&kept.responder, ends.peer.ip());
        }
        if ends.nat.ours {
            kept.initiator = nat::substitute(&kept.initiator, ends.local.ip());
        }
    }
    if !kept.within(&ours) {
        return Err(Disagreement::new(Part::TrafficSelectors, answer.lines(), ours.lines()).into());
    }
    let announced = payloads.notify(NotifyType::RESPONDER_LIFETIME).and_then(announced_lifetime);
    let terms = Terms {
        outbound,
        suite: agreed.suite,
        ke: agreed.ke,
        mode: chosen.mode,
        local_ts: kept.initiator,
        remote_ts: kept.responder,
        original,
        mode_declined: false,
        tfc_declined: false,
        later_fragments: false,
        lifetime: [lifetime(&offer.policy), chosen.lifetime, announced].into_iter().flatten().min(),
    };
    let nonces = (asked.nonce.clone(), payloads.nonce()?.as_bytes().to_vec());
    let keymat = keys(session, &terms, offer.inbound, shared.as_ref(), &nonces, true, core)?;
    let agreement = Agreement {
        policy: offer.policy.clone(),
        inbound: offer.inbound,
        terms,
        initiator: true,
        keymat,
        replaces: offer.replaces,
    };
    Ok((agreement, nonces))
}

fn announced_lifetime(notify: &Notify) -> Option<Duration> {
    let attributes = Attribute::parse_all(&notify.data).ok()?;
    let mut unit = None;
    attributes.iter().find_map(|attribute| {
        match IpsecAttribute(attribute.kind) {
            IpsecAttribute::LIFE_TYPE => unit = attribute.as_number(),
            IpsecAttribute::LIFE_DURATION if unit == Some(u64::from(LifeType::SECONDS.0)) => {
                return attribute.as_number().filter(|seconds| *seconds > 0).map(Duration::from_secs);
            }
            _ => {}
        }
        None
    })
}

/// Gives up what we asked for.
fn failed(session: &mut Session, ends: &Ends, asked: &Asked, error: &Error, core: &mut Core) {
    core.table.release(asked.offer.inbound);
    let place = session.place_of(ends, "Quick Mode", Some(asked.offer.policy.policy.id));
    core.failed(error.failure_with_offer(place, |part| asked.offer.lines(part)));
    settle(session, asked.offer.replaces);
}

type AnsweredParts = (ravelin_crypto::ikev1::Iv, Vec<u8>, Vec<u8>, Option<Retry>, Instant, Box<Answered>);

/// Takes the third message: the initiator has the SA.
fn confirmed(
    session: &mut Session,
    ends: &mut Ends,
    header: Header,
    first: PayloadType,
    datagram: Datagram<'_>,
    (iv, received, sent, retry, until, reply): AnsweredParts,
    core: &mut Core,
) -> Option<Exchange> {
    let id = header.message_id;
    let opened = session.secured.open(&iv, first, datagram.data).filter(|(payloads, _)| {
        let nonces = Nonces { initiator: &reply.nonces.0, responder: &reply.nonces.1 };
        let expected = session.secured.keys.hash_3(id, nonces);
        rules::require(payloads, rules::HASH).is_ok()
            && payloads.hash().is_ok_and(|hash| session.secured.keys.verify(&expected, &hash.0).is_ok())
    });
    let Some((_, iv_next)) = opened else {
        core.counters.forged += 1;
        return Some(Exchange { iv, received, sent, retry, until, state: State::Answered(reply) });
    };
    session.hear(ends, datagram, core);
    let Answered { mut child, replaces, .. } = *reply;
    let inbound = child.inbound;
    child.send(core);
    take_over(session, child, replaces, false, core);
    // Nothing answers the third message, so there is nothing to repeat.
    Some(Exchange {
        iv: iv_next,
        received: Vec::new(),
        sent: Vec::new(),
        retry: None,
        until: core.now + limits::V1_LINGER,
        state: State::Done(Some(inbound)),
    })
}

/// A Child SA is in use, perhaps in place of another.
fn take_over(session: &mut Session, child: ChildSa, replaces: Option<Spi>, ours: bool, core: &mut Core) {
    let replaces = replaces.filter(|old| session.children.contains_key(old));
    session.children.add(child, replaces, core);
    if let Some(old) = replaces
        && let Some(child) = session.children.get_mut(&old)
    {
        child.state = ChildState::Replaced;
        if ours {
            // What is on its way on the old one still arrives.
            session.retired.push((core.now + limits::V1_RETIREMENT, old));
        }
    }
}

/// The peer says that it is ready to receive (RFC 2408 §3.1).
pub(crate) fn connected(session: &mut Session, message_id: u32, core: &mut Core) {
    let done = session.exchanges.get(&message_id).and_then(|exchange| match exchange.state {
        State::Done(inbound) => inbound,
        _ => None,
    });
    if let Some(child) = done.and_then(|inbound| session.children.get_mut(&inbound)) {
        child.send(core);
    }
}

/// The peer refuses: by the SPI that we offered, or, as many leave that out, whatever we asked for last.
pub(crate) fn refused(session: &mut Session, ends: &Ends, notify: &Notify, core: &mut Core) {
    let spi = notify.spi.child();
    let open = |exchange: &Exchange| match &exchange.state {
        State::Asked(asked) => Some((asked.offer.inbound, asked.offer.policy.policy.id)),
        _ => None,
    };
    let asked = session.exchanges.iter().filter_map(|(id, exchange)| Some((*id, open(exchange)?.0)));
    let all: Vec<(u32, Spi)> = asked.collect();
    let named = all.iter().find(|(_, inbound)| Some(*inbound) == spi);
    let only = match all.as_slice() {
        [only] => Some(only),
        _ => None,
    };
    let Some((id, _)) = named.or(only) else { return };
    if let Some(exchange) = session.exchanges.remove(id)
        && let State::Asked(asked) = exchange.state
    {
        failed(session, ends, &asked, &Error::RefusedV1(notify.kind), core);
    }
}

/// Repeats what is due. False: the peer does not answer.
pub(crate) fn timer(session: &mut Session, ends: &Ends, core: &mut Core) -> bool {
    let due: Vec<u32> = session.exchanges.iter().filter(|(_, e)| e.deadline() <= core.now).map(|(id, _)| *id).collect();
    for id in due {
        let Some(mut exchange) = session.exchanges.remove(&id) else { continue };
        let Some(retry) = &mut exchange.retry else {
            // What waits for CONNECTED in vain sends all the same.
            if let State::Done(Some(inbound)) = exchange.state
                && let Some(child) = session.children.get_mut(&inbound)
            {
                child.send(core);
            }
            continue;
        };
        match retry.due(core.now) {
            Due::Later => {}
            Due::Again(message, sent) => {
                let message = message.first().to_vec();
                session.send_again(ends, message, sent, core);
            }
            Due::GiveUp => {
                let asked = matches!(exchange.state, State::Asked(_));
                if asked {
                    // Whoever does not answer what verifies is gone, or has forgotten the ISAKMP SA.
                    session.exchanges.insert(id, exchange);
                    return false;
                }
                exchange.abandon(core);
                continue;
            }
        }
        session.exchanges.insert(id, exchange);
    }
    true
}
