//! The packet engine through its public API, with the ciphers of AWS-LC.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod common;
mod round_trip;
