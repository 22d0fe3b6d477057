//! IKE_SESSION_RESUME as responder, and what is different in the IKE_AUTH after it.
//!
//! ```text
//!   HDR(A,0), [N(COOKIE)], Ni, N(TICKET_OPAQUE), N(NAT_DETECTION_*)  -->
//!                             <--  HDR(A,B), Nr, N(NAT_DETECTION_*)
//!   HDR, SK {IDi, AUTH, SAi2, TSi, TSr}  -->
//! ```
//! All that comes before it is that of IKE_SA_INIT: bounds, cookies, repetition (`answer_init.rs`).
//! Read RFC 5723 §4.3.2, §4.3.3 and §5 before changing this file.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::ikev2::{IkeAlgs, Nonces, Skeyseed};
use ravelin_types::{IkeSpi, Way};
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{Chain, Id, Nonce, NotifyType, Payload, emit};

use super::answer_auth::Request;
use super::answer_init::{Built, InitAnswered, ends};
use super::init_exchange::InitExchange;
use crate::auth::Now;
use crate::context::Core;
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::input::Datagram;
use crate::v2::feature::resumption::{self, Session};
use crate::v2::feature::{childless, fragmentation, nat, redirect};
use crate::v2::message::{Payloads, Protection};

/// `HDR(A,B), Nr` and the keys, or TICKET_NACK.
pub(super) fn build(
    spi_i: IkeSpi,
    payloads: &Payloads,
    datagram: Datagram<'_>,
    core: &mut Core,
) -> Result<Built, Error> {
    let ticket = payloads.notify(NotifyType::TICKET_OPAQUE).ok_or(Error::Violation("no TICKET_OPAQUE"))?;
    let opened = resumption::open(&ticket.data, datagram.local.ip(), datagram.remote.ip(), core);
    let (session, remote) = opened.ok_or(Error::Ticket)?;
    let algs = IkeAlgs::find(&core.crypto, &session.keying.suite).ok_or(Error::Ticket)?;
    let (nonce_i, nonce_r) = (payloads.nonce()?.shared(), core.nonce());
    let (ends, traverses) = ends(spi_i, payloads, remote.encap, datagram, core);
    let nonces = Nonces { initiator: &nonce_i, responder: &nonce_r };
    let seed = Skeyseed::resumed(algs.prf, &session.keying.sk_d, nonces);
    let (keys, messages) = seed.derive(&algs, nonces, ends.spi_i, ends.spi_r);
    let mut protection = Protection::new(messages, &algs, false).map_err(|_| Error::Ticket)?;
    protection.fragments = fragmentation::Fragments::agreed(payloads, &ends);

    let mut answer: Vec<Payload> = Nonce::new(nonce_r.clone()).map(Payload::Nonce).into_iter().collect();
    if traverses {
        answer.extend(nat::notifies(&core.crypto, ends.spis(), ends.local, ends.peer, remote.encap));
    }
    if protection.fragments.any() {
        answer.push(fragmentation::notify());
    }
    let candidates = vec![remote];
    answer.extend(childless::answer(&candidates));
    let response = emit(&ends.header(ExchangeType::IKE_SESSION_RESUME, true, 0), &Chain::new(&answer)?);
    let suite = session.keying.suite;
    let messages = (datagram.data.to_vec(), response);
    let init = InitExchange {
        full_transcript: session.keying.full_transcript,
        redirects: redirect::announced(payloads),
        nat_traversal: traverses,
        resumed: Some(Box::new(session)),
        ..InitExchange::new(suite, (algs, keys, protection), (nonce_i, nonce_r), messages)
    };
    Ok(Built { ends, init: Box::new(init), candidates })
}

impl InitAnswered {
    /// Whether the peer is the one of the session. Certificates have no part in it.
    pub(super) fn authenticate_resumed(
        &self,
        session: &Session,
        payloads: Payloads,
        at: Way,
        core: &Core,
    ) -> Result<(Request, Option<Now<()>>), Error> {
        let left_out = childless::is_left_out(&payloads)?;
        let id = payloads.idi()?;
        // RFC 5723 §4.3.3: both as they were.
        let ours = &session.identities.0;
        let asked = payloads.idr().map_or(ours, |id| &id.identity);
        for (theirs, kept) in [(&id.identity, &session.claimed), (asked, ours)] {
            if !theirs.is(kept) {
                let refusal = Disagreement::new(Part::Identity, vec![theirs.to_string()], vec![kept.to_string()]);
                return Err(Error::Authentication(refusal));
            }
        }
        // What is configured may have changed since the first message.
        let admitted =
            self.candidates.first().and_then(|remote| resumption::admit(session, remote, at.local.ip(), core));
        let Some(remote) = admitted else {
            let ours = vec!["what is configured now".into()];
            return Err(Error::Authentication(Disagreement::new(Part::Configuration, vec!["a ticket".into()], ours)));
        };
        childless::admit(&remote, left_out)?;
        let judged = self.init.initiator(id).judge_resumed(self.init.algs.prf, payloads.auth()?);
        judged.map_err(|_| {
            let theirs = vec!["AUTH that is not of the keys of the ticket".into()];
            Error::Authentication(Disagreement::new(Part::Protocol, theirs, vec![]))
        })?;
        let (claimed, id) = (id.clone(), Id::new(ours.clone()));
        let (others, refusals) = (Vec::new(), Vec::new());
        let request = Request { payloads, remote, others, refusals, id, claimed, at, admission: None };
        Ok((request, Some(Now::Known(()))))
    }
}
