//! The methods of telephones: EAP-SIM (RFC 4186), EAP-AKA (RFC 4187) and EAP-AKA' (RFC 9048), with SIMs in software.
//!
//! ```text
//!                    EAP-SIM                              EAP-AKA, EAP-AKA'
//!   authenticator    Start: versions                      Identity
//!   peer             Start: a nonce, who it is            Identity: who it is
//!   authenticator    Challenge: two or three RANDs, MAC   Challenge: RAND and AUTN, MAC
//!   peer             Challenge: MAC                       Challenge: RES, MAC
//! ```
//! Whoever was here before may say a name from then, and be asked for no more than the knowledge of the keys of that time
//! (fast re-authentication).

mod attribute;
mod card;
mod challenge;
mod keys;
mod memory;
mod milenage;
mod peer;
mod server;
#[cfg(test)]
mod tests;

use core::fmt;

pub use memory::{Forgetful, Memory, Sims};
pub(super) use peer::Peer;
pub(super) use server::Server;

/// Which of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Sim,
    Aka,
    AkaPrime,
}

const REJECT: u8 = 2;
const SYNCHRONIZATION: u8 = 4;
const NOTIFICATION: u8 = 12;
const REAUTHENTICATION: u8 = 13;
const CLIENT_ERROR: u8 = 14;

const REQUEST: u8 = 1;
const RESPONSE: u8 = 2;

/// The version of EAP-SIM (RFC 4186 §10.2).
const VERSION: u16 = 1;
/// The function of keys of AKA' (RFC 9048 §3.2).
const KDF: u16 = 1;
/// D of AT_BIDDING (RFC 9048 §4).
const PREFERS_PRIME: u16 = 0x8000;

/// RFC 4187 §6.1: it went well; it is about what is before the challenge, and not protected.
const SUCCESS: u16 = 0x8000;
const EARLY: u16 = 0x4000;

impl Kind {
    fn number(self) -> u8 {
        match self {
            Kind::Sim => 18,
            Kind::Aka => 23,
            Kind::AkaPrime => 50,
        }
    }

    /// The subtype of Start, or Identity.
    fn identity(self) -> u8 {
        if self == Kind::Sim { 10 } else { 5 }
    }

    fn challenge(self) -> u8 {
        if self == Kind::Sim { 11 } else { 1 }
    }

    /// What names begin with: a permanent one, a pseudonym, and one for fast re-authentication (RFC 4186 §4.2.1.6, RFC 4187
    /// §4.1.1.6, RFC 9048 §3).
    fn marks(self) -> [u8; 3] {
        match self {
            Kind::Sim => *b"135",
            Kind::Aka => *b"024",
            Kind::AkaPrime => *b"678",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Sim => "EAP-SIM",
            Kind::Aka => "EAP-AKA",
            Kind::AkaPrime => "EAP-AKA'",
        })
    }
}

/// A user's name without its realm, and the realm with its `@`.
fn split_realm(name: &[u8]) -> (&[u8], &[u8]) {
    name.split_at(name.iter().position(|octet| *octet == b'@').unwrap_or(name.len()))
}
