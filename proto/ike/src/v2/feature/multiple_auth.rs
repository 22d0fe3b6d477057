//! Several proofs of one side: the two notifies of RFC 4739.
//!
//! ```text
//!   HDR, SAi1, KEi, Ni  -->
//!                             <--  HDR, SAr1, KEr, Nr, N(MULTIPLE_AUTH_SUPPORTED)
//!   HDR, SK {IDi, [CERT], AUTH, SAi2, TSi, TSr, N(MULTIPLE_AUTH_SUPPORTED), N(ANOTHER_AUTH_FOLLOWS)}  -->
//!                             <--  HDR, SK {IDr, [CERT], AUTH, [N(ANOTHER_AUTH_FOLLOWS)]}
//!   HDR, SK {IDi, [CERT], AUTH}  -->                      by EAP: {IDi}, the conversation, and then {AUTH}
//!                             <--  HDR, SK {[IDr, [CERT], AUTH], SAr2, TSi, TSr}
//! ```
//! ANOTHER_AUTH_FOLLOWS stands beside every AUTH of a side but its last; the next IKE_AUTH message of that side has the next
//! proof. Who has nothing to prove sends an empty message. Both sides know before what they prove: who says more or less than
//! that gets no IKE SA.
//! Read RFC 4739 §2 and §5 before changing this file.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_wire::ike::v2::{Notify, NotifyType, Payload};

use crate::config::Remote;
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::v2::message::Payloads;

/// RFC 4739 §3.1, §3.2: without protocol, SPI and data.
fn notify(kind: NotifyType) -> Payload {
    Payload::Notify(Notify::new(kind, Vec::new()))
}

/// `N(MULTIPLE_AUTH_SUPPORTED)` of a responder, if one of the remotes that the peer may be has further proofs.
pub(crate) fn answer(candidates: &[Arc<Remote>]) -> Option<Payload> {
    candidates.iter().any(|remote| remote.rounds.are_due()).then(|| notify(NotifyType::MULTIPLE_AUTH_SUPPORTED))
}

/// `N(MULTIPLE_AUTH_SUPPORTED)` of an initiator.
pub(crate) fn offer(remote: &Remote) -> Option<Payload> {
    remote.rounds.are_due().then(|| notify(NotifyType::MULTIPLE_AUTH_SUPPORTED))
}

/// Whether an initiator can begin with a responder that does it, or not.
pub(crate) fn admit(remote: &Remote, able: bool) -> Result<(), Error> {
    match able || !remote.rounds.are_due() {
        true => Ok(()),
        false => Err(unlike(remote, "one proof of each side, no more (RFC 4739)")),
    }
}

/// Whether the peer does it.
pub(crate) fn supported(payloads: &Payloads) -> bool {
    payloads.notify(NotifyType::MULTIPLE_AUTH_SUPPORTED).is_some()
}

/// `N(ANOTHER_AUTH_FOLLOWS)` beside an AUTH of ours.
pub(crate) fn announce(remote: &Remote) -> Option<Payload> {
    (!remote.rounds.own.is_empty()).then(|| notify(NotifyType::ANOTHER_AUTH_FOLLOWS))
}

/// Whether the peer says that it has more to prove.
fn follows(payloads: &Payloads) -> bool {
    payloads.notify(NotifyType::ANOTHER_AUTH_FOLLOWS).is_some()
}

/// Whether an IKE_AUTH request may begin what the remote has; `by_eap`: it has no AUTH yet that would say more.
pub(crate) fn fits(remote: &Remote, payloads: &Payloads, by_eap: bool) -> bool {
    let able = supported(payloads) || !remote.rounds.are_due();
    able && (by_eap || follows(payloads) != remote.rounds.peer.is_empty())
}

/// Whether the peer that has just proven itself has more to prove where it should, and only there.
pub(crate) fn settle(remote: &Remote, payloads: &Payloads) -> Result<(), Error> {
    match (follows(payloads), remote.rounds.peer.is_empty()) {
        (true, false) | (false, true) => Ok(()),
        (false, false) => Err(unlike(remote, "nothing beside this proof")),
        (true, true) => Err(unlike(remote, "another proof after this one")),
    }
}

/// One of the two wants more proofs than the other.
pub(crate) fn unlike(remote: &Remote, theirs: &str) -> Error {
    let ours = alloc::format!("{}, and nothing after it", remote.proofs_words());
    Error::Authentication(Disagreement::new(Part::Rounds, vec![String::from(theirs)], vec![ours]))
}
