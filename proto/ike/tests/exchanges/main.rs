//! Exchange tests: two endpoints, or one and a peer that does as it likes, driven one message at a time.
//!
//! `lab` is the ground they stand on, `peer` the one that does as it likes; the comments in the tests are the messages in the notation of RFC 7296 §1.2.
#![allow(clippy::unwrap_used)] // Helpers are tests too, though they carry no attribute.

mod addresses;
mod algorithms;
mod collisions;
mod create_child;
mod delete;
mod eap;
mod fragments;
mod hostile;
mod informational;
mod initial;
mod intermediate;
mod lab;
mod liveness;
mod mobike;
mod nat;
mod open;
mod pad;
mod peer;
mod pfp;
mod ppk;
mod rekey;
mod signature;
mod storm;
mod v1;
mod window;
