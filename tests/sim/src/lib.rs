//! Two hosts on virtual time: real IKE endpoints, real packet engines, and a wire that loses, repeats, delays, reorders
//! and damages what it carries.
//!
//! One seed gives one run, to the byte. It decides the configuration, the faults and what operators do (`scenario.rs`, `manners.rs`);
//! nothing here reads a clock, opens a socket or draws other randomness. While faults last, invariants hold at every
//! step (`ledger.rs`: nothing in the clear, nothing twice, nothing altered, no sequence number used again). When they
//! end, the hosts have a while to recover; then `check.rs` says what must be up, and traffic must cross whole and in
//! order. Read `world.rs` first.
//!
//! ```text
//!  plan ──► World ──► Node 0: Endpoint ─ Apply ─► Engine        Node 1: the same
//!             │          │  Transmit      Verdict::Send │
//!             │          └────────► Network ◄───────────┘ ──► arrivals ──► Node::receive
//!             └── Ledger: what was sent, what came out
//! ```
#![forbid(unsafe_code)]

mod check;
mod ledger;
mod manners;
mod nat;
mod network;
mod node;
mod packets;
mod rng;
mod scenario;
mod trace;
mod world;

pub use network::Faults;
pub use scenario::{Action, Scenario, Step};
pub use world::{Failure, Sabotage, Summary, World, run};
