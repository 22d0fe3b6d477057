//! Reads captures of IPsec traffic and says what is in them, field by field: IKEv1, IKEv2, ESP and AH, also inside UDP and
//! TCP, opened where keys are at hand.
//!
//! ```text
//!   capture::Reader ─► link ─► Decoder::packet ─► ip ─┬─ udp, tcp ─┬─ ike::v1, ike::v2 ─ keys ─► what is inside
//!                                                     │            └─ esp ─ keys ─► the packet inside ─► ip
//!                                                     └─ esp, ah, ipcomp, aggfrag
//!                                  Decoded ─► render::text (document 003 §4.5), render::json
//! ```
//!
//! It never stops at a bad packet: what can be read is given, and a [`Problem`] says in words what is wrong and where. It
//! sends nothing, judges no policy, and is not what the daemon reads messages with: that reader refuses, this one explains.
//! Fields carry the names that Wireshark gives them, so filters and scripts that know those can be used.
//! Read `decoder.rs` first, then `scope.rs`.

mod aggfrag;
pub mod capture;
mod decoder;
mod esp;
mod field;
mod ike;
mod ip;
pub mod keys;
mod known;
mod link;
pub mod render;
mod scope;

pub use decoder::Decoder;
pub use field::{Decoded, Field, Layer, Problem, Secrecy, Value};
pub use known::Options;
pub use link::Link;
