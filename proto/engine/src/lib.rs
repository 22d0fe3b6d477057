//! The packet engine: decides by the SPD what happens to a packet, and protects or opens it with ESP or AH
//! (RFC 4301, RFC 4303, RFC 4302), in place.
//!
//! It never does I/O, never reads a clock, never starts a thread, never allocates, locks or copies a payload for a
//! packet, and knows nothing of IKE: operations come in by `apply`, events leave by `poll_event`. The two halves
//! share nothing, so each may run on its own thread. Read [`engine`] first, then [`outbound`] and [`inbound`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod accelerator;
mod acquires;
mod aggfrag;
mod ah;
pub mod chain;
pub mod classifier;
mod deadlines;
mod ecn;
pub mod engine;
mod esp;
mod events;
mod extras;
mod fetch;
mod fragments;
mod hash;
pub mod inbound;
mod integ;
pub mod ip_options;
mod ipcomp;
pub mod limits;
mod lookup;
mod open;
pub mod outbound;
pub mod packet;
pub mod reassembly;
mod replay;
pub mod requests;
mod sad;
mod seal;
mod spd;
mod suite;
mod template;
mod together;
pub mod verdict;

pub use accelerator::{Accelerator, Fault, Job, Outcome, Share, Software};
pub use chain::{ChainBuf, Layout};
pub use classifier::{Classifier, Found};
pub use engine::{Engine, EngineConfig, NoMatch};
pub use extras::{TfcPadding, TfcRequest, random_padding};
pub use inbound::{Inbound, OuterMeta};
pub use limits::Limits;
pub use lookup::{Disposal, Disposition};
pub use outbound::Outbound;
pub use packet::{Chain, HEADROOM, Mark, PacketBuf, TAILROOM};
pub use requests::{Completion, Label, Request, Requests};
pub use verdict::{Counters, DropReason, Outer, Verdict};
