//! Challenges of both networks, with what a card makes of them.

use ravelin_types::Secret;

/// A challenge of GSM, and what the card makes of it.
#[derive(Clone)]
pub(super) struct Triplet {
    pub(super) rand: [u8; 16],
    pub(super) sres: [u8; 4],
    pub(super) kc: [u8; 8],
}

/// A challenge of UMTS, and what card and network make of it.
pub(super) struct Vector {
    pub(super) rand: [u8; 16],
    pub(super) autn: [u8; 16],
    pub(super) res: [u8; 8],
    /// CK, then IK.
    pub(super) keys: Secret,
}
