//! The packet engine through its public API, with the ciphers of AWS-LC, and where it lacks one with the portable ones.
#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod aggfrag;
mod aggfrag_captured;
mod ah;
mod algorithms;
mod allocations;
mod batches;
mod chains;
mod codes;
mod common;
mod domains;
mod fragments;
mod hiding;
mod hostile;
mod ipcomp;
mod lifetime;
mod limits;
mod marks;
mod nat;
mod numbers;
mod options;
mod path;
mod pfp;
mod policy;
mod requests;
mod reserved;
mod round_trip;
mod sad;
mod sys;
