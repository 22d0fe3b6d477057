//! Which payloads where: what each message must hold, and what may stand in it only once.
//!
//! ```text
//!   main mode        1, 2    SA              3, 4   KE, NONCE          5, 6   ID, HASH or SIG (encrypted)
//!   aggressive mode  1       SA, KE, NONCE, ID      2   SA, KE, NONCE, ID, HASH or SIG     3   HASH or SIG
//!   quick mode       1, 2    HASH, SA, NONCE [, KE] [, ID, ID]         3      HASH
//! ```
//! Payloads that have no part in a message are passed over. Read RFC 2409 §5 before changing this file.

use ravelin_wire::ike::header::PayloadType;

use super::message::Payloads;
use crate::error::Error;

/// What a message must hold.
pub(crate) type Rule = &'static [PayloadType];

/// Main mode, 1 and 2.
pub(crate) const SA: Rule = &[PayloadType::V1_SA];
/// Main mode, 3 and 4.
pub(crate) const KE: Rule = &[PayloadType::V1_KE, PayloadType::V1_NONCE];
/// Main mode, 5 and 6.
pub(crate) const ID: Rule = &[PayloadType::V1_ID];
/// Aggressive mode, 1 and 2.
pub(crate) const AGGRESSIVE: Rule =
    &[PayloadType::V1_SA, PayloadType::V1_KE, PayloadType::V1_NONCE, PayloadType::V1_ID];
/// What proves who the sender is with a pre-shared key; and the last of quick mode.
pub(crate) const HASH: Rule = &[PayloadType::V1_HASH];
/// The same with a certificate.
pub(crate) const SIG: Rule = &[PayloadType::V1_SIG];
/// Quick mode, 1 and 2.
pub(crate) const QUICK: Rule = &[PayloadType::V1_HASH, PayloadType::V1_SA, PayloadType::V1_NONCE];

/// Payloads of which two in one message have no meaning.
const ONCE: &[PayloadType] =
    &[PayloadType::V1_SA, PayloadType::V1_KE, PayloadType::V1_HASH, PayloadType::V1_SIG, PayloadType::V1_NONCE];

/// Whether all that `rule` requires is there, and nothing twice that may stand only once.
///
/// # Errors
/// [`Error::Violation`] otherwise.
pub(crate) fn require(payloads: &Payloads, rule: Rule) -> Result<(), Error> {
    if ONCE.iter().any(|kind| payloads.count(*kind) > 1) {
        return Err(Error::Violation("a payload that may stand only once is repeated"));
    }
    let ids = match rule {
        QUICK => matches!(payloads.count(PayloadType::V1_ID), 0 | 2),
        _ => payloads.count(PayloadType::V1_ID) <= 1,
    };
    if !ids {
        return Err(Error::Violation("the number of identities cannot be"));
    }
    match rule.iter().all(|kind| payloads.count(*kind) > 0) {
        true => Ok(()),
        false => Err(Error::Violation("a required payload is missing")),
    }
}
