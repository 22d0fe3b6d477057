//! SET_WINDOW_SIZE: how many requests each side takes at once (RFC 7296 §2.3).
//!
//! It is said in IKE_AUTH, and by a request of its own on an IKE SA that took over from another, which begins with one.

use ravelin_wire::ike::v2::{Notify, NotifyType, Payload};

use crate::config::Remote;
use crate::limits;
use crate::v2::message::Payloads;

/// How many requests of this remote are taken at once.
pub(crate) fn wanted(remote: &Remote) -> u32 {
    remote.extensions.window.clamp(1, limits::WINDOW)
}

/// `N(SET_WINDOW_SIZE)`, where it is more than one.
pub(crate) fn notify(remote: &Remote) -> Option<Payload> {
    let size = wanted(remote);
    (size > 1).then(|| Payload::Notify(Notify::new(NotifyType::SET_WINDOW_SIZE, size.to_be_bytes())))
}

/// What the peer says; anything but a number of four octets says nothing.
pub(crate) fn told(payloads: &Payloads) -> Option<u32> {
    let data = &payloads.notify(NotifyType::SET_WINDOW_SIZE)?.data;
    Some(u32::from_be_bytes(<[u8; 4]>::try_from(data.as_slice()).ok()?))
}
