//! IKEv1 (RFC 2409): phase 1 makes an ISAKMP SA, phase 2 Child SAs under it.
//!
//! ```text
//!   Opening (exchange/main_mode, exchange/aggressive) ──► Session ──► gone
//!                                                           gate: exchange/xauth, exchange/mode_config
//!                                                           exchange/quick_mode, exchange/informational
//! ```
//! `offer` negotiates the algorithms of phase 1, `ipsec` reads and writes those of phase 2, `rules` says which payloads
//! where, `message` seals and opens, `vendor` and `nat` are what peers tell each other beyond RFC 2409, `task` is what a
//! session has to do. Policies, Child SAs and operations of the data plane are those of IKEv2. Nothing here is used unless a
//! remote asks for it (`-z 1`).

pub(crate) mod client_id;
pub(crate) mod exchange;
pub(crate) mod fragment;
mod gate;
pub(crate) mod ipsec;
pub(crate) mod message;
pub(crate) mod nat;
pub(crate) mod offer;
pub(crate) mod phase;
pub(crate) mod rules;
pub(crate) mod session;
mod task;
#[cfg(test)]
mod tests;
pub(crate) mod vendor;

use alloc::vec::Vec;

use ravelin_types::IkeSpi;
use ravelin_wire::ike::header::{ExchangeType, Header};
use ravelin_wire::ike::v1::{Content, Message, Payload};

use crate::context::Core;
use crate::ike_sa::{IkeSa, Phase};
use crate::input::Datagram;

/// Takes a datagram of version 1.
pub(crate) fn receive(datagram: Datagram<'_>, core: &mut Core) {
    if let Some(whole) = take(datagram, core) {
        // Parts of parts make nothing.
        let _ = take(Datagram { data: &whole, ..datagram }, core);
    }
}

/// The same, or a part of a message: the message when it is whole.
fn take(datagram: Datagram<'_>, core: &mut Core) -> Option<Vec<u8>> {
    let message = match Message::parse(datagram.data) {
        Ok(message) => message,
        Err(_) => {
            core.counters.malformed += 1;
            return None;
        }
    };
    let header = message.header;
    let opens = matches!(header.exchange, ExchangeType::IDENTITY_PROTECTION | ExchangeType::AGGRESSIVE);
    if header.responder_spi == IkeSpi::ZERO && opens {
        // Off unless a remote asks for it.
        match core.remotes.answers_v1() {
            true => exchange::respond(message, datagram, core),
            false => core.counters.version += 1,
        }
        return None;
    }
    let Some(sa) = find(&header, core) else {
        // Nobody knows whom this is from, so nobody hears of it (history rows 12, 13, 30).
        core.counters.unknown_spi += 1;
        return None;
    };
    if let Content::Clear(payloads) = &message.content
        && let [Payload::Fragment(fragment)] = payloads.all()
    {
        let (spi, from_peer) = (sa.ends.our_spi(), sa.ends.peer.ip() == datagram.remote.ip());
        core.table.insert(sa);
        return from_peer.then(|| core.fragments.take(spi, fragment, core.now))?;
    }
    let IkeSa { ends, phase } = sa;
    let after = match phase {
        Phase::V1(phase) => phase.handle(ends, message, datagram, core),
        phase => Some(IkeSa { ends, phase }),
    };
    if let Some(sa) = after {
        core.table.insert(sa);
    }
    None
}

/// Takes the SA of a message out: whose cookies it carries. Before the responder has chosen its own, its first answer
/// brings one that we do not know.
fn find(header: &Header, core: &mut Core) -> Option<IkeSa> {
    let spis = (header.initiator_spi, header.responder_spi);
    let ours = |sa: &IkeSa, initiator: bool| {
        let known = sa.ends.spis() == spis || sa.ends.spi_r == IkeSpi::ZERO && sa.ends.spi_i == spis.0;
        matches!(sa.phase, Phase::V1(_)) && sa.ends.initiator == initiator && known
    };
    let begun = core.table.get(spis.0).is_some_and(|sa| ours(sa, true));
    let answered = core.table.get(spis.1).is_some_and(|sa| ours(sa, false));
    match (begun, answered) {
        (true, _) => core.table.take(spis.0),
        (false, true) => core.table.take(spis.1),
        (false, false) => None,
    }
}
