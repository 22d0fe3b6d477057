//! The daemon: everything that moves, connected.
//!
//! ```text
//!                 event_loop.rs: waits, reads the clock, reads signals
//!    ┌───────────────┬──────────────────┬───────────────┐
//! control socket   IKE datagrams    plane events      timers
//!    └───────────────┴────────┬─────────┴───────────────┘
//!                             ▼
//!     core.rs: Endpoint ─► Apply, Transmit ─► Plane (plane/)
//!        │         └─────► Event ─► log, failures.rs, waiting.rs (answers that come later)
//!        └ commands.rs: a command line ─► Model ─► difference ─► Plane; ─► Config ─► Endpoint
//!                       listings ─► report.rs ─► Message
//!        └ setkey.rs: a script of setkey(8) ─► Model, likewise
//!        └ updown.rs ─► script.rs: commands that follow SAs up and down
//!        └ sessions.rs: users whom RADIUS servers let in ─► records of accounts ─► clerk.rs
//!        └ vici/: the commands and events that strongSwan's clients know
//!     keying_socket.rs ─► Core::manage ─► keyed.rs: SAs whose keys come from elsewhere
//! ```

mod addresses;
mod certificates;
mod clerk;
pub mod commands;
pub mod core;
mod crash_secret;
pub mod crypto;
pub mod event_loop;
pub mod failures;
mod fetch;
mod flows;
mod host_names;
mod inside;
mod interfaces;
mod key_log;
mod keyed;
pub mod keying_socket;
mod later;
pub mod plane;
mod pools;
pub mod psk;
pub mod reload;
pub mod report;
pub mod resolver;
mod script;
mod sessions;
mod setkey;
pub mod statics;
mod tap;
mod token_threads;
mod trace;
mod updown;
pub mod vici;
pub mod waiting;
mod why;
