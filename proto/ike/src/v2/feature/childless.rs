//! Childless initiation: IKE_AUTH without a Child SA, which comes with CREATE_CHILD_SA and a key exchange of its own, later
//! or never.
//!
//! ```text
//!   HDR, SAi1, KEi, Ni                  -->
//!                             <--  HDR, SAr1, KEr, Nr, N(CHILDLESS_IKEV2_SUPPORTED)
//!   HDR, SK {IDi, AUTH}                 -->
//!                             <--  HDR, SK {IDr, AUTH}
//! ```
//! Read RFC 6023 §3 to §5 before changing this file.

use alloc::sync::Arc;

use ravelin_types::proposal::ProtocolId;
use ravelin_wire::ike::v2::{AnySpi, Notify, NotifyType, Payload};

use crate::config::Remote;
use crate::error::Error;
use crate::extensions::Childless;
use crate::v2::message::Payloads;
use crate::v2::rules;

/// `N(CHILDLESS_IKEV2_SUPPORTED)` of a responder, if one of the remotes that the initiator may be permits it.
pub(crate) fn answer(candidates: &[Arc<Remote>]) -> Option<Payload> {
    let permitted = candidates.iter().any(|remote| remote.extensions.childless != Childless::Never);
    // RFC 6023 §4: the protocol is that of the IKE SA, though there is no SPI.
    let notify = || Notify::about(ProtocolId::IKE, AnySpi::None, NotifyType::CHILDLESS_IKEV2_SUPPORTED);
    permitted.then(|| Payload::Notify(notify()))
}

/// Whether the responder takes an IKE_AUTH request without a Child SA.
pub(crate) fn supported(payloads: &Payloads) -> bool {
    payloads.notify(NotifyType::CHILDLESS_IKEV2_SUPPORTED).is_some()
}

/// Whether an initiator leaves the Child SA out; `wanted` says whether it wants one at all.
pub(crate) fn leaves_out(remote: &Remote, supported: bool, wanted: bool) -> Result<bool, Error> {
    match (remote.extensions.childless, supported) {
        (Childless::Force | Childless::Prefer, true) => Ok(true),
        // RFC 6023 §3: not to a responder that has not said that it takes it.
        (Childless::Force, false) => Err(Error::Misuse(
            "the peer does not begin IKE SAs without a Child SA, which is forced here: use ike remote --childless prefer, or mend the peer",
        )),
        (_, _) if wanted => Ok(false),
        (Childless::Allow, true) => Ok(true),
        (Childless::Never, _) => Err(Error::Misuse(
            "an IKE SA without a Child SA needs childless initiation: initiate a policy, or use ike remote --childless allow",
        )),
        (_, false) => Err(Error::Misuse("the peer begins no IKE SA without a Child SA: initiate a policy")),
    }
}

/// Whether an IKE_AUTH request leaves the Child SA out; with half of one it breaks the protocol.
pub(crate) fn is_left_out(payloads: &Payloads) -> Result<bool, Error> {
    let childless = payloads.sa().is_err() && payloads.tsi().is_err() && payloads.tsr().is_err();
    rules::require(payloads, if childless { rules::AUTH_REQUEST_CHILDLESS } else { rules::AUTH_REQUEST })?;
    Ok(childless)
}

/// Whether the remote takes a request as it is.
pub(crate) fn admit(remote: &Remote, left_out: bool) -> Result<(), Error> {
    match (remote.extensions.childless, left_out) {
        // RFC 6023 §3: as if there were no such extension.
        (Childless::Never, true) => Err(Error::Violation("an IKE_AUTH request without a Child SA")),
        (Childless::Force, false) => Err(Error::Misuse(
            "the peer asks for a Child SA with IKE_AUTH, and only childless initiation is permitted: use ike remote --childless prefer, or mend the peer",
        )),
        _ => Ok(()),
    }
}
