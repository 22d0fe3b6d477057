//! Key schedules and message protection of IKEv2 (RFC 7296 §2.13 to §2.18, §3.14; RFC 5282).
//!
//! ```text
//!  g^ir, Ni, Nr ──► Skeyseed::initial ─┐
//!                                      ├─► Skeyseed::derive ──► MessageKeys, IkeKeys { sk_d, sk_pi, sk_pr }
//!  SK_d (old), g^ir (new), Ni, Nr      │                              │               │      │
//!              └──► Skeyseed::rekeyed ─┘       MessageKeys::ciphers ──┘               │      └─ SignedOctets (AUTH)
//!                                              (IkeCipher: SK payload)                └─► KeyMat::derive (Child SA)
//! ```
//!
//! Each step consumes or borrows the one before, so a key that is "not yet derived" has no type. Lengths come from
//! [`IkeAlgs`] and [`ChildAlgs`]: a suite from `ravelin-types` looked up in a provider.
//! Read RFC 7296 §2.14, §2.15 and §2.17 before changing this folder.

mod algs;
mod auth;
mod cipher;
mod schedule;
#[cfg(test)]
mod tests;

pub(crate) use algs::encr_key_len;
pub use algs::{ChildAlgs, IkeAlgs};
pub use auth::{SignedOctets, shared_key};
pub use cipher::IkeCipher;
pub(crate) use schedule::{Cutter, prf_once};
pub use schedule::{IkeKeys, KeyMat, MessageKeys, Nonces, Skeyseed};
