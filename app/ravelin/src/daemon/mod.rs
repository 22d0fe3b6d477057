//! The daemon: everything that moves, connected.
//!
//! ```text
//!                 event_loop.rs: waits, reads the clock, reads signals
//!    ┌───────────────┬──────────────────┬───────────────┐
//! control socket   IKE datagrams    plane events      timers
//!    └───────────────┴────────┬─────────┴───────────────┘
//!                             ▼
//!     core.rs: Endpoint ─► Apply, Transmit ─► Plane (plane/)
//!        │         └─────► Event ─► log, listings/failures.rs, waiting.rs (answers that come later)
//!        └ commands.rs: a command line ─► Model ─► difference ─► Plane; ─► Config ─► Endpoint
//!                       listings ─► listings/report.rs ─► Message
//!        └ keyed/setkey.rs: a script of setkey(8) ─► Model, likewise
//!        └ updown.rs ─► updown/script.rs: commands that follow SAs up and down
//!        └ sessions.rs: users whom RADIUS servers let in ─► records of accounts ─► clerk.rs
//!        └ vici/: the commands and events that strongSwan's clients know
//!     keyed/keying_socket.rs ─► Core::manage ─► keyed.rs: SAs whose keys come from elsewhere
//! ```

mod clerk;
pub mod commands;
pub mod core;
mod crash_secret;
pub mod crypto;
pub mod event_loop;
pub mod host;
pub mod keyed;
mod later;
pub mod listings;
pub mod plane;
pub mod reload;
mod sessions;
mod tap;
mod updown;
pub mod vici;
pub mod waiting;
