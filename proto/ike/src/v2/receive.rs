//! Datagrams of IKEv2 and of what comes after it: to the IKE SA concerned, to a new one, or answered outside of any.

use alloc::boxed::Box;
use alloc::vec::Vec;

use ravelin_types::sa::{Direction, SaId};
use ravelin_types::{IkeSpi, Spi};
use ravelin_wire::ike::header::{ExchangeType, Flags, Header, Version};
use ravelin_wire::ike::v2::{Chain, Message, Notify, NotifyType, Payload, emit};

use super::feature::crash_detection;
use super::message::Payloads;
use super::phase::sa_init::InitRequested;
use super::phase::{Phase, answer_init};
use crate::context::Core;
use crate::error::{Error, Place};
use crate::ike_sa::{self, Ends, IkeSa};
use crate::input::Datagram;

/// Takes a datagram of version 2 or higher.
pub(crate) fn receive(header: Header, datagram: Datagram<'_>, core: &mut Core) {
    if header.version.major() != Version::V2.major() {
        return other_version(header, datagram, core);
    }
    let message = match Message::parse(datagram.data) {
        Ok(message) => message,
        Err(malformed) => {
            let error = Error::from(malformed);
            if !is_init(&header) {
                return unreadable(header, &error, datagram, core);
            }
            core.counters.malformed += 1;
            if core.may_react() {
                unprotected(header, error.notify(), None, datagram, core);
            }
            return;
        }
    };
    if is_init(&header) {
        answer_init::respond(message, datagram, core);
        return;
    }
    let ours = if header.flags.is_initiator() { header.responder_spi } else { header.initiator_spi };
    match core.table.take(ours) {
        Some(IkeSa { ends, phase: ike_sa::Phase::V2(phase) }) if belongs(&header, &ends) => {
            let way = ends.way();
            let sa = phase.handle(ends, message, datagram, core);
            core.put_back(way, sa);
        }
        other => {
            if let Some(sa) = other {
                core.table.insert(sa);
            }
            core.counters.unknown_spi += 1;
            unknown(header, message, datagram, core);
        }
    }
}

/// Whether it answers a first message of ours in another version. Who waits for that answer is told so (RFC 7296 §2.5).
pub(crate) fn is_answer_otherwise(header: &Header, datagram: &Datagram<'_>, core: &mut Core) -> bool {
    let version = header.version;
    // IKEv1 has no flag of responses.
    if version.major() == Version::V2.major() || version > Version::V2 && !header.flags.is_response() {
        return false;
    }
    let Some((ends, phase)) = first_of(header, datagram, core) else { return false };
    core.counters.version += 1;
    let sa = phase.other_version(ends, version, core);
    core.table.insert(sa);
    true
}

/// A message that is none. Who waits for the answer to a first message is told what there is in its place.
fn unreadable(header: Header, error: &Error, datagram: Datagram<'_>, core: &mut Core) {
    let first = if header.flags.is_response() { first_of(&header, &datagram, core) } else { None };
    let Some((ends, phase)) = first else {
        core.counters.malformed += 1;
        return;
    };
    let sa = phase.senseless(ends, error, core);
    core.table.insert(sa);
}

/// Takes out the IKE SA whose first message this may answer, to judge by its header and where it is from.
fn first_of(header: &Header, datagram: &Datagram<'_>, core: &mut Core) -> Option<(Ends, Box<InitRequested>)> {
    match core.table.take(header.initiator_spi)? {
        IkeSa { ends, phase: ike_sa::Phase::V2(Phase::InitRequested(phase)) }
            if belongs(header, &ends) && datagram.remote.ip() == ends.peer.ip() =>
        {
            Some((ends, phase))
        }
        other => {
            core.table.insert(other);
            None
        }
    }
}

/// A message for no IKE SA of ours (RFC 7296 §1.5, §2.21.4).
fn unknown(header: Header, message: Message, datagram: Datagram<'_>, core: &mut Core) {
    if message.protected.is_none() {
        invalid_spi(Payloads(message.payloads), datagram, core);
        return;
    }
    // Never in answer to a response.
    if !header.flags.is_response() && core.may_react() {
        let token = crash_detection::show(&header, datagram, core);
        unprotected(header, Notify::new(NotifyType::INVALID_IKE_SPI, Vec::new()), token, datagram, core);
    }
}

/// Somebody says that the peer does not know an SPI on which we send. It must not be answered and proves nothing,
/// but it is a reason to ask the peer whether it lives, unless the token of the peer is with it (RFC 6290 §8.2).
fn invalid_spi(payloads: Payloads, datagram: Datagram<'_>, core: &mut Core) {
    let notify = payloads.notify(NotifyType::INVALID_SPI);
    let spi = notify.and_then(|notify| <[u8; 4]>::try_from(notify.data.as_slice()).ok());
    if let Some(spi) = spi {
        let spi = Spi(u32::from_be_bytes(spi));
        let id = SaId { direction: Direction::Outbound, dst: datagram.remote.ip(), src: None, spi };
        let sa = core.table.child(id).and_then(|(owner, _)| core.table.take(owner));
        let Some(IkeSa { ends, phase }) = sa else { return };
        let way = ends.way();
        let sa = match phase {
            ike_sa::Phase::V2(Phase::Established(phase)) => phase.unprotected(ends, payloads, core),
            phase => Some(IkeSa { ends, phase }),
        };
        core.put_back(way, sa);
    }
}

/// RFC 7296 §2.5: a higher version is answered with the highest one that we speak.
fn other_version(header: Header, datagram: Datagram<'_>, core: &mut Core) {
    core.counters.version += 1;
    if !header.flags.is_response() && core.may_react() {
        unprotected(header, Notify::new(NotifyType::INVALID_MAJOR_VERSION, Vec::new()), None, datagram, core);
        let address = datagram.remote.ip();
        let place = Place { remote: core.remote_name(address), address, policy: None, exchange: "IKE_SA_INIT" };
        core.failed(Error::Violation("a message of a later version than IKEv2").failure(place));
    }
}

/// An answer outside any IKE SA (RFC 7296 §1.5), never longer than what it answers but for a token.
fn unprotected(header: Header, notify: Notify, token: Option<Notify>, datagram: Datagram<'_>, core: &mut Core) {
    let role = if header.flags.is_initiator() { Flags::NONE } else { Flags::INITIATOR };
    let answer = Header { version: Version::V2, flags: role.with(Flags::RESPONSE), ..header };
    let has_token = token.is_some();
    let payloads: Vec<Payload> = [notify].into_iter().chain(token).map(Payload::Notify).collect();
    if let Ok(chain) = Chain::new(&payloads) {
        let message = emit(&answer, &chain);
        if message.len() <= datagram.data.len() || has_token {
            core.transmit(datagram.way(), message);
        }
    }
}

/// The first message of an initiator.
fn is_init(header: &Header) -> bool {
    [ExchangeType::IKE_SA_INIT, ExchangeType::IKE_SESSION_RESUME].contains(&header.exchange)
        && header.responder_spi == IkeSpi::ZERO
        && header.flags.is_initiator()
        && !header.flags.is_response()
}

/// Whether a message that carries our SPI carries the peer's too and comes from the other side.
fn belongs(header: &Header, ends: &Ends) -> bool {
    let spis = (header.initiator_spi, header.responder_spi);
    let first = ends.spi_r == IkeSpi::ZERO && header.initiator_spi == ends.spi_i;
    header.flags.is_initiator() != ends.initiator && (spis == ends.spis() || first)
}
