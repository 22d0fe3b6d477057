//! The system around the daemon: addresses and ways, what is put there for peers, and what its resolver knows.

pub mod addresses;
pub mod host_names;
pub mod inside;
pub mod resolver;
