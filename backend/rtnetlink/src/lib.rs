//! The host's addresses, routes and routing rules: what IPsec puts there beside its policies and SAs.
//!
//! `socket` speaks rtnetlink, one request and one answer at a time; it is what every crate here uses. `inside` keeps the
//! internal addresses that peers gave to this host, with the routes that use them: read it first. This crate never
//! decides which addresses those are, and touches none that it did not add.
#![forbid(unsafe_code)]

mod inside;
mod socket;

pub use inside::{Inside, InsideConfig, InsideRoute, Keeper, undo_leftovers};
pub use socket::{Socket, whole};
