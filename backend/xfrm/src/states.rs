//! SAs as the kernel has them: a state, or two where AH goes around ESP, and one more where packets are compressed before.

use std::net::IpAddr;

use ravelin_types::proposal::Suite;
use ravelin_types::sa::{Direction, SaCounters, SaParams};
use ravelin_types::transform::SnId;
use ravelin_types::{Cpi, Secret, Spi};

use crate::msg::attribute::{Attribute, Encap};
use crate::msg::bytes::Port;
use crate::msg::parts::{Mark, family};
use crate::msg::state::{StateId, StateInfo};
use crate::msg::{Body, Message, kind};
use crate::offload::of_packets;
use crate::policies::{AH, COMP, ESP};

/// `UDP_ENCAP_ESPINUDP`: as in RFC 3948.
const ESP_IN_UDP: u16 = 2;

/// What names a state: receiver, protocol, SPI.
pub(crate) type Name = (IpAddr, u8, Spi);

/// The kernel keeps the label of compressed packets as an SPI.
pub(crate) fn spi_of(cpi: Cpi) -> Spi {
    Spi(cpi.0.into())
}

/// The names of an SA's states, in the order in which they are added.
pub(crate) fn names(params: &SaParams) -> Vec<Name> {
    let dst = params.dst;
    let mut names: Vec<Name> = params.options.ipcomp.cpi().map(|cpi| (dst, COMP, spi_of(cpi))).into_iter().collect();
    match params.suite {
        Suite::Esp(_) => names.push((dst, ESP, params.spi)),
        Suite::Ah(_) => names.push((dst, AH, params.spi)),
        Suite::AhEsp { ah_spi, .. } => names.extend([(dst, ESP, params.spi), (dst, AH, ah_spi)]),
    }
    names
}

/// The name of the state that a message is about.
pub(crate) fn name(state: &StateInfo) -> Option<Name> {
    Some((state.id.dst.ip(state.family)?, state.id.protocol, state.id.spi))
}

/// The mark by which the kernel finds an SA for a policy. What arrives is found by its SPI, whatever mark it has.
pub(crate) fn mark(params: &SaParams) -> Option<Mark> {
    params.options.marks.outbound.mark().filter(|_| params.direction == Direction::Outbound).map(Mark::from)
}

/// The mark in a message.
pub(crate) fn mark_of(message: &Message) -> Option<Mark> {
    message.find(|attribute| if let Attribute::Mark(mark) = attribute { Some(mark.clone()) } else { None })
}

/// The request that removes a state, which is not found without its mark.
pub(crate) fn removal((dst, protocol, spi): Name, mark: Option<Mark>) -> Message {
    let id = StateId { dst: dst.into(), spi, family: family(dst), protocol };
    let mut message = Message::new(kind::DEL_SA, Body::StateId(id));
    message.attributes.extend(mark.map(Attribute::Mark));
    message
}

/// The same of a state as the kernel lists it, or as it was asked for.
pub(crate) fn removal_of(name: Name, state: &Message) -> Message {
    removal(name, mark_of(state))
}

/// Whether nothing differs that another program can change of a state that stays (`ip xfrm state update`).
pub(crate) fn unchanged(found: &Message, wanted: &Message) -> bool {
    let limits = |message: &Message| match &message.body {
        Body::State(state) => Some(state.limits.clone()),
        _ => None,
    };
    let encap =
        |message: &Message| message.find(|a| if let Attribute::Encap(it) = a { Some(it.clone()) } else { None });
    let number = |message: &Message| message.find(|a| if let Attribute::IfId(it) = a { Some(*it) } else { None });
    let mark = |message: &Message| {
        let value = message.find(|a| if let Attribute::SetMark(value) = a { Some(*value) } else { None });
        let mask = message.find(|a| if let Attribute::SetMarkMask(mask) = a { Some(*mask) } else { None });
        (value.unwrap_or(0), mask.unwrap_or(0))
    };
    let all = |message| (limits(message), encap(message), number(message), mark(message));
    all(found) == all(wanted)
}

/// Whether a state that was found is the one that a request would install: the same ends, mode, algorithms and keys.
pub(crate) fn same(found: &Message, wanted: &Message) -> bool {
    let (Body::State(a), Body::State(b)) = (&found.body, &wanted.body) else { return false };
    let keys = |message: &Message| -> Vec<(String, u32, Secret)> {
        let algorithms = message.attributes.iter().filter_map(|attribute| match attribute {
            Attribute::Aead(algorithm) | Attribute::AuthTruncated(algorithm) | Attribute::Crypt(algorithm) => {
                Some((algorithm.name.clone(), algorithm.icv_bits, algorithm.key.clone()))
            }
            _ => None,
        });
        let mut all: Vec<_> = algorithms.collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    };
    // Under an entry that gives packets to a device, no state that does not is used, and the reverse.
    let device = of_packets(found) == of_packets(wanted);
    let (found, wanted) = (keys(found), keys(wanted));
    (a.src, a.reqid, a.mode) == (b.src, b.reqid, b.mode)
        && device
        && found.len() == wanted.len()
        && found.iter().zip(&wanted).all(|(a, b)| (&a.0, a.1) == (&b.0, b.1) && is_key(&a.2, &b.2))
}

/// Whether the kernel lists this key. One that is locked down shows zeros in the place of any.
fn is_key(listed: &Secret, key: &Secret) -> bool {
    let (listed, key) = (listed.expose(), key.expose());
    listed.len() == key.len() && (listed.iter().all(|byte| *byte == 0) || listed == key)
}

/// Of a state that is added with the numbers it had: the next packet that it sends has a number so much higher. Numbers do not cycle.
pub(crate) fn skip(state: &mut Message, params: &SaParams, count: u64) {
    let last = if params.suite.sn() == SnId::PARTIAL_64 { u64::MAX } else { u32::MAX.into() };
    let further = |sent: u64| sent.saturating_add(count).min(last);
    for attribute in &mut state.attributes {
        match attribute {
            Attribute::ReplayEsn(window) => window.sent = further(window.sent),
            Attribute::Replay(window) => window.sent = u32::try_from(further(window.sent.into())).unwrap_or(u32::MAX),
            _ => {}
        }
    }
}

/// What the kernel counted.
pub(crate) fn counters(message: &Message) -> SaCounters {
    let Body::State(state) = &message.body else { return SaCounters::default() };
    let sequence = message.find(|attribute| match attribute {
        Attribute::ReplayEsn(window) => Some(window.sent.max(window.received)),
        Attribute::Replay(window) => Some(u64::from(window.sent.max(window.received))),
        _ => None,
    });
    SaCounters {
        packets: state.used.packets,
        bytes: state.used.bytes,
        replayed: state.drops.replayed.into(),
        too_old: state.drops.too_old.into(),
        forged: state.drops.forged.into(),
        sequence: sequence.unwrap_or(0),
        ..SaCounters::default()
    }
}

/// The request for a state of an SA as it is.
pub(crate) fn question(name: Name, params: &SaParams) -> Message {
    Message { kind: kind::GET_SA, ..removal(name, mark(params)) }
}

pub(crate) fn encap(params: &SaParams) -> Option<Encap> {
    params.encap.map(|encap| Encap {
        kind: ESP_IN_UDP,
        src_port: Port(encap.src_port),
        dst_port: Port(encap.dst_port),
        original: params.original.map(|original| original.src.into()).unwrap_or_default(),
    })
}
