//! What is known when a packet is read.

use crate::ike::session::Sessions;
use crate::keys::Keys;

/// How to read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Show what a key decrypts though its integrity check fails, where the cipher can be used without one.
    pub ignore_icv: bool,
}

/// What was said beforehand, and what the packets before it said.
pub(crate) struct Known {
    pub keys: Keys,
    pub options: Options,
    pub sessions: Sessions,
}
