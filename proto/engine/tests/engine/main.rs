//! The packet engine through its public API, with the ciphers of AWS-LC.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod allocations;
mod common;
mod hostile;
mod lifetime;
mod marks;
mod nat;
mod options;
mod pfp;
mod policy;
mod round_trip;
mod sys;
