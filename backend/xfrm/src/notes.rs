//! The kernel's notes that an SA is on its way: states without an SPI, one for each acquire. While there is one, no packet
//! between its ends asks again; an SA between the same ends takes it away, and nothing else before
//! `net.core.xfrm_acq_expires` does.

use std::time::Instant;

use ravelin_types::Spi;

use crate::msg::attribute::Attribute;
use crate::msg::parts::{Address, INET, INET6, Id, Mark, Selector};
use crate::msg::state::{SpiRange, StateInfo};
use crate::msg::{Body, Message, kind};
use crate::netlink::{Netlink, Refusal};
use crate::policies::COMP;
use crate::{own, states};

/// One note.
#[derive(Clone)]
pub(crate) struct Note {
    pub(crate) id: Id,
    pub(crate) src: Address,
    /// Not always the kernel's number any more: with `af_key` loaded, that numbers what others were told of before.
    pub(crate) seq: u32,
    /// Of the template that it is for. By these and the ends the kernel finds a note whose number has changed.
    pub(crate) mode: u8,
    pub(crate) reqid: u32,
    pub(crate) mark: Option<Mark>,
    /// The processor that wants an SA of its own.
    pub(crate) processor: Option<u32>,
    pub(crate) since: Instant,
}

/// The notes about our policies, as the kernel lists them, each with the packet that asked.
pub(crate) fn list(netlink: &mut Netlink) -> Result<Vec<(Note, Selector)>, Refusal> {
    netlink.dump(&Message::new(kind::GET_SA, Body::Empty), |message| {
        let Body::State(state) = &message.body else { return None };
        if state.id.spi != Spi(0) {
            return None;
        }
        own::policy(state.reqid)?;
        let StateInfo { id, src, seq, mode, reqid, selector, .. } = state.clone();
        let (mark, processor) = (states::mark_of(&message), processor(&message));
        Some((Note { id, src, seq, mode, reqid, mark, processor, since: Instant::now() }, selector))
    })
}

/// The processor that asked for an SA of its own.
pub(crate) fn processor(message: &Message) -> Option<u32> {
    message.find(|attribute| if let Attribute::Processor(number) = attribute { Some(*number) } else { None })
}

/// Takes a note back: the next packet that needs an SA asks again. It has no SPI, so it cannot be named; given one, it can.
pub(crate) fn release(netlink: &mut Netlink, note: &Note) {
    let state = StateInfo {
        id: note.id.clone(),
        src: note.src,
        seq: note.seq,
        mode: note.mode,
        reqid: note.reqid,
        family: family_of(note),
        ..StateInfo::default()
    };
    let max = if note.id.protocol == COMP { u16::MAX.into() } else { u32::MAX };
    let range = SpiRange { state, min: Spi::MIN.0, max };
    let mut ask = Message::new(kind::ALLOC_SPI, Body::SpiRange(range));
    ask.attributes.extend(note.mark.clone().map(Attribute::Mark));
    ask.attributes.extend(note.processor.map(Attribute::Processor));
    let Ok(Message { body: Body::State(named), .. }) = netlink.ask(&ask) else {
        return; // It is gone already.
    };
    if let Some(name) = states::name(&named) {
        let _ = netlink.request(&states::removal(name, note.mark.clone()).into());
    }
}

/// Takes all notes about our policies back.
///
/// # Errors
/// When the kernel's states cannot be listed.
pub(crate) fn release_all(netlink: &mut Netlink) -> Result<(), Refusal> {
    for (note, _) in list(netlink)? {
        release(netlink, &note);
    }
    Ok(())
}

/// The family of an acquire's ends. It is not told: IPv4 has nothing behind its four bytes.
fn family_of(note: &Note) -> u16 {
    let is_v4 = |address: Address| address.0[4..].iter().all(|byte| *byte == 0);
    if is_v4(note.id.dst) && is_v4(note.src) { INET } else { INET6 }
}
