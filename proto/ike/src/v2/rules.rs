//! Which payloads where: what each message must hold, and what may stand in any message only once.
//!
//! ```text
//!   IKE_SA_INIT      request, response   SA, KE, N
//!   IKE_SESSION_RESUME  both             N                 (TICKET_OPAQUE in the request)
//!   IKE_AUTH         request             IDi, SA, TSi, TSr (AUTH unless EAP follows; IDi alone by RFC 6023)
//!                    response            IDr, AUTH         (SA, TSi, TSr when the Child SA came to be)
//!     with EAP       first response      IDr, EAP          (AUTH unless EAP proves both sides)
//!   CREATE_CHILD_SA  request, response   SA, N, TSi, TSr   (KE by agreement)
//!     for the IKE SA                     SA, N, KE
//!   IKE_FOLLOWUP_KE  request, response   KE
//!   INFORMATIONAL    any                 nothing
//! ```
//! Payloads that have no part in an exchange are passed over (RFC 7296 §2.5).

use ravelin_wire::ike::header::PayloadType;
use ravelin_wire::ike::v2::Payload;

use super::message::Payloads;
use crate::error::Error;

/// What a message must hold.
pub(crate) type Rule = &'static [PayloadType];

/// IKE_SA_INIT, both ways.
pub(crate) const SA_INIT: Rule = &[PayloadType::SA, PayloadType::KE, PayloadType::NONCE];
/// IKE_SESSION_RESUME, both ways (RFC 5723 §4.3.2).
pub(crate) const SESSION_RESUME: Rule = &[PayloadType::NONCE];
/// IKE_AUTH request.
pub(crate) const AUTH_REQUEST: Rule = &[PayloadType::IDI, PayloadType::SA, PayloadType::TSI, PayloadType::TSR];
/// IKE_AUTH request of an initiator that wants no Child SA with it.
pub(crate) const AUTH_REQUEST_CHILDLESS: Rule = &[PayloadType::IDI];
/// IKE_AUTH response.
pub(crate) const AUTH_RESPONSE: Rule = &[PayloadType::IDR, PayloadType::AUTH];
/// IKE_AUTH response that begins an EAP conversation.
pub(crate) const EAP_GREETING: Rule = &[PayloadType::IDR, PayloadType::EAP];
/// CREATE_CHILD_SA for a Child SA, both ways.
pub(crate) const CHILD: Rule = &[PayloadType::SA, PayloadType::NONCE, PayloadType::TSI, PayloadType::TSR];
/// CREATE_CHILD_SA for the IKE SA, both ways.
pub(crate) const REKEY_IKE: Rule = &[PayloadType::SA, PayloadType::NONCE, PayloadType::KE];

/// IKE_FOLLOWUP_KE, both ways.
pub(crate) const FOLLOW_UP: Rule = &[PayloadType::KE];

/// Payloads of which two in one message have no meaning.
const ONCE: &[PayloadType] = &[
    PayloadType::SA,
    PayloadType::KE,
    PayloadType::IDI,
    PayloadType::IDR,
    PayloadType::AUTH,
    PayloadType::EAP,
    PayloadType::PS,
    PayloadType::NONCE,
    PayloadType::TSI,
    PayloadType::TSR,
];

/// Takes the payloads of a message, if nothing in it forbids reading on.
///
/// # Errors
/// [`Error::CriticalPayload`] for a type that must be understood (RFC 7296 §2.5), [`Error::Violation`] for repetition.
pub(crate) fn accept(payloads: alloc::vec::Vec<Payload>) -> Result<Payloads, Error> {
    let (mut seen, mut repeated) = ([false; ONCE.len()], false);
    for payload in &payloads {
        let kind = payload.kind();
        if matches!(payload, Payload::Unknown { critical: true, .. }) {
            return Err(Error::CriticalPayload(kind));
        }
        if let Some(at) = ONCE.iter().position(|once| *once == kind) {
            repeated |= core::mem::replace(&mut seen[at], true);
        }
    }
    match repeated {
        true => Err(Error::Violation("a payload that may stand only once is repeated")),
        false => Ok(Payloads(payloads)),
    }
}

/// Whether all that `rule` requires is there.
///
/// # Errors
/// [`Error::Violation`] when something is missing.
pub(crate) fn require(payloads: &Payloads, rule: Rule) -> Result<(), Error> {
    let has = |kind: &PayloadType| payloads.0.iter().any(|payload| payload.kind() == *kind);
    if rule.iter().all(has) { Ok(()) } else { Err(Error::Violation("a required payload is missing")) }
}
