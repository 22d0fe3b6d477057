//! Everything an operator can configure, from text to one typed model.
//!
//! ```text
//! argv, ike_rc lines ──► command ─┐
//! swanctl.conf, VICI ──► swanctl ─┼─► spec ──► model::Model ──► ravelin_ike::Config + SPD policies
//! scripts of setkey ───► setkey ──┘
//! ```
//! [`value`] reads single words, [`spec`] is what somebody asks for whatever he wrote it in.
//!
//! This crate reads the files it is pointed to (`ike_rc`, `swanctl.conf`, scripts of setkey, keys) and nothing else; it never talks to a
//! daemon and changes nothing in the system. A change is made to a copy of the [`Model`] and takes effect when the
//! caller keeps the copy, so a refused command or file leaves what runs untouched. Read [`spec`] first, then
//! [`model`], and [`command`] for the grammar.
#![forbid(unsafe_code)]

pub mod account;
pub mod command;
pub mod eap;
pub mod files;
pub mod live;
pub mod model;
pub mod papers;
pub mod rc;
pub mod remark;
pub mod secret;
pub mod setkey;
pub mod spec;
pub mod swanctl;
pub mod value;

pub use command::{BadLine, Command, Parsed, Verb, parse};
pub use model::{Model, ModelError};
pub use papers::Papers;
