//! The interop lab: Ravelin's daemon against other implementations, on one machine, from Debian packages alone.
//!
//! It boots and wires real peers in private namespaces, runs the scripts under `cases/`, and believes the peer's own
//! account of what was agreed and the packets seen on the wire. It never touches the machine's own network, and nothing
//! of it outlives the run. A matrix of algorithms and modes runs the engine itself against the kernel. Read `case.rs` first
//! (what a case is), then `steps.rs` (the words a case is written in).
//!
//! ```text
//!   lane ──── for each case ──► lab (namespaces, NAT) ──► node::Ravelin ═══ wire (bridge, capture) ═══ node::Swan
//!     │                                                      ▲                                           ▲
//!   sandbox (private PID, mount and network namespaces)      └────────────── steps of `expect` ──────────┘
//! ```

pub mod capture;
pub mod case;
pub mod contract;
pub mod crowd;
pub mod device;
pub mod gre;
pub mod guest;
pub mod hostapd;
pub mod lab;
pub mod lwip;
pub mod matrix;
pub mod node;
mod page;
pub mod papers;
pub mod peers;
pub mod pfkey;
pub mod plan;
pub mod process;
pub mod radius;
pub mod runner;
pub mod sandbox;
pub mod steps;
mod sys;
pub mod token;
pub mod traffic;
