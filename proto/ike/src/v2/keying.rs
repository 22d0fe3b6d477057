//! What is behind the keys of an IKE SA, and goes on in those that follow it: by a rekey, or by a ticket.

use alloc::vec::Vec;

use ravelin_types::Secret;
use ravelin_types::proposal::IkeSuite;
use ravelin_types::transform::KeMethod;

/// What an IKE SA hands to the next.
#[derive(Clone)]
pub(crate) struct Keying {
    pub(crate) suite: IkeSuite,
    /// The additional key exchanges behind SK_d (RFC 9370).
    pub(crate) additional: Vec<KeMethod>,
    pub(crate) sk_d: Secret,
    /// Whether a post-quantum pre-shared key is behind it (RFC 8784).
    pub(crate) ppk: bool,
    /// Whether both sides prove the whole of the first exchange.
    pub(crate) full_transcript: bool,
}
