//! Informational exchanges: deletes, signs of life, errors (RFC 2409 §5.7, RFC 3706).
//!
//! Each is one message with an ID of its own. The hash is checked before anything else is looked at (history rows 15, 30,
//! 39), and what follows the delete of the ISAKMP SA is not (row 9).

use alloc::vec;
use alloc::vec::Vec;

use ravelin_types::Spi;
use ravelin_types::proposal::{ProtocolId, Suite};
use ravelin_wire::ike::header::{ExchangeType, Header, PayloadType};
use ravelin_wire::ike::v1::{AnySpi, Delete, Notify, NotifyType, Payload};

use super::quick_mode;
use crate::child::ChildState;
use crate::context::Core;
use crate::error::Error;
use crate::ike_sa::Ends;
use crate::input::Datagram;
use crate::output::DownReason;
use crate::retry::Retry;
use crate::sealed::Sealed;
use crate::v1::ipsec;
use crate::v1::message::Secured;
use crate::v1::session::{Session, about_ike};

/// We asked whether the peer is alive.
pub(crate) struct Probe {
    pub(crate) number: u32,
    pub(crate) retry: Retry,
}

/// Sends one message.
pub(crate) fn send(session: &mut Session, ends: &Ends, payloads: Vec<Payload>, core: &mut Core) {
    let id = quick_mode::message_id(session, core);
    let iv = session.secured.exchange_iv(id);
    let header = ends.header_v1(ExchangeType::INFORMATIONAL_V1, id);
    match session.secured.seal_hashed(&iv, header, &[], payloads) {
        Ok((message, _)) => core.transmit_v1((ends.local, ends.peer), message, session.abilities, 0),
        Err(unfit) => core.failed(Error::from(unfit).failure(session.place_of(ends, "Informational", None))),
    }
}

/// Says that a Child SA is gone, with each of its protocols.
pub(crate) fn send_delete(session: &mut Session, ends: &Ends, suite: &Suite, inbound: Spi, core: &mut Core) {
    let both = [suite.ah().map(|_| ProtocolId::AH), suite.esp().map(|_| ProtocolId::ESP)];
    let delete = |protocol| Payload::Delete(Delete::Child { protocol, spis: vec![inbound] });
    send(session, ends, both.into_iter().flatten().map(delete).collect(), core);
}

/// Says that the ISAKMP SA is gone.
pub(crate) fn send_delete_ike(session: &mut Session, ends: &Ends, core: &mut Core) {
    send(session, ends, vec![Payload::Delete(Delete::Ike(vec![ends.spis()]))], core);
}

/// Says that the ISAKMP SA is gone, and why, to a peer that takes it to stand while it never did here.
pub(crate) fn farewell(secured: &Secured, ends: &Ends, kind: NotifyType, core: &mut Core) {
    let mut bytes = [0; 4];
    core.rng.fill(&mut bytes);
    let id = u32::from_be_bytes(bytes).max(1);
    let payloads = vec![about_ike(ends, kind, Vec::new()), Payload::Delete(Delete::Ike(vec![ends.spis()]))];
    let header = ends.header_v1(ExchangeType::INFORMATIONAL_V1, id);
    if let Ok((message, _)) = secured.seal_hashed(&secured.exchange_iv(id), header, &[], payloads) {
        core.transmit(ends.way(), message);
    }
}

/// Asks whether the peer is alive (RFC 3706 §5.3).
pub(crate) fn probe(session: &mut Session, ends: &Ends, core: &mut Core) {
    if session.probe_number == 0 {
        // RFC 3706 §7: the first number is chosen at random; not so high that it could overflow.
        let mut bytes = [0; 4];
        core.rng.fill(&mut bytes);
        session.probe_number = u32::from_be_bytes(bytes) & 0x7fff_ffff;
    }
    session.probe_number = session.probe_number.wrapping_add(1).max(1);
    let number = session.probe_number;
    session.probe =
        Some(Probe { number, retry: Retry::new(Sealed::whole(Vec::new()), session.remote.retransmission, core.now) });
    send_probe(session, ends, number, core);
}

/// `HDR*, HASH, N(R-U-THERE)`
pub(crate) fn send_probe(session: &mut Session, ends: &Ends, number: u32, core: &mut Core) {
    let notify = about_ike(ends, NotifyType::R_U_THERE, number.to_be_bytes().to_vec());
    send(session, ends, vec![notify], core);
}

/// Takes one. `Some`: the ISAKMP SA ends.
pub(crate) fn handle(
    session: &mut Session,
    ends: &mut Ends,
    header: Header,
    first: PayloadType,
    datagram: Datagram<'_>,
    core: &mut Core,
) -> Option<DownReason> {
    let iv = session.secured.exchange_iv(header.message_id);
    let opened = session.secured.open_hashed(&iv, first, header.message_id, &[], datagram.data);
    let Some((payloads, _)) = opened else {
        core.counters.forged += 1;
        return None;
    };
    // As in `Session::open_first`: what begins another exchange is no informational message.
    if [PayloadType::V1_SA, PayloadType::V1_CFG].iter().any(|kind| payloads.count(*kind) > 0) {
        core.counters.unexpected += 1;
        return None;
    }
    // CONNECTED is the one notification that belongs to an exchange and has its ID (RFC 2408 §3.1).
    if payloads.notify(NotifyType::CONNECTED).is_some() {
        quick_mode::connected(session, ends, header.message_id, core);
    } else if !session.fresh(header.message_id) {
        core.counters.repeated += 1;
        return None;
    }
    session.hear(ends, datagram, core);
    for payload in payloads.all() {
        match payload {
            Payload::Delete(Delete::Child { protocol, spis }) => {
                spis.iter().for_each(|spi| deleted(session, ends, *protocol, *spi, core));
            }
            Payload::Delete(Delete::Ike(pairs)) if pairs.contains(&ends.spis()) => {
                return Some(DownReason::PeerDeleted);
            }
            Payload::Notify(notify) => notified(session, ends, notify, core),
            _ => {}
        }
    }
    None
}

/// The peer no longer receives on an SA. Where AH is around ESP, what is said of ESP counts: its SPI names the two.
fn deleted(session: &mut Session, ends: &Ends, protocol: ProtocolId, outbound: Spi, core: &mut Core) {
    session.with_holder(ends, core, |holder, _, core| {
        let child = holder.children.to(outbound).filter(|child| child.terms.suite.protocol() == protocol);
        let Some((inbound, state)) = child.map(|child| (child.inbound, child.state)) else { return };
        let reason = if state == ChildState::Replaced { DownReason::Replaced } else { DownReason::PeerDeleted };
        holder.children.take_down(inbound, reason, core);
    });
}

fn notified(session: &mut Session, ends: &Ends, notify: &Notify, core: &mut Core) {
    let about_us = match &notify.spi {
        AnySpi::Other(cookies) => *cookies == [ends.spi_i.0.to_be_bytes(), ends.spi_r.0.to_be_bytes()].concat(),
        _ => false,
    };
    match notify.kind {
        // RFC 3706 §5.4: the same number comes back.
        NotifyType::R_U_THERE if about_us && notify.data.len() == 4 => {
            let answer = about_ike(ends, NotifyType::R_U_THERE_ACK, notify.data.clone());
            send(session, ends, vec![answer], core);
        }
        // RFC 2407 §4.6.3: both may come in an exchange of their own after phase 1.
        NotifyType::INITIAL_CONTACT if about_us => session.first_contact(ends, core),
        NotifyType::RESPONDER_LIFETIME if about_us => {
            if let Some(lifetime) = ipsec::announced([notify].into_iter(), true) {
                session.shorten(lifetime, core);
            }
        }
        kind if kind.is_error() => quick_mode::refused(session, ends, notify, core),
        _ => {}
    }
}
