//! INFORMATIONAL: delete, liveness, and errors that have no response to travel in.
//!
//! ```text
//!   HDR, SK {D(ESP, SPI)}  -->                          the sender's inbound SPI
//!                          <--  HDR, SK {D(ESP, SPI)}   the paired one; nothing when both deletes crossed
//!   HDR, SK {D(IKE)}       -->
//!                          <--  HDR, SK {}
//!   HDR, SK {}             -->                          are you there?
//!                          <--  HDR, SK {}
//! ```
//! Read RFC 7296 §1.4, §1.4.1, §2.4 and §2.25 before changing this file.

use alloc::vec;
use alloc::vec::Vec;

use ravelin_types::Spi;
use ravelin_types::dataplane::PacketStart;
use ravelin_types::proposal::ProtocolId;
use ravelin_wire::ike::v2::{AnySpi, Delete, Notify, NotifyType, Payload};

use super::{After, Answer, Exchange, What, mobike};
use crate::child::{ChildSa, ChildState};
use crate::config::Remote;
use crate::context::Core;
use crate::error::{Error, Place, outside_selectors};
use crate::ike_sa::Ends;
use crate::input::Datagram;
use crate::output::{DownReason, Event};
use crate::v2::feature::{configuration, window_size};
use crate::v2::message::Payloads;
use crate::v2::phase::established::{Established, Stage};

/// Our request to delete a Child SA is open.
pub(crate) struct DeleteChild {
    pub(crate) inbound: Spi,
    reason: DownReason,
}

impl DeleteChild {
    pub(crate) fn request(protocol: ProtocolId, inbound: Spi, reason: DownReason) -> (Exchange, Vec<Payload>) {
        let delete = Payload::Delete(Delete::Child { protocol, spis: vec![inbound] });
        (Exchange::DeleteChild(DeleteChild { inbound, reason }), vec![delete])
    }

    /// Whatever the answer holds, the Child SA is gone.
    pub(crate) fn response(self, sa: &mut Established, core: &mut Core) -> After {
        self.abandon(sa, core);
        After::Stay
    }

    /// The task from which it came.
    pub(crate) fn again(self, sa: &Established) -> Option<What> {
        let protocol = sa.children.get(&self.inbound)?.terms.suite.protocol();
        Some(What::DeleteChild(protocol, self.inbound, self.reason))
    }

    pub(crate) fn abandon(self, sa: &mut Established, core: &mut Core) {
        sa.children.take_down(self.inbound, self.reason, core);
        core.table.release(self.inbound);
    }
}

/// Our request to delete the IKE SA is open.
pub(crate) struct Close(pub(crate) DownReason);

impl Close {
    pub(crate) fn request(reason: DownReason) -> (Exchange, Vec<Payload>) {
        (Exchange::Close(Close(reason)), vec![Payload::Delete(Delete::Ike)])
    }
}

/// An empty request.
pub(crate) fn liveness() -> (Exchange, Vec<Payload>) {
    (Exchange::Liveness, Vec::new())
}

/// A packet of the peer's was not within the selectors of this Child SA (RFC 4301 §5.2).
pub(crate) fn invalid_selectors(child: &ChildSa, packet: PacketStart) -> (Exchange, Vec<Payload>) {
    let protocol = child.terms.suite.protocol();
    let data = packet.octets().to_vec();
    let notify = Notify { data, ..Notify::about(protocol, child.inbound, NotifyType::INVALID_SELECTORS) };
    (Exchange::InvalidSelectors, vec![Payload::Notify(notify)])
}

/// How many requests we take at once.
pub(crate) fn window(remote: &Remote) -> (Exchange, Vec<Payload>) {
    (Exchange::Window, window_size::notify(remote).into_iter().collect())
}

/// The peer tells or asks.
pub(crate) fn respond(
    sa: &mut Established,
    ends: &mut Ends,
    payloads: &Payloads,
    datagram: Datagram<'_>,
    core: &mut Core,
) -> Result<Answer, Error> {
    let fatal = payloads
        .notifies()
        .find(|notify| [NotifyType::AUTHENTICATION_FAILED, NotifyType::INVALID_SYNTAX].contains(&notify.kind));
    if let Some(notify) = fatal {
        // RFC 7296 §2.21.2: these end the IKE SA without a Delete payload.
        let error = match notify.kind {
            NotifyType::AUTHENTICATION_FAILED => Error::not_believed(notify.kind, &sa.remote),
            _ => Error::Refused(notify.kind, notify.data.clone()),
        };
        core.failed(error.failure(sa.place(ends, "INFORMATIONAL")));
        return Ok((Vec::new(), After::End(DownReason::ProtocolError)));
    }
    if let Some(size) = window_size::told(payloads) {
        sa.window.peer_takes(size, window_size::wanted(&sa.remote));
    }
    sa.authenticated.told(payloads, core);
    note_outside(sa, ends, payloads, core);
    sa.note_missed(payloads, core);
    super::redirect::obey(sa, ends, payloads, core);
    let (mut gone, mut gone_ah) = (Vec::new(), Vec::new());
    for payload in &payloads.0 {
        match payload {
            Payload::Delete(Delete::Ike) => {
                // RFC 7296 §1.4.1: the answer is empty; Child SAs go with the IKE SA.
                let replaced = sa.stage == Stage::Replaced || super::rekey_ike::has_collided(sa);
                let reason = if replaced { DownReason::Replaced } else { DownReason::PeerDeleted };
                return Ok((Vec::new(), After::End(reason)));
            }
            Payload::Delete(Delete::Child { protocol: ProtocolId::ESP, spis }) => {
                gone.extend(spis.iter().filter_map(|spi| delete(ProtocolId::ESP, *spi, sa, ends, core)));
            }
            Payload::Delete(Delete::Child { protocol: ProtocolId::AH, spis }) => {
                gone_ah.extend(spis.iter().filter_map(|spi| delete(ProtocolId::AH, *spi, sa, ends, core)));
            }
            _ => {}
        }
    }
    // RFC 7296 §3.11: the SPIs of one payload belong to one protocol.
    let answer = [(ProtocolId::ESP, gone), (ProtocolId::AH, gone_ah)].into_iter().filter(|(_, spis)| !spis.is_empty());
    let answer = answer.map(|(protocol, spis)| Payload::Delete(Delete::Child { protocol, spis }));
    let answer = answer.chain(configuration::inform(payloads, ends, core));
    let answer: Vec<Payload> = answer.collect();
    let addresses = mobike::respond(sa, ends, payloads, datagram, core);
    let ticket = sa.answer_ticket(payloads, ends, core);
    let answer = answer.into_iter().chain(addresses).chain(ticket).collect();
    Ok((answer, After::Stay))
}

/// Removes the Child SA with this outbound SPI; the inbound SPI goes into the answer.
fn delete(protocol: ProtocolId, outbound: Spi, sa: &mut Established, ends: &Ends, core: &mut Core) -> Option<Spi> {
    let Some(child) = sa.children.to(outbound).filter(|child| child.terms.suite.protocol() == protocol) else {
        for open in sa.exchanges_mut() {
            if let Exchange::CreateChild(open) = open {
                open.note_deleted(outbound);
            }
        }
        return None;
    };
    let (inbound, state, declined) = (child.inbound, child.state, child.terms.mode_declined);
    if declined && state == ChildState::Installed {
        // The initiator wanted transport mode and would not have tunnel mode instead.
        let mut place = sa.place(ends, "CREATE_CHILD_SA");
        place.policy = Some(child.policy.policy.id);
        core.failed(super::create_child::mode_declined().failure(place));
    }
    let reason = match state {
        ChildState::Replaced | ChildState::Redundant => DownReason::Replaced,
        ChildState::Installed | ChildState::Rekeying | ChildState::Deleting => DownReason::PeerDeleted,
    };
    // RFC 7296 §1.4.1: when both deletes cross, neither answer lists the SA.
    let is_its = |open: &Exchange| matches!(open, Exchange::DeleteChild(open) if open.inbound == inbound);
    let crossed = sa.exchanges().any(is_its);
    sa.children.take_down(inbound, reason, core);
    (!crossed).then_some(inbound)
}

/// The peer dropped packets of ours because of the selectors of their Child SA. RFC 7296 §3.10.1 has nothing follow from that: the SA is
/// good for other packets, and who sends the wrong ones is for people to find out.
fn note_outside(sa: &Established, ends: &Ends, payloads: &Payloads, core: &mut Core) {
    for notify in payloads.notifies().filter(|notify| notify.kind == NotifyType::INVALID_SELECTORS) {
        // The SPI is that of the packet, so of an SA that we send on.
        let AnySpi::Child(spi) = notify.spi else { continue };
        let child = sa.children.to(spi).filter(|child| child.terms.suite.protocol() == notify.protocol);
        let Some(child) = child else { continue };
        let place = Place { policy: Some(child.policy.policy.id), ..sa.place(ends, "INFORMATIONAL") };
        let selectors = child.terms.selectors(true);
        core.event(Event::OutsideSelectors(outside_selectors(place, true, &notify.data, selectors)));
    }
}
