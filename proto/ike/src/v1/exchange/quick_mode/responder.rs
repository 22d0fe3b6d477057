//! The side that is asked: the second message, and what the third one means.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use ravelin_crypto::ikev2::Nonces;
use ravelin_types::options::Processors;
use ravelin_types::policy::Mode;
use ravelin_types::proposal::{Proposal, ProtocolId, Suite};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::{Instant, Spi};
use ravelin_wire::ike::header::{ExchangeType, Header, PayloadType};
use ravelin_wire::ike::v1::{
    AnySpi, Attribute, Doi, IPCOMP, IpsecAttribute, LifeType, Nonce, Notify, NotifyType, OfferedProposal, Opaque,
    Payload, Sa,
};

use super::super::informational;
use super::{
    Answered, Exchange, NoncePair, State, clients, keys, lifetime, original_payloads, originals, room, take_over,
};
use crate::child::answer::{Found, Wanted, candidates, find, plain_tunnel};
use crate::child::offer::{AH_THROUGH_NAT, mode_name};
use crate::child::{Agreement, ChildSa, ChildState, Terms, ipcomp};
use crate::config::ChildPolicy;
use crate::context::Core;
use crate::error::{Disagreement, Error, Place};
use crate::explain::Part;
use crate::ike_sa::Ends;
use crate::input::Datagram;
use crate::limits;
use crate::negotiate::{self, Agreed, ChildKe, Selectors};
use crate::output::DownReason;
use crate::retry::Retry;
use crate::sealed::Sealed;
use crate::v1::ipsec::{self, Offered};
use crate::v1::message::Payloads;
use crate::v1::rules;
use crate::v1::session::{Session, Stage};
use crate::view::Labels;

type Reply = (Vec<Payload>, NoncePair, ChildSa, Option<Spi>);

/// The peer asks for a Child SA.
pub(super) fn begun(
    session: &mut Session,
    ends: &mut Ends,
    header: Header,
    first: PayloadType,
    datagram: Datagram<'_>,
    core: &mut Core,
) {
    let id = header.message_id;
    let Some((payloads, iv)) = session.open_first(ends, (id, PayloadType::V1_SA), first, datagram, core) else {
        return;
    };
    if payloads.notify(NotifyType::INITIAL_CONTACT).is_some_and(|notify| notify.protocol == ProtocolId::IKE) {
        session.first_contact(ends, core);
    }
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
                sent_at: core.now,
                retry: Some(retry),
                until: core.now,
                state,
            };
            session.exchanges.insert(id, exchange);
        }
        Err(Error::PutOff) => {
            // It has not arrived.
            session.forget_id(id);
            core.put_off_message(ends.our_spi(), &header, datagram, false);
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
    // RFC 2409 §5.5: without identities the two ends themselves are meant.
    let sent = clients(payloads)?.unwrap_or_else(|| Selectors {
        initiator: [TrafficSelector::host(ends.peer.ip())].into(),
        responder: [TrafficSelector::host(ends.local.ip())].into(),
    });
    let Some(mode) = all.first().map(|offered| offered.mode) else {
        let theirs = sa.0.iter().map(|offered| alloc::format!("{} proposal", offered.protocol)).collect();
        return Err(Disagreement::new(Part::ChildProposal, theirs, vec![]).into());
    };
    let wanted = Wanted::of(mode == Mode::Transport, sent, originals(payloads, true), false, ends);
    let theirs = candidates(&session.remote, &session.identities.1, core);
    let found = find(&theirs, &wanted, &core.inside(ends, &session.remote), ends)?;
    place.policy = Some(found.policy.policy.id);
    let words = |mode| vec![mode_name(mode).to_string()];
    plain_tunnel(&found.policy)?;
    if found.mode != mode {
        return Err(Disagreement::new(Part::Mode, words(mode), words(found.mode)).into());
    }
    // RFC 2409 §5.5 has no narrowing: what is asked for is granted or not.
    let asked = wanted.in_mode(mode);
    if !asked.within(&found.selectors) {
        return Err(Disagreement::new(Part::TrafficSelectors, asked.lines(), found.selectors.lines()).into());
    }
    let (chosen, agreed) = choose(&all, &found, payloads, ends, core)?;
    let suite = ipsec::suite(chosen, agreed.suite, sa)?;
    if ends.nat.any() && suite.ah().is_some() {
        return Err(AH_THROUGH_NAT);
    }
    let proposal = sa.0.get(chosen.proposal).ok_or(Error::Violation("an SA payload without proposals"))?;
    let outbound = proposal.spi.child().filter(|spi| spi.is_usable());
    let outbound = outbound.ok_or(Error::Violation("the chosen proposal has no usable SPI"))?;
    if core.table.outbound_to(ends.peer.ip(), outbound).is_some() {
        return Err(Error::Temporary);
    }
    let exchanged = match agreed.ke {
        None => None,
        Some(method) => Some(core.respond(method, &payloads.ke()?.0)?),
    };
    let configured = lifetime(&found.policy);
    let agreed_lifetime = [configured, chosen.lifetime].into_iter().flatten().min();
    let mut terms = Terms {
        outbound,
        suite,
        ke: agreed.ke,
        additional: Vec::new(),
        mode,
        local_ts: asked.responder.clone(),
        remote_ts: asked.initiator.clone(),
        original: wanted.original.filter(|_| mode == Mode::Transport),
        mode_declined: false,
        tfc_declined: false,
        later_fragments: false,
        processors: Processors::All,
        ipcomp: None,
        aggfrag: None,
        lifetime: agreed_lifetime,
    };
    let nonces = (payloads.nonce()?.shared(), core.nonce());
    let inbound = core.child_spi(ends.our_spi());
    let keymat = keys(session, &terms, inbound, exchanged.as_ref().map(|(_, shared)| shared), &nonces, false, core);
    let keymat = keymat.inspect_err(|_| core.table.release(inbound))?;
    if let Some(compression) = chosen.compression {
        let label = ipcomp::label(inbound, core).ok_or(Error::Full);
        let label = label.inspect_err(|_| core.table.release(inbound))?;
        terms.ipcomp = Some(Labels { inbound: label, outbound: Some(compression.cpi) });
    }

    let mut reply = vec![Payload::Sa(taken(sa, chosen, inbound, terms.ipcomp))];
    reply.extend(Nonce::new(nonces.1.clone()).map(Payload::Nonce));
    reply.extend(exchanged.map(|(public, _)| Payload::Ke(Opaque(public))));
    reply.extend(payloads.ids().map(|id| Payload::Id(id.clone())));
    reply.extend(original_payloads(session, ends, mode, (ends.peer.ip(), ends.local.ip())));
    // RFC 2407 §4.6.3.1: a shorter lifetime than the one asked for is announced.
    if let Some(seconds) = agreed_lifetime.filter(|agreed| chosen.lifetime.is_none_or(|asked| *agreed < asked)) {
        reply.push(responder_lifetime(proposal.protocol, inbound, seconds));
    }
    let replaces = replaced(session.holder(core), &found.policy, &terms);
    let agreement = Agreement { policy: found.policy, inbound, terms, initiator: false, keymat, replaces };
    Ok((reply, nonces, ChildSa::install(agreement, ends, false, core), replaces))
}

/// Which of the offers the policy that was found takes, and what it comes to.
fn choose<'a>(
    all: &'a [Offered],
    found: &Found,
    payloads: &Payloads,
    ends: &Ends,
    core: &Core,
) -> Result<(&'a Offered, Agreed<Suite>), Error> {
    let ours = core.offer(&found.policy.proposals, true);
    let ah = &found.policy.ah;
    let compresses = ipcomp::wanted(&found.policy, core);
    let takes = |cpi| compresses && !core.table.cpis.is_sent_to(ends.peer.ip(), cpi);
    let fits = |offered: &&Offered| offered.mode == found.mode && ipsec::fits(offered, ah, takes, &core.crypto);
    let mut usable: Vec<&Offered> = all.iter().filter(fits).collect();
    // Who wants it takes it where it is offered at all.
    usable.sort_by_key(|offered| offered.compression.is_none());
    let suites: Vec<Proposal> = usable.iter().map(|offered| offered.suite.clone()).collect();
    let sent_group = suites.first().and_then(|suite| negotiate::first_ke(core::slice::from_ref(suite)));
    let agreed = negotiate::child(&suites, &ours, ChildKe::Fresh(sent_group), &core.crypto)?;
    let chosen = usable.get(agreed.index).ok_or(Error::Violation("an SA payload without proposals"))?;
    if agreed.ke.is_some() != payloads.ke().is_ok() {
        return Err(Error::Violation("a group without a KE payload, or a KE payload without a group"));
    }
    Ok((*chosen, agreed))
}

/// The proposals that are taken, each with its one transform. RFC 2408 §4.2: in the order in which they were offered.
fn taken(sa: &Sa, chosen: &Offered, inbound: Spi, labels: Option<Labels>) -> Sa {
    let mut places = vec![(chosen.proposal, chosen.transform)];
    places.extend(chosen.ah.map(|around| around.at));
    places.extend(chosen.compression.map(|compression| compression.at));
    places.sort_unstable();
    let taken = places.into_iter().filter_map(|(proposal, transform)| {
        let OfferedProposal { number, protocol, transforms, .. } = sa.0.get(proposal)?;
        let transforms = vec![transforms.get(transform)?.clone()];
        let spi = match labels {
            Some(labels) if *protocol == IPCOMP => ipsec::spi_of(labels.inbound),
            _ => inbound.into(),
        };
        Some(OfferedProposal { number: *number, protocol: *protocol, spi, transforms })
    });
    Sa(taken.collect())
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

type AnsweredParts = (ravelin_crypto::ikev1::Iv, Vec<u8>, (Vec<u8>, Instant), Option<Retry>, Instant, Box<Answered>);

/// Takes the third message: the initiator has the SA.
pub(super) fn confirmed(
    session: &mut Session,
    ends: &mut Ends,
    header: Header,
    first: PayloadType,
    datagram: Datagram<'_>,
    (iv, received, (sent, sent_at), retry, until, reply): AnsweredParts,
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
        return Some(Exchange { iv, received, sent, sent_at, retry, until, state: State::Answered(reply) });
    };
    session.hear(ends, datagram, core);
    let Answered { mut child, replaces, .. } = *reply;
    let inbound = child.inbound;
    child.send(core);
    take_over(session, ends, child, replaces, false, core);
    // Nothing answers the third message, so there is nothing to repeat.
    Some(Exchange {
        iv: iv_next,
        received: Vec::new(),
        sent: Vec::new(),
        sent_at: core.now,
        retry: None,
        until: core.now + limits::V1_LINGER,
        state: State::Done(inbound),
    })
}
