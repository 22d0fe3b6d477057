//! Mode config: addresses inside, asked for by who began phase 1 (pull) or given without a word (push).
//!
//! The attributes mean what those of IKEv2 mean; `address/` deals with them. Read draft-dukes-ike-mode-cfg-02 §3.3 and §3.4
//! before changing this file.

use alloc::vec;
use alloc::vec::Vec;

use ravelin_wire::ike::v1::{Attribute, Cfg, CfgType};
use ravelin_wire::ike::v2::{CfgAttribute, CfgAttributeType};

use super::transaction::{self, Asked};
use crate::address::{Grant, Wishes};
use crate::context::Core;
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::ike_sa::Ends;
use crate::live::Live;
use crate::output::DownReason;
use crate::v1::session::Session;

/// The last attribute of the draft; what came after is of IKEv2 alone.
const LAST: CfgAttributeType = CfgAttributeType::INTERNAL_IP6_SUBNET;

/// Octets of INTERNAL_IP6_ADDRESS; in IKEv2 one more, the length of a prefix, is behind them.
const IP6_LEN: usize = 16;
const WHOLE: u8 = 128;

fn sent(attributes: Vec<CfgAttribute>) -> Vec<Attribute> {
    let known = attributes.into_iter().filter(|attribute| attribute.kind.0 <= LAST.0);
    let attribute = |CfgAttribute { kind, mut value }| {
        if kind == CfgAttributeType::INTERNAL_IP6_ADDRESS {
            value.truncate(IP6_LEN);
        }
        Attribute::bytes(kind.0, value)
    };
    known.map(attribute).collect()
}

/// Of those who send the length of a prefix in this version, too, it is taken.
fn received(cfg: &Cfg) -> Vec<CfgAttribute> {
    let attribute = |a: &Attribute| {
        let (kind, mut value) = (CfgAttributeType(a.kind), a.as_bytes().to_vec());
        if kind == CfgAttributeType::INTERNAL_IP6_ADDRESS && value.len() == IP6_LEN {
            value.push(WHOLE);
        }
        CfgAttribute { kind, value }
    };
    cfg.attributes.iter().map(attribute).collect()
}

/// Asks for addresses (pull).
pub(crate) fn request(session: &mut Session, ends: &Ends, core: &mut Core) {
    let attributes = sent(Wishes::of(&session.remote.internal.ask, None, false));
    transaction::ask(session, ends, Asked::Addresses, CfgType::REQUEST, attributes, core);
}

/// The answer to it.
pub(crate) fn granted(session: &mut Session, ends: &Ends, cfg: &Cfg, core: &mut Core) {
    let grant = Grant::parse(&received(cfg), &session.remote.internal.ask, None);
    if grant.addresses.is_empty() {
        let ours = vec!["an internal address".into()];
        let error = Error::NoAddress(Disagreement::new(Part::InternalAddress, vec![], ours));
        core.failed(error.failure(session.place_of(ends, "Mode Config", None)));
        session.close(DownReason::ProtocolError);
        return;
    }
    core.borrow(ends, &session.remote, grant);
    session.open_gate();
}

/// What we give to a peer that asks.
pub(crate) fn answer(session: &mut Session, ends: &Ends, cfg: &Cfg, core: &mut Core) -> Vec<Attribute> {
    if !session.is_admitted() {
        return Vec::new();
    }
    session.has_asked();
    lend(session, ends, &received(cfg), core)
}

fn lend(session: &Session, ends: &Ends, wished: &[CfgAttribute], core: &mut Core) -> Vec<Attribute> {
    let mut wishes = Wishes::parse(wished);
    // Whoever asks again has what he has.
    if !core.addresses.of(ends.our_spi()).1.is_empty() {
        wishes.addresses.clear();
    }
    sent(core.lend(ends, &session.remote, (&session.identities.1, &[]), &wishes).emit())
}

/// Gives the peer addresses that it did not ask for (push), of each family that the pools have.
pub(crate) fn give(session: &mut Session, ends: &Ends, core: &mut Core) {
    let any = |v4| CfgAttribute { kind: CfgAttributeType::address(v4), value: Vec::new() };
    let attributes = lend(session, ends, &[any(true), any(false)], core);
    transaction::ask(session, ends, Asked::Given, CfgType::SET, attributes, core);
}

/// Takes what the peer gives without having been asked: what it is acknowledged with.
pub(crate) fn take(session: &mut Session, ends: &Ends, cfg: &Cfg, core: &mut Core) -> Vec<Attribute> {
    let grant = Grant::parse(&received(cfg), &session.remote.internal.ask, None);
    if !session.is_admitted() || grant.addresses.is_empty() {
        return Vec::new();
    }
    core.borrow(ends, &session.remote, grant);
    session.open_gate();
    cfg.attributes.iter().map(|attribute| Attribute::bytes(attribute.kind, Vec::new())).collect()
}
