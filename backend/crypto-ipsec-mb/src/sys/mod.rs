//! All calls into the library, wrapped so that the rest of the crate is safe code.
//!
//! ```text
//!  load: dlopen ─► version ─► a manager, for its table of functions ─► Library, once per process
//!  gcm, gmac: functions of that table, which keep nothing between calls
//!  chacha, ctr, pair: jobs of a manager; each thread has its own (manager)
//! ```
//! Two rules hold everywhere: lengths that the library trusts are array types or checked right before the call; and no
//! pointer stays in a manager when a wrapper returns, since every job is finished by then.

mod chacha;
mod ctr;
mod gcm;
mod gmac;
mod layout;
mod load;
mod manager;
mod pair;

pub(crate) use chacha::ChaChaKey;
pub(crate) use ctr::CtrKey;
pub(crate) use gcm::GcmKey;
pub(crate) use gmac::{GmacKey, TAG_LEN};
pub(crate) use load::library;
pub(crate) use pair::{Cipher, Hash, MAX_PACKETS, Mac, PairKey, Suite, open, seal};
