//! AGGFRAG payloads (RFC 9347): packets of an SA behind each other in one stream of bytes, of which each ESP packet carries a
//! stretch.
//!
//! ```text
//!  packet ──► Sender: queue ──► the next stretch, behind where a packet begins in it ──► seal
//!  opened ──► Receiver: in the order of their numbers ──► pieces put together ──► queue ──► packet
//! ```
//! Both are there for SAs that have such payloads, with all the memory that they will ever need.

mod queue;
mod receiver;
mod sender;

pub(crate) use receiver::{Receiver, Taken};
pub(crate) use sender::Sender;

#[cfg(test)]
mod tests;
