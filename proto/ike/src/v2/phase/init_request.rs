//! What the first request of an initiator is made of: IKE_SA_INIT, or IKE_SESSION_RESUME where there is a ticket.
//!
//! Read RFC 7296 §1.2 and §2.6, and RFC 5723 §4.3.2 before changing this file.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use ravelin_crypto::KePrivate;
use ravelin_types::proposal::Proposal;
use ravelin_types::transform::{KeMethod, PrfId, Transform};
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{AnySpi, Chain, Ke, Nonce, Notify, NotifyType, Payload, PuzzleSolution, emit};

use crate::config::Remote;
use crate::context::Core;
use crate::error::Error;
use crate::ike_sa::Ends;
use crate::negotiate;
use crate::v2::feature::resumption::Held;
use crate::v2::feature::{
    fragmentation, full_transcript, intermediate, nat, ppk, ppk_intermediate, redirect, signature_hashes,
};
use crate::v2::message::USUAL_PAYLOADS;
use crate::v2::offer;

/// The first request: what stays the same when it is sent again, and what the responder wants back with it.
pub(super) struct InitRequest {
    pub(super) source: Source,
    pub(super) nonce: Arc<[u8]>,
    pub(super) challenge: Challenge,
}

/// What the responder wants back first.
#[derive(Default)]
pub(super) struct Challenge {
    pub(super) cookie: Option<Vec<u8>>,
    pub(super) solution: Option<PuzzleSolution>,
}

/// What the keys are to come from.
pub(super) enum Source {
    /// A key exchange.
    Exchange { offers: Arc<[Proposal]>, ke: Arc<dyn KePrivate>, method: KeMethod },
    /// An IKE SA that was lost.
    Ticket(Box<Held>),
}

impl Source {
    /// Whether we say that we do IKE_INTERMEDIATE. RFC 9370 §2.2.1: additional key exchanges take it; RFC 9867 §3.1: post-quantum
    /// pre-shared keys that are named there do; RFC 9593 §3.1: and so does what is too long for IKE_SA_INIT.
    pub(super) fn offers_intermediate(&self, remote: &Remote) -> bool {
        match self {
            Source::Exchange { offers, .. } => {
                negotiate::lists_additional(offers)
                    || ppk_intermediate::offer(remote).is_some()
                    || remote.extensions.announce
            }
            Source::Ticket(_) => false,
        }
    }

    /// A key exchange by the first method of the offer.
    pub(super) fn exchange(remote: &Remote, core: &mut Core) -> Result<Self, Error> {
        let offers = core.offer(&remote.proposals, true);
        let method = negotiate::first_ke(&offers).ok_or(Error::Misuse("the remote has no usable IKE proposal"))?;
        let ke = core.generate(method)?;
        Ok(Source::Exchange { offers, ke, method })
    }

    /// The peer is silent; a ticket is not used up by that.
    pub(super) fn unanswered(self, core: &mut Core) {
        if let Source::Ticket(held) = self {
            core.tickets.put_back(held);
        }
    }

    pub(super) fn kind(&self) -> ExchangeType {
        match self {
            Source::Exchange { .. } => ExchangeType::IKE_SA_INIT,
            Source::Ticket(_) => ExchangeType::IKE_SESSION_RESUME,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Source::Exchange { .. } => "IKE_SA_INIT",
            Source::Ticket(_) => "IKE_SESSION_RESUME",
        }
    }

    /// Whether this function is among those offered (RFC 8019 §7.1.1.2).
    pub(super) fn lists(&self, prf: PrfId) -> bool {
        let is_it = |transform: &Transform| *transform == Transform::Prf(prf);
        matches!(self, Source::Exchange { offers, .. } if offers.iter().any(|offer| offer.transforms.iter().any(is_it)))
    }

    /// What is offered, for a report.
    pub(super) fn lines(&self) -> Vec<String> {
        match self {
            Source::Exchange { offers, .. } => offers.iter().map(ToString::to_string).collect(),
            Source::Ticket(_) => Vec::new(),
        }
    }
}

impl InitRequest {
    /// `HDR(A,0), [N(COOKIE)], [PS], SAi1, KEi, Ni, N(NAT_DETECTION_SOURCE_IP), N(NAT_DETECTION_DESTINATION_IP)`, or with
    /// `Ni, N(TICKET_OPAQUE)` in the middle.
    pub(super) fn message(&self, ends: &Ends, remote: &Remote, core: &Core) -> Result<Vec<u8>, Error> {
        let InitRequest { source, nonce, challenge } = self;
        let mut payloads = Vec::with_capacity(USUAL_PAYLOADS);
        // RFC 7296 §2.6: the cookie is the first payload, all others unchanged.
        let cookie = challenge.cookie.as_deref();
        payloads.extend(cookie.map(|cookie| Payload::Notify(Notify::new(NotifyType::COOKIE, cookie))));
        payloads.extend(challenge.solution.clone().map(Payload::Ps));
        if let Source::Exchange { offers, ke, method } = source {
            payloads.push(offer::sa(offers, AnySpi::None));
            payloads.push(Payload::Ke(Ke { method: *method, data: ke.public().to_vec() }));
        }
        payloads.extend(Nonce::new(nonce.clone()).map(Payload::Nonce));
        if let Source::Ticket(held) = source {
            payloads.push(Payload::Notify(Notify::new(NotifyType::TICKET_OPAQUE, held.ticket.as_slice())));
        }
        payloads.extend(nat::notifies(&core.crypto, ends.spis(), ends.local, ends.peer, remote.encap));
        // RFC 9329 §7.5: a stream needs none.
        if ends.stream.is_none() {
            payloads.push(fragmentation::notify());
        }
        payloads.extend(redirect::announce(remote));
        if let Source::Exchange { .. } = source {
            payloads.extend(signature_hashes::notify(core::iter::once(remote)));
            payloads.extend(full_transcript::notify(core::iter::once(remote)));
            let in_intermediate = ppk_intermediate::offer(remote);
            if source.offers_intermediate(remote) {
                payloads.push(intermediate::notify());
            }
            payloads.extend(ppk::offer(remote).into_iter().chain(in_intermediate));
        }
        Ok(emit(&ends.header(source.kind(), false, 0), &Chain::new(&payloads)?))
    }
}
