//! Transaction exchanges: a request and its reply, or a setting and its acknowledgement, with IDs of their own. XAuth and mode
//! config are made of them.
//!
//! ```text
//!   HDR*, HASH, ATTR(REQUEST or SET)  -->        <--  HDR*, HASH, ATTR(REPLY or ACK)
//! ```
//! Read draft-dukes-ike-mode-cfg-02 §3 before changing this file.

use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::ikev1::Iv;
use ravelin_types::Instant;
use ravelin_wire::ike::header::{ExchangeType, Header, PayloadType};
use ravelin_wire::ike::v1::{Attribute, Cfg, CfgType, Payload};

use super::{mode_config, quick_mode, xauth};
use crate::context::Core;
use crate::error::Error;
use crate::ike_sa::Ends;
use crate::input::Datagram;
use crate::limits;
use crate::retry::{Due, Retry};
use crate::sealed::Sealed;
use crate::v1::session::Session;

/// One transaction.
pub(crate) struct Transaction {
    iv: Iv,
    /// The message of the peer that was handled last.
    received: Vec<u8>,
    /// Our last message.
    sent: Vec<u8>,
    /// What we asked, while there is no answer.
    open: Option<(Asked, Retry)>,
    until: Instant,
}

/// What we ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Name and password of the peer.
    Login,
    /// Nothing: we say whether they are right.
    Verdict(bool),
    /// Addresses inside.
    Addresses,
    /// Nothing: the peer gets addresses inside.
    Given,
}

impl Transaction {
    pub(crate) fn deadline(&self) -> Instant {
        self.open.as_ref().map_or(self.until, |(_, retry)| retry.at())
    }
}

/// Sends a request or a setting.
pub(crate) fn ask(
    session: &mut Session,
    ends: &Ends,
    asked: Asked,
    kind: CfgType,
    attributes: Vec<Attribute>,
    core: &mut Core,
) {
    let id = quick_mode::message_id(session, core);
    let identifier = u16::try_from(id >> 16).unwrap_or(0);
    let payloads = vec![Payload::Cfg(Cfg { kind, identifier, attributes })];
    let header = ends.header_v1(ExchangeType::TRANSACTION, id);
    match session.secured.seal_hashed(&session.secured.exchange_iv(id), header, &[], payloads) {
        Ok((message, iv)) => {
            let retry = Retry::new(Sealed::whole(message.clone()), session.remote.retransmission, core.now);
            core.transmit_v1((ends.local, ends.peer), message.clone(), session.abilities, 0);
            let open = Some((asked, retry));
            let transaction = Transaction { iv, received: Vec::new(), sent: message, open, until: core.now };
            session.transactions.insert(id, transaction);
        }
        Err(unfit) => core.failed(Error::from(unfit).failure(session.place_of(ends, "Transaction", None))),
    }
}

/// Takes a message of a transaction.
pub(crate) fn handle(
    session: &mut Session,
    ends: &mut Ends,
    header: Header,
    first: PayloadType,
    datagram: Datagram<'_>,
    core: &mut Core,
) {
    let id = header.message_id;
    let Some(mut transaction) = session.transactions.remove(&id) else {
        return begun(session, ends, id, first, datagram, core);
    };
    if transaction.received == datagram.data {
        core.counters.repeated += 1;
        let path = (datagram.local, datagram.remote);
        core.transmit_v1(path, transaction.sent.clone(), session.abilities, limits::V1_REPEAT);
        session.transactions.insert(id, transaction);
        return;
    }
    let opened = session.secured.open_hashed(&transaction.iv, first, id, &[], datagram.data);
    let Some(((payloads, _), (asked, _))) = opened.zip(transaction.open.as_ref()) else {
        core.counters.forged += 1;
        session.transactions.insert(id, transaction);
        return;
    };
    let asked = *asked;
    session.hear(ends, datagram, core);
    transaction.open = None;
    transaction.until = core.now + limits::V1_LINGER;
    transaction.sent.clear();
    session.transactions.insert(id, transaction);
    let expected = if matches!(asked, Asked::Login | Asked::Addresses) { CfgType::REPLY } else { CfgType::ACK };
    let Ok(cfg) = payloads.cfg().cloned() else { return };
    if cfg.kind != expected {
        core.counters.unexpected += 1;
        return;
    }
    match asked {
        Asked::Login => xauth::judge(session, ends, &cfg, core),
        Asked::Verdict(right) => xauth::judged(session, ends, right, core),
        Asked::Addresses => mode_config::granted(session, ends, &cfg, core),
        Asked::Given => session.open_gate(),
    }
}

/// The peer asks or sets.
fn begun(session: &mut Session, ends: &mut Ends, id: u32, first: PayloadType, datagram: Datagram<'_>, core: &mut Core) {
    let Some((payloads, iv)) = session.open_first(ends, (id, PayloadType::V1_CFG), first, datagram, core) else {
        return;
    };
    let Ok(cfg) = payloads.cfg().cloned() else {
        core.counters.unexpected += 1;
        return;
    };
    let login = xauth::concerns(&cfg);
    let (kind, attributes) = match cfg.kind {
        CfgType::REQUEST if login => (CfgType::REPLY, xauth::answer(session, ends, &cfg, core)),
        CfgType::SET if login => (CfgType::ACK, xauth::acknowledge(&cfg)),
        CfgType::REQUEST => (CfgType::REPLY, mode_config::answer(session, ends, &cfg, core)),
        CfgType::SET => (CfgType::ACK, mode_config::take(session, ends, &cfg, core)),
        _ => {
            core.counters.unexpected += 1;
            return;
        }
    };
    let payloads = vec![Payload::Cfg(Cfg { kind, identifier: cfg.identifier, attributes })];
    let header = ends.header_v1(ExchangeType::TRANSACTION, id);
    if let Ok((message, iv)) = session.secured.seal_hashed(&iv, header, &[], payloads) {
        core.transmit_v1((datagram.local, datagram.remote), message.clone(), session.abilities, 0);
        let (received, until) = (datagram.data.to_vec(), core.now + limits::V1_LINGER);
        make_room(session);
        session.transactions.insert(id, Transaction { iv, received, sent: message, open: None, until });
    }
    if login && cfg.kind == CfgType::SET {
        xauth::told(session, ends, &cfg, core);
    }
}

/// Forgets the transaction that is over for longest when there are too many.
fn make_room(session: &mut Session) {
    if session.transactions.len() >= limits::V1_TRANSACTIONS {
        let over = session.transactions.iter().filter(|(_, transaction)| transaction.open.is_none());
        let oldest = over.min_by_key(|(_, transaction)| transaction.until).map(|(id, _)| *id);
        oldest.and_then(|id| session.transactions.remove(&id));
    }
}

/// Repeats what is due. False: the peer does not answer.
pub(crate) fn timer(session: &mut Session, ends: &Ends, core: &mut Core) -> bool {
    session.transactions.retain(|_, transaction| transaction.open.is_some() || transaction.until > core.now);
    let mut again = Vec::new();
    for transaction in session.transactions.values_mut() {
        let Some((_, retry)) = &mut transaction.open else { continue };
        match retry.due(core.now) {
            Due::Later => {}
            Due::Again(message, sent) => again.push((message.first().to_vec(), sent)),
            Due::GiveUp => return false,
        }
    }
    again.into_iter().for_each(|(message, sent)| session.send_again(ends, message, sent, core));
    true
}
