//! Exchange tests: two endpoints, or one and a peer that does as it likes, driven one message at a time.
//!
//! `lab` is the ground they stand on, `papers` has certificates for it; each version has a folder. The comments in the tests
//! are the messages in the notation of the RFCs (RFC 7296 §1.2, RFC 2409 §5).
#![allow(clippy::unwrap_used)] // Helpers are tests too, though they carry no attribute.
// Without a version not all of the ground is stood on.
#![cfg_attr(not(all(feature = "ikev1", feature = "ikev2")), allow(dead_code))]

mod gateways;
mod host_names;
mod ipcomp;
#[cfg(all(feature = "ikev1", feature = "ikev2"))]
mod kinds;
mod lab;
#[cfg(all(feature = "ikev1", feature = "ikev2"))]
mod mistakes;
mod papers;
#[cfg(all(feature = "ikev1", feature = "ikev2"))]
mod put_off;
mod sys;
#[cfg(feature = "ikev1")]
mod v1;
#[cfg(feature = "ikev2")]
mod v2;
#[cfg(all(feature = "ikev1", feature = "ikev2"))]
mod versions;
