//! The side that asks: the first message and the third.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use core::slice;

use ravelin_crypto::ikev2::Nonces;
use ravelin_types::Instant;
use ravelin_types::options::Processors;
use ravelin_types::policy::Mode;
use ravelin_types::proposal::Proposal;
use ravelin_types::sa::OriginalAddresses;
use ravelin_wire::ike::header::{ExchangeType, Flags, Header, PayloadType};
use ravelin_wire::ike::v1::{Nonce, Opaque, Payload};

use super::{
    Asked, Exchange, NoncePair, State, Told, clients, ids, keys, lifetime, message_id, original_payloads, originals,
    settle, take_over, udp,
};
use crate::child::answer::plain_tunnel;
use crate::child::offer::{ChildOffer, mode_name};
use crate::child::{Agreement, ChildSa, Proof, Terms};
use crate::context::Core;
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::ike_sa::Ends;
use crate::input::Datagram;
use crate::limits;
use crate::nat;
use crate::negotiate::{self, ChildKe, Selectors};
use crate::retry::Retry;
use crate::sealed::Sealed;
use crate::v1::ipsec::{self, Common, Offered};
use crate::v1::message::Payloads;
use crate::v1::rules;
use crate::v1::session::Session;
use crate::view::Labels;
use crate::want::Want;

/// Sends the first message; the offer is given up when that fails.
pub(super) fn ask(
    session: &mut Session,
    ends: &Ends,
    offer: ChildOffer,
    want: Option<Want>,
    core: &mut Core,
) -> Result<(), Error> {
    let inbound = offer.inbound;
    let none = offer.proposals().iter().all(|proposal| negotiate::lists_additional(core::slice::from_ref(proposal)));
    let may = match none {
        true => Err(Error::Misuse(
            "IKEv1 has no additional key exchanges, and all proposals of the policy have some: leave them out of its groups, or use IKEv2",
        )),
        false => offer.policy.check_peer(&session.identities.1),
    };
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
    plain_tunnel(&offer.policy)?;
    let group = offer.sent_ke();
    let nonce = core.nonce();
    let common = Common { mode: offer.mode(), udp: udp(session, ends), lifetime: lifetime(&offer.policy), group };
    let beside = (offer.policy.ah.as_slice(), offer.cpi);
    // RFC 2409 §5.5: there is one KE payload, and its group in every transform. What is only for others is not offered.
    let goes = |proposal: &&Proposal| group.is_none_or(|group| negotiate::lists_ke(slice::from_ref(*proposal), group));
    let proposals: Vec<Proposal> = offer.proposals().iter().filter(goes).cloned().collect();
    let sa = ipsec::sa(&proposals, beside, offer.inbound, common, &core.crypto);
    if sa.0.iter().any(|proposal| proposal.transforms.is_empty()) {
        return Err(Error::Misuse(
            "nothing of the policy's proposal has a number in IKEv1: name other algorithms, or use IKEv2",
        ));
    }
    let mut payloads = vec![Payload::Sa(sa)];
    payloads.extend(Nonce::new(nonce.clone()).map(Payload::Nonce));
    payloads.extend(offer.ke.as_ref().map(|(_, private)| Payload::Ke(Opaque(private.public().to_vec()))));
    payloads.extend(ids(offer.selectors())?);
    payloads.extend(original_payloads(session, ends, offer.mode(), (ends.local.ip(), ends.peer.ip())));

    let id = message_id(session, core);
    let iv = session.secured.exchange_iv(id);
    let header = ends.header_v1(ExchangeType::QUICK_MODE, id);
    let (message, iv) = session.secured.seal_hashed(&iv, header, &[], payloads)?;
    let retry = Retry::new(Sealed::whole(message.clone()), session.remote.retransmission, core.now);
    core.transmit_v1((ends.local, ends.peer), message.clone(), session.abilities, 0);
    let state = State::Asked(Box::new(Asked { offer, want, nonce, refused: None }));
    let (received, sent_at, until) = (Vec::new(), core.now, core.now);
    let exchange = Exchange { iv, received, sent: message, sent_at, retry: Some(retry), until, state };
    session.exchanges.insert(id, exchange);
    Ok(())
}

type AskedParts = (ravelin_crypto::ikev1::Iv, (Vec<u8>, Instant), Option<Retry>, Box<Asked>);

/// Takes the second message and sends the third.
pub(super) fn answered(
    session: &mut Session,
    ends: &mut Ends,
    header: Header,
    first: PayloadType,
    datagram: Datagram<'_>,
    (iv, (sent, sent_at), retry, asked): AskedParts,
    core: &mut Core,
) -> Option<Exchange> {
    let id = header.message_id;
    let opened = session.secured.open_hashed(&iv, first, id, &[&asked.nonce], datagram.data);
    let Some((payloads, next)) = opened else {
        core.counters.forged += 1;
        let (received, until, state) = (Vec::new(), core.now, State::Asked(asked));
        return Some(Exchange { iv, received, sent, sent_at, retry, until, state });
    };
    session.hear(ends, datagram, core);
    let accepted = accept(session, ends, &asked, &payloads, core);
    let (agreement, nonces) = match accepted {
        Ok(accepted) => accepted,
        Err(Error::PutOff) => {
            core.put_off_message(ends.our_spi(), &header, datagram, false);
            let (received, until, state) = (Vec::new(), core.now, State::Asked(asked));
            return Some(Exchange { iv, received, sent, sent_at, retry, until, state });
        }
        Err(error) => {
            failed(session, ends, &asked, &error, core);
            return None;
        }
    };
    let hash = session.secured.keys.hash_3(id, Nonces { initiator: &nonces.0, responder: &nonces.1 });
    let header_3 = ends.header_v1(ExchangeType::QUICK_MODE, id);
    let sealed = session.secured.seal(&next, header_3, &[Payload::Hash(Opaque(hash))]);
    let Ok((message, iv)) = sealed else {
        failed(
            session,
            ends,
            &asked,
            &Error::Misuse("the configuration does not fit into a message: name fewer algorithms and selectors"),
            core,
        );
        return None;
    };
    let (inbound, replaces) = (agreement.inbound, agreement.replaces);
    // RFC 2408 §3.1: with the commit bit the peer says when it is ready. Else nothing does, but while there is an SA to
    // send on, there is time.
    let old = replaces.and_then(|old| session.holder(core).children.get(&old));
    let again = old.is_some_and(|old| old.proof == Proof::Missing);
    let carried = old.is_some_and(|old| old.sends()) && !again;
    let ready = !header.flags.contains(Flags::V1_COMMIT) && !carried;
    let child = ChildSa::install(agreement, ends, ready, core);
    core.transmit_v1((ends.local, ends.peer), message.clone(), session.abilities, 0);
    take_over(session, ends, child, replaces, true, core);
    Some(Exchange {
        iv,
        received: datagram.data.to_vec(),
        sent: message,
        sent_at: core.now,
        retry: None,
        until: core.now + limits::V1_LINGER,
        state: State::Told(Told { inbound, again }),
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
    let mut sa = payloads.sa()?.clone();
    if let (Some(_), Some(first)) = (offer.cpi, sa.0.first().map(|first| first.number)) {
        // RFC 2408 §4.2 has one number in an answer; strongSwan says all but the compression once more, as it does in an offer.
        sa.0.retain(|proposal| proposal.number == first);
    }
    let sa = &sa;
    let least = 1 + usize::from(!offer.policy.ah.is_empty());
    if !(least..=least + usize::from(offer.cpi.is_some())).contains(&sa.0.len()) {
        return Err(Error::Violation("an answer with another number of proposals than was offered"));
    }
    if sa.0.iter().any(|proposal| proposal.transforms.len() != 1) {
        return Err(Error::Violation("an answer with more than one transform"));
    }
    let not_offered = Error::Violation("the chosen proposal was not offered");
    let all = ipsec::offered(sa, ends.nat.any(), &core.crypto);
    let fits = |chosen: &&Offered| ipsec::fits(chosen, &offer.policy.ah, |_| offer.cpi.is_some(), &core.crypto);
    let chosen = all.first().filter(fits);
    let chosen = chosen.ok_or(not_offered.clone())?;
    let outbound = sa.0.get(chosen.proposal).and_then(|proposal| proposal.spi.child()).filter(|spi| spi.is_usable());
    let outbound = outbound.ok_or(Error::Violation("the chosen proposal has no usable SPI"))?;
    if core.table.outbound_to(ends.peer.ip(), outbound).is_some() {
        return Err(Error::Violation("the SPI of another Child SA"));
    }
    if chosen.mode != offer.mode() {
        let words = |mode| vec![mode_name(mode).to_string()];
        return Err(Disagreement::new(Part::Mode, words(chosen.mode), words(offer.mode())).into());
    }
    let suites = core::slice::from_ref(&chosen.suite);
    let agreed = negotiate::child(suites, offer.proposals(), ChildKe::Fresh(offer.sent_ke()), &core.crypto);
    let agreed = agreed.map_err(|_| not_offered)?;
    let shared = match (&offer.ke, agreed.ke) {
        (None, None) => None,
        (Some((method, private)), Some(chosen)) if *method == chosen => {
            Some(core.agree(chosen, private, &payloads.ke()?.0)?)
        }
        _ => return Err(Error::Violation("a key exchange method without our value of it")),
    };
    let (kept, original) = traffic(offer, payloads, ends)?;
    let told = chosen.compression.map(|compression| compression.cpi);
    let ipcomp = offer.cpi.zip(told).map(|(inbound, told)| Labels {
        inbound,
        outbound: Some(told).filter(|cpi| !core.table.cpis.is_sent_to(ends.peer.ip(), *cpi)),
    });
    let announced = ipsec::announced(payloads.notifies(), false);
    let terms = Terms {
        outbound,
        suite: ipsec::suite(chosen, agreed.suite, sa)?,
        ke: agreed.ke,
        additional: Vec::new(),
        mode: chosen.mode,
        local_ts: kept.initiator,
        remote_ts: kept.responder,
        original,
        mode_declined: false,
        tfc_declined: false,
        later_fragments: false,
        processors: Processors::All,
        ipcomp,
        aggfrag: None,
        lifetime: [lifetime(&offer.policy), chosen.lifetime, announced].into_iter().flatten().min(),
    };
    let nonces = (asked.nonce.clone(), payloads.nonce()?.shared());
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

/// What the SA carries, which is what was asked for, by the addresses that packets have here, and those before any NAT.
fn traffic(
    offer: &ChildOffer,
    payloads: &Payloads,
    ends: &Ends,
) -> Result<(Selectors, Option<OriginalAddresses>), Error> {
    let ours = Selectors {
        initiator: offer.selectors().initiator.iter().take(1).copied().collect(),
        responder: offer.selectors().responder.iter().take(1).copied().collect(),
    };
    let answer = clients(payloads)?.unwrap_or_else(|| ours.clone());
    let mut kept = answer.clone();
    let mut original = None;
    if offer.mode() == Mode::Transport && ends.nat.any() {
        original = originals(payloads, false).or_else(|| nat::original(&answer.responder, &answer.initiator));
        nat::see(ends, &mut kept.initiator, &mut kept.responder);
    }
    if !kept.within(&ours) {
        return Err(Disagreement::new(Part::TrafficSelectors, answer.lines(), ours.lines()).into());
    }
    Ok((kept, original))
}

/// Gives up what we asked for.
pub(super) fn failed(session: &mut Session, ends: &Ends, asked: &Asked, error: &Error, core: &mut Core) {
    core.table.release(asked.offer.inbound);
    let place = session.place_of(ends, "Quick Mode", Some(asked.offer.policy.policy.id));
    core.failed(error.failure_with_offer(place, |part| asked.offer.lines(part)));
    settle(session, ends, asked.offer.replaces, core);
}
