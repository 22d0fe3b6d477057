//! The keys that protect the messages of one IKE SA, for an operator who asked to read them.

use alloc::vec::Vec;

use ravelin_types::proposal::IkeSuite;
use ravelin_types::{IkeSpi, Secret};

/// What opens the messages of one IKE SA.
#[derive(Clone, Debug)]
pub enum IkeSecrets {
    /// Of IKEv1.
    V1 {
        /// CKY-I and CKY-R.
        cookies: (IkeSpi, IkeSpi),
        /// The algorithms.
        suite: IkeSuite,
        /// The key of the cipher, as RFC 2409 appendix B makes it from SKEYID_e.
        key: Secret,
        /// The last block of phase 1, once that is over: the IVs of later exchanges are made from it.
        last: Option<Vec<u8>>,
    },
    /// Of IKEv2.
    V2 {
        /// Initiator's and responder's SPI.
        spis: (IkeSpi, IkeSpi),
        /// The algorithms.
        suite: IkeSuite,
        /// SK_ei and SK_er, each with its salt at the end.
        encr: [Secret; 2],
        /// SK_ai and SK_ar; empty with an AEAD cipher.
        integ: [Secret; 2],
    },
}
