//! RADIUS as a client that relays EAP needs it: packets (RFC 2865), what proves them (RFC 2865 §3, RFC 3579 §3.2), and the
//! keys in them (RFC 2548).
//!
//! This crate has no socket, no clock and no randomness of its own. It sends no request without a Message-Authenticator and
//! takes no reply without one: the Response Authenticator alone can be forged by whoever is on the way (CVE-2024-3596). Read
//! [`packet`] first.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod keys;
pub mod packet;
#[cfg(test)]
mod tests;

pub use keys::msk;
pub use packet::{Attribute, Code, Fault, Packet, Request, reply};
