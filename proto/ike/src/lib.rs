//! IKEv2 without I/O, what RFC 7296 §4 asks of every implementation and more: both roles, as a state machine that turns
//! inputs into outputs.
//!
//! This crate never reads a clock, opens a socket, starts a thread or draws randomness that it was not given; the same
//! configuration, seed and inputs give the same outputs. It never touches a packet of user traffic: SAs leave as
//! [`DataPlaneOp`](ravelin_types::dataplane::DataPlaneOp) values. Read [`endpoint`] first: one door in
//! ([`Endpoint::handle`]), one ordered queue out ([`Endpoint::poll`]).
#![no_std]
#![forbid(unsafe_code)]
// Without a version some of what is for all has no use.
#![cfg_attr(not(all(feature = "ikev1", feature = "ikev2")), allow(dead_code, unused_mut))]

extern crate alloc;

// Each version of IKE is a feature of this crate. What is not of one version is for all.
pub mod address;
mod auth;
pub mod config;
mod error;
pub mod explain;
pub mod extensions;
pub mod input;
pub mod limits;
mod negotiate;
mod open;
pub mod output;
pub mod question;
pub mod view;

#[cfg(feature = "ikev2")]
mod child;
#[cfg(feature = "ikev2")]
mod children;
#[cfg(feature = "ikev2")]
mod context;
#[cfg(feature = "ikev2")]
pub mod endpoint;
#[cfg(feature = "ikev2")]
mod ike_sa;
#[cfg(feature = "ikev2")]
mod names;
#[cfg(feature = "ikev2")]
mod nat;
#[cfg(feature = "ikev2")]
mod retry;
#[cfg(feature = "ikev2")]
mod sa_table;
#[cfg(feature = "ikev1")]
mod v1;
#[cfg(feature = "ikev2")]
mod v2;
#[cfg(feature = "ikev2")]
mod want;

#[cfg(not(feature = "ikev2"))]
#[path = "without.rs"]
pub mod endpoint;

pub use config::{ChildPolicy, Config, Mistake, Remote};
pub use endpoint::Endpoint;
pub use extensions::{Extensions, Ppk, Ppks};
pub use input::{Command, Datagram, HostAddresses, Input, Outcome};
pub use output::{Deadline, Event, OpId, Output, Transmit};
pub use question::{Answer, Desk, Question};
