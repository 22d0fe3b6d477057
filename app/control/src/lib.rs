//! The control socket: the VICI protocol between a running daemon and whoever commands it.
//!
//! ```text
//! client ── frame { CMD_REQUEST "command-line" {argv, cwd} } ──► Server::ready ──► Request ──► the daemon's core
//! client ◄── frame { CMD_RESPONSE {success, ...} } ──────────── Server::reply ◄── Message ◄──┘
//! client ◄── frame { EVENT "list-sa" {...} } ── Server::stream, event ◄──────────────────────┘
//! ```
//!
//! This crate never interprets a command and never waits, but for [`Client`], which blocks by design. The format is
//! strongSwan's, so that its clients can be served by the same socket. Read [`message`] first (what a message is),
//! then [`packet`] (how one travels), then [`server`].
#![forbid(unsafe_code)]

pub mod client;
pub mod limits;
pub mod message;
pub mod packet;
pub mod server;
pub mod socket;

pub use client::{Client, ClientError};
pub use message::{Malformed, Message, Value};
pub use packet::Packet;
pub use server::{ClientId, Lost, Request, Server};
pub use socket::BindError;

/// The command that carries a command line of the daemon's grammar: `argv` (list), `cwd` (the caller's directory), and
/// [`INPUT`].
pub const COMMAND_LINE: &str = "command-line";
/// The list of that message with the caller's standard input, in pieces, where the command line reads it.
pub const INPUT: &str = "input";
/// The event that carries what `ike debug` shows: `number`, which grows by one from event to event, and `text`.
pub const DEBUG_EVENT: &str = "ike-debug";
