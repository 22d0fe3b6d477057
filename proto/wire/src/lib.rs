//! Bytes to structs and back: IKE messages, the management messages of document 003, and the headers of IP, UDP and ESP as far
//! as IPsec needs them.
//!
//! Everything that arrives is taken for hostile: parsing is bounded (IKE's bounds are in [`limits`]), never panics,
//! never reads beyond its input, and says what was wrong. Values without a name here survive unchanged. The crate
//! judges the form of a message and nothing else, and holds no keys. Read [`ike::v2`] first for IKE, [`ip`] for
//! packets.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod aggfrag;
pub mod ah;
pub mod esp;
pub mod ike;
pub mod ip;
pub mod limits;
pub mod mgmt;
pub mod tcp_encap;
pub mod udp_encap;
