//! Key schedule and encryption of IKEv1 (RFC 2409 §5, appendix B).
//!
//! ```text
//!  pre-shared key, Ni, Nr ─► Skeyid::pre_shared ─┐
//!                                                ├─► Skeyid::derive ─► Keys ─┬─► phase 1: HASH_I, HASH_R
//!  g^xy, Ni, Nr ───────────► Skeyid::signatures ─┘                           ├─► phase 2: HASH(1) to HASH(3), KEYMAT
//!                                                                            └─► Cipher, with Iv for each exchange
//! ```
//! The IV of a message is the end of the message before it in the same exchange, whoever sent that. So an [`Iv`] is a
//! value that the caller replaces once a message is found to be good: what somebody else throws in must not change it.
//! Read RFC 2409 §5 and appendix B before changing this folder.

mod cipher;
mod schedule;
#[cfg(test)]
mod tests;

pub use cipher::{Cipher, Iv};
pub use schedule::{Algs, Cookies, Keys, Publics, Skeyid, keymat};
