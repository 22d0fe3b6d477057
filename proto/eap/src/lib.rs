//! The Extensible Authentication Protocol (RFC 3748): both ends of a conversation, and the methods.
//!
//! This crate has no clock, no socket and no randomness of its own: a turn of a [`Conversation`] is one message in, one
//! message out. Read [`conversation`] first.
//!
//! ```text
//!   Conversation::turn(what was heard) ─┬─ Peer           answers for a user: identity, Nak, one method
//!                                       ├─ Authenticator  asks: identity, methods in order, the result
//!                                       └─ Relay          passes on what a RADIUS server asks
//!                                            method/: MD5, GTC, MSCHAPv2, TLS, TTLS, PEAP, SIM, AKA, AKA', each with its two ends
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod aaa;
mod account;
mod authenticator;
pub mod conversation;
pub mod limits;
mod message;
mod method;
mod method_type;
mod mschap;
mod peer;
pub mod relay;
#[cfg(test)]
mod tests;
pub mod tls;
mod turn;

pub use account::{Account, Accounts, identity};
pub use authenticator::{Authenticator, Server};
pub use conversation::Conversation;
pub use method::Method;
pub use method::sim::{Forgetful, Memory, Sims};
pub use method_type::MethodType;
pub use peer::{Client, Peer};
pub use turn::{Proven, Step, Tools};
