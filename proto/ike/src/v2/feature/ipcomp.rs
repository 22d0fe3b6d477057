//! IPCOMP_SUPPORTED: packets of a Child SA are compressed before they are protected (RFC 7296 §2.22, RFC 3173).
//!
//! Each side tells the label by which it receives, and DEFLATE, the one algorithm that anybody has. Who is asked takes up
//! the offer or leaves the notify out, and the Child SA is the same without.

use ravelin_types::Cpi;
use ravelin_wire::ike::v2::{Notify, NotifyType, Payload};

use crate::v2::message::Payloads;

/// IPCOMP_DEFLATE (RFC 2394).
const DEFLATE: u8 = 2;

/// `N(IPCOMP_SUPPORTED)` with the label by which we receive.
pub(crate) fn notify(cpi: Cpi) -> Payload {
    let [high, low] = cpi.0.to_be_bytes();
    Payload::Notify(Notify::new(NotifyType::IPCOMP_SUPPORTED, [high, low, DEFLATE]))
}

/// What a peer that asks for a Child SA offers to receive by. There may be other algorithms beside.
pub(crate) fn offered(payloads: &Payloads) -> Option<Cpi> {
    said(payloads).find_map(deflate)
}

/// What a peer that answers has agreed to receive by. RFC 7296 §2.22: nothing that was not proposed, and one thing only.
pub(crate) fn accepted(payloads: &Payloads) -> Option<Cpi> {
    let mut said = said(payloads);
    let one = said.next()?;
    if said.next().is_some() { None } else { deflate(one) }
}

fn said(payloads: &Payloads) -> impl Iterator<Item = &Notify> {
    payloads.notifies().filter(|notify| notify.kind == NotifyType::IPCOMP_SUPPORTED)
}

/// DEFLATE has no attributes.
fn deflate(notify: &Notify) -> Option<Cpi> {
    let [high, low, DEFLATE] = *notify.data.as_slice() else { return None };
    Some(Cpi(u16::from_be_bytes([high, low]))).filter(|cpi| cpi.is_usable())
}
