//! IKEv2 and IKEv1 without I/O, what RFC 7296 §4 asks of every implementation and more: both roles, as a state machine that
//! turns inputs into outputs.
//!
//! This crate never reads a clock, opens a socket, starts a thread or draws randomness that it was not given; the same
//! configuration, seed and inputs give the same outputs. It never touches a packet of user traffic: SAs leave as
//! [`DataPlaneOp`](ravelin_types::dataplane::DataPlaneOp) values. Read [`endpoint`] first: one door in
//! ([`Endpoint::handle`]), one ordered queue out ([`Endpoint::poll`]).
#![no_std]
#![forbid(unsafe_code)]
// Without a version some of what is for all has no use.
#![cfg_attr(
    not(all(feature = "ikev1", feature = "ikev2")),
    allow(dead_code, unused_mut, irrefutable_let_patterns, unreachable_patterns)
)]

extern crate alloc;

// Each version of IKE is a feature and a folder of this crate. What is not of one version is for all, and neither folder
// knows the other.
pub mod address;
mod auth;
pub mod config;
mod error;
pub mod explain;
pub mod extensions;
pub mod input;
pub mod limits;
mod mistakes;
mod negotiate;
mod open;
pub mod output;
pub mod puzzle;
pub mod question;
mod secrets;
pub mod view;

#[cfg(any(feature = "ikev1", feature = "ikev2"))]
mod bucket;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
mod child;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
mod children;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
mod context;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
pub mod endpoint;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
mod exchanging;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
mod gateways;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
mod host_names;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
mod ike_sa;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
mod live;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
mod names;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
mod nat;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
mod numbers;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
mod remotes;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
mod retry;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
mod sa_table;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
mod sealed;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
mod silence;
#[cfg(feature = "ikev1")]
mod v1;
#[cfg(feature = "ikev2")]
mod v2;
#[cfg(any(feature = "ikev1", feature = "ikev2"))]
mod want;

#[cfg(not(any(feature = "ikev1", feature = "ikev2")))]
#[path = "without.rs"]
pub mod endpoint;

pub use config::{ChildPolicy, Config, Remote};
pub use endpoint::Endpoint;
pub use extensions::{Extensions, NewGateway, Ppk, PpkIn, Ppks, Redirect, Tcp, Unique};
pub use input::{Command, Datagram, HostAddresses, Input, Outcome};
pub use mistakes::Mistake;
pub use output::{Deadline, Event, OpId, Output, StreamOp, Transmit};
pub use puzzle::Puzzle;
pub use question::{Answer, Desk, Question};
pub use secrets::IkeSecrets;
