//! IKEv2: two endpoints, or one and `peer`, which does as it likes.

mod addresses;
mod algorithms;
mod childless;
mod collisions;
mod create_child;
mod delete;
mod eap;
mod follow_up;
mod fragments;
mod hostile;
mod informational;
mod initial;
mod intermediate;
mod liveness;
mod mobike;
mod nat;
mod open;
mod pad;
pub mod peer;
mod pfp;
mod ppk;
mod reauthentication;
mod rekey;
mod signature;
mod storm;
mod tcp;
mod window;
