//! Keys from somewhere else than our IKE: from a keying program through the management messages of document 003 §3.14,
//! or from an operator by hand.
//!
//! ```text
//!   application ─ message ─► Manager::handle ──► World   the SPD and SAD, whoever holds them
//!        ▲  ▲                    │ exactly one reply       │ Changes
//!        │  └────────────────────┘                         ▼
//!        └── event ─────── Manager::poll ◄────────── Manager::tell
//! ```
//!
//! No sockets, clocks or randomness: bytes of a message come in, bytes of its reply go out, and events wait in bounded
//! queues until somebody takes them to their application. Read [`manager`] first, then [`session`], which makes SAs
//! from keys and refuses what must not be keyed by hand; [`admin`] is the other end, for programs that set up policies.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod admin;
pub mod limits;
pub mod manager;
mod policy;
pub mod session;
mod spis;
mod weak;
pub mod world;

pub use manager::{AppId, Manager};
pub use session::{Refused, Session};
pub use world::{Change, Keying, World};
