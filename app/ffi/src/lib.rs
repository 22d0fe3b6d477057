//! The C interface of Ravelin, for stacks that are not written in Rust: `include/ravelin.h`.
//!
//! ```text
//!  rvl_engine_new ─► handle      rvl_add_policy, rvl_add_sa ─► SPD, SAD
//!  stack's packet in its own buffer ─► rvl_encapsulate / rvl_decapsulate ─► the same buffer, and a verdict
//!  packet in pieces ─► rvl_encapsulate_chain / rvl_decapsulate_chain ─► the same pieces, headers and trailer in a buffer
//!  packet in pieces ─► rvl_submit ··· rvl_complete ─► another buffer, and a verdict
//!                          └─► hardware of the caller ··· rvl_job_done
//!  lines of an ike_rc ─► rvl_configure ─► engine and IKE endpoint; rvl_commands ─► lines
//!  text ─► rvl_admin_add_... ─► a message for the keying socket of a daemon
//!  datagrams, timer ─► IKE endpoint (rvl_ike_...) ─► datagrams, and SAs for the engine; questions to RADIUS servers and resolvers
//! ```
//! Nothing here decides anything: each function checks its arguments, turns them into the types of the other crates and
//! calls those. A wrong argument gives a [`RvlStatus`], a panic of ours too, and both leave the caller's memory alone. What
//! no check can find is a pointer that is neither null nor valid; the header says what each must point to. All `unsafe` is
//! in [`sys`], where [`accelerator`] calls back, and in the functions that C calls. Read [`handle`] first, then [`packet`].
//!
//! What the modules use of each other goes one way:
//!
//! ```text
//!  handle, status, text ◄─ traffic, protection, options ◄─ sys ◄─ crypto, accelerator ◄─ engine ◄─ packet, policy, sa, requests ...
//!                                                                          policy ◄─ ike ◄─ remote, names, radius, ike_admin ◄─ lines
//! ```

pub mod accelerated;
pub mod accelerator;
pub mod admin;
pub mod chain;
pub mod crypto;
pub mod engine;
pub mod event;
pub mod handle;
pub mod ike;
pub mod ike_admin;
pub mod ike_output;
pub mod lines;
pub mod names;
pub mod options;
pub mod packet;
mod papers;
pub mod policy;
pub mod protection;
pub mod radius;
pub mod remote;
pub mod requests;
pub mod sa;
mod sessions;
pub mod status;
mod sys;
mod text;
pub mod traffic;

pub use status::RvlStatus;
