//! IKEv2 (RFC 7296) without I/O: both roles, as a state machine that turns inputs into outputs.
//!
//! This crate never reads a clock, opens a socket, starts a thread or draws randomness that it was not given; the same
//! configuration, seed and inputs give the same outputs. It never touches a packet of user traffic: SAs leave as
//! [`DataPlaneOp`](ravelin_types::dataplane::DataPlaneOp) values. Read [`endpoint`] first: one door in
//! ([`Endpoint::handle`]), one ordered queue out ([`Endpoint::poll`]).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod auth;
pub mod config;
mod context;

pub mod endpoint;
mod error;
pub mod explain;
pub mod input;
pub mod limits;
mod negotiate;
mod open;
pub mod output;
mod sa_table;
mod v2;
pub mod view;

pub use config::{ChildPolicy, Config, Mistake, Remote};
pub use endpoint::Endpoint;
pub use input::{Command, Datagram, Input, Outcome};
pub use output::{Deadline, Event, OpId, Output, Transmit};
