//! Quick mode: Child SAs (RFC 2409 §5.5).
//!
//! ```text
//!   HDR*, HASH(1), SA, Ni [, KE], IDci, IDcr  -->
//!                          <--  HDR*, HASH(2), SA, Nr [, KE], IDci, IDcr     inbound half installed by the sender
//!   HDR*, HASH(3)  -->                                                       both halves installed by the sender
//! ```
//! The responder sends on what it installed when the third message shows that the initiator has it. Many a responder
//! installs nothing before that message, so the initiator does not send at once on what takes the place of another, but
//! when the peer does, or a little later.
//! IKEv1 has no rekeying: another quick mode for the same traffic takes the place of the one before, and whoever began it
//! deletes that when packets under way have arrived.
//! Read RFC 2409 §5.5 and RFC 2407 §4.5 before changing this file.

mod initiator;
mod refusal;
mod responder;

pub(crate) use refusal::refused;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use ravelin_crypto::ikev1::keymat;
use ravelin_crypto::ikev2::{ChildAlgs, KeyMat, Nonces};
use ravelin_types::policy::{Action, Mode};
use ravelin_types::proposal::Suite;
use ravelin_types::sa::{OriginalAddresses, SaKeys};
use ravelin_types::{Instant, Secret, Spi};
use ravelin_wire::ike::header::{Header, PayloadType};
use ravelin_wire::ike::v1::{NatOa, NotifyType, Payload};

use super::informational;
use crate::child::offer::{ChildOffer, OfferedKe};
use crate::child::{ChildSa, ChildState, Proof, Terms};
use crate::config::ChildPolicy;
use crate::context::Core;
use crate::error::{Error, no_answer};
use crate::ike_sa::{self, Ends};
use crate::input::Datagram;
use crate::limits;
use crate::live::Live;
use crate::negotiate::Selectors;
use crate::output::DownReason;
use crate::retry::{Due, Retry};
use crate::v1::client_id;
use crate::v1::message::Payloads;
use crate::v1::session::Session;
use crate::v1::vendor::NatT;
use crate::want::Want;

/// Ni and Nr.
type NoncePair = (Arc<[u8]>, Arc<[u8]>);

/// One quick mode.
pub(crate) struct Exchange {
    iv: ravelin_crypto::ikev1::Iv,
    /// The message of the peer that was handled last.
    received: Vec<u8>,
    /// Our last message, and when it was last sent.
    sent: Vec<u8>,
    sent_at: Instant,
    retry: Option<Retry>,
    until: Instant,
    state: State,
}

enum State {
    /// We sent the first message.
    Asked(Box<Asked>),
    /// We sent the second.
    Answered(Box<Answered>),
    /// We sent the third, which nothing answers: nothing shows yet that the peer could read it.
    Told(Told),
    /// It is over, and kept for repetitions; the Child SA with this inbound SPI came of it.
    Done(Spi),
}

/// What is done with a Child SA some time after its exchange.
#[derive(Clone, Copy)]
pub(crate) enum Later {
    /// It sends, whether or not the peer did.
    Send,
    /// The peer says this of what may have been the last message of its exchange: another is to take its place unless a packet has
    /// arrived on it meanwhile.
    Doubt(NotifyType, Told),
    /// It goes.
    Delete(DownReason),
}

struct Asked {
    offer: ChildOffer,
    want: Option<Want>,
    nonce: Arc<[u8]>,
    /// The peer says this of something that may have been the first message.
    refused: Option<NotifyType>,
}

struct Answered {
    nonces: NoncePair,
    child: ChildSa,
    replaces: Option<Spi>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    inbound: Spi,
    /// It is in place of a Child SA that the peer may not have got, either.
    again: bool,
}

impl Exchange {
    pub(crate) fn deadline(&self) -> Instant {
        self.retry.as_ref().map_or(self.until, Retry::at)
    }

    /// Whether what it brings serves this, too.
    pub(crate) fn brings(&self, want: &Want) -> bool {
        match &self.state {
            State::Asked(asked) => asked.want.is_some_and(|asked| asked.is_served_with(want)),
            // The first packet of the peer may arrive before the message that makes us send. The answer waits for that.
            State::Answered(answered) => answered.child.serves(want),
            State::Told(_) | State::Done(_) => false,
        }
    }

    /// What it is to bring.
    pub(crate) fn want(&self) -> Option<Want> {
        match &self.state {
            State::Asked(asked) => asked.want,
            _ => None,
        }
    }

    /// Gives up what it holds.
    pub(crate) fn abandon(self, reason: DownReason, core: &mut Core) {
        match self.state {
            State::Asked(asked) => core.table.release(asked.offer.inbound),
            State::Answered(answered) => answered.child.remove(reason, core),
            State::Told(_) | State::Done(_) => {}
        }
    }

    /// The SPI that we chose.
    fn inbound(&self) -> Spi {
        match &self.state {
            State::Asked(asked) => asked.offer.inbound,
            State::Answered(answered) => answered.child.inbound,
            State::Told(Told { inbound, .. }) | State::Done(inbound) => *inbound,
        }
    }

    /// Whether it waits for nothing more of the peer.
    fn is_over(&self) -> bool {
        matches!(self.state, State::Told(_) | State::Done(_))
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

/// The group of phase 1, which both sides have, where the policy lists it, too; else the first that it lists.
fn group(session: &Session) -> OfferedKe {
    OfferedKe::Asked(session.secured.suite.ke)
}

/// Asks for a Child SA.
///
/// # Errors
/// [`Error::PutOff`] alone: not yet. Of all else the operator hears.
pub(crate) fn create(session: &mut Session, ends: &Ends, want: Want, core: &mut Core) -> Result<(), Error> {
    let Some(policy) = core.policy(want.policy) else { return Ok(()) };
    // Without a flow of its own the Child SA is for all that the policy selects.
    let whole = Want { flow: want.flow.filter(|_| want.pfp.any()), ..want };
    let begun = room(session, core)
        .and_then(|()| {
            let inside = core.inside(ends, &session.remote);
            ChildOffer::new(policy, &whole, group(session), &inside, ends, core)
        })
        .map(|offer| offer.compressing(core))
        .and_then(|offer| initiator::ask(session, ends, offer.for_flow(want.flow), Some(want), core));
    match begun {
        Err(Error::PutOff) => return Err(Error::PutOff),
        Err(error) => core.failed(error.failure(session.place_of(ends, "Quick Mode", Some(want.policy)))),
        Ok(()) => {}
    }
    Ok(())
}

/// Asks for a Child SA in place of another.
///
/// # Errors
/// As of [`create`].
pub(crate) fn rekey(session: &mut Session, ends: &Ends, old: Spi, core: &mut Core) -> Result<(), Error> {
    let wished = group(session);
    let Some(child) = session.children.get_mut(&old).filter(|child| child.is_settled()) else { return Ok(()) };
    let policy = child.policy.policy.id;
    let begun = ChildOffer::replacing(child, wished, ends, core).map(|offer| offer.compressing(core));
    if let Err(Error::PutOff) = begun {
        return Err(Error::PutOff);
    }
    child.state = ChildState::Rekeying;
    if let Err(error) = begun.and_then(|offer| initiator::ask(session, ends, offer, None, core)) {
        core.failed(error.failure(session.place_of(ends, "Quick Mode", Some(policy))));
        settle(session, ends, Some(old), core);
    }
    Ok(())
}

/// A Child SA whose replacement failed is in use again, unless the peer may not have it.
fn settle(session: &mut Session, ends: &Ends, old: Option<Spi>, core: &mut Core) {
    session.with_holder(ends, core, |holder, _, core| {
        if let Some(old) = old.and_then(|old| holder.children.get_mut(&old))
            && old.state == ChildState::Rekeying
        {
            old.state = ChildState::Installed;
            if old.proof == Proof::Missing {
                holder.later.push((core.now, old.inbound, Later::Delete(DownReason::ProtocolError)));
            }
        }
    });
}

/// Whether we may begin one now: one of ours at a time waits for its answer. Peers keep the IVs of few exchanges, strongSwan of three
/// (`charon.max_ikev1_exchanges`), each sign of life and each delete among them, in the order in which its threads come to them; what
/// it has lost the IV of it cannot read (docs/adr/0101).
pub(crate) fn may_ask(session: &Session) -> bool {
    !session.exchanges.values().any(|exchange| matches!(exchange.state, State::Asked(_)))
}

/// Whether there may be one more.
fn room(session: &Session, core: &Core) -> Result<(), Error> {
    ike_sa::room(session.children.len(), &session.remote.name, &session.identities.1, core)?;
    let open = session.exchanges.values().filter(|exchange| !exchange.is_over()).count();
    if open >= limits::V1_QUICK_MODES { Err(Error::Full) } else { Ok(()) }
}

/// `IDci, IDcr`
fn ids(selectors: &Selectors) -> Result<Vec<Payload>, Error> {
    let ([initiator, ..], [responder, ..]) = (selectors.initiator.as_slice(), selectors.responder.as_slice()) else {
        return Err(Error::Misuse("the policy selects nothing"));
    };
    Ok(vec![Payload::Id(client_id::id(initiator)?), Payload::Id(client_id::id(responder)?)])
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

/// What the two identities of a message are about, where it has them.
fn clients(payloads: &Payloads) -> Result<Option<Selectors>, Error> {
    match payloads.ids().collect::<Vec<_>>().as_slice() {
        [initiator, responder] => Ok(Some(Selectors {
            initiator: [client_id::selector(initiator)?].into(),
            responder: [client_id::selector(responder)?].into(),
        })),
        _ => Ok(None),
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
    let Some(mut exchange) = session.exchanges.remove(&header.message_id) else {
        return responder::begun(session, ends, header, first, datagram, core);
    };
    if exchange.received == datagram.data {
        core.counters.repeated += 1;
        // A slow peer repeats its second message before it has come to our third; of another copy of that, when it is done with the
        // first, strongSwan says that it is malformed.
        let again = !exchange.is_over() || core.now.since(exchange.sent_at) >= limits::V1_REPEAT_AFTER;
        if again {
            exchange.sent_at = core.now;
            core.transmit_v1(
                (datagram.local, datagram.remote),
                exchange.sent.clone(),
                session.abilities,
                limits::V1_REPEAT,
            );
        }
        session.exchanges.insert(header.message_id, exchange);
        return;
    }
    let Exchange { iv, received, sent, sent_at, retry, until, state } = exchange;
    let next = match state {
        State::Asked(asked) => {
            initiator::answered(session, ends, header, first, datagram, (iv, (sent, sent_at), retry, asked), core)
        }
        State::Answered(reply) => responder::confirmed(
            session,
            ends,
            header,
            first,
            datagram,
            (iv, received, (sent, sent_at), retry, until, reply),
            core,
        ),
        state @ (State::Told(_) | State::Done(_)) => {
            core.counters.unexpected += 1;
            Some(Exchange { iv, received, sent, sent_at, retry, until, state })
        }
    };
    if let Some(next) = next {
        session.exchanges.insert(header.message_id, next);
    }
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
    let nonces = Nonces { initiator: nonce_i, responder: nonce_r };
    let alone = |suite: Suite, spi| {
        let algs = ChildAlgs::find(&core.crypto, &suite).ok_or(Error::NOT_BUILT_IN)?;
        Ok::<_, Error>(keymat(&session.secured.keys, suite.protocol(), spi, &algs, shared, nonces))
    };
    let of = |suite: Suite, spi| match suite {
        // Each protocol has keys of its own, by its own number and SPI.
        Suite::AhEsp { ah, ah_spi, esp } => Ok(SaKeys { ah: alone(ah.into(), ah_spi)?.ah, ..alone(esp.into(), spi)? }),
        one => alone(one, spi),
    };
    let (outbound, inbound) = (of(terms.suite, terms.outbound)?, of(terms.suite.labelled(inbound), inbound)?);
    Ok(match initiator {
        true => KeyMat { initiator: outbound, responder: inbound },
        false => KeyMat { initiator: inbound, responder: outbound },
    })
}

/// A Child SA is in use, perhaps in place of another.
fn take_over(session: &mut Session, ends: &Ends, child: ChildSa, replaces: Option<Spi>, ours: bool, core: &mut Core) {
    session.with_holder(ends, core, |holder, spi, core| {
        let inbound = child.inbound;
        child.pass_on(spi, core);
        let replaces = replaces.filter(|old| holder.children.contains_key(old));
        holder.children.add(child, replaces, core);
        if let Some(old) = replaces
            && let Some(child) = holder.children.get_mut(&old)
        {
            child.state = ChildState::Replaced;
            if ours {
                holder.later.push((core.now + limits::V1_SWITCH, inbound, Later::Send));
                // What is on its way on the old one still arrives.
                let then = core.now + limits::V1_SWITCH + limits::V1_RETIREMENT;
                holder.later.push((then, old, Later::Delete(DownReason::Replaced)));
            }
        }
    });
}

/// Does what was put off until now.
pub(crate) fn later(session: &mut Session, ends: &Ends, core: &mut Core) {
    let due: Vec<(Instant, Spi, Later)> = session.later.extract_if(.., |(at, ..)| *at <= core.now).collect();
    for (_, inbound, what) in due {
        match what {
            Later::Send => session.send_on(inbound, core),
            Later::Doubt(kind, told) => refusal::doubt(session, ends, told, kind, core),
            Later::Delete(reason) => session.delete_child(inbound, reason),
        }
    }
}

/// The peer says that it is ready to receive (RFC 2408 §3.1).
pub(crate) fn connected(session: &mut Session, ends: &Ends, message_id: u32, core: &mut Core) {
    let done = session.exchanges.get(&message_id).filter(|exchange| exchange.is_over());
    let Some(inbound) = done.map(Exchange::inbound) else { return };
    session.with_holder(ends, core, |holder, _, core| {
        if let Some(child) = holder.children.get_mut(&inbound) {
            child.proof = Proof::Given;
        }
        holder.send_on(inbound, core);
    });
}

/// Repeats what is due. False: the peer does not answer.
pub(crate) fn timer(session: &mut Session, ends: &Ends, core: &mut Core) -> bool {
    let due: Vec<u32> = session.exchanges.iter().filter(|(_, e)| e.deadline() <= core.now).map(|(id, _)| *id).collect();
    for id in due {
        let Some(mut exchange) = session.exchanges.remove(&id) else { continue };
        let Some(retry) = &mut exchange.retry else {
            // What waits for CONNECTED in vain sends all the same.
            if exchange.is_over() {
                let inbound = exchange.inbound();
                session.with_holder(ends, core, |holder, _, core| holder.send_on(inbound, core));
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
                match &exchange.state {
                    State::Asked(asked) => {
                        let Some(kind) = asked.refused else {
                            // Whoever does not answer what verifies is gone, or has forgotten the ISAKMP SA.
                            session.exchanges.insert(id, exchange);
                            return false;
                        };
                        initiator::failed(session, ends, asked, &Error::RefusedV1(kind), core);
                        continue;
                    }
                    // The peer may have the Child SA, and its third message is lost.
                    State::Answered(answered) => {
                        let child = &answered.child;
                        core.failed(no_answer(session.place_of(ends, "Quick Mode", Some(child.policy.policy.id))));
                        informational::send_delete(session, ends, &child.terms.suite, child.inbound, core);
                    }
                    State::Told(_) | State::Done(_) => {}
                }
                exchange.abandon(DownReason::PeerDead, core);
                continue;
            }
        }
        session.exchanges.insert(id, exchange);
    }
    true
}
