//! RADIUS as a client that relays EAP and keeps accounts needs it: packets (RFC 2865, RFC 2866, RFC 5176), what proves them
//! (RFC 2865 §3, RFC 3579 §3.2), the keys in them (RFC 2548), and what a server says about a session.
//!
//! This crate has no socket, no clock and no randomness of its own. It sends no Access-Request without a Message-Authenticator
//! and takes no reply to one without it: the Response Authenticator alone can be forged by whoever is on the way
//! (CVE-2024-3596). Read [`packet`] first.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod authorization;
mod keys;
pub mod packet;
#[cfg(test)]
mod tests;

pub use authorization::Authorization;
pub use keys::msk;
pub use packet::{Attribute, Code, Fault, Packet, Request, acknowledgement, reply, request};
